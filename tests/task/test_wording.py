"""A prompt of one's own: asked as it is written, refused where an answer to it could not be read."""

import json

import pytest

from actors.chat_format import (
    asks_catch_alls,
    chat_format,
    grammar_decoding,
    prompt_file,
    read_wording,
    trained_calibration,
    trained_decoding,
)
from rnr.task.parsing import parse
from rnr.task.prompts import ChatFormat
from rnr.task.wording import COMPACT, PRESETS, REFERENCE, own_wording
from rnr.types import Example, Mention
from tests.chat_models import TEMPLATES, tokenizer

GERMAN = """Du findest Eigennamen. Denke erst nach, dann antworte so: {"entities": {"ort": ["Rom"]}}
---
Gesucht: {{SCHEMA}}
{{DEFINITIONS}}
Satz: {{SENTENCE}}
"""


def _example(sentence: str = "Ada in Köln.") -> Example:
    return Example(uid="1", sentence=sentence, schema=("person", "ort"), mentions=())


def _chat(wording, definitions=None):
    tok = tokenizer("byte-level")
    tok.chat_template = TEMPLATES["chatml"]
    return tok, ChatFormat(tok, wording, definitions)


def test_an_own_prompt_is_asked_as_it_is_written() -> None:
    tok, chat = _chat(own_wording(GERMAN, "file"), {"ort": "Stadt, Land, Fluss"})
    assert tok.decode(chat.prompt(_example()).token_ids) == (
        '<|im_start|>system\nDu findest Eigennamen. Denke erst nach, dann antworte so: {"entities": {"ort": ["Rom"]}}'
        "<|im_end|>\n<|im_start|>user\nGesucht: person, ort\nort: Stadt, Land, Fluss\nSatz: Ada in Köln.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    answer = parse(
        tok.decode(chat.target([Mention(text="Köln", label="ort")], "Köln ist ein ort."), skip_special_tokens=True)
    )
    assert answer.mentions == (Mention(text="Köln", label="ort"),)


def test_what_a_sentence_or_a_prompt_spells_is_neither_a_field_nor_a_control_token() -> None:
    wording = own_wording("Read <|im_end|> {{SENTENCE}} for {{ SCHEMA }}", "file")
    _, chat = _chat(wording)
    example = _example("{{SCHEMA}} {{DEFINITIONS}} {{other}}")
    assert wording.message(example, {}) == "Read <|im_end|> {{SCHEMA}} {{DEFINITIONS}} {{other}} for person, ort"
    assert chat.prompt(example).token_ids.count(chat.stop_token_id) == 1


def test_definitions_stand_behind_their_labels_where_they_have_no_place_of_their_own() -> None:
    message = own_wording("{{SCHEMA}}: {{SENTENCE}}", "file").message(_example(), {"ort": "a spot"})
    assert message == "person, ort (a spot): Ada in Köln."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Find {{SCHEMA}}.", r"{{SENTENCE}} must occur once in the user's message, not 0 times"),
        ("{{SENTENCE}} {{SENTENCE}} {{SCHEMA}}", r"{{SENTENCE}} must occur once in the user's message, not 2 times"),
        ("{{SENTENCE}} only", r"{{SCHEMA}} must occur once"),
        ("{{SENTENCES}} {{SCHEMA}}", "unknown field {{SENTENCES}}; did you mean 'SENTENCE'?"),
        ("Labels {{SCHEMA}}\n---\n{{SENTENCE}}", r"{{SCHEMA}} must occur once in the user's message, not 0 times"),
        (
            "{{DEFINITIONS}}\n---\n{{SCHEMA}} {{SENTENCE}}",
            "the fields belong in the user's message, after the line ---",
        ),
        ('Answer {"person": ["Ada"]}. {{SCHEMA}} {{SENTENCE}}', "the example of an answer cannot be parsed"),
        ('Answer [["Ada", "person"]]. {{SCHEMA}} {{SENTENCE}}', "the example of an answer cannot be parsed"),
        ('As {"entities": [{"text": "Ada"}]}: {{SCHEMA}} {{SENTENCE}}', "the example of an answer cannot be parsed"),
    ],
)
def test_a_prompt_that_cannot_be_asked_or_answered_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError) as refusal:
        own_wording(text, "data.prompt: my.txt")
    assert str(refusal.value).startswith("data.prompt: my.txt: ")
    assert why in str(refusal.value)


def test_a_prompt_may_show_an_answer_that_can_be_read_and_lists_of_labels() -> None:
    own_wording('Such as ["person", "city"]: {"entities":{"person":["Ada"]}} {{SCHEMA}} {{SENTENCE}}', "file")
    for wording in PRESETS.values():
        own_wording(f"{wording.system or ''}\n---\n{wording.user}", "file")


def test_a_file_that_is_missing_is_named(tmp_path) -> None:
    assert (read_wording("compact"), read_wording("reference")) == (COMPACT, REFERENCE)
    with pytest.raises(
        ValueError, match=r"'compct' is neither \"compact\", \"compact-de\", .* or \"reference\" nor a text file"
    ):
        read_wording("compct")
    (tmp_path / "own.txt").write_text(GERMAN, encoding="utf-8")
    assert read_wording(str(tmp_path / "own.txt")) == own_wording(GERMAN, "file")


@pytest.mark.parametrize("wording", [COMPACT, REFERENCE, own_wording(GERMAN, "file")])
def test_an_export_remembers_how_it_was_asked(tmp_path, wording) -> None:
    tok, chat = _chat(wording, {"ort": "a spot"} if wording is not REFERENCE else None)
    tok.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    catch_alls = wording is COMPACT
    written = prompt_file(chat, "marks", grammar="schema", calibration=0.25, catch_alls=catch_alls)
    for name, text in written.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    folder = str(tmp_path)
    again = chat_format(folder)
    assert (again.wording, again.definitions) == (wording, chat.definitions)
    assert (trained_decoding(folder), grammar_decoding(folder), trained_calibration(folder)) == ("marks", "marks", 0.25)
    assert asks_catch_alls(str(tmp_path)) == (wording is COMPACT)
    assert again.prompt(_example()).token_ids == chat.prompt(_example()).token_ids


def test_an_export_of_before_is_still_read(tmp_path) -> None:
    tok, _ = _chat(COMPACT)
    tok.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert chat_format(str(tmp_path)).wording == COMPACT
    assert asks_catch_alls(str(tmp_path))
    (tmp_path / "rnr_prompt.json").write_text(json.dumps({"preset": "reference", "definitions": {}}))
    assert (chat_format(str(tmp_path)).wording, trained_calibration(str(tmp_path))) == (REFERENCE, 0.0)
    assert not asks_catch_alls(str(tmp_path))


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ('{"preset": "compact"', "Invalid JSON"),
        ('{"preset": "terse", "definitions": {}}', "preset: 'terse' is not one of compact, compact-de,"),
        ('{"preset": "compact", "decoding": "beams"}', "decoding: must be 'free', 'schema' or 'marks' (got 'beams')"),
        ('{"preset": "compact", "label_calibration": 7}', "label_calibration: must be at most 1 (got 7)"),
        ('{"wording": {"system": "Find."}}', "wording.user: is missing"),
    ],
)
def test_a_file_that_does_not_tell_how_a_model_was_asked_is_named_with_what_is_wrong(tmp_path, written, why) -> None:
    (tmp_path / "rnr_prompt.json").write_text(written)
    with pytest.raises(ValueError, match=r"rnr_prompt\.json: ") as said:
        asks_catch_alls(str(tmp_path))
    assert why in str(said.value)


LANGUAGES = [name for name in PRESETS if name.startswith("compact-")]


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_instruction_in_another_language_asks_for_the_same_answer(name: str) -> None:
    wording = read_wording(name)
    # As a file of a user's own it would be accepted, and be the same.
    assert own_wording(f"{wording.system}\n---\n{wording.user}", name) == wording
    assert str(wording.system).endswith('{"entities":{label:[text]}}')
    assert wording != COMPACT
    message = wording.message(_example(), {})
    assert [part in message for part in ("person, ort", "Ada in Köln.")] == [True, True]
