"""Entities that a row tells twice, in lists of any order, or with a place under names that nobody knows."""

import pytest

from rnr.corpus.formats.columns.reading import ONE
from rnr.corpus.formats.entities.beside import FURTHER, UNREAD
from rnr.corpus.formats.entities.labels import TWO_LABELS
from rnr.corpus.formats.entities.places import LIKE_A_PLACE, TWO_PLACES
from rnr.corpus.formats.entities.plain_rows import SAME_TWICE
from rnr.corpus.formats.entities.span_lists import AS_TEXT, BESIDE, PAIRS
from rnr.corpus.formats.examples import AMBIGUOUS
from rnr.corpus.loading import load
from tests.reading_files import ADA, ROW, read, written

_TEXT = "My name is Ida Lund."
_MASK = [
    {"value": "Ida", "start": 11, "end": 14, "label": "FIRSTNAME"},
    {"value": "Lund", "start": 15, "end": 19, "label": "LASTNAME"},
]
_SPANS: list[list[object]] = [[11, 14, "FIRSTNAME"], [15, 19, "LASTNAME"]]
_BOTH = (_TEXT, [("Ida", "FIRSTNAME"), ("Lund", "LASTNAME")])


@pytest.mark.parametrize("spans", [_SPANS, [[0, 11, "O"], *_SPANS], str([[0, 11, "O"], *_SPANS])])
def test_masks_and_spans_of_one_row_that_agree_are_one(tmp_path, spans) -> None:
    row = {"source_text": _TEXT, "target_text": "My name is [X] [Y].", "privacy_mask": _MASK, "span_labels": spans}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([_BOTH], "")
    assert SAME_TWICE in notes
    assert "' was read" in notes


def test_two_fields_that_do_not_agree_say_where(tmp_path) -> None:
    row = {"source_text": _TEXT, "privacy_mask": _MASK[:1], "span_labels": _SPANS}
    _, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert "(only 'span_labels' has [15, 19] as LASTNAME)" in problems


def test_of_two_fields_that_agree_the_one_with_places_is_read(tmp_path) -> None:
    row = {
        "text": "Ida saw Ida",
        "entities": [{"text": "Ida", "label": "PER"}],
        "spans": [{"start": 8, "end": 11, "label": "PER"}, {"start": 4, "end": 7, "label": "X"}],
    }
    agrees = row | {"entities": [*row["entities"], {"text": "saw", "label": "X"}]}
    assert "only 'spans' has 'saw' as X" in read(written(tmp_path / "a.jsonl", [row]))[1]
    found, problems, notes = read(written(tmp_path / "b.jsonl", [agrees]))
    assert (found, problems) == ([("Ida saw Ida", [("saw", "X"), ("Ida", "PER")])], "")
    assert "'spans' was read" in notes


@pytest.mark.parametrize(
    ("read_as", "other", "agree"),
    [
        (["O", "O", "O"], ["B-PER", "O", "O"], False),
        (["B-PER", "O", "O"], ["O", "O", "O"], False),
        (["B-PER", "B-PER", "O"], ["B-PER", "I-PER", "O"], False),
        (["B-PER", "I-PER", "O"], ["B-PER", "E-PER", "O"], True),
        (["I-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"], True),
        (["B-PER", "O", "O"], ["B-NP", "B-VP", "O"], True),
        (["B-PER", "O", "O"], [1, 0, 0], True),
    ],
)
def test_two_fields_of_tags_that_tell_other_entities_are_refused(tmp_path, read_as, other, agree) -> None:
    row = {"tokens": ["Ada", "Lund", "ran"], "ner_tags": read_as, "labels": other}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    said = "the fields 'ner_tags' and 'labels' hold tags and do not agree; keep one of them (token "
    assert (len(found), said in problems) == (int(agree), not agree)
    unlike = other[0] in ("B-NP", 1)
    assert ("tags are those of 'ner_tags'; those of 'labels' are not read" in notes) == unlike


@pytest.mark.parametrize("name", ["entity_tags", "token_labels", "word_labels", "seq_tags", "sequence_tags", "bio"])
def test_tags_of_other_labels_under_a_less_usual_name_are_noted(tmp_path, name) -> None:
    row = {"tokens": ["Ada", "Lund", "ran"], "ner_tags": ["B-PER", "I-PER", "O"], name: ["B-person", "I-person", "O"]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Ada Lund ran", [("Ada Lund", "PER")])], "")
    assert f"tags are those of 'ner_tags'; those of {name!r} are not read" in notes


@pytest.mark.parametrize(
    "content", ['text,ner_tags,labels\nAda ran,"O,O","B-PER,O"\n', "text,labels,tags\nAda ran,O O,B-PER O\n"]
)
def test_two_columns_of_tags_that_tell_other_entities_are_refused(tmp_path, content) -> None:
    assert (
        "hold tags and do not agree; keep one of them (token 1, 'Ada', is "
        in read(written(tmp_path / "a.csv", content))[1]
    )


@pytest.mark.parametrize(
    "beside",
    [
        {"entities": [], "annotations": [["Ada", "PER"]]},
        {"spans": [], "named_entities": [{"mention": "Ada", "ent": "PER"}]},
        {"entities": [], "mentions": ["Ada"]},
        {"entities": [], "ner": {"Ada": "PER"}},
        {"entities": [], "tags": ["B-PER", "O"]},
        {"labels": [], "annotations": [["Ada", "PER"]]},
    ],
)
def test_an_empty_field_does_not_hide_entities_in_a_form_that_is_not_known(tmp_path, beside) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", **beside}]))
    empty, other = beside
    assert (found, f"the field '{empty}' is empty, and '{other}' beside it is in no form" in problems) == ([], True)


@pytest.mark.parametrize(
    ("beside", "noted"),
    [
        ({"mentions": [{"cluster": 1}]}, True),
        ({"annotation": {"by": "Bo"}}, True),
        ({"tags": ["B-PER", "O"]}, True),
        ({"tags": ["news"]}, False),
        ({"annotations": [{"result": []}]}, False),
        ({"ner": {"PER": []}}, False),
    ],
)
def test_fields_that_may_hold_entities_are_named_where_they_are_not_read(tmp_path, beside, noted) -> None:
    rows: list[object] = [ROW | beside]
    if "ner" in beside:
        rows = [{"text": "Ada ran", "entities": []} | beside]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found[0][0], "no form that is known" in problems) == ("Ada ran", False)
    assert (f"1 {UNREAD}" in notes) == noted


def test_what_says_nothing_of_a_sentence_without_an_entity_is_no_entity_of_it(tmp_path) -> None:
    row = {"text": "Bo sat", "entities": [], "annotation": {"by": "Ada"}, "tags": ["news"]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [ROW, row]))
    assert (found, problems) == ([ADA, ("Bo sat", [])], "")
    assert f"1 {UNREAD} (row 2: annotation)" in notes


def test_groups_of_spans_beside_the_empty_entities_of_a_tuple_are_not_passed_over(tmp_path) -> None:
    beside = {"entities": [], "spans": {"sc": [[0, 3, "PER"]]}, "cats": {"x": 1.0}}
    found, problems, _ = read(written(tmp_path / "a.json", [["Ada ran", beside]]))
    assert (found, "the entities of 'sc' must be" in problems) == ([], True)


def test_two_fields_of_spans_of_tokens_that_do_not_agree_are_refused(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran"], "entities": [], "ner": [[0, 1, "PER"]]}
    said = "the fields 'entities' and 'ner' hold entities and do not agree; keep one of them"
    assert said in read(written(tmp_path / "a.jsonl", [row]))[1]
    agreeing = row | {"entities": [{"start": 0, "end": 1, "type": "PER"}]}
    assert read(written(tmp_path / "b.jsonl", [agreeing]))[:2] == ([ADA], "")


def test_parts_of_speech_beside_tags_of_names_are_no_second_field_of_them(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"], "pos_tags": ["NNP", "VBD"], "chunk_tags": ["O", "O"]}
    assert read(written(tmp_path / "a.jsonl", [row])) == ([ADA], "", "")


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ([0, 3, "PER", 0.98], BESIDE),
        ([0, 3, "PER", "Q42"], BESIDE),
        ([0, 3, "PER", {"by": "x"}], BESIDE),
        ([0, 3, "PER", 1], BESIDE),
        ([0, 3, "PER", None], ""),
        ([0, 3, "PER", "Ada"], ""),
        ([0, 3, "Ada", "PER"], ""),
        (["Ada", 0, 3, "PER"], ""),
        (["Ada", "PER", 0, 3], ""),
        (["PER", [0, 3]], ""),
        ([[0, 3], "PER"], ""),
        (["T1", "PER", 0, 3, "Ada"], BESIDE),
        (["T1", 0, 3, "Ada", "PER"], BESIDE),
        (["T0", "0", "3", "PER", "Ada"], AS_TEXT),
        (["0", "3", "Ada", "PER"], AS_TEXT),
        ({"entity_name": "Ada", "entity_type": "PER"}, ""),
        ({"entity_name": "Ada", "entity": "PER"}, ""),
        ({"mention_text": "Ada", "type": "PER"}, ""),
        (["Ada", "PER"], PAIRS),
        (["PER", "Ada"], PAIRS),
        ({"start": None, "end": None, "text": "Ada", "label": "PER"}, ""),
        ({"start": 0, "end": 3, "label": ["PER"]}, ""),
        ({"start": 0, "end": 3, "label": {"id": 1, "name": "PER"}}, ""),
    ],
)
def test_spans_in_any_order_and_with_more_beside_them_are_read(tmp_path, span, said) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": [span]}]))
    assert (found, problems) == ([ADA], "")
    assert said in notes if said else not notes


@pytest.mark.parametrize(
    "span",
    [
        [0, 3, "human being", "PER"],
        ["PER", "ORG"],
        [1, 0, 3, "PER"],
        [0, 3, 4, "PER"],
        [1, "PER", 0, 3],
        ["T1", "PER", 0, 3],
        ["T1", "PER", 0, 3, "Bo"],
    ],
)
def test_spans_that_do_not_tell_which_part_is_the_label_are_refused(tmp_path, span) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": [span]}]))
    assert (found, "entities[0]" in problems) == ([], True)


def test_tuples_may_have_no_span_or_one_with_a_score(tmp_path) -> None:
    rows: list[object] = [["Ada ran", [[0, 3, "PER", 0.5]]], ["Bo sat", []]]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA, ("Bo sat", [])], "")
    assert BESIDE in notes


@pytest.mark.parametrize(
    "place",
    [{"b": 8, "e": 11}, {"first": 8, "last": 10}, {"bounds": [8, 11]}, {"area": "8-11"}, {"at": {"x": 8, "y": 11}}],
)
def test_a_place_under_unknown_names_is_no_first_occurrence(tmp_path, place) -> None:
    row = {"text": "Ida saw Ida", "entities": [{"text": "Ida", "label": "PER"} | place]}
    _, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert f"under names that are not known ({', '.join(place)})" in problems


def test_numbers_that_are_no_place_do_not_spoil_an_entity(tmp_path) -> None:
    row = {"text": "Ida saw Ida", "entities": [{"text": "Ida", "label": "PER", "id": 8, "user": 12}]}
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Ida saw Ida", [("Ida", "PER")])], "")


def test_a_file_of_columns_without_a_blank_line_is_named(tmp_path) -> None:
    lines = ["Ada B-PER", "ran O", ". O", "Bo B-PER", "sat O", ". O"]
    found, problems, notes = read(written(tmp_path / "a.conll", "\n".join(lines) + "\n"))
    assert (len(found), problems) == (1, "")
    assert f"{ONE} (row 1: 6 tokens)" in notes
    assert ONE not in read(written(tmp_path / "b.conll", "\n".join(lines[:3]) + "\n"))[2]
    assert ONE not in read(written(tmp_path / "c.conll", "\n".join([*lines[:3], "", *lines[3:]]) + "\n"))[2]


@pytest.mark.parametrize("field", ["entities", "spans"])
def test_one_entity_without_a_list_around_it_is_read(tmp_path, field) -> None:
    row = {"text": "Ada ran", field: {"start": 0, "end": 3, "label": "PER"}}
    assert read(written(tmp_path / "a.jsonl", [row])) == ([ADA], "", "")


@pytest.mark.parametrize("entity", [{"text": "Ada"}, {"label": "Ada"}, {"start": "Ada"}])
def test_a_field_of_an_entity_is_no_label(tmp_path, entity) -> None:
    assert read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": [entity]}]))[0] == []


@pytest.mark.parametrize(
    ("beside", "noted"),
    [
        ({"entities_corrected": [[4, 7, "X"]]}, True),
        ({"predicted": [{"start": 4, "end": 7, "label": "X"}]}, True),
        ({"tokens": [{"text": "Ada", "start": 0, "end": 3, "tag": "NNP"}]}, False),
        ({"sizes": [[1, 2]], "names": ["x"]}, False),
    ],
)
def test_further_fields_with_spans_are_named(tmp_path, beside, noted) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [ROW | beside]))
    assert (found, problems, FURTHER in notes) == ([ADA], "", noted)


def test_a_row_of_one_entity_says_so(tmp_path) -> None:
    row = {"text": "Ada ran", "entity": "Ada", "label": "PER"}
    assert "a table with an entity a row" in read(written(tmp_path / "a.jsonl", [row]))[1]


@pytest.mark.parametrize("span", [[0, 3, 4, 7, "PER"], [[0, 3], [4, 7], "PER"], ["PER", [0, 3], [4, 7]]])
def test_a_list_with_several_places_is_not_cut_to_its_first(tmp_path, span) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": [span]}]))
    assert (found, "entities[0] has several places" in problems) == ([], True)


def test_a_text_beside_its_masked_one_is_the_sentence(tmp_path) -> None:
    row = {"unmasked_text": "Ada ran", "masked_text": "[X] ran", "span_labels": "[[0, 3, 'PER']]"}
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([ADA], "")


@pytest.mark.parametrize(
    ("names", "first", "second", "refused"),
    [
        (("type", "entity_type"), ("span", "PER"), ("span", "ORG"), True),
        (("type", "label_"), ("span", "PER"), ("span", "PER"), True),
        (("type", "tag"), ("x", "PER"), ("x", "ORG"), True),
        (("class", "kind"), ("x", "PER"), ("x", "ORG"), True),
        (("label", "type"), ("Entity", "PER"), ("Entity", "ORG"), True),
        (("label", "type"), ("PER", "T047"), ("PER", "T048"), False),
        (("type", "entity_label"), ("PER", "x"), ("ORG", "x"), False),
        (("category", "kind"), ("PER", "manual"), ("PER", "automatic"), False),
    ],
)
def test_labels_under_two_names_are_noted_and_refused_where_the_one_read_is_none(
    tmp_path, names, first, second, refused
) -> None:
    entities = [dict(zip(names, values, strict=True)) | {"start": 0, "end": 2} for values in (first, second)]
    rows: list[object] = [{"text": "Bo sat", "entities": [entity]} for entity in entities]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert found == [("Bo sat", [("Bo", values[0])]) for values in (first, second)]
    assert f"2 {TWO_LABELS} (row 1: entities[0]: {names[0]} '{first[0]}', not {names[1]} '{first[1]}'" in notes
    assert ("remove the field that is not their label" in problems) == refused


def test_a_text_and_an_equal_label_are_no_second_label(tmp_path) -> None:
    entity = {"entity": "Ada", "type": "PER", "category": "PER", "start": 0, "end": 3}
    assert read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": [entity]}])) == ([ADA], "", "")


def test_labels_of_spans_of_tokens_under_two_names_are_noted(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran"], "entities": [{"start": 0, "end": 1, "type": "span", "entity_type": "PER"}]}
    _, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert TWO_LABELS in notes
    assert "by 'type', which was read, entities are all 'span', and by 'entity_type' they are 'PER'" in problems


@pytest.mark.parametrize(
    "entities",
    [
        [["Ada", 0, 3]],
        [["Ada", [0, 3]]],
        [[0, 3, "Ada"], [8, 11, "Eve"]],
        [[0, 3, "ada"], [8, 11, "eve"]],
        [{"start": 0, "end": 3, "entity": "Ada"}],
        {"Ada": [[0, 3]]},
    ],
)
def test_a_span_without_a_label_is_not_called_by_its_own_text(tmp_path, entities) -> None:
    row = {"text": "Ada met Eve", "entities": entities}
    said = "with text and place but no label: where it should be is the text itself ('Ada'"
    assert said in read(written(tmp_path / "a.jsonl", [{"text": "Bo sat", "entities": []}, row]))[1]


def test_spans_of_tokens_without_a_label_are_not_called_by_their_texts(tmp_path) -> None:
    row = {"tokenized_text": ["Ada", "ran"], "ner": [[0, 0, "Ada"]]}
    assert "1 span with text and place but no label" in read(written(tmp_path / "a.jsonl", [row]))[1]


@pytest.mark.parametrize(
    "spans",
    [
        [[0, 7, "protein"], [13, 16, "gene"]],
        [{"start": 0, "end": 7, "text": "protein", "label": "protein"}],
        [[0, 7, "Protein"]],
    ],
)
def test_a_label_may_be_the_text_of_a_span(tmp_path, spans) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", [{"text": "protein near p53", "entities": spans}]))
    labels = [(span["label"] if isinstance(span, dict) else span[2]) for span in spans]
    assert (sorted(label for _, label in found[0][1]), problems) == (sorted(labels), "")


def test_an_id_behind_the_text_of_a_span_is_not_passed_over_for_the_text(tmp_path) -> None:
    ids: list[object] = [["ada", 0, 3, "T047"]]
    found, problems, notes = read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": ids}]))
    assert (found, "is its label is not clear" in problems, BESIDE in notes) == ([], True, False)


# Two places of an entity


@pytest.mark.parametrize(
    "place",
    [
        {"start": 0, "end": 1, "char_start": 4, "char_end": 6},
        {"start": 1, "end": 2, "start_char": 4, "end_char": 6},
        {"begin": 1, "end": 2, "char_span": [4, 6]},
        {"start": "1", "end": "2", "startChar": "4", "endChar": "6"},
        {"start": 1, "end": 1, "startChar": 4, "endChar": 6},
        {"pos": [1, 2], "characterStart": 4, "characterEnd": 6},
        {"start": 1, "end": 2, "start_idx": 4, "end_idx": 6, "text": "Bo"},
        {"offset": 4, "length": 2, "begin": 1, "end": 2, "word": "Bo"},
        {"start": 4, "end": 6, "position": [1, 2]},
        {"start": 4, "end": 6, "start_offset": 0, "end_offset": 0},
        {"start": 0, "end": 1, "start_idx": 4, "end_idx": 6},
        {"offset": 1, "length": 1, "start": 4, "end": 6},
        {"start_char": 0, "end_char": 1, "begin_char": 4, "char_start": 4, "char_end": 6},
    ],
)
def test_of_two_places_that_differ_the_one_in_characters_is_read_and_noted(tmp_path, place) -> None:
    row = {"text": "saw Bo run", "entities": [place | {"label": "PER"}]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("saw Bo run", [("Bo", "PER")])], "")
    assert f"1 {TWO_PLACES} (row 1: entities[0]: " in notes


@pytest.mark.parametrize(
    "other",
    [
        {"start_idx": 2, "end_idx": 3},  # of tokens
        {"startIndex": 8, "endIndex": 10},  # the same with an inclusive end
        {"offset": 0, "length": 3},
        {"from": 0, "to": 1},
        {"start_char": 108, "end_char": 111},  # of the document
        {"start_char": 20, "end_char": 23},
        {"char_start": 2, "char_end": 3},
    ],
)
@pytest.mark.parametrize("more", ["", " and Ada again" * 9])
def test_a_place_of_something_else_beside_that_of_the_mention_is_passed_over_and_noted(tmp_path, other, more) -> None:
    text = f"Ada met Ada in Rome{more}"
    row = {"text": text, "entities": [{"start": 8, "end": 11, "label": "PER"} | other]}
    file = written(tmp_path / "a.jsonl", [row])
    assert f"1 {TWO_PLACES} (row 1: entities[0]: 'start' and 'end' [8, 11], not " in read(file)[2]
    (one,) = load([str(file)], training=True)
    assert [(mention.start, mention.end) for mention in one.mentions] == [(8, 11)]


def test_of_two_places_between_which_nothing_tells_start_and_end_are_read(tmp_path) -> None:
    row = {"text": "甲乙丙丁", "entities": [{"start": 1, "end": 3, "startIndex": 1, "endIndex": 2, "label": "PER"}]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems, TWO_PLACES in notes) == ([("甲乙丙丁", [("乙丙", "PER")])], "", True)


@pytest.mark.parametrize(
    "place",
    [
        {"from": 0, "to": 1, "begin": 4, "end": 6, "text": "run"},
        {"from": 0, "to": 3, "begin": 4, "end": 6, "text": "run"},
    ],
)
def test_two_places_at_none_of_which_the_text_stands_are_refused(tmp_path, place) -> None:
    row = {"text": "saw Bo run", "entities": [place | {"label": "PER"}]}
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert found == []
    assert "row 1: entities[0] has several places that differ (" in problems


@pytest.mark.parametrize(
    "place",
    [
        {"start": 4, "end": 6, "token_start": 1, "token_end": 1},
        {"start": 4, "end": 6, "start_char": 4, "end_char": 6, "offset": 4, "length": 2},
        {"begin": 4, "end": 6, "length": 1},
        {"start": 4, "end": 6, "from": "annotator", "to": "Bo"},
    ],
)
def test_places_that_agree_and_those_of_tokens_are_no_two(tmp_path, place) -> None:
    row = {"text": "saw Bo run", "entities": [place | {"label": "PER"}]}
    assert read(written(tmp_path / "a.jsonl", [row])) == ([("saw Bo run", [("Bo", "PER")])], "", "")


@pytest.mark.parametrize("name", ["at", "where", "s", "char"])
def test_one_number_that_is_the_place_of_a_text_is_not_the_first_occurrence(tmp_path, name) -> None:
    row = {"text": "Ida saw Ida", "entities": [{name: 8, "text": "Ida", "label": "PER"}]}
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert found == []
    assert f"has its place under names that are not known ({name})" in problems


NUMBERED = "weight page line_no sentence paragraph section year age kb cui importance size length order nth occurrence"


@pytest.mark.parametrize("name", NUMBERED.split())
def test_another_number_that_may_be_a_place_is_noted(tmp_path, name) -> None:
    row = {"text": "Ida saw Ida", "entities": [{name: 8, "text": "Ida", "label": "PER"}]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Ida saw Ida", [("Ida", "PER")])], "")
    assert f"1 {LIKE_A_PLACE} (row 1: entities[0].{name})" in notes


@pytest.mark.parametrize("other", [{"id": 8}, {"score": 8}, {"at": 0}, {"n": 5}, {"user_id": 8}])
def test_other_numbers_beside_a_text_are_no_place(tmp_path, other) -> None:
    row = {"text": "Ida saw Ida", "entities": [other | {"text": "Ida", "label": "PER"}]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Ida saw Ida", [("Ida", "PER")])], "")
    assert AMBIGUOUS in notes


def test_entities_may_stand_in_a_field_of_their_singular(tmp_path) -> None:
    rows: list[object] = [
        {"text": "Ada ran", "entity": [{"entity": "Ada", "entity_type": "PER"}]},
        {"text": "hi", "entity": []},
        {"text": "Bo sat", "mention": [{"start": 0, "end": 2, "label": "PER"}]},
    ]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA, ("hi", []), ("Bo sat", [("Bo", "PER")])], "")
    assert "not read" not in notes


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        ({"entity": [{"text": "Ada", "type": "Q42"}]}, "entity"),
        ({"mention": [{"start": 4, "end": 7, "label": "verb"}]}, "mention"),
        ({"annotations": [{"id": 1, "text": "Ada", "rel_type": "x"}]}, "annotations"),
        ({"entity_mentions": [{"text": "Ada", "ref_kind": "x"}]}, "entity_mentions"),
    ],
)
@pytest.mark.parametrize("field", ["entities", "spans"])
def test_further_annotations_beside_the_entities_are_named_and_do_not_contradict(
    tmp_path, field, beside, named
) -> None:
    row = {"text": "Ada ran", field: [{"start": 0, "end": 3, "label": "PER"}]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row | beside]))
    assert (found, problems) == ([ADA], "")
    assert f"1 {FURTHER} (row 1: {named})" in notes


@pytest.mark.parametrize("beside", [{"mention": ["@ada"]}, {"entity": [{"text": "Ada", "type": "Q42"}]}])
def test_what_stands_in_the_singular_beside_no_entities_is_none_of_them(tmp_path, beside) -> None:
    rows = [ROW, {"text": "Bo sat", "entities": []} | beside]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA, ("Bo sat", [])], "")
    assert (f"1 {FURTHER} (row 2: entity)" in notes) == ("entity" in beside)


def test_what_stands_in_the_singular_beside_tags_of_words_is_not_read(tmp_path) -> None:
    row = {"text": "Ada ran", "ner_tags": ["B-PER", "O"], "entity": ["Ada"]}
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([ADA], "")


@pytest.mark.parametrize("none", [None, "", []])
def test_a_label_without_texts_has_no_entity(tmp_path, none) -> None:
    rows: list[object] = [{"text": "Ada ran", "entities": {"PER": ["Ada"], "ORG": none}}]
    rows += [{"text": "hi", "entities": {"PER": none, "ORG": none}}]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == ([ADA, ("hi", [])], "")
