"""Metrics and rollouts of a run, as JSONL, and in Weights & Biases and TensorBoard where that is asked for.

Lines are written whole, so a killed run loses at most the current step; ``rewind`` removes the steps that a resumed run
repeats.
"""

import math
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rnr.config import TrackingConfig
from rnr.evaluation.metrics import Counts, exact_counts
from rnr.evaluation.rollout_metrics import answer_chain_counts
from rnr.evaluation.scoring import Evaluation
from rnr.files import append_whole, json_line, keep_lines, whole_rows, write_whole
from rnr.runs.tensorboard_run import TensorboardRun
from rnr.runs.wandb_run import WandbRun
from rnr.task.aggregation import Chosen
from rnr.types import Example, Mention, ScoredGroup

Advantages = Mapping[str, Sequence[float | None]]
"""Uid of a group -> the advantage of each of its rollouts."""
FINISH_SECONDS = 300.0
"""W&B uploads what is left; one that has lost its own process waits for ever."""


class Tracker:
    """Writes ``metrics.jsonl`` and ``rollouts.jsonl`` in a run folder, and tells W&B and TensorBoard if asked."""

    def __init__(self, folder: Path, *, options: TrackingConfig, name: str, config: Mapping[str, Any]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._wandb: WandbRun | None = None
        if options.wandb_project:
            done = _sft_steps(folder / "metrics.jsonl")
            self._wandb = WandbRun(folder, options, name, config, sft_steps=done)
        self._tensorboard = TensorboardRun(folder) if options.tensorboard else None

    def log(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """One line of ``metrics.jsonl``, to six significant digits; the same numbers go elsewhere. A number that is not
        finite is null there, and ``infra/non_finite_metrics`` says how many are."""
        if strange := sum(not math.isfinite(value) for value in metrics.values()):
            metrics = {**metrics, "infra/non_finite_metrics": strange}
        rounded = {name: significant(value) for name, value in sorted(metrics.items())}
        self._append("metrics.jsonl", [{"stage": stage, "step": step, **rounded}])
        for other in (self._wandb, self._tensorboard):
            if other is not None:
                other.log(stage, step, metrics)

    def log_rollouts(
        self, step: int, groups: Iterable[ScoredGroup], dropped: Mapping[str, str], advantages: Advantages
    ) -> None:
        """One line of ``rollouts.jsonl`` for each rollout of a step."""
        rows = [row for scored in groups for row in rollout_rows(step, scored, dropped, advantages)]
        self._append("rollouts.jsonl", rows)
        if self._wandb is not None:
            self._wandb.log_rollouts(step, rows)

    def log_evaluation(
        self, name: str, stage: str, step: int, result: Evaluation, answers: Iterable[tuple[Example, Chosen]]
    ) -> None:
        """The metrics of an evaluation, and its answers as a table where there are tables."""
        self.log(stage, step, result.metrics())
        if self._wandb is not None:
            self._wandb.log_evaluation(name, stage, step, [evaluation_row(*pair) for pair in answers])

    def log_tokens(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Lines of ``tokens.jsonl`` (``rnr/runs/token_values.py``)."""
        self._append("tokens.jsonl", rows)

    def log_examples(self, examples: Iterable[Example]) -> None:
        """``evaluation.jsonl``: the sentences that are evaluated on, with their gold, so that what comes out of a run
        can be looked at without its data."""
        write_whole(self._folder / "evaluation.jsonl", "".join(json_line(asdict(example)) for example in examples))

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        append_whole(self._folder / name, "".join(json_line(row) for row in rows))

    def rewind(self, stage: str, step: int, *, evaluated: bool = True) -> None:
        """Remove the lines of GRPO steps from ``step`` on (of SFT steps, if ``stage`` is ``sft``), and those of the
        evaluation after the step before it unless that was ``evaluated``: it will be made again."""
        order = {"base": 0, "sft": 1, "grpo": 2}

        def wanted(row: Any) -> bool:
            at = order.get(row.get("stage", "grpo"), 2), row["step"]
            again = not evaluated and "val/f1" in row and at == (order[stage], step - 1)
            return at < (order[stage], step) and not again

        for name in ("metrics.jsonl", "rollouts.jsonl", "tokens.jsonl"):
            keep_lines(self._folder / name, wanted)

    def finish(self) -> None:
        """Close what was told. What cannot be closed, or not within ``FINISH_SECONDS``, is said and no reason for a run
        to fail or to hang: its files are in the run folder."""
        if self._wandb is not None and (why := _prevents(self._wandb.finish)):
            print(f"W&B is not closed: {why}", file=sys.stderr)
            self._wandb.abandon()
        if self._tensorboard is not None and (why := _prevents(self._tensorboard.finish)):
            print(f"TensorBoard is not closed: {why}", file=sys.stderr)


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


def _prevents(finish: Callable[[], None]) -> str:
    """What prevents this call; empty once it is made."""
    failures: list[str] = []

    def call() -> None:
        try:
            finish()
        except Exception as error:  # whatever it is, the run itself has ended as it has
            failures.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=call, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the interpreter ends, and takes no thread any more
        return str(error)
    thread.join(FINISH_SECONDS)
    if thread.is_alive():
        return f"no end within {FINISH_SECONDS:g} s"
    return "".join(failures)


def _listed(mentions: Iterable[Mention]) -> str:
    return "; ".join(f"{mention.text} [{mention.label}]" for mention in mentions)


def _sft_steps(file: Path) -> int:
    """How many SFT steps ``metrics.jsonl`` tells of."""
    return max((row["step"] + 1 for row in whole_rows(file) if row["stage"] == "sft"), default=0)


def significant(value: float) -> float:
    """The number to six significant digits; whole numbers as they are. 3.14159265e-7 -> 3.14159e-07."""
    return value if float(value).is_integer() else float(f"{value:.6g}")
