"""Numbers of things, as they are said."""


def counted(count: int, one: str, several: str = "") -> str:
    """``counted(1, "row")`` is "1 row", ``counted(2, "row")`` is "2 rows"; ``several`` is a plural without an s."""
    return f"{count} {one}" if count == 1 else f"{count} {several or one + 's'}"
