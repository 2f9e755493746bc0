"""From any format to any other and back: what comes back is what was written, or ``losses`` said that it would not."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rnr.config import ReadingConfig
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.writing import FORMATS, Losses, write
from rnr.corpus.loading import load
from rnr.corpus.matching import stripped
from rnr.types import Example, Mention

AS_THEY_ARE = ReadingConfig(offsets="characters")
"""For made-up mentions, which may begin inside a word."""

PIECES = (
    *(
        "Ada",
        " ",
        "  ",
        "Rome",
        "Rome",
        "New York",
        "😀",
        "👩‍🚀",
        "e\u0301",
        "n\u0303o",
        "厦门",
        "が",
        "กรุงเทพ",
        "서울에서",
        "שלום",
        "\u200f",
    ),
    *("-", "'", "’", ",", "\t", "\u00a0", "\u2028", "#", "|", "/", "\\", '"', "B-PER", "O", "ﬁ", "\u200b", "İ"),
    *("\n", "\r\n", "\ufeff", "\x1f", "\x85", "# text = x", "-DOCSTART-", "1|t|x", "T1\tPER 0 3\tIda", "[CLS]", "<b>"),
    *("[[0,3]]", "{'a': 1}", "en:Ada", "科0", "_", "(", "\\n", "&amp;", "O O", "None", "\u00ad", "ß", "Ⅷ", "🇩🇪"),
)
LABELS = (
    *("person", "art work", "per-son", "o", "b-per", "人物", "label 2", "a/b", "x|y", "é", "#", "löwe", '"', "1"),
    *("a, b", "[x]", "a:b", "c\nd", "🏙", "-x", "--", "None", "nan", "a  b", "e\u0301", "PER", "per", "a=b", "label\t3"),
    *("a|B-b", "x ", "\u200bq", "T1", "@", "<x>", "~", "a;b", "0"),
)


@st.composite
def _examples(draw: st.DrawFn) -> Example:
    pieces = draw(
        st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).filter(lambda found: "".join(found).strip())
    )
    sentence = "".join(pieces)
    ends = [len("".join(pieces[:number])) for number in range(len(pieces) + 1)]
    places = st.tuples(st.sampled_from(ends), st.sampled_from(ends), st.sampled_from(LABELS))
    spans = {
        (start, end, label)
        for start, end, label in draw(st.lists(places, max_size=4))
        if start < end and stripped(sentence[start:end]) == sentence[start:end]
    }
    ordered = sorted(spans, key=lambda span: (span[0], -span[1], span[2]))
    unused = draw(st.sets(st.sampled_from(LABELS), max_size=2))
    return Example(
        uid="mine/train:1",
        sentence=sentence,
        schema=tuple(sorted(unused | {label for _, _, label in ordered} or {"person"})),
        mentions=tuple(Mention(text=sentence[i:j], label=label, start=i, end=j) for i, j, label in ordered),
        source=draw(st.sampled_from(["mine", "other"])),
        reasoning=draw(st.sampled_from([None, "Ada is a person."])),
        guid=draw(st.sampled_from(["", "n-7"])),
    )


def _flat(one: Example) -> Example:
    """The example with those of its mentions that do not overlap with one before."""
    kept: list[Mention] = []
    for mention in one.mentions:
        if not kept or mention.start >= kept[-1].end:
            kept.append(mention)
    return replace(one, mentions=tuple(kept))


def _there(folder: Path, form: str, examples: list[Example]) -> tuple[list[Example], list[str]]:
    """What is read back from a format, and what is said to be lost."""
    out = folder / f"mine{next(iter(FORMATS[form].suffixes), '')}"
    seen = Losses()
    write(list(seen.passing(examples)), out, form)
    return load([str(out)], training=True, options=AS_THEY_ARE), seen.lines(out, form)


def _compare(before: list[Example], after: list[Example], lost: list[str]) -> None:
    """Every part is the same, or it is listed as lost."""
    said = "; ".join(lost)
    assert [one.sentence for one in after] == [one.sentence for one in before]
    places = [[(m.start, m.end, m.text) for m in one.mentions] for one in before]
    assert [[(m.start, m.end, m.text) for m in one.mentions] for one in after] == places
    if "names of the labels" not in said:
        labels = [sorted((m.start, m.end, m.label) for m in one.mentions) for one in before]
        assert [sorted((m.start, m.end, m.label) for m in one.mentions) for one in after] == labels
    if "schemas" not in said and "names of the labels" not in said:
        assert [one.schema for one in after] == [one.schema for one in before]
    if "chains" not in said:
        assert [one.reasoning for one in after] == [one.reasoning for one in before]
    if "data sets" not in said:
        assert [one.source for one in after] == [one.source for one in before]
    if "guids" not in said:
        assert all(new.guid == old.guid for new, old in zip(after, before, strict=True) if old.guid)


def _trip(folder: Path, first: str, second: str, examples: list[Example]) -> None:
    if {first, second} & {"conll", "iobes"}:
        examples = [_flat(one) for one in examples]
    for place, form in enumerate((first, second, first)):
        (folder / str(place)).mkdir(parents=True)
        found, lost = _there(folder / str(place), form, examples)
        _compare(examples, found, lost)
        examples = found


PAIRS = list(product(FORMATS, repeat=2))
HARD = [
    Example(
        uid="a",
        sentence="Rome and Rome 😀 Rome\u0301 👩‍🚀",
        schema=("art work", "o", "x|y"),
        source="mine",
        guid="n-7",
        reasoning="Rome is an art work.",
        mentions=(
            Mention(text="Rome 😀 Rome\u0301", label="art work", start=9, end=21),
            Mention(text="Rome", label="o", start=9, end=13),
            Mention(text="Rome\u0301", label="art work", start=16, end=21),
        ),
    ),
    Example(
        uid="b",
        sentence="我在厦门, B-PER\u00a0O",
        schema=("b-per", "人物"),
        source="other",
        mentions=(
            Mention(text="厦门", label="人物", start=2, end=4),
            Mention(text="B-PER", label="b-per", start=6, end=11),
        ),
    ),
    Example(uid="c", sentence="Nobody came", schema=("unused",), mentions=(), source="mine"),
]


@pytest.mark.parametrize("first", FORMATS)
def test_from_a_format_to_every_other_and_back_is_the_same_or_said_to_be_lost(tmp_path, first) -> None:
    for second in FORMATS:
        _trip(tmp_path / second, first, second, HARD)


def _is_refused(error: ValueError) -> bool:
    """Whether a format has said that it cannot hold a sentence or a label; what cannot be read is another error."""
    return not isinstance(error, DataError) and any(said in str(error) for said in ("cannot hold", "brat's labels are"))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([pair for pair in PAIRS if "hf" not in pair]), st.lists(_examples(), min_size=1, max_size=3))
@example(("jsonl", "brat"), [replace(HARD[2], schema=("!a", "#1", "[b]"))])
@example(("jsonl", "brat"), [replace(HARD[2], schema=("--", "a"))])
def test_any_sentence_comes_back_from_any_format_or_its_loss_is_said(tmp_path_factory, pair, examples) -> None:
    labels = sorted({label for one in examples for label in one.schema})
    if not any(one.mentions for one in examples):
        mention = Mention(text="Ada", label=labels[0], start=0, end=3)
        examples = [*examples, replace(examples[0], sentence="Ada", schema=(labels[0],), mentions=(mention,))]
    try:
        _trip(tmp_path_factory.mktemp("trip"), *pair, examples)
    except ValueError as error:
        if not _is_refused(error):
            raise
