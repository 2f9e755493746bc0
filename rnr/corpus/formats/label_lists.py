"""Lists of labels in the shapes that tools write them: names alone, objects with a name, or names with numbers."""

from pathlib import Path
from typing import Any

from rnr.corpus.formats.opening import read_json
from rnr.corpus.formats.rows import DataError

_NAMES = ("text", "name", "value", "label")


def listed_names(value: Any) -> list[str] | dict[int, str] | None:
    """The names in a list of labels, by number where it numbers them; None where it is no such list.

    ``["PER"]``, ``[{"id": 7, "text": "PER"}]`` (Doccano), ``{"PER": 0}``, ``{"0": "PER"}`` and ``{"id2label": ...}``
    (Hugging Face) are understood.
    """
    if isinstance(value, dict) and isinstance(value.get("id2label"), dict):
        return listed_names(value["id2label"])  # with its reverse, as a model's config.json has it
    if isinstance(value, dict) and len(value) == 1 and isinstance(next(iter(value.values())), (list, dict)):
        return listed_names(next(iter(value.values())))
    if isinstance(value, dict):
        return _by_number(value)
    if not isinstance(value, list):
        return None
    names = [name for entry in value if (name := _name(entry)) is not None]
    if len(names) < len(value):
        return None
    numbers = {entry["id"] for entry in value if isinstance(entry, dict) and type(entry.get("id")) is int}
    if names and len(numbers) == len(names):
        return {entry["id"]: name for entry, name in zip(value, names, strict=True)}  # by Doccano's data base
    return names


def _by_number(value: dict[str, Any]) -> dict[int, str] | None:
    if value and all(type(number) is int for number in value.values()):
        found = {number: str(name) for name, number in value.items()}
        return found if len(found) == len(value) else None
    if value and all(str(number).isdecimal() and isinstance(name, str) for number, name in value.items()):
        return {int(number): name for number, name in value.items()}
    return None


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
