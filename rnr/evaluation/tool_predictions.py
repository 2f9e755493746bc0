"""Predictions of other tools, read like our own: spaCy, GLiNER, GLiNER2, Prodigy, or rows of the same shape.

A row is a JSON object with a sentence (``text`` or ``sentence``) and its mentions:

- spaCy (``doc.to_json()``) and Prodigy: ``ents`` or ``spans``, a list of {start, end, label};
- GLiNER (``predict_entities``, with the sentence beside it): ``entities``, a list of {start, end, text, label, score};
- GLiNER2 (``extract_entities``): ``entities``, a table {label: [text, or {text, start, end, confidence}]};
- ``predict --out``: ``entities`` as it writes them.

A mention may use any field names for offsets, label and text that data may use, and is read as data is.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnr.corpus.formats.entities.names import own_entity
from rnr.corpus.formats.entities.plain_rows import GROUPS
from rnr.corpus.formats.examples import TWICE, Place, mention_of
from rnr.corpus.formats.rows import numbered_rows
from rnr.corpus.formats.shapes import Source
from rnr.corpus.matching import folded, places_of, stripped
from rnr.corpus.report import Reading
from rnr.evaluation.predictions import Prediction, is_number, prediction_lines, predictions_of
from rnr.evaluation.tool_checks import Checks
from rnr.files.jsonl import strict_json
from rnr.messages import counted
from rnr.task.labels import label_key
from rnr.task.parsing import ERRORS, ground, write
from rnr.types import Answer, Example, Mention

SENTENCE = ("sentence", "text")
MENTIONS = ("ents", "spans", "entities")
OWN = frozenset(("uid", "finished"))
"""Fields that only predictions of a run have: ``predict`` writes no ``uid``."""
_OF_PREDICT = frozenset(("finished", "left_out", "below_threshold"))

LEFT_OUT = "entities did not answer their question (left_out), and are not scored"
FAILED = "rows report an error, and are scored by what they list"
SAME_ROW = "rows repeat an earlier sentence with the same mentions, and were read once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Predictions and notes about them."""

    predictions: dict[str, Prediction]
    tool: bool
    """Whether they are from another tool."""
    offsets: bool
    """Whether all mentions have offsets."""
    notes: tuple[str, ...]


def read_any(
    file: Path, examples: Sequence[Example], renamed: Mapping[str, str] | None = None, *, offsets: str = "auto"
) -> Foreign:
    """The predictions in ``file``, ours or another tool's, by uid; ``renamed`` maps a tool's labels to those of the
    data, and ``offsets`` is their unit, as for data.

    A label that differs from the data's only in case or punctuation takes the data's spelling, because the paper's
    protocol compares labels as they are spelled. Rows of other tools are matched by sentence; a sentence that occurs
    several times, in other data sets or under other schemas, gets the same answer. Raises ValueError, naming file and
    row, for what cannot be read, for a sentence that is not in the data, for offsets that do not match the given text,
    and for a file most of whose mentions begin or end inside a word.
    """
    rows = list(numbered_rows(prediction_lines(file), file))
    if not rows or rows[0][1].keys() >= OWN:
        notes = (f"{file} was written by RNR: --rename has no effect on it",) if renamed else ()
        return Foreign(predictions=predictions_of(rows, file, examples), tool=False, offsets=False, notes=notes)
    names = _Names(examples, renamed or {})
    reading = Reading()
    by_sentence: dict[str, list[Example]] = {}
    gold: dict[str, set[tuple[int, int]]] = {}
    for example in examples:
        by_sentence.setdefault(example.sentence, []).append(example)
        gold.setdefault(example.sentence, set()).update((one.start, one.end) for one in example.mentions)
    checks = Checks(file, reading, gold)
    predictions: dict[str, Prediction] = {}
    seen: dict[str, set[Mention]] = {}
    for number, row in rows:
        try:
            sentence = _sentence(row)
            if sentence not in by_sentence:
                raise ValueError(f"{sentence[:60]!r} is not in the data: give the data that was predicted")
            mentions, scores = _mentions(row, sentence, names, checks, Place(file, number, reading))
            if seen.setdefault(sentence, set(mentions)) != set(mentions):
                raise ValueError(f"a second prediction for {sentence[:60]!r}, with other mentions: remove one")
        except ValueError as error:
            raise ValueError(f"{file}, row {number}: {error}") from None
        if by_sentence[sentence][0].uid in predictions:
            reading.note(SAME_ROW, file, number)
            continue
        for example in by_sentence[sentence]:
            predictions[example.uid] = _prediction(example, row, mentions, scores)
    predictions = checks.close(predictions, offsets=offsets)
    notes = (*names.idle(), *reading.report.lines(), *_notes(predictions.values(), seen, examples))
    return Foreign(
        predictions=predictions,
        tool=not any(_is_ours(row) for _, row in rows),
        offsets=all(mention.grounded for mentions in seen.values() for mention in mentions),
        notes=notes,
    )


def _is_ours(row: Mapping[str, Any]) -> bool:
    """Whether ``predict --out`` wrote a row: offsets of its entities were found by their texts."""
    entities = row.get("entities")
    found = isinstance(entities, list) and any(isinstance(one, dict) and "alignment" in one for one in entities)
    return found or row.keys() >= _OF_PREDICT


class _Names:
    """Maps a tool's labels to the data's, by spelling and by ``--rename``."""

    def __init__(self, examples: Iterable[Example], renamed: Mapping[str, str]) -> None:
        schemas = sorted({example.schema for example in examples})  # of two spellings always the same one
        self._asked = {label_key(label): label for schema in schemas for label in schema}
        self._renamed = renamed
        named = {label_key(tool): self._asked.get(label_key(data), data) for tool, data in renamed.items()}
        self._names = self._asked | named
        self._met: set[str] = set()

    def of(self, label: str) -> str:
        """The label in the data's spelling, or unchanged."""
        key = label_key(label)
        self._met.add(key)
        return self._names.get(key, label)

    def idle(self) -> Iterator[str]:
        """Notes on renames of labels that did not occur, and on renames to labels that no sentence asks for."""
        for tool, data in self._renamed.items():
            if label_key(tool) not in self._met:
                yield f"--rename {tool}={data} had no effect: no mention has the label {tool!r}"
            elif label_key(data) not in self._asked:
                asked = ", ".join(sorted(self._asked.values()))
                yield f"--rename {tool}={data}: no sentence asks for {data!r}; asked for: {asked}"


def _sentence(row: Mapping[str, Any]) -> str:
    found = next((row[name] for name in SENTENCE if isinstance(row.get(name), str)), None)
    if found is None:
        raise ValueError(
            f"no sentence: expected a text under {' or '.join(SENTENCE)}; found {', '.join(row) or 'nothing'}"
        )
    return found


def _mentions(
    row: Mapping[str, Any], sentence: str, names: _Names, checks: Checks, place: Place
) -> tuple[list[Mention], list[float | None]]:
    """The mentions with their scores; one with offsets is read once per label."""
    field = _field(row, place)
    given = row.get(field)
    if isinstance(given, dict):  # GLiNER2: by label
        given = [_labelled(item, label) for label, items in given.items() for item in _listed(items, label)]
    if not isinstance(given, list) or not all(isinstance(item, (dict, list)) for item in given):
        raise ValueError(f"no mentions: expected a list under {', '.join(MENTIONS)}; found {', '.join(row)}")
    if isinstance(left_out := row.get("left_out"), list) and left_out:
        place.note(LEFT_OUT, times=len(left_out))
    if (error := row.get("error")) and error not in ERRORS:
        place.note(FAILED, strict_json(error)[:80])
    mentions: list[Mention] = []
    there: set[Mention] = set()
    scores: list[float | None] = []
    for number, item in enumerate(given):
        mention = _mention(item, f"{field}[{number}]", sentence, names, place)
        if mention is None:
            continue
        if mention.grounded and mention in there:
            place.note(TWICE, f"{mention.text!r} as {mention.label}")
            continue
        mentions.append(mention)
        there.add(mention)
        checks.place(mention, item, sentence, place.number)
        scores.append(checks.score(_score(item), place.number))
    return mentions, scores


def _field(row: Mapping[str, Any], place: Place) -> str:
    """The field with the mentions, empty if there is none; raises ValueError for two that disagree."""
    there = [name for name in MENTIONS if name in row]
    if len(there) > 1 and isinstance(row.get("spans"), dict):  # spaCy's groups, beside its entities
        there.remove("spans")
        if any(row["spans"].values()):
            place.note(GROUPS, ", ".join(row["spans"]))
    if others := [name for name in there[1:] if row[name] != row[there[0]]]:
        raise ValueError(f"{there[0]!r} and {others[0]!r} have different mentions: remove one")
    return there[0] if there else ""


def _listed(items: Any, label: str) -> list[Any]:
    if not isinstance(items, list):
        raise ValueError(f"under {label!r}: expected a list of texts, found {strict_json(items)[:80]}")
    return items


def _labelled(item: Any, label: str) -> dict[str, Any]:
    return {"label": label, **(item if isinstance(item, dict) else {"text": item})}


def _score(item: dict[str, Any] | list[Any]) -> float | None:
    if isinstance(item, list):
        return None
    found = next((item[name] for name in ("score", "confidence") if item.get(name) is not None), None)
    if found is not None and not is_number(found):
        raise ValueError(f"a score that is not a number: {strict_json(item)[:80]}")
    return None if found is None else float(found)


def _mention(item: dict[str, Any] | list[Any], at: str, sentence: str, names: _Names, place: Place) -> Mention | None:
    """The mention as the same row would have it in the data; without offsets if it has none or its text is not in the
    sentence; None for white space."""
    if isinstance(item, dict) and isinstance(item.get("label"), int):
        raise ValueError(f"a label that is a number; give its name: {strict_json(item)[:80]}")
    source = Source(file=place.file, reading=place.reading)
    named = own_entity(item, at, place.number, source, sentence)
    parts = ("start", "end", "label")
    found: dict[str, Any] = named if isinstance(named, dict) else dict(zip(parts, named, strict=False))
    label, text = found.get("label", found.get("type")), found.get("text", found.get("name"))
    if not isinstance(label, str) or not label.strip():
        raise ValueError(f"a mention without a label: {strict_json(item)[:80]}")
    if any("\ud800" <= character <= "\udfff" for character in label):
        raise ValueError(f"a label with half of a surrogate pair, which UTF-8 cannot encode: {label!r}")
    label = names.of(label)
    start, end = _offsets(found)
    if (start, end) in ((None, None), (-1, -1)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"a mention with neither text nor offsets: {strict_json(item)[:80]}")
        bare = stripped(text)
        if bare not in sentence and not places_of(bare, sentence):
            return Mention(text=bare, label=label)
        return mention_of(label, text, -1, -1, sentence, place)
    if type(start) is not int or type(end) is not int:
        raise ValueError(f"offsets that are not two whole numbers: {strict_json(item)[:80]}")
    if not 0 <= start < end <= len(sentence):
        raise ValueError(f"[{start}, {end}) is outside the sentence, which has {counted(len(sentence), 'character')}")
    text = text if isinstance(text, str) else None
    if text is not None and folded(sentence[start:end]) != folded(text):
        raise ValueError(f"[{start}, {end}) is {sentence[start:end]!r} in the sentence, not {text!r}")
    return mention_of(label, text, start, end, sentence, place)


def _offsets(entity: Mapping[str, Any]) -> tuple[Any, Any]:
    """Start and end of an entity in our own field names, None if missing."""
    if isinstance(pos := entity.get("pos"), list) and len(pos) == 2:
        return pos[0], pos[1]
    return entity.get("start", entity.get("start_offset")), entity.get("end", entity.get("end_offset"))


def _prediction(
    example: Example, row: Mapping[str, Any], mentions: Sequence[Mention], scores: Sequence[float | None]
) -> Prediction:
    """The answer to a sentence; by default it could be parsed, is finished and has 0 tokens."""
    error, finished, tokens = row.get("error"), row.get("finished"), row.get("tokens")
    said = error if isinstance(error, str) and error in ERRORS else None
    answer = Answer(reasoning=None, mentions=ground(mentions, example.sentence), error=said)
    return Prediction(
        example=example,
        text=write(mentions, reasoning=None),
        answer=answer,
        finished=finished is not False,
        tokens=tokens if type(tokens) is int else 0,  # spaCy's are a list
        confidences=tuple(scores) if any(score is not None for score in scores) else (),
    )


def _notes(found: Iterable[Prediction], seen: Collection[str], examples: Sequence[Example]) -> Iterator[str]:
    """Notes for a reader of the scores."""
    unasked: Counter[str] = Counter()
    for prediction in found:
        asked = {label_key(label) for label in prediction.example.schema}
        unasked.update(m.label for m in prediction.answer.mentions if label_key(m.label) not in asked)
    if unasked:
        listed = ", ".join(f"{label} ({count})" for label, count in unasked.most_common(8))
        yield (
            f"{counted(unasked.total(), 'predicted mention')} counted as wrong, with labels that their sentence does "
            f"not ask for: {listed}; --rename TOOL=DATA maps them to the data's labels"
        )
    missing = len({example.sentence for example in examples}.difference(seen))
    if missing:
        yield (
            f"not scored, as they have no row: {counted(missing, 'sentence')}; write an empty list where a tool found "
            "nothing"
        )
