"""Which examples a run trains on: pure, counted, the same every time."""

import json
from collections import Counter
from pathlib import Path

import pytest

from rnr.config import DataConfig
from rnr.corpus.selection import Selection, select
from tests.jsonl import write_jsonl


def _select(data: DataConfig, **options) -> Selection:
    return select(data, **{"seed": 0, "held_out": 0, "warm_start": True, **options})


def _rows(path: Path, rows: list[tuple[str, int]]) -> str:
    """A file with these sentences, the first words of each being its mentions, as many as the number says."""
    schema = ["person", "place"]
    entities = [[{"text": word, "label": "person"} for word in text.split()[:count]] for text, count in rows]
    found = zip(rows, entities, strict=True)
    return write_jsonl(path, *({"sentence": text, "schema": schema, "entities": here} for (text, _), here in found))


@pytest.fixture
def data(tmp_path) -> DataConfig:
    train = [(f"Ada{n} Bo{n} Cy{n} met in town number {n}.", n % 4) for n in range(40)]
    test = [(f"Eve{n} slept.", 1) for n in range(4)]
    return DataConfig(train=(_rows(tmp_path / "a.jsonl", train),), evaluation=(_rows(tmp_path / "b.jsonl", test),))


def test_a_selection_needs_no_tokenizer_and_is_the_same_every_time(data) -> None:
    data = data.model_copy(update={"sft_examples": 12, "grpo_examples": 8, "schema_variation": 0.5})
    once, again = _select(data, held_out=3), _select(data, held_out=3)
    assert once == again
    assert (len(once.sft), len(once.pool), len(once.held_out), len(once.evaluation)) == (12, 8, 3, 4)
    assert once.candidates == 37
    assert _select(data, held_out=3, seed=1).sft != once.sft


def test_what_is_left_out_is_counted_by_step(data) -> None:
    data = data.model_copy(update={"keep_by_mentions": (0.0,), "grpo_keep_by_mentions": (1.0, 0.0)})
    selected = _select(data, fits=lambda examples: ["number 3." not in example.sentence for example in examples])
    assert dict(selected.left_out) == {
        "thinned by data.keep_by_mentions": 10,
        "longer than data.max_prompt_tokens": 1,
        "thinned by data.grpo_keep_by_mentions, from GRPO's pool only": 10,
    }
    assert len(selected.sft) == selected.candidates == 29
    assert len(selected.pool) == 19


def test_a_mixture_that_changes_nothing_is_said(data) -> None:
    data = data.model_copy(update={"mixture": {"a": 2.0}, "sft_examples": 12, "grpo_examples": 40})
    said = "data.mixture has no effect: data.grpo_examples (40) takes all of 40 training sentences"
    assert _select(data).notes == (said,)
    assert _select(data.model_copy(update={"grpo_examples": 39})).notes == ()
    assert _select(data.model_copy(update={"mixture": {}})).notes == ()


def test_special_labels_that_nothing_tells_of_are_said(tmp_path, data) -> None:
    asked = data.model_copy(update={"special_labels": 1.0})
    (note,) = _select(asked).notes
    assert note.startswith("data.special_labels has no effect: no mention of ")
    assert "person" in note
    rows = [("Kane scored twice.", 1)]  # what a sportsperson does
    assert _select(asked.model_copy(update={"train": (_rows(tmp_path / "c.jsonl", rows),)})).notes == ()
    own = {"sentence": "Oslo is cold.", "schema": ["city"], "entities": [{"text": "Oslo", "label": "city"}]}
    told = asked.model_copy(update={"train": (write_jsonl(tmp_path / "own.jsonl", own),)})
    assert _select(told).notes == (note,)  # a label of the data's own that is one of the special ones, too


@pytest.mark.parametrize(("mixture", "news", "genes"), [({}, 6, 6), ({"news": 2.0}, 8, 4)])
def test_a_source_whose_own_labels_are_special_is_drawn_like_any_other(tmp_path, data, mixture, news, genes) -> None:
    labels = {"news": ("city", "person"), "genes": ("gene", "gene")}  # cities are half of the news
    files = [
        write_jsonl(
            tmp_path / f"{name}.jsonl",
            *(
                {
                    "sentence": f"{name} {n} told",
                    "schema": ["city", "gene", "person"],
                    "entities": [{"text": f"{n}", "label": own[n % 2]}],
                }
                for n in range(20)
            ),
        )
        for name, own in labels.items()
    ]
    asked = {"train": tuple(files), "sft_examples": 12, "grpo_examples": 12, "mixture": mixture}
    selected = _select(data.model_copy(update=asked))
    for drawn in (selected.sft, selected.pool):
        assert Counter(example.source for example in drawn) == {"news": news, "genes": genes}


def test_sentences_that_were_given_special_labels_are_drawn_as_another_source(tmp_path, data) -> None:
    rows = [(f"Kane{n} scored twice.", 1) for n in range(10)] + [(f"Ada{n} slept well.", 1) for n in range(10)]
    asked = {
        "train": (
            _rows(tmp_path / "c.jsonl", rows),
            _rows(tmp_path / "d.jsonl", [(f"Bo{n} ate.", 1) for n in range(9)]),
        )
    }
    asked |= {"special_labels": 1.0, "schema_variation": 1.0, "sft_examples": 12}
    drawn = Counter(
        (example.source, "scored" in example.sentence) for example in _select(data.model_copy(update=asked)).sft
    )
    assert drawn == {("c", True): 4, ("c", False): 4, ("d", False): 4}


def test_a_sentence_of_the_evaluation_counts_once_however_many_views_it_has(tmp_path, data) -> None:
    rows = [("Eve1 slept.", 1), ("Ada ran home.", 1)]
    data = data.model_copy(update={"train": (_rows(tmp_path / "c.jsonl", rows),)})
    selected = _select(data.model_copy(update={"schema_views": 3, "schema_variation": 1.0}))
    assert list(selected.left_out.values()) == [1]
    assert next(iter(selected.left_out)).startswith("sentence is in the evaluation")
    assert {example.sentence for example in selected.pool} == {"Ada ran home."}
    assert len(selected.pool) == 3


def test_where_training_and_evaluation_are_one_file_the_message_says_how_to_divide_it(tmp_path, data) -> None:
    file = _rows(tmp_path / "c.jsonl", [("Eve1 slept.", 1), ("Ada ran home.", 1)])
    with pytest.raises(ValueError) as raised:
        _select(data.model_copy(update={"train": (file,), "evaluation": (file,)}))
    assert str(raised.value) == (
        "no training sentences left: 2 dropped: sentence is in the evaluation; "
        "`python -m scripts.data split FILE --out FOLDER` divides a file"
    )


def test_a_sentence_of_an_evaluation_file_is_not_trained_on_whether_it_is_drawn_or_not(tmp_path, data) -> None:
    rows = [(f"Eve{n} slept.", 1) for n in range(4)] + [("Ada ran home.", 1)]
    data = data.model_copy(update={"train": (_rows(tmp_path / "c.jsonl", rows),), "evaluation_examples": 1})
    selected = _select(data)
    assert len(selected.evaluation) == 1
    assert [example.sentence for example in selected.pool] == ["Ada ran home."]
    assert list(selected.left_out.values()) == [4]


def test_a_sentence_that_only_catch_all_labels_are_asked_for_is_one_of_the_evaluation_all_the_same(
    tmp_path, data
) -> None:
    other = {"sentence": "Odd one.", "schema": ["misc"], "entities": [{"text": "Odd", "label": "misc"}]}
    evaluation = write_jsonl(
        tmp_path / "e.jsonl", other, {**other, "sentence": "Odd Eve.", "schema": ["person", "misc"]}
    )
    files = {"train": (_rows(tmp_path / "c.jsonl", [("Odd one.", 1), ("Ada ran home.", 1)]),)}
    files |= {"evaluation": (evaluation,), "catch_all_labels": False}
    selected = _select(data.model_copy(update=files))
    assert [example.sentence for example in selected.evaluation] == ["Odd Eve."]
    assert [example.sentence for example in selected.pool] == ["Ada ran home."]


def test_no_sentence_that_is_held_out_is_trained_on_under_any_view(data) -> None:
    selected = _select(data.model_copy(update={"schema_views": 2, "schema_variation": 1.0}), held_out=5)
    aside = {example.sentence for example in selected.held_out}
    assert len(aside) == 5
    assert not aside & {example.sentence for example in (*selected.sft, *selected.pool)}
    assert len(selected.pool) == 70
    with pytest.raises(ValueError, match=r"sft.held_out \(40\) leaves nothing to train on: there are 40"):
        _select(data, held_out=40)
    twice = data.model_copy(update={"schema_views": 2, "schema_variation": 1.0})
    with pytest.raises(ValueError, match=r"there are 40 different training sentences \(of 80\)$"):
        _select(twice, held_out=40)


def test_catch_all_labels_are_neither_taught_nor_asked_for_where_a_run_leaves_them_out(tmp_path) -> None:
    files = []
    for name in ("train", "evaluation"):
        entities = [{"text": "Ida", "label": "Person"}, {"text": name, "label": "MISC"}]
        rows = [{"sentence": f"Ida saw {name} number {n}", "entities": entities} for n in range(4)]
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataConfig(train=(str(files[0]),), evaluation=(str(files[1]),), schema_variation=1.0)
    asked, left = (_select(data.model_copy(update={"catch_all_labels": asked})) for asked in (True, False))
    taught, evaluated = (asked.sft, asked.evaluation)
    assert {m.label for example in taught for m in example.mentions} & {"misc"}
    assert {example.schema for example in evaluated} == {("misc", "person")}
    for example in (*left.sft, *left.pool, *left.evaluation):
        assert [(m.text, m.start) for m in example.mentions] == [("Ida", 0)]
        assert "misc" not in example.schema


def test_without_a_warm_start_nothing_is_drawn_for_it(data) -> None:
    assert _select(data, warm_start=False).sft == ()


def test_a_pool_that_is_thinned_to_nothing_is_refused_by_key(data) -> None:
    with pytest.raises(ValueError, match="grpo_keep_by_mentions leaves none of 40"):
        _select(data.model_copy(update={"grpo_keep_by_mentions": (0.0,) * 9}))
