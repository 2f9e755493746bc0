"""What files say beside their words and labels, or say otherwise than it looks: it is named, or the file is refused."""

from pathlib import Path

import pytest

from rnr.corpus.formats.doubtful import BRACKETS, PIECES
from rnr.corpus.formats.entities.beside import PEOPLE
from rnr.corpus.formats.entities.labels import TWO_LABELS
from rnr.corpus.formats.shapes import BLANK_TOKENS, RELATIONS
from rnr.corpus.formats.tables.csv_words import AGAIN
from rnr.corpus.formats.tools.biomedical import BIOC_RELATIONS
from rnr.corpus.formats.tools.instructions import DESCRIBED
from rnr.corpus.formats.tools.label_studio import NO_REGIONS, OTHER_RESULTS
from rnr.corpus.label_doubts import ALIKE, CONTROL, NAMELESS, PADDED, TAGGED
from rnr.corpus.loading import check
from rnr.corpus.report import Reading
from rnr.types import Example
from tests.reading_files import ADA, Found, read, written


def _read(file: Path, content: str | list[object]) -> tuple[list[Found], list[str], str]:
    """Sentences with their mentions, problems and notes of a file of text, or of one JSON value a line."""
    found, problems, notes = read(written(file, content))
    return found, problems.splitlines(), notes


SPAN = {"start": 0, "end": 3, "label": "PER"}


# Columns


def test_bmewo_is_read_and_its_parts_outside_of_mentions_are_no_labels(tmp_path) -> None:
    found, problems, _ = _read(tmp_path / "a.conll", "New B-LOC\nBig M-LOC\nYork E-LOC\nAda W-PER\nran O\n")
    assert (found, problems) == ([("New Big York Ada ran", [("New Big York", "LOC"), ("Ada", "PER")])], [])
    found, problems, _ = _read(tmp_path / "b.conll", "by BB_O_PER\nAda W_PER\nran O\n")
    assert found == []
    assert "found tag 'BB_O_PER'" in problems[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("#id=1\n1-1\tAda\tB-PER\n1-2\tran\tO\n", "as in WebAnno TSV 1 and 2"),
        ("1\tAda\tB-PER\n1\tran\tO\n2\tBob\tB-PER\n2\tsat\tO\n", "column 1 numbers the sentences"),
        ("Sentence# Word POS Tag\n1 Ada NNP B-PER\n1 ran VBD O\n2 Bob NNP B-PER\n", "column 1 numbers the sentences"),
        ("Ada\tB-PER\n\tO\nran\tO\n", "line 2: no word beside its tag"),
    ],
)
def test_columns_whose_words_or_sentences_are_not_where_they_seem_are_refused(tmp_path, lines, said) -> None:
    found, problems, _ = _read(tmp_path / "a.tsv", lines)
    assert found == []
    assert said in problems[0]


def test_the_number_of_a_sentence_before_each_of_its_words_is_no_word(tmp_path) -> None:
    found, problems, notes = _read(
        tmp_path / "a.tsv", "1\tAda\tB-PER\n1\tran\tO\n\n2\tBob\tB-PER\n2\tsat\tO\n2\tup\tO\n"
    )
    assert (found, problems) == ([ADA, ("Bob sat up", [("Bob", "PER")])], [])
    assert "column 1 is the number of the sentence, and column 2 is read as the words" in notes


# Tables


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("sentence_id,word,tag\n1,Ada,B-PER,extra\n1,ran,O\n", "line 2: more cells than columns: ['extra']"),
        ('sentence_id,word,tag\n1,Ada,B-PER\n1,",O\n1,ran,O\n1,",O\n', "line 3: the word goes over several lines"),
        ("sentence_id,word,word,tag\n1,Ada,x,B-PER\n", "two columns have the same name (word, word)"),
        ("text,label,id\nAda, who ran,\"[[0, 3, 'PER']]\",1\nAda ran,[],2\n", "line 2: more cells than columns"),
        ("text,start,end,label\nAda ran,0,3,PER\n", "does each row hold one entity?"),
    ],
)
def test_cells_of_a_table_that_are_not_under_their_column_are_named(tmp_path, table, said) -> None:
    found, problems, _ = _read(tmp_path / "a.csv", table)
    assert said in problems[0]
    assert ("x", [("x", "PER")]) not in found


def test_a_table_tells_of_numbers_that_come_again_and_of_further_tags(tmp_path) -> None:
    table = "sentence_id,word,tag,ner\n1,Ada,B-PER,O\n1,ran,O,O\n2,Bob,B-PER,O\n1,Eve,B-PER,O\n"
    found, problems, notes = _read(tmp_path / "a.csv", table)
    assert (found, problems) == ([ADA, ("Bob", [("Bob", "PER")]), ("Eve", [("Eve", "PER")])], [])
    assert f"1 {AGAIN} (row 5)" in notes
    assert "column 'tag' is read as the tags; further columns of tags are not read (ner)" in notes


def test_a_delimiter_at_the_end_of_each_line_is_no_cell(tmp_path) -> None:
    assert _read(tmp_path / "a.csv", "sentence_id,word,tag\n1,Ada,B-PER,\n1,ran,O,\n")[:2] == ([ADA], [])


# Rows of tokens


def test_further_tags_of_names_and_tokens_of_nothing_are_named(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"], "fine_ner_tags": ["B-artist", "O"], "pos": ["N", "V"]}
    found, _, notes = _read(tmp_path / "a.jsonl", [row])
    assert found == [ADA]
    assert "tags are those of 'ner_tags'; those of 'fine_ner_tags' are not read" in notes
    assert "'pos'" not in notes
    rows = [
        {"tokens": ["Ada", "", "ran"], "ner_tags": ["B-PER", "O", "O"]},
        {"tokenized_text": ["Ada", " ", "ran"], "ner": [[0, 0, "PER"]]},
    ]
    notes = _read(tmp_path / "b.jsonl", rows)[2]
    assert f"2 {BLANK_TOKENS} (row 1; row 2)" in notes


@pytest.mark.parametrize(
    ("tokens", "kind"),
    [
        (["Ada", "King", "##ston", "ran"], PIECES),
        (["▁Ada", "▁ran"], PIECES),
        (["ĠAda", "Ġran"], PIECES),
        (["-LRB-", "Ada", "-RRB-"], BRACKETS),
        (["Ada", "##", "ran", "#1", "Ġorġ?"], None),
        (["B-52", "T-RNAB-x"], None),
    ],
)
def test_tokens_that_are_no_text_are_noted(tmp_path, tokens, kind) -> None:
    notes = _read(tmp_path / "a.jsonl", [{"tokens": tokens, "ner_tags": ["B-X"] + ["O"] * (len(tokens) - 1)}])[2]
    assert [one for one in (PIECES, BRACKETS) if one in notes] == ([kind] if kind else [])


# Rows of tools


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"text": "Ada ran", "entities": [SPAN], "relations": [{"from_id": 1, "to_id": 2}]}, RELATIONS),
        ({"text": "Ada ran", "spans": [SPAN], "answer": "accept", "relations": [{"head": 0}]}, RELATIONS),
        ({"text": "Ada ran", "annotations": [SPAN | {"user": 1}, SPAN | {"user": 2}]}, PEOPLE),
        ({"text": "Ada ran", "entities": [SPAN | {"type": "ORG"}]}, TWO_LABELS),
        ({"input": "Ada ran", "output": ["Ada <> PER <> a named human"]}, DESCRIBED),
        ({"text": "Ada ran", "entities": {"start": [0], "end": [3], "label": ["PER"]}}, ""),
        ({"text": "Ada ran", "entities": {"text": ["Ada"], "type": ["PER"]}}, ""),
    ],
)
def test_what_a_row_says_beside_its_mentions_is_counted(tmp_path, row, kind) -> None:
    found, problems, notes = _read(tmp_path / "a.jsonl", [row])
    found = [(sentence, sorted(set(mentions))) for sentence, mentions in found]
    assert (found, problems) == ([ADA], [])
    assert f"1 {kind} (row 1" in notes if kind else not notes


def test_results_of_label_studio_that_are_no_regions_and_rows_without_one_are_counted(tmp_path) -> None:
    region = {"value": {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}}
    results = [region, {"type": "relation", "from_id": "a"}, {"value": {"choices": ["good"]}}]
    task = {"data": {"text": "Ada ran"}, "annotations": [{"result": results}]}
    found, _, notes = _read(tmp_path / "a.jsonl", [task])
    assert found == [ADA]
    assert f"2 {OTHER_RESULTS} (row 1; ...)" in notes
    short = {"text": "Ada ran", "annotator": 1, "annotation_id": 1}
    rows = [short | {"id": 1, "label": [region["value"]]}, short | {"id": 2, "text": "Bob sat"}]
    found, _, notes = _read(tmp_path / "b.jsonl", rows)
    assert found == [ADA, ("Bob sat", [])]
    assert f"1 {NO_REGIONS} (row 2)" in notes


def test_annotations_that_bioc_keeps_beside_the_sentences_of_a_passage_are_read(tmp_path) -> None:
    def annotation(text: str, start: int) -> dict[str, object]:
        place = {"offset": start, "length": len(text)}
        return {"infons": {"type": "PER"}, "text": text, "locations": [place]}

    sentences = [
        {"offset": 0, "text": "Ada ran."},
        {"offset": 9, "text": "Bob sat.", "annotations": [annotation("Bob", 9)]},
    ]
    passage = {"offset": 0, "text": "Ada ran. Bob sat.", "sentences": sentences, "annotations": [annotation("Ada", 0)]}
    document = {"id": "1", "passages": [passage], "relations": [{"id": "R1"}]}
    found, problems, notes = _read(tmp_path / "a.jsonl", [{"documents": [document]}])
    assert (found, problems) == ([("Ada ran. Bob sat.", [("Ada", "PER"), ("Bob", "PER")])], [])
    assert f"1 {BIOC_RELATIONS} (row 1: '1')" in notes
    bare = {"passages": [{"offset": 0, "annotations": [annotation("Ada", 0)]}]}
    assert "needs the text that they are in" in _read(tmp_path / "b.jsonl", [{"documents": [bare]}])[1][0]


# Labels


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([" PER "], PADDED),
        (["PER\u200b"], PADDED),
        (["PER\u200b", "PER"], ALIKE),
        (["re\u0301gion", "r\u00e9gion"], ALIKE),
        (["ＰＥＲ", "PER"], ALIKE),
        (["PER\nX"], CONTROL),
        (["5"], NAMELESS),
        (["nan", "PER"], NAMELESS),
        (["B-PER"], TAGGED),
        (["S-PER", "U-LOC"], TAGGED),
        (["B-cell", "T-cell"], None),
        (["PER", "NA", "MISC", "Type 2", "art work", "région"], None),
    ],
)
def test_labels_that_are_probably_not_meant_are_named(tmp_path, labels, kind) -> None:
    rows = [{"text": f"Ada ran {n}", "entities": [[0, 3, label]]} for n, label in enumerate(labels)]
    found, problems, notes = _read(tmp_path / "a.jsonl", rows)
    assert ([mentions[0][1] for _, mentions in found], problems) == (labels, [])
    assert kind in notes if kind else not notes


# What is named and not read


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"annotations": [{"display_name": "PER"}], "text_snippet": {"content": "Ada ran"}}, "a Google AutoML row"),
        ({"entities": [{"type": "PER", "mentions": [{}]}], "language": "en"}, "IBM's Watson"),
        ({"File": "a", "Line": 0, "Entities": [{"BeginOffset": 0}]}, "Amazon Comprehend"),
        ({"intents": {"go": {"utterances": []}}}, "a Snips data set"),
        ({"data": [{"text": "go to "}, {"text": "Bonn", "alias": "city"}], "isTemplate": False}, "a Dialogflow phrase"),
        ({"passages": [{"text": ["Ada"], "offsets": [[0, 3]]}], "entities": []}, "BigBio's scheme"),
        ({"sentences": [{"index": 0, "tokens": [{"word": "Ada", "ner": "PERSON"}]}]}, "an answer of CoreNLP"),
        ([{"id": 1, "text": "Ada", "ner": "S-PER"}, {"id": 2, "text": "ran", "ner": "O"}], "a sentence of Stanza"),
        ({"sents": [["Ada"]], "vertexSet": [[{"pos": [0, 1]}]]}, "DocRED"),
        ({"context": "Ada ran", "start_position": [0], "end_position": [0]}, "reading comprehension"),
        ({"support": {"word": [["Ada"]]}, "query": {"word": []}}, "an episode of Few-NERD"),
        ({"document": "Ada ran", "tokens": [{"text": "Ada", "entityLabel": "PER"}]}, "a UBIAI export"),
        ({"sentence": ["Ada", "ran"], "ner": [{"index": [0], "type": "PER"}]}, "W2NER's rows"),
    ],
)
def test_rows_of_tools_that_are_not_read_are_named(tmp_path, row, name) -> None:
    found, problems, _ = _read(tmp_path / "a.jsonl", [row, row])
    assert found == []
    assert len(problems) == 2
    assert all(name in problem for problem in problems)
    assert any(way in problems[0] for way in ("write", "put", "add"))


def test_what_a_file_system_leaves_in_a_folder_is_no_data(tmp_path) -> None:
    (tmp_path / "._a.jsonl").write_bytes(b"\0\5\x16\7")
    _read(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": [[0, 3, "PER"]]}])
    (example,) = check([str(tmp_path)], Reading())
    assert isinstance(example, Example)
    assert example.sentence == "Ada ran"
