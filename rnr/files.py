"""Files that are complete or absent, strict JSON and lines of it, text, digests, and what a full disk looks like."""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|os error (28|122)\b|Errno (28|122)\b|OutOfDisk", re.IGNORECASE
)
"""PyTorch, safetensors and Ray raise errors that have no errno."""
_CUT_SHORT = re.compile(r"unexpected pos \d+ vs \d+|iostream error|PytorchStreamWriter failed writing")
"""``torch.save`` of a write that was cut short, which does not say why."""

_PROBE = 2**20
"""Bytes."""

LAG_SECONDS = 60.0
"""Within which a host sees what another has written on a disk that they share: NFS asks for news of a folder only now
and then."""


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
    partial = file.with_name(f"{file.name}.partial")
    try:
        with partial.open("wb") as stream:
            stream.writelines(encoded)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


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


def is_no_room(error: BaseException) -> bool:
    """Whether a disk or a quota is full: also where a library, or Ray, says it in words of its own."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return bool(_FULL.search(str(error)))


def is_cut_short(error: BaseException) -> bool:
    """Whether a library says that a write failed and not why: ``is_full`` tells, as long as what was written is
    there."""
    return bool(_CUT_SHORT.search(str(error)))


def is_full(folder: Path) -> bool:
    """Whether the disk or the quota of ``folder`` is full: found out by a write, because a quota is seen no other
    way."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as stream:
            left = memoryview(os.urandom(_PROBE))
            while left:
                left = left[stream.write(left) :]
            os.fsync(stream.fileno())
    except OSError as error:
        return is_no_room(error)
    return False


def free_space(path: Path) -> str:
    """How much room the disk of ``path`` has, as a sentence: "the disk of /runs (mounted at /) has 0.1 of 250.0 GiB
    free"."""
    there = existing_parent(path)
    mount = next(place for place in (there.resolve(), *there.resolve().parents) if os.path.ismount(place))
    usage = shutil.disk_usage(there)
    return f"the disk of {path} (mounted at {mount}) has {_gib(usage.free)} of {_gib(usage.total)} GiB free"


def existing_parent(path: Path) -> Path:
    """The folder itself or the nearest above it that is there."""
    return next(place for place in (path, *path.parents) if place.is_dir())


def unwritable(folder: Path) -> str:
    """Why nothing can be written into a folder, or where it is not there into the nearest above it; empty where it can.
    Found out by a file without a name: who may write is not all that decides (a mount that only reads, ``/proc``)."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        if not is_no_room(error):
            return f"{there}: {error.strerror}"
    return ""


def _gib(size: int) -> str:
    return f"{size / 2**30:.{1 if size > 2**30 else 3}f}"


def files_in(folder: Path) -> list[str]:
    """The paths, below it, of all files under a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def not_there(files: Iterable[Path]) -> list[Path]:
    """Those files that are not there and do not come up within ``LAG_SECONDS`` either."""
    end = time.monotonic() + LAG_SECONDS
    while (missing := [file for file in files if not file.is_file()]) and time.monotonic() < end:
        time.sleep(0.2)
        files = missing
    return missing


def strict_json(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON; NaN and the infinities, which JSON does not have, are written as null.

    ``json`` by itself would write ``NaN``, which most other readers refuse together with all else in the file.
    """
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)


def json_line(value: Any) -> str:
    """The value as one line of a JSONL file, with its line feed."""
    return strict_json(value) + "\n"


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; raises ValueError, naming it, for one that holds none."""
    try:
        found = json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} must hold one JSON object, not {type(found).__name__}")
    return found


def text_of(file: Path) -> str:
    """The text of a file that a command line names, without a byte order mark; raises ValueError, naming it, for bytes
    that are no UTF-8. It may be a pipe."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: {not_utf8(f'byte {error.start}')}") from None


def not_utf8(place: str) -> str:
    """What is said of a text that stops being UTF-8 at a place, with how it can be converted."""
    said = f"not UTF-8 at {place}; if it is Latin-1 or Windows-1252, `iconv -f cp1252 -t utf8` converts it"
    return f"{said} (from others likewise: cp1251, gb18030, shift_jis)"


def whole_lines(file: Path) -> Iterator[tuple[bytes, Any]]:
    """Each line of a JSONL file and its value, None for one that a kill has cut; nothing where there is no file."""
    if not file.is_file():
        return
    with file.open("rb") as stream:
        for line in stream:
            try:
                yield line, json.loads(line)
            except ValueError:
                yield line, None


def keep_lines(file: Path, wanted: Callable[[Any], bool]) -> None:
    """Take out of a JSONL file the lines whose value is not ``wanted``, and those that a kill has cut; nothing where
    there is no file. What is kept is most often the beginning: then the file is cut, for which a full disk has room."""
    if not file.is_file():
        return
    end, cut = 0, False
    for line, row in whole_lines(file):
        if row is None or not wanted(row):
            cut = True
        elif cut or not line.endswith(b"\n"):
            break
        else:
            end += len(line)
    else:
        if cut:
            with file.open("r+b") as stream:
                stream.truncate(end)
                os.fsync(stream.fileno())
        return
    kept = (line for line, row in whole_lines(file) if row is not None and wanted(row))
    write_whole(file, b"".join(line.removesuffix(b"\n") + b"\n" for line in kept))


def whole_rows(file: Path) -> Iterator[Any]:
    """The values of a JSONL file, without those that a kill has cut; nothing where there is no file."""
    return (row for _, row in whole_lines(file) if row is not None)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
