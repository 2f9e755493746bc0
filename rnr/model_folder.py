"""The folder of a model, and whether it may be loaded; looks at names, JSON and sizes, loads nothing."""

import math
import sys
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rnr.files import read_object as object_in

EMBEDDED_MODEL = "smollm2-135m-instruct"
SHOWN = 3
"""Names in a message."""
JSON_FILES = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("generation_config.json", "vocab.json", "model.safetensors.index.json", "pytorch_model.bin.index.json"),
)
SAFE_WEIGHTS, PICKLED_WEIGHTS = "model*.safetensors", "pytorch_model*.bin"
INDEX = {SAFE_WEIGHTS: "model.safetensors.index.json", PICKLED_WEIGHTS: "pytorch_model.bin.index.json"}
"""The file that names the others where weights stand in several."""
SECOND_WEIGHTS = "consolidated*"
"""Weights as Mistral and Meta publish them, beside the others."""
TRUST = "set model.allow_pickle=true if you trust its author"
PICKLED_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def embedded_folder(name: str) -> Path:
    """The folder beside this Python environment into which ``make setup`` unpacks an embedded model."""
    return Path(sys.prefix) / "share" / "rnr" / "models" / name


def resolve(model: str, *, allow_pickle: bool | None = None) -> str:
    """The folder of ``model``, or of a Hugging Face id in the hub's cache, where it is fetched if need be.

    Raises ValueError, naming the place and what to do, for a folder that is missing or incomplete and for pickled
    weights, which can run code when they are loaded and are refused unless ``allow_pickle``; that is None where a user
    cannot ask for it.
    """
    if model == EMBEDDED_MODEL:
        folder = embedded_folder(model)
        if not folder.is_dir():
            raise ValueError(
                f"model.path: the embedded model {model} is not set up ({folder} is missing): run `make setup`"
            )
        return str(folder)
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.count("/") == 1 and not model.startswith((".", "/", "~")):
            return _cached_from_hub(model, allow_pickle=allow_pickle)
        raise ValueError(
            f"model.path: no folder at {model!r}; give a folder with config.json and *.safetensors, a Hugging Face id "
            f"such as Qwen/Qwen3-0.6B, or {EMBEDDED_MODEL!r}"
        )
    if not (folder / "config.json").is_file():
        raise ValueError(f"model.path: {folder} has no config.json, so it is not a Hugging Face model folder")
    if not any(folder.glob(SAFE_WEIGHTS)):
        _refuse_without_weights(folder, allow_pickle=allow_pickle)
    _refuse_broken(folder)
    return str(folder.resolve())


def _refuse_without_weights(folder: Path, *, allow_pickle: bool | None) -> None:
    """Raise ValueError for a folder that has no safetensors, unless it has pickles and those may be loaded."""
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED_SUFFIXES)
    if not pickled or (allow_pickle and not any(folder.glob(PICKLED_WEIGHTS))):
        export = folder / "export"
        run = f"; this is the folder of a run, whose model is {export}" if (export / "config.json").is_file() else ""
        raise ValueError(f"model.path: {folder} holds no {SAFE_WEIGHTS} weights{run}")
    if not allow_pickle:
        trusted = f", or {TRUST}" if allow_pickle is not None else ""
        raise ValueError(
            f"model.path: {folder / pickled[0]} is a pickle, which can run code when loaded; convert it to "
            f"safetensors{trusted}"
        )


def read_config(folder: str | Path) -> dict[str, Any]:
    """The model's ``config.json`` as it stands; raises ValueError, naming it, for one that is no JSON object."""
    return read_object(Path(folder) / "config.json")


def read_text_config(folder: str | Path) -> dict[str, Any]:
    """The part of it that is about the language model, where there are others."""
    whole = read_config(folder)
    text = whole.get("text_config")
    return text if isinstance(text, dict) else whole


def stored_tensors(folder: str | Path) -> dict[str, dict[str, Any]] | None:
    """What the headers of the folder's safetensors files say of each tensor, ``dtype`` and ``shape``, by its name; None
    where there are no such files. Raises ValueError, naming the file, for one that was cut."""
    files = weight_files(folder)
    return {name: entry for file in files for name, entry in _header(file).items()} if files else None


def weight_files(folder: str | Path, pattern: str = SAFE_WEIGHTS) -> list[Path]:
    """The files that hold the weights: those that the index names, else those of ``pattern``. Others beside them, such
    as Mistral's consolidated ones, hold the same weights again. Raises ValueError, naming the index, where it names
    none, or files that are missing."""
    index = Path(folder) / INDEX[pattern]
    if not index.is_file():
        return sorted(Path(folder).glob(pattern))
    named = read_object(index).get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
        raise ValueError(f"model.path: {index}: its weight_map names no files")
    files = [index.parent / name for name in sorted(set(named.values()))]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(
            f"model.path: {index} names {', '.join(missing[:SHOWN])}{', ...' if len(missing) > SHOWN else ''}, which "
            f"{'is' if len(missing) == 1 else 'are'} not there: the download was cut off, get the folder again"
        )
    return files


def count_weights(folder: str | Path) -> int:
    """How many numbers the weights of the model in this folder are, whatever their type on disk.

    The headers of safetensors tell it. Pickles are not opened here: their size and the type in ``config.json`` do."""
    found = stored_tensors(folder)
    if found is not None:
        return sum(math.prod(entry["shape"]) for entry in found.values() if entry["dtype"].startswith(("F", "BF")))
    config = read_config(folder)
    half = (config.get("dtype") or config.get("torch_dtype")) in ("bfloat16", "float16")
    return sum(file.stat().st_size for file in weight_files(folder, PICKLED_WEIGHTS)) // (2 if half else 4)


def _refuse_broken(folder: Path) -> None:
    """Raise ValueError, naming the file, if what the model is described by, or its weights, are not whole."""
    for name in JSON_FILES:
        file = folder / name
        if file.exists() and not file.is_file():
            raise ValueError(f"model.path: {file} is not a plain file")
        if file.is_file():
            read_object(file)
    pattern = PICKLED_WEIGHTS if stored_tensors(folder) is None else SAFE_WEIGHTS
    whole = pattern.replace("*", "")
    if not (folder / INDEX[pattern]).is_file() and not (folder / whole).is_file():
        raise ValueError(
            f"model.path: {folder} has neither {whole} nor {INDEX[pattern]}, which names the parts of the weights: get "
            "it again"
        )
    weight_files(folder, pattern)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a model; raises ValueError, naming it, for one that holds none."""
    try:
        return object_in(file)
    except ValueError as error:
        raise ValueError(f"model.path: {error}") from None


def _header(file: Path) -> dict[str, dict[str, Any]]:
    """Type and shape of each tensor of a safetensors file, by name; raises ValueError for one that was cut."""
    try:
        with safe_open(file, framework="np") as tensors:
            found = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            return {name: {"dtype": each.get_dtype(), "shape": each.get_shape()} for name, each in found.items()}
    except SafetensorError as error:
        raise ValueError(f"model.path: {file} is not a whole safetensors file ({error}): copy it again") from None


def _cached_from_hub(model: str, *, allow_pickle: bool | None) -> str:
    """The folder of the hub's model in the cache; its pickled weights are fetched only where it has no others."""
    from huggingface_hub import snapshot_download  # light: neither torch nor transformers

    try:
        patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
        folder = snapshot_download(model, allow_patterns=patterns, ignore_patterns=SECOND_WEIGHTS)
        if allow_pickle and not any(Path(folder).glob(SAFE_WEIGHTS)):
            folder = snapshot_download(model, allow_patterns=[*patterns, PICKLED_WEIGHTS])
    except Exception as error:  # those of HTTP and of sockets, too
        raise ValueError(f"model.path: {model!r} is no folder here, and {_refused_by_hub(model, error)}") from error
    names = (SAFE_WEIGHTS, PICKLED_WEIGHTS) if allow_pickle else (SAFE_WEIGHTS,)
    if not any(file for name in names for file in Path(folder).glob(name)):
        trusted = f"; if it has pickled ones ({PICKLED_WEIGHTS}), {TRUST}" if allow_pickle is not None else ""
        raise ValueError(f"model.path: {model} has no {SAFE_WEIGHTS} weights on the hub{trusted}")
    _refuse_broken(Path(folder))
    return folder


def _refused_by_hub(model: str, error: Exception) -> str:
    """Why the hub did not give a model, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    log_in = "log in (`hf auth login`, or its token in HF_TOKEN)"
    if isinstance(error, GatedRepoError):
        return f"its licence has to be accepted: do so on https://huggingface.co/{model}, and {log_in}"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has none of this name that you may see: check the name or, if the model is private, {log_in}"
    if isinstance(error, HFValidationError):
        return f"no name of a model on the hub: {error}"
    said = f"({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    if constants.HF_HUB_OFFLINE:
        return f"not in the hub's cache, while HF_HUB_OFFLINE forbids to fetch it {said}: unset that, or give a folder"
    return f"the hub did not give it {said}: check the network and the disk, or give a folder"
