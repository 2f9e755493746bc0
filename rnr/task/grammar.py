"""The tagged chains of a sentence as a grammar for constrained decoding.

At nearly every token of a tagged chain there is nothing to decide: the sentence is copied. The decisions are whether a
mention begins here, where it ends and which label of the schema it has. The grammar of a sentence and a schema leaves
only these open, so that nothing can be misspelt, invented, skipped or continue forever.

The answer's JSON follows from the marks, so it is not decoded: the caller parses the chain with
``rnr.task.chains.read_chain`` and writes the answer with ``rnr.task.parsing.write``. The completion then has the form
of the warm start's targets, and reward, evaluation and saved predictions read it like any other.

Grammars are EBNF for xgrammar and vLLM's structured outputs: right-linear, about three rules per word.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise

from rnr.task.chains import spelled
from rnr.task.parsing import CLOSE, OPEN
from rnr.types import Example, Mention

OPENING = f"{OPEN}\n"
"""The text before a chain."""
ENDING = f"\n{CLOSE}"
"""The text after a chain."""

_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u3100-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff]"
)
"""Scripts whose words have no space between them, or whose names take endings without one: Thai, Lao, Tibetan, Burmese,
Hangul, Khmer, Han, Kana."""
_UNMARKABLE = re.compile(r"[\[\]:\n\r]|</?think>|^\s|\s$")
_JOINER = "\u200d"
_EXTENDING = frozenset({"Mn", "Mc", "Me", "Cf"})
_TONES = range(0x1F3FB, 0x1F400)
"""Skin tones, which change the emoji before them."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def refuse_labels(schema: Iterable[str]) -> None:
    """Raise ValueError naming the labels that no mark can hold."""
    if bad := unmarkable(schema):
        raise ValueError(
            f"labels that a mark [text: label] cannot hold: {', '.join(map(repr, bad))}; rename them "
            "(no brackets, colons or line breaks, no spaces at the ends), or use decoding schema "
            '(sampling.decoding="schema" in training)'
        )


def unmarkable(schema: Iterable[str]) -> list[str]:
    """The labels, sorted, that no mark can hold, or that would read back as another label."""
    return sorted({label for label in schema if not label.strip() or _UNMARKABLE.search(label)})


def boundaries(sentence: str) -> list[int]:
    """The offsets at which a mention may begin or end, in order: all but those inside a word of letters and digits, or
    inside one visible character (accents, joined emoji). In scripts without spaces each character is a word."""
    inside = set()
    word = unspaced = False
    before = " "
    for place, letter in enumerate(sentence):
        blank = before.isspace() or letter.isspace()
        joined = not blank and (_extends(letter) or before == _JOINER)
        before = letter
        if joined:
            inside.add(place)
            continue
        is_word, is_unspaced = letter.isalnum(), bool(_UNSPACED.match(letter))
        if word and is_word and not (unspaced or is_unspaced):
            inside.add(place)
        word, unspaced = is_word, is_unspaced
    return [place for place in range(len(sentence) + 1) if place not in inside]


def _extends(letter: str) -> bool:
    return unicodedata.category(letter) in _EXTENDING or ord(letter) in _TONES


def unreachable(example: Example) -> list[Mention]:
    """The mentions of an example that no chain under its grammar can mark: without offsets, with spaces at an end, with
    ends that are not ``boundaries``, with labels outside the schema, or inside or across another, longer one."""
    places = set(boundaries(example.sentence))
    found: list[Mention] = []
    position = 0
    for mention in sorted(example.mentions, key=lambda mention: (mention.start, -mention.end)):
        reachable = (
            mention.grounded
            and mention.start >= position
            and {mention.start, mention.end} <= places
            and mention.text == mention.text.strip()
            and mention.label in example.schema
        )
        if reachable:
            position = mention.end
        else:
            found.append(mention)
    return found


def chain_grammar(sentence: str, schema: Sequence[str], *, before: str = "") -> str:
    """The grammar of all tagged chains of a sentence, after a fixed text and with the line break that ends them.

    Outside a mark the next piece of the sentence is copied, or ``[`` opens a mark; inside, a piece is copied or
    ``: label]`` closes it. A mark begins and ends at ``boundaries`` and not at a blank. The line break is part of the
    grammar because some tokenizers have one token for it and the character before: without it, that token would be
    forbidden and the last decision distorted.

    Raises ValueError for labels that a mark cannot hold (``refuse_labels``) and for a blank sentence.
    """
    refuse_labels(schema)
    if not schema or not sentence.strip():
        raise ValueError("a grammar needs a sentence that is not blank and a schema that is not empty")
    text = spelled(sentence)
    pieces, last = _pieces(text, boundaries(sentence))
    rules = [f"root ::= {_quoted(before)} o0" if before else "root ::= o0"]
    rules.append("close ::= " + " | ".join(_quoted(f": {label}]") for label in dict.fromkeys(schema)))
    for number, piece in enumerate(pieces):
        copied = _quoted(piece)
        opened = "" if piece[0].isspace() else f' | "[" {copied} i{number + 1}'
        rules.append(f"o{number} ::= {copied} o{number + 1}{opened}")
        ways = [] if piece[-1].isspace() else [f"close o{number + 1}"]
        if number < last:
            ways.append(f"{_quoted(pieces[number + 1])} i{number + 2}")
        if ways:
            rules.append(f"i{number + 1} ::= {' | '.join(ways)}")
    rules.append(f"o{len(pieces)} ::= " + _quoted("\n"))
    return "\n".join(rules)


def answer_grammar(sentence: str, schema: Sequence[str]) -> str:
    """The grammar of the answers to a sentence: ``{"entities":{label:[span,...]}}`` with labels of the schema and spans
    of the sentence, from one of its ``boundaries`` to another."""
    if not schema or not sentence.strip():
        raise ValueError("a grammar needs a sentence that is not blank and a schema that is not empty")
    pieces, last = _pieces(sentence, boundaries(sentence))
    starts = [number for number, piece in enumerate(pieces) if not piece[0].isspace()]
    labels = " | ".join(_quoted(json.dumps(label, ensure_ascii=False)) for label in dict.fromkeys(schema))
    rules = [
        'root ::= "{\\"entities\\":{" (entry ("," entry)*)? "}}"',
        'entry ::= label ":[" (span ("," span)*)? "]"',
        f"label ::= {labels}",
        'span ::= "\\"" (' + " | ".join(f"s{number}" for number in starts) + ")",
    ]
    for number, piece in enumerate(pieces):
        ways = [] if piece[-1].isspace() else ['"\\""']
        if number < last:
            ways.append(f"s{number + 1}")
        if ways:
            rules.append(f"s{number} ::= {_quoted(json.dumps(piece, ensure_ascii=False)[1:-1])} ({' | '.join(ways)})")
    return "\n".join(rules)


def _pieces(text: str, places: Sequence[int]) -> tuple[list[str], int]:
    """The text cut where a mark may begin or end, at its boundaries, but not inside white space; and the number of the
    last piece that is not blank."""
    cuts = [
        place for place in places if not (0 < place < len(text) and text[place - 1].isspace() and text[place].isspace())
    ]
    pieces = [text[start:end] for start, end in pairwise(cuts)]
    return pieces, max(number for number, piece in enumerate(pieces) if not piece.isspace())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'
