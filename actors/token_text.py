"""The text of sampled tokens, and where in it each of them ends."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any


def pieces(
    tokenizer: Any,
    stop_token_id: int,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    *,
    control_tokens: bool = False,
) -> list[str] | None:
    """What each token adds to the text behind the prompt; of tokens that make one character together the last adds it.
    The stop token adds nothing, and nor do other ``control_tokens`` unless asked for. None for a tokenizer that is not
    one of the fast ones, or that cannot tell."""
    from tokenizers.decoders import DecodeStream

    backend = getattr(tokenizer, "_tokenizer", None)
    if backend is None:
        return None
    stream = DecodeStream(ids=list(prompt_ids), skip_special_tokens=not control_tokens)
    try:
        return ["" if token == stop_token_id else stream.step(backend, token) or "" for token in token_ids]
    except Exception as error:  # tokenizers has no narrower class for it
        if "Invalid prefix" not in str(error):
            raise
        return None


def character_ends(
    tokenizer: Any, stop_token_id: int, prompt_ids: Sequence[int], token_ids: Sequence[int], text: str
) -> tuple[int, ...]:
    """Characters of the text after each token, those of several tokens with the last of them; empty where the text was
    put together in another way than from whole tokens."""
    found = pieces(tokenizer, stop_token_id, prompt_ids, token_ids)
    ends = tuple(accumulate(map(len, found))) if found else ()
    return ends if ends and ends[-1] == len(text) else ()
