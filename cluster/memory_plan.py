"""GPU memory of a run, estimated from the model's shape before anything starts; refused if it does not fit.

Bytes for each of P weights of a learner rank under ZeRO (Rajbhandari et al. 2020): 2 for the bf16 weight and 2 for its
gradient, 4 for the float32 sum of the micro-batches' gradients and 12 for AdamW's master weight and moments; stage 1
divides the last by the ranks, stage 2 the gradients too (``learner.memory.gradient_bytes``), stage 3 everything. An
adapter has its own few weights of all but the first. With ``optimizer.offload`` the 12 bytes and the activations take
turns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.placement import learner_memory_share
from cluster.transport import weight_copies
from cluster.transport.topology import topology_of
from learner.memory import LEAST, gradient_bytes
from rnr.config import ClusterConfig, GenerationConfig, GrpoConfig, ModelConfig, OptimizerConfig, SyncConfig
from rnr.model_folder import read_text_config

LIBRARIES = 1.0
"""GiB of a process that uses a GPU: its context and its libraries."""
ENGINE = 1.5
"""GiB of an engine besides weights and cache: activations of a prefill, CUDA graphs, logits."""
ASLEEP = LIBRARIES + ENGINE
"""GiB that an engine keeps while it sleeps, at either level: its process, graphs and buffers."""
ACTIVATIONS = "activations"
"""In the name of what a learner holds only while it trains."""
UNKNOWN_SHAPE = "config.json lacks the sizes of a plain decoder"
NORMED = ("qwen3", "gemma3", "olmo2")
GIB = 2**30
SEQUENCES = (16, 512)
"""Fewest and most that an engine on a GPU decodes at once by itself: most sequences are shorter than the context, and
beyond the most the host is what takes the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a decoder that decide its memory."""

    weights: float
    layers: int
    hidden: int
    intermediate: int
    query: int
    """Heads times their width."""
    key: int
    """Heads of keys times their width."""
    normed: bool = False
    """Whether queries and keys go through norms of their own."""
    vocabulary: int = 0

    @property
    def cache_bytes(self) -> int:
        """Of one token in the KV cache, bf16."""
        return 2 * 2 * self.layers * self.key

    @property
    def layer_bytes(self) -> int:
        """What one layer keeps of one token for the backward pass, in the plain code of transformers: two norms (their
        input in float32, what is scaled, and their output), queries, keys, values and the output of the attention, and
        four products of the MLP."""
        norms = 2 * 8 * self.hidden + (6 * (self.query + self.key) if self.normed else 0)
        return norms + 2 * (2 * self.query + 2 * self.key) + 8 * self.intermediate

    def kept_bytes(self, *, checkpointing: bool) -> int:
        """What the forward pass keeps of one completion token: with all layers what the head makes of it, too."""
        if checkpointing:
            return 2 * self.hidden * self.layers + self.layer_bytes
        return self.layers * self.layer_bytes + 2 * self.vocabulary


def shape_of(folder: str, weights: int) -> Shape | None:
    """That of the model in the folder, which has so many weights; None where its config does not name what is
    needed."""
    config = read_text_config(folder)
    heads, hidden = _size(config, "num_attention_heads"), _size(config, "hidden_size")
    layers, intermediate = _size(config, "num_hidden_layers"), _size(config, "intermediate_size")
    if not heads or not hidden or not layers or not intermediate:
        return None
    width = _size(config, "head_dim") or hidden // heads
    return Shape(
        weights=weights,
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        query=heads * width,
        key=(_size(config, "num_key_value_heads") or heads) * width,
        normed=str(config.get("model_type")).startswith(NORMED),
        vocabulary=_size(config, "vocab_size") or 0,
    )


def _size(config: Mapping[str, Any], name: str) -> int | None:
    """A size from a config, the largest if it is given by layer; None if it is not a number."""
    value = config.get(name)
    each = value if isinstance(value, list) else [value]
    sizes = [size for size in each if type(size) is int and size > 0]
    return max(sizes) if sizes and len(sizes) == len(each) else None


def learner_parts(
    shape: Shape,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    *,
    ranks: int,
    reference: bool,
    copies: int,
    longest: int = 0,
) -> dict[str, float]:
    """GiB of one learner rank, by what takes it. ``copies`` of its weights are kept for the engines by the transport,
    on rank 0. A sequence of ``longest`` tokens that is longer than a micro-batch is one of its own."""
    stage, weights = optimizer.zero_stage, shape.weights
    # An adapter of rank r beside each linear layer has r numbers for each of its inputs and outputs.
    widths = 7 * shape.hidden + 2 * shape.query + 2 * shape.key + 3 * shape.intermediate
    trained = model.lora_rank * widths * shape.layers if model.lora_rank else weights
    asked = LEAST if optimizer.max_tokens_per_microbatch == "auto" else optimizer.max_tokens_per_microbatch
    tokens = max(asked, longest)
    stepped = 12 * trained / (ranks if stage else 1)
    activations = f"{ACTIVATIONS} of {tokens} tokens{' (the longest sequence)' if longest > asked else ''}"
    kept = tokens * shape.kept_bytes(checkpointing=model.gradient_checkpointing)
    by_turns = {f"optimizer or {activations}": max(stepped, kept)}
    parts = {
        "weights": 2 * weights / (ranks if stage == 3 else 1),
        "gradients": gradient_bytes(trained, zero_stage=stage, ranks=ranks),
        **(by_turns if optimizer.offload else {"optimizer": stepped, activations: kept}),
        "reference": 2 * weights if reference and not model.lora_rank else 0.0,
        "weights for the engine": 2 * weights * copies,
    }
    return {name: size / GIB for name, size in parts.items() if size} | {"libraries": LIBRARIES}


def rank_parts(
    shape: Shape,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    grpo: GrpoConfig,
    cluster: ClusterConfig,
    sync: SyncConfig,
    *,
    longest: int = 0,
) -> dict[str, float]:
    """``learner_parts`` of the first rank of a run whose GPUs are decided: it has the weights for the engines, too."""
    copies = weight_copies(sync, topology_of(cluster, model))
    ranks, reference = cluster.learner_ranks, grpo.keeps_reference
    return learner_parts(shape, model, optimizer, ranks=ranks, reference=reference, copies=copies, longest=longest)


def engine_parts(shape: Shape, share_gib: float, *, gpus: float) -> dict[str, float]:
    """GiB of one engine on each of its GPUs, of which it takes ``share_gib``; what is left is its KV cache, which is
    below 0 where nothing is."""
    weights = 2 * shape.weights / GIB / max(1.0, gpus)
    return {"weights": weights, "graphs and activations": ENGINE, "KV cache": share_gib - weights - ENGINE}


def cache_tokens(shape: Shape, cache_gib: float, *, gpus: float) -> int:
    """Tokens whose keys and values an engine holds that has ``cache_gib`` for them on each of its GPUs."""
    return int(cache_gib * GIB * max(1.0, gpus)) // shape.cache_bytes


def resolve_max_num_seqs(
    generation: GenerationConfig, shape: Shape | None, model: ModelConfig, *, gpus: float, has: float
) -> GenerationConfig:
    """The branch with ``max_num_seqs`` decided, if left open, for an engine on ``gpus`` GPUs of ``has`` GiB each: as
    many as its cache holds at full length, in eights. Left open where there is no GPU or no shape."""
    if generation.max_num_seqs != "auto" or not gpus or not has or shape is None:
        return generation
    parts = engine_parts(shape, generation.gpu_memory_fraction * has, gpus=gpus)
    full = cache_tokens(shape, parts["KV cache"], gpus=gpus) // model.context_tokens
    least, most = SEQUENCES
    return generation.model_copy(update={"max_num_seqs": min(most, max(least, full // 8 * 8))})


def gib_while_sampling(parts: Mapping[str, float]) -> float:
    """GiB that a learner rank of these ``learner_parts`` keeps while engines sample: all but activations, and an
    optimizer that takes turns with them."""
    return sum(size for name, size in parts.items() if ACTIVATIONS not in name)


def fits(parts: Mapping[str, float], generation: GenerationConfig, cluster: ClusterConfig, has: float) -> bool:
    """Whether a learner rank of these parts has room on a GPU of ``has`` GiB, beside an engine or in turn with it."""
    while_sampling = gib_while_sampling(parts) + generation.gpu_memory_fraction * has if generation.sleep_level else 0.0
    return sum(parts.values()) <= learner_room(generation, cluster, has) and while_sampling <= has


def learner_room(generation: GenerationConfig, cluster: ClusterConfig, has: float) -> float:
    """GiB that a learner rank may take of a GPU of ``has`` GiB while it trains."""
    return learner_memory_share(cluster, generation) * has - (ASLEEP if generation.sleep_level else 0.0)


def memory_rows(
    shape: Shape | None,
    parts: Mapping[str, float] | None,
    model: ModelConfig,
    generation: GenerationConfig,
    cluster: ClusterConfig,
    *,
    has: float,
) -> list[tuple[str, str]]:
    """(name, what it holds) of the learner, a rank of which has these ``rank_parts``, and the engine, whose GPUs are
    decided, on a GPU of ``has`` GiB; empty without one. Raises ValueError, with what to change, for a plan that does
    not fit."""
    if not has:
        return []
    if shape is None or parts is None:
        return [("GPU memory", f"not estimated: {UNKNOWN_SHAPE}")]
    rows = []
    if cluster.gpus_per_learner_rank:
        rows += _learner_rows(parts, generation, cluster, has)
    if cluster.gpus_per_rollout_worker:
        rows += _engine_rows(shape, model, generation, cluster.gpus_per_rollout_worker, has)
    return rows


def _learner_rows(
    parts: Mapping[str, float], generation: GenerationConfig, cluster: ClusterConfig, has: float
) -> list[tuple[str, str]]:
    needs, room = sum(parts.values()), learner_room(generation, cluster, has)
    rows = [("GPU memory of a learner rank", _sum(parts, room))]
    if needs > room:
        raise ValueError(
            f"a learner rank needs {_sum(parts, room)}: set model.gradient_checkpointing or optimizer.offload, "
            "lower optimizer.max_tokens_per_microbatch, generation.gpu_memory_fraction or, where the longest sequence "
            "counts, sampling.max_new_tokens or data.max_prompt_tokens, add "
            "cluster.learner_ranks with optimizer.zero_stage 2 or 3, or train an adapter (model.lora_rank)"
        )
    if not generation.sleep_level:
        return rows
    beside = learner_room(generation.model_copy(update={"sleep": "off"}), cluster, has)
    why = f"beside an engine a rank would have only {beside:.1f}" if needs > beside else "as generation.sleep asks"
    rows.append(("engines sleep", f"level {generation.sleep_level} while the learner trains, {ASLEEP} GiB each: {why}"))
    sampling = {"engine": generation.gpu_memory_fraction * has, "idle learner": gib_while_sampling(parts)}
    rows.append(("GPU memory while engines sample", _sum(sampling, has)))
    if not fits(parts, generation, cluster, has):
        raise ValueError(
            f"an engine and the idle learner beside it need {_sum(sampling, has)}: lower "
            "generation.gpu_memory_fraction, or train an adapter (model.lora_rank)"
        )
    return rows


def _engine_rows(
    shape: Shape, model: ModelConfig, generation: GenerationConfig, gpus: float, has: float
) -> list[tuple[str, str]]:
    share = generation.gpu_memory_fraction * has
    parts = engine_parts(shape, share, gpus=gpus)
    tokens = max(0, cache_tokens(shape, parts["KV cache"], gpus=gpus))
    sequences = tokens // model.context_tokens
    if sequences < 1:
        raise ValueError(
            f"an engine has no room for one sequence of model.context_tokens {model.context_tokens}: it takes "
            f"{_sum(parts, share)}. Raise generation.gpu_memory_fraction or cluster.gpus_per_rollout_worker, or lower "
            "model.context_tokens"
        )
    asked = resolve_max_num_seqs(generation, shape, model, gpus=gpus, has=has).sequences
    return [
        ("GPU memory of an engine", _sum(parts, share)),
        ("KV cache of an engine", f"{tokens} tokens: {sequences} of {asked} sequences at full length"),
    ]


def _sum(parts: Mapping[str, float], room: float) -> str:
    each = " + ".join(f"{name} {size:.1f}" for name, size in parts.items())
    return f"{each} = {sum(parts.values()):.1f} of {room:.1f} GiB"
