"""Files of annotated sentences -> ``Example``s.

Read here: InstructUIE / B2NER folders (``labels.json`` beside ``train|dev|test.json``), NER-CoT rows and JSONL with
character offsets. One row reader serves them all, because they differ only in the names of their fields.
"""

import glob
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnr.fine_labels import GENERAL_OF
from rnr.metrics import IGNORED_LABELS, label_key
from rnr.types import Example, Mention

DEMO = Path(__file__).parent / "demo_data"


class DataError(ValueError):
    """A row that cannot be used; says the file, the row and the reason."""


def load(paths: Sequence[str], *, training: bool, skip_bad_rows: bool = False) -> list[Example]:
    """All examples of ``paths`` in file order; raises DataError at the first bad row unless told to skip them.

    A path is a JSON or JSONL file, a folder with ``labels.json`` (its ``train.json`` for training, otherwise its
    ``test.json`` or ``dev.json``), a pattern with ``*``, or ``demo/NAME`` for the embedded data.
    """
    examples: list[Example] = []
    skipped: list[str] = []
    prefixes: dict[str, Path] = {}
    for path in paths:
        for file in _files(path, training=training):
            for example in _read_file(file, _uid_prefix(file, prefixes)):
                if not isinstance(example, DataError):
                    examples.append(example)
                elif skip_bad_rows:
                    skipped.append(str(example))
                else:
                    raise example
    if skipped:
        print(f"data: skipped {len(skipped)} bad rows, the first: {skipped[0]}")
    if not examples:
        raise DataError(f"no usable sentence in {', '.join(paths) or 'an empty list of paths'}")
    return examples


def _files(path: str, *, training: bool) -> list[Path]:
    if path.startswith("demo/"):
        found = [DEMO / f"{path.removeprefix('demo/')}.jsonl"]
    else:
        found = sorted(Path(match) for match in glob.glob(str(Path(path).expanduser())))
    if not found or not found[0].exists():
        raise DataError(f"no file or folder at {path!r} (seen from {Path.cwd()})")
    return [_split_file(place, training=training) if place.is_dir() else place for place in found]


def _split_file(folder: Path, *, training: bool) -> Path:
    names = ("train.json",) if training else ("test.json", "dev.json")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder}: none of {', '.join(names)} in this folder")


def _source(file: Path) -> str:
    return file.parent.name if (file.parent / "labels.json").is_file() else file.stem


def _uid_prefix(file: Path, taken: dict[str, Path]) -> str:
    """A prefix that no other file of this load has, because uids are what predictions and the ledger are keyed by."""
    if file.resolve() in taken.values():
        raise DataError(f"{file} is listed twice")
    name = f"{_source(file)}/{file.stem}"
    number = 2
    prefix = name
    while prefix in taken:
        prefix, number = f"{name}#{number}", number + 1
    taken[prefix] = file.resolve()
    return prefix


def _read_file(file: Path, uid_prefix: str) -> Iterator[Example | DataError]:
    rows = list(_rows(file))
    labels_file = file.parent / "labels.json"
    if labels_file.is_file():
        fallback = _json(labels_file, labels_file.read_bytes())
    else:
        fallback = sorted({label for _, row in rows for label in _labels_used(row)})
    for number, row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            yield _example(row, fallback, source=_source(file), uid=f"{uid_prefix}:{number}")
        except ValueError as error:
            yield DataError(f"{file}, row {number}: {error}")


def _labels_used(row: Any) -> set[str]:
    found = _listed(row) if isinstance(row, dict) else []
    return {_label(entity) for entity in found if _label(entity)} if isinstance(found, list) else set()


def _json(file: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(f"{file}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 at byte {error.start}") from None


def _rows(file: Path) -> Iterator[tuple[int, Any]]:
    content = file.read_bytes()
    if file.suffix == ".json":
        rows = _json(file, content)
        yield from enumerate(rows if isinstance(rows, list) else [rows], 1)
        return
    # Bytes split at line feeds only; text would also split at separators that may stand inside a JSON string.
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            yield number, DataError(f"{file}, row {number}: not valid JSON: {error.msg} at column {error.colno}")
        except UnicodeDecodeError as error:
            yield number, DataError(f"{file}, row {number}: not UTF-8 at byte {error.start}")


def _listed(row: dict[str, Any]) -> Any:
    return row.get("entities", row.get("spans", row.get("label", [])))


def _entities(row: dict[str, Any]) -> list[Any]:
    found = _listed(row)
    if not isinstance(found, list):
        raise ValueError(f"'entities' must be a list, found {type(found).__name__}")
    return found


def _label(entity: Any) -> str:
    if isinstance(entity, dict):
        return str(entity.get("label", entity.get("type", "")))
    return str(entity[2]) if isinstance(entity, list) and len(entity) == 3 else ""


def _example(row: Any, fallback: Any, *, source: str, uid: str) -> Example:
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, found {type(row).__name__}")
    sentence = row.get("sentence", row.get("text"))
    if not isinstance(sentence, str) or not sentence.strip():
        raise ValueError("no text in the field 'sentence' (or 'text')")
    schema = row.get("schema", fallback)
    if not isinstance(schema, list):
        raise ValueError(f"the schema must be a list of labels, found {schema!r}")
    labels = {label_key(str(label)) for label in schema} - IGNORED_LABELS
    if not labels:
        raise ValueError("the schema is empty")
    mentions = [_mention(entity, sentence) for entity in _entities(row)]
    mentions = [mention for mention in mentions if mention.label not in IGNORED_LABELS]
    for mention in mentions:
        if mention.label not in labels:
            raise ValueError(f"label {mention.label!r} of {mention.text!r} is not in the schema {sorted(labels)}")
    return Example(
        uid=uid,
        sentence=sentence,
        schema=tuple(sorted(labels)),
        mentions=tuple(_grounded(mentions, sentence)),
        source=str(row.get("dataset") or source),
        reasoning=row.get("cot") or row.get("reasoning"),
    )


def _mention(entity: Any, sentence: str) -> Mention:
    label = label_key(_label(entity))
    if not label:
        raise ValueError(f"an entity without a label: {entity!r}")
    if isinstance(entity, list):
        start, end, text = entity[0], entity[1], None
    else:
        start, end = entity.get("pos") or (entity.get("start", -1), entity.get("end", -1))
        text = entity.get("text", entity.get("name"))
    if not isinstance(start, int) or not isinstance(end, int):
        raise ValueError(f"offsets must be whole numbers: {entity!r}")
    if (start, end) == (-1, -1):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"an entity without text or offsets: {entity!r}")
    elif not 0 <= start < end <= len(sentence):
        raise ValueError(f"offsets [{start}:{end}] are not in the sentence, which has {len(sentence)} characters")
    else:
        there = sentence[start:end]
        if text is not None and there != text:
            raise ValueError(f"entity {text!r} is not at [{start}:{end}], where the sentence has {there!r}")
        text = there
    return Mention(text=str(text), label=label, start=start, end=end)


def _grounded(mentions: list[Mention], sentence: str) -> Iterator[Mention]:
    """Mentions in reading order, each with offsets: those without get the next occurrence of their text."""
    placed: list[Mention] = []
    resume: dict[tuple[str, str], int] = {}
    for mention in mentions:
        if not mention.grounded:
            key = (mention.text, mention.label)
            start = sentence.find(mention.text, resume.get(key, 0))
            if start < 0 and key in resume:
                continue  # listed more often than it occurs: the annotation repeats itself
            if start < 0:
                raise ValueError(f"entity {mention.text!r} is not in its sentence")
            mention = replace(mention, start=start, end=start + len(mention.text))
            resume[key] = mention.end
        placed.append(mention)
    unique = {(mention.start, mention.end, mention.label): mention for mention in placed}
    return iter(sorted(unique.values(), key=lambda mention: (mention.start, -mention.end, mention.label)))


def draw_evenly(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """At most ``count`` examples (0: all), the same number from each source as far as it has them, shuffled by seed.

    The sentences of a source that have special labels (``rnr/fine_labels.py``) count as a source of their own.
    """
    generator = random.Random(seed)
    by_source: dict[str, list[Example]] = {}
    for example in examples:
        special = " special" if any(mention.label in GENERAL_OF for mention in example.mentions) else ""
        by_source.setdefault(example.source + special, []).append(example)
    for source in sorted(by_source):
        generator.shuffle(by_source[source])
    drawn: list[Example] = []
    rank = 0
    while len(drawn) < (count or len(examples)) and any(len(rows) > rank for rows in by_source.values()):
        drawn += [by_source[source][rank] for source in sorted(by_source) if len(by_source[source]) > rank]
        rank += 1
    drawn = drawn[: count or None]
    generator.shuffle(drawn)
    return drawn


def thin_empty(examples: Sequence[Example], keep: float, seed: int) -> list[Example]:
    """The examples with a random ``keep`` share of those that have no mention."""
    generator = random.Random(seed)
    return [example for example in examples if example.mentions or generator.random() < keep]
