"""The evaluation of the policy that the engines hold: greedy answers to all evaluation prompts, saved and scored."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from actors.label_calibration import LabelCalibration
from cluster.disk import Disk
from cluster.generation import GenerationService
from cluster.prepare import Prepared
from rnr.config import EvaluationConfig
from rnr.evaluation.predictions import save_predictions
from rnr.evaluation.scoring import Evaluation, score_predictions
from rnr.task.choosing import Chosen

UNCALIBRATED = "uncalibrated"
"""The folder, beside the predictions, of the same answers with the policy's own labels."""


async def evaluate(
    generation: GenerationService,
    prepared: Prepared,
    wanted: EvaluationConfig,
    *,
    context_tokens: int,
    file: Path,
    disk: Disk,
) -> tuple[Evaluation, list[Chosen]]:
    """The scores, and the answers to ``prepared.evaluation`` in order, which ``file`` holds then. Where labels were
    calibrated, a file of the same name in ``UNCALIBRATED`` holds the answers as the policy gave them."""
    groups = await generation.greedy(prepared.evaluation, max_new_tokens=wanted.max_new_tokens)
    calibration = LabelCalibration(generation.choices, prepared.chat, context_tokens)
    answers = await calibration.answers(groups, wanted.label_calibration)
    examples = [prompt.example for prompt in prepared.evaluation]

    async def scored(answers: Sequence[Chosen], file: Path) -> Evaluation:
        save = partial(save_predictions, examples, answers, prepared.decoding, file)
        await disk.write("predictions", save)
        return score_predictions(file, examples)

    result = await scored(answers, file)
    if any(found.calibrated for found in answers):
        own = await scored(await calibration.answers(groups, 0.0), file.parent / UNCALIBRATED / file.name)
        result = replace(result, uncalibrated_f1=own.f1)
    return result, answers
