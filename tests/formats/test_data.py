"""Reading annotated sentences: the three formats, every error with its place, and the embedded data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rnr.config import ReadingConfig
from rnr.corpus import loading
from rnr.corpus.drawing import draw, thin
from rnr.corpus.formats.rows import DataError
from rnr.corpus.loading import DEMO, check
from rnr.corpus.matching import stripped
from rnr.corpus.report import Reading
from rnr.corpus.schemas import as_asked
from rnr.types import Example, Mention
from tests.jsonl import read_jsonl, write_jsonl


def load(paths: Sequence[str], **options: Any) -> list[Example]:
    return as_asked(loading.load(paths, **options), catch_alls=True)


DEMO_FILES = ("train", "known", "unseen")


def _jsonl(folder: Path, *rows: object, name: str = "rows.jsonl") -> str:
    return write_jsonl(folder / name, *rows)


def _spans(example: Example) -> list[tuple[int, int, str, str]]:
    return [(mention.start, mention.end, mention.text, mention.label) for mention in example.mentions]


def _numbered(count: int, source: str, *, empty: bool = False) -> list[Example]:
    mentions = () if empty else (Mention(text="x", label="thing", start=0, end=1),)
    return [
        Example(uid=f"{source}:{i}", sentence="x", schema=("thing",), mentions=mentions, source=source)
        for i in range(count)
    ]


# Formats


def test_a_folder_with_labels_gives_its_training_rows_under_its_own_schema(tmp_path) -> None:
    folder = tmp_path / "Tiny News"
    folder.mkdir()
    (folder / "labels.json").write_text(json.dumps(["Person", "LOC_ation", "else"]))
    row = {"sentence": "Ada met Bo in Rome", "entities": [{"name": "Rome", "type": "loc ation", "pos": [14, 18]}]}
    (folder / "train.json").write_text(json.dumps([row]))
    (folder / "test.json").write_text(json.dumps([{"sentence": "Nobody came", "entities": []}]))

    (train,) = load([str(folder)], training=True)
    (test,) = load([str(folder)], training=False)

    assert train.schema == ("else", "loc ation", "person")  # as it is asked: in one writing, sorted
    assert _spans(train) == [(14, 18, "Rome", "loc ation")]
    assert (train.source, train.uid) == ("Tiny News", "Tiny News/train:1")
    assert (test.sentence, test.mentions, test.uid) == ("Nobody came", (), "Tiny News/test:1")


def test_evaluation_takes_dev_where_there_is_no_test_file(tmp_path) -> None:
    (tmp_path / "labels.json").write_text('["person"]')
    (tmp_path / "dev.json").write_text('[{"sentence": "Hello", "entities": []}]')
    assert load([str(tmp_path)], training=False)[0].sentence == "Hello"
    with pytest.raises(DataError, match=r"no split train in this folder; it has dev"):
        load([str(tmp_path)], training=True)


@pytest.mark.parametrize("name", ["test.jsonl", "valid.json", "DEV.CONLL", "validation.iob", "test.txt"])
def test_a_split_may_have_any_known_ending(tmp_path, name) -> None:
    row = '{"text": "Ada", "label": [[0, 3, "person"]]}\n'
    (tmp_path / "train.jsonl").write_text(row.replace("Ada", "Bob"))
    (tmp_path / "notes.txt").write_text("not a split")
    (tmp_path / name).write_text(row if ".json" in name else "Ada B-person\n")
    assert [one.sentence for one in load([str(tmp_path)], training=True)] == ["Bob"]
    assert [one.sentence for one in load([str(tmp_path)], training=False)] == ["Ada"]


def test_of_many_files_without_a_split_five_are_named_and_the_rest_are_counted(tmp_path) -> None:
    for name in "abcdefg":
        (tmp_path / f"{name}.jsonl").write_text('{"text": "Ada", "label": []}\n')
    with pytest.raises(DataError, match=r"mean of a\.jsonl, .*, e\.jsonl and 2 more, or all of"):
        load([str(tmp_path)], training=True)


def test_two_files_of_one_split_are_not_guessed_between(tmp_path) -> None:
    for name in ("train.json", "train.conll"):
        (tmp_path / name).write_text("[]")
    with pytest.raises(DataError, match=r"train\.conll and train\.json are the same split; name the one you mean"):
        load([str(tmp_path)], training=True)


def test_a_chain_of_thought_row_brings_its_schema_its_data_set_and_its_chain(tmp_path) -> None:
    row = {
        "text": "Ada saw Ada",
        "schema": ["place", "person"],
        "entities": [{"text": "Ada", "label": "person"}],
        "cot": "Ada is a person.",
        "dataset": "letters",
    }
    (example,) = load([_jsonl(tmp_path, row)], training=True)
    assert example.schema == ("person", "place")
    assert _spans(example) == [(0, 3, "Ada", "person")]  # without offsets: the first occurrence
    assert (example.reasoning, example.source) == ("Ada is a person.", "letters")


def test_offsets_may_be_objects_or_triples(tmp_path) -> None:
    objects = {"text": "Ada in Rome", "spans": [{"start": 7, "end": 11, "label": "place"}]}
    triples = {"text": "Ada in Rome", "label": [[0, 3, "person"], [7, 11, "place"]]}
    first, second = load([_jsonl(tmp_path, objects, triples)], training=True)
    assert _spans(first) == [(7, 11, "Rome", "place")]
    assert _spans(second) == [(0, 3, "Ada", "person"), (7, 11, "Rome", "place")]
    assert first.schema == second.schema == ("person", "place")  # no schema anywhere: all labels of the file


def test_mentions_without_offsets_take_one_occurrence_after_the_other(tmp_path) -> None:
    row = {"text": "Ada, Ada", "entities": [{"text": "Ada", "label": "person"}] * 3}
    (example,) = load([_jsonl(tmp_path, row)], training=True)
    assert [(mention.start, mention.end) for mention in example.mentions] == [(0, 3), (5, 8)]


@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1).filter(str.strip), st.data())
def test_any_span_of_any_sentence_comes_back_as_it_was_written(tmp_path_factory, sentence, draw) -> None:
    start = draw.draw(st.integers(0, len(sentence) - 1))
    end = draw.draw(st.integers(start + 1, len(sentence)))
    file = tmp_path_factory.mktemp("any") / "rows.json"
    file.write_text(
        json.dumps([{"text": sentence, "schema": ["thing"], "label": [[start, end, "thing"]]}]), encoding="utf-8"
    )
    (example,) = load([str(file)], training=True, options=ReadingConfig(offsets="characters"))
    text = stripped(sentence[start:end])
    start += sentence[start:end].index(text)
    assert (example.sentence, _spans(example)) == (
        sentence,
        [(start, start + len(text), text, "thing")] if text else [],
    )


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"], ids=["U+2028", "U+2029", "U+0085"])
def test_a_unicode_line_separator_inside_a_sentence_does_not_end_the_row(tmp_path, separator) -> None:
    row = {"text": f"Ada{separator}Bo", "label": [[0, 3, "person"]]}
    assert load([_jsonl(tmp_path, row)], training=True)[0].sentence == f"Ada{separator}Bo"


# Errors


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"text": "Ada"', "not valid JSON"),
        ({"text": "Ada", "entities": [{"text": "Eve", "label": "person"}]}, "'Eve' is not in its sentence"),
        (
            {"text": "Ada", "schema": ["place"], "entities": [{"text": "Ada", "label": "person"}]},
            "'person' of 'Ada' is not in the schema",
        ),
        (
            {"text": "Ada sat", "entities": [{"text": "Ada", "start": 4, "end": 7, "label": "person"}]},
            r"'Ada' is not at \[4:7\], where the sentence has 'sat'",
        ),
        ({"text": "Ada", "label": [[10, 13, "person"]]}, "10"),
        (
            {"sentence": "Ada left", "entities": [{"text": "Ada", "label": "PER", "pos": 5}]},
            r"\[start, end\] in its 'pos'",
        ),
        ({"text": "Ada", "entities": [{"label": "PER", "pos": [0, 1, 2]}]}, r"entities\[0\] must have \[start, end\]"),
        ({"text": "Ada", "entities": [{"label": "PER", "pos": [0, 2.5]}]}, r"entities\[0\]\.end .* number, found 2\.5"),
        (
            {"text": "Ada", "entities": [{"label": "PER", "pos": [False, 3]}]},
            r"start must be a whole number, found False",
        ),
        ({"text": "Ada", "label": [[2, 1, "person"]]}, "2"),
        ({"text": "Ada", "label": [[0, 99, "person"]]}, "99"),
        ({"text": "Ada", "label": [[None, 3, "person"]]}, "None"),
        (
            {"text": "Ada", "label": [{"start": "a", "end": "3", "label": "person"}]},
            r"start must be a whole number, found 'a'",
        ),
        ({"text": "Ada", "entities": "Ada"}, "entities must be a list, of which each entity must be {"),
        ({"text": "Ada", "entities": ["Ada"]}, r"'entities' lists texts alone \('Ada'\)"),
        ({"text": "Ada", "label": [[0, 3, "PER", "a b"]]}, r"label\[0\] must be {.*, found \[0, 3, 'PER', 'a b'\]"),
        ({"text": "Ada", "entities": [{"text": "Ada"}]}, r"entities\[0\]\.label is missing in {'text': 'Ada'}"),
        ({"text": "Ada", "entities": [{"text": "Ada", "type": None}]}, r"\.type must be text, found None"),
        (
            {"text": "Ada", "entities": [{"text": "Ada", "label": ["X", "Y"]}]},
            r"\.label must be text, found \['X', 'Y'\]",
        ),
        ({"text": "Ada", "entities": [{"text": "Ada", "label": " _"}]}, r"\.label must not be blank"),
        (r'{"text": "Ada", "entities": [{"text": "Ada", "label": "\ud800"}]}', r"label .* half of a surrogate pair"),
        ({"text": "Ada", "schema": [None, "PER"], "entities": []}, r"schema\[0\] must be text, found None"),
        ({"text": "Ada", "schema": ["PER", ""], "entities": []}, r"schema\[1\] must not be blank"),
        ({"text": "Ada", "schema": "PER", "entities": []}, r"schema must be a list, found 'PER'"),
        ({"text": "Ada", "entities": [], "cot": 5}, "cot must be text, found 5"),
        ({"text": "Ada", "entities": [], "cot": "so</think>"}, "cot must not hold <think> or </think>"),
        ({"text": "Ada", "entities": [], "dataset": ["a"]}, r"dataset must be text, found \['a'\]"),
        ({"text": 5, "entities": []}, "'text' must be text, found 5"),
        ({"entities": []}, "no sentence: it is looked for in"),
        ({"text": "Ada", "entities": [{"label": "person"}]}, "without text or offsets"),
        ({"text": "  ", "entities": []}, "text must not be blank"),
        ({"text": "Ada", "schema": [], "entities": []}, "the schema is empty"),
        ("[1, 2]", r"a row must be an object such as .*, found \[1, 2\]"),
    ],
)
def test_a_bad_row_stops_with_its_file_its_row_and_the_reason(tmp_path, bad, reason) -> None:
    good = {"text": "Ada", "entities": [{"text": "Ada", "label": "person"}]}
    file = _jsonl(tmp_path, good, bad)
    with pytest.raises(DataError, match=reason) as raised:
        load([file], training=True)
    assert f"{file}, row 2" in str(raised.value)


def test_bad_rows_are_skipped_and_counted_only_if_asked(tmp_path, caplog) -> None:
    good = {"text": "Ada", "entities": [{"text": "Ada", "label": "person"}]}
    bad = {"text": "Ada", "entities": [{"text": "Eve", "label": "person"}]}
    examples = load([_jsonl(tmp_path, good, bad, "{", good)], training=True, skip_bad_rows=True)
    assert [example.uid[-1] for example in examples] == ["1", "4"]  # a uid is the row's own number
    said = caplog.messages[-1].splitlines()
    assert said[0] == "data: skipped 2 bad rows:"
    assert "row 2: entity 'Eve' is not in its sentence" in said[1]
    assert "row 3: not valid JSON" in said[2]


def test_a_bad_row_is_told_with_how_many_more_there_are_and_what_to_do(tmp_path, monkeypatch) -> None:
    good = {"text": "Ada", "entities": [{"text": "Ada", "label": "person"}]}
    file = _jsonl(tmp_path, good, "{", good, "{", "[")
    check = f"`python -m scripts.data check {file}` lists all problems"
    with pytest.raises(DataError) as raised:
        load([file], training=True)
    assert str(raised.value).startswith(f"{file}, row 2: not valid JSON")
    assert str(raised.value).endswith(f"; 2 more bad rows in this file; {check}")
    with pytest.raises(DataError) as raised:
        load([file], training=True, skip_bad_rows=False)
    assert str(raised.value).endswith(f"{check}; data.skip_bad_rows=true, or --skip-bad-rows, skips them")
    monkeypatch.setattr("rnr.corpus.skipping.SECONDS", -1.0)
    with pytest.raises(DataError) as raised:
        load([file], training=True)
    assert str(raised.value).endswith(f"; {check}")
    assert "more bad row" not in str(raised.value)


def test_a_file_that_breaks_off_behind_a_bad_row_is_told_by_that_row(tmp_path, monkeypatch) -> None:
    def rows(_file, _reading):
        yield 1, DataError("row 1: no tag")
        raise DataError("the file breaks off")

    monkeypatch.setattr("rnr.corpus.loading.read_rows", rows)
    with pytest.raises(DataError, match=r"row 1: no tag; `python -m scripts\.data check"):
        load([_jsonl(tmp_path, "{}")], training=True)


def test_of_many_skipped_rows_ten_are_named_and_the_rest_counted(tmp_path, caplog) -> None:
    good = {"text": "Ada", "entities": [{"text": "Ada", "label": "person"}]}
    load([_jsonl(tmp_path, good, *["{"] * 12)], training=True, skip_bad_rows=True)
    said = caplog.messages[0].splitlines()
    assert said[0] == "data: skipped 12 bad rows:"
    assert ["row 2:" in said[1], "row 11:" in said[10]] == [True, True]
    assert said[11:] == ["  and 2 more"]


def test_an_empty_file_is_an_error_beside_others(tmp_path) -> None:
    good = _jsonl(tmp_path, {"text": "Ada", "entities": [{"text": "Ada", "label": "person"}]})
    with pytest.raises(DataError, match=r"no usable sentence in .*empty\.jsonl: it has no rows"):
        load([good, _jsonl(tmp_path, name="empty.jsonl")], training=True)


def test_the_labels_of_a_folder_must_be_a_list_of_texts(tmp_path) -> None:
    (tmp_path / "labels.json").write_text('["person", null]')
    (tmp_path / "train.json").write_text('[{"sentence": "Ada", "entities": []}]')
    with pytest.raises(DataError, match=r"labels\.json: \[1\] must be text, found None"):
        load([str(tmp_path)], training=True)


def test_broken_json_names_file_and_line(tmp_path) -> None:
    file = tmp_path / "train.json"
    file.write_text('[\n {"text": "Ada", "entities": []},\n oops\n]')
    with pytest.raises(DataError, match=r"train\.json, line 3: not valid JSON"):
        load([str(file)], training=True)


def test_broken_labels_name_their_file(tmp_path) -> None:
    (tmp_path / "labels.json").write_text("[person]")
    (tmp_path / "train.json").write_text('[{"sentence": "Ada", "entities": []}]')
    with pytest.raises(DataError, match=r"labels\.json"):
        load([str(tmp_path)], training=True)


def test_a_missing_path_and_an_empty_data_set_are_named(tmp_path) -> None:
    with pytest.raises(DataError, match="no file or folder at 'nowhere"):
        load(["nowhere.jsonl"], training=True)
    with pytest.raises(
        DataError, match="no embedded data 'demo/nothing'; available: demo/known, demo/train, demo/unseen"
    ):
        load(["demo/nothing"], training=True)
    empty = _jsonl(tmp_path, name="empty.jsonl")
    with pytest.raises(DataError, match=r"no usable sentence in .*empty\.jsonl"):
        load([empty], training=True)
    with pytest.raises(DataError, match="an empty list of paths"):
        load([], training=True)


ADA = {"text": "Ada", "entities": [{"text": "Ada", "label": "person"}]}


@pytest.mark.parametrize("stem", ["train", "test", "dev", "valid", "validation", "Test"])
def test_a_split_belongs_to_the_data_set_of_its_folder(tmp_path, stem) -> None:
    for name in ("mit-movie", "news"):
        (tmp_path / name).mkdir()
        _jsonl(tmp_path / name, ADA, ADA | {"dataset": "letters"}, name=f"{stem}.jsonl")
    found = load([str(tmp_path / "*" / f"{stem}.jsonl")], training=False)
    assert [(one.source, one.uid) for one in found] == [
        ("mit-movie", f"mit-movie/{stem}:1"),
        ("letters", f"mit-movie/{stem}:2"),
        ("news", f"news/{stem}:1"),
        ("letters", f"news/{stem}:2"),
    ]


def test_a_split_in_the_working_folder_has_that_folders_name(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "letters"
    (folder / "inner").mkdir(parents=True)
    _jsonl(folder, ADA, name="test.jsonl")
    monkeypatch.chdir(folder)
    assert load(["test.jsonl"], training=False)[0].source == "letters"
    monkeypatch.chdir(folder / "inner")
    assert load(["../test.jsonl"], training=False)[0].source == "letters"


def test_uids_differ_between_files_and_do_not_depend_on_their_order(tmp_path) -> None:
    for name in ("x/set", "y/set"):
        (tmp_path / name).mkdir(parents=True)
    files = [
        _jsonl(tmp_path / "x" / "set", ADA, name="test.jsonl"),
        _jsonl(tmp_path / "y" / "set", ADA, name="test.jsonl"),
        _jsonl(tmp_path / "x" / "set", ADA, name="mine.jsonl"),
    ]
    expected = ["x/set/test.jsonl:1", "y/set/test.jsonl:1", "mine/mine:1"]
    assert [one.uid for one in load(files, training=True)] == expected
    assert [one.uid for one in load(files[::-1], training=True)] == expected[::-1]


def test_data_sets_of_one_name_in_different_folders_are_told_apart(tmp_path, caplog) -> None:
    places = [tmp_path / place for place in ("a/news", "b/news", "a/bio", "c/hub/data", "d/hub/data", "a", "b")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    news, more_news, bio, data, more_data, *alone = places
    files = [_jsonl(place, ADA, name="test.jsonl") for place in (news, more_news, bio)]
    files += [_jsonl(place, ADA, name="test-00000-of-00001.jsonl") for place in (data, more_data)]
    files += [_jsonl(news, ADA, name="dev.jsonl")]  # of one data set with the test part beside it
    files += [_jsonl(place, ADA, name="mine.jsonl") for place in alone]
    expected = ["a/news", "b/news", "bio", "c/hub/data", "d/hub/data", "a/news", "a/mine", "b/mine"]
    assert [one.source for one in load(files, training=False)] == expected
    said = caplog.text
    assert f"{files[1]}: another data set has the same name; this one is called b/news here" in said
    assert said.count("another data set has the same name") == 7  # all but bio
    assert [one.source for one in load(files[::-1], training=False)] == expected[::-1]
    assert [one.source for one in check(files, Reading()) if isinstance(one, Example)] == expected
    assert [one.source for one in load([files[0], files[5]], training=False)] == ["news", "news"]
    assert [one.uid for one in load(files[:2], training=False)] == ["a/news/test.jsonl:1", "b/news/test.jsonl:1"]


def test_the_embedded_files_are_data_sets_of_their_own() -> None:
    (first, *_), (second, *_) = load(["demo/train"], training=True), load(["demo/known"], training=False)
    assert [(one.source, one.uid) for one in (first, second)] == [
        ("train", "train/train:1"),
        ("known", "known/known:1"),
    ]


def test_a_row_keeps_the_name_that_it_has(tmp_path) -> None:
    rows = [ADA | {"guid": "n-7"}, ADA | {"guid": 8}, ADA]
    assert [one.guid for one in load([_jsonl(tmp_path, *rows)], training=True)] == ["n-7", "8", ""]
    rows = [ADA | {"id": 9}, ADA | {"id": "x", "guid": "n-7"}, ADA | {"id": "x", "guid": ""}, ADA | {"id": [1]}]
    rows += [row | {"cot": "Ada is one."} for row in rows]  # not the usual row
    assert [one.guid for one in load([_jsonl(tmp_path, *rows)], training=True)] == 2 * ["9", "n-7", "x", ""]


_KEYS = ["sentence", "text", "entities", "spans", "label", "labels", "type", "pos", "start", "end", "schema", "cot"]
_KEYS += ["dataset", "guid", "data", "annotations", "annotation_id", "result", "value", "ents"]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats() | st.sampled_from(["Ada", "PER", "", "\ud800", "[0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(_VALUES, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_every_row_of_whatever_json_is_an_example_or_says_why_not(tmp_path_factory, values) -> None:
    # A text and an object or a list are one training tuple of spaCy's.
    assume(not (len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], dict | list)))
    file = tmp_path_factory.mktemp("rows", numbered=True) / "rows.json"
    file.write_text(json.dumps(values))
    found = list(check([str(file)], Reading()))
    found = [row for row in found if not str(row).startswith(f"{file}: the schema is empty")]  # said of the file
    assert len(found) == len(values)
    for number, row in enumerate(found, 1):
        if isinstance(row, DataError):
            assert str(row).startswith(f"{file}, row {number}: ")
        else:
            assert row.sentence.encode()
            assert all(label.strip() for label in row.schema)


# Drawing


def test_an_even_draw_takes_the_same_number_from_each_source_as_far_as_it_has_them() -> None:
    examples = _numbered(10, "a") + _numbered(2, "b") + _numbered(10, "c")
    drawn = draw(examples, 8, seed=3)
    # Ranks 0 and 1 give 3 each, rank 2 gives a and c: 3 + 3 + 2 = 8, so 3 of a, 2 of b, 3 of c.
    assert sorted(example.source for example in drawn) == ["a"] * 3 + ["b"] * 2 + ["c"] * 3
    assert drawn == draw(examples, 8, seed=3)
    assert drawn != draw(examples, 8, seed=4)


def test_a_draw_by_size_takes_from_each_source_in_proportion_to_what_it_has() -> None:
    examples = _numbered(60, "a") + _numbered(30, "b") + _numbered(10, "c")
    drawn = draw(examples, 10, seed=3, mixture="size")
    assert sorted(example.source for example in drawn) == ["a"] * 6 + ["b"] * 3 + ["c"]


def test_a_very_large_source_counts_as_one_of_ten_thousand() -> None:
    examples = _numbered(30_000, "large") + _numbered(10_000, "small")
    drawn = draw(examples, 10, seed=3, mixture="size")
    assert sorted(example.source for example in drawn) == ["large"] * 5 + ["small"] * 5


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 30), st.integers(0, 5))
def test_a_draw_has_no_repeats_and_the_count_that_was_asked_for(sizes, count, seed) -> None:
    examples = [example for number, size in enumerate(sizes) for example in _numbered(size, f"s{number}")]
    uids = [example.uid for example in draw(examples, count, seed)]
    assert len(set(uids)) == len(uids) == min(count or len(examples), len(examples))


def test_thinning_keeps_a_share_of_the_sentences_with_few_mentions_and_all_others() -> None:
    one, empty = _numbered(20, "one"), _numbered(1000, "empty", empty=True)
    thinned = thin([*one, *empty], [0.3], seed=1)
    assert [example for example in thinned if example.mentions] == one
    kept = len(thinned) - len(one)
    assert 230 < kept < 370  # 300 expected, standard deviation sqrt(1000 * 0.3 * 0.7) = 14.5
    assert thinned == thin([*one, *empty], [0.3], seed=1)
    assert thin([*one, *empty], [0.0], seed=1) == one
    assert thin([*one, *empty], [0.0, 0.0], seed=1) == []
    assert thin([*one, *empty], [1.0, 0.0], seed=1) == empty
    assert thin([*one, *empty], [], seed=1) == [*one, *empty]


# The embedded data


def _demo_rows(name: str) -> list[dict]:
    return read_jsonl(DEMO / f"{name}.jsonl")


def test_the_embedded_data_is_large_and_varied_enough() -> None:
    rows = [row for name in DEMO_FILES for row in _demo_rows(name)]
    assert len(rows) >= 600
    assert len({row["domain"] for row in rows}) >= 8
    assert len({label for row in _demo_rows("train") for label in row["schema"]}) >= 30
    assert len({row["guid"] for row in rows}) == len(rows)


def test_no_sentence_and_no_unseen_label_leaks_between_the_embedded_files() -> None:
    sentences = [row["sentence"].casefold().strip() for name in DEMO_FILES for row in _demo_rows(name)]
    assert len(set(sentences)) == len(sentences)
    labels = {name: {label for row in _demo_rows(name) for label in row["schema"]} for name in DEMO_FILES}
    assert not labels["unseen"] & labels["train"]
    assert labels["known"] <= labels["train"]
    assert not {row["domain"] for row in _demo_rows("unseen")} & {row["domain"] for row in _demo_rows("train")}


def test_every_embedded_offset_label_and_piece_of_evidence_is_right() -> None:
    for row in (row for name in DEMO_FILES for row in _demo_rows(name)):
        for entity in row["entities"]:
            assert row["sentence"][entity["start"] : entity["end"]] == entity["text"], row["guid"]
            assert entity["text"] == entity["text"].strip(), row["guid"]
            assert entity["label"] in row["schema"], row["guid"]
            assert entity["evidence"], row["guid"]
            assert entity["evidence"] in row["sentence"], row["guid"]


def test_every_embedded_training_row_has_a_chain_that_names_each_of_its_entities() -> None:
    for row in _demo_rows("train"):
        assert row["cot"].strip(), row["guid"]
        for entity in row["entities"]:
            assert f'[{entity["text"]} ("{entity["evidence"]}"): {entity["label"]}]' in row["cot"], row["guid"]


@pytest.mark.parametrize("name", DEMO_FILES)
def test_the_embedded_data_loads_whole(name) -> None:
    rows = _demo_rows(name)
    examples = load([f"demo/{name}"], training=name == "train")
    assert [example.sentence for example in examples] == [row["sentence"] for row in rows]
    for example, row in zip(examples, rows, strict=True):
        assert len(example.mentions) == len(row["entities"])
        assert example.reasoning == row.get("cot")


def test_a_row_without_a_field_for_its_entities_is_an_error_unless_none_are_needed(tmp_path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"sentence": "Ada ran.", "schema": ["person"], "remarks": []}\n')
    with pytest.raises(DataError, match=r"row 1: no field 'entities'"):
        load([str(file)], training=True)
    assert load([str(file)], training=True, annotated=False)[0].mentions == ()
