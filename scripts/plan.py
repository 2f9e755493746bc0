"""``scripts.train --dry-run``: the plan of a run, with the numbers that follow from it."""

import sys
from contextlib import redirect_stdout

from cluster.checkpoint import warm_start
from cluster.dry_run import derived, gib, show, time_of, workers_of
from cluster.in_process import IN_PROCESS, resources_of
from cluster.memory_plan import gpu_memory, memory_rows
from cluster.placement import check_disk, check_resources, local_resources, placed
from cluster.run import needed_disk, plan_of, prepared_of
from cluster.transport import chosen
from cluster.transport.placement import place_of
from rnr.config import Config
from rnr.runs.run_folder import run_folder


def main(argv: list[str]) -> int:
    from scripts.train import main as train

    return train([*argv, "--dry-run"])


def show_plan(config: Config, *, resume: bool, as_json: bool = False) -> None:
    """Print the plan (with the config, if as JSON) and check data, model and resources; starts nothing.

    Raises ValueError for whatever would stop the run at its start.
    """
    tree = config.model_dump(mode="json")
    warm_start(config.sft, config.run, tree, resume=resume)
    settings = plan_of(config)
    with redirect_stdout(sys.stderr):  # what reading says; the plan comes first
        prepared, schedule = prepared_of(config)
    local = config.cluster.address in ("", IN_PROCESS)
    here = resources_of(IN_PROCESS) if config.cluster.address else local_resources()
    cluster, generation = config.cluster, config.generation
    if local:
        cluster, generation = placed(cluster, generation, here["GPU"])
    disk = needed_disk(config, prepared)
    rows = [
        *derived(prepared, schedule, sampling=config.sampling, grpo=config.grpo, cluster=cluster),
        ("weights sent per sync", "adapter only" if config.model.lora_rank else gib(prepared.weights_gib)),
        ("weights sent by", chosen(config.sync, place_of(cluster, config.model))),
        ("disk for checkpoints and export", gib(disk)),
        *workers_of(prepared, model=config.model, optimizer=config.optimizer, generation=generation, cluster=cluster),
        *memory_rows(
            prepared.model_folder, config.model, config.optimizer, config.grpo, generation, cluster, gpus=gpu_memory()
        ),
        *time_of(prepared, schedule, settings, cluster),
    ]
    show(config.run.name, rows, tree if as_json else None)
    if not resume:
        check_disk(run_folder(config.run), disk)
    if local:
        check_resources(cluster, here)
    if not as_json:
        print("resources:", "enough on this machine" if local else "checked when the cluster is joined")
