"""What an export tells a stranger."""

import ast
import json
import re

import pytest

from cluster.model_card import SETTINGS, card_files, greedy, licence_of, unknown_ends
from rnr.cli import known_keys

SCORES = {
    "sft": {
        "f1": 50.04,
        "interval": [45.0, 55.0],
        "exact_f1": 49.0,
        "finished": 99.0,
        "by_data_set": {"a": {"f1": 50}},
    },
    "grpo": {
        "f1": 61.25,
        "interval": [55.5, 66.7],
        "exact_f1": 60.0,
        "finished": 100.0,
        "decoding": "marks, labels calibrated by 0.6",
        "by_data_set": {"known": {"f1": 65.5}, "unseen": {"f1": 57.0}},
    },
}


def _card(
    tmp_path, *, wording: dict | None = None, path: str = "org/base", labels: tuple[str, ...] = ()
) -> dict[str, str]:
    run, base = tmp_path / "mine", tmp_path / "base"
    run.mkdir()
    base.mkdir()
    config = {"model": {"path": path}, "data": {"train": ["/home/me/secret/train.jsonl"]}, "sft": {"epochs": 2.0}}
    (run / "config.json").write_text(json.dumps(config))
    (base / "README.md").write_text("---\nlicense: mit\n---\n# Base\n")
    sampled = {"temperature": 0.7, "top_p": 0.9, "num_beams": 4, "no_repeat_ngram_size": 3, "max_new_tokens": 32}
    sampled |= {"bad_words_ids": [[5]], "top_h": 0.3, "eos_token_id": 5, "pad_token_id": 3, "bos_token_id": 1}
    (base / "generation_config.json").write_text(json.dumps(sampled))
    asked = {"wording": wording} if wording else {"preset": "compact"}
    prompt = {**asked, "definitions": {}, "decoding": "marks", "grammar": "marks", "label_calibration": 0.6}
    return card_files(
        run,
        name="mine",
        base_folder=base,
        stop_token_id=7,
        prompt_file={"rnr_prompt.json": json.dumps(prompt)},
        scores=SCORES,
        labels=labels,
    )


def test_the_card_tells_scores_with_intervals_settings_and_the_licence(tmp_path) -> None:
    card = _card(tmp_path)["README.md"]
    assert card.startswith("---\nlicense: mit\nbase_model: org/base\n")
    assert "| sft | unknown | 50.0 | 45.0 to 55.0 | 49.0 | 99 |" in card
    assert "| grpo | marks, labels calibrated by 0.6 | 61.2 | 55.5 to 66.7 | 60.0 | 100 |" in card
    assert "| unseen | 57.0 |" in card
    assert "| `sft.epochs` | 2.0 |" in card
    assert "| `data.train` | train.jsonl |" in card
    assert "secret" not in card
    assert 'Find the named entities. Think, then answer {"entities":{label:[text]}}' in card


def test_the_card_shows_keys_that_there_are() -> None:
    assert set(SETTINGS) - set(known_keys()) == set()


def test_decoding_is_greedy_and_ends_where_answers_end(tmp_path) -> None:
    found = json.loads(_card(tmp_path)["generation_config.json"])
    assert found == {"eos_token_id": [5, 7], "pad_token_id": 3, "bos_token_id": 1, "do_sample": False}


@pytest.mark.parametrize(("eos", "ends"), [(None, [7]), (0, [0, 7]), ([], [7]), ([9, 7], [7, 9])])
def test_an_answer_ends_with_its_own_token_whatever_the_base_says(tmp_path, eos, ends) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": eos}))
    assert json.loads(greedy(tmp_path, 7))["eos_token_id"] == ends


@pytest.mark.parametrize("eos", ["</s>", [2, None], [[2]], 2.5])
def test_an_end_that_is_no_token_is_named_with_its_file(tmp_path, eos) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": eos}))
    with pytest.raises(ValueError, match=r"model\.path: .*generation_config\.json: eos_token_id must be a token id"):
        greedy(tmp_path, 7)


def test_an_end_that_the_model_has_no_token_for_is_left_out_and_noted(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "vocab_size": 12, "eos_token_id": 50256}')
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [11, 12, -1]}')
    assert json.loads(greedy(tmp_path, 7))["eos_token_id"] == [7, 11]
    assert list(unknown_ends(tmp_path)) == [
        f"{tmp_path / 'config.json'}: eos_token_id 50256 ignored: the model has 12 tokens, from 0",
        f"{tmp_path / 'generation_config.json'}: eos_token_id 12, -1 ignored: the model has 12 tokens, from 0",
    ]


def test_the_snippets_are_programs_and_ask_as_the_model_was_trained(tmp_path) -> None:
    wording = {"user": "Find {{SCHEMA}} in: {{SENTENCE}}", "system": None, "paper": False}
    card = _card(tmp_path, wording=wording)["README.md"]
    programs = re.findall(r"```python\n(.*?)\n```", card, re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        ast.parse(program)
    assert "Find person, city in: Ada Lovelace was born in London." in programs[0]
    bodies = re.findall(r"-d '(\{.*?\})'$", card, re.MULTILINE)
    asked = [json.loads(body) for body in bodies]
    assert asked[0]["labels"] == ["person", "city"]
    assert [message["role"] for message in asked[1]["messages"]] == ["user"]
    assert "System message" not in card


def test_a_base_that_tells_no_licence_is_said_so_and_the_embedded_one_is_known(tmp_path) -> None:
    assert licence_of(tmp_path) == ""
    (tmp_path / "LICENSE").write_text("\n  Apache License\n")
    assert licence_of(tmp_path) == "Apache License"
    card = _card(tmp_path, path="smollm2-135m-instruct")["README.md"]
    assert "license: apache-2.0\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct" in card


def test_the_card_names_the_labels_that_were_trained_and_its_snippets_ask_for_them(tmp_path) -> None:
    labels = ("bee's pest", "keeper", *(f"label {number}" for number in range(50)))
    card = _card(tmp_path, labels=labels)["README.md"]
    assert "Trained with `bee's pest`, `keeper`, `label 0`" in card
    assert "and 12 more" in card
    body = re.search(r"localhost:8000/extract .*?-d '(.*?)'\n```", card, re.DOTALL)
    assert body is not None
    asked = json.loads(body[1].replace("'\\''", "'"))
    assert asked["labels"] == list(labels[:4])
    for snippet in re.findall(r"```python\n(.*?)\n```", card, re.DOTALL):
        ast.parse(snippet)
        assert "bee's pest" in snippet
