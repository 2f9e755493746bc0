"""How a loaded model answers a question; knows no engine."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rnr.task.aggregation import VOTE_SHARE, Selection, Threshold, refuse_threshold
from rnr.types import Decoding
from rnr.validation import explain

LEAST_CONTEXT = 32
"""Tokens; the config asks for as many (``model.context_tokens``)."""


class Asked(BaseModel):
    """Options of a question, from Python or over HTTP."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    samples: int = Field(default=1, ge=1)
    select: Selection | None = None
    """None: ``greedy`` for one sample, ``vote`` for several."""
    threshold: Threshold | None = None
    """None: ``VOTE_SHARE`` for a vote, else none."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the samples, where there are several."""
    label_calibration: float | None = Field(default=None, ge=0, le=1)
    """Strength of the calibration of labels (``actors.label_calibration``): 0 for none, 1 for full. None: as in the
    model's own run, where one greedy chain of marks is asked for."""


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
    def _check_combination(self) -> Self:
        self._refuse_windows()
        if self.samples == 1 and self.select in ("vote", "medoid"):
            raise ValueError(f"select={self.select!r} needs several samples, for example samples=8")
        if self.label_calibration and not self.calibratable:
            raise ValueError(
                "label_calibration needs one greedy chain of marks, but this asks for "
                f"decoding {self.decoding!r} with samples={self.samples}: use decoding='marks' and samples=1, or "
                "label_calibration=0"
            )
        if self.threshold and self.samples == 1 and self.decoding != "marks":
            raise ValueError(
                f"a threshold needs confidences, but one greedy answer under decoding {self.decoding!r} has none: set "
                "samples, for example samples=8"
            )
        return self

    def _refuse_windows(self) -> None:
        if self.window < 1:
            raise ValueError(f"window must be a number of tokens, at least 1, not {self.window}")
        if not 0 <= self.shared <= self.window // 2:
            raise ValueError(f"overlap must be from 0 to half of window ({self.window}), not {self.shared}")

    @classmethod
    def of(cls, **given: Any) -> Self:
        """The given options; raises ValueError for an invalid one, and for an unknown one, listing the valid names."""
        if unknown := given.keys() - cls.model_fields.keys():
            raise ValueError(f"unknown option {min(unknown)!r}; the options are {', '.join(cls.model_fields)}")
        try:
            return cls(**given)
        except ValidationError as error:
            raise ValueError(explain(error, cls)[0]) from None

    def but(self, **given: Any) -> Self:
        """These options with some changed for one call; raises as ``of``, and for a temperature without effect."""
        meant = self.of(**dict(self) | given)
        if "temperature" in given and meant.samples == 1:
            raise ValueError(
                "temperature applies to several samples, but a single answer is greedy: set samples=8, too"
            )
        return meant

    @property
    def shared(self) -> int:
        """The overlap in effect."""
        return min(48, self.window // 2) if self.overlap is None else self.overlap

    @property
    def calibratable(self) -> bool:
        """Whether the answer is one greedy chain of marks, whose labels can be calibrated."""
        return (self.decoding, self.samples) == ("marks", 1)

    def label_weight(self, usual: float) -> float:
        """The calibration of labels in effect; ``usual`` is the model's own."""
        if self.label_calibration is not None:
            return self.label_calibration
        return usual if self.calibratable else 0.0

    @property
    def how(self) -> Selection:
        """The selection in effect."""
        return self.select or ("greedy" if self.samples == 1 else "vote")

    @property
    def least(self) -> Threshold | None:
        """The threshold in effect."""
        return VOTE_SHARE if self.threshold is None and self.how == "vote" else self.threshold


def refuse_limits(context_tokens: int, max_new_tokens: int | None) -> None:
    """Raise ValueError for limits in which there is no room for a prompt and its answer."""
    if type(context_tokens) is not int or context_tokens < LEAST_CONTEXT:
        raise ValueError(f"context_tokens must be a whole number of at least {LEAST_CONTEXT}, not {context_tokens!r}")
    if max_new_tokens is None:
        return
    if type(max_new_tokens) is not int or max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be a whole number of at least 1, not {max_new_tokens!r}")
    if max_new_tokens >= context_tokens:
        raise ValueError(
            f"max_new_tokens ({max_new_tokens}) must be smaller than context_tokens ({context_tokens}), which holds "
            "prompt and answer: lower max_new_tokens or raise context_tokens"
        )
