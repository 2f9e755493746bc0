"""Which column holds the words and which the tags, where others hold something for every word, too."""

import random

import pytest

from rnr.corpus.formats.columns.cells import Columns
from rnr.corpus.formats.columns.words import find_words
from rnr.corpus.formats.tags.spelling import BARE, OTHER_OUTSIDE
from rnr.corpus.label_doubts import SOME_TAGGED, SYNTAX, TAGGED
from tests.reading_files import ADA, BO, read, written

IDA = ("Ida ran to Rome", [("Ida", "PER"), ("Rome", "LOC")])
TAGS = "B-PER O O B-LOC|B-PER O"
WORDS = "Ida ran to Rome|Bo sat"


def _lines(*columns: str, mark: str = "\t") -> str:
    """A file of columns, of which each is its cells with ``|`` between sentences."""
    sentences = zip(*([part.split() for part in column.split("|")] for column in columns), strict=True)
    return "\n\n".join("\n".join(map(mark.join, zip(*cells, strict=True))) for cells in sentences) + "\n"


def _made_up(*, sentences: int = 60) -> tuple[str, str, str]:
    """Words with their lemmas and tags."""
    made = random.Random(3)
    stems = [f"{one}{two}" for one in "bcdfglmnprst" for two in ("ako", "eri", "una", "isto", "olg")]
    lemmas = [[made.choice(stems) for _ in range(10)] for _ in range(sentences)]
    words = [[stem + made.choice(("", "s", "ed", "ing", "ly")) for stem in sentence] for sentence in lemmas]
    tags = [["O"] * 3 + ["B-PER"] + ["O"] * 6] * sentences
    listed = ("|".join(map(" ".join, column)) for column in (words, lemmas, tags))
    return next(listed), next(listed), next(listed)


@pytest.mark.parametrize("mark", ["\t", " "])
@pytest.mark.parametrize(
    "first",
    [
        "NNP VBD TO NNP|NNP VBD",
        "PROPN VERB ADP PROPN|PROPN VERB",
        "NE VVFIN APPR NE|NE VVFIN",  # a treebank's of another language
        "Xx xxx xx Xxxx|Xx xxx",
        "Aa a a Aa|Aa a",
        "t1 t2 t3 t4|t5 t6",
        "s1_1 s1_2 s1_3 s1_4|s2_1 s2_2",
        "0:3 4:7 8:10 11:15|16:18 19:22",
        "0-3 4-7 8-10 11-15|16-18 19-22",
        "00:01 00:02 00:03 00:04|00:07 00:09",
        "d1 d1 d1 d1|d1 d1",
        "A A A A|B B",
        "0.98 0.9 1 0.7|0.8 .5",
        "_ _ _ _|_ _",
    ],
)
def test_what_a_first_column_says_of_words_is_not_read_as_the_words(tmp_path, first, mark) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", _lines(first, WORDS, TAGS, mark=mark)))
    assert (found, problems) == ([IDA, BO], "")
    assert "column 2 is read as the words" in notes
    found, problems, notes = read(written(tmp_path / "b.tsv", _lines(TAGS, first, WORDS, mark=mark)))
    assert (found, problems) == ([IDA, BO], "")
    assert "column 3 is read as the words" in notes


@pytest.mark.parametrize("names", [("news", "web"), ("en", "de"), ("A", "B")])
def test_what_is_said_of_sentences_may_come_back(tmp_path, names) -> None:
    domains = "|".join(f"{name} {name}" for name in names * 2)
    words, tags = "Ida ran|Bo ran|Cy ran|Di ran", "|".join(["B-PER O"] * 4)
    found, problems, notes = read(written(tmp_path / "a.tsv", _lines(domains, words, tags)))
    assert (found, problems) == ([(f"{name} ran", [(name, "PER")]) for name in ("Ida", "Bo", "Cy", "Di")], "")
    assert "column 2 is read as the words" in notes


def test_three_lines_tell_the_names_of_their_document_and_sentence(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", _lines("d d d", "s1 s1 s1", "Ida ran to", "B-PER O O")))
    assert (found, problems) == ([("Ida ran to", [("Ida", "PER")])], "")
    assert "column 3 is read as the words" in notes


@pytest.mark.parametrize(
    "others",
    [
        ("NNP VBD TO NNP|NNP VBD",),
        ("NE VVFIN APPR NE|NE VVFIN",),
        ("nr v p ns|nr v",),
        ("NNP VBD TO NNP|NNP VBD", "B-NP B-VP B-PP B-NP|B-NP B-VP"),
        ("Ida run to Rome|Bo sit", "PROPN VERB ADP PROPN|PROPN VERB"),
        ("0 4 8 11|0 3", "3 7 10 15|2 6"),
        ("Xx xxx xx Xxxx|Xx xxx",),
    ],
)
def test_words_in_the_first_column_are_read_without_a_word(tmp_path, others) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", _lines(WORDS, *others, TAGS)))
    assert (found, problems, notes) == ([IDA, BO], "", "")


@pytest.mark.parametrize("sentence", ["Ida saw Ida", "Bora Bora", "TO IN", "1984", "2024 7 2026", "A B"])
def test_a_sentence_alone_is_its_first_column(tmp_path, sentence) -> None:
    size = len(sentence.split())
    lines = _lines(sentence, " ".join(["NNP"] * size), " ".join(["B-X"] * size))
    assert read(written(tmp_path / "a.tsv", lines))[0][0][0] == sentence


TURNS = ["turn on lamp", "turn off lamp", "turn lamp on"] * 20
"""A small vocabulary: 180 lines with four words."""


def _beside(*cells: str) -> str:
    """Each word of ``TURNS`` with a cell beside it, of which these come in turn, and tags."""
    words, given = "|".join(TURNS), iter(cells * 180)
    column = "|".join(" ".join(next(given).format(word) for word in turn.split()) for turn in TURNS)
    tags = "|".join(" ".join("B-DEV" if word == "lamp" else "O" for word in turn.split()) for turn in TURNS)
    return _lines(words, column, tags)


@pytest.mark.parametrize(
    "cells",
    [
        ("NA", "0.91", "0.88", "0.93", "0.9", "0.77", "0.79"),
        ("nan", "9.1e-05", "0.88", "null", "0.9", "?", "0.79", "0.7"),
        ("BOS>{0}", "turn>{0}", "on>{0}", "lamp>{0}"),
        ("obj({0})", "root({0})", "dep({0})"),
        ("{0}+Noun+A3sg", "{0}+Verb+Pos", "{0}+Noun+A3pl"),
        ("/html/p[1]", "/html/p[2]", "/html/b[1]", "/html/p[3]", "/html/i[1]", "/html/p[4]", "/html/p[5]"),
        ("{0}s", "{0}ed", "the{0}"),
        tuple("".join(chr(97 + int(digit)) for digit in str(1000 + place)) for place in range(180)),
    ],
)
def test_what_is_said_of_a_few_words_in_many_ways_is_not_read_as_the_words(tmp_path, cells) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", _beside(*cells)))
    assert (found[0], problems) == (("turn on lamp", [("lamp", "DEV")]), "")
    said = "column 1 is read as the words, and not column 2; name the columns in the first line (token, tag)"
    assert (said in notes) is (cells[0] not in ("NA", "nan"))


def test_a_character_is_not_left_for_the_word_that_it_is_in(tmp_path) -> None:
    characters, words = "甲 左 右|左 甲 右|右 甲 左", "甲左 甲左 右手|左边 甲乙 右边|右手 上甲 向左"
    found = read(written(tmp_path / "a.tsv", _lines(characters, words, "B-X O O|B-X O O|O B-X O")))[0]
    assert [sentence for sentence, _ in found] == ["甲左右", "左甲右", "右甲左"]


def test_leaving_the_first_column_is_told_with_what_to_do(tmp_path) -> None:
    notes = read(written(tmp_path / "a.tsv", _lines("NE VVFIN APPR NE|NE VVFIN", WORDS, TAGS)))[2]
    said = "column 2 is read as the words, and not column 1; name the columns in the first line (token, tag), if that"
    assert said in notes
    notes = read(written(tmp_path / "b.tsv", _lines("0-3 4-7 8-10 11-15|16-18 19-22", WORDS, TAGS)))[2]
    assert "column 2 is read as the words, and column 1 has a number in every cell; name the columns" in notes


@pytest.mark.parametrize(
    ("words", "others", "tags"),
    [
        ("|".join(["09/02/1998"] * 60), "|".join(["CD"] * 60), "|".join(["B-DATE"] * 60)),
        (" ".join(["09/02/1998"] * 60), " ".join(["CD"] * 60), " ".join(["B-DATE"] * 60)),
        ("|".join(["A5541 - 2765"] * 20), "|".join(["NN : CD"] * 20), "|".join(["B-ID O B-ID"] * 20)),
        ("A5541 - 2765", "NN : CD", "B-ID O B-ID"),
        ("|".join(["772"] * 60), "|".join(["NUM"] * 60), "|".join(["B-VAL"] * 60)),
        ("|".join(["IL-12 CD3"] * 30), "|".join(["NN NN"] * 30), "|".join(["B-GENE B-GENE"] * 30)),
        ("IL6 CD3|p53 IL2", "protein gene|protein gene", "B-GENE O|B-GENE O"),
        ("|".join(f"{n * 37 % 97} {n}" for n in range(30)), "|".join(["value unit"] * 30), "|".join(["B-VAL O"] * 30)),
    ],
)
def test_words_with_a_digit_each_are_read(tmp_path, words, others, tags) -> None:
    found, problems, _ = read(written(tmp_path / "a.tsv", _lines(words, others, tags)))
    assert ([sentence for sentence, _ in found], problems) == (words.split("|"), "")


@pytest.mark.parametrize(
    ("words", "others", "tags"),
    [
        ("|".join(["Berlin"] * 60), "|".join(["NNP"] * 60), "|".join(["B-LOC"] * 60)),
        ("|".join(["ok"] * 60 + ["Ada"]), "|".join(["ok"] * 60 + ["ada"]), "|".join(["O"] * 60 + ["B-PER"])),
        (" ".join(["ok"] * 60 + ["Ada"]), " ".join(["ok"] * 60 + ["ada"]), " ".join(["O"] * 60 + ["B-PER"])),
        ("|".join(["UH X UH"] * 30), "|".join(["UH X FW"] * 30), "|".join(["O B-NEG O"] * 30)),
    ],
)
def test_files_that_say_the_same_again_are_read(tmp_path, words, others, tags) -> None:
    found, problems, _ = read(written(tmp_path / "a.tsv", _lines(words, others, tags)))
    assert ([sentence for sentence, _ in found], problems) == (words.split("|"), "")


def test_words_are_told_from_their_lemmas_where_there_are_many(tmp_path) -> None:
    words, lemmas, tags = _made_up()
    found, _, notes = read(written(tmp_path / "a.tsv", _lines(lemmas, words, tags)))
    assert found[0][0] == words.partition("|")[0]
    assert "column 2 is read as the words" in notes
    found, _, notes = read(written(tmp_path / "b.tsv", _lines(words, lemmas, tags)))
    assert (found[0][0], notes) == (words.partition("|")[0], "")


def test_a_column_that_may_be_of_words_beside_the_one_that_is_read_is_named(tmp_path) -> None:
    few = written(tmp_path / "a.tsv", _lines("ida run to rome|bo sit", WORDS, TAGS))
    found, _, notes = read(few)
    assert found[0][0] == "ida run to rome"
    said = "column 1 is read as the words, and not column 2; name the columns in the first line (token, tag)"
    assert said in notes
    named = written(tmp_path / "b.tsv", "lemma\ttoken\ttag\n" + few.read_text())
    assert read(named)[0] == [IDA, BO]


def test_columns_without_words_are_refused_or_named(tmp_path) -> None:
    places = " ".join(f"t{place}" for place in range(60))
    tags = " ".join(["B-PER", *["O"] * 59])
    problems = read(written(tmp_path / "a.tsv", _lines(places, " ".join(["NN"] * 60), tags)))[1]
    assert "column 1 has a number in every cell, column 2 holds parts of speech; name the columns in the" in problems
    notes = read(written(tmp_path / "b.tsv", _lines("NNP VBD TO NNP", "B-PER O O O")))[2]
    assert "column 1 is read as the words, and holds parts of speech" in notes


def test_names_of_sentences_that_no_blank_line_divides_are_an_error(tmp_path) -> None:
    lines = _lines("d_a d_a d_a d_b d_b d_b", "Ida ran to Bo sat to", "B-PER O O B-PER O O")
    problems = read(written(tmp_path / "a.tsv", lines))[1]
    assert (
        "column 1 names the sentence or document of each word (d_a, d_b), and there is no blank line between"
        in problems
    )


def test_ids_of_letters_no_two_of_which_are_alike_are_no_words() -> None:
    ids = [f"{one}{two}" for one in "abcdefghij" for two in "abcdefghij"]
    words = [f"w{'abcde'[place % 5]}{'abcdefgh'[place % 8]}" for place in range(100)]
    rows = [list(row) for row in zip(ids, words, strict=True)]
    assert find_words(Columns([rows], 2), [0, 1])[0] == 1
    names = [["".join(chr(97 + int(digit)) for digit in str(1000 + place)), "NN"] for place in range(100)]
    assert find_words(Columns([[name] for name in names], 2), [0, 1])[0] == 0


# Columns of tags


@pytest.mark.parametrize("mark", ["-", "0", "_", "O"])
def test_inner_names_are_named_whatever_stands_outside_of_them(tmp_path, mark) -> None:
    inner = f"{mark} {mark} B-GPE {mark}"
    lines = _lines("Bank of China sat", "B-ORG I-ORG I-ORG O", inner)
    found, problems, notes = read(written(tmp_path / "a.tsv", lines))
    assert (found, problems) == ([("Bank of China sat", [("Bank of China", "ORG")])], "")
    assert "2 columns hold tags: column 2 is read, 3 not (--tag-column N)" in notes
    found, problems, notes = read(tmp_path / "a.tsv", tag_column=3)
    assert (found, problems) == ([("Bank of China sat", [("China", "GPE")])], "")
    assert (OTHER_OUTSIDE.format(repr(mark)) in notes) == (mark != "O")
    swapped = _lines("Bank of China sat", inner, "B-ORG I-ORG I-ORG O")
    read_first = ("China", "GPE") if mark == "O" else ("Bank of China", "ORG")
    assert read(written(tmp_path / "b.tsv", swapped))[0] == [("Bank of China sat", [read_first])]


@pytest.mark.parametrize(
    ("lines", "sentence", "mentions"),
    [
        ("B-12\tB-VIT\nO\tO\n", "B-12 O", [("B-12", "VIT")]),
        ("E-Mail\tO\nO\tB-X\n", "E-Mail O", [("O", "X")]),
        ("B-12 NN B-NP B-VIT\nO NN I-NP O\n", "B-12 O", [("B-12", "VIT")]),
        ("word\ttag\nO\tO\nB-12\tB-VIT\n", "O B-12", [("B-12", "VIT")]),
        (
            "token\tner\nO\tO\nB-12\tB-VIT\nI-95\tB-ROAD\n",
            "O B-12 I-95",
            [("B-12", "VIT"), ("I-95", "ROAD")],
        ),
        ("tag\tword\nO\tO\nB-VIT\tB-12\n", "O B-12", [("B-12", "VIT")]),
        ("token\tner\tinner\nBank\tB-ORG\tO\nBonn\tI-ORG\tB-LOC\nis\tO\tO\n", "Bank Bonn is", [("Bank Bonn", "ORG")]),
        ("B-ORG\tIda\tO\nO\tran\tO\n", "Ida ran", [("Ida", "ORG")]),  # a prediction that finds nothing
    ],
)
def test_words_that_look_like_tags_beside_tags_are_words(tmp_path, lines, sentence, mentions) -> None:
    assert read(written(tmp_path / "a.conll", lines))[:2] == ([(sentence, mentions)], "")


@pytest.mark.parametrize("mark", ["\t", " "])
@pytest.mark.parametrize(
    "lines",
    ["word start end tag\n10 0 2 O\n12 3 5 B-X\n14 6 8 O", "id word tag\n1 10 O\n2 12 B-X\n3 14 O\n4 20 O\n5 30 O"],
)
def test_numbers_that_a_header_calls_words_are_words(tmp_path, lines, mark) -> None:
    found, problems, _ = read(written(tmp_path / "a.conll", lines.replace(" ", mark)))
    sentence = "10 12 14" if "start" in lines else "10 12 14 20 30"
    assert (found, problems) == ([(sentence, [("12", "X")])], "")


def test_the_last_columns_of_universal_ner_are_named_where_they_hold_tags(tmp_path) -> None:
    rows = [("Ida", "B-PER", "-"), ("ran", "O", "-"), ("to", "O", "-"), ("Rome", "O", "B-OTH")]
    lines = "".join(f"{n}\t{word}\t{tag}\t{other}\tann\n" for n, (word, tag, other) in enumerate(rows, 1))
    found, problems, notes = read(written(tmp_path / "a.iob2", lines))
    assert (found, problems) == ([("Ida ran to Rome", [("Ida", "PER")])], "")
    assert "2 columns hold tags: column 3 is read, 4 not" in notes
    assert "hold tags" not in read(written(tmp_path / "b.iob2", lines.replace("B-OTH", "-")))[2]


def test_a_mark_in_the_place_of_o_is_noted_and_a_slip_is_an_error(tmp_path) -> None:
    found, _, notes = read(written(tmp_path / "a.tsv", _lines("Bo sat there", "B-PER - -")))
    assert found == [("Bo sat there", [("Bo", "PER")])]
    assert OTHER_OUTSIDE.format("'-'") in notes
    problems = read(written(tmp_path / "b.tsv", _lines("Bo sat there", "B-PER O -")))[1]
    assert "line 3: expected a tag such as O, B-person or I-person, found tag '-'" in problems


def test_inner_names_without_o_are_no_lines_whose_last_column_is_the_tag(tmp_path) -> None:
    text = "Bank\tB-ORG\t\nof\tI-ORG\t\nChina\tI-ORG\tB-GPE\nsat\tO\t\n\nIda\tB-PER\t\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", text))
    assert found == [("Ida", [("Ida", "PER")])]
    assert "--tag-column" not in problems
    assert "line 3: 3 columns where most lines have 2; column 3 holds another tag: write O there on lines" in problems
    notes = read(tmp_path / "a.tsv", tag_column=-1)[2]
    assert "the last as the tags, and not the tags before it" in notes
    uneven = "Bank\tB-ORG\nof\tI-ORG\nChina\tx\tI-ORG\nsat\tO\n\nIda\tB-PER\n"
    assert "(--tag-column -1 reads the last of each)" in read(written(tmp_path / "b.tsv", uneven))[1]


@pytest.mark.parametrize("key", ["NE", "NER"])
def test_labels_behind_a_key_that_names_alone_have_are_read(tmp_path, key) -> None:
    rows = (("Ida", f"{key}=per"), ("Noor", f"{key}=per|SpaceAfter=No"), ("ran", "_"))
    lines = "".join(f"{n}\t{word}\t_\tX\t_\t_\t0\troot\t_\t{misc}\n" for n, (word, misc) in enumerate(rows, 1))
    for options in ({}, {"tag_column": 10}):
        found, problems, notes = read(written(tmp_path / "a.conllu", lines), **options)
        assert (found, problems) == ([("Ida Noorran", [("Ida Noor", "per")])], "")
        assert BARE in notes


# Labels that are none of entities


@pytest.mark.parametrize("name", ["a.conll", "a.jsonl"])
@pytest.mark.parametrize(
    "labels", [("NP", "VP", "PP"), ("NC", "VC", "PC"), ("NNP", "VBD", "TO"), ("NOUN", "VERB", "ADP")]
)
def test_labels_of_syntax_are_named(tmp_path, name, labels) -> None:
    tags = [f"B-{label}" for label in labels]
    columns = "".join(f"{word} {tag}\n" for word, tag in zip(("Ida", "ran", "to"), tags, strict=True))
    rows: str | list[object] = (
        columns if name.endswith("conll") else [{"tokens": ["Ida", "ran", "to"], "ner_tags": tags}]
    )
    found, _, notes = read(written(tmp_path / name, rows))
    assert len(found[0][1]) == 3
    assert f"{SYNTAX}: {', '.join(map(repr, sorted(labels)))}" in notes


@pytest.mark.parametrize("labels", [("NP", "PER"), ("PP",), ("PP", "CONJP"), ("X",), ("NUM", "X"), ("SYM", "LS")])
def test_labels_that_may_be_of_entities_are_not_named(tmp_path, labels) -> None:
    rows: list[object] = [{"text": "Ida ran", "entities": [[0, 3, label]]} for label in labels]
    assert SYNTAX not in read(written(tmp_path / "a.jsonl", rows))[2]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("I-PER", "LOC"), f"{SOME_TAGGED}: 'I-PER'"),
        (("B_ORG", "I-PER", "LOC"), f"{SOME_TAGGED}: 'B_ORG', 'I-PER'"),
        (("B-PER", "B-LOC"), f"{TAGGED}: 'B-LOC', 'B-PER'"),
        (("E-MAIL", "LOC"), ""),
        (("B-cell", "T-cell"), ""),
    ],
)
def test_a_label_that_begins_as_a_tag_beside_others_is_named(tmp_path, labels, said) -> None:
    rows: list[object] = [{"text": "Ida ran", "entities": [[0, 3, label]]} for label in labels]
    notes = read(written(tmp_path / "a.jsonl", rows))[2]
    assert (said in notes) if said else ("tags of tokens" not in notes)


@pytest.mark.parametrize(
    ("columns", "tag", "words"),
    [
        ("tag 0:3 word lemma pos chunk", 1, 3),  # NERsuite
        ("tag word pos chunk", 1, 2),
        ("word tag chunk", 2, 1),
    ],
)
def test_chunks_behind_the_tags_are_no_entities(tmp_path, columns, tag, words) -> None:
    held = {
        "tag": TAGS,
        "word": WORDS,
        "lemma": "ida run to rome|bo sit",
        "pos": "NNP VBD TO NNP|NNP VBD",
        "chunk": "B-NP B-VP B-PP B-NP|B-NP B-VP",
        "0:3": "0 4 8 11|16 19",
    }
    lines = _lines(*map(held.__getitem__, columns.split()))
    found, problems, notes = read(written(tmp_path / "a.tsv", lines))
    assert (found, problems) == ([IDA, BO], "")
    last = len(columns.split())
    assert f"column {tag} of {last} is read as the tags" in notes
    assert f"column {last} holds syntactic chunks, which are not read" in notes
    assert (f"column {words} is read as the words" in notes) == (words > 1)
    bare = lines.replace("B-PER", "PER").replace("B-LOC", "LOC")
    assert read(written(tmp_path / "c.tsv", bare))[0] == [IDA, BO]
    twice = read(written(tmp_path / "b.tsv", lines + "\n" + _lines(*map(held.__getitem__, columns.split()))))
    assert twice[0] == [IDA, BO, IDA, BO]


def test_chunks_before_the_tags_are_passed_over_in_any_language(tmp_path) -> None:
    chunks = "B-NP B-AP B-QP B-NP|B-NP B-VP"  # VLSP's
    found, problems, notes = read(written(tmp_path / "a.tsv", _lines(WORDS, chunks, TAGS)))
    assert (found, problems, "hold" in notes) == ([IDA, BO], "", False)


def test_where_chunks_are_all_they_are_read(tmp_path) -> None:
    found = read(written(tmp_path / "a.tsv", _lines(WORDS, "B-NP B-VP B-PP B-NP|B-NP B-VP")))[0]
    assert found[1] == ("Bo sat", [("Bo", "NP"), ("sat", "VP")])


# A column of labels alone beside another


@pytest.mark.parametrize(
    ("columns", "read_as", "beside"),
    [(("Ada PER O", "ran O O", ". O O"), 2, 3), (("Ada NN O PER", "ran NN O O", ". NN O O"), 4, 3)],
)
def test_a_column_that_is_o_throughout_does_not_hide_labels_alone(tmp_path, columns, read_as, beside) -> None:
    file = written(tmp_path / "a.conll", ("\n".join(columns) + "\n\n") * 4)
    found, problems, notes = read(file)
    assert (found[0], problems) == (("Ada ran .", [("Ada", "PER")]), "")
    assert f"2 columns hold tags: column {read_as} is read, {beside} not (--tag-column N)" in notes


def test_a_header_that_calls_tags_what_is_o_throughout_is_believed(tmp_path) -> None:
    text = "token\tner\tpos\n" + "Ada\tO\tO\nran\tO\tYes\n.\tO\tO\n\n" * 4
    assert read(written(tmp_path / "a.tsv", text))[0][0] == ("Ada ran .", [])


def test_parts_of_speech_with_an_o_are_no_labels_beside_tags(tmp_path) -> None:
    found = read(written(tmp_path / "a.conll", "Ada NN O\nran VB O\nso O O\n\n" * 4))[0]
    assert found[0] == ("Ada ran so", [])


@pytest.mark.parametrize(
    ("rows", "mentions"),
    [
        ("Ada per-giv Hum\nNoor per-fam Hum\nin O O\nOslo geo-nam O\nsoon O O\n", ["per-giv", "per-fam", "geo-nam"]),
        ("Ada PER good\nNoor PER good\nin O O\nOslo LOC bad\n", ["PER", "LOC"]),  # the first of two
        ("Ada PER Cap\nNoor PER Cap\nin O Low\nOslo O Cap\n. O O\n", ["PER"]),  # what most words have is not read
    ],
)
def test_of_columns_with_labels_alone_the_one_with_most_is_read(tmp_path, rows, mentions) -> None:
    found, problems, notes = read(written(tmp_path / "a.conll", f"{rows}\n" * 4))
    assert ([label for _, label in found[0][1]], problems) == (mentions, "")
    assert "2 columns hold tags: column 2 is read, 3 not" in notes


def test_labels_before_numbers_and_words_are_read_where_all_other_tags_are_o(tmp_path) -> None:
    names = ("Oslo", "Bergen", "Narva", "Turku", "Odense", "Malmo")
    text = "".join(
        f"{at}\tLoc\t0\tO\tNNP/NNP\t{name}\tO\n{at}\tO\t1\tO\tVBD\tfell\tO\n{at}\tO\t2\tO\tRB\tsoon\tO\n"
        f"{at}\tO\t3\tO\t.\t.\tO\n\n"
        for at, name in enumerate(names)
    )
    found, problems, _ = read(written(tmp_path / "a.txt", text))
    assert (found[1], problems) == (("Bergen fell soon .", [("Bergen", "Loc")]), "")


def test_a_table_with_labels_beside_a_column_of_o_alone_gives_the_labels(tmp_path) -> None:
    text = "sentence_id,word,tag,label\n1,Ada,O,PER\n1,ran,O,O\n2,Bo,O,PER\n2,sat,O,O\n"
    found, problems, notes = read(written(tmp_path / "a.csv", text))
    assert (found, problems) == ([ADA, BO], "")
    assert "column 'label' is read as the tags; further columns of tags are not read (tag)" in notes
