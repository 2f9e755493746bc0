"""What ``scripts.plan`` and ``train --dry-run`` print: the plan of a run, and every way to divide GPUs."""

import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

from rich.table import Column, Table

from cluster.checkpoint import Checkpoints
from cluster.datasheets import Machine
from cluster.disk import check_disk, disk_gib
from cluster.dry_run import describe_start, gib, memory_missing, plan_rows, show, time_of, worker_gib, workers_of
from cluster.estimate import ANSWER, estimated_rates, prompt_tokens
from cluster.gpus import known_gpus
from cluster.host_checks import check_machine
from cluster.in_process import resources_in_process
from cluster.manifest import layout_of
from cluster.placement import IN_PROCESS, check_resources, local_resources, named_address, ray_address, roles
from cluster.planner import NEAR, Division, Planner, machines_of
from cluster.prepare import Prepared
from cluster.progress import Progress
from cluster.run import load_and_check, load_inputs, memory_branches, stage_settings, with_gpus
from cluster.schedule import Schedule
from cluster.simulation import Load, measured
from cluster.sleep_mode import plan_memory
from cluster.transport import transport_name
from cluster.transport.topology import topology_of
from rnr.config import Config
from rnr.corpus.formats.files.opening import read_json
from rnr.files.jsonl import strict_json
from rnr.messages import counted, plain_console
from rnr.runs.run_folder import check_run, is_finished, resumable, run_folder

DRIVER = 0.0008
"""Seconds of the driver for a group: loop, advantages, batch (docs/BENCHMARKS.md, "The controller")."""
STALENESS = 2
"""Largest ``grpo.max_staleness`` that is tried for the best division."""


def divide(config: Config, gpus: str, bench: list[Path], answer_tokens: float | None, *, as_json: bool) -> None:
    """Print every division of the GPUs, the best one, and the effect of staleness on it."""
    machine, count = machines_of(gpus)
    planner, load = _planner(config, machine, bench, answer_tokens)
    found = []
    for division in planner.divisions(count):
        where = ", which share GPUs" if division.shared else ""
        print(f"simulated {division.engines} engines, {division.ranks} learner ranks{where}", file=sys.stderr)
        found.append(division)
    fastest = planner.best(found)
    best = planner.fewest(fastest)
    found += [] if best is fastest else [best]
    stale = planner.by_staleness(best, STALENESS)
    limit = best.outcome.step_seconds if best.outcome else 0.0
    if as_json:
        tree = {"load": asdict(load), "divisions": [asdict(each) for each in found], "best": asdict(best)}
        print(strict_json(tree | {"max_staleness": {str(each): asdict(out) for each, out in stale.items()}}, indent=1))
        return
    out = plain_console(highlight=False, soft_wrap=True)
    out.print(_table(f"{config.run.name} on {count} x {machine.name}, {_source(bench)}", found, best))
    out.print(
        f"a step: {load.prompts} prompts of {load.prompt_tokens:.0f} tokens x {load.samples} completions of "
        f"{load.tokens:.0f} on average (--answer-tokens); the KV cache of an engine "
        f"holds {planner.cached(shared=best.shared)} full-length sequences"
    )
    driver = DRIVER * load.prompts
    out.print(f"the driver takes {driver:.2f} s per step{': it is the bottleneck' if driver > limit else ''}")
    if best is not fastest:
        out.print(
            f"{counted(best.gpus, 'GPU is', 'GPUs are')} as fast as {count} (within {100 * NEAR:.0f} %): only larger "
            "steps (sampling.prompts_per_step, sampling.samples_per_prompt) would use more"
        )
    for staleness, outcome in stale.items():
        out.print(f"grpo.max_staleness={staleness}: {outcome.samples_per_second:.1f} samples/s")
    halves = " --cluster.gpus_per_rollout_worker=0.5 --cluster.gpus_per_learner_rank=0.5"
    shared = halves if best.shared and best is not fastest else ""  # on fewer GPUs than there are, sharing must be set
    out.print(f"--cluster.rollout_workers={best.engines} --cluster.learner_ranks={best.ranks}{shared}")


def _planner(config: Config, machine: Machine, bench: list[Path], answer_tokens: float | None) -> tuple[Planner, Load]:
    """The planner of this run on such machines, and the load of one step."""
    benches = [read_json(file) for file in bench]
    speed = measured(benches, max_num_seqs=config.generation.sequences) if benches else None
    with redirect_stdout(sys.stderr):  # messages about the data; stdout is for the plan
        prepared, _ = load_inputs(config)
    sampling = config.sampling
    load = Load(
        prompts=sampling.prompts_per_step,
        samples=sampling.samples_per_prompt,
        prompt_tokens=prompt_tokens(prepared),
        tokens=answer_tokens or ANSWER * sampling.max_new_tokens,
    )
    planner = Planner(
        prepared.shape,
        machine,
        load,
        model=config.model,
        optimizer=config.optimizer,
        generation=config.generation,
        grpo=config.grpo,
        sync=config.sync,
        longest=prepared.longest,
        gpus_per_engine=max(1, round(config.cluster.gpus_per_rollout_worker or 1)),
        measured=speed,
    )
    return planner, load


def _source(bench: list[Path]) -> str:
    return f"measured: {', '.join(map(str, bench))}" if bench else "datasheet rates (estimate)"


def _table(title: str, found: list[Division], best: Division) -> Table:
    speed = Column("samples/s", min_width=len("samples/s"))
    names = ("engines", "learner ranks", "step", speed, "engines idle", "learner idle", "GiB per rank", "")
    table = Table(*names, title=title)
    for each in found:
        outcome = each.outcome
        does = ["-"] * 4
        if outcome:
            does = [
                f"{outcome.step_seconds:.1f} s",
                f"{outcome.samples_per_second:.1f}",
                f"{100 * outcome.rollout_idle:.0f} %",
                f"{100 * outcome.learner_idle:.0f} %",
            ]
        note = "does not fit" if outcome is None else f"best, on {counted(each.gpus, 'GPU')}" if each is best else ""
        sleeping = f", engines sleep at level {each.sleep_level}" if each.sleep_level else ""
        note += f" (share GPUs{sleeping})" if each.shared else ""
        table.add_row(str(each.engines), str(each.ranks), *does, f"{each.learner_gib:.0f}", note)
    return table


def show_plan(config: Config, *, resume: bool, as_json: bool) -> None:
    """Print the plan (as JSON with the config) and check the run folder, data, model and resources; starts nothing.

    Raises ValueError for anything that would stop the run at its start.
    """
    tree = config.model_dump(mode="json")
    folder, there = run_folder(config.run), resume and resumable(config.run)
    check_run(config.run, tree, resume=there)
    with redirect_stdout(sys.stderr):  # messages about the data; stdout is for the plan
        inputs = load_and_check(config, resume=there)
    prepared, schedule = inputs.prepared, inputs.schedule
    finished = there and is_finished(config.run, tree)
    checkpoints = Checkpoints(folder / "checkpoints", keep=1, layout=layout_of(tree))
    progress = checkpoints.progress() if there else Progress()
    here = describe_start(folder, progress, resume=resume, there=there, finished=finished, from_run=config.sft.from_run)
    address = ray_address(config.cluster)
    local = address in ("", IN_PROCESS)
    has = resources_in_process() if address == IN_PROCESS else local_resources()
    machine_notes: list[str] = []
    if local:
        config = with_gpus(config, has)
        machine_notes = [] if finished else check_machine(config.cluster)
    else:
        machine_notes = [f"joins the Ray cluster at {named_address(config.cluster)}"]
    rows, short = _rows(config, prepared, schedule, None if finished else progress)
    notes = (("note", note) for note in (*schedule.notes, *config.notes, *machine_notes))
    name = ("model", f"{config.model.path}, {prepared.weights / 1e6:.0f} million weights")
    missing = [("memory", short)] if local and short else []
    show(config.run.name, [("run", here), name, *notes, *rows, *missing], tree if as_json else None)
    if finished:
        return
    if not there:
        check_disk(folder, disk_gib(config.checkpoint, config.model, prepared.weights_gib))
    if local:
        check_resources(config.cluster, has, config.reward.scorers)
    if not as_json:
        enough = f"enough on this machine{', except for its memory' if short else ''}"
        print("resources:", enough if local else "checked when the cluster is joined")


def _rows(
    config: Config, prepared: Prepared, schedule: Schedule, progress: Progress | None
) -> tuple[list[tuple[str, str]], str]:
    """The rows of a plan whose GPUs are decided, from its progress on (None: finished), and the memory that is missing
    if everything runs on this machine."""
    branches = memory_branches(config)
    generation, memory = plan_memory(known_gpus(config.cluster), prepared.shape, **branches, longest=prepared.longest)
    needing = roles(config.cluster, config.reward.scorers)
    known = worker_gib(prepared, **branches)
    settings = stage_settings(config)
    rows = [
        *plan_rows(prepared, schedule, sampling=config.sampling, grpo=config.grpo, needing=needing),
        ("weights sent per sync", "adapter only" if config.model.lora_rank else gib(prepared.weights_gib)),
        ("weights sent by", transport_name(config.sync, topology_of(config.cluster, config.model))),
        ("disk for checkpoints and export", gib(disk_gib(config.checkpoint, config.model, prepared.weights_gib))),
        *workers_of(known, generation=generation, needing=needing),
        *memory,
    ]
    if progress is not None:
        found = estimated_rates(prepared, settings, model=config.model, generation=generation, cluster=config.cluster)
        rows += time_of(prepared, schedule, settings, found, progress)
    return rows, memory_missing(known, needing)
