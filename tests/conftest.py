"""What several tests need: a tiny model that real vLLM and real DeepSpeed load, and a small data set."""

import json
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

# Started under `nohup`, or by a script in the background, these are ignored, and so would be those that tests send. A
# handler that does nothing is no reason for a run to ignore SIGHUP, and lets the tests outlive their terminal.
for number, handler in ((signal.SIGHUP, lambda *_: None), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

# No test is timed: a busy machine is not a defect. Equal code gives equal results: a run that looks for what nobody has
# seen yet is asked for by `--hypothesis-profile=explore`.
settings.register_profile("rnr", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("rnr")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A random two-layer Llama with a tied head and the embedded model's tokenizer: 6 million weights."""
    from rnr.model_folder import EMBEDDED_MODEL, embedded_folder
    from scripts.benchmarks.random_model import write_random_model

    source = embedded_folder(EMBEDDED_MODEL)
    if not source.is_dir():
        pytest.skip(f"the embedded model is not set up at {source}: run `make setup`")
    return write_random_model("random-tiny", tmp_path_factory.mktemp("tiny_model"), source)


@pytest.fixture(scope="session")
def colours(tmp_path_factory) -> Path:
    """Twelve sentences with one entity each: little enough for the tiny model to learn their form."""
    folder = tmp_path_factory.mktemp("colours")
    names = ["Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ida", "Jo", "Kit", "Lou"]
    rows = [
        {"sentence": f"{name} ran.", "schema": ["person"], "entities": [{"text": name, "label": "person"}]}
        for name in names
    ]
    for part in ("train", "test"):
        text = "".join(json.dumps(row) + "\n" for row in (rows if part == "train" else rows[:4]))
        (folder / f"{part}.jsonl").write_text(text.replace(" ran.", " ran." if part == "train" else " sat."))
    return folder
