"""Argilla: records of version 1 (``annotation``, ``status``) and of version 2 (``fields``, ``responses``), and what
version 2 writes as a data set (``text``, ``NAME.responses``, ``NAME.responses.status``)."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

from rnr.corpus.formats.entities.plain_rows import OTHER_TEXTS, own_row
from rnr.corpus.formats.rows import Row
from rnr.corpus.formats.shapes import BROKEN, Rows, Shape, Source, all_but, each, extras, has

DISCARDED = "records were discarded or not yet annotated, and left out"
NOT_SUBMITTED = "answers were discarded or not submitted, and were left out beside the one that was read"
_DONE = ("validated", "completed", "submitted")
_RESPONSES = ".responses"
_OF_A_QUESTION = re.compile(r"\.responses(\.\w+)?$|\.suggestion\.\w+$")
_OF_ARGILLA = (
    *("prediction_agent", "annotation_agent", "event_timestamp", "metrics", "vectors"),
    *("_server_id", "external_id", "inserted_at", "updated_at"),
)
"""What Argilla keeps for itself."""
_UNREAD = all_but("text", "status", *_OF_ARGILLA)
_FIRST = 1000
"""So many records at most are looked at for one in which a span is marked."""


def _version_1(row: dict[str, Any], number: int, source: Source) -> dict[str, Any] | None:
    if str(row.get("status", "validated")).lower() not in _DONE:
        source.note(DISCARDED, number, str(row["status"]))
        return None
    return own_row({"sentence": row["text"], "entities": row["annotation"] or []} | extras(row), number, source)


@dataclass(frozen=True, slots=True)
class _Answer:
    question: str
    value: Any
    status: str

    @property
    def done(self) -> bool:
        return self.status.lower() in _DONE

    @property
    def marks(self) -> bool:
        """Whether spans are marked in it."""
        return bool(self.value) and _holds_spans(self.value)


def _version_2(row: dict[str, Any], number: int, source: Source, asked: set[str]) -> dict[str, Any] | None:
    """The record with the one answer to a question that asks for spans."""
    texts = {name: value for name, value in row["fields"].items() if isinstance(value, str)}
    if "text" not in texts and len(texts) != 1:
        raise ValueError(f"a record needs its sentence in fields.text; its fields are {', '.join(row['fields'])}")
    every = list(_answers(row["responses"]))
    asked.update(one.question for one in every if one.marks)
    source.not_read(one.question for one in every if asked and one.value and one.question not in asked)
    # An empty list tells nothing of its question: that of one which asks for topics is no sentence without a mention.
    answers = [one for one in every if _holds_spans(one.value) and (not asked or one.question in asked)]
    done = [one for one in answers if one.done]
    if not done:
        source.note(DISCARDED, number)
        return None
    if len(done) > 1:
        questions = dict.fromkeys(one.question for one in done if one.question)
        of = f" to {', '.join(map(repr, questions))}" if questions else ""
        raise ValueError(f"the record has {len(done)} responses{of} where one is needed: keep one of them")
    if len(answers) > 1:
        source.note(NOT_SUBMITTED, number, times=len(answers) - 1)
    read = "text" if "text" in texts else next(iter(texts))
    if others := [name for name, text in texts.items() if name != read and " " in text.strip()]:
        source.note(OTHER_TEXTS, number, f"{read!r} was read, not {', '.join(map(repr, others))}")
    return own_row({"sentence": texts[read], "entities": done[0].value} | extras(row), number, source)


def _answers(responses: Any) -> Iterator[_Answer]:
    """The responses to all questions; there is one list of spans for each person and question."""
    named = responses.items() if isinstance(responses, dict) else [("", responses)]
    for question, found in named:
        for answer in (one for one in found if isinstance(one, dict)):
            status = str(answer.get("status") or "submitted")
            if not isinstance(answer.get("values"), dict):
                yield _Answer(str(answer.get("question_name", question)), answer.get("value"), status)
                continue
            for name, inner in answer["values"].items():
                if isinstance(inner, dict):
                    yield _Answer(name, inner.get("value"), str(inner.get("status", status)))


def _holds_spans(value: Any) -> bool:
    return isinstance(value, list) and all(has(span, start=int, end=int, label=str) for span in value)


def _rows(record: Callable[[dict[str, Any]], dict[str, Any]]) -> Rows:
    """The rows of records; the first of them in which a span is marked tells which question asks for spans."""

    def rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
        values, asked, first = iter(values), set[str](), list[Row]()
        for number, value in values:
            first.append((number, value))
            with suppress(*BROKEN):  # reported when it is read
                asked.update(one.question for one in _answers(record(value)["responses"]) if one.marks)
            if asked or len(first) == _FIRST:
                break
        convert = each(lambda value, number, source: _version_2(record(value), number, source, asked))
        yield from convert(chain(first, values), source)

    return rows


def _of_columns(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the data set as the record that it was."""
    responses: dict[str, list[dict[str, Any]]] = {}
    for name in (name for name in row if name.endswith(_RESPONSES)):
        values = row[name] or []
        states = row.get(f"{name}.status") or ["submitted"] * len(values)
        told = zip(values, states, strict=True)
        responses[name.removesuffix(_RESPONSES)] = [{"value": value, "status": state} for value, state in told]
    return {"fields": {"text": row["text"]}, "responses": responses} | extras(row)


VERSION_1 = Shape(
    name="Argilla 1",
    recognises=lambda row: has(row, text=str) and "annotation" in row and ("status" in row or "prediction" in row),
    rows=each(_version_1),
    unread=all_but("text", "annotation", "status", "tokens", *_OF_ARGILLA),
)
VERSION_2 = Shape(
    name="Argilla 2",
    recognises=lambda row: has(row, fields=dict, responses=(list, dict)),
    rows=_rows(lambda row: row),
    unread=all_but("fields", "responses", "status", *_OF_ARGILLA),
)
DATA_SET = Shape(
    name="Argilla 2 as a data set",
    recognises=lambda row: has(row, text=str) and any(name.endswith(_RESPONSES) for name in row),
    rows=_rows(_of_columns),
    unread=lambda row: (name for name in _UNREAD(row) if not _OF_A_QUESTION.search(name)),
)
