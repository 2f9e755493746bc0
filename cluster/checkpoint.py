"""Checkpoints that are complete or absent, and the ledger that makes a resumed run train every prompt once."""

import asyncio
import errno
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter

from cluster.disk import Disk
from cluster.inputs import EVALUATION, read_inputs
from cluster.manifest import (
    MANIFEST,
    CheckpointCorrupt,
    CheckpointLayout,
    Entry,
    layout_of,
    read_manifest,
    verify,
    write_manifest,
)
from cluster.progress import STAGES, Progress
from cluster.ranks import LearnerLost
from rnr.config import MergingConfig, RunConfig, SftConfig
from rnr.evaluation.predictions import UNCALIBRATED
from rnr.files import (
    free_space,
    is_cut_short,
    is_full,
    is_no_room,
    rename_synced,
    strict_json,
    sync_folder,
    write_whole,
)
from rnr.runs.run_folder import run_folder, warm_start_folder

AFTER_WARM_START = "-grpo-000000"
"""In the name of the checkpoint that is never pruned: the reference of the KL, and a point to branch from."""
PROGRESS = "progress.json"
OLD = ".old"
"""Behind the name of a checkpoint that is being removed."""
NAME = re.compile(rf"(\d{{6,}})-({'|'.join(STAGES)})-(\d{{6,}})")
"""Version, stage, step. Whatever else lies beside the checkpoints is none of our business."""


class CutShort(RuntimeError):
    """A disk that has room did not take what was written."""


class Learner(Protocol):
    """What is saved and restored: the policy service."""

    @property
    def version(self) -> int: ...
    async def save(self, folder: str) -> None: ...
    async def load(self, folder: str, version: int) -> None: ...
    async def freeze_reference(self) -> None: ...
    async def merge(self, start: str, merging: MergingConfig) -> None: ...


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
        progress.version = learner.version

        async def write() -> None:
            try:
                await self._write(progress, learner)
            except CutShort:  # the room may have come between the write and the look at it
                await self._write(progress, learner)

        # As large as the one before, and a little more. A rank that fails alone leaves the others in the middle of it.
        newest = self.complete()[-1:]
        size = sum(file.stat().st_size for folder in newest for file in folder.rglob("*") if file.is_file())
        await self._disk.written("a checkpoint", write, needed=size + size // 50)
        for old in self.complete()[: -self._keep]:
            if AFTER_WARM_START not in old.name:
                _remove(old)

    async def _write(self, progress: Progress, learner: Learner) -> None:
        name = f"{progress.version:06d}-{progress.stage}-{progress.step:06d}"
        partial = self._folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            await learner.save(str(partial))
            write_whole(partial / PROGRESS, strict_json(asdict(progress), indent=1))
            await asyncio.to_thread(_complete, partial, self._folder / name, self._layout)
        except Exception as error:
            free, cut_short = free_space(partial), is_cut_short(error)
            full = is_no_room(error) or (cut_short and is_full(partial))
            shutil.rmtree(partial, ignore_errors=True)  # it would take the room that is missing
            if (full or cut_short) and self._layout.learner_ranks > 1:
                raise LearnerLost(f"learner, phase save: {free}, its ranks stopped in the middle") from error
            if full:
                raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {error}") from error
            if cut_short:
                raise CutShort(
                    f"a write of the checkpoint {name} was cut short although {free}: check whether the disk is failing"
                ) from error
            raise

    def complete(self) -> list[Path]:
        """All complete checkpoints, oldest first; leftovers of a kill and foreign folders are not among them."""
        found = (path.parent for path in self._folder.glob(f"*/{PROGRESS}"))
        return sorted((folder for folder in found if NAME.fullmatch(folder.name)), key=_age)

    def progress(self) -> Progress:
        """That of the newest checkpoint whose progress can be read, which ``restore`` may find corrupt otherwise; a new
        run's, if there is none."""
        for folder in reversed(self.complete()):
            with suppress(ValueError, OSError):
                return _progress(folder)
        return Progress()

    def after_warm_start(self) -> Path | None:
        """The checkpoint at the end of the warm start, if it has ended."""
        return next((path for path in self.complete() if AFTER_WARM_START in path.name), None)

    async def restore(self, learner: Learner, *, freeze_reference: bool) -> Progress:
        """Bring the learner to the newest checkpoint that is as it was written, and return its progress; a new run's,
        if there is none.

        A corrupt one is renamed to ``NAME.spoilt``, which is printed. Raises CheckpointCorrupt if no other is left. One
        of another number of ranks or ZeRO stage is resharded, which is printed, too.
        """
        self._clear()
        newest = await asyncio.to_thread(self._newest_good)
        if newest is None:
            return Progress()
        progress = _progress(newest)
        start = self.after_warm_start()
        if freeze_reference and progress.stage == "grpo" and start:
            if start != newest:
                await asyncio.to_thread(verify, start)
            await learner.load(str(start), progress.version)
            await learner.freeze_reference()
        await learner.load(str(newest), progress.version)
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
        """Give a checkpoint that a kill left whole but for its name this name, and remove all else that kills left."""
        for partial in self._folder.glob("*.partial"):
            final = partial.with_suffix("")
            if NAME.fullmatch(final.name) and (partial / MANIFEST).is_file() and not final.exists():
                rename_synced(partial, final)
        for leftover in (*self._folder.glob("*.partial"), *self._folder.glob(f"*{OLD}")):
            if NAME.fullmatch(leftover.stem):
                shutil.rmtree(leftover)

    def _say_other(self, folder: Path, saved: CheckpointLayout) -> None:
        if saved != self._layout:
            print(f"run: resharding {folder.name} from {saved} to {self._layout}", flush=True)

    def _newest_good(self) -> Path | None:
        found = self.complete()
        for folder in reversed(found):
            try:
                self._say_other(folder, verify(folder).layout)
                return folder
            except CheckpointCorrupt as spoilt:
                if folder == found[0]:
                    raise CheckpointCorrupt(f"no checkpoint is left to resume from: {spoilt}") from None
                folder.rename(folder.with_name(f"{folder.name}.spoilt"))
                print(
                    f"run: {spoilt}; renamed to {folder.name}.spoilt, falling back to the previous checkpoint",
                    flush=True,
                )
        return None


def warm_start(sft: SftConfig, run: RunConfig, tree: Mapping[str, Any], *, resume: bool) -> Path | None:
    """The checkpoint of ``sft.from_run`` at the end of its warm start; None if that is not set, or not needed because
    this run has checkpoints of its own to resume from. Raises ValueError if the other run has none or is not what this
    run, whose config is ``tree``, could begin with."""
    layout = layout_of(tree)
    own = Checkpoints(run_folder(run) / "checkpoints", keep=1, layout=layout).complete() if resume else []
    if own or not sft.from_run:
        return None
    other = warm_start_folder(sft.from_run, run, tree)
    start = Checkpoints(other / "checkpoints", keep=1, layout=layout).after_warm_start()
    if start is None:
        raise ValueError(f"sft.from_run: {other} has no checkpoint *{AFTER_WARM_START}: its warm start has not ended")
    try:
        verify(start)
    except ValueError as error:
        raise ValueError(f"sft.from_run: {error}") from None
    return start


def take_over(start: Path, folder: Path, inputs: Mapping[str, str]) -> None:
    """Make the checkpoint ``start`` of another run the first of the run in ``folder``, without the seconds it took, and
    with what was predicted and measured up to there if by ``inputs`` the evaluation of this run is given the same."""
    checkpoints = folder / "checkpoints"
    partial = checkpoints / f"{start.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    # A copy has its manifest when it is whole, as everything that is written here.
    shutil.copytree(start, partial, ignore=shutil.ignore_patterns(MANIFEST))
    manifest = read_manifest(start)
    progress = asdict(_progress(partial)) | {"seconds": {}}
    if read_inputs(start.parents[1]).get(EVALUATION) != inputs[EVALUATION]:
        print("sft.from_run: its scores are not reused: the sentences, decoding or calibration differ")
        progress["scores"] = {}
    write_whole(partial / PROGRESS, strict_json(progress, indent=1))
    (folder / "predictions").mkdir(exist_ok=True)
    for stage in sorted(progress["scores"].keys() & {"base", "sft"}):
        for name in (f"{stage}.jsonl", f"{UNCALIBRATED}/{stage}.jsonl"):
            if (predicted := start.parents[1] / "predictions" / name).is_file():
                write_whole(folder / "predictions" / name, predicted.read_bytes())
    # The weights keep the digests that they were written with: whatever the copy did to them is found by ``restore``.
    known = {name: entry for name, entry in manifest.files.items() if name != PROGRESS}
    _complete(partial, checkpoints / start.name, manifest.layout, known)


def _complete(partial: Path, final: Path, layout: CheckpointLayout, known: Mapping[str, Entry] | None = None) -> None:
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
    """Remove a checkpoint; what a kill leaves of it has another name, is never resumed from, and removed later."""
    shutil.rmtree(checkpoint.rename(checkpoint.with_name(checkpoint.name + OLD)))


def _progress(checkpoint: Path) -> Progress:
    row = json.loads((checkpoint / PROGRESS).read_bytes())
    # A loss that was not finite is null in the file.
    losses = [math.nan if loss is None else loss for loss in row.get("held_out_losses", [])]
    return TypeAdapter(Progress).validate_python(row | {"held_out_losses": losses})


def _age(checkpoint: Path) -> tuple[int, int, int]:
    """What checkpoints are ordered by: version, stage, step; the last two tell those of one version apart."""
    version, stage, step = checkpoint.name.split("-")
    return int(version), STAGES.index(stage), int(step)
