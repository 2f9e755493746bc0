"""Prompts of the benchmarks: texts of an exact number of tokens, from which a peer with the same tokenizer gets the
same tokens, or real sentences in the prompts of a run."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from actors.model_files import load_tokenizer
from rnr.corpus.drawing import draw_from_each
from rnr.corpus.loading import load
from rnr.corpus.schemas import as_asked
from rnr.task.decoding import refuse_undecodable
from rnr.types import Decoding, Example, Prompt

SENTENCE = (
    "Ada Lovelace wrote to Charles Babbage from London in the summer , and he answered that the engine would be shown "
    "to the committee of the Royal Society before the end of the year ."
)


def prompts(model_folder: str, count: int, tokens: int, *, first: int = 0) -> list[Prompt]:
    """``count`` prompts of ``tokens`` tokens, numbered from ``first``; no two share a prefix.

    Raises ValueError if no text with exactly that number of tokens is found.
    """
    tokenizer = load_tokenizer(model_folder)

    def encode(text: str) -> list[int]:
        return tokenizer(text)["input_ids"]

    made = []
    for number in range(first, first + count):
        text = exact_text(number, tokens, lambda text: len(encode(text)))
        example = Example(uid=str(number), sentence=text, schema=("person", "place"), mentions=())
        made.append(Prompt(example=example, token_ids=tuple(encode(text))))
    return made


def exact_text(number: int, tokens: int, count: Callable[[str], int]) -> str:
    """Text number ``number``, with exactly ``tokens`` tokens by ``count``; raises ValueError if none is found."""
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


def sentences(model_folder: str, data: str, count: int, decodings: Sequence[Decoding]) -> dict[Decoding, list[Prompt]]:
    """Prompts for the same ``count`` sentences of a data set, as in a run, for each decoding.

    Raises ValueError if there are fewer sentences or one does not support a decoding.
    """
    from actors.chat_format import asks_catch_alls, chat_format, refuse_unfollowed

    asked_for = as_asked(load([data], training=False), catch_alls=asks_catch_alls(model_folder))
    examples = draw_from_each(asked_for, count)
    if len(examples) < count:
        raise ValueError(f"{data} has {len(examples)} sentences, fewer than the {count} prompts asked for")
    chat = chat_format(model_folder)
    for decoding in decodings:
        refuse_unfollowed(chat, decoding)
        refuse_undecodable(examples, decoding)
    asked = [chat.prompt(example) for example in examples]
    return {decoding: [replace(prompt, decoding=decoding) for prompt in asked] for decoding in decodings}
