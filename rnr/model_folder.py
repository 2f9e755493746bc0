"""The folder of a model, and whether it may be loaded; looks at names, JSON and sizes, loads nothing."""

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
"""The file that names the others where weights stand in several."""
SECOND_WEIGHTS = "consolidated*"
"""Weights as Mistral and Meta publish them, beside the others: the same again."""
ADAPTER = "adapter_config.json"
NO_WEIGHTS = ("training_args.bin", "optimizer.bin")
"""What vLLM does not take for weights."""
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
        adapter = (folder / ADAPTER).is_file()
        found = f" but an {ADAPTER}: load its base model, add it, save `model.merge_and_unload()`" if adapter else ""
        found = found or ", so it is not a Hugging Face model folder"
        raise ValueError(f"model.path: {folder} has no config.json{found}")
    if not any(folder.glob(SAFE_WEIGHTS)):
        _refuse_without_weights(folder, allow_pickle=allow_pickle)
    _refuse_broken(folder)
    return str(folder.resolve())


_OF_TRAINING = re.compile(r"(training_args|optimizer|scheduler|rng_state|scaler)\b|rng_state_")
"""Files that a trainer leaves beside a model."""


def _refuse_without_weights(folder: Path, *, allow_pickle: bool | None) -> None:
    """Raise ValueError for a folder that has no safetensors, unless it has pickles and those may be loaded."""
    pickled = sorted(
        path.name for path in folder.iterdir() if path.suffix in PICKLED_SUFFIXES and not _OF_TRAINING.match(path.name)
    )
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


def longest_context(text_config: Any) -> tuple[str, int] | None:
    """The setting of a transformers config that limits a sequence most, and to how many tokens; None where none does.
    vLLM goes by these names, too."""
    found = [(name, getattr(text_config, name, None)) for name in CONTEXT_LIMITS]
    return min(((name, value) for name, value in found if type(value) is int), key=lambda each: each[1], default=None)


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
    files = [index.parent / name for name in sorted(_named_by(index))]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(
            f"model.path: {index} names {few(missing, SHOWN)}, which {'is' if len(missing) == 1 else 'are'} not there: "
            "the download was cut off, get the folder again"
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
    safe = any(folder.glob(SAFE_WEIGHTS)) or (folder / INDEX[SAFE_WEIGHTS]).is_file()
    pattern = SAFE_WEIGHTS if safe else PICKLED_WEIGHTS
    whole = pattern.replace("*", "")
    if not (folder / INDEX[pattern]).is_file() and not (folder / whole).is_file():
        raise ValueError(
            f"model.path: {folder} has neither {whole} nor {INDEX[pattern]}, which names the parts of the weights: get "
            "it again"
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
            f"model.path: {folder} holds a whole model and an adapter, {ADAPTER}, which transformers would add to it "
            "and vLLM would not: delete the adapter's files if it is merged into the model, else save the model with "
            "it, `model.merge_and_unload()`, into a folder of its own"
        )
    if whole.is_file() and index.is_file() and (named := _named_by(index)) != {whole.name}:
        there = [name for name in named if (folder / name).is_file()]
        raise ValueError(
            f"model.path: {folder} holds {whole.name}, which transformers reads, and {index.name}, by which vLLM reads "
            f"{few(sorted(named), SHOWN)}{'' if there else ', none of which is there'}: two models, or an index that "
            f"is out of date. Delete {index.name} if {whole.name} is the whole model, else {whole.name}"
        )
    explicit = read_config(folder).get("transformers_weights")
    if explicit not in (None, whole.name if whole.is_file() else index.name):
        raise ValueError(
            f"model.path: {folder / 'config.json'}: transformers reads the weights that its key "
            f"transformers_weights names, {explicit!r}, and vLLM does not: delete the key, and call the file "
            f"{whole.name} if it is the model"
        )
    others = _others(folder, whole, index)
    if others:
        raise ValueError(
            f"model.path: {folder} holds {few(others, SHOWN)} beside the weights of the model, and vLLM would "
            f"load {'it' if len(others) == 1 else 'them'} over these: give a folder, or a copy of this one, without"
        )


def _others(folder: Path, whole: Path, index: Path) -> list[str]:
    """What vLLM would take for weights and transformers would not; of parts it reads those that an index names."""
    safe = {file.name for file in folder.glob("*.safetensors")}
    if whole.suffix == ".safetensors":
        known = {file.name for file in folder.glob(SECOND_WEIGHTS)} | {whole.name}
        return [] if index.is_file() else sorted(safe - known)
    known = {whole.name} if whole.is_file() else _named_by(index)
    return sorted(safe) or sorted({file.name for file in folder.glob("*.bin")} - known - {*NO_WEIGHTS})


def _named_by(index: Path) -> set[str]:
    """The names of the files that an index names; raises ValueError, naming it, where it names none."""
    named = read_object(index).get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
        raise ValueError(f"model.path: {index}: its weight_map names no files")
    if elsewhere := [name for name in named.values() if Path(name).name != name]:
        raise ValueError(f"model.path: {index}: its weight_map names {elsewhere[0]!r}, which is no file of its folder")
    return set(named.values())


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
