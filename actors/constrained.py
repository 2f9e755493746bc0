"""Which tokens of a completion were decisions, under the grammar that it was decoded with.

Knows xgrammar, which vLLM decodes with, but no engine.
"""

from collections.abc import Sequence
from typing import Any

import numpy
import xgrammar


class GrammarMasks:
    """The token ids that the grammar of a prompt allowed at each place of a completion, for one tokenizer."""

    def __init__(self, tokenizer: Any, stop_token_ids: Sequence[int]) -> None:
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer)
        self._vocabulary: list[bytes] = info.decoded_vocab
        self._stops = list(stop_token_ids)
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self._mask = xgrammar.allocate_token_bitmask(1, info.vocab_size)
        self._bits = self._mask.numpy().view(numpy.uint8)[0]

    def allowed(self, grammar: str, token_ids: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """For each token the ids among which it was a decision, in ascending order; for a token that decides nothing it
        alone. Nothing is decided where one id is allowed, and where several are but all spell, or begin to spell, what
        has to follow: ``l``, ``la`` and ``lace`` after ``Love``.

        Raises ValueError for a token that the grammar does not allow.
        """
        matcher = xgrammar.GrammarMatcher(
            self._compiler.compile_grammar(grammar), override_stop_tokens=self._stops, max_rollback_tokens=0
        )
        found: list[tuple[int, ...]] = []
        for place, token in enumerate(token_ids):
            matcher.fill_next_token_bitmask(self._mask)
            ids = tuple(numpy.unpackbits(self._bits, bitorder="little").nonzero()[0].tolist())
            decided = len(ids) > 1 and not self._spells(matcher, ids)
            if not matcher.accept_token(token):
                raise ValueError(
                    f"token {place}, {self._vocabulary[token]!r}, is not among the {len(ids)} allowed ones"
                )
            found.append(ids if decided else (token,))
        return tuple(found)

    def _spells(self, matcher: Any, ids: tuple[int, ...]) -> bool:
        """Whether all these tokens begin the one text that has to follow."""
        if any(token in self._stops for token in ids):
            return all(token in self._stops for token in ids)
        longest = max((self._vocabulary[token] for token in ids), key=len)
        if not all(longest.startswith(self._vocabulary[token]) for token in ids):
            return False
        # Nested tokens may still leave a choice open that has no token of its own: then less has to follow.
        return matcher.find_jump_forward_string().encode().startswith(longest)
