"""The resolved plan of a run, with the numbers that follow from it; starts nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from cluster.estimate import Rates, prompt_tokens, stated_seconds, work_left
from cluster.memory_plan import rank_parts
from cluster.placement import Role
from cluster.prepare import Prepared
from cluster.progress import Progress
from cluster.schedule import Schedule
from rnr.config import (
    ClusterConfig,
    GenerationConfig,
    GrpoConfig,
    ModelConfig,
    OptimizerConfig,
    SamplingConfig,
    SyncConfig,
)
from rnr.files.jsonl import strict_json
from rnr.host_memory import host_memory
from rnr.messages import plain_console
from rnr.runs.console import duration

if TYPE_CHECKING:
    from cluster.settings import Settings


def plan_rows(
    prepared: Prepared, schedule: Schedule, *, sampling: SamplingConfig, grpo: GrpoConfig, needing: Sequence[Role]
) -> Iterator[tuple[str, str]]:
    """The derived numbers of a run: (name, value)."""
    sequences = sampling.prompts_per_step * sampling.samples_per_prompt
    yield "training sentences", f"{prepared.candidates}: SFT uses {len(prepared.sft)}, GRPO {prepared.pool}"
    for why, count in prepared.left_out.items():
        yield "training sentences left out", f"{count}: {why}"
    yield "evaluation sentences", prepared.evaluated
    for note in prepared.chat.notes:
        yield "prompt", note
    for note in prepared.other_notes:
        yield "note", note
    yield "decoding", prepared.decoding
    if prepared.decoding == "marks" and (by := prepared.label_calibration):
        yield "decoding", f"labels of greedy marks are calibrated by {by:g} (evaluation.label_calibration)"
    for note in prepared.decoding_notes:
        yield "decoding", note
    yield "SFT optimizer steps", f"{schedule.sft_steps} of {schedule.sft_sequences} sequences"
    yield "GRPO optimizer steps", str(grpo.steps * grpo.mini_batches * grpo.epochs)
    yield (
        "GRPO sequences per step",
        f"{sampling.prompts_per_step} prompts x {sampling.samples_per_prompt} = {sequences}",
    )
    yield "GRPO prompts", f"at least {grpo.steps * sampling.prompts_per_step}, from a pool of {len(prepared.prompts)}"
    prompt = round(prompt_tokens(prepared))
    lengths = f"{prompt} of the prompt on average + up to {sampling.max_new_tokens} new"
    yield "tokens of a sequence", f"{lengths}; at most {prepared.longest}"
    yield "processes", f"{sum(role.count for role in needing)} Ray actors and one driver"


def worker_gib(
    prepared: Prepared,
    *,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    grpo: GrpoConfig,
    generation: GenerationConfig,
    cluster: ClusterConfig,
    sync: SyncConfig,
) -> dict[str, float]:
    """Estimated memory of one worker of each kind, in GiB, without engines on a GPU and learners whose model shape is
    unknown. For the learner it is that of the first rank, which keeps the weights for the engines."""
    known = {"reward": 0.3}
    if not cluster.gpus_per_rollout_worker:
        # An engine on a CPU holds the weights twice while it loads, and about one GiB and a half of libraries.
        known["rollout"] = 1.5 + 2 * prepared.weights_gib + generation.kv_cache_gib
    if prepared.shape is not None:
        parts = rank_parts(
            prepared.shape,
            model=model,
            optimizer=optimizer,
            grpo=grpo,
            cluster=cluster,
            sync=sync,
            longest=prepared.longest,
        )
        known["learner"] = sum(parts.values())
    return known


def workers_of(
    known: Mapping[str, float], *, generation: GenerationConfig, needing: Sequence[Role]
) -> Iterator[tuple[str, str]]:
    """What one worker of each kind requests, and its memory by ``worker_gib``: (name, value)."""
    unknown = {
        "rollout": f"{generation.gpu_memory_fraction:g} of a GPU",
        "learner": "memory not estimated",
    }
    for role in needing:
        other = unknown.get(role.name, "plus the memory of what it loads")
        held = gib(known[role.name]) if role.name in known else other
        yield f"{role.name} workers", f"{role.count} x ({role.cpus:g} CPU, {role.gpus:g} GPU), {held}"


def memory_missing(known: Mapping[str, float], needing: Sequence[Role]) -> str:
    """A message if the CPU workers together need more memory than this machine, or the limit of its container or job,
    has free; else empty."""
    needed = sum(role.count * known.get(role.name, 0.0) for role in needing if not role.gpus)
    here = host_memory()
    total, free = here.total / 2**30, here.free / 2**30
    if needed <= free:
        return ""
    where = "that this container or job may use" if here.limited else "on this machine"
    return (
        f"the workers need about {needed:.1f} GiB, but only {free:.1f} of {total:.1f} GiB {where} are free: lower "
        "cluster.rollout_workers, cluster.learner_ranks or generation.kv_cache_gib, stop other processes, or raise the "
        "limit, if there is one"
    )


def describe_start(
    folder: Path, progress: Progress, *, resume: bool, there: bool, finished: bool, from_run: str
) -> str:
    """Where a run begins: a new one, a resumed one, or one to be resumed that is not ``there``."""
    if finished:
        return f"already finished in {folder}; --resume has nothing to do"
    if resume and not there:
        return f"nothing to resume in {folder}; starting a new run"
    if not resume:
        return f"starts in {folder}" + ("; the earlier run there is moved aside" if folder.exists() else "")
    return f"resumes in {folder} at {progress.resumed(from_run) or 'the start: no checkpoint yet'}"


def gib(value: float) -> str:
    return f"about {value:.1f} GiB"


def time_of(
    prepared: Prepared, schedule: Schedule, settings: "Settings", found: Rates, progress: Progress
) -> Iterator[tuple[str, str]]:
    """Estimated time from where the run stands to its end, with the parts of the estimate: (name, value)."""
    seconds = stated_seconds(prepared, schedule, settings, found)
    left = work_left(progress, settings, schedule.sft_steps)
    parts = {kind: count * seconds[kind] for kind, count in left.items() if count and seconds[kind] >= 0.05}
    yield "total time (estimate)", f"about {duration(found.start + sum(parts.values()))}, {found.source}"
    yield "start (estimate)", f"about {duration(found.start)}"
    for kind, whole in parts.items():
        yield f"{kind} (estimate)", f"{left[kind]} x {seconds[kind]:.1f} s = about {duration(whole)}"


def show(name: str, rows: Iterable[tuple[str, str]], tree: Mapping[str, Any] | None = None) -> None:
    """Print a table of (name, value); or, given the resolved config, both as one JSON object and nothing else."""
    out = plain_console(highlight=False, soft_wrap=True)
    if tree is not None:
        plan: dict[str, list[str]] = {}
        for what, value in rows:
            plan.setdefault(what, []).append(value)
        out.print_json(strict_json({"config": tree, "plan": plan}))
        return
    table = Table("derived", Column("value", overflow="fold"), title=f"plan of {name}")
    for row in rows:
        table.add_row(*row)
    out.print(table)
