"""Properties of a model's architecture that the learner does not support, by name.

What a config shows is refused here, before anything starts; ``learner.preflight`` tests the model itself.
"""

import re
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from rnr.model_folder import longest_context

_WINDOW = re.compile(r"(\w+_)?window(_size)?|attention_chunk_size")
_ATTENTION_CAP = re.compile(r"att\w*_softcap\w*")
_NOISE = re.compile(r"drop|jitter")
_ATTENTION = re.compile(r"(full_|sliding_|chunked_)?attention")

_ORIGINAL = "original_max_position_embeddings"


class UnsupportedModel(ValueError):
    """The learner would not train the policy that the engine samples from."""


def refuse_architecture(config: Any, context_tokens: int) -> None:
    """Raise UnsupportedModel, naming properties, for a transformers config that the learner does not support at
    sequences of up to ``context_tokens``."""
    _refuse_wrapper(config)
    text = config.get_text_config()
    limit = longest_context(text)
    if limit and context_tokens > limit[1]:
        raise UnsupportedModel(
            f"model.context_tokens is {context_tokens}, but the model supports {limit[1]} ({limit[0]})"
        )
    found = [
        *_limited_attention(text, context_tokens),
        *_switched_positions(text, context_tokens),
        *_foreign_layers(text),
    ]
    if getattr(config, "quantization_config", None):
        found.append("quantised weights, which cannot be trained: quantization_config")
    if found:
        raise UnsupportedModel(f"the learner does not support this model ({config.model_type}): {'; '.join(found)}")


def _refuse_wrapper(config: Any) -> None:
    """Raise UnsupportedModel for a model that transformers does not load as a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
    inner = config.get_text_config()
    raise UnsupportedModel(
        f"transformers has no causal language model of the type {config.model_type}"
        + (f": save its language model ({inner.model_type}) as a separate folder" if inner is not config else "")
    )


def _limited_attention(text: Any, context_tokens: int) -> Iterator[str]:
    settings = vars(text)
    limited = [kind for kind in getattr(text, "layer_types", None) or ["sliding"] if not kind.startswith("full")]
    for name, value in settings.items():
        if _WINDOW.fullmatch(name) and type(value) is int and 0 < value < context_tokens and limited:
            yield f"attention window shorter than the context: {name} {value} < model.context_tokens"
        if _ATTENTION_CAP.fullmatch(name) and value:
            yield f"soft caps in attention: {name} {value}"
    if settings.get("alibi"):
        yield "positions as a bias on attention: alibi"


def _switched_positions(text: Any, context_tokens: int) -> Iterator[str]:
    """LongRoPE changes all positions of a forward pass once one of them is beyond a limit: a sequence would have other
    log-probabilities next to a longer one, while an engine decides by the context alone."""
    ropes = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    for rope in (ropes, *(each for each in ropes.values() if isinstance(each, dict))):
        limits = (rope.get(_ORIGINAL), getattr(text, _ORIGINAL, None))
        limit = min((limit for limit in limits if limit), default=context_tokens)
        if rope.get("rope_type", rope.get("type")) in ("longrope", "su") and context_tokens > limit:
            yield f"positions that change beyond {limit} tokens, longrope: model.context_tokens may be {limit} at most"


def _foreign_layers(text: Any) -> Iterator[str]:
    kinds: list[str] = getattr(text, "layer_types", None) or getattr(text, "layers_block_type", None) or []
    foreign = sorted({kind for kind in kinds if "attention" in kind and not _ATTENTION.fullmatch(kind)})
    foreign += sorted({kind for kind in kinds if re.search(r"mamba|conv|recurrent|ssm", kind)})
    if foreign:
        yield f"layers that mix tokens other than by attention: {', '.join(foreign)}"


Noise = dict[str, list[tuple[Any, float]]]
"""Name of a setting -> those that had it, with what it was."""


def turn_off_noise(model: nn.Module) -> Noise:
    """Dropout of any kind and jitter become 0, so that log-probabilities in training are those of the policy; what they
    were."""
    found: Noise = {}
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for holder in (module, getattr(module, "config", None)):
            for name, value in _noise(holder):
                found.setdefault(name, []).append((holder, value))
                setattr(holder, name, type(value)(0))
    return found


def _noise(holder: Any) -> list[tuple[str, float]]:
    settings = vars(holder).items() if hasattr(holder, "__dict__") else ()
    return [(name, value) for name, value in settings if type(value) in (float, int) and value and _NOISE.search(name)]


def train_every_embedding(model: nn.Module) -> None:
    """The padding token's embedding gets its gradient: in many models the same token ends an answer, and here no
    token is padding."""
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.padding_idx = None
