"""``RewardWorker``: groups -> scored groups, as a plain class; the cluster makes a Ray actor of it."""

from rewards.composite import score_group
from rnr.config import RewardConfig
from rnr.types import Group, ScoredGroup


class RewardWorker:
    """Stateless: any worker can score any group, again if need be."""

    def __init__(self, options: RewardConfig, *, max_new_tokens: int) -> None:
        self._options = options
        self._max_new_tokens = max_new_tokens

    def score(self, group: Group) -> ScoredGroup:
        """The group with a parsed answer and a reward for each of its rollouts."""
        return score_group(group, self._options, max_new_tokens=self._max_new_tokens)

    def ping(self) -> bool:
        """True, as soon as the worker can work."""
        return True
