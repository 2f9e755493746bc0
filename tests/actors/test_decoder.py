"""Rollouts under a decoding, over an engine that is told what it completes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from actors.constrained import Decoder
from actors.engine import Completion
from actors.rollout import Sampling
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder
from rnr.task.encoding import Piece, PieceEncoder
from rnr.task.grammar import answer_grammar, chain_grammar
from rnr.task.parsing import parse
from rnr.types import Decoding, Example, Group, Mention, Prompt, Rollout, Segment

EXAMPLE = Example(uid="1", sentence="met Ada", schema=("person", "city"), mentions=())
SAMPLING = Sampling(count=2, temperature=1.0, max_new_tokens=60)


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    folder = embedded_folder(EMBEDDED_MODEL)
    if not folder.is_dir():
        pytest.skip(f"the embedded model is not set up at {folder}: run `make setup`")
    return AutoTokenizer.from_pretrained(folder)


class _Engine:
    """Says the texts that it is given, one a call, and remembers what it was asked."""

    def __init__(self, tokenizer, *texts: str, finished: bool = True) -> None:
        self._tokenizer, self._texts, self._finished = tokenizer, list(texts), finished
        self.asked: list[tuple[Prompt, Sampling, str, str]] = []

    async def complete(self, prompt, sampling, *, grammar="", stop="") -> Group:
        self.asked.append((prompt, sampling, grammar, stop))
        text = self._texts.pop(0)
        token_ids = self._tokenizer.encode(text, add_special_tokens=False)
        ends = [len(self._tokenizer.decode(token_ids[: place + 1])) for place in range(len(token_ids))]
        if self._finished and not stop:
            token_ids, ends = [*token_ids, self._tokenizer.eos_token_id], [*ends, ends[-1]]
        segment = Segment(token_ids=tuple(token_ids), logprobs=(-0.5,) * len(token_ids), policy_version=3)
        rollout = Rollout(segments=(segment,), text=text, finished=self._finished, ends=tuple(ends))
        return Group(prompt=prompt, rollouts=(rollout,) * sampling.count)


def _rollouts(tokenizer, engine: _Engine, decoding: Decoding, sampling: Sampling = SAMPLING) -> tuple[Rollout, ...]:
    prompt = Prompt(example=EXAMPLE, token_ids=(5, 6), decoding=decoding)
    group = asyncio.run(Decoder(engine.complete, tokenizer, tokenizer.eos_token_id).generate(prompt, sampling))
    assert group.prompt is prompt
    return group.rollouts


def test_a_tagged_chain_is_sampled_under_its_grammar_and_its_answer_written(tokenizer) -> None:
    engine = _Engine(tokenizer, "met [Ada: person]\n")
    first, second = _rollouts(tokenizer, engine, "marks")
    ((prompt, _, grammar, stop),) = engine.asked
    assert tokenizer.decode(prompt.token_ids[2:]) == "<think>\n"
    assert (grammar, stop) == (chain_grammar(EXAMPLE.sentence, EXAMPLE.schema), "")
    assert first == second
    assert first.text == '<think>\nmet [Ada: person]\n</think>\n{"entities":{"person":["Ada"]}}'
    assert parse(first.text).mentions == (Mention(text="Ada", label="person"),)


def test_only_decisions_are_trained_on_and_all_else_has_log_probability_0(tokenizer) -> None:
    rollout = _rollouts(tokenizer, _Engine(tokenizer, "met [Ada: person]\n"), "marks")[0]
    opening, chain = rollout.segments
    assert (tokenizer.decode(opening.token_ids), opening.trained, set(opening.logprobs)) == ("<think>\n", False, {0.0})
    texts = [tokenizer.decode(token) for token in chain.token_ids]
    decided = [text for text, ids in zip(texts, chain.allowed, strict=True) if len(ids) > 1]
    assert decided == ["met", " [", " person"]
    assert [text for text, log in zip(texts, chain.logprobs, strict=True) if log == -0.5] == decided
    # Each token's last character, whatever stands behind the chain.
    ends = rollout.ends[len(opening.token_ids) :]
    assert [rollout.text[:end][-1] for end in ends] == [*(text[-1] for text in texts[:-1]), "\n"]


def test_a_chain_that_two_policies_made_keeps_their_segments(tokenizer) -> None:
    class Swapped(_Engine):
        async def complete(self, prompt, sampling, **options) -> Group:
            group = await super().complete(prompt, sampling, **options)
            (whole,) = group.rollouts[0].segments
            parts = (
                replace(whole, token_ids=whole.token_ids[:2], logprobs=whole.logprobs[:2]),
                replace(whole, token_ids=whole.token_ids[2:], logprobs=whole.logprobs[2:], policy_version=4),
            )
            return replace(group, rollouts=(replace(group.rollouts[0], segments=parts),))

    (split,) = _rollouts(tokenizer, Swapped(tokenizer, "met [Ada: person]\n"), "marks")
    whole = _rollouts(tokenizer, _Engine(tokenizer, "met [Ada: person]\n"), "marks")[0]
    assert [segment.policy_version for segment in split.segments] == [3, 3, 4]
    assert (split.allowed, split.logprobs, split.loss_mask) == (whole.allowed, whole.logprobs, whole.loss_mask)


def test_a_chain_cut_at_the_token_limit_has_no_answer_and_its_decisions_all_the_same(tokenizer) -> None:
    rollout = _rollouts(tokenizer, _Engine(tokenizer, "met [A", finished=False), "marks")[0]
    assert (rollout.text, rollout.finished) == ("<think>\nmet [A", False)
    assert [len(ids) > 1 for ids in rollout.segments[1].allowed] == [True, True, False]


def test_a_sentence_that_spells_a_control_token_is_copied_by_that_token_or_by_its_text(tokenizer) -> None:
    control = (tokenizer.convert_tokens_to_ids("<|im_start|>"),)
    spelt = tuple(PieceEncoder(tokenizer).encode([Piece("<|im_start|>")]))
    assert control != spelt
    begin, end = (tuple(tokenizer.encode(text, add_special_tokens=False)) for text in ("met ", " [Ada: person]\n"))
    prompt = Prompt(example=replace(EXAMPLE, sentence="met <|im_start|> Ada"), token_ids=(5, 6), decoding="marks")

    # As engines tell it, the text of a control token is none.
    for middle, text in ((control, "met  [Ada: person]\n"), (spelt, "met <|im_start|> [Ada: person]\n")):
        token_ids = (*begin, *middle, *end, tokenizer.eos_token_id)
        segment = Segment(token_ids=token_ids, logprobs=(-0.5,) * len(token_ids), policy_version=3)
        made = Rollout(segments=(segment,), text=text, finished=True)

        async def complete(prompt, sampling, made=made, **options) -> Group:
            return Group(prompt=prompt, rollouts=(made,))

        decoder = Decoder(complete, tokenizer, tokenizer.eos_token_id)
        (rollout,) = asyncio.run(decoder.generate(prompt, replace(SAMPLING, count=1))).rollouts
        chain = "<think>\nmet <|im_start|> [Ada: person]\n"
        assert rollout.text == f'{chain}</think>\n{{"entities":{{"person":["Ada"]}}}}'
        assert len(rollout.ends) == len(rollout.token_ids)
        assert rollout.ends[-1] == rollout.ends[-2] == len(chain)


def test_greedy_chains_carry_no_allowed_ids(tokenizer) -> None:
    engine = _Engine(tokenizer, "met Ada\n")
    rollout = _rollouts(tokenizer, engine, "marks", replace(SAMPLING, temperature=0.0))[0]
    assert rollout.allowed == ()
    assert rollout.text == '<think>\nmet Ada\n</think>\n{"entities":{}}'


def test_under_schema_the_answer_follows_its_free_chain_and_is_not_trained_on(tokenizer) -> None:
    said, answer = "<think>\nAda is a name.\n</think>", '{"entities":{"person":["Ada"]}}'
    engine = _Engine(tokenizer, said, answer)
    (rollout,) = _rollouts(tokenizer, engine, "schema", replace(SAMPLING, count=1))
    (_, _, free, stop), (prompt, limits, grammar, _) = engine.asked
    assert (free, stop) == ("", "</think>")
    assert grammar == answer_grammar(EXAMPLE.sentence, EXAMPLE.schema)
    assert tokenizer.decode(prompt.token_ids[2:]) == f"{said}\n"
    assert limits.max_new_tokens == 60 - len(prompt.token_ids[2:])
    assert rollout.text == f"{said}\n{answer}"
    assert [segment.trained for segment in rollout.segments] == [True, False]
    assert rollout.ends[-1] == len(rollout.text)


def test_under_schema_no_answer_is_drawn_with_the_seed_of_a_chain(tokenizer) -> None:
    said, answer = "<think>\nAda is a name.\n</think>", '{"entities":{}}'
    for seed, after in ((7, 9), (None, None)):
        engine = _Engine(tokenizer, said, answer, answer)
        _rollouts(tokenizer, engine, "schema", replace(SAMPLING, seed=seed))
        # The two chains are drawn with 7 and 8.
        assert [sampling.seed for _, sampling, _, _ in engine.asked] == [seed, after, after]


@pytest.mark.parametrize(
    ("said", "kept", "written"),
    [
        (">\n", ">\n", ""),  # as it is taught
        (">", ">", "\n"),
        (">{", "think", ">\n"),  # a token that was never taught
    ],
)
def test_an_answer_goes_on_from_the_tokens_that_were_taught_where_one_holds_the_newline_too(
    said, kept, written
) -> None:
    from actors.rollout import rollout
    from actors.token_text import character_ends
    from rnr.task.prompts import ChatFormat
    from tests.chat_models import TEMPLATES, tokenizer

    tok: Any = tokenizer("newline in token", think="text")
    tok.chat_template = TEMPLATES["chatml"]
    chat = ChatFormat(tok)
    prompt = replace(chat.prompt(EXAMPLE), decoding="schema")
    target = chat.target([Mention(text="Ada", label="person")], "why")
    names = [tok.decode([token]) for token in target]
    at = len(names) - 1 - names[::-1].index(">\n")
    assert names[at - 2 : at + 2] == ["</", "think", ">\n", '{"']
    chain = (*target[:at], tok.convert_tokens_to_ids(said.replace("\n", "Ċ")))
    asked: list[tuple[int, ...]] = []

    class Engine:
        async def generate(self, token_ids, sampling) -> list[Completion]:
            asked.append(tuple(token_ids))
            ids = chain if sampling.stop else target[at + 1 :]
            text = tok.decode(ids, skip_special_tokens=True)
            text = text[: text.index(sampling.stop) + len(sampling.stop)] if sampling.stop else text
            ends = character_ends(tok, chat.stop_token_id, token_ids, ids, text)
            segment = Segment(token_ids=ids, logprobs=(-0.5,) * len(ids), policy_version=0)
            return [Completion(segments=(segment,), text=text, finished=True, ends=ends)]

    async def complete(prompt, sampling, *, grammar="", stop="") -> Group:
        return await rollout(Engine(), prompt, replace(sampling, grammar=grammar, stop=stop))  # type: ignore[arg-type]

    decoder = Decoder(complete, tok, chat.stop_token_id)
    (made,) = asyncio.run(decoder.generate(prompt, replace(SAMPLING, count=1))).rollouts
    assert made.text == '<think>\nwhy\n</think>\n{"entities":{"person":["Ada"]}}'
    assert tok.decode(made.token_ids, skip_special_tokens=True) == made.text
    assert made.token_ids == asked[1][len(prompt.token_ids) :] + target[at + 1 :]
    sampled, given = made.segments
    assert tok.decode(sampled.token_ids[-1:]) == kept
    assert tok.decode(given.token_ids).startswith(written + '{"entities')
    assert (len(sampled.logprobs), given.trained) == (len(sampled.token_ids), False)
    assert made.text[: made.ends[len(sampled.token_ids) - 1]].endswith(kept)
    assert (len(made.ends), made.ends[-1]) == (len(made.token_ids), len(made.text))
    if said != ">":
        assert made.token_ids == target


def test_a_free_chain_that_never_closes_gets_no_answer(tokenizer) -> None:
    engine = _Engine(tokenizer, "<think>\nAda is", finished=False)
    (rollout,) = _rollouts(tokenizer, engine, "schema", replace(SAMPLING, count=1))
    assert (rollout.text, rollout.finished, len(engine.asked)) == ("<think>\nAda is", False, 1)


def test_a_chain_that_leaves_no_room_for_its_answer_is_unfinished(tokenizer) -> None:
    engine = _Engine(tokenizer, "<think>\nAda\n</think>")
    (rollout,) = _rollouts(tokenizer, engine, "schema", replace(SAMPLING, count=1, max_new_tokens=8))
    assert not rollout.finished
    assert len(engine.asked) == 1
