"""Numbers of things, as they are said."""

from collections.abc import Sequence


def counted(count: int, one: str, several: str = "") -> str:
    """``counted(1, "row")`` is "1 row", ``counted(2, "row")`` is "2 rows"; ``several`` is a plural without an s."""
    return f"{count} {one}" if count == 1 else f"{count} {several or one + 's'}"


def few(found: Sequence[str], most: int = 10) -> str:
    """The first of several things, and how many more there are."""
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
