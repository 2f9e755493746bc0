"""``Example`` -> token ids, for sampling, evaluation and supervised targets alike.

The chat markup comes from the tokenizer's own template. A sentence is data: control tokens spelt out inside it
(``<|im_end|>``, ``<think>``) are encoded as ordinary text and never open or close anything.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from rnr.task.parsing import write
from rnr.types import Decoding, Example, Mention, Prompt

PromptPreset = Literal["compact", "reference"]

INSTRUCTION = 'Find the named entities. Think, then answer {"entities":{label:[text]}}'
"""The system message of the preset ``compact``, which is ours."""

# The paper's user message, byte for byte with its full-width colon, because what it costs and yields is to be compared.
REFERENCE_PROMPT = """
You are an excellent information extraction assistant. Please extract the corresponding entities from the following \
sentence based on the provided schema and return them in JSON format.

Note:
1) The schema specifies the list of entity types that can be extracted;
2) Only extract entities that are included in the schema.

Schema\uff1a
{{SCHEMA}}

Output format:
{
  "entities": {
    "label1": [
      "x1",
      "x2"
    ],
    "label2": [
      "x3"
    ]
  }
}

Sentence:
{{SENTENCE}}
"""
_SLOT = "\u2063slot\u2063"


class Tokenizer(Protocol):
    """What is used of a Hugging Face tokenizer."""

    @property
    def all_special_tokens(self) -> list[str]: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...
    def encode(self, text: str, **options: Any) -> list[int]: ...


def user_message(
    example: Example, preset: PromptPreset = "compact", definitions: Mapping[str, str] | None = None
) -> str:
    """What the user says: the labels that may be used, with their definitions where there are any, and the sentence.

    The preset ``reference`` is the paper's, which has no definitions and sorts the labels.
    """
    if preset == "reference":
        schema = json.dumps(sorted(label.lower() for label in example.schema), ensure_ascii=False)
        before, _, after = REFERENCE_PROMPT.strip().partition("{{SCHEMA}}")
        middle, _, end = after.partition("{{SENTENCE}}")
        return f"{before}{schema}{middle}{example.sentence}{end}"
    defined = definitions or {}
    labels = (f"{label} ({defined[label]})" if label in defined else label for label in example.schema)
    return f"Labels: {', '.join(labels)}\nSentence: {example.sentence}"


def as_markup(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of text that is ours, in which control tokens are what they look like."""
    return tokenizer.encode(text, add_special_tokens=False)


def as_data(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of text from outside, in which control tokens are ordinary text."""
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


class ChatFormat:
    """The one way from text to tokens for one tokenizer, one prompt preset, one set of label definitions and one
    decoding."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        preset: PromptPreset = "compact",
        definitions: Mapping[str, str] | None = None,
        decoding: Decoding = "free",
    ) -> None:
        self._tokenizer = tokenizer
        self.decoding: Decoding = decoding
        self.preset: PromptPreset = preset
        self.definitions = dict(definitions or {})
        system = [{"role": "system", "content": INSTRUCTION}] if preset == "compact" else []
        conversation = [*system, {"role": "user", "content": _SLOT}]
        opened: str = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        answered: str = tokenizer.apply_chat_template(
            [*conversation, {"role": "assistant", "content": _SLOT}], tokenize=False
        )
        before, after = opened.split(_SLOT)
        self._before, self._after = as_markup(self._tokenizer, before), as_markup(self._tokenizer, after)
        closing = as_markup(self._tokenizer, answered.rpartition(_SLOT)[2])
        if not closing:
            raise ValueError("the chat template writes nothing after an answer, so its end cannot be learnt")
        self.stop_token_id: int = closing[0]

    def prompt(self, example: Example) -> Prompt:
        """The chat up to the place where the answer begins."""
        message = as_data(self._tokenizer, user_message(example, self.preset, self.definitions))
        token_ids = (*self._before, *message, *self._after)
        return Prompt(example=example, token_ids=token_ids, decoding=self.decoding)

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    def target(self, mentions: Iterable[Mention], reasoning: str | None) -> tuple[int, ...]:
        """Token ids of the answer to be learnt, closed by the stop token."""
        indent = 2 if self.preset == "reference" else None
        head, think, rest = write(mentions, reasoning=reasoning, indent=indent).partition("<think>")
        chain, closing, body = rest.partition("</think>")
        if not think or not closing:
            return (*as_data(self._tokenizer, head), self.stop_token_id)
        # Only the two markers may be control tokens (in some models they are); all between is data.
        return (
            *as_data(self._tokenizer, head),
            *as_markup(self._tokenizer, "<think>"),
            *as_data(self._tokenizer, chain),
            *as_markup(self._tokenizer, "</think>"),
            *as_data(self._tokenizer, body),
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
