"""How a loaded model answers a question; knows no engine."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rnr.task.aggregation import VOTE_SHARE, Selection, Threshold, refuse_threshold
from rnr.types import Decoding
from rnr.validation import explain

LEAST_CONTEXT = 32
"""Tokens; the config asks for as many (``model.context_tokens``)."""


class Asked(BaseModel):
    """What a question may ask for, whoever asks it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    samples: int = Field(default=1, ge=1)
    select: Selection | None = None
    """None: ``greedy`` for one sample, ``vote`` for several."""
    threshold: Threshold | None = None
    """None: ``VOTE_SHARE`` for a vote, else none."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the samples, where there are several."""
    label_calibration: float | None = Field(default=None, ge=0, le=1)
    """How far labels are decided by what speaks for them here and not anywhere (``actors.label_calibration``): 0 not at
    all, 1 altogether. None: as far as the model's own run did, where one greedy chain of marks is asked for."""


class Options(Asked):
    """How a question is answered; each may be given with the call."""

    model_config = ConfigDict(strict=True)

    decoding: Decoding
    window: int = 256
    """Tokens of a text that are read at once; longer texts are read in windows."""
    overlap: int | None = None
    """Tokens that two windows share; None: 48, and at most half a window."""

    @field_validator("threshold", mode="before")
    @classmethod
    def _is_confidence(cls, threshold: Any) -> Any:
        refuse_threshold(threshold)
        return threshold

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        self._refuse_windows()
        if self.samples == 1 and self.select in ("vote", "medoid"):
            raise ValueError(f"select={self.select!r} needs several samples, for example samples=8")
        if self.label_calibration and not self.calibratable:
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
        return self

    def _refuse_windows(self) -> None:
        if self.window < 1:
            raise ValueError(f"window is a number of tokens, at least 1, not {self.window}")
        if not 0 <= self.shared <= self.window // 2:
            raise ValueError(f"overlap is from 0 to half of window ({self.window}), not {self.shared}")

    @classmethod
    def of(cls, **given: Any) -> Self:
        """The options that are given; raises ValueError for one that cannot be, and for one that is unknown, naming
        those that there are."""
        if unknown := given.keys() - cls.model_fields.keys():
            raise ValueError(f"no option {min(unknown)!r}; there are {', '.join(cls.model_fields)}")
        try:
            return cls(**given)
        except ValidationError as error:
            raise ValueError(explain(error, cls)[0]) from None

    def but(self, **given: Any) -> Self:
        """These options with some changed for one call; raises as ``of``, and for a temperature that does nothing."""
        meant = self.of(**dict(self) | given)
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
