"""Offsets in scripts that do not divide words, or write more to them: what tells that their ends are inclusive."""

from dataclasses import dataclass, field
from pathlib import Path

import regex

from rnr.corpus.formats.rows import DataError
from rnr.corpus.report import Reading
from rnr.corpus.spacing import written_without_spaces

SINGLE = (
    "mentions are single characters of a script without spaces, which is more than usual: are the ends of this file "
    "inclusive? --offsets inclusive reads them so"
)
_FEW, _MANY = 2, 10
_OF_FEW, _OF_MANY = 0.6, 0.2
"""The shares of single characters that are doubted among a few and among many mentions."""
_FEWEST_SHORT = 3
_NAMED = 5
# Not Hangul, whose words end in a particle that is no part of a name.
_LETTER = regex.compile(r"[\p{L}\p{M}--[\p{Latin}\p{Greek}\p{Cyrillic}\p{Armenian}\p{Hangul}]]", regex.V1)


@dataclass(slots=True)
class OtherScripts:
    """Counts mentions that a file places by offsets alone, and those that inclusive ends would explain."""

    unspaced: int = 0
    single: int = 0
    others: int = 0
    short: int = 0
    """Mentions that would end with their word if they were one character longer."""
    _named: list[tuple[int, str]] = field(default_factory=list)

    def add(self, number: int, sentence: str, start: int, end: int) -> None:
        text = sentence[start:end]
        if written_without_spaces(text):
            self.unspaced += 1
            self.single += len(text) == 1
            if len(text) == 1 and len(self._named) < _NAMED:
                self._named.append((number, repr(text)))
        elif _LETTER.match(text[-1]):
            self.others += 1
            following = sentence[end : end + 2]
            self.short += bool(_LETTER.match(following)) and not _LETTER.match(following[1:])

    def close(self, file: Path, reading: Reading) -> None:
        """Note many single characters; raises DataError where nearly all mentions lack the last letter of a word."""
        many = self.unspaced >= _MANY and self.single >= _OF_MANY * self.unspaced
        if many or (self.unspaced >= _FEW and self.single >= _OF_FEW * self.unspaced):
            for number, text in self._named:
                reading.note(SINGLE, file, number, text)
            reading.note(SINGLE, file, times=self.single - len(self._named))
        if self.short >= _FEWEST_SHORT and self.short >= 0.9 * self.others:
            raise DataError(
                f"{file}: {self.short} of {self.others} mentions lack the last letter of their word, so their ends are "
                "probably inclusive: --offsets inclusive reads them so, --offsets characters takes them as they are"
            )
