"""Prompt and answer lengths drawn from data; uniform lengths hide the cost of real ones."""

import random
from dataclasses import dataclass

REAL = "real"
"""The embedded training data."""
SOURCE = "demo/train"


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of one prompt and of each of its completions."""

    prompt: int
    completions: tuple[int, ...]


def drawn(source: str, model_folder: str, *, prompts: int, samples: int, seed: int = 0) -> list[Lengths]:
    """Lengths for ``prompts`` prompts, drawn from the sentences of a data file or of ``REAL`` with the prompts and
    answers of SFT. The first completion of a prompt is as long as its own answer, the others as answers drawn at
    random."""
    from actors.chat_format import chat_format
    from rnr.corpus.loading import load
    from rnr.task.decoding import taught

    chat = chat_format(model_folder)
    examples = load([SOURCE if source == REAL else source], training=True)
    generator = random.Random(seed)
    chosen = generator.sample(examples, min(len(examples), max(prompts, 64)))
    pairs = [(len(chat.prompt(example).token_ids), len(chat.target(*taught(example, "free")))) for example in chosen]
    answers = [answer for _, answer in pairs]
    return [
        Lengths(prompt, (answer, *generator.choices(answers, k=samples - 1)))
        for prompt, answer in (pairs[number % len(pairs)] for number in range(prompts))
    ]


def uniform(prompt_tokens: int, completion_tokens: int, *, prompts: int, samples: int) -> list[Lengths]:
    """The same lengths for all prompts and completions."""
    return [Lengths(prompt_tokens, (completion_tokens,) * samples)] * prompts


def levelled(lengths: list[Lengths]) -> list[Lengths]:
    """Lengths of as many prompts and completions, all of the average length."""
    completions = [count for each in lengths for count in each.completions]
    prompt = round(sum(each.prompt for each in lengths) / len(lengths))
    return uniform(
        prompt,
        round(sum(completions) / len(completions)),
        prompts=len(lengths),
        samples=len(lengths[0].completions),
    )
