"""Column files: a token and its tag on each line, a blank line between sentences (CoNLL, IOB1, IOB2, IOBES, BILOU).

Two passes, neither of which holds more than a sentence: the first finds out what the columns and the tags are, the
second reads. Lines end at line feeds (in a file without one at carriage returns), columns at tabs and spaces alone.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

from rnr.corpus.formats.columns.above import Above, Note, find_above
from rnr.corpus.formats.columns.blocks import Block, divided, read_block, whole_blocks, without_comments
from rnr.corpus.formats.columns.cells import BLANKS, without_trailing
from rnr.corpus.formats.columns.edges import edge_marks
from rnr.corpus.formats.columns.gaps import ALONE, sentences_of_one
from rnr.corpus.formats.columns.layout import Layout, find_layout
from rnr.corpus.formats.columns.lines import SentenceLines, find_sentence_lines, untagged_tokens
from rnr.corpus.formats.columns.looks import looks_like
from rnr.corpus.formats.columns.unknown import known_text
from rnr.corpus.formats.columns.word_parts import of_tokens
from rnr.corpus.formats.columns.words import refuse_tags_below
from rnr.corpus.formats.files.csv_table import unquoted
from rnr.corpus.formats.files.opening import MARKED
from rnr.corpus.formats.files.text_lines import text_lines, text_pieces
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import BLANK_TOKENS, Source
from rnr.corpus.formats.tags.reading import TagCensus, Tagged, TagScheme, begun, located, spans
from rnr.corpus.formats.tags.spelling import Spelling
from rnr.corpus.formats.tools.webanno import is_webanno, webanno_rows
from rnr.corpus.report import Reading
from rnr.corpus.spacing import join, written_without_spaces

COLUMN_SUFFIXES = (".conll", ".conllu", ".iob", ".iob2", ".bio", ".bioes", ".tsv", ".txt")

SAMPLE = 500
"""So many sentences tell what the columns are."""

MOST_PARTS = 24
"""So many megabytes tell which tag may follow which; what a tag says does not depend on it."""

CONTRADICTED = "sentences have a comment '# text =' that differs from their tokens, and are read from the tokens"
JOINED = "sentences of a script without spaces had tokens joined without one (data.reading.spaces)"
QUOTED = "words are in quotation marks, and each of theirs is written twice, as CSV writes them; they were read without"
UNDIVIDED = (
    "sentences of Label Studio's columns are of a script without spaces, which it divides at spaces and marks alone: a "
    "mention may be longer there than it was marked; its JSON says"
)
LONG = "sentences have more than 1,000 tokens; is there a blank line between sentences?"

_LONG = 1000
ONE = "column file has no blank line inside, and was read as one sentence"
_MOST_OF_ONE = 100
"""So many tokens are rarely one sentence."""
_ENDS = frozenset((".", "!", "?", "\u3002", "\uff01", "\uff1f", "\u0964", "\u061f", "..."))


def column_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The sentences of a file; raises DataError when it is not text or no column can be one of tags."""
    if is_webanno(next(text_lines(file), "")):
        if reading.options.tag_column:
            reading.fact("WebAnno TSV names its columns, so data.reading.tag_column is not used", file)
        yield from webanno_rows(file, reading)
        return
    sample = [block for block in islice(_all(whole_blocks(text_pieces(file))), SAMPLE) if block.text]
    if by_line := _by_line(sample, file):
        for fact in by_line.facts:
            reading.fact(fact, file)
    above = Above() if by_line else find_above(sample)

    def parts(note: Note | None = None) -> Iterator[Block]:
        return above.left_out(by_line.blocks(file) if by_line else whole_blocks(text_pieces(file)), note)

    blocks = [(block, kept) for block in islice(_all(parts()), SAMPLE) if (kept := without_comments(block.lines))]
    sentences = [kept for _, kept in blocks]
    try:
        refuse_tags_below([line for kept in sentences for line in kept])
        layout = find_layout(sentences, reading.options.tag_column)
    except ValueError as error:
        said = known_text([block.text for block in sample]) or untagged_tokens(sample)
        said = said or looks_like([line for block in sample for line in block.lines])
        raise DataError(f"{file}: {said or error}") from None
    scheme = _scheme(parts(), layout)
    for fact in (*layout.facts, *scheme.facts):
        reading.fact(fact, file)
    if not by_line:
        _note_gaps(blocks, layout, file, reading)
    words, started = list(_words(sentences, layout)), set(_begun(sentences, layout, scheme))
    for fact in edge_marks(words, started):
        reading.fact(fact, file)
    reading = reading.of_tokens(words, file, started)
    yield from _rows(_all(parts(Source(file=file, reading=reading).note)), layout, scheme, file, reading)


def _by_line(sample: Sequence[Block], file: Path) -> SentenceLines | None:
    texts = [block.text for block in sample]
    if sum(text.count("\r") for text in texts) > sum(text.count("\n") + 1 for text in texts):
        raise DataError(
            f"{file}: some lines end in carriage returns and others in line feeds: make all of them line feeds "
            r"(`perl -pe 's/\r\n?/\n/g'`)"
        )
    try:
        return find_sentence_lines(sample)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None


def _note_gaps(blocks: Sequence[tuple[Block, list[str]]], layout: Layout, file: Path, reading: Reading) -> None:
    """Note sentences of one token; raises DataError where a blank line after every row makes them."""
    rows = (layout.divide(lines[0]) for _, lines in blocks if lines)
    first = layout.tags([row[layout.tag].strip(BLANKS) for row in rows if len(row) > layout.tag])
    try:
        alone = sentences_of_one([len(block.lines) for block, _ in blocks], _gaps(blocks, file), first)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None
    if alone:
        reading.note(ALONE, file, times=alone)


def _gaps(blocks: Sequence[tuple[Block, list[str]]], file: Path) -> Iterator[int]:
    """How many blank lines stand together between two blocks, among which marks of documents may stand."""
    lines = list(islice(text_lines(file), blocks[-1][0].number))
    for (before, _), (after, _) in pairwise(blocks):
        between = lines[before.number - 1 + len(before.lines) : after.number - 1]
        yield max(map(len, "".join("x" if line.strip() else " " for line in between).split("x")))


def _all(parts: Iterator[Block]) -> Iterator[Block]:
    return (block for part in parts for block in divided(part))


def _words(sentences: Sequence[Sequence[str]], layout: Layout) -> Iterator[list[str]]:
    for lines in sentences:
        rows = map(layout.divide, lines)
        yield [row[layout.token].strip(BLANKS) or row[layout.token] for row in rows if len(row) > layout.token]


def _begun(sentences: Sequence[Sequence[str]], layout: Layout, scheme: TagScheme) -> Iterator[str]:
    """The words of these lines that begin a mention, but for brackets."""
    for lines in [] if layout.brackets else sentences:
        rows = [row for row in map(layout.divide, lines) if len(row) > max(layout.token, layout.tag)]
        tags = layout.tags([row[layout.tag].strip(BLANKS) for row in rows])
        yield from begun((row[layout.token].strip(BLANKS) for row in rows), tags, scheme)


_BLANK = "\0"


def _scheme(parts: Iterator[Block], layout: Layout) -> TagScheme:
    if layout.brackets:
        return TagScheme(name="IOB2", spelling=Spelling())
    census, header = TagCensus(), bool(layout.header)
    blank = layout.mark.join([_BLANK] * layout.width)
    for part in islice(parts, MOST_PARTS):
        # All at once, with a line of this in the place of each blank one, where none has another number of columns.
        whole = Block(part.number, part.text.replace("\n\n", f"\n{blank}\n"))
        columns = None if header else whole.columns(layout)
        if columns is not None:
            census.add(layout.tags(columns[layout.tag]))
            continue
        for block in divided(part):
            census.add(_tags(block, layout, header=header))
            header = header and not without_comments(block.lines)
    del census.counts[_BLANK]
    return census.scheme()


def _tags(block: Block, layout: Layout, *, header: bool) -> list[str]:
    """The tags of a block, without the ``header`` above them and lines with more columns, such as comments."""
    columns = None if header else block.columns(layout)
    if columns is not None:
        return layout.tags(columns[layout.tag])
    lines = without_comments(block.lines)
    rows = map(layout.divide, without_comments(lines[1:]) if header else lines)
    width = layout.width or math.inf
    found = [row for row in rows if layout.tag < len(row) and len(without_trailing(row)) <= width]
    return layout.tags([row[layout.tag].strip(BLANKS) for row in found])


def _rows(found: Iterator[Block], layout: Layout, scheme: TagScheme, file: Path, reading: Reading) -> Iterator[Row]:
    header, sentences, last = bool(layout.header), 0, Tagged(0)
    for block in found:
        try:
            sentence, glued = read_block(block, layout, scheme, header=header)
            header = header and not without_comments(block.lines)
            if layout.rest and any(map(written_without_spaces, sentence.tokens)):
                reading.note(UNDIVIDED, file, sentence.number)
            if len(sentence.tokens) > _LONG:
                reading.note(LONG, file, sentence.number, f"{len(sentence.tokens)} tokens")
            if sentence.tokens:
                sentences, last = sentences + 1, sentence
                yield sentence.number, _row(sentence, glued, scheme, file, reading)
            for kind, detail in sentence.notes:
                reading.note(kind, file, sentence.number, detail)
        except ValueError as error:
            header = False
            sentences += 2  # or whatever is in a block that cannot be read
            yield block.number, DataError(f"{file}, {error}")
    if sentences == 1 and not last.text and _are_several(last.tokens):
        reading.note(ONE, file, last.number, f"{len(last.tokens)} tokens")


def _are_several(tokens: Sequence[str]) -> bool:
    """Whether the tokens of a sentence may be those of several: so many, or with the end of one among them."""
    return _MOST_OF_ONE < len(tokens) <= _LONG or any(token in _ENDS for token in tokens[:-1])


def _row(found: Tagged, glued: list[int], scheme: TagScheme, file: Path, reading: Reading) -> dict[str, object]:
    mentions = list(spans(found.tags, found.places, scheme))
    if found.words:
        mentions = list(of_tokens(mentions, found))
    tokens, text = found.tokens, found.text[-1] if found.text else ""
    if text and (places := located(tokens, text)):
        return {"sentence": text, "entities": [[places[i][0], places[j - 1][1], label] for i, j, label in mentions]}
    if text:
        reading.note(CONTRADICTED, file, found.number, repr(text[:60]))
    if '""' in "".join(tokens):
        plain = list(map(unquoted, tokens))
        if quoted := [token for token, one in zip(tokens, plain, strict=True) if token != one]:
            reading.note(QUOTED, file, found.number, quoted[0], times=len(quoted))
        tokens = plain
    if " " in tokens:
        reading.note(BLANK_TOKENS, file, found.number, times=tokens.count(" "))
    tokens = reading.with_spaces(tokens, file, found.number)
    sentence, starts = join(tokens, reading.spaces, glued)
    if not sentence.isascii() and (marks := sum(token[0] == "\ufeff" and len(token) > 1 for token in tokens)):
        reading.note(MARKED, file, found.number, times=marks)
        tokens = [token.removeprefix("\ufeff") or token for token in tokens]
        sentence, starts = join(tokens, reading.spaces, glued)
    if not glued:
        reading.note_spaces(tokens, sentence, file, found.number)
        if (
            reading.spaces != "characters"
            and not reading.marks
            and not sentence.isascii()
            and _is_joined(sentence, tokens)
        ):
            reading.note(JOINED, file, found.number)
    entities = [[starts[i], starts[j - 1] + len(tokens[j - 1]), label] for i, j, label in mentions]
    return {"sentence": sentence, "entities": entities}


def _is_joined(sentence: str, tokens: Sequence[str]) -> bool:
    return len(sentence) < sum(map(len, tokens)) + len(tokens) - 1
