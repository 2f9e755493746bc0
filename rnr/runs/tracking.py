"""Metrics and rollouts of a run as JSONL and, if configured, in Weights & Biases and TensorBoard.

Lines are written whole, so a killed run loses at most the current step; ``rewind`` removes the steps that a resumed run
repeats.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Self

from rnr.config import TrackingConfig
from rnr.evaluation.metrics import Counts, exact_counts
from rnr.evaluation.rollout_metrics import answer_chain_counts
from rnr.evaluation.scoring import Evaluation
from rnr.faults import Stopped
from rnr.files.jsonl import json_line, keep_lines, whole_rows
from rnr.files.whole import append_whole, write_whole
from rnr.messages import counted
from rnr.runs.guarded import FINISH_SECONDS, Guarded
from rnr.runs.tensorboard_run import TensorboardRun
from rnr.runs.wandb_run import WandbRun, end_service, upload_later
from rnr.task.aggregation import Chosen
from rnr.types import Example, Mention, ScoredGroup

logger = logging.getLogger(__name__)

Advantages = Mapping[str, Sequence[float | None]]
"""Uid of a group -> the advantage of each of its rollouts."""
_HAS_ALL = "metrics.jsonl and rollouts.jsonl have everything"
STOPPED_SECONDS = 20.0
"""Time for W&B to finish when a run is asked to stop: Slurm or a cloud does not wait for long."""


class Tracker:
    """Writes ``metrics.jsonl`` and ``rollouts.jsonl`` in a run folder, and sends them to W&B and TensorBoard if
    configured.

    A method that writes files raises on failure and then leaves nothing behind. Trackers are called after the files are
    written, and fail without an exception (``Guarded``): a retry repeats neither.
    """

    def __init__(self, folder: Path, *, options: TrackingConfig, name: str, config: Mapping[str, Any]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._wandb: Guarded[WandbRun] | None = None
        if options.wandb_project:
            done = _sft_steps(folder / "metrics.jsonl")
            gone = Event()

            def abandon() -> None:
                gone.set()
                end_service()

            make = partial(WandbRun, folder, options, name, config, sft_steps=done, abandoned=gone.is_set)
            later = f"{_HAS_ALL}; {upload_later(folder)}"
            self._wandb = Guarded("W&B", make, later=later, abandon=abandon)
        self._tensorboard: Guarded[TensorboardRun] | None = None
        if options.tensorboard:
            self._tensorboard = Guarded("TensorBoard", partial(TensorboardRun, folder), later=_HAS_ALL)

    def log(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """One line of ``metrics.jsonl``, to six significant digits; the trackers get the same numbers. A number that is
        not finite becomes null, and ``infra/non_finite_metrics`` counts them."""
        if strange := sum(not math.isfinite(value) for value in metrics.values()):
            metrics = {**metrics, "infra/non_finite_metrics": strange}
        rounded = {name: significant(value) for name, value in sorted(metrics.items())}
        self._append("metrics.jsonl", [{"stage": stage, "step": step, **rounded}])
        for other in (self._wandb, self._tensorboard):
            if other is not None:
                other.call(lambda tracker: tracker.log(stage, step, metrics))

    def log_rollouts(
        self, step: int, groups: Iterable[ScoredGroup], dropped: Mapping[str, str], advantages: Advantages
    ) -> None:
        """One line of ``rollouts.jsonl`` for each rollout of a step."""
        rows = [row for scored in groups for row in rollout_rows(step, scored, dropped, advantages)]
        self._append("rollouts.jsonl", rows)
        if self._wandb is not None:
            self._wandb.call(lambda tracker: tracker.log_rollouts(step, rows))

    def log_evaluation(
        self, name: str, stage: str, step: int, result: Evaluation, answers: Iterable[tuple[Example, Chosen]]
    ) -> None:
        """The metrics of an evaluation, and its answers as a table in W&B."""
        self.log(stage, step, result.metrics())
        if self._wandb is not None:
            rows = [evaluation_row(*pair) for pair in answers]
            self._wandb.call(lambda tracker: tracker.log_evaluation(name, stage, step, rows))

    def log_tokens(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Lines of ``tokens.jsonl`` (``rnr/runs/token_values.py``)."""
        self._append("tokens.jsonl", rows)

    def log_examples(self, examples: Iterable[Example]) -> None:
        """``evaluation.jsonl``: the evaluated sentences with their gold, so that a run can be inspected without its
        data."""
        write_whole(self._folder / "evaluation.jsonl", "".join(json_line(asdict(example)) for example in examples))

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        append_whole(self._folder / name, "".join(json_line(row) for row in rows))

    def rewind(self, stage: str, step: int, *, evaluated: bool = True) -> None:
        """Remove the lines of GRPO steps from ``step`` on (of SFT steps, if ``stage`` is ``sft``). Unless
        ``evaluated``, also remove those of the evaluation after the previous step, which will be repeated."""
        order = {"base": 0, "sft": 1, "grpo": 2}

        def wanted(row: Any) -> bool:
            at = order.get(row.get("stage", "grpo"), 2), row["step"]
            # Before the first step of GRPO comes the evaluation of the warm start.
            before = at == (order[stage], step - 1) if step else (stage, row.get("stage")) == ("grpo", "sft")
            again = not evaluated and "val/f1" in row and before
            return at < (order[stage], step) and not again

        for name in ("metrics.jsonl", "rollouts.jsonl", "tokens.jsonl"):
            if damaged := keep_lines(self._folder / name, wanted):
                lines = counted(damaged, "line")
                logger.warning(f"{name}: removed {lines} that cannot be read: the file was damaged, not cut by a kill")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Close the trackers, within ``STOPPED_SECONDS`` if the run was stopped or interrupted."""
        stopped = isinstance(error, Stopped) or (error is not None and not isinstance(error, Exception))
        self.finish(STOPPED_SECONDS if stopped else FINISH_SECONDS)

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Close the trackers. One that fails, or takes more than ``seconds``, is reported."""
        for other in (self._wandb, self._tensorboard):
            if other is not None:
                other.finish(seconds)


def rollout_rows(
    step: int, scored: ScoredGroup, dropped: Mapping[str, str], advantages: Advantages
) -> Iterable[dict[str, Any]]:
    """A row for each rollout of a group; ``advantage`` is the mean over its tokens, None if it was not trained on."""
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


def evaluation_row(example: Example, found: Chosen) -> dict[str, Any]:
    """An evaluated sentence with its gold, its answer, and the F1 of the sentence by text and label."""
    return {
        "data_set": example.source,
        "sentence": example.sentence,
        "gold": _listed(example.mentions),
        "answer": _listed(found.mentions),
        "f1": exact_counts(example, found.mentions).sentence_f1,
        "error": found.error or "",
        "text": found.text,
    }


def _listed(mentions: Iterable[Mention]) -> str:
    return "; ".join(f"{mention.text} [{mention.label}]" for mention in mentions)


def _sft_steps(file: Path) -> int:
    """The number of SFT steps in ``metrics.jsonl``."""
    return max((row["step"] + 1 for row in whole_rows(file) if row["stage"] == "sft"), default=0)


def significant(value: float) -> float:
    """The number to six significant digits; whole numbers as they are. 3.14159265e-7 -> 3.14159e-07."""
    return value if float(value).is_integer() else float(f"{value:.6g}")
