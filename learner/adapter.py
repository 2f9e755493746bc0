"""LoRA adapters by peft, and the models for which they are refused."""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer

from learner.architecture import UnsupportedModel
from learner.files import as_in_files
from learner.logprobs import causal_model


def with_adapter(model: Any, *, rank: int, alpha: int) -> Any:
    """The model with a fresh bf16 LoRA adapter on all its linear layers.

    Raises UnsupportedModel for a model that has weights which an adapter would leave as they are, or whose layers have
    other names in its files, by which the engine would look for them.
    """
    experts = [name for name, parameter in model.named_parameters() if parameter.dim() > 2]
    if experts:
        raise UnsupportedModel(
            f"model.lora_rank: {len(experts)} weights of {type(model).__name__} are not linear layers (first: "
            f"{experts[0]}): an adapter would not train experts or convolutions. Train all weights: model.lora_rank=0"
        )
    lora = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, lora, autocast_adapter_dtype=False)
    _refuse_renamed_layers(causal_model(adapted))
    return adapted


def _refuse_renamed_layers(causal: Any) -> None:
    layers = [name for name, module in causal.named_modules() if isinstance(module, LoraLayer)]
    named = {f"{name}.weight": torch.empty(1, device="meta") for name in layers}
    renamed = sorted(named.keys() - as_in_files(causal, named).keys())
    if renamed:
        raise UnsupportedModel(
            f"model.lora_rank: {len(renamed)} layers of {type(causal).__name__} have other names in its files (first: "
            f"{renamed[0]}): the engine would not find them. Train all weights: model.lora_rank=0"
        )
