"""What one rollout worker with a real engine does. The tests share one, and ask it for prompts of their own."""

import math
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from actors.engine import Completion, Sampling
from actors.event_loop import EventLoop
from actors.rollout import RolloutWorker, single_engine
from rnr.task.chains import read_chain
from rnr.task.parsing import parse
from rnr.types import Example, Prompt, Segment

pytestmark = pytest.mark.slow


class Running:
    """A rollout worker whose engine is up: an engine is bound to the event loop it was started in, and here to that of
    all tests of the file."""

    def __init__(self, worker, loop) -> None:
        self.worker, self._loop = worker, loop

    def result(self, work):
        """What a coroutine returns."""
        return self._loop.submit(work).result()

    def generate(self, prompt, sampling):
        return self.result(self.worker.generate(prompt, sampling))


@contextmanager
def running(tiny_model, **options):
    loop = EventLoop()
    engine = single_engine(str(tiny_model), stop_token_id=2, context_tokens=256, max_num_seqs=8, **options)
    worker = loop.submit(engine.__aenter__()).result()
    try:
        yield Running(worker, loop)
    finally:
        loop.submit(engine.__aexit__(None, None, None)).result()
        loop.stop()


@pytest.fixture(scope="module")
def shared(tiny_model):
    with running(tiny_model) as one:
        yield one


def test_samples_share_the_cached_blocks_of_their_prompt_and_a_choice_is_among_its_ids(shared, tiny_model) -> None:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    # 44 ids: more than vLLM gives unasked. No other test has this prompt, so what is cached is cached by its samples.
    ids, prompt = tuple(range(40, 4000, 90)), tuple(range(2000, 2070))
    parameters = SamplingParams(n=4, max_tokens=4, ignore_eos=True, output_kind=RequestOutputKind.FINAL_ONLY)
    output = shared.result(shared.worker.engine._request(prompt, parameters))
    # Of 70 tokens, two whole blocks of 32 (or four of 16 on a GPU), though all four samples start together.
    assert output.num_cached_tokens == 64
    choice = shared.result(shared.worker.engine.choice(prompt, ids))
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    with torch.no_grad():
        wanted = model(torch.tensor([prompt])).logits[0, -1, list(ids)].log_softmax(-1).exp()
    assert [math.exp(choice[token]) for token in ids] == pytest.approx(wanted.tolist(), abs=0.01)
    assert sum(map(math.exp, choice.values())) == pytest.approx(1)


def _prompt(tokens):
    example = Example(uid="1", sentence="x", schema=("x",), mentions=())
    return Prompt(example=example, token_ids=tuple(range(1000, 1000 + tokens)))


def test_a_rollout_says_where_in_its_text_each_token_ends(shared) -> None:
    group = shared.generate(_prompt(70), Sampling(count=8, temperature=1.0, max_new_tokens=40))
    tokenizer = shared.worker.engine.tokenizer
    # A random model writes halves of characters, whose text is another one when they are put together: no ends then.
    whole = [rollout for rollout in group.rollouts if rollout.ends]
    assert whole
    for rollout in whole:
        assert len(rollout.ends) == len(rollout.token_ids)
        for count, end in enumerate(rollout.ends, 1):
            text = tokenizer.decode(rollout.token_ids[:count], skip_special_tokens=True)
            assert rollout.text[:end] == text or text.endswith("\ufffd")


def test_log_probabilities_are_those_of_the_distribution_that_was_sampled_from(shared, tiny_model) -> None:
    _assert_sampled_from(tiny_model, shared)


def test_with_guessed_tokens_too_log_probabilities_are_those_of_the_distribution(tiny_model) -> None:
    with running(tiny_model, speculative_tokens=3) as guessing:
        _assert_sampled_from(tiny_model, guessing)


def _assert_sampled_from(tiny_model, one) -> None:
    # A prompt that repeats itself, so that there is always something to guess.
    prompt = replace(_prompt(0), token_ids=(1000, 1001, 1002, 1003) * 10)
    group = one.generate(prompt, Sampling(count=4, temperature=0.2, max_new_tokens=20))
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    for rollout in group.rollouts:
        with torch.no_grad():
            logits = model(torch.tensor([prompt.token_ids + rollout.token_ids])).logits[0]
        predicting = logits[len(prompt.token_ids) - 1 : -1]
        places = torch.arange(len(rollout.token_ids)), list(rollout.token_ids)
        cold, plain = ((predicting / temperature).log_softmax(-1)[places] for temperature in (0.2, 1.0))
        ours = torch.tensor(rollout.logprobs)
        # bf16 against float32: the difference of two roundings, and that of two temperatures.
        assert (ours - cold).abs().mean() < 0.1
        assert (ours - plain).abs().mean() > 0.3


def test_under_marks_rollouts_are_tagged_chains_with_the_log_probabilities_of_their_decisions(
    shared, tiny_model
) -> None:
    example = Example(uid="1", sentence="Ada met Bo in Rome.", schema=("person", "city"), mentions=())
    prompt = Prompt(example=example, token_ids=tuple(range(1000, 1040)), decoding="marks")
    group = shared.generate(prompt, Sampling(count=4, temperature=0.5, max_new_tokens=120))
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    for rollout in group.rollouts:
        answer = parse(rollout.text)
        assert (rollout.finished, answer.error) == (True, None)
        assert {mention.label for mention in answer.mentions} <= {"person", "city"}
        assert answer.reasoning is not None
        assert read_chain(answer.reasoning, example.sentence).divergences == ()
        with torch.no_grad():
            logits = model(torch.tensor([prompt.token_ids + rollout.token_ids])).logits[0]
        predicting = logits[len(prompt.token_ids) - 1 : -1]
        differences = []
        for row, token, ids, log in zip(predicting, rollout.token_ids, rollout.allowed, rollout.logprobs, strict=True):
            if len(ids) > 1:
                among = (row[list(ids)] / 0.5).log_softmax(-1)
                differences.append(abs(float(among[ids.index(token)]) - log))
            else:
                assert log == 0
        assert len(differences) > 4
        assert sum(differences) / len(differences) < 0.1  # bf16 against float32


def test_under_schema_an_answer_is_of_its_schema_whatever_the_chain_says(shared) -> None:
    class Chatty:
        """A worker's engine whose free chains always close."""

        def __init__(self, engine) -> None:
            self._engine = engine

        def __getattr__(self, name):
            return getattr(self._engine, name)

        async def generate(self, token_ids, sampling):
            if sampling.grammar:
                return await self._engine.generate(token_ids, sampling)
            said = "<think>\nAda.\n</think>"
            ids = tuple(self._engine.tokenizer.encode(said, add_special_tokens=False))
            segment = Segment(token_ids=ids, logprobs=(-1.0,) * len(ids), policy_version=0)
            return [Completion(segments=(segment,), text=said, finished=True)] * sampling.count

    example = Example(uid="1", sentence="Ada met Bo in Rome.", schema=("person", "city"), mentions=())
    prompt = Prompt(example=example, token_ids=tuple(range(1000, 1040)), decoding="schema")
    worker = RolloutWorker(Chatty(shared.worker.engine))
    group = shared.result(worker.generate(prompt, Sampling(count=6, temperature=1.0, max_new_tokens=150)))
    finished = [rollout for rollout in group.rollouts if rollout.finished]
    assert finished
    for rollout in finished:
        answer = parse(rollout.text)
        assert answer.error is None
        assert all(mention.label in ("person", "city") for mention in answer.mentions)
        assert all(mention.text in "Ada met Bo in Rome." for mention in answer.mentions)
