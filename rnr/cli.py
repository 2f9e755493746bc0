"""argv -> Config: one TOML file, then ``--section.key=value`` overrides, nothing else."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rnr.config import Config
from rnr.files.text import text_of
from rnr.messages import did_you_mean
from rnr.validation import Fault, faults, shown

RENAMED = {
    "sampling.refills": "sampling.dynamic_sampling_rounds",
    "grpo.normaliser": 'grpo.loss_aggregation ("token_mean", "sequence_mean" or "constant")',
    "grpo.importance": 'grpo.rollout_correction ("tis", "sequence_tis", "icepop" or "none")',
    "grpo.importance_cap": "grpo.rollout_correction_cap",
    "cluster.concurrent_sequences": "generation.max_num_seqs",
    "cluster.kv_cache_gib": "generation.kv_cache_gib",
    "cluster.gpu_memory_fraction": "generation.gpu_memory_fraction",
    "cluster.deadline_seconds": "deadlines.start, .generate, .score, .load, .update and .save",
    "tracking.probe_tolerance": "sync.probe_tolerance",
}
"""Removed key -> its replacement."""
OPTIONS = ("--config", "--resume", "--debug", "--dry-run", "--json")
"""What `train` takes beside overrides; for messages."""


def load_config(path: str | None, overrides: list[str]) -> Config:
    """The validated config of a TOML file (None: defaults) with overrides such as ``--grpo.steps=4`` on top.

    ``--section.key=null`` resets a key to its default. Raises ValueError with the file or flag, the key, and the
    nearest known key if one is misspelt.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        tree = _of_file(path)
    for override in overrides:
        _apply(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ValueError("\n".join(map(_explain, faults(error, Config, table="a table")))) from None


def _of_file(path: str) -> dict[str, Any]:
    text = ""
    try:
        text = text_of(Path(path))
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ValueError(f"--config: no file {path!r}") from None
    except IsADirectoryError:
        raise ValueError(f"--config: {path!r} is a folder, not a TOML file such as those in scripts/configs") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"--config: {path} is not valid TOML: {error}{_line_of(error, text)}") from None
    except ValueError as error:
        raise ValueError(f"--config: {error}") from None


def _line_of(error: tomllib.TOMLDecodeError, text: str) -> str:
    """The line that cannot be read, and for an invalid value how text is written."""
    at = re.search(r"\(at line (\d+), column", str(error))
    if at is None:
        return ""
    line = text.replace("\r\n", "\n").split("\n")[int(at[1]) - 1].strip()[:100]
    quoted = "; text needs quotation marks" if str(error).startswith("Invalid value") else ""
    return f": {line}{quoted}"


def overruled(overrides: Sequence[str]) -> list[str]:
    """A note for each override that a later one replaces with another value."""
    last = {override.partition("=")[0]: override for override in overrides}
    earlier = dict.fromkeys(override for override in overrides if last[override.partition("=")[0]] != override)
    return [f"{each} has no effect: {last[each.partition('=')[0]]} comes after it" for each in earlier]


def _apply(tree: dict[str, Any], override: str) -> None:
    name, equals, text = override.removeprefix("--").partition("=")
    *sections, key = name.split(".")
    if not override.startswith("--") or not equals or not sections:
        raise ValueError(f"unknown option {override!r}{_meant(override)}")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ValueError(f"{override!r}: {section} is a value, not a section")
    if text == "null" and _field(name):
        tree.pop(key, None)
        return
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    # A run may be named 2026-11-29, which TOML reads as a date.
    tree[key] = value if isinstance(value, str) or not _is_text(name) else text


def _meant(override: str) -> str:
    """What may be meant: a key without its section, dashes or ``=``, a file, another option."""
    name, equals, text = override.lstrip("-").partition("=")
    keys = [name] if name in known_keys() else [key for key in known_keys() if key.endswith(f".{name}")]
    if keys and equals:
        return f"; did you mean {' or '.join(f'--{key}={text}' for key in keys)}?"
    if keys:
        return f"; a key and its value are one word: {' or '.join(f'--{key}=VALUE' for key in keys)}"
    if override.endswith(".toml") and not equals:
        return f"; did you mean --config {override.lstrip('-')}?"
    if near := did_you_mean(override, OPTIONS):
        return near
    return "; overrides are --section.key=value, such as --grpo.steps=4"


def _is_text(name: str) -> bool:
    field = _field(name)
    return field is not None and field.annotation is str


def _field(name: str) -> FieldInfo | None:
    """A key or section of any depth; None for an unknown one."""
    within: Any = Config
    found = None
    for part in name.split("."):
        found = getattr(within, "model_fields", {}).get(part)
        if found is None:
            return None
        within = found.annotation
    return found


def known_keys() -> list[str]:
    """Every key of the tree as ``section.key``, including nested sections and their keys."""
    return [key for section, field in Config.model_fields.items() for key in _keys(field.annotation, section)]


def _keys(section: Any, path: str) -> Iterator[str]:
    for name, field in getattr(section, "model_fields", {}).items():
        yield f"{path}.{name}"
        yield from _keys(field.annotation, f"{path}.{name}")


def _unknown(place: Sequence[Any]) -> str:
    name = ".".join(map(str, place))
    if name in RENAMED:
        return f"config key {name!r} is now {RENAMED[name]}"
    ends = [key for key in known_keys() if key.endswith(f".{name}")]
    if ends:
        return f"unknown config section or key {name!r}; did you mean {' or '.join(ends)}?"
    candidates = list(Config.model_fields) if len(place) == 1 else known_keys()
    if len(place) > 2:
        within: Any = Config
        for part in place[:-1]:
            within = get_args(within)[0] if isinstance(part, int) else within.model_fields[part].annotation
        candidates = [".".join(map(str, (*place[:-1], key))) for key in within.model_fields]
    return f"unknown config key {name!r}{did_you_mean(name, candidates, cutoff=0)}"


def _explain(fault: Fault) -> str:
    """What is wrong with a key, and how to write it in a file or on a command line."""
    place, got = fault.name, f"(got {shown(fault.given)})"
    match fault.kind:
        case "extra_forbidden":
            return _unknown(fault.place)
        case "tuple_type":
            return f"config {place}: {_as_list(place, fault.given)} {got}"
        case "dict_type" if fault.ways == 1:
            return f"config {place}: expected a table, such as --{place}='{{name = 1}}' {got}"
        case "model_type" if isinstance(fault.place[-1], int):
            key = _needed_key(fault.place[:-1])
            return f"config {place}: expected a table, such as {{{key} = {_quoted(fault.given)}}} {got}"
        case "model_type":
            return f"config {place}: this is a section: write [{place}] with its keys below it {got}"
    return f"config {place}: {fault.message}" if place else f"config: {fault.message}"


def _as_list(name: str, given: Any) -> str:
    """How to write ``given`` as a list; the suggestion can be copied as it is."""
    field = _field(name)
    if field is not None and Ellipsis not in get_args(field.annotation):
        return f'expected a list, such as --{name}="{list(field.default)}"'
    key = _needed_key(name.split("."))
    if key and isinstance(given, dict):
        return f"expected a list of tables: write [[{name}]] instead of [{name}]"
    # Without outer quotes a shell strips the inner ones: ['a.jsonl'] arrives as [a.jsonl].
    bare = given[1:-1] if isinstance(given, str) and given.startswith("[") and given.endswith("]") else None
    parts = [given] if bare is None else [part.strip() for part in bare.split(",")]
    items = [f"{{{key} = {_quoted(part)}}}" if key else _quoted(part) for part in parts]
    return f'expected a list, such as --{name}="[{", ".join(items)}]"'


def _needed_key(place: Sequence[Any]) -> str:
    """The first required key of this list's tables; empty if it is not a list of tables."""
    field = _field(".".join(map(str, place)))
    item: Any = get_args(field.annotation)[0] if field is not None else None
    return next((key for key, each in getattr(item, "model_fields", {}).items() if each.is_required()), "")


def _quoted(value: Any) -> str:
    """A value in TOML; a compound value is shown as ``'name'``."""
    if isinstance(value, str) and not set(value) & set("'{}[]"):
        return f"'{value}'"
    return shown(value).lower() if isinstance(value, bool | int | float) else "'name'"
