"""Column files whose header stands apart from the tokens, and letters after labels without any B-."""

import pytest

from rnr.corpus.formats.tags.spelling import BARE, BEHIND, UNNAMED
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


@pytest.mark.parametrize("names", ["\ttoken\tner", "Unnamed: 0\ttoken\tner", "id\tword\tner_tag", "genre\tform\tner"])
def test_a_header_above_labels_alone_is_no_token(tmp_path, names) -> None:
    lines = ("Ida\tPER", "Noor\tPER", "ran\tO", "", "Bo\tPER", "sat\tO")
    first = "news" if "genre" in names else "{}"
    text = "".join(f"{first.format(at)}\t{line}\n" if line else "\n" for at, line in enumerate(lines))
    found, problems, notes = read(written(tmp_path / "a.tsv", f"{names}\n{text}"))
    assert (found, problems) == ([IDA, BO], "")
    assert "is a header and was passed over" in notes


@pytest.mark.parametrize("names", ["token\tner", "Wort\tArt", "# a comment\n\ntoken\tner", "token\tner\n# id = 1"])
def test_the_name_of_the_tags_is_none_of_them(tmp_path, names) -> None:
    """Counted among them, it would make labels of letters alone, and of those after a label."""
    lines = "Ida\tPER-B\nNoor\tPER-I\nran\tO\n\nBo\tPER-B\nsat\tO\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", f"{names}\n{lines}"))
    assert (found, problems) == ([IDA, BO], "")
    assert BEHIND in notes
    found, problems, notes = read(written(tmp_path / "b.tsv", f"{names}\n{lines.replace('PER-', '')}"))
    assert (found, problems) == ([("Ida Noor ran", [("Ida Noor", "entity")]), ("Bo sat", [("Bo", "entity")])], "")
    assert UNNAMED in notes


@pytest.mark.parametrize(("first", "doubted"), [("Wort\tArt", True), ("字\t标签", True), ("Al\tCITY", False)])
def test_a_first_line_whose_label_stands_on_no_other_may_be_a_header(tmp_path, first, doubted) -> None:
    rows = "Ida\tPER\nran\tO\nto\tO\nOslo\tLOC\n\n"
    notes = read(written(tmp_path / "a.tsv", f"{first}\n{rows * 5}"))[2]
    assert ("may name the columns, because its label is on no other line" in notes) == doubted
    assert "may name" not in read(written(tmp_path / "b.tsv", f"{first}\n{rows * 4}"))[2]


def test_the_column_that_a_header_calls_tags_is_read_before_others(tmp_path) -> None:
    text = (
        "word\tfine\tner\nIda\tB-PER.author\tB-PER\nNoor\tI-PER.author\tI-PER\nran\tO\tO\n\nBo\tO\tB-PER\nsat\tO\tO\n"
    )
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([IDA, BO], "")
    assert "2 columns hold tags: column 3 is read, 2 not (--tag-column N)" in notes


def test_sentences_that_are_numbered_at_their_first_word_alone_are_refused(tmp_path) -> None:
    text = "id\tword\tner\n1\tIda\tPER\n\tran\tO\n2\tBo\tPER\n\tsat\tO\n3\tAl\tPER\n\tsat\tO\n"
    assert "column 1 numbers the sentences, which no blank line divides" in read(written(tmp_path / "a.tsv", text))[1]


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


def test_a_comment_with_a_key_and_as_many_words_as_columns_is_no_token(tmp_path) -> None:
    text = "# newdoc id = d1\nIda PER a b c\nNoor PER a b c\nran O a b c\n\n# id = s 2\nBo PER a b c\nsat O a b c\n"
    found, problems, _ = read(written(tmp_path / "a.conll", text))
    assert (found, problems) == ([IDA, BO], "")


def test_links_of_names_behind_their_tags_are_no_reason_to_refuse_a_file(tmp_path) -> None:
    text = "Ida\tB-PER\tQ1\thttp://a\nNoor\tI-PER\tQ1\t\nran\tO\t\t\n\nBo\tB-PER\t\t\nsat\tO\t\t\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([IDA, BO], "")
    assert "column 2 of 4 is read as the tags" in notes


def test_tags_of_inner_names_on_few_lines_are_errors_of_these(tmp_path) -> None:
    text = "Bank\tB-ORG\t\nof\tI-ORG\t\nOslo\tI-ORG\tB-LOC\nran\tO\t\n\nBo\tB-PER\t\nsat\tO\t\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", text))
    assert found == [BO]
    assert "line 3: 3 columns where most lines have 2; column 3 holds another tag" in problems
