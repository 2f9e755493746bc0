"""The result of a sentence: an accepted chain, or the reasons why its drafts were rejected."""

from dataclasses import dataclass

from rnr.task.parsing import ERRORS
from rnr.types import Answer, Example

CAUSES: dict[str, str] = {
    "not_a_row": "a field of a NER-CoT row is missing or has the wrong type",
    "no_answer": "all requests for this sentence failed; run the same command again to retry",
    "think_in_entity": "an entity of the annotation contains <think> or </think>, which no chain can quote",
    "unfinished": "the completion ran into the token limit",
    **ERRORS,
    "no_reasoning": "the reasoning is empty",
    "label_not_in_schema": "an entity has a label that is not in the schema",
    "not_in_sentence": "an entity is not in the sentence, or listed more often than it occurs",
    "not_gold": "the entities are not those of the annotation",
    "not_in_chain": "the chain never mentions an entity of the answer",
    "label_not_argued": "the chain mentions an entity, but no sentence of it argues for its label",
    "only_in_chain": "the chain gives a label to a text which the answer does not",
    "judge_unreadable": "the judge's replies have no score, or more than one; this says nothing about the draft",
    "low_score": "the judge's score is below the threshold",
}
"""Cause of a rejection -> its meaning, in the order of the checks. The teacher's prompt quotes most of these texts: a
change makes a new request, which the journal does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why one draft was rejected; ``detail`` is specific to the draft, ``text`` is the draft if there was one."""

    cause: str
    detail: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A judge's verdict, from 0 to 10."""

    value: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one sentence; ``answer`` is None if no draft was accepted."""

    example: Example
    answer: Answer | None
    score: Score | None = None
    rejections: tuple[Rejection, ...] = ()
