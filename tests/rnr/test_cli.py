"""argv -> Config: types, overrides, and errors that name the flag, the key and the nearest known key."""

import shlex
from functools import reduce
from pathlib import Path

import pytest
from pydantic import ValidationError

from rnr.cli import RENAMED, known_keys, load_config
from rnr.config import Config

PRESETS = sorted((Path(__file__).resolve().parents[2] / "scripts" / "configs").glob("*.toml"))


def _toml(folder: Path, text: str) -> str:
    file = folder / "run.toml"
    file.write_text(text)
    return str(file)


def test_without_file_and_overrides_all_is_default() -> None:
    assert load_config(None, []) == Config()


def test_a_file_overrides_the_defaults_and_a_flag_overrides_the_file(tmp_path) -> None:
    path = _toml(tmp_path, "[grpo]\nsteps = 7\nlearning_rate = 0.5\n")
    config = load_config(path, ["--grpo.steps=9", "--run.name=mine"])
    assert (config.grpo.steps, config.grpo.learning_rate, config.run.name) == (9, 0.5, "mine")
    assert config.grpo.clip_high == Config().grpo.clip_high


@pytest.mark.parametrize(
    ("flag", "section", "key", "value"),
    [
        ("--grpo.steps=4", "grpo", "steps", 4),
        ("--grpo.learning_rate=1e-6", "grpo", "learning_rate", 1e-6),
        ("--grpo.mask_unfinished=true", "grpo", "mask_unfinished", True),
        ("--data.skip_bad_rows=False", "data", "skip_bad_rows", False),
        ("--model.path=Qwen/Qwen3-0.6B", "model", "path", "Qwen/Qwen3-0.6B"),
        ("--model.path=/a/b=c", "model", "path", "/a/b=c"),
        ("--sft.from_run=", "sft", "from_run", ""),
        ("--sampling.temperature=0.01", "sampling", "temperature", 0.01),
        ('--data.train=["a", "b"]', "data", "train", ("a", "b")),
        ("--reward.weights={entity_f1 = 0.5, overlap = 1}", "reward", "weights", {"entity_f1": 0.5, "overlap": 1.0}),
        ("--reward.weights.overlap=0.5", "reward", "weights", {"overlap": 0.5}),
        ("--grpo.loss_aggregation=token_mean", "grpo", "loss_aggregation", "token_mean"),
        ("--run.name=2026-11-29", "run", "name", "2026-11-29"),  # in TOML a date, a number, a truth value
        ("--run.name=7", "run", "name", "7"),
        ("--tracking.wandb_project=true", "tracking", "wandb_project", "true"),
        ('--run.name="7"', "run", "name", "7"),
    ],
)
def test_a_flag_is_read_as_the_type_of_its_key(flag, section, key, value) -> None:
    assert getattr(getattr(load_config(None, [flag]), section), key) == value


def test_null_gives_a_key_its_default_again_and_a_misspelt_one_is_told(tmp_path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[cluster]\ngpus_per_learner_rank = 1\n[reward.weights]\noverlap = 1\n")
    config = load_config(str(file), ["--cluster.gpus_per_learner_rank=null", "--reward.weights=null"])
    assert config.cluster.gpus_per_learner_rank is None
    assert config.reward.weights == {"entity_f1": 1.0}
    with pytest.raises(ValueError, match=r"unknown config key 'grpo\.step'"):
        load_config(None, ["--grpo.step=null"])


def test_null_gives_a_default_again_inside_of_a_section_and_to_all_of_one(tmp_path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[data.reading]\nlabels = ['a', 'b']\nspaces = 'never'\n")
    reading = load_config(str(file), ["--data.reading.labels=null"]).data.reading
    assert (reading.labels, reading.spaces) == ((), "never")
    assert load_config(str(file), ["--data.reading=null"]) == Config()
    with pytest.raises(ValueError, match=r"key 'data\.reading\.label'; did you mean 'data\.reading\.labels'"):
        load_config(None, ["--data.reading.label=null"])


@pytest.mark.parametrize(
    ("flag", "unknown", "nearest"),
    [
        ("--grpo.step=4", "grpo.step", "grpo.steps"),
        ("--sampling.sample_per_prompt=4", "sampling.sample_per_prompt", "sampling.samples_per_prompt"),
        ("--grop.steps=4", "grop", "grpo"),
        ("--optimiser.zero_stage=1", "optimiser", "optimizer"),
        ("--data.reading.spaes=always", "data.reading.spaes", "data.reading.spaces"),
        ("--reward.scorers=[{us='a:b'}]", "reward.scorers.0.us", "reward.scorers.0.use"),
    ],
)
def test_a_misspelt_key_or_section_gets_the_nearest_name(flag, unknown, nearest) -> None:
    with pytest.raises(ValueError, match=f"unknown config key '{unknown}'; did you mean '{nearest}'"):
        load_config(None, [flag])


def test_a_key_without_its_section_is_told_where_it_stands() -> None:
    with pytest.raises(ValueError, match=r"unknown config section or key 'reading'; did you mean data\.reading\?"):
        load_config(None, ["--reading.spaces=always"])
    with pytest.raises(
        ValueError, match=r"unknown config section or key 'spaces'; did you mean data\.reading\.spaces\?$"
    ):
        load_config(None, ["--spaces.x=always"])


def test_a_misspelt_key_in_the_file_gets_the_nearest_name_too(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"unknown config key 'sft\.epoch'; did you mean 'sft\.epochs'"):
        load_config(_toml(tmp_path, "[sft]\nepoch = 1\n"), [])


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--patience=4", "; did you mean --sft.patience=4?"),
        ("grpo.steps=4", "; did you mean --grpo.steps=4?"),
        ("-grpo.steps=4", "; did you mean --grpo.steps=4?"),
        ("--epochs=2", "; did you mean --sft.epochs=2 or --grpo.epochs=2?"),
        ("--grpo.steps", "; a key and its value are one word: --grpo.steps=VALUE"),
        ("mine.toml", "; did you mean --config mine.toml?"),
        ("--dryrun", "; did you mean '--dry-run'?"),
        ("--confg", "; did you mean '--config'?"),
        ("--grpo.steps 4", "; overrides are --section.key=value, such as --grpo.steps=4"),
        ("--zz=4", "; overrides are --section.key=value, such as --grpo.steps=4"),
        ("", "; overrides are --section.key=value, such as --grpo.steps=4"),
    ],
)
def test_what_is_no_option_is_refused_with_what_may_be_meant(flag, said) -> None:
    with pytest.raises(ValueError) as raised:
        load_config(None, [flag])
    assert str(raised.value) == f"unknown option {flag!r}{said}"


def test_a_config_that_is_not_utf8_is_named_and_a_byte_order_mark_is_no_part_of_it(tmp_path) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(b'[run]\nname = "Zo\xeb"\n')
    with pytest.raises(ValueError, match=r"--config: .*run\.toml: not UTF-8 at byte 16; if it is Latin-1"):
        load_config(str(file), [])
    file.write_bytes(b'\xef\xbb\xbf[run]\r\nname = "a"\r\n')
    assert load_config(str(file), []).run.name == "a"


def test_a_value_cannot_be_used_as_a_section() -> None:
    with pytest.raises(ValueError, match="steps is a value, not a section"):
        load_config(None, ["--grpo.steps=4", "--grpo.steps.more=5"])


def test_a_missing_file_and_broken_toml_name_the_file(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"--config: no file 'missing\.toml'"):
        load_config("missing.toml", [])
    path = _toml(tmp_path, "[grpo\nsteps = 1")
    with pytest.raises(ValueError, match=r"run\.toml is not valid TOML.*: \[grpo$"):
        load_config(path, [])
    path = _toml(tmp_path, "[data]\r\ntrain = [data/train.jsonl]\r\n")
    with pytest.raises(ValueError, match=r"not valid TOML.*: train = \[data/train\.jsonl\]; text needs quota"):
        load_config(path, [])
    with pytest.raises(ValueError, match=r"--config: '.*' is a folder, not a TOML file"):
        load_config(str(tmp_path), [])


@pytest.mark.parametrize(
    ("flag", "key", "value"),
    [
        ("--grpo.steps=many", "grpo.steps", "'many'"),
        ("--grpo.steps=-1", "grpo.steps", "-1"),
        ("--sampling.samples_per_prompt=1", "sampling.samples_per_prompt", "1"),
        ("--sampling.temperature=0", "sampling.temperature", "0"),
        ("--sampling.temperature=0.009", "sampling.temperature", "0.009"),  # vLLM would sample at 0.01
        ("--optimizer.zero_stage=4", "optimizer.zero_stage", "4"),
        ("--grpo.loss_aggregation=token", "grpo.loss_aggregation", "'token'"),
        ("--data.train=demo/train", "data.train", "'demo/train'"),
    ],
)
def test_a_bad_value_names_key_and_value(flag, key, value) -> None:
    with pytest.raises(ValueError) as raised:
        load_config(None, [flag])
    assert f"config {key}" in str(raised.value)
    assert f"(got {value})" in str(raised.value)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--data.train=[]", "config data.train: must not be empty (got [])"),
        ("--data.evaluation=[]", "config data.evaluation: must not be empty (got [])"),
        ("--data.train=[1]", "config data.train.0: must be text (got 1)"),
        ("--grpo.steps=1.5", "config grpo.steps: must be a whole number (got 1.5)"),
        ("--grpo.steps=-1", "config grpo.steps: must be at least 0 (got -1)"),
        ("--grpo.learning_rate=0", "config grpo.learning_rate: must be more than 0 (got 0)"),
        ("--grpo.mask_unfinished=3", "config grpo.mask_unfinished: must be true or false (got 3)"),
        ("--generation.max_num_seqs=x", "config generation.max_num_seqs: must be 'auto' or a whole number (got 'x')"),
        ("--generation.max_num_seqs=0", "config generation.max_num_seqs: must be 'auto' or at least 1 (got 0)"),
        ("--data.mixture=x", "config data.mixture: must be a table or 'size' (got 'x')"),
        ("--data.mixture={a='x'}", "config data.mixture.a: must be a number (got 'x')"),
        (
            "--reward.weights=x",
            "config reward.weights: expected a table, such as --reward.weights='{name = 1}' (got 'x')",
        ),
        ("--reward.scorers=['x']", "config reward.scorers.0: expected a table, such as {use = 'x'} (got 'x')"),
        ("--reward.scorers=[{}]", "config reward.scorers.0.use: is missing"),
        (
            "--data.reading=x",
            "config data.reading: this is a section: write [data.reading] with its keys below it (got 'x')",
        ),
        (
            "--data.mixture={a=1} --data.sft_examples=8",
            "config data: mixture sets how sft_examples and grpo_examples are drawn: set grpo_examples (0 takes all)",
        ),
        (
            "--data.schema_views=2",
            "config data: schema_views above 1 needs schema_variation, or the views are all the same",
        ),
    ],
)
def test_what_is_wrong_with_a_value_is_told_in_words(flag, said) -> None:
    with pytest.raises(ValueError) as raised:
        load_config(None, flag.split())
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("grpo.steps=true", r"grpo\.steps: must be a whole number \(got true\)"),
        ("sft.epochs=false", r"sft\.epochs: must be a number \(got false\)"),
        ("cluster.gpus_per_learner_rank=true", r"gpus_per_learner_rank: must be a number \(got true\)"),
        ("generation.max_num_seqs=true", r"max_num_seqs: must be 'auto' or a whole number \(got true\)"),
        ("optimizer.zero_stage=true", r"zero_stage: must be .*3 \(got true\)"),
        ("reward.weights={entity_f1 = true}", r"weights\.entity_f1: must be a number \(got true\)"),
        ("reward.range=[false, 1]", r"range\.0: must be a number \(got false\)"),
        ("data.keep_by_mentions=[true]", r"keep_by_mentions\.0: must be a number \(got true\)"),
        ("reward.scorers=[{use = 'a:b', weight = true}]", r"scorers\.0\.weight: must be a number \(got true\)"),
        ("run.seed=-1", r"run\.seed: must be at least 0 \(got -1\)"),
        ("run.seed=2147483648", r"run\.seed: must be less than 2147483648"),
    ],
)
def test_true_is_no_number_and_a_seed_is_one_that_engines_take(flag, said) -> None:
    with pytest.raises(ValueError, match=said):
        load_config(None, [f"--{flag}"])
    taken = load_config(None, ["--sft.epochs=2", "--run.seed=2147483647", "--evaluation.base=true"])
    assert (taken.sft.epochs, taken.run.seed, taken.evaluation.base) == (2.0, 2147483647, True)
    scorer = load_config(None, ["--reward.scorers=[{use = 'a:b', arguments = {x = true}}]"]).reward.scorers[0]
    assert scorer.arguments == {"x": True}


@pytest.mark.parametrize(
    ("flag", "hint"),
    [
        ("--data.train=a.jsonl", "--data.train=['a.jsonl']"),
        ("--data.train=[a.jsonl, b/*.jsonl]", "--data.train=['a.jsonl', 'b/*.jsonl']"),  # the shell took the quotes
        ("--reward.scorers=a:b", "--reward.scorers=[{use = 'a:b'}]"),
        ("--reward.scorers=[a:b]", "--reward.scorers=[{use = 'a:b'}]"),
        ("--reward.scorers=[{use=a:b}]", "--reward.scorers=[{use = 'name'}]"),
        ("--reward.range=1", "--reward.range=[-100.0, 100.0]"),
        ("--data.keep_by_mentions=1", "--data.keep_by_mentions=[1]"),
        ("--reward.weights=x", "--reward.weights={name = 1}"),
    ],
)
def test_a_hint_that_is_followed_is_taken(flag, hint) -> None:
    with pytest.raises(ValueError) as raised:
        load_config(None, [flag])
    shown = shlex.split(str(raised.value).partition(", such as ")[2].partition(" (got")[0])
    assert shown == [hint]
    load_config(None, shown)


def test_one_table_where_tables_belong_is_told_how_a_list_of_them_is_written(tmp_path) -> None:
    table = "[reward.scorers]\nuse = 'a:b'\n"
    with pytest.raises(ValueError, match=r"write \[\[reward\.scorers\]\] instead of \[reward\.scorers\] \(got"):
        load_config(_toml(tmp_path, table), [])
    load_config(_toml(tmp_path, table.replace("[reward.scorers]", "[[reward.scorers]]")), [])
    with pytest.raises(ValueError, match=r"scorers\.0: expected a table, such as \{use = 'a:b'\} \(got 'a:b'\)"):
        load_config(None, ["--reward.scorers=['a:b']"])


def test_a_section_that_is_a_value_in_the_file_is_told_how_it_is_written(tmp_path) -> None:
    with pytest.raises(ValueError) as raised:
        load_config(_toml(tmp_path, 'run = "x"\n'), [])
    assert str(raised.value) == "config run: this is a section: write [run] with its keys below it (got 'x')"


def test_all_bad_values_are_told_at_once() -> None:
    with pytest.raises(ValueError) as raised:
        load_config(None, ["--grpo.steps=-1", "--sft.epochs=-2"])
    assert len(str(raised.value).splitlines()) == 2


def test_values_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match=r"max_new_tokens \(512\) must be smaller than model\.context_tokens \(512\)"):
        load_config(None, ["--model.context_tokens=512", "--sampling.max_new_tokens=512"])
    with pytest.raises(ValueError, match=r"speculative_tokens needs sampling\.decoding=free"):
        load_config(None, ["--generation.speculative_tokens=3", "--sampling.decoding=marks"])
    with pytest.raises(ValueError, match=r"lora_rank needs optimizer\.zero_stage 0, 1 or 2"):
        load_config(None, ["--model.lora_rank=8", "--optimizer.zero_stage=3"])
    with pytest.raises(ValueError, match=r"merging adds .* to the full weights, so it needs model\.lora_rank=0"):
        load_config(None, ["--model.lora_rank=8", "--merging.grpo=1.5"])


@pytest.mark.parametrize(
    ("flags", "weights"),
    [
        ("", (0.8, 1.5)),
        ("grpo.steps=0", (0.8, 1.0)),
        ("sft.epochs=0", (1.0, 1.5)),
        ("sft.epochs=0 sft.from_run=runs/other", (0.8, 1.5)),
    ],
)
def test_only_stages_that_a_run_has_are_merged(flags, weights) -> None:
    given = [f"--{flag}" for flag in ("merging.warm_start=0.8 merging.grpo=1.5 " + flags).split()]
    applied = load_config(None, given).applied_merging
    assert (applied.warm_start, applied.grpo) == weights


def test_a_merging_that_has_no_effect_does_not_keep_an_adapter_from_being_trained() -> None:
    config = load_config(None, ["--model.lora_rank=8", "--merging.grpo=1.5", "--grpo.steps=0"])
    assert not config.applied_merging.asked


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("sft.epochs=0 grpo.steps=0 evaluation.base=false", "nothing to do: sft.epochs=0 skips"),
        (
            "grpo.mini_batches=4 sampling.prompts_per_step=3",
            r"grpo.mini_batches \(4\) must be at most sampling.prompts_per_step \(3\)",
        ),
        ("reward.overlong_tokens=8 grpo.credit=mention", "reward.overlong_tokens changes the reward of an answer"),
        ("reward.preset=mine:good grpo.credit=mention", "a custom reward.preset changes the reward of an answer"),
        ('reward.scorers=[{use="a:b"}] grpo.credit=mention', "reward.scorers changes the reward of an answer"),
    ],
)
def test_what_would_disappoint_at_the_end_is_refused_by_name(flags, said) -> None:
    with pytest.raises(ValueError, match=said):
        load_config(None, [f"--{flag}" for flag in flags.split()])


ONE_STEP = (
    "with one optimizer step per GRPO step every ratio is 1 and nothing is clipped; raise "
    "grpo.mini_batches or grpo.epochs"
)


@pytest.mark.parametrize(
    ("flags", "notes"),
    [
        ("grpo.steps=4", ()),
        ("sft.epochs=0", ()),
        (
            "sft.epochs=0 sft.learning_rate=1e-3 data.sft_examples=4",
            ("sft.epochs=0 skips the warm start; ignored: sft.learning_rate, data.sft_examples",),
        ),
        (
            "sft.from_run=runs/other sft.sequences_per_step=8",
            ("sft.from_run replaces the warm start; ignored: sft.sequences_per_step",),
        ),
        (
            "grpo.steps=0 grpo.credit=mention data.difficulty_rollouts=4 sampling.dynamic_sampling_rounds=1",
            (
                "grpo.steps=0 skips GRPO; ignored: grpo.credit, data.difficulty_rollouts, "
                "sampling.dynamic_sampling_rounds",
            ),
        ),
        (
            "sft.epochs=0 sft.held_out=4 merging.warm_start=0.8",
            ("sft.epochs=0 skips the warm start; ignored: sft.held_out, merging.warm_start",),
        ),
        ("sft.epochs=0 sft.held_out=4 merging.warm_start=0.8 sft.from_run=runs/other", ()),  # kept aside there, too
        (
            "grpo.steps=0 merging.grpo=1.5 grpo.clip_high=0.4",  # told once
            ("grpo.steps=0 skips GRPO; ignored: grpo.clip_high, merging.grpo",),
        ),
        ("sft.epochs=0 grpo.steps=0", ()),  # the model as it comes is evaluated
        ("sft.epochs=0 grpo.steps=0 evaluation.base=false sft.from_run=runs/other", ()),
        ("model.lora_alpha=16", ("model.lora_alpha has no effect with model.lora_rank=0",)),
        ("model.lora_alpha=16 model.lora_rank=8", ()),
        ("grpo.clip_low=0.3 grpo.dual_clip=3", (f"ignored: grpo.clip_low, grpo.dual_clip: {ONE_STEP}",)),
        ("grpo.clip_high=0.4 grpo.epochs=2", ()),
        (
            "grpo.policy_loss=gspo",
            (f"grpo.policy_loss 'gspo' hardly differs from 'ppo': {ONE_STEP.replace(' and nothing is clipped', '')}",),
        ),
        ("grpo.policy_loss=gspo grpo.mini_batches=2 grpo.dual_clip=3", ()),
        (
            "grpo.policy_loss=cispo grpo.mini_batches=2 grpo.dual_clip=3",
            ('grpo.dual_clip has no effect with grpo.policy_loss "cispo", which bounds the ratio of every token',),
        ),
        ("grpo.mini_batches=4 sampling.prompts_per_step=4", ()),
        ("grpo.kl_estimator=k1", ("grpo.kl_estimator has no effect with grpo.kl_coefficient=0",)),
        ("grpo.kl_estimator=k1 grpo.kl_coefficient=0.1", ()),
        (
            "grpo.rollout_correction=none grpo.rollout_correction_cap=3",
            ('grpo.rollout_correction_cap has no effect with grpo.rollout_correction "none"',),
        ),
        ('reward.scorers=[{use="a:b",weight=0}] grpo.credit=mention', ()),  # measured alone
        ("data.train=['a.jsonl']", ("data.evaluation is not set; using the demo's, demo/known, demo/unseen",)),
        ("data.evaluation=['a.jsonl']", ("data.train is not set; using the demo's, demo/train",)),
        ("data.train=['a.jsonl'] data.evaluation=['demo/known','demo/unseen']", ()),
    ],
)
def test_keys_without_effect_and_half_the_demo_are_told_and_taken(flags, notes) -> None:
    assert load_config(None, [f"--{flag}" for flag in flags.split()]).notes == notes


def test_a_limit_that_leaves_no_room_for_the_prompt_is_named_by_its_section() -> None:
    said = r"config: evaluation\.max_new_tokens \(600\) must be smaller than model\.context_tokens \(512\): the prompt"
    with pytest.raises(ValueError, match=said):
        load_config(None, ["--model.context_tokens=512", "--evaluation.max_new_tokens=600"])
    said = r"sampling\.max_new_tokens \(512\) and evaluation\.max_new_tokens \(600\) must"
    with pytest.raises(ValueError, match=said):
        load_config(
            None, ["--model.context_tokens=512", "--sampling.max_new_tokens=512", "--evaluation.max_new_tokens=600"]
        )


def test_the_tree_is_frozen_small_and_every_key_has_its_section() -> None:
    keys = known_keys()
    assert len(set(keys)) == len(keys) <= 116
    for key in keys:
        reduce(getattr, key.split("."), Config())  # raises where there is none
    assert {"data.reading", "data.reading.labels", "grpo.steps"} <= set(keys)
    with pytest.raises(ValidationError):
        Config().grpo.steps = 3


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_loads_and_is_named_after_its_file(path) -> None:
    config = load_config(str(path), [])
    assert config.run.name == path.stem
    assert config != Config()


def test_there_are_presets() -> None:
    assert {"debug", "demo"} <= {path.stem for path in PRESETS}


def test_the_presets_of_the_paper_hold_the_numbers_of_its_two_recipes() -> None:
    configs = Path(__file__).resolve().parents[2] / "scripts" / "configs"
    trl, verl = (load_config(str(configs / f"reference_{name}.toml"), []) for name in ("trl", "verl"))
    assert (trl.sft.epochs, trl.sft.sequences_per_step, trl.sft.learning_rate, trl.sft.warmup_fraction) == (
        5,
        256,
        2e-5,
        0.03,
    )
    for config, sampled, clips, kl, temperature, reward in (
        (trl, (28, 16, 4096), (0.2, 0.28, None), 0.04, 0.9, "paper"),
        (verl, (256, 16, 4096), (0.2, 0.2, 3.0), 0.001, 1.0, "paper_f1"),
    ):
        sampling, grpo = config.sampling, config.grpo
        assert (sampling.prompts_per_step, sampling.samples_per_prompt, sampling.max_new_tokens) == sampled
        assert (grpo.clip_low, grpo.clip_high, grpo.dual_clip) == clips
        assert (grpo.kl_coefficient, sampling.temperature, config.reward.preset) == (kl, temperature, reward)
        assert (grpo.learning_rate, grpo.advantage, grpo.rollout_correction) == (1e-6, "grpo", "none")
        assert config.data.prompt == "reference"
    assert (trl.grpo.epochs, trl.grpo.mini_batches, trl.grpo.loss_aggregation) == (4, 1, "constant")
    assert (verl.grpo.epochs, verl.grpo.mini_batches, verl.grpo.loss_aggregation) == (1, 4, "token_mean")
    # A cosine to nothing after a warm-up of a tenth, and a rate that stays as it is.
    assert (trl.grpo.warmup_fraction, trl.optimizer.final_rate) == (0.1, 0)
    assert (verl.grpo.warmup_fraction, verl.optimizer.final_rate) == (0, 1)
    assert (trl.data.max_prompt_tokens, verl.data.max_prompt_tokens) == (2048, 1024)


@pytest.mark.parametrize("old", RENAMED)
def test_a_key_of_old_names_the_key_that_took_its_place(old) -> None:
    with pytest.raises(ValueError, match=f"config key '{old}' is now ") as raised:
        load_config(None, [f"--{old}=1"])
    new = str(raised.value).partition(" is now ")[2].split()[0].strip(",")
    assert new in known_keys()


@pytest.mark.parametrize(
    ("old", "new"), [("centred", "dr_grpo"), ("scaled", "grpo"), ("leave_one_out", "rloo"), ("per_reward", "gdpo")]
)
def test_an_advantage_by_its_old_name_is_told_its_new_one(old, new) -> None:
    with pytest.raises(ValueError, match=f'config grpo.advantage: "{old}" is now called "{new}"'):
        load_config(None, [f"--grpo.advantage={old}"])


@pytest.mark.parametrize(
    "key", ["grpo.learning_rate", "grpo.clip_high", "optimizer.weight_decay", "reward.weights.schema"]
)
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_number_that_is_not_finite_is_refused(key, value) -> None:
    with pytest.raises(ValueError, match=f"config {key}"):
        load_config(None, [f"--{key}={value}"])
