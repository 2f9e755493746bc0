"""Files that are complete or absent, forced to disk, and their digests."""

import fcntl
import hashlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident
from typing import IO

LAG_SECONDS = 60.0
"""Within which a host sees what another has written on a disk that they share: NFS refreshes a folder only now and
then."""


def free_name(path: Path) -> Path:
    """``path``, or ``path.1``, ``path.2`` and so on where that is there: a name to move something aside to."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def write_whole(file: Path, content: str | bytes | Iterable[str]) -> None:
    """Put ``content``, or its parts one after the other, in ``file`` by way of a ``.partial`` beside it, forced to disk
    and then renamed. What does not fit, or a part that cannot be made, leaves nothing.

    A text may hold half of a surrogate pair, as sampled texts do; UTF-8 cannot, so it is written as its escape. A
    device or pipe is written to, and a link leads to the file that is replaced.
    """
    parts = (content,) if isinstance(content, str | bytes) else content
    # As bytes, because a text file would translate the line feeds of some systems.
    encoded = (part if isinstance(part, bytes) else part.encode(errors="backslashreplace") for part in parts)
    if file.exists() and not file.is_file():
        with file.open("wb") as stream:
            stream.writelines(encoded)
        return
    file = file.resolve() if file.is_symlink() else file
    file.parent.mkdir(parents=True, exist_ok=True)
    with _partial(file) as (stream, partial):
        try:
            stream.writelines(encoded)
            stream.flush()
            os.fsync(stream.fileno())
            partial.replace(file)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


@contextmanager
def _partial(file: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """``NAME.partial`` beside a file, empty and held by this writer alone: what a kill has left there is overwritten.
    While another writer holds it, one with the ids of this process and thread in its name."""
    shared, own = (file.with_name(f"{file.name}{part}.partial") for part in ("", f".{os.getpid()}-{get_ident()}"))
    while True:
        with shared.open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                break
            except OSError:  # a file system without locks
                pass
            # The writer before may have renamed it in the meantime.
            if _is_named(stream, shared):
                stream.truncate(0)
                yield stream, shared
                return
    with own.open("wb") as stream:
        yield stream, own


def _is_named(stream: IO[bytes], path: Path) -> bool:
    """Whether an open file is the one of this name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    return False


def append_whole(file: Path, content: str) -> None:
    """Add ``content`` to the end of ``file``, all of it or, when that fails, nothing. Halves of surrogate pairs are
    written as their escapes."""
    left = memoryview(content.encode(errors="backslashreplace"))
    # A buffer would keep what did not fit and write it on closing, into the room that the truncation makes.
    with file.open("ab", buffering=0) as stream:
        end = stream.seek(0, os.SEEK_END)
        try:
            while left:
                left = left[stream.write(left) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(stream.fileno(), end)
            raise


def files_in(folder: Path) -> list[str]:
    """The paths, below it, of all files under a folder but hidden ones, which NFS has for files that are still open."""
    files = (path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def not_there(files: Iterable[Path]) -> list[Path]:
    """Those files that are not there and do not come up within ``LAG_SECONDS`` either."""
    end = time.monotonic() + LAG_SECONDS
    while (missing := [file for file in files if not file.is_file()]) and time.monotonic() < end:
        time.sleep(0.2)
        files = missing
    return missing


def open_to_the_same(files: Iterable[Path], other: Path) -> None:
    """Let those read the files who may read ``other``: safetensors writes what only their owner can read."""
    for file in files:
        with suppress(OSError):  # of a mount that has no modes, or one for all files
            file.chmod(other.stat().st_mode)


def sync_folder(folder: Path) -> None:
    """Force every file under ``folder`` to disk, and the folders that name them."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_file() or path.is_dir():
            _sync(path)


def rename_synced(source: Path, target: Path) -> None:
    """Rename, and force the folder that holds the name to disk: after a power cut ``target`` is there."""
    source.rename(target)
    _sync(target.parent)


def digest(file: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
