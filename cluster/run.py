"""A whole run: warm start -> GRPO -> evaluation -> export, resumable at every step."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from cluster.arrows import Arrows, to_batch
from cluster.checkpoint import Checkpoints, Progress
from cluster.controller import Metrics, Pace, causes, grpo, together
from cluster.difficulty import measure, undecided
from cluster.evaluation import evaluate
from cluster.launch import ATTEMPTS, Cluster, launched
from cluster.learner_group import LearnerLost
from cluster.prepare import Prepared
from cluster.ready import Ready
from cluster.schedule import Schedule, out_of_patience
from rewards.advantage import TrainingBatch
from rnr.config import Config
from rnr.evaluation.rollout_metrics import ner_metrics
from rnr.files import write_whole
from rnr.runs.console import Console
from rnr.runs.tracking import Tracker
from rnr.types import Prompt, ScoredGroup

SHOWN = {
    "reward": "reward/mean",
    "F1": "ner/f1",
    "tokens": "response_length/mean",
    "cut": "response_length/clip_ratio",
    "sample s": "timing_s/gen",
    "train s": "timing_s/update_actor",
}
"""What the terminal shows of a GRPO step."""


async def run(config: Config, ready: Ready) -> dict[str, Any]:
    """Carry out the run of ``config`` and return its summary, which also lies in the run folder."""
    begin = time.monotonic()
    prepared = ready.prepared
    tracker = Tracker(
        ready.folder,
        wandb_project=config.tracking.wandb_project,
        name=config.run.name,
        config=config.model_dump(mode="json"),
    )
    try:
        async with launched(
            config, model_folder=prepared.model_folder, stop_token_id=prepared.stop_token_id, probe=prepared.probe
        ) as cluster:
            setup_seconds = ready.seconds + time.monotonic() - begin
            job = Run(config, prepared, ready.schedule, cluster, ready.folder, tracker)
            return await job.to_the_end(setup_seconds)
    finally:
        tracker.finish()


class Run:
    """The stages of one run on a running cluster."""

    def __init__(
        self, config: Config, prepared: Prepared, schedule: Schedule, cluster: Cluster, folder: Path, tracker: Tracker
    ) -> None:
        self._config = config
        self._prepared = prepared
        self._schedule = schedule
        self._cluster = cluster
        self._folder = folder
        self._tracker = tracker
        self._checkpoints = Checkpoints(folder / "checkpoints", keep=config.checkpoint.keep)
        self._progress = Progress()
        self._console = Console()

    async def to_the_end(self, setup_seconds: float) -> dict[str, Any]:
        """All stages that are left, rebuilding the learner from the last checkpoint when a rank is lost."""
        rebuilds = 0
        while True:
            try:
                await self._restore()
                self._progress.seconds.setdefault("setup", round(setup_seconds, 1))
                await self._stages()
                return await self._finish()
            except* LearnerLost as lost:
                rebuilds += 1
                if rebuilds >= ATTEMPTS:
                    raise
                self._console.say(f"{causes(lost)[0]}: rebuilding all ranks from the last checkpoint")
                await self._cluster.rebuild_learner()

    async def _restore(self) -> None:
        keep_reference = self._config.grpo.kl_coefficient > 0
        learner = self._cluster.learner
        self._progress = await self._checkpoints.restore(learner, freeze_reference=keep_reference)
        if self._progress.version:
            other = self._config.sft.from_run if self._progress.step == 0 else ""
            how = f"after the warm start of {other}" if other else f"step {self._progress.step}"
            self._console.say(f"resuming at {self._progress.stage} {how}")
        stage = "grpo" if self._progress.stage == "done" else self._progress.stage
        self._tracker.rewind(stage if self._progress.version else "base", self._progress.step)
        self._arrows = Arrows(self._config, self._schedule, self._cluster, self._tracker, self._progress)
        await self._arrows.publish()

    async def _stages(self) -> None:
        progress = self._progress
        if progress.stage == "sft":
            if progress.version == 0 and self._config.evaluation.base and "base" not in progress.scores:
                await self._evaluate("base", "base", 0)
            await self._sft()
        if progress.stage == "grpo":
            await self._grpo()

    async def _sft(self) -> None:
        progress, steps = self._progress, self._schedule.sft_steps
        begin = time.monotonic()
        clock = self._console.stage("sft", progress.step, steps)
        for step in range(progress.step, steps):
            rate = self._schedule.learning_rate("sft", step)
            samples = self._schedule.sft_samples(step)
            self._tracker.phase("sft", step, "update")
            started = time.monotonic()
            metrics = await self._cluster.learner.sft_step(samples, rate)
            seconds = time.monotonic() - started
            metrics |= {"sft/lr": rate, "sft/tokens_per_s": sum(sample.length for sample in samples) / seconds}
            progress.step, progress.version = step + 1, progress.version + 1
            shown = {"loss": metrics["sft/loss"], "tok/s": metrics["sft/tokens_per_s"]}
            if self._prepared.held_out and self._due(step, steps):
                metrics["sft/held_out_loss"] = await self._cluster.learner.sft_loss(self._prepared.held_out)
                progress.held_out_losses.append(metrics["sft/held_out_loss"])
                shown["held out"] = metrics["sft/held_out_loss"]
            self._tracker.log("sft", step, metrics)
            clock.step(step, shown)
            if out_of_patience(progress.held_out_losses, self._config.sft.patience):
                self._console.say(f"sft: the held-out loss fell no more; stopped after {step + 1} of {steps} steps")
                break
            if (step + 1) % self._config.checkpoint.every_steps == 0 and step + 1 < steps:
                self._spend("sft", begin)
                begin = time.monotonic()
                await self._save()
        self._spend("sft", begin)
        if steps:
            await self._arrows.publish()
            await self._evaluate("sft", "sft", progress.step - 1)
            await self._cluster.learner.reset_optimizer()
        if self._config.grpo.kl_coefficient:
            await self._cluster.learner.freeze_reference()
        progress.stage, progress.step = "grpo", 0
        await self._save()

    async def _grpo(self) -> None:
        progress, options = self._progress, self._config.grpo
        self._begin = time.monotonic()
        if self._config.data.difficulty_rollouts:
            await self._select()
        self._clock = self._console.stage("grpo", progress.step, options.steps)
        await grpo(
            range(progress.step, options.steps),
            self._schedule.prompt,
            len(progress.consumed),
            pace=Pace(
                prompts_per_step=self._config.sampling.prompts_per_step,
                rounds=self._config.sampling.dynamic_sampling_rounds,
                max_staleness=options.max_staleness,
            ),
            rollouts=self._arrows,
            rewards=self._arrows,
            learner=self._arrows,
            weights=self._arrows,
            record=self._record,
            to_batch=partial(to_batch, self._config),
        )
        self._spend("grpo", self._begin)
        progress.stage = "done"
        await self._save()

    async def _select(self) -> None:
        """Narrow the GRPO pool to the prompts that the warm-started policy neither always solves nor never."""
        file = self._folder / "difficulty.jsonl"
        pool = self._prepared.prompts
        self._tracker.phase("grpo", self._progress.step, "selection")

        async def sample(prompts: Sequence[Prompt]) -> list[ScoredGroup]:
            count = self._config.data.difficulty_rollouts
            return await together(self._arrows.generate_and_score(prompt, count) for prompt in prompts)

        scores = await measure(pool, sample, file)
        chosen = undecided(scores)
        self._console.say(f"selection: {len(chosen)} of {len(pool)} prompts are neither always right nor always wrong")
        self._schedule.narrow(chosen)

    async def _record(self, step: int, groups: Sequence[ScoredGroup], batch: TrainingBatch, metrics: Metrics) -> None:
        progress = self._progress
        progress.step = step + 1
        progress.consumed += [scored.group.prompt.uid for scored in groups]
        progress.dropped |= batch.dropped
        rollouts = sum(len(scored.group.rollouts) for scored in groups)
        progress.samples += rollouts
        metrics["async/num_groups_dropped"] = len(batch.dropped)
        metrics["perf/samples_per_s"] = rollouts / metrics["timing_s/step"]
        tokens = sum(len(rollout.token_ids) for scored in groups for rollout in scored.group.rollouts)
        metrics["rollout/tokens_per_s"] = tokens / metrics["timing_s/gen"]
        metrics |= ner_metrics(groups)
        self._tracker.log("grpo", step, metrics | self._cluster.rollouts.metrics() | self._cluster.rewards.metrics())
        self._tracker.log_rollouts(step, groups, batch.dropped, batch.advantages)
        self._clock.step(step, {name: metrics[key] for name, key in SHOWN.items() if key in metrics})
        last = step + 1 == self._config.grpo.steps
        if self._due(step, self._config.grpo.steps):
            self._spend("grpo", self._begin)
            await self._evaluate("grpo" if last else f"grpo-{step + 1:06d}", "grpo", step)
            self._begin = time.monotonic()
        # After the last step the checkpoint of a run that is done follows at once.
        if (step + 1) % self._config.checkpoint.every_steps == 0 and not last:
            self._spend("grpo", self._begin)
            self._begin = time.monotonic()
            await self._save()

    def _due(self, step: int, steps: int) -> bool:
        """Whether something is to be evaluated after this step: every so many, and after the last."""
        every = self._config.evaluation.every_steps
        return step + 1 == steps or bool(every and (step + 1) % every == 0)

    async def _save(self) -> None:
        progress = self._progress
        self._tracker.phase(progress.stage, progress.step, "checkpoint")
        await self._checkpoints.save(progress, self._cluster.learner)

    async def _evaluate(self, name: str, stage: str, step: int) -> None:
        begin = time.monotonic()
        self._tracker.phase(stage, step, f"evaluation {name}")
        result = await evaluate(
            self._cluster.rollouts,
            self._prepared.evaluation,
            max_new_tokens=self._config.evaluation.max_new_tokens,
            predictions=self._folder / "predictions" / f"{name}.jsonl",
        )
        self._progress.scores[name] = asdict(result)
        self._spend("eval", begin)
        self._tracker.log(stage, step, result.metrics())
        self._console.say(
            f"evaluation {name}: F1 {result.f1:.1f} [{result.interval[0]:.1f}, {result.interval[1]:.1f}], "
            f"{result.finished:.0f} % finished"
        )

    def _spend(self, what: str, begin: float) -> None:
        self._progress.seconds[what] = round(self._progress.seconds.get(what, 0.0) + time.monotonic() - begin, 1)

    async def _finish(self) -> dict[str, Any]:
        await self._cluster.learner.export(str(self._folder / "export"), self._prepared.prompt_file)
        progress = self._progress
        summary = progress.summary()
        write_whole(self._folder / "summary.json", json.dumps(summary, indent=1))
        self._console.table(progress.scores)
        self._console.say(f"run folder: {self._folder}")
        return summary
