"""Text of files that a command line names."""

from pathlib import Path


def text_of(file: Path) -> str:
    """The text of a file that a command line names, without a byte order mark; raises ValueError, naming it, for bytes
    that are no UTF-8. It may be a pipe."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: {not_utf8(f'byte {error.start}')}") from None


def not_utf8(place: str) -> str:
    """The message about a text that stops being UTF-8 at a place, with how it can be converted."""
    fault = f"not UTF-8 at {place}; if it is Latin-1 or Windows-1252, `iconv -f cp1252 -t utf8` converts it"
    return f"{fault} (from others likewise: cp1251, gb18030, shift_jis)"
