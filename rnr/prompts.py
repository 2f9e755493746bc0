"""``Example`` -> token ids, for sampling, evaluation and supervised targets alike.

The chat markup comes from the tokenizer's own template. A sentence is data: control tokens spelt out inside it
(``<|im_end|>``, ``<think>``) are encoded as ordinary text and never open or close anything.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from rnr.types import Example, Prompt

INSTRUCTION = 'Find the named entities. Think, then answer {"entities":{label:[text]}}'
_SLOT = "\u2063slot\u2063"


class Tokenizer(Protocol):
    """What is used of a Hugging Face tokenizer."""

    @property
    def all_special_tokens(self) -> list[str]: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...
    def encode(self, text: str, **options: Any) -> list[int]: ...


def user_message(example: Example) -> str:
    """What the user says: the labels that may be used and the sentence."""
    return f"Labels: {', '.join(example.schema)}\nSentence: {example.sentence}"


class ChatFormat:
    """The one way from text to tokens for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        conversation = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": _SLOT}]
        opened: str = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        answered: str = tokenizer.apply_chat_template(
            [*conversation, {"role": "assistant", "content": _SLOT}], tokenize=False
        )
        before, after = opened.split(_SLOT)
        self._before, self._after = self._markup(before), self._markup(after)
        closing = self._markup(answered.rpartition(_SLOT)[2])
        if not closing:
            raise ValueError("the chat template writes nothing after an answer, so its end cannot be learnt")
        self.stop_token_id: int = closing[0]

    def _markup(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _data(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def prompt(self, example: Example) -> Prompt:
        """The chat up to the place where the answer begins."""
        return Prompt(example=example, token_ids=(*self._before, *self._data(user_message(example)), *self._after))

    def target(self, answer: str) -> tuple[int, ...]:
        """Token ids of a written answer with its reasoning, closed by the stop token."""
        head, think, rest = answer.partition("<think>")
        reasoning, closing, body = rest.partition("</think>")
        if not think or not closing:
            return (*self._data(answer), self.stop_token_id)
        # Only the two markers may be control tokens (in some models they are); all between is data.
        return (
            *self._data(head),
            *self._markup("<think>"),
            *self._data(reasoning),
            *self._markup("</think>"),
            *self._data(body),
            self.stop_token_id,
        )


def refuse_too_long(prompts: Sequence[Prompt], *, context_tokens: int, answer_tokens: int) -> None:
    """Raise ValueError naming the first prompt that leaves less than ``answer_tokens`` of the context."""
    room = context_tokens - answer_tokens
    long = [prompt for prompt in prompts if len(prompt.token_ids) > room]
    if long:
        worst = max(long, key=lambda prompt: len(prompt.token_ids))
        raise ValueError(
            f"{len(long)} prompts are too long; {worst.uid} has {len(worst.token_ids)} tokens, and "
            f"model.context_tokens ({context_tokens}) less the answer ({answer_tokens}) leaves {room}: "
            "raise model.context_tokens, lower max_new_tokens, or take the sentence out"
        )
