"""What a step's rollouts say about the task, by the names under which it is tracked."""

from collections.abc import Sequence

from rnr.evaluation.metrics import Counts, honest_counts
from rnr.types import Credit, ScoredGroup


def ner_metrics(groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """Micro precision, recall and F1 of all sampled answers (in [0, 1]), F1 of what the chains that walk through their
    sentences mark, and what goes wrong, as shares: unreadable answers, answers within the schema, mentions not in the
    sentence, right silence where the gold is empty."""
    rows = [(scored.group.prompt.example, answer) for scored in groups for answer in scored.answers]
    counts = sum((honest_counts(example, answer.mentions) for example, answer in rows), Counts())
    mentions = [mention for _, answer in rows for mention in answer.mentions]
    silent = [answer.error is None and not answer.mentions for example, answer in rows if not example.mentions]
    valid = [
        answer.error is None and all(mention.label in example.schema for mention in answer.mentions)
        for example, answer in rows
    ]
    metrics = {
        "ner/precision": counts.precision,
        "ner/recall": counts.recall,
        "ner/f1": counts.f1,
        "ner/parse_fail": sum(answer.error is not None for _, answer in rows) / len(rows),
        "ner/schema_valid": sum(valid) / len(rows),
    }
    if found := walks(groups):
        metrics["ner/chain_f1"] = chain_f1(found)
    if mentions:
        metrics["ner/hallucinated_span_frac"] = sum(not mention.grounded for mention in mentions) / len(mentions)
    if silent:
        metrics["ner/empty_gold_acc"] = sum(silent) / len(silent)
    return metrics


def walks(groups: Sequence[ScoredGroup]) -> list[Credit]:
    """The credits of those chains that walk through their sentences."""
    return [credit for scored in groups for credit in scored.credits if credit.verdicts]


def chain_f1(credits: Sequence[Credit]) -> float:
    """Micro F1 of the marks of these chains, in [0, 1]; 0 where nothing is marked or annotated."""
    both = sum(credit.marked + credit.gold for credit in credits)
    return 2 * sum(credit.right for credit in credits) / both if both else 0.0
