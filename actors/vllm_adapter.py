"""An adapter as vLLM takes it: for which models, of which layers, in which files."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import torch
from safetensors.torch import save_file

from rnr.config import ModelConfig
from rnr.files.jsonl import strict_json
from rnr.model_folder import read_config

ROOMS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The LoRA ranks of vLLM, where it does not list them itself."""


def refuse_adapters(model_folder: str) -> None:
    """Raise ValueError for a model to which vLLM cannot add an adapter."""
    from vllm import __version__
    from vllm.model_executor.models.interfaces import supports_lora
    from vllm.model_executor.models.registry import ModelRegistry

    names = read_config(model_folder).get("architectures") or []
    known = [ModelRegistry.models[name] for name in names if name in ModelRegistry.models]
    if known and not any(supports_lora(model.load_model_cls()) for model in known):
        raise ValueError(
            f"model.lora_rank: vLLM {__version__} has no adapters for {', '.join(names)}, which the model in "
            f"{model_folder} is. Train all weights: model.lora_rank=0"
        )


def room_for(rank: int) -> int:
    """The smallest LoRA rank of vLLM that an adapter of this rank fits into."""
    from vllm.config import lora

    rooms = get_args(getattr(lora, "MaxLoRARanks", None)) or ROOMS
    return min(room for room in rooms if room >= max(ROOMS[0], rank))


def linear_layers(model_folder: str) -> list[str]:
    """The last names of a model's linear layers but its head: those that ``learner.engine`` gives an adapter."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        config = AutoConfig.from_pretrained(model_folder, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    head = model.get_output_embeddings()
    layers = (
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head
    )
    return sorted({name.rpartition(".")[2] for name in layers})


def write_adapter(folder: str, weights: Iterator[tuple[str, torch.Tensor]], model: ModelConfig) -> None:
    """Write the two files of an adapter with these weights into a folder."""
    tensors = {name: tensor.clone() for name, tensor in weights}
    save_file(tensors, Path(folder, "adapter_model.safetensors"))
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": model.lora_rank,
        "lora_alpha": model.lora_alpha,
        "target_modules": sorted({name.split(".lora_")[0].rpartition(".")[2] for name in tensors}),
        "bias": "none",
    }
    Path(folder, "adapter_config.json").write_text(strict_json(config))
