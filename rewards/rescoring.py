"""Re-score saved rollouts in this process, and summarise what another reward would change."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

from rewards.advantage import is_flat
from rewards.composite import added, score_group
from rewards.user import custom
from rnr.config import RewardConfig, ScorerConfig
from rnr.types import Group, Reward, ScoredGroup


def rescore_rollouts(group: Group, options: RewardConfig, *, max_new_tokens: int) -> ScoredGroup:
    """The group with the rewards of a run with these options; scorers that need a GPU are skipped."""
    scored = score_group(group, options, max_new_tokens=max_new_tokens)
    for scorer in options.scorers:
        if scorer.gpus:
            continue
        values = _own(scorer.model_dump_json()).values(scored, custom.ANY_NUMBER)
        rewards = tuple(
            added(reward, scorer.called, value, weight=scorer.weight, bounds=options.range)
            for reward, value in zip(scored.rewards, values, strict=True)
        )
        scored = ScoredGroup(group=group, rewards=rewards, answers=scored.answers)
    return scored


@lru_cache(maxsize=64)
def _own(scorer: str) -> custom.CustomReward:
    """The scorer that this JSON configures, made once: its class may load a model."""
    config = ScorerConfig.model_validate_json(scorer)
    return custom.CustomReward(config.use, config.arguments)


@dataclass(slots=True)
class Change:
    """What another reward would change, summed over groups."""

    groups: int = 0
    rollouts: int = 0
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    invalid_before: int = 0
    invalid_after: int = 0
    causes: dict[str, int] = field(default_factory=dict)
    """Why the new reward is invalid -> how often."""
    pairs: int = 0
    """Pairs of rollouts of one group that both rewards can compare."""
    turned: int = 0
    """Those among them whose order the new reward changes, including new and broken ties."""
    taught_before: int = 0
    taught_after: int = 0
    """Groups with a spread of valid rewards, the only ones with a learning signal."""

    def add(self, before: Sequence[float | None], after: Sequence[Reward]) -> float:
        """Add a group; returns the share of its pairs whose order changes."""
        now = [reward.total for reward in after]
        self.groups += 1
        self.rollouts += len(now)
        self.before += [value for value in before if value is not None]
        self.after += [value for value in now if value is not None]
        self.invalid_before += sum(value is None for value in before)
        self.invalid_after += sum(value is None for value in now)
        for reward in after:
            if reward.invalid:
                cause = reward.invalid.partition(":")[0]
                self.causes[cause] = self.causes.get(cause, 0) + 1
        self.taught_before += _spread(before)
        self.taught_after += _spread(now)
        both = [(old, new) for old, new in zip(before, now, strict=True) if old is not None and new is not None]
        pairs = list(combinations(both, 2))
        turned = sum(_sign(one[0] - other[0]) != _sign(one[1] - other[1]) for one, other in pairs)
        self.pairs += len(pairs)
        self.turned += turned
        return turned / len(pairs) if pairs else 0.0


def _spread(values: Sequence[float | None]) -> bool:
    return not is_flat([value for value in values if value is not None])


def _sign(value: float) -> int:
    return (value > 1e-9) - (value < -1e-9)
