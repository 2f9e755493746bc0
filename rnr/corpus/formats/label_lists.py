"""Lists of labels in the shapes that tools write them: names alone, objects with a name, or names with numbers."""

from pathlib import Path
from typing import Any

from rnr.corpus.formats.opening import read_json
from rnr.corpus.formats.rows import DataError

_NAMES = ("text", "name", "value", "label")


def listed_names(value: Any) -> list[str] | dict[int, str] | None:
    """The names in a list of labels, by number where it numbers them; None where it is no such list.

    ``["PER"]``, ``[{"text": "PER"}]`` (Doccano), ``{"PER": 0}`` and ``{"0": "PER"}`` (Hugging Face) are understood.
    """
    if isinstance(value, dict) and len(value) == 1 and isinstance(next(iter(value.values())), (list, dict)):
        return listed_names(next(iter(value.values())))
    if isinstance(value, dict):
        if value and all(type(number) is int for number in value.values()):
            return {number: str(name) for name, number in value.items()}
        if value and all(str(number).isdecimal() and isinstance(name, str) for number, name in value.items()):
            return {int(number): name for number, name in value.items()}
        return None
    if not isinstance(value, list):
        return None
    names = [_name(entry) for entry in value]
    return [name for name in names if name is not None] if None not in names else None


def _name(entry: Any) -> str | None:
    if isinstance(entry, dict):
        entry = next((entry[name] for name in _NAMES if isinstance(entry.get(name), str)), None)
    return entry if isinstance(entry, str) else None


def label_names(file: Path) -> Any:
    """The labels of a ``labels.json``; what is no such list comes back as it is, for whoever checks it."""
    found = read_json(file)
    names = listed_names(found)
    if names is None:
        return found
    listed = list(names.values()) if isinstance(names, dict) else names
    if "O" not in listed:
        return listed
    tags = [name for name in listed if name != "O"]  # the names of tags, with O for no mention
    return sorted({name[2:] for name in tags} if all(name[1:2] in ("-", "_") for name in tags) else tags)


def names_beside(file: Path) -> list[str] | dict[int, str] | None:
    """The names in the ``labels.json`` beside a file; None where there is none, DataError where it is no list."""
    listed = file.parent / "labels.json"
    if not listed.is_file():
        return None
    found = listed_names(read_json(listed))
    if found is None:
        raise DataError(f'{listed}: no list of labels; write ["person", "place"]')
    return found


def numbered(options: tuple[str, ...]) -> list[str] | dict[int, str] | None:
    """The names given by ``--labels``: in the order of their numbers, or each with its own as in ``2=PER``."""
    if not options:
        return None
    pairs = [option.partition("=") for option in options]
    if all(equals and number.strip().isdecimal() for number, equals, _ in pairs):
        return {int(number): name.strip() for number, _, name in pairs}
    return [option.strip() for option in options]
