"""argv -> Config: one TOML file, then ``--section.key=value`` overrides. Nothing else."""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rnr.config import Config
from rnr.files import text_of

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
"""Key that is no longer known -> what took its place."""

IN_WORDS = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "string_type": "must be a text",
    "dict_type": "must be a table",
    "finite_number": "must be finite",
    "missing": "is missing",
}
"""Pydantic's kind of an error -> what the value has to be."""


def load_config(path: str | None, overrides: list[str]) -> Config:
    """The validated config of a TOML file (None: defaults) with overrides such as ``--grpo.steps=4`` on top.

    ``--section.key=null`` gives a key its default again. Raises ValueError with the file or flag, the key, and the
    nearest known key where one is misspelt.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(text_of(Path(path)))
        except FileNotFoundError:
            raise ValueError(f"--config: no file {path!r}") from None
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"--config: {path} is not valid TOML: {error}") from None
        except ValueError as error:
            raise ValueError(f"--config: {error}") from None
    for override in overrides:
        _apply(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ValueError("\n".join(_explain(error.errors()))) from None


def _apply(tree: dict[str, Any], override: str) -> None:
    name, equals, text = override.removeprefix("--").partition("=")
    *sections, key = name.split(".")
    if not override.startswith("--") or not equals or not sections:
        raise ValueError(f"unknown option {override!r}; overrides are --section.key=value, such as --grpo.steps=4")
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
    # A run may be called 2026-11-29, which is a date.
    tree[key] = value if isinstance(value, str) or not _is_text(name) else text


def _is_text(name: str) -> bool:
    field = _field(name)
    return field is not None and field.annotation is str


def _field(name: str) -> FieldInfo | None:
    """A key or section of any depth; None for one that is not known."""
    within: Any = Config
    found = None
    for part in name.split("."):
        found = getattr(within, "model_fields", {}).get(part)
        if found is None:
            return None
        within = found.annotation
    return found


def known_keys() -> list[str]:
    """Every key of the tree as ``section.key``, sections inside of a section and their keys too."""
    return [key for section, field in Config.model_fields.items() for key in _keys(field.annotation, section)]


def _keys(section: Any, path: str) -> Iterator[str]:
    for name, field in getattr(section, "model_fields", {}).items():
        yield f"{path}.{name}"
        yield from _keys(field.annotation, f"{path}.{name}")


def _explain(details: Sequence[Any]) -> Iterator[str]:
    """A line for each key that is wrong. What a key may be in several ways is told once, by what came nearest."""
    by_key: dict[str, list[Any]] = {}
    for detail in details:
        if detail["type"] == "too_short" and detail["input"]:
            continue  # what is wrong with an item is an error of its own
        several = len(detail["loc"]) > 2 and _takes_several(*detail["loc"][:2])
        place = (*detail["loc"][:2], *detail["loc"][3:]) if several else detail["loc"]
        key = place[:2] if several else place
        by_key.setdefault(".".join(map(str, key)), []).append(detail | {"loc": place})
    for found in by_key.values():
        deepest = max(len(detail["loc"]) for detail in found)
        nearest = [detail for detail in found if len(detail["loc"]) == deepest]
        yield _unknown(nearest[0]["loc"]) if nearest[0]["type"] == "extra_forbidden" else _wrong(nearest)


def _takes_several(section: str, key: str) -> bool:
    """Whether a key may be one of several types, which pydantic names behind it; one that may be left out is not."""
    field = Config.model_fields[section].annotation.model_fields.get(key)  # type: ignore[union-attr]
    types = set(get_args(field.annotation)) - {NoneType} if field else set()
    return field is not None and get_origin(field.annotation) in (Union, UnionType) and len(types) > 1


def _unknown(place: Sequence[Any]) -> str:
    name = ".".join(map(str, place))
    if name in RENAMED:
        return f"config key {name!r} is now {RENAMED[name]}"
    ends = [key for key in known_keys() if key.endswith(f".{name}")]
    if ends:
        return f"unknown config section or key {name!r}; there is {' and '.join(ends)}"
    candidates = list(Config.model_fields) if len(place) == 1 else known_keys()
    if len(place) > 2:
        within: Any = Config
        for part in place[:-1]:
            within = get_args(within)[0] if isinstance(part, int) else within.model_fields[part].annotation
        candidates = [".".join(map(str, (*place[:-1], key))) for key in within.model_fields]
    nearest = difflib.get_close_matches(name, candidates, n=1, cutoff=0)
    return f"unknown config key {name!r}; the nearest is {nearest[0]!r}"


def _wrong(details: Sequence[Any]) -> str:
    """What is wrong with a value, in the words of what it may be."""
    detail = details[0]
    place, given = ".".join(map(str, detail["loc"])), repr(detail["input"])
    match detail["type"]:
        case "tuple_type":
            return f'config {place}: expected a list, as --{place}="[{given}]" (got {given})'
        case "dict_type" if len(details) == 1:
            return f"config {place}: expected a table, as --{place}='{{name = 1}}' (got {given})"
        case "model_type" if isinstance(detail["loc"][-1], int):
            return f"config {place}: expected a table, as {{key = value}} (got {given})"
        case "model_type":
            return f"config {place}: this is a section: write [{place}] and its keys below it (got {given})"
        case "missing" if isinstance(detail["input"], dict):
            return f"config {place}: is missing"
        case "value_error" if isinstance(detail["input"], dict):  # the whole section, which says nothing more
            return f"config {place}: {_said(detail)}" if place else f"config: {_said(detail)}"
        case "too_short":
            return f"config {place}: must not be empty (got {given})"
    said = " or ".join(dict.fromkeys(_said(each) for each in details)).replace(" or must be ", " or ")
    return f"config {place}: {said} (got {given})"


def _said(detail: Any) -> str:
    """The message in plain words."""
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] in IN_WORDS:
        return IN_WORDS[detail["type"]]
    for theirs, ours in (
        ("Input should be ", "must be "),
        ("greater than or equal to", "at least"),
        ("less than or equal to", "at most"),
        ("greater than", "more than"),
    ):
        message = message.replace(theirs, ours)
    return message
