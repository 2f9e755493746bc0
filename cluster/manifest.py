"""What a checkpoint holds, by size and sha256, and for which learner: checked before anything in it is loaded."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rnr.files.jsonl import strict_json
from rnr.files.whole import digest, write_whole

MANIFEST = "manifest.json"


class CheckpointCorrupt(ValueError):
    """A checkpoint that is not what was written: nothing of it may be loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLayout:
    """The learner that a checkpoint's state is divided for; another one divides it again (``learner/reshard.py``)."""

    learner_ranks: int
    zero_stage: int

    def __str__(self) -> str:
        return f"{self.learner_ranks} learner ranks and ZeRO stage {self.zero_stage}"


def layout_of(tree: Mapping[str, Any]) -> CheckpointLayout:
    """What the checkpoints of the run with this config are divided for."""
    return CheckpointLayout(learner_ranks=tree["cluster"]["learner_ranks"], zero_stage=tree["optimizer"]["zero_stage"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointManifest:
    layout: CheckpointLayout
    files: Mapping[str, Entry]
    """Path inside the checkpoint -> what it holds."""


def write_manifest(folder: Path, layout: CheckpointLayout, known: Mapping[str, Entry]) -> None:
    """List every file of ``folder``; those that are ``known`` are not read again."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    names.pop(MANIFEST, None)
    files = dict(known)
    for name in names.keys() - files.keys():
        files[name] = Entry(bytes=names[name].stat().st_size, sha256=digest(names[name]))
    manifest = CheckpointManifest(layout=layout, files=dict(sorted(files.items())))
    write_whole(folder / MANIFEST, strict_json(asdict(manifest), indent=1))


def read_manifest(folder: Path) -> CheckpointManifest:
    """The manifest of a checkpoint; raises CheckpointCorrupt, naming the file, if it is missing or cannot be read."""
    file = folder / MANIFEST
    try:
        return TypeAdapter(CheckpointManifest).validate_json(file.read_bytes(), strict=True)
    except FileNotFoundError:
        raise CheckpointCorrupt(
            f"{folder} has no {MANIFEST}: it is incomplete, or was written by an older RNR"
        ) from None
    except (OSError, ValidationError, RecursionError) as error:
        raise CheckpointCorrupt(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from None


def verify(folder: Path) -> CheckpointManifest:
    """The manifest, once every file matches it; raises CheckpointCorrupt, naming the file.

    An unlisted file makes the checkpoint corrupt, too: loading might read it as a part.
    """
    manifest = read_manifest(folder)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    found.pop(MANIFEST, None)
    for name in sorted(found.keys() ^ manifest.files.keys()):
        raise CheckpointCorrupt(f"{folder / name} is {'not in the manifest' if name in found else 'missing'}")
    for name, entry in manifest.files.items():
        path = found[name]
        if path.is_symlink() or not path.is_file():
            raise CheckpointCorrupt(f"{path} is not a plain file")
        if path.stat().st_size != entry.bytes:
            raise CheckpointCorrupt(f"{path} has {path.stat().st_size} bytes, {entry.bytes} were written")
        if digest(path) != entry.sha256:
            raise CheckpointCorrupt(f"{path} was altered: its sha256 differs from the manifest's")
    return manifest
