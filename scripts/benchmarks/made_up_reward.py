"""The reward of the benchmarks, as ``reward.preset`` names it: ``scripts.benchmarks.made_up_reward:zero_and_one``.

What a model without training samples earns 0 everywhere, and a group without spread is not trained on. So the rewards
here mean nothing, but no two that follow each other are alike: every rollout of a group of two or more is trained on.
"""

import itertools

from rnr.types import Answer, Example

_VALUES = itertools.cycle((0.0, 1.0))


def zero_and_one(_example: Example, _answer: Answer) -> float:
    """0 and 1 in turn."""
    return next(_VALUES)
