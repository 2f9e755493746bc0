"""Schemas that change from example to example, so that a policy learns to read the schema instead of remembering it.

A policy warm-started on ten fixed label sets writes "person" whatever the schema offers. Here labels are renamed to
synonyms, labels of other data sets are added that do not occur, and some labels are taken away with their mentions.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from rnr.corpus.fine_labels import GENERAL_OF
from rnr.types import Example, Mention

SYNONYMS: dict[str, tuple[str, ...]] = {
    "person": ("human", "individual", "name of a person", "someone's name", "human being", "figure"),
    "organization": ("institution", "body", "company or institution", "group of people with a purpose", "agency"),
    "corporation": ("company", "business", "firm", "enterprise"),
    "location": ("place", "geographical place", "area", "site", "geographic name"),
    "group": ("team or collective", "ensemble", "formation"),
    "creative work": ("work of art", "artwork", "published work", "title of a work"),
    "product": ("goods", "commercial product", "article for sale", "brand item"),
    "media": ("film or broadcast", "media title", "entertainment title"),
    "event": ("happening", "occasion", "historical event", "competition or ceremony"),
    "time": ("date", "period", "point in time"),
    "animal": ("species of animal", "beast", "fauna"),
    "plant": ("flower or tree", "vegetation", "flora"),
    "food": ("dish or drink", "foodstuff", "edible thing"),
    "disease": ("illness", "disorder", "medical condition", "sickness"),
    "chemical": ("substance", "drug or chemical", "chemical substance"),
    "anatomy": ("body part", "organ or tissue", "anatomical structure"),
    "instrument": ("device", "tool", "apparatus"),
    "vehicle": ("means of transport", "car, ship or aircraft"),
    "celestial body": ("planet or star", "body in space"),
    "mythological entity": ("mythical being", "god or legend"),
    "biological entity": ("living thing", "organism"),
    "cell type": ("kind of cell", "type of cell"),
    "cell line": ("cultured cells", "line of cells"),
    "dna": ("gene or dna region", "genetic sequence"),
    "rna": ("rna molecule", "transcript"),
    "material": ("matter", "raw material"),
    "machine/equipment": ("machine", "piece of equipment"),
    "manufacturing process": ("production method", "way of making"),
    "mechanical properties": ("property of a material", "mechanical quality"),
    "application": ("use", "field of use"),
    "process parameters": ("setting of a process", "process variable"),
    "concept/principles": ("concept", "principle", "idea"),
    "enabling technology": ("technology", "technique"),
    "engineering features": ("feature of a part", "design feature"),
    "process characterization": ("measurement method", "way to characterise"),
}
"""Label -> other names for the same thing, written for this project. None of them is a label of an evaluation set."""

WORDINGS = (
    *(
        "{} name",
        "{} entity",
        "{} mention",
        "{} or similar",
        "{}s",
        "{} itself",
        "{} of any kind",
        "{} as such",
        "{} item",
    ),
    *(
        "name of {}",
        "type of {}",
        "kind of {}",
        "sort of {}",
        "class of {}",
        "example of {}",
        "case of {}",
        "mention of {}",
    ),
    *("any {}", "a {}", "some {}", "one {}", "specific {}", "particular {}", "certain {}", "named {}", "known {}"),
    *("notable {}", "actual {}", "real {}", "given {}", "single {}", "individual {}", "such a {}", "what is a {}"),
)
"""Ways to say a label that leave its meaning: too many to be known by heart, so that a label has to be copied."""


def vary_schema(example: Example, share: float, inventory: Sequence[str], seed: int) -> Example:
    """With probability ``share``, the example under another schema; otherwise the example itself.

    Depends on ``seed`` and the uid alone. Each label is renamed with probability 1/2 if it has synonyms, and put in
    other words with probability 0.4; labels that carry no mention are kept with probability 1/2, general labels that do
    with 0.85 (their mentions go with them), special ones always; up to eight labels from ``inventory`` are added; the
    order is random. A teacher's chain names the old labels, so it goes as well.
    """
    generator = random.Random(f"{seed}/{example.uid}")
    if generator.random() >= share:
        return example
    used = {mention.label for mention in example.mentions}
    kept = [label for label in example.schema if generator.random() < _keep_share(label, used)]
    kept = kept or [generator.choice(example.schema)]
    names = {label: _name(label, example.schema, generator) for label in kept}
    foreign = _foreign(example.schema, tuple(inventory))
    added = generator.sample(foreign, min(len(foreign), generator.randint(0, 8)))
    schema = [*names.values(), *added]
    generator.shuffle(schema)
    mentions = tuple(
        Mention(text=mention.text, label=names[mention.label], start=mention.start, end=mention.end)
        for mention in example.mentions
        if mention.label in names
    )
    return replace(example, schema=tuple(dict.fromkeys(schema)), mentions=mentions, reasoning=None)


@cache
def _foreign(schema: tuple[str, ...], inventory: tuple[str, ...]) -> list[str]:
    """The labels of the inventory that may be added: none of them is another word for one that is there, whose
    mentions would then be wrong by annotation only."""
    taken = {name for label in schema for name in _same_meaning(label)}
    return [label for label in inventory if label not in taken and not _related(label, schema)]


def _keep_share(label: str, used: set[str]) -> float:
    if label not in used:
        return 0.5
    # Without its special label the mention would belong to the general one, which says otherwise.
    return 1.0 if label in GENERAL_OF else 0.85


def _same_meaning(label: str) -> set[str]:
    """The label and all names for the same thing, whichever of them it is."""
    families = ({name, *synonyms} for name, synonyms in SYNONYMS.items())
    return {label}.union(*(family for family in families if label in family))


def _name(label: str, schema: Sequence[str], generator: random.Random) -> str:
    synonyms = [name for name in SYNONYMS.get(label, ()) if name not in schema]
    name = generator.choice(synonyms) if synonyms and generator.random() < 0.5 else label
    return generator.choice(WORDINGS).format(name) if generator.random() < 0.4 else name


_RELATED = (
    {"person", "mythological entity", "group"},
    {"organization", "corporation", "group", "media"},
    {"creative work", "media", "product"},
    {"product", "vehicle", "food", "instrument", "machine/equipment", "chemical", "material"},
    {"animal", "plant", "biological entity", "cell type", "cell line", "disease"},
    {"location", "celestial body", "organization"},
    {"dna", "rna", "protein", "chemical"},
    {"anatomy", "cell type", "disease"},
)


def _related(label: str, schema: Sequence[str]) -> bool:
    return any(_related_pair(label, other) for other in schema)


@cache
def _related_pair(one: str, other: str) -> bool:
    mine, theirs = _with_general(one), _with_general(other)
    return bool(mine & theirs) or any(mine & family and theirs & family for family in _RELATED)


def _with_general(label: str) -> set[str]:
    return {label, *GENERAL_OF.get(label, ())}
