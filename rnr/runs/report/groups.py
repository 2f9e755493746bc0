"""The rollouts of a run for its page: a sample of groups, read without holding the file, and the bar of steps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnr.evaluation.error_types import outcomes
from rnr.files.jsonl import whole_lines, whole_rows
from rnr.runs.saved_rollouts import example_of
from rnr.task.chains import grounded
from rnr.task.parsing import parse
from rnr.types import Example

MOST_GROUPS = 360
MOST_BYTES = 4_500_000
"""Size in the file of the rows that are shown."""
MOST_STEPS = 1_200

Place = tuple[int, int]
"""Where a row begins in the file, and how long it is."""


@dataclass(slots=True)
class _Group:
    """What is remembered of a group while the file is read."""

    step: int
    uid: str
    dropped: str | None
    rows: list[Place]
    rewards: list[float]
    invalid: int = 0

    @property
    def bytes(self) -> int:
        return sum(length for _, length in self.rows)


def read_groups(folder: Path) -> dict[str, Any]:
    """``steps``, one row per step; ``groups``, the sample; ``all_groups`` and ``all_rollouts``, the totals."""
    file = folder / "rollouts.jsonl"
    if not file.is_file():
        return {"steps": [], "groups": [], "all_groups": 0, "all_rollouts": 0}
    index = list(_index(file).values())
    tokens = _tokens(folder / "tokens.jsonl")
    chosen = _sample(index, {key[:2] for key in tokens})
    with file.open("rb") as stream:
        groups = [_shown(group, [_row(stream, place) for place in group.rows], tokens) for group in chosen]
    return {
        "steps": _steps(index),
        "groups": groups,
        "all_groups": len(index),
        "all_rollouts": sum(len(group.rows) for group in index),
    }


def _index(file: Path) -> dict[tuple[int, str], _Group]:
    groups: dict[tuple[int, str], _Group] = {}
    place = 0
    for line, row in whole_lines(file):
        if row is not None:
            key = (row["step"], row["uid"])
            group = groups.setdefault(key, _Group(*key, row.get("dropped"), [], []))
            group.rows.append((place, len(line)))
            if row["reward"] is None:
                group.invalid += 1
            else:
                group.rewards.append(row["reward"])
        place += len(line)
    return groups


def _by_step(index: Sequence[_Group]) -> dict[int, list[_Group]]:
    groups: dict[int, list[_Group]] = {}
    for group in index:
        groups.setdefault(group.step, []).append(group)
    return groups


def _steps(index: Sequence[_Group]) -> list[dict[str, Any]]:
    """A row for each step, or for some of them where there are more than fit."""
    by_step = _by_step(index)
    every = -(-len(by_step) // MOST_STEPS)
    rows = []
    for step in sorted(by_step)[:: every or 1]:
        groups = by_step[step]
        rewards = [reward for group in groups for reward in group.rewards]
        rows.append(
            {
                "step": step,
                "groups": len(groups),
                "dropped": sum(group.dropped is not None for group in groups),
                "invalid": sum(group.invalid for group in groups),
                "reward": sum(rewards) / len(rewards) if rewards else None,
            }
        )
    return rows


def _sample(index: Sequence[_Group], with_tokens: set[tuple[int, str]]) -> list[_Group]:
    """Groups of as many steps as possible, spread evenly; of a step those with token values and a discarded one first,
    then the widest spread."""
    by_step = _by_step(index)
    for groups in by_step.values():
        groups.sort(key=lambda group: ((group.step, group.uid) not in with_tokens, -_spread(group)))
        dropped = next((group for group in groups[1:] if group.dropped is not None), None)
        if dropped is not None:
            groups.remove(dropped)
            groups.insert(1, dropped)
    steps = sorted(by_step)
    every = -(-len(steps) // MOST_GROUPS) or 1
    turns: Iterator[_Group] = (
        by_step[step][turn]
        for turn in range(max(map(len, by_step.values()), default=0))
        for step in dict.fromkeys([*steps[::every], *steps[-1:]])
        if turn < len(by_step[step])
    )
    chosen: list[_Group] = []
    size = 0
    for group in turns:
        size += group.bytes
        if len(chosen) == MOST_GROUPS or (size > MOST_BYTES and chosen):
            break
        chosen.append(group)
    return sorted(chosen, key=lambda group: group.step)


def _spread(group: _Group) -> float:
    return max(group.rewards) - min(group.rewards) if group.rewards else 0.0


def _row(stream: Any, place: Place) -> dict[str, Any]:
    stream.seek(place[0])
    return json.loads(stream.read(place[1]))


def marks_of(example: Example, text: str) -> list[dict[str, Any]]:
    """The entities of a completion and those that it missed, as JSON."""
    return [asdict(entity) for entity in outcomes(example, grounded(parse(text), example.sentence).mentions)]


def _shown(group: _Group, rows: Sequence[Mapping[str, Any]], tokens: Mapping[Any, Any]) -> dict[str, Any]:
    example = example_of(rows[0])
    rollouts = [
        {
            "number": number,
            "text": row["text"],
            "reward": row["reward"],
            "parts": row["reward_parts"],
            "invalid": row["invalid"],
            "error": row["parse_error"],
            "advantage": row["advantage"],
            "finished": row["finished"],
            "length": row["tokens"],
            "version": row["policy_version"],
            "marks": marks_of(example, row["text"]),
            "tokens": tokens.get((group.step, group.uid, number)),
        }
        for number, row in enumerate(rows)
    ]
    rollouts.sort(key=lambda rollout: (rollout["reward"] is None, -(rollout["reward"] or 0.0)))
    return {
        "step": group.step,
        "uid": group.uid,
        "sentence": example.sentence,
        "labels": list(example.schema),
        "gold": [[mention.start, mention.end, mention.label] for mention in example.mentions],
        "dropped": group.dropped,
        "rollouts": rollouts,
    }


def _tokens(file: Path) -> dict[tuple[int, str, int], dict[str, Any]]:
    """(step, uid, number of the rollout) -> its token values."""
    return {(row.pop("step"), row.pop("uid"), row.pop("rollout")): row for row in whole_rows(file)}
