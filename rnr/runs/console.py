"""Terminal output: what starts, the progress of the run, the time left, and the next commands."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from rnr.evaluation.scoring import Evaluation
from rnr.messages import plain_console
from rnr.runs.commands import after_a_run
from rnr.runs.forecast import Forecast
from rnr.types import Example

SHOWN = {
    "reward": "reward/mean",
    "F1": "ner/f1",
    "tokens": "response_length/mean",
    "cut": "response_length/clip_ratio",
    "invalid": "reward/invalid_frac",
    "sample s": "timing_s/gen",
    "train s": "timing_s/update_actor",
}
"""What the terminal shows of a GRPO step, where it is not 0."""
EVALUATED = {"base": "before training", "sft": "after SFT", "grpo": "after GRPO", "merged": "merged"}
"""The evaluations that summarise a run, in order, and their names in the terminal."""
SECONDS_BETWEEN = 2.0
"""Minimum time between lines of steps."""


class Console:
    """Plain lines, so that a log file reads as the terminal does."""

    def __init__(self) -> None:
        self._out = plain_console(highlight=False, soft_wrap=True)
        self._printed = 0.0

    def say(self, text: str) -> None:
        """One line with the time of day."""
        self._out.print(f"{time.strftime('%H:%M:%S')} {text}")

    def step(self, stage: str, step: int, steps: int, numbers: Mapping[str, float], forecast: Forecast) -> None:
        """Report a step that has just ended, and how far the whole run is."""
        self.step_line(stage, step, steps, numbers, f"| {progress(forecast)}")

    def step_line(self, stage: str, step: int, steps: int, numbers: Mapping[str, float], left: str) -> None:
        """A line of a step that has just ended; at most one in ``SECONDS_BETWEEN``, but always the last of a stage."""
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN and step + 1 < steps:
            return
        self._printed = now
        shown = "  ".join(f"{name} {_short(value)}" for name, value in numbers.items())
        self.say(f"{stage} {step + 1}/{steps}  {shown}  {left}")

    def evaluated(self, name: str, result: Evaluation) -> None:
        """One line of an evaluation."""
        low, high = result.interval
        own = "" if result.uncalibrated_f1 is None else f" ({result.uncalibrated_f1:.1f} with uncalibrated labels)"
        finished = f"{result.finished:.0f} % finished"
        self.say(f"evaluation {name}: F1 {result.f1:.1f} [{low:.1f}, {high:.1f}]{own}, {finished}")

    def table(self, scores: Mapping[str, Mapping[str, Any]]) -> None:
        """F1 of each stage on each data set, with the average and the share of finished answers."""
        stages = [stage for stage in EVALUATED if stage in scores]
        if not stages:
            return
        table = Table("data set", *(EVALUATED[stage] for stage in stages), title="F1 by stage")
        for data_set in scores[stages[0]]["by_data_set"]:
            table.add_row(data_set, *(f"{scores[stage]['by_data_set'][data_set]['f1']:.1f}" for stage in stages))
        table.add_row("average", *(f"{scores[stage]['f1']:.1f}" for stage in stages), style="bold")
        table.add_row("finished %", *(f"{scores[stage]['finished']:.0f}" for stage in stages))
        under = [scores[stage].get("decoding") or "unknown" for stage in stages]
        if len(set(under)) > 1:  # a warm start of another run
            table.add_row("decoding", *under)
        self._out.print(table)

    def next_steps(self, folder: Path, example: Example | None) -> None:
        """The next commands for a finished run; ``example`` is one of its own sentences."""
        self.say(f"done: the run is in {folder}")
        for what, command in after_a_run(folder, example):
            self._out.print(f"  {what:<11} {command}")


def shown_of(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a GRPO step that are printed: those of ``SHOWN`` that are present and not 0."""
    return {name: metrics[key] for name, key in SHOWN.items() if metrics.get(key)}


def progress(forecast: Forecast) -> str:
    """How far a run is: ``whole run 40 %, about 12 min left (estimate)``."""
    return f"whole run {100 * forecast.share:.0f} %, about {duration(forecast.seconds_left)} left (estimate)"


def duration(seconds: float) -> str:
    """``50 s``, ``12 min`` or ``1 h 05 min``."""
    if seconds < 90:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _short(value: float) -> str:
    """A count in full, a measurement to three digits."""
    return str(value) if isinstance(value, int) else f"{value:.3g}"
