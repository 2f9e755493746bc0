"""Exports and folders that could not be read, or only in part, and the messages about them."""

import json

import pytest

from rnr.corpus.formats.entities.span_lists import PAIRS
from rnr.corpus.formats.folders import UNLIKE
from rnr.corpus.formats.rows import DataError
from rnr.corpus.loading import load, stream
from rnr.corpus.report import Reading
from tests.reading_files import ADA, BO, ROW, read, written

_PIECES = [{"text": "Ada", "entity": "PER"}, {"text": " ran"}]
_PIPELINE = {"entity_group": "PER", "score": 0.9, "word": "Ada", "start": 0, "end": 3}
_GOOGLE = [{"name": "Ada", "mentions": [{"text": {"content": "Ada"}}]}]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"data": _PIECES}, "a phrase in pieces (Snips, Dialogflow)"),
        ({"Ask": [{"data": _PIECES}]}, "a phrase in pieces (Snips, Dialogflow)"),
        ({"name": "x", "trainingPhrases": [{"parts": _PIECES}]}, "an intent of Dialogflow"),
        (
            {"projectFileVersion": "1", "assets": {"utterances": [{"text": "Ada ran"}]}},
            "a project of Azure's conversations, which is not read: write each of its 'utterances' as a row",
        ),
        (
            {"source-ref": "s3://x/a.txt", "ner": {"annotations": {"entities": []}}},
            "a manifest of SageMaker whose text is in another file",
        ),
        (
            {"document": {"content": "Ada ran"}, "entities": _GOOGLE},
            "Natural Language service with its document",
        ),
        ([_PIPELINE], "what a pipeline of transformers gives"),
        ([[_PIPELINE]], "what a pipeline of transformers gives"),
        ({"text": "Ada ran", "annotation_sets": {"": {"annotations": []}}}, "a document of gatenlp"),
        ({"@context": "x", "@graph": []}, "RDF as JSON-LD"),
        ({"Contributors": ["x"], "Instances": []}, "a task of InstructUIE"),
        ({"input": "Ada ran", "output": {"relations": [{}]}}, "a row of GLiNER2 without entities"),
        ({"text": "Ada ran", "label": ["sport", "news"]}, "'label' lists texts alone ('sport', 'news')"),
        ({"sentence": ["Ada", "ran"], "labels": [1, 0]}, "call a list of words 'tokens'"),
        ({"Text": "Ada ran", "Entities": []}, "call 'Text' 'text'"),
        ({"cells": [{"cell_type": "code", "source": []}], "nbformat": 4}, "a Jupyter notebook"),
        (
            {"data": {"train": {"rows": [{"text": "Ada ran", "entities": []}]}}},
            "are its rows those of 'data.train.rows'?",
        ),
        ({"n": 2, "sets": {"train": [{"tokens": ["Ada"]}]}}, "are its rows those of 'sets.train'?"),
        (
            {"annotation_id": "T4", "start": 8, "stop": 9, "entity": "x", "entity_type": "DATE", "document_id": "d"},
            "a table with an entity a row, without the texts that these are in",
        ),
        ({"begin": 8, "end": 9, "label": "DATE"}, "a table with an entity a row, without the texts"),
        (
            {"ids": ["0"], "task_id": "x", "scorer_cls": "x", "labels": "[\n]", "text": "# The following lines"},
            "GoLLIE's rows",
        ),
        (
            {"path": "a", "outputs": {"annotation": {"T": [""]}}, "content": "Ada ran"},
            "a project of Colabeler",
        ),
        ({"content": "Ada ran", "made": 1}, "the row has: content, made\n"),
        ({"text": "使{{product_name:赛飞利}}的"}, "names seem to be marked inside its text ({{product_name:赛飞利}})"),
        (
            {"text": "Ada ran", "entities": [{"entity": "PER", "index": 1, "word": "Ada", "start": 0, "end": 3}]},
            "is a piece of a word (PER), as a pipeline gives it",
        ),
    ],
)
def test_exports_that_are_not_read_are_named_with_the_way_out(tmp_path, value, said) -> None:
    found, problems, _ = read(written(tmp_path / "a.json", json.dumps(value)))
    assert (found, said in f"{problems}\n") == ([], True), problems


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.nt", "<a> <b> <c> .\n", "RDF"),
        ("a.jsonld", "{}", "RDF"),
        ("a.txt", "<TEI xmlns='x'>\n</TEI>\n", "XML (TEI"),
        ("a.xml.gz.txt", "<GateDocument>\n", "XML (TEI"),
        ("a.json", "train:\n  - text: Ada ran\n", "this looks like YAML: convert it to JSON"),
        ("a.json", "- text: Ada ran\n  entities: []\n", "this looks like YAML: convert it to JSON"),
        ("a.json", 'version: "3.1"\nnlu:\n- intent: x\n', "this looks like YAML: convert it to JSON"),
        ("a.json", "[data]\nname = 3\n", "this looks like TOML: convert it to JSON"),
        ("a.json", "Ada B-PER\nran O\n", "give its name the ending .conll"),
        ("a.jsonl", "Ada\tB-PER\nran\tO\n", "tabs divide it: give its name the ending .tsv, or .conll"),
        ("a.json", "text,entities\n", "commas divide it: give its name the ending .csv"),
        ("a.json", "Here is what you asked for:\n[]\n", "these are words, which are no value"),
        ("a.tsv", "token\ttag\nAda\tB-PER\nran\tO\n\ntoken\ttag\nBo\tB-PER\n", "columns are repeated here"),
        (
            "a.tsv",
            "token\ttag\nAda\tPER\nran\tO\n\ntoken\ttag\nBo\tPER\n",
            "line 5: the names of",
        ),
        ("a.csv", "sentence_id,word,ner\n1,Ada,PER\n1,ran,O\nsentence_id,word,ner\n2,Bo,PER\n", "line 4: the names of"),
        ("a.csv", "sentence_id,word,ner\n1,Ada,B-PER\n1,ran,O\nsentence_id,word,ner\n2,Bo,B-PER\n", "repeated here"),
        ("a.csv", "Ada ran,\"[[0, 3, 'PER']]\"\nBo sat,\"[[0, 2, 'PER']]\"\n", "the first line names no columns"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, name, content, said) -> None:
    assert said in read(written(tmp_path / name, content))[1]


def test_json_that_is_cut_off_is_not_taken_for_another_format(tmp_path) -> None:
    problems = read(written(tmp_path / "a.json", '{"text":\t"Ada ran"'))[1]
    assert problems.endswith("a.json, line 1: not valid JSON: Expecting ',' delimiter at column 19")
    problems = read(written(tmp_path / "b.jsonl", '{"text": "Ada ran'))[1]
    assert "b.jsonl, row 1: not valid JSON: Unterminated string at column 10; " in problems
    problems = read(written(tmp_path / "c.jsonl", '{"text": "Ada\tran"}'))[1]
    assert "c.jsonl, row 1: not valid JSON: Invalid control character at column 14" in problems


def test_an_utterance_of_wit_and_a_document_of_stanza_are_read(tmp_path) -> None:
    utterance = {"text": "Ada ran", "intent": "x", "entities": [{"entity": "PER", "start": 0, "end": 3, "body": "Ada"}]}
    document = {
        "text": "Ada ran",
        "sentences": [{"tokens": [{"text": "Ada"}]}],
        "ents": [{"text": "Ada", "type": "PER", "start_char": 0, "end_char": 3}],
    }
    assert read(written(tmp_path / "a.json", json.dumps([utterance, document])))[:2] == ([ADA, ADA], "")


@pytest.mark.parametrize("entities", [[{"PER": "Ada"}], [{"Ada": "PER"}], {"PER": "Ada"}, {"Ada": "PER"}])
def test_a_name_and_its_label_alone_are_a_pair(tmp_path, entities) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": entities}]))
    assert (found, problems) == ([ADA], "")
    assert PAIRS in notes


def test_entities_under_their_numbers_are_read(tmp_path) -> None:
    row = {"text": "Ada ran", "entities": {"0": {"text": "Ada", "label": "PER", "start": 0, "end": 3}}}
    assert read(written(tmp_path / "a.jsonl", [row])) == ([ADA], "", "")


def test_a_folder_for_each_split_with_one_file_in_it_is_a_data_set(tmp_path) -> None:
    written(tmp_path / "set/train/data.jsonl", [ROW])
    written(tmp_path / "set/test/data.jsonl", [{"text": "Bo sat", "entities": [[0, 2, "PER"]]}])
    assert read(tmp_path / "set")[:2] == ([ADA, BO], "")
    written(tmp_path / "set/test/data.jsonl", "{broken")
    found, problems, _ = read(tmp_path / "set")
    assert (found, "test/data.jsonl, row 1: not valid JSON" in problems) == ([ADA], True)


def test_a_split_of_several_files_is_an_error_and_not_passed_over(tmp_path) -> None:
    for name in ("train/a.jsonl", "train/b.jsonl", "test/a.jsonl"):
        written(tmp_path / "set" / name, [ROW])
    found, problems, _ = read(tmp_path / "set")
    assert found == []
    assert f"train: this split lies in 2 files (a.jsonl, b.jsonl); name them all: '{tmp_path}/set/train/*'" in problems


@pytest.mark.parametrize("listed", [True, False])
def test_a_folder_called_as_a_split_names_no_data_set(tmp_path, listed) -> None:
    for split, name in (("train", "a" if listed else "train"), ("val", "b" if listed else "val")):
        written(tmp_path / f"set/{split}/{name}.jsonl", [ROW])
        if listed:
            written(tmp_path / f"set/{split}/labels.json", '["PER"]')
    path = str(tmp_path / "set")
    assert {load([path], training=training)[0].source for training in (True, False)} == {"set"}
    assert UNLIKE.partition("(")[0] not in read(tmp_path / "set")[2]


def test_splits_whose_files_have_unlike_names_are_named(tmp_path) -> None:
    for name in ("train/a.jsonl", "test/b.jsonl"):
        written(tmp_path / "set" / name, [ROW])
    assert f"{tmp_path / 'set'}: {UNLIKE.format('a, b')}" in read(tmp_path / "set")[2]


def test_folders_without_a_split_are_named_as_a_pattern(tmp_path) -> None:
    for name in ("de", "en"):
        written(tmp_path / f"set/{name}/train.jsonl", [ROW])
    assert f"all of them are '{tmp_path}/set/*'" in read(tmp_path / "set")[1]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("\U0001f600 Ada ran", "3 6", "--offsets utf16 reads them so"),
        ("Zo\u00eb met Ada", "9 12", "--offsets bytes reads them so"),
        ("Ada ran", "1 4", "was a byte order mark counted?"),
    ],
)
def test_brat_says_what_its_offsets_count(tmp_path, text, place, said) -> None:
    written(tmp_path / "a.txt", text)
    assert said in read(written(tmp_path / "a.ann", f"T1\tPER {place}\tAda\n"))[1]


def test_brat_is_read_with_offsets_in_other_units(tmp_path) -> None:
    written(tmp_path / "a.txt", "\U0001f600 Ada ran")
    file = written(tmp_path / "a.ann", "T1\tPER 3 6\tAda\n")
    assert read(file, offsets="utf16")[:2] == ([("\U0001f600 Ada ran", [("Ada", "PER")])], "")


def test_a_file_of_brat_without_its_text_does_not_spoil_its_folder(tmp_path) -> None:
    written(tmp_path / "b/a.txt", "Ada ran")
    written(tmp_path / "b/a.ann", "T1\tPER 0 3\tAda\n")
    written(tmp_path / "b/c.ann", "T1\tPER 0 3\tAda\n")
    found, problems, _ = read(tmp_path / "b")
    assert (found, "c.txt, the text that it annotates, is not beside it" in problems) == ([ADA], True)


def test_an_annotation_of_bioc_without_a_type_says_what_it_has(tmp_path) -> None:
    annotation = {"text": "Ada", "infons": {"NE": "PER"}, "locations": [{"offset": 0, "length": 3}]}
    passage = {"offset": 0, "text": "Ada ran", "annotations": [annotation]}
    file = written(tmp_path / "a.json", json.dumps({"documents": [{"id": "1", "passages": [passage]}]}))
    assert "'Ada' has no label in its infons, as 'type'; there is 'NE'" in read(file)[1]


def test_cells_behind_a_space_are_those_of_a_table(tmp_path) -> None:
    assert read(written(tmp_path / "a.csv", "text, entities\nAda ran, \"[[0, 3, 'PER']]\"\n"))[:2] == ([ADA], "")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("entity", ['0, 2, ""PER""', '{""start"": 0, ""end"": 2, ""label"": ""PER""}'])
def test_a_space_at_the_beginning_of_a_text_is_one_of_it_where_quotation_marks_open_cells(
    tmp_path, delimiter, entity
) -> None:
    listed = entity if entity.startswith("{") else f"[{entity}]"
    moved = listed.replace("2", "3").replace("0", "1")
    rows = (("id", "text", "entities"), ("1", "李明来了", f'"[{listed}]"'), ("2", " 王芳来了", f'"[{moved}]"'))
    table = "".join(f"{delimiter.join(cells)}\n" for cells in rows)
    found = read(written(tmp_path / "a.csv", table))[:2]
    assert found == ([("李明来了", [("李明", "PER")]), (" 王芳来了", [("王芳", "PER")])], "")


def test_a_text_that_begins_with_a_space_and_a_quotation_mark_opens_no_cell_behind_it(tmp_path) -> None:
    table = 'text,entities\n" ""Ada"" ran","[[2, 5, ""PER""]]"\n Bo sat,"[[1, 3, ""PER""]]"\n'
    assert read(written(tmp_path / "a.csv", table))[:2] == ([(' "Ada" ran', [("Ada", "PER")]), (" Bo sat", BO[1])], "")


def test_a_row_too_long_for_a_table_is_one_problem(tmp_path) -> None:
    table = f'text,entities\n{"x" * 200_000},[]\nAda ran,"[[0, 3, ""PER""]]"\n'
    found, problems, _ = read(written(tmp_path / "a.csv", table))
    assert found == [ADA]
    assert "line 2: field larger than field limit" in problems


def _webanno(layer: str, cells: str) -> str:
    return f"#FORMAT=WebAnno TSV 3.3\n#T_SP={layer}\n\n\n#Text=Ada ran\n1-1\t0-3\tAda\t{cells}\t\n1-2\t4-7\tran\t_\t\n"


def test_a_layer_of_parts_of_speech_is_no_layer_of_names(tmp_path) -> None:
    layer = "de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue"
    problems = read(written(tmp_path / "a.tsv", _webanno(layer, "NNP")))[1]
    assert "needs one layer of spans with the names; there are: de.tudarmstadt" in problems


def test_further_features_of_a_layer_are_named(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", _webanno("webanno.custom.Ent|Kind|Note", "PER\tx")))
    assert (found, problems) == ([ADA], "")
    assert "labels of webanno.custom.Ent are its 'Kind'; its other features are not read (Note)" in notes


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", 'text,entities\nAda ran,“[[0, 3, "PER"]]”\n', "a.csv: line 2: ',' expected after"),
        ("a.csv", "text,entity,label\nAda ran,Ada,PER\n", "does each row hold one entity?"),
        ("a.json", "[" + json.dumps(ROW) + "]\n\nLet me know!", "there is a whole list where one row is expected"),
        ("a.json", "Here is it:\n" + json.dumps([ROW]), "these are words, which are no value"),
        ("a.jsonl", "<doc>Ada</doc>\n", "this is XML or HTML"),
    ],
)
def test_what_stands_around_the_data_is_named(tmp_path, name, content, said) -> None:
    found, problems, _ = read(written(tmp_path / name, content))
    assert found == []
    assert said in problems


def test_the_annotations_of_comprehend_in_a_table_are_named(tmp_path) -> None:
    table = "File,Line,Begin Offset,End Offset,Type\na.txt,0,0,3,PER\n"
    assert "the annotations of Amazon Comprehend, whose texts" in read(written(tmp_path / "a.csv", table))[1]


@pytest.mark.parametrize("cell", ["['Ada' 'ran']", "['Ada'\n 'ran']", "['Ada' \"can't\" 'ran']", "['Ada' ... 'ran']"])
def test_a_list_as_numpy_shows_it_says_how_it_is_made_one(tmp_path, cell) -> None:
    said = "'tokens' must be a list of words, found "
    for file in (
        written(tmp_path / "a.csv", 'tokens,ner_tags\n"{}","[1 0]"\n'.format(cell.replace('"', '""'))),
        written(tmp_path / "a.jsonl", [{"tokens": cell, "ner_tags": "[1 0]"}]),
    ):
        problems = read(file)[1]
        assert said in problems
        assert "this is how NumPy shows an array: `.tolist()`" in problems


def test_tags_as_numpy_shows_them_say_so(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran"], "ner_tags": "[1 0]"}
    assert "found '[1 0]'; this is how NumPy shows an array" in read(written(tmp_path / "a.jsonl", [row]))[1]


def test_one_row_of_gliner_with_texts_for_places_is_no_table(tmp_path) -> None:
    row = {"tokenized_text": ["Ada", "ran", "home"], "ner": [["Ada", "PER"]]}
    said = "an entity must be [first token, last token, label], found ['Ada', 'PER']"
    assert said in read(written(tmp_path / "a.json", json.dumps(row)))[1]


def test_a_column_of_tokenized_texts_is_one_of_sentences(tmp_path) -> None:
    table = {"tokenized_text": [["Ada", "ran"], ["Bo", "sat"]], "ner": [[[0, 0, "PER"]], [[0, 0, "PER"]]]}
    assert read(written(tmp_path / "a.json", json.dumps(table)))[:2] == ([ADA, BO], "")


def test_lists_of_spacys_tuples_inside_an_object_are_rows(tmp_path) -> None:
    ada, bo = ["Ada ran", {"entities": [[0, 3, "PER"]]}], ["Bo sat", {"entities": [[0, 2, "PER"]]}]
    file = tmp_path / "a.json"
    assert read(written(file, json.dumps({"train": [ada, bo]})))[:2] == ([ADA, BO], "")
    problems = read(written(file, json.dumps({"train": [ada], "test": [bo]})))[1]
    assert "an object with several lists of rows (train, test); write a file for each" in problems


@pytest.mark.parametrize("names", [["PER", "LOC"], {"PER": 1, "LOC": 2}])
def test_labels_without_o_are_no_names_of_the_numbers_of_tags(tmp_path, names) -> None:
    written(tmp_path / "labels.json", json.dumps(names))
    rows = [{"tokens": ["Ada", "ran"], "ner_tags": [1, 0]}]
    problems = read(written(tmp_path / "a.jsonl", rows))[1]
    assert "tags are numbers, and there is no O among their names (PER, LOC)" in problems


@pytest.mark.parametrize("names", [["B-PER", "I-PER", "_"], ["B_PER", "O"], ["X-B", "X-I", "O", "PER-B"]])
def test_names_of_tags_in_any_spelling_are_names_of_their_numbers(tmp_path, names) -> None:
    rows = [{"tokens": ["Ada", "ran"], "ner_tags": [0, len(names) - 1]}]
    assert "there is no O among their names" not in read(written(tmp_path / "a.jsonl", rows), labels=names)[1]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"sentence_id": 1, "word": "Ada", "tag": "B-PER"}, "a table with a word a row"),
        ({"text": "Ada ran", "start": 0, "end": 3, "label": "PER"}, "a table with an entity a row"),
    ],
)
def test_a_table_with_a_part_of_a_sentence_a_row_is_told_once(tmp_path, row, what) -> None:
    problems = read(written(tmp_path / "a.jsonl", [row] * 400))[1].splitlines()
    assert f"row 1: this looks like {what}, which is not read: " in problems[0]
    assert problems[1:] == [f"{tmp_path / 'a.jsonl'}, row 400: up to this one 399 more rows of {what}"]
    assert len(read(written(tmp_path / "b.jsonl", [row]))[1].splitlines()) == 1


# What is missing, and what only seems to be


def test_a_schema_is_not_said_to_be_empty_where_the_rows_with_entities_were_refused(tmp_path, caplog) -> None:
    rows: list[object] = [{"text": "Ada ran", "entities": [[0, 30, "PER"]]}, {"text": "Bo sat", "entities": []}]
    file = written(tmp_path / "a.jsonl", rows)
    problems = read(file)[1]
    assert "row 1" in problems
    assert "schema is empty" not in problems
    for loaded in (
        lambda: load([str(file)], training=True),
        lambda: list(stream([str(file)], training=True, reading=Reading())),
    ):
        with pytest.raises(DataError, match="row 1"):
            loaded()
    said = "no readable row has an entity, and 1 row cannot be read"
    with pytest.raises(DataError, match="no usable sentence"):
        load([str(file)], training=True, skip_bad_rows=True)
    assert said in caplog.text
    with pytest.raises(DataError, match=said):
        list(stream([str(file)], training=True, reading=Reading(), skip_bad_rows=True))
    none = read(written(tmp_path / "b.jsonl", rows[1:]))[1]
    assert "the schema is empty, because no row has an entity: name its labels" in none


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ida,B-PER\nran,O\n\nBo,B-PER\n", "write 'word,tag' or the like above it"),
        ("0,Ida,B-PER\n0,ran,O\n1,Bo,B-PER\n", "write 'sentence_id,word,tag' or the like above it"),
        ("the,O,O\nIda,B-PER,O\n", "write 'sentence_id,word,tag' or the like above it"),
        ("Ida ran,B-PER O\nBo sat,B-PER O\n", "write 'text,tags' or the like above it"),
        ("Ida,B-PER\nBo sat,B-PER O\n", "write 'text,tags' or the like above it"),
    ],
)
def test_a_table_whose_first_line_has_tags_names_no_columns(tmp_path, text, said) -> None:
    found, problems, _ = read(written(tmp_path / "a.csv", text))
    assert found == []
    assert f"the first line names no columns; {said}" in problems
    assert "the same name" not in problems


def test_columns_between_tabs_that_are_called_csv_are_read(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.csv", "Ada\tB-PER\tO\nran\tO\tO\n\nBo\tB-PER\tO\nsat\tO\tO\n"))
    assert (found, problems) == ([ADA, BO], "")
    assert "the first lines name no columns and have tags, so the file was read as words and tags between tabs" in notes


@pytest.mark.parametrize("head", ["", "tweet_id\tstart_pos\tend_pos\tnamed_entity_type\n"])
def test_places_in_texts_that_are_elsewhere_are_no_words(tmp_path, head) -> None:
    rows = ["8548\t5\t9\tB-person", "8549\t1\t7\tB-person", "8550\t18\t23\tB-location", "8550\t24\t29\tI-location"]
    found, problems, _ = read(written(tmp_path / "a.tsv", head + "\n".join(rows) + "\n"))
    assert found == []
    assert "columns 1, 2, 3 hold numbers, and no column holds words" in problems
    pairs = "".join(row.partition("\t")[2] + "\n" for row in rows * 2)
    assert "columns 1, 2 hold numbers" in read(written(tmp_path / "b.tsv", pairs))[1]
    numbers = read(written(tmp_path / "c.tsv", "1984\t3\tB-WORK\n2001\t2\tB-WORK\n"))
    assert numbers[0] == [("1984 2001", [("1984", "WORK"), ("2001", "WORK")])]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('["all the [crime](tag) news", "more"]', "([crime](tag))"),
        ('"all the [crime](tag) news"\n', "([crime](tag))"),
        ('[["<PER>Ida</PER> ran"]]', "(<PER>Ida</PER>)"),
        ('{"data": ["@@Ida## ran"]}', "(@@Ida##)"),
    ],
)
def test_texts_alone_with_names_marked_inside_are_told_so(tmp_path, content, said) -> None:
    problems = read(written(tmp_path / "a.json", content))[1]
    assert f"a text alone, with names that seem to be marked inside it {said}: take them out and write" in problems


# Texts that are nearly columns


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "使{{product_name:赛飞利}}的品味\n", "names that seem to be marked inside the text ({{product_name"),
        ("a.anns", "[@Ida#PER*] ran to Oslo .\n", "names that seem to be marked inside the text ([@Ida#PER*])"),
        ("a.txt", "(S (PERSON Ida/NNP) ran/VBD)\n", "names that seem to be marked inside the text ((PERSON Ida/NNP))"),
        ("a.txt", "IL-2 gene ran\nNN NN VB\n0,2 G#DNA|0,1 G#protein\n", "spans of tokens below their sentence"),
        (
            "a.txt",
            "Ida B-PER\nof I-PER B-GPE\nran O\n",
            "line 2: 3 columns where most lines have 2; the word has several",
        ),
        ("a.tsv", "Ida\tB-PER\nof\tI-PER B-GPE\nran\tO\n", "found tag 'I-PER B-GPE'; the word has several tags"),
        ("a.tsv", "Ida\tB-PER\nof\tI-PER#B-GPE\nran\tO\n", "found tag 'I-PER#B-GPE'; the word has several tags"),
        ("a.tsv", "Ida_Noor\tB-PER_I-PER\nran\tO\nBo\tB-PER\n", "found tag 'B-PER_I-PER'; the word has several tags"),
        ("a.tsv", "in_Oslo\tO_O\nIda\tB-PER\nran\tO\n", "found tag 'O_O'; the word has several tags"),
        ("a.tsv", "Ida ran\tB-PER 0\n", "several tags are in a cell (B-PER 0): write O for '0'"),
        ("a.tsv", "Ida ran\tB-PER Other\nBo sat\tB-PER Other\n", "(B-PER Other): write O for 'Other'"),
        ("a.tsv", "text\tlabels\nHe ran\t0 0\nBo sat\tB-PER 0\n", "(B-PER 0): write O for '0'"),
        ("a.csv", "text,labels\nBo sat,B-PER 0\nHe ran,0 0\n", "(B-PER 0): write O for '0'"),
    ],
)
def test_texts_that_are_nearly_columns_say_what_they_are(tmp_path, name, content, said) -> None:
    assert said in read(written(tmp_path / name, content))[1]


# Lines in which no column holds tags


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "text\tstart\tend\tlabel\nIda left Oslo\t0\t3\tPER\n",
            "does each row hold one entity? Then write",
        ),
        ("doc\tmark\tlabel\toff0\toff1\tspan\nd1\tT1\tX\t10\t14\tasma\n", "does each row hold one entity? Then write"),
        (
            "7\tIda left Oslo\tB-PER O B-LOC\n9\tBo ran\tB-PER O\n",
            "column 3 has the tags of a whole sentence (B-PER O B-LOC)",
        ),
        ("1\tPER/Ida;LOC/Oslo;\tIda in Oslo\n2\t\tnothing\n", "column 2 seems to hold names with their labels"),
        (
            "Ida\tB-PER\nran\t\nto\t\n\nOslo\tB-LOC\nfell\n",
            "some lines have a tag after a tab (B-PER), and the others nothing",
        ),
        ("EU\tB\tEU\t--NME--\nrejects\ncall\n.\n", "some lines have a tag after a tab (B), and the others nothing"),
        ("Ida/B-PER\nran/O\n1/2/O\n", "each line seems to have '/' between a token and its tag (Ida/B-PER)"),
        ("Ida\\B-PER\nran\\O\n", r"`sed -E 's|(.*)\\|\1\t|'`"),
        ("Ida=B-PER\nran=O\n", "each line seems to have '='"),
    ],
)
def test_lines_without_a_column_of_tags_say_what_they_look_like(tmp_path, lines, said) -> None:
    found, problems, _ = read(written(tmp_path / "a.tsv", lines))
    assert found == []
    assert said in problems


def test_a_mark_above_columns_that_are_called_csv_ends_no_table(tmp_path) -> None:
    text = "<HEADLINE>\nAda\tB-PER\nran\tO\n\n<BODY>\nBo\tB-PER\nsat\tO\n\n<HEADLINE>\nBo\tB-PER\nsat\tO\n<BODY>\n"
    found, problems, notes = read(written(tmp_path / "a.csv", text))
    assert (found, problems) == ([ADA, BO, BO], "")
    assert "the first lines name no columns" in notes
