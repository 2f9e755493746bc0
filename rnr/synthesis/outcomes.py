"""The result of a sentence: an accepted chain, or the reasons why each draft was rejected."""

from dataclasses import dataclass

from rnr.task.parsing import ERRORS
from rnr.types import Answer, Example

CAUSES: dict[str, str] = {
    "not_a_row": "the row lacks a field of a NER-CoT row, or it has another type",
    "no_answer": "every request for this sentence failed; the same command asks again",
    "think_in_entity": "an entity of the annotation holds <think> or </think>, which no chain can quote",
    "unfinished": "the completion ran into the token limit",
    **ERRORS,
    "no_reasoning": "the reasoning is empty",
    "label_not_in_schema": "an entity has a label that is not in the schema",
    "not_in_sentence": "an entity is not in the sentence, or listed more often than it occurs",
    "not_gold": "the entities are not those of the annotation",
    "not_in_chain": "the chain never mentions an entity of the answer",
    "label_not_argued": "the chain mentions an entity, but no sentence of it argues for its label",
    "only_in_chain": "the chain gives a label to a text which the answer does not",
    "judge_unreadable": "the judge's replies hold no score, or more than one; the draft is not to blame",
    "low_score": "the judge's score is below the threshold",
}
"""Every cause of a rejection, with its meaning, in the order in which they are checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why one draft was not accepted; ``detail`` is specific to it, ``text`` is the draft where there was one."""

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
    """The result of one sentence: ``answer`` is None when no draft was accepted."""

    example: Example
    answer: Answer | None
    score: Score | None = None
    rejections: tuple[Rejection, ...] = ()
