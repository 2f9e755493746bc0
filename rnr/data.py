"""Files of annotated sentences -> ``Example``s.

``rnr/formats`` turns a file of any known format into rows, and one row reader serves them all, because rows differ
only in the names of their fields.
"""

import glob
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rnr.decontamination import sentence_key
from rnr.formats.reading import parts, read_rows
from rnr.formats.rows import DataError, read_json
from rnr.metrics import IGNORED_LABELS, label_key
from rnr.parsing import ground
from rnr.types import Example, Mention

DEMO = Path(__file__).parent / "demo_data"


def load(paths: Sequence[str], *, training: bool, skip_bad_rows: bool = False, annotated: bool = True) -> list[Example]:
    """All examples of ``paths`` in file order; raises DataError at the first bad row unless told to skip them.

    A path is a file, a folder with splits (its ``train`` for training, otherwise its ``test``, ``validation`` or
    ``dev``), a pattern with ``*``, or ``demo/NAME`` for the embedded data. A row without a field for its entities is
    bad unless the sentences need not be ``annotated``.
    """
    examples: list[Example] = []
    skipped: list[str] = []
    prefixes: dict[str, Path] = {}
    for path in paths:
        for file in (_split(place, training=training) for place in _found(path)):
            for example in _read_file(file, _uid_prefix(file, prefixes), annotated=annotated):
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


def check(paths: Sequence[str]) -> Iterator[Example | DataError]:
    """Every row of every split of ``paths``, and the reason for each row, file or path that cannot be used."""
    prefixes: dict[str, Path] = {}
    for path in paths:
        for file in _every_file(path):
            if isinstance(file, DataError):
                yield file
                continue
            try:
                yield from _read_file(file, _uid_prefix(file, prefixes))
            except DataError as error:  # the file as a whole; the next one may still be read
                yield error


def _every_file(path: str) -> Iterator[Path | DataError]:
    try:
        places = _found(path)
    except DataError as error:
        yield error
        return
    for place in places:
        yield from parts(place).values() or [DataError(f"{place}: no train.json, dev.json or test.json in this folder")]


def _found(path: str) -> list[Path]:
    if path.startswith("demo/"):
        found = [DEMO / f"{path.removeprefix('demo/')}.jsonl"]
    else:
        found = sorted(Path(match) for match in glob.glob(str(Path(path).expanduser())))
    if not found or not found[0].exists():
        raise DataError(f"no file or folder at {path!r} (seen from {Path.cwd()})")
    return found


def _split(place: Path, *, training: bool) -> Path:
    """The file or folder at a place that is for training, or else for evaluation."""
    there = parts(place)
    names = ("train",) if training else ("test", "validation", "dev")
    for name in ("", *names):
        if name in there:
            return there[name]
    raise DataError(f"{place}: none of {', '.join(f'{name}.json' for name in names)} in this folder")


def _source(file: Path) -> str:
    in_folder = any((file.parent / name).is_file() for name in ("labels.json", "dataset_dict.json"))
    return file.parent.name if in_folder else file.stem


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


def _read_file(file: Path, uid_prefix: str, *, annotated: bool = True) -> Iterator[Example | DataError]:
    rows = list(read_rows(file))
    labels_file = file.parent / "labels.json"
    if labels_file.is_file():
        fallback = read_json(labels_file)
    else:
        fallback = sorted({label for _, row in rows for label in _labels_used(row)})
    for number, row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            if annotated and isinstance(row, dict) and _listed(row) is None:
                raise ValueError(
                    "no field 'entities' (or 'spans' or 'label'); where there is no entity it must be empty"
                )
            yield _example(row, fallback, source=_source(file), uid=f"{uid_prefix}:{number}")
        except ValueError as error:
            yield DataError(f"{file}, row {number}: {error}")


def _labels_used(row: Any) -> set[str]:
    found = _listed(row) if isinstance(row, dict) else []
    return {_label(entity) for entity in found if _label(entity)} if isinstance(found, list) else set()


def _listed(row: dict[str, Any]) -> Any:
    return row.get("entities", row.get("spans", row.get("label")))


def _entities(row: dict[str, Any]) -> list[Any]:
    found = _listed(row)
    if found is None:
        return []
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


def _grounded(mentions: list[Mention], sentence: str) -> list[Mention]:
    """Mentions in reading order, each with the offsets that an answer with the same mentions would be given."""
    for mention in mentions:
        if mention.text not in sentence:
            raise ValueError(f"entity {mention.text!r} is not in its sentence")
    # One that finds no place of its own is listed more often than it occurs: the annotation repeats itself.
    placed = [mention for mention in ground(mentions, sentence) if mention.grounded]
    unique = {(mention.start, mention.end, mention.label): mention for mention in placed}
    return sorted(unique.values(), key=lambda mention: (mention.start, -mention.end, mention.label))


def by_source(example: Example) -> str:
    """What ``draw_evenly`` usually draws evenly over."""
    return example.source


def draw_evenly(
    examples: Sequence[Example],
    count: int,
    seed: int,
    group: Callable[[Example], str] = by_source,
    mixture: Mapping[str, float] = MappingProxyType({}),
) -> list[Example]:
    """At most ``count`` examples (0: all), shuffled by seed: the same number from each group as far as it has them.

    With weights by source in ``mixture`` (1 where there is none) the numbers are in that proportion: weights 2 and 1
    give 4 and 2 of 6. Raises ValueError for a source that does not occur and for a weight that is not positive.
    """
    sources = {example.source for example in examples}
    for source, weight in mixture.items():
        if source not in sources or weight <= 0:
            known = f"the sources are {', '.join(sorted(sources))}; weights are positive"
            raise ValueError(f"data.mixture: {source!r} = {weight:g}: {known}")
    generator = random.Random(seed)
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(group(example), []).append(example)
    turns: list[tuple[float, str, Example]] = []
    for name in sorted(groups):
        generator.shuffle(groups[name])
        # The n-th of a group has its turn at n / weight: all groups are used up at that pace.
        turns += [
            (number / mixture.get(example.source, 1.0), name, example) for number, example in enumerate(groups[name], 1)
        ]
    turns.sort(key=lambda turn: turn[:2])
    drawn = [example for _, _, example in turns[: count or None]]
    generator.shuffle(drawn)
    return drawn


def thin(examples: Sequence[Example], shares: Sequence[float], seed: int) -> list[Example]:
    """The examples with a random share of those without a mention, with one, and so on: ``shares`` in this order, and
    all that have more mentions than ``shares`` names."""
    generator = random.Random(seed)
    return [
        example
        for example in examples
        if len(example.mentions) >= len(shares) or generator.random() < shares[len(example.mentions)]
    ]


def split(examples: Sequence[Example], test_share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and test examples, in their order: ``test_share`` of the sentences of each source, drawn by seed.

    All examples of one sentence (ignoring case, white space and punctuation) stand on the same side.
    """
    by_sentence: dict[str, list[Example]] = {}
    for example in examples:
        by_sentence.setdefault(sentence_key(example.sentence), []).append(example)
    keys_of: dict[str, list[str]] = {}
    for key, same in by_sentence.items():
        keys_of.setdefault(same[0].source, []).append(key)
    generator = random.Random(seed)
    test: set[str] = set()
    for source in sorted(keys_of):
        test.update(generator.sample(keys_of[source], round(test_share * len(keys_of[source]))))
    sides: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        sides[sentence_key(example.sentence) in test].append(example)
    return sides
