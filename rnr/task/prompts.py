"""``Example`` -> token ids, for sampling, evaluation and supervised targets alike.

The chat markup comes from the tokenizer's own template (``rnr.task.template``). A sentence is data: control tokens
spelled out inside it (``<|im_end|>``, ``<think>``) are encoded as ordinary text and never open or close anything
(``rnr.task.encoding``).
"""

from collections.abc import Iterable, Mapping, Sequence
from unicodedata import normalize

from rnr.messages import counted, few
from rnr.task.encoding import Piece, PieceEncoder, Tokenizer
from rnr.task.grammar import OPENING
from rnr.task.parsing import CLOSE, OPEN, write
from rnr.task.template import DAY, read_template
from rnr.task.wording import COMPACT, Wording
from rnr.types import Example, Mention, Prompt


class ChatFormat:
    """The one way from text to tokens for one tokenizer, one wording and one set of label definitions.

    Raises ValueError, naming the model and what is unsupported in its template or tokenizer.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        wording: Wording = COMPACT,
        definitions: Mapping[str, str] | None = None,
        *,
        tokenizer_notes: Sequence[str] = (),
    ) -> None:
        """``tokenizer_notes`` are notes for the user about the tokenizer's files."""
        self.tokenizer = tokenizer
        self._tokenizer_notes = tokenizer_notes
        self.wording = wording
        self.definitions = dict(definitions or {})
        self._markup = read_template(tokenizer, wording.system)
        self._encoder = PieceEncoder(tokenizer)
        self._name = tokenizer.name_or_path
        closing = self._encoder.first_control(self._markup.closing)
        if closing is None:
            raise ValueError(
                f"model.path: {self._name}: the chat template closes an answer with {self._markup.closing!r}, which is "
                "not a control token of the tokenizer, so the end cannot be learnt: add the end-of-turn token to it"
            )
        self._closing = (Piece(closing[0]), Piece(closing[1], markup=True))
        self.stop_token_id: int = self._encoder.control_ids[closing[1]]
        # Special tokens would be missing from the text of a rollout, where the parser looks for these two.
        self._markers_are_tokens = all(
            marker in self._encoder.control_ids and not self._encoder.is_special(marker) for marker in (OPEN, CLOSE)
        )
        self._check(tokenizer)

    @property
    def opening(self) -> str:
        """The beginning of the answer that the prompt already contains: ``<think>``, with or without a newline, or
        empty."""
        opening = self._markup.opening
        # Further white space is the prompt's alone.
        return opening and (OPENING if opening.startswith(OPENING) else OPEN)

    @property
    def opens_plainly(self) -> bool:
        """Whether a target begins with the tokens of ``chain_opening``, so that a decoder may prefill them."""
        target = self.target([], "x")
        opening = chain_opening(self._encoder, self.opening)
        return target[: len(opening)] == opening

    @property
    def largest_token_id(self) -> int:
        """The largest token id in a plain prompt and its answer (template markup, think tags) and among the words that
        were added to the vocabulary."""
        plain = Example(uid="", sentence="Ada ran.", schema=("person",), mentions=())
        asked = self._encoder.encode(self._question(plain, {}))
        return max(*asked, *self.target([], ""), *self._encoder.word_ids)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on how this chat template and tokenizer differ from the usual."""
        notes = [*self._tokenizer_notes]
        if self.wording.system is not None and self._markup.between is None:
            notes.append("the chat template has no system role: the instruction is in the user's message")
        if self._markup.opening:
            notes.append("the chat template opens the reasoning: answers begin inside it")
        if self._markup.dated:
            day = f"{DAY:%Y-%m-%d}"
            notes.append(f"the chat template writes the date: RNR always sets it to {day}, in training and prediction")
        if odd := self._encoder.kept_out:
            notes.append(f"{len(odd)} added tokens are not used in sentences: {few(list(map(repr, odd)), 5)}")
        return tuple(f"model.path: {note}" for note in notes)

    def _question(self, example: Example, definitions: Mapping[str, str]) -> list[Piece]:
        message = self.wording.message(example, definitions)
        markup = self._markup
        if markup.between is not None:
            system = [Piece(markup.trim(self.wording.system or "")), Piece(markup.between, markup=True)]
        else:
            system = []
            message = f"{self.wording.system}\n\n{message}" if self.wording.system else message
        after = Piece(markup.after, markup=True)
        return [Piece(markup.before, markup=True), *system, Piece(markup.trim(message)), after]

    def prompt(self, example: Example, definitions: Mapping[str, str] | None = None) -> Prompt:
        """The chat up to the beginning of the answer, with the format's own label definitions and these.

        Raises ValueError for definitions if the wording has no place for them.
        """
        if definitions and self.wording.paper:
            raise ValueError("this model was trained with the prompt reference, which has no place for definitions")
        return Prompt(
            example=example,
            token_ids=tuple(self._encoder.encode(self._question(example, {**self.definitions, **(definitions or {})}))),
            opening=self.opening,
        )

    def token_name(self, token_id: int) -> str:
        """How the vocabulary spells a token."""
        return self.tokenizer.convert_ids_to_tokens(token_id)

    def shows_sentence(self, prompt: Prompt) -> bool:
        """Whether decoding a prompt gives back its sentence: a normalizer may change letters, and a vocabulary without
        bytes may lack some."""
        text: str = self.tokenizer.decode(prompt.token_ids, clean_up_tokenization_spaces=False)
        return prompt.example.sentence.strip() in text

    def round_trip(self, text: str) -> str:
        """The text after encoding and decoding it inside a prompt."""
        # All at once and after a word, because many tokenizers put a space before the beginning of a text.
        context = [Piece(self._markup.after, markup=True), Piece("x")]
        encoded = (self._encoder.encode(pieces) for pieces in (context, [*context, Piece(f" {text}")]))
        before, whole = (self.tokenizer.decode(ids, **_AS_ROLLOUT) for ids in encoded)
        return whole.removeprefix(f"{before} ")

    def change_of(self, text: str) -> str:
        """What the tokenizer changes in a text, why, and what to do."""
        found = self.round_trip(text)
        pairs = zip(text, found, strict=False)
        at = next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(text), len(found)))
        shown = (ascii(each[max(0, at - 10) : at + 10]) for each in (text, found))
        fault = "the tokenizer does not reproduce the text: {} becomes {}".format(*shown)
        normalizer = self._encoder.normalizer
        for form in ("NFC", "NFKC"):
            if self.round_trip(other := normalize(form, text)) == other:
                return f"{fault} (its normalizer is {normalizer}): write the data in the Unicode form {form}"
        also = f", or its normalizer, {normalizer}, changes them" if normalizer else ""
        return f"{fault} (its vocabulary lacks characters{also}): use another model"

    def chain_tokens(self, chain: str) -> tuple[int, ...]:
        """Token ids of a partial chain that follows a prompt."""
        written = self._encoder.encode_after([Piece(OPENING, markup=True)], [Piece(chain)])
        return (*chain_opening(self._encoder, self.opening), *written)

    def target(self, mentions: Iterable[Mention], reasoning: str | None) -> tuple[int, ...]:
        """Token ids of the target answer, closed by the stop token.

        If the prompt has opened the reasoning, they continue from there: ``prompt.opening`` plus their text is what
        ``write`` returns.
        """
        indent = 2 if self.wording.paper else None
        if self._markup.opening and reasoning is None:
            reasoning = ""
        return self._encoded(write(mentions, reasoning=reasoning, indent=indent))

    def _encoded(self, answer: str) -> tuple[int, ...]:
        context = [Piece(self._markup.after, markup=True)]
        token_ids = self._encoder.encode_after(context, [*self._answer(answer), *self._closing])
        if token_ids[-1] != self.stop_token_id or self.stop_token_id in token_ids[:-1]:
            raise ValueError(f"model.path: {self._name}: the stop token occurs inside an answer: {answer[:80]!r}")
        return tuple(token_ids)

    def _answer(self, answer: str) -> list[Piece]:
        """The pieces of an answer from ``write``, without the part that the prompt has written."""
        opening = self.opening
        lead = [Piece(self._markup.lead)]
        if not answer.startswith(OPEN):
            return [*lead, Piece(answer)]
        chain, _, body = answer.removeprefix(OPEN).partition(CLOSE)
        begin = [Piece(chain.removeprefix(opening.removeprefix(OPEN)))]
        if not opening:
            begin = [*lead, self._marker(OPEN), Piece(chain)]
        return [*begin, self._marker(CLOSE), Piece(body)]

    def _marker(self, text: str) -> Piece:
        return Piece(text, markup=self._markers_are_tokens)

    def _check(self, tokenizer: Tokenizer) -> None:
        """Compare our encoding of a conversation with the tokenizer's own, and check that it decodes to the same
        text."""
        sentence = 'Ada Lovelace (born in London, 1815) wrote "Notes": 26 pages.'
        example = Example(uid="", sentence=sentence, schema=("person", "city"), mentions=())
        asked = self._question(example, {})
        question = "".join(piece.text for piece in asked)
        # As markup, because control tokens in a wording are data to us but not to the tokenizer.
        if self._encoder.encode([Piece(question, markup=True)]) != tokenizer.encode(question, add_special_tokens=False):
            raise ValueError(
                f"model.path: {self._name}: the tokenizer does not encode a prompt as its control tokens and the text "
                f"between them, so sentences cannot be separated from markup: {question!r}"
            )
        answer = write([Mention(text="Ada Lovelace", label="person")], reasoning="Ada Lovelace,\n  a [person].")
        token_ids = self._encoder.encode(asked)
        given = self._round_trip(tokenizer, token_ids, answer)
        if given != answer and self._markers_are_tokens:
            self._markers_are_tokens = False
            given = self._round_trip(tokenizer, token_ids, answer)
        if given != answer:
            raise ValueError(
                f"model.path: {self._name}: the tokenizer does not reproduce an answer, so no entity could be copied "
                f"exactly: {given!r} for {answer!r}"
            )

    def _round_trip(self, tokenizer: Tokenizer, prompt: list[int], answer: str) -> str:
        """The text of a rollout with this answer, without the white space that the parser ignores. The stop token is
        not part of it, special or not."""
        before = tokenizer.decode(prompt, **_AS_ROLLOUT)
        whole = tokenizer.decode([*prompt, *self._encoded(answer)[:-1]], **_AS_ROLLOUT)
        return (self.opening + whole.removeprefix(before)).strip()


_AS_ROLLOUT = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}


def chain_opening(encoder: PieceEncoder, opening: str) -> tuple[int, ...]:
    """Token ids of ``<think>`` and a newline, without the ``opening`` that the prompt has already written."""
    marker, newline = [Piece(OPEN, markup=True)], [Piece("\n")]
    if opening == OPENING:
        return ()
    return tuple(encoder.encode_after(marker, newline) if opening else encoder.encode([*marker, *newline]))


def refuse_too_long(
    prompts: Sequence[Prompt], *, context_tokens: int, answer_tokens: int, training: bool = False
) -> None:
    """Raise ValueError naming the longest prompt that leaves less than ``answer_tokens`` of the context, and what to
    change; prompts of ``training`` may be left out."""
    room = context_tokens - answer_tokens
    long = [prompt for prompt in prompts if len(prompt.token_ids) > room]
    if long:
        otherwise = "leave long ones out by data.max_prompt_tokens" if training else "remove the sentence"
        worst = max(long, key=lambda prompt: len(prompt.token_ids))
        raise ValueError(
            f"{counted(len(long), 'prompt')} too long; {worst.uid} has {len(worst.token_ids)} tokens, and "
            f"model.context_tokens ({context_tokens}) minus the answer ({answer_tokens}) leaves {room}: "
            f"raise model.context_tokens, lower max_new_tokens, or {otherwise}"
        )
