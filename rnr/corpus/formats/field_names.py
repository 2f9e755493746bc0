"""What people call the words, the tags and the numbers of sentences, in tables, above columns and in rows of JSON.

A name is compared by its letters alone, in lower case: ``Sentence #``, ``sentence_id``, ``sentenceId``.
"""

import re
from collections.abc import Callable, Iterable

TOKENS = ("tokens", "words", "word")
TAGS = ("ner_tags", "tags", "ner", "labels", "label", "ner_tag", "bio_tags", "iob_tags", "ner_labels", "tag")
"""The usual names in rows of JSON, those first that are asked first."""
WORD_NAMES = ("token", "tokens", "word", "words", "form", "text")
TAG_NAMES = ("tag", "tags", "ner", "ner_tag", "ner_tags", "ne", "label", "labels", "iob", "bio", "entity")
"""What people call a column of words, and one of tags."""

_OTHER_SIGNS = re.compile(r"[^\w#]|_")
_SCHEME = r"(?:ner|ne|named_?entit(?:y|ies)|entit(?:y|ies)|bio2?|iob[12]?|bioes|iobes|bilou|bmes|bieso?)"
_NUMBER = r"(?:ids?|idx|index|indices|no|num|number|nr|#|key|counter)"
_WORD = re.compile(
    r"(?:gold)?(?:words?|tokens?|tok|chars?|characters?|forms?|wordforms?|surface(?:form)?)(?:text|str|string)?"
)
_TAG = re.compile(
    rf"(?:gold|true|correct)?(?:{_SCHEME}{{1,2}}|{_SCHEME}{{0,2}}(?:word|token|seq|sequence)?(?:tags?|labels?))"
)
_ENTITY = re.compile(r"entit(?:y|ies)")
_OF_SENTENCE = r"(?:sentences?|sents?|utterance|utt)"
_OF_MORE = ("document", "doc", "text", "global")
_SENTENCE = re.compile(
    rf"{_OF_SENTENCE}({_NUMBER}?)|s(?:id|idx|no|num|#)|(?:{'|'.join(_OF_MORE)}){_OF_SENTENCE}{_NUMBER}"
)
_DOCUMENT = re.compile(
    rf"(?:documents?|docs?|files?|filename|(?:file|document|doc|text|tweet|post|message|article|paper|abstract|note|"
    rf"report|review|comment|paragraph|para){_NUMBER})"
)
_ANY_NUMBER = re.compile(rf"{_NUMBER}|group(?:{_NUMBER})?|seq(?:uence)?(?:{_NUMBER})?")
_PREDICTED = re.compile(r"pred|guess|system|hypothes", re.IGNORECASE)
_PLACE = re.compile(rf"(?:tokens?|tok|words?){_NUMBER}")


def plain(name: str) -> str:
    """The letters and digits of a name, in lower case: ``Sentence #`` -> ``sentence#``."""
    return _OTHER_SIGNS.sub("", name).lower()


def is_predicted(names: Iterable[str]) -> bool:
    """Whether a column with this name, if it has one, holds what a model said and not what is right."""
    return any(map(_PREDICTED.search, names))


def numbers_sentences(name: str) -> bool:
    """Whether a column with this name numbers the sentences, and does not hold their texts."""
    found = _SENTENCE.fullmatch(plain(name))
    return found is not None and found[1] != ""


def numbers_sentences_within(name: str) -> bool:
    """Whether the name of a column that tells the sentence says that sentences are numbered within something
    (``doc_sent_id``), as another column may do without."""
    return plain(name).startswith(_OF_MORE)


def _called(names: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda name: bool(names.fullmatch(plain(name)))


names_words = _called(_WORD)
"""Whether a column or field with this name holds words."""
names_tags = _called(_TAG)
"""Whether a column or field with this name holds tags."""
names_entities = _called(_ENTITY)
"""Whether a field with this name holds entities rather than tags."""
names_sentences = _called(_SENTENCE)
"""Whether a column with this name tells the sentence of each word."""
may_number_sentences = _called(_ANY_NUMBER)
"""Whether a column with this name may number the sentences, or anything else."""
names_documents = _called(_DOCUMENT)
"""Whether a column with this name tells the document of each word."""
names_places = _called(_PLACE)
"""Whether a column with this name numbers the words."""


def usual_first(found: Iterable[str], usual: tuple[str, ...]) -> list[str]:
    """These names in the order of the usual ones, behind them the others in their own."""
    rank = {name: at for at, name in enumerate(dict.fromkeys(map(plain, usual)))}
    return sorted(found, key=lambda name: rank.get(plain(name), len(rank)))
