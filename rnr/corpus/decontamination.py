"""Which training sentences a model must not have seen before it is evaluated."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from rnr.corpus.spacing import UNIT
from rnr.types import Example

NGRAM = 8
CONTAINMENT = 0.5

ZERO_SHOT_BENCHMARKS = ("crossner", "mitmovie", "mitrestaurant")
"""Benchmarks whose own training sets may not be used when they are evaluated: they are scored as zero-shot."""

SAME_SENTENCE = "sentence is in the evaluation"
NEAR_DUPLICATE = f"{NGRAM}-gram containment >= {CONTAINMENT} with an evaluation sentence"
OWN_TRAINING_SET = "training set of an evaluated zero-shot benchmark"


def sentence_key(sentence: str) -> str:
    """By what sentences are the same, whatever their case, white space, punctuation and Unicode form (NFKC):
    ``Don't!`` -> ``dont``."""
    return "".join(_words(sentence)) or sentence.strip()


def decontaminate(
    train: Sequence[Example], evaluation: Sequence[Example], keep_sources: Collection[str] = ()
) -> tuple[list[Example], dict[str, str]]:
    """The training examples that may be used, and uid -> reason of those that may not.

    An example goes when its source is a training set of an evaluated zero-shot benchmark (unless it is one of
    ``keep_sources``), when its sentence is an evaluation sentence, or when the two are near duplicates: the 8-grams
    of words (in scripts without spaces, of characters) that they share are at least half of those of the shorter one.
    Sentences of fewer words have no 8-gram.

    Raises ValueError, with those that there are, for a source to be kept that no training example has.
    """
    sources = {example.source for example in train}
    if unknown := set(keep_sources) - sources:
        raise ValueError(
            f"no training set to be kept is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(sources))}"
        )
    evaluated = {name for example in evaluation for name in _benchmarks(example.source)}
    keys = {sentence_key(example.sentence) for example in evaluation}
    index = _NgramIndex(example.sentence for example in evaluation)
    kept: list[Example] = []
    dropped: dict[str, str] = {}
    for example in train:
        if example.source not in keep_sources and evaluated & _benchmarks(example.source):
            dropped[example.uid] = OWN_TRAINING_SET
        elif sentence_key(example.sentence) in keys:
            dropped[example.uid] = SAME_SENTENCE
        elif index.containment(example.sentence) >= CONTAINMENT:
            dropped[example.uid] = NEAR_DUPLICATE
        else:
            kept.append(example)
    return kept, dropped


def _words(sentence: str) -> list[str]:
    # Composed once more, because folding the case can take characters apart.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", sentence).casefold())
    return UNIT.findall(folded)


def _benchmarks(source: str) -> set[str]:
    name = re.sub(r"[\W_]", "", source.casefold())
    # Anywhere in the name: collections put their own before it, as in "B2NERD-mit-movie".
    return {benchmark for benchmark in ZERO_SHOT_BENCHMARKS if benchmark in name}


def _ngrams(sentence: str) -> set[tuple[str, ...]]:
    words = _words(sentence)
    return {tuple(words[start : start + NGRAM]) for start in range(len(words) - NGRAM + 1)}


class _NgramIndex:
    """Finds, for a sentence, how much of it or of one of ours is the other."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._sizes: list[int] = []
        self._holders: dict[tuple[str, ...], list[int]] = {}
        for number, sentence in enumerate(sentences):
            ngrams = _ngrams(sentence)
            self._sizes.append(len(ngrams))
            for ngram in ngrams:
                self._holders.setdefault(ngram, []).append(number)

    def containment(self, sentence: str) -> float:
        """The largest share, over our sentences, of the n-grams of the shorter one that both have; 0 if none."""
        ngrams = _ngrams(sentence)
        shared = Counter(number for ngram in ngrams for number in self._holders.get(ngram, ()))
        return max((count / min(len(ngrams), self._sizes[number]) for number, count in shared.items()), default=0.0)
