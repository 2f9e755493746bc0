"""The run folder: its owner, its config, and what a resumed run may change."""

import errno
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rnr.config import ModelConfig, RunConfig
from rnr.files.free_space import unwritable
from rnr.files.jsonl import read_object, strict_json
from rnr.files.whole import free_name, write_whole
from rnr.messages import few
from rnr.model_folder import read_config, stored_tensors
from rnr.runs.lock import is_active, remove_locked, take_lock, without_locks
from rnr.runs.status import read_status

logger = logging.getLogger(__name__)

CHANGEABLE = ("cluster", "generation", "sync", "deadlines", "tracking", "checkpoint", "merging")
"""Sections that may change when a run is resumed: they set how it runs and what is exported, not what is trained."""

CHANGEABLE_KEYS = (("run", "folder"), ("optimizer", "zero_stage"))
"""Keys of other sections that may change too: the optimizer's state is partitioned again."""

BEFORE = {("evaluation", "label_calibration"): 0.0}
"""Value of a key in runs from before it existed, where that differs from its default."""

RESTORE = "restore the file from a copy, or start a run with another run.name"
"""What to do about a file that a resumed run needs and that cannot be read."""

OF_WARM_START = {
    "model": tuple(ModelConfig.model_fields),
    "data": ("prompt", "definitions", "evaluation", "evaluation_examples", "keep_sources"),
    "optimizer": ("betas", "weight_decay", "max_gradient_norm"),
    "sft": ("decoding",),
    "evaluation": ("max_new_tokens",),
}
"""Keys that must equal those of the run whose warm start is reused: the model, its prompt, whether it learnt to copy,
the evaluation, and everything in the optimizer's part of a checkpoint."""


def run_folder(run: RunConfig) -> Path:
    """The folder that this run writes to."""
    return Path(run.folder).expanduser().resolve() / run.name


def saved_config(folder: Path) -> dict[str, Any]:
    """The config of the run in this folder; raises ValueError if it is missing or cannot be read."""
    file = folder / "config.json"
    if not file.is_file():
        runs = sorted(each.parent.name for each in folder.glob("*/config.json"))
        there = f"; runs in it: {few(runs)}" if runs else ""
        raise ValueError(f"{folder} is not a run folder: it has no config.json{there}")
    if folder.name == "export" and (folder.parent / "config.json").is_file():
        raise ValueError(f"{folder} is the export of a run, not its folder, which is {folder.parent}")
    try:
        found = read_object(file)
        if odd := [name for name, section in found.items() if not isinstance(section, dict)]:
            raise ValueError(f"{file}: {', '.join(odd)} must be an object")
    except ValueError as error:
        raise ValueError(f"{error}; {RESTORE}") from None
    return found


def saved_summary(folder: Path) -> dict[str, Any] | None:
    """The summary of the run in this folder, None if there is none yet; raises ValueError for one that cannot be
    read."""
    file = folder / "summary.json"
    try:
        return read_object(file) if file.is_file() else None
    except ValueError as error:
        raise ValueError(f"{error}; remove it, then train --resume writes it again") from None


def resumable(run: RunConfig) -> bool:
    """Whether there is a run of this name to be resumed."""
    return (run_folder(run) / "config.json").is_file()


def check_run(run: RunConfig, tree: Mapping[str, Any], *, resume: bool) -> None:
    """Raise ValueError for anything that ``open_run`` would refuse or fail at; changes nothing."""
    folder = run_folder(run)
    # An earlier run of the name is moved aside.
    for place in (folder,) if resume and resumable(run) else (folder, folder.parent):
        if why := unwritable(place):
            raise ValueError(
                f"run.folder: {folder} is not writable ({why}); choose another run.folder or fix its permissions"
            )
    if why := without_locks(folder):
        raise ValueError(
            f"run.folder: the file system of {folder} has no locks ({why}), by which a run owns its folder: mount it "
            "with them (Lustre: -o flock), or choose another run.folder"
        )
    if is_active(folder):
        raise _in_use(folder)
    if resume and resumable(run):
        _refuse_changes(saved_config(folder), tree, folder)


def is_finished(run: RunConfig, tree: Mapping[str, Any]) -> bool:
    """Whether the run of this name is done, and ``tree`` would not change its export."""
    folder = run_folder(run)
    status = read_status(folder) if resumable(run) else None
    if status is None or status.state != "done":
        return False
    left = _is_whole(folder / "export") and saved_summary(folder) is not None
    return left and all(section != "merging" for section, *_ in _changes(saved_config(folder), tree))


def _is_whole(export: Path) -> bool:
    """Whether an export has its config and all of its weights."""
    try:
        return bool(read_config(export)) and stored_tensors(export) is not None
    except (ValueError, OSError):
        return False


def open_run(run: RunConfig, tree: Mapping[str, Any], *, resume: bool) -> Path:
    """The run folder, with the resolved config, ``tree``, in it.

    A new run moves an older run of the same name aside (``NAME.1``, ``NAME.2``, ...). ``resume`` keeps it, and raises
    ValueError naming the key if what is trained has changed since. This process owns the folder until it ends; raises
    ValueError if another one does.
    """
    folder = run_folder(run)
    file = folder / "config.json"
    there = folder.exists()
    lock = take_lock(folder) if there else None
    if there and lock is None:
        raise _in_use(folder)
    if there and resume and file.exists():
        _refuse_changes(saved_config(folder), tree, folder)
    else:
        if there:
            _move_aside(folder)
        _make_locked(folder)
        if lock is not None:
            os.close(lock)  # that of the earlier run
    write_whole(file, strict_json(tree, indent=1))  # a run is not resumed without it
    return folder


def warm_start_folder(from_run: str, run: RunConfig, tree: Mapping[str, Any]) -> Path:
    """The folder of the run ``from_run``; raises ValueError, naming the key, if it differs in one of
    ``OF_WARM_START``."""
    folder = Path(from_run).expanduser().resolve()
    if folder == run_folder(run):
        raise ValueError("sft.from_run is this run's own folder: choose another run.name")
    try:
        theirs = saved_config(folder)
    except ValueError as error:
        raise ValueError(f"sft.from_run: {error}") from None
    for section, key, was, value in _changes(theirs, tree):
        if key in OF_WARM_START.get(section, ()):
            raise ValueError(f"sft.from_run: {section}.{key} is {value!r}, but {was!r} in {folder}")
    return folder


def _move_aside(folder: Path) -> None:
    aside = folder.rename(free_name(folder))
    logger.info(f"run: moved the earlier {folder.name} to {aside}")


def _make_locked(folder: Path) -> None:
    """Make the folder, which this process owns from its first moment; raises ValueError if another one was first."""
    new = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}")
    new.mkdir(parents=True)
    try:
        take_lock(new)
        new.rename(folder)
    except OSError as error:
        remove_locked(new)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise _in_use(folder) from None
        raise


def _in_use(folder: Path) -> ValueError:
    return ValueError(f"another process is running in {folder}: stop it first, or choose another run.name")


def _refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    for section, key, was, value in _changes(before, now):
        if section not in CHANGEABLE and (section, key) not in CHANGEABLE_KEYS:
            raise ValueError(
                f"--resume: {section}.{key} is {value!r}, but the run in {folder} was started with {was!r}; "
                "restore it, or start a run with another run.name"
            )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """Section, key, value before and value now of each key that differs; a key that is new since then does not count,
    unless ``BEFORE`` has its old value."""
    for section, values in now.items():
        for key, value in values.items():
            was = before.get(section, {}).get(key, BEFORE.get((section, key), value))
            if was != value:
                yield section, key, was, value
