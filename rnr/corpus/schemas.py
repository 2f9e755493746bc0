"""The labels of a file, and the schemas of its examples."""

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from rnr.corpus.formats.examples import read_labels
from rnr.corpus.formats.label_lists import holds_definitions
from rnr.corpus.formats.rows import DataError
from rnr.corpus.label_doubts import as_typed, label_doubts
from rnr.corpus.report import Reading
from rnr.messages import counted, few
from rnr.task.labels import IGNORED_LABELS, label_key, with_plain_labels, without_catch_alls
from rnr.types import Example

logger = logging.getLogger(__name__)

OUTSIDE = "mentions have the label 'O', which in tag columns marks words outside mentions"
MERGED = "labels that differ only in case, spaces or '_' are the same in prompts and scores"
LISTED = "is the schema of rows without one: {}"
DEFINED = "defines its labels; only the labels were read, data.definitions adds the definitions to the prompt"


class FileLabels:
    """The labels of a file: the schema of the rows that leave it out is the ``labels.json`` beside their file, or else
    all labels they use."""

    def __init__(self, file: Path) -> None:
        self._file = file
        beside = file.parent / "labels.json"
        self.listed = tuple(sorted(set(read_labels(beside)))) if beside.is_file() else None
        self._beside = beside
        self._defined = beside if self.listed is not None and holds_definitions(beside) else None
        self._used: set[str] = set()
        self._own: set[str] = set(self.listed or ())
        self._without = self._as_listed = False
        self._missed = 0

    def add(self, example: Example | DataError) -> None:
        """Add the labels of the next row; one that cannot be read may have some."""
        if isinstance(example, DataError):
            self._missed += 1
            return
        for mention in example.mentions:
            self._used.add(mention.label)
        if example.schema is self.listed:  # its row has no schema
            self._as_listed = True
        elif example.schema:
            self._own.update(example.schema)
        else:
            self._without = True

    def given(self, example: Example) -> Example:
        """The example under its own schema or that of the file."""
        if example.schema:
            return example
        self._refuse_none()
        return replace(example, schema=tuple(sorted(self._used)))

    def give(self, examples: list[Example], begin: int) -> None:
        """Put the schema of the file into those of the examples from here on that have none."""
        try:
            self.refuse()
            self._refuse_none()
        except DataError:
            del examples[begin:]
            raise
        if not self._without:
            return
        schema = tuple(sorted(self._used))
        for position in range(begin, len(examples)):
            if not examples[position].schema:
                examples[position] = replace(examples[position], schema=schema)

    def refuse(self) -> None:
        """Raises DataError if rows have no schema and no label is used, unless others could not be read, and if labels
        are token tags."""
        if not self._missed:
            self._refuse_none()
        labels = self._used | self._own
        if tags := _tags_of_tokens(labels):
            raise DataError(
                f"{self._file}: the labels {' and '.join(tags)} are token tags, not entity labels: join the tokens of "
                "an entity, or write the rows as {'tokens': [...], 'ner_tags': [...]}; in columns and rows of tags "
                "write B-PER and I-PER"
            )

    def _refuse_none(self) -> None:
        if self._without and not self._used:
            why = "no row has an entity: name its labels in 'schema' or in a labels.json beside the file"
            if self._missed:
                why = f"no readable row has an entity, and {counted(self._missed, 'row')} cannot be read"
            raise DataError(f"{self._file}: the schema is empty, because {why}")

    def note(self, reading: Reading) -> None:
        """Note the labels that rows without a schema got if they use others, labels that are the same in prompts and
        scores, the label O, and definitions."""
        if self._as_listed and set(self.listed or ()) != self._used:
            reading.fact(LISTED.format(few(self.listed or ())), self._beside)
        if self._defined is not None:
            reading.fact(DEFINED, self._defined)
        if "O" in self._used:
            reading.fact(OUTSIDE, self._file)
        by_key: dict[str, list[str]] = {}
        for label in sorted(self._used | self._own):
            by_key.setdefault(label_key(label), []).append(label)
        for key, written in by_key.items():
            if len(written) > 1:
                reading.fact(f"{MERGED}: {', '.join(written)} -> {key}", self._file)
        for doubt in label_doubts(sorted(self._used | self._own)):
            reading.fact(doubt, self._file)


_TAGS = (
    re.compile(r"(?P<letter>[BIEL])[-_.+~=](?P<label>.+)", re.IGNORECASE),
    re.compile(r"(?P<label>.+)[-_.+~=](?P<letter>[BI])", re.IGNORECASE),
    re.compile(r"(?P<letter>B)(?:eg(?:in(?:ning)?)?)?[-_.:](?P<label>.+)", re.IGNORECASE),
    re.compile(r"(?P<letter>I)(?:n(?:side|ner|termediate)?)?[-_.:](?P<label>.+)", re.IGNORECASE),
    re.compile(r"(?P<letter>[BI]) ?(?P<label>[A-Z]{3,})"),
)
"""How people write the letter of a token's place before or behind its label: ``B-PER``, ``PER_B``, ``Begin-PER``,
``BPER``."""


def _tags_of_tokens(labels: Collection[str]) -> list[str]:
    """The labels for the beginning and for another part of one entity (``B-PER`` and ``I-PER``); empty without such."""
    typed = {as_typed(label): label for label in sorted(labels)}
    for tags in ((_TAGS[0],), (_TAGS[1],), _TAGS[2:4], (_TAGS[4],)):
        parts: dict[str, dict[str, str]] = {}
        for match in (match for tag in tags for match in map(tag.fullmatch, sorted(typed)) if match):
            parts.setdefault(match["label"], {})[match["letter"].upper()] = typed[match[0]]
        for found in parts.values():
            if "B" in found and len(found) > 1:
                return list(found.values())[:2]
    return []


def as_asked(examples: Sequence[Example], *, catch_alls: bool, part: str = "data") -> list[Example]:
    """The examples under the labels that a policy is asked for: in one writing, with or without ``catch_alls``; says
    which these are, kept or not, and how many mentions of this ``part`` of the data are under them. Raises DataError if
    nothing is left."""
    plain = [with_plain_labels(example) for example in examples]
    with_some = [example for example in plain if not IGNORED_LABELS.isdisjoint(example.schema)]
    if not with_some:
        return plain
    names = IGNORED_LABELS.intersection(label for example in with_some for label in example.schema)
    count = sum(mention.label in IGNORED_LABELS for example in with_some for mention in example.mentions)
    listed = ", ".join(sorted(names))
    under = f"{counted(count, 'mention')} of the {part} under {listed}"
    if catch_alls:
        uncounted = "which F1 by the paper's protocol leaves out"
        logger.info(f"data: catch-all labels are asked for like others: {under}, {uncounted}")
        return plain
    asked = [without_catch_alls(example) for example in plain]
    empty = sum(not example.schema for example in asked)
    if empty == len(asked):
        raise DataError(f"no sentence has a label beside {listed}, and catch-all labels are not asked for")
    also = f", and {counted(empty, 'sentence')} without another label" if empty else ""
    logger.info(f"data: catch-all labels are not asked for: {under} left out{also}")
    return [example for example in asked if example.schema]
