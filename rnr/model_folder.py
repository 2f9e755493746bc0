"""Finds a model's folder and checks that it can be loaded, by names, JSON and sizes; loads nothing."""

import math
import re
import sys
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rnr.files.jsonl import read_object as object_in
from rnr.messages import few

EMBEDDED_MODEL = "smollm2-135m-instruct"
SHOWN = 3
"""Names in a message."""
JSON_FILES = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("generation_config.json", "vocab.json", "model.safetensors.index.json", "pytorch_model.bin.index.json"),
)
SAFE_WEIGHTS, PICKLED_WEIGHTS = "model*.safetensors", "pytorch_model*.bin"
INDEX = {SAFE_WEIGHTS: "model.safetensors.index.json", PICKLED_WEIGHTS: "pytorch_model.bin.index.json"}
"""The index of weights that are split over several files."""
SECOND_WEIGHTS = "consolidated*"
"""A second copy of the weights, as Mistral and Meta publish it."""
ADAPTER = "adapter_config.json"
NO_WEIGHTS = ("training_args.bin", "optimizer.bin")
"""Files that vLLM does not read as weights."""
CONTEXT_LIMITS = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length"),
    *("max_target_positions", "max_sequence_length", "max_seq_length", "seq_len"),
)
"""Settings that limit the length of a sequence."""
TRUST = "set model.allow_pickle=true if you trust its author"
PICKLED_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def embedded_folder(name: str) -> Path:
    """The folder beside this Python environment into which ``make setup`` unpacks an embedded model."""
    return Path(sys.prefix) / "share" / "rnr" / "models" / name


def resolve(model: str, *, allow_pickle: bool | None = None) -> str:
    """The folder of ``model``, or of a Hugging Face id in the hub's cache, downloaded if needed.

    Raises ValueError, naming the place and what to do, for a folder that is missing or incomplete and for pickled
    weights, which can run code when they are loaded and are refused unless ``allow_pickle``; None means that the user
    has no such option.
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
        found = _adapter_alone(folder) or ", so it is not a Hugging Face model folder"
        raise ValueError(f"model.path: {folder} has no config.json{found}")
    if not any(folder.glob(SAFE_WEIGHTS)):
        _refuse_without_weights(folder, allow_pickle=allow_pickle)
    _refuse_broken(folder)
    return str(folder.resolve())


def _adapter_alone(folder: Path) -> str:
    """The end of a message about what a folder lacks, if it holds an adapter instead; else empty."""
    if not (folder / ADAPTER).is_file():
        return ""
    return f" but an {ADAPTER}: merge it into its base model with `model.merge_and_unload()`"


_OF_TRAINING = re.compile(r"(training_args|optimizer|scheduler|rng_state|scaler)\b|rng_state_")
"""Files that a trainer leaves beside a model."""


def _refuse_without_weights(folder: Path, *, allow_pickle: bool | None) -> None:
    """Raise ValueError for a folder that has no safetensors, unless it has pickles and those may be loaded."""
    pickled = sorted(
        path.name for path in folder.iterdir() if path.suffix in PICKLED_SUFFIXES and not _OF_TRAINING.match(path.name)
    )
    if not pickled or (allow_pickle and not any(folder.glob(PICKLED_WEIGHTS))):
        export = folder / "export"
        run = f"; this is a run folder, its model is {export}" if (export / "config.json").is_file() else ""
        gguf = ", and GGUF is not read: get the model in safetensors" if any(folder.glob("*.gguf")) else ""
        raise ValueError(f"model.path: {folder} has no {SAFE_WEIGHTS} weights{run or _adapter_alone(folder) or gguf}")
    if not allow_pickle:
        trusted = f", or {TRUST}" if allow_pickle is not None else ""
        raise ValueError(
            f"model.path: {folder / pickled[0]} is a pickle, which can run code when loaded; convert it to "
            f"safetensors{trusted}"
        )


def read_config(folder: str | Path) -> dict[str, Any]:
    """The model's ``config.json`` as it is; raises ValueError, naming it, for one that is not a JSON object."""
    return read_object(Path(folder) / "config.json")


def read_text_config(folder: str | Path) -> dict[str, Any]:
    """The part about the language model, if there are others."""
    whole = read_config(folder)
    text = whole.get("text_config")
    return text if isinstance(text, dict) else whole


def longest_context(text_config: Any) -> tuple[str, int] | None:
    """The transformers setting that limits the sequence length most, and its number of tokens; None if there is none.
    vLLM reads the same names."""
    found = [(name, getattr(text_config, name, None)) for name in CONTEXT_LIMITS]
    return min(((name, value) for name, value in found if type(value) is int), key=lambda each: each[1], default=None)


def stored_tensors(folder: str | Path) -> dict[str, dict[str, Any]] | None:
    """``dtype`` and ``shape`` of each tensor by name, from the headers of the folder's safetensors files; None if there
    are no such files. Raises ValueError, naming the file, for a truncated one."""
    files = weight_files(folder)
    return {name: entry for file in files for name, entry in _header(file).items()} if files else None


def weight_files(folder: str | Path, pattern: str = SAFE_WEIGHTS) -> list[Path]:
    """The files with the weights: those in the index, else those that match ``pattern``. Others beside them, such as
    Mistral's consolidated ones, hold the same weights again. Raises ValueError, naming the index, if it lists no files,
    or missing ones."""
    index = Path(folder) / INDEX[pattern]
    if not index.is_file():
        return sorted(Path(folder).glob(pattern))
    files = [index.parent / name for name in sorted(_named_by(index))]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(
            f"model.path: {index} lists {few(missing, SHOWN)}, which {'is' if len(missing) == 1 else 'are'} missing: "
            "the download is incomplete; download the model again"
        )
    return files


def count_weights(folder: str | Path) -> int:
    """The number of parameters of the model in this folder, whatever their type on disk.

    Taken from safetensors headers; pickles are not opened, so for these from file size and ``config.json``'s type."""
    found = stored_tensors(folder)
    if found is not None:
        return sum(math.prod(entry["shape"]) for entry in found.values() if entry["dtype"].startswith(("F", "BF")))
    config = read_config(folder)
    half = (config.get("dtype") or config.get("torch_dtype")) in ("bfloat16", "float16")
    return sum(file.stat().st_size for file in weight_files(folder, PICKLED_WEIGHTS)) // (2 if half else 4)


def _refuse_broken(folder: Path) -> None:
    """Raise ValueError, naming the file, if the model's JSON files or its weights are incomplete."""
    for name in JSON_FILES:
        file = folder / name
        if file.exists() and not file.is_file():
            raise ValueError(f"model.path: {file} is not a plain file")
        if file.is_file():
            read_object(file)
    safe = any(folder.glob(SAFE_WEIGHTS)) or (folder / INDEX[SAFE_WEIGHTS]).is_file()
    pattern = SAFE_WEIGHTS if safe else PICKLED_WEIGHTS
    whole = pattern.replace("*", "")
    if not (folder / INDEX[pattern]).is_file() and not (folder / whole).is_file():
        raise ValueError(
            f"model.path: {folder} has neither {whole} nor {INDEX[pattern]}, which lists the parts of the weights: "
            "download the model again"
        )
    _refuse_two_models(folder, folder / whole, folder / INDEX[pattern])
    if pattern == SAFE_WEIGHTS:
        stored_tensors(folder)
    else:
        weight_files(folder, pattern)


def _refuse_two_models(folder: Path, whole: Path, index: Path) -> None:
    """Raise ValueError, naming the files, where transformers and vLLM would not read the same weights."""
    if (folder / ADAPTER).is_file():
        raise ValueError(
            f"model.path: {folder} holds a full model and an adapter, {ADAPTER}, which transformers would apply and "
            "vLLM would not: delete the adapter's files if it is already merged, else save the merged model, "
            "`model.merge_and_unload()`, to another folder"
        )
    if whole.is_file() and index.is_file() and (named := _named_by(index)) != {whole.name}:
        there = [name for name in named if (folder / name).is_file()]
        raise ValueError(
            f"model.path: {folder} has {whole.name}, which transformers reads, and {index.name}, from which vLLM reads "
            f"{few(sorted(named), SHOWN)}{'' if there else ', all of them missing'}: two models, or an outdated "
            f"index. Delete {index.name} if {whole.name} is the full model, else {whole.name}"
        )
    explicit = read_config(folder).get("transformers_weights")
    if explicit not in (None, whole.name if whole.is_file() else index.name):
        raise ValueError(
            f"model.path: {folder / 'config.json'}: its key transformers_weights points transformers, but not vLLM, "
            f"to {explicit!r}: delete the key, and rename the file to {whole.name} if it is the model"
        )
    others = _others(folder, whole, index)
    if others:
        raise ValueError(
            f"model.path: {folder} has {few(others, SHOWN)} beside the model's weights, and vLLM would load "
            f"{'it' if len(others) == 1 else 'them'} over these: remove {'it' if len(others) == 1 else 'them'}, or "
            "give another folder"
        )


def _others(folder: Path, whole: Path, index: Path) -> list[str]:
    """Files that vLLM would read as weights and transformers would not; with an index, vLLM reads only its files."""
    safe = {file.name for file in folder.glob("*.safetensors")}
    if whole.suffix == ".safetensors":
        known = {file.name for file in folder.glob(SECOND_WEIGHTS)} | {whole.name}
        return [] if index.is_file() else sorted(safe - known)
    known = {whole.name} if whole.is_file() else _named_by(index)
    return sorted(safe) or sorted({file.name for file in folder.glob("*.bin")} - known - {*NO_WEIGHTS})


def _named_by(index: Path) -> set[str]:
    """The file names in an index; raises ValueError, naming the index, if there are none."""
    named = read_object(index).get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
        raise ValueError(f"model.path: {index}: its weight_map lists no files")
    if elsewhere := [name for name in named.values() if Path(name).name != name]:
        raise ValueError(
            f"model.path: {index}: its weight_map lists {elsewhere[0]!r}, which is not a file in this folder"
        )
    return set(named.values())


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a model; raises ValueError, naming the file, if there is none."""
    try:
        return object_in(file)
    except ValueError as error:
        raise ValueError(f"model.path: {error}") from None


def _header(file: Path) -> dict[str, dict[str, Any]]:
    """Type and shape of each tensor of a safetensors file, by name; raises ValueError for a truncated one, and for one
    that this user may not read, of which safetensors reports that it is not there."""
    try:
        file.open("rb").close()
        with safe_open(file, framework="np") as tensors:
            found = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            return {name: {"dtype": each.get_dtype(), "shape": each.get_shape()} for name, each in found.items()}
    except SafetensorError as error:
        raise ValueError(f"model.path: {file} is not a complete safetensors file ({error}): copy it again") from None
    except PermissionError as error:
        raise ValueError(f"model.path: {file} cannot be read ({error.strerror}): ask its owner (chmod a+r)") from None


def _cached_from_hub(model: str, *, allow_pickle: bool | None) -> str:
    """The cache folder of a hub model; pickled weights are downloaded only if it has no others."""
    from huggingface_hub import snapshot_download  # light: neither torch nor transformers

    try:
        patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
        folder = snapshot_download(model, allow_patterns=patterns, ignore_patterns=SECOND_WEIGHTS)
        if allow_pickle and not any(Path(folder).glob(SAFE_WEIGHTS)):
            folder = snapshot_download(model, allow_patterns=[*patterns, PICKLED_WEIGHTS])
    except Exception as error:  # including those of HTTP and sockets
        raise ValueError(f"model.path: {model!r} is not a local folder, and {_refused_by_hub(model, error)}") from error
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
        return f"its licence must be accepted first: do so on https://huggingface.co/{model}, and {log_in}"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub shows no model of this name: check the name or, if the model is private, {log_in}"
    if isinstance(error, HFValidationError):
        return f"not a valid model name on the hub: {error}"
    cause = error.__cause__ or error  # the hub's client adds three lines to a network error
    said = f"({type(cause).__name__}: {' '.join(str(cause).split())[:200]})"
    if constants.HF_HUB_OFFLINE:
        return f"not in the hub's cache, and HF_HUB_OFFLINE forbids downloads {said}: unset it, or give a folder"
    return f"it could not be downloaded {said}: check the network and the disk, or give a folder"
