"""Files as they lie on a disk -> bytes, text, lines: compression, encodings, and what may not be opened at all."""

import codecs
import gzip
import json
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from rich.markup import escape
from rich.progress import wrap_file

from rnr.corpus.formats.rows import DataError, json_fault, once_each
from rnr.files.text import not_utf8
from rnr.messages import plain_console

LINE_LIMIT = 32 * 2**20
"""Bytes of a line, or of a text that has no lines; a longer one is that row's failure."""

FILE_LIMIT = 4 * 2**30
"""Bytes of a file that is read as a whole, after decompression."""

BAR_FROM = 16 * 2**20
"""Bytes of a file from which a terminal shows how far it is read."""

MARKED = "byte order marks inside the file were dropped"

_bar_shown = False
"""A terminal shows one bar at a time."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16 and must be asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMPRESSED = (".gz",)


def bare(file: Path) -> Path:
    """The file without the ending of its compression: ``a.jsonl.gz`` -> ``a.jsonl``."""
    return file.with_suffix("") if file.suffix.lower() in _COMPRESSED else file


def must_be_a_file(file: Path) -> None:
    """Raises DataError for what is no file: a pipe, which can be read once and may never end, or a device."""
    mode = os.stat(file).st_mode
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
    what = kinds.get(stat.S_IFMT(mode), "a folder")
    raise DataError(f"{file} is {what} and no file; data is read more than once, so write it to a file first")


@contextmanager
def open_bytes(file: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed; raises DataError for what is no file (a pipe, a device) and for a broken one."""
    must_be_a_file(file)
    compressed = file.suffix.lower() in _COMPRESSED
    try:
        with file.open("rb") as raw, _watched(raw, file) as seen, gzip.open(seen) if compressed else seen as stream:
            yield stream  # type: ignore[misc]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{file}: not a whole gzip file: {error}") from None


def unpacked(file: Path, content: bytes) -> bytes:
    """The content of a file that was read as a whole: decompressed, and in UTF-8 if it is in UTF-16 or UTF-32; raises
    DataError where it is broken."""
    try:
        found = gzip.decompress(content) if file.suffix.lower() in _COMPRESSED else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{file}: not a whole gzip file: {error}") from None
    name = encoding(found[:512])
    try:
        return found if name.startswith("utf-8") else found.decode(name).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: {not_text(error, found[:512])}") from None


@contextmanager
def _watched(raw: BinaryIO, file: Path) -> Iterator[BinaryIO]:
    """The same bytes, under a bar on the terminal's standard error that says how far they are read."""
    global _bar_shown
    size = os.fstat(raw.fileno()).st_size
    if _bar_shown or size < BAR_FROM or not sys.stderr.isatty():
        yield raw
        return
    _bar_shown = True
    try:
        name, console = escape(file.name), plain_console(stderr=True)
        with wrap_file(raw, size, description=name, console=console, transient=True) as seen:
            yield seen
    finally:
        _bar_shown = False


def encoding(head: bytes) -> str:
    """The encoding that a mark tells, or for UTF-16 the zero bytes of two ASCII letters; else UTF-8."""
    for mark, name in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return name
    zeros = [place for place in range(4) if head[place : place + 1] == b"\0"]
    if zeros in ([1, 3], [0, 2]):
        return "utf-16-le" if zeros == [1, 3] else "utf-16-be"
    return "utf-8"


def read_bytes(file: Path) -> bytes:
    """All bytes of a file; raises DataError where they are too many."""
    with open_bytes(file) as stream:
        found = stream.read(FILE_LIMIT + 1)
    if len(found) > FILE_LIMIT:
        raise DataError(f"{file}: more than {FILE_LIMIT >> 30} GiB in one piece; write one row a line (JSONL)")
    return found


def read_text(file: Path) -> str:
    """All text of a file without its byte order mark; raises DataError with the first byte that is no text."""
    found = read_bytes(file)
    try:
        return found.decode(encoding(found[:512]))
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: {not_text(error, found[:512])}") from None


def not_text(error: UnicodeDecodeError, head: bytes) -> str:
    """What a failed decoding says, with how the file can be converted."""
    name = encoding(head).removesuffix("-sig").upper()
    if name != "UTF-8":
        return f"not {name} at byte {error.start}"
    return not_utf8(f"byte {error.start}")


def read_json(file: Path) -> Any:
    """The JSON value in a file; raises DataError with the line where it breaks."""
    found = read_bytes(file)
    try:
        return json.loads(found, object_pairs_hook=once_each)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{file}{line}: {json_fault(error, found[:64])}") from None


def lines(file: Path) -> Iterator[tuple[int, bytes | DataError]]:
    """The number and the UTF-8 bytes of each line that is not blank, without its line feed.

    Lines end at line feeds only (or, ``ends_at_returns``, at carriage returns): other separators may stand inside a
    JSON string. A line beyond ``LINE_LIMIT`` is a DataError in its place.
    """
    with open_bytes(file) as stream:
        head = stream.read(2**16)
    if not encoding(head).startswith("utf-8") or ends_at_returns(head):
        yield from ((number, line.encode()) for number, line in _text_lines(file) if line.strip())
        return
    with open_bytes(file) as stream:
        number = 0
        while line := stream.readline(LINE_LIMIT + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if len(line) > LINE_LIMIT:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(LINE_LIMIT + 1)
                yield number, DataError(f"{file}, row {number}: longer than {LINE_LIMIT >> 20} MiB")
            elif line.strip():
                yield number, line.rstrip(b"\n")


def ends_at_returns(head: bytes) -> bool:
    """Whether the lines of a text that begins so end at carriage returns; an editor may have put a line feed behind the
    last."""
    inside = head.rstrip(b"\r\n\0")
    return b"\r" in inside and b"\n" not in inside


def _text_lines(file: Path) -> Iterator[tuple[int, str]]:
    text = read_text(file)
    yield from enumerate(text.split("\r" if ends_at_returns(text[: 2**16].encode()) else "\n"), 1)


def head_line(file: Path) -> tuple[bytes | DataError | None, bool]:
    """The first line that is not blank (None: there is none), and whether another one follows."""
    found = lines(file)
    _, first = next(found, (0, None))
    return first, next(found, None) is not None
