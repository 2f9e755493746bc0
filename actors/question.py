"""Checks of a question to a loaded model: its text, its labels with or without definitions, and their limits."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

from rnr.task.labels import label_key

Labels: TypeAlias = Sequence[str] | Mapping[str, str]
"""The labels of a question, or ``{label: definition}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one request, and of all together."""

    sentences: int = 256
    """In one request."""
    characters: int = 200_000
    """Of all sentences of one request."""
    labels: int = 128
    samples: int = 32
    waiting: int = 2048
    """Sentences of all requests that are not answered yet; more are refused with 429."""


def refuse_text(text: Any) -> None:
    """Raise ValueError for anything but a string that can be written in UTF-8."""
    if not isinstance(text, str):
        advice = "; for several texts call batch(texts, labels)" if isinstance(text, list | tuple) else ""
        raise ValueError(f"a text must be a string, found {type(text).__name__}{advice}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} of the text is a lone surrogate, which is not valid text") from None


def refuse_one_text(texts: Any) -> None:
    """Raise ValueError for one string in the place of several texts: its letters would be asked about."""
    if isinstance(texts, str | bytes):
        raise ValueError("batch takes a list of texts, found one string: call ner(text, labels)")


def pair(question: Any) -> tuple[str, Labels]:
    """(text, labels) of one of many questions; raises ValueError for anything else."""
    if isinstance(question, str | bytes):
        raise ValueError(
            "stream takes (text, labels) for each text, found a text alone: call batch(texts, labels) for texts with "
            "the same labels"
        )
    try:
        text, labels = question
    except (TypeError, ValueError):
        raise ValueError(f"stream takes (text, labels) for each text, found {str(question)[:60]}") from None
    return text, labels


def asked(labels: Any) -> dict[str, str]:
    """``{label_key(label): label}``; raises ValueError for no labels, blank ones, other types, and two that are
    the same to the model."""
    found: dict[str, str] = {}
    for label in _as_sequence(labels):
        if not isinstance(label, str):
            raise ValueError(f"a label must be a string, found {label!r}; stream() takes (text, labels) for each text")
        refuse_text(label)
        key = label_key(label)
        if not key:
            raise ValueError("a label must not be blank")
        if key in found and found[key] != label:
            raise ValueError(f"the labels {found[key]!r} and {label!r} are the same to the model: remove one")
        found[key] = label
    if not found:
        raise ValueError("a question needs at least one label")
    return found


def _as_sequence(labels: Any) -> Sequence[Any]:
    """The labels as a sequence; a set is refused, because its order, and so the prompt, differs between processes."""
    if isinstance(labels, str | bytes):
        raise ValueError(f"labels must be a list or {{label: definition}}, not one string: use [{labels!r}]")
    if isinstance(labels, Set) and not isinstance(labels, Mapping):
        return sorted(labels, key=str)
    if not isinstance(labels, Sequence | Mapping):
        raise ValueError(f"labels must be a list or {{label: definition}}, found {type(labels).__name__}")
    return list(labels)


def definitions(labels: Labels) -> dict[str, str] | None:
    """``{label_key(label): definition}`` without blank ones; raises ValueError for one that is not a string."""
    if not isinstance(labels, Mapping):
        return None
    for label, meaning in labels.items():
        if not isinstance(meaning, str):
            kind = type(meaning).__name__
            raise ValueError(f"the definition of {label!r} must be a string, found {kind} ('' for none)")
    return {label_key(label): meaning for label, meaning in labels.items() if meaning.strip()} or None


def refuse_unasked(threshold: Any, labels: Any) -> None:
    """Raise ValueError for a threshold of a label that the question does not ask for."""
    if isinstance(threshold, Mapping):
        known = asked(labels)
        if unknown := sorted(label for label in threshold if label_key(label) not in known):
            raise ValueError(
                f"threshold for {unknown[0]!r}, which is not among the labels: {', '.join(known.values())}"
            )
