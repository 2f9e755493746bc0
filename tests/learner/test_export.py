"""What is exported is the policy, or nothing is."""

import json
import os
import shutil
import stat
from types import SimpleNamespace

import pytest
import torch
from peft import get_peft_model_state_dict
from transformers import AutoModelForCausalLM

from learner import export as export_module
from learner.adapter import with_adapter
from learner.architecture import UnsupportedModel
from learner.export import ExportError, digest_of, export
from learner.files import as_in_files, names_in_files, read_weights, stored
from learner.loading import load_model
from rnr.config import ModelConfig
from tests.learner.test_preflight import tiny


def engine(folder, weights, lora_rank=0):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    return SimpleNamespace(
        weights=lambda: iter(weights.items()),
        names=names_in_files(model, folder),
        settings=SimpleNamespace(model_folder=str(folder), model=ModelConfig(lora_rank=lora_rank, lora_alpha=16)),
    )


def changed(folder):
    """A model whose every weight differs from the folder's."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    return model, {name: parameter.detach() for name, parameter in model.named_parameters()}


def test_an_export_has_the_digest_of_the_policy_and_loads_as_it(tiny_model, tmp_path) -> None:
    model, weights = changed(tiny_model)
    export(engine(tiny_model, weights), tmp_path / "export", {"asked.json": "{}"}, rank=0)
    assert digest_of(read_weights(tmp_path / "export")) == digest_of(weights.items())
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "export", dtype=torch.bfloat16)
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, dict(model.named_parameters())[name]), name
    assert again.lm_head.weight is again.model.embed_tokens.weight
    assert (tmp_path / "export" / "asked.json").read_text() == "{}"
    assert (tmp_path / "export" / "config.json").read_bytes() == (tiny_model / "config.json").read_bytes()


def test_whoever_may_read_the_config_of_an_export_may_read_its_weights(tiny_model, tmp_path) -> None:
    _, weights = changed(tiny_model)
    before = os.umask(0o027)
    try:
        export(engine(tiny_model, weights), tmp_path / "export", {}, rank=0)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / "export" / name).stat().st_mode) for name in ("config.json", "model.safetensors")]
    assert modes == [0o640, 0o640]


@pytest.fixture
def own_model(tiny_model, tmp_path):
    """A copy of the tiny model, to be changed."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_an_export_has_what_describes_its_base_and_no_other_weights(own_model, tmp_path) -> None:
    described = {"preprocessor_config.json": "{}", "processor_config.json": "{}", "chat_template.json": "{}"}
    described |= {"additional_chat_templates/tools.jinja": "a", "vocab.json": "{}", "merges.txt": "b"}
    described["x.tiktoken"] = "c"
    others = ["consolidated.safetensors", "pytorch_model.bin", "params.json", "tekken.json", "adapter_config.json"]
    others += ["model.safetensors.index.json", "train.json", "notes.txt", "a.gguf", "trainer_state.json"]
    _, weights = changed(own_model)
    policy = engine(own_model, weights)
    (own_model / "additional_chat_templates").mkdir()
    for name, text in (described | dict.fromkeys(others, "x")).items():
        (own_model / name).write_text(text)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        described[name] = (own_model / name).read_text()
    export(policy, tmp_path / "export", {}, rank=0)
    for name, text in described.items():
        assert (tmp_path / "export" / name).read_text() == text, name
    assert [name for name in others if (tmp_path / "export" / name).exists()] == []


def test_the_config_of_an_export_tells_the_type_of_its_weights(own_model, tmp_path) -> None:
    _, weights = changed(own_model)
    policy = engine(own_model, weights)
    config = json.loads((own_model / "config.json").read_text())
    config |= {"dtype": "float16", "torch_dtype": "float32", "text_config": {"dtype": "float16", "vocab_size": 1.0}}
    (own_model / "config.json").write_text(json.dumps(config))
    export(policy, tmp_path / "export", {}, rank=0)
    written = {"dtype": "bfloat16", "torch_dtype": "bfloat16", "text_config": {"dtype": "bfloat16", "vocab_size": 1.0}}
    assert json.loads((tmp_path / "export" / "config.json").read_text()) == config | written


def test_the_config_of_an_export_names_no_file_of_weights(own_model, tmp_path) -> None:
    _, weights = changed(own_model)
    policy = engine(own_model, weights)
    config = json.loads((own_model / "config.json").read_text())
    (own_model / "config.json").write_text(json.dumps(config | {"transformers_weights": "model.safetensors"}))
    export(policy, tmp_path / "export", {}, rank=0)
    assert json.loads((tmp_path / "export" / "config.json").read_text()) == config


def test_what_describes_the_base_may_be_read_only_and_is_replaced(own_model, tmp_path) -> None:
    (own_model / "generation_config.json").write_text("{}")
    (own_model / "generation_config.json").chmod(0o444)
    _, weights = changed(own_model)
    export(engine(own_model, weights), tmp_path / "export", {"generation_config.json": "[]"}, rank=0)
    written = tmp_path / "export" / "generation_config.json"
    assert (written.read_text(), written.stat().st_mode & 0o200) == ("[]", 0o200)


def test_all_of_an_export_is_on_disk_before_it_has_its_name(tiny_model, tmp_path, monkeypatch) -> None:
    on_disk: set[int] = set()
    monkeypatch.setattr("os.fsync", lambda descriptor: on_disk.add(os.fstat(descriptor).st_ino))
    _, weights = changed(tiny_model)
    export(engine(tiny_model, weights), tmp_path / "export", {"asked.json": "{}"}, rank=0)
    exported = [tmp_path, *(tmp_path / "export").rglob("*")]
    assert len(exported) > 4
    assert {path.name for path in exported if path.stat().st_ino not in on_disk} == set()


@pytest.mark.parametrize("renamed", ["model.layers.0.mlp.up_proj.weight", "model.norm.weight"])
def test_a_weight_of_a_wrong_name_is_no_export_of_the_base_model(tiny_model, tmp_path, renamed) -> None:
    _, weights = changed(tiny_model)
    weights["policy." + renamed] = weights.pop(renamed)
    with pytest.raises(ExportError, match=f"2 weights .*first: {renamed}"):
        export(engine(tiny_model, weights), tmp_path / "export", {}, rank=0)
    assert not (tmp_path / "export").exists()


def test_a_file_that_lost_what_was_written_is_no_export(tiny_model, tmp_path, monkeypatch) -> None:
    _, weights = changed(tiny_model)
    write = export_module.save_torch_state_dict

    def write_wrongly(state, folder, **options):
        write({name: tensor * (name != "model.norm.weight") for name, tensor in state.items()}, folder, **options)

    monkeypatch.setattr(export_module, "save_torch_state_dict", write_wrongly)
    with pytest.raises(ExportError, match="are not the policy's"):
        export(engine(tiny_model, weights), tmp_path / "export", {}, rank=0)
    assert not (tmp_path / "export").exists()


def test_an_adapter_is_merged_whole_or_not_at_all(tiny_model, tmp_path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    adapted = with_adapter(model, rank=4, alpha=16)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    adapter = {name: tensor.detach() for name, tensor in get_peft_model_state_dict(adapted).items()}
    export(engine(tiny_model, adapter, lora_rank=4), tmp_path / "export", {}, rank=0)
    merged = adapted.merge_and_unload()
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "export", dtype=torch.bfloat16)
    torch.testing.assert_close(dict(again.named_parameters()), dict(merged.named_parameters()), rtol=0, atol=0)
    name = next(iter(adapter))
    wrong = {("other." + key if key == name else key): tensor for key, tensor in adapter.items()}
    with pytest.raises(ExportError, match="does not take all of its weights"):
        export(engine(tiny_model, wrong, lora_rank=4), tmp_path / "export", {}, rank=0)


def test_experts_go_by_the_names_of_their_files(tmp_path) -> None:
    tiny("mixtral").save_pretrained(tmp_path)
    stored = dict(read_weights(tmp_path))
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    own = {name: parameter.detach() for name, parameter in model.named_parameters()}
    assert "model.layers.0.mlp.experts.gate_up_proj" in own
    assert "model.layers.0.block_sparse_moe.experts.3.w1.weight" in stored
    assert names_in_files(model, tmp_path) == stored.keys()
    torch.testing.assert_close(as_in_files(model, own), stored, rtol=0, atol=0)


def test_experts_that_are_parts_of_one_tensor_are_exported_each(tiny_model, tmp_path) -> None:
    tiny("mixtral").save_pretrained(tmp_path / "model", max_shard_size="1GB")
    for file in tiny_model.glob("tokenizer*"):
        shutil.copy(file, tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.bfloat16)
    weights = as_in_files(model, {name: parameter.detach() for name, parameter in model.named_parameters()})
    expert = weights["model.layers.0.block_sparse_moe.experts.3.w2.weight"]
    assert expert.untyped_storage().nbytes() > expert.nbytes, "the experts of a layer share one tensor, as in training"
    export(engine(tmp_path / "model", weights), tmp_path / "export", {}, rank=0)
    torch.testing.assert_close(dict(read_weights(tmp_path / "export")), weights, rtol=0, atol=0)


def test_pickles_are_loaded_where_they_are_allowed_and_there_is_nothing_else(tiny_model, tmp_path) -> None:
    weights = load_model(tiny_model, allow_pickle=True).state_dict()
    assert next(iter(weights.values())).dtype == torch.bfloat16
    shutil.copy(tiny_model / "config.json", tmp_path)
    torch.save({name: tensor + 1 for name, tensor in weights.items()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"model\.safetensors"):
        load_model(tmp_path, allow_pickle=False)
    loaded = load_model(tmp_path, allow_pickle=True).state_dict()
    torch.testing.assert_close(loaded, {name: tensor + 1 for name, tensor in weights.items()}, rtol=0, atol=0)


def test_weights_that_the_files_do_not_hold_are_refused_by_name(tiny_model, tmp_path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.model.layers[1].extra = torch.nn.Linear(3, 3, bias=False)
    with pytest.raises(UnsupportedModel, match=r"1 of \d+ weights cannot be sent .* model.layers.1.extra.weight"):
        names_in_files(model, tiny_model)


def test_adapters_are_refused_where_they_would_leave_weights_out_or_go_by_other_names() -> None:
    with pytest.raises(UnsupportedModel, match="experts"):
        with_adapter(tiny("mixtral"), rank=4, alpha=8)


def test_buffers_that_files_hold_go_with_the_weights(tmp_path) -> None:
    # An engine that takes a layer's weights builds all of the layer anew: a buffer left out would be what memory held.
    tiny("apertus").save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    name = "model.layers.0.mlp.act_fn.beta"
    assert name in dict(model.named_buffers())
    assert name in names_in_files(model, tmp_path)
    assert dict(stored(model))[name] == 0.5
    assert dict(stored(model)).keys() == dict(read_weights(tmp_path)).keys()
