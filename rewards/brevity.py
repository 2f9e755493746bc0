"""Rewards short answers, but only among correct rollouts."""

from collections.abc import Sequence


def brevity(correct: Sequence[bool], lengths: Sequence[int]) -> tuple[float, ...]:
    """One value in [0, 1] for each rollout of a group, from its length in tokens.

    Fully correct rollouts get 1 (the shortest of them) down to 0 (the longest), linearly, and 1 each if
    they are equally long. All others get 0, so a wrong answer never gains by being short.
    ``[True, True, True, False], [10, 20, 30, 5]`` -> ``(1.0, 0.5, 0.0, 0.0)``.
    """
    right = [length for length, is_right in zip(lengths, correct, strict=True) if is_right]
    if not right:
        return (0.0,) * len(lengths)
    longest, spread = max(right), max(right) - min(right)
    return tuple(
        ((longest - length) / spread if spread else 1.0) if is_right else 0.0
        for length, is_right in zip(lengths, correct, strict=True)
    )
