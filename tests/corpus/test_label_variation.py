"""Schemas that change: what may change, what must not, and that it depends on seed and uid alone."""

from hypothesis import given
from hypothesis import strategies as st

from rnr.corpus.loading import load
from rnr.corpus.schema_variation import SYNONYMS, WORDINGS, vary_schema
from rnr.types import Example, Mention

INVENTORY = ("animal", "dna", "event", "food", "plant", "ship", "stadium", "vehicle")
SENTENCE = "Ada flew to Rome"
EXAMPLE = Example(
    uid="1",
    sentence=SENTENCE,
    schema=("location", "organization", "person"),
    mentions=(
        Mention(text="Ada", label="person", start=0, end=3),
        Mention(text="Rome", label="location", start=12, end=16),
    ),
    reasoning="Ada is a person.",
)
seeds = st.integers(0, 10_000)


def _meaning(label: str) -> str:
    meanings = {name: name for name in INVENTORY}
    meanings |= {name: name for name in EXAMPLE.schema}
    meanings |= {other: name for name, others in SYNONYMS.items() for other in others}
    worded = {wording.format(name): meaning for wording in WORDINGS for name, meaning in meanings.items()}
    return {**worded, **meanings}.get(label, label)


def test_a_share_of_none_changes_nothing() -> None:
    assert all(vary_schema(EXAMPLE, 0.0, INVENTORY, seed) is EXAMPLE for seed in range(50))


def test_the_share_is_the_share_of_examples_that_change() -> None:
    changed = sum(vary_schema(EXAMPLE, 0.3, INVENTORY, seed) is not EXAMPLE for seed in range(1000))
    assert 230 < changed < 370  # 300 expected, standard deviation sqrt(1000 * 0.3 * 0.7) = 14.5


@given(seeds)
def test_a_varied_schema_is_a_function_of_seed_and_uid(seed) -> None:
    assert vary_schema(EXAMPLE, 1.0, INVENTORY, seed) == vary_schema(EXAMPLE, 1.0, INVENTORY, seed)


def test_another_seed_or_uid_gives_another_schema_sooner_or_later() -> None:
    other = Example(uid="2", sentence=SENTENCE, schema=EXAMPLE.schema, mentions=EXAMPLE.mentions)
    by_seed = {vary_schema(EXAMPLE, 1.0, INVENTORY, seed).schema for seed in range(30)}
    by_uid = [vary_schema(other, 1.0, INVENTORY, seed).schema for seed in range(30)]
    assert len(by_seed) > 10
    assert by_uid != [vary_schema(EXAMPLE, 1.0, INVENTORY, seed).schema for seed in range(30)]


@given(seeds)
def test_the_schema_offers_the_label_of_every_mention_once_and_at_most_eight_more(seed) -> None:
    varied = vary_schema(EXAMPLE, 1.0, INVENTORY, seed)
    assert len(set(varied.schema)) == len(varied.schema) <= len(EXAMPLE.schema) + 8
    assert {mention.label for mention in varied.mentions} <= set(varied.schema)
    assert varied.reasoning is None  # a teacher's chain names the old labels


@given(seeds)
def test_mentions_keep_place_and_meaning_and_go_only_with_their_label(seed) -> None:
    varied = vary_schema(EXAMPLE, 1.0, INVENTORY, seed)
    kept = {(mention.start, mention.end, mention.text, _meaning(mention.label)) for mention in varied.mentions}
    gold = {(mention.start, mention.end, mention.text, mention.label) for mention in EXAMPLE.mentions}
    meanings = {_meaning(label) for label in varied.schema}
    assert kept == {mention for mention in gold if mention[3] in meanings}


@given(seeds)
def test_no_added_label_means_what_a_label_of_the_example_means(seed) -> None:
    # "vehicle", "animal", "event", ... are foreign; "mythological entity" may be a person, so it is never added.
    varied = vary_schema(EXAMPLE, 1.0, (*INVENTORY, "mythological entity", "celestial body"), seed)
    assert not {"mythological entity", "celestial body"} & set(varied.schema)


@given(seeds)
def test_a_new_name_never_is_another_label_of_the_same_example(seed) -> None:
    """When "date" is taken away with its mentions, "time" must not come back under the name "date"."""
    example = Example(
        uid="t",
        sentence="noon on Monday",
        schema=("date", "time"),
        mentions=(
            Mention(text="noon", label="time", start=0, end=4),
            Mention(text="Monday", label="date", start=8, end=14),
        ),
    )
    varied = vary_schema(example, 1.0, (), seed)
    names = {mention.text: mention.label for mention in varied.mentions}
    assert names.get("noon") != "date"
    assert len(set(names.values())) == len(names)


def test_no_label_is_added_that_is_a_synonym_of_one_that_is_there() -> None:
    """WNUT's "corporation" and the embedded data's "company" name the same things."""
    example = Example(uid="c", sentence="Acme pays", schema=("corporation",), mentions=())
    for seed in range(50):
        own = vary_schema(example, 1.0, (), seed).schema
        assert "company" not in set(vary_schema(example, 1.0, ("company",), seed).schema) - set(own)


def test_a_synonym_names_one_label_only_and_is_none_itself() -> None:
    others = [name for names in SYNONYMS.values() for name in names]
    assert len(set(others)) == len(others)
    assert not set(others) & set(SYNONYMS)


def test_no_synonym_gives_away_a_label_of_the_unseen_evaluation() -> None:
    labels = {label for example in load(["demo/unseen"], training=False) for label in example.schema}
    assert not labels & {other for names in SYNONYMS.values() for other in names}
