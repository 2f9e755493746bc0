"""What a run is given to train on, with the embedded model's tokenizer."""

import json
import os
import re
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from cluster.dry_run import plan_rows
from cluster.placement import roles
from cluster.prepare import Prepared, prepare
from cluster.schedule import Schedule
from learner.architecture import UnsupportedModel
from rnr.config import Config
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder
from tests.jsonl import write_jsonl

pytestmark = pytest.mark.skipif(
    not embedded_folder(EMBEDDED_MODEL).is_dir(), reason="the embedded model is not set up: run `make setup`"
)

EMBED = "model.embed_tokens.weight"


def _prepare(**sections) -> Prepared:
    config = Config(**sections)
    return prepare(
        model=config.model,
        data=config.data,
        sft=config.sft,
        grpo=config.grpo,
        sampling=config.sampling,
        reward=config.reward,
        evaluation=config.evaluation,
        seed=config.run.seed,
    )


def _file(path, sentences: list[str]) -> str:
    return write_jsonl(path, *({"sentence": text, "schema": ["person"], "entities": []} for text in sentences))


def test_grpos_pool_is_thinned_and_the_warm_start_is_not() -> None:
    everything = _prepare()
    thinned = _prepare(data={"grpo_keep_by_mentions": (0.0, 0.0)})
    assert thinned.sft == everything.sft
    wanted = [prompt.uid for prompt in everything.prompts if len(prompt.example.mentions) > 1]
    assert 0 < len(wanted) < len(everything.prompts)
    assert [prompt.uid for prompt in thinned.prompts] == wanted
    left_out = {"thinned by data.grpo_keep_by_mentions, from GRPO's pool only": len(everything.prompts) - len(wanted)}
    assert thinned.left_out == left_out


def test_what_would_spoil_the_export_is_told_before_the_start(tmp_path) -> None:
    model = shutil.copytree(embedded_folder(EMBEDDED_MODEL), tmp_path / "model", copy_function=os.symlink)
    (model / "generation_config.json").unlink(missing_ok=True)
    (model / "generation_config.json").write_text('{"eos_token_id": "</s>"}')
    with pytest.raises(ValueError, match=r"generation_config\.json: eos_token_id"):
        _prepare(model={"path": str(model)})


def test_the_longest_sequence_is_the_longest_prompt_with_the_longest_answer_that_may_come() -> None:
    prepared = _prepare(sampling={"max_new_tokens": 200})
    prompt = max(len(each.token_ids) for each in prepared.prompts)
    assert max(sample.length for sample in prepared.sft) < prompt + 200 == prepared.longest
    supervised = _prepare(grpo={"steps": 0})
    assert supervised.longest == max(sample.length for sample in supervised.sft)


def test_a_run_that_takes_over_a_warm_start_prepares_none() -> None:
    assert _prepare(sft={"from_run": "elsewhere"}).sft == ()


def test_only_what_was_selected_is_tokenised(monkeypatch) -> None:
    from rnr.task.prompts import ChatFormat

    asked: list[str] = []
    prompt = ChatFormat.prompt
    monkeypatch.setattr(ChatFormat, "prompt", lambda self, example: asked.append(example.uid) or prompt(self, example))
    data = {"sft_examples": 30, "grpo_examples": 20, "evaluation_examples": 4}
    prepared = _prepare(data=data, sft={"held_out": 5})
    held_out, evaluation = prepared.held_out, prepared.evaluation
    wanted = {item.uid for part in (prepared.sft, prepared.prompts, held_out, evaluation) for item in part}
    assert sorted(asked) == sorted(wanted)  # each once
    assert (len(prepared.sft), len(prepared.prompts), len(held_out), len(evaluation)) == (30, 20, 5, 8)
    assert prepared.candidates == 715


def test_the_probe_has_room_in_the_context(tmp_path) -> None:
    names = [{"text": name, "label": "person"} for name in ("Ada", "Bob", "Cyd", "Dan", "Eve", "Fay", "Gus", "Hal")]
    listed = ", ".join(entity["text"] for entity in names)
    test = write_jsonl(tmp_path / "test.jsonl", {"sentence": listed, "schema": ["person"], "entities": names})
    data = {"train": (_file(tmp_path / "train.jsonl", ["Short one."]),), "evaluation": (test,)}
    short = {"sampling": {"max_new_tokens": 16}, "evaluation": {"max_new_tokens": 16, "label_calibration": 0.0}}
    (asked,) = _prepare(data=data).evaluation
    whole = _prepare(data=data).probe
    assert (whole[: len(asked.token_ids)], len(whole) < 256) == (asked.token_ids, True)
    assert _prepare(data=data, model={"context_tokens": 100}, **short).probe == whole[:99] != whole


def test_prompts_that_are_too_long_are_left_out_and_counted_but_never_of_the_evaluation(tmp_path) -> None:
    long = "word " * 80
    train = _file(tmp_path / "train.jsonl", ["Short one.", f"Long one {long}.", f"Long two {long}."])
    data = {"train": (train,), "evaluation": (_file(tmp_path / "test.jsonl", ["other text " * 40]),)}
    prepared = _prepare(data={**data, "max_prompt_tokens": 70})
    assert [prompt.example.sentence for prompt in prepared.prompts] == ["Short one."]
    assert prepared.left_out == {"longer than data.max_prompt_tokens": 2}
    assert prepared.notes == ("data: left out: 2 training sentences: longer than data.max_prompt_tokens",)
    assert len(prepared.evaluation) == 1
    with pytest.raises(ValueError, match="no training sentences left: 3 dropped: longer than"):
        _prepare(data={**data, "max_prompt_tokens": 10})


def test_sentences_that_no_rollout_has_room_for_under_marks_are_left_out_and_counted(tmp_path) -> None:
    # "<", "think", ">", newline, then "train", " x", ".", newline, and the end of the answer: 9 tokens.
    train = _file(tmp_path / "names.jsonl", ["train x.", "train x x.", "train x x x."])
    data = {"train": (train,), "evaluation": (_file(tmp_path / "asked.jsonl", ["test x.", "test x x x x."]),)}
    evaluation = {"max_new_tokens": 11, "label_calibration": 0.0}
    prepared = _prepare(data=data, sampling={"max_new_tokens": 10}, evaluation=evaluation)
    assert prepared.decoding == "marks"  # by auto
    assert [prompt.example.sentence for prompt in prepared.prompts] == ["train x.", "train x x."]
    assert (len(prepared.sft), len(prepared.evaluation)) == (3, 2)
    more = "tokens, plus more for each mark"
    why = (
        "too long to copy under marks within sampling.max_new_tokens (10), out of GRPO's pool only; "
        f"the longest, {{}} {more}"
    )
    assert prepared.left_out == {why.format("names/names:3, needs 11"): 1}
    assert prepared.notes == (
        "1 evaluated sentence cannot be copied under marks within evaluation.max_new_tokens (11), so such answers are "
        f"cut: the longest, asked/asked:2, needs 12 {more}",
        f"data: left out: 1 training sentence: {why.format('names/names:3, needs 11')}",
    )
    few = {"data": data, "sampling": {"max_new_tokens": 8}, "evaluation": evaluation}
    with pytest.raises(
        ValueError,
        match=r"^sampling\.max_new_tokens \(8\) is too small to copy any of the 3 sentences of GRPO's pool under marks"
        rf": the shortest, names/names:1, needs 9 {more}: raise it$",
    ):
        _prepare(**few)
    assert len(_prepare(**few, grpo={"steps": 0}).prompts) == 3  # nothing is sampled
    few["sampling"] |= {"decoding": "free"}
    assert (len(_prepare(**few).prompts), _prepare(**few).left_out) == (3, {})


def _model(folder, normalizer: str) -> str:
    """The embedded model, with a normalizer in front of its tokenizer."""
    shutil.copytree(embedded_folder(EMBEDDED_MODEL), folder)
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"normalizer": {"type": normalizer}}))
    return str(folder)


def test_sentences_that_the_tokenizer_changes_are_left_out_counted_and_named(tmp_path) -> None:
    model = {"path": _model(tmp_path / "model", "NFC")}
    train = _file(tmp_path / "names.jsonl", ["Zoe\u0301 ran.", "Zo\xe9 sat.", "Ada ran."])
    data = {"train": (train,), "evaluation": (_file(tmp_path / "test.jsonl", ["Bo met Zoe\u0301."]),)}
    untouched = _prepare(data=data)
    assert (len(untouched.sft), untouched.notes) == (3, ())
    prepared = _prepare(data=data, model=model)
    why = "the tokenizer does not reproduce the text: {} (its normalizer is NFC): write the data in the Unicode "
    why += "form NFC; the first is {}"
    changed = why.format("'Zoe\\u0301 ran.' becomes 'Zo\\xe9 ran.'", "names/names:1")
    assert prepared.left_out == {changed: 1}
    assert [prompt.example.sentence for prompt in prepared.prompts] == ["Zo\xe9 sat.", "Ada ran."]
    assert [sample.uid for sample in prepared.sft] == ["names/names:2", "names/names:3"]
    asked = why.format("'Bo met Zoe\\u0301.' becomes 'Bo met Zo\\xe9.'", prepared.evaluation[0].uid)
    assert f"1 evaluated sentence cannot be reproduced as written in a free answer: {asked}" in prepared.notes
    decomposed = {**data, "train": (_file(tmp_path / "all.jsonl", ["Zoe\u0301 ran."]),)}
    with pytest.raises(
        ValueError, match="no training sentence remains: 1 are left out: the tokenizer does not reproduce"
    ):
        _prepare(data=decomposed, model=model)


def test_a_label_that_the_tokenizer_changes_is_named(tmp_path) -> None:
    rows = [{"sentence": "Ada ran.", "schema": [label], "entities": []} for label in ("cafe\u0301", "person")]
    train = write_jsonl(tmp_path / "train.jsonl", rows[0], {**rows[1], "sentence": "Bo sat."})
    data = {"train": (train,), "evaluation": (_file(tmp_path / "test.jsonl", ["Cyd."]),)}
    (why,) = _prepare(data=data, model={"path": _model(tmp_path / "model", "NFC")}).left_out
    assert "'cafe\\u0301' becomes 'caf\\xe9'" in why


def test_a_token_that_the_model_has_no_embedding_for_is_refused_before_anything_starts(tmp_path) -> None:
    from transformers import AutoTokenizer

    from actors.chat_format import chat_format

    model = _model(tmp_path / "model", "NFC")
    rows = json.loads((tmp_path / "model" / "config.json").read_text())["vocab_size"]
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})  # which nothing writes
    tokenizer.save_pretrained(model)
    assert chat_format(model).token_name(rows) == "<pad>"
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.save_pretrained(model)
    said = rf"writes token {rows + 2}, '</think>', but the model has embeddings for {rows} tokens: if tokens were added"
    for asked in (lambda: chat_format(model), lambda: _prepare(model={"path": model})):
        with pytest.raises(ValueError, match=said):
            asked()


def test_a_token_that_only_a_sentence_has_is_refused_too(tmp_path) -> None:
    model = _model(tmp_path / "model", "NFC")
    file, weights = (tmp_path / "model" / name for name in ("config.json", "model.safetensors"))
    largest = _prepare(model={"path": model}).largest_token_id
    file.write_text(json.dumps(json.loads(file.read_text()) | {"vocab_size": largest}))
    with pytest.raises(UnsupportedModel, match=r"embed_tokens\.weight \(.* in config\.json\)"):
        _prepare(model={"path": model})
    found = load_file(weights)
    weights.unlink()
    save_file(found | {EMBED: found[EMBED][:largest].clone()}, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"writes token {largest}, .* has embeddings for {largest} tokens"):
        _prepare(model={"path": model})


def test_a_file_that_is_trained_on_and_evaluated_is_asked_under_both_schemas(tmp_path) -> None:
    file = _file(tmp_path / "CrossNER_AI.jsonl", [f"Number {number} ran." for number in range(20)])
    with pytest.raises(ValueError, match="20 dropped: training set of an evaluated zero-shot benchmark"):
        _prepare(data={"train": (file,), "evaluation": (file,)})
    # As other names the sentences themselves are the evaluation's.
    other = _file(tmp_path / "other.jsonl", [f"Number {number} ran." for number in range(19)] + ["Number x sat."])
    prepared = _prepare(data={"train": (other,), "evaluation": (file,), "schema_variation": 1.0, "schema_views": 3})
    assert list(prepared.left_out.values()) == [19]
    assert [prompt.uid for prompt in prepared.prompts] == [
        "other/other:20",
        *(f"other/other:20, view {n}" for n in (1, 2)),
    ]


def test_definitions_of_labels_that_nobody_asks_for_are_said_and_refused_if_that_is_all_of_them(tmp_path) -> None:
    file = tmp_path / "definitions.json"
    data = {"train": (_file(tmp_path / "train.jsonl", ["Ada ran."]),), "definitions": str(file)}
    label = _prepare(data={"train": data["train"]}).prompts[0].example.schema[0]
    file.write_text(json.dumps({label.upper(): "somebody", "persn": "a slip", "plce": "another"}))
    said = f"data.definitions: {file} defines 2 labels in no schema (persn, plce)"
    assert said in _prepare(data=data).notes
    file.write_text(json.dumps({"persn": "a slip"}))
    with pytest.raises(ValueError, match=r"defines 1 label in no schema \(persn\): the labels of the data are "):
        _prepare(data=data)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"reward": {"preset": "paper", "weights": {"overlap": 1.0}}},
            "reward.weights has no effect: .* 'paper' has no",
        ),
        ({"reward": {"preset": "weighted", "weights": {"overlap": 1.0}}}, ""),
        ({"reward": {"preset": "paper"}}, ""),
        (
            {"sft": {"from_run": "other", "held_out": 1}},
            "sft.held_out: 1 sentence kept out of GRPO's pool, .* not measured",
        ),
        ({"sft": {"held_out": 1}}, ""),
        (
            {"evaluation": {"label_calibration": 0.3}, "sampling": {"decoding": "schema"}},
            "evaluation.label_calibration has no effect: it applies to marks, but answers are decoded schema",
        ),
        ({"evaluation": {"label_calibration": 0.0}, "sampling": {"decoding": "schema"}}, ""),
    ],
)
def test_what_changes_nothing_beside_a_key_that_is_tried_out_is_said(tmp_path, sections, said) -> None:
    train, test = _file(tmp_path / "names.jsonl", ["Ada ran.", "Bo sat."]), _file(tmp_path / "asked.jsonl", ["Cyd."])
    prepared = _prepare(data={"train": (train,), "evaluation": (test,)}, **sections)
    assert len(prepared.other_notes) == bool(said)
    assert all(re.match(said, note) for note in prepared.other_notes)
    assert prepared.notes == prepared.other_notes


def test_blank_definitions_are_left_out_and_a_label_is_defined_in_one_way(tmp_path) -> None:
    file = tmp_path / "definitions.json"
    row = {"sentence": "Ada ran.", "schema": ["person", "work of art", "city"], "entities": []}
    train = write_jsonl(tmp_path / "names.jsonl", row)
    data = {"train": (train,), "evaluation": (_file(tmp_path / "asked.jsonl", ["Bo."]),), "definitions": str(file)}
    # Two writings of one label that say the same are one definition.
    file.write_text('{"Person": "somebody", "person": "somebody ", "Work_of_art": " ", "city": ""}')
    prepared = _prepare(data=data)
    assert prepared.notes == (f"data.definitions: {file} has 2 blank definitions, left out (city, work of art)",)
    text = prepared.chat.tokenizer.decode(prepared.prompts[0].token_ids)
    assert "Labels: city, person (somebody), work of art\n" in text
    for told, why in (
        ('{"PER": "people", "per": "robots"}', "'per' is defined as 'robots', and another spelling of .* as 'people'"),
        ('{"a_b": "x", "A b": ""}', "'A b' is defined as '', and another spelling"),
        ('{"PER": "people", "PER": "robots"}', "an object has 'PER' twice"),
        ('{"PER": " "}', "holds no definition, or only blank ones"),
        ("{}", "holds no definition, or only blank ones"),
    ):
        file.write_text(told)
        with pytest.raises(ValueError, match=rf"data\.definitions: {file}:? {why}"):
            _prepare(data=data)


def test_a_held_out_sequence_that_does_not_fit_is_refused(tmp_path) -> None:
    long = "word " * 90
    train = _file(tmp_path / "train.jsonl", [f"{name} {long}" for name in ("One", "Two")])
    data = {"train": (train,), "evaluation": (_file(tmp_path / "test.jsonl", ["Other."]),)}
    with pytest.raises(ValueError, match=r"longer than model.context_tokens \(192\): 1 training sequence;"):
        _prepare(
            data=data,
            model={"context_tokens": 192},
            sft={"held_out": 1, "from_run": "elsewhere"},
            grpo={"steps": 0},
            sampling={"max_new_tokens": 8},
            evaluation={"max_new_tokens": 8},
        )


def test_the_decoding_goes_with_the_chains_that_the_warm_start_teaches(tmp_path) -> None:
    data = {"train": (_file(tmp_path / "plain.jsonl", ["Ada ran.", "Bo sat."]),)}
    plain = _prepare(data=data)
    assert plain.decoding == plain.prompts[0].decoding == plain.evaluation[0].decoding == "marks"
    assert json.loads(plain.prompt_file["rnr_prompt.json"])["decoding"] == "marks"
    assert not [note for note in plain.notes if note.startswith("decoding")]
    embedded = _prepare()  # its chains name cues
    assert embedded.decoding == "schema"
    assert re.match(r"decoding schema: own chains that are not tagged chains: \d+ of \d+ training", embedded.notes[-1])
    assert _prepare(data=data | {"prompt": "reference"}).decoding == "free"
    assert _prepare(data=data, sampling={"decoding": "free"}).decoding == "free"
    assert _prepare(data=data, sampling={"decoding": "schema"}).prompts[0].decoding == "schema"


def test_a_tokenizer_that_no_grammar_can_read_is_decoded_freely_and_so_is_its_export(tmp_path) -> None:
    from actors.chat_format import grammar_decoding
    from tests.chat_models import TEMPLATES, tokenizer

    model = tmp_path / "model"
    shutil.copytree(embedded_folder(EMBEDDED_MODEL), model)
    for file in model.glob("*token*"):
        file.unlink()
    unigram = tokenizer("unigram")
    unigram.chat_template = TEMPLATES["chatml"]
    unigram.save_pretrained(model)
    train = _file(tmp_path / "plain.jsonl", ["Ada ran.", "Bo sat."])
    data = {"train": (train,), "evaluation": (_file(tmp_path / "test.jsonl", ["Cyd."]),)}
    prepared = _prepare(data=data, model={"path": str(model)})
    assert prepared.decoding == "free"
    why = "this tokenizer cannot be decoded under a grammar, which reads a token as "
    assert prepared.notes[-1].startswith(f"decoding free: {why}")
    (model / "rnr_prompt.json").write_text(prepared.prompt_file["rnr_prompt.json"])
    assert grammar_decoding(str(model)) == "free"
    with pytest.raises(ValueError, match=f'decoding "marks": {why}.*: set decoding to free'):
        _prepare(data=data, model={"path": str(model)}, sampling={"decoding": "marks"})


def test_labels_that_leave_no_room_for_calibration_are_refused_before_anything_starts(tmp_path) -> None:
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    for file in (train, test):
        row = {"sentence": f"{file.stem} x.", "schema": ["person", "city"], "entities": []}
        file.write_text(json.dumps(row) + "\n")
    options = {
        "data": {"train": (str(train),), "evaluation": (str(test),)},
        "sampling": {"max_new_tokens": 1, "decoding": "marks"},
        "sft": {"epochs": 0},
        "grpo": {"steps": 0},
    }
    room = len(_prepare(**options, evaluation={"max_new_tokens": 1}).evaluation[0].token_ids) + 1
    with pytest.raises(ValueError, match=r"evaluation\.label_calibration: the 2 labels leave no room for a sentence"):
        _prepare(**options, evaluation={"max_new_tokens": 1}, model={"context_tokens": room})
    prepared = _prepare(
        **options, evaluation={"max_new_tokens": 1, "label_calibration": 0.0}, model={"context_tokens": room}
    )
    assert json.loads(prepared.prompt_file["rnr_prompt.json"])["label_calibration"] == 0.0


def test_without_a_warm_start_a_model_is_decoded_as_it_was_trained(tmp_path) -> None:
    data = {"train": (_file(tmp_path / "plain.jsonl", ["Ada ran.", "Bo sat."]),)}
    assert _prepare(data=data, sft={"epochs": 0}).decoding == "free"
    trained = tmp_path / "trained"
    shutil.copytree(embedded_folder(EMBEDDED_MODEL), trained)
    for name, text in _prepare(data=data).prompt_file.items():
        (trained / name).write_text(text)
    prepared = _prepare(data=data, sft={"epochs": 0}, model={"path": str(trained)})
    assert prepared.decoding == "marks"
    assert prepared.notes[-1] == "decoding marks: there is no warm start, and the model was trained with it"


def test_under_marks_the_warm_start_teaches_tagged_chains_and_says_what_it_does_not() -> None:
    taught = _prepare(sampling={"decoding": "marks"}, data={"sft_examples": 40})
    ((what, count),) = taught.untaught.items()
    assert what == "chains in the data, replaced by tagged chains (sampling.decoding=auto keeps them)"
    assert 0 < count <= 40  # that of a sentence without a mention is a tagged one
    assert taught.notes[-1] == f"decoding marks: {count} {what}"
    assert all(sample.allowed == () for sample in taught.sft)
    config = Config()
    schedule = Schedule(taught, sft=config.sft, grpo=config.grpo, prompts_per_step=2, final_rate=0.1, seed=0)
    taught = replace(taught, other_notes=("this and that",))
    plan = list(plan_rows(taught, schedule, sampling=config.sampling, grpo=config.grpo, needing=roles(config.cluster)))
    assert ("note", "this and that") in plan
    assert [value for name, value in plan if name == "decoding"] == [
        "marks",
        "labels of greedy marks are calibrated by 0.5 (evaluation.label_calibration)",
        f"{count} {what}",
    ]


def test_the_loss_of_the_warm_start_may_be_that_of_its_decisions(tmp_path) -> None:
    data = {"train": (_file(tmp_path / "plain.jsonl", ["Ada ran.", "Bo sat."]),)}
    sample = _prepare(data=data, sft={"decoding": "marks"}, sampling={"decoding": "marks"}).sft[0]
    assert len(sample.allowed) == len(sample.completion_ids)
    assert 0 < sample.trained_tokens < len(sample.completion_ids)
    with pytest.raises(ValueError, match="rollouts are decoded"):
        _prepare(data=data, sft={"decoding": "marks"}, sampling={"decoding": "free"})


def test_a_label_that_no_mark_can_hold_is_refused_before_anything_starts(tmp_path) -> None:
    file = tmp_path / "odd.jsonl"
    row = {"sentence": "Ada ran.", "schema": ["gene: protein"], "entities": []}
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match="'gene: protein'"):
        _prepare(data={"train": (str(file),)}, sampling={"decoding": "marks"})
    assert _prepare(data={"train": (str(file),)}, sampling={"decoding": "free"}).decoding == "free"
