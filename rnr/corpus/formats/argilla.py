"""Argilla: records of version 1 (``annotation``, ``status``) and of version 2 (``fields``, ``responses``), and what
version 2 writes as a data set (``text``, ``NAME.responses``, ``NAME.responses.status``)."""

from typing import Any

from rnr.corpus.formats.plain_rows import OTHER_TEXTS, own_row
from rnr.corpus.formats.shapes import Shape, Source, each, extras, has

DISCARDED = "records were discarded or not yet annotated, and left out"
_DONE = ("validated", "completed", "submitted")


def _version_1(row: dict[str, Any], number: int, source: Source) -> dict[str, Any] | None:
    if str(row.get("status", "validated")).lower() not in _DONE:
        source.note(DISCARDED, number, str(row["status"]))
        return None
    return own_row({"sentence": row["text"], "entities": row["annotation"] or []} | extras(row), number, source)


def _version_2(row: dict[str, Any], number: int, source: Source) -> dict[str, Any] | None:
    texts = {name: value for name, value in row["fields"].items() if isinstance(value, str)}
    if "text" not in texts and len(texts) != 1:
        raise ValueError(f"a record needs its sentence in fields.text; its fields are {', '.join(row['fields'])}")
    answers = [answer for answer in _answers(row["responses"]) if _holds_spans(answer.get("value"))]
    answers = [one for one in answers if str(one.get("status", "submitted")).lower() in _DONE]
    if not answers:
        source.note(DISCARDED, number)
        return None
    if len(answers) > 1:
        raise ValueError(f"the record has {len(answers)} responses where one is needed: keep one of them")
    read = "text" if "text" in texts else next(iter(texts))
    if others := [name for name, text in texts.items() if name != read and " " in text.strip()]:
        source.note(OTHER_TEXTS, number, f"{read!r} was read, not {', '.join(map(repr, others))}")
    sentence = texts[read]
    return own_row({"sentence": sentence, "entities": answers[0]["value"]} | extras(row), number, source)


def _answers(responses: Any) -> list[dict[str, Any]]:
    """The responses to all questions; there is one list of spans for each person and question."""
    if isinstance(responses, dict):
        responses = [answer for answers in responses.values() for answer in answers]
    found = [answer for answer in responses if isinstance(answer, dict)]
    nested = [
        {"status": answer.get("status", "submitted")} | inner
        for answer in found
        for inner in (answer["values"].values() if isinstance(answer.get("values"), dict) else ())
    ]
    return nested or found


def _holds_spans(value: Any) -> bool:
    return isinstance(value, list) and all(has(span, start=int, end=int, label=str) for span in value)


def _columns(row: dict[str, Any], number: int, source: Source) -> dict[str, Any] | None:
    names = [name for name in row if name.endswith(".responses")]
    responses: list[dict[str, Any]] = []
    for name in names:
        values = row[name] or []
        states = row.get(f"{name}.status") or ["submitted"] * len(values)
        responses += [{"value": value, "status": state} for value, state in zip(values, states, strict=True)]
    record = {"fields": {"text": row["text"]}, "responses": responses}
    return _version_2(record | extras(row), number, source)


VERSION_1 = Shape(
    name="Argilla 1",
    recognises=lambda row: has(row, text=str) and "annotation" in row and ("status" in row or "prediction" in row),
    rows=each(_version_1),
)
VERSION_2 = Shape(
    name="Argilla 2",
    recognises=lambda row: has(row, fields=dict, responses=(list, dict)),
    rows=each(_version_2),
)
DATA_SET = Shape(
    name="Argilla 2 as a data set",
    recognises=lambda row: has(row, text=str) and any(name.endswith(".responses") for name in row),
    rows=each(_columns),
)
