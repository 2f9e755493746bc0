"""A model's weights as its files hold them: transformers may keep them under other names, or several as one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from learner.architecture import UnsupportedModel
from rnr.messages import few
from rnr.model_folder import PICKLED_WEIGHTS, stored_tensors, weight_files

SHOWN = 3
"""Names in a message."""


def attention_of(config: Any) -> str:
    """An attention implementation that every machine has, whatever the config asks for; the learner's replaces it."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    kind = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    return "sdpa" if getattr(kind, "_supports_sdpa", True) else "eager"


def differing(one: str, other: str) -> UnsupportedModel:
    """The error for two weights that a config ties and that differ in the files."""
    return UnsupportedModel(
        f"config.json ties {one} to {other} (tie_word_embeddings), but they differ in the files: the learner would "
        "train both, vLLM has one. Set tie_word_embeddings to false in a copy of the folder if the model was trained "
        "that way; else remove the first from the files"
    )


def stored(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of what files hold of a model: its weights, and those of its buffers that are numbers."""
    saved = model.state_dict(keep_vars=True).keys()
    yield from model.named_parameters()
    for name, buffer in model.named_buffers():
        if name in saved and buffer.is_floating_point():
            yield name, buffer


def as_in_files(model: Any, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All of the model's weights, given by its own names, by the names and in the parts of its files."""
    from transformers.core_model_loading import revert_weight_conversion

    with torch.no_grad():
        return revert_weight_conversion(model, dict(weights))


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in the model folder's files, safetensors or, where there are none, pickles."""
    found = stored_tensors(folder)
    if found is not None:
        return shapes_of(found)
    pickles = (
        torch.load(file, map_location="meta", weights_only=True) for file in weight_files(folder, PICKLED_WEIGHTS)
    )
    return {name: tuple(tensor.shape) for tensors in pickles for name, tensor in tensors.items()}


def shapes_of(tensors: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, ...]]:
    """The shapes of what ``stored_tensors`` found."""
    return {name: tuple(entry["shape"]) for name, entry in tensors.items()}


def names_in_files(model: Any, folder: Path, files: Mapping[str, tuple[int, ...]] | None = None) -> frozenset[str]:
    """The names by which the folder's files hold what there is of the model.

    Raises UnsupportedModel if a weight, as it would be sent or exported, is not in these files with its name and shape:
    the engine reads them too, and may pass over a name that it does not know. Buffers may be missing there. ``files``
    are their ``stored_shapes``, where these have been read.
    """
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in stored(model)}
    buffers = {name for name, _ in model.named_buffers()}
    files = stored_shapes(folder) if files is None else files
    wanted = as_in_files(model, shapes)
    sent = {name: files.get(name) == tuple(tensor.shape) for name, tensor in wanted.items()}
    foreign = [name for name, there in sent.items() if not there and name not in buffers]
    if foreign:
        told = (
            f"{name} ({list(files[name])} in the files, {list(wanted[name].shape)} in config.json)"
            if name in files
            else name
            for name in foreign
        )
        raise UnsupportedModel(
            f"{type(model).__name__}: {len(foreign)} of {len(sent)} weights cannot be sent to the engine, because the "
            f"files in {folder} have no weight with that name and shape: {few([*told], SHOWN)}"
        )
    return frozenset(name for name, there in sent.items() if there)


def read_weights(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of all safetensors files of the folder."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open is not a mapping
                yield name, tensors.get_tensor(name)
