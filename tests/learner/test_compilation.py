"""Compiled layers on a CPU, torch's flash operation emulated there: the same numbers from a handful of kernels, with
weights by themselves and, as DeepSpeed keeps them, one after another."""

import re
from dataclasses import replace

import pytest
import torch
from torch._inductor.utils import fresh_cache, run_and_get_code
from transformers import AutoModelForCausalLM

import tests.flash_on_cpu  # noqa: F401
from learner.architecture import UnsupportedModel
from learner.batch import collate
from learner.bucketed_layout import bucketed_layout
from learner.compilation import compile_layers
from learner.device import _compiles, bytes_per_token
from learner.logits import PLAIN, Logits
from learner.logprobs import PolicyModel, passes_over, token_logprobs
from learner.varlen_layout import varlen_layout
from rnr.config import OptimizerConfig
from scripts.benchmarks.families import tiny_config
from tests.learner.test_joined_linears import flattened
from tests.learner.test_varlen import _packs, _run

ROWS = ([(9, [5, 1, 12]), (4, [3])], [(8, [3, 4]), (2, [9])], [(40, [33, 50, 1])], [(20, [10])], [(5, [7]), (9, [30])])
KERNEL = re.compile(r"^\s+(?:\w+ = )?(cpp_fused_\w+|extern_kernels\.\w+|torch\.ops\.[\w.]+|aten\.\w+)\(", re.MULTILINE)


@pytest.fixture
def compiled_anew():
    """Nothing that was compiled before is used."""
    torch._dynamo.reset()
    passes_over.cache_clear()
    with fresh_cache():
        yield
    torch._dynamo.reset()


def _policy(dtype=torch.float32, *, flat=False):
    torch.manual_seed(0)
    config = tiny_config("llama", vocab_size=128, num_hidden_layers=3, num_attention_heads=8)
    policy = PolicyModel(AutoModelForCausalLM.from_config(config, dtype=dtype), PLAIN)
    return flattened(policy) if flat else policy


def _outcome(policy, batch):
    policy.zero_grad()
    logprobs = _run(policy, batch)
    (logprobs * torch.linspace(-1, 1, len(logprobs))).sum().backward()
    return logprobs.detach(), torch.cat([parameter.grad.flatten() for parameter in policy.parameters()])


# Seven matrix products and one attention forward, twice as many backward; joined there are four. All else is fused.
@pytest.mark.parametrize(("flat", "groups", "forward", "backward"), [(False, 0, 16, 26), (True, 6, 10, 15)])
def test_compiled_layers_give_equal_numbers_from_few_kernels_and_one_compilation_serves_all(
    flat, groups, forward, backward, monkeypatch, compiled_anew
) -> None:
    monkeypatch.setattr("learner.logprobs.at_once", lambda _device, _vocabulary: (883, 883))  # as on a GPU
    torch._dynamo.utils.counters.clear()
    plain, compiled = _policy(), _policy(flat=flat)
    batch = collate(_packs(ROWS[0]), arrange=varlen_layout)
    assert compile_layers(compiled, lambda: _run(compiled, batch)) == 3
    assert len(compiled.joined) == groups
    _, codes = run_and_get_code(_outcome, compiled, batch)
    kernels = [len(KERNEL.findall(code[code.index("def call(") :])) for code in codes]
    # And two passes over the logits.
    assert len(kernels) == 4
    assert kernels[0] <= forward
    assert kernels[1] <= backward
    assert kernels[2:] == [1, 1]
    for shapes in ROWS:
        batch = collate(_packs(shapes), arrange=varlen_layout)
        (ours, our_gradient), (theirs, their_gradient) = _outcome(compiled, batch), _outcome(plain, batch)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
        assert (our_gradient - their_gradient).norm() < 1e-5 * their_gradient.norm()
    # Packs of one completion gather nothing and get a compilation of their own; no length and no layer does.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2 + 2
    assert not torch._dynamo.utils.counters["graph_break"]


def test_the_passes_over_the_logits_are_two_kernels_and_equal_results(compiled_anew) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 40, bias=False)
    hidden = torch.randn(23, 6, requires_grad=True)
    targets, given, of_entropy = torch.randint(40, (23,)), torch.randn(23), torch.randn(23)

    def outcome(logits: Logits, rows: int, entropy_too: bool) -> list[torch.Tensor]:
        logprobs, entropies = token_logprobs(head, hidden[:rows], targets[:rows], 0.7, logits=logits)
        loss = logprobs @ given[:rows] + (entropies @ of_entropy[:rows] if entropy_too else 0.0)
        return [logprobs.detach(), entropies.detach(), *torch.autograd.grad(loss, [hidden, head.weight])]

    _, codes = run_and_get_code(outcome, Logits(fused=True), 23, False)
    kernels = [KERNEL.findall(code[code.index("def call(") :]) for code in codes]
    assert [len(each) for each in kernels] == [1, 1]
    for logits in (Logits(), Logits(scale=2.0, softcap=3.0)):
        for rows, entropy_too in ((23, False), (9, False), (23, True)):
            fused = outcome(replace(logits, fused=True), rows, entropy_too)
            torch.testing.assert_close(fused, outcome(logits, rows, entropy_too), rtol=1e-5, atol=1e-6)


def test_layers_are_compiled_where_attention_is_one_call_and_weights_are_whole() -> None:
    assert _compiles(OptimizerConfig(), varlen_layout)
    assert not _compiles(OptimizerConfig(), bucketed_layout)
    assert not _compiles(OptimizerConfig(compile="off"), varlen_layout)
    assert not _compiles(OptimizerConfig(zero_stage=3), varlen_layout)
    with pytest.raises(UnsupportedModel, match="zero_stage is 3, which gathers weights inside layers and attention"):
        _compiles(OptimizerConfig(compile="on", zero_stage=3), bucketed_layout)


def test_a_forward_pass_keeps_memory_by_the_token() -> None:
    each = bytes_per_token(_policy(), torch.device("cpu"), varlen_layout)
    # In float32 the seven inputs of the products of a layer alone are 5 x 128 + 2 x 256 numbers.
    assert 3 * 4 * (5 * 128 + 2 * 256) < each < 3 * 4 * 30 * 256
