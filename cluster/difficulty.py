"""Which prompts can teach the warm-started policy anything: those it sometimes gets right and sometimes wrong."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from cluster.loop import together
from rewards.entity_f1 import entity_f1
from rnr.files import append_whole, json_line
from rnr.types import Prompt, ScoredGroup

CHUNK = 32
"""Prompts sampled and written at a time: what a kill can cost."""

Sample = Callable[[Sequence[Prompt]], Awaitable[list[ScoredGroup]]]


async def filter_by_difficulty(
    prompts: Sequence[Prompt], sampled: Callable[[Prompt], Coroutine[Any, Any, ScoredGroup]], file: Path
) -> set[str]:
    """The uids of the prompts that are ``undecided`` by their groups, as ``sampled`` gives them."""

    async def sample(chunk: Sequence[Prompt]) -> list[ScoredGroup]:
        return await together(sampled(prompt) for prompt in chunk)

    return undecided(await measure(prompts, sample, file))


async def measure(prompts: Sequence[Prompt], sample: Sample, file: Path) -> dict[str, list[float]]:
    """Uid -> the entity F1 of each rollout of that prompt, in [0, 1].

    Every chunk is appended to ``file`` (JSONL) as soon as it is there, and what the file already has is not sampled
    again: a resumed run selects what the interrupted one would have selected.
    """
    known = _read(file)
    missing = [prompt for prompt in prompts if prompt.uid not in known]
    for start in range(0, len(missing), CHUNK):
        groups = await sample(missing[start : start + CHUNK])
        found = {scored.group.prompt.uid: _scores(scored) for scored in groups}
        append_whole(file, "".join(json_line({"uid": uid, "f1": scores}) for uid, scores in found.items()))
        known |= found
    return {prompt.uid: known[prompt.uid] for prompt in prompts}


def undecided(scores: dict[str, list[float]]) -> set[str]:
    """The uids whose rollouts are neither all right (F1 1) nor all wrong (F1 0)."""
    return {uid for uid, values in scores.items() if min(values) < 1 and max(values) > 0}


def _scores(scored: ScoredGroup) -> list[float]:
    example = scored.group.prompt.example
    return [round(entity_f1(example, answer), 6) for answer in scored.answers]


def _read(file: Path) -> dict[str, list[float]]:
    if not file.exists():
        return {}
    whole = file.read_bytes().rpartition(b"\n")[0]  # a kill may have cut the last line short
    file.write_bytes(whole + b"\n" if whole else b"")
    rows = [json.loads(line) for line in whole.splitlines()]
    return {row["uid"]: row["f1"] for row in rows}
