"""How a loaded model answers a question; knows no engine."""

import math
from dataclasses import dataclass, fields
from typing import Any, Self, get_args

from rnr.task.choosing import VOTE_SHARE, Selection, Threshold, refuse_threshold
from rnr.types import Decoding

LEAST_CONTEXT = 32
"""Tokens; the config asks for as many (``model.context_tokens``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a question is answered; each may be given with the call."""

    decoding: Decoding
    samples: int = 1
    select: Selection | None = None
    """None: ``greedy`` for one sample, ``vote`` for several."""
    threshold: Threshold | None = None
    """None: ``VOTE_SHARE`` for a vote, else none."""
    temperature: float = 1.0
    """Of the samples, where there are several."""
    window: int = 256
    """Tokens of a text that are read at once; longer texts are read in windows."""
    label_calibration: float | None = None
    """How far labels are decided by what speaks for them here and not anywhere (``actors.label_calibration``): 0 not at
    all, 1 altogether. None: as far as the model's own run did, where one greedy chain of marks is asked for."""
    overlap: int | None = None
    """Tokens that two windows share; None: 48, and at most half a window."""

    def __post_init__(self) -> None:
        for name, known in (("decoding", get_args(Decoding)), ("select", (None, *get_args(Selection)))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {' or '.join(map(repr, known))}, not {getattr(self, name)!r}")
        for name in ("samples", "window", "overlap"):
            value = getattr(self, name)
            if type(value) is not int and (name != "overlap" or value is not None):
                raise ValueError(f"{name} is a whole number, not {value!r}")
        refuse_threshold(self.threshold)
        if self.samples < 1 or type(self.temperature) not in (int, float) or not 0 < self.temperature < math.inf:
            given = f"found {self.samples} and {self.temperature!r}"
            raise ValueError(f"samples must be at least 1, and their temperature a number above 0; {given}")
        if self.samples == 1 and self.select in ("vote", "medoid"):
            raise ValueError(f"select={self.select!r} needs several samples, for example samples=8")
        given = self.label_calibration
        if given is not None and (type(given) not in (int, float) or not 0.0 <= given <= 1.0):
            raise ValueError(f"label_calibration is a number from 0 to 1, not {given!r}")
        if given and not self.calibratable:
            raise ValueError(
                "label_calibration decides the labels of one greedy chain of marks again, and this is asked under "
                f"decoding {self.decoding!r} with samples={self.samples}: ask with decoding='marks' and samples=1, or "
                "with label_calibration=0"
            )
        if self.threshold and self.samples == 1 and self.decoding != "marks":
            raise ValueError(
                f"a threshold needs confidences, and one greedy answer under decoding {self.decoding!r} has none: ask "
                "for samples=8"
            )

    @classmethod
    def of(cls, **given: Any) -> Self:
        """The options that are given; raises ValueError, naming those that there are, for one that is unknown."""
        if unknown := given.keys() - {field.name for field in fields(cls)}:
            raise ValueError(f"no option {min(unknown)!r}; there are {', '.join(field.name for field in fields(cls))}")
        return cls(**given)

    def but(self, **given: Any) -> Self:
        """These options with some changed for one call; raises as ``of``, and for a temperature that does nothing."""
        meant = self.of(**{field.name: getattr(self, field.name) for field in fields(self)} | given)
        if "temperature" in given and meant.samples == 1:
            raise ValueError("temperature is that of several samples, and one answer is greedy: ask for samples=8, too")
        return meant

    @property
    def shared(self) -> int:
        """The overlap that is meant."""
        return min(48, self.window // 2) if self.overlap is None else self.overlap

    @property
    def calibratable(self) -> bool:
        """Whether the answer is one greedy chain of marks, whose labels can be calibrated."""
        return (self.decoding, self.samples) == ("marks", 1)

    def label_weight(self, usual: float) -> float:
        """The calibration of labels that is meant; ``usual`` is the model's own."""
        if self.label_calibration is not None:
            return self.label_calibration
        return usual if self.calibratable else 0.0

    @property
    def how(self) -> Selection:
        """The selection that is meant."""
        return self.select or ("greedy" if self.samples == 1 else "vote")

    @property
    def least(self) -> Threshold | None:
        """The threshold that is meant."""
        return VOTE_SHARE if self.threshold is None and self.how == "vote" else self.threshold


def refuse_limits(context_tokens: int, max_new_tokens: int | None) -> None:
    """Raise ValueError for limits in which there is no room for a prompt and its answer."""
    if type(context_tokens) is not int or context_tokens < LEAST_CONTEXT:
        raise ValueError(f"context_tokens is a whole number of at least {LEAST_CONTEXT}, not {context_tokens!r}")
    if max_new_tokens is None:
        return
    if type(max_new_tokens) is not int or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is a whole number of at least 1, not {max_new_tokens!r}")
    if max_new_tokens >= context_tokens:
        raise ValueError(
            f"max_new_tokens ({max_new_tokens}) must be smaller than context_tokens ({context_tokens}), which holds "
            "prompt and answer: lower the one or raise the other"
        )
