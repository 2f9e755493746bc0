"""Metrics and rollouts of a run, as JSONL and in Weights & Biases.

Lines are written whole, so a killed run loses at most the current step; ``rewind`` removes the steps that a resumed run
repeats.
"""

import json
import math
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rnr.evaluation.metrics import Counts
from rnr.evaluation.rollout_metrics import answer_chain_counts
from rnr.files import append_whole, json_line, significant, write_whole
from rnr.types import Example, ScoredGroup

Advantages = Mapping[str, Sequence[float | None]]
"""Uid of a group -> the advantage of each of its rollouts."""


class Tracker:
    """Writes ``metrics.jsonl`` and ``rollouts.jsonl`` in a run folder, and logs the metrics to wandb if asked."""

    def __init__(self, folder: Path, *, wandb_project: str, name: str, config: Mapping[str, Any]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._wandb: Any = None
        if wandb_project:
            self._wandb = _start_wandb(folder, wandb_project, name, config)

    def log(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """One line of ``metrics.jsonl``, to six significant digits; the same numbers go to wandb on the axis
        ``{stage}/step``. A number that is not finite is null there, and ``infra/non_finite_metrics`` says how many are.
        """
        if strange := sum(not math.isfinite(value) for value in metrics.values()):
            metrics = {**metrics, "infra/non_finite_metrics": strange}
        rounded = {name: significant(value) for name, value in sorted(metrics.items())}
        self._append("metrics.jsonl", [{"stage": stage, "step": step, **rounded}])
        if self._wandb is not None:
            self._wandb.log({**metrics, f"{stage}/step": step})

    def log_rollouts(
        self, step: int, groups: Iterable[ScoredGroup], dropped: Mapping[str, str], advantages: Advantages
    ) -> None:
        """One line of ``rollouts.jsonl`` for each rollout of a step."""
        rows = (row for scored in groups for row in rollout_rows(step, scored, dropped, advantages))
        self._append("rollouts.jsonl", rows)

    def log_tokens(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Lines of ``tokens.jsonl`` (``rnr/runs/token_values.py``)."""
        self._append("tokens.jsonl", rows)

    def log_examples(self, examples: Iterable[Example]) -> None:
        """``evaluation.jsonl``: the sentences that are evaluated on, with their gold, so that what comes out of a run
        can be looked at without its data."""
        write_whole(self._folder / "evaluation.jsonl", "".join(json_line(asdict(example)) for example in examples))

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        append_whole(self._folder / name, "".join(json_line(row) for row in rows))

    def rewind(self, stage: str, step: int) -> None:
        """Remove the lines of GRPO steps from ``step`` on (of SFT steps, if ``stage`` is ``sft``)."""
        order = {"base": 0, "sft": 1, "grpo": 2}
        for name in ("metrics.jsonl", "rollouts.jsonl", "tokens.jsonl"):
            file = self._folder / name
            if not file.exists():
                continue
            kept = []
            for line in file.read_bytes().split(b"\n"):
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # cut by a kill, perhaps inside a character
                if (order.get(row.get("stage", "grpo"), 2), row["step"]) < (order[stage], step):
                    kept.append(line)
            write_whole(file, b"".join(line + b"\n" for line in kept))

    def finish(self) -> None:
        """Close wandb."""
        if self._wandb is not None:
            self._wandb.finish()


def rollout_rows(
    step: int, scored: ScoredGroup, dropped: Mapping[str, str], advantages: Advantages
) -> Iterable[dict[str, Any]]:
    """A row for each rollout of a group; ``advantage`` is the mean of its tokens, None where it was not trained on."""
    example = scored.group.prompt.example
    taught = advantages.get(example.uid, [None] * len(scored.rewards))
    for rollout, reward, answer, advantage in zip(
        scored.group.rollouts, scored.rewards, scored.answers, taught, strict=True
    ):
        tags = answer_chain_counts(example, answer) or Counts()
        yield {
            "step": step,
            "uid": example.uid,
            "sentence": example.sentence,
            "labels": list(example.schema),
            "gold": [[mention.text, mention.label, mention.start, mention.end] for mention in example.mentions],
            "text": rollout.text,
            "finished": rollout.finished,
            "reward": reward.total,
            "reward_parts": dict(reward.parts),
            "invalid": reward.invalid,
            "parse_error": answer.error,
            "marks": {"right": tags.true_positives, "all": tags.true_positives + tags.false_positives},
            "advantage": None if advantage is None else significant(advantage),
            "dropped": dropped.get(example.uid),
            "policy_version": rollout.policy_version,
            "tokens": len(rollout.token_ids),
        }


def wandb_id(folder: Path) -> str:
    """The W&B id of the run in ``folder``: drawn once and kept in ``wandb-id``, so that a resumption has it too."""
    file = folder / "wandb-id"
    if not file.is_file():
        write_whole(file, secrets.token_hex(6))
    return file.read_text().strip()


def _start_wandb(folder: Path, project: str, name: str, config: Mapping[str, Any]) -> Any:
    import wandb

    # Without a key wandb would ask at the terminal; offline, the run is kept in the folder for a later `wandb sync`.
    if "WANDB_MODE" not in os.environ:
        os.environ["WANDB_MODE"] = "online" if os.environ.get("WANDB_API_KEY") else "offline"
    settings = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
    run = wandb.init(
        project=project,
        name=name,
        dir=str(folder),
        config=dict(config),
        id=wandb_id(folder),
        resume="allow",
        settings=settings,
    )
    for stage in ("sft", "grpo"):
        run.define_metric(f"{stage}/step")
    run.define_metric("sft/*", step_metric="sft/step")
    for prefix in (
        "actor",
        "reward",
        "rewards",
        "rollout_corr",
        "training",
        "timing_s",
        "infra",
        "val",
        "async",
        "ner",
        "rollout",
        "perf",
    ):
        run.define_metric(f"{prefix}/*", step_metric="grpo/step")
    return run
