"""Selects the training and evaluation examples of a run: all decisions that do not need tokens."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rnr.config import DataConfig
from rnr.corpus.decontamination import OWN_TRAINING_SET, SAME_SENTENCE, decontaminate, sentence_key
from rnr.corpus.drawing import by_source, draw, draw_from_each, thin
from rnr.corpus.fine_labels import GENERAL_OF, refine
from rnr.corpus.loading import load
from rnr.corpus.schema_variation import vary_schema
from rnr.corpus.schemas import as_asked
from rnr.messages import counted
from rnr.types import Example

Fits = Callable[[Sequence[Example]], Iterable[bool]]
"""Whether the prompt of each of these examples is short enough; the only decision that needs a tokenizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The examples of a run, in the order of the data."""

    sft: tuple[Example, ...]
    held_out: tuple[Example, ...]
    """One example of each held-out sentence; their loss is measured, they are not trained on."""
    pool: tuple[Example, ...]
    """What GRPO draws from."""
    evaluation: tuple[Example, ...]
    candidates: int
    """Number of training examples from which ``sft`` and ``pool`` were drawn, counting each view of a sentence."""
    left_out: Mapping[str, int]
    """Reason -> number of training sentences (examples, once there are views) that were dropped, in order of steps."""
    notes: tuple[str, ...] = ()
    """Notes for the user."""

    @property
    def examples(self) -> tuple[Example, ...]:
        """All examples, some of them in several parts."""
        return (*self.sft, *self.pool, *self.evaluation)


def select(data: DataConfig, *, seed: int, held_out: int, warm_start: bool, fits: Fits | None = None) -> Selection:
    """Load, thin, vary, decontaminate, set aside and draw, in this order; the same every time for the same arguments.

    ``fits`` decides about ``data.max_prompt_tokens``. Without a ``warm_start`` nothing is drawn for SFT. Raises
    ValueError, naming the key, if nothing is left.
    """
    scored = load(
        data.evaluation,
        training=False,
        skip_bad_rows=data.skip_bad_rows,
        options=data.reading,
    )
    evaluation = draw_from_each(
        as_asked(scored, catch_alls=data.asks_catch_alls, part="evaluation data"), data.evaluation_examples
    )
    # All of them, not only the drawn ones: the run's model may be scored on the whole files later.
    train, special, left_out = _training(data, scored, seed)
    if fits is not None:
        short = [example for example, fit in zip(train, fits(train), strict=True) if fit]
        left_out |= _reason("longer than data.max_prompt_tokens", len(train) - len(short))
        train = short
    if not train:
        why = "; ".join(f"{count} dropped: {reason}" for reason, count in left_out.items())
        same = any(reason.startswith(SAME_SENTENCE) for reason in left_out)
        split = "; `python -m scripts.data split FILE --out FOLDER` divides a file" if same else ""
        raise ValueError(f"no training sentences left: {why}{split}")
    train, aside = _set_aside(train, held_out, seed)
    pool = thin(train, data.grpo_keep_by_mentions, seed + 1)
    left_out |= _reason("thinned by data.grpo_keep_by_mentions, from GRPO's pool only", len(train) - len(pool))
    if not pool:
        raise ValueError(f"data.grpo_keep_by_mentions leaves none of {len(train)} training sentences for GRPO")
    drawn = {"data.grpo_examples": (data.grpo_examples, pool)}
    drawn |= {"data.sft_examples": (data.sft_examples, train)} if warm_start else {}
    return Selection(
        notes=tuple(_without_effect(data, train, drawn, special)),
        sft=tuple(_drawn(train, data.sft_examples, seed, data.mixture, special)) if warm_start else (),
        held_out=tuple(aside),
        pool=tuple(_drawn(pool, data.grpo_examples, seed + 1, data.mixture, special)),
        evaluation=tuple(evaluation),
        candidates=len(train),
        left_out=left_out,
    )


def _without_effect(
    data: DataConfig,
    train: Sequence[Example],
    drawn: Mapping[str, tuple[int, Sequence[Example]]],
    special: Collection[str],
) -> Iterator[str]:
    """Notes on keys that have no effect on this data."""
    for key, (count, found) in drawn.items():
        if data.mixture and count >= len(found):
            every = counted(len(found), "training sentence")
            yield f"data.mixture has no effect: {key} ({count}) takes all of {every}"
    if data.special_labels and not any(example.uid in special for example in train):
        general = sorted({label for labels in GENERAL_OF.values() for label in labels})
        yield f"data.special_labels has no effect: no mention of {', '.join(general)} could be refined"


def _training(
    data: DataConfig, evaluation: Sequence[Example], seed: int
) -> tuple[list[Example], frozenset[str], dict[str, int]]:
    """The training examples with the schemas of their prompts, the uids of those with special labels, and the number of
    dropped sentences by reason."""
    loaded = load(
        data.train,
        training=True,
        skip_bad_rows=data.skip_bad_rows,
        options=data.reading,
        duplicates=data.duplicates,
    )
    loaded = as_asked(loaded, catch_alls=data.asks_catch_alls, part="training data")
    thinned = thin(loaded, data.keep_by_mentions, seed)
    left_out = _reason("thinned by data.keep_by_mentions", len(loaded) - len(thinned))
    _, dropped = decontaminate(thinned, evaluation, data.keep_sources)
    keys = {OWN_TRAINING_SET: f"{OWN_TRAINING_SET} (data.keep_sources keeps a set)"}
    left_out |= {keys.get(reason, reason): count for reason, count in Counter(dropped.values()).items()}
    views = [
        (example.uid, replace(example, uid=f"{example.uid}, view {view}") if view else example)
        for view in range(data.schema_views)
        for example in thinned
    ]
    refined = [(uid, refine(example, data.special_labels, seed)) for uid, example in views]
    # Not by their labels: a special label may be one of the data set's own.
    special = frozenset(new.uid for (_, old), (_, new) in zip(views, refined, strict=True) if new is not old)
    # The labels of dropped sentences count too.
    inventory = sorted({label for _, example in refined for label in example.schema})
    kept = (example for uid, example in refined if uid not in dropped)
    return [vary_schema(example, data.schema_variation, inventory, seed) for example in kept], special, left_out


def _reason(why: str, count: int) -> dict[str, int]:
    return {why: count} if count else {}


def _drawn(
    examples: Sequence[Example],
    count: int,
    seed: int,
    mixture: Mapping[str, float] | Literal["size"],
    special: Collection[str],
) -> Sequence[Example]:
    """At most ``count`` (0: all), evenly over the sources or as ``mixture`` says, in the order of the data.

    Examples with ``special`` labels are few, and are drawn like another source.
    """
    if not count:
        return examples

    def source_and_kind(example: Example) -> str:
        return f"{example.source}, special" if example.uid in special else example.source

    group = by_source if mixture == "size" else source_and_kind
    chosen = {example.uid for example in draw(examples, count, seed, group, mixture)}
    return [example for example in examples if example.uid in chosen]


def _set_aside(examples: Sequence[Example], count: int, seed: int) -> tuple[Sequence[Example], list[Example]]:
    """The examples without those of ``count`` sentences, and one of each of these; ValueError if none is left."""
    if not count:
        return examples, []
    by_sentence: dict[str, list[Example]] = {}
    for example in examples:
        by_sentence.setdefault(sentence_key(example.sentence), []).append(example)
    if count >= len(by_sentence):
        different = counted(len(by_sentence), "different training sentence")
        raise ValueError(
            f"sft.held_out ({count}) leaves nothing to train on: there are {different} (of {len(examples)})"
        )
    aside = set(random.Random(seed).sample(sorted(by_sentence), count))
    kept = [example for example in examples if sentence_key(example.sentence) not in aside]
    return kept, [by_sentence[key][0] for key in sorted(aside)]
