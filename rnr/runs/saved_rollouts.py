"""The saved rollouts of a run, read back into the carriers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnr.files.jsonl import whole_rows
from rnr.messages import few
from rnr.types import Example, Group, Mention, Prompt, Rollout, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedGroup:
    """One group of a step, with its saved rows."""

    step: int
    group: Group
    """Its example has the schema of the prompt. Token ids are not saved: the number is right, the ids are all 0."""
    rows: tuple[dict[str, Any], ...]

    @property
    def rewards(self) -> list[float | None]:
        """The saved rewards; None for an invalid one."""
        return [row["reward"] for row in self.rows]


def saved_groups(folder: Path) -> Iterator[SavedGroup]:
    """All groups of ``rollouts.jsonl`` in order, one at a time; raises ValueError where there are none."""
    file = folder / "rollouts.jsonl"
    if not file.is_file():
        raise ValueError(f"{folder} has no rollouts.jsonl: GRPO has not started, or this is not a run folder")
    rows: list[dict[str, Any]] = []
    for row in whole_rows(file):
        if rows and (row["step"], row["uid"]) != (rows[0]["step"], rows[0]["uid"]):
            yield _group(rows)
            rows = []
        rows.append(row)
    if rows:
        yield _group(rows)


def find_group(folder: Path, step: int, uid: str) -> SavedGroup:
    """The group of a prompt in a step; raises ValueError listing what there is instead."""
    steps: set[int] = set()
    uids: list[str] = []
    for saved in saved_groups(folder):
        steps.add(saved.step)
        if saved.step == step:
            if saved.group.prompt.uid == uid:
                return saved
            uids.append(saved.group.prompt.uid)
    if uids:
        raise ValueError(f"step {step} has no group {uid!r}; it has {few(list(map(repr, uids)), 8)}")
    there = f"saved are steps {min(steps)} to {max(steps)}" if steps else "there are no groups"
    raise ValueError(f"no saved group of step {step}; {there} (steps count from 0)")


def example_of(row: Mapping[str, Any]) -> Example:
    """The example of a row of ``rollouts.jsonl``; those of earlier versions have no offsets, so they are looked up."""
    mentions = []
    for text, label, *place in row["gold"]:
        start = place[0] if place else row["sentence"].find(text)
        end = place[1] if place else start + len(text) if start >= 0 else -1
        mentions.append(Mention(text=text, label=label, start=start, end=end))
    return Example(uid=row["uid"], sentence=row["sentence"], schema=tuple(row["labels"]), mentions=tuple(mentions))


def _group(rows: list[dict[str, Any]]) -> SavedGroup:
    rollouts = tuple(
        Rollout(
            segments=(
                Segment(
                    token_ids=(0,) * row["tokens"],
                    logprobs=(0.0,) * row["tokens"],
                    policy_version=row["policy_version"],
                ),
            ),
            text=row["text"],
            finished=row["finished"],
        )
        for row in rows
    )
    prompt = Prompt(example=example_of(rows[0]), token_ids=())
    return SavedGroup(step=rows[0]["step"], group=Group(prompt=prompt, rollouts=rollouts), rows=tuple(rows))
