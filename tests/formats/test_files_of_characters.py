"""Files that are cut into characters and not into words: no space stands between these, whatever their script."""

from pathlib import Path

import pytest

from rnr.corpus.formats.columns.reading import JOINED
from rnr.corpus.report import CHARACTERS, MARKS, MAY_BE_MARKS, RUN_TOGETHER, SPELLED_OUT, Reading
from rnr.corpus.spacing import join
from tests.reading_files import read, written

KLUE = "특히 영동고속도로 강릉 방향"
ROAD = (KLUE, [("영동고속도로", "LC")])


def _tags(text: str, mention: str, label: str) -> list[str]:
    """A tag for each character."""
    start = text.index(mention)
    letters = ["O"] * start + [f"B-{label}"] + [f"I-{label}"] * (len(mention) - 1)
    return letters + ["O"] * (len(text) - len(letters))


def _columns(text: str, mention: str, label: str) -> str:
    return "".join(f"{sign}\t{tag}\n" for sign, tag in zip(text, _tags(text, mention, label), strict=True)) + "\n"


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("2024年5月NBA开赛", "NBA"),
        ("他用iPhone打电话给李四。", "iPhone"),
        ("中国WTO谈判", "WTO"),
        ("ＮＨＫの番組とTV", "ＮＨＫ"),
        ("iPhone", "iPhone"),  # which alone would be six words
        (KLUE, "영동고속도로"),
        ("The quick brown fox ran to Oslo yesterday at noon .", "Oslo"),
        ("Быстрая лиса бежала вчера в Осло до полудня .", "Осло"),
    ],
)
def test_columns_of_characters_are_read_as_the_text_they_are(tmp_path, text, mention) -> None:
    around = "海钓比赛地点在厦门与金门之间。" if text.isascii() and len(text) < 40 else ""
    lines = (_columns(around, "厦门", "LOC") if around else "") + _columns(text, mention, "X")
    *_, last = read(written(tmp_path / "a.tsv", lines))[0]
    assert last == (text, [(mention, "X")])


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("2 0 2 4 年 5 月 N B A 开 赛", "2024年5月NBA开赛"),
        ("i P h o n e 很 好", "iPhone很好"),
        ("Ａ Ｂ 社", "ＡＢ社"),
        ("我 们 在 用 Windows Phone", "我们在用Windows Phone"),
        ("A B C met 中 in Rome", "A B C met 中 in Rome"),
    ],
)
def test_letters_between_signs_are_words_even_in_a_sentence_alone(tokens, sentence) -> None:
    assert join(tokens.split(), "script")[0] == sentence


def test_signs_that_are_empty_stand_as_spaces_among_those_of_every_script() -> None:
    assert join(["我", "", "在"], "script") == ("我 在", [0, 1, 2])
    assert join(["특", "", "영", "동"], "characters") == ("특 영동", [0, 1, 2, 3])
    assert join(["가", "iPhone", "은", "Windows", "Phone", "!"], "characters")[0] == "가iPhone은Windows Phone!"


@pytest.mark.parametrize("name", ["tags.jsonl", "tags.csv", "gliner.jsonl", "spans.jsonl", "columns.tsv"])
def test_every_format_with_tokens_joins_those_that_are_characters(tmp_path, name) -> None:
    tags = _tags(KLUE, "영동고속도로", "LC")
    content = {
        "tags.jsonl": [{"tokens": list(KLUE), "ner_tags": tags}],
        "tags.csv": "sentence_id,word,tag\n" + "".join(f"1,{a},{b}\n" for a, b in zip(KLUE, tags, strict=True)),
        "gliner.jsonl": [{"tokenized_text": list(KLUE), "ner": [[3, 8, "LC"]]}],
        "spans.jsonl": [{"tokens": list(KLUE), "entities": [{"start": 3, "end": 9, "type": "LC"}]}],
        "columns.tsv": _columns(KLUE, "영동고속도로", "LC"),
    }
    found, problems, notes = read(written(tmp_path / name, content[name]))
    assert (found, problems) == ([ROAD], "")
    assert f"1 {CHARACTERS} (row " in notes
    assert "3 tokens are empty or blank, and became spaces in their sentences" in notes
    assert read(tmp_path / name, spaces="always")[0][0][0] == " ".join(KLUE)


def test_what_the_characters_of_a_file_do_not_say_is_noted(tmp_path) -> None:
    bare = "특히영동고속도로강릉방향으로차가많이막히고있다"
    notes = read(written(tmp_path / "a.tsv", _columns(bare, "강릉", "LC")))[2]
    assert f"1 {RUN_TOGETHER} (row 1)" in notes
    assert read(written(tmp_path / "c.tsv", _columns("경찰은 갔다", "경찰", "OG")))[0] == [
        ("경찰은 갔다", [("경찰", "OG")])
    ]
    found, _, notes = read(written(tmp_path / "b.tsv", _columns("서울시는", "서울시", "LC")))
    assert found == [("서 울 시 는", [("서 울 시", "LC")])]
    assert f"1 {SPELLED_OUT} (row 1)" in notes
    assert read(tmp_path / "b.tsv", spaces="never")[0] == [("서울시는", [("서울시", "LC")])]


def test_words_are_no_characters_for_some_that_are_one(tmp_path) -> None:
    said = "나 는 너 를 사랑 하 고 있 다 . 서울 에 가 았 다 ."
    lines = "".join(f"{word} O\n" for word in said.split())
    found, _, notes = read(written(tmp_path / "a.conll", f"{lines}\nx B-X\n"))
    assert found[0][0] == said
    assert CHARACTERS not in notes
    letters = "".join(f"{letter} O\n" for letter in "ABCDEFGHIJKLMNOPQRSTUVW")
    found, _, notes = read(written(tmp_path / "b.conll", f"{letters}\nx B-X\n"))
    assert found[0][0] == "A B C D E F G H I J K L M N O P Q R S T U V W"
    chinese = "".join(
        f"{word} O\n" for word in ("我", "在", "厦门", "海钓", "，", "很", "好", "玩", "！", "明天", "见")
    )
    notes = read(written(tmp_path / "c.conll", f"{chinese}\nx B-X\n"))[2]
    assert JOINED in notes
    assert CHARACTERS not in notes


def test_words_in_a_file_of_characters_keep_their_spaces() -> None:
    spaced = "Mr. Smith , who lives in the U.S. ( St. Louis ) at 12 : 30 ; said : no !"
    sentence = "Mr. Smith, who lives in the U.S. (St. Louis) at 12:30; said: no!"
    assert join(spaced.split(), "characters")[0] == sentence
    assert join(["他", ",", "NBA", "的", "(", "iPhone", ")", "1"], "characters")[0] == "他, NBA的(iPhone)1"


@pytest.mark.parametrize(
    "tokens",
    ["A B C D", "a c g t a c g t t a", "x + y = z - 1", "i = j ; k = ( n )", "P Q R", "Q W E R T Y U I O P L K"],
)
def test_letters_that_make_no_words_are_not_joined(tmp_path, tokens) -> None:
    split = tokens.split()
    rows: list[object] = [{"tokens": split, "ner_tags": ["B-X"] + ["O"] * (len(split) - 1)}] * 10
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found[0], problems) == ((tokens, [(split[0], "X")]), "")
    assert CHARACTERS not in notes


def test_letters_that_make_words_are_joined_and_the_note_says_what_to_do_else(tmp_path) -> None:
    text = "Thequickbrownfoxjumpsoverthelazydog"
    rows: list[object] = [{"tokens": list(text), "ner_tags": ["O"] * len(text)}, {"tokens": ["x"], "ner_tags": ["B-X"]}]
    assert read(written(tmp_path / "a.jsonl", rows))[0][0][0] == text
    assert "--spaces always" in CHARACTERS


def test_what_characters_tell_is_asked_of_the_first_sentences_alone() -> None:
    sentences = iter([["가"]] * 1000)
    assert Reading().of_tokens(sentences, Path("a")).spaces == "characters"
    assert len(list(sentences)) == 500


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_a_token_that_is_a_space_is_one_where_its_tag_is_o(tmp_path, ending) -> None:
    rows = [("ผม", "O"), (" ", "O"), ("สมชาย", "B-PER")]
    table = "sentence,word,tag\n" + "".join(f"1,{word},{tag}\n" for word, tag in rows)
    columns = "".join(f"{word}\tNN\t{tag}\n" for word, tag in rows)
    text = table if ending == "csv" else columns
    found, problems, notes = read(written(tmp_path / f"a.{ending}", text))
    assert (found, problems) == ([("ผม สมชาย", [("สมชาย", "PER")])], "")
    assert "1 tokens are empty or blank, and became spaces in their sentences" in notes
    tagged = text.replace(" \tNN\tO", " \tNN\tB-LOC").replace("1, ,O", "1, ,B-LOC")
    problems = read(written(tmp_path / f"b.{ending}", tagged))[1]
    assert ("line 2: no word beside its tag" if ending == "tsv" else "line 3: no word, or no tag") in problems
    empty = text.replace(" \tNN\tO", "\tNN\tO").replace("1, ,O", "1,,O")
    problems = read(written(tmp_path / f"c.{ending}", empty))[1]
    assert ("line 2: no word beside its tag" if ending == "tsv" else "line 3: no word, or no tag") in problems


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_a_token_that_is_a_space_may_stand_inside_of_a_mention(tmp_path, ending) -> None:
    rows = [("วันที่", "O"), ("31", "B-DATE"), (" ", "I-DATE"), ("ตุลาคม", "I-DATE"), ("ดี", "O")]
    table = "sentence,word,tag\n" + "".join(f"1,{word},{tag}\n" for word, tag in rows)
    text = table if ending == "csv" else "".join(f"{word}\t{tag}\n" for word, tag in rows)
    found, problems, notes = read(written(tmp_path / f"a.{ending}", text))
    assert (found, problems) == ([("วันที่31 ตุลาคมดี", [("31 ตุลาคม", "DATE")])], "")
    assert "1 tokens are empty or blank, and became spaces" in notes
    # One that would be a mention alone, or begin one, may be what is left of a word.
    for tag in ("I-LOC", "B-DATE"):
        found, problems, _ = read(written(tmp_path / f"b.{ending}", text.replace("I-DATE", tag, 1)))
        assert found == []
        assert "line 3" in problems or "line 4" in problems


KOREAN = "한국 B-ORG|{0} I-ORG|정부 I-ORG|가 O|{0} O|독자 O"
SEOUL = ("한국 정부가 독자", [("한국 정부", "ORG")])


@pytest.mark.parametrize("mark", ["_", "\u2581", "\u2423", "<SPACE>", " "])
def test_a_token_may_stand_for_a_space(tmp_path, mark) -> None:
    cells = [one.rpartition(" ") for one in KOREAN.format(mark).split("|")]
    tokens, tags = [token for token, _, _ in cells], [tag for _, _, tag in cells]
    pairs = list(zip(tokens, tags, strict=True))
    files: dict[str, str | list[object]] = {
        "a.tsv": "".join(f"{token}\t{token}\tNNP\t{tag}\n" for token, tag in pairs),
        "b.csv": "sentence,word,tag\n" + "".join(f"1,{token},{tag}\n" for token, tag in pairs),
        "c.jsonl": [{"tokens": tokens, "ner_tags": tags}],
        "d.jsonl": [{"tokens": tokens, "entities": [{"start": 0, "end": 3, "type": "ORG"}]}],
        "e.jsonl": [{"tokenized_text": tokens, "ner": [[0, 2, "ORG"]]}],
    }
    for name, content in files.items():
        found, problems, notes = read(written(tmp_path / name, content))
        assert (found, problems) == ([SEOUL], "")
        assert f"2 {MARKS}" in notes
    kept = read(written(tmp_path / "a.tsv", files["a.tsv"]), spaces="always")[0]
    assert kept == [(f"한국 {mark} 정부 가 {mark} 독자", [(f"한국 {mark} 정부", "ORG")])]


def test_thai_has_few_spaces_and_the_tokens_that_stand_for_them_are_read_so(tmp_path) -> None:
    text = "".join(f"{word}\tO\n" for word in ["ผม", "ไป", "_", "iPhone", "5", "_"]) + "กรุงเทพ\tB-LOC\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([("ผมไป iPhone5 กรุงเทพ", [("กรุงเทพ", "LOC")])], "")
    assert f"2 {MARKS}" in notes
    assert read(written(tmp_path / "b.tsv", "ผม\tB-X\n_\tO\nไป\tO\n"))[0] == [("ผม ไป", [("ผม", "X")])]


@pytest.mark.parametrize(
    ("words", "doubt"),
    [
        ("snake _ case and the _ name of Ida", "'_'"),  # code
        ("the <SPACE> key of my own board , said Ida", "'<SPACE>'"),
        ("\u2581 the \u2581name of Ida", ""),  # which is noted as a piece
        ("a gap _ in Oslo , said Ida", ""),
        ("한국 _ 정부 Ida", "'_'"),
        (
            "小 _ 明 在 北 京 _ 和 上 海 的 大 学 里 学 习 了 很 多 年 的 中 文 。 Ida",
            "'_'",
        ),
    ],
)
def test_a_token_that_may_be_a_word_stays_one_and_is_named_where_it_comes_again(tmp_path, words, doubt) -> None:
    text = "".join(f"{word}\tO\n" for word in words.split()[:-1]) + "Ida\tB-PER\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert problems == ""
    assert found[0][0].count("_") == words.count("_")
    assert MARKS not in notes
    assert (MAY_BE_MARKS.format(doubt) in notes) == bool(doubt)


def test_words_of_any_script_with_a_mark_between_all_of_them(tmp_path) -> None:
    text = "New\tB-LOC\n_\tI-LOC\nYork\tI-LOC\n_\tO\nis\tO\n_\tO\nbig\tO\n.\tO\n"
    found, _, notes = read(written(tmp_path / "a.tsv", "\n".join([text] * 4)))
    assert found == [("New York is big.", [("New York", "LOC")])] * 4
    assert f"12 {MARKS}" in notes
    found, _, notes = read(written(tmp_path / "b.tsv", "\n".join([text] * 3)))  # nine may be words
    assert found == [("New _ York _ is _ big .", [("New _ York", "LOC")])] * 3
    assert MAY_BE_MARKS.format("'_'") in notes


@pytest.mark.parametrize("mark", ["_", "<SPACE>", "[SPACE]", "\u2423"])
@pytest.mark.parametrize(
    ("tokens", "tags"),
    [
        ("@ @ @ is a blank for Ada Lovelace", "O O O O O O O B-PER I-PER"),
        ("@ @ Ida", "O O B-PER"),
        ("Press @ .", "O B-KEY O"),
        ("Press @ .", "O S-KEY O"),
        ("Press @ and then @ . Ida", "O O O O O O B-PER"),
        ("ไป @ เขา", "O B-USER O"),
        ("他 用 @ @", "O O B-X I-X"),
        ("ผม @ @ กรุงเทพ", "O O O B-LOC"),
        ("ผม กรุงเทพ @", "O B-LOC O"),
        ("한국 @ 정부 @ 가 @ 독자", "O B-X O O O O O"),
    ],
)
@pytest.mark.parametrize("ending", ["tsv", "jsonl", "csv"])
def test_what_may_be_a_mark_for_a_space_is_a_word_where_no_space_stands(tmp_path, mark, tokens, tags, ending) -> None:
    words, told = tokens.replace("@", mark).split(), tags.split()
    pairs = list(zip(words, told, strict=True))
    rows = {
        "tsv": "".join(f"{word}\t{tag}\n" for word, tag in pairs),
        "jsonl": [{"tokens": words, "ner_tags": told}],
        "csv": "sentence,word,tag\n" + "".join(f"1,{word},{tag}\n" for word, tag in pairs),
    }
    found, problems, notes = read(written(tmp_path / f"a.{ending}", rows[ending]))
    assert (problems, MARKS in notes) == ("", False)
    assert found[0][0].count(mark) == words.count(mark)
    assert len(found[0][1]) == sum(tag[0] in "BS" for tag in told)


def test_a_few_marks_at_the_ends_of_sentences_do_not_make_all_of_them_words(tmp_path) -> None:
    thai = "".join(f"{word}\tO\n" for word in ["ผม", "ไป", "_", "กรุงเทพ", "_"])
    korean = "".join(f"{word}\tO\n" for word in ["한국", "_", "정부", "_", "가", "_", "독자"])
    assert read(written(tmp_path / "a.tsv", "\n".join([thai] * 5)))[0] == [("ผมไป กรุงเทพ ", [])] * 5
    text = "\n".join([*[korean] * 10, "한국\tO\n_\tO\n_\tO\n가\tO\n"])
    assert read(written(tmp_path / "b.tsv", text))[0][0] == ("한국 정부 가 독자", [])


@pytest.mark.parametrize("code", ["for _ in x : _ = f ( _ ) Ida", "a , _ , _ = f ( ) Ida", "_ _ init _ _ of Ida"])
def test_the_names_of_code_are_no_spaces_and_are_not_named(tmp_path, code) -> None:
    text = "".join(f"{word}\tO\n" for word in code.split()[:-1]) + "Ida\tB-PER\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert (found[0][0], problems) == (code, "")
    assert "may stand for a space" not in notes


def test_a_text_beside_its_tokens_tells_what_a_mark_is(tmp_path) -> None:
    row = {
        "text": "한국_정부_가",
        "tokens": ["한국", "_", "정부", "_", "가"],
        "ner_tags": ["B-ORG", "O", "O", "O", "O"],
    }
    assert read(written(tmp_path / "a.jsonl", [row]))[0] == [("한국_정부_가", [("한국", "ORG")])]
