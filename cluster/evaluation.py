"""The evaluation of the policy that the engines hold: greedy answers to all evaluation prompts, saved and scored."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from actors.label_calibration import LabelCalibration
from cluster.disk import Disk
from cluster.prepare import Prepared
from cluster.protocols import Answers
from rnr.config import EvaluationConfig
from rnr.evaluation.predictions import UNCALIBRATED, read_predictions, save_predictions
from rnr.evaluation.scoring import Evaluation, f1_of, score_predictions
from rnr.task.aggregation import Chosen, aggregate
from rnr.types import Example


async def evaluate(
    prepared: Prepared,
    wanted: EvaluationConfig,
    generation: Answers,
    file: Path,
    *,
    context_tokens: int,
    disk: Disk,
) -> tuple[Evaluation, list[tuple[Example, Chosen]]]:
    """The scores, and each sentence of ``prepared.evaluation`` with its answer, which ``file`` holds then. Where labels
    are calibrated, a file of the same name in ``UNCALIBRATED`` holds the answers as the policy gave them."""
    prompts, decoding = prepared.evaluation, prepared.decoding
    groups = await generation.greedy(prompts, max_new_tokens=wanted.max_new_tokens)
    examples = [prompt.example for prompt in prompts]
    own = [
        aggregate("greedy", example, decoding, group.rollouts[0])
        for example, group in zip(examples, groups, strict=True)
    ]

    async def save(answers: Sequence[Chosen], file: Path) -> None:
        await disk.retry("predictions", partial(save_predictions, examples, answers, decoding, file))

    answers, uncalibrated_f1 = own, None
    if wanted.label_calibration and decoding == "marks":
        uncalibrated = file.parent / UNCALIBRATED / file.name
        await save(own, uncalibrated)
        uncalibrated_f1 = f1_of(read_predictions(uncalibrated, examples))
        calibration = LabelCalibration(generation.choices, prepared.chat, context_tokens)
        answers = await calibration.calibrate_all(prompts, own, wanted.label_calibration)
    await save(answers, file)
    result = replace(score_predictions(file, examples), uncalibrated_f1=uncalibrated_f1)
    return result, list(zip(examples, answers, strict=True))
