"""The policy as a plain Hugging Face folder that transformers and ``vllm serve`` load."""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoTokenizer

from learner.adapter import with_adapter
from learner.engine import PolicyEngine
from learner.files import as_in_files, read_weights, stored
from learner.loading import load_model
from learner.settings import LearnerSettings
from rnr.digest import bits, weights_digest
from rnr.files.jsonl import strict_json
from rnr.files.whole import open_to_the_same, rename_synced, sync_folder

DESCRIPTION = (
    *("config.json", "generation_config.json", "*processor_config.json", "tokenizer_config.json", "tokenizer.json"),
    *("tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "*.tiktoken", "special_tokens_map.json"),
    *("added_tokens.json", "*.jinja", "additional_chat_templates/*.jinja", "chat_template.json"),
)
"""Files of a model besides its weights, without Mistral's own, which repeat them all."""
_DTYPE = re.compile(r'("(?:torch_)?dtype"\s*:\s*)"[\w.]+"')


class ExportError(RuntimeError):
    """What was written is not the policy."""


def export(engine: PolicyEngine, folder: Path, extra_files: Mapping[str, str], *, rank: int) -> None:
    """Write config, safetensors, tokenizer, chat template and ``{name: text}``; the folder appears complete and on
    disk, or not at all, and only with weights whose digest is that of the policy's.

    Collective, because gathering the weights is; only rank 0 writes.
    """
    weights = dict(engine.weights())
    if rank:
        return
    source = Path(engine.settings.model_folder)
    if engine.settings.model.lora_rank:
        whole = _merge_adapter(weights, engine.settings)
        weights = {name: whole[name] for name in engine.names if name in whole}
    if wrong := sorted(weights.keys() ^ engine.names):
        raise ExportError(f"{len(wrong)} weights of the policy are missing or not in its model (first: {wrong[0]})")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_torch_state_dict(
        {name: _own_storage(tensor) for name, tensor in weights.items()}, partial, metadata={"format": "pt"}
    )
    if digest_of(read_weights(partial)) != digest_of(weights.items()):
        raise ExportError(f"the weights written to {partial} are not the policy's: is the disk full or failing?")
    _copy_description(source, partial)
    open_to_the_same(partial.glob("*.safetensors"), partial / "config.json")
    for name, text in extra_files.items():
        (partial / name).write_text(text, encoding="utf-8")
    sync_folder(partial)
    shutil.rmtree(folder, ignore_errors=True)
    rename_synced(partial, folder)


def _copy_description(source: Path, folder: Path) -> None:
    """Copy the base model's config and tokenizer files unchanged, but for the weights' dtype: transformers rewrites
    them in its newest format, which engines support less well."""
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, mistral_format=False)
    wanted = {file for name in (*DESCRIPTION, *tokenizer.vocab_files_names.values()) for file in source.glob(name)}
    for file in sorted(file for file in wanted if file.is_file()):
        to = folder / file.relative_to(source)
        to.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, to)  # without its mode, which may be read-only
    config = folder / "config.json"
    text = _DTYPE.sub(r'\1"bfloat16"', config.read_text(encoding="utf-8"))
    told = json.loads(text)
    if told.pop("transformers_weights", None) is not None:  # a file's name, which may not be that of the export's
        text = strict_json(told, indent=2)
    config.write_text(text, encoding="utf-8")


def _own_storage(tensor: torch.Tensor) -> torch.Tensor:
    """With memory of its own: an expert is a part of its layer's stack, and a part is refused by huggingface_hub."""
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def digest_of(weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    """``rnr.digest.weights_digest`` of bf16 tensors."""
    return weights_digest((name, bits(tensor)) for name, tensor in weights)


def _merge_adapter(adapter: Mapping[str, torch.Tensor], settings: LearnerSettings) -> dict[str, torch.Tensor]:
    """All weights of the model with the adapter in them; raises ExportError if the adapter is not all in it."""
    model = load_model(settings.model_folder, allow_pickle=settings.model.allow_pickle)
    adapted = with_adapter(model, rank=settings.model.lora_rank, alpha=settings.model.lora_alpha)
    set_peft_model_state_dict(adapted, dict(adapter))
    if digest_of(get_peft_model_state_dict(adapted).items()) != digest_of(adapter.items()):
        raise ExportError("the adapter cannot be merged: the model in model.path does not take all of its weights")
    model = adapted.merge_and_unload()
    return as_in_files(model, {name: tensor.detach() for name, tensor in stored(model)})
