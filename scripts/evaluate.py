"""Score a model, or its saved predictions, on annotated sentences.

python -m scripts.evaluate --model runs/demo/export --data demo/known demo/unseen
python -m scripts.evaluate --predictions runs/demo/predictions/grpo.jsonl --data demo/known demo/unseen \\
    --compare runs/demo/predictions/sft.jsonl
python -m scripts.evaluate --model runs/demo/export --data test.jsonl --decoding free --decoding marks  # compared
python -m scripts.evaluate --predictions gliner.jsonl --rename PER=person --data test.jsonl --format markdown
"""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from actors.chat_format import asks_catch_alls, trained_decoding
from actors.options import Options
from actors.question import refuse_unasked
from rnr.config import EvaluationConfig, ModelConfig, ReadingConfig
from rnr.corpus.drawing import draw_from_each
from rnr.corpus.formats.files.opening import bare
from rnr.corpus.loading import load
from rnr.corpus.schemas import as_asked
from rnr.evaluation.calibration import calibration
from rnr.evaluation.formatting import csv_of, f1_to_quote, few_sentences, markdown
from rnr.evaluation.metrics import reference_left_out
from rnr.evaluation.predictions import Prediction, save_predictions
from rnr.evaluation.published import columns
from rnr.evaluation.scoring import compare, decodings, refuse_other_sentences, report, zero_shot_f1
from rnr.evaluation.tables import WIDE, calibration_table, tables
from rnr.evaluation.tool_predictions import Foreign, read_any
from rnr.files.free_space import unwritable
from rnr.files.jsonl import strict_json
from rnr.files.whole import free_name, write_whole
from rnr.messages import plain_console
from rnr.task.aggregation import Selection
from rnr.types import Decoding, Example
from scripts.command_line import (
    READING,
    ContextTokens,
    HowOffsets,
    HowSpaces,
    LabelNames,
    LabelWeight,
    MinConfidence,
    TagColumn,
    among,
    as_written,
    by_label,
    new_app,
    reading_of,
    refuse_idle,
    repeated,
    run,
    threshold_option,
    within,
)

app = new_app()
Shown = Literal["terminal", "markdown", "csv"]
CatchAlls = Annotated[
    bool | None, typer.Option("--catch-alls/--no-catch-alls", help="ask for misc, other ... (default: as trained)")
]
ASKING = [
    "examples",
    "decoding",
    "max_new_tokens",
    "context_tokens",
    "samples",
    "select",
    "threshold",
    "label_calibration",
    "engine",
]
"""The options of how a model is asked."""
DECODINGS: tuple[Decoding, ...] = get_args(Decoding)
_MAX_NEW_TOKENS, _CONTEXT_TOKENS = EvaluationConfig().max_new_tokens, ModelConfig().context_tokens
Decodings = Annotated[
    list[str] | None, typer.Option(callback=among(DECODINGS), help=f"{', '.join(DECODINGS)}; default: as trained")
]


def main(argv: list[str]) -> int:
    return run(app, repeated(argv, "--data"))


@app.command(help=as_written(__doc__))
def evaluate(
    context: typer.Context,
    data: Annotated[list[str], typer.Option(help="files, folders, patterns or demo/NAME, one or more")],
    model: Annotated[str | None, typer.Option(help="a Hugging Face folder, such as a run's export")] = None,
    predictions: Annotated[Path | None, typer.Option(help="a file of predictions to score, without a model")] = None,
    other: Annotated[Path | None, typer.Option("--compare", help="other predictions for the same sentences")] = None,
    decoding: Decodings = None,
    examples: Annotated[int, typer.Option(callback=within(0), help="maximum sentences per data set; 0: all")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder; default: runs/evaluation/TIME, or beside FILE")] = None,
    max_new_tokens: Annotated[int, typer.Option(callback=within(1), help="token limit of an answer")] = _MAX_NEW_TOKENS,
    context_tokens: ContextTokens = _CONTEXT_TOKENS,
    catch_alls: CatchAlls = None,
    samples: Annotated[int, typer.Option(callback=within(1), help="completions per sentence")] = 1,
    select: Annotated[Selection | None, typer.Option(help="default: vote with several samples, else greedy")] = None,
    threshold: MinConfidence = None,
    label_calibration: LabelWeight = None,
    engine: Annotated[Literal["vllm", "transformers"], typer.Option(help="transformers needs no vLLM")] = "vllm",
    rename: Annotated[list[str] | None, typer.Option(help="map a tool's label to the data's, e.g. PER=person")] = None,
    tag_column: TagColumn = READING.tag_column,
    spaces: HowSpaces = READING.spaces,
    offsets: HowOffsets = READING.offsets,
    labels: LabelNames = "",
    shown: Annotated[Shown, typer.Option("--format", help="how the tables are printed")] = "terminal",
) -> None:
    """Ask the model if there is one, score the answers, write ``NAME.scores.json`` and print the tables."""
    _refuse(context, model, predictions, other)
    renamed = _renamed(rename or ())
    if catch_alls is None:
        catch_alls = asks_catch_alls(model) if model else True
    gold = _gold(data, reading_of(context.params), catch_alls)
    # Read first, so that its errors come before the model is asked.
    compared = _compared(other, gold, renamed, offsets) if other else None
    files = [predictions] if predictions else []
    if model:
        drawn = draw_from_each(gold, examples)
        if compared is not None:
            refuse_other_sentences([example.uid for example in drawn], compared)
        wanted: list[Decoding] = [name for name in DECODINGS if name in (decoding or ())]
        options = {"samples": samples, "select": select, "threshold": _least(threshold, gold), "engine": engine}
        options |= {"context_tokens": context_tokens, "max_new_tokens": max_new_tokens}
        files = _ask(model, drawn, wanted, out, options, label_calibration)
    for file in files:
        found = read_any(file, gold, renamed, offsets=offsets)
        folder = out or file.parent
        _show(found, compared, file=file, folder=folder, model=model, other=other, sentences=len(gold), shown=shown)
        if compared is None:
            compared, other = found.predictions, file  # the other decodings are compared with the first


def _refuse(context: typer.Context, model: str | None, predictions: Path | None, other: Path | None) -> None:
    """Raise ValueError for options that do not go together."""
    if (model is None) == (predictions is None):
        raise ValueError("give either --model or --predictions")
    if predictions:
        _refuse_place(predictions, context.params["out"])
        refuse_idle(context, ASKING, "with --predictions, which are scored as they are")
    elif not other:
        refuse_idle(context, ["rename"], "without --predictions or --compare")


def _refuse_place(predictions: Path, out: Path | None) -> None:
    """Raise ValueError, before anything is scored, if the scores could not be written."""
    if out is None and predictions.exists() and not predictions.is_file():
        raise ValueError(f"{predictions} is not a file, so scores cannot be written beside it: give a folder as --out")
    if why := unwritable(out or predictions.parent):
        raise ValueError(f"cannot write scores in {why}: give another folder as --out")


def _gold(data: Sequence[str], reading: ReadingConfig, catch_alls: bool) -> list[Example]:
    """The annotated sentences with the labels that are asked for."""
    gold = as_asked(load(data, training=False, options=reading), catch_alls=catch_alls)
    columns({example.source for example in gold})  # raises for names that a table cannot have
    return gold


def _least(threshold: Sequence[str] | None, gold: Sequence[Example]) -> float | dict[str, float] | None:
    """The threshold; raises ValueError if it names a label that no sentence asks for."""
    least = threshold_option(threshold)
    refuse_unasked(least, {label for example in gold for label in example.schema})
    return least


def _compared(other: Path, gold: Sequence[Example], renamed: Mapping[str, str], offsets: str) -> dict[str, Prediction]:
    """The predictions of ``--compare``; notes about them go to stderr."""
    read = read_any(other, gold, renamed, offsets=offsets)
    for note in read.notes:
        print(f"note: {other}: {note}", file=sys.stderr)
    return read.predictions


def _renamed(pairs: Sequence[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if wrong := [pair for pair, (old, _, new) in zip(pairs, split, strict=True) if not (old and new)]:
        raise ValueError(f"--rename must be TOOL=DATA, such as PER=person; found {wrong[0]!r}")
    return by_label(((old, new) for old, _, new in split), "--rename")


def _show(
    read: Foreign,
    compared: dict[str, Prediction] | None,
    *,
    file: Path,
    folder: Path,
    model: str | None,
    other: Path | None,
    sentences: int,
    shown: Shown,
) -> None:
    found = read.predictions
    scores = report(found)
    comparisons = compare(found, compared) if compared is not None else {}
    zero_shot = zero_shot_f1(scores)
    calibrated = calibration(found.values())
    under, other_under = decodings(found.values()), decodings((compared or {}).values())
    against = "" if compared is None else f" (compared: {_listed(other_under)})"
    row = {
        "model": model,
        "predictions": str(file),
        "decoding": under,
        "compared": str(other) if other else None,
        "compared_decoding": other_under,
        **asdict(scores),
        "zero_shot": zero_shot,
        "comparisons": {protocol: asdict(comparison) for protocol, comparison in comparisons.items()},
        "calibration": asdict(calibrated) if calibrated else None,
    }
    # Named after its predictions: one folder holds those of several stages.
    target = folder / f"{bare(file).stem}.scores.json"
    write_whole(target, strict_json(row, indent=1) + "\n")
    # A log file has no width, and 80 columns would cut the tables. With --format, only the tables go to stdout.
    console = plain_console(highlight=False, width=None if sys.stdout.isatty() else 120, stderr=shown != "terminal")
    room = console.width if shown == "terminal" else WIDE
    every = [*tables(scores, comparisons, zero_shot, name=model or file.name, width=room)]
    every += [calibration_table(calibrated)] if calibrated else []
    if shown != "terminal":
        print(csv_of(scores, comparisons) if shown == "csv" else markdown(every), end="")
    for table in every if shown == "terminal" else ():
        console.print(table)
    quoted = f1_to_quote(scores, zero_shot, with_offsets=read.tool and read.offsets)
    for note in (*read.notes, quoted, *few_sentences(scores)):
        console.print(note, soft_wrap=True)
    if len(found) < sentences:
        console.print(f"{len(found)} of the {sentences} sentences have a prediction; only those are scored")
    if left_out := reference_left_out(prediction.example for prediction in found.values()):
        labels = ", ".join(f"{number} under {label}" for label, number in left_out.items())
        console.print(f"the protocols reference and chain leave out gold mentions, as the paper does: {labels}")
    console.print(f"decoding: {_listed(under)}{against}\npredictions: {file}\nscores: {target}", soft_wrap=True)


def _made(out: Path | None) -> Path:
    """The folder of ``--out``, or a new one that is named by the time: evaluations that start in one second, as a
    script starts them for several models, have one each."""
    while out is None:
        folder = free_name(Path("runs/evaluation") / time.strftime("%Y%m%d-%H%M%S"))
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    out.mkdir(parents=True, exist_ok=True)
    return out


def _listed(decodings: Sequence[str]) -> str:
    return "; ".join(decodings) or "unknown"


def _ask(
    model: str,
    examples: Sequence[Example],
    decodings: Sequence[Decoding],
    out: Path | None,
    options: Mapping[str, Any],
    weight: float | None,
) -> list[Path]:
    """The files into which the model's answers were written, one for each decoding, with ``weight`` for the calibration
    of labels under marks (None: the model's own), in ``out`` or a new folder; raises ValueError if one exists
    already."""
    from actors.loading import load as load_model  # loads torch, which scoring does not need

    names = {decoding: f"predictions-{decoding}.jsonl" for decoding in decodings} if len(decodings) > 1 else {}
    for file in (out / name for name in (*names.values(), "predictions.jsonl") if out):
        if file.exists():
            raise ValueError(f"{file} exists: score it with --predictions, or give another --out")
    asked = decodings or (trained_decoding(model),)
    if weight and "marks" not in asked:
        raise ValueError(
            f"--label-calibration applies to marks only, and the model answers under {' and '.join(asked)}: add "
            "--decoding marks"
        )
    weights: dict[Decoding, float | None] = {each: weight if each == "marks" else None for each in asked}
    how = {name: options[name] for name in ("samples", "select", "threshold")}
    for decoding, given in weights.items():  # refuse bad options before anything is asked
        Options.of(decoding=decoding, label_calibration=given, **how)
    files: list[Path] = []
    with load_model(model, decoding=asked[0], **options) as extractor:
        folder = _made(out)
        for decoding, given in weights.items():
            answers = extractor.answers(examples, decoding=decoding, label_calibration=given)
            files.append(folder / names.get(decoding, "predictions.jsonl"))
            save_predictions(examples, answers, decoding, files[-1])
    return files


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
