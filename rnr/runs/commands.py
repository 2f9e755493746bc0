"""Commands in messages, spelled as the running one was called: ``rnr report`` or ``python -m scripts.report``."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnr.config import EvaluationConfig, ModelConfig, ReadingConfig
from rnr.runs.run_folder import saved_config
from rnr.types import Example

SHOWN_LABELS = 8


def by_name() -> bool:
    """Whether this process was called as ``rnr COMMAND``."""
    return sys.argv[0].startswith("rnr ")


def as_called(text: str) -> str:
    """A text in which each ``python -m scripts.COMMAND`` is written as it is called here."""
    return text.replace("python -m scripts.", "rnr ") if by_name() else text


def after_a_run(folder: Path, example: Example | None) -> Iterator[tuple[str, str]]:
    """What to do with a finished run, as commands that use its own labels, one of its sentences and its data."""
    run, export = (shlex.quote(str(path)) for path in (folder, folder / "export"))
    yield "report", as_called("python -m scripts.report") + f" {run}"
    if example is None:
        example = Example(uid="", sentence="Ada Lovelace met Bob.", schema=("person", "city"), mentions=())
    labels = shlex.quote(",".join(_some(example)))
    sentence = shlex.quote(example.sentence)
    yield "predict", as_called("python -m scripts.predict") + f" --model {export} --schema {labels} {sentence}"
    config = saved_config(folder)
    data = " ".join(shlex.quote(path) for path in config["data"]["evaluation"]) or "test.jsonl"
    yield "evaluate", as_called("python -m scripts.evaluate") + f" --model {export} --data {data}{_as_the_run(config)}"


def _as_the_run(config: Mapping[str, Any]) -> str:
    """The options that give ``evaluate`` the run's token limits and reading options."""
    asked = (
        ("--max-new-tokens", config["evaluation"]["max_new_tokens"], EvaluationConfig().max_new_tokens),
        ("--context-tokens", config["model"]["context_tokens"], ModelConfig().context_tokens),
    )
    options = [f" {name} {value}" for name, value, default in asked if value != default]
    usual = ReadingConfig().model_dump(mode="json")
    for key, value in config["data"]["reading"].items():
        if value != usual[key]:
            text = ",".join(value) if isinstance(value, list) else str(value)
            options.append(f" --{key.replace('_', '-')} {shlex.quote(text)}")
    return "".join(options)


def _some(example: Example) -> Sequence[str]:
    """The labels of the sentence's mentions, and a few others; a label with a comma cannot be given on the command
    line."""
    first = dict.fromkeys(mention.label for mention in example.mentions)
    return [label for label in (*first, *sorted(set(example.schema) - set(first))) if "," not in label][:SHOWN_LABELS]
