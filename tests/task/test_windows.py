"""Long texts: windows cover all of a text, and their answers are one again."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnr.task.extraction import Entity, Extraction
from rnr.task.windows import joined, windows


def _tokens(text: str) -> list[tuple[int, int]]:
    return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]


def _entity(start: int, end: int, text: str, confidence: float | None = None, label: str = "person") -> Entity:
    return Entity(text=text[start:end], label=label, start=start, end=end, confidence=confidence, alignment="marked")


def _part(text: str, *entities: Entity) -> Extraction:
    return Extraction(sentence=text, entities=entities, reasoning=text, tokens=3)


def test_a_short_text_is_one_window() -> None:
    text = "Ada met Bob."
    assert windows(text, _tokens(text), size=8, overlap=2) == [(0, len(text))]


def test_a_window_ends_behind_a_sentence_and_the_next_begins_with_a_word_within_the_overlap() -> None:
    text = "a b c d. e f g h. i j k l."
    found = windows(text, _tokens(text), size=10, overlap=3)
    # Ten tokens reach the end of the second sentence; the last three tokens of it are "g h .".
    assert [text[start:end] for start, end in found] == ["a b c d. e f g h. ", "g h. i j k l."]


@given(st.text(alphabet="ab .\n東京é", max_size=200), st.integers(2, 20), st.data())
def test_windows_cover_every_character_in_order_and_none_is_too_long(text, size, data) -> None:
    overlap = data.draw(st.integers(0, size // 2))
    tokens = _tokens(text)
    found = windows(text, tokens, size=size, overlap=overlap)
    assert found[0][0] == 0
    assert found[-1][1] == len(text)
    for (start, end), (later, after) in pairwise(found):
        assert start < later <= end < after
    for start, end in found:
        assert sum(start <= place < end for place, _ in tokens) <= size


def test_an_overlap_of_more_than_half_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="by at most 4, not by 5"):
        windows("a", [(0, 1)], size=8, overlap=5)


def test_offsets_are_those_of_the_whole_text_and_duplicates_are_merged_with_the_higher_confidence() -> None:
    text = "Ada met Bob and Cy came"
    places = [(0, 15), (8, 23)]
    first, second = text[:15], text[8:]
    found = joined(
        text,
        places,
        [
            _part(first, _entity(0, 3, first, 0.9), _entity(8, 11, first, 0.4)),
            _part(second, _entity(0, 3, second, 0.7), _entity(8, 10, second, None)),
        ],
    )
    assert [(entity.text, entity.start, entity.confidence) for entity in found] == [
        ("Ada", 0, 0.9),
        ("Bob", 8, 0.7),
        ("Cy", 16, None),
    ]
    assert all(text[entity.start : entity.end] == entity.text for entity in found)
    assert (found.windows, found.merged, found.tokens) == (2, 1, 6)


def test_of_two_that_cross_the_one_with_more_around_it_is_kept() -> None:
    text = "we are in New York City hall now"
    first, second = text[:18], text[7:]
    # The first window ends behind "York", where it could not see "City".
    found = joined(
        text,
        [(0, 18), (7, len(text))],
        [
            _part(first, _entity(10, 18, first, 0.9, "city")),
            _part(second, _entity(3, 16, second, 0.5, "city")),
        ],
    )
    assert [(entity.text, entity.start) for entity in found] == [("New York City", 10)]
    assert found.merged == 1


def test_what_crosses_is_kept_once_where_three_windows_overlap() -> None:
    text = "a b c d e f g h"
    places = [(0, 9), (2, 11), (4, 15)]
    parts = [text[start:end] for start, end in places]
    # "c d" ends the first window, and the third begins with "c d e": neither is a neighbour of the other.
    found = joined(
        text,
        places,
        [_part(parts[0], _entity(4, 7, parts[0])), _part(parts[1]), _part(parts[2], _entity(2, 5, parts[2]))],
    )
    assert [(entity.text, entity.start) for entity in found] == [("c d", 4)]
    # The middle window also has "c d", so that its own "d e" is another entity at the same place, and stays.
    middle = _part(parts[1], _entity(2, 5, parts[1]), _entity(4, 7, parts[1]))
    found = joined(text, places, [_part(parts[0], _entity(4, 7, parts[0])), middle, _part(parts[2])])
    assert [entity.text for entity in found] == ["c d", "d e"]


def test_what_was_left_out_has_the_offsets_of_the_whole_text_too() -> None:
    text = "Ada met Bob and Cy came"
    second = text[8:]
    invented = Entity(text="Di", label="person", start=-1, end=-1, confidence=None, alignment="none")
    part = Extraction(
        sentence=second, entities=(), reasoning=None, left_out=(_entity(8, 10, second, label="river"), invented)
    )
    found = joined(text, [(0, 15), (8, 23)], [_part(text[:15]), part])
    assert [(entity.text, entity.start, entity.end) for entity in found.left_out] == [("Cy", 16, 18), ("Di", -1, -1)]
