"""What pydantic finds wrong, in words: each value once, by its own name, and no more of it than says something."""

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rnr.validation import explain, faults, validated


class _Part(BaseModel):
    size: int = Field(default=1, ge=1)


class _Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = ""
    most: int | float | None = None
    sizes: list[str] | dict[str, float] = []
    parts: tuple[_Part, ...] = ()

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if len(name) > 3:
            raise ValueError("must be short")
        return name


def _lines(value: object) -> list[str]:
    with pytest.raises(ValidationError) as error:
        _Whole.model_validate(value)
    return explain(error.value, _Whole, whole="the file")


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({"name": 1}, ["name: must be text (got 1)"]),
        ({"name": "Lovelace"}, ["name: must be short (got 'Lovelace')"]),
        ({"most": "x"}, ["most: must be a whole number or a number (got 'x')"]),
        ({"sizes": 3}, ["sizes: must be a list or an object (got 3)"]),
        ({"sizes": {"a": "x"}}, ["sizes.a: must be a number (got 'x')"]),
        ({"sizes": ["a", 1]}, ["sizes.1: must be text (got 1)"]),
        (
            {"parts": [{"size": 0}, 2]},
            ["parts.0.size: must be at least 1 (got 0)", "parts.1: must be an object (got 2)"],
        ),
        ({"nam": 1}, ["nam: unknown field; known are name, most, sizes, parts"]),
        ([], ["the file: must be an object (got [])"]),
        ({"name": 1, "most": []}, ["name: must be text (got 1)", "most: must be a whole number or a number (got [])"]),
    ],
)
def test_a_line_for_each_value_that_is_wrong_says_what_it_must_be(value, lines) -> None:
    assert _lines(value) == lines


def test_what_is_given_is_cut_where_it_is_long_or_deep() -> None:
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    (line,) = _lines({"name": deep})
    assert line == "name: must be text (got [[[[[[[...]]]]]]])"
    (line,) = _lines({"name": "a" * 10_000})
    assert len(line) < 250


def test_a_section_that_is_wrong_names_its_keys_in_one_error() -> None:
    with pytest.raises(ValueError) as error:
        validated(_Whole, {"name": 1, "most": "x"}, "data")
    assert (
        str(error.value) == "data.name: must be text (got 1)\ndata.most: must be a whole number or a number (got 'x')"
    )
    assert validated(_Whole, {"name": "a"}, "data").name == "a"


def test_json_that_is_cut_is_not_told_with_all_of_itself() -> None:
    with pytest.raises(ValidationError) as error:
        _Whole.model_validate_json('{"name": "a"')
    (fault,) = faults(error.value, _Whole)
    assert fault.message.startswith("Invalid JSON: EOF")
    assert "got" not in fault.message
