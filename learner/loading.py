"""The model of a folder, loaded, or refused with what does not fit."""

from pathlib import Path
from typing import Any

import torch

from learner.files import attention_of, differing
from learner.folder_check import refuse_folder


def load_model(folder: str | Path, *, allow_pickle: bool) -> Any:
    """The model in the folder, in bf16 and on the CPU: from safetensors, or where there are none and it is allowed,
    from pickles. Raises UnsupportedModel for weights that are not those of its config."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    config.return_dict = True  # the learner reads outputs by name
    safetensors_alone = None if allow_pickle else True  # False would load only pickles
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=torch.bfloat16,
            use_safetensors=safetensors_alone,
            trust_remote_code=False,
            attn_implementation=attention_of(config),
        )
    except RuntimeError:
        refuse_folder(folder, config)  # names what does not fit
        raise
    for one, other in model.get_expanded_tied_weights_keys(all_submodels=True).items():
        if model.get_parameter(one) is not model.get_parameter(other):
            raise differing(one, other)
    return model
