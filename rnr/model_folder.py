"""The folder of a model, and whether it may be loaded; looks at file names only, loads nothing."""

import sys
from pathlib import Path

EMBEDDED_MODEL = "smollm2-135m-instruct"
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
            return _cached_from_hub(model)
        raise ValueError(
            f"model.path: no folder at {model!r}; give a folder with config.json and *.safetensors, a Hugging Face id "
            f"such as Qwen/Qwen3-0.6B, or {EMBEDDED_MODEL!r}"
        )
    if not (folder / "config.json").is_file():
        raise ValueError(f"model.path: {folder} has no config.json, so it is not a Hugging Face model folder")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED_SUFFIXES)
        if not pickled:
            raise ValueError(f"model.path: {folder} holds no *.safetensors weights")
        if not allow_pickle:
            raise ValueError(
                f"model.path: {folder / pickled[0]} is a pickle, which can run code when loaded; convert it to "
                "safetensors, or set model.allow_pickle=true if you trust its author"
            )
    return str(folder.resolve())


def _cached_from_hub(model: str) -> str:
    from huggingface_hub import snapshot_download  # light: neither torch nor transformers
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"])
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ValueError(
            f"model.path: {model!r} is neither a folder here nor a model the hub gave us ({type(error).__name__}); "
            "check the name and the network, or give a folder"
        ) from error
