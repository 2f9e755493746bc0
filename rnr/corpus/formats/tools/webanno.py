"""WebAnno TSV 3, which WebAnno and INCEpTION export: tokens with offsets, and columns for layers of annotation."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rnr.corpus.formats.files.text_lines import text_lines
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.report import Reading

OTHER_LAYERS = "layers of annotation beside the names were not read"
CUT = "mentions continue in the next sentence and were cut at its beginning"
EMPTY = "mentions are places between characters (of no length) and were left out"
UNNAMED = "mentions have no label ('*') and were left out"

_TOKEN_LINE = re.compile(r"(\d+)-(\d+)(?:\.\d+)?\t(\d+)-(\d+)\t([^\t]*)\t?(.*)")
_ESCAPED = re.compile(r"\\(.)")
_VALUE = re.compile(r"(?P<label>(?:\\.|[^\\\[])*)(?:\[(?P<id>\d+)\])?")
_VALUES = re.compile(r"(?:\\.|[^\\|])+")
_NO_NAMES = re.compile(r"\.(?:lexmorph|segmentation|syntax|coref|transform)\.")
"""Layers of words, their parts and their relations, which are no layers of names."""
OTHER_FEATURES = "its other features are not read"
_FEATURES = ("value", "label", "entity", "type")


@dataclass(frozen=True, slots=True)
class _Token:
    line: int
    start: int
    end: int
    text: str
    cell: str


_Opened: TypeAlias = dict[tuple[str, str], list[Any]]


def is_webanno(first_line: str) -> bool:
    """Whether a file that begins with this line is WebAnno TSV."""
    return first_line.startswith("#FORMAT=WebAnno TSV")


def webanno_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The sentences with the layer of names; raises DataError where it is not clear which layer that is."""
    layers: list[str] = []
    column: int | None = None
    text: list[str] = []
    tokens: list[_Token] = []
    opened: _Opened = {}
    number = 0
    for number, line in enumerate(text_lines(file), 1):
        if line.startswith("#T_"):
            layers.append(line)
        elif line.startswith("#Text=") and not tokens:
            text.append(_ESCAPED.sub(_whole, line.removeprefix("#Text=")))
        elif match := _TOKEN_LINE.fullmatch(line):
            if column is None:
                column = _names_column(layers, file, reading)
            cells = match[6].split("\t")
            cell = cells[column] if column < len(cells) else "_"
            tokens.append(_Token(number, int(match[3]), int(match[4]), _ESCAPED.sub(_whole, match[5]), cell))
        elif not line and tokens:
            yield _sentence(tokens, "\n".join(text), opened, file, reading)
            text, tokens = [], []
    if tokens:
        yield _sentence(tokens, "\n".join(text), opened, file, reading)


def _whole(match: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r", "t": "\t"}.get(match[1], match[1])


def _names_column(layers: Sequence[str], file: Path, reading: Reading) -> int:
    """The column, counted behind the token, of the feature that holds the labels of names."""
    at = 0
    found: list[tuple[str, int]] = []
    for layer in layers:
        kind, _, rest = layer.partition("=")
        name, *features = rest.split("|")
        if kind == "#T_SP":
            feature = next((features.index(known) for known in _FEATURES if known in features), None)
            if feature is None and len(features) > 1:
                rest = ", ".join(features[1:])
                reading.fact(f"labels of {name} are its {features[0]!r}; {OTHER_FEATURES} ({rest})", file)
            found.append((name, at + (feature or 0)))
        at += max(1, len(features))
    named = [pair for pair in found if re.search(r"named.?entity|\bner\b|entit", pair[0].rpartition(".")[2], re.I)]
    chosen = named or [pair for pair in found if not _NO_NAMES.search(pair[0])]
    if len(chosen) != 1:
        listed = ", ".join(name for name, _ in chosen or found) or "none"
        raise DataError(f"{file}: WebAnno TSV needs one layer of spans with the names; there are: {listed}")
    if len(layers) > 1:
        reading.fact(f"{len(layers) - 1} {OTHER_LAYERS}; read is {chosen[0][0]}", file)
    return chosen[0][1]


def _sentence(tokens: Sequence[_Token], text: str, opened: _Opened, file: Path, reading: Reading) -> Row:
    """The row of a sentence; ``opened`` are the mentions of several tokens in the one before, and then those in it."""
    number, before = tokens[0].line, set(opened)
    opened.clear()
    try:
        sentence, places = _placed(tokens, text)
    except ValueError as error:
        return number, DataError(f"{file}, {error}")
    entities: list[list[Any]] = []
    for token, (start, end) in zip(tokens, places, strict=True):
        for value in _VALUES.findall(token.cell) if token.cell != "_" else ():
            match = _VALUE.fullmatch(value)
            written, identity = (match["label"], match["id"]) if match else (value, None)
            if written == "*":
                reading.note(UNNAMED, file, token.line, repr(token.text))
                continue
            label = _ESCAPED.sub(_whole, written)
            if identity is not None and (label, identity) in opened:
                opened[label, identity][1] = end
                continue
            if start == end:
                reading.note(EMPTY, file, token.line, repr(label))
                continue
            if (label, identity) in before:
                reading.note(CUT, file, token.line, repr(token.text))
            entity = [start, end, label]
            entities.append(entity)
            if identity is not None:
                opened[label, identity] = entity
    return number, {"sentence": sentence, "entities": entities}


def _placed(tokens: Sequence[_Token], text: str) -> tuple[str, list[tuple[int, int]]]:
    """The sentence and where its tokens are in it; WebAnno counts UTF-16 units from the beginning of the document."""
    base = tokens[0].start
    if not text:
        raise ValueError(f"line {tokens[0].line}: a sentence of WebAnno TSV needs its text in a line #Text=")
    units = text.encode("utf-16-le")
    places: list[tuple[int, int]] = []
    for token in tokens:
        start = len(units[: 2 * (token.start - base)].decode("utf-16-le", errors="replace"))
        end = len(units[: 2 * (token.end - base)].decode("utf-16-le", errors="replace"))
        if text[start:end] != token.text:
            there = text[start:end]
            raise ValueError(f"line {token.line}: {token.text!r} is not at its offsets, where #Text= has {there!r}")
        places.append((start, end))
    return text, places
