"""Annotated sentences in the formats of other tools: a file -> rows for ``rnr.data``, and examples -> a file.

Reading finds the format by itself. A row is what the one row reader in ``rnr.data`` understands: a sentence and its
entities, with offsets where the format has them; what cannot become one is a ``DataError`` in its place.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeAlias

from rnr.metrics import label_key
from rnr.types import Example, Mention

COLUMN_SUFFIXES = (".conll", ".iob", ".iob2", ".bio", ".bioes", ".tsv", ".txt")

Row: TypeAlias = tuple[int, Any]
"""Its number (in a text file the line it begins at), and the row or the DataError that says why there is none."""

_TAG = re.compile(r"O|[BIESLUM]-.+")
_IOBES_ONLY = re.compile(r"[ESLUM]-")
_SAME_AS = {"L": "E", "U": "S", "M": "I"}
_COMMENT_TEXT = re.compile(r"#\s*text\s*= ?(.*)")
_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(r"\w+|[^\w\s]")


class DataError(ValueError):
    """A row that cannot be used; says the file, the row and the reason."""


def parts(place: Path) -> dict[str, Path]:
    """What lies at a path, by split: the files of an InstructUIE folder, the folders of a DatasetDict, else itself."""
    if (place / "dataset_dict.json").is_file():
        return {name: place / name for name in read_json(place / "dataset_dict.json")["splits"]}
    if place.is_dir() and not (place / "state.json").is_file():
        names = ("train", "test", "validation", "dev")
        return {name: place / f"{name}.json" for name in names if (place / f"{name}.json").is_file()}
    return {"": place}


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a file or of a saved Hugging Face dataset; raises DataError when nothing of it can be read."""
    if file.is_dir():
        return _hugging_face_rows(file)
    if file.suffix in COLUMN_SUFFIXES:
        return _column_rows(file)
    return _spacy_rows(file) if file.suffix == ".spacy" else _json_rows(file)


def read_json(file: Path) -> Any:
    """The JSON value in a file; raises DataError with the line where it breaks."""
    try:
        return json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise DataError(f"{file}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 at byte {error.start}") from None


# JSON


def _json_rows(file: Path) -> Iterator[Row]:
    for number, value in _json_list(file) if file.suffix == ".json" else _json_lines(file):
        try:
            yield number, _plain(value)
        except ValueError as error:
            yield number, DataError(f"{file}, row {number}: {error}")


def _json_list(file: Path) -> Iterator[Row]:
    values = read_json(file)
    return enumerate(values if isinstance(values, list) else [values], 1)


def _json_lines(file: Path) -> Iterator[Row]:
    # Bytes split at line feeds only; text would also split at separators that may stand inside a JSON string.
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            yield number, DataError(f"{file}, row {number}: not valid JSON: {error.msg} at column {error.colno}")
        except UnicodeDecodeError as error:
            yield number, DataError(f"{file}, row {number}: not UTF-8 at byte {error.start}")


def _plain(row: Any) -> Any:
    if isinstance(row, dict) and "annotations" in row and "data" in row:
        return _label_studio_row(row)
    if isinstance(row, dict) and "ents" in row:
        return {**row, "entities": row["ents"]}
    return row


def _label_studio_row(task: dict[str, Any]) -> dict[str, Any]:
    data = task["data"]
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    if not isinstance(data, dict) or not ("text" in data or len(texts) == 1):
        raise ValueError("a Label Studio task needs its sentence in data.text")
    done = [annotation for annotation in task["annotations"] if not annotation.get("was_cancelled")]
    done = [annotation for annotation in done if annotation.get("ground_truth")] or done
    if len(done) != 1:
        raise ValueError(f"the task has {len(done)} annotations where one is needed: annotate it, or keep one of them")
    values = [result["value"] for result in done[0].get("result", []) if "labels" in result.get("value", {})]
    entities = [{**value, "label": label} for value in values for label in value["labels"]]
    return {"sentence": data.get("text", *texts[:1]), "entities": entities}


# Columns


@dataclass(frozen=True, slots=True)
class _Tagged:
    """The tokens and tags of a sentence, and where each of them stands."""

    number: int
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    """What a comment ``# text = ...`` says the sentence is."""

    def row(self, scheme: str) -> dict[str, Any]:
        """The sentence with its entities as offsets; raises ValueError with the place of a tag that may not stand."""
        offsets = _located(self.tokens, self.text[-1]) if self.text else None
        sentence = self.text[-1] if offsets else " ".join(self.tokens)
        if offsets is None:
            ends = [end - 1 for end in accumulate(len(token) + 1 for token in self.tokens)]
            offsets = [(end - len(token), end) for token, end in zip(self.tokens, ends, strict=True)]
        spans = list(_spans(self.tags, self.places, scheme))
        return {"sentence": sentence, "entities": [[offsets[i][0], offsets[j - 1][1], label] for i, j, label in spans]}


def _column_rows(file: Path) -> Iterator[Row]:
    try:
        lines = file.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 at byte {error.start}") from None
    sentences = [sentence for sentence in _column_sentences(lines) if sentence.tokens]
    scheme = _scheme(sentence.tags for sentence in sentences)
    for sentence in sentences:
        try:
            yield sentence.number, sentence.row(scheme)
        except ValueError as error:
            yield sentence.number, DataError(f"{file}, {error}")


def _column_sentences(lines: Iterable[str]) -> Iterator[_Tagged]:
    sentence = _Tagged(1)
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\r")
        columns = [column.strip() for column in (line.split("\t") if "\t" in line else line.split())]
        if not any(columns) or columns[0] == "-DOCSTART-":
            yield sentence
            sentence = _Tagged(number + 1)
        elif not sentence.tokens and _is_comment(line, columns):
            sentence.text.extend(_COMMENT_TEXT.findall(line))
        else:
            sentence.tokens.append(columns[0])
            sentence.tags.append(columns[-1] if len(columns) > 1 else "")
            sentence.places.append(f"line {number}")
    yield sentence


def _is_comment(line: str, columns: Sequence[str]) -> bool:
    """Whether a line before the first token is a comment: it may also be the token ``#``, which tweets are full of."""
    marked = line.startswith("#") and "\t" not in line
    return bool(_COMMENT_TEXT.match(line)) or (marked and not _TAG.fullmatch(columns[-1]))


def _located(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Where the tokens stand when only white space is between them in the text, else None."""
    places: list[tuple[int, int]] = []
    end = 0
    for token in tokens:
        start = _skip_space(text, end)
        end = start + len(token)
        if text[start:end] != token:
            return None
        places.append((start, end))
    return places if _skip_space(text, end) == len(text) else None


def _skip_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start


def _scheme(sentences: Iterable[Sequence[str]]) -> str:
    """IOBES (or BILOU) if any tag ends an entity, IOB2 if B- begins what follows nothing of its label, else IOB1."""
    begun = False
    for tags in sentences:
        if any(_IOBES_ONLY.match(tag) for tag in tags):
            return "IOBES"
        begun = begun or any(tag[:2] == "B-" and tag[2:] != before[2:] for before, tag in pairwise(["O", *tags]))
    return "IOB2" if begun else "IOB1"


def _spans(tags: Sequence[str], places: Sequence[str], scheme: str) -> Iterator[tuple[int, int, str]]:
    """(first token, one past the last, label) of each entity; raises ValueError at a tag the scheme does not allow."""
    start, opened, before = 0, "", "the beginning"
    closed = [*zip(tags, places, strict=True), ("O", f"{places[-1]}, at the end")]
    for position, (tag, place) in enumerate(closed):
        if not _TAG.fullmatch(tag):
            raise ValueError(f"{place}: expected a token and a tag such as O, B-person or I-person, found tag {tag!r}")
        letter, label = _SAME_AS.get(tag[0], tag[0]), tag[2:]
        continues = bool(opened) and letter in "IE" and label == opened
        if not continues:
            if (opened and scheme == "IOBES") or (letter in "IE" and scheme != "IOB1"):
                raise ValueError(f"{place}: {tag} cannot follow {before} (the tags are {scheme})")
            if opened:
                yield start, position, opened
            start, opened = position, label
        if letter in "ES":
            yield start, position + 1, label
            opened = ""
        before = tag


# Datasets of libraries


def _hugging_face_rows(folder: Path) -> Iterator[Row]:
    dataset = _needed("datasets", "datasets", folder).load_from_disk(str(folder))
    if not {"tokens", "ner_tags"} <= set(dataset.column_names):
        for number, row in enumerate(dataset, 1):
            yield number, _without_none(row)
        return
    names = getattr(getattr(dataset.features["ner_tags"], "feature", None), "names", None)
    schema = {"schema": sorted({name[2:] for name in names} - {""})} if names else {}
    scheme = _scheme(_named(tags, names) for tags in dataset["ner_tags"])
    for number, row in enumerate(dataset, 1):
        tokens, tags = row["tokens"], _named(row["ner_tags"], names)
        try:
            if not tokens or len(tokens) != len(tags):
                raise ValueError(f"{len(tokens)} tokens with {len(tags)} tags")
            places = [f"token {place}" for place in range(1, len(tokens) + 1)]
            yield number, {**_Tagged(number, tokens, tags, places).row(scheme), **schema}
        except ValueError as error:
            yield number, DataError(f"{folder}, row {number}: {error}")


def _named(tags: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    """The tags by name; a number without a name, such as -1 for "not annotated", stays a number and so no tag."""
    known: dict[Any, str] = dict(enumerate(names or ()))
    return [str(known.get(tag, tag)) for tag in tags]


def _without_none(value: Any) -> Any:
    """Arrow gives every row every field; a field that was never there comes back as None."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value


def _spacy_rows(file: Path) -> Iterator[Row]:
    tokens, vocab = _needed("spacy.tokens", "spacy", file), _needed("spacy.vocab", "spacy", file)
    documents = tokens.DocBin().from_disk(file).get_docs(vocab.Vocab())
    for number, document in enumerate(documents, 1):
        entities = [[entity.start_char, entity.end_char, entity.label_] for entity in document.ents]
        yield number, {"sentence": document.text, "entities": entities}


def _needed(module: str, package: str, file: Path) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise DataError(f"{file}: this needs {package}: `pip install {package}`, or export it as JSON") from None


# Writing


@dataclass(frozen=True, slots=True)
class Format:
    """How examples are written, and the file names under which they are found again (none: a folder)."""

    write: Callable[[Sequence[Example], Path], None]
    suffixes: tuple[str, ...]


def write(examples: Sequence[Example], out: Path, form: str) -> None:
    """Write a new file (for ``hf`` a folder) in one of ``FORMATS``, made to be read back by ``read_rows``.

    Raises ValueError for a file that exists or has another format's ending, and for what the format cannot hold.
    """
    known = FORMATS[form]
    if out.exists():
        raise ValueError(f"{out} exists already; remove it or write somewhere else")
    if known.suffixes and out.suffix not in known.suffixes:
        raise ValueError(f"{out}: {form} goes to a file that ends in {' or '.join(known.suffixes)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    known.write(examples, out)


def _entities(example: Example) -> list[dict[str, Any]]:
    return [{"text": m.text, "label": m.label, "start": m.start, "end": m.end} for m in example.mentions]


def _whole_row(example: Example) -> dict[str, Any]:
    row = {"sentence": example.sentence, "schema": list(example.schema), "entities": _entities(example)}
    return row | {"dataset": example.source} | ({"cot": example.reasoning} if example.reasoning else {})


def _chain_row(example: Example) -> dict[str, Any]:
    row = {"guid": example.uid, "sentence": example.sentence, "schema": list(example.schema)}
    return row | {"cot": example.reasoning or "", "entities": _entities(example)}


def _doccano_row(example: Example) -> dict[str, Any]:
    return {"text": example.sentence, "label": [[m.start, m.end, m.label] for m in example.mentions]}


def _spacy_row(example: Example) -> dict[str, Any]:
    return {
        "text": example.sentence,
        "ents": [{"start": m.start, "end": m.end, "label": m.label} for m in example.mentions],
    }


def _lines(row: Callable[[Example], dict[str, Any]]) -> Callable[[Sequence[Example], Path], None]:
    def write_lines(examples: Sequence[Example], out: Path) -> None:
        _save(out, (json.dumps(row(example), ensure_ascii=False) for example in examples))

    return write_lines


def _save(out: Path, lines: Iterable[str]) -> None:
    # Whole or not at all: a line that cannot be written must not leave half a file. No newline translation.
    out.write_bytes("".join(line + "\n" for line in lines).encode())


def _write_instructuie(examples: Sequence[Example], out: Path) -> None:
    """The rows, and ``labels.json`` beside them with their labels and those of the splits that are there already."""
    labels_file = out.parent / "labels.json"
    labels = {label_key(label) for label in read_json(labels_file)} if labels_file.is_file() else set[str]()
    labels.update(label for example in examples for label in example.schema)
    rows = [
        {
            "sentence": example.sentence,
            "schema": list(example.schema),  # rows of one folder need not share theirs, whatever labels.json says
            "dataset": example.source,
            "entities": [{"name": m.text, "type": m.label, "pos": [m.start, m.end]} for m in example.mentions],
        }
        for example in examples
    ]
    _save(out, [json.dumps(rows, ensure_ascii=False, indent=1)])
    _save(labels_file, [json.dumps(sorted(labels), ensure_ascii=False)])


def _write_label_studio(examples: Sequence[Example], out: Path) -> None:
    tasks: list[dict[str, Any]] = []
    for example in examples:
        values = [{"start": m.start, "end": m.end, "text": m.text, "labels": [m.label]} for m in example.mentions]
        results = [{"from_name": "label", "to_name": "text", "type": "labels", "value": value} for value in values]
        tasks.append({"data": {"text": example.sentence}, "annotations": [{"result": results}]})
    _save(out, [json.dumps(tasks, ensure_ascii=False, indent=1)])


def _write_hugging_face(examples: Sequence[Example], out: Path) -> None:
    datasets = _needed("datasets", "datasets", out)
    text, number = datasets.Value("string"), datasets.Value("int64")
    # Spelt out, because a column in which every list is empty has no type of its own.
    features = datasets.Features(
        sentence=text,
        schema=datasets.List(text),
        entities=datasets.List({"text": text, "label": text, "start": number, "end": number}),
        dataset=text,
        cot=text,
    )
    rows = [{"cot": None} | _whole_row(example) for example in examples]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(str(out))


def _write_columns(scheme: str) -> Callable[[Sequence[Example], Path], None]:
    def write_columns(examples: Sequence[Example], out: Path) -> None:
        _save(out, (line for example in examples for line in (*_column_lines(example, scheme), "")))

    return write_columns


def _column_lines(example: Example, scheme: str) -> Iterator[str]:
    if "\n" in example.sentence or "\r" in example.sentence:
        raise ValueError(f"{example.uid}: a column file cannot hold a sentence with a line break; write JSONL")
    mentions = sorted(example.mentions, key=lambda mention: mention.start)
    for left, right in pairwise(mentions):
        if right.start < left.end:
            raise ValueError(
                f"{example.uid}: a column file cannot hold {left.text!r} and {right.text!r}, which overlap; write JSONL"
            )
    tokens = list(_tokens(example.sentence, mentions))
    tags = ["O"] * len(tokens)
    for mention in mentions:
        inside = [place for place, (start, end) in enumerate(tokens) if mention.start <= start and end <= mention.end]
        if not inside or (tokens[inside[0]][0], tokens[inside[-1]][1]) != (mention.start, mention.end):
            raise ValueError(f"{example.uid}: {mention.text!r} begins or ends with white space, which is in no token")
        for place, letter in zip(inside, _letters(len(inside), scheme), strict=True):
            tags[place] = f"{letter}-{mention.label}"
    yield f"# text = {example.sentence}"
    for (start, end), tag in zip(tokens, tags, strict=True):
        yield f"{example.sentence[start:end]}\t{tag}"


def _tokens(sentence: str, mentions: Sequence[Mention]) -> Iterator[tuple[int, int]]:
    """Words and single marks, cut also where a mention begins or ends, so that no offset is lost."""
    cuts = {place for mention in mentions for place in (mention.start, mention.end)}
    for token in _TOKEN.finditer(sentence):
        places = [token.start(), *(cut for cut in range(token.start() + 1, token.end()) if cut in cuts), token.end()]
        yield from pairwise(places)


def _letters(length: int, scheme: str) -> str:
    if scheme == "IOB2":
        return "B" + "I" * (length - 1)
    return "S" if length == 1 else "B" + "I" * (length - 2) + "E"


FORMATS = {
    "jsonl": Format(_lines(_whole_row), (".jsonl",)),
    "ner-cot": Format(_lines(_chain_row), (".jsonl",)),
    "instructuie": Format(_write_instructuie, (".json",)),
    "conll": Format(_write_columns("IOB2"), COLUMN_SUFFIXES),
    "iobes": Format(_write_columns("IOBES"), COLUMN_SUFFIXES),
    "doccano": Format(_lines(_doccano_row), (".jsonl",)),
    "label-studio": Format(_write_label_studio, (".json",)),
    "spacy-json": Format(_lines(_spacy_row), (".jsonl",)),
    "hf": Format(_write_hugging_face, ()),
}
