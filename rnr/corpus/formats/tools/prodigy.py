"""Prodigy: annotated texts with an ``answer``, and exports of one decision (accept or reject this span) a row."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rnr.corpus.formats.entities.fields import ENTITIES
from rnr.corpus.formats.entities.plain_rows import TEXTS, own_row
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Shape, Source, each, has

REJECTED = "rows were rejected by their annotator and left out"
IGNORED = "rows were ignored (skipped) by their annotator and left out"
REJECTED_SPANS = "spans were rejected and left out"
CONTRADICTED = "spans were accepted by one decision and rejected by another, and were kept: which one is meant?"
NO_SPANS = "accepted rows have no field 'spans' and were read as sentences without a mention"
MERGED = (
    "decisions about one span each were put together by sentence; what nobody was asked about is missing, so the "
    "sentences need not be whole"
)
UNDECIDED = "sentences with only rejected spans were dropped: their entities are unknown"

UNANSWERED = "rows have no answer yet (null) and were left out"

_ANSWERS = {
    **dict.fromkeys(("accept", "accepted"), "accept"),
    **dict.fromkeys(("reject", "rejected"), "reject"),
    **dict.fromkeys(("ignore", "ignored", "skip", "skipped"), "ignore"),
}
"""What annotators answer, in any case, and what that is to Prodigy."""


def _recognises(row: Any) -> bool:
    """Whether a row is Prodigy's, or of another tool that keeps the same answers beside its entities."""
    if has(row, text=str) and "_task_hash" in row:
        return True
    return has(row, answer=str) and row["answer"].lower() in _ANSWERS and any(has(row, **{name: str}) for name in TEXTS)


def rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """The accepted rows; where a text comes several times with a decision about one span each, once for the text."""
    found = list(_with_answers(values, source))
    binary = _binary([value for _, value in found if not isinstance(value, DataError)])
    if not any(_field(value) in value for _, value in found if isinstance(value, dict)):
        yield from (source.fault(number, "no row of this Prodigy export has 'spans'") for number, _ in found[:1])
        return
    yield from each(own_row)(_decided(found, source) if binary else _answered(found, source), source)


def _with_answers(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """The rows with their answers in Prodigy's words; those that nobody has answered are left out."""
    for number, value in values:
        answer = value.get("answer", "accept") if isinstance(value, dict) else "accept"
        if isinstance(value, DataError):
            yield number, value
        elif answer is None:
            source.note(UNANSWERED, number)
        elif str(answer).lower() in _ANSWERS:
            yield number, value | {"answer": _ANSWERS[str(answer).lower()]}
        else:
            yield source.fault(number, f"the answer {answer!r} is none of accept, reject and ignore")


def _field(value: dict[str, Any]) -> str:
    """The field with the entities of a row; ``spans`` where it has none."""
    return next((name for name in ("spans", "span", *ENTITIES) if isinstance(value.get(name), (list, dict))), "spans")


def _written(value: dict[str, Any]) -> str:
    """The field in which the reader of plain rows is to find them."""
    return "spans" if _field(value) == "span" else _field(value)


def _binary(values: list[dict[str, Any]]) -> bool:
    """Whether each row is a decision about one span: so says its view, or the same text stands there repeatedly with
    one span each, of which one at least is rejected or elsewhere."""
    views = {str(value["_view_id"]) for value in values if value.get("_view_id")}
    if views:
        return "ner" in views
    if any(len(_spans(value)) != 1 or "text" not in value for value in values):
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
    found = value.get(_field(value)) or []
    return found if isinstance(found, list) else [found]


def _answered(values: Iterable[Row], source: Source) -> Iterator[Row]:
    for number, value in values:
        answer = value["answer"] if isinstance(value, dict) else "accept"
        if answer in ("reject", "ignore"):
            source.note(REJECTED if answer == "reject" else IGNORED, number)
        elif isinstance(value, DataError):
            yield number, value
        else:
            name = _field(value)
            if value.get(name) is None:
                source.note(NO_SPANS, number)
            by_group = isinstance(value.get(name), dict) and name != "span"
            spans = value[name] if by_group else _accepted(value, number, source)
            yield number, _bare(value) | {_written(value): spans}


def _accepted(value: dict[str, Any], number: int, source: Source) -> list[Any]:
    spans = _spans(value)
    kept = [span for span in spans if not (isinstance(span, dict) and span.get("answer") in ("reject", "ignore"))]
    if len(kept) < len(spans):
        source.note(REJECTED_SPANS, number, times=len(spans) - len(kept))
    return kept


@dataclass(frozen=True, slots=True)
class _Decisions:
    """What was decided about one text: its first row, and by what they are the spans that were accepted, and the rows
    of those that were rejected."""

    number: int
    first: dict[str, Any]
    accepted: dict[str, Any] = field(default_factory=dict)
    rejected: list[tuple[int, str]] = field(default_factory=list)

    def note(self, source: Source) -> None:
        """Note the spans that were rejected, and apart those that another row accepted."""
        for number, span in self.rejected:
            if span in self.accepted:
                source.note(CONTRADICTED, number, span)
            else:
                source.note(REJECTED_SPANS, number)


def _decided(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """One row a text, at the place of its first decision."""
    kept: dict[str, _Decisions] = {}
    for number, value in values:
        if isinstance(value, DataError):
            yield number, value
            continue
        if value.get("answer") == "ignore":
            source.note(IGNORED, number)
            continue
        known = kept.setdefault(str(value.get("text")), _Decisions(number, value))
        source.note(MERGED, number)
        if value.get("answer") == "reject":
            known.rejected.extend((number, _decided_on(span)) for span in _spans(value) or [None])
        else:
            accepted = {_decided_on(span): span for span in _accepted(value, number, source)}
            known.accepted.update((about, span) for about, span in accepted.items() if about not in known.accepted)
    for known in kept.values():
        known.note(source)
        if known.accepted:
            yield known.number, _bare(known.first) | {_written(known.first): list(known.accepted.values())}
        else:
            source.note(UNDECIDED, known.number)


def _decided_on(span: Any) -> str:
    """What a decision is about: the place and label of a span, whatever its tool says beside them."""
    if not isinstance(span, dict) or not {"start", "end", "label"} <= span.keys():
        return repr(span)
    return f"[{span['start']}, {span['end']}] as {span['label']}"


def _bare(value: dict[str, Any]) -> dict[str, Any]:
    """The row without what Prodigy says of its decision, of which ``label`` would be taken for the mentions."""
    decision = ("span", "answer", "options", *(["label"] if isinstance(value.get("label"), str) else []))
    return {name: inner for name, inner in value.items() if name not in decision}


SHAPE = Shape(name="Prodigy", recognises=_recognises, rows=rows)
