"""``scripts.data``: each command on a few sentences worked out by hand, and its errors."""

import json
from pathlib import Path

import pytest

from rnr.corpus.decontamination import sentence_key
from rnr.corpus.drawing import split
from rnr.corpus.formats.writing import COMMENTED, FORMATS
from rnr.corpus.loading import load
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder
from rnr.types import Example
from scripts.data import main
from tests.jsonl import write_jsonl

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

ADA = {"text": "Ada Byron ran .", "label": [[0, 9, "person"]]}
ROME = {"text": "Ada in Rome", "label": [[0, 3, "person"], [7, 11, "place"]]}
NONE = {"text": "Nobody came to see it", "label": []}


# check


def test_check_lists_every_problem_with_its_place_and_fails(tmp_path, capsys) -> None:
    bad = {"text": "Ada", "entities": [{"text": "Eve", "label": "person"}]}
    first = write_jsonl(tmp_path / "a.jsonl", ADA, bad, "{")
    second = tmp_path / "b.conll"
    second.write_text("Ada B-PER\nin O\nRome I-LOC\n\nBo B-PER\n")
    broken = tmp_path / "c.json"
    broken.write_text("[\n{")

    assert main(["check", first, str(second), str(broken), "nowhere.jsonl"]) == 1

    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{first}, row 2: entity 'Eve' is not in its sentence"
    assert said[1].startswith(f"{first}, row 3: not valid JSON")
    assert said[2] == f"{second}, line 3: I-LOC cannot follow O (the tags are IOB2)"
    assert said[3].startswith(f"{broken}, line 2: not valid JSON")
    assert said[4].startswith("no file or folder at 'nowhere.jsonl'")
    assert said[5:] == ["2 mentions: person 1, PER 1", "2 sentences can be used, 5 problems"]


def test_check_lists_no_more_than_its_limit(tmp_path, capsys) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", "{", "{", "{")
    assert main(["check", file, "--limit", "1"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert said[1:] == ["... and 2 more; --limit 0 lists all", "0 sentences can be used, 3 problems"]


def test_check_reads_every_split_of_a_folder(tmp_path, capsys) -> None:
    (tmp_path / "labels.json").write_text('["person"]')
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.json").write_text(json.dumps([{"sentence": f"Ada {name}", "entities": []}]))
    assert main(["check", str(tmp_path)]) == 0
    noted = f"note: {tmp_path / 'labels.json'}: is the schema of rows without one: person\n"
    assert capsys.readouterr().out == f"{noted}0 mentions\n3 sentences can be used, 0 problems\n"


def test_check_goes_on_after_a_folder_without_data_and_a_broken_split(tmp_path, capsys) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "labels.json").write_text('["person"]')
    (tmp_path / "b" / "train.json").write_text("[")
    (tmp_path / "b" / "test.json").write_text('[{"sentence": "Ada", "entities": []}]')
    assert main(["check", str(tmp_path / "*")]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{tmp_path / 'a'}: no split in this folder; it needs files such as train.jsonl")
    assert said[1].startswith(f"{tmp_path / 'b' / 'train.json'}, line 1: not valid JSON")
    noted = f"note: {tmp_path / 'b' / 'labels.json'}: is the schema of rows without one: person"
    assert said[2:] == [noted, "0 mentions", "1 sentence can be used, 2 problems"]


def test_check_goes_on_after_rows_that_are_no_rows(tmp_path, capsys) -> None:
    file = write_jsonl(
        tmp_path / "a.jsonl", "[" * 100_000 + "]" * 100_000, "1" * 5000, ADA, '{"text": "A\\ud800", "label": []}'
    )
    assert main(["check", file]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{file}, row 1: nested too deeply to be read"
    assert said[1].startswith(f"{file}, row 2: not valid JSON: Exceeds the limit")
    assert said[2] == (
        f"{file}, row 4: text must be text in UTF-8, but character 1 is half of a surrogate pair, found 'A\\ud800'"
    )
    assert said[3:] == ["1 mention: person 1", "1 sentence can be used, 3 problems"]


def test_check_finds_a_file_without_rows_and_an_ending_that_nobody_knows(tmp_path, capsys) -> None:
    empty, table, bare = tmp_path / "empty.jsonl", tmp_path / "table.dat", tmp_path / "README"
    for file in (empty, table, bare):
        file.write_text("")
    assert main(["check", str(empty), str(table), str(bare)]) == 1
    known = ".json, .jsonl, .ndjson, .conll, .conllu, .iob, .iob2, .bio, .bioes, .tsv, .txt"
    known += ", .csv, .parquet, .arrow, .feather, .spacy, .ann, .pubtator"
    known += "; read as text: there is no line with a token and a tag"
    assert capsys.readouterr().out.splitlines() == [
        f"no usable sentence in {empty}: it has no rows",
        f"{table}: the ending .dat names no known format; those that do are {known}",
        f"{bare}: no ending names no known format; those that do are {known}",
        "0 sentences can be used, 3 problems",
    ]


def test_check_names_a_file_that_is_listed_twice_and_goes_on(tmp_path, capsys) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", ADA)
    assert main(["check", file, file, write_jsonl(tmp_path / "b.jsonl", ROME)]) == 1
    assert (
        capsys.readouterr().out
        == f"{file} is listed twice\n3 mentions: person 2, place 1\n2 sentences can be used, 1 problem\n"
    )


# convert


def test_convert_writes_another_format(tmp_path, capsys) -> None:
    out = tmp_path / "new" / "a.conll"
    assert main(["convert", write_jsonl(tmp_path / "a.jsonl", ADA), "--to", "conll", "--out", str(out)]) == 0
    assert out.read_text() == "# text = Ada Byron ran .\nAda\tB-person\nByron\tI-person\nran\tO\n.\tO\n\n"
    assert capsys.readouterr().out == f"note: {COMMENTED}\n1 sentence -> {out}\n"


def test_convert_says_what_other_tools_take_for_something_else(tmp_path, capsys) -> None:
    rows = write_jsonl(tmp_path / "a.jsonl", {"text": "Ada ran", "entities": [[0, 3, "head of state"]]})
    assert main(["convert", rows, "--to", "iobes", "--out", str(tmp_path / "a.conll")]) == 0
    said = "note: labels with a space (head of state) are cut by tools that divide columns at spaces"
    assert said in capsys.readouterr().out


def test_convert_stops_at_a_bad_row_unless_told_to_skip_it(tmp_path, capsys) -> None:
    command = [
        "convert",
        write_jsonl(tmp_path / "a.jsonl", ADA, "{"),
        "--to",
        "doccano",
        "--out",
        str(tmp_path / "b.jsonl"),
    ]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "a.jsonl, row 2: not valid JSON" in said
    assert said.endswith("lists all problems; data.skip_bad_rows=true, or --skip-bad-rows, skips them\n")
    assert not (tmp_path / "b.jsonl").exists()
    assert main([*command, "--skip-bad-rows"]) == 0
    assert json.loads((tmp_path / "b.jsonl").read_text()) == ADA | {"dataset": "a"}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("jsonl", ""),
        ("ner-cot", ""),
        ("instructuie", "1 chains"),
        ("doccano", "1 chains; 2 schemas, and with them the labels river, sea"),
        ("conll", "1 chains; 2 schemas, and with them the labels river, sea; the names of the data sets news; 1 guids"),
    ],
)
def test_convert_says_what_is_lost_and_loses_nothing_else(tmp_path, capsys, form, said) -> None:
    first = {**ADA, "schema": ["person", "sea", "river"], "cot": "Ada Byron is a person.", "guid": "n-7"}
    second = {**NONE, "schema": ["person", "sea"]}
    file = write_jsonl(tmp_path / "a.jsonl", first | {"dataset": "news"}, second | {"dataset": "news"})
    out = tmp_path / f"out{FORMATS[form].suffixes[0]}"

    assert main(["convert", file, "--to", form, "--out", str(out)]) == 0

    heard = capsys.readouterr().err
    assert heard == (f"lost, because {form} cannot hold them: {said}\n" if said else "")
    before, after = load([file], training=True), load([str(out)], training=True)
    lost = {"chains": "reasoning", "schemas": "schema", "data sets": "source", "guids": "guid"}
    for word, field in lost.items():
        kept = getattr(before[0], field) == getattr(after[0], field)
        assert kept == (word not in said), field


def test_a_conversion_within_one_schema_and_name_loses_nothing(tmp_path, capsys) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", ADA, NONE)
    assert main(["convert", file, "--to", "conll", "--out", str(tmp_path / "new" / "a.conll")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("more", [[], ["--duplicates", "first"]])
def test_convert_names_fields_that_are_not_read_and_keeps_an_id_as_the_name(tmp_path, capsys, more) -> None:
    first = write_jsonl(tmp_path / "a.jsonl", ADA | {"id": 7, "meta": {}}, NONE | {"id": "x", "cats": []})
    tokens = {"id": "0", "tokens": ["Bo"], "ner_tags": ["B-person"], "pos_tags": [1], "chunk_tags": [2]}
    second = write_jsonl(tmp_path / "b.jsonl", tokens, {"words": ["Bo", "ran"], "tags": ["O", "O"], "guid": "g"})
    third = write_jsonl(tmp_path / "c.jsonl", {"content": "Cy", "doc": "d-1", "ner": [[0, 2, "person"]], "id": 1.5})
    out = tmp_path / "out.jsonl"
    assert main(["convert", first, second, third, "--to", "jsonl", "--out", str(out), *more]) == 0
    names = [json.loads(line).get("guid") for line in out.read_text().splitlines()]
    assert names == ["7", "x", "0", "g", None]
    assert capsys.readouterr().err == (
        f"lost, because jsonl cannot hold them: the fields cats, meta of the rows of {first}; the fields "
        f"chunk_tags, pos_tags of the rows of {second}; the fields doc of the rows of {third}\n"
    )


def test_convert_keeps_what_is_there(tmp_path, capsys) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", ADA)
    assert main(["convert", file, "--to", "jsonl", "--out", file]) == 2
    assert "exists already" in capsys.readouterr().err


# stats


def test_stats_count_sentences_mentions_labels_lengths_and_what_is_shared(tmp_path, capsys) -> None:
    train = write_jsonl(tmp_path / "old.jsonl", ADA, ROME, NONE, NONE)
    river = {"text": "the Po", "label": [[4, 6, "river"]]}
    evaluation = write_jsonl(tmp_path / "new.jsonl", river, {**ROME, "text": "ADA IN ROME"})
    out = tmp_path / "stats.json"

    assert main(["stats", train, "--evaluation", evaluation, "--words", "--json", str(out)]) == 0

    figures = json.loads(out.read_text())
    assert figures["length_unit"] == "words"
    assert figures["training"] == {
        "old": {
            "sentences": 4,
            "mentions": 3,
            "empty_share": 0.5,
            "labels": {"person": 2, "place": 1},
            # 3, 4, 5 and 5 words; nearest rank: the second, and the fourth of four.
            "length": {"50": 4, "90": 5, "99": 5, "max": 5},
        }
    }
    assert figures["overlap"] == {
        "new": {"seen_labels": ["person", "place"], "unseen_labels": ["river"], "shared_sentences": 1}
    }
    shown = capsys.readouterr().out
    assert "person 2, place 1" in shown
    assert "50.0" in shown


def test_all_files_behind_evaluation_are_scored_and_none_of_them_trained(tmp_path) -> None:
    train, one, two = (write_jsonl(tmp_path / f"{name}.jsonl", *_numbered(name, 1)) for name in ("train", "one", "two"))
    out = tmp_path / "stats.json"
    assert main(["stats", train, "--evaluation", one, two, "--words", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert (list(figures["training"]), list(figures["overlap"])) == (["train"], ["one", "two"])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["convert", "a.jsonl", "--to", "word", "--out", "b"], "must be one of jsonl, ner-cot, "),
        (["check", "a.jsonl", "--spaces", "none"], "'none' is not one of 'script', 'always', 'never'"),
        (["check"], "Missing argument 'PATH'"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_2(capsys, argv, said) -> None:
    assert main(argv) == 2
    heard = capsys.readouterr().err
    assert heard.startswith("error: ")
    assert said in heard
    assert heard.count("\n") == 1


@pytest.mark.skipif(not embedded_folder(EMBEDDED_MODEL).is_dir(), reason="the embedded model is not set up: make setup")
def test_tokens_are_counted_where_a_tokenizer_is_to_cut_or_fill_up_texts(tmp_path, monkeypatch) -> None:
    from rnr.corpus.statistics import tokens_of
    from tests.chat_models import tokenizer

    made = tokenizer("byte-level").backend_tokenizer
    long = "Ada Lovelace " * 40
    lengths = [len(made.encode(text, add_special_tokens=False).ids) for text in ("Ada", long)]
    made.enable_truncation(16)
    made.enable_padding(length=8)
    made.save(str(tmp_path / "tokenizer.json"))
    monkeypatch.setattr("rnr.corpus.statistics.resolve", lambda model: model)
    assert tokens_of(str(tmp_path))(["Ada", long]) == lengths


def test_labels_and_sources_that_look_like_markup_are_shown_as_they_are(tmp_path, capsys) -> None:
    odd = {"text": "Ada ran", "label": [[0, 3, "[/bold]"], [4, 7, ":bank: [red]"]]}
    train, evaluation = write_jsonl(tmp_path / "[b]one.jsonl", odd, ROME), write_jsonl(tmp_path / "[-x].jsonl", odd)
    assert main(["stats", train, "--evaluation", evaluation, "--words"]) == 0
    shown = capsys.readouterr().out
    assert ":bank: [red] 1, [/bold] 1" in shown
    assert "[b]one" in shown
    assert main(["decontaminate", train, "--evaluation", evaluation, "--out", str(tmp_path / "left.jsonl")]) == 0
    assert "[b]one" in capsys.readouterr().out


def test_stats_count_tokens_of_the_embedded_model(tmp_path) -> None:
    out = tmp_path / "stats.json"
    assert main(["stats", write_jsonl(tmp_path / "a.jsonl", ROME), "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["length_unit"] == "tokens"
    assert figures["training"]["a"]["length"]["max"] == 4  # A|da| in| Rome


def test_stats_of_a_model_that_is_not_there_say_so(tmp_path, capsys) -> None:
    assert main(["stats", write_jsonl(tmp_path / "a.jsonl", ROME), "--model", "./nowhere"]) == 2
    assert "error: --model: no folder at './nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["convert", "--to", "jsonl"], ["convert", "--to", "hf"], ["split"]])
def test_splits_of_a_folder_that_are_not_read_are_named(tmp_path, capsys, command) -> None:
    folder = tmp_path / "set"
    (folder / "dev").mkdir(parents=True)
    write_jsonl(folder / "train.jsonl", *_numbered("a", 10))
    write_jsonl(folder / "test.jsonl", ADA)
    write_jsonl(folder / "dev" / "part.jsonl", ROME)
    out = tmp_path / ("out.jsonl" if "jsonl" in command else "out")
    assert main([*command, str(folder), "--out", str(out)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "of this folder" in line]
    assert said == [
        f"data: {folder}: only the training split of this folder is read here (train.jsonl); test.jsonl, "
        "dev/part.jsonl are read if named, or for evaluation"
    ]


# split


def _numbered(source: str, count: int) -> list[dict]:
    return [{"text": f"{source} {number}", "schema": ["x"], "label": [], "dataset": source} for number in range(count)]


def test_split_takes_its_share_of_each_source_and_no_sentence_twice(tmp_path) -> None:
    # Each sentence of b stands there twice, once with other marks.
    twins = [row | {"text": row["text"].upper() + "!"} for row in _numbered("b", 20)]
    file = write_jsonl(tmp_path / "all.jsonl", *_numbered("a", 40), *_numbered("b", 20), *twins)
    out = tmp_path / "out"

    assert main(["split", file, "--out", str(out), "--test-share", "0.2", "--seed", "7"]) == 0

    train, test = (load([str(out / f"{name}.jsonl")], training=True) for name in ("train", "test"))
    sources = [example.source for example in test]
    assert (sources.count("a"), sources.count("b")) == (8, 8)  # a fifth of 40, and both twins of a fifth of 20
    assert len(train) + len(test) == 80
    assert main(["check", str(out)]) == 0  # what was written is a folder with splits
    assert load([str(out)], training=False) == test
    assert not {sentence_key(one.sentence) for one in train} & {sentence_key(one.sentence) for one in test}


def test_split_says_its_shares_and_why_they_are_others(tmp_path, capsys) -> None:
    copies = [row | {"text": "a 0"} for row in _numbered("a", 12)]
    many, out = write_jsonl(tmp_path / "many.jsonl", *_numbered("a", 8), *copies), tmp_path / "out"
    found = {}
    for seed in range(8):  # until the sentence with its twelve copies is drawn
        assert main(["split", many, "--out", str(out / str(seed)), "--test-share", "0.25", "--seed", str(seed)]) == 0
        _, test, why = capsys.readouterr().out.splitlines()[-3:]
        found[test.split(" -> ")[0]] = why
    said = "note: --test-share 0.25 of each source is not met: all copies of a sentence are on one side (12 copies)"
    assert found == {"2 sentences (10 %)": said, "14 sentences (70 %)": said}
    small = write_jsonl(tmp_path / "small.jsonl", *(row for name in "abcdef" for row in _numbered(name, 3)))
    assert main(["split", small, "--out", str(tmp_path / "few"), "--test-share", "0.25"]) == 0
    *_, test, why = capsys.readouterr().out.splitlines()
    assert test.startswith("6 sentences (33 %) -> ")
    assert why.endswith("small sources round their shares to whole sentences")
    even = write_jsonl(tmp_path / "even.jsonl", *_numbered("a", 10))
    assert main(["split", even, "--out", str(tmp_path / "even"), "--test-share", "0.2"]) == 0
    assert capsys.readouterr().out.endswith(f"2 sentences (20 %) -> {tmp_path / 'even' / 'test.jsonl'}\n")


def test_split_depends_on_its_seed_alone_and_keeps_the_order() -> None:
    examples = [Example(uid=str(n), sentence=f"s {n}", schema=("x",), mentions=()) for n in range(50)]
    train, test = split(examples, 0.5, seed=1)
    assert (train, test) == split(examples, 0.5, seed=1)
    assert test != split(examples, 0.5, seed=2)[1]
    assert train == [example for example in examples if example in train]


@pytest.mark.parametrize(("share", "said"), [("1.5", "between 0 and 1"), ("0.1", "none left for test")])
def test_split_says_when_its_share_cannot_be_taken(tmp_path, capsys, share, said) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", *_numbered("a", 3))
    assert main(["split", file, "--out", str(tmp_path / "out"), "--test-share", share]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_split_writes_neither_side_where_one_is_there(tmp_path, capsys) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", *_numbered("a", 10))
    out = tmp_path / "out"
    out.mkdir()
    write_jsonl(out / "test.jsonl", ADA)
    assert main(["split", file, "--out", str(out)]) == 2
    assert f"{out / 'test.jsonl'} exists already" in capsys.readouterr().err
    assert [one.name for one in out.iterdir()] == ["test.jsonl"]


# decontaminate


def test_decontaminate_writes_what_is_left_and_prints_counts_by_source_and_reason(tmp_path, capsys) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", *_numbered("CrossNER_AI", 2), *_numbered("news", 3))
    twin = _numbered("news", 2)[1] | {"text": "NEWS: 1"}
    evaluation = write_jsonl(tmp_path / "test.jsonl", *_numbered("CrossNER_AI", 1), twin)
    out = tmp_path / "clean.jsonl"
    command = ["decontaminate", train, "--evaluation", evaluation, "--out"]

    assert main([*command, str(out)]) == 0
    assert [json.loads(line)["sentence"] for line in out.read_text().splitlines()] == ["news 0", "news 2"]
    shown = capsys.readouterr().out
    assert "training set of an evaluated zero-shot benchmark" in shown
    assert f"2 of 5 sentences -> {out}" in shown

    kept = tmp_path / "kept.jsonl"
    assert main([*command, str(kept), "--keep-source", "CrossNER_AI"]) == 0
    sentences = [json.loads(line)["sentence"] for line in kept.read_text().splitlines()]
    assert sentences == ["CrossNER_AI 1", "news 0", "news 2"]


def test_decontaminate_that_leaves_nothing_says_what_keeps_a_training_set(tmp_path, capsys) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", *_numbered("CrossNER_AI", 2))
    evaluation = write_jsonl(tmp_path / "test.jsonl", *_numbered("CrossNER_AI", 1))
    assert main(["decontaminate", train, "--evaluation", evaluation, "--out", str(tmp_path / "x.jsonl")]) == 2
    assert "--keep-source" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the shared data sets are not at {SHARED}")
def test_the_shared_data_sets_have_no_problem(capsys) -> None:
    assert main(["check", str(SHARED / "*" / "*")]) == 0
    assert capsys.readouterr().out.endswith(", 0 problems\n")


def test_lengths_are_in_words_where_the_embedded_model_is_missing_and_a_named_one_must_be_there(
    tmp_path, capsys, monkeypatch
) -> None:
    def missing(model: str) -> None:
        raise ValueError(f"the model {model} is not set up: run `make setup`")

    monkeypatch.setattr("rnr.corpus.statistics.resolve", missing)
    file = write_jsonl(tmp_path / "a.jsonl", ADA)
    assert main(["stats", file]) == 0
    said = capsys.readouterr()
    assert "lengths in words" in said.out
    assert "lengths are in whitespace-separated words: the model" in said.err
    assert main(["stats", file, "--model", "mine"]) == 2


def test_check_names_the_labels_that_are_used_most_and_how_many_more_there_are(tmp_path, capsys) -> None:
    row = {"text": "Ada Byron ran .", "entities": [[0, 3, f"label{letter}"] for letter in "abcdefghijklmnopqrstuvw"]}
    assert main(["check", write_jsonl(tmp_path / "a.jsonl", row)]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("labelt 1 and 3 more")
