"""Greedy predictions of the newest policy: written to disk first, scored afterwards."""

from collections.abc import Sequence
from pathlib import Path

from actors.pool import Pool
from actors.rollout import Sampling
from rnr.evaluation.predictions import save_predictions
from rnr.evaluation.scoring import Evaluation, score_predictions
from rnr.types import Group, Prompt


async def evaluate(rollouts: Pool, prompts: Sequence[Prompt], *, max_new_tokens: int, predictions: Path) -> Evaluation:
    """Generate one greedy answer to each prompt, write ``predictions`` (JSONL), and score that file."""
    sampling = Sampling(count=1, temperature=0.0, max_new_tokens=max_new_tokens)
    groups: list[Group] = await rollouts.map(
        "evaluation", prompts, lambda worker, prompt: worker.generate.remote(prompt, sampling)
    )
    save_predictions(groups, predictions)
    return score_predictions(predictions, [prompt.example for prompt in prompts])
