"""Which decoding goes with which chains, and the completion that follows from a tagged chain."""

import re
from dataclasses import replace

import pytest

from rnr.task.chains import tagged_chain
from rnr.task.decoding import completed, decoding_of, left_out, refuse_undecodable, taught
from rnr.task.parsing import parse, write
from rnr.types import Example, Mention

EXAMPLE = Example(
    uid="1",
    sentence="Ada met [Bo]",
    schema=("person",),
    mentions=(
        Mention(text="Ada", label="person", start=0, end=3),
        Mention(text="[Bo]", label="person", start=8, end=12),
    ),
)
TAUGHT = replace(EXAMPLE, reasoning="Ada is a name.")


def test_tagged_chains_are_decoded_as_marks_and_a_teachers_as_free_chains() -> None:
    assert decoding_of([EXAMPLE]) == ("marks", "")
    assert decoding_of([EXAMPLE, replace(EXAMPLE, reasoning=tagged_chain(EXAMPLE))]) == ("marks", "")
    decoding, why = decoding_of([EXAMPLE, TAUGHT])
    assert decoding == "schema"
    assert why.startswith("own chains that are not tagged chains: 1 of 2 training sentences")


@pytest.mark.parametrize(
    ("taught", "asked", "decoding", "why"),
    [
        ([EXAMPLE], [replace(EXAMPLE, schema=("gene: protein",))], "schema", "no mark can hold the label 'gene: prot"),
        ([replace(EXAMPLE, schema=("person", "a]"))], [], "schema", "no mark can hold the label 'a]'"),
        ([], [EXAMPLE], "free", "no warm start"),
    ],
)
def test_what_marks_cannot_ask_is_not_asked_under_marks(taught, asked, decoding, why) -> None:
    found, reason = decoding_of(taught, asked)
    assert found == decoding
    assert re.match(why, reason)


def test_one_mention_in_a_hundred_may_be_beyond_the_marks() -> None:
    nested = replace(EXAMPLE, mentions=(*EXAMPLE.mentions, Mention(text="Bo", label="person", start=9, end=11)))
    rest = 99 - len(EXAMPLE.mentions)
    plain = replace(EXAMPLE, mentions=EXAMPLE.mentions[:1])
    assert decoding_of([nested, *[plain] * rest])[0] == "marks"  # 1 of 100
    found, why = decoding_of([nested, *[plain] * (rest - 1)])
    assert (found, why) == ("schema", "no chain can mark 1 of 99 gold mentions (nested, crossing or inside a word)")


def test_a_chat_template_that_opens_otherwise_is_not_decoded_as_marks() -> None:
    assert decoding_of([EXAMPLE], opens=False)[0] == "schema"


def test_marks_teach_tagged_chains_whatever_the_data_brings_and_say_so() -> None:
    nested = replace(TAUGHT, mentions=(*TAUGHT.mentions, Mention(text="Bo", label="person", start=9, end=11)))
    assert taught(nested, "marks") == (TAUGHT.mentions, "[Ada: person] met [(Bo): person]")
    assert taught(nested, "schema") == taught(nested, "free") == (nested.mentions, "Ada is a name.")
    assert list(left_out([nested, EXAMPLE], "marks").values()) == [1, 1]
    assert left_out([EXAMPLE], "marks") == left_out([nested], "schema") == {}


def test_the_completion_of_a_chain_is_the_target_that_teaches_it() -> None:
    assert completed(tagged_chain(EXAMPLE), EXAMPLE.sentence) == write(
        EXAMPLE.mentions, reasoning=tagged_chain(EXAMPLE)
    )
    answer = parse(completed("Ada met [(Bo): person]", EXAMPLE.sentence))
    assert answer.mentions == (Mention(text="[Bo]", label="person"),)


def test_a_chain_that_left_its_sentence_has_no_completion() -> None:
    for chain in ("Ada met", "Ada met Jo", "[Eve: person] met (Bo)"):
        with pytest.raises(ValueError, match="does not copy it"):
            completed(chain, EXAMPLE.sentence)


def test_labels_that_no_mark_can_hold_are_refused_only_where_marks_are_decoded() -> None:
    odd = replace(EXAMPLE, schema=("person", "a: b"))
    refuse_undecodable([odd], "schema")
    with pytest.raises(ValueError, match="'a: b'"):
        refuse_undecodable([EXAMPLE, odd], "marks")


def test_a_sentence_without_a_schema_is_refused_under_a_grammar_by_its_name() -> None:
    bare = replace(EXAMPLE, uid="row 7", schema=())
    refuse_undecodable([bare], "free")
    for decoding in ("marks", "schema"):
        with pytest.raises(ValueError, match="row 7"):
            refuse_undecodable([EXAMPLE, bare], decoding)
