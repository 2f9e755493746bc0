"""One attention call a layer, its CUDA kernel replaced by an emulation: values, gradients, what is dispatched."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM

from learner import varlen
from learner.architecture import UnsupportedModel
from learner.attention import attend
from learner.batch import Weighted, collate
from learner.bucketed_layout import bucketed_layout
from learner.logits import PLAIN
from learner.logprobs import PolicyModel
from learner.preflight import check_on_device, preflight, trial_batch
from learner.varlen import obstacle
from learner.varlen_layout import varlen_layout
from rnr.types import Sample
from scripts.benchmarks.families import tiny_config
from tests.learner.test_attention import _mask


def emulation(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False
):
    """``torch.nn.attention.varlen.varlen_attn`` by plain products in float64: causal to the lower right. It refuses
    what the CUDA kernel refuses."""
    assert window_size == (-1, 0)
    assert scale is not None
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert len(query) == cu_seq_q[-1]
    assert len(key) == len(value) == cu_seq_k[-1]
    assert query.shape[-1] == key.shape[-1] == value.shape[-1]
    assert query.shape[-1] % 8 == 0
    group = query.shape[1] // key.shape[1]
    assert enable_gqa or group == 1
    queries, keys = cu_seq_q.diff().tolist(), cu_seq_k.diff().tolist()
    assert min(queries) > 0
    assert (max(queries), max(keys)) == (max_q, max_k)
    outputs = []
    for own, seen, values in zip(query.split(queries), key.split(keys), value.split(keys), strict=True):
        seen, values = (rows.double().repeat_interleave(group, 1) for rows in (seen, values))
        scores = torch.einsum("qhd,khd->hqk", own.double(), seen) * scale
        later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(scores.shape[2] - scores.shape[1] + 1)
        weights = scores.masked_fill(later, -torch.inf).softmax(-1)
        outputs.append(torch.einsum("hqk,khd->qhd", weights, values).to(query.dtype))
    return torch.cat(outputs)


@pytest.fixture
def emulated(monkeypatch):
    monkeypatch.setattr(varlen, "varlen_attn", emulation)
    monkeypatch.setattr(varlen, "GROUPED", {"enable_gqa": True})


def _packs(shapes):
    """Packs of random tokens: (prompt tokens, tokens of each completion)."""
    generator = torch.Generator().manual_seed(0)

    def draw(count):
        return tuple(torch.randint(1, 128, (count,), generator=generator).tolist())

    return tuple(
        tuple(
            Weighted(sample=Sample(uid="", prompt_ids=prompt, completion_ids=draw(count)), weight=1.0)
            for count in completions
        )
        for prompt, completions in ((draw(size), completions) for size, completions in shapes)
    )


def test_segments_by_hand() -> None:
    packs = [(range(3), [range(3, 5), range(5, 5), range(5, 6)]), (range(6, 8), [range(8, 8)])]
    found = varlen_layout(packs)
    # Prompt and first completion; the last completion with its prompt's columns; a prompt alone. Nothing is empty.
    assert found.starts_S1.tolist() == [0, 5, 6, 8]
    assert found.keys_Y is not None
    assert found.keys_Y.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 5, 6, 7]
    assert found.key_starts_S1.tolist() == [0, 5, 9, 11]
    assert (found.longest, found.reach) == (5, 5)


def test_a_first_completion_that_is_empty_leaves_its_prompt_to_the_next() -> None:
    found = varlen_layout([(range(3), [range(3, 3), range(3, 5)])])
    assert (found.starts_S1.tolist(), found.keys_Y) == ([0, 5], None)


def test_packs_of_one_completion_gather_nothing() -> None:
    found = varlen_layout([(range(3), [range(3, 5)]), (range(5, 6), [range(6, 10)])])
    assert found.keys_Y is None
    assert found.key_starts_S1 is found.starts_S1
    assert found.starts_S1.tolist() == [0, 5, 10]


packs = st.lists(
    st.tuples(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=1, max_size=4)), min_size=1, max_size=3
)


@settings(max_examples=40)
@given(shapes=packs, groups=st.sampled_from([1, 3]), widths=st.sampled_from([(8, 8), (5, 5), (12, 8), (8, 20)]))
def test_values_and_gradients_are_those_of_the_dense_mask(shapes, groups, widths) -> None:
    layout = collate(_packs(shapes), arrange=varlen_layout).layout
    tokens, generator = int(layout.starts_S1[-1]), torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, tokens, width, generator=generator, dtype=torch.float64, requires_grad=True)
        for heads, width in ((2 * groups, widths[0]), (2, widths[0]), (2, widths[1]))
    )
    grads = torch.randn(1, tokens, 2 * groups, widths[1], generator=generator, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(varlen, "varlen_attn", emulation)
        patch.setattr(varlen, "GROUPED", {"enable_gqa": True})
        ours, _ = attend(torch.nn.Identity(), query, key, value, None, layout=layout, scaling=0.3)
    wide = (part.repeat_interleave(groups, 1) for part in (key, value))
    theirs = scaled_dot_product_attention(query, *wide, attn_mask=_mask(shapes), scale=0.3).transpose(1, 2)
    torch.testing.assert_close(ours, theirs)
    expected = torch.autograd.grad(theirs, (query, key, value), grads)
    for our, their in zip(torch.autograd.grad(ours, (query, key, value), grads), expected, strict=True):
        torch.testing.assert_close(our, their)


def _model(**options):
    torch.manual_seed(0)
    config = tiny_config("llama", vocab_size=128, num_hidden_layers=2, num_attention_heads=8, **options)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def _run(policy, batch):
    return policy(
        batch.input_ids_1T, batch.position_ids_1T, batch.layout, batch.columns_N, batch.targets_N, temperature=1.0
    )[0]


REAL = [(9, [5, 1, 12]), (4, [3]), (7, [2, 2, 20, 6])]


def test_log_probabilities_and_gradients_of_a_model_are_those_of_the_plain_forward_pass(emulated) -> None:
    model = _model().double()
    packs = _packs(REAL)
    expected = []
    for pack in packs:
        for item in pack:
            ids = torch.tensor([item.sample.prompt_ids + item.sample.completion_ids])
            logs = model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)[:-1]
            chosen = logs.gather(1, ids[0, 1:, None])[:, 0]
            expected.append(chosen[len(item.sample.prompt_ids) - 1 :])
    expected = torch.cat(expected)
    along = torch.linspace(-1, 1, len(expected), dtype=torch.float64)
    theirs = torch.autograd.grad((expected * along).sum(), list(model.parameters()))
    policy = PolicyModel(model, PLAIN)
    found = _run(policy, collate(packs, arrange=varlen_layout))
    ours = torch.autograd.grad((found * along).sum(), list(model.parameters()))
    # The head's log-probabilities are float32 at least; rotary and norms of the model round to float32 inside.
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=0, atol=1e-5)
    for our, their in zip(ours, theirs, strict=True):
        assert (our - their).norm() <= 1e-5 * their.norm()


class Count(TorchDispatchMode):
    """Counts what is dispatched and launches a kernel: views and empty tensors launch none."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not (func.is_view or "view" in func.name() or "empty" in func.name()):
            self.found[str(func)] += 1
        return result


class _OneOperation(torch.autograd.Function):
    """Stands for the kernel: one operation forward, one backward, of the right shapes."""

    @staticmethod
    def forward(ctx, query, key, value):
        ctx.save_for_backward(query, key, value)
        return query.clone()

    @staticmethod
    def backward(ctx, *grads):
        return tuple(torch.empty_like(each) for each in ctx.saved_tensors)


def _counted(shapes, monkeypatch):
    """(forward, backward) operations of one decoder layer: what a model of three layers has more than one of two."""
    monkeypatch.setattr(varlen, "varlen_attn", lambda *tensors, **_: _OneOperation.apply(*tensors[:3]))
    batch = collate(_packs(shapes), "meta", varlen_layout)
    totals = []
    for layers in (2, 3):
        config = tiny_config("llama", vocab_size=128, num_hidden_layers=layers, num_attention_heads=8)
        with torch.device("meta"):
            policy = PolicyModel(AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16), PLAIN)
        with Count() as forward:
            logprobs = _run(policy, batch)
        with Count() as backward:
            logprobs.sum().backward()
        totals.append((forward.found.total(), backward.found.total()))
    (few, more) = totals
    return more[0] - few[0], more[1] - few[1]


def test_operations_of_a_layer_do_not_grow_with_the_number_of_lengths(monkeypatch) -> None:
    supervised = [(20 + 3 * number, [10 + 7 * number]) for number in range(16)]
    groups = [(20 + number, [3 + 5 * number + 3 * place for place in range(16)]) for number in range(16)]
    one, several = _counted([(20, [10])], monkeypatch), _counted([(20, [10, 12])], monkeypatch)
    assert _counted(supervised, monkeypatch) == one
    assert _counted(groups, monkeypatch) == several
    # In length buckets: 549 and 1,094 for the supervised sequences, 1,187 and 2,360 for the groups.
    for forward, backward in (one, several):
        assert forward <= 40
        assert backward <= 80


def test_the_device_decides_and_says_why_not(monkeypatch) -> None:
    assert obstacle(torch.device("cpu"), frozenset({64})) == "it runs on cpu"
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    assert obstacle(gpu, frozenset({64, 128})) is None
    assert (
        obstacle(gpu, frozenset({256, 512})) == "its head dimension is 512, but the flash kernels support at most 256"
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    assert "compute capability 8.0, but this device has 7.5" in (obstacle(gpu, frozenset({64})) or "")


def test_the_preflight_notes_the_widths_of_all_heads() -> None:
    assert preflight(_model(head_dim=24)).head_widths == {24}


def test_a_kernel_that_computes_something_else_is_refused_on_its_device(emulated, monkeypatch) -> None:
    policy = preflight(_model())
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        expected = _run(policy, trial_batch(policy, "cpu", bucketed_layout))
        check_on_device(_run(policy, trial_batch(policy, "cpu", varlen_layout)), expected, policy)
    # As if causality went by the upper left: completions do not see the end of their prompt.
    monkeypatch.setattr(varlen, "varlen_attn", lambda *given, **options: emulation(*given, **options).roll(1, 0))
    with torch.no_grad():
        found = _run(policy, trial_batch(policy, "cpu", varlen_layout))
    with pytest.raises(UnsupportedModel, match="on cpu: with one attention call a layer"):
        check_on_device(found, expected, policy)


def test_the_trial_batch_of_a_model_that_zero_3_has_divided_is_the_same() -> None:
    policy = preflight(_model())
    expected = trial_batch(policy, "cpu", varlen_layout)
    head = policy.model.get_output_embeddings().weight
    head.ds_shape, head.data = head.shape, torch.empty(0)  # as DeepSpeed leaves a weight that it has partitioned
    found = trial_batch(policy, "cpu", varlen_layout)
    assert torch.equal(found.input_ids_1T, expected.input_ids_1T)
    assert len(found.input_ids_1T.unique()) > 1
