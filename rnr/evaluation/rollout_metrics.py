"""Task metrics of a step's rollouts, by their tracked names."""

from collections.abc import Mapping, Sequence

from rnr.evaluation.metrics import Counts, exact_counts
from rnr.task.chains import ReadChain, read_tagged_chain
from rnr.task.labels import mention_key, within
from rnr.types import Answer, Example, ScoredGroup


def rates(groups: Sequence[ScoredGroup], seconds: Mapping[str, float]) -> dict[str, float]:
    """Samples per second over the whole step, and tokens per second while its groups were sampled; ``seconds`` has both
    durations."""
    rollouts = [rollout for scored in groups for rollout in scored.group.rollouts]
    tokens = sum(len(rollout.token_ids) for rollout in rollouts)
    return {
        "perf/samples_per_s": len(rollouts) / seconds["timing_s/step"],
        "rollout/tokens_per_s": tokens / seconds["timing_s/gen"],
    }


def ner_metrics(groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """Micro precision, recall and F1 of all sampled answers (in [0, 1]), F1 of the tagged chains' tags, and shares:
    unparsable answers, answers within the schema, mentions not in the sentence, and empty answers among sentences
    without gold."""
    rows = [(scored.group.prompt.example, answer) for scored in groups for answer in scored.answers]
    counts = sum((exact_counts(example, answer.mentions) for example, answer in rows), Counts())
    mentions = [mention for _, answer in rows for mention in answer.mentions]
    silent = [answer.error is None and not answer.mentions for example, answer in rows if not example.mentions]
    valid = [
        answer.error is None and within(example.schema, (mention.label for mention in answer.mentions))
        for example, answer in rows
    ]
    metrics = {
        "ner/precision": counts.precision,
        "ner/recall": counts.recall,
        "ner/f1": counts.f1,
        "ner/parse_fail": sum(answer.error is not None for _, answer in rows) / len(rows),
        "ner/schema_valid": sum(valid) / len(rows),
    }
    tagged = [counts for example, answer in rows if (counts := answer_chain_counts(example, answer)) is not None]
    if tagged:
        metrics["ner/chain_f1"] = sum(tagged, Counts()).f1
    if mentions:
        metrics["ner/hallucinated_span_frac"] = sum(not mention.grounded for mention in mentions) / len(mentions)
    if silent:
        metrics["ner/empty_gold_acc"] = sum(silent) / len(silent)
    return metrics


def answer_chain_counts(example: Example, answer: Answer) -> Counts | None:
    """``chain_counts`` of the chain of an answer; None unless it is a tagged chain."""
    chain = read_tagged_chain(answer, example.sentence)
    return None if chain is None else chain_counts(example, chain)


def chain_counts(example: Example, chain: ReadChain) -> Counts:
    """Counts of the tags of a chain: ``right_tags`` are the true positives, a copy error is a false positive."""
    right = sum(right_tags(example, chain))
    return Counts(right, len(chain.mentions) + len(chain.copy_errors) - right, len(example.mentions) - right)


def right_tags(example: Example, chain: ReadChain) -> list[bool]:
    """Whether each mention of a chain is annotated with its start, end and label."""
    gold = set(map(mention_key, example.mentions))
    return [mention_key(mention) in gold for mention in chain.mentions]
