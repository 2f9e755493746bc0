"""The policy as a plain Hugging Face folder that transformers and ``vllm serve`` load."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from peft import set_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer

from learner.engine import PolicyEngine, with_adapter


def export(engine: PolicyEngine, folder: Path, extra_files: Mapping[str, str], *, rank: int) -> None:
    """Write config, safetensors, tokenizer, chat template and ``{name: text}``; the folder appears complete or not at
    all.

    Collective, because gathering the weights is; only rank 0 writes.
    """
    weights = dict(engine.weights())
    if rank:
        return
    settings = engine.settings
    model = AutoModelForCausalLM.from_pretrained(settings.model_folder, dtype=torch.bfloat16)
    if settings.model.lora_rank:
        adapted = with_adapter(model, settings)
        set_peft_model_state_dict(adapted, weights)
        model = adapted.merge_and_unload()
    else:
        model.load_state_dict(weights, strict=False)  # a tied lm_head is not listed twice
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    AutoTokenizer.from_pretrained(settings.model_folder).save_pretrained(partial)
    # The config as it came: transformers rewrites it in its newest dialect, which engines read less well.
    shutil.copy(Path(settings.model_folder) / "config.json", partial / "config.json")
    for name, text in extra_files.items():
        (partial / name).write_text(text, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
