"""The message about a text in which no column holds tags: what it looks like, and what to do."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from rnr.corpus.formats.columns.cells import Columns, by_blanks
from rnr.corpus.formats.doubtful import MARKS
from rnr.corpus.formats.files.csv_table import BETWEEN
from rnr.corpus.formats.refusals import WRITE_OFFSETS
from rnr.corpus.formats.tags.reading import TagCensus

_MARKED = "names that seem to be marked inside the text ({}): take the marks out and " + WRITE_OFFSETS
_TEXTS = (
    (
        # OpenNLP's, MUC's, any tool's, Rasa's and other marks around a name.
        MARKS,
        _MARKED,
    ),
    (
        re.compile(r'^c="[^"\n]*" \d+:\d+ \d+:\d+\|\|t="', re.MULTILINE),
        "the concepts of i2b2 ({}), whose text is in another file: " + WRITE_OFFSETS,
    ),
    (
        re.compile(r"^T\d+\t\S+ \d+ \d+[\t;]", re.MULTILINE),
        "lines of brat ({}): give their file the ending .ann, and lay it beside the .txt that it annotates",
    ),
    (
        re.compile(r"^(\d+)\|[A-Za-z]\w*\|(?=[^\n]*\n(?:\1\|[^\n]*\n)*\1\t\d+\t\d+\t)", re.MULTILINE),
        "documents of PubTator ({}): remove what is above them, and give their file the ending .pubtator",
    ),
    (
        re.compile(r"^(?:[^\t\n]+\|\|\|)?\d+,\d+ [^\s|]+(?:\|\d+,\d+ [^\s|]+)*$", re.MULTILINE),
        "spans of tokens below their sentence or after it ({}), as of nested names: write a row for each sentence, "
        "{'tokens': [...], 'entities': [{'start', 'end', 'type'}]}, ends exclusive",
    ),
    (
        re.compile(r"^\d+\t[TA]\t\d+\t\d+\t|^\w+\|\d+ \d+\|", re.MULTILINE),
        "places in texts that are in another file ({}), as BioCreative has them: " + WRITE_OFFSETS,
    ),
    (
        re.compile(r"^\w+ ?= ?\[|^\[?\(\"|^\[?\('", re.MULTILINE),
        "what Python shows of a list ({}): write it as JSON there (`json.dump`)",
    ),
    (
        re.compile(r"^## (?:intent|synonym|lookup|regex):", re.MULTILINE),
        "training data of Rasa ({}): " + WRITE_OFFSETS,
    ),
)
"""How a text looks, and the message about it."""
_QUOTED = (
    "every word is in quotation marks, as a spreadsheet writes them: write the file without "
    "(in Python `csv.writer(..., quoting=csv.QUOTE_NONE)`, in R `quote = FALSE`)"
)
_OF_A_SENTENCE, _FEWEST = 3, 3
"""So many words in each of most lines, or two in every one of so many lines, are no word."""
_UNDIVIDED = re.compile("[\u3040-\u30ff\u3400-\u9fff]{6}")
"""So many characters of Chinese and Japanese, which has no spaces, are longer than most words."""
_NOTHING = frozenset(
    ("none", "other", "others", "null", "nan", "na", "n/a", "0", "_", "-", "out", "outside", "x", "no", "nil", "false")
)
"""What stands in the place of O, in lower case."""
_LABEL = re.compile(r"[A-Za-z][\w-]*")
_LISTS = re.compile(r"\[\s*[\[({\"']|\{\s*[\"']|\[\]")


def known_text(texts: Sequence[str]) -> str:
    """The message about a text that looks as one that is known and has no columns; empty where it does not."""
    for pattern, said in _TEXTS:
        if found := next((match for text in texts if (match := pattern.search(text))), None):
            return f"no column of tags, but {said.replace('{}', found[0][:40].strip())}"
    return ""


def are_quoted(words: Counter[str]) -> bool:
    """Whether every one of these cells stands in quotation marks."""
    return all(len(word) > 1 and word[0] == word[-1] == '"' for word in words)


def refuse_quoted(words: Counter[str]) -> None:
    """Raises ValueError for cells that all stand in quotation marks."""
    if are_quoted(words):
        raise ValueError(_QUOTED)


def refuse_sentences(columns: Columns, token: int, free: Iterable[int]) -> None:
    """Raises ValueError where most cells of the column of words are whole sentences, or are numbers beside such."""
    words = columns.counts(token)
    numbers = sum(times for word, times in words.items() if word.isdecimal())
    for column in (token, *(free if 2 * numbers > words.total() else ())):
        if _holds_sentences(columns.counts(column)):
            raise ValueError(
                f"column {column + 1} holds whole sentences and no words: a label for each is of the sentence, not of "
                "a name in it; write {'tokens': [...], 'ner_tags': [...]} with a tag for each word, or "
                f"{WRITE_OFFSETS.removeprefix('write ')}"
            )


def _holds_sentences(cells: Counter[str]) -> bool:
    long = sum(
        times for cell, times in cells.items() if len(by_blanks(cell)) >= _OF_A_SENTENCE or _UNDIVIDED.search(cell)
    )
    return 2 * long > cells.total() or (cells.total() >= _FEWEST and all(" " in cell for cell in cells))


def refuse_divided(columns: Columns, bare: Iterable[int]) -> None:
    """Raises ValueError where one of these columns has the letters of tags and any other their labels."""
    found = [list(chain.from_iterable(columns.cells(column))) for column in range(columns.width)]
    for letter, label in ((one, other) for one in bare for other in range(columns.width) if other != one):
        letters, labels = found[letter], found[label]
        kinds = set(letters)
        outside = all((one == "O") == (other in ("O", "_", "-")) for one, other in zip(letters, labels, strict=True))
        if outside and {"B", "O"} <= kinds <= set("OBIESLUMW") and not set(labels) <= set("OBIESLUMW_-"):
            raise ValueError(
                f"column {letter + 1} has the letters of the tags and column {label + 1} their labels: put them "
                f"together (B-{next(other for other in labels if len(other) > 1)}), or read the labels alone by "
                f"--tag-column {label + 1}"
            )


def no_tags(columns: Columns, running: int, *, uneven: bool) -> str:
    """The message about columns of which none holds tags; ``uneven`` where many lines have another number of them."""
    counts = [columns.counts(column) for column in range(columns.width)]
    seen = "; ".join(f"{n + 1}: {', '.join(list(found)[:3])}" for n, found in enumerate(counts))
    why = "no column holds tags such as O, B-person or I-person"
    if columns.width == 1:
        return f"{why}, for there is only one; {_one_column(counts[0])} (it begins with {seen[3:][:60]!r})"
    if all(map(are_quoted, counts)):
        return f"{why}, because {_QUOTED}"
    if found := BETWEEN.search("".join(counts[0])):
        return (
            f"{why}; U+{ord(found[0]):04X} seems to divide words and tags inside of the columns: name these in a line "
            "above, text and labels, with a tab between them"
        )
    last = columns.width - 1
    if all(map(_LISTS.match, counts[last])):
        return (
            f"{why}, but column {last + 1} has lists: name the columns in a line above, such as text and entities, "
            "with a tab between them"
        )
    if last != running and all(map(str.isdecimal, counts[last])):
        return (
            f"{why}; column {last + 1} holds numbers, which may be tags: write their names in their place (0 is "
            f"mostly O), or each sentence as {{'tokens': [...], 'ner_tags': [...]}} and name them by --labels"
        )
    for column, found in enumerate(counts[1:], 2):
        outside = next((cell for cell in found if cell.lower() in _NOTHING and found[cell] > 1), "")
        if outside and len(found) > 1 and all(map(_LABEL.fullmatch, found.keys() - {outside})):
            return f"{why}; if {outside!r} in column {column} marks what is no mention, write O in its place"
    plain = "is this plain text? If not, --tag-column N names the one that does" if uneven else ""
    return f"{why}; {plain or '--tag-column N names the one that does'} (the columns are {seen[:200]})"


def _by_tabs(mark: str) -> str:
    return f"`tr '{mark}' '\\t'`" if mark.isascii() else f"put tabs in the place of U+{ord(mark):04X}"


def _one_column(cells: Counter[str]) -> str:
    """What lines without tabs and spaces may be."""
    for mark in ";,|:\u00a0\u3000\u2003":
        parts = [cell.rpartition(mark) for cell in cells]
        census = TagCensus(Counter(tag for word, _, tag in parts if word))
        if sum(bool(word) for word, _, _ in parts) > 0.9 * len(parts) and "O" in census.counts:
            return f"columns are divided by tabs or spaces, and these seem to be by {mark!a}: {_by_tabs(mark)}"
    return "is this plain text?"
