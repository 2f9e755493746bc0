"""Scorers as plain classes; the cluster makes Ray actors of them."""

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rewards.composite import invalid_group, score_group
from rewards.user import custom, trial
from rnr.config import RewardConfig, ScorerConfig
from rnr.types import Group, ScoredGroup


class RewardWorker:
    """The reward preset. Stateless: any worker can score any group, even twice."""

    def __init__(
        self, options: RewardConfig, *, max_new_tokens: int, import_path: Sequence[str] = (), heeds_ctrl_c: bool = True
    ) -> None:
        """``import_path`` is the driver's module search path, which includes a user's reward. Where no Ctrl-C arrives,
        ``heeds_ctrl_c`` is false: a KeyboardInterrupt is the reward's own then."""
        self._heeds_ctrl_c = heeds_ctrl_c
        _extend_path(import_path)
        self._options = options
        self._max_new_tokens = max_new_tokens

    def start(self) -> None:
        """Try a user's own reward here, where it will run; raises ValueError if it cannot be used."""
        if ":" in self._options.preset:
            trial.check(self._options.preset, self._options.range, seconds=self._options.trial_seconds)

    def score(self, group: Group) -> ScoredGroup:
        """The group with a parsed answer and a reward for each of its rollouts."""
        try:
            return score_group(group, self._options, max_new_tokens=self._max_new_tokens)
        except KeyboardInterrupt:
            if self._heeds_ctrl_c:
                raise
            return invalid_group(group, "KeyboardInterrupt: raised by the reward")


class ScorerWorker:
    """A further scorer: a function or class of the user's own (``rewards.user.custom``). A class is made once in each
    worker, so a verifier loads its model there."""

    def __init__(
        self,
        scorer: ScorerConfig,
        *,
        trial_seconds: float,
        parts: Sequence[str] = custom.OF_EVERY_REWARD,
        import_path: Sequence[str] = (),
        in_thread: bool = True,
    ) -> None:
        """``parts`` are those of a reward, by name, when it comes here. Without ``in_thread`` it is called in the
        thread of the event loop, one group after another: a breakpoint is in the main thread."""
        _extend_path(import_path)
        self._scorer = scorer
        self._trial = {"seconds": trial_seconds, "parts": parts}
        self._own: custom.CustomReward | None = None
        # With one group at a time there is one thread: some connections work in that alone which has opened them.
        self._threads = ThreadPoolExecutor(scorer.groups_at_once) if in_thread else None

    async def start(self) -> None:
        """Load it and try it here, where it will run; raises ValueError naming what is wrong."""
        use, arguments = self._scorer.use, self._scorer.arguments
        if self._threads is None:
            own = custom.CustomReward(use, arguments)
        else:
            loop = asyncio.get_running_loop()
            own = await loop.run_in_executor(self._threads, custom.CustomReward, use, arguments)
        if problem := await trial.trial_here(own, custom.ANY_NUMBER, self._threads, **self._trial):
            raise ValueError(problem)
        self._own = own

    async def values(self, scored: ScoredGroup) -> list[float | str]:
        """A number for each rollout, or the cause for which there is none."""
        assert self._own is not None, "start() comes first"
        return await self._own.values_async(scored, custom.ANY_NUMBER, self._threads)


def _extend_path(import_path: Sequence[str]) -> None:
    sys.path += [folder for folder in import_path if folder not in sys.path]
