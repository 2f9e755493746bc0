"""The folder of a model, and whether it may be loaded; looks at names, JSON and sizes, loads nothing."""

import json
import math
import sys
from pathlib import Path
from typing import Any

EMBEDDED_MODEL = "smollm2-135m-instruct"
JSON_FILES = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("generation_config.json", "vocab.json", "model.safetensors.index.json"),
)
PICKLED_WEIGHTS = "pytorch_model*.bin"
PICKLED_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def embedded_folder(name: str) -> Path:
    """The folder beside this Python environment into which ``make setup`` unpacks an embedded model."""
    return Path(sys.prefix) / "share" / "rnr" / "models" / name


def resolve(model: str, *, allow_pickle: bool = False) -> str:
    """The folder of ``model``, or ``model`` itself when it is a Hugging Face id that the hub must be asked for.

    Raises ValueError, naming the place and what to do, for a folder that is missing or incomplete and for pickled
    weights, which can run code when they are loaded and are refused unless ``allow_pickle``.
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
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED_SUFFIXES)
        if not pickled:
            export = folder / "export"
            run = (
                f"; this is the folder of a run, whose model is {export}" if (export / "config.json").is_file() else ""
            )
            raise ValueError(f"model.path: {folder} holds no *.safetensors weights{run}")
        if not allow_pickle:
            raise ValueError(
                f"model.path: {folder / pickled[0]} is a pickle, which can run code when loaded; convert it to "
                "safetensors, or set model.allow_pickle=true if you trust its author"
            )
    _refuse_broken(folder)
    return str(folder.resolve())


def read_config(folder: str | Path) -> dict[str, Any]:
    """The model's ``config.json`` as it stands; raises ValueError, naming it, for one that is no JSON object."""
    return _read_object(Path(folder) / "config.json")


def read_text_config(folder: str | Path) -> dict[str, Any]:
    """The part of it that is about the language model, where there are others."""
    whole = read_config(folder)
    return whole.get("text_config", whole)


def stored_tensors(folder: str | Path) -> dict[str, dict[str, Any]] | None:
    """What the headers of the folder's safetensors files say of each tensor, ``dtype`` and ``shape``, by its name; None
    where there are no such files. Raises ValueError, naming the file, for one that was cut."""
    files = sorted(Path(folder).glob("*.safetensors"))
    return {name: entry for file in files for name, entry in _header(file).items()} if files else None


def count_weights(folder: str | Path) -> int:
    """How many numbers the weights of the model in this folder are, whatever their type on disk.

    The headers of safetensors tell it. Pickles are not opened here: their size and the type in ``config.json`` do."""
    found = stored_tensors(folder)
    if found is not None:
        return sum(math.prod(entry["shape"]) for entry in found.values() if entry["dtype"].startswith(("F", "BF")))
    config = read_config(folder)
    half = (config.get("dtype") or config.get("torch_dtype")) in ("bfloat16", "float16")
    return sum(file.stat().st_size for file in Path(folder).glob(PICKLED_WEIGHTS)) // (2 if half else 4)


def _refuse_broken(folder: Path) -> None:
    """Raise ValueError, naming the file, if what the model is described by, or its weights, are not whole."""
    for name in JSON_FILES:
        file = folder / name
        if file.exists() and not file.is_file():
            raise ValueError(f"model.path: {file} is not a plain file")
        if file.is_file():
            _read_object(file)
    stored_tensors(folder)


def _read_object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"model.path: {file}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"model.path: {file}: not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"model.path: {file} must hold one JSON object, not {type(found).__name__}")
    return found


def _header(file: Path) -> dict[str, Any]:
    """What the header of a safetensors file says of its tensors, by name.

    The file is the length of its header (8 bytes), the header (JSON), and as much as that says; raises ValueError for
    another one, which was cut."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = stream.read(length) if length < size else b""
    try:
        tensors = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise ValueError(f"model.path: {file} is not a safetensors file: its header cannot be read") from None
    if size != 8 + length + end:
        raise ValueError(f"model.path: {file} has {size} bytes, its header speaks of {8 + length + end}: copy it again")
    return tensors


def _cached_from_hub(model: str, *, allow_pickle: bool) -> str:
    """The folder of the hub's model in the cache; its pickled weights are fetched only where it has no others."""
    from huggingface_hub import snapshot_download  # light: neither torch nor transformers
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
        folder = snapshot_download(model, allow_patterns=patterns)
        if allow_pickle and not any(Path(folder).glob("*.safetensors")):
            folder = snapshot_download(model, allow_patterns=[*patterns, PICKLED_WEIGHTS])
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ValueError(
            f"model.path: {model!r} is neither a folder here nor a model the hub gave us ({type(error).__name__}); "
            "check the name and the network, or give a folder"
        ) from error
    names = ("*.safetensors", PICKLED_WEIGHTS) if allow_pickle else ("*.safetensors",)
    if not any(file for name in names for file in Path(folder).glob(name)):
        raise ValueError(
            f"model.path: {model} has no *.safetensors weights on the hub; if it has pickled ones "
            f"({PICKLED_WEIGHTS}), set model.allow_pickle=true if you trust its author"
        )
    _refuse_broken(Path(folder))
    return folder
