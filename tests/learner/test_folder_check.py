"""Config and weights of a folder that are not those of one causal language model are refused before anything is loaded,
by what does not fit."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from learner.architecture import UnsupportedModel
from learner.folder_check import refuse_folder
from learner.loading import load_model
from scripts.benchmarks.families import tiny_config

SIZES = {"vocab_size": 64, "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "head_dim": 16}


@pytest.fixture
def tiny(tmp_path):
    """Writes the folder of a tiny random model of a type, with other settings in its ``config.json`` than it has."""

    def write(kind: str = "llama", settings=None, change=None, **wanted):
        torch.manual_seed(0)
        config = tiny_config(kind, **SIZES | {"num_key_value_heads": 1} | wanted)
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(tmp_path)
        file = tmp_path / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | (settings or {})))
        if change:
            weights = load_file(tmp_path / "model.safetensors")
            change(weights)
            save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        return tmp_path

    return write


def _refuse(folder, **options) -> None:
    refuse_folder(folder, AutoConfig.from_pretrained(folder), **options)


@pytest.mark.parametrize(
    "kind", ["llama", "qwen2", "gpt2", "opt", "mixtral", "gpt_neox", "gemma3_text", "olmo2", "phi3"]
)
def test_a_folder_as_transformers_writes_it_is_taken(tiny, kind) -> None:
    _refuse(tiny(kind))


EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
LAYER = "model.layers.0.self_attn"


def _rename(old: str, new: str):
    def change(weights) -> None:
        for name in list(weights):
            weights[name.replace(old, new, 1)] = weights.pop(name)

    return change


def _add(**shapes):
    def change(weights) -> None:
        weights |= {name: torch.ones(shape, dtype=torch.bfloat16) for name, shape in shapes.items()}

    return change


def _without_layer(weights) -> None:
    for name in [name for name in weights if ".layers.1." in name]:
        del weights[name]


def _as_gptq(weights) -> None:
    weights[f"{LAYER}.q_proj.qweight"] = torch.zeros(4, 32, dtype=torch.int32)
    weights[f"{LAYER}.q_proj.scales"] = weights.pop(f"{LAYER}.q_proj.weight")[:1].clone()


@pytest.mark.parametrize(
    ("settings", "change", "words"),
    [
        (
            {"num_key_value_heads": 2},
            None,
            rf"4 of 21 weights .* {LAYER}\.k_proj\.weight \(\[16, 32\] in the files, \[32, 32\] in config\.json",
        ),
        ({"vocab_size": 65}, None, rf"2 of 21 .* {EMBED} \(\[64, 32\] in the files, \[65, 32\] in config\.json\)"),
        ({"attention_bias": True}, None, rf"8 of 29 weights .* {LAYER}\.k_proj\.bias"),
        (
            {"num_hidden_layers": 3},
            None,
            r"9 of 30 weights .* model\.layers\.2\.input_layernorm\.weight, .* and 6 more$",
        ),
        (
            {"num_hidden_layers": 1},
            None,
            r"does not match the weights: the files hold 9 weights that the model does not have: model",
        ),
        (
            {"rope_parameters": None, "rope_scaling": {"type": "foo"}},
            None,
            r"cannot build its model: KeyError: 'foo'",
        ),
        ({"rope_parameters": None, "rope_theta": None}, None, r"config\.json: transformers cannot build .*TypeError"),
        ({"hidden_act": "foo"}, None, r"config\.json: transformers cannot build its model: KeyError"),
        ({}, _rename("model.", "_orig_mod.model."), r"20 of 21 .* hold 20 weights .* does not have: _orig_mod\.model"),
        ({}, _rename("model.", ""), rf"20 of 21 weights .* no weight with that name and shape: {EMBED}"),
        ({}, _without_layer, r"9 of 21 weights .* model\.layers\.1\.input_layernorm\.weight"),
        ({}, _as_gptq, rf"1 of 21 .* {LAYER}\.q_proj\.weight; .* hold 1 weight .*: {LAYER}\.q_proj\.scales$"),
        ({}, _add(**{f"{LAYER}.q_proj.bias": [32]}), rf"hold 1 weight .* does not have: {LAYER}\.q_proj\.bias$"),
        ({}, _add(**{"model.norm.weight": [0]}), r"model\.norm\.weight \(\[0\] in the files, \[32\] in config"),
        ({}, lambda weights: weights.pop(HEAD), rf"1 of 21 weights .*: {HEAD}$"),
        (
            {"tie_word_embeddings": True},
            None,
            rf"ties {HEAD} to {EMBED} .* differ in .* Set tie_word_embeddings to false",
        ),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            None,
            r"the architecture LlamaForSequenceClassification",
        ),
        ({"architectures": ["Qwen2ForCausalLM"]}, None, r"language model of the type llama is LlamaForCausalLM: use"),
        ({"architectures": None}, None, r"config\.json has no architectures, from which vLLM builds the model"),
    ],
)
def test_a_config_and_weights_that_do_not_fit_are_refused_by_name(tiny, settings, change, words) -> None:
    folder = tiny(settings=settings, change=change, tie_word_embeddings=False)
    with pytest.raises(ValueError, match=words):
        _refuse(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"partial_rotary_factor": 0.5},
        {"rotary_pct": 0.5},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}},
    ],
)
def test_positions_that_the_engine_would_turn_otherwise_are_refused(tiny, settings) -> None:
    words = (
        r"partial_rotary_factor 0\.5, by which vLLM would rotate 8 of 16 .* transformers' LlamaForCausalLM rotates 16:"
    )
    with pytest.raises(UnsupportedModel, match=words):
        _refuse(tiny(settings=settings))
    # The whole of a head, and a model that has half of it.
    _refuse(tiny(settings=dict.fromkeys(settings, 1.0) if "rope_parameters" not in settings else {}))
    _refuse(tiny("phi"))
    _refuse(tiny("glm4"))


@pytest.mark.parametrize(("dtype", "name"), [(torch.int8, "I8"), (torch.float8_e4m3fn, "F8_E4M3")])
def test_weights_in_eight_bits_are_refused_where_no_config_says_so(tiny, dtype, name) -> None:
    def change(weights) -> None:
        weights[f"{LAYER}.q_proj.weight"] = weights[f"{LAYER}.q_proj.weight"].to(dtype)

    with pytest.raises(UnsupportedModel, match=rf"quantised .* 1 weight stored as {name} \({LAYER}\.q_proj\.weight\)"):
        _refuse(tiny(change=change))


def test_weights_that_vllm_alone_would_read_as_quantised_are_refused(tiny) -> None:
    folder = tiny()
    (folder / "hf_quant_config.json").write_text("{}")
    with pytest.raises(UnsupportedModel, match=r"quantised weights, which cannot be trained: hf_quant_config\.json"):
        _refuse(folder)


def test_what_no_model_reads_may_stand_in_the_files(tiny) -> None:
    def change(weights) -> None:
        weights[HEAD] = weights[EMBED].clone()
        _add(**{f"{LAYER}.rotary_emb.inv_freq": [8], f"{LAYER}.masked_bias": [], "mtp.fc.weight": [2, 2]})(weights)
        _add(**{"model.layers.2.eh_proj.weight": [4, 4], f"{LAYER}.bias": [1, 1, 8, 8]})(weights)
        weights["steps"] = torch.zeros(1, dtype=torch.int64)

    folder = tiny(change=change, settings={"num_nextn_predict_layers": 1}, tie_word_embeddings=True)
    _refuse(folder)
    model = load_model(folder, allow_pickle=False)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_what_does_not_fit_is_named_where_the_weights_are_loaded_too(tiny) -> None:
    folder = tiny(settings={"num_key_value_heads": 2})
    with pytest.raises(UnsupportedModel, match=r"k_proj\.weight \(\[16, 32\] in the files"):
        load_model(folder, allow_pickle=False)


def test_two_embeddings_where_the_config_ties_them_are_refused_as_they_are_loaded(tiny) -> None:
    folder = tiny(settings={"tie_word_embeddings": True}, tie_word_embeddings=False)
    with pytest.raises(UnsupportedModel, match=rf"ties {HEAD} to {EMBED}"):
        load_model(folder, allow_pickle=False)


def test_pickled_weights_are_compared_too(tiny) -> None:
    folder = tiny(settings={"num_hidden_layers": 1})
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnsupportedModel, match=r"the files hold 9 weights that the model does not have"):
        _refuse(folder)


def test_an_encoder_is_no_language_model(tiny) -> None:
    whole = {"is_encoder_decoder": True, "architectures": ["BartForConditionalGeneration"]}
    with pytest.raises(UnsupportedModel, match=r"an encoder with a decoder \(bart\): use a causal language model"):
        _refuse(tiny("bart", settings=whole))
    with pytest.raises(
        UnsupportedModel, match=r"BertLMHeadModel is not a causal decoder: BertLayer attends to later tokens"
    ):
        _refuse(tiny("bert"))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("bloom", r"BloomForCausalLM keeps its attention implementation 'eager'"),
        ("stablelm", r"StableLmAttention: its layers do not pass on the arguments of attention"),
        ("gpt_oss", r"GptOssAttention has attention sinks"),
        ("falcon_h1", r"FalconH1Model mixes tokens by a convolution"),
    ],
)
def test_layers_that_the_learner_cannot_compute_are_refused_before_anything_is_loaded(tiny, kind, words) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        _refuse(tiny(kind))


def test_layers_that_an_adapter_cannot_have_are_refused_before_anything_is_loaded(tiny) -> None:
    folder = tiny("mixtral")
    _refuse(folder)
    with pytest.raises(UnsupportedModel, match=r"model\.lora_rank: \d+ weights of MixtralForCausalLM are not linear"):
        _refuse(folder, lora_rank=4, lora_alpha=8)
    _refuse(tiny("llama"), lora_rank=4, lora_alpha=8)


def test_a_model_is_loaded_whatever_attention_and_form_of_output_its_config_asks_for(tiny) -> None:
    folder = tiny(settings={"_attn_implementation": "flash_attention_2", "return_dict": False})
    _refuse(folder)
    model = load_model(folder, allow_pickle=False)
    assert model.config._attn_implementation == "sdpa"
    assert model(input_ids=torch.tensor([[1, 2]])).logits.shape == (1, 2, 64)
