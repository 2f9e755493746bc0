"""Atomic writes: a file is complete or absent."""

import os
from pathlib import Path


def write_whole(file: Path, content: str | bytes) -> None:
    """Put ``content`` in ``file`` by way of a ``.partial`` beside it, forced to disk and then renamed.

    A text may hold half of a surrogate pair, as sampled texts do; UTF-8 cannot, so it is written as its escape.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    with partial.open("wb") as stream:
        stream.write(content if isinstance(content, bytes) else content.encode(errors="backslashreplace"))
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)
