"""argv -> Config: one TOML file, then ``--section.key=value`` overrides. Nothing else."""

import difflib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rnr.config import Config

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


def load_config(path: str | None, overrides: list[str]) -> Config:
    """The validated config of a TOML file (None: defaults) with overrides such as ``--grpo.steps=4`` on top.

    ``--section.key=null`` gives a key its default again. Raises ValueError with the file or flag, the key, and the
    nearest known key where one is misspelt.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"--config: no file {path!r}") from None
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"--config: {path} is not valid TOML: {error}") from None
    for override in overrides:
        _apply(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ValueError("\n".join(_explain(detail) for detail in error.errors())) from None


def _apply(tree: dict[str, Any], override: str) -> None:
    name, equals, text = override.removeprefix("--").partition("=")
    *sections, key = name.split(".")
    if not override.startswith("--") or not equals or not sections:
        raise ValueError(f"unknown option {override!r}; overrides are --section.key=value, such as --grpo.steps=4")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ValueError(f"{override!r}: {section} is a value, not a section")
    if text == "null" and name in known_keys():
        tree.pop(key, None)
        return
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    # A run may be called 2026-11-29, which is a date.
    tree[key] = value if isinstance(value, str) or not _is_text(name) else text


def _is_text(name: str) -> bool:
    section, _, key = name.partition(".")
    found = Config.model_fields.get(section)
    field = found.annotation.model_fields.get(key) if found else None  # type: ignore[union-attr]
    return field is not None and field.annotation is str


def known_keys() -> list[str]:
    """Every key of the tree as ``section.key``."""
    return [
        f"{section}.{key}"
        for section, field in Config.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    ]


def _explain(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        if place in RENAMED:
            return f"config key {place!r} is now {RENAMED[place]}"
        sections = list(Config.model_fields)
        candidates = known_keys() if "." in place else sections
        nearest = difflib.get_close_matches(place, candidates, n=1, cutoff=0)
        return f"unknown config key {place!r}; the nearest is {nearest[0]!r}"
    if detail["type"] == "tuple_type":
        return f'config {place}: expected a list, as --{place}="[{detail["input"]!r}]" (got {detail["input"]!r})'
    message = detail["msg"].removeprefix("Value error, ")
    return f"config {place}: {message} (got {detail['input']!r})" if place else f"config: {message}"
