"""``RewardWorker``: groups -> scored groups, as a plain class; the cluster makes a Ray actor of it."""

from collections.abc import Mapping

from rewards.composite import score
from rnr.types import Group, ScoredGroup


class RewardWorker:
    """Stateless: any worker can score any group, again if need be."""

    def __init__(self, *, preset: str, weights: Mapping[str, float]) -> None:
        self._preset = preset
        self._weights = dict(weights)

    def score(self, group: Group) -> ScoredGroup:
        """The group with a parsed answer and a reward for each of its rollouts."""
        example = group.prompt.example
        scored = [
            score(example, rollout.text, rollout.finished, preset=self._preset, weights=self._weights)
            for rollout in group.rollouts
        ]
        return ScoredGroup(
            group=group,
            answers=tuple(answer for answer, _ in scored),
            rewards=tuple(reward for _, reward in scored),
        )

    def ping(self) -> bool:
        """True, as soon as the worker can work."""
        return True
