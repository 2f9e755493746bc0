"""The resolved plan of a run, with the numbers that follow from it; starts nothing."""

import json

from rich.console import Console
from rich.table import Table

from cluster.checkpoint import warm_start
from cluster.plan import check_resources, check_room, disk_gib, local_resources, placed, roles
from cluster.prepare import Prepared, prepare
from cluster.schedule import Schedule
from rnr.config import Config


def dry_run(config: Config, *, resume: bool) -> None:
    """Print the plan and check data, model and (when Ray would run on this machine) resources.

    Raises ValueError for whatever would stop the run at its start.
    """
    warm_start(config, resume=resume)
    prepared = prepare(
        model=config.model,
        data=config.data,
        sft=config.sft,
        sampling=config.sampling,
        reward=config.reward,
        evaluation=config.evaluation,
        seed=config.run.seed,
    )
    schedule = Schedule(config, prepared)
    out = Console(highlight=False, soft_wrap=True)
    out.print_json(json.dumps(config.model_dump(mode="json")))
    table = Table("derived", "value", title=f"plan of {config.run.name}")
    for name, value in derived(config, prepared, schedule).items():
        table.add_row(name, value)
    for why, count in prepared.left_out.items():
        table.add_row("training sentences left out", f"{count}: {why}")
    here = local_resources()
    for role in roles(config if config.cluster.address else placed(config, here["GPU"])):
        need = f"{role.count} x ({role.cpus:g} CPU, {role.gpus:g} GPU), {_gib(memory_gib(role.name, config, prepared))}"
        table.add_row(f"{role.name} workers", need)
    out.print(table)
    check_room(config, prepared.weights_gib, resume=resume)
    if config.cluster.address:
        out.print("resources: checked against the cluster when the run starts")
        return
    check_resources(config, here)
    out.print("resources: enough on this machine")


def derived(config: Config, prepared: Prepared, schedule: Schedule) -> dict[str, str]:
    """What a person would otherwise work out by hand."""
    sampling, grpo = config.sampling, config.grpo
    sequences = sampling.prompts_per_step * sampling.samples_per_prompt
    prompt_tokens = sum(len(prompt.token_ids) for prompt in prepared.prompts) / len(prepared.prompts)
    return {
        "training sentences": f"{prepared.candidates}: SFT takes {len(prepared.sft)}, GRPO {len(prepared.prompts)}",
        "evaluation sentences": str(len(prepared.evaluation)),
        "decoding": prepared.decoding,
        "SFT optimizer steps": f"{schedule.sft_steps} of {config.sft.sequences_per_step} sequences",
        "GRPO optimizer steps": str(grpo.steps * grpo.mini_batches * grpo.epochs),
        "GRPO sequences per step": f"{sampling.prompts_per_step} prompts x {sampling.samples_per_prompt} = {sequences}",
        "GRPO prompts in all": f"{grpo.steps * sampling.prompts_per_step} or more of {len(prepared.prompts)}",
        "longest sequence": f"{round(prompt_tokens)} prompt tokens on average + {sampling.max_new_tokens} new",
        "processes": f"{sum(role.count for role in roles(config))} Ray actors and one driver",
        "weights sent per sync": "adapter only" if config.model.lora_rank else _gib(prepared.weights_gib),
        "disk for checkpoints and export": _gib(disk_gib(config, prepared.weights_gib)),
    }


def memory_gib(role: str, config: Config, prepared: Prepared) -> float:
    """A rough need of memory of one worker in GiB: weights, optimizer state, caches, and about one GiB of libraries."""
    weights = prepared.weights_gib
    if role == "rollout":
        return 1.5 + 2 * weights + config.generation.kv_cache_gib
    if role == "reward":
        return 0.3
    ranks = config.cluster.learner_ranks
    stage = config.optimizer.zero_stage
    # bf16 weights and gradients; fp32 master weights, accumulated gradients and two moments, divided from stage 1 on.
    state = (0.1 if config.model.lora_rank else 8.0) * weights / (ranks if stage else 1)
    return 1.5 + weights * (2 / ranks if stage == 3 else 2) + state


def _gib(value: float) -> str:
    return f"about {value:.1f} GiB"
