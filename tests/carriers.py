"""Carriers with everything that a test does not care about filled in."""

from collections.abc import Sequence

from rnr.types import Rollout, Segment


def rollout(
    text: str = "",
    *,
    token_ids: Sequence[int] = (1,),
    logprobs: Sequence[float] | None = None,
    finished: bool = True,
    policy_version: int = 0,
    ends: Sequence[int] = (),
) -> Rollout:
    """A completion of one segment."""
    segment = Segment(
        token_ids=tuple(token_ids),
        logprobs=tuple(logprobs) if logprobs is not None else (-1.0,) * len(token_ids),
        policy_version=policy_version,
    )
    return Rollout(segments=(segment,), text=text, finished=finished, ends=tuple(ends))
