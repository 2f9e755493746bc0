"""NER-CoT rows: a row -> an example with its chain, an outcome -> a row."""

from dataclasses import asdict
from typing import Any

from rnr.corpus.formats.row_types import EntityFields, read_row_fields
from rnr.synthesis.outcomes import Outcome
from rnr.task.labels import normalise_label
from rnr.task.parsing import ground
from rnr.types import Answer, Example, Mention

Row = dict[str, Any]
"""A JSON object."""


def read_row(row: Any, name: str) -> Example:
    """The example of a NER-CoT row with its chain and grounded mentions; ``name`` replaces a missing guid.

    Raises ValueError if the row does not have this format. The content is checked by ``checking.check``, not here.
    """
    fields = read_row_fields(row)
    if fields.labels is None or fields.entities is None or fields.reasoning is None:
        needed = {"schema": fields.labels, "entities": fields.entities, "cot": fields.reasoning}
        raise ValueError(f"{', '.join(key for key, value in needed.items() if value is None)}: missing in this row")
    return Example(
        uid=fields.guid or name,
        sentence=fields.sentence,
        schema=tuple(fields.labels),
        mentions=ground((_mention(entity, fields.sentence) for entity in fields.entities), fields.sentence),
        source=fields.dataset or "",
        reasoning=fields.reasoning,
    )


def _mention(entity: EntityFields, sentence: str) -> Mention:
    label, text, start, end = normalise_label(entity.label), entity.text, entity.start, entity.end
    if (start, end) == (-1, -1) and text is not None:
        return Mention(text=text, label=label)
    there = sentence[start:end]
    if not 0 <= start < end <= len(sentence) or there != (text or there):
        raise ValueError(f"{text!r} ({label}) is not at [{start}:{end}]")
    return Mention(text=there, label=label, start=start, end=end)


def row_answer(example: Example) -> Answer:
    """The chain and the entities of a row as an answer."""
    return Answer(reasoning=example.reasoning, mentions=example.mentions)


def to_row(outcome: Outcome) -> Row:
    """The NER-CoT row of an outcome, or a row with the causes if no draft was accepted."""
    example, answer = outcome.example, outcome.answer
    row: Row = {"guid": example.guid or example.uid, "dataset": example.source, "sentence": example.sentence}
    row["schema"] = list(example.schema)
    if answer is None:
        last = outcome.rejections[-1]
        return {**row, "cause": last.cause, "detail": last.detail, "drafts": [asdict(r) for r in outcome.rejections]}
    row |= {"cot": answer.reasoning, "entities": [asdict(mention) for mention in answer.mentions]}
    if outcome.score is not None:
        row |= {"score": outcome.score.value, "score_reason": outcome.score.reason}
    if outcome.rejections:
        row["rejected_drafts"] = [{"cause": r.cause, "detail": r.detail} for r in outcome.rejections]
    return row
