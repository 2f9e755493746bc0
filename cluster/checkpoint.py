"""Checkpoints that are complete or absent, and the ledger that makes a resumed run train every prompt once."""

import asyncio
import errno
import logging
import math
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from cluster.disk import Disk
from cluster.manifest import (
    MANIFEST,
    CheckpointCorrupt,
    CheckpointLayout,
    CheckpointManifest,
    Entry,
    read_manifest,
    verify,
    write_manifest,
)
from cluster.progress import STAGES, Progress
from cluster.protocols import Learner
from cluster.ranks import LearnerLost
from rnr.config import MergingConfig
from rnr.files.free_space import free_space, is_cut_short, is_full, is_no_room
from rnr.files.jsonl import read_object, strict_json, whole_rows
from rnr.files.whole import free_name, rename_synced, sync_folder, write_whole
from rnr.messages import counted

logger = logging.getLogger(__name__)

AFTER_WARM_START = "-grpo-000000"
"""In the name of the checkpoint that is never pruned: the reference of the KL, and a point to branch from."""
PROGRESS = "progress.json"
OLD = ".old"
"""Suffix of a checkpoint that is being removed."""
NAME = re.compile(rf"(\d{{6,}})-({'|'.join(STAGES)})-(\d{{6,}})")
"""Version, stage, step. Anything else in the folder is ignored."""


Known = Mapping[str, Entry]
"""Files whose digests are already known."""
Fill = Callable[[Path], Awaitable[tuple[Known, CheckpointLayout]]]
"""Puts the learner's state into a new folder; which of its files are known, and what it is divided for."""


class CutShort(RuntimeError):
    """A disk that has room did not take what was written."""


class Checkpoints:
    """The ``checkpoints`` folder of a run."""

    def __init__(self, folder: Path, *, keep: int, layout: CheckpointLayout, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk(folder, seconds=0)
        self._keep = keep
        self._layout = layout

    async def save(self, progress: Progress, learner: Learner) -> None:
        """Write one checkpoint. It is renamed into place when everything is on disk, so a kill leaves it out whole; on
        a full disk it waits for room. Raises NoRoom if there was none in time, and CutShort if the disk twice did
        not take it although it has room."""

        async def fill(partial: Path) -> tuple[Known, CheckpointLayout]:
            await learner.save(str(partial))
            return {}, self._layout

        # As large as the one before, and a little more. A rank that fails alone leaves the others in the middle of it.
        newest = self.complete()[-1:]
        size = sum(file.stat().st_size for folder in newest for file in folder.rglob("*") if file.is_file())
        await self._write_when_room(progress, learner.version, fill, needed=size + size // 50)

    async def save_again(self, progress: Progress, learner: Learner) -> None:
        """``save`` when only ``progress`` has changed since the newest checkpoint: its files are linked, or copied
        where the disk has no hard links. Without a checkpoint of this version the learner writes one."""
        newest = self.complete()[-1:]
        if not newest or _age(newest[0])[0] != learner.version:
            await self.save(progress, learner)
            return

        async def fill(partial: Path) -> tuple[Known, CheckpointLayout]:
            return await asyncio.to_thread(_link, newest[0], partial)

        await self._write_when_room(progress, learner.version, fill)

    async def _write_when_room(self, progress: Progress, version: int, fill: Fill, *, needed: int = 0) -> None:
        progress.version = version

        async def write() -> None:
            try:
                await self._write(progress, fill)
            except CutShort:  # space may have been freed between the write and the check
                await self._write(progress, fill)

        await self._disk.retry_async("a checkpoint", write, needed=needed)
        self._prune()

    def _prune(self) -> None:
        """Keep the newest checkpoints; those that have their files in common are as good as one, and take its room."""
        seen: set[frozenset[int]] = set()
        for folder in reversed(self.complete()):
            state = frozenset(file.stat().st_ino for file in folder.rglob("*") if _is_state(file))
            if not state or not (folder / PROGRESS).is_file():
                continue  # it has lost files, and is in no place of a good one
            if state in seen or len(seen) < self._keep:
                seen.add(state)
            elif AFTER_WARM_START not in folder.name:
                _remove(folder)

    async def _write(self, progress: Progress, fill: Fill) -> None:
        name = f"{progress.version:06d}-{progress.stage}-{progress.step:06d}"
        partial = self._folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        self._folder.mkdir(exist_ok=True)  # without its parents: a run folder that was moved is not made again
        partial.mkdir()
        try:
            known, layout = await fill(partial)
            write_whole(partial / PROGRESS, strict_json(asdict(progress), indent=1))
            await asyncio.to_thread(complete_checkpoint, partial, self._folder / name, layout, known)
        except Exception as error:
            free, cut_short = free_space(partial), is_cut_short(error)
            full = is_no_room(error) or (cut_short and is_full(partial))
            shutil.rmtree(partial, ignore_errors=True)  # it would take up the missing space
            if (full or cut_short) and self._layout.learner_ranks > 1:
                raise LearnerLost(f"learner, phase save: {free}; its ranks stopped midway") from error
            if full:
                raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {error}") from error
            if cut_short:
                raise CutShort(
                    f"writing the checkpoint {name} was cut short although {free}: check whether the disk is failing"
                ) from error
            raise

    def complete(self) -> list[Path]:
        """All complete checkpoints, oldest first; leftovers of a kill and foreign folders are not among them. One that
        has lost files since is among them, for ``restore`` to report it."""
        return sorted((path for path in self._folder.glob("*/") if NAME.fullmatch(path.name)), key=_age)

    def progress(self) -> Progress:
        """That of the newest checkpoint whose progress can be read, which ``restore`` may find corrupt otherwise; a new
        run's, if there is none."""
        for folder in reversed(self.complete()):
            with suppress(ValueError, OSError):
                return progress_of(folder)
        return Progress()

    def after_warm_start(self) -> Path | None:
        """The checkpoint at the end of the warm start, if it has ended."""
        return next((path for path in self.complete() if AFTER_WARM_START in path.name), None)

    async def restore(self, learner: Learner, *, freeze_reference: bool) -> Progress:
        """Bring the learner to the newest checkpoint that is as it was written, and return its progress; a new run's,
        if there is none.

        A corrupt one is renamed to ``NAME.corrupt``, which is logged. Raises CheckpointCorrupt if no other is left, or
        none with the reference. One of another number of ranks or ZeRO stage is resharded, which is logged, too.
        """
        self._clear()
        newest = await asyncio.to_thread(self._newest_good)
        if newest is None:
            return Progress()
        progress = progress_of(newest)
        if freeze_reference and progress.stage == "grpo":
            start = self.after_warm_start()
            if start is None:
                raise CheckpointCorrupt(
                    f"the reference of the KL is the checkpoint *{AFTER_WARM_START}, which is no longer in "
                    f"{self._folder}: restore it from a copy"
                )
            if start != newest:
                await asyncio.to_thread(verify, start)
            await learner.load(str(start), progress.version)
            await learner.freeze_reference()
        await learner.load(str(newest), progress.version)
        if progress.reached() == ("grpo", 0):
            await learner.reset_optimizer()  # its files are those of the end of the warm start
        return progress

    async def merge(self, learner: Learner, merging: MergingConfig) -> None:
        """Make the learner's policy the merged one, of what it is now and the checkpoint at the end of the warm start.
        Raises CheckpointCorrupt if that is gone, or no longer as it was written."""
        start = self.after_warm_start()
        if start is None:
            raise CheckpointCorrupt(
                f"merging needs the checkpoint *{AFTER_WARM_START}, which is no longer in {self._folder}: resume with "
                "--merging.warm_start=1 --merging.grpo=1"
            )
        await asyncio.to_thread(verify, start)
        await learner.merge(str(start), merging)

    def _clear(self) -> None:
        """Rename a checkpoint that a kill left complete but unnamed, and remove all other leftovers."""
        for partial in self._folder.glob("*.partial"):
            if _is_unnamed(partial) and not (final := partial.with_suffix("")).exists():
                rename_synced(partial, final)
        for leftover in (*self._folder.glob("*.partial"), *self._folder.glob(f"*{OLD}")):
            if NAME.fullmatch(leftover.stem):
                shutil.rmtree(leftover)

    def _newest_good(self) -> Path | None:
        found = self.complete()
        for folder in reversed(found):
            try:
                if (saved := verify(folder).layout) != self._layout:
                    logger.info(f"run: resharding {folder.name} from {saved} to {self._layout}")
                return folder
            except CheckpointCorrupt as corrupt:
                if folder == found[0]:
                    raise CheckpointCorrupt(f"no checkpoint is left to resume from: {corrupt}") from None
                aside = folder.rename(free_name(folder.with_name(f"{folder.name}.corrupt")))
                logger.warning(f"run: {corrupt}; renamed to {aside.name}, falling back to the previous checkpoint")
        return None


def refuse_lost(run_folder: Path) -> None:
    """Raise ValueError if a run that has begun with GRPO has no checkpoint any more: resumed, it would begin again and
    remove what it has measured."""
    rows = () if has_checkpoint(run_folder) else whole_rows(run_folder / "metrics.jsonl")
    if steps := sum(isinstance(row, dict) and row.get("stage") == "grpo" for row in rows):
        raise ValueError(
            f"--resume: {run_folder / 'checkpoints'} has no checkpoint, but metrics.jsonl has "
            f"{counted(steps, 'line')} of GRPO: restore the checkpoints from a copy, or start a new run with another "
            "run.name"
        )


def has_checkpoint(run_folder: Path) -> bool:
    """Whether a run has a checkpoint, be it corrupt, or complete and without its name yet."""
    folders = (run_folder / "checkpoints").glob("*/")
    return any(NAME.fullmatch(path.name) or _is_unnamed(path) for path in folders)


def _is_unnamed(partial: Path) -> bool:
    """Whether a kill has left this checkpoint complete, but without its name."""
    final = partial.with_suffix("")
    return partial.suffix == ".partial" and bool(NAME.fullmatch(final.name)) and (partial / MANIFEST).is_file()


def state_files(manifest: CheckpointManifest) -> Known:
    return {name: entry for name, entry in manifest.files.items() if name != PROGRESS}


def _link(start: Path, folder: Path) -> tuple[Known, CheckpointLayout]:
    """Give ``folder`` the learner's state of the checkpoint ``start``; its files and its layout."""
    leave_out = shutil.ignore_patterns(PROGRESS, MANIFEST)
    shutil.copytree(start, folder, ignore=leave_out, copy_function=_linked_or_copied, dirs_exist_ok=True)
    manifest = read_manifest(start)
    return state_files(manifest), manifest.layout


def _is_state(file: Path) -> bool:
    return file.is_file() and file.name not in (PROGRESS, MANIFEST)


def _linked_or_copied(file: str, new: str) -> None:
    try:
        os.link(file, new)
    except OSError:
        shutil.copy2(file, new)


def complete_checkpoint(partial: Path, final: Path, layout: CheckpointLayout, known: Known) -> None:
    """Give a checkpoint its manifest and its name, in this order and each of them on disk before the next. One that has
    the name already goes when the new one is there."""
    write_manifest(partial, layout, known)
    sync_folder(partial)
    old = final.with_name(final.name + OLD)
    if final.exists():
        rename_synced(final, old)
    rename_synced(partial, final)
    shutil.rmtree(old, ignore_errors=True)


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint; if killed midway, the rest has another name, is never resumed from, and is removed later."""
    shutil.rmtree(checkpoint.rename(checkpoint.with_name(checkpoint.name + OLD)))


def progress_of(checkpoint: Path) -> Progress:
    row = read_object(checkpoint / PROGRESS)
    # A loss that was not finite is null in the file.
    losses = [math.nan if loss is None else loss for loss in row.get("held_out_losses", [])]
    return TypeAdapter(Progress).validate_python(row | {"held_out_losses": losses})


def _age(checkpoint: Path) -> tuple[int, int, int]:
    """What checkpoints are ordered by: version, stage, step; the last two distinguish checkpoints of one version."""
    version, stage, step = checkpoint.name.split("-")
    return int(version), STAGES.index(stage), int(step)
