"""What vLLM is told on GPUs, and what is refused before it is started."""

import importlib
import json

import pytest

from actors.vllm_on_gpu import capture_sizes, gpu_arguments, refuse_division, refuse_platform
from rnr.cli import load_config
from rnr.config import GenerationConfig


@pytest.mark.parametrize(
    ("most", "sizes"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (64, [1, 2, 4, 8, 16, 24, 32, 48, 64]),
        (100, [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 100]),
        (256, [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256]),
        (2000, [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]),
    ],
)
def test_graphs_are_captured_up_to_the_sequences_that_are_decoded_at_once(most, sizes) -> None:
    assert capture_sizes(most) == sizes


def test_a_batch_is_filled_up_by_less_than_half_of_itself_once_it_has_sixteen() -> None:
    sizes = capture_sizes(512)
    worst = max(min(size for size in sizes if size >= batch) / batch for batch in range(17, 513))
    assert worst < 1.5


def test_an_engine_of_two_gpus_divides_its_model_over_both() -> None:
    both = gpu_arguments(GenerationConfig(), gpus=2.0)
    assert (both["tensor_parallel_size"], both["distributed_executor_backend"]) == (2, "mp")
    for one in (0.5, 1.0):
        assert "tensor_parallel_size" not in gpu_arguments(GenerationConfig(), gpus=one)


def test_an_engine_that_does_not_compile_still_decodes_in_graphs() -> None:
    sizes = {"cudagraph_capture_sizes": [1, 2, 4, 8]}
    compiled, plain = (
        gpu_arguments(GenerationConfig(max_num_seqs=8, compile=compile), gpus=1.0)["compilation_config"]
        for compile in (True, False)
    )
    assert compiled == sizes
    assert plain == {**sizes, "mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}


def test_vllm_takes_what_it_is_told_about_compilation() -> None:
    from vllm.config import CompilationConfig, CompilationMode, CUDAGraphMode

    plain = CompilationConfig(**gpu_arguments(GenerationConfig(compile=False), gpus=1.0)["compilation_config"])
    assert (plain.mode, plain.cudagraph_mode) == (CompilationMode.NONE, CUDAGraphMode.FULL_DECODE_ONLY)
    # Graphs of decoding alone need no compilation, so vLLM does not turn them off.
    assert not plain.cudagraph_mode.requires_piecewise_compilation()


@pytest.mark.parametrize(
    ("built_for_cpus", "use_gpu", "said"),
    [
        (True, False, ""),
        (False, True, ""),
        (True, True, r"has a GPU, but vLLM \S+ is built for CPUs"),
        (False, False, r"has no GPU, but vLLM \S+ is not built for CPUs.*cluster\.gpus_per_rollout_worker"),
    ],
)
def test_a_vllm_that_is_built_for_another_device_is_refused(monkeypatch, built_for_cpus, use_gpu, said) -> None:
    platforms = pytest.importorskip("vllm.platforms")
    monkeypatch.setattr(platforms.current_platform, "is_cpu", lambda: built_for_cpus)
    if not said:
        refuse_platform(use_gpu=use_gpu)
        return
    with pytest.raises(ValueError, match=said):
        refuse_platform(use_gpu=use_gpu)


def test_heads_that_do_not_divide_are_refused_with_what_does(tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 9}))
    refuse_division(str(tmp_path), 3.0)
    for none in (None, 0.0, 0.5, 1.0):
        refuse_division(str(tmp_path), none)
    with pytest.raises(ValueError, match=r"gpus_per_rollout_worker=2: .* 9 attention heads .* set it to 1 or 3 or 9$"):
        refuse_division(str(tmp_path), 2.0)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": [9, 9]}))
    refuse_division(str(tmp_path), 2.0)  # vLLM knows


@pytest.mark.parametrize(
    ("heads", "keys", "fit"),
    [
        (28, 4, [1, 2, 4, 28]),  # Qwen2.5-7B: 7 and 14 divide 28, and neither 4 by them nor they by 4
        (16, 8, [1, 2, 4, 8, 16]),
        (32, 1, [1, 2, 4, 8, 16, 32]),
        (12, None, [1, 2, 3, 4, 6, 12]),
    ],
)
def test_heads_of_keys_and_values_are_divided_or_copied_as_vllm_does(tmp_path, heads, keys, fit) -> None:
    config = {"num_attention_heads": heads, "num_key_value_heads": keys}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for number in range(1, heads + 1):
        if number in fit:
            refuse_division(str(tmp_path), float(number))
        else:
            with pytest.raises(ValueError, match=f"set it to {' or '.join(map(str, fit))}$"):
                refuse_division(str(tmp_path), float(number))


def test_part_of_a_second_gpu_is_refused() -> None:
    assert load_config(None, ["--cluster.gpus_per_rollout_worker=2"]).cluster.gpus_per_rollout_worker == 2
    with pytest.raises(ValueError, match="a fraction of one GPU or a whole number of GPUs"):
        load_config(None, ["--cluster.gpus_per_rollout_worker=1.5"])
    with pytest.raises(ValueError, match="gpus_per_learner_rank"):
        load_config(None, ["--cluster.gpus_per_learner_rank=2"])


def test_vllm_takes_the_arguments_by_these_names() -> None:
    vllm = pytest.importorskip("vllm")
    arguments = gpu_arguments(GenerationConfig(max_num_seqs=8, sleep="level2"), gpus=2.0)
    assert arguments.keys() <= vllm.AsyncEngineArgs.__dataclass_fields__.keys()
    config = importlib.import_module("vllm.config").CompilationConfig
    assert arguments["compilation_config"].keys() <= config.__dataclass_fields__.keys()
