"""Whether config and weights of a folder are those of one causal language model, before anything is loaded.

transformers builds and fills it as it always does, but without memory, from what the headers of the files say.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from learner.architecture import UnsupportedModel
from learner.files import SHOWN, attention_of, differing, names_in_files, shapes_of, stored_shapes
from rnr.messages import counted, few
from rnr.model_folder import stored_tensors, weight_files

_NO_WEIGHT = re.compile(r"rotary_emb\.inv_freq$|(^|\.)position_ids$|(^|\.)mtp\.")
"""What files may hold and no model has: legacy buffers, and layers that predict the tokens after the next one."""
_MASK = re.compile(r"attn\.(masked_)?bias$|attention\.(masked_)?bias$")
"""The causal mask, or the number in its place, where it has not the one dimension of a bias."""
_DTYPES = ("BF16", "F16", "F32", "F64")
_QUANTISED = "hf_quant_config.json"
"""With this file vLLM reads weights as quantised, whatever ``config.json`` says."""
_ROWS = 8192
"""Of two matrices at a time."""


def refuse_folder(folder: str | Path, config: Any, *, lora_rank: int = 0, lora_alpha: int = 1) -> None:
    """Raise UnsupportedModel, naming what does not fit, for a transformers config whose folder holds the weights of
    another model, for an adapter that its layers cannot have, and for layers that the learner cannot compute."""
    folder = Path(folder)
    _refuse_class(config)
    if (folder / _QUANTISED).is_file():
        raise UnsupportedModel(f"quantised weights, which cannot be trained: {_QUANTISED}")
    tensors = stored_tensors(folder)
    shapes = stored_shapes(folder) if tensors is None else shapes_of(tensors)
    with _silence_transformers():
        model, unused = _build_and_load(folder, config, shapes)
    unused = sorted(name for name in unused if _is_weight(name, config, tensors or {}))
    others = f"the files hold {counted(len(unused), 'weight')} that the model does not have: {few(unused, SHOWN)}"
    try:
        names = names_in_files(model, folder, shapes)
    except UnsupportedModel as error:
        raise UnsupportedModel(f"{error}; {others}" if unused else str(error)) from None
    if unused:
        raise UnsupportedModel(f"{type(model).__name__}: config.json does not match the weights: {others}")
    _refuse_rotation(model, config.get_text_config())
    _refuse_rounded(names, tensors or {})
    if encoders := sorted(
        {type(part).__name__ for part in model.modules() if getattr(part, "is_decoder", True) is False}
    ):
        raise UnsupportedModel(f"{type(model).__name__} is not a causal decoder: {encoders[0]} attends to later tokens")
    _refuse_untied(model, folder)
    # Imported here: the driver, which loads this module, would load all of transformers' models with them.
    from learner.preflight import refuse_layers

    if lora_rank:
        from learner.adapter import with_adapter

        model = with_adapter(model, rank=lora_rank, alpha=lora_alpha)
    refuse_layers(model)


def _refuse_class(config: Any) -> None:
    """vLLM goes by the class name, transformers by the model type."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModel(
            f"config.json is that of an encoder with a decoder ({config.model_type}): use a causal language model"
        )
    expected, named = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type], list(config.architectures or [])
    if named[:1] != [expected]:
        raise UnsupportedModel(
            f"config.json has {f'the architecture {named[0]}' if named else 'no architectures'}, from which vLLM "
            f"builds the model; the causal language model of the type {config.model_type} is {expected}: use one, "
            f'or set "architectures": ["{expected}"] in a copy of the folder if the weights match'
        )


def _build_and_load(folder: Path, config: Any, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Any, Iterable[str]]:
    """The model, without memory, and the names in its files that it has no place for."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    with _refuse_errors(f"{folder / 'config.json'}: transformers cannot build its model"), torch.device("meta"):
        kind._from_config(copy.deepcopy(config), attn_implementation=attention_of(config))
    empty = {name: torch.empty(shape, dtype=torch.bfloat16, device="meta") for name, shape in shapes.items()}
    with _refuse_errors(f"transformers cannot load the weights in {folder}"):
        model, info = kind.from_pretrained(
            None,
            config=copy.deepcopy(config),
            dtype=torch.bfloat16,
            attn_implementation=attention_of(config),
            state_dict=empty,
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,  # names_in_files finds and names them
            output_loading_info=True,
        )
    return model, info["unexpected_keys"]


@contextmanager
def _refuse_errors(what: str) -> Iterator[None]:
    """Raise UnsupportedModel, beginning with ``what``, for any error in the block: an unexpected value may cause any
    error."""
    try:
        yield
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise UnsupportedModel(f"{what}: {type(error).__name__}: {said}") from error


@contextmanager
def _silence_transformers() -> Iterator[None]:
    """Silences transformers' messages about loading: nothing is loaded."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _is_weight(name: str, config: Any, tensors: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether this name in the files is a weight of the model, not a legacy buffer or a layer of another task."""
    text = config.get_text_config()
    further = getattr(text, "num_nextn_predict_layers", None) or 0
    layers = (f"model.layers.{text.num_hidden_layers + number}." for number in range(further))
    if _NO_WEIGHT.search(name) or name.startswith(tuple(layers)):
        return False
    told = tensors.get(name)
    if told is None:
        return True
    return told["dtype"].startswith(("F", "BF")) and not (_MASK.search(name) and len(told["shape"]) != 1)


def _refuse_rotation(model: Any, text: Any) -> None:
    """Raise UnsupportedModel where vLLM, which always goes by the config, would rotate other dimensions for positions
    than transformers' model does, whose class may not have heard of the setting."""
    rope = getattr(text, "rope_parameters", None) or {}
    named = (getattr(text, name, None) for name in ("partial_rotary_factor", "rotary_pct", "rotary_emb_fraction"))
    factor = rope.get("partial_rotary_factor") or next(filter(None, named), None)
    # Other types have their own use of it, which transformers and vLLM share.
    if factor is None or rope.get("rope_type") != "default":
        return
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    there = next((2 * len(values) for name, values in model.named_buffers() if name.endswith("rotary_emb.inv_freq")), 0)
    if there and there != int(head * factor):
        raise UnsupportedModel(
            f"config.json has partial_rotary_factor {factor}, by which vLLM would rotate {int(head * factor)} of "
            f"{head} dimensions, while transformers' {type(model).__name__} rotates {there}: in a copy of the folder, "
            "remove it if the weights were trained without it"
        )


def _refuse_rounded(names: Iterable[str], tensors: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UnsupportedModel for weights stored as whole numbers or in 8 bits, which both engines would take as they
    are."""
    rounded = [name for name in sorted(names) if name in tensors and tensors[name]["dtype"] not in _DTYPES]
    if rounded:
        kinds = sorted({tensors[name]["dtype"] for name in rounded})
        raise UnsupportedModel(
            f"quantised weights, which cannot be trained: {counted(len(rounded), 'weight')} stored as "
            f"{', '.join(kinds)} ({few(rounded, SHOWN)}): get the model in bf16"
        )


def _refuse_untied(model: Any, folder: Path) -> None:
    """Raise UnsupportedModel for two weights that a config ties and that differ in the files."""
    files = weight_files(folder)
    for one, other in model.all_tied_weights_keys.items():
        if not _are_equal(files, (one, other)):
            raise differing(one, other)


def _are_equal(files: Sequence[Path], names: tuple[str, str]) -> bool:
    """Whether two weights in these files are equal, or one of them is not there."""
    found = {}
    for file in files:
        tensors = safe_open(file, framework="pt")
        found |= {name: tensors.get_slice(name) for name in {*names} & {*tensors.keys()}}
    if len(found) < len(names):
        return True
    one, other = found.values()
    if one.get_shape() != other.get_shape():
        return False
    return all(torch.equal(one[at : at + _ROWS], other[at : at + _ROWS]) for at in range(0, one.get_shape()[0], _ROWS))
