"""What is in data: sentences, mentions, labels and lengths by source, and what training and evaluation share."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnr.corpus.decontamination import sentence_key
from rnr.messages import model_named
from rnr.model_folder import resolve
from rnr.types import Example

PERCENTILES = {"50": 50, "90": 90, "99": 99, "max": 100}

Lengths = Callable[[Sequence[str]], list[int]]
"""The lengths of sentences, in some unit."""


def figures(train: Sequence[Example], evaluation: Sequence[Example], unit: str, lengths: Lengths) -> dict[str, Any]:
    """All figures, as ``scripts.data stats --json`` writes them."""
    return {
        "length_unit": unit,
        "training": by_source(train, lengths),
        "evaluation": by_source(evaluation, lengths),
        "overlap": overlap(train, evaluation),
    }


def words(sentences: Sequence[str]) -> list[int]:
    """The words between white space of each sentence."""
    return [len(sentence.split()) for sentence in sentences]


@model_named("--model")
def tokens_of(model: str) -> Lengths:
    """Counts tokens with the model's tokenizer.json, because importing transformers takes ten times as long."""
    from tokenizers import Tokenizer

    file = Path(resolve(model)) / "tokenizer.json"
    if not file.is_file():
        raise ValueError(f"{file.parent} has no tokenizer.json; name another --model, or count --words")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda sentences: [len(found) for found in tokenizer.encode_batch(sentences, add_special_tokens=False)]


def by_source(examples: Sequence[Example], lengths: Lengths) -> dict[str, dict[str, Any]]:
    """The counts of each source, by its name."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(example.source, []).append(example)
    return {source: count(rows, lengths([row.sentence for row in rows])) for source, rows in sorted(found.items())}


def count(examples: Sequence[Example], lengths: Sequence[int]) -> dict[str, Any]:
    """Sentences, mentions, share of sentences without one, mentions by label, and percentiles of the lengths."""
    found = Counter(mention.label for example in examples for mention in example.mentions)
    labels = sorted(_schema(examples), key=lambda label: (-found[label], label))
    return {
        "sentences": len(examples),
        "mentions": found.total(),
        "empty_share": sum(not example.mentions for example in examples) / len(examples),
        "labels": {label: found[label] for label in labels},
        # Nearest rank: a length that some sentence really has.
        "length": {
            name: int(np.percentile(lengths, rank, method="inverted_cdf")) for name, rank in PERCENTILES.items()
        },
    }


def overlap(train: Sequence[Example], evaluation: Sequence[Example]) -> dict[str, dict[str, Any]]:
    """For each source of the evaluation its labels that training has and has not, and its sentences that it has."""
    trained_labels = _schema(train)
    trained_sentences = {sentence_key(example.sentence) for example in train}
    found: dict[str, dict[str, Any]] = {}
    for source in sorted({example.source for example in evaluation}):
        rows = [example for example in evaluation if example.source == source]
        labels = _schema(rows)
        found[source] = {
            "seen_labels": sorted(labels & trained_labels),
            "unseen_labels": sorted(labels - trained_labels),
            "shared_sentences": sum(sentence_key(row.sentence) in trained_sentences for row in rows),
        }
    return found


def _schema(examples: Sequence[Example]) -> set[str]:
    return {label for example in examples for label in example.schema}
