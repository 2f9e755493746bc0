"""Engines that sleep while the learner trains on the GPUs that both are on: where they can, and where they have to.

An engine that sleeps gives its weights and its cache back (``memory_plan.ASLEEP`` stays), a learner that waits its
activations. So a GPU has to hold the larger of two phases, not their sum.
"""

from collections.abc import Mapping

from cluster.gpus import WorkerGpus, refuse_without_bf16
from cluster.memory_plan import Shape, fits, memory_rows, rank_parts, resolve_max_num_seqs
from rnr.config import ClusterConfig, GenerationConfig, GrpoConfig, ModelConfig, OptimizerConfig, SyncConfig


def why_no_sleep(cluster: ClusterConfig, grpo: GrpoConfig) -> str:
    """Why engines cannot take turns with the learner on its GPUs, and what to do; empty if they can, and
    while the GPUs are not decided."""
    if grpo.max_staleness:
        return "rollouts are sampled while the learner trains: set grpo.max_staleness=0"
    rollout, learner = cluster.gpus_per_rollout_worker, cluster.gpus_per_learner_rank
    if rollout is None or learner is None:
        return ""
    if not rollout:
        return "engines on CPUs hold no GPU memory to release"
    if not learner or rollout + learner > 1:
        return (
            f"no engine shares a GPU with a learner rank (cluster.gpus_per_rollout_worker={rollout:g}, "
            f"cluster.gpus_per_learner_rank={learner:g}; 0.5 and 0.5 would)"
        )
    if not cluster.fewest_rollout_workers == cluster.most_rollout_workers == cluster.learner_ranks:
        return (
            f"each rank needs one engine beside it, but cluster.learner_ranks is {cluster.learner_ranks}, "
            f"cluster.rollout_workers {cluster.rollout_workers}: set both to {cluster.learner_ranks}"
        )
    return ""


def resolve_sleep(
    parts: Mapping[str, float] | None,
    generation: GenerationConfig,
    cluster: ClusterConfig,
    grpo: GrpoConfig,
    *,
    lora: bool,
    has: float,
) -> GenerationConfig:
    """The branch with ``sleep`` decided, if it is open, for a learner rank of these ``rank_parts``, if they are known,
    on GPUs of ``has`` GiB: a level where it has no room beside an engine, and has in turn with it. Raises ValueError,
    with what to do, for a level that is asked for and cannot be."""
    why = why_no_sleep(cluster, grpo)
    if generation.sleep_level:
        if generation.sleep == "level2" and lora:
            why = "it discards the weights, but with model.lora_rank only adapters are sent: level1 keeps them"
        if why:
            auto = 'generation.sleep="auto" picks a level that fits'
            raise ValueError(f'generation.sleep="{generation.sleep}": {why}; {auto}')
        return generation
    if generation.sleep == "off" or why or parts is None or not cluster.gpus_per_rollout_worker:
        return generation
    # Both levels free the same GPU memory. In this loop every wake-up brings a new policy, so weights that were
    # kept on the host would only be copied there and back to be overwritten.
    by_turns = generation.model_copy(update={"sleep": "level1" if lora else "level2"})
    beside = fits(parts, generation, cluster, has)
    return by_turns if not beside and fits(parts, by_turns, cluster, has) else generation


def plan_memory(
    found: WorkerGpus,
    shape: Shape | None,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    grpo: GrpoConfig,
    generation: GenerationConfig,
    cluster: ClusterConfig,
    sync: SyncConfig,
    *,
    longest: int = 0,
) -> tuple[GenerationConfig, list[tuple[str, str]]]:
    """The branch with all decided that depends on the GPUs of the workers (``resolve_sleep``, ``resolve_max_num_seqs``)
    and, with what it decided, ``memory_rows`` for the smallest of them, where the longest sequence that may be trained
    on has ``longest`` tokens. Raises ValueError for GPUs that cannot be used, too."""
    refuse_without_bf16(found, cluster)
    has, gpus = found.gib, cluster.gpus_per_rollout_worker or 0.0
    parts = rank_parts(shape, model, optimizer, grpo, cluster, sync, longest=longest) if has and shape else None
    generation = resolve_sleep(parts, generation, cluster, grpo, lora=model.lora_rank > 0, has=has)
    generation = resolve_max_num_seqs(generation, shape, model, gpus=gpus, has=has)
    if not gpus and not cluster.gpus_per_learner_rank:
        return generation, []
    if not has:
        unknown = (
            f"; generation.max_num_seqs is {generation.sequences} while they are unknown"
            if gpus and generation.max_num_seqs == "auto"
            else ""
        )
        return generation, [("GPU memory", f"not estimated: {found.where}{unknown}")]
    try:
        return generation, [("GPUs", str(found)), *memory_rows(shape, parts, model, generation, cluster, has=has)]
    except ValueError as error:
        raise ValueError(f"{error} (estimated for {found})") from None
