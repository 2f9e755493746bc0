"""Column files as people have them: which column is what, how tags are written, what is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnr.config import ReadingConfig
from rnr.corpus.formats.columns.blocks import COMMENTS
from rnr.corpus.formats.columns.reading import CONTRADICTED, JOINED, LONG
from rnr.corpus.formats.columns.word_parts import WIDENED
from rnr.corpus.formats.files.opening import MARKED
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.tags.spelling import BARE, BEHIND, LOWER, OTHER_MARK, OTHER_OUTSIDE, UNNAMED
from rnr.corpus.loading import check
from rnr.corpus.report import Reading
from rnr.corpus.spacing import join
from rnr.types import Example

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "data"

Found = tuple[str, list[tuple[str, str]]]


def _read(file: Path, text: str | bytes = b"", **options: object) -> tuple[list[Found | str], str]:
    """Each sentence with its mentions (or the error in its place), and all notes."""
    if text:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    reading = Reading(options=ReadingConfig.model_validate(options))
    rows = list(check([str(file)], reading))
    return [_shown(row) for row in rows], "\n".join(reading.report.lines())


def _shown(row: Example | DataError) -> Found | str:
    if isinstance(row, DataError):
        return str(row)
    return row.sentence, [(mention.text, mention.label.lower()) for mention in row.mentions]


IDA = ("Ida ran", [("Ida", "per")])


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ("1\tIda\tB-PER\n2\tran\tO\n", "column 1 is a running number, and column 2 is read as the words"),
        ("0 Ida B-PER\n1 ran O\n", "column 1 is a running number, and column 2 is read as the words"),
        ("B-PER\tIda\nO\tran\n", "column 2 is read as the words"),
        ("Ida\tB-PER\tNNP\nran\tO\tVBD\n", "column 2 of 3 is read as the tags"),
        ("Ida B-PER NNP x\nran O VBD y\n", "column 2 of 4 is read as the tags"),
        ("token\tner\nIda\tB-PER\nran\tO\n", "the first line (token, ner) is a header and was passed over"),
        ("Ida\tPER\nran\tO\n", BARE),
        ("Ida b-PER\nran o\n", LOWER),
        ("Ida B_PER\nran O\n", OTHER_MARK),
        ("Ida B/PER\nran O\n", OTHER_MARK),
        ("Ida PER-B\nran O\n", BEHIND),
        ("Ida B\nran O\n", UNNAMED),
        ("Ida\tX\tB-PER\nran\tY\t_\n", OTHER_OUTSIDE.format("'_'")),
        ("Wort\tArt\nIda\tB-PER\nran\tO\n", "the first line (Wort, Art) is a header and was passed over"),
        ("Ida/B-PER ran/O\n", "each token with its tag after it on one line (token/tag)"),
        ("Ida|NNP|I-PER ran|VBD|O\n", "each token with its tag after it on one line (token|tag)"),
        (
            "1\tIda\tIda\tPROPN\t_\t_\t0\troot\t_\tNE=B-PER|x=1\n2\tran\trun\tVERB\t_\t_\t1\tx\t_\tNE=O\n",
            "those of NE=",
        ),
        ("bc/x 0 0 Ida NNP * - - - S (PERSON) *\nbc/x 0 1 ran VBD * - - - S * *\n", "CoNLL-2012"),
    ],
)
def test_a_layout_is_found_by_what_stands_there_and_said(tmp_path, lines, note) -> None:
    (found,), notes = _read(tmp_path / "a.tsv", lines)
    assert isinstance(found, tuple)
    assert (found[0], [text for text, _ in found[1]]) == ("Ida ran", ["Ida"])
    assert note in notes


@pytest.mark.parametrize(
    "lines",
    [
        b"Ida B-PER\t\t\nran O\t\n",  # trailing tabs
        b"Ida\tB-PER\t\nran\tO\n",
        b"Ida B-PER\rran O\r",  # the line ends of old Macs
        b"Ida B-PER\r\nran O\r\n",
        b"# id = 7\n# text = Ida ran\nIda\tB-PER\nran\tO\n",
        b"#begin document (x); part 000\nIda B-PER\nran O\n\n#end document\n",
        "\ufeffIda B-PER\nran O\n".encode(),
    ],
)
def test_what_is_no_part_of_a_sentence_is_passed_over_without_a_word(tmp_path, lines) -> None:
    assert _read(tmp_path / "a.conll", lines) == ([IDA], "")


def test_a_word_that_is_a_number_is_no_running_number(tmp_path) -> None:
    lines = "1 CD O\nGmbH NNP B-ORG\n\n2 CD O\n"
    assert _read(tmp_path / "a.conll", lines)[0] == [("1 GmbH", [("GmbH", "org")]), ("2", [])]
    assert _read(tmp_path / "b.conll", "1 O\n2 B-X\n")[0] == [("1 2", [("2", "x")])]


def test_the_outer_column_of_nested_tags_is_read_and_the_other_named(tmp_path) -> None:
    lines = "#\thttp://a.b/1 [2010-01-01]\n1\tUni\tB-ORG\tO\n2\tBonn\tI-ORG\tB-LOC\n"
    found, notes = _read(tmp_path / "a.tsv", lines)
    assert found == [("Uni Bonn", [("Uni Bonn", "org")])]
    assert "2 columns hold tags: column 3 is read, 4 not (--tag-column N)" in notes
    assert _read(tmp_path / "a.tsv", tag_column=4)[0] == [("Uni Bonn", [("Bonn", "loc")])]
    assert _read(tmp_path / "a.tsv", tag_column=-1)[0] == [("Uni Bonn", [("Bonn", "loc")])]
    assert "no column 7 (--tag-column)" in str(_read(tmp_path / "a.tsv", tag_column=7)[0])


def test_gold_is_read_beside_a_prediction_even_one_that_finds_nothing(tmp_path) -> None:
    found, notes = _read(tmp_path / "a.conll", "EU NNP B-ORG O\nran VBD O O\n")
    assert found == [("EU ran", [("EU", "org")])]
    assert "column 3 is read, 4 not" in notes


def test_the_chunks_of_conll_2003_are_no_second_column_of_names(tmp_path) -> None:
    found, notes = _read(tmp_path / "a.conll", "-DOCSTART- -X- -X- O\n\nIda NNP B-NP B-PER\nran VBD B-VP O\n")
    assert (found, notes) == ([IDA], "")


def test_labels_of_several_words_are_read_whole_from_the_columns_of_label_studio(tmp_path) -> None:
    lines = ("-DOCSTART- -X- O", "At -X- _ O", "Tell -X- _ B-excavation site", "Qasira -X- _ I-excavation site", "", "")
    found, notes = _read(tmp_path / "a.conll", "\n".join(lines))
    assert (found, notes) == ([("At Tell Qasira", [("Tell Qasira", "excavation site")])], "")


def test_columns_are_divided_at_tabs_and_spaces_alone(tmp_path) -> None:
    found, notes = _read(tmp_path / "a.conll", "10\u00a0000 B-MONEY\nEuro I-MONEY\nan\u2009x O\n\u3000 O\n")
    assert (found, notes) == ([("10\u00a0000 Euro an\u2009x \u3000", [("10\u00a0000 Euro", "money")])], "")


def test_a_line_with_another_number_of_columns_is_an_error_by_its_line(tmp_path) -> None:
    lines = "Ida NNP B-PER\nran VBD O\n\nBo B-PER\nran VBD O\n\nNew York NNP B-LOC\n\nEd NNP O\n"
    found, _ = _read(tmp_path / "a.conll", lines)
    assert found[0] == IDA
    assert found[1:] == [
        f"{tmp_path}/a.conll, line 4: 2 columns where most lines have 3: 'Bo B-PER'",
        f"{tmp_path}/a.conll, line 7: 4 columns where most lines have 3: 'New York NNP B-LOC'",
        ("Ed", []),
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("Ida NN B-PER\n\nRT NN O\n#Obama B-PER\nran VB O\n\nin IN O\n", "4: 2 columns where most lines have 3"),
        ("Ida B-PER\n\nin O\n#New York B-LOC\n. O\n", "4: 3 columns where most lines have 2"),
        ("Ida B-PER\n\n#New York B-LOC\n. O\n", "3: 3 columns where most lines have 2"),
        (
            "Ida\tN\tB-PER\n\nin\tIN\tO\n#NYC B-LOC\n.\t.\tO\n",
            "4: 1 column where most lines have 3",
        ),
        (
            "Ida B-PER\nran O\n# the end of it\n",
            "3: 5 columns where most lines have 2; if it is a comment, ",
        ),
    ],
)
def test_a_token_that_begins_as_a_comment_is_no_comment(tmp_path, lines, said) -> None:
    found, _ = _read(tmp_path / "a.conll", lines)
    assert f"{tmp_path}/a.conll, line {said}" in next(row for row in found if isinstance(row, str))


def test_a_comment_that_may_be_a_token_is_counted(tmp_path) -> None:
    lines = "# newdoc id = x\n# newpar\n# sent_id = 1\nIda B-PER\nran O\n\n#Obama's first day\n#\nIda B-PER\nran O\n"
    found, notes = _read(tmp_path / "a.conll", lines)
    assert found == [IDA] * 2
    assert notes.startswith(f"""{tmp_path}/a.conll: 2 {COMMENTS} (row 7: "#Obama's first day"; row 7: '#')""")
    # One among the tokens of a sentence is known by its key alone.
    assert _read(tmp_path / "b.conll", "Ida B-PER\n# segment = 2\nran O\n") == ([IDA], "")


def test_a_comment_that_contradicts_its_tokens_is_named(tmp_path) -> None:
    found, notes = _read(tmp_path / "a.conll", "# text = Ada ran\nIda B-PER\nran O\n")
    assert found == [IDA]
    assert f"1 {CONTRADICTED} (row 1: 'Ada ran')" in notes


def test_a_byte_order_mark_inside_a_file_is_left_out_and_counted(tmp_path) -> None:
    found, notes = _read(tmp_path / "a.conll", "Ida B-PER\nran O\n\n\ufeffIda B-PER\nran O\n\ufeff\nIda B-PER\nran O\n")
    assert found == [IDA] * 3
    assert f"1 {MARKED} (row 4)" in notes


def test_what_the_file_says_about_spaces_is_followed(tmp_path) -> None:
    lines = "It O +\nis O +\nFrench B-LOC -\n- O -\nborn O +\n"
    assert _read(tmp_path / "a.conll", lines)[0] == [("It is French-born", [("French", "loc")])]
    lines = "1\tIda\tB-PER\t_\n2\tran\tO\tSpaceAfter=No\n3\t.\tO\tSpaceAfter=No\n"
    assert _read(tmp_path / "b.conllu", lines)[0] == [("Ida ran.", [("Ida", "per")])]


def test_words_that_conll_u_writes_as_one_are_one(tmp_path) -> None:
    lines = "1\tIda\tB-PER\n2-3\tzum\t_\n2\tzu\tO\n3\tdem\tO\n4\tZoo\tB-LOC\n4.1\tx\t_\n"
    found, _ = _read(tmp_path / "a.conllu", lines)
    assert found == [("Ida zum Zoo", [("Ida", "per"), ("Zoo", "loc")])]


def test_a_block_of_empty_nodes_alone_is_no_sentence(tmp_path) -> None:
    lines = "1\tIda\tB-PER\n2\tran\tO\n\n1.1\tx\t_\n\n"
    assert _read(tmp_path / "a.conllu", lines)[0] == [IDA]


@pytest.mark.parametrize("odd", ["www.x", "-DOC-", "2.x"])
def test_what_is_no_number_of_a_word_is_an_error_by_its_line(tmp_path, monkeypatch, odd) -> None:
    """After the lines that tell what the columns are, one with a dot was left out without a note."""
    monkeypatch.setattr("rnr.corpus.formats.columns.reading.SAMPLE", 1)
    lines = f"1\tIda\tB-PER\n2\tran\tO\n\n1\tBo\tB-PER\n{odd}\tsat\tO\n"
    (first, error), _ = _read(tmp_path / "a.conll", lines)
    assert first == IDA
    assert f"line 5: {odd!r} is not the number of a word" in error


@pytest.mark.parametrize(
    ("lines", "mentions", "widened"),
    [
        # O and B in IOB2: the mention begins inside the word, and takes all of it.
        ("1 Ida B-PER|2-3 zum _|2 zu O|3 dem B-LOC|4 Zoo I-LOC", [("Ida", "per"), ("zum Zoo", "loc")], "zum Zoo"),
        ("1 Ida B-PER|2-3 zum O|2 zu _|3 dem _|4 Zoo B-LOC", [("Ida", "per"), ("Zoo", "loc")], ""),
        ("1 Ida B-PER|2-3 zum _|2 zu B-LOC|3 dem I-LOC|4 Zoo O", [("Ida", "per"), ("zum", "loc")], ""),
        ("1 Ida B-PER|2-3 zum _|2 zu I-PER|3 dem O|4 Zoo B-LOC", [("Ida zum", "per"), ("Zoo", "loc")], "Ida zum"),
        # Both lines of it are tagged: its own tag counts.
        ("1 Ida B-PER|2-3 zum B-LOC|2 zu B-LOC|3 dem I-LOC|4 Zoo I-LOC", [("Ida", "per"), ("zum Zoo", "loc")], ""),
        # IOBES: the letter of the last part ends the mention.
        ("1 Ida S-PER|2-3 zum _|2 zu B-LOC|3 dem I-LOC|4 Zoo E-LOC", [("Ida", "per"), ("zum Zoo", "loc")], ""),
        ("1 Ida B-PER|2-3 zum _|2 zu I-PER|3 dem E-PER|4 Zoo S-LOC", [("Ida zum", "per"), ("Zoo", "loc")], ""),
    ],
)
def test_a_word_of_several_parts_has_the_mention_of_its_parts(tmp_path, lines, mentions, widened) -> None:
    text = lines.replace(" ", "\t").replace("|", "\n") + "\n"
    found, notes = _read(tmp_path / "a.conllu", text)
    assert found == [("Ida zum Zoo", mentions)]
    assert (f"1 {WIDENED} (row 1: {widened!r})" in notes) if widened else (WIDENED not in notes)


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ("1 Vidal B-PER|2-3 del _|2 de B-ORG|3 el B-LOC|4 x O", 4),
        ("1 Ada B-PER|2-3 del _|2 di I-PER|3 la B-LOC|4 Rioja I-LOC", 4),
    ],
)
def test_mentions_that_meet_inside_a_word_of_several_parts_are_refused(tmp_path, lines, line) -> None:
    found, _ = _read(tmp_path / "a.conllu", lines.replace(" ", "\t").replace("|", "\n") + "\n")
    said = "mentions meet inside the word 'del': give it one tag, on its own line"
    assert found == [f"{tmp_path}/a.conllu, line {line}: {said}"]


def test_names_in_the_brackets_of_conll_2012_may_be_long(tmp_path) -> None:
    rows = [("New", "(GPE*"), ("York", "*)"), ("and", "*"), ("Rome", "(GPE)"), ("ran", "*")]
    lines = [f"bc/x 0 {n} {word} X * - - - S {name} * -" for n, (word, name) in enumerate(rows)]
    text = "\n".join(["#begin document (bc/x); part 000", *lines, "#end document", ""])
    found, _ = _read(tmp_path / "a.conll", text)
    assert found == [("New York and Rome ran", [("New York", "gpe"), ("Rome", "gpe")])]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ida\nran\n", "there is only one; is this plain text? (it begins with 'Ida"),
        ("Ida ran to Rome\n", "--tag-column N names the one that does (the columns are 1: Ida; 2: ran"),
        ("Zoë B-PER\n".encode("latin-1"), "not UTF-8 at byte 2 (line 1); if it is Latin-1 or Windows-1252, `iconv"),
    ],
)
def test_what_is_no_column_file_is_refused_with_the_reason(tmp_path, text, said) -> None:
    ((found,), _) = _read(tmp_path / "a.conll", text)
    assert said in str(found)


def test_several_tags_in_one_cell_are_an_error_and_no_label(tmp_path) -> None:
    found, _ = _read(tmp_path / "a.conll", "Uni B-ORG|B-LOC\nran O\n\nIda B-PER\nran O\n")
    assert "line 1: expected a tag such as O, B-person or I-person, found tag 'B-ORG|B-LOC'" in str(found[0])
    assert found[1] == IDA


def test_a_file_without_blank_lines_is_noticed(tmp_path) -> None:
    found, notes = _read(tmp_path / "a.conll", "Ida B-PER\n" + "ran O\n" * 1000)
    assert len(found) == 1
    assert f"1 {LONG} (row 1: 1001 tokens)" in notes


# WebAnno

WEBANNO = "#FORMAT=WebAnno TSV 3.3\n#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value\n\n\n"


def test_webanno_gives_spans_over_tokens_parts_of_tokens_and_both_of_two(tmp_path) -> None:
    lines = (
        "#Text=\U0001f600 New York's Ida\n1-1\t0-2\t\U0001f600\t_\t_\t\n1-2\t3-6\tNew\t*[1]|*[2]\tLOC[1]|ORG[2]\t\n"
        "1-3\t7-13\tYork's\t*[2]\tORG[2]\t\n1-3.1\t7-11\tYork\t*[1]\tLOC[1]\t\n1-4\t14-17\tIda\t_\tPER\\_X\t\n\n"
        "#Text=No.\n2-1\t18-20\tNo\t_\t_\t\n2-2\t20-21\t.\t_\t_\t\n"
    )
    found, _ = _read(tmp_path / "a.tsv", WEBANNO + lines)
    assert isinstance(found[0], tuple)
    assert found[0][0] == "\U0001f600 New York's Ida"
    assert sorted(found[0][1]) == [("Ida", "per_x"), ("New York", "loc"), ("New York's", "org")]
    assert found[1] == ("No.", [])


def test_webanno_offsets_that_do_not_fit_and_unclear_layers_are_named(tmp_path) -> None:
    found, _ = _read(tmp_path / "a.tsv", WEBANNO + "#Text=Ida\n1-1\t0-3\tAda\t_\tPER\t\n")
    assert "line 6: 'Ada' is not at its offsets, where #Text= has 'Ida'" in str(found)
    layers = "#FORMAT=WebAnno TSV 3.3\n#T_SP=a.Colour|x\n#T_SP=a.Shape|y\n\n#Text=Ida\n1-1\t0-3\tIda\t_\t_\t\n"
    found, _ = _read(tmp_path / "b.tsv", layers)
    assert "one layer of spans with the names; there are: a.Colour, a.Shape" in str(found)


# Scripts without spaces


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("海 钓 在 厦 门 。", "海钓在厦门。"),
        ("我 在 2 0 1 8 年 用 Windows Phone", "我在2018年用Windows Phone"),
        ("ฉัน รัก กรุงเทพ", "ฉันรักกรุงเทพ"),
        ("東京 で O K だ よ", "東京でOKだよ"),
        ("the word 中国 means China", "the word 中国 means China"),
        ("서울 에 갔다", "서울 에 갔다"),
    ],
)
def test_no_space_stands_where_a_script_writes_none(tmp_path, tokens, sentence) -> None:
    lines = "".join(f"{token}\tO\n" for token in tokens.split()) + "\nx\tB-X\n"
    ((found, _), *_), notes = _read(tmp_path / "a.conll", lines)
    assert found == sentence
    assert (JOINED in notes) == (sentence != tokens)
    assert _read(tmp_path / "a.conll", spaces="always")[0][0] == (tokens, [])
    assert _read(tmp_path / "a.conll", spaces="never")[0][0] == (tokens.replace(" ", ""), [])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("aB1海のกခ。,", min_size=1, max_size=3), min_size=1, max_size=8),
    st.sampled_from(["script", "always", "never"]),
)
def test_every_token_stands_at_its_place_whatever_is_between(tokens, rule) -> None:
    sentence, starts = join(tokens, rule)
    assert [sentence[start:][: len(token)] for start, token in zip(starts, tokens, strict=True)] == tokens
    assert sentence.replace(" ", "") == "".join(tokens)


# The failing inputs that were brought


RIGHT: dict[str, list[Found]] = {
    "bom_middle.conll": [("EU rejects", [("EU", "org")]), ("Bo ran", [("Bo", "per")])],
    "chinese.conll": [("海钓在厦门。", [("厦门", "loc")])],
    "cr.conll": [("EU rejects", [("EU", "org")]), ("Bo", [("Bo", "per")])],
    "gold_pred.conll": [("EU rejects", [("EU", "org")])],
    "iob_slash.conll": [("Ida met", [("Ida", "per")])],
    "lower.conll": [("Ida met", [("Ida", "per")])],
    "nbsp.conll": [("Er zahlte 10\u00a0000 Euro an Klaus", [("10\u00a0000 Euro", "money"), ("Klaus", "per")])],
    "onto.conll": [("Ida ran", [("Ida", "person")])],
    "second_col.conll": [("Ida met", [("Ida", "per")])],
    "second_col2.tsv": [("Ida met", [("Ida", "per")])],
    "space_after.conll": [("It is French-speaking", [("French", "loc")])],
    "trailtab.conll": [("Ida met", [("Ida", "per")])],
    "germeval.tsv": [
        ("Schmidt lehrt an der Universität Bonn", [("Schmidt", "per"), ("Universität Bonn", "org")]),
        ("Gut .", []),
    ],
    "header.tsv": [("Ida met", [("Ida", "per")])],
    "index_first.tsv": [("Marta lives in New Delhi", [("Marta", "per"), ("New Delhi", "loc")]), ("Hello .", [])],
    "label_as_tag_prefix.tsv": [("mail a@b.c to Bo", [("a@b.c", "e-mail"), ("Bo", "person")])],
    "stanford.tsv": [("Ida met Bo", [("Ida", "person"), ("Bo", "person")])],
    "webanno.tsv": [("Ida met Bo", [("Ida", "per"), ("Bo", "per")])],
    "uner.iob2": [("Karl lives here.", [("Karl", "per")])],
    "uner_3col.iob2": [("Bo Ray bor i Oslo.", [("Bo Ray", "per"), ("Oslo", "loc")])],
    "ud.conllu": [("Ida ran", [("Ida", "per")])],
}


@pytest.mark.skipif(not CASES.is_dir(), reason=f"the inputs are not at {CASES}")
@pytest.mark.parametrize("name", RIGHT)
def test_the_inputs_that_were_misread_are_read(name) -> None:
    assert _read(CASES / name)[0] == RIGHT[name]
