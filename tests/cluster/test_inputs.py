"""What a run was given is kept as digests, so that a resumed run is given the same."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from cluster.inputs import FILE, check_inputs, check_model, inputs_of, keep_inputs, read_inputs
from cluster.run import load_inputs
from rnr.cli import load_config

ROWS = [{"sentence": f"{name} ran .", "entities": [{"text": name, "label": "person"}]} for name in ("Ada", "Bo", "Cy")]


def _write(file, rows) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def given(tmp_path, tiny_model):
    """A run's folder, and what its config, always the same but for ``flags``, gives it now."""
    _write(tmp_path / "train.jsonl", ROWS)
    _write(tmp_path / "test.jsonl", [{"sentence": "Di sat .", "entities": [{"text": "Di", "label": "person"}]}])
    (tmp_path / "definitions.json").write_text('{"person": "a human"}')
    (tmp_path / "run").mkdir()
    options = [f"--model.path={tiny_model}", "--sft.sequences_per_step=1", "--sampling.prompts_per_step=2"]
    options += [
        f"--data.{name}=['{tmp_path}/{file}.jsonl']" for name, file in (("train", "train"), ("evaluation", "test"))
    ]
    options += [f"--data.definitions={tmp_path}/definitions.json"]
    return tmp_path / "run", lambda *flags: load_inputs(load_config(None, [*options, *flags]))[0]


def test_a_run_on_the_same_data_is_resumed_and_so_is_one_of_an_earlier_version(given) -> None:
    folder, prepared = given
    inputs = inputs_of(prepared())
    assert set(inputs) == {"the model", "the warm start", "GRPO", "evaluation"}
    keep_inputs(folder, inputs)
    assert read_inputs(folder) == inputs == inputs_of(prepared())
    check_inputs(folder, inputs)
    (folder / FILE).unlink()
    check_inputs(folder, inputs)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"inputs\.json, line 1: not valid JSON"),
        ("[]", r"inputs\.json must hold one JSON object, not list"),
        ('{"GRPO": 3}', r"inputs\.json: GRPO must be text"),
    ],
)
def test_digests_that_cannot_be_read_are_named_with_what_to_do(tmp_path, content, said) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=f"{said}.*; restore it from a copy, or remove it: the data can then"):
        check_inputs(tmp_path, {"GRPO": "abc"})


@pytest.mark.parametrize(
    ("file", "content", "stage"),
    [
        ("train.jsonl", [ROWS[1], ROWS[0], ROWS[2]], "the warm start"),
        ("train.jsonl", [*ROWS[:2], ROWS[2] | {"entities": []}], "the warm start"),
        ("train.jsonl", ROWS[:2], "the warm start"),
        ("test.jsonl", [{"sentence": "Di sat .", "entities": [{"text": "sat", "label": "person"}]}], "evaluation"),
        ("definitions.json", [{"person": "someone with a name"}], "the warm start"),
    ],
)
def test_a_run_is_not_resumed_on_other_data_under_the_same_config(given, file, content, stage) -> None:
    folder, prepared = given
    keep_inputs(folder, inputs_of(prepared()))
    _write(folder.parent / file, content)
    with pytest.raises(
        ValueError, match=f"--resume: the input of {stage} differs from the one the run in .* started with"
    ):
        check_inputs(folder, inputs_of(prepared()))


@pytest.mark.parametrize("flag", ["--evaluation.label_calibration=0", "--sampling.decoding=free"])
def test_an_evaluation_is_another_under_another_decoding_or_calibration(given, flag) -> None:
    _, prepared = given
    usual, other = inputs_of(prepared()), inputs_of(prepared(flag))
    assert usual["evaluation"] != other["evaluation"]


def test_a_run_is_not_resumed_on_other_weights_in_the_same_folder(given, tiny_model, tmp_path) -> None:
    # With LoRA a checkpoint has the adapter alone: it would go on with another model under it.
    folder, prepared = given
    model = shutil.copytree(tiny_model, tmp_path / "model")
    flag = f"--model.path={model}"
    before = inputs_of(prepared(flag))
    assert before == inputs_of(prepared())  # a copy elsewhere is the same
    keep_inputs(folder, before)
    weights = load_file(model / "model.safetensors")
    save_file({name: tensor + 1e-2 for name, tensor in weights.items()}, model / "model.safetensors")
    for check, what in ((check_inputs, "--resume"), (check_model, "sft.from_run")):
        with pytest.raises(ValueError, match=f"{what}: the weights in model.path are not those that the run in "):
            check(folder, inputs_of(prepared(flag)))
