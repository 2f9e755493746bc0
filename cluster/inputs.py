"""Digests of the inputs of a run, because data files and templates can change while the config stays the same."""

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnr.files.jsonl import read_object, strict_json
from rnr.files.whole import write_whole
from rnr.model_folder import PICKLED_WEIGHTS, weight_files
from rnr.types import Prompt, Sample

if TYPE_CHECKING:
    from cluster.prepare import Prepared
    from cluster.schedule import Schedule

FILE = "inputs.json"
EVALUATION = "evaluation"
MODEL = "the model"
BLOCKS, BLOCK = 256, 4096
"""Number and bytes of the blocks of a weight file that are in its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """The inputs of a run, read and checked."""

    prepared: "Prepared"
    schedule: "Schedule"
    digests: dict[str, str]
    """``inputs_of`` it."""
    warm_start: Path | None
    """The checkpoint of ``sft.from_run``, if the run begins with it."""


def inputs_of(prepared: "Prepared") -> dict[str, str]:
    """Stage -> sha256 of its input: tokens, uids, gold mentions, and how greedy answers are decoded; and the sha256
    of the initial weights, which merging reads again and which with LoRA are in no checkpoint."""
    return {
        MODEL: _of_weights(prepared.model_folder),
        "the warm start": _digest(map(_of_sample, (*prepared.sft, *prepared.held_out))),
        "GRPO": _digest(map(_of_prompt, prepared.prompts)),
        EVALUATION: _digest([*map(_of_prompt, prepared.evaluation), (prepared.label_calibration, ())]),
    }


def check_inputs(folder: Path, inputs: Mapping[str, str]) -> None:
    """Raise ValueError, naming the stage, if the input of a resumed run differs from the one it was started with."""
    before = read_inputs(folder)
    _refuse_other_model(folder, before, inputs, "--resume", "start a new run with another run.name")
    for stage, digest in inputs.items():
        if before.get(stage, digest) != digest:
            raise ValueError(
                f"--resume: the input of {stage} differs from the one the run in {folder} was started with, although "
                "the config is the same: a data file, data.definitions, data.prompt or the chat template has changed; "
                "restore it, or start a new run with another run.name"
            )


def check_model(folder: Path, inputs: Mapping[str, str]) -> None:
    """Raise ValueError if the run in ``folder``, whose warm start is to be reused, began with other weights."""
    _refuse_other_model(folder, read_inputs(folder), inputs, "sft.from_run", "leave out sft.from_run")


def _refuse_other_model(
    folder: Path, before: Mapping[str, str], inputs: Mapping[str, str], what: str, otherwise: str
) -> None:
    if before.get(MODEL, inputs.get(MODEL)) != inputs.get(MODEL):
        raise ValueError(
            f"{what}: the weights in model.path are not those that the run in {folder} was started with, although its "
            f"name is the same: restore them, or {otherwise}"
        )


def keep_inputs(folder: Path, inputs: Mapping[str, str]) -> None:
    """Write the digests into the run folder."""
    write_whole(folder / FILE, strict_json(dict(inputs), indent=1))


def read_inputs(folder: Path) -> dict[str, str]:
    """The digests in a run folder; empty for a run of an earlier version. Raises ValueError for an unreadable file."""
    file = folder / FILE
    if not file.is_file():
        return {}
    try:
        found = read_object(file)
        if odd := [stage for stage, digest in found.items() if not isinstance(digest, str)]:
            raise ValueError(f"{file}: {', '.join(odd)} must be text")
    except ValueError as error:
        raise ValueError(
            f"{error}; restore it from a copy, or remove it: the data can then no longer be compared"
        ) from None
    return found


def _of_weights(folder: str) -> str:
    """A sha256 of blocks spread over the files of weights, and of their sizes: fast to read, and different after a
    training of all weights."""
    found = hashlib.sha256()
    for file in weight_files(folder) or weight_files(folder, PICKLED_WEIGHTS):
        size = file.stat().st_size
        found.update(str(size).encode())
        with file.open("rb") as stream:
            for number in range(BLOCKS):
                stream.seek(size * number // BLOCKS)
                found.update(stream.read(BLOCK))
    return found.hexdigest()


def _of_sample(sample: Sample) -> tuple[Any, Sequence[int]]:
    return (sample.uid, len(sample.prompt_ids)), (*sample.prompt_ids, *sample.completion_ids)


def _of_prompt(prompt: Prompt) -> tuple[Any, Sequence[int]]:
    example = prompt.example
    gold = [(mention.start, mention.end, mention.label) for mention in example.mentions]
    return (prompt.uid, prompt.decoding, example.sentence, example.schema, gold), prompt.token_ids


def _digest(rows: Iterable[tuple[Any, Sequence[int]]]) -> str:
    found = hashlib.sha256()
    for facts, token_ids in rows:
        found.update(repr(facts).encode(errors="surrogatepass"))
        found.update(array("q", token_ids).tobytes())
    return found.hexdigest()
