"""The result for a text: entities with offsets and confidences, and the reasoning."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rnr.task.aggregation import Chosen
from rnr.task.labels import label_key
from rnr.types import Mention

Alignment = Literal["marked", "exact", "ambiguous", "none"]
"""How an entity got its offsets: its chain marks it there; its text occurs in the sentence once; its text occurs more
often, and this is the next occurrence in order; its text does not occur."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One entity of a text: ``text[start:end]`` is its text, in characters."""

    text: str
    label: str
    """As spelled in the question."""
    start: int
    end: int
    confidence: float | None
    """In [0, 1], defined in ``rnr.task.aggregation``; None if unknown."""
    alignment: Alignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The entities of one text, in order of their places; iterating and ``len`` are about these."""

    sentence: str
    entities: tuple[Entity, ...]
    reasoning: str | None
    """The chain; those of several windows are joined by blank lines. None if there is none."""
    error: str | None = None
    """Why there is no answer, a name from ``rnr.task.parsing.ERRORS``; None if there is one."""
    finished: bool = True
    """False if the answer was cut at the token limit."""
    left_out: tuple[Entity, ...] = ()
    """Entities that do not answer the question: texts that are not in the sentence, or labels that were not asked for.
    Always empty under a grammar."""
    below_threshold: int = 0
    """Entities that the threshold removed."""
    windows: int = 1
    """Number of windows of the text; 0 for a blank text, which is not sent to the model."""
    merged: int = 0
    """Duplicates from overlapping windows, of which one was kept."""
    samples: int = 1
    """Number of completions behind the answer."""
    tokens: int = 0
    """Tokens of all completions."""

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.entities)

    def __len__(self) -> int:
        return len(self.entities)

    def row(self) -> dict[str, Any]:
        """The extraction as JSON has it, for files and HTTP."""
        return asdict(self)


def extraction(chosen: Chosen, sentence: str, asked: Mapping[str, str], *, samples: int) -> Extraction:
    """The answer with labels spelled as in the question; ``asked`` is ``{label_key(label): label}``."""
    kept: list[Entity] = []
    left_out: list[Entity] = []
    for mention, confidence in zip(chosen.mentions, chosen.confidences, strict=True):
        key = label_key(mention.label)
        entity = Entity(
            text=mention.text,
            label=asked.get(key, mention.label),
            start=mention.start,
            end=mention.end,
            confidence=confidence,
            alignment=_alignment(mention, sentence, chosen),
        )
        (kept if mention.grounded and key in asked else left_out).append(entity)
    return Extraction(
        sentence=sentence,
        entities=tuple(sorted(kept, key=lambda entity: (entity.start, -entity.end, entity.label))),
        reasoning=chosen.reasoning,
        error=chosen.error,
        finished=chosen.finished,
        left_out=tuple(left_out),
        below_threshold=chosen.below_threshold,
        samples=samples,
        tokens=chosen.tokens,
    )


def _alignment(mention: Mention, sentence: str, chosen: Chosen) -> Alignment:
    if not mention.grounded:
        return "none"
    if (mention.start, mention.end) in chosen.marked:
        return "marked"
    second = sentence.find(mention.text, sentence.find(mention.text) + 1)
    return "exact" if second < 0 else "ambiguous"
