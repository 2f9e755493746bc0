"""What a loaded model may be asked, and the error for a question that it may not."""

import asyncio
import contextlib
import io
import json
import sys
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from actors.extractor import Extractor
from actors.loading import load
from actors.options import Options
from actors.question import asked, definitions, pair, refuse_text, refuse_unasked
from rnr.model_folder import resolve
from rnr.task.extraction import Entity, Extraction
from scripts.predict import _plain
from scripts.predict import main as predict
from scripts.questions import read_questions


@pytest.fixture
def ner() -> Extractor:
    """A model that is never reached."""
    nothing: Any = None
    options = Options(decoding="marks")
    limits: Any = {"context_tokens": 64, "max_new_tokens": None, "in_flight": 1}
    return Extractor(nothing, "", nothing, options, label_calibration=0.0, loop=nothing, **limits)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "a text must be a string, found NoneType"),
        (b"Ada", "a text must be a string, found bytes"),
        (["Ada", "Bob"], "found list; for several texts call batch"),
        ("Ada \ud83d", "character 4 of the text is a lone surrogate"),
    ],
)
def test_what_is_no_text_is_refused_by_what_it_is(ner, text, said) -> None:
    with pytest.raises(ValueError, match=said):
        refuse_text(text)
    with pytest.raises(ValueError, match=said):
        ner(text, ["person"])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (None, "found NoneType"),
        (7, "found int"),
        ("person", "not one string"),
        ([], "at least one label"),
        ([1, 2], "a label must be a string, found 1"),
        ([["person"], ["city"]], r"found \['person'\]; stream\(\) takes"),
        (["person", " "], "must not be blank"),
        (["person", "Person"], "are the same to the model"),
        (["a\ud83d"], "a lone surrogate"),
    ],
)
def test_what_are_no_labels_is_refused(labels, said) -> None:
    with pytest.raises(ValueError, match=said):
        asked(labels)


def test_labels_of_a_set_are_asked_in_one_order_and_twice_the_same_is_once() -> None:
    assert list(asked({"person", "city", "area"})) == ["area", "city", "person"]
    assert list(asked(["b", "a", "b"])) == ["b", "a"]
    assert list(asked({"b": "x", "a": ""})) == ["b", "a"]


def test_definitions_are_texts_and_blank_ones_are_none() -> None:
    assert definitions({"Art_Work": "a painting", "b": " "}) == {"art work": "a painting"}
    assert definitions({"b": ""}) is None
    with pytest.raises(ValueError, match="the definition of 'b' must be a string, found NoneType"):
        definitions({"b": None})  # type: ignore[dict-item]


def test_one_string_is_no_batch_of_its_letters(ner) -> None:
    with pytest.raises(ValueError, match="found one string"):
        ner.batch("Ada met Bob", ["person"])


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Ada met Bob", "found a text alone: call batch"),
        ("ab", "found a text alone"),
        (("Ada", ["person"], 0.5), r"for each text, found \('Ada', \['person'\], 0.5\)"),
        (7, "for each text, found 7"),
    ],
)
def test_what_is_no_pair_of_text_and_labels_is_no_question_of_a_stream(ner, question, said, monkeypatch) -> None:
    monkeypatch.setattr("actors.extractor.refuse_unfollowed", lambda _chat, _decoding: None)
    with pytest.raises(ValueError, match=said):
        list(ner.stream([question]))
    assert pair(["Ada", ["person"]]) == ("Ada", ["person"])


def test_a_threshold_of_a_label_that_is_not_asked_for_is_refused(ner) -> None:
    refuse_unasked({"Person": 0.5}, ["person"])
    refuse_unasked(0.5, ["person"])
    with pytest.raises(ValueError, match="threshold for 'dog', which is not among the labels: person, city"):
        ner.batch(["Ada"], ["person", "city"], threshold={"dog": 0.5})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"select": "best"}, r"select: must be 'greedy', 'vote' or 'medoid' \(got 'best'\)"),
        ({"decoding": "json"}, r"decoding: must be 'free', 'schema' or 'marks' \(got 'json'\)"),
        ({"samples": 2.5}, r"samples: must be a whole number \(got 2.5\)"),
        ({"temperature": "hot"}, r"temperature: must be a number \(got 'hot'\)"),
        ({"temperature": float("nan")}, r"temperature: must be finite \(got nan\)"),
        ({"samples": 0}, r"samples: must be at least 1 \(got 0\)"),
        ({"temperature": 0}, r"temperature: must be more than 0 \(got 0\)"),
        ({"samples": True}, r"samples: must be a whole number \(got True\)"),
        ({"window": "9"}, r"window: must be a whole number \(got '9'\)"),
        ({"threshold": "0.5"}, "from 0 to 1, not '0.5'"),
        ({"threshold": {"person": None}}, "from 0 to 1, not None"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_those_that_can(given, said) -> None:
    with pytest.raises(ValueError, match=said):
        Options(decoding="marks").but(**given)


def test_a_temperature_without_several_samples_would_do_nothing_and_is_refused(ner) -> None:
    for given in ({"temperature": 0.5}, {"temperature": 1.0, "samples": 1}):
        with pytest.raises(ValueError, match="temperature applies to several samples, but a single answer is greedy"):
            ner("Ada", ["person"], **given)
    assert Options(decoding="marks").but(temperature=0.5, samples=2).temperature == 0.5
    usual = Options(decoding="marks", temperature=0.5)  # of a loaded model, for calls with several samples
    assert (usual.but(window=64).temperature, usual.but(samples=4).temperature) == (0.5, 0.5)


def test_an_option_that_there_is_not_names_those_that_there_are(ner) -> None:
    with pytest.raises(ValueError, match="unknown option 'temprature'; the options are samples, select,"):
        ner("Ada", ["person"], temprature=0.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"window": 100, "overlap": 51}, r"overlap must be from 0 to half of window \(100\), not 51"),
        ({"overlap": -1}, r"overlap must be from 0 to half of window \(256\), not -1"),
        ({"window": 0}, "window must be a number of tokens, at least 1, not 0"),
        ({"window": -4, "overlap": 0}, "window must be a number of tokens, at least 1, not -4"),
    ],
)
def test_windows_that_cannot_be_cut_are_refused_before_anything_is_asked(given, said) -> None:
    with pytest.raises(ValueError, match=said):
        Options.of(decoding="free", **given)
    assert Options.of(decoding="free", window=100, overlap=50).shared == 50


def test_windows_of_any_size_share_at_most_half_of_themselves_by_default() -> None:
    assert [Options(decoding="free", window=size).shared for size in (256, 96, 20, 1)] == [48, 48, 10, 0]
    assert Options(decoding="free", overlap=7).shared == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "tpu"}, "device must be cpu, cuda, mps"),
        ({"context_tokens": 16}, "context_tokens must be a whole number of at least 32, not 16"),
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number of at least 1, not 0"),
        (
            {"max_new_tokens": 64, "context_tokens": 64},
            r"max_new_tokens \(64\) must be smaller than context_tokens \(64\)",
        ),
        ({"engine": "vllm", "device": "cuda:1"}, 'cuda:1\' is for engine="transformers"; vLLM uses the first'),
    ],
)
def test_a_model_is_not_loaded_under_options_that_cannot_be(options, said, monkeypatch) -> None:
    monkeypatch.setattr("actors.loading.resolve", lambda model: model)
    monkeypatch.setattr("actors.loading.chat_format", lambda folder: None)
    monkeypatch.setattr("actors.loading.grammar_decoding", lambda folder: "marks")
    with pytest.raises(ValueError, match=said):
        load("mine", **{"engine": "transformers", **options})


def test_the_folder_of_a_run_is_told_from_its_export(tmp_path) -> None:
    (tmp_path / "export").mkdir()
    for folder in (tmp_path, tmp_path / "export"):
        (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"this is a run folder, its model is .*export"):
        resolve(str(tmp_path))


def test_a_file_of_annotated_data_is_not_asked_about_line_by_line(tmp_path) -> None:
    for name in ("a.conll", "a.json", "a.csv"):
        (tmp_path / name).write_text("Ada B-PER\n")
        with pytest.raises(ValueError, match=r"`python -m scripts.data convert .* --to jsonl"):
            list(read_questions([], [str(tmp_path / name)], "auto", ["person"]))
        assert len(list(read_questions([], [str(tmp_path / name)], "lines", ["person"]))) == 1
    (tmp_path / "rows.json").write_text('{"text": "Ada"}\n')
    assert [one.text for one in read_questions([], [str(tmp_path / "rows.json")], "auto", ["person"])] == ["Ada"]


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfAda\n")
    (tmp_path / "b.txt").write_bytes(b'\xef\xbb\xbf{"text": "Ada"}\n')
    for name in ("a.txt", "b.txt"):
        for form in ("auto", "document"):
            (found,) = read_questions([], [str(tmp_path / name)], form, ["person"])  # type: ignore[arg-type]
            assert not found.text.startswith("\ufeff")
    monkeypatch.setattr("sys.stdin", io.StringIO('\ufeff{"text": "Ada"}\n'))
    assert [one.text for one in read_questions(["-"], [], "auto", ["person"])] == ["Ada"]


def test_control_characters_of_a_text_do_not_reach_the_terminal() -> None:
    entity = Entity(text="\x1b[31mAda", label="person", start=0, end=8, confidence=None, alignment="exact")
    found = Extraction(sentence="\x1b[31mAda\tran\x00", entities=(entity,), reasoning="[\x07Ada: person]")
    said = _plain(found)
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\\x1b[31mAda\tran\\x00" in said


class _Instant(Extractor):
    """A model whose answers are there at once, asked as the real one is: in a thread that takes questions ahead."""

    def __init__(self) -> None:
        loop: Any = SimpleNamespace(submit=_done)
        nothing: Any = SimpleNamespace()
        super().__init__(
            nothing,
            "",
            nothing,
            Options(decoding="free"),
            label_calibration=0.0,
            context_tokens=64,
            max_new_tokens=None,
            in_flight=8,
            loop=loop,
        )

    async def extract(self, text: str, labels: Any, options: Options | None = None) -> Extraction:
        return Extraction(sentence=text, entities=(), reasoning=None)


def _done(coroutine: Any) -> "Future[Extraction]":
    future: Future[Extraction] = Future()
    future.set_result(asyncio.run(coroutine))
    return future


@pytest.mark.parametrize("bad", ['{"text": broken', '{"nothing": 1}', "[]", '{"text": 7}'])
def test_a_row_that_cannot_be_read_ends_predict_with_an_error_behind_the_answers_before_it(
    tmp_path, monkeypatch, capsys, bad
) -> None:
    monkeypatch.setattr("actors.extractor.refuse_unfollowed", lambda *_: None)
    monkeypatch.setitem(
        sys.modules, "actors.loading", SimpleNamespace(load=lambda *_, **__: contextlib.nullcontext(_Instant()))
    )
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text(f'{{"text": "one"}}\n{{"text": "two"}}\n{bad}\n{{"text": "four"}}\n')
    assert predict(["--model", "m", "--schema", "person", "--file", str(rows), "--out", str(out)]) == 2
    assert "rows.jsonl, row 3: " in capsys.readouterr().err
    assert [json.loads(line)["sentence"] for line in out.read_text().splitlines()] == ["one", "two"]


def test_a_threshold_for_a_label_that_nobody_asks_for_is_refused_before_the_model_is_loaded(capsys) -> None:
    assert predict(["--model", "m", "--schema", "person", "--threshold", "dog=0.5", "Ada"]) == 2
    assert "threshold for 'dog'" in capsys.readouterr().err
