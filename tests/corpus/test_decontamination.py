"""What may not be trained on before an evaluation, and why."""

import pytest

from rnr.corpus.decontamination import (
    NEAR_DUPLICATE,
    OWN_TRAINING_SET,
    SAME_SENTENCE,
    decontaminate,
    sentence_key,
)
from rnr.corpus.loading import load
from rnr.types import Example

TEN = "one two three four five six seven eight nine ten"


def _examples(*sentences: str, source: str = "news") -> list[Example]:
    return [
        Example(uid=f"{source}:{number}", sentence=sentence, schema=("thing",), mentions=(), source=source)
        for number, sentence in enumerate(sentences)
    ]


def _reasons(train: str, evaluation: str) -> list[str]:
    return list(decontaminate(_examples(train), _examples(evaluation, source="test"))[1].values())


@pytest.mark.parametrize("twin", ["Don't go, Ada!", "do n't  go , ada", "DON’T GO ADA"])
def test_a_sentence_is_the_same_whatever_its_case_space_and_punctuation(twin) -> None:
    assert sentence_key(twin) == "dontgoada"
    assert _reasons("Don't go, Ada.", twin) == [SAME_SENTENCE]


def test_sentences_without_a_word_are_the_same_only_by_their_marks() -> None:
    assert (sentence_key(" ?! "), sentence_key("...")) == ("?!", "...")
    assert _reasons("...", "?!") == []


@pytest.mark.parametrize(
    ("train", "share"),
    [
        # TEN has the three 8-grams one-eight, two-nine and three-ten.
        (TEN + " eleven", 1.0),  # 4 of its own, 3 shared, 3 of the shorter: 3 / 3
        ("zero " + TEN.removesuffix(" ten"), 2 / 3),  # zero-seven, one-eight, two-nine: 2 / 3
        ("a b " + TEN.removesuffix(" nine ten"), 1 / 3),  # a-six, b-seven, one-eight: 1 / 3
        ("one two three four five six seven", 0.0),  # no 8-gram
    ],
)
def test_near_duplicates_share_half_of_the_ngrams_of_the_shorter(train, share) -> None:
    assert _reasons(train, TEN) == ([NEAR_DUPLICATE] if share >= 0.5 else [])
    assert _reasons(TEN, train) == ([NEAR_DUPLICATE] if share >= 0.5 else [])


def test_an_evaluation_sentence_inside_a_long_training_sentence_is_found() -> None:
    assert _reasons(" ".join(f"before{n}" for n in range(50)) + " " + TEN.upper(), TEN) == [NEAR_DUPLICATE]


def test_shares_of_different_evaluation_sentences_do_not_add_up() -> None:
    train = _examples(f"{TEN} a b c d e f g h i j")  # 13 8-grams, of which each evaluation sentence has few
    evaluation = _examples(TEN.removesuffix(" nine ten") + " k l m n", "o p q r c d e f g h i j", source="test")
    assert decontaminate(train, evaluation) == (train, {})  # 1 of 5 and 1 of 5


def test_an_ngram_of_several_evaluation_sentences_counts_for_each_of_them() -> None:
    one = f"{TEN.removesuffix(' nine ten')} k l m n o"  # one-eight of six 8-grams: 1 of TEN's 3
    two = f"p q r s t {TEN.removesuffix(' ten')}"  # one-eight and two-nine of seven: 2 of TEN's 3
    train = _examples(TEN)
    assert decontaminate(train, _examples(one, one, source="test")) == (train, {})
    assert decontaminate(train, _examples(one, two, source="test")) == ([], {"news:0": NEAR_DUPLICATE})


def test_training_sets_of_an_evaluated_zero_shot_benchmark_are_left_out_unless_kept() -> None:
    sources = ("CrossNER_AI", "cross-ner music", "MIT Movie", "mit-restaurant", "news")
    train = [example for source in sources for example in _examples(f"about {source}", source=source)]
    evaluation = _examples("something", source="CrossNER_politics") + _examples("else", source="mit-movie")

    kept, dropped = decontaminate(train, evaluation)
    assert [example.source for example in kept] == ["mit-restaurant", "news"]
    assert dropped == dict.fromkeys(("CrossNER_AI:0", "cross-ner music:0", "MIT Movie:0"), OWN_TRAINING_SET)

    kept, dropped = decontaminate(train, evaluation, keep_sources=["MIT Movie"])
    assert [example.source for example in kept] == ["MIT Movie", "mit-restaurant", "news"]


def test_a_training_set_to_be_kept_that_is_not_there_is_named_with_those_that_are() -> None:
    train = _examples("a", source="news") + _examples("b", source="MIT Movie")
    with pytest.raises(ValueError, match=r"keep is called mit-movie; there are MIT Movie, news$"):
        decontaminate(train, [], keep_sources=["mit-movie"])


@pytest.mark.parametrize(
    ("source", "benchmark"),
    [
        ("B2NERD-mit-movie", "mit_movie"),
        ("b2nerd_MIT Restaurant", "mit-restaurant"),
        ("zero-shot/Cross_NER_AI", "CrossNER_music"),
    ],
)
def test_a_benchmark_is_known_by_any_spelling_and_behind_any_prefix(source, benchmark) -> None:
    train, evaluation = _examples("a", source=source), _examples("b", source=benchmark)
    assert decontaminate(train, evaluation) == ([], {f"{source}:0": OWN_TRAINING_SET})
    assert decontaminate(train, _examples("b", source="news")) == (train, {})


def test_the_training_file_of_a_benchmark_is_known_by_its_folder(tmp_path) -> None:
    for split in ("train", "test"):
        file = tmp_path / "mit-movie" / f"{split}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'{{"text": "{split}", "label": [[0, {len(split)}, "genre"]]}}\n')
    train, test = (load([str(tmp_path / "mit-movie")], training=split == "train") for split in ("train", "test"))
    assert decontaminate(train, test) == ([], {"mit-movie/train:1": OWN_TRAINING_SET})


def test_a_kept_training_set_still_loses_the_sentences_of_the_evaluation() -> None:
    train, evaluation = _examples("a", "b", source="CrossNER_AI"), _examples("B.", source="CrossNER_AI")
    kept, dropped = decontaminate(train, evaluation, keep_sources=["CrossNER_AI"])
    assert ([example.sentence for example in kept], dropped) == (["a"], {"CrossNER_AI:1": SAME_SENTENCE})


def test_the_training_split_of_an_ordinary_evaluated_set_may_be_used() -> None:
    train, evaluation = _examples("a", source="letters"), _examples("b", source="letters")
    assert decontaminate(train, evaluation) == (train, {})
