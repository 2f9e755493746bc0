"""Files that were once read as something else without a word: each is read as it was meant, noted, or refused."""

import json
from pathlib import Path

import pytest

from rnr.corpus.formats.doubtful import ESCAPES, PIECES
from rnr.corpus.formats.entities.beside import INSIDE
from rnr.corpus.formats.folders import NOT_READ
from rnr.corpus.formats.tags.reading import OTHER_TEXT
from rnr.corpus.formats.writing import write
from rnr.corpus.loading import load
from rnr.types import Example, Mention
from tests.reading_files import ADA, BO, ROW, read, written

# Which column the words are


@pytest.mark.parametrize("before", ["d1.txt", "0.93", "7"])
def test_names_of_documents_and_numbers_before_the_words_are_no_words(tmp_path, before) -> None:
    lines = "".join(
        f"{before}\t{line}\n" if line else "\n" for line in ("Ada\tB-PER", "ran\tO", "", "Bo\tB-PER", "sat\tO")
    )
    found, problems, notes = read(written(tmp_path / "a.tsv", lines))
    assert (found, problems) == ([ADA, BO], "")
    assert "column 2 is read as the words" in notes


def test_offsets_before_the_words_are_no_words(tmp_path) -> None:
    lines = "0\t3\tAda\tB-PER\n4\t7\tran\tO\n\n8\t10\tBo\tB-PER\n11\t14\tsat\tO\n"
    assert read(written(tmp_path / "a.tsv", lines))[:2] == ([ADA, BO], "")


def test_sentences_that_are_told_by_names_alone_are_refused(tmp_path) -> None:
    lines = "s1\tAda\tB-PER\ns1\tran\tO\ns2\tBo\tB-PER\ns2\tsat\tO\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", lines))
    assert found == []
    assert "column 1 names the sentence or document of each word (s1, s2), and there is no blank line" in problems


def test_a_word_that_comes_again_and_again_is_a_word(tmp_path) -> None:
    assert read(written(tmp_path / "a.txt", "no O\nno O\nno B-X\nno O\n"))[0] == [("no no no no", [("no", "X")])]


# Rows


def test_annotations_that_stand_beside_the_passages_of_bioc_are_read(tmp_path) -> None:
    place = {"infons": {"type": "PER"}, "text": "Bo", "locations": [{"offset": 8, "length": 2}]}
    passages = [{"offset": 0, "text": "Ada ran"}, {"offset": 8, "text": "Bo sat", "annotations": []}]
    document = {"id": "1", "passages": passages, "annotations": [place]}
    file = written(tmp_path / "a.json", json.dumps({"documents": [document]}))
    assert read(file)[:2] == ([("Ada ran", []), BO], "")
    place["locations"] = [{"offset": 80, "length": 2}]
    assert "'Bo' at 80 is in none of its passages" in read(written(file, json.dumps({"documents": [document]})))[1]


def test_a_text_that_is_not_what_its_tokens_say_is_noted(tmp_path) -> None:
    tagged = {"text": "Ada ran home", "tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"]}
    gliner = {"text": "Ada ran home", "tokenized_text": ["Ada", "ran"], "ner": [[0, 0, "PER"]]}
    for name, row in (("a", tagged), ("b", gliner)):
        found, problems, notes = read(written(tmp_path / f"{name}.jsonl", [row]))
        assert (found, problems) == ([ADA], "")
        assert OTHER_TEXT in notes


@pytest.mark.parametrize(
    "entity", [{"start": 0, "end": 0, "type": "PER"}, {"start": 0, "end": 1, "type": "PER", "text": "Ada Lovelace"}]
)
def test_spans_of_tokens_with_inclusive_ends_are_named_and_read_where_it_is_said(tmp_path, entity) -> None:
    file = written(tmp_path / "a.jsonl", [{"tokens": ["Ada", "Lovelace", "ran"], "entities": [entity]}])
    found, problems, _ = read(file)
    assert found == []
    assert "it is where ends are inclusive: --offsets inclusive reads them so" in problems
    text = "Ada Lovelace" if entity["end"] else "Ada"
    assert read(file, offsets="inclusive")[:2] == ([("Ada Lovelace ran", [(text, "PER")])], "")


@pytest.mark.parametrize("none", ["[]", "{}"])
def test_an_answer_without_an_entity_is_a_sentence_without_a_mention(tmp_path, none) -> None:
    some = json.dumps([{"text": "Ada", "label": "PER"}])
    rows = [{"instruction": "Find", "input": "It ran", "output": none}, {"input": "Ada ran", "output": some}]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == ([("It ran", []), ADA], "")


def test_entities_inside_of_entities_are_counted(tmp_path) -> None:
    inner = [{"start": 0, "end": 3, "label": "FIRST"}]
    row = {"text": "Ada ran", "entities": [{"start": 0, "end": 3, "label": "PER", "nested": inner}]}
    found, _, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert found == [ADA]
    assert INSIDE in notes


@pytest.mark.parametrize("text", ["Zo\\u00eb ran", "Ada ran.\\nShe sat.", "Ada\\r\\nran"])
def test_a_text_that_was_written_as_json_twice_is_noted(tmp_path, text) -> None:
    assert ESCAPES in read(written(tmp_path / "a.jsonl", [{"text": text, "entities": [[0, 3, "PER"]]}]))[2]


def test_a_path_is_no_escape_and_brackets_are_no_marks_of_a_model(tmp_path) -> None:
    row = {"text": "Ada C:\\new\\table [1] <b2>", "entities": [[0, 3, "PER"]]}
    notes = read(written(tmp_path / "a.jsonl", [row]))[2]
    assert ESCAPES not in notes
    assert PIECES not in notes


# Files


def test_numbers_of_labels_of_spans_take_their_names_from_parquet(tmp_path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    names = {"names": ["PER", "LOC"], "_type": "ClassLabel"}
    features = {"entities": {"feature": {"start": {}, "end": {}, "label": names}, "_type": "Sequence"}}
    table = pyarrow.Table.from_pylist([{"text": "Ada ran", "entities": {"start": [0], "end": [3], "label": [0]}}])
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == ([ADA], "", "")


def test_json_over_several_lines_may_lie_in_a_textwritten(tmp_path) -> None:
    assert read(written(tmp_path / "a.txt", json.dumps([ROW], indent=2))) == ([ADA], "", "")


def test_a_folder_with_nothing_but_a_folder_is_that_folder(tmp_path) -> None:
    written(tmp_path / "mine" / "README.md", "# Mine")
    written(tmp_path / "mine" / "data" / "train-00000-of-00001.jsonl", [ROW])
    assert read(tmp_path / "mine")[:2] == ([ADA], "")


def test_files_beside_the_splits_of_a_folder_are_named(tmp_path) -> None:
    for name in ("train.jsonl", "other.jsonl", "labels.json"):
        written(tmp_path / "mine" / name, [ROW] if name.endswith("l") else '["PER"]')
    assert f"{tmp_path / 'mine' / 'other.jsonl'}: {NOT_READ}" in read(tmp_path / "mine")[2]
    assert len(load([str(tmp_path / "mine")], training=True)) == 1


def _laid(folder: Path, *names: str) -> None:
    """A folder with these files, each with a sentence of its own."""
    for number, name in enumerate(names):
        rows: dict[str, str | list[object]] = {".txt": "Ada ran", ".ann": "T1\tPER 0 3\tAda\n"}
        row = {"text": f"Ada ran {number}", "entities": [[0, 3, "PER"]]}
        written(folder / name, rows.get(Path(name).suffix, [row]))


@pytest.mark.parametrize(
    ("names", "unread"),
    [
        (("x.ann", "x.txt", "sub/y.ann", "sub/y.txt"), ("sub",)),
        (("x.ann", "x.txt", "meta.csv"), ("meta.csv",)),
        (("data.jsonl", "more/data2.jsonl"), ("more",)),
        (("train.jsonl", "a/train.jsonl", "b/c/d/e.conll"), ("a", "b")),
        (("train/a.jsonl", "train/more/b.jsonl", "test/a.jsonl", "c.xlsx"), ("train/more", "c.xlsx")),
        (("inner/data.jsonl", "inner/more/data2.jsonl"), ("inner/more",)),
        (
            ("train.jsonl", "test.jsonl", "train.jsonl.zip", "test.dat", "README.md", "train.py", "a/b.png"),
            ("train.jsonl.zip", "test.dat"),
        ),
    ],
)
def test_files_and_folders_of_data_that_are_not_read_are_named(tmp_path, names, unread) -> None:
    _laid(tmp_path / "mine", *names)
    found, problems, notes = read(tmp_path / "mine")
    assert (bool(found), problems) == (True, "")
    said = [line for line in notes.splitlines() if NOT_READ in line]
    assert sorted(said) == sorted(f"{tmp_path / 'mine' / name}: {NOT_READ}" for name in unread)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ("train.jsonl", "test.jsonl", "doc1.txt", "doc1.ann"),
            "brat's documents are beside test.jsonl, train.jsonl; ",
        ),
        (("x.txt", "x.ann", "train/y.txt", "train/y.ann"), "brat's documents are beside train; "),
        (("train.jsonl", "test.xlsx"), "the split test cannot be read: test.xlsx is a spreadsheet; "),
        (("train.jsonl", "dev.jsonl.zst"), "the split dev cannot be read: dev.jsonl.zst is compressed with zstd; "),
        (("train.jsonl", "dev.jsonl.bz2"), "the split dev cannot be read: dev.jsonl.bz2 is compressed with bzip2; "),
        (("train.jsonl", "test/a.xlsx"), "the split test cannot be read: test/a.xlsx is a spreadsheet; "),
    ],
)
def test_a_folder_of_several_formats_is_not_read_by_one_of_them(tmp_path, names, said) -> None:
    _laid(tmp_path / "mine", *names)
    found, problems, _ = read(tmp_path / "mine")
    assert (found, said in problems) == ([], True)


def test_documents_of_brat_may_be_called_as_splits(tmp_path) -> None:
    _laid(tmp_path / "mine", "train.txt", "train.ann", "test.txt", "test.ann")
    assert read(tmp_path / "mine")[:2] == ([ADA, ADA], "")


def test_a_folder_without_a_split_says_what_is_in_it(tmp_path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        written(tmp_path / "many" / name, [ROW])
    assert f"of a.jsonl, b.jsonl, or all of them by '{tmp_path}/many/*.jsonl'" in read(tmp_path / "many")[1]
    written(tmp_path / "conll" / "eng.train", "Ada B-PER\n")
    assert "; there are eng.train" in read(tmp_path / "conll")[1]


def test_a_label_that_would_read_as_two_tags_is_not_written_into_columns(tmp_path) -> None:
    mention = Mention(text="Ada", label="a|B-b", start=0, end=3)
    example = Example(uid="a:1", sentence="Ada ran", schema=("a|B-b",), mentions=(mention,), source="a")
    with pytest.raises(ValueError, match="a column file cannot hold the label"):
        write([example], tmp_path / "a.conll", "conll")


def test_a_comment_with_the_marks_of_pubtator_is_no_document(tmp_path) -> None:
    assert read(written(tmp_path / "a.txt", "# text = Ada|t|x\nAda\tB-PER\n|t|x\tO\n"))[1] == ""
