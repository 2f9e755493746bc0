"""A run in Weights & Biases: metrics on their axes, tables, histograms, best scores; a resumed run stays one run."""

import logging
import os
import secrets
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from rnr.config import TrackingConfig
from rnr.files.whole import write_whole
from rnr.runs.guarded import prevented

logger = logging.getLogger(__name__)

ON_GRPO_STEPS = (
    "reward",
    "rewards",
    "rollout_corr",
    "training",
    "timing_s",
    "async",
    "ner",
    "rollout",
    "rollouts",
    "perf",
    "response_length",
    "prompt_length",
)
"""First parts of the metrics that only GRPO has. Metrics of both stages use ``global_step``, which every row has."""
BEST = {"val/f1": "max", "val/exact_f1": "max", "ner/f1": "max", "reward/mean": "max", "sft/loss": "min"}
"""Metric -> which value is best; the summary has the best beside the last."""
OFFLINE = "offline"
"""The run is kept in its folder for ``wandb sync``."""
SERVICE = "wandb-core"
"""Name of the process that W&B starts beside ours."""
END_SECONDS = 10.0
TABLE_EVERY = 10
"""Steps between tables of rollouts."""
TABLE_ROWS = 32


class WandbRun:
    """What a run sends to W&B."""

    def __init__(
        self,
        folder: Path,
        options: TrackingConfig,
        name: str,
        config: Mapping[str, Any],
        *,
        sft_steps: int,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> None:
        """``sft_steps`` is how many SFT steps the run has already recorded. If the server cannot be reached, the
        run is kept in its folder, unless it was ``abandoned`` in the meantime."""
        import wandb

        self._wandb: Any = wandb
        self._sft_steps = sft_steps
        begin = partial(
            wandb.init,
            project=options.wandb_project,
            name=name,
            group=options.wandb_group or None,
            job_type="train",
            tags=list(options.wandb_tags),
            dir=str(folder),
            config={**config, "git_commit": git_commit()},
            id=wandb_id(folder),
            resume="allow",
            # W&B's own git integration would also upload uncommitted changes; the commit is in the config.
            settings=wandb.Settings(silent=True, console="off", disable_git=True),
        )
        self._run: Any = _init_run(begin, options.wandb_project, folder, abandoned)
        self._define_axes()

    def _define_axes(self) -> None:
        for axis in ("global_step", "sft/step", "grpo/step"):
            self._run.define_metric(axis)
        self._run.define_metric("*", step_metric="global_step")
        self._run.define_metric("sft/*", step_metric="sft/step")
        for prefix in ON_GRPO_STEPS:
            self._run.define_metric(f"{prefix}/*", step_metric="grpo/step")
        for name, best in BEST.items():
            first = name.partition("/")[0]
            axis = "sft/step" if first == "sft" else "grpo/step" if first in ON_GRPO_STEPS else "global_step"
            self._run.define_metric(name, step_metric=axis, summary=f"{best},last")

    def log(self, stage: str, step: int, values: Mapping[str, Any]) -> None:
        """One row; it has the axis of its stage and ``global_step``, which counts the steps of both stages."""
        if stage == "sft":
            self._sft_steps = max(self._sft_steps, step + 1)
        done = {"base": 0, "sft": step + 1, "grpo": self._sft_steps + step + 1}[stage]
        axes = {"global_step": done, **({} if stage == "base" else {f"{stage}/step": step})}
        self._run.log({**values, **axes})

    def log_rollouts(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Histograms of a step's rewards, advantages and lengths; every ``TABLE_EVERY`` steps a table of rollouts."""
        columns = {name: [row[name] for row in rows if row[name] is not None] for name in ("reward", "advantage")}
        columns["tokens"] = [row["tokens"] for row in rows]
        logged: dict[str, Any] = {
            f"rollouts/{name}": self._wandb.Histogram(values) for name, values in columns.items() if values
        }
        if step % TABLE_EVERY == 0:
            logged["rollouts/table"] = self._table(rows[:TABLE_ROWS])
        self.log("grpo", step, logged)

    def log_evaluation(self, name: str, stage: str, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """A table of an evaluation's answers."""
        self.log(stage, step, {f"evaluation/{name}": self._table(rows)})

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        columns = list(rows[0]) if rows else []
        data = [[_cell(row[column]) for column in columns] for row in rows]
        return self._wandb.Table(columns=columns, data=data)

    def finish(self) -> None:
        self._run.finish()


def end_service() -> None:
    """Kill W&B's service process; otherwise Python would wait for it again at exit."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if process.name() == SERVICE:
                process.kill()

    def forget() -> None:
        import wandb

        wandb.teardown()

    prevented(forget, END_SECONDS)  # otherwise W&B would print a traceback when Python exits


def _init_run(begin: Callable[..., Any], project: str, folder: Path, abandoned: Callable[[], bool]) -> Any:
    """The W&B run; reports that it uploads, or why it does not."""
    # Without a key wandb would ask at the terminal.
    mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else OFFLINE)
    if mode in (OFFLINE, "dryrun", "disabled"):
        return begin(mode=mode)
    logger.info(
        f"W&B: metrics, and rollouts and evaluations with their sentences, are uploaded to the project {project}; "
        "--tracking.wandb_project= disables W&B"
    )
    try:
        return begin(mode=mode)
    except Exception as error:
        if abandoned():
            raise
        why = " ".join(f"{type(error).__name__}: {error}".split())
        logger.warning(
            f"could not start the W&B run ({why}); kept in the run folder; {upload_later(folder, 'offline-run-*')}"
        )
        end_service()  # it holds the run's id
        return begin(mode=OFFLINE)


def upload_later(folder: Path, runs: str = "*run-*") -> str:
    """How to upload the W&B files of the run in ``folder``."""
    return f"`wandb sync {shlex.quote(str(folder / 'wandb'))}/{runs}` uploads the W&B files later"


def _cell(value: Any) -> Any:
    """A column has one type: numbers and text as they are, anything else as text."""
    return value if value is None or isinstance(value, int | float | str) else str(value)


def wandb_id(folder: Path) -> str:
    """The W&B id of the run in ``folder``: drawn once and kept in ``wandb-id``, so that a resumed run keeps it."""
    file = folder / "wandb-id"
    if not file.is_file():
        write_whole(file, secrets.token_hex(6))
    return file.read_text().strip()


def git_commit() -> str:
    """The commit of this code; empty outside a git checkout."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
