"""What a GPU has to hold, by hand for models whose shapes are known."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.dry_run import memory_missing, worker_gib, workers_of
from cluster.gpus import Gpu, WorkerGpus
from cluster.memory_plan import (
    Shape,
    engine_parts,
    gib_while_sampling,
    learner_parts,
    memory_rows,
    rank_parts,
    resolve_max_num_seqs,
    shape_of,
)
from cluster.placement import decide_gpus, roles
from cluster.run import memory_branches
from cluster.sleep_mode import plan_memory
from rnr.config import ClusterConfig, Config, GenerationConfig, GrpoConfig, ModelConfig, OptimizerConfig, SyncConfig
from rnr.host_memory import HostMemory
from rnr.model_folder import count_weights

SMALL = Shape(weights=596e6, layers=28, hidden=1024, intermediate=3072, query=2048, key=1024)
"""Qwen3-0.6B."""
MICROBATCH = OptimizerConfig(max_tokens_per_microbatch=16384)


def _model(folder, megabytes: float, **changed) -> str:
    config = {
        "num_hidden_layers": 28,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    (folder / "config.json").write_text(json.dumps(config | changed))
    size = int(megabytes * 1e6)
    header = json.dumps({"a": {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)  # takes no room on the disk
    return str(folder)


def test_a_token_of_the_cache_and_of_a_layer_by_hand() -> None:
    # Keys and values, two bytes: 2 * 2 * 28 * 1024.
    assert SMALL.cache_bytes == 114_688
    # Norms 16 * 1024, attention 2 * (2 * 2048 + 2 * 1024), MLP 8 * 3072.
    assert SMALL.layer_bytes == 16_384 + 12_288 + 24_576 == 53_248
    assert SMALL.kept_bytes(checkpointing=False) == 28 * 53_248
    assert SMALL.kept_bytes(checkpointing=True) == 28 * 2048 + 53_248
    # In bf16 what the head makes of it, unless layers are checkpointed.
    small = replace(SMALL, vocabulary=1000)
    assert small.kept_bytes(checkpointing=False) == 28 * 53_248 + 2000
    assert small.kept_bytes(checkpointing=True) == SMALL.kept_bytes(checkpointing=True)


def test_the_plan_of_qwen3_at_16k_is_near_what_was_measured() -> None:
    shape = replace(SMALL, normed=True)
    assert shape.layer_bytes == 53_248 + 6 * 3072
    parts = learner_parts(shape, ModelConfig(), MICROBATCH, ranks=1, reference=False, copies=0)
    # 40.3 GiB were measured on an H200, libraries left out (torch's peak of what it had allocated).
    assert sum(parts.values()) - 1.0 == pytest.approx(40.3, rel=0.05)


def test_one_rank_of_a_small_model_by_hand() -> None:
    parts = learner_parts(SMALL, ModelConfig(), MICROBATCH, ranks=1, reference=False, copies=1)
    gib = 2**30
    assert parts == pytest.approx(
        {
            "weights": 2 * 596e6 / gib,
            "gradients": 6 * 596e6 / gib,
            "optimizer": 12 * 596e6 / gib,
            "activations of 16384 tokens": 16384 * 28 * 53_248 / gib,
            "weights for the engine": 2 * 596e6 / gib,
            "libraries": 1.0,
        }
    )
    # 1.1 + 3.3 + 6.7 + 22.8 + 1.1 + 1.
    assert sum(parts.values()) == pytest.approx(35.97, abs=0.05)


def test_a_sequence_longer_than_a_micro_batch_is_what_counts() -> None:
    def activations(longest: int, optimizer: OptimizerConfig) -> tuple[str, float]:
        parts = learner_parts(SMALL, ModelConfig(), optimizer, ranks=1, reference=False, copies=0, longest=longest)
        return next((name, size) for name, size in parts.items() if name.startswith("activations"))

    # 1,490,944 bytes a token.
    assert activations(2048, OptimizerConfig()) == ("activations of 2048 tokens", pytest.approx(2.84375))
    longest = ("activations of 8192 tokens (the longest sequence)", pytest.approx(11.375))
    assert activations(8192, OptimizerConfig()) == longest
    assert activations(8192, OptimizerConfig(max_tokens_per_microbatch=4096)) == longest
    assert activations(8192, MICROBATCH)[0] == "activations of 16384 tokens"


@pytest.mark.parametrize(
    ("stage", "bytes_per_weight"), [(0, 2 + 6 + 12), (1, 2 + 6 + 3), (2, 2 + 2e9 / 2**30 + 1 + 3), (3, 0.5 + 1.5 + 3)]
)
def test_four_ranks_divide_what_their_stage_divides(stage, bytes_per_weight) -> None:
    optimizer = OptimizerConfig(zero_stage=stage, max_tokens_per_microbatch=1)
    shape = Shape(weights=2**30, layers=1, hidden=1, intermediate=1, query=1, key=1)
    parts = learner_parts(shape, ModelConfig(), optimizer, ranks=4, reference=False, copies=0)
    assert sum(parts[name] for name in ("weights", "gradients", "optimizer")) == pytest.approx(bytes_per_weight)


def test_an_offloaded_optimizer_and_the_activations_take_turns() -> None:
    weights = 2**30
    shape = Shape(weights=weights, layers=1, hidden=0, intermediate=2**20, query=0, key=0)  # keeps 8 MiB of a token
    for tokens, larger in ((2**10, 12.0), (2**11, 16.0)):
        optimizer = OptimizerConfig(max_tokens_per_microbatch=tokens, offload=True)
        parts = learner_parts(shape, ModelConfig(), optimizer, ranks=1, reference=False, copies=0)
        assert parts == {
            "weights": 2.0,
            "gradients": 6.0,
            f"optimizer or activations of {tokens} tokens": larger,
            "libraries": 1.0,
        }
        assert gib_while_sampling(parts) == 9.0


def test_an_adapter_trains_its_own_weights_alone() -> None:
    model = ModelConfig(lora_rank=8)
    parts = learner_parts(SMALL, model, MICROBATCH, ranks=1, reference=True, copies=0)
    # Inputs and outputs of q, k, v, o, gate, up and down of one layer.
    widths = (1024 + 2048) * 2 + (1024 + 1024) * 2 + (1024 + 3072) * 3
    assert parts["optimizer"] == pytest.approx(12 * 8 * widths * 28 / 2**30)
    assert "reference" not in parts  # a second adapter, not a second model


def test_the_cache_has_what_weights_and_graphs_leave_and_two_gpus_share_the_weights() -> None:
    shape = Shape(weights=2**30, layers=1, hidden=1, intermediate=1, query=1, key=1)
    assert engine_parts(shape, 32.0, gpus=0.5) == {"weights": 2.0, "graphs and activations": 1.5, "KV cache": 28.5}
    assert engine_parts(shape, 32.0, gpus=2.0)["KV cache"] == 29.5


@pytest.mark.parametrize(
    ("has", "context", "gpus", "asked", "found"),
    [
        (80.0, 2048, 0.5, "auto", 128),  # 275,146 tokens: 134 at full length, in eights
        (80.0, 512, 0.5, "auto", 512),  # 537
        (9.0, 2048, 0.5, "auto", 16),  # 1 GiB of cache: 4 at full length
        (80.0, 2048, 2.0, "auto", 272),  # 29.94 GiB on each of two: 560,640 tokens
        (80.0, 2048, 0.5, 256, 256),
        (0.0, 2048, 0.5, "auto", 64),  # nobody knows what the GPUs of other hosts have
        (80.0, 2048, 0.0, "auto", 64),
    ],
)
def test_an_engine_decodes_as_many_sequences_at_once_as_its_cache_holds(has, context, gpus, asked, found) -> None:
    generation = GenerationConfig(max_num_seqs=asked, gpu_memory_fraction=0.4)
    decided = resolve_max_num_seqs(generation, SMALL, ModelConfig(context_tokens=context), gpus=gpus, has=has)
    assert decided.sequences == found
    assert resolve_max_num_seqs(generation, None, ModelConfig(), gpus=gpus, has=has) is generation


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"intermediate_size": [64, 128]}, (128, 32, 16)),  # Gemma 3n
        ({"num_key_value_heads": [1, 2], "head_dim": None}, (64, 32, 16)),
        ({"num_key_value_heads": None}, (64, 32, 32)),
        *(({"intermediate_size": size}, None) for size in ([], [64, None], "64", 64.0, True, 0, None)),
        ({"hidden_size": [0]}, None),
    ],
)
def test_a_size_may_be_told_of_each_layer_and_what_is_no_size_is_no_plan(tmp_path, told, found) -> None:
    config = {"num_attention_heads": 4, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    config |= {"num_key_value_heads": 2, "model_type": "gemma3n_text"}
    (tmp_path / "config.json").write_text(json.dumps({"text_config": config | told}))
    shape = shape_of(str(tmp_path), 10)
    assert (shape and (shape.intermediate, shape.query, shape.key)) == found


def _planned(folder, found: WorkerGpus, longest: int = 0, **cluster: Any) -> tuple[GenerationConfig, dict[str, str]]:
    decided, generation = decide_gpus(ClusterConfig(**cluster), GenerationConfig(), 2)
    branches = ModelConfig(context_tokens=2048), OptimizerConfig(), GrpoConfig(), generation, decided, SyncConfig()
    generation, rows = plan_memory(found, shape_of(folder, count_weights(folder)), *branches, longest=longest)
    return generation, dict(rows)


def test_the_smallest_of_the_workers_gpus_decides_and_is_named(tmp_path) -> None:
    folder, h100, a100 = _model(tmp_path, 1192), Gpu(name="H100", gib=80.0), Gpu(name="A100", gib=40.0)
    generation, rows = _planned(folder, WorkerGpus(gpus=[h100, a100, h100], where="the cluster"))
    assert rows["GPUs"] == "3 GPUs of the cluster: the smallest is A100, 40.0 GiB"
    # 0.85 * 40 - 1.11 - 1.5 = 31.4 GiB / 114,688 B = 293,865 tokens; / 2048 = 143, in eights 136.
    assert generation.sequences == 136
    assert rows["KV cache of an engine"].endswith("143 of 136 sequences at full length")
    assert rows["GPU memory of a learner rank"].endswith("of 38.0 GiB")
    small = WorkerGpus(gpus=[h100, Gpu(name="T400", gib=4.0)], where="this machine")
    with pytest.raises(ValueError, match=r"\(estimated for 2 GPUs of this machine: the smallest is T400, 4\.0 GiB\)"):
        _planned(folder, small)


def test_a_plan_in_which_the_longest_sequence_has_no_room_is_refused_with_what_makes_it_shorter(tmp_path) -> None:
    folder = _model(tmp_path, 1192)
    found = WorkerGpus(gpus=[Gpu(name="RTX 4090", gib=24.0)], where="this machine")
    # 1.11 + 3.33 + 6.66 + 1 are 12.1 of 0.95 * 24 = 22.8: 2,048 tokens take 2.84 more, 8,192 tokens 11.38.
    for longest in (0, 2048, 7000):
        _planned(folder, found, longest=longest)
    with pytest.raises(
        ValueError, match=r"of 8192 tokens \(the longest sequence\) 11\.4 .*sampling\.max_new_tokens or"
    ):
        _planned(folder, found, longest=8192)


def test_a_plan_without_the_workers_gpus_says_so_and_what_it_takes(tmp_path) -> None:
    folder, unknown = _model(tmp_path, 1192), WorkerGpus(gpus=(), where="nvidia-smi lists no GPU")
    generation, rows = _planned(folder, unknown)
    assert generation.sequences == 64
    assert rows == {
        "GPU memory": "not estimated: nvidia-smi lists no GPU; generation.max_num_seqs is 64 while they are unknown"
    }
    assert _planned(folder, unknown, gpus_per_rollout_worker=0, gpus_per_learner_rank=0)[1] == {}


def _rows(folder, *, gpus, model=None, cluster=None, transport="auto") -> dict[str, str]:
    sync = SyncConfig.model_validate({"transport": transport})
    model, cluster = model or ModelConfig(context_tokens=2048), cluster or ClusterConfig()
    shape = shape_of(folder, count_weights(folder))
    cluster, generation = decide_gpus(cluster, GenerationConfig(max_num_seqs=256), len(gpus))
    parts = shape and rank_parts(shape, model, MICROBATCH, GrpoConfig(), cluster, sync)
    return dict(memory_rows(shape, parts, model, generation, cluster, has=min(gpus, default=0.0)))


def test_a_plan_that_fits_is_told_part_by_part(tmp_path) -> None:
    rows = _rows(_model(tmp_path, 1192), gpus=[80.0])
    # Shared: the engine has 0.4 of 80, the learner the rest.
    assert rows["GPU memory of a learner rank"].endswith("libraries 1.0 = 36.0 of 48.0 GiB")
    assert rows["GPU memory of an engine"] == (
        "weights 1.1 + graphs and activations 1.5 + KV cache 29.4 = 32.0 of 32.0 GiB"
    )
    # 29.39 GiB / 114,688 B = 275,146 tokens; / 2048 = 134.
    assert rows["KV cache of an engine"].endswith("134 of 256 sequences at full length")
    assert _rows(str(tmp_path), gpus=[]) == {}


@pytest.mark.parametrize(
    ("transport", "part", "total"),
    [("auto", "", "34.9"), ("nccl", " + weights for the engine 2.2", "37.1")],  # 2 x 2 B x 596e6 = 2.22 GiB
)
def test_nccl_keeps_two_versions_on_the_learners_gpu(tmp_path, transport, part, total) -> None:
    rows = _rows(_model(tmp_path, 1192), gpus=[80.0, 80.0], transport=transport)
    assert rows["GPU memory of a learner rank"].endswith(
        f"activations of 16384 tokens 22.8{part} + libraries 1.0 = {total} of 76.0 GiB"
    )


def test_an_engine_on_the_learners_gpu_costs_a_copy_only_where_its_transport_makes_one(tmp_path) -> None:
    folder = _model(tmp_path, 1192)
    assert "weights for the engine 1.1" in _rows(folder, gpus=[80.0])["GPU memory of a learner rank"]
    by_store = _rows(folder, gpus=[80.0], transport="object_store")
    assert "weights for the engine" not in by_store["GPU memory of a learner rank"]


def test_a_plan_that_does_not_fit_is_refused_before_the_start_with_what_to_change(tmp_path) -> None:
    folder = _model(tmp_path, 1192)
    with pytest.raises(ValueError, match=r"a learner rank needs weights 1\.1 .* = 36\.0 of 14\.4 GiB: set model\.grad"):
        _rows(folder, gpus=[24.0])
    apart = ClusterConfig(gpus_per_rollout_worker=1.0, gpus_per_learner_rank=0.0)
    with pytest.raises(ValueError, match=r"no room for one sequence of model\.context_tokens 2048"):
        _rows(folder, gpus=[3.0], cluster=apart)
    assert "134 of" not in _rows(folder, gpus=[24.0], cluster=apart)["KV cache of an engine"]


def test_a_model_of_another_kind_is_said_to_be_left_out(tmp_path) -> None:
    folder = _model(tmp_path, 1, intermediate_size=None)
    assert shape_of(folder, 1) is None
    assert _rows(folder, gpus=[80.0]) == {"GPU memory": "not estimated: config.json lacks the sizes of a plain decoder"}


def test_the_plan_of_a_run_has_the_same_sum_for_a_learner_and_no_cpu_cache_for_an_engine_on_a_gpu(
    tmp_path, monkeypatch
) -> None:
    shape = shape_of(_model(tmp_path, 1192), 596_000_000)
    prepared: Any = SimpleNamespace(shape=shape, weights_gib=2 * 596e6 / 2**30, longest=0)

    def rows(cluster: ClusterConfig, **sections: Any) -> dict[str, str]:
        config = Config(cluster=cluster, **sections)
        known = worker_gib(prepared, **memory_branches(config))
        return dict(workers_of(known, generation=config.generation, needing=roles(cluster)))

    # 20 bytes a weight, 2048 tokens * 28 layers * 53,248 bytes, and libraries: 11.10 + 2.84 + 1. In shared memory two
    # versions of the weights take turns: twice 1.11. The object store holds what is sent in memory of its own.
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    on_cpu = rows(ClusterConfig())
    assert on_cpu["learner workers"] == "1 x (0.25 CPU, 0 GPU), about 17.2 GiB"
    in_store = rows(ClusterConfig(), sync={"transport": "object_store"})
    assert in_store["learner workers"] == "1 x (0.25 CPU, 0 GPU), about 14.9 GiB"
    # 1.5 + twice 1.11 + the cache's 1.
    assert on_cpu["rollout workers"] == "1 x (0.25 CPU, 0 GPU), about 4.7 GiB"
    # The reference is another 2 bytes a weight.
    assert rows(ClusterConfig(), grpo={"kl_coefficient": 0.1})["learner workers"].endswith("about 18.3 GiB")
    shared = ClusterConfig(gpus_per_rollout_worker=0.5, gpus_per_learner_rank=0.5)
    # On a shared GPU one version lies ready at a time, through NCCL two: 14.945 + 1.11, 14.945 + 2.22.
    assert rows(shared)["learner workers"] == "1 x (0.25 CPU, 0.5 GPU), about 16.1 GiB"
    apart = ClusterConfig(gpus_per_rollout_worker=1, gpus_per_learner_rank=1)
    assert rows(apart, sync={"transport": "nccl"})["learner workers"] == "1 x (0.25 CPU, 1 GPU), about 17.2 GiB"
    assert rows(shared)["rollout workers"] == "1 x (0.25 CPU, 0.5 GPU), 0.85 of a GPU"
    prepared.shape = None
    assert rows(ClusterConfig())["learner workers"].endswith("memory not estimated")


def test_memory_that_is_missing_is_told_with_what_there_is(monkeypatch) -> None:
    here = HostMemory(int(23.4 * 2**30), 17 * 2**30, limited=False)
    monkeypatch.setattr("cluster.dry_run.host_memory", lambda: here)
    known = {"rollout": 3.0, "learner": 5.4, "reward": 0.3}
    # Six engines, a learner and a reward worker: 18 + 5.4 + 0.3. What is on a GPU takes none of it.
    said = memory_missing(known, roles(ClusterConfig(rollout_workers=6)))
    assert said.startswith("the workers need about 23.7 GiB, but only 17.0 of 23.4 GiB on this machine are free: lower")
    assert memory_missing(known, roles(ClusterConfig(rollout_workers=3))) == ""
    assert memory_missing(known, roles(ClusterConfig(rollout_workers=6, gpus_per_rollout_worker=1))) == ""
    here = replace(here, limited=True)
    said = memory_missing(known, roles(ClusterConfig(rollout_workers=6)))
    assert "only 17.0 of 23.4 GiB that this container or job may use are free" in said
