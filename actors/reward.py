"""Scorers as plain classes; the cluster makes Ray actors of them."""

import asyncio
import sys
from collections.abc import Sequence

from rewards import custom
from rewards.composite import score_group
from rnr.config import RewardConfig, ScorerConfig
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
            custom.check(self._options.preset, self._options.range, seconds=self._options.trial_seconds)

    def score(self, group: Group) -> ScoredGroup:
        """The group with a parsed answer and a reward for each of its rollouts."""
        return score_group(group, self._options, max_new_tokens=self._max_new_tokens)


class ScorerWorker:
    """A further scorer: a function or class of the user's own (``rewards.custom``). A class is made once in each
    worker, so a verifier loads its model there."""

    def __init__(
        self,
        scorer: ScorerConfig,
        *,
        trial_seconds: float,
        parts: Sequence[str] = custom.OF_EVERY_REWARD,
        import_path: Sequence[str] = (),
    ) -> None:
        """``parts`` are those of a reward, by name, when it comes here."""
        _extend_path(import_path)
        self._scorer = scorer
        self._trial = {"seconds": trial_seconds, "parts": parts}
        self._own: custom.CustomReward | None = None

    async def start(self) -> None:
        """Load it and try it here, where it will run; raises ValueError naming what is wrong."""
        self._own = await asyncio.to_thread(custom.CustomReward, self._scorer.use, self._scorer.arguments)
        if problem := await custom.trial_here(self._own, custom.ANY_NUMBER, **self._trial):
            raise ValueError(problem)

    async def values(self, scored: ScoredGroup) -> list[float | str]:
        """A number for each rollout, or the cause for which there is none."""
        assert self._own is not None, "start() comes first"
        # With one group at a time nothing else waits for the loop, and a breakpoint is in the main thread.
        several = self._scorer.groups_at_once > 1
        return await self._own.values_async(scored, custom.ANY_NUMBER, in_thread=several)


def _extend_path(import_path: Sequence[str]) -> None:
    sys.path += [folder for folder in import_path if folder not in sys.path]
