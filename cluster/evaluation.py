"""Greedy predictions of the newest policy: written to disk first, scored afterwards."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.pool import Pool
from actors.rollout import Sampling
from rnr.metrics import Counts, average, average_interval, corpus_score, honest_counts, reference_counts
from rnr.parsing import ground, parse
from rnr.types import Example, Group, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores in per cent: the paper's metric by data set and averaged, and the honest average."""

    f1: float
    interval: tuple[float, float]
    """95 % bootstrap interval of ``f1``."""
    honest_f1: float
    finished: float
    by_data_set: dict[str, dict[str, float]]

    def metrics(self) -> dict[str, float]:
        """The scores by their ``val/`` names."""
        flat = {
            f"val/{name}/{key}": value for name, scores in self.by_data_set.items() for key, value in scores.items()
        }
        return flat | {"val/f1": self.f1, "val/honest_f1": self.honest_f1, "val/finished": self.finished}


async def evaluate(rollouts: Pool, prompts: Sequence[Prompt], *, max_new_tokens: int, predictions: Path) -> Evaluation:
    """Generate one greedy answer to each prompt, write ``predictions`` (JSONL), and score that file."""
    sampling = Sampling(count=1, temperature=0.0, max_new_tokens=max_new_tokens)
    groups: list[Group] = await rollouts.map(
        "evaluation", prompts, lambda worker, prompt: worker.generate.remote(prompt, sampling)
    )
    partial = predictions.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for group in groups:
            rollout = group.rollouts[0]
            row = {
                "uid": group.prompt.uid,
                "data_set": group.prompt.example.source,
                "sentence": group.prompt.example.sentence,
                "text": rollout.text,
                "finished": rollout.finished,
                "tokens": len(rollout.token_ids),
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(predictions)
    return score_predictions(predictions, [prompt.example for prompt in prompts])


def score_predictions(predictions: Path, examples: Sequence[Example]) -> Evaluation:
    """The scores of a predictions file against ``examples``; takes no model."""
    gold = {example.uid: example for example in examples}
    reference: dict[str, list[Counts]] = {}
    honest: dict[str, list[Counts]] = {}
    finished = []
    for line in predictions.read_bytes().splitlines():
        row = json.loads(line)
        example = gold[row["uid"]]
        answer = parse(row["text"])
        reference.setdefault(example.source, []).append(reference_counts(example.mentions, answer.mentions))
        honest.setdefault(example.source, []).append(honest_counts(example, ground(answer.mentions, example.sentence)))
        finished.append(row["finished"])
    by_data_set = {}
    for source, counts in reference.items():
        score = corpus_score(counts)
        by_data_set[source] = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    interval = average_interval(list(reference.values()), seed=0)
    return Evaluation(
        f1=average([scores["f1"] for scores in by_data_set.values()]),
        interval=(round(interval[0], 2), round(interval[1], 2)),
        honest_f1=average([corpus_score(counts).f1 for counts in honest.values()]),
        finished=round(100 * sum(finished) / len(finished), 2),
        by_data_set=by_data_set,
    )
