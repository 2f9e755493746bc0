"""Files that are named or laid out otherwise than they read: found out by their content, or refused with the reason."""

import pytest

from rnr.corpus.formats import doubtful
from rnr.corpus.loading import load
from tests.reading_files import ADA, BO, ROW, read, written

# Names of files


@pytest.mark.parametrize("name", ["eng.train", "esp.testa", "a.v4_gold_conll", "wnut16"])
def test_a_file_with_an_ending_of_its_own_is_read_by_what_stands_in_it(tmp_path, name) -> None:
    found, problems, notes = read(written(tmp_path / name, "Ada B-PER\nran O\n\nBo B-PER\nsat O\n"))
    assert (found, problems) == ([ADA, BO], "")
    assert "names no format, which was detected from the contents" in notes
    assert read(written(tmp_path / "a.manifest", [ROW]))[0] == [ADA]


def test_a_text_of_no_format_is_refused_with_what_it_lacks(tmp_path) -> None:
    found, problems, _ = read(written(tmp_path / "a.xyz", "Ada ran home to Rome .\n"))
    assert found == []
    assert "the ending .xyz names no known format" in problems
    assert "read as text: no column holds tags" in problems


def test_splits_of_a_folder_may_have_no_ending(tmp_path) -> None:
    for name, word in (("train", "Ada"), ("dev", "Bo"), ("extra", "Eva")):
        written(tmp_path / name, f"en:{word}\tB-PER\nen:ran\tO\n")
    assert [one.sentence for one in load([str(tmp_path)], training=True)] == ["Ada ran"]
    assert [one.sentence for one in load([str(tmp_path)], training=False)] == ["Bo ran"]


# Columns


def test_a_language_before_every_word_is_no_part_of_it(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.txt", "en:Ada\tB-PER\nen:ran\tO\n\nen::\tO\nen:Bo\tB-PER\n"))
    assert (found, problems) == ([ADA, (": Bo", [("Bo", "PER")])], "")
    assert "every word begins with 'en:', which was left out of them" in notes


def test_a_word_without_the_language_that_all_others_have_is_an_error(tmp_path) -> None:
    many = "en:Ada\tB-PER\nen:ran\tO\n\n" * 500
    found, problems, _ = read(written(tmp_path / "a.txt", f"{many}Bo\tB-PER\nen:sat\tO\n"))
    assert len(found) == 500
    assert "line 1501: the word 'Bo' does not begin with 'en:' as those before do" in problems


def test_an_address_among_the_words_is_no_language(tmp_path) -> None:
    assert read(written(tmp_path / "a.txt", "re:Ada\tB-PER\nran\tO\n"))[0] == [("re:Ada ran", [("re:Ada", "PER")])]


@pytest.mark.parametrize("mark", ["\t", "|", " ||| "])
def test_a_line_may_hold_the_words_of_a_sentence_and_then_its_tags(tmp_path, mark) -> None:
    text = f"Ada ran{mark}B-PER O\nBo sat{mark}B-PER O\n"
    found, problems, notes = read(written(tmp_path / "a.txt", text))
    assert (found, problems) == ([ADA, BO], "")
    assert "each line holds the words of a sentence and after" in notes


def test_a_line_with_fewer_tags_than_words_is_an_error_by_its_line(tmp_path) -> None:
    found, problems, _ = read(written(tmp_path / "a.txt", "Ada ran\tB-PER O\n" * 10 + "Bo sat down\tB-PER O\n"))
    assert found == [ADA] * 10
    assert "line 11" in problems


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("Ada ran\nB-PER O\n\nBo sat\nB-PER O\n", "tags are among the words"),
        ("to Ada\nO B-PER\nhe ran to Oslo\nO O O B-LOC\nthen he sat\nO O O\n", "tags are among the words"),
        ("科0\tB-PER\n技1\tI-PER\n人0\tO\n", "every word is a character with a number after it"),
        ("<START:person> Ada <END> ran .\n", "marked inside the text (<START:person>): take the marks out"),
        ('<ENAMEX TYPE="PERSON">Ada</ENAMEX> ran .\n', "marked inside the text"),
        ("[Ada](person) ran .\n", "marked inside the text ([Ada](person))"),
    ],
)
def test_lines_that_are_no_columns_are_refused_as_what_they_are(tmp_path, lines, said) -> None:
    found, problems, _ = read(written(tmp_path / "a.txt", lines))
    assert found == []
    assert said in problems


def test_a_column_that_is_called_predicted_is_not_read_for_gold(tmp_path) -> None:
    table = "token\tpredicted\tgold\nAda\tO\tB-PER\nran\tB-PER\tO\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", table))
    assert (found, problems) == ([ADA], "")
    assert "column 3 is read, 2 not" in notes


@pytest.mark.parametrize("word", ["[SEP]", "[CLS]", "<pad>", "</s>"])
def test_marks_of_a_model_among_the_words_are_noted(tmp_path, word) -> None:
    notes = read(written(tmp_path / "a.txt", f"Ada\tB-PER\nran\tO\n{word}\tO\n"))[2]
    assert doubtful.PIECES in notes


# Tables


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("a.csv", "tokens,ner_tags\n\"['Ada', 'ran']\",\"['B-PER', 'O']\"\n"),
        ("a.csv", 'Tokens,NER_Tags\n"[""Ada"", ""ran""]","[""B-PER"", ""O""]"\n'),
        ("a.csv", "Text,Entities\nAda ran,\"[(0, 3, 'PER')]\"\n"),
        ("a.tsv", 'text\tlabel\nAda ran\t[[0, 3, "PER"]]\n'),
        ("a.tsv", 'text\tlabel\nAda ran\t"[[0, 3, ""PER""]]"\n'),
        ("a.csv", "sep=;\r\nsentence_id;word;tag\r\n1;Ada;B-PER\r\n1;ran;O\r\n"),
    ],
)
def test_tables_with_lists_in_their_cells_are_read(tmp_path, name, table) -> None:
    assert read(written(tmp_path / name, table)) == ([ADA], "", "")


def test_a_word_in_brackets_makes_no_table(tmp_path) -> None:
    assert read(written(tmp_path / "a.tsv", "Ada\tB-PER\n[1]\tO\n"))[0] == [("Ada [1]", [("Ada", "PER")])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "tokens,ner_tags\n\"['Ada' 'ran']\",\"['B-PER' 'O']\"\n"),
        ("a.jsonl", [{"input": "Ada ran, Bo sat", "output": "['Ada <> PER' 'Bo <> PER']"}]),
    ],
)
def test_an_array_as_numpy_shows_it_is_refused_and_its_words_are_not_joined(tmp_path, name, content) -> None:
    found, problems, _ = read(written(tmp_path / name, content))
    assert found == []
    assert "must be a list of" in problems


# Rows


def test_rows_of_several_splits_in_one_file_are_named(tmp_path) -> None:
    rows = [{**ROW, "split": "train"}, {"text": "Bo sat", "entities": [[0, 2, "PER"]], "split": "TEST"}]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA, BO], "")
    assert "rows are of several splits by their field 'split' (train 1, test 1), and all are read as one" in notes
    assert read(written(tmp_path / "b.jsonl", [rows[0]]))[2] == ""


@pytest.mark.parametrize(
    ("place", "sentence", "unit"),
    [([2, 2], "x I ran", "inclusive"), ([3, 6], "😀 Ada", "utf16"), ([4, 8], "ÉÉ Ada", "bytes")],
)
def test_offsets_beyond_their_sentence_are_told_what_they_may_count(tmp_path, place, sentence, unit) -> None:
    _, problems, _ = read(written(tmp_path / "a.jsonl", [{"text": sentence, "entities": [[*place, "PER"]]}]))
    assert f"--offsets {unit} reads them so" in problems


def test_the_value_of_an_entity_of_rasa_need_not_stand_in_its_sentence(tmp_path) -> None:
    row = {"text": "fly to nyc", "entities": [{"start": 7, "end": 10, "value": "New York", "entity": "city"}]}
    assert read(written(tmp_path / "a.json", [row])) == ([("fly to nyc", [("nyc", "city")])], "", "")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"content": "Ada", "labels": [{"jsonResponse": {"JOB": {"annotations": []}}}]}, "a Kili asset"),
        ({"metadata": {"name": "a"}, "tags": [], "instances": []}, "a SuperAnnotate document"),
        ({"id": "1", "sentences": [{"content": "Ada", "tokens": ["Ada"], "labels": []}]}, "a Datasaur document"),
        ({"features": [], "rows": [{"row_idx": 0, "row": {}}]}, "Hugging Face's data set server"),
        ({"data": {"text": "Ada"}, "predictions": [{"result": []}]}, "predictions and no annotations"),
        ({"instruction": "Find", "input": "Ada", "output": "PER: Ada"}, "a row that instructs a model"),
        ({"Task": "NER", "Instance": {"sentence": "Ada"}}, "a row that instructs a model"),
        ({"content": "Ada", "result_list": [], "prompt": "PER"}, "PaddleNLP's UIE"),
        ({"text": "@dataclass", "labels": "[]", "unlabelled_sentence": "Ada"}, "GoLLIE's rows"),
        ({"label": "PER", "pattern": [{"LOWER": "ada"}]}, "a pattern of a spaCy or Prodigy matcher"),
        ({"contents": [{"role": "user", "parts": []}]}, "a chat for fine-tuning"),
        ({"prompt": "Ada", "completion": "{}"}, "a chat for fine-tuning"),
        ({"sentence_id": 1, "word": "Ada", "tag": "B-PER"}, "a table with a word a row"),
        ({"Sentence": "Ada ran", "Word": "Ada", "POS": "NNP", "Tag": "O"}, "a table with a word a row"),
        ({"text": "Ada ran", "start": 0, "end": 3, "label": "PER"}, "a table with an entity a row"),
    ],
)
def test_rows_of_further_tools_are_named(tmp_path, row, name) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert found == []
    assert name in problems
    assert "which is not read: " in problems


def test_lines_that_differ_in_their_number_of_columns_are_read_where_it_is_said(tmp_path) -> None:
    lines = (
        "Ada\tN\t*\tAda\tB-PER\nran\tV\tO\n\n7\tZ\tO\nBo\tN\t*\tBo\tB-PER\t\n\nCy\tN\t*\tCy\tB-PER\nsat\tV\t*\tsat\tO\n"
    )
    file = written(tmp_path / "a.conll", lines)
    problems = read(file)[1]
    assert "line 2: 3 columns where most lines have 5 (--tag-column -1 reads the last of each)" in problems
    found, problems, notes = read(file, tag_column=-1)
    assert (found, problems) == ([ADA, ("7 Bo", [("Bo", "PER")]), ("Cy sat", [("Cy", "PER")])], "")
    assert "lines have 3 to 5 columns: column 1 is read as the words, the last as the tags" in notes


def test_a_line_without_a_tag_is_an_error_where_lines_differ(tmp_path) -> None:
    lines = "Ada\tN\t*\tB-PER\nran\tV\tO\n\nBo\tN\t*\tB-PER\nsat\nEve\tN\n"
    problems = read(written(tmp_path / "a.conll", lines), tag_column=-1)[1]
    assert "line 5: 1 column where most lines have 2" in problems


def test_a_word_of_two_pieces_is_not_cut_where_spaces_divide(tmp_path) -> None:
    file = written(tmp_path / "a.conll", "Ada NNP B-PER\nran VBD O\n\nNew York NNP B-LOC\n")
    assert "line 4: 4 columns where most lines have 3: 'New York" in read(file, tag_column=-1)[1]


@pytest.mark.parametrize("ending", [".arrow", ".feather"])
def test_arrow_is_read_as_a_file_and_as_a_stream(tmp_path, ending) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pylist([{"text": "Ada ran", "entities": [{"start": 0, "end": 3, "label": "PER"}]}])
    for name, writer in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        file = tmp_path / f"{name}{ending}"
        with writer(str(file), table.schema) as stream:
            stream.write_table(table)
        assert read(file)[:2] == ([ADA], "")
