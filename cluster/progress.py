"""Where a run stands: what a checkpoint keeps beside the learner's state, and where a resumed run continues."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rnr.runs.console import EVALUATED

STAGES = ("sft", "grpo", "done")


@dataclass(slots=True, kw_only=True)
class Progress:
    """Where a run stands; written beside the learner's state, read by ``--resume``."""

    stage: str = "sft"
    """``sft``, ``grpo`` or ``done``."""
    step: int = 0
    """The next step of the stage: SFT's data windows and the learning rate are functions of it."""
    version: int = 0
    """Batches trained on so far, over both stages: the version of the policy."""
    consumed: list[str] = field(default_factory=list)
    """Uids of the prompts GRPO has finished with, in order; their number is the place in the stream of prompts."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Those among them that taught nothing -> reason."""
    held_out_losses: list[float] = field(default_factory=list)
    """Of the warm start's sequences kept aside, as often as they were measured."""
    scores: dict[str, dict] = field(default_factory=dict)
    """Stage -> evaluation."""
    seconds: dict[str, float] = field(default_factory=dict)
    samples: int = 0
    """Rollouts made."""
    probe_max_difference: float = 0.0

    def reached(self) -> tuple[str, int]:
        """The first stage and step of ``metrics.jsonl`` that have not happened: ``base`` is the evaluation before any
        training. The version does not tell: it stays the same when nothing is trained."""
        if self.stage == "sft" and self.step == 0 and "base" not in self.scores:
            return "base", 0
        return ("grpo" if self.stage == "done" else self.stage), self.step

    def is_evaluated(self) -> bool:
        """Whether the policy was evaluated as it is now."""
        names = {"sft"} if self.stage == "sft" or self.step == 0 else {"grpo", f"grpo-{self.step:06d}"}
        return not names.isdisjoint(self.scores)

    def resumed(self, from_run: str) -> str:
        """Where a run continues, which may have begun with the warm start of ``from_run``; empty for a new one."""
        if self.reached() in (("base", 0), ("sft", 0)):
            return ""
        how = f"after the warm start of {from_run}" if from_run and self.step == 0 else f"step {self.step}"
        return f"{self.stage} {how}"

    def keep_base(self, before: "Progress") -> None:
        """Keep the evaluation of the untrained model that the run made before it fell back to this: no checkpoint may
        hold it yet, and it would come out the same."""
        if "base" in before.scores:
            self.scores.setdefault("base", before.scores["base"])

    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds of a finished run: F1 by stage, steps, seconds, and all evaluations in full."""
        seconds = self.seconds.get("grpo", 0.0)
        return {
            "f1": {stage: self.scores[stage]["f1"] for stage in EVALUATED if stage in self.scores},
            "steps": self.version,
            "seconds": {what: round(taken, 1) for what, taken in self.seconds.items()},
            "samples_per_second": round(self.samples / seconds, 3) if seconds else 0.0,
            "probe_max_difference": self.probe_max_difference,
            "prompts": {"consumed": len(self.consumed), "dropped": len(self.dropped)},
            "evaluation": self.scores,
        }


class Stopwatch:
    """How the time of a run is spent: the seconds of blocks, each without the blocks inside it."""

    def __init__(self, seconds: dict[str, float]) -> None:
        """Adds to these ``seconds``."""
        self._seconds = seconds
        self._what = ""
        self._since = 0.0

    @contextmanager
    def spend(self, what: str) -> Iterator[None]:
        """The time of this block goes to ``what``, however it ends; to nothing where that is empty. What the block
        around it has taken until now is added first."""
        around = self._turn_to(what)
        try:
            yield
        finally:
            self._turn_to(around)

    def _turn_to(self, what: str) -> str:
        before, now = self._what, time.monotonic()
        if before:
            self._seconds[before] = self._seconds.get(before, 0.0) + now - self._since
        self._what, self._since = what, now
        return before
