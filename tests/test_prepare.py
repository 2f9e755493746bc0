"""What a run is given to train on, with the embedded model's tokenizer."""

import pytest

from cluster.prepare import prepare
from rnr.config import Config
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder

pytestmark = pytest.mark.skipif(
    not embedded_folder(EMBEDDED_MODEL).is_dir(), reason="the embedded model is not set up: run `make setup`"
)


def test_grpos_pool_is_thinned_and_the_warm_start_is_not() -> None:
    everything = prepare(Config())
    thinned = prepare(Config(data={"grpo_keep_by_mentions": (0.0, 0.0)}))
    assert thinned.sft == everything.sft
    wanted = [prompt.uid for prompt in everything.prompts if len(prompt.example.mentions) > 1]
    assert 0 < len(wanted) < len(everything.prompts)
    assert [prompt.uid for prompt in thinned.prompts] == wanted


def test_a_run_that_takes_over_a_warm_start_prepares_none() -> None:
    assert prepare(Config(sft={"from_run": "elsewhere"})).sft == ()
