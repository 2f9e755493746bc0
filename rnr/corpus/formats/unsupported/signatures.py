"""What a file is by its first bytes, whatever its name says: an archive, a picture, a pointer to a file elsewhere."""

import gzip
import zlib
from pathlib import Path

from rnr.corpus.formats.rows import DataError

_POINTER = "a pointer of {} in the place of the file itself; fetch it: `{}`"
_PAGE = "a web page; was the download an error message, or the page around the file?"
_PICKLE = "a pickle, which may run any program when it is opened; write JSON"

_XML = "XML (TEI, GATE, UIMA, RDF); convert it to {'text': ..., 'entities': [[start, end, label]]}, the end exclusive"

_SIGNATURES = (
    (b"\x1f\x8b", "compressed with gzip; give its name the ending .gz", (".gz",)),
    (b"PK\x03\x04", "a zip archive, or a document or spreadsheet of an office program, which are such; unpack it", ()),
    (b"PAR1", "parquet; give its name the ending .parquet", (".parquet",)),
    (b"ARROW1", "an arrow file; give its name the ending .arrow", (".arrow", ".feather")),
    (b"BZh", "compressed with bzip2; unpack it, or compress it with gzip", ()),
    (b"\xfd7zXZ", "compressed with xz; unpack it, or compress it with gzip", ()),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it, or compress it with gzip", ()),
    (b"7z\xbc\xaf", "an archive; unpack it", ()),
    (b"SQLite format 3\0", "a data base; export its annotations as JSON", ()),
    (b"\x89HDF", "an HDF5 file; write JSON", ()),
    (b"%PDF-", "a PDF; there are no annotations that could be read", ()),
    (b"\x89PNG", "a picture", ()),
    (b"\xff\xd8\xff", "a picture", ()),
    (b"{\\rtf", "a document of a word processor; save it as plain text", ()),
    *((bytes((0x80, version)), _PICKLE, ()) for version in (2, 3, 4, 5)),
    (b"version https://git-lfs", _POINTER.format("Git LFS", "git lfs pull"), ()),
    (b"/annex/objects/", _POINTER.format("git-annex", "git annex get FILE"), ()),
    (b"<!doctype html", _PAGE, ()),
    (b"<html", _PAGE, ()),
    *((begin, _XML, ()) for begin in (b"<tei", b"<gatedocument", b"<xmi:", b"<rdf:rdf", b"<cas:")),
    (b"<?xml", "XML; convert it to JSON, for BioC with `bioc`, or export WebAnno TSV", ()),
)
"""First bytes (in lower case, if letters), what they are of, and the endings under which they are expected."""


_GZIP = b"\x1f\x8b"


def refuse_disguised(file: Path) -> None:
    """Raises DataError for a file whose first bytes, or those that gzip has compressed, are of another kind than what
    its name says."""
    with file.open("rb") as stream:
        head = stream.read(64)
    compressed = file.suffix.lower() == ".gz"
    if said := _of_another_kind(head, file):
        raise DataError(f"{file}: by its first bytes this is {said}")
    if compressed and head and not head.startswith(_GZIP):
        raise DataError(f"{file}: it is not compressed, as its ending says; take .gz off its name")
    if not compressed or not head:
        return
    try:
        with gzip.open(file) as stream:
            inner = stream.read(64)
    except (OSError, EOFError, zlib.error):  # reported where it is read
        return
    if inner.startswith(_GZIP):
        raise DataError(f"{file}: it is compressed twice; decompress it once (`gzip -dc {file.name} > ...`)")
    if said := _of_another_kind(inner, file.with_suffix("")):
        raise DataError(f"{file}: what gzip has compressed there is {said}")


def _of_another_kind(head: bytes, file: Path) -> str:
    """What first bytes are of, where the name of the file does not say so; empty where it does, and for a text."""
    if head.startswith(b"\xef\xbb\xbf"):
        head = head[3:]
    text = head.lstrip().lower()
    for signature, what, endings in _SIGNATURES:
        if file.suffix.lower() not in endings and (head.startswith(signature) or text.startswith(signature)):
            return what
    return ""
