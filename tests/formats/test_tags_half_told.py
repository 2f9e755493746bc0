"""Tags that mark the single tokens or the ends of mentions, and not both: what they leave out is read as in IOB2."""

import csv
import io
import json

import pytest

from tests.reading_files import ADA, BO, read, written

BIOS, BIEO = "(BIOS)", "(BIEO)"
WORDS = "Ida Noor Bo saw Rome"
FOUND = ("Ida Noor Bo saw Rome", [("Ida Noor", "PER"), ("Bo", "PER"), ("Rome", "LOC")])


def _columns(words: list[str], tags: list[str]) -> str:
    return "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))


def _json(words: list[str], tags: list[str]) -> str:
    return json.dumps({"tokens": words, "ner_tags": tags}) + "\n"


def _table(words: list[str], tags: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([("sentence", "word", "tag"), *((1, *pair) for pair in zip(words, tags, strict=True))])
    return out.getvalue()


def _line(words: list[str], tags: list[str]) -> str:
    return f"{' '.join(words)}\t{' '.join(tags)}\n"


WAYS = {"a.tsv": _columns, "b.jsonl": _json, "c.csv": _table, "d.txt": _line}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B-PER I-PER S-PER O S-LOC", BIOS),
        ("B-PER I-PER U-PER O W-LOC", BIOS),
        ("B-PER I-PER B-PER O S-LOC", BIOS),
        ("B-PER E-PER B-PER O B-LOC", BIEO),
        ("B-PER L-PER B-PER O B-LOC", BIEO),
        ("B-PER E-PER S-PER O S-LOC", ""),
        ("B-PER L-PER U-PER O U-LOC", ""),
    ],
)
def test_what_tags_leave_out_is_read_and_said(tmp_path, name, tags, scheme) -> None:
    found, problems, notes = read(written(tmp_path / name, WAYS[name](WORDS.split(), tags.split())))
    assert (found, problems) == ([FOUND], "")
    assert [one for one in (BIOS, BIEO) if one in notes] == ([scheme] if scheme else [])


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("I-PER I-PER S-PER O B-LOC", "token 1: I-PER cannot follow the beginning (the tags are BIOS)"),
        ("B-PER I-LOC S-PER O O", "token 2: I-LOC cannot follow B-PER (the tags are BIOS)"),
        ("S-PER I-PER B-PER I-PER O", "token 2: I-PER cannot follow S-PER (the tags are BIOS)"),
        ("B-PER O E-PER O O", "token 3: E-PER cannot follow O (the tags are BIEO)"),
        ("B-PER I-PER O B-PER B-PER", "token 3: O cannot follow I-PER"),
        ("B-PER E-LOC O O O", "token 2: E-LOC cannot follow B-PER (the tags are BIEO)"),
        # True IOBES and BMEWO are as strict as before.
        ("B-PER E-PER S-PER O B-LOC", "token 5, at the end: O cannot follow B-LOC (the tags are IOBES)"),
        ("B-PER M-PER S-PER O S-LOC", "token 3: S-PER cannot follow M-PER (the tags are IOBES)"),
        ("S-PER B-PER S-PER O S-LOC", "token 3: S-PER cannot follow B-PER (the tags are IOBES)"),
    ],
)
def test_tags_that_contradict_their_scheme_are_errors_as_they_were(tmp_path, tags, said) -> None:
    # The last row tells that ends are marked where no single token is.
    rows = _json(WORDS.split(), tags.split())
    ends = _json(["Ed", "Li"], ["B-PER", "E-PER"]) if "S-" not in tags else ""
    assert said in read(written(tmp_path / "a.jsonl", rows + ends))[1]


def test_a_tag_that_cannot_be_read_makes_no_mention_of_the_one_before(tmp_path) -> None:
    file = written(tmp_path / "a.tsv", "a\tB-X\nb\tE-X\n\nc\tB-X\nd\tO^E-X\n")
    found, problems, notes = read(file)
    assert found == [("a b", [("a b", "X")])]
    assert "line 5: expected a tag such as O, B-person or I-person, found tag 'O^E-X'" in problems
    assert BIEO not in notes


def test_an_end_at_the_end_of_its_sentence_is_told_by_the_last_tag(tmp_path) -> None:
    rows = _json(["Ida", "ran"], ["O", "B-PER"]) + _json(["Ed", "Li"], ["B-PER", "E-PER"])
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([("Ida ran", [("ran", "PER")]), ("Ed Li", [("Ed Li", "PER")])], "")
    assert BIEO in notes


# Tags that look like O


@pytest.mark.parametrize(("like", "shown"), [("o", "'o'"), ("0", "'0'"), ("О", "'О' (U+041E)"), ("Ο", "'Ο' (U+039F)")])
def test_what_looks_like_o_beside_it_is_no_label(tmp_path, like, shown) -> None:
    lines = f"Ada\tPER\nran\tO\nso\t{like}\n\nBo\tPER\nsat\tO\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", lines))
    assert (found, problems) == ([("Ada ran so", [("Ada", "PER")]), BO], "")
    assert f"tags beside O look like it and are read as O: {shown}" in notes


def test_zero_is_a_label_among_numbers(tmp_path) -> None:
    found = read(written(tmp_path / "a.tsv", "Ada\t0\nran\tO\n\nBo\t1\nsat\tO\n"))[0]
    assert found == [("Ada ran", [("Ada", "0")]), ("Bo sat", [("Bo", "1")])]


def test_a_cyrillic_letter_in_the_place_of_every_o_is_read_and_named(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", "Ada\tB-PER\nran\tО\n\nBo\tB-PER\nsat\tО\n"))
    assert (found, problems) == ([ADA, BO], "")
    assert "tokens outside of mentions have the tag 'О' (U+041E) and are read as O" in notes


@pytest.mark.parametrize(("like", "shown"), [("0", "'0'"), ("О", "'О' (U+041E)")])
def test_what_looks_like_o_among_tags_with_letters_is_an_error_that_names_it(tmp_path, like, shown) -> None:
    found, problems, _ = read(written(tmp_path / "a.tsv", f"Ada\tB-PER\nran\t{like}\n\nBo\tB-PER\nsat\tO\n"))
    assert found == [BO]
    assert f"line 2: expected a tag such as O, B-person or I-person, found tag {like!r}; {shown} looks" in problems
