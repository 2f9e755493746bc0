"""What a person gets wrong is said in one clear error, before anything is started."""

import os
from types import SimpleNamespace

import pytest

from rnr.corpus.formats.rows import DataError
from scripts.train import main
from tests.jsonl import write_jsonl


@pytest.fixture(autouse=True)
def nothing_may_start(monkeypatch):
    """Ray must not be reached by any of these runs."""

    def started(*_arguments, **_options):
        raise AssertionError("Ray was started")

    monkeypatch.setattr("ray.init", started)


@pytest.fixture
def train(capsys, tmp_path):
    """Run ``scripts.train`` with options; returns what it says on standard error."""

    def run(*options):
        status = main([f"--run.folder={tmp_path / 'runs'}", *options])
        assert status == 2
        assert not (tmp_path / "runs").exists()
        return capsys.readouterr().err

    return run


def write(path, *rows):
    return f"--data.train=['{write_jsonl(path, *rows)}']"


GOOD = {"sentence": "Ada ran.", "schema": ["person"], "entities": [{"text": "Ada", "label": "person"}]}


def test_an_unknown_key_is_answered_with_the_nearest_one(train):
    assert "unknown config key 'grpo.stpes'; did you mean 'grpo.steps'?" in train("--grpo.stpes=4")


def test_a_missing_config_file_is_named(train):
    assert "no file 'nowhere.toml'" in train("--config", "nowhere.toml")


def test_a_working_folder_that_was_removed_is_named(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    os.chdir("here")
    (tmp_path / "here").rmdir()
    assert "error: the working folder no longer exists: start from another one" in train()


def test_a_missing_data_file_is_named(train):
    assert "no file or folder at 'nowhere.jsonl'" in train("--data.train=['nowhere.jsonl']")


def test_a_malformed_line_is_named_by_file_and_row(train, tmp_path):
    said = train(write(tmp_path / "a.jsonl", GOOD, '{"sentence": '))
    assert "a.jsonl, row 2: not valid JSON" in said


def test_an_entity_that_is_not_in_its_sentence_is_named(train, tmp_path):
    bad = GOOD | {"entities": [{"text": "Bob", "label": "person"}]}
    assert "a.jsonl, row 2: entity 'Bob' is not in its sentence" in train(write(tmp_path / "a.jsonl", GOOD, bad))


def test_a_label_outside_the_schema_is_named(train, tmp_path):
    bad = GOOD | {"entities": [{"text": "Ada", "label": "city"}]}
    said = train(write(tmp_path / "a.jsonl", bad))
    assert "a.jsonl, row 1: label 'city' of 'Ada' is not in the schema ['person']" in said


def test_an_empty_data_set_is_refused(train, tmp_path):
    assert "no usable sentence" in train(write(tmp_path / "a.jsonl"))


def test_a_model_that_does_not_exist_is_named(train):
    assert "model.path: no folder at './nothing'" in train("--model.path=./nothing")


def test_a_model_folder_with_pickled_weights_is_refused_unless_allowed(train, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"")
    said = train(f"--model.path={folder}")
    assert "pytorch_model.bin is a pickle" in said
    assert "model.allow_pickle=true" in said


def test_a_context_longer_than_the_model_was_made_for_is_refused(train, tiny_model):
    assert "the model in" in train(f"--model.path={tiny_model}", "--model.context_tokens=4096")


def test_a_prompt_longer_than_the_context_is_named(train, tiny_model, tmp_path):
    long = GOOD | {"sentence": "Ada ran. " * 60}
    options = ["--model.context_tokens=128", "--sampling.max_new_tokens=32", "--evaluation.max_new_tokens=32"]
    said = train(write(tmp_path / "a.jsonl", GOOD, long), f"--model.path={tiny_model}", *options)
    assert "1 prompt too long; a/a:2 has" in said
    assert "leave long ones out by data.max_prompt_tokens" in said


def test_fewer_sentences_than_one_step_needs_are_refused(train, tiny_model, tmp_path):
    said = train(write(tmp_path / "a.jsonl", GOOD), f"--model.path={tiny_model}")
    assert "1 training sentence cannot fill one step of 16" in said


def test_an_unknown_reward_is_named(train):
    assert "unknown reward preset 'gatd'; did you mean 'gated'?" in train("--reward.preset=gatd")


@pytest.mark.parametrize("mode", [["--dry-run"], []])
@pytest.mark.parametrize("needs", ["gpus_per_rollout_worker=2", "cpus_per_worker=64"])
def test_too_few_resources_are_found_by_a_dry_run_and_by_a_run(train, tiny_model, colours, mode, needs):
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    said = train(*options, f"--cluster.{needs}", *mode)
    assert "the run needs" in said
    assert "lower cluster.rollout_workers" in said


def test_bad_rows_are_skipped_only_when_asked(caplog, tmp_path):
    from rnr.corpus.loading import load

    file = tmp_path / "a.jsonl"
    write(file, GOOD, GOOD | {"entities": [{"text": "Bob", "label": "person"}]})
    with pytest.raises(DataError):
        load([str(file)], training=True)
    assert len(load([str(file)], training=True, skip_bad_rows=True)) == 1
    assert "skipped 1 bad row:" in caplog.text


def test_a_run_without_a_checkpoint_that_can_be_used_ends_in_one_sentence(tmp_path, monkeypatch, capsys) -> None:
    from cluster.manifest import CheckpointCorrupt
    from rnr.runs.status import StatusFile

    async def corrupt(*_arguments):
        raise CheckpointCorrupt("no checkpoint is left to resume from: state was altered")

    ready = SimpleNamespace(folder=tmp_path, status=StatusFile())
    monkeypatch.setattr("cluster.run.validate_run", lambda *_arguments, **_options: ready)
    monkeypatch.setattr("cluster.run.run", corrupt)
    assert main(["--resume"]) == 1
    said = capsys.readouterr().err
    assert said == "error: CheckpointCorrupt: no checkpoint is left to resume from: state was altered\n"
