"""``bench rewards``: completions scored per second, on one core."""

import argparse
from collections.abc import Callable

from rewards.composite import score
from rnr.config import RewardConfig
from rnr.task.parsing import ground, write
from rnr.types import Example, Mention
from scripts.benchmarks.turns import Numbers, in_turn, seconds_of

COUNT = 500
"""Completions scored per round."""


def measure(options: argparse.Namespace) -> Numbers:
    """Times of scoring completions of 600 words and five entities: the preset ``gated`` against ``paper``."""
    names = ("Ada", "Bob", "Cleo", "Dan", "Eve")
    sentence = " and ".join(names) + " met in Rome."
    mentions = ground([Mention(text=name, label="person") for name in names], sentence)
    example = Example(uid="1", sentence=sentence, schema=("person", "place"), mentions=mentions)
    text = write(mentions, reasoning="The sentence names people . " * 120)

    def scored(preset: str) -> Callable[[], float]:
        options = RewardConfig(preset=preset)
        return lambda: seconds_of(lambda: [score(example, text, True, options) for _ in range(COUNT)])

    numbers = in_turn(scored("gated"), scored("paper"), options.rounds)
    return numbers | {
        "completions_per_second": COUNT / numbers["seconds"],
        "completions_per_second_other": COUNT / numbers["seconds_other"],
    }
