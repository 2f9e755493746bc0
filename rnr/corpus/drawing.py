"""Draws examples: evenly or by weight, thinned by their mentions, split into training and test."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from rnr.corpus.decontamination import sentence_key
from rnr.messages import counted
from rnr.types import Example


def by_source(example: Example) -> str:
    """What ``draw`` usually draws evenly over."""
    return example.source


LARGEST_SOURCE = 10_000
"""A source with more sentences than this counts as one with as many (the paper's ``max_count``)."""


def draw(
    examples: Sequence[Example],
    count: int,
    seed: int,
    group: Callable[[Example], str] = by_source,
    mixture: Mapping[str, float] | Literal["size"] = MappingProxyType({}),
) -> list[Example]:
    """At most ``count`` examples (0: all), shuffled by seed: the same number from each group as far as it has them.

    With weights by source in ``mixture`` (1 where there is none) the numbers are in that proportion: weights 2 and 1
    give 4 and 2 of 6. With ``size`` the weight of a source is the number of its examples, or ``LARGEST_SOURCE``, as the
    paper draws its GRPO prompts. Raises ValueError for a source that does not occur and for a weight that is not
    positive.
    """
    sizes = Counter(example.source for example in examples)
    if mixture == "size":
        mixture = {source: min(size, LARGEST_SOURCE) for source, size in sizes.items()}
    for source, weight in mixture.items():
        if source not in sizes or weight <= 0:
            known = f"the sources are {', '.join(sorted(sizes))}; weights are positive"
            raise ValueError(f"data.mixture: {source!r} = {weight:g}: {known}")
    generator = random.Random(seed)
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(group(example), []).append(example)
    turns: list[tuple[float, str, Example]] = []
    for name in sorted(groups):
        generator.shuffle(groups[name])
        # The n-th of a group has its turn at n / weight: all groups are used up at that pace.
        turns += [
            (number / mixture.get(example.source, 1.0), name, example) for number, example in enumerate(groups[name], 1)
        ]
    turns.sort(key=lambda turn: turn[:2])
    drawn = [example for _, _, example in turns[: count or None]]
    generator.shuffle(drawn)
    return drawn


def thin(examples: Sequence[Example], shares: Sequence[float], seed: int) -> list[Example]:
    """The examples with a random share of those without a mention, with one, and so on: ``shares`` in this order, and
    all that have more mentions than ``shares`` names."""
    generator = random.Random(seed)
    return [
        example
        for example in examples
        if len(example.mentions) >= len(shares) or generator.random() < shares[len(example.mentions)]
    ]


def split(examples: Sequence[Example], test_share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and test examples, in their order: ``test_share`` of the sentences of each source, drawn by seed.

    All examples of one sentence (ignoring case, white space and punctuation) are on the same side.
    """
    by_sentence: dict[str, list[Example]] = {}
    for example in examples:
        by_sentence.setdefault(sentence_key(example.sentence), []).append(example)
    keys_of: dict[str, list[str]] = {}
    for key, same in by_sentence.items():
        keys_of.setdefault(same[0].source, []).append(key)
    generator = random.Random(seed)
    test: set[str] = set()
    for source in sorted(keys_of):
        test.update(generator.sample(keys_of[source], round(test_share * len(keys_of[source]))))
    sides: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        sides[sentence_key(example.sentence) in test].append(example)
    return sides


def other_share(sides: tuple[Sequence[Example], Sequence[Example]], test_share: float) -> str:
    """Why the test side of a split is a sentence or more off its share; empty if it is not."""
    train, test = sides
    every = len(train) + len(test)
    if abs(len(test) - test_share * every) < 1:
        return ""
    copies = every - len({sentence_key(example.sentence) for side in sides for example in side})
    if copies:
        return f"all copies of a sentence are on one side ({counted(copies, 'copy', 'copies')})"
    return "small sources round their shares to whole sentences"


def draw_from_each(examples: Sequence[Example], count: int) -> list[Example]:
    """At most ``count`` examples of each data set (0: all), always the same ones."""
    if not count:
        return list(examples)
    by_data_set: dict[str, list[Example]] = {}
    for example in examples:
        by_data_set.setdefault(example.source, []).append(example)
    # Seed 0, not the run's: runs that are compared must answer the same sentences.
    return [example for name in sorted(by_data_set) for example in draw(by_data_set[name], count, 0)]
