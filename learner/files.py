"""A model's weights as its files hold them: transformers may keep them under other names, or several as one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers.core_model_loading import revert_weight_conversion

from learner.architecture import UnsupportedModel

SHOWN = 3
"""Names in a message."""


def as_in_files(model: Any, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All of the model's weights, given by its own names, by the names and in the parts of its files."""
    with torch.no_grad():
        return revert_weight_conversion(model, dict(weights))


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in the model folder's files, safetensors or, where there are none, pickles."""
    shapes = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open is not a mapping
                shapes[name] = tuple(tensors.get_slice(name).get_shape())
    if not shapes:
        for file in sorted(folder.glob("pytorch_model*.bin")):
            found = torch.load(file, map_location="meta", weights_only=True)
            shapes |= {name: tuple(tensor.shape) for name, tensor in found.items()}
    return shapes


def names_in_files(model: Any, folder: Path) -> frozenset[str]:
    """The names by which the folder's files hold the model's weights.

    Raises UnsupportedModel if one of them, as it would be sent or exported, is not in these files with its name and
    shape: the engine reads them too, and may pass over a name that it does not know.
    """
    own = {name: torch.empty_like(parameter, device="meta") for name, parameter in model.named_parameters()}
    sent, stored = as_in_files(model, own), stored_shapes(folder)
    foreign = [name for name, tensor in sent.items() if stored.get(name) != tuple(tensor.shape)]
    if foreign:
        raise UnsupportedModel(
            f"{type(model).__name__}: {len(foreign)} of {len(sent)} weights cannot be sent to the engine, because the "
            f"files in {folder} hold none of that name and shape: {', '.join(foreign[:SHOWN])}"
            f"{', ...' if len(foreign) > SHOWN else ''}"
        )
    return frozenset(sent)


def read_weights(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of all safetensors files of the folder."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open is not a mapping
                yield name, tensors.get_tensor(name)
