"""JSON and tables of which no reader of ours had heard: read, or refused with what they look like and what to do."""

import json

import pytest

from rnr.corpus.formats.doubtful import INVISIBLE, QUOTES
from rnr.corpus.formats.entities.decisions import DOUBTFUL_ROWS, REJECTED
from rnr.corpus.formats.entities.labels import FINER
from rnr.corpus.formats.entities.plain_rows import BY_LABEL, IN_GROUPS, OF_ALL, OTHER_TEXTS
from rnr.corpus.formats.examples import MATCHED, REPEATED, WITHIN
from rnr.corpus.formats.json_files import KEYED
from rnr.corpus.formats.known import SHAPES
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.tokens.text_tags import BY_SPACES
from rnr.corpus.formats.tokens.token_rows import TAGS_READ
from rnr.corpus.formats.tools.label_studio import CONTROLS
from rnr.corpus.formats.tools.luis import INCLUSIVE
from rnr.corpus.label_doubts import LINKED
from rnr.corpus.loading import load
from rnr.corpus.report import HELD
from tests.reading_files import ADA, BO, ROW, read, written

TEXT = "Ida Noor ran to Oslo"
IDA, OSLO = ("Ida Noor", "PER"), ("Oslo", "LOC")
PLACES = [{"start": 0, "end": 8, "label": "PER"}, {"start": 16, "end": 20, "label": "LOC"}]


@pytest.mark.parametrize(
    "said", [{"deleted": True}, {"killed": True}, {"status": "Rejected"}, {"correct": False}, {"rejected": True}]
)
def test_an_entity_that_was_rejected_is_none_and_is_counted(tmp_path, said) -> None:
    row = {"text": TEXT, "entities": [PLACES[0] | said, PLACES[1] | dict.fromkeys(said, None)]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([(TEXT, [OSLO])], "")
    assert f"1 {REJECTED} (row 1)" in notes


@pytest.mark.parametrize("said", [{"status": "pending"}, {"skipped": True}, {"deleted": True}, {"state": "To do"}])
def test_a_row_that_is_not_finished_or_was_put_aside_is_read_and_named(tmp_path, said) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [ROW | said, ROW | {"text": "Ada sat"}]))
    assert (len(found), problems) == (2, "")
    assert f"1 {DOUBTFUL_ROWS} (row 1: {next(iter(said))}: " in notes


@pytest.mark.parametrize("label", ["positive", 1, 0.5])
def test_a_label_of_the_whole_sentence_is_none_of_an_entity(tmp_path, label) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [ROW | {"label": label}]))
    assert (found, problems) == ([ADA], "")
    assert f"1 {OF_ALL} (row 1: {label!r})" in notes


def test_another_text_beside_the_sentence_is_named(tmp_path) -> None:
    rows = [ROW | {"content": "He ran away"}, ROW | {"text": "Ada sat", "document": "doc_1", "raw": "Ada sat"}]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert ([sentence for sentence, _ in found], problems) == (["Ada ran", "Ada sat"], "")
    assert f"1 {OTHER_TEXTS} (row 1: 'text' was read, not 'content')" in notes


def test_the_spaces_that_a_row_tells_are_those_of_its_sentence(tmp_path) -> None:
    tokens, tags = ["Ada", "'s", "dog", "."], ["B-PER", "O", "O", "O"]
    spaces = {"trailing_whitespace": [False, True, False, False]}
    rows = [
        {"tokens": tokens, "labels": tags} | spaces,
        {
            "tokens": ["Bo", " ", "sat", "\n\n", "."],
            "labels": ["B-PER", "O", "O", "O", "O"],
            "full_text": "Bo  sat\n\n.",
        }
        | {"trailing_whitespace": [True, False, False, False, False]},
        {"tokens": tokens, "entities": [{"span": [0, 1], "entity_type": "PER"}]} | spaces,
    ]
    found, problems, _ = read(written(tmp_path / "a.json", json.dumps(rows)))
    assert problems == ""
    assert found == [
        ("Ada's dog.", [("Ada", "PER")]),
        ("Bo  sat\n\n.", [("Bo", "PER")]),
        ("Ada's dog.", [("Ada", "PER")]),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", [{"text": "Ada ran", "ner_tags": ["B-PER", "O"]}, {"text": "Bo sat", "ner_tags": ["B-PER", "O"]}]),
        ("a.jsonl", [{"tokens": "Ada ran", "ner_tags": "B-PER O"}, {"tokens": "Bo sat", "ner_tags": "B-PER O"}]),
        ("a.csv", 'Sentence,Word Labels\nAda ran,"B-PER,O"\nBo sat,"B-PER,O"\n'),
        ("a.csv", "text,labels\nAda ran,B-PER O\nBo sat,B-PER O\n"),
        ("a.csv", "sentence_id,words,tags\n1,Ada ran,B-PER O\n2,Bo sat,B-PER O\n"),
        ("a.csv", "Sentence #,Sentence,Tag\n1,Ada ran,\"['B-PER', 'O']\"\n2,Bo sat,\"['B-PER', 'O']\"\n"),
        ("a.tsv", "text\tlabels\nAda ran\tB-PER O\nBo sat\tB-PER O\n"),
        ("a.jsonl", [{"text": "Ada ran", "labels": "PER O"}, {"text": "Bo sat", "labels": "PER O"}]),
        ("a.csv", "text,labels\nAda ran,PER O\nBo sat,PER O\n"),
    ],
)
def test_a_text_may_have_a_tag_for_each_of_its_words(tmp_path, name, content) -> None:
    found, problems, notes = read(written(tmp_path / name, content))
    assert (found, problems) == ([ADA, BO], "")
    assert f"2 {BY_SPACES}" in notes


def test_tags_in_small_letters_may_all_be_o(tmp_path) -> None:
    rows = [{"text": "Ada ran", "labels": "b-per o"}, {"text": "He sat", "labels": "o o"}]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == ([("Ada ran", [("Ada", "per")]), ("He sat", [])], "")


def test_an_o_in_a_sentence_makes_no_tags_of_its_words(tmp_path) -> None:
    text = "title,text\nThe great day,O what bliss\nA small sea,O look there\n"
    assert "a CSV needs a column of words" in read(written(tmp_path / "a.csv", text))[1]


@pytest.mark.parametrize("rows", [('Ada ran,"B-PER,O"', "Bob,B-PER", "Go,O"), ("Bob,B-PER", "Go,O", "Ada ran,B-PER O")])
def test_a_sentence_of_one_word_has_one_tag_where_others_have_several(tmp_path, rows) -> None:
    found, problems, notes = read(written(tmp_path / "a.csv", "\n".join(("text,word_labels", *rows))))
    assert (sorted(found), problems) == ([ADA, ("Bob", [("Bob", "PER")]), ("Go", [])], "")
    assert f"3 {BY_SPACES}" in notes


def test_a_text_with_more_words_than_tags_is_an_error(tmp_path) -> None:
    found, problems, _ = read(written(tmp_path / "a.csv", 'text,tags\nAda ran,"B-PER,O"\nBo sat down,"B-PER,O"\n'))
    assert found == [ADA]
    assert "row 3: 3 tokens with 2 tags" in problems


def test_a_text_without_offsets_that_stands_inside_a_longer_word_alone_is_named(tmp_path) -> None:
    row = {"text": "Idaho is big", "entities": [{"text": "Ida", "label": "PER"}]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Idaho is big", [("Ida", "PER")])], "")
    assert f"1 {WITHIN} (row 1: 'Ida' at [0:3])" in notes


def test_a_text_that_stands_there_in_two_forms_is_found_in_both(tmp_path) -> None:
    row = {"text": "Zoe\u0308 met Zo\u00eb", "entities": [{"text": "Zo\u00eb", "label": "PER"}] * 2}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([(row["text"], [("Zoe\u0308", "PER"), ("Zo\u00eb", "PER")])], "")
    assert f"1 {MATCHED} (row 1: " in notes
    assert REPEATED not in notes


def test_a_text_that_stands_there_in_html_says_so(tmp_path) -> None:
    row = {"text": "AT&amp;T grew", "entities": [{"text": "AT&T", "label": "ORG"}]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "entity 'AT&T' is not in its sentence; it is where HTML such as &amp; is undone" in problems


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Ams\u00adterdam grew", INVISIBLE),
        ("A\u200bda ran", INVISIBLE),
        ("a\u2060b", INVISIBLE),
        ("`` Ada ran '' he said", QUOTES),
    ],
)
def test_a_sentence_with_what_nobody_sees_is_noted(tmp_path, sentence, kind) -> None:
    rows = [{"text": sentence, "schema": ["PER"], "entities": []}]
    assert f"1 {kind} (row 1: " in read(written(tmp_path / "a.jsonl", rows))[2]


def test_a_joiner_inside_a_word_of_persian_and_code_between_graves_are_not_doubted(tmp_path) -> None:
    rows = [
        {"text": text, "schema": ["PER"], "entities": []}
        for text in ("\u0645\u06cc\u200c\u0631\u0648\u0645", "run ``ls``")
    ]
    notes = read(written(tmp_path / "a.jsonl", rows))[2]
    assert INVISIBLE not in notes
    assert QUOTES not in notes


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("occurrences", [[0, 3], [8, 11]]),
        ("positions", [{"offset": 0, "length": 3}, {"offset": 8, "length": 3}]),
        ("mentions", [{"start": 0, "end": 3}, {"start": 8, "end": 11}]),
    ],
)
def test_the_places_of_an_entity_are_never_its_first_occurrence(tmp_path, name, places) -> None:
    entity = {"text": "Ida", "label": "PER"}
    rows = [{"text": "Ida saw Ida", "entities": [entity | {name: found}]} for found in (places, places[1:])]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert found == [("Ida saw Ida", [("Ida", "PER")])]
    assert f"row 1: entities[0].{name} must be one [start, end]" in problems
    assert "list what occurs at several places once for each" in problems
    assert notes == ""  # of the second row, whose place is not the first
    assert next(iter(load([str(tmp_path / "a.jsonl")], training=True, skip_bad_rows=True))).mentions[0].start == 8


def test_a_finer_label_and_labels_that_are_links_are_noted(tmp_path) -> None:
    entities = [
        {"start": 0, "end": 3, "type": "PER", "subtype": "Artist"},
        {"start": 8, "end": 11, "entity": "Q42"},
    ]
    found, _, notes = read(written(tmp_path / "a.jsonl", [{"text": "Ida saw Ida", "entities": entities}]))
    assert found == [("Ida saw Ida", [("Ida", "PER"), ("Ida", "Q42")])]
    assert f"1 {FINER} (row 1: entities[0]: subtype 'Artist')" in notes
    assert f"{LINKED}: 'Q42'" in notes


def test_entities_in_several_groups_that_are_no_labels_are_noted(tmp_path) -> None:
    ada, ran = {"start": 0, "end": 3, "label": "PER"}, {"start": 4, "end": 7, "label": "ACT"}
    rows = [
        {"text": "Ada ran", "annotations": {"anna": [ada], "bob": [ran]}},
        {"text": "Ada sat", "annotations": {"anna": [ada], "bob": []}},
        {"text": "Ada ate", "annotations": {"PER": [ada], "ACT": [ran]}},
    ]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert ([len(mentions) for _, mentions in found], problems) == ([2, 1, 2], "")
    assert f"1 {IN_GROUPS} (row 1: anna, bob)" in notes


@pytest.mark.parametrize(
    ("tokens", "others"),
    [(["Ada ", "ran", ".", " So"], ["He ", "sat", "."]), (["Ada", " ran", "."], ["He", " sat", "."])],
)
def test_tokens_that_hold_their_spaces_get_no_more(tmp_path, tokens, others) -> None:
    sentence, tags = "".join(tokens), ["B-PER", *["O"] * (len(tokens) - 1)]
    rows = [{"tokens": tokens, "ner_tags": tags}, {"tokens": others, "ner_tags": ["O", "O", "O"]}]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([(sentence, [("Ada", "PER")]), ("He sat.", [])], "")
    assert HELD in notes
    assert read(tmp_path / "a.jsonl", spaces="always")[0][1] == (" ".join(others), [])


def test_a_space_at_some_tokens_is_no_space_between_all(tmp_path) -> None:
    row = {"tokens": ["Ada ", "ran", "home ", "to", "Oslo"], "ner_tags": ["B-PER", "O", "O", "O", "O"]}
    found, _, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, HELD in notes) == ([("Ada  ran home  to Oslo", [("Ada", "PER")])], False)


def test_one_tag_is_that_of_a_text_of_one_word_in_json_too(tmp_path) -> None:
    rows = [{"text": "Ida ran", "labels": "B-PER O"}, {"text": "No", "labels": "O"}, {"text": "Bo", "labels": "B-PER"}]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([("Ida ran", [("Ida", "PER")]), ("No", []), ("Bo", [("Bo", "PER")])], "")
    assert f"3 {BY_SPACES}" in notes


def test_spans_beside_tokens_that_count_characters_are_no_tokens(tmp_path) -> None:
    text = "I saw Ida run off now and then we went to the sea all of us"
    tokens = text.split()
    places = [(6, 9), (2, 5), (22, 30)]
    row = {"tokens": tokens}
    rows = [row | {"entities": [{"start": start, "end": end, "type": "X"}]} for start, end in places]
    problems = read(written(tmp_path / "a.jsonl", rows))[1]
    assert "3 of 3 spans over tokens are whole words if they count characters" in problems
    assert read(tmp_path / "a.jsonl", offsets="tokens")[0][0][1] == [("and then we", "X")]
    beside = [one | {"text": text} for one in rows]
    found, problems, _ = read(written(tmp_path / "b.jsonl", beside))
    assert [mentions for _, mentions in found] == [[("Ida", "X")], [("saw", "X")], [("and then", "X")]]
    assert problems == ""
    sound = [row | {"entities": [{"start": place, "end": place + 1, "type": "X"}]} for place in (2, 6, 9)]
    assert read(written(tmp_path / "c.jsonl", sound))[1] == ""


def test_spans_over_tokens_many_of_which_are_empty_have_inclusive_ends(tmp_path) -> None:
    """With bad rows skipped, those without an empty span would be read, cut."""
    tokens = ["Ida", "Noor", "met", "Bo", "."]
    rows: list[object] = [{"tokens": tokens, "ner": [[0, 1, "PER"]]}] * 3
    rows += [{"tokens": tokens, "ner": [[3, 3, "PER"]]}] * 3
    file = written(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=r"3 of 6 spans over tokens end where they begin.*--offsets inclusive"):
        load([str(file)], training=True, skip_bad_rows=True)
    found, problems, _ = read(file, offsets="inclusive")
    assert ([mentions for _, mentions in found[2:4]], problems) == ([[("Ida Noor", "PER")], [("Bo", "PER")]], "")
    few = [*rows[:3] * 9, *rows[3:5]]
    assert "end where they begin" not in read(written(tmp_path / "b.jsonl", few))[1]


def test_spans_beside_tokens_that_count_the_characters_of_a_text_under_another_name_are_refused(tmp_path) -> None:
    tokens = ["In", "Oslo", ",", "Ida", ",", "Bo", ",", "Al", "met", "."]
    row = {"content": "In Oslo, Ida, Bo, Al met.", "tokens": tokens}
    in_characters = row | {"entities": [{"start": 3, "end": 7, "label": "LOC"}]}
    problems = read(written(tmp_path / "a.jsonl", [in_characters] * 3))[1]
    assert "3 of 3 spans over tokens are whole words if they count characters" in problems
    in_tokens = row | {"entities": [{"start": 1, "end": 2, "label": "LOC"}, {"start": 5, "end": 6, "label": "PER"}]}
    found, problems, _ = read(written(tmp_path / "b.jsonl", [in_tokens] * 3))
    assert (found[0][1], problems) == ([("Oslo", "LOC"), ("Bo", "PER")], "")


def test_regions_of_several_controls_are_named(tmp_path) -> None:
    value = {"start": 0, "end": 3, "text": "Ida"}
    results = [
        {"from_name": name, "to_name": "text", "type": "labels", "value": value | {"labels": [label]}}
        for name, label in (("ner", "PER"), ("pos", "NOUN"))
    ]
    tasks = [{"data": {"text": "Ida ran"}, "annotations": [{"result": results}]}]
    short = {"text": "Ida ran", "annotation_id": 1} | {one["from_name"]: [one["value"]] for one in results}
    for name, content in (("a.json", tasks), ("b.json", [short])):
        found, problems, notes = read(written(tmp_path / name, json.dumps(content)))
        assert (found, problems) == ([("Ida ran", [("Ida", "NOUN"), ("Ida", "PER")])], "")
        assert f"1 {CONTROLS} (row 1: ner, pos)" in notes


@pytest.mark.parametrize(
    "row",
    [
        {"text": "小明去北京", "intent": "x", "entities": [{"entity": "地点", "startPos": 3, "endPos": 4}]},
        {
            "text": "小明去北京",
            "intentName": "x",
            "entityLabels": [{"entityName": "地点", "startCharIndex": 3, "endCharIndex": 4}],
        },
    ],
)
def test_the_ends_of_luis_are_inclusive_in_any_script(tmp_path, row) -> None:
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps({"utterances": [row]})))
    assert (found, problems) == ([("小明去北京", [("北京", "地点")])], "")
    assert f"1 {INCLUSIVE} (row 1)" in notes


@pytest.mark.parametrize("entities", [[], [{"start": 4, "end": 7, "label": "X"}]])
def test_entities_beside_the_tags_of_tokens_are_named(tmp_path, entities) -> None:
    row = {"text": "Ada ran", "tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"], "entities": entities}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([ADA], "")
    assert f"1 {TAGS_READ} (row 1: 'ner_tags', not 'entities')" in notes


@pytest.mark.parametrize("names", [("0", "1"), ("doc_a", "doc_b")])
def test_rows_under_names_are_rows(tmp_path, names) -> None:
    rows = [ROW, {"text": "Bo sat", "entities": [[0, 2, "PER"]]}]
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps(dict(zip(names, rows, strict=True)))))
    assert (found, problems) == ([ADA, BO], "")
    assert f"1 {KEYED}" in notes


@pytest.mark.parametrize(
    "row",
    [
        ["Ada ran", [[0, 3, "PER"]]],
        {"text": "Ada ran", "entities": {"entities": [[0, 3, "PER"]]}},
        {"source_text": "Ada ran", "privacy_mask": [{"value": "Ada", "start": 0, "end": 3, "label": "PER"}]},
        {"generated_text": "Ada ran", "pii_spans": '[{"start": 0, "end": 3, "label": "PER"}]'},
        {"full_text": "Ada ran", "spans": [{"entity_type": "PER", "start_position": 0, "end_position": 3}]},
        {
            "task": "NER",
            "instruction": json.dumps({"instruction": "Extract", "schema": ["PER", "LOC"], "input": "Ada ran"}),
            "output": json.dumps({"PER": ["Ada"], "LOC": []}),
        },
    ],
)
def test_rows_of_further_data_sets_are_read(tmp_path, row) -> None:
    found, problems, _ = read(written(tmp_path / "a.json", json.dumps([row])))
    assert (found, problems) == ([ADA], "")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"token": ["Ada"], "subj_start": 0, "obj_start": 0, "stanford_ner": ["PER"]}, "TACRED"),
        ({"input": "Ada", "output": [{"provenance": []}]}, "KILT"),
        ({"sentence": "Ada ran", "words": ["Ada", "ran"], "golden-entity-mentions": []}, "an event extractor (ACE)"),
        ({"text": "Ada", "tokens": ["Ada"], "entity": [], "spot": []}, "text to structure (UIE)"),
        ({"text": "Ada", "triple_list": []}, "relations between texts"),
        ({"sentences": [["Ada"]], "ners": [[[0, 0, "PER"]]]}, "documents with the spans of their sentences"),
        ({"_views": {}, "_referenced_fss": {}}, "an older CAS in JSON"),
        ({"data_row": {}, "projects": {}}, "Labelbox"),
        ({"ID": "x", "Labeled Data": "Ada", "Label": {}}, "Labelbox"),
        ({"projects": [{"documents": []}]}, "MedCAT"),
        ({"content": "Ada", "meta": {"named_entities": []}}, "Haystack"),
        ({"response": {"entities": []}}, "TextRazor"),
        ({"@text": "Ada", "Resources": []}, "DBpedia Spotlight"),
        ({"input_ids": [101, 7], "labels": [-100, 1]}, "with numbers in the place of words"),
        ({"images": [], "annotations": [], "categories": []}, "COCO"),
        ([["Ada", "NNP", "B-PER"], ["ran", "VBD", "O"]], "words with their tags in pairs"),
        ([["Ada", "ran", "to", "it", "all"], ["B-PER", "O", "O", "O", "O"]], "a list of words beside one of tags"),
        ({"text": "Ada ran", "entities": [{"spans": [[0, 1], [2, 3]], "label": "PER"}]}, "a mention in several pieces"),
        (["Ada ran", {"spans": {"sc": []}}], "a text and an object without 'entities'"),
        ({"data": {"text": "s3://b/a.txt"}, "annotations": [{"result": []}]}, "its text lies in another file"),
        ({"data": {"talk": [{"text": "Ada"}]}, "annotations": [{"result": []}]}, "'talk' has paragraphs"),
    ],
)
def test_rows_that_are_not_read_say_what_they_look_like(tmp_path, row, said) -> None:
    found, problems, _ = read(written(tmp_path / "a.json", json.dumps([row])))
    assert found == []
    assert said in problems


@pytest.mark.parametrize("value", [[], {}, [{}], "x", 1])
def test_a_shape_is_never_that_of_a_row_without_its_fields(value) -> None:
    fields = frozenset().union(*(shape.fields for shape in SHAPES)) | {"text", "sentence", "tokens", "data", "entities"}
    for shape in SHAPES:
        if shape.fields:
            assert not shape.recognises(dict.fromkeys(fields - shape.fields, value)), shape.name


@pytest.mark.parametrize(("place", "last"), [([4, 5], [0, 1]), ([4, 6], [0, 2])])
def test_places_of_cluener_are_read_at_the_end_of_a_sentence_by_either_end(tmp_path, place, last) -> None:
    row = {"text": "张三去了北京", "label": {"name": {"张三": [last]}, "address": {"北京": [place]}}}
    found = read(written(tmp_path / "a.jsonl", [row]))
    assert found == ([("张三去了北京", [("张三", "name"), ("北京", "address")])], "", "")


def test_a_place_of_cluener_beyond_its_sentence_is_an_error(tmp_path) -> None:
    row = {"text": "北京", "label": {"address": {"北京": [[0, 3]]}}}
    assert "entity '北京' is not at [0, 3] of its sentence" in read(written(tmp_path / "a.jsonl", [row]))[1]


@pytest.mark.parametrize("field", ["ner", "entities"])
def test_a_row_that_lists_texts_by_several_labels_is_counted_once(tmp_path, field) -> None:
    row = {"text": TEXT, field: {"PER": ["Ida Noor"], "LOC": ["Oslo"]}}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row, row | {field: {"LOC": [], "PER": []}}]))
    assert (found, problems) == ([(TEXT, [IDA, OSLO]), (TEXT, [])], "")
    assert f": 1 {BY_LABEL} (row 1)" in notes


@pytest.mark.parametrize(
    "entities",
    [
        "[{'entity': 'Ida Noor', 'types': ['PER']}, {'entity': 'Oslo', 'types': ['LOC']}]",
        [{"entity": "Ida Noor", "types": ["PER"]}, {"entity": "Oslo", "types": "LOC"}],
    ],
)
def test_types_are_the_labels_of_entities_that_are_texts(tmp_path, entities) -> None:
    row = {"text": TEXT, "entities": entities}
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([(TEXT, [IDA, OSLO])], "")


def test_an_entity_of_several_types_is_an_error(tmp_path) -> None:
    row = {"text": TEXT, "entities": [{"entity": "Ida Noor", "types": ["first_name", "last_name"]}]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "entities[0].label must be text, found ['first_name', 'last_name']" in problems


@pytest.mark.parametrize("beside", [{"text": TEXT}, {"text": TEXT, "File": "a.txt", "Line": 0}, {"content": TEXT}])
def test_an_answer_of_comprehend_is_read_with_its_text(tmp_path, beside) -> None:
    found = [{"BeginOffset": 0, "EndOffset": 8, "Score": 0.9, "Text": "Ida Noor", "Type": "PER"}]
    found.append({"BeginOffset": 16, "EndOffset": 20, "Type": "LOC"})
    rows = [beside | {"Entities": found}, {"text": "Nobody ran", "Entities": []}]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == ([(TEXT, [IDA, OSLO]), ("Nobody ran", [])], "")


def test_spans_over_tokens_are_read_beside_a_text_where_each_names_its_own(tmp_path) -> None:
    row = {
        "tokens": ["Yet", "we", "won", ",", "Ada", "."],
        "sentence": "Yet we won, Ada.",
        "entity_mentions": [
            {"text": "we", "entity_type": "GPE", "start": 1, "end": 2},
            {"text": "Ada", "entity_type": "PER", "start": 4, "end": 5},
        ],
    }
    empty = {"tokens": ["Nobody", "."], "sentence": "Nobody.", "entity_mentions": []}
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row, empty]))  # OneIE
    assert (found, problems) == ([("Yet we won, Ada.", [("we", "GPE"), ("Ada", "PER")]), ("Nobody.", [])], "")
    row["entity_mentions"][0]["end"] = 3
    assert "entity 'we' is not at [1:3]" in read(written(tmp_path / "a.jsonl", [row]))[1]


def test_places_in_characters_stay_so_beside_tokens(tmp_path) -> None:
    row = {
        "tokens": ["Ada", "ran"],
        "text": "Ada ran",
        "entities": [{"text": "Ada", "label": "PER", "start": 0, "end": 3}],
    }
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([ADA], "")


def test_entities_of_annotators_that_are_a_level_deeper_say_so(tmp_path) -> None:
    mention = {"entity_type": "PER", "start_offset": 0, "end_offset": 3, "span_text": "Ada"}
    row = {"text": "Ada ran", "annotations": {"annotator1": {"entity_mentions": [mention]}}}  # the benchmark TAB
    said = "the entities are a level deeper, in 'entity_mentions': list those of one annotator as 'entities'"
    assert said in read(written(tmp_path / "a.jsonl", [row]))[1]


def test_a_text_with_its_place_in_an_object_is_no_annotator(tmp_path) -> None:
    row = {"text": "Ada ran", "entities": {"PER": {"Ada": {"start": 0, "end": 3}}}}
    assert "entity 'Ada' is not at {'start': 0, 'end': 3}" in read(written(tmp_path / "a.jsonl", [row]))[1]


def test_tags_that_are_numbers_are_said_to_be_so_beside_a_list_of_their_names(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran"], "tags": [1, 0], "labels": ["O", "B-PER", "I-PER"]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "row 1: tags are numbers without names: name them in the order of their numbers by --labels" in problems


def test_tags_of_another_number_than_tokens_are_not_passed_over_for_numbers(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran", "far", "."], "ner_tags": ["B-PER", "O", "O"], "tags": [1, 0, 0, 0]}
    assert "row 1: 4 tokens with 3 tags" in read(written(tmp_path / "a.jsonl", [row]))[1]


def test_a_tag_called_as_a_column_is_no_header_in_a_row(tmp_path) -> None:
    row = {"tokens": ["Ada", "lief", "."], "tags": ["NE", "VVFIN", "$."]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert problems.endswith("token 1: expected a tag such as O, B-person or I-person, found tag 'NE'")


@pytest.mark.parametrize("span", [[4], [4, 5, 6]])
def test_a_place_that_lists_tokens_says_so(tmp_path, span) -> None:
    row = {"sentence": "wake me up at nine am", "entities": [{"span": span, "type": "time"}]}  # SLURP
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert f"must be one [start, end], found {span}; if it lists the tokens of the mention, write where" in problems
