"""Prodigy: annotated texts with an ``answer``, and exports of one decision (accept or reject this span) a row."""

from collections.abc import Iterable, Iterator
from typing import Any

from rnr.corpus.formats.plain_rows import own_row
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Shape, Source, each, has

REJECTED = "rows were rejected by their annotator and left out"
IGNORED = "rows were ignored (skipped) by their annotator and left out"
REJECTED_SPANS = "spans were rejected and left out"
NO_SPANS = "accepted rows have no field 'spans' and were read as sentences without a mention"
MERGED = (
    "decisions about one span each were put together by sentence; what nobody was asked about is missing, so the "
    "sentences need not be whole"
)
UNDECIDED = "sentences of which every span was rejected were left out: what is in them nobody said"

_ANSWERS = ("accept", "reject", "ignore")
_MANUAL = ("ner_manual", "spans_manual", "relations", "blocks")


def _recognises(row: Any) -> bool:
    return has(row, text=str) and ("_task_hash" in row or row.get("answer") in _ANSWERS)


def rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """The accepted rows; where a text comes several times with a decision about one span each, once for the text."""
    found = list(values)
    binary = _binary([value for _, value in found if not isinstance(value, DataError)])
    if not any("spans" in value or "span" in value for _, value in found if isinstance(value, dict)):
        yield from (source.fault(number, "no row of this Prodigy export has 'spans'") for number, _ in found[:1])
        return
    yield from each(own_row)(_decided(found, source) if binary else _answered(found, source), source)


def _binary(values: list[dict[str, Any]]) -> bool:
    """Whether each row is a decision about one span: so says its view, or the same text stands there repeatedly with
    one span each, of which one at least is rejected or elsewhere."""
    views = {str(value["_view_id"]) for value in values if value.get("_view_id")}
    if views:
        return "ner" in views
    if any(len(_spans(value)) > 1 for value in values) or any(value.get("answer") is None for value in values):
        return False
    by_text: dict[str, list[dict[str, Any]]] = {}
    for value in values:
        by_text.setdefault(value["text"], []).append(value)
    repeated = [same for same in by_text.values() if len(same) > 1]
    return any(
        len({str(_spans(value)) for value in same}) > 1 or any(value["answer"] == "reject" for value in same)
        for same in repeated
    )


def _spans(value: dict[str, Any]) -> list[Any]:
    found = value.get("spans") or value.get("span") or []
    return found if isinstance(found, list) else [found]


def _answered(values: Iterable[Row], source: Source) -> Iterator[Row]:
    for number, value in values:
        answer = value.get("answer", "accept") if isinstance(value, dict) else "accept"
        if answer in ("reject", "ignore"):
            source.note(REJECTED if answer == "reject" else IGNORED, number)
        elif isinstance(value, DataError):
            yield number, value
        else:
            if value.get("spans") is None:
                source.note(NO_SPANS, number)
            yield number, _bare(value) | {"spans": _accepted(value, number, source)}


def _accepted(value: dict[str, Any], number: int, source: Source) -> list[Any]:
    spans = _spans(value)
    kept = [span for span in spans if not (isinstance(span, dict) and span.get("answer") in ("reject", "ignore"))]
    if len(kept) < len(spans):
        source.note(REJECTED_SPANS, number, times=len(spans) - len(kept))
    return kept


def _decided(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """One row a text, at the place of its first decision."""
    kept: dict[str, tuple[int, dict[str, Any], list[Any]]] = {}
    for number, value in values:
        if isinstance(value, DataError):
            yield number, value
            continue
        if value.get("answer") == "ignore":
            source.note(IGNORED, number)
            continue
        _, _, spans = kept.setdefault(str(value.get("text")), (number, value, []))
        source.note(MERGED, number)
        if value.get("answer") == "reject":
            source.note(REJECTED_SPANS, number)
        else:
            spans += [span for span in _accepted(value, number, source) if span not in spans]
    for number, value, spans in kept.values():
        if spans:
            yield number, _bare(value) | {"spans": spans}
        else:
            source.note(UNDECIDED, number)


def _bare(value: dict[str, Any]) -> dict[str, Any]:
    """The row without what Prodigy says of its decision, of which ``label`` would be taken for the mentions."""
    return {name: inner for name, inner in value.items() if name not in ("label", "span", "answer", "options")}


SHAPE = Shape(name="Prodigy", recognises=_recognises, rows=rows)
