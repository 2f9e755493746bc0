"""Lists of labels in the shapes that tools write them: names alone, objects with a name, names with numbers or with a
definition each."""

from pathlib import Path
from typing import Any

from rnr.corpus.formats.files.opening import read_json
from rnr.corpus.formats.rows import DataError, are_texts

_NAMES = ("text", "name", "value", "label")
_LISTS = ("labels", "entities", "entity_types", "label_list", "label_names", "ner_labels", "classes", "types", "names")
"""Under one of these an object may keep its labels beside other things."""
_DEFINITIONS = ("description", "definition", "meaning", "guideline")


def listed_names(value: Any) -> list[str] | dict[int, str] | None:
    """The names in a list of labels, by number where it numbers them; None where it is no such list.

    ``["PER"]``, ``[{"id": 7, "text": "PER"}]`` (Doccano), ``{"PER": 0}``, ``{"PER": {"id": 0}}``, ``{"0": "PER"}`` and
    ``{"id2label": ...}`` (Hugging Face) are understood.
    """
    value = _labels_of(value)
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


def defined_names(value: Any) -> list[str] | None:
    """The labels of an object that tells something of each, ``{"PER": "names of people"}``; None for any other."""
    value = _labels_of(value)
    if not isinstance(value, dict) or not value or any(name.isdecimal() for name in value):
        return None
    for kind in (str, dict, list):
        if all(isinstance(told, kind) and told for told in value.values()):
            return list(value) if kind is not list or all(map(are_texts, value.values())) else None
    return None


def definitions_beside(value: Any) -> dict[str, str]:
    """What the objects of a list of labels tell of each, ``[{"name": "PER", "description": "names of people"}]``, also
    in an object by name; empty where they tell nothing."""
    entries = _labels_of(value)
    named = entries.items() if isinstance(entries, dict) else [(_name(entry), entry) for entry in entries or ()]
    told = ((name, _definition(entry)) for name, entry in named if isinstance(entry, dict))
    return {name: text for name, text in told if name is not None and isinstance(text, str)}


def _definition(entry: dict[str, Any]) -> Any:
    return next((entry[name] for name in _DEFINITIONS if entry.get(name)), None)


def holds_definitions(file: Path) -> bool:
    """Whether a ``labels.json`` tells what its labels mean."""
    value = read_json(file)
    entries = _labels_of(value)
    told = entries.values() if isinstance(entries, dict) else entries if isinstance(entries, list) else ()
    if any(isinstance(entry, dict) and _definition(entry) for entry in told):
        return True
    return listed_names(value) is None and defined_names(value) is not None


def _labels_of(value: Any) -> Any:
    """What an object keeps its labels in, where it does so under a name of its own; any other value as it is."""
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("id2label"), dict):
        return value["id2label"]  # with its reverse, as a model's config.json has it
    named = next((name for name in _LISTS if isinstance(value.get(name), (list, dict))), None)
    if named is None and len(value) == 1:
        ((alone, inner),) = value.items()
        named = alone if isinstance(inner, list) or (isinstance(inner, dict) and _by_number(inner)) else None
    return value if named is None else value[named]


def _by_number(value: dict[str, Any]) -> dict[int, str] | None:
    numbers: list[Any] = [told.get("id") if isinstance(told, dict) else told for told in value.values()]
    if value and all(type(number) is int or (type(number) is str and number.isdecimal()) for number in numbers):
        found = {int(number): str(name) for number, name in zip(numbers, value, strict=True)}
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
    if names is None and (names := defined_names(found)) is None:
        return found
    return labels_of_tags(list(names.values()) if isinstance(names, dict) else names)


def labels_of_tags(listed: list[str]) -> list[str]:
    """The labels of a list of tags, which has O for no mention among them; any other list as it is."""
    if "O" not in listed:
        return listed
    tags = [name for name in listed if name != "O"]  # the names of tags, with O for no mention
    return sorted({name[2:] for name in tags} if all(name[1:2] in ("-", "_") for name in tags) else tags)


def names_beside(file: Path) -> list[str] | dict[int, str] | None:
    """The names in the ``labels.json`` beside a file; None where there is none or it gives them in no order, DataError
    where it is no list."""
    listed = file.parent / "labels.json"
    if not listed.is_file():
        return None
    value = read_json(listed)
    found = listed_names(value)
    if found is None and defined_names(value) is None:
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
