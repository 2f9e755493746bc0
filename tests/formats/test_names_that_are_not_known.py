"""Rows whose labels or sentences stand under names of which no reader has heard: read where there is one that is called
like it, else named."""

import pytest

from rnr.corpus.formats.rows import DataError
from rnr.corpus.loading import load
from tests.reading_files import read, written

TEXT = "Find teak in walnut."
TEAK = (TEXT, [("teak", "material")])
PLACE = {"start": 5, "end": 9}


@pytest.mark.parametrize("name", ["label_type", "tag_name", "labelType", "TagName", "class_name", "slot", "entity_cat"])
@pytest.mark.parametrize("field", ["entities", "annotations", "mentions", "spans"])
def test_a_label_may_stand_under_any_name_that_is_like_one(tmp_path, field, name) -> None:
    entity = PLACE | {name: "material", "overlap": 0, "tag_id": "T1", "label_color": "red"}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [{"content": TEXT, field: [entity]}]))
    assert (found, problems) == ([TEAK], "")
    assert f"entities have no label under a name that is known; {name!r} was read as it" in notes


def test_the_rows_of_ccks(tmp_path) -> None:
    row = {
        "originalText": "患者3月前因“直肠癌”于在我院",
        "entities": [{"label_type": "疾病和诊断", "overlap": 0, "start_pos": 7, "end_pos": 10}],
    }
    assert read(written(tmp_path / "a.txt", [row]))[0] == [(row["originalText"], [("直肠癌", "疾病和诊断")])]


def test_so_may_the_label_of_a_span_over_tokens(tmp_path) -> None:
    row = {"tokens": ["Find", "teak"], "entities": [{"start": 1, "end": 2, "tag_name": "material"}]}
    assert read(written(tmp_path / "a.jsonl", [row]))[0] == [("Find teak", [("teak", "material")])]


@pytest.mark.parametrize(
    ("entity", "said"),
    [
        ({"stuff": "material"}, "if it is 'stuff' ('material'), call it 'label'"),
        ({"x": "a", "y": "b"}, "if it is 'x' ('a') or 'y' ('b'), call it 'label'"),
        ({"label_type": "a", "tag_name": "b"}, "if it is 'label_type' ('a') or 'tag_name' ('b'), call it 'label'"),
    ],
)
@pytest.mark.parametrize(("field", "begin"), [("entities", "entities[0] has"), ("annotations", "its entities have")])
def test_a_field_that_may_be_the_label_is_named(tmp_path, field, begin, entity, said) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", [{"content": TEXT, field: [PLACE | entity]}]))
    assert found == []
    assert f"{begin} no label under a name that is known: {said}" in problems


def test_what_is_called_like_a_label_and_is_none_is_refused(tmp_path) -> None:
    row = {"text": TEXT, "entities": [PLACE | {"annotation_type": "span"}]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "by 'annotation_type', which was read, entities are all 'span', which seems to be no label" in problems


def test_a_row_whose_annotations_are_not_read_is_told_so_with_its_own_fields(tmp_path) -> None:
    row = {"id": 1, "content": TEXT, "annotations": [PLACE | {"code": 3}]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "'annotations' is not read, because what it holds is in no form that is known" in problems
    assert "the row has: id (a number), content (text), annotations (a list)" in problems
    assert "[]" not in problems
    without = read(written(tmp_path / "b.jsonl", [{"content": TEXT, "more": 1}]))[1]
    assert "without an entity it must be []; the row has: content, more" in without


@pytest.mark.parametrize("name", ["doc_text", "document_text", "sentenceText", "text_content", "abstract"])
def test_a_sentence_may_stand_under_any_name_that_is_like_one(tmp_path, name) -> None:
    entity = {"text": "teak", "label": "material", "start_offset": 5, "end_offset": 9}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [{"doc_id": "x", name: TEXT, "entities": [entity]}]))
    assert (found, problems) == ([TEAK], "")
    assert f"rows have no sentence under a name that is known; {name!r} was read as it" in notes


@pytest.mark.parametrize("texts", [{"body": TEXT}, {"text_a": TEXT, "text_b": TEXT}])
def test_a_text_that_may_be_the_sentence_is_named_and_entities_are_no_rows(tmp_path, texts) -> None:
    entity = {"text": "teak", "label": "material", "start_offset": 5, "end_offset": 9}
    problems = read(written(tmp_path / "a.jsonl", [texts | {"entities": [entity]}]))[1]
    assert f"if it is {' or '.join(map(repr, texts))}, call it 'text'" in problems
    assert "to a file of its own" not in problems


@pytest.mark.parametrize("name", ["ne", "ner_iob", "iob", "bio", "x"])
def test_the_only_list_of_tags_is_read_whatever_it_is_called(tmp_path, name) -> None:
    rows: list[object] = [
        {"tokens": ["Ida", "ran"], "pos": ["NNP", "VBD"], name: ["B-PER", "O"]},
        {"tokens": ["all", "ran"], "pos": ["DT", "VBD"], name: ["O", "O"]},
    ]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([("Ida ran", [("Ida", "PER")]), ("all ran", [])], "")
    assert f"tags are those of {name!r}, the only field with one for each token" in notes
    with_text = read(written(tmp_path / "b.jsonl", [{"text": "Ida ran", name: ["B_PER", "O"]}]))
    table = read(written(tmp_path / "c.csv", f"text,{name}\nIda ran,B-PER O\n"))
    for found, problems, notes in (with_text, table):
        assert (found, problems) == ([("Ida ran", [("Ida", "PER")])], "")
        assert f"tags are those of {name!r}" in notes


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"a": ["B-PER", "O"], "b": ["B-NP", "O"]}, "if they are 'a' or 'b', call it 'ner_tags'"),
        ({"a": ["B-PER"]}, "the row has: tokens (a list), a (a list)"),
        ({"a": ["NNP", "O"]}, "the row has: tokens (a list), a (a list)"),
    ],
)
def test_several_lists_of_tags_and_other_lists_are_not(tmp_path, beside, said) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", [{"tokens": ["Ida", "ran"]} | beside]))
    assert found == []
    assert said in problems


def test_spans_over_tokens_are_read_before_tags_of_an_unknown_name(tmp_path) -> None:
    row = {"tokens": ["Ida", "ran"], "iob": ["O", "O"], "entities": [{"start": 0, "end": 1, "type": "PER"}]}
    assert read(written(tmp_path / "a.jsonl", [row]))[0] == [("Ida ran", [("Ida", "PER")])]


def test_a_text_and_its_tags_may_both_stand_under_names_that_are_not_known(tmp_path) -> None:
    row = {"id": "a 7 b", "query": "Ida ran", "slots": ["B-PER", "O"]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Ida ran", [("Ida", "PER")])], "")
    assert "tags are those of 'slots'" in notes
    assert "rows have no sentence under a name that is known; 'query' was read as it" in notes
    two = read(written(tmp_path / "b.jsonl", [row | {"answer": "go on"}]))
    assert (two[0], "if it is 'id' or 'query' or 'answer', call it 'text'" in two[1]) == ([], True)


def test_the_only_list_of_tags_may_be_of_characters(tmp_path) -> None:
    row = {"text": "去北京", "x": ["O", "B-LOC", "I-LOC"]}
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([("去北京", [("北京", "LOC")])], "")


@pytest.mark.parametrize("words", ["tokens", "text", "text_a"])
def test_a_name_may_be_all_of_a_sentence_whose_tags_have_their_letters_behind(tmp_path, words) -> None:
    rows: list[object] = [{words: ["Ida"], "x": ["PER-B"]}, {words: ["Bo", "ran"], "x": ["PER-B", "O"]}]
    found = [("Ida", [("Ida", "PER")]), ("Bo ran", [("Bo", "PER")])]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == (found, "")


def test_lists_that_are_called_like_tags_and_do_not_agree_are_refused(tmp_path) -> None:
    row = {"tokens": ["Ida", "ran"], "ner_label": ["B-PER", "O"], "iob": ["O", "B-PER"]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "the fields 'ner_label' and 'iob' hold tags and do not agree" in problems


@pytest.mark.parametrize("words", ["tokens", "text", "text_a"])
@pytest.mark.parametrize("name", ["labels", "tags", "ner_tags", "token_labels", "bio"])
def test_labels_alone_are_read_with_the_rows_that_have_none(tmp_path, words, name) -> None:
    rows: list[object] = [{words: ["Ida", "ran"], name: ["PER", "O"]}, {words: ["no", "one"], name: ["O", "O"]}]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([("Ida ran", [("Ida", "PER")]), ("no one", [])], "")
    assert "tags have no B- or I-" in notes


@pytest.mark.parametrize("words", [["Ida", "ran"], "Ida ran"])
def test_rows_of_o_alone_are_not_all_that_is_read(tmp_path, words) -> None:
    field = "query" if isinstance(words, str) else "tokens"
    rows: list[object] = [{field: words, "x": tags} for tags in (["PER", "O"], ["O", "O"])]
    file = written(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match="all tags of 'x' that could be read are O, and nothing else says"):
        load([str(file)], training=True, skip_bad_rows=True)


@pytest.mark.parametrize("value", [["pos", "neg"], ["NNP", "VBD"]])
def test_texts_and_a_label_for_each_are_no_words_and_tags(tmp_path, value) -> None:
    assert read(written(tmp_path / "a.jsonl", [{"text": ["good", "bad"], "label": value}]))[0] == []


@pytest.mark.parametrize("words", [["Ida", "ran"], "Ida ran"])
@pytest.mark.parametrize("name", ["chunk_tags", "chunks", "x"])
def test_syntactic_chunks_are_no_entities(tmp_path, words, name) -> None:
    field = "text" if isinstance(words, str) else "tokens"
    assert read(written(tmp_path / "a.jsonl", [{field: words, name: ["B-NP", "B-VP"]}]))[0] == []


def test_chunks_do_not_hide_the_tags_beside_them(tmp_path) -> None:
    rows: list[object] = [{"tokens": ["Ida", "ran"], "chunks": ["B-NP", "B-VP"], "x": ["B-PER", "O"]}]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == ([("Ida ran", [("Ida", "PER")])], "")
