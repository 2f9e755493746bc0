"""Tables by column -> rows: lists side by side (``{"texts": [...], "entities": [...]}``), and what pandas writes where
it is not told otherwise (``{"text": {"0": ...}, "entities": {"0": ...}}``, ``{"columns": [...], "data": [...]}``)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnr.corpus.formats.entities.fields import ENTITIES, SINGULAR
from rnr.corpus.formats.entities.labels import names_a_label
from rnr.corpus.formats.entities.plain_rows import TEXTS
from rnr.corpus.formats.entities.span_lists import is_span_list
from rnr.corpus.formats.field_names import TAGS, TOKENS
from rnr.corpus.formats.rows import are_texts
from rnr.corpus.formats.shown_lists import shows_a_list
from rnr.corpus.formats.tokens.text_tags import shows_tags
from rnr.corpus.formats.tokens.token_rows import NAMES

SENTENCES = tuple(dict.fromkeys((*TOKENS, *TEXTS, *(f"{name}s" for name in TEXTS), "docs", "tokenized_text")))
"""What a column of texts, or of lists of tokens, is called."""
_OF_WORDS = (*TOKENS, "tokenized_text")
_ANNOTATIONS = frozenset((*ENTITIES, *SINGULAR, *TAGS))
_OF_ALL = frozenset((*NAMES, "schema")) - {"names"}
"""What lists the labels of all rows beside the columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of a table by column, and which columns it has, under the names that its rows have."""

    rows: list[dict[str, Any]]
    columns: str


def table_by_column(value: Any) -> Table | None:
    """The table that a value is; None where it is none. Raises ValueError where its columns have different lengths."""
    if not isinstance(value, dict) or len(value) < 2:
        return None
    columns = _of_pandas(value)
    if columns is None and (columns := _side_by_side(value)) is None:
        return None
    named = dict(_named(columns))
    of_all = {name: listed for name, listed in value.items() if name not in columns and _lists_labels(name, listed)}
    rows = [dict(zip(named.values(), cells, strict=True)) | of_all for cells in zip(*columns.values(), strict=True)]
    shown = (name if name == own else f"{name} as {own}" for name, own in named.items())
    beside = [name for name in value if name not in {*columns, *of_all}] if named.keys() & value.keys() else []
    return Table(rows=rows, columns=", ".join(shown) + (f"; not {', '.join(beside)}" if beside else ""))


def _of_pandas(value: dict[str, Any]) -> dict[str, list[Any]] | None:
    """The columns of ``DataFrame.to_json()``, and with ``orient="split"``."""
    names, rows = value.get("columns"), value.get("data")
    if are_texts(names) and isinstance(rows, list) and len(set(names)) == len(names):
        whole = all(isinstance(row, list) and len(row) == len(names) for row in rows)
        return {name: [row[at] for row in rows] for at, name in enumerate(names)} if whole else None
    columns = list(value.values())
    if not all(isinstance(column, dict) and column for column in columns):
        return None
    alike = all(column.keys() == columns[0].keys() for column in columns)
    numbered = all(map(str.isdecimal, columns[0]))
    has_texts = any(name in SENTENCES and are_texts(list(column.values())) for name, column in value.items())
    if not alike or not (numbered or has_texts):
        return None
    return {name: list(column.values()) for name, column in value.items()}


def _side_by_side(value: dict[str, Any]) -> dict[str, list[Any]] | None:
    """The lists that belong together, one of sentences and one at least of what is annotated in them."""
    lists = {name: column for name, column in value.items() if isinstance(column, list) and column}
    sentences = _sentences(lists)
    if sentences is None:
        return None
    annotations = [
        name
        for name, column in lists.items()
        if name in _ANNOTATIONS and name != sentences and _are_annotations(column, sentences, lists[sentences])
    ]
    if not annotations:
        return None
    size = len(lists[sentences])
    for name in annotations:
        if len(lists[name]) != size:
            raise ValueError(
                f"{sentences!r} lists {size} sentences and {name!r} what is annotated in {len(lists[name])}: the two "
                "must have one value for each sentence (an empty list for one without an entity)"
            )
    return {name: one for name, one in lists.items() if len(one) == size and not _lists_labels(name, one)}


def _sentences(columns: Mapping[str, Sequence[Any]]) -> str | None:
    """The column of the sentences: of texts, or of lists of tokens."""
    for name in SENTENCES:
        column = columns.get(name, ())
        if column and (all(map(are_texts, column)) or (name not in _OF_WORDS and are_texts(column))):
            return name
    return None


def _are_annotations(column: Sequence[Any], sentences: str, texts: Sequence[Any]) -> bool:
    """Whether each value of a column is what is annotated in a sentence, and none is one entity or one tag."""
    if all(isinstance(one, str) and (shows_a_list(one) or shows_tags(one)) for one in column):
        return True
    if isinstance(texts[0], str):
        return all(_is_annotation(one, (str, list, dict)) for one in column)
    if sentences in _OF_WORDS:
        return all(_is_annotation(one, (str, int, list, dict)) for one in column)
    # Spans over the tokens of such lists may be counted through their document (DyGIE++).
    return all(isinstance(one, list) and _is_annotation(one, (str, int)) for one in column)


def _is_annotation(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, list):
        return not is_span_list(value) and all(isinstance(one, kinds) for one in value)
    return value is None or (isinstance(value, dict) and not names_a_label(value))


def _named(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, str]]:
    """The names of the columns with those that their rows have: a column of ``texts`` gives each a ``text``."""
    found = _sentences(columns)
    for name, column in columns.items():
        own = "text" if are_texts(column) else "tokens"
        known = name in (*TEXTS, *TOKENS) if own == "text" else name in _OF_WORDS
        yield name, name if name != found or known or own in columns else own


def _lists_labels(name: str, value: Any) -> bool:
    return name in _OF_ALL and are_texts(value)
