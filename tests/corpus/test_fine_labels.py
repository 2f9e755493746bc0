"""General labels made special: what a sentence gives away, and what may stand beside it."""

import pytest

from rnr.corpus.fine_labels import GENERAL_OF, KINDS, refine
from rnr.corpus.schema_variation import vary_schema
from rnr.types import Example, Mention

GENERAL = ("location", "organization", "person")


def _example(sentence: str, *mentions: tuple[str, str], uid: str = "1") -> Example:
    found = tuple(
        Mention(text=text, label=label, start=sentence.index(text), end=sentence.index(text) + len(text))
        for text, label in mentions
    )
    return Example(uid=uid, sentence=sentence, schema=GENERAL, mentions=found, reasoning="a teacher's")


def _kinds(example: Example) -> list[tuple[str, ...]]:
    names = {name: kind.names for kind in KINDS for name in kind.names}
    return [names.get(mention.label, (mention.label,)) for mention in refine(example, 1.0, 0).mentions]


@pytest.mark.parametrize(
    ("sentence", "text", "label", "kind"),
    [
        ("The striker Otto Brand left.", "Otto Brand", "person", "sportsperson"),
        ("We heard pianists Otto Brand and Ida Wolf.", "Ida Wolf", "person", "musician"),
        ("Otto Brand, a retired Danish physicist, left.", "Otto Brand", "person", "scholar"),
        ("Otto Brand wrote it.", "Otto Brand", "person", "author"),
        ("A play directed by Otto Brand.", "Otto Brand", "person", "film maker"),
        ("President Otto Brand waved.", "President Otto Brand", "person", "statesman"),
        ("Otto Brand came on in the second half of the football match.", "Otto Brand", "person", "sportsperson"),
        ("We flew to Kenya.", "Kenya", "location", "nation"),
        ("We slept in Port Elsa Hotel.", "Port Elsa Hotel", "location", "public building"),
        ("It flows into the Elsa.", "Elsa", "location", "location"),
        ("She studied at Elsa College.", "Elsa College", "organization", "place of learning"),
        ("Otto Brand left.", "Otto Brand", "person", "person"),
    ],
)
def test_a_mention_becomes_what_its_sentence_says_it_is(sentence, text, label, kind) -> None:
    assert _kinds(_example(sentence, (text, label)))[0][0] == kind


def test_two_topics_decide_nothing() -> None:
    # "album" speaks for a musician, "parliament" for a statesman.
    assert _kinds(_example("Otto Brand gave the parliament an album.", ("Otto Brand", "person"))) == [("person",)]


def test_the_general_label_stays_beside_the_special_one_and_the_chain_goes() -> None:
    refined = refine(_example("The striker Otto Brand left.", ("Otto Brand", "person")), 1.0, 0)
    (mention,) = refined.mentions
    assert set(GENERAL) < set(refined.schema)
    assert mention.label in refined.schema
    assert (mention.text, mention.start, mention.end) == ("Otto Brand", 12, 22)
    assert refined.reasoning is None


def test_no_special_label_is_added_beside_a_mention_that_stayed_general() -> None:
    sentence = "The boxer Otto Brand met Ida Wolf."
    for seed in range(20):
        refined = refine(_example(sentence, ("Otto Brand", "person"), ("Ida Wolf", "person")), 1.0, seed)
        assert refined.mentions[1].label == "person"
        # Ida Wolf may be anything, so no other kind of person may be offered.
        assert sum("person" in GENERAL_OF.get(label, ()) for label in refined.schema) == 1


def test_a_sentence_that_says_nothing_and_a_share_of_none_change_nothing() -> None:
    plain = _example("Otto Brand left.", ("Otto Brand", "person"))
    assert refine(plain, 1.0, 0) is plain
    telling = _example("The striker Otto Brand left.", ("Otto Brand", "person"))
    assert refine(telling, 0.0, 0) is telling
    assert refine(telling, 1.0, 3) == refine(telling, 1.0, 3)


def test_a_special_label_with_a_mention_outlives_the_variation_of_its_schema() -> None:
    sentence = "The striker Otto Brand left."
    for number in range(50):
        refined = refine(_example(sentence, ("Otto Brand", "person"), uid=str(number)), 1.0, 0)
        varied = vary_schema(refined, 1.0, ["group", "animal", "rna"], 0)
        assert [mention.text for mention in varied.mentions] == ["Otto Brand"]


def test_no_special_label_is_a_label_of_the_zero_shot_sets() -> None:
    evaluated = """academic journal|album|algorithm|astronomical object|award|band|book|chemical compound
    |chemical element|conference|country|discipline|election|enzyme|event|field|literary genre|location|magazine|metrics
    |music genre|musical artist|musical instrument|organization|person|poem|political party|politician|product
    |program language|protein|researcher|scientist|song|task|theory|university|writer"""
    assert not set(GENERAL_OF) & {label.strip() for label in evaluated.split("|")}
