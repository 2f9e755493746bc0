"""Labels decided by what speaks for them here, and not by what the model would name anywhere."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.engine import Sampling
from actors.label_calibration import Choices, LabelCalibration, _marks, branches, neutral, neutral_marks
from actors.loading import load
from actors.options import Options
from actors.rollout import RolloutWorker
from cluster.disk import Disk
from cluster.evaluation import evaluate
from rnr.config import EvaluationConfig
from rnr.evaluation.predictions import UNCALIBRATED
from rnr.evaluation.scoring import Evaluation
from rnr.task.aggregation import Chosen, aggregate, written
from rnr.task.chains import tagged_chain
from rnr.task.parsing import parse
from rnr.types import Decoding, Example, Group, Mention
from tests.carriers import rollout
from tests.jsonl import read_jsonl

SCHEMA = ("person", "city")
HERE = {"person": 0.4, "city": 0.6}
ANYWHERE = {"person": 0.1, "city": 0.9}
NEUTRAL = 11
"""Neutral marks under ``SCHEMA``: one of the twelve is about a city."""


@pytest.fixture(scope="module")
def ner(tiny_model):
    with load(str(tiny_model), engine="transformers", decoding="marks", device="cpu") as extractor:
        yield extractor


class Opinionated:
    """An engine that prefers ``city``, and less so at marks of ``Ada met``."""

    def __init__(self, tokenizer) -> None:
        self._tokenizer = tokenizer
        self.asked: list[str] = []

    async def choice(self, token_ids, ids) -> dict[int, float]:
        text = self._tokenizer.decode(token_ids)
        self.asked.append(text)
        shares = HERE if "Ada met" in text else ANYWHERE
        first = {token: self._tokenizer.decode([token]).strip() for token in ids}
        return {token: math.log(shares[next(x for x in SCHEMA if x.startswith(word))]) for token, word in first.items()}


def choices(engine: Any) -> Choices:
    return RolloutWorker(engine).choices


def evaluated(
    ner: Any, examples: Sequence[Example], decoding: Decoding, weight: float, file: Path
) -> tuple[Evaluation, list[Chosen]]:
    """What a run makes of these sentences, answered by this model."""
    prompts = [replace(ner.chat.prompt(example), decoding=decoding) for example in examples]

    async def greedy(prompts, *, max_new_tokens: int) -> list[Group]:
        sampling = Sampling(count=1, temperature=0.0, max_new_tokens=max_new_tokens)
        return await asyncio.gather(*(ner.worker.generate(prompt, sampling) for prompt in prompts))

    generation: Any = SimpleNamespace(greedy=greedy, choices=ner.worker.choices)
    prepared: Any = SimpleNamespace(evaluation=prompts, chat=ner.chat, decoding=decoding)
    wanted = EvaluationConfig(max_new_tokens=200, label_calibration=weight)
    disk = Disk(file.parent, seconds=0)
    result, pairs = ner.loop.submit(
        evaluate(prepared, wanted, generation, file, context_tokens=1024, disk=disk)
    ).result()
    assert [example for example, _ in pairs] == list(examples)
    return result, [found for _, found in pairs]


def test_a_label_that_the_model_names_anywhere_yields_to_one_that_is_named_here(ner) -> None:
    example = Example(uid="a", sentence="Ada met Bo", schema=SCHEMA, mentions=())
    mention = Mention(text="Ada", label="city", start=0, end=3)
    found = Chosen(
        text="", mentions=(mention,), confidences=(0.3,), marked=frozenset({(0, 3)}), reasoning="[Ada: city] met Bo",
        error=None, finished=True, tokens=9,
    )  # fmt: skip
    engine = Opinionated(ner.chat.tokenizer)

    async def decided(weight: float) -> Chosen:
        return await LabelCalibration(choices(engine), ner.chat, 1024).calibrate(
            ner.chat.prompt(example), found, weight
        )

    changed = asyncio.run(decided(1.0))
    assert changed.mentions == (Mention(text="Ada", label="person", start=0, end=3),)
    # 0.4 / 0.1 speaks for person, 0.6 / 0.9 for city; that a mark stands here at all had 0.3 / 0.6.
    assert changed.confidences == pytest.approx((0.5 * 4 / (4 + 2 / 3),))
    assert changed.reasoning == "[Ada: person] met Bo"
    assert parse(changed.text).mentions[0].label == "person"
    assert len(engine.asked) == NEUTRAL + 1
    (here,) = (text for text in engine.asked if "Ada met" in text)
    assert here.endswith("[Ada:")

    kept = asyncio.run(decided(0.1))  # 0.4 / 0.1**0.1 = 0.504 against 0.6 / 0.9**0.1 = 0.606
    assert kept.mentions == (mention,)


def test_the_neutral_marks_of_a_schema_are_asked_once(ner) -> None:
    engine = Opinionated(ner.chat.tokenizer)
    calibration = LabelCalibration(choices(engine), ner.chat, 1024)

    async def twice() -> None:
        await asyncio.gather(*(calibration._prior(SCHEMA, None) for _ in range(2)))
        assert len(engine.asked) == NEUTRAL
        await calibration._prior(SCHEMA[::-1], None)  # the order of labels is part of the question
        assert len(engine.asked) == 2 * NEUTRAL

    asyncio.run(twice())


def test_neutral_marks_are_of_as_many_domains_and_not_about_what_is_asked_for(ner) -> None:
    marks = neutral()
    assert len(marks) == len({mark.schema for mark in marks}) == 12
    assert all(len(mark.mentions) == 1 and "[" in tagged_chain(mark) for mark in marks)
    about = marks[3].mentions[0].label
    asked = [prompt.example.sentence for prompt, *_ in neutral_marks(ner.chat, (about, "city"), 1024)]
    assert asked == [mark.sentence for mark in marks if mark.mentions[0].label not in (about, "city")]
    assert len(asked) < 12
    everything = tuple({mark.mentions[0].label for mark in marks})
    assert len(neutral_marks(ner.chat, everything, 1024)) == 12  # none would be left


def test_where_several_continuations_go_on_differently_is_a_choice() -> None:
    ends = [(1, 2, 3, 9), (1, 2, 4, 9), (1, 5, 9)]
    assert branches(ends) == {(1,): [2, 5], (1, 2): [3, 4]}
    assert branches([(1, 2)]) == {}


def test_the_choice_of_an_engine_is_the_models_own_among_the_ids(ner) -> None:
    prompt, ids = (1, 500, 600, 700), (10, 20, 4000)

    async def asked():
        engine = ner.worker.engine
        each = [(await engine.score((*prompt, token)))[-1] for token in ids]
        return await engine.choice(prompt, ids), each

    choice, each = ner.loop.submit(asked()).result()
    total = sum(map(math.exp, each))
    assert [choice[token] for token in ids] == pytest.approx([log - math.log(total) for log in each], abs=2e-2)
    assert sum(map(math.exp, choice.values())) == pytest.approx(1)


def test_labels_are_those_of_the_question_after_calibration_too(ner, monkeypatch) -> None:
    asked, choice = [], ner.worker.engine.choice
    monkeypatch.setattr(ner.worker.engine, "choice", lambda *given: asked.append(given) or choice(*given))
    texts = ["Ada met Bob in Rome.", "東京 café", "One. Two three (four), five-six; seven's eight?"]
    found = ner.batch(texts, {"musical artist": "a human", "musical": ""}, label_calibration=0.7)
    entities = [entity for each in found for entity in each]
    assert entities
    assert len(asked) > NEUTRAL
    assert {entity.label for entity in entities} <= {"musical artist", "musical"}
    assert all(0 <= entity.confidence <= 1 for entity in entities)


def test_a_run_answers_under_marks_as_its_export_does_and_nothing_else_is_decided_again(
    ner, tmp_path, monkeypatch
) -> None:
    texts = ["Ada met Bob in Rome.", "東京 café", "One. Two three (four), five-six; seven's eight?"]
    examples = [Example(uid=str(n), sentence=text, schema=SCHEMA, mentions=()) for n, text in enumerate(texts)]
    hows: tuple[tuple[Decoding, float], ...] = (("marks", 0.7), ("marks", 0.0), ("schema", 0.7))
    in_a_run = [evaluated(ner, examples, decoding, weight, tmp_path / "a.jsonl")[1] for decoding, weight in hows]
    assert [{found.calibrated for found in answers} for answers in in_a_run] == [{0.7}, {0.0}, {0.0}]
    assert [found.text for found in in_a_run[0]] != [found.text for found in in_a_run[1]]
    monkeypatch.setattr(ner, "label_calibration", 0.7)
    monkeypatch.setattr(ner, "_max_new_tokens", 200)
    by_default, asked_not_to = (
        ner.answers(examples, decoding="marks"),
        ner.answers(examples, decoding="marks", label_calibration=0.0),
    )
    assert [found.text for found in by_default] == [found.text for found in in_a_run[0]]
    assert [found.text for found in asked_not_to] == [found.text for found in in_a_run[1]]
    assert {found.calibrated for found in ner.answers(examples, decoding="marks", samples=2)} == {0.0}


def test_an_evaluation_keeps_and_scores_the_policys_own_labels_too(ner, tmp_path) -> None:
    texts = ["Ada met Bob in Rome.", "One. Two three (four), five-six; seven's eight?"]
    examples = [Example(uid=str(n), sentence=text, schema=SCHEMA, mentions=()) for n, text in enumerate(texts)]
    result, answers = evaluated(ner, examples, "marks", 0.7, tmp_path / "sft.jsonl")
    plain, own = evaluated(ner, examples, "marks", 0.0, tmp_path / "plain.jsonl")
    assert [found.text for found in answers] != [found.text for found in own]
    assert (result.decoding, plain.decoding) == ("marks, labels calibrated by 0.7", "marks")
    assert (result.uncalibrated_f1, plain.uncalibrated_f1) == (plain.f1, None)
    assert result.metrics()["val/uncalibrated_f1"] == plain.f1
    assert "val/uncalibrated_f1" not in plain.metrics()
    saved = {name: [row["text"] for row in read_jsonl(tmp_path / name)] for name in ("sft.jsonl", "plain.jsonl")}
    assert saved["sft.jsonl"] == [found.text for found in answers]
    assert saved["plain.jsonl"] == [row["text"] for row in read_jsonl(tmp_path / UNCALIBRATED / "sft.jsonl")]
    assert not (tmp_path / UNCALIBRATED / "plain.jsonl").exists()


@pytest.mark.parametrize("ended", ["by a failure", "by its caller"])
def test_an_evaluation_that_ends_early_asks_for_nothing_more(ner, ended) -> None:
    mention = Mention(text="Ada", label="city", start=0, end=3)
    examples = [Example(uid=str(n), sentence=f"Ada met {n}", schema=SCHEMA, mentions=(mention,)) for n in range(9)]
    prompts = [replace(ner.chat.prompt(example), decoding="marks") for example in examples]
    answers = [
        aggregate("greedy", example, "marks", rollout(text=written(example, example.mentions, "marks")))
        for example in examples
    ]
    calls: list[int] = []

    async def choices(asked) -> Any:
        calls.append(len(asked))
        if ended == "by a failure" and len(calls) == 3:
            raise RuntimeError("the worker is gone")
        await asyncio.sleep(60)

    async def work() -> None:
        answering = asyncio.ensure_future(
            LabelCalibration(choices, ner.chat, 1024).calibrate_all(prompts, answers, 0.6)
        )
        if ended == "by a failure":
            with pytest.raises(RuntimeError, match="gone"):
                await answering
        else:
            while not calls:
                await asyncio.sleep(0.01)
            answering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answering
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(work())


def test_a_mark_keeps_its_label_where_the_context_ends_before_a_longer_one_would(ner) -> None:
    labels = ("person", *(f"person of some note and then some more {last}" for last in ("one", "two")))
    sentence = "Ada met nobody at all that day, " * 8 + "Bo"
    places = ((0, 3), (len(sentence) - 2, len(sentence)))
    mentions = tuple(Mention(text=sentence[a:b], label="person", start=a, end=b) for a, b in places)
    example = Example(uid="a", sentence=sentence, schema=labels, mentions=mentions)
    prompt, chain = ner.chat.prompt(example), tagged_chain(example)
    found = aggregate("greedy", example, "marks", rollout(text=written(example, mentions, "marks")))
    found = replace(found, confidences=(0.5, 0.25))
    context = len(prompt.token_ids) + len(ner.chat.chain_tokens(chain)) + 1  # what was answered, and its end

    class Engine:
        async def choice(self, token_ids, ids) -> dict[int, float]:
            if len(token_ids) >= context:
                raise ValueError("as vLLM does")
            closing = [token for token in ids if "]" in ner.chat.tokenizer.decode([token])]
            if not closing:  # the last word of the longer labels
                return dict.fromkeys(ids, math.log(0.5))
            # Nothing speaks for a longer label anywhere else.
            here = tuple(token_ids[: len(prompt.token_ids)]) == prompt.token_ids
            return {token: math.log(0.01 if (token in closing) == here else 0.99) for token in ids}

    decided = asyncio.run(LabelCalibration(choices(Engine()), ner.chat, context).calibrate(prompt, found, 1.0))
    assert [mention.label for mention in decided.mentions] == [labels[1], "person"]
    assert decided.confidences[1] == 0.25


@pytest.mark.parametrize("after", [", a firm.", ".", ")", "", " last year."])
def test_a_label_that_begins_another_is_told_by_the_token_that_really_ends_it(ner, after) -> None:
    """Tokenizers join the closing bracket with what follows: that token is what speaks against a longer label."""
    labels = ("organization", "organization company")
    example = Example(uid="a", sentence=f"He joined Siemens{after}", schema=labels, mentions=())
    written = {label: ner.chat.target([], tagged_chain(replace(example, mentions=(
        Mention(text="Siemens", label=label, start=10, end=17),)))) for label in labels}  # fmt: skip
    prompt, seen = ner.chat.prompt(example), []

    class Engine:
        async def choice(self, token_ids, ids) -> dict[int, float]:
            seen.append((token_ids[len(prompt.token_ids) :], set(ids)))
            return dict.fromkeys(ids, math.log(1 / len(ids)))

    ((_, *around),) = _marks(replace(example, mentions=(Mention(text="Siemens", label=labels[0], start=10, end=17),)))
    calibration = LabelCalibration(choices(Engine()), ner.chat, 1024)
    assert asyncio.run(calibration._logprobs(prompt, *around)) == pytest.approx([math.log(1 / 2)] * 2)
    ((start, ids),) = seen
    assert ids == {tokens[len(start)] for tokens in written.values()}
    assert {tokens[: len(start)] for tokens in written.values()} == {start}


def test_a_failed_question_is_asked_again_and_neutral_sentences_without_room_are_left_out(ner) -> None:
    engine = Opinionated(ner.chat.tokenizer)
    choice, fails = engine.choice, [True]

    async def sometimes(token_ids, ids):
        if fails:
            fails.clear()
            raise RuntimeError("the engine was restarting")
        return await choice(token_ids, ids)

    engine.choice = sometimes

    async def work() -> None:
        calibration = LabelCalibration(choices(engine), ner.chat, 1024)
        with pytest.raises(RuntimeError, match="restarting"):
            await calibration._prior(SCHEMA, None)
        await asyncio.sleep(0)
        assert await calibration._prior(SCHEMA, None) == pytest.approx([math.log(0.1), math.log(0.9)])
        engine.asked.clear()
        sizes = sorted(
            len(prompt.token_ids) + len(ner.chat.chain_tokens(f"{before} person]{after}"))
            for prompt, before, after in neutral_marks(ner.chat, SCHEMA, 1024)
        )
        context = sizes[3]  # a chain may have as many tokens as are left, but one
        await LabelCalibration(choices(engine), ner.chat, context)._prior(SCHEMA, None)
        assert len(engine.asked) == sum(size < context for size in sizes) in (1, 2, 3)
        with pytest.raises(ValueError, match="the 2 labels leave no room"):
            await LabelCalibration(choices(engine), ner.chat, 20)._prior(SCHEMA, None)
        with pytest.raises(ValueError, match="at most 1024 labels, but 1025 are asked for"):
            await LabelCalibration(choices(engine), ner.chat, 9999)._prior(tuple(map(str, range(1025))), None)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"decoding": "marks", "label_calibration": 1.5}, r"label_calibration: must be at most 1 \(got 1.5\)"),
        ({"decoding": "schema", "label_calibration": 0.5}, "use decoding='marks' and samples=1, or "),
        ({"decoding": "marks", "label_calibration": "0.6"}, r"label_calibration: must be a number \(got '0.6'\)"),
        ({"decoding": "marks", "samples": 8, "label_calibration": 0.5}, "samples=8"),
    ],
)
def test_what_calibration_cannot_decide_is_refused(options, why) -> None:
    with pytest.raises(ValueError, match=why):
        Options.of(**options)


class Following(Opinionated):
    """Is sure that ``Bo`` is a city, unless ``Ada`` was called a person."""

    async def choice(self, token_ids, ids) -> dict[int, float]:
        text = self._tokenizer.decode(token_ids)
        if not text.endswith("[Bo:"):
            return await super().choice(token_ids, ids)
        self.asked.append(text)
        person = 0.9 if "[Ada: person]" in text else 0.05
        first = {token: self._tokenizer.decode([token]).strip() for token in ids}
        return {token: math.log(person if "person".startswith(word) else 1 - person) for token, word in first.items()}


def test_a_label_is_decided_in_the_chain_with_the_labels_decided_before_it(ner) -> None:
    example = Example(uid="a", sentence="Ada met Bo", schema=SCHEMA, mentions=())
    mentions = tuple(
        Mention(text=text, label="city", start=at, end=at + len(text)) for text, at in (("Ada", 0), ("Bo", 8))
    )
    found = Chosen(
        text="", mentions=mentions, confidences=(0.3, 0.475), marked=frozenset({(0, 3), (8, 10)}),
        reasoning="[Ada: city] met [Bo: city]", error=None, finished=True, tokens=9,
    )  # fmt: skip
    engine = Following(ner.chat.tokenizer)
    calibration = LabelCalibration(choices(engine), ner.chat, 1024)
    decided = asyncio.run(calibration.calibrate(ner.chat.prompt(example), found, 1.0))
    # In the chain as it came 0.05 / 0.1 would speak for person and 0.95 / 0.9 for city.
    assert [mention.label for mention in decided.mentions] == ["person", "person"]
    assert decided.reasoning == "[Ada: person] met [Bo: person]"
    # That a mark stands there had 0.475 / 0.95 in the chain as it came; now 0.9 / 0.1 stands against 0.1 / 0.9.
    assert decided.confidences[1] == pytest.approx(0.5 * 9 / (9 + 1 / 9))
    assert len([text for text in engine.asked if text.endswith("[Bo:")]) == 2
    # Where no label before it changes, nothing is asked twice.
    asyncio.run(calibration.calibrate(ner.chat.prompt(example), found, 0.0))
    assert len([text for text in engine.asked if text.endswith("[Bo:")]) == 3
