"""How numbers and rows are written: JSON that every reader takes, and digits that say something."""

import json
import math

import pytest

from rnr.files import json_line, significant, strict_json, write_whole


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_a_number_that_json_does_not_have_is_null_wherever_it_stands() -> None:
    value = {"a": math.nan, "b": [1.0, math.inf, {"c": (-math.inf, "NaN")}], "d": True, "e": None}
    expected = {"a": None, "b": [1.0, None, {"c": [None, "NaN"]}], "d": True, "e": None}
    assert json.loads(strict_json(value), parse_constant=_refuse) == expected
    assert json.loads(strict_json(value, indent=1), parse_constant=_refuse) == expected


def test_what_is_finite_is_written_as_it_is() -> None:
    assert strict_json({"é": [1, 0.1, "a"]}) == '{"é": [1, 0.1, "a"]}'
    assert json_line([1]) == "[1]\n"


def test_half_of_a_surrogate_pair_is_still_json(tmp_path) -> None:
    write_whole(tmp_path / "a.jsonl", json_line({"text": "a\ud83e"}))
    assert json.loads((tmp_path / "a.jsonl").read_bytes()) == {"text": "a\ud83e"}


def test_what_is_no_json_at_all_is_an_error() -> None:
    with pytest.raises(TypeError):
        strict_json({"a": object()})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3e-7, 3e-7),
        (1.23456789e-12, 1.23457e-12),
        (1 / 3, 0.333333),
        (-0.000123456789, -0.000123457),
        (27612.3456, 27612.3),
        (123456789, 123456789),  # a count is whole
        (123456789.0, 123456789.0),
        (0.0, 0.0),
        (math.inf, math.inf),
    ],
)
def test_six_digits_are_kept_however_small_the_number(value, expected) -> None:
    assert significant(value) == expected


def test_a_number_that_is_none_stays_none() -> None:
    assert math.isnan(significant(math.nan))
