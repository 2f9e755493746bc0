"""Text of two kinds -> token ids: markup may contain control tokens, data never does.

A Hugging Face tokenizer recognises added tokens in any text: ``<|im_end|>`` in a sentence ends the turn, and
``<think>``, if it is added but not "special", opens a chain even with ``split_special_tokens``. Encoding the pieces one
by one does not work, because some tokenizers put a space before each piece. So the whole text is encoded at once by a
copy of the tokenizer in which the added tokens have other names, and markup uses these names.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rnr.files.jsonl import strict_json

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""A byte-fallback token of some models: text, even if it is listed as added."""

_WORD = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 '&+./-]*[A-Za-z0-9+])?")
"""An added token that can only be a word. Some grammars read letters beyond ASCII as bytes."""
_MARKUP = re.compile(r"[<>\[\]{}|\uff5c]")


class Tokenizer(Protocol):
    """The methods of a Hugging Face tokenizer that are used."""

    @property
    def name_or_path(self) -> str: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...
    def encode(self, text: str, **options: Any) -> list[int]: ...
    def decode(self, token_ids: Any, **options: Any) -> Any: ...
    def convert_ids_to_tokens(self, ids: int) -> str: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; only in markup do the names of control tokens mean these tokens."""

    text: str
    markup: bool = False


class PieceEncoder:
    """Token ids of texts made of pieces, as the tokenizer itself would give them for the joined text if no data spelt
    a control token.

    Control tokens are the tokenizer's added tokens but those that are ordinary text in some vocabularies: white space
    alone, and words (``_words``). Raises ValueError for a tokenizer that is not one of the ``tokenizers`` library.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ValueError(
                f"model.path: {tokenizer.name_or_path}: the tokenizer ({type(tokenizer).__name__}) has no "
                "tokenizer.json, which RNR needs to separate control tokens from text: convert it to a fast tokenizer"
            )
        backend.no_truncation()  # some files set one, for other uses
        backend.no_padding()
        added = backend.get_added_tokens_decoder()
        nonce = "".join(chr(0xE100 + byte) for byte in secrets.token_bytes(8))  # no text can know it
        self._names: dict[str, str] = {}
        self.control_ids: dict[str, int] = {}
        """The control tokens by their names."""
        special: set[str] = set()
        words = _words(tokenizer, added)
        self.word_ids = tuple(words.values())
        """The tokens of the words that were added."""
        for number, (token_id, token) in enumerate(added.items()):
            if not token.content.replace("\u2581", " ").strip() or token.content in words:
                continue
            self.control_ids[token.content] = token_id
            self._names[token.content] = f"{nonce}{chr(0xE200 + number // 256)}{chr(0xE400 + number % 256)}"
            if token.special:
                special.add(token.content)
        self._special = frozenset(special)
        longest_first = sorted(self._names, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        model = backend.model
        self._copy, self._original = self._copied(backend, model, added)
        if type(model).__name__ != "BPE" or self._leaks():
            model = self._renamed(backend)
            self._copy, self._original = self._copied(backend, model, added)
        self._within, _ = self._copied(_without_prefix_space(backend), model, added)
        """The same without the prefix space, for text in the middle."""

    @property
    def kept_out(self) -> list[str]:
        """The added tokens that might be words and are never used for text."""
        return [text for text in self.control_ids if not (self.is_special(text) or _MARKUP.search(text))]

    @property
    def normalizer(self) -> str:
        """The names of the tokenizer's normalizers; empty for none."""
        if self._copy.normalizer is None:
            return ""
        normalizer = json.loads(self._copy.normalizer.__getstate__())
        return ", ".join(each["type"] for each in normalizer.get("normalizers", [normalizer]))

    def is_special(self, text: str) -> bool:
        """Whether this is a control token that ``skip_special_tokens`` drops."""
        return text in self._special

    def first_control(self, text: str) -> tuple[str, str] | None:
        """The text before the first control token of ``text``, and its name; None if there is none."""
        found = self._control.search(text)
        return (text[: found.start()], found[0]) if found else None

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        """Token ids of the joined pieces."""
        return self._encoded(self._copy, pieces)

    def encode_after(self, context: Sequence[Piece], pieces: Sequence[Piece]) -> list[int]:
        """Token ids of ``pieces`` where they continue ``context``, whose own token ids stay as they are."""
        before, joined = self.encode(context), self.encode([*context, *pieces])
        if joined[: len(before)] == before:
            return joined[len(before) :]
        return self._encoded(self._within, pieces)  # a token would span the end of the context: encode separately

    def _encoded(self, copy: Any, pieces: Sequence[Piece]) -> list[int]:
        text = "".join(self._spelt(piece) for piece in pieces)
        token_ids: list[int] = copy.encode(text, add_special_tokens=False).ids
        return [self._original.get(token, token) for token in token_ids]

    def _spelt(self, piece: Piece) -> str:
        return self._control.sub(lambda found: self._names[found[0]], piece.text) if piece.markup else piece.text

    def _copied(self, backend: Any, model: Any, added: Mapping[int, Any]) -> tuple[Any, dict[int, int]]:
        """The tokenizer with other names for its control tokens, and the map from its ids to the original ids."""
        from tokenizers import AddedToken
        from tokenizers import Tokenizer as Backend

        copy: Any = Backend(model)
        if backend.normalizer is not None:
            copy.normalizer = backend.normalizer
        if backend.pre_tokenizer is not None:
            copy.pre_tokenizer = backend.pre_tokenizer
        names = {token_id: self._names.get(token.content, token.content) for token_id, token in added.items()}
        flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
        tokens = [
            AddedToken(names[token_id], **{flag: getattr(token, flag) for flag in flags})
            for token_id, token in added.items()
        ]
        copy.add_tokens(tokens)
        return copy, {copy.token_to_id(name): token_id for token_id, name in names.items()}

    def _leaks(self) -> bool:
        """Whether the model itself merges the spelling of a control token into that token."""
        controls = {token_id for text, token_id in self.control_ids.items() if not _BYTE.fullmatch(text)}
        return any(controls.intersection(self.encode([Piece(text)])) for text in self.control_ids)

    def _renamed(self, backend: Any) -> Any:
        """The model with the control tokens of its own vocabulary renamed, so that no text can be one of them."""
        from tokenizers import Tokenizer as Backend

        whole = json.loads(backend.to_str())
        model = whole["model"]
        names = {text: name for text, name in self._names.items() if not _BYTE.fullmatch(text)}
        vocabulary = model["vocab"]
        if isinstance(vocabulary, dict):
            model["vocab"] = {names.get(token, token): number for token, number in vocabulary.items()}
        else:
            model["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
        if "merges" in model:
            pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
            model["merges"] = [[a, b] for a, b in pairs if not {a, b, a + b} & names.keys()]
        if model.get("unk_token") is not None:
            model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
        whole |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
        return Backend.from_str(json.dumps(whole, allow_nan=False)).model


def _without_prefix_space(backend: Any) -> Any:
    """A tokenizer with only the normalizer and the pre-tokenizer, without the space that some put before every text."""
    from tokenizers import Tokenizer as Backend
    from tokenizers.models import BPE

    whole: dict[str, Any] = json.loads(Backend(BPE()).to_str())
    for kind, parts in (("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers")):
        found = getattr(backend, kind)
        states = [] if found is None else [json.loads(found.__getstate__())]
        steps = [each for state in states for each in state.get(parts, [state]) if each["type"] != "Prepend"]
        for each in steps:
            each |= {"prepend_scheme": "never"} if each["type"] == "Metaspace" else {}
            each |= {"add_prefix_space": False} if each["type"] == "ByteLevel" else {}
        whole[kind] = {"type": "Sequence", parts: steps} if steps else None
    return Backend.from_str(strict_json(whole))


def _words(tokenizer: Any, added: Mapping[int, Any]) -> dict[str, int]:
    """The words that were added to a vocabulary, with their ids: tokens that are not special, do not look like markup
    and are not in the chat template. Empty if a text with all of them does not survive a round trip."""
    template = str(getattr(tokenizer, "chat_template", None) or "")
    words = {
        token.content: token_id
        for token_id, token in added.items()
        if not token.special and _WORD.fullmatch(token.content) and token.content not in template
    }
    text = " ".join(f"a {word}, {word}." for word in words)
    backend = tokenizer.backend_tokenizer
    token_ids = backend.encode(text, add_special_tokens=False).ids
    found = backend.decode(token_ids, skip_special_tokens=True)
    return words if found == text and {*words.values()} <= {*token_ids} else {}
