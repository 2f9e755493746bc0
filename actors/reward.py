"""``RewardWorker``: groups -> scored groups, as a plain class; the cluster makes a Ray actor of it."""

from collections.abc import Mapping

from rewards.composite import score, score_group, with_part
from rewards.credit import credit
from rewards.overlong import overlong
from rnr.types import Credit, Group, Reward, ScoredGroup


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
        example, rollouts = group.prompt.example, group.rollouts
        scored = score_group(example, rollouts, preset=self._preset, weights=self._weights)
        return ScoredGroup(
            group=group,
            answers=tuple(answer for answer, _ in scored),
            rewards=tuple(
                self._shortened(reward, len(rollout.token_ids))
                for (_, reward), rollout in zip(scored, rollouts, strict=True)
            ),
            credits=tuple(
                credit(example, answer, rollout) for (answer, _), rollout in zip(scored, rollouts, strict=True)
            ),
        )

    def _shortened(self, reward: Reward, tokens: int) -> Reward:
        """The reward less what a completion of so many tokens loses near the limit."""
        if not self._overlong_tokens:
            return reward
        return with_part(reward, "overlong", overlong(tokens, self._max_new_tokens, self._overlong_tokens))

    def ping(self) -> bool:
        """True, as soon as the worker can work."""
        return True


def invalid_group(group: Group, cause: str) -> ScoredGroup:
    """The group with its answers and an invalid reward for each: it is in no baseline and in no loss, and counted."""
    count = len(group.rollouts)
    return ScoredGroup(
        group=group,
        # Read by the default preset, which is ours: the reward that failed is not called again.
        answers=tuple(score(group.prompt.example, r.text, r.finished)[0] for r in group.rollouts),
        rewards=(Reward(total=None, invalid=cause),) * count,
        credits=(Credit(),) * count,
    )
