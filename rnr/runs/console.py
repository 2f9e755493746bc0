"""Terminal output: progress, metrics and the time left, as plain lines."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console as RichConsole
from rich.table import Table

SHOWN = {
    "reward": "reward/mean",
    "F1": "ner/f1",
    "tokens": "response_length/mean",
    "cut": "response_length/clip_ratio",
    "sample s": "timing_s/gen",
    "train s": "timing_s/update_actor",
}
"""What the terminal shows of a GRPO step."""


class Console:
    """Plain lines, so that a log file reads as the terminal does."""

    def __init__(self) -> None:
        self._out = RichConsole(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line with the time of day."""
        self._out.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False)

    def stage(self, name: str, first: int, steps: int) -> "StageClock":
        """A clock for the steps ``first`` to ``steps`` of a stage."""
        return StageClock(self, name, first, steps)

    def table(self, scores: Mapping[str, Mapping[str, Any]]) -> None:
        """F1 of each stage on each data set, with the average and the share of finished answers."""
        stages = [stage for stage in ("base", "sft", "grpo") if stage in scores]
        if not stages:
            return
        titles = {"base": "before training", "sft": "after SFT", "grpo": "after GRPO"}
        table = Table("F1", *(titles[stage] for stage in stages), title="What was gained")
        for data_set in scores[stages[0]]["by_data_set"]:
            table.add_row(data_set, *(f"{scores[stage]['by_data_set'][data_set]['f1']:.1f}" for stage in stages))
        table.add_row("average", *(f"{scores[stage]['f1']:.1f}" for stage in stages), style="bold")
        table.add_row("finished %", *(f"{scores[stage]['finished']:.0f}" for stage in stages))
        self._out.print(table)


class StageClock:
    """Prints a step's metrics and the time left in the stage."""

    def __init__(self, console: Console, name: str, first: int, steps: int) -> None:
        self._console = console
        self._name = name
        self._first = first
        self._steps = steps
        self._begin = time.monotonic()
        self._printed = 0.0

    def step(self, step: int, numbers: Mapping[str, float]) -> None:
        """Report a step that has just ended; at most one line in two seconds, but always the last."""
        now = time.monotonic()
        done = step + 1 - self._first
        if now - self._printed < 2 and step + 1 < self._steps:
            return
        self._printed = now
        left = (now - self._begin) / done * (self._steps - step - 1)
        shown = "  ".join(f"{name} {_short(value)}" for name, value in numbers.items())
        self._console.say(f"{self._name} {step + 1}/{self._steps}  {shown}  {_duration(left)} left")


def _short(value: float) -> str:
    """A count in full, a measurement to three digits."""
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
