"""The stages of one run on running services: warm start -> GRPO -> evaluation -> export, resumable at every step."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cluster.checkpoint import Checkpoints
from cluster.difficulty import filter_by_difficulty
from cluster.disk import Disk
from cluster.durable_tracker import DurableTracker
from cluster.estimate import work_left
from cluster.graceful_stop import GracefulStop
from cluster.loop import StepPlan, grpo
from cluster.prepare import Prepared
from cluster.progress import Progress, Stopwatch
from cluster.protocols import Evaluate, Metrics, RunGeneration, RunPolicy, RunScoring
from cluster.ranks import LearnerLost
from cluster.rebuilds import RebuildBudget
from cluster.schedule import Schedule, out_of_patience
from cluster.settings import Settings
from rewards.advantage import TrainingBatch, group_metrics, training_batch
from rnr.evaluation.rollout_metrics import ner_metrics, rates
from rnr.faults import causes
from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from rnr.runs import spans
from rnr.runs.console import Console, shown_of
from rnr.runs.status import StatusFile
from rnr.runs.token_values import kept_groups, token_rows
from rnr.types import ScoredGroup

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Stages:
    """Runs the remaining stages of one run."""

    settings: Settings
    prepared: Prepared
    schedule: Schedule
    policy: RunPolicy
    generation: RunGeneration
    scoring: RunScoring
    evaluate: Evaluate
    checkpoints: Checkpoints
    folder: Path
    tracker: DurableTracker
    status: StatusFile
    stopping: GracefulStop
    disk: Disk
    console: Console
    _progress: Progress = field(default_factory=Progress)
    _saved: tuple[str, int, int] = ("", 0, 0)
    _loaded: bool = False
    """Whether the learner's weights are those of the progress."""
    _watch: Stopwatch = field(default_factory=lambda: Stopwatch({}))

    async def run_all(self, setup_seconds: float) -> dict[str, Any]:
        """Run all remaining stages; returns the summary. Raises Stopped if the run was asked to stop and has saved."""
        return await self.stopping.run_until_stopped(self._run_with_rebuilds(setup_seconds), self._save_on_stop)

    async def _run_with_rebuilds(self, setup_seconds: float) -> dict[str, Any]:
        """Run all remaining stages, rebuilding the learner from the last checkpoint when a rank is lost."""
        rebuilds = RebuildBudget(self.settings.restart_seconds)
        while True:
            try:
                await self._restore()
                self._progress.seconds.setdefault("setup", round(setup_seconds, 1))
                await self._stages()
                return await self._finish()
            except* LearnerLost as group:
                lost = causes(group)[0]
            self._loaded = False
            self.stopping.end_if_asked()  # a run that stops does not rebuild its learner
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError  # swallowed by the task group, which ended with its own error
            rebuilds.spend(lost, self._progress)
            logger.warning(f"{lost}: rebuilding all ranks from the last checkpoint")
            del lost  # its frames hold a step and a policy
            await self.policy.start()

    async def _save_on_stop(self) -> str:
        """Save where the run stands, unless already saved; returns what it can be resumed from."""
        if not self._loaded:
            return "nothing was trained since the last checkpoint"
        if self._saved != self._position():
            try:
                await self.checkpoints.save(self._progress, self.policy)
            except LearnerLost as lost:
                return f"no checkpoint was written ({lost}); the previous one remains"
        return f"the checkpoint holds {self._progress.stage} up to step {self._progress.step}"

    def _position(self) -> tuple[str, int, int]:
        """What distinguishes two states of a run."""
        return self._progress.stage, self._progress.step, len(self._progress.scores)

    async def _restore(self) -> None:
        before, reference = self._progress, self.settings.grpo.keeps_reference
        self._progress = progress = await self.checkpoints.restore(self.policy, freeze_reference=reference)
        self._saved, self._loaded, self._watch = self._position(), True, Stopwatch(progress.seconds)
        progress.keep_base(before)
        if where := progress.resumed(self.settings.sft.from_run):
            logger.info(f"resuming at {where}")
        await self.tracker.rewind(*progress.reached(), evaluated=progress.is_evaluated())
        settings, steps = self.settings, self.schedule.sft_steps
        begin = Progress(stage="grpo" if settings.sft.from_run else "sft")
        self.status.forecast.expect(work_left(progress, settings, steps), work_left(begin, settings, steps))
        await self._publish()

    async def _publish(self) -> None:
        await self.generation.adopt(await self.policy.publish())
        self._note_difference()

    def _note_difference(self) -> None:
        """Keep the largest difference between learner and engine over the whole run, resumptions included."""
        largest = max(self._progress.probe_max_difference, self.generation.largest_difference)
        self._progress.probe_max_difference = round(largest, 6)

    async def _stages(self) -> None:
        progress = self._progress
        if progress.stage == "sft":
            if self.settings.evaluation.base and progress.reached() == ("base", 0):
                await self._evaluate("base", "base", 0)
            await self._sft()
        if progress.stage == "grpo":
            await self._grpo()

    async def _sft(self) -> None:
        progress, steps = self._progress, self.schedule.sft_steps
        self.status.forecast.begin()
        with self._watch.spend("sft"):
            await self._sft_steps(steps)
        if self._saved[:2] != self._position()[:2]:
            await self._save()  # an evaluation that fails does not cost the warm start
        if steps:
            await self._publish()
            if "sft" not in progress.scores:
                await self._evaluate("sft", "sft", progress.step - 1)
            await self.policy.reset_optimizer()
        if self.settings.grpo.keeps_reference:
            await self.policy.freeze_reference()
        progress.stage, progress.step = "grpo", 0
        await self._save(again=True)

    async def _sft_steps(self, steps: int) -> None:
        for step in range(self._progress.step, steps):
            # Asked before a step: the run may have been stopped while the last one was evaluated.
            if out_of_patience(self._progress.held_out_losses, self.settings.sft.patience):
                logger.info(f"sft: early stopping after {step} of {steps} steps (held-out loss)")
                self.status.forecast.drop("sft step")
                break
            await self._sft_step(step, steps)
            if (step + 1) % self.settings.checkpoint_every == 0:
                await self._save()

    async def _sft_step(self, step: int, steps: int) -> None:
        samples = self.schedule.sft_samples(step)
        self.status.at("sft", step, "update", steps=steps)
        started = time.monotonic()
        with self.stopping.uninterrupted():
            metrics = await self.policy.sft_step(samples, step)
            metrics["sft/tokens_per_s"] = sum(sample.length for sample in samples) / (time.monotonic() - started)
            self._progress.step = step + 1
            shown = {"loss": metrics.get("sft/loss", math.nan), "tok/s": metrics["sft/tokens_per_s"]}
            if (held_out := self.prepared.held_out) and self._due(step, steps):
                shown["held out"] = metrics["sft/held_out_loss"] = await self.policy.held_out_loss(held_out)
                self._progress.held_out_losses.append(metrics["sft/held_out_loss"])
            await self.tracker.log("sft", step, metrics)
        self._after_step("sft", step, shown)

    async def _grpo(self) -> None:
        progress = self._progress
        await self._evaluate_after(progress.step - 1)  # the run may have been stopped in the middle of it
        if self.settings.difficulty_rollouts:
            with self._watch.spend("selection"):
                await self._select()
            self.status.forecast.did("selection")
        with self._watch.spend("grpo"):
            await self._grpo_steps()
        progress.stage = "done"
        await self._save(again=True)

    async def _grpo_steps(self) -> None:
        progress, options, sampling = self._progress, self.settings.grpo, self.settings.sampling
        await grpo(
            range(progress.step, options.steps),
            self.schedule.prompts_but(set(progress.consumed)),
            plan=StepPlan(
                prompts_per_step=sampling.prompts_per_step,
                dynamic_sampling_rounds=sampling.dynamic_sampling_rounds,
                max_staleness=options.max_staleness,
            ),
            generation=self.generation,
            scoring=self.scoring,
            policy=self.policy,
            record=self._record,
            to_batch=lambda groups: training_batch(groups, options, self.settings.reward_weights),
            on_phase=partial(self.status.at, "grpo", steps=options.steps),
            uninterrupted=self.stopping.uninterrupted,
            after_step=self._after_grpo_step,
        )

    async def _select(self) -> None:
        """Narrow the GRPO pool to the prompts that the warm-started policy neither always solves nor never."""
        pool = self.prepared.prompts
        self.status.at("grpo", self._progress.step, "selection", steps=self.settings.grpo.steps)
        sampled = partial(self.generation.generate, count=self.settings.difficulty_rollouts)
        chosen = await filter_by_difficulty(pool, sampled, self.folder / "difficulty.jsonl", self.disk)
        logger.info(f"selection: {len(chosen)} of {len(pool)} prompts are neither always right nor always wrong")
        self.schedule.narrow(chosen)

    async def _record(self, step: int, groups: Sequence[ScoredGroup], batch: TrainingBatch, metrics: Metrics) -> None:
        progress = self._progress
        progress.step = step + 1
        progress.consumed += [scored.group.prompt.uid for scored in groups]
        progress.dropped |= batch.dropped
        self._note_difference()
        progress.samples += sum(len(scored.group.rollouts) for scored in groups)
        metrics |= rates(groups, metrics) | group_metrics(groups) | ner_metrics(groups)
        metrics |= {"async/num_groups_dropped": len(batch.dropped)} | self.generation.metrics() | self.scoring.metrics()
        await self.tracker.log("grpo", step, metrics)
        await self.tracker.log_rollouts(step, groups, batch)
        kept = kept_groups(groups, batch.dropped)
        uids = [scored.group.prompt.uid for scored in kept]
        values = await self.policy.token_values(uids) if batch.samples else {}
        await self.tracker.log_tokens(list(token_rows(step, kept, batch.samples, values)))
        self._after_step("grpo", step, shown_of(metrics))

    async def _after_grpo_step(self, step: int) -> None:
        # Before the evaluation, which may fail.
        if (step + 1) % self.settings.checkpoint_every == 0 or step + 1 == self.settings.grpo.steps:
            await self._save()
        await self._evaluate_after(step)

    async def _evaluate_after(self, step: int) -> None:
        """The evaluation that is due after this step of GRPO, or of a warm start before it, unless it was made."""
        steps, from_run = self.settings.grpo.steps, self.settings.sft.from_run
        name = "sft" if step < 0 else "grpo" if step + 1 == steps else f"grpo-{step + 1:06d}"
        if name not in self._progress.scores and (self._due(step, steps) if step >= 0 else from_run):
            # That of a warm start stands before the lines of GRPO, which a run that is resumed may begin again.
            await self._evaluate(name, "grpo" if step >= 0 else "sft", max(0, step))

    def _due(self, step: int, steps: int) -> bool:
        """Whether something is to be evaluated after this step: every so many, and after the last."""
        return step + 1 == steps or (step + 1) % (self.settings.evaluation.every_steps or math.inf) == 0

    async def _save(self, *, again: bool = False) -> None:
        """A checkpoint; ``again`` where the newest one has the same policy and only the stage is another."""
        progress = self._progress
        self.status.at(progress.stage, progress.step, "checkpoint", steps=self._steps(progress.stage))
        with self.stopping.uninterrupted(), self._watch.spend(""):
            await (self.checkpoints.save_again if again else self.checkpoints.save)(progress, self.policy)
            self._saved = self._position()
            if not again:
                self.status.forecast.did("checkpoint")

    async def _evaluate(self, name: str, stage: str, step: int) -> None:
        self.status.at(stage, step, f"evaluation {name}", steps=self._steps(stage))
        file = self.folder / "predictions" / f"{name}.jsonl"
        with self._watch.spend("eval"):
            result, answers = await self.evaluate(file)
        self._progress.scores[name] = asdict(result)
        self.status.forecast.did("evaluation")
        await self.tracker.log_evaluation(name, stage, step, result, answers)
        self.console.evaluated(name, result)

    def _after_step(self, stage: str, step: int, shown: Mapping[str, float]) -> None:
        spans.flush()
        self.status.forecast.did(f"{stage} step")
        self.console.step(stage, step, self._steps(stage), shown, self.status.forecast)

    def _steps(self, stage: str) -> int:
        return {"sft": self.schedule.sft_steps, "grpo": self.settings.grpo.steps}.get(stage, 0)

    async def _finish(self) -> dict[str, Any]:
        if self.settings.merging.asked:
            self.status.at("done", 0, "merging")
            self._loaded = False  # no checkpoint holds the merged policy: merge again after a kill
            await self.checkpoints.merge(self.policy, self.settings.merging)
            await self._publish()
            await self._evaluate("merged", "grpo", self.settings.grpo.steps)
        self.status.at("done", 0, "export")
        files = self.prepared.files(self.folder, self._progress.scores)
        await self.disk.retry_async("the export", partial(self.policy.export, str(self.folder / "export"), files))
        summary = self._progress.summary()
        write = partial(write_whole, self.folder / "summary.json", strict_json(summary, indent=1))
        await self.disk.retry("the summary", write)
        self.console.table(self._progress.scores)
        self.console.next_steps(self.folder, self.prepared.an_example)
        return summary
