"""Label Studio: its JSON (also of versions before 1.0, with ``completions``) and its JSON-MIN."""

import re
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from rnr.corpus.formats.entities.span_lists import AS_TEXT, whole_number
from rnr.corpus.formats.refusals import is_entity_alone
from rnr.corpus.formats.rows import names, read_as, row_name
from rnr.corpus.formats.shapes import Shape, Source, each, has
from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from rnr.types import Example

OTHER_TEXT = "tasks have further texts without a region, which were left out"
CRLF = "tasks count a line break of two characters as one, as browsers do; their sentences were given single ones"
SPACING = (
    "regions have other spaces in their text than in the sentence, as browsers show them; their offsets were taken"
)
UTF16 = "regions are counted in UTF-16 units, as their texts show, and were converted"
NO_REGIONS = "rows have no region and were read as sentences without a mention"
CONTROLS = "tasks have regions of several controls for labels, which were read together"
UNLABELLED = "regions have no label and were left out"
DRAFTS = "tasks have drafts that were not submitted, which were not read"
CANCELLED = "annotations of tasks were cancelled (skipped) by their annotator and left out"
NOT_GROUND_TRUTH = "annotations of tasks with another one marked as ground truth were dropped"
OTHER_RESULTS = "results of tasks are not labelled regions (choices, relations and others) and were dropped"

_DATA_TEXT = "_data_text"
_ADDRESS = re.compile(r"(?:https?|s3|gs|azure-blob)://\S+|/data/\S+")
_SPACES = re.compile(r"\s+")


_ITS_OWN = frozenset(
    (
        *("id", "inner_id", "project", "file_upload", "created_at", "updated_at", "updated_by", "lead_time"),
        *("total_annotations", "cancelled_annotations", "total_predictions", "comment_count", "comment_authors"),
        *("unresolved_comment_count", "last_comment_updated_at", "annotator", "annotation_id", "allow_skip"),
    )
)
"""What Label Studio keeps for itself."""
_OF_TASK = frozenset(("data", "annotations", "completions", "drafts"))
_NAMED = frozenset(("dataset", "guid", "id"))
_BESIDE = ("meta", "score")
_PLACE = frozenset(("start", "end", "text", "startOffset", "endOffset", "globalOffsets"))


class _Result(BaseModel):
    value: dict[str, Any] = {}
    """Of a relation there is none."""
    to_name: Any = None
    from_name: Any = None


class _Annotation(BaseModel):
    result: list[_Result] = []
    was_cancelled: Any = False
    ground_truth: Any = False


class _Task(BaseModel):
    data: dict[str, Any]
    annotations: list[_Annotation] = Field(validation_alias=AliasChoices("annotations", "completions"))


def _is_task(row: Any) -> bool:
    return has(row, data=dict) and ("annotations" in row or "completions" in row)


def _is_json_min(row: Any) -> bool:
    """Whether an object is a row of JSON-MIN, and no entity that has the number of its annotation."""
    return isinstance(row, dict) and "annotation_id" in row and not is_entity_alone(row)


def _row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    if not _is_task(row):
        return _json_min_row(row, number, source)
    task = read_as(_Task, row)
    results = _annotation(task.annotations, number, source).result
    if row.get("drafts"):
        source.note(DRAFTS, number)
    if others := sum(not (_kinds(result.value) or _is_bare(result.value)) for result in results):
        source.note(OTHER_RESULTS, number, times=others)
    _note_controls({str(one.from_name) for one in results if _kinds(one.value) and one.from_name}, number, source)
    sentence = _text(task.data, results, number, source)
    source.not_read(_unread(row, sentence))
    found = _with_regions(task.data, sentence, [result.value for result in results], number, source)
    return found | {"guid": row_name(row)} if found["guid"] in (None, "") else found


def _annotation(annotations: Sequence[_Annotation], number: int, source: Source) -> _Annotation:
    """The one annotation of a task that is to be read; raises ValueError where there is none, or several."""
    done = [annotation for annotation in annotations if not annotation.was_cancelled]
    best = [annotation for annotation in done if annotation.ground_truth] or done
    if not best:
        raise ValueError("the task has no annotation: annotate it, or leave it out of the export")
    if len(best) > 1:
        raise ValueError(
            f"the task has {len(best)} annotations where one is needed: keep one of them, or export it as JSON-MIN, "
            "which has a row for each, and say which to take by --duplicates (data.duplicates)"
        )
    for kind, times in ((CANCELLED, len(annotations) - len(done)), (NOT_GROUND_TRUTH, len(done) - 1)):
        if times:
            source.note(kind, number, times=times)
    return best[0]


def _text(data: dict[str, Any], results: Sequence[_Result], number: int, source: Source) -> Any:
    """The text that the regions are in: the one that they name, else ``text``, else the only one."""
    texts = {name: value for name, value in data.items() if isinstance(value, str)}
    named = {str(result.to_name) for result in results if _kinds(result.value) and result.to_name is not None}
    named &= set(texts)
    if len(named) > 1:
        raise ValueError(f"the regions are in several texts ({', '.join(sorted(named))}); export a task for each")
    if not (named or "text" in data or len(texts) == 1):
        lists = [name for name, value in data.items() if isinstance(value, list)]
        beside = f"; {lists[0]!r} has paragraphs: export a task for each" if lists and not texts else ""
        raise ValueError(f"a Label Studio task needs its sentence in data.text{beside}")
    chosen = named.pop() if named else "text" if "text" in data else next(iter(texts))
    if chosen != "text" and isinstance(data.get("text"), str):
        source.note(OTHER_TEXT, number, f"read {chosen!r}, not 'text'")
    if not isinstance(data[chosen], str):
        raise ValueError(f"data.{chosen} must be one text, found {reprlib.repr(data[chosen])}; export a task for each")
    if _ADDRESS.fullmatch(data[chosen]):
        raise ValueError(f"its text lies in another file, {data[chosen][:60]}: put it in its place")
    return data[chosen]


def _unread(row: dict[str, Any], sentence: Any) -> Iterator[str]:
    """What a task tells beside its sentence and its regions."""
    yield from (name for name, value in row.items() if value and name not in {*_ITS_OWN, *_OF_TASK})
    yield from (f"data.{name}" for name, value in row["data"].items() if value != sentence and name not in _NAMED)
    for annotation in row.get("annotations") or row.get("completions") or ():
        for result in annotation.get("result") or ():
            yield from (f"result.{name}" for name in _BESIDE if result.get(name) not in (None, [], {}))


def _has_place(value: Any) -> bool:
    return isinstance(value, dict) and "start" in value


def _json_min_row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    """A row of JSON-MIN: data and results side by side, the regions under whatever name they have."""
    name = _DATA_TEXT if _DATA_TEXT in row else "text"
    if not isinstance(row.get(name), str):
        raise ValueError("a row of Label Studio's JSON-MIN needs its sentence in 'text'; export it as JSON instead")
    lists = [value for value in row.values() if isinstance(value, list)]
    regions = [value for values in lists for value in values if isinstance(value, dict)]
    marked = {name for name, values in row.items() if isinstance(values, list) and any(map(_is_region, values))}
    _note_controls(marked, number, source)
    if others := sum("start" in region and not _kinds(region) for region in regions):
        source.note(OTHER_RESULTS, number, times=others)
    if not regions and row["annotation_id"] is None:
        raise ValueError("the task has no annotation: annotate it, or leave it out of the export")
    if not regions:
        source.note(NO_REGIONS, number)
    read = {name for name, values in row.items() if isinstance(values, list) and any(map(_has_place, values))}
    source.not_read(told for told, value in row.items() if value and told not in {name, *_ITS_OWN, *_NAMED, *read})
    return _with_regions(row, row[name], regions, number, source)


def _note_controls(names: set[str], number: int, source: Source) -> None:
    if len(names) > 1:
        source.note(CONTROLS, number, ", ".join(sorted(names)))


def _is_region(value: Any) -> bool:
    return isinstance(value, dict) and bool(_kinds(value))


def _with_regions(
    data: dict[str, Any], sentence: Any, values: Sequence[dict[str, Any]], number: int, source: Source
) -> dict[str, Any]:
    if unlabelled := sum(_is_bare(value) or (bool(_kinds(value)) and not _labels(value)) for value in values):
        source.note(UNLABELLED, number, times=unlabelled)
    regions = [(_placed(value, number, source), label) for value in values for label in _labels(value)]
    if isinstance(sentence, str) and "\r\n" in sentence:
        single = sentence.replace("\r\n", "\n")
        wrong = sum(not _fits(value, sentence) for value, _ in regions)
        if wrong and sum(not _fits(value, single) for value, _ in regions) < wrong:
            source.note(CRLF, number)
            sentence = single
    entities = [{**_in_characters(value, sentence, number, source), "label": label} for value, label in regions]
    return {"sentence": sentence, "entities": entities, "dataset": data.get("dataset"), "guid": row_name(data)}


def _fits(value: dict[str, Any], sentence: str) -> bool:
    start, end, text = value.get("start"), value.get("end"), value.get("text")
    return not (isinstance(start, int) and isinstance(end, int) and text) or sentence[start:end] == text


def _is_bare(value: dict[str, Any]) -> bool:
    """Whether a value is a place and nothing more; beside the list of texts that somebody wrote to it, it has more."""
    return "start" in value and value.keys() <= _PLACE and not isinstance(value.get("text"), list)


def _kinds(value: dict[str, Any]) -> list[str]:
    return [kind for kind in value if kind.endswith("labels")]


def _labels(value: dict[str, Any]) -> list[Any]:
    """The labels of a region; none for another kind of result. Raises ValueError for a region that is no text."""
    kinds = _kinds(value)
    if not kinds:
        return []
    if kinds[0] not in ("labels", "hypertextlabels"):
        raise ValueError(f"a region with {kinds[0]!r} is no span of a sentence; leave such regions out of the export")
    found = value[kinds[0]]
    if isinstance(found, str):
        return [found]
    if not isinstance(found, list):
        raise ValueError(f"{kinds[0]!r} of a region must be a list of labels, found {type(found).__name__}")
    return found


def _placed(value: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    """The value with the offsets that a region of a HyperText counts from the beginning of the whole text, and those of
    any that are written as text as numbers."""
    whole = value.get("globalOffsets")
    if isinstance(value.get("start"), str) and not isinstance(whole, dict) and not value["start"].strip().isdecimal():
        raise ValueError(
            f"a region of a page is placed by its element ({value['start']}), without 'globalOffsets': take the text "
            "out of the page and annotate that, or export from a version that writes them"
        )
    if isinstance(whole, dict) and not isinstance(value.get("start"), int):
        return {**value, **whole}
    numbers = {name: whole_number(value[name]) for name in ("start", "end") if name in value}
    if any(type(value[name]) is not type(one) for name, one in numbers.items()):
        source.note(AS_TEXT, number, f"{value['start']!r}")
        return {**value, **numbers}
    return value


def _in_characters(value: dict[str, Any], sentence: Any, number: int, source: Source) -> dict[str, Any]:
    """The value with its offsets in characters: some versions of Label Studio count UTF-16 units, two for an emoji. Its
    text tells which; without one, or when neither fits, the value is left as it is."""
    start, end, text = value.get("start"), value.get("end"), value.get("text")
    if not (isinstance(sentence, str) and isinstance(start, int) and isinstance(end, int)) or _fits(value, sentence):
        return value
    if _SPACES.sub(" ", str(text)) == _SPACES.sub(" ", sentence[start:end]):
        source.note(SPACING, number, repr(text))
        return {name: inner for name, inner in value.items() if name != "text"}
    units = sentence.encode("utf-16-le", errors="surrogatepass")
    before, there = (
        part.decode("utf-16-le", errors="replace") for part in (units[: 2 * start], units[2 * start : 2 * end])
    )
    if there != text:
        return value
    source.note(UTF16, number, repr(text))
    return {**value, "start": len(before), "end": len(before) + len(there)}


SHAPE = Shape(
    name="Label Studio",
    recognises=lambda row: _is_task(row) or _is_json_min(row),
    rows=each(_row),
)


def write_label_studio(examples: Sequence[Example], out: Path) -> None:
    """A list of annotated tasks, as Label Studio imports them."""
    write_whole(out, strict_json(list(_tasks(examples)), indent=1) + "\n")


def _tasks(examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
    for example in examples:
        values = [{"start": m.start, "end": m.end, "text": m.text, "labels": [m.label]} for m in example.mentions]
        results = [{"from_name": "label", "to_name": "text", "type": "labels", "value": value} for value in values]
        yield {"data": {"text": example.sentence} | names(example), "annotations": [{"result": results}]}
