"""``RewardWorker``: groups -> scored groups, as a plain class; the cluster makes a Ray actor of it."""

from collections.abc import Mapping
from dataclasses import replace

from rewards.composite import score
from rewards.credit import credit
from rewards.overlong import overlong
from rnr.types import Answer, Example, Group, Reward, Rollout, ScoredGroup


class RewardWorker:
    """Stateless: any worker can score any group, again if need be."""

    def __init__(
        self, *, preset: str, weights: Mapping[str, float], max_new_tokens: int = 0, overlong_tokens: int = 0
    ) -> None:
        self._preset = preset
        self._weights = dict(weights)
        self._max_new_tokens = max_new_tokens
        self._overlong_tokens = overlong_tokens

    def score(self, group: Group) -> ScoredGroup:
        """The group with a parsed answer, a reward and a credit for each of its rollouts."""
        scored = [self._score(group.prompt.example, rollout) for rollout in group.rollouts]
        return ScoredGroup(
            group=group,
            answers=tuple(answer for answer, _ in scored),
            rewards=tuple(reward for _, reward in scored),
            credits=tuple(
                credit(group.prompt.example, answer, rollout)
                for (answer, _), rollout in zip(scored, group.rollouts, strict=True)
            ),
        )

    def _score(self, example: Example, rollout: Rollout) -> tuple[Answer, Reward]:
        answer, reward = score(example, rollout.text, rollout.finished, preset=self._preset, weights=self._weights)
        if not self._overlong_tokens or reward.total is None:
            return answer, reward
        loss = overlong(len(rollout.token_ids), self._max_new_tokens, self._overlong_tokens)
        return answer, replace(reward, total=reward.total + loss, parts={**reward.parts, "overlong": loss})

    def ping(self) -> bool:
        """True, as soon as the worker can work."""
        return True
