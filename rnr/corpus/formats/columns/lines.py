"""Files with a whole sentence on each line: each token with its tag behind it, or the words and then the tags."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TypeAlias

from rnr.corpus.formats.columns.blocks import Block
from rnr.corpus.formats.files.csv_table import unquoted
from rnr.corpus.formats.files.text_lines import text_lines
from rnr.corpus.formats.tags.spelling import Spelling, find_spelling
from rnr.corpus.formats.tokens.text_tags import write_o

_BEHIND_TOKENS = "/|_:"
"""What stands between a token and its tag: ``Ada/B-PER``, ``Ada|NNP|B-PER``, ``Ada_B-PER``."""
_BETWEEN = ("\t", "|||", "|")
"""What stands between the words of a sentence and its tags."""
_INTENT = "<=>"
"""What stands between the tags of a sentence and the label of the whole of it."""
_FRAME = ("BOS", "EOS")
_TAG = re.compile(r"[Oo]|[BIESLUMWbieslumw][-_/:|].+")
_HOLDING = "(.+){0}([BIESLUMW][-_{0}].+)"
"""A token and a tag that holds the mark between them: ``Ada_B_PER``, ``Ada_B-first_name``. It is the last, because a
token may hold what looks like a tag: ``Vitamin_B-12_B-first_name``."""
_LABEL = re.compile(r"[A-Z][A-Z-]{2,}")
_ANY_LABEL = re.compile(r"[A-Za-z][\w.-]*")
_LOOKED_AT = 50
_USUAL = 0.9
"""Share of the lines, and of the tokens in them, that have a tag for each word; the others are errors."""
_OUTSIDE = 0.25
"""Share of the tokens that are outside of names, at least, where labels stand alone."""
_SOME, _HALF, _FEW_KINDS = 0.25, 0.5, 0.75
"""Share of the lines with their tags, and of the tokens with theirs, that tells what the others lack; so many kinds
they have at most."""

_Pairs: TypeAlias = list[Sequence[str]]
"""Each word of a line with what stands behind it, its tag the last."""


@dataclass(frozen=True, slots=True)
class SentenceLines:
    """How a line is divided: at a mark behind each token, or once, between the words and the tags."""

    mark: str
    once: bool
    behind: str = ""
    """What stands between the tags and the rest of a line, which is of the whole sentence."""
    fields: int = 1
    """How often the mark stands behind each token."""
    framed: bool = False
    """Whether BOS and EOS stand around the words; the tag of EOS may be that of the whole sentence."""
    holding: bool = False
    """Whether tags may hold the mark, too."""
    surplus: bool = False
    """Whether the tags have one more, that of the whole sentence."""
    quoted: bool = False
    """Whether CSV has put sentences that contain quotation marks into quotation marks."""

    @property
    def facts(self) -> Iterator[str]:
        """The notes about it."""
        if self.once:
            yield f"each line holds the words of a sentence and after {self.mark!r} its tags"
        else:
            said = self.mark.join(("token", "tag"))
            yield f"sentences have each token with its tag after it on one line ({said})"
        if self.behind:
            yield f"what comes after the last {self.behind!r} of a line is of its whole sentence and was not read"
        if self.framed:
            yield "BOS and EOS around the words, and what they are tagged, were left out"
        if self.surplus:
            yield "the last tag of a line, for which there is no word, is of its whole sentence and was not read"
        if self.quoted:
            yield "sentences that CSV has put into quotation marks, as they contain some, were read without these"

    def blocks(self, file: Path) -> Iterator[Block]:
        """Each line of a file as a block of lines with tabs between word and tag (a token may hold the mark, a tag
        may not); a word without a tag stays alone, which is an error of its line."""
        for number, line in enumerate(text_lines(file), 1):
            pairs = self.pairs(line)
            if self.once:
                pairs = [[part for part in pair if part] for pair in pairs]
            if pairs:
                yield Block(number, "\n".join(map("\t".join, pairs)), one_line=True)

    def pairs(self, line: str) -> _Pairs:
        """Each word of a line with its tag."""
        line = line.rpartition(self.behind)[0] or line if self.behind else line
        if self.once:
            words, _, tags = line.rpartition(self.mark)
            words = unquoted(words) if self.mark == "\t" else words
            found: _Pairs = list(zip_longest(words.split(), tags.split(), fillvalue=""))
        else:
            found = [self._divided(part) for part in line.split(" ") if part]
        if self.surplus and len(found) > 1 and not found[-1][0]:
            found.pop()
        return found[1:-1] if self.framed and _is_framed(found) else found

    def _divided(self, part: str) -> list[str]:
        cells = part.rsplit(self.mark, self.fields)
        if self.holding and not _TAG.fullmatch(cells[-1]) and (found := _whole_tag(part, self.mark)):
            return [found[1], found[2]]
        return cells


def _whole_tag(part: str, mark: str) -> re.Match[str] | None:
    """A token and its tag that holds the mark between them; None where there is none such."""
    return re.fullmatch(_HOLDING.format(re.escape(mark)), part)


def find_sentence_lines(sample: Sequence[Block]) -> SentenceLines | None:
    """How lines with a whole sentence each are divided; None where they hold none. Raises ValueError where some of them
    have their tags behind their words, and others have none, or have another mark in the place of O."""
    lines = _lines(sample)
    ways = [_with_fields(way, lines) if not way.once else way for way in _ways()]
    if found := next(filter(None, (_fitting(way, lines, _USUAL) for way in ways)), None):
        return found
    _refuse_without_o(lines)
    if found := next(filter(None, (_fitting(way, lines, _SOME) for way in ways if way.once)), None):
        without = next((line for line in lines if found.mark not in line), lines[0])
        raise ValueError(
            f"lines hold the words of a sentence and after {found.mark!r} its tags, and some hold no tags for their "
            f"words ({without[:60].strip()!r}): leave these out"
        )
    return None


def _refuse_without_o(lines: Sequence[str]) -> None:
    """Raises ValueError for lines that hold a sentence and its tags, with another mark in the place of O."""
    for words, _, tags in (line.rpartition(mark) for mark in _BETWEEN for line in lines):
        if len(words.split()) == len(tags.split()) and (said := write_o(tags)):
            raise ValueError(said)


def untagged_tokens(sample: Sequence[Block]) -> str:
    """The message about lines of which most tokens have something behind a mark that may be a tag; empty of others."""
    lines = _lines(sample)
    parts = [part for line in lines for part in line.split(" ") if part]
    for mark in _BEHIND_TOKENS if len(parts) > len(lines) else "":
        pairs = [(part, *part.rpartition(mark)) for part in parts]
        tags = Counter(tag for _, word, _, tag in pairs if word and _ANY_LABEL.fullmatch(tag))
        if tags.total() < _HALF * len(parts) or len(tags) > max(4, _FEW_KINDS * tags.total()):
            continue
        first = next(part for part, word, _, tag in pairs if word and tag in tags)
        said = f"no column of tags, but tokens seem to have one after {mark!r} ({first[:40]})"
        others = dict.fromkeys(part for part, word, _, tag in pairs if not word or tag not in tags)
        if others and (tags["O"] or tags["o"]):
            return f"{said}, and others have none ({', '.join(list(others)[:3])[:60]}): take these out"
        if tags["O"] or tags["o"]:
            return (
                f"{said}, and not all are tags such as B-person: write B- and I- before labels; alone they need O "
                f"beside them, and no {mark!r} in them or in their tokens"
            )
        return (
            f"{said}, none of which is O: parts of speech are no names; if these are labels, write {mark}O after "
            "tokens without one"
        )
    return ""


def _ways() -> Iterator[SentenceLines]:
    for behind in ("", _INTENT):
        yield from (SentenceLines(mark, once=False, behind=behind) for mark in _BEHIND_TOKENS)
    for mark in _BETWEEN:
        yield from (SentenceLines(mark, once=True, behind=behind) for behind in ("", mark, _INTENT))


def _lines(sample: Sequence[Block]) -> list[str]:
    return [line for block in sample[:_LOOKED_AT] for line in block.lines if line.strip()]


def _with_fields(way: SentenceLines, lines: Sequence[str]) -> SentenceLines:
    """The way with how often its mark stands behind each token, and whether in the tags, too: where most of them are
    tags that hold it, or have a letter before their label."""
    texts = [line.rpartition(way.behind)[0] if way.behind else line for line in lines]
    parts = [part for text in texts for part in text.split(" ") if part]
    fields = max(1, min((part.count(way.mark) for part in parts), default=1))
    inside = [(part, tag) for part in parts if (tag := part.rpartition(way.mark)[2]) not in ("O", "o")]
    lettered = sum(bool(_TAG.fullmatch(tag) or _whole_tag(part, way.mark)) for part, tag in inside)
    return replace(way, fields=fields, holding=fields == 1 and lettered > _HALF * len(inside))


def _fitting(way: SentenceLines, lines: Sequence[str], share: float) -> SentenceLines | None:
    """The way in which so many lines have a tag for each word; None where they have not."""
    least = max(1, share * len(lines))
    # A bar alone may stand behind tokens: A|O test|O.
    behind = " | " if way.behind == "|" else way.behind
    if behind and sum(behind in line for line in lines) < least:
        return None
    if sum(map(_is_framed, map(way.pairs, lines))) >= least:
        way = replace(way, framed=True)
    elif way.once and sum(_has_surplus(way.pairs(line)) for line in lines) >= least:
        way = replace(way, surplus=True)
    if way.mark == "\t":
        texts = [line.rpartition(way.mark)[0] for line in lines]
        way = replace(way, quoted=any(unquoted(text) != text for text in texts))
    found = [pairs for pairs in map(way.pairs, lines) if pairs]
    whole = [pairs for pairs in found if all(_is_pair(pair) for pair in pairs)]
    tags = Counter(pair[-1] for pairs in whole for pair in pairs)
    spelling = find_spelling(tags)
    tagged = [pairs for pairs in whole if all(spelling.read(pair[-1]) for pair in pairs)]
    if not tagged or len(tagged) < share * len(found) or sum(map(len, tagged)) <= len(tagged):
        return None
    if spelling.kind == "bare" and not way.once and _may_hold(way.mark, tagged, spelling.outside):
        return None
    read = Counter(pair[-1] for pairs in tagged for pair in pairs)
    return way if _are_tags(read, spelling, once=way.once) else None


def _may_hold(mark: str, lines: Sequence[_Pairs], outside: str) -> bool:
    """Whether labels that stand alone may hold the mark: their tokens hold it more often than those outside, and not
    all are in capitals, as those that hold none are (``AC/DC/ORG``)."""
    inside = [(pair[0], pair[-1]) for pairs in lines for pair in pairs if pair[-1] != outside]
    if all(_LABEL.fullmatch(label) for _, label in inside):
        return _holds(mark, inside)
    tokens: dict[bool, list[bool]] = {True: [], False: []}
    for pair in (pair for pairs in lines for pair in pairs):
        tokens[pair[-1] == outside].append(mark in pair[0])
    return sum(tokens[False]) * max(1, len(tokens[True])) > sum(tokens[True]) * len(tokens[False])


def _holds(mark: str, inside: Sequence[tuple[str, str]]) -> bool:
    """Whether labels in capitals hold the mark: different tokens, and all of one label, end with the same capitals
    (``Golden_RECORD`` and ``Ibis_RECORD`` beside ``LABEL``)."""
    parts = [(label, *token.rpartition(mark)[::2]) for token, label in inside]
    ends = {label: {end for one, begin, end in parts if one == label and begin} for label, *_ in parts}
    whole = {label for label, begin, _ in parts if not begin}
    begins = {label: {begin for one, begin, _ in parts if one == label} for label in ends.keys() - whole}
    return any(len(begins[label]) > 1 == len(ends[label]) and _LABEL.fullmatch(min(ends[label])) for label in begins)


def _is_pair(pair: Sequence[str]) -> bool:
    return len(pair) > 1 and all(pair) and "\t" not in "".join(pair)


def _is_framed(pairs: _Pairs) -> bool:
    return len(pairs) > 2 and (pairs[0][0], pairs[-1][0]) == _FRAME and pairs[0][-1] in ("O", "o")


def _has_surplus(pairs: _Pairs) -> bool:
    """Whether there is one tag more than words, behind tags for all of them, and no tag of a token."""
    if len(pairs) < 2 or pairs[-1][0] or not all(pair[0] for pair in pairs[:-1]):
        return False
    *tags, last = (pair[-1] for pair in pairs)
    spelling = find_spelling(Counter(tags))
    return spelling.kind != "bare" and all(map(spelling.read, tags)) and not spelling.read(last)


def _are_tags(counts: Mapping[str, int], spelling: Spelling, *, once: bool) -> bool:
    """Whether what stands behind words are tags of names; labels alone need O beside them, or capitals."""
    if spelling.kind != "bare":
        return True
    labels = counts.keys() - {spelling.outside}
    total = sum(counts.values())
    outside = counts.get(spelling.outside, 0) >= _OUTSIDE * total
    few = len(labels) <= max(4, total / 4) and all(map(_ANY_LABEL.fullmatch, labels))
    return (outside and few) or (not once and all(map(_LABEL.fullmatch, labels)))
