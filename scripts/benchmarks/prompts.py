"""Prompts of an exact number of tokens, as text: a program with the same tokenizer reads the same tokens from it."""

import itertools
from collections.abc import Callable

from rnr.types import Example, Prompt

SENTENCE = (
    "Ada Lovelace wrote to Charles Babbage from London in the summer , and he answered that the engine would be shown "
    "to the committee of the Royal Society before the end of the year ."
)


def prompts(model_folder: str, count: int, tokens: int, *, first: int = 0) -> list[Prompt]:
    """``count`` prompts of ``tokens`` tokens, numbered from ``first``; no two share their beginning.

    Raises ValueError when the tokenizer cannot be brought to that number.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)

    def encode(text: str) -> list[int]:
        return tokenizer(text)["input_ids"]

    made = []
    for number in range(first, first + count):
        text = exact_text(number, tokens, lambda text: len(encode(text)))
        example = Example(uid=str(number), sentence=text, schema=("person", "place"), mentions=())
        made.append(Prompt(example=example, token_ids=tuple(encode(text))))
    return made


def exact_text(number: int, tokens: int, count: Callable[[str], int]) -> str:
    """Text number ``number``, which ``count`` finds to have ``tokens`` tokens; ValueError when there is none."""
    text = f"{number} letters :"
    for word in itertools.cycle(SENTENCE.split()):
        if count(f"{text} {word}") > tokens:
            break
        text = f"{text} {word}"
    while count(text) < tokens:
        text += " a"
    if count(text) != tokens:
        raise ValueError(f"no prompt of {tokens} tokens: the nearest has {count(text)}")
    return text
