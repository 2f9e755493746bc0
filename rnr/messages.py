"""Parts of messages: counted nouns, shortened lists, the nearest name; and a console without markup."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def counted(count: int, one: str, several: str = "") -> str:
    """``counted(1, "row")`` is "1 row", ``counted(2, "row")`` is "2 rows"; ``several`` is a plural without an s."""
    return f"{count} {one}" if count == 1 else f"{count} {several or one + 's'}"


def few(found: Sequence[str], most: int = 10) -> str:
    """The first of several things, and how many more there are."""
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean 'steps'?``, with the nearest of the known names; empty where none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


@contextmanager
def model_named(given: str) -> Iterator[None]:
    """Errors of the block about ``model.path`` begin with ``given``, what the caller of a command or function has in
    place of that key."""
    try:
        yield
    except ValueError as error:
        key = "model.path: "
        if not str(error).startswith(key):
            raise
        raise type(error)(f"{given}: {str(error).removeprefix(key)}") from error.__cause__


def plain_console(**options: Any) -> "Console":
    """rich's console with these ``options``. ``[bold]`` and ``:bank:`` are printed as they are: labels, names and paths
    may look like markup."""
    from rich.console import Console  # only needed to print

    return Console(markup=False, emoji=False, **options)
