"""The reward of the benchmarks: ``reward.preset = "scripts.benchmarks.made_up_reward:zero_and_one"``.

An untrained model earns 0 for every completion, and groups without spread are dropped. These rewards ignore the answer
and alternate, so that every rollout of a group of two or more is trained on.
"""

import itertools

from rnr.types import Answer, Example

_VALUES = itertools.cycle((0.0, 1.0))


def zero_and_one(_example: Example, _answer: Answer) -> float:
    """0 and 1, alternating from call to call."""
    return next(_VALUES)
