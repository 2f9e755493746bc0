"""Examples -> column files: a token and its tag on each line, below a comment with the sentence as it was."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from rnr.corpus.formats.tags.spelling import Spelling
from rnr.corpus.spacing import token_spans
from rnr.files.whole import write_whole
from rnr.types import Example

_SPELLING = Spelling()


def column_writer(scheme: str) -> Callable[[Iterable[Example], Path], None]:
    """Writes examples in a scheme, IOB2 or IOBES; ValueError for a sentence that a column file cannot hold."""

    def write_columns(examples: Iterable[Example], out: Path) -> None:
        write_whole(out, (f"{line}\n" for example in examples for line in (*_column_lines(example, scheme), "")))

    return write_columns


def _column_lines(example: Example, scheme: str) -> Iterator[str]:
    if "\n" in example.sentence or "\r" in example.sentence:
        raise ValueError(f"{example.uid}: a column file cannot hold a sentence with a line break; write JSONL")
    for label in {mention.label for mention in example.mentions}:
        if label != label.strip() or any(mark in label for mark in "\t\n\r") or not _SPELLING.read(f"B-{label}"):
            raise ValueError(f"{example.uid}: a column file cannot hold the label {label!r}; write JSONL")
    mentions = sorted(example.mentions, key=lambda mention: mention.start)
    for left, right in pairwise(mentions):
        if right.start < left.end:
            raise ValueError(
                f"{example.uid}: a column file cannot hold {left.text!r} and {right.text!r}, which overlap; write JSONL"
            )
    tokens = list(token_spans(example.sentence, mentions))
    tags = ["O"] * len(tokens)
    starts = {start: place for place, (start, _) in enumerate(tokens)}
    ends = {end: place for place, (_, end) in enumerate(tokens)}
    for mention in mentions:
        first, last = starts.get(mention.start), ends.get(mention.end)
        if first is None or last is None or first > last:
            raise ValueError(f"{example.uid}: {mention.text!r} begins or ends with white space, which is in no token")
        for place, letter in enumerate(_letters(last - first + 1, scheme), first):
            tags[place] = f"{letter}-{mention.label}"
    yield f"# text = {example.sentence}"
    for (start, end), tag in zip(tokens, tags, strict=True):
        yield f"{example.sentence[start:end]}\t{tag}"


def _letters(length: int, scheme: str) -> str:
    if scheme == "IOB2":
        return "B" + "I" * (length - 1)
    return "S" if length == 1 else "B" + "I" * (length - 2) + "E"
