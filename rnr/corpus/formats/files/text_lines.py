"""The lines of a text file, one after the other."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnr.corpus.formats.files.opening import LINE_LIMIT, encoding, ends_at_returns, open_bytes
from rnr.corpus.formats.rows import DataError
from rnr.files.text import not_utf8

PIECE = 2**20
"""So many characters of a text are read at once."""

_RETURNS = re.compile(r"\r+\n")
"""A line end; several carriage returns stand there where a program made two of each line feed, as Python's csv does on
Windows."""


def text_pieces(file: Path) -> Iterator[str]:
    """The text of a file in pieces, each line of it ended by a line feed, without a byte order mark at the beginning.

    Lines end at line feeds, or, ``ends_at_returns``, at carriage returns: a token may hold other separators. Raises
    DataError at the first byte that is no text.
    """
    with open_bytes(file) as stream:
        returns = ends_at_returns(stream.read(2**16))
    with text_stream(file) as text:
        while piece := text.read(PIECE):
            while piece[-1] == "\r" and (more := text.read(1)):
                piece += more
            if returns:
                yield piece.replace("\r", "\n")
            else:
                yield piece.replace("\r\n", "\n") if "\r\r\n" not in piece else _RETURNS.sub("\n", piece)


@contextmanager
def text_stream(file: Path) -> Iterator[io.TextIOWrapper]:
    """The text of a file with its line ends as they are, without a byte order mark at the beginning.

    Raises DataError at the first byte that is no text.
    """
    with open_bytes(file) as stream:
        name = encoding(stream.read(512))
    try:
        with open_bytes(file) as stream:
            yield io.TextIOWrapper(stream, "utf-8-sig" if name == "utf-8" else name, newline="")
    except UnicodeDecodeError:
        raise DataError(f"{file}: {_first_fault(file)}") from None


def text_lines(file: Path) -> Iterator[str]:
    """The lines of a file without their ends; as ``text_pieces``."""
    rest = ""
    for piece in text_pieces(file):
        *lines, rest = (rest + piece).split("\n")
        if len(rest) > LINE_LIMIT:
            raise DataError(f"{file}: a line is longer than {LINE_LIMIT >> 20} MiB")
        yield from lines
    if rest:
        yield rest


def _first_fault(file: Path) -> str:
    """Where a file stops being UTF-8; the decoder of a stream counts from the beginning of its last piece."""
    at = 0
    with open_bytes(file) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return not_utf8(f"byte {at + error.start} (line {number})")
            at += len(line)
    return "not the UTF-16 or UTF-32 that its byte order mark promises"
