"""Column files whose header stands apart from the tokens, and letters behind labels that no B- tells."""

import pytest

from rnr.corpus.formats.tags.spelling import BARE, BEHIND
from tests.reading_files import read, written

IDA = ("Ida Noor ran", [("Ida Noor", "PER")])
BO = ("Bo sat", [("Bo", "PER")])
ROWS = "Ida\tB-PER\nNoor\tI-PER\nran\tO\n\nBo\tB-PER\nsat\tO\n"


@pytest.mark.parametrize("between", ["\n", "-DOCSTART-\tO\n\n", "# a comment\n\n", "\n\n# a comment\n"])
def test_a_header_that_stands_apart_costs_no_word(tmp_path, between) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", f"token\ttag\n{between}{ROWS}"))
    assert (found, problems) == ([IDA, BO], "")
    assert "the first line (token, tag) is a header and was passed over" in notes


def test_a_header_below_a_block_of_comments_is_one(tmp_path) -> None:
    found, problems, _ = read(written(tmp_path / "a.tsv", f"# made by hand\n\ntoken\ttag\n{ROWS}"))
    assert (found, problems) == ([IDA, BO], "")


@pytest.mark.parametrize(
    ("first", "last", "alone"),
    [("person-I", "person-I", "city-I"), ("person-I", "person-E", "city-E"), ("men-B", "men-I", "music-B")],
)
def test_letters_behind_labels_are_read_in_all_schemes(tmp_path, first, last, alone) -> None:
    text = f"Ida {first}\nNoor {last}\nran O\nto O\nOslo {alone}\n\nBo {alone}\nsat O\n"
    found, problems, notes = read(written(tmp_path / "a.txt", text))
    label, other = first[:-2], alone[:-2]
    named = [("Ida Noor ran to Oslo", [("Ida Noor", label), ("Oslo", other)]), ("Bo sat", [("Bo", other)])]
    assert (found, problems) == (named, "")
    assert BEHIND in notes


def test_one_label_that_ends_as_a_tag_does_is_a_label(tmp_path) -> None:
    found, _, notes = read(written(tmp_path / "a.txt", "Ida Type-I\nran O\nto O\nit O\n\nBo Type-I\nsat O\n"))
    assert found == [("Ida ran to it", [("Ida", "Type-I")]), ("Bo sat", [("Bo", "Type-I")])]
    assert BARE in notes


def test_what_is_said_of_a_sentence_is_no_label(tmp_path) -> None:
    text = "# id f1\tdomain=en\nIda _ _ PER\nNoor _ _ PER\nran _ _ O\n\n# id f2\tdomain=en\nBo _ _ PER\nsat _ _ O\n"
    found, problems, notes = read(written(tmp_path / "a.conll", text))
    assert (found, problems) == ([IDA, BO], "")
    assert "2 lines that begin with '#' were read as comments and dropped" in notes
