"""Files with a whole sentence on each line: each token with its tag behind it, or the words and then the tags."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from rnr.corpus.formats.column_blocks import Block
from rnr.corpus.formats.text_lines import text_lines

_TAGGED = re.compile(r"\S+?([|/_])(?:\S*\1)?(?:O|[BIESLUMW]-[^\s|/]+|[A-Z][A-Z-]{2,})")
"""``Ada/B-PER``, ``Ada|NNP|B-PER``, ``Ada_B-PER``"""
_TAG = re.compile(r"O|[BIESLUMW]-\S+")
_BETWEEN = ("\t", "|||", "|")
"""What stands between the words of a sentence and its tags."""
_LOOKED_AT = 50
_USUAL = 0.9
"""Share of the lines that have a tag for each word; the others are errors."""


@dataclass(frozen=True, slots=True)
class SentenceLines:
    """How a line is divided: at a mark behind each token, or once, between the words and the tags."""

    mark: str
    once: bool

    @property
    def fact(self) -> str:
        """What is said of it."""
        if self.once:
            return f"each line holds the words of a sentence and behind {self.mark!r} its tags"
        return f"sentences have each token with its tag behind it on one line ({self.mark.join(('token', 'tag'))})"

    def blocks(self, file: Path) -> Iterator[Block]:
        """Each line of a file as a block of lines with tabs between word and tag (a token may hold the mark, a tag
        may not); a word without a tag stays alone, which is an error of its line."""
        fields: int | None = None
        for number, line in enumerate(text_lines(file), 1):
            if self.once:
                pairs: list[Sequence[str]] = [[part for part in pair if part] for pair in _pairs(line, self.mark)]
            else:
                parts = [part for part in line.split(" ") if part]
                fields = fields or min((part.count(self.mark) for part in parts), default=None)
                pairs = [part.rsplit(self.mark, fields or 1) for part in parts]
            if pairs:
                yield Block(number, "\n".join(map("\t".join, pairs)), one_line=True)


def find_sentence_lines(sample: Sequence[Block]) -> SentenceLines | None:
    """How lines with a whole sentence each are divided; None where they hold none."""
    lines = [line for block in sample[:_LOOKED_AT] for line in block.lines if line.strip()]
    parts = [part for line in lines for part in line.split(" ") if part]
    marks = {match[1] if (match := _TAGGED.fullmatch(part)) else "" for part in parts}
    if len(marks) == 1 and "" not in marks and len(parts) > len(lines):
        return SentenceLines(marks.pop(), once=False)
    for mark in _BETWEEN:
        pairs = [_pairs(line, mark) for line in lines]
        tagged = [pair for pair in pairs if _is_tagged(pair)]
        if tagged and len(tagged) >= _USUAL * len(pairs) and sum(map(len, tagged)) > len(tagged):
            return SentenceLines(mark, once=True)
    return None


def _pairs(line: str, mark: str) -> list[tuple[str, str]]:
    """Each word of a line with its tag."""
    words, _, tags = line.rpartition(mark)
    return list(zip_longest(words.split(), tags.split(), fillvalue=""))


def _is_tagged(pairs: Sequence[tuple[str, str]]) -> bool:
    return bool(pairs) and all(word and _TAG.fullmatch(tag) for word, tag in pairs)
