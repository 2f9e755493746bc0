"""``rnr.messages``: one thing, several things, the nearest name."""

import pytest

from rnr.messages import counted, did_you_mean, few, model_named


def test_one_thing_is_no_several() -> None:
    assert [counted(count, "row") for count in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [counted(count, "entity", "entities") for count in (1, 3)] == ["1 entity", "3 entities"]


def test_of_many_things_the_first_are_named_and_the_others_counted() -> None:
    assert few(["a", "b"], 2) == "a, b"
    assert few(["a", "b", "c"], 2) == "a, b and 1 more"


def test_the_nearest_name_is_asked_about_or_nothing() -> None:
    assert did_you_mean("stps", ["grpo", "steps"]) == "; did you mean 'steps'?"
    assert did_you_mean("xyz", ["grpo", "steps"]) == ""
    assert did_you_mean("xyz", ["grpo", "steps"], cutoff=0) != ""


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("model.path: no folder at 'x'", "--model: no folder at 'x'"),
        ("context_tokens is 9, beyond model.path: x", "context_tokens is 9, beyond model.path: x"),
    ],
)
def test_an_error_about_the_model_begins_with_what_the_caller_has(message, named) -> None:
    with pytest.raises(UnicodeError) as raised, model_named("--model"):  # a kind of ValueError
        raise UnicodeError(message)
    assert str(raised.value) == named
