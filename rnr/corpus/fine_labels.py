"""General labels made special where the sentence or the name itself says so.

Annotated pools mostly know ``person``, ``organization`` and ``location``. A policy warm-started on them answers
"person" even where the schema offers "sportsperson" beside it: right span, wrong type. Here "the striker John Doe"
becomes a sportsperson, "Doe Airport" a public building and "Kenya" a nation, while the general label stays in the
schema, so that choosing the most special label that fits is something the warm start and the reward can teach.

The rules need no model: a word that ends the name, a role word beside the name, or the one domain that the sentence's
words belong to. What they look for lies beside this file, in ``fine_labels.toml``: one entry for each kind.
"""

import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rnr.types import Example, Mention


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A special label: its names, the general labels it is a part of, and what gives it away."""

    names: tuple[str, ...]
    within: tuple[str, ...]
    heads: str = ""
    """Last words of such a name."""
    roles: str = ""
    """Nouns that stand before the name ("striker X"), or after it ("X, a former striker")."""
    before: str = ""
    """Phrases right before the name ("directed by X")."""
    after: str = ""
    """Words right after the name ("X scored")."""
    topics: str = ""
    """Words that make every such mention of the sentence this kind, if no other kind's topics occur."""
    listed: frozenset[str] = frozenset()
    """Names known to be of this kind."""


_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_LISTS = {name: frozenset(names) for name, names in _TABLE["lists"].items()}


def _read_kind(row: dict[str, Any]) -> Kind:
    """A row of the table; its words in one string, separated by ``|``, are the alternatives of a pattern."""
    words = {field: "|".join(row.get(field, ())) for field in ("heads", "roles", "before", "after", "topics")}
    listed = _LISTS[row["listed"]] if "listed" in row else frozenset[str]()
    return Kind(names=tuple(row["names"]), within=tuple(row["within"]), **words, listed=listed)


KINDS = tuple(_read_kind(row) for row in _TABLE["kinds"])
GENERAL_OF = {name: kind.within for kind in KINDS for name in kind.names}
"""Special label -> the general labels it is a part of."""

_NAME_LIST = r"\W*(?:[A-Z][\w.'’-]*[\s,]+|and\s+|&\s+)*[\W]*$"


def refine(example: Example, share: float, seed: int) -> Example:
    """With probability ``share``, the example with every mention that betrays a special kind under that kind's label.

    Depends on ``seed`` and the uid alone. The general labels stay in the schema. One to three more special labels that
    fit nothing are added beside a general label when none of its mentions was left general, because only then is it
    certain that they do not apply.
    """
    generator = random.Random(f"fine/{seed}/{example.uid}")
    if generator.random() >= share:
        return example
    topics = set(_topics(example.sentence))
    kinds = [_kind(mention, example, topics) for mention in example.mentions]
    if not any(kinds):
        return example
    names = {kind: generator.choice(kind.names) for kind in KINDS}
    mentions = tuple(
        replace(mention, label=names[kind]) if kind else mention
        for mention, kind in zip(example.mentions, kinds, strict=True)
    )
    general = {mention.label for mention, kind in zip(example.mentions, kinds, strict=True) if kind}
    unsure = {mention.label for mention, kind in zip(example.mentions, kinds, strict=True) if not kind}
    others = [
        names[kind]
        for kind in KINDS
        if kind not in kinds and set(kind.within) & general and not set(kind.within) & unsure
    ]
    added = generator.sample(others, min(len(others), generator.randint(1, 3)))
    found = dict.fromkeys(names[kind] for kind in kinds if kind)
    schema = tuple(dict.fromkeys((*example.schema, *found, *added)))
    return replace(example, schema=schema, mentions=mentions, reasoning=None)


def _kind(mention: Mention, example: Example, topics: set[Kind]) -> Kind | None:
    possible = [kind for kind in KINDS if mention.label in kind.within]
    before = example.sentence[max(0, mention.start - 80) : mention.start]
    after = example.sentence[mention.end : mention.end + 70]
    for test in (_by_name, _by_neighbours):
        for kind in possible:
            if test(kind, mention.text, before, after):
                return kind
    by_topic = [kind for kind in possible if kind in topics]
    return by_topic[0] if len(by_topic) == 1 else None


def _by_name(kind: Kind, text: str, _before: str, _after: str) -> bool:
    words = text.split()
    titled = words[0] in kind.roles.split("|") or words[-1] in kind.heads.split("|")
    return text in kind.listed or (len(words) > 1 and titled)


def _by_neighbours(kind: Kind, _text: str, before: str, after: str) -> bool:
    roles = _words(kind.roles)
    apposition = r"\W*(?:is|was|,|\([^)]*\)|\s)*\s*(?:an?|the)\s(?:[\w-]+\s){0,3}"
    return bool(
        (roles and re.search(rf"\b(?:{roles})s?{_NAME_LIST}", before))
        or (kind.before and re.search(rf"\b(?:{_words(kind.before)})\W*$", before))
        or (kind.after and re.match(rf"\W*(?:{_words(kind.after)})\b", after))
        or (roles and re.match(rf"{apposition}(?:{roles})\b", after))
    )


def _topics(sentence: str) -> Iterator[Kind]:
    for kind in KINDS:
        if kind.topics and re.search(rf"\b(?:{_words(kind.topics)})\b", sentence, re.IGNORECASE):
            yield kind


@cache
def _words(alternatives: str) -> str:
    return "|".join(re.escape(word) for word in alternatives.split("|")) if alternatives else ""
