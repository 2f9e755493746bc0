"""``rnr.counting``: one thing, several things."""

from rnr.counting import counted


def test_one_thing_is_no_several() -> None:
    assert [counted(count, "row") for count in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [counted(count, "entity", "entities") for count in (1, 3)] == ["1 entity", "3 entities"]
