"""What a reader of JSON values is: a ``Shape``, one for each tool or data set whose rows look different.

A new format is one file with one ``Shape`` in ``tools``, and one line in ``known.py``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from rnr.corpus.formats.label_lists import names_beside, numbered
from rnr.corpus.formats.rows import DataError, Row, row_name
from rnr.corpus.report import Reading

Named = TypeVar("Named")

BLANK_TOKENS = "tokens are empty or blank, and became spaces in their sentences"
RELATIONS = "rows have relations between their entities, which were not read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where values come from, and how they are to be read."""

    file: Path
    reading: Reading
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The names of labels that are numbers, by column, where the file itself has them."""
    two_labels: dict[tuple[str, str], tuple[set[str], set[str]]] = field(default_factory=dict)
    """Of entities with labels under two names, by these names what they were called under each."""
    any_names: dict[str, bool] = field(default_factory=dict)
    """Of fields that were read as tags under a name that is none of tags, whether one of them is of a mention."""
    _listed: list[Any] = field(default_factory=list)

    def note(self, kind: str, number: int = 0, detail: str = "", *, times: int = 1) -> None:
        """As ``Reading.note``, of this file."""
        self.reading.note(kind, self.file, number, detail, times=times)

    def note_blank(self, tokens: Sequence[str], number: int) -> None:
        """Note the tokens of a row that are nothing but white space."""
        if blank := [token for token in tokens if not token.strip()]:
            self.note(BLANK_TOKENS, number, times=len(blank))

    def note_relations(self, row: dict[str, Any], number: int) -> None:
        """Note a row that has relations beside its entities."""
        if row.get("relations"):
            self.note(RELATIONS, number)

    def labels(self) -> list[str] | dict[int, str] | None:
        """The names of labels that are numbers: those of ``--labels``, or else of a ``labels.json`` beside the file."""
        if not self._listed:
            self._listed.append(numbered(self.reading.options.labels) or names_beside(self.file))
        return self._listed[0]

    def stated(self, names: Named) -> Named:
        """Names that the data itself gives numbers; said where ``--labels`` gives others."""
        if names and self.reading.options.labels:
            self.reading.fact(
                "the data names its tags or labels, so those of data.reading.labels are not used", self.file
            )
        return names

    def label(self, number: int, field: str) -> str:
        """The name of a label that is a number in this field; raises ValueError where it has none."""
        names = self.stated(self.names.get(field)) or self.labels()
        known = names if isinstance(names, dict) else dict(enumerate(names or ()))
        if number not in known:
            raise ValueError(f"label {number} is a number without a name; name it by --labels {number}=NAME")
        return known[number]

    def not_read(self, names: Iterable[str]) -> None:
        """As ``Report.not_read``, of this file."""
        self.reading.report.not_read(self.file, names)

    def fault(self, number: int, reason: object, row: Any = None) -> Row:
        """A row that cannot be used."""
        error = DataError(f"{self.file}, row {number}: {reason}")
        error.row = row
        return number, error


_BESIDE = frozenset(("schema", "dataset", "cot", "reasoning", "guid", "id", "relations"))


def all_but(*read: str) -> Callable[[Any], Iterable[str]]:
    """The fields of a row beside these, and beside our own names for what any row may say."""
    names = _BESIDE.union(read)
    return lambda row: row.keys() - names


Rows: TypeAlias = Callable[[Iterable[Row], Source], Iterator[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the values of a tool are recognised, each by itself, and what rows a run of them gives."""

    name: str
    recognises: Callable[[Any], bool]
    rows: Rows
    fields: frozenset[str] = frozenset()
    """Fields of which an object has one at least if it is recognised; none where any object may be."""
    unread: Callable[[Any], Iterable[str]] | None = None
    """The fields of a value that nothing is read from, where the rows that are made of it no longer have them."""
    own_offsets: bool = True
    """Whether its character offsets are the file's own, which may be counted in another way, not made from tokens."""


BROKEN = (ValueError, RecursionError, TypeError, KeyError, AttributeError, IndexError)
"""What a reader of another tool's rows may raise: their parts are nested, and any of them may be missing or another."""


def why_broken(error: Exception) -> str:
    """The reason in words."""
    if isinstance(error, ValueError):
        return str(error)
    if isinstance(error, RecursionError):
        return "nested too deeply to be read"
    return f"a part of the row is missing or of another type than its tool writes ({type(error).__name__}: {error})"


def each(convert: Callable[[Any, int, Source], Any]) -> Rows:
    """Rows made one by one: an error is that row's failure, and None leaves it out (``convert`` notes why)."""

    def rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
        for number, value in values:
            if isinstance(value, DataError):
                yield number, value
                continue
            try:
                row = convert(value, number, source)
            except BROKEN as error:
                yield source.fault(number, why_broken(error))
                continue
            if row is not None:
                yield number, row

    return rows


def many(convert: Callable[[Any, int, Source], Iterable[Any]]) -> Rows:
    """Rows of which a value holds several; they are numbered one after the other through the whole file."""

    def rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
        count = 0
        for number, value in values:
            if isinstance(value, DataError):
                yield number, value
                continue
            try:
                for row in convert(value, number, source):
                    count += 1
                    yield (count, row) if not isinstance(row, ValueError) else source.fault(count, row)
            except BROKEN as error:
                count += 1
                yield source.fault(count, why_broken(error))

    return rows


def has(value: Any, **kinds: type | tuple[type, ...]) -> bool:
    """Whether a value is an object that has these fields, each of its type."""
    if not isinstance(value, dict):
        return False
    for name, kind in kinds.items():  # noqa: SIM110 - a loop, because many shapes ask every row
        if not isinstance(value.get(name), kind):
            return False
    return True


def extras(row: dict[str, Any]) -> dict[str, Any]:
    """What a row of any tool may say beside its sentence and entities, where it uses our own names for it."""
    beside = {name: row[name] for name in ("schema", "dataset", "cot", "reasoning") if row.get(name) is not None}
    return beside if (name := row_name(row)) is None else beside | {"guid": name}
