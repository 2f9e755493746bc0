"""Formats of other tools: each by hand, every error with its place, and what was written comes back."""

import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rnr.config import ReadingConfig
from rnr.corpus import loading
from rnr.corpus.formats.files import opening
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.writing import FORMATS, write
from rnr.corpus.matching import stripped
from rnr.corpus.schemas import as_asked
from rnr.task.labels import label_key
from rnr.types import Example, Mention


def load(paths: Sequence[str], **options: Any) -> list[Example]:
    return as_asked(loading.load(paths, **options), catch_alls=True)


AS_THEY_ARE = ReadingConfig(offsets="characters")
"""For made-up mentions, which may begin inside a word."""

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def _spans(found: Example) -> list[tuple[int, int, str, str]]:
    return [(mention.start, mention.end, mention.text, mention.label) for mention in found.mentions]


def _read(file: Path, text: str) -> list[Example]:
    file.write_text(text, encoding="utf-8", newline="")
    return load([str(file)], training=True)


def _error(file: Path, text: str) -> str:
    with pytest.raises(DataError) as raised:
        _read(file, text)
    return str(raised.value)


def _example(sentence: str, *spans: tuple[int, int, str], schema: tuple[str, ...] = ("person", "place")) -> Example:
    mentions = tuple(Mention(text=sentence[i:j], label=label, start=i, end=j) for i, j, label in spans)
    return Example(uid="mine/train:1", sentence=sentence, schema=schema, mentions=mentions, source="mine")


ADA = _example("Ada Byron, in St. Ives", (0, 9, "person"), (14, 22, "place"))


# Columns


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("IOB2", "B-PER I-PER B-PER O B-LOC"),
        ("IOB1", "I-PER I-PER B-PER O I-LOC"),
        ("IOBES", "B-PER E-PER S-PER O S-LOC"),
        ("BILOU", "B-PER L-PER U-PER O U-LOC"),
        ("BMES", "B-PER E-PER S-PER O S-LOC"),
    ],
)
def test_every_tag_scheme_gives_the_same_mentions(tmp_path, name, tags) -> None:
    tokens = ["Ada", "Byron", "Bo", "saw", "Rome"]
    lines = [f"{token} NNP _ {tag}" for token, tag in zip(tokens, tags.split(), strict=True)]
    (found,) = _read(tmp_path / f"{name}.conll", "-DOCSTART- -X- O O\n\n" + "\n".join(lines) + "\n")
    assert found.sentence == "Ada Byron Bo saw Rome"
    assert _spans(found) == [(0, 9, "Ada Byron", "per"), (10, 12, "Bo", "per"), (17, 21, "Rome", "loc")]
    assert found.schema == ("loc", "per")
    assert found.uid.endswith(":3")  # the line it begins at


def test_the_text_of_a_comment_is_the_sentence_that_offsets_refer_to(tmp_path) -> None:
    text = "# id 7 domain=news\n# text = Rome, (Italy)\nRome\tB-LOC\n,\tO\n(\tO\nItaly\tB-LOC\n)\tO\n\n"
    (found,) = _read(tmp_path / "a.conll", text)
    assert (found.sentence, _spans(found)) == ("Rome, (Italy)", [(0, 4, "Rome", "loc"), (7, 12, "Italy", "loc")])


@pytest.mark.parametrize("text", ['"Rome"', "`` Rome '' ,", "Rome"])
def test_a_comment_of_which_the_tokens_are_not_the_whole_is_passed_over(tmp_path, text) -> None:
    (found,) = _read(tmp_path / "a.iob", f"# text = {text}\n`` O\nRome B-LOC\n'' O\n")
    assert (found.sentence, _spans(found)) == ("`` Rome ''", [(3, 7, "Rome", "loc")])


def test_a_hash_at_the_beginning_of_a_tweet_is_a_token(tmp_path) -> None:
    first, second = _read(tmp_path / "tweets.tsv", "#\tO\nMUFC\tB-team\n\n#MUFC\tB-team\nwon\tO\n")
    assert (first.sentence, _spans(first)) == ("# MUFC", [(2, 6, "MUFC", "team")])
    assert (second.sentence, _spans(second)) == ("#MUFC won", [(0, 5, "#MUFC", "team")])


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_a_token(tmp_path) -> None:
    (found,) = _read(tmp_path / "a.bio", "\ufeffAda B-PER\r\nran O\r\n\r\n")
    assert (found.sentence, _spans(found)) == ("Ada ran", [(0, 3, "Ada", "per")])


def test_a_tab_separated_token_may_hold_a_space(tmp_path) -> None:
    (found,) = _read(tmp_path / "a.tsv", "New York\tNNP\tB-LOC\nwon\tVBD\tO\n")
    assert (found.sentence, _spans(found)) == ("New York won", [(0, 8, "New York", "loc")])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("Ada B-PER\nran O\nRome I-LOC", "line 3: I-LOC cannot follow O (the tags are IOB2)"),
        ("Ada B-PER\nran I-LOC", "line 2: I-LOC cannot follow B-PER (the tags are IOB2)"),
        ("Ada S-PER\nin O\nSt B-LOC\nran O", "line 4: O cannot follow B-LOC (the tags are IOBES)"),
        ("Ada U-PER\nRome B-LOC", "line 2, at the end: O cannot follow B-LOC (the tags are IOBES)"),
        ("Ada O\nBo E-PER\n\nEd S-PER", "line 2: E-PER cannot follow O (the tags are IOBES)"),
        ("Ada B-PER\nran 0", "line 2: expected a tag such as O, B-person or I-person, found tag '0'"),
        ("Ada B-PER\nran", "line 2: 1 column where most lines have 2: 'ran'"),
    ],
)
def test_a_tag_that_may_not_stand_is_named_with_its_file_and_line(tmp_path, lines, said) -> None:
    file = tmp_path / "bad.conll"
    assert f"{file}, {said}" in _error(file, lines + "\n")


def test_a_bad_sentence_of_a_column_file_can_be_skipped(tmp_path) -> None:
    file = tmp_path / "a.conll"
    file.write_text("Ada B-PER\n\nran I-PER\n\nBo B-PER\n")
    found = load([str(file)], training=True, skip_bad_rows=True)
    assert [(one.sentence, one.uid) for one in found] == [("Ada", "a/a:1"), ("Bo", "a/a:5")]


def test_a_column_file_that_is_not_utf8_is_named(tmp_path) -> None:
    (tmp_path / "a.conll").write_bytes("Zoë B-PER\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.conll: not UTF-8 at byte 2"):
        load([str(tmp_path / "a.conll")], training=True)


# JSON


def _task(**annotation: object) -> dict:
    value = {"start": 7, "end": 11, "text": "Rome", "labels": ["Place", "City"]}
    results = [{"type": "labels", "value": value}, {"type": "choices", "value": {"choices": ["news"]}}]
    return {"id": 1, "data": {"text": "Ada in Rome"}, "annotations": [{"result": results, **annotation}]}


def test_a_label_studio_task_gives_its_labelled_regions(tmp_path) -> None:
    (found,) = _read(tmp_path / "export.json", json.dumps([_task()]))
    assert (found.sentence, found.schema) == ("Ada in Rome", ("city", "place"))
    assert _spans(found) == [(7, 11, "Rome", "city"), (7, 11, "Rome", "place")]


def test_a_label_studio_sentence_may_have_another_name_when_it_is_the_only_text(tmp_path) -> None:
    (found,) = _read(tmp_path / "export.json", json.dumps([_task() | {"data": {"tweet": "Ada in Rome", "year": 1}}]))
    assert found.sentence == "Ada in Rome"
    assert "data.text" in _error(tmp_path / "b.json", json.dumps([_task() | {"data": {"a": "Ada", "b": "Rome"}}]))


def test_the_ground_truth_of_a_label_studio_task_stands_for_it_and_skipped_annotations_do_not(tmp_path) -> None:
    empty, cancelled, truth = {"result": []}, {"result": [], "was_cancelled": True}, {"ground_truth": True}
    chosen = _task(**truth)
    chosen["annotations"] += [empty, cancelled]
    assert len(_read(tmp_path / "a.json", json.dumps([chosen]))[0].mentions) == 2
    two = _task()
    two["annotations"].append(empty)
    assert "row 1: the task has 2 annotations where one is needed" in _error(tmp_path / "b.json", json.dumps([two]))
    none = _task(was_cancelled=True)
    assert "row 1: the task has no annotation" in _error(tmp_path / "c.json", json.dumps([none]))


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (None, "annotations must be a list, found None"),
        (["x"], r"annotations[0] must be an object, found 'x'"),
        ([{"result": None}], "annotations[0].result must be a list, found None"),
        ([{"result": [{"value": None}]}], "annotations[0].result[0].value must be an object, found None"),
        ([{"result": [{"value": {"start": 0, "end": 3, "labels": 5}}]}], "must be a list of labels, found int"),
        ([{"result": [{"value": {"start": 0, "end": 3, "labels": [None]}}]}], "label must be text, found None"),
        ([{"result": [{"value": {"start": "0", "paragraphlabels": ["a"]}}]}], "'paragraphlabels' is no span"),
    ],
)
def test_what_is_wrong_in_a_label_studio_task_is_named_by_its_place(tmp_path, annotations, said) -> None:
    file = tmp_path / "a.json"
    found = _error(file, json.dumps([_task() | {"annotations": annotations}]))
    assert found.startswith(f"{file}, row 1: ")
    assert said in found


def test_one_label_of_a_region_may_stand_without_a_list(tmp_path) -> None:
    value = {"start": 7, "end": 11, "text": "Rome", "labels": "PER"}
    task = {"data": {"text": "Ada in Rome"}, "annotations": [{"result": [{"value": value}]}]}
    assert _spans(_read(tmp_path / "a.json", json.dumps([task]))[0]) == [(7, 11, "Rome", "per")]


@pytest.mark.parametrize(
    "place",
    [
        {"start": 7, "end": 11},
        {
            "start": "/p[2]/text()[1]",
            "end": "/p[2]/text()[1]",
            "startOffset": 0,
            "endOffset": 4,
            "globalOffsets": {"start": 7, "end": 11},
        },
    ],
)
def test_regions_of_hypertext_are_read_as_others_are(tmp_path, place) -> None:
    value = {**place, "text": "Rome", "hypertextlabels": ["city"]}
    results = [{"type": "hypertextlabels", "value": value}, {"type": "relation", "from_id": "a", "to_id": "b"}]
    task = {"data": {"text": "Ada in Rome"}, "annotations": [{"result": results}]}
    assert _spans(_read(tmp_path / "a.json", json.dumps([task]))[0]) == [(7, 11, "Rome", "city")]


def test_label_studios_short_export_gives_its_regions_under_whatever_name(tmp_path) -> None:
    region = {"start": 7, "end": 11, "text": "Rome", "labels": ["city"]}
    rest = {"id": 1, "annotator": 1, "annotation_id": 5, "created_at": "2024", "lead_time": 1.5, "topic": ["a", "b"]}
    rows = [{"text": "Ada in Rome", "ner": [region], **rest}, {"text": "Nobody came", **rest}]
    first, second = _read(tmp_path / "a.json", json.dumps(rows))
    assert (_spans(first), second.mentions) == ([(7, 11, "Rome", "city")], ())
    assert "row 1: a row of Label Studio's JSON-MIN needs its sentence in 'text'; export it as JSON" in _error(
        tmp_path / "b.json", json.dumps([{"tweet": "Ada in Rome", "ner": [region], **rest}])
    )


def test_doccanos_export_with_relations_gives_its_entities(tmp_path) -> None:
    entities = [{"id": 3, "label": "LOC", "start_offset": 7, "end_offset": 11}]
    row = {"id": 1, "text": "Ada in Rome", "entities": entities, "relations": [], "Comments": []}
    assert _spans(_read(tmp_path / "a.jsonl", json.dumps(row))[0]) == [(7, 11, "Rome", "loc")]


ROWS_OF_ADA = {"A.CONLL": "Ada B-PER\n", "A.JSON": '[\n{"text": "Ada", "label": [[0, 3, "PER"]]}\n]'}


@pytest.mark.parametrize("name", ROWS_OF_ADA)
def test_the_case_of_an_ending_says_nothing(tmp_path, name) -> None:
    assert _spans(_read(tmp_path / name, ROWS_OF_ADA[name])[0]) == [(0, 3, "Ada", "per")]


@pytest.mark.parametrize(("start", "end"), [(5, 9), (6, 10)])  # in characters, and in UTF-16 units
def test_label_studio_may_count_an_emoji_as_one_or_as_two(tmp_path, start, end) -> None:
    value = {"start": start, "end": end, "text": "Rome", "labels": ["city"]}
    task = {"data": {"text": "😀 in Rome, in Rome"}, "annotations": [{"result": [{"value": value}]}]}
    (found,) = _read(tmp_path / "a.json", json.dumps([task]))
    assert _spans(found) == [(5, 9, "Rome", "city")]


def test_a_label_studio_region_that_is_not_its_text_is_named(tmp_path) -> None:
    task = _task()
    task["annotations"][0]["result"][0]["value"]["start"] = 6
    assert "'Rome' is not at [6:11]" in _error(tmp_path / "a.json", json.dumps([task]))


def test_rows_of_spacy_give_their_entities(tmp_path) -> None:
    row = {"text": "Ada in Rome", "ents": [{"start": 7, "end": 11, "label": "GPE"}], "tokens": []}
    (found,) = _read(tmp_path / "a.jsonl", json.dumps(row) + "\n")
    assert _spans(found) == [(7, 11, "Rome", "gpe")]


@pytest.mark.parametrize(
    ("text", "entities", "places"),
    [
        ("Romania and Roma", [("Roma", "city")], [(12, 16, "city")]),  # not the Roma of Romania
        ("Roma, Roma", [("Roma", "city"), ("Roma", "team")], [(0, 4, "city"), (6, 10, "team")]),
        ("Roma", [("Roma", "city"), ("Roma", "team")], [(0, 4, "city"), (0, 4, "team")]),
        ("Roma", [("Roma", "city"), ("Roma", "city")], [(0, 4, "city")]),  # listed more often than it occurs
    ],
)
def test_gold_without_offsets_is_grounded_as_an_answer_is(tmp_path, text, entities, places) -> None:
    row = {"text": text, "entities": [{"text": name, "label": label} for name, label in entities]}
    (found,) = _read(tmp_path / "a.jsonl", json.dumps(row))
    assert [(start, end, label) for start, end, _, label in _spans(found)] == places


# Datasets of libraries


def test_a_saved_dataset_of_numbered_tags_has_the_schema_of_their_names(tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    features = datasets.Features(
        tokens=datasets.List(datasets.Value("string")), ner_tags=datasets.List(datasets.ClassLabel(names=names))
    )
    rows = [{"tokens": ["Ada", "Byron", "ran"], "ner_tags": [1, 2, 0]}, {"tokens": ["Rome"], "ner_tags": [4]}]
    splits = {
        "train": datasets.Dataset.from_list(rows, features=features),
        "validation": datasets.Dataset.from_list(rows[:1], features=features),
    }
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "conll"))

    (found,) = load([str(tmp_path / "conll")], training=False)
    assert (found.sentence, found.schema, _spans(found)) == (
        "Ada Byron ran",
        ("loc", "per"),
        [(0, 9, "Ada Byron", "per")],
    )
    assert (found.source, found.uid) == ("conll", "conll/validation:1")
    said = r"train, row 2: token 1: I-LOC cannot follow the beginning \(the tags are IOB2\)"
    with pytest.raises(DataError, match=said):
        load([str(tmp_path / "conll")], training=True)


def test_a_saved_dataset_may_have_tags_as_text(tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_list([{"tokens": ["in", "Rome"], "ner_tags": ["O", "S-LOC"]}])
    dataset.save_to_disk(str(tmp_path / "tags"))
    (found,) = load([str(tmp_path / "tags")], training=True)
    assert (_spans(found), found.schema, found.source) == ([(3, 7, "Rome", "loc")], ("loc",), "tags")


def test_a_tag_number_without_a_name_is_an_error(tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([{"tokens": ["Rome"], "ner_tags": [3]}]).save_to_disk(str(tmp_path / "numbers"))
    with pytest.raises(DataError, match=r"numbers, row 1: tags are numbers without names: .*--labels"):
        load([str(tmp_path / "numbers")], training=True)


def test_fields_that_arrow_fills_with_none_are_absent(tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    entities = [{"text": "Ada", "label": "person"}, {"text": "Ada", "label": "person", "start": 8, "end": 11}]
    rows = [{"sentence": "Ada saw Ada", "entities": [entity]} for entity in entities]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "rows"))
    first, second = load([str(tmp_path / "rows")], training=True)
    assert (_spans(first), _spans(second)) == ([(0, 3, "Ada", "person")], [(8, 11, "Ada", "person")])


def test_a_docbin_gives_its_entities(tmp_path) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed (it is optional)")
    from spacy.tokens import DocBin  # pyright: ignore[reportMissingImports]

    document = spacy.blank("en")("Ada in Rome.")
    document.ents = [document.char_span(7, 11, label="GPE")]
    DocBin(docs=[document]).to_disk(tmp_path / "train.spacy")
    (found,) = load([str(tmp_path / "train.spacy")], training=True)
    assert (found.sentence, _spans(found)) == ("Ada in Rome.", [(7, 11, "Rome", "gpe")])


def test_a_docbin_without_spacy_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy.tokens", None)
    (tmp_path / "train.spacy").write_bytes(b"")
    with pytest.raises(DataError, match=r"train\.spacy: .*`pip install spacy`, or export it as JSON"):
        load([str(tmp_path / "train.spacy")], training=True)


def test_reading_formats_loads_no_library_that_is_not_needed() -> None:
    program = "import sys, rnr.corpus.loading; print([name for name in ('datasets', 'spacy') if name in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True).stdout == "[]\n"


# Writing


WRITTEN = {
    "jsonl": '{"sentence": "Ada Byron, in St. Ives", "schema": ["person", "place"], "entities": '
    '[{"text": "Ada Byron", "label": "person", "start": 0, "end": 9}, '
    '{"text": "St. Ives", "label": "place", "start": 14, "end": 22}], "dataset": "mine"}\n',
    "ner-cot": '{"guid": "mine/train:1", "dataset": "mine", "sentence": "Ada Byron, in St. Ives", '
    '"schema": ["person", "place"], "cot": "", "entities": '
    '[{"text": "Ada Byron", "label": "person", "start": 0, "end": 9}, '
    '{"text": "St. Ives", "label": "place", "start": 14, "end": 22}]}\n',
    "doccano": '{"text": "Ada Byron, in St. Ives", "label": [[0, 9, "person"], [14, 22, "place"]], '
    '"dataset": "mine"}\n',
    "spacy-json": '{"text": "Ada Byron, in St. Ives", "ents": [{"start": 0, "end": 9, "label": "person"}, '
    '{"start": 14, "end": 22, "label": "place"}], "dataset": "mine"}\n',
    "conll": "# text = Ada Byron, in St. Ives\nAda\tB-person\nByron\tI-person\n,\tO\nin\tO\n"
    "St\tB-place\n.\tI-place\nIves\tI-place\n\n",
    "iobes": "# text = Ada Byron, in St. Ives\nAda\tB-person\nByron\tE-person\n,\tO\nin\tO\n"
    "St\tB-place\n.\tI-place\nIves\tE-place\n\n",
}


@pytest.mark.parametrize("form", WRITTEN)
def test_a_sentence_is_written_as_it_was_worked_out_by_hand(tmp_path, form) -> None:
    out = tmp_path / f"out{FORMATS[form].suffixes[0]}"
    write([ADA], out, form)
    assert out.read_text(encoding="utf-8") == WRITTEN[form]


def test_label_studio_tasks_are_written_with_their_regions(tmp_path) -> None:
    write([ADA], tmp_path / "a.json", "label-studio")
    (task,) = json.loads((tmp_path / "a.json").read_text())
    assert task["data"] == {"text": "Ada Byron, in St. Ives", "dataset": "mine"}
    assert task["annotations"][0]["result"][1] == {
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 14, "end": 22, "text": "St. Ives", "labels": ["place"]},
    }


def test_splits_of_an_instructuie_folder_share_one_list_of_labels(tmp_path) -> None:
    write([ADA], tmp_path / "set" / "train.json", "instructuie")
    write([replace(ADA, schema=("person", "place", "river"))], tmp_path / "set" / "test.json", "instructuie")
    assert json.loads((tmp_path / "set" / "labels.json").read_text()) == ["person", "place", "river"]
    assert load([str(tmp_path / "set")], training=True)[0].schema == ("person", "place")
    assert load([str(tmp_path / "set")], training=False)[0].schema == ("person", "place", "river")
    row = json.loads((tmp_path / "set" / "train.json").read_text())[0]
    assert row["entities"][0] == {"name": "Ada Byron", "type": "person", "pos": [0, 9]}


def test_a_mention_inside_a_word_cuts_it_so_that_no_offset_is_lost(tmp_path) -> None:
    write([_example("anti-Roman", (5, 9, "place"))], tmp_path / "a.conll", "conll")
    assert (tmp_path / "a.conll").read_text() == "# text = anti-Roman\nanti\tO\n-\tO\nRoma\tB-place\nn\tO\n\n"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (_example("St. Ives", (0, 8, "place"), (4, 8, "person")), "hold 'St. Ives' and 'Ives', which overlap"),
        (_example("Ada", (0, 3, "place"), (0, 3, "person")), "hold 'Ada' and 'Ada', which overlap"),
        (_example("Ada ran", (0, 4, "person")), "'Ada ' begins or ends with white space"),
        (_example("Ada\nran", (0, 3, "person")), "a line break"),
    ],
)
def test_what_a_column_file_cannot_hold_is_named_by_uid_and_leaves_no_file(tmp_path, bad, said) -> None:
    with pytest.raises(ValueError, match=r"mine/train:1: .*" + said.replace(".", r"\.")):
        write([ADA, bad], tmp_path / "a.conll", "conll")
    assert not (tmp_path / "a.conll").exists()


def test_nothing_is_overwritten_and_no_file_gets_an_ending_that_reads_as_something_else(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        write([ADA], tmp_path / "a.jsonl", "jsonl")
    assert (tmp_path / "a.jsonl").read_text() == "mine"
    with pytest.raises(ValueError, match=r"a\.txt: jsonl goes to a file that ends in \.jsonl"):
        write([ADA], tmp_path / "a.txt", "jsonl")


# Round trips

_labels = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=6).map(label_key)
_labels = _labels.filter(lambda label: bool(label) and label == label_key(label))
_sentences = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=30).filter(str.strip)


def _trimmed(sentence: str, start: int, end: int, label: str) -> tuple[int, int, str]:
    """White space at the ends of a mention is not read as a part of it."""
    text = sentence[start:end]
    start += text.index(stripped(text))
    return start, start + len(stripped(text)), label


@st.composite
def _examples(draw: st.DrawFn) -> Example:
    sentence = draw(_sentences)
    schema = tuple(sorted(draw(st.sets(_labels, min_size=1, max_size=3))))
    places = st.tuples(st.integers(0, len(sentence) - 1), st.integers(1, len(sentence)), st.sampled_from(schema))
    drawn = {_trimmed(sentence, i, j, label) for i, j, label in draw(st.lists(places, max_size=4)) if i < j}
    spans = {(i, j, label) for i, j, label in drawn if i < j}
    ordered = sorted(spans, key=lambda span: (span[0], -span[1], span[2]))
    reasoning = draw(st.none() | st.text(min_size=1, max_size=5))
    guid = draw(st.sampled_from(["", "n-7"]))
    return replace(_example(sentence, *ordered, schema=schema), reasoning=reasoning, guid=guid)


def _flat(one: Example) -> Example:
    """The sentence on one line with the mentions that a column file can hold."""
    sentence = one.sentence.replace("\n", " ").replace("\r", " ")
    end = 0
    kept: list[Mention] = []
    for mention in one.mentions:
        text = sentence[mention.start : mention.end]
        if mention.start >= end and text == stripped(text):
            kept.append(replace(mention, text=text))
            end = mention.end
    return replace(one, sentence=sentence, mentions=tuple(kept))


def _check_round_trip(folder: Path, form: str, examples: list[Example]) -> None:
    out = folder / f"train{next(iter(FORMATS[form].suffixes), '')}"
    write(examples, out, form)
    back = load([str(out)], training=True, options=AS_THEY_ARE)
    assert [(one.sentence, _spans(one)) for one in back] == [(one.sentence, _spans(one)) for one in examples]
    if form in ("jsonl", "ner-cot", "instructuie", "hf", "parquet", "gliner"):
        assert [one.schema for one in back] == [one.schema for one in examples]
    if form in ("jsonl", "ner-cot", "hf", "parquet"):
        assert [one.reasoning for one in back] == [one.reasoning for one in examples]
    if form not in ("conll", "iobes", "brat"):
        assert [one.source for one in back] == [one.source for one in examples]
        # In NER-CoT a row without a name is given its uid.
        named = [one.guid or one.uid * (form == "ner-cot") for one in examples]
        assert [one.guid for one in back] == named


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in ("hf", "brat")])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_examples(), min_size=1, max_size=3))
@example([_example("\ufeff# text = Ada\t,", (11, 13, "person"))])
@example([_example("-DOCSTART- Ada", (0, 10, "person")), _example(" Ada\u2028Bo ", (1, 4, "person"), (5, 7, "place"))])
def test_what_was_written_comes_back(tmp_path_factory, form, examples) -> None:
    columns = form in ("conll", "iobes", "gliner")
    examples = [_flat(one) for one in examples] if columns else examples
    if not any(one.mentions for one in examples):
        examples = [*examples, ADA]  # labels of a format without schema come from its mentions
    _check_round_trip(tmp_path_factory.mktemp(form), form, examples)


def test_a_hugging_face_dataset_comes_back(tmp_path) -> None:
    pytest.importorskip("datasets")
    empty = _example("Nobody came", schema=("person",))
    _check_round_trip(tmp_path, "hf", [empty, replace(ADA, reasoning="Ada is a person.")])
    (tmp_path / "empty").mkdir()
    _check_round_trip(tmp_path / "empty", "hf", [empty])


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the shared data sets are not at {SHARED}")
@pytest.mark.parametrize("form", ["instructuie", "conll", "iobes", "label-studio"])
def test_real_sentences_come_back(tmp_path, form) -> None:
    examples = load([str(SHARED / "train" / "WNUT17"), str(SHARED / "train" / "FabNER")], training=True)
    _check_round_trip(tmp_path, form, examples)


@pytest.mark.parametrize("name", ["big.jsonl", "big.jsonl.gz", "big.conll"])
def test_a_terminal_sees_how_far_a_large_file_is_read_and_reads_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = "".join(f"Ada\tB-person\nwrote\tO\nnumber{place}\tO\n\n" for place in range(50))
    row = {"text": "Ada wrote", "entities": [{"start": 0, "end": 3, "label": "person"}]}
    text = columns if name.endswith("conll") else f"{json.dumps(row)}\n" * 50
    file = tmp_path / name
    with gzip.open(file, "wt") if name.endswith("gz") else file.open("w") as stream:
        stream.write(text)
    plain = loading.load([str(file)], training=True)
    assert "%" not in capsys.readouterr().err
    monkeypatch.setattr(opening, "BAR_FROM", 1)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert loading.load([str(file)], training=True) == plain
    assert len(plain) == 50
    assert name in capsys.readouterr().err
