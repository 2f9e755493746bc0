"""Scorers as plain classes; the cluster makes Ray actors of them."""

import asyncio
import inspect
import math
import sys
from collections.abc import Sequence
from typing import Any

from rewards import custom
from rewards.composite import score_group
from rnr.config import RewardConfig
from rnr.types import Group, ScoredGroup


class RewardWorker:
    """The reward preset. Stateless: any worker can score any group, again if need be."""

    def __init__(self, options: RewardConfig, *, max_new_tokens: int, import_path: Sequence[str] = ()) -> None:
        """``import_path`` is where the driver finds modules, a user's reward among them."""
        _extend_path(import_path)
        self._options = options
        self._max_new_tokens = max_new_tokens

    def start(self) -> None:
        """Try a user's own reward here, where it will run; raises ValueError if it cannot be used."""
        if ":" in self._options.preset:
            custom.check(self._options.preset, self._options.range)

    def score(self, group: Group) -> ScoredGroup:
        """The group with a parsed answer and a reward for each of its rollouts."""
        return score_group(group, self._options, max_new_tokens=self._max_new_tokens)


class ScorerWorker:
    """A further scorer: ``module:name`` of a function, or of a class whose instances are called.

    It takes a ``ScoredGroup`` and returns a number for each rollout; it may be asynchronous. A class is made once in
    each worker, so a verifier loads its model there.
    """

    def __init__(self, use: str, *, import_path: Sequence[str] = ()) -> None:
        _extend_path(import_path)
        self._use = use
        self._function: Any = None

    def start(self) -> None:
        """Load it; raises ValueError naming what is wrong."""
        found: Any = custom.find(self._use)
        self._function = found() if inspect.isclass(found) else found

    async def values(self, scored: ScoredGroup) -> list[float | str]:
        """A number for each rollout, or the cause for which there is none."""
        assert self._function is not None, "start() comes first"
        try:
            given = await asyncio.to_thread(self._function, scored)
            if inspect.isawaitable(given):
                given = await given
            values = [float(value) for value in given]
            if len(values) != len(scored.rewards):
                raise ValueError(f"{len(values)} values for {len(scored.rewards)} rollouts")
        # Code that is not ours: whatever is raised in it makes this group's rewards invalid, and the run goes on.
        except (Exception, SystemExit) as problem:
            return [f"{type(problem).__name__}: {self._use}: {problem}"] * len(scored.rewards)
        return [value if math.isfinite(value) else f"ValueError: {self._use} returned {value}" for value in values]


def _extend_path(import_path: Sequence[str]) -> None:
    sys.path += [folder for folder in import_path if folder not in sys.path]
