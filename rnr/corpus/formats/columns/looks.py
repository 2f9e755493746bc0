"""What lines look like in which no column holds tags: by the lines themselves, and what to do."""

import re
from collections.abc import Sequence
from operator import or_

from rnr.corpus.formats.refusals import WRITE_OFFSETS
from rnr.corpus.formats.tokens.text_tags import shows_tags

_BEGINS = ("start", "begin", "off")
_ENTITIES = ("entity", "entity_text", "mention", "span", "phrase")
"""What a column is called that holds the text of one entity, and how the name of one with its place begins."""
_TAG = re.compile(r"O|[BIESLUMW](?:-\S+)?")
_LABELLED = re.compile(r"(?:[A-Z]\w*/[^;/]+;)+")
"""Names with their labels, as MSM has them: ``PER/Ida Noor;LOC/Oslo;``."""
_MARKS = "/_\\=#~"
"""What may stand between a token and its tag, further to what is named elsewhere."""
_NEARLY_ALL = 0.9
_WRITE_O = """`awk -F'\\t' -v OFS='\\t' '$1 != "" { print $1, ($2 == "" ? "O" : $2); next } 1'`"""


def looks_like(lines: Sequence[str]) -> str:
    """The message about these lines; empty where they look like nothing that is known."""
    rows = [line.split("\t") for line in lines if line.strip()]
    names, below = ([cell.strip() for cell in row] for row in (*rows, [], [])[:2])
    texts = [cell for cell in below if not cell.isdecimal()]  # else the texts are in another file
    if len(names) > 2 and names_one_entity(names) and not any(map(str.isdecimal, names)) and len(texts) > 1:
        return (
            f"no column of tags, but the first line names columns ({', '.join(names)}): does each row hold one entity? "
            f"Then {WRITE_OFFSETS}"
        )
    found = _sentence_a_row(rows) or _some_tagged(rows) or _tag_behind_mark(rows)
    return f"no column of tags, but {found}" if found else ""


def names_one_entity(names: Sequence[str]) -> bool:
    """Whether any of these columns is called as one with the text of an entity, or its place."""
    return any(name.lower().startswith(_BEGINS) or name.lower() in _ENTITIES for name in names)


def _sentence_a_row(rows: Sequence[Sequence[str]]) -> str:
    """The message about a number, a sentence and its tags or names between tabs."""
    width = len(rows[0]) if rows else 0
    whole = [row for row in rows if len(row) == width]
    if width < 3 or len(whole) < _NEARLY_ALL * len(rows):
        return ""
    columns = [[cell.strip() for cell in column if cell.strip()] for column in zip(*whole, strict=True)]
    for place, cells in enumerate(columns, 1):
        if cells and all(map(_LABELLED.fullmatch, cells)):
            return f"column {place} seems to hold names with their labels ({cells[0][:40]}): {WRITE_OFFSETS}"
        several = [shows_tags(cell) for cell in cells]
        one = (bool(_TAG.fullmatch(cell)) for cell in cells)
        if any(several) and len(cells) >= _NEARLY_ALL * len(whole) and all(map(or_, several, one)):
            return (
                f"column {place} has the tags of a whole sentence ({cells[0][:40]}): name the columns in a line above, "
                "such as id, text and tags, with a tab between them"
            )
    return ""


def _some_tagged(rows: Sequence[Sequence[str]]) -> str:
    """The message about tokens of which some have a tag after a tab, and the others nothing."""
    second = [row[1].strip() if len(row) > 1 else "" for row in rows]
    tags = list(filter(_TAG.fullmatch, second))
    if not tags or "" not in second or len(tags) + second.count("") < _NEARLY_ALL * len(rows):
        return ""
    return (
        f"some lines have a tag after a tab ({tags[0]}), and the others nothing: write O there, and leave out what "
        f"follows the tag ({_WRITE_O})"
    )


def _tag_behind_mark(rows: Sequence[Sequence[str]]) -> str:
    """The message about lines that hold a token and its tag with a mark between them."""
    lines = [row[0].strip() for row in rows if len(row) == 1 and " " not in row[0].strip()]
    if len(lines) < len(rows):
        return ""
    for mark in _MARKS:
        parts = [line.rpartition(mark) for line in lines]
        tags = [tag for token, _, tag in parts if token and _TAG.fullmatch(tag)]
        if "O" in tags and len(tags) >= _NEARLY_ALL * len(lines):
            written = mark if mark != "\\" else r"\\"
            return (
                f"each line seems to have {mark!r} between a token and its tag ({lines[0][:40]}): put a tab there "
                rf"(`sed -E 's|(.*){written}|\1\t|'`)"
            )
    return ""
