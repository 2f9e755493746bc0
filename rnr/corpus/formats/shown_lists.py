"""Lists that stand as text in a cell or a field: as JSON, or as Python shows them."""

import ast
import io
import json
import re
import tokenize
from itertools import pairwise
from typing import Any

_ITEM = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+)"""
_ARRAY = re.compile(rf"\[\s*{_ITEM}(?:\s+(?:{_ITEM}|\.\.\.))+\s*\]")


def shows_a_list(value: Any) -> bool:
    """Whether a value is text that begins and ends as a list or an object does."""
    return isinstance(value, str) and value[:1] in ("[", "{") and value.rstrip()[-1:] in ("]", "}")


def shows_an_array(value: Any) -> bool:
    """Whether a value is text that shows an array as NumPy does, without commas: ``['Ida' 'ran']``, ``[1 0]``."""
    return isinstance(value, str) and bool(_ARRAY.fullmatch(value.strip()))


def list_in(text: str) -> Any:
    """The list or object in a text, with lists for tuples; None where it shows none.

    None, too, for an array as NumPy shows it (``['Ida' 'ran']``), whose words Python would take for one.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return None if _without_commas(text) else _without_tuples(ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _without_commas(text: str) -> bool:
    """Whether two texts stand side by side, which Python joins."""
    if "'" not in text and '"' not in text:
        return False
    try:
        tokens = [token.type for token in tokenize.generate_tokens(io.StringIO(text.strip()).readline)]
    except (tokenize.TokenError, SyntaxError):
        return False  # and no list either
    seen = [kind for kind in tokens if kind not in (tokenize.NL, tokenize.NEWLINE)]
    return any(left == right == tokenize.STRING for left, right in pairwise(seen))


def _without_tuples(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_without_tuples(inner) for inner in value]
    return {key: _without_tuples(inner) for key, inner in value.items()} if isinstance(value, dict) else value
