"""Tiny random models of many families: what the learner computes is what transformers computes, or it is refused."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from learner.adapter import with_adapter
from learner.architecture import UnsupportedModel, refuse_architecture
from learner.batch import Weighted, collate
from learner.logits import Logits
from learner.logprobs import PolicyModel, token_logprobs
from learner.preflight import preflight
from rnr.types import Sample
from scripts.benchmarks.families import tiny_config

FAMILIES = {
    "llama": {},
    "qwen2": {},
    "phi3": {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attention_dropout": 0.5},
    "gpt2": {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5},
    "opt": {"dropout": 0.5, "attention_dropout": 0.5, "layerdrop": 0.5},
    "biogpt": {"layerdrop": 1},
    "olmo2": {"attention_dropout": 0.5},
    "seed_oss": {"residual_dropout": 0.5, "attention_dropout": 0.5},
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.22},
    "cohere": {"logit_scale": 0.25},
    "gemma4_text": {"final_logit_softcapping": 3.0},
    "minicpm3": {},
    "mixtral": {"router_jitter_noise": 0.5},
}
"""Dropout, jitter, scales and caps as such models have them, or more."""


def tiny(kind, **wanted):
    """A model of that family in float32, with weights large enough that whatever is left out shows."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        tiny_config(kind, **{"vocab_size": 128, "num_hidden_layers": 2} | wanted), dtype=torch.float32
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.dim() < 2 else 0.06))
    return model.eval()


PROMPT, COMPLETIONS = (3, 17, 5, 90), ((8, 2, 9), (40, 41, 42, 43, 44), (7,))


def group():
    """A row in which three completions share their prompt."""
    samples = (Sample(uid="", prompt_ids=PROMPT, completion_ids=completion) for completion in COMPLETIONS)
    return collate((tuple(Weighted(sample=sample, weight=1.0) for sample in samples),))


def scores(policy, batch):
    arguments = (batch.input_ids_1T, batch.position_ids_1T, batch.layout, batch.columns_N, batch.targets_N)
    return policy(*arguments, 1.0)[0]


def plain_scores(model):
    """What transformers alone gives the completions, one sequence after the other."""
    found = []
    for completion in COMPLETIONS:
        logs = model(input_ids=torch.tensor([PROMPT + completion]), use_cache=False).logits[0].float().log_softmax(-1)
        found += [logs[len(PROMPT) - 1 + place, token] for place, token in enumerate(completion)]
    return torch.stack(found)


@pytest.mark.parametrize("kind", FAMILIES)
def test_packed_log_probabilities_in_training_are_those_of_a_plain_pass(kind) -> None:
    model = tiny(kind, **FAMILIES[kind])
    with torch.no_grad():
        expected = plain_scores(model)
        policy = preflight(model).train()
        torch.testing.assert_close(scores(policy, group()), expected, rtol=0, atol=1e-5)


def test_what_a_model_makes_of_its_logits_is_found_out() -> None:
    assert preflight(tiny("llama")).logits == Logits()
    assert preflight(tiny("granite", logits_scaling=8.0)).logits == Logits(scale=0.125)
    assert preflight(tiny("cohere", logit_scale=0.25)).logits == Logits(scale=0.25)
    assert preflight(tiny("gemma4_text", final_logit_softcapping=3.0)).logits == Logits(softcap=3.0)
    # It divides hidden states of 128 numbers by 128 / 64 before the head.
    assert preflight(tiny("minicpm3", dim_model_base=64)).logits.scale == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("logits", [Logits(scale=0.25), Logits(scale=2.0, softcap=3.0)])
def test_scales_and_caps_have_the_gradient_that_autograd_finds(logits) -> None:
    torch.manual_seed(0)
    head = nn.Linear(5, 7, dtype=torch.float64)
    hidden = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 6, 2, 2, 1, 5])
    wanted = (hidden, head.weight, head.bias)
    logs = (logits(head(hidden)) / 0.7).log_softmax(-1)
    theirs = logs[torch.arange(6), targets], -(logs.exp() * logs).sum(-1)
    ours = token_logprobs(head, hidden, targets, 0.7, logits=logits)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)
    grads = [torch.randn(6, dtype=torch.float64) for _ in range(2)]
    for our, their in zip(
        torch.autograd.grad(ours, wanted, grads), torch.autograd.grad(theirs, wanted, grads), strict=True
    ):
        torch.testing.assert_close(our, their)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("bloom", {}, "BloomForCausalLM keeps its attention implementation 'eager'"),
        ("stablelm", {}, "StableLmAttention: its layers do not pass on the arguments of attention"),
        ("gemma2", {}, "Gemma2Attention has a soft cap in attention"),
        ("gpt_oss", {}, "GptOssAttention has attention sinks"),
        ("mamba", {}, r"layers.0.mixer \(MambaMixer\) treats a completion differently next to its siblings"),
        ("qwen3_5_text", {}, r"layers.0.linear_attn \(\w+\) treats a completion differently next to its siblings"),
        ("mistral", {"sliding_window": 8}, r"MistralAttention has a sliding window \(8\) smaller than the sequence"),
    ],
)
def test_what_the_learner_would_compute_otherwise_is_refused_by_name(kind, options, words) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        preflight(tiny(kind, **options))


class Noisy(nn.Linear):
    def forward(self, input):
        return super().forward(input) + (torch.randn(self.out_features) if self.training else 0.0)


class Shifted(nn.Linear):
    """Mixes the tokens of a row by their place in it."""

    def forward(self, input):
        return super().forward(input) + input.roll(1, 1)[..., :1] * 0.1


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Noisy, r"In training mode model.layers.1.mlp.up_proj \(Noisy\)"),
        (Shifted, r"model.layers.1.mlp.up_proj \(Shifted\) treats a completion differently next to its siblings"),
    ],
)
def test_a_part_that_breaks_packing_is_found_among_the_others(layer, words) -> None:
    model = tiny("llama")
    old = model.model.layers[1].mlp.up_proj
    model.model.layers[1].mlp.up_proj = layer(old.in_features, old.out_features, bias=False)
    with pytest.raises(UnsupportedModel, match=words):
        preflight(model)


class Cubed(nn.Linear):
    """Logits that no scale and no cap explains."""

    def forward(self, input):
        return super().forward(input) ** 3


def test_logits_that_nothing_explains_are_refused() -> None:
    model = tiny("llama")
    model.lm_head = Cubed(128, 128, bias=False)
    with pytest.raises(UnsupportedModel, match="its logits are not its head's output times a number"):
        preflight(model)


def test_weights_that_are_no_numbers_are_named() -> None:
    model = tiny("llama")
    model.model.layers[1].mlp.up_proj.weight.data[3, 4] = float("nan")
    words = r"logits are not finite; weights that are not finite: 1 \(first: model\.layers\.1\.mlp\.up_proj\.weight\)"
    with pytest.raises(UnsupportedModel, match=words):
        preflight(model)


def test_noise_that_a_model_goes_by_in_evaluation_is_named() -> None:
    with pytest.raises(UnsupportedModel, match=r"applies router_jitter_noise \(0\.01\) in evaluation, too"):
        preflight(tiny("phimoe"))


def test_a_head_that_does_not_take_what_the_body_gives_is_refused() -> None:
    with pytest.raises(
        UnsupportedModel, match=r"RemBertForCausalLM cannot be computed from .* body and a head: Runtime"
    ):
        preflight(tiny("rembert"))


@pytest.mark.parametrize("kind", ["llama", "gemma3n_text"])  # the second reads weights of layers that it does not call
def test_the_weights_are_tried_in_float32_and_come_back_untouched(kind) -> None:
    model = tiny(kind).to(torch.bfloat16)
    before = {name: (parameter.data_ptr(), parameter.detach().clone()) for name, parameter in model.named_parameters()}
    preflight(model)
    for name, parameter in model.named_parameters():
        place, values = before[name]
        assert parameter.dtype == torch.bfloat16
        assert parameter.data_ptr() == place
        assert torch.equal(parameter, values)


def test_a_model_with_an_adapter_is_tried_as_a_whole() -> None:
    adapted = with_adapter(tiny("llama").to(torch.bfloat16), rank=4, alpha=8)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    policy = preflight(adapted)
    assert {parameter.dtype for parameter in policy.parameters()} == {torch.bfloat16}


def test_the_padding_token_is_trained_where_it_stands_in_a_prompt() -> None:
    model = tiny("llama", pad_token_id=PROMPT[1], tie_word_embeddings=False)
    assert model.get_input_embeddings().padding_idx == PROMPT[1]
    policy = PolicyModel(model, Logits())
    scores(policy, group()).sum().backward()
    gradient = policy.model.get_input_embeddings().weight.grad
    assert gradient[PROMPT[1]].abs().sum() > 0
    assert gradient[100].abs().sum() == 0  # a token that does not occur


ORIGINAL = "original_max_position_embeddings"
LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 48,
    "long_factor": [2.0] * 48,
    ORIGINAL: 512,
}


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("mistral", {"sliding_window": 512}, "sliding_window 512 < model.context_tokens"),
        ("gemma3_text", {"sliding_window": 512}, "sliding_window 512"),
        ("llama4_text", {"attention_chunk_size": 512}, "attention_chunk_size 512"),
        ("gemma2", {"sliding_window": 4096}, "soft caps in attention: attn_logit_softcapping 50"),
        ("falcon", {"alibi": True}, "positions as a bias on attention: alibi"),
        ("qwen3_5_text", {}, "other than by attention: linear_attention"),
        ("llama", {"max_position_embeddings": 512}, r"the model supports 512 \(max_position_embeddings\)"),
        ("llama", {"max_position_embeddings": 4096, "model_max_length": 512}, r"supports 512 \(model_max_length\)"),
        ("llama", {"max_position_embeddings": 4096, "seq_length": 512}, r"supports 512 \(seq_length\)"),
        ("gpt2", {"n_positions": 512}, r"supports 512"),
        ("llama", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised"),
        (
            "llama",
            {"rope_parameters": LONG_ROPE, "max_position_embeddings": 4096},
            "positions that change beyond 512 tokens, longrope: model.context_tokens may be 512 at most",
        ),
        ("phi3", {"rope_parameters": {**LONG_ROPE, ORIGINAL: 2048}, ORIGINAL: 512}, "beyond 512 tokens"),
        ("llava", {}, r"no causal language model of the type llava: save its language model \(llama\)"),
        ("mistral3", {}, r"of the type mistral3: save its language model \(mistral\)"),
        ("qwen2_5_vl", {}, r"of the type qwen2_5_vl: save its language model \(qwen2_5_vl_text\)"),
        ("siglip", {}, "no causal language model of the type siglip"),
    ],
)
def test_what_a_config_tells_is_refused_before_anything_starts(kind, settings, words) -> None:
    config = AutoConfig.for_model(kind, **settings)
    with pytest.raises(UnsupportedModel, match=words):
        refuse_architecture(config, 1024)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("mistral", {"sliding_window": 1024}),
        ("qwen2", {"use_sliding_window": False, "sliding_window": 512}),
        ("phi3", {"attention_dropout": 0.1, "max_position_embeddings": 1024}),
        ("llama", {"max_position_embeddings": 1024, "model_max_length": 10**30}),
        ("gemma3_text", {"sliding_window": 512, "layer_types": ["full_attention"] * 26}),
        ("llama", {"rope_parameters": {**LONG_ROPE, ORIGINAL: 1024}, "max_position_embeddings": 4096}),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4, ORIGINAL: 512}}),
    ],
)
def test_a_config_whose_limits_are_not_reached_is_taken(kind, settings) -> None:
    refuse_architecture(AutoConfig.for_model(kind, **settings), 1024)
