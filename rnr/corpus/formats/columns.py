"""Column files: a token and its tag on each line, a blank line between sentences (CoNLL, IOB1, IOB2, IOBES, BILOU)."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from rnr.corpus.formats.rows import DataError, Row, save
from rnr.types import Example, Mention

COLUMN_SUFFIXES = (".conll", ".iob", ".iob2", ".bio", ".bioes", ".tsv", ".txt")

_TAG = re.compile(r"O|[BIESLUM]-.+")
_IOBES_ONLY = re.compile(r"[ESLUM]-")
_SAME_AS = {"L": "E", "U": "S", "M": "I"}
_COMMENT_TEXT = re.compile(r"#\s*text\s*= ?(.*)")
_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tokens and tags of a sentence, and where each of them stands."""

    number: int
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    """What a comment ``# text = ...`` says the sentence is."""

    def row(self, scheme: str) -> dict[str, Any]:
        """The sentence with its entities as offsets; raises ValueError with the place of a tag that may not stand."""
        offsets = _located(self.tokens, self.text[-1]) if self.text else None
        sentence = self.text[-1] if offsets else " ".join(self.tokens)
        if offsets is None:
            ends = [end - 1 for end in accumulate(len(token) + 1 for token in self.tokens)]
            offsets = [(end - len(token), end) for token, end in zip(self.tokens, ends, strict=True)]
        spans = list(_spans(self.tags, self.places, scheme))
        return {"sentence": sentence, "entities": [[offsets[i][0], offsets[j - 1][1], label] for i, j, label in spans]}


def column_rows(file: Path) -> Iterator[Row]:
    """The sentences of a file, whose scheme is found out; raises DataError when it is not UTF-8."""
    try:
        lines = file.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 at byte {error.start}") from None
    sentences = [sentence for sentence in _column_sentences(lines) if sentence.tokens]
    scheme = tag_scheme(sentence.tags for sentence in sentences)
    for sentence in sentences:
        try:
            yield sentence.number, sentence.row(scheme)
        except ValueError as error:
            yield sentence.number, DataError(f"{file}, {error}")


def _column_sentences(lines: Iterable[str]) -> Iterator[Tagged]:
    sentence = Tagged(1)
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\r")
        columns = [column.strip() for column in (line.split("\t") if "\t" in line else line.split())]
        if not any(columns) or columns[0] == "-DOCSTART-":
            yield sentence
            sentence = Tagged(number + 1)
        elif not sentence.tokens and _is_comment(line, columns):
            sentence.text.extend(_COMMENT_TEXT.findall(line))
        else:
            sentence.tokens.append(columns[0])
            sentence.tags.append(columns[-1] if len(columns) > 1 else "")
            sentence.places.append(f"line {number}")
    yield sentence


def _is_comment(line: str, columns: Sequence[str]) -> bool:
    """Whether a line before the first token is a comment: it may also be the token ``#``, which tweets are full of."""
    marked = line.startswith("#") and "\t" not in line
    return bool(_COMMENT_TEXT.match(line)) or (marked and not _TAG.fullmatch(columns[-1]))


def _located(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Where the tokens stand when only white space is between them in the text, else None."""
    places: list[tuple[int, int]] = []
    end = 0
    for token in tokens:
        start = _skip_space(text, end)
        end = start + len(token)
        if text[start:end] != token:
            return None
        places.append((start, end))
    return places if _skip_space(text, end) == len(text) else None


def _skip_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start


def tag_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """IOBES (or BILOU) if any tag ends an entity, IOB2 if B- begins what follows nothing of its label, else IOB1."""
    begun = False
    for tags in sentences:
        if any(_IOBES_ONLY.match(tag) for tag in tags):
            return "IOBES"
        begun = begun or any(tag[:2] == "B-" and tag[2:] != before[2:] for before, tag in pairwise(["O", *tags]))
    return "IOB2" if begun else "IOB1"


def _spans(tags: Sequence[str], places: Sequence[str], scheme: str) -> Iterator[tuple[int, int, str]]:
    """(first token, one past the last, label) of each entity; raises ValueError at a tag the scheme does not allow."""
    start, opened, before = 0, "", "the beginning"
    closed = [*zip(tags, places, strict=True), ("O", f"{places[-1]}, at the end")]
    for position, (tag, place) in enumerate(closed):
        if not _TAG.fullmatch(tag):
            raise ValueError(f"{place}: expected a token and a tag such as O, B-person or I-person, found tag {tag!r}")
        letter, label = _SAME_AS.get(tag[0], tag[0]), tag[2:]
        continues = bool(opened) and letter in "IE" and label == opened
        if not continues:
            if (opened and scheme == "IOBES") or (letter in "IE" and scheme != "IOB1"):
                raise ValueError(f"{place}: {tag} cannot follow {before} (the tags are {scheme})")
            if opened:
                yield start, position, opened
            start, opened = position, label
        if letter in "ES":
            yield start, position + 1, label
            opened = ""
        before = tag


# Writing


def column_writer(scheme: str) -> Callable[[Sequence[Example], Path], None]:
    """Writes examples in a scheme, IOB2 or IOBES; ValueError for a sentence that a column file cannot hold."""

    def write_columns(examples: Sequence[Example], out: Path) -> None:
        save(out, (line for example in examples for line in (*_column_lines(example, scheme), "")))

    return write_columns


def _column_lines(example: Example, scheme: str) -> Iterator[str]:
    if "\n" in example.sentence or "\r" in example.sentence:
        raise ValueError(f"{example.uid}: a column file cannot hold a sentence with a line break; write JSONL")
    mentions = sorted(example.mentions, key=lambda mention: mention.start)
    for left, right in pairwise(mentions):
        if right.start < left.end:
            raise ValueError(
                f"{example.uid}: a column file cannot hold {left.text!r} and {right.text!r}, which overlap; write JSONL"
            )
    tokens = list(_tokens(example.sentence, mentions))
    tags = ["O"] * len(tokens)
    for mention in mentions:
        inside = [place for place, (start, end) in enumerate(tokens) if mention.start <= start and end <= mention.end]
        if not inside or (tokens[inside[0]][0], tokens[inside[-1]][1]) != (mention.start, mention.end):
            raise ValueError(f"{example.uid}: {mention.text!r} begins or ends with white space, which is in no token")
        for place, letter in zip(inside, _letters(len(inside), scheme), strict=True):
            tags[place] = f"{letter}-{mention.label}"
    yield f"# text = {example.sentence}"
    for (start, end), tag in zip(tokens, tags, strict=True):
        yield f"{example.sentence[start:end]}\t{tag}"


def _tokens(sentence: str, mentions: Sequence[Mention]) -> Iterator[tuple[int, int]]:
    """Words and single marks, cut also where a mention begins or ends, so that no offset is lost."""
    cuts = {place for mention in mentions for place in (mention.start, mention.end)}
    for token in _TOKEN.finditer(sentence):
        places = [token.start(), *(cut for cut in range(token.start() + 1, token.end()) if cut in cuts), token.end()]
        yield from pairwise(places)


def _letters(length: int, scheme: str) -> str:
    if scheme == "IOB2":
        return "B" + "I" * (length - 1)
    return "S" if length == 1 else "B" + "I" * (length - 2) + "E"
