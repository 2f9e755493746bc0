"""Removes training sentences that a model must not see before its evaluation."""

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
    """The key by which sentences are compared, ignoring case, white space, punctuation and Unicode form (NFKC):
    ``Don't!`` -> ``dont``."""
    return _key(_words(sentence), sentence)


def decontaminate(
    train: Sequence[Example], evaluation: Sequence[Example], keep_sources: Collection[str] = ()
) -> tuple[list[Example], dict[str, str]]:
    """The training examples that may be used, and uid -> reason of those that may not.

    An example is dropped if its source is a training set of an evaluated zero-shot benchmark (unless it is one of
    ``keep_sources``), if its sentence is an evaluation sentence, or if the two are near duplicates: the 8-grams
    of words (in scripts without spaces, of characters) that they share are at least half of those of the shorter one.
    Sentences of fewer words have no 8-gram.

    ``evaluation`` is all data that a model may be scored on, not only the drawn part. Raises ValueError, listing the
    sources, for one of ``keep_sources`` that no training example has.
    """
    sources = {example.source for example in train}
    if unknown := set(keep_sources) - sources:
        raise ValueError(
            f"no training set to keep is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(sources))}"
        )
    evaluated = {name for example in evaluation for name in _benchmarks(example.source)}
    index = _Index(example.sentence for example in evaluation)
    kept: list[Example] = []
    dropped: dict[str, str] = {}
    for example in train:
        if example.source not in keep_sources and evaluated & _benchmarks(example.source):
            dropped[example.uid] = OWN_TRAINING_SET
        elif reason := index.reason(example.sentence):
            dropped[example.uid] = reason
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


def _key(words: Sequence[str], sentence: str) -> str:
    return "".join(words) or sentence.strip()


def _ngrams(words: Sequence[str]) -> set[int]:
    # By their hashes: an evaluation may have millions, and the words themselves would take five times the memory.
    return {hash(tuple(words[start : start + NGRAM])) for start in range(len(words) - NGRAM + 1)}


class _Index:
    """Sentences, each of them once, by their keys and by their n-grams."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._keys: set[str] = set()
        self._sizes: list[int] = []
        self._holder: dict[int, int] = {}
        """The first sentence with an n-gram; most have no second."""
        self._holders: dict[int, list[int]] = {}
        for sentence in sentences:
            words = _words(sentence)
            key = _key(words, sentence)
            if key not in self._keys:
                self._keys.add(key)
                self._add(_ngrams(words))

    def _add(self, ngrams: set[int]) -> None:
        number = len(self._sizes)
        self._sizes.append(len(ngrams))
        for ngram in ngrams:
            if self._holder.setdefault(ngram, number) != number:
                self._holders.setdefault(ngram, []).append(number)

    def reason(self, sentence: str) -> str:
        """Why this sentence may not be trained on; empty if it may."""
        words = _words(sentence)
        if _key(words, sentence) in self._keys:
            return SAME_SENTENCE
        return NEAR_DUPLICATE if self._containment(_ngrams(words)) >= CONTAINMENT else ""

    def _containment(self, ngrams: set[int]) -> float:
        """The largest share, over our sentences, of the n-grams of the shorter one that both have; 0 if none."""
        found = ngrams & self._holder.keys()
        shared = Counter(self._holder[ngram] for ngram in found)
        for ngram in found & self._holders.keys():
            shared.update(self._holders[ngram])
        return max((count / min(len(ngrams), self._sizes[number]) for number, count in shared.items()), default=0.0)
