"""NER-CoT rows: a row -> an example with its chain, an outcome -> a row, a row -> a line of JSONL."""

from dataclasses import asdict
from typing import Any

from rnr.synthesis.outcomes import Outcome
from rnr.task.labels import normalise_label
from rnr.task.parsing import ground
from rnr.types import Answer, Example, Mention

Row = dict[str, Any]
"""A JSON object."""


def read_row(row: Any, name: str) -> Example:
    """A NER-CoT row as an example with its chain, its mentions grounded; ``name`` stands in for a missing guid.

    Raises ValueError for a row of another shape. Its content is not judged: ``checking.check`` does that.
    """
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, found {type(row).__name__}")
    for field, kind in (("sentence", str), ("schema", list), ("cot", str), ("entities", list)):
        if not isinstance(row.get(field), kind):
            raise ValueError(f"{field!r} must be a {kind.__name__}, found {row.get(field)!r:.80}")
    sentence = row["sentence"]
    mentions = ground((_row_mention(entity, sentence) for entity in row["entities"]), sentence)
    return Example(
        uid=str(row.get("guid") or name),
        sentence=sentence,
        schema=tuple(str(label) for label in row["schema"]),
        mentions=mentions,
        source=str(row.get("dataset") or ""),
        reasoning=row["cot"],
    )


def _row_mention(entity: Any, sentence: str) -> Mention:
    if not isinstance(entity, dict) or not all(isinstance(entity.get(key), str) for key in ("text", "label")):
        raise ValueError(f"an entity must have a text and a label: {entity!r:.80}")
    text, label = entity["text"], normalise_label(entity["label"])
    start, end = entity.get("start", -1), entity.get("end", -1)
    if (start, end) == (-1, -1):
        return Mention(text=text, label=label)
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end or sentence[start:end] != text:
        raise ValueError(f"{text!r} is not at [{start}:{end}]")
    return Mention(text=text, label=label, start=start, end=end)


def row_answer(example: Example) -> Answer:
    """The chain and the entities of a row, as an answer."""
    return Answer(reasoning=example.reasoning, mentions=example.mentions)


def to_row(outcome: Outcome) -> Row:
    """A NER-CoT row, or for a sentence without an accepted draft a row that says why."""
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
