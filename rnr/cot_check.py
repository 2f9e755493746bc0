"""What is accepted of a teacher's answer and its chain, and what a judge's reply says."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from rnr.cot import Rejection, Score
from rnr.metrics import label_key
from rnr.parsing import ground, parse
from rnr.types import Answer, Example, Mention

_MARK = re.compile(r'\[([^\[\]\n]+?)(?: \("[^\[\]\n]*"\))?: *([^\[\]:\n]+)\]')
"""``[text: label]``, or ``[text ("evidence"): label]``."""
_SENTENCE_END = re.compile(r"\n|[。！？]|(?<=[^\s.]{3})[.!?]+[\"”’')]*\s+")
"""Three characters before the full stop tell the end of a sentence from ``Mr.`` and ``U.S.``."""
_NOT = "".join(f"(?<!{no} {article})" for no in ("not", "n't", "no", "never") for article in ("", "a ", "an ", "the "))
_OBJECT_BEGIN = re.compile(r'\{\s*"')
_QUOTED = r"(?<!\w)[\"“'‘`*]+([^\"“”`*\n]{1,200}?)[\"”'’`*]+"
_IS_A = r"\s+(?:is|are|was|were|names|denotes|refers to)\s+(?:clearly\s+|also\s+|here\s+)?(?:an?\s+|the\s+)?"
_LABEL_ENDS = (
    r"(?=\s*(?:[^\w\s'?-]|$)|\s+(?:because|since|as|for|and|so|here|in|of|that|who|which|whose|where|named|entity)\b)"
)
"""After these a label is the noun itself: a "location marker" is no location, and a question is no claim."""


def read_draft(text: str, example: Example) -> Answer:
    """The teacher's answer, grounded in its sentence, with the data's spelling of the labels."""
    answer = parse(text)
    spelling = {label_key(label): label for label in example.schema}
    mentions = (Mention(text=m.text, label=spelling.get(label_key(m.label), m.label)) for m in answer.mentions)
    return Answer(
        reasoning=answer.reasoning and answer.reasoning.strip(),
        mentions=ground(mentions, example.sentence),
        error=answer.error,
    )


def check(example: Example, answer: Answer, *, gold: bool = False) -> Rejection | None:
    """The first fault of a grounded answer and its chain, None where there is none.

    With ``gold`` the answer must hold the example's own mentions as well.
    """
    if answer.error is not None:
        return Rejection(cause=answer.error, detail="the answer could not be read")
    return next(_faults(example, answer, gold=gold), None)


def _faults(example: Example, answer: Answer, *, gold: bool) -> Iterator[Rejection]:
    chain = answer.reasoning or ""
    if not chain.strip():
        yield Rejection(cause="no_reasoning", detail="nothing is argued")
    schema = {label_key(label) for label in example.schema}
    for mention in answer.mentions:
        if label_key(mention.label) not in schema:
            yield Rejection(cause="label_not_in_schema", detail=f"{mention.label!r} of {mention.text!r}")
    for mention in answer.mentions:
        if not mention.grounded:
            there = "listed more often than it occurs" if mention.text in example.sentence else "not in the sentence"
            yield Rejection(cause="not_in_sentence", detail=f"{mention.text!r} ({mention.label}) is {there}")
    given, wanted = _pairs(answer.mentions), _pairs(example.mentions)
    if gold and given != wanted:
        detail = f"missing {sorted((wanted - given).elements())}, too much {sorted((given - wanted).elements())}"
        yield Rejection(cause="not_gold", detail=detail)
    yield from _chain_faults(chain, example, given)


def _pairs(mentions: Sequence[Mention]) -> Counter[tuple[str, str]]:
    return Counter((mention.text, label_key(mention.label)) for mention in mentions)


def _chain_faults(chain: str, example: Example, given: Counter[tuple[str, str]]) -> Iterator[Rejection]:
    # What the sentence itself holds, brackets and all, is quoted in the chain and not claimed by it.
    marks = [mark for mark in _MARK.finditer(chain) if mark[0] not in example.sentence]
    marked = {(mark[1].strip(), label_key(mark[2])) for mark in marks}
    prose = chain
    for mark in marks:  # blanked, because the label in one entity's mark does not argue for its neighbour
        prose = prose[: mark.start()] + " " * len(mark[0]) + prose[mark.end() :]
    for text, label in given:
        if (text, label) in marked or _argued(prose, text, label):
            continue
        cause = "label_not_argued" if _word(text).search(chain) else "not_in_chain"
        yield Rejection(cause=cause, detail=f"{text!r} ({label})")
    schema = {label_key(label) for label in example.schema}
    claimed = {(text, label) for text, label in marked if label in schema or text in example.sentence}
    for text, label in sorted((claimed | _claims(prose, example, schema)) - given.keys()):
        yield Rejection(cause="only_in_chain", detail=f"{text!r} is called {label!r}")


def _word(text: str) -> re.Pattern[str]:
    return re.compile(_bounded(re.escape(text)))


def _bounded(pattern: str) -> str:
    # ASCII neighbours only: scripts without spaces have a letter on either side of every word.
    return rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"


def _argued(prose: str, text: str, label: str) -> bool:
    """Whether the label is named, and not denied, in a sentence of the chain that mentions the text."""
    stem, ending = (label[:-1], "(?:y|ies)") if label.endswith("y") else (label, "(?:e?s)?")
    named = re.compile(_NOT + _bounded(re.escape(stem) + ending))
    ends = list(_SENTENCE_END.finditer(prose))
    for place in _word(text).finditer(prose):
        left = max((end.end() for end in ends if end.end() <= place.start()), default=0)
        right = min((end.start() for end in ends if end.start() >= place.end()), default=len(prose))
        # Without the text itself: that a bank is called "Bank of Ireland" is no argument.
        if named.search(label_key(f"{prose[left : place.start()]} … {prose[place.end() : right]}")):
            return True
    return False


def _claims(prose: str, example: Example, schema: set[str]) -> set[tuple[str, str]]:
    """The claims of the form ``"text" is a label`` which are the chain's own."""
    names = "|".join(re.escape(label).replace(r"\ ", r"[\s_]+") for label in sorted(schema, key=len, reverse=True))
    claim = re.compile(rf"{_QUOTED}{_IS_A}({names}){_LABEL_ENDS}", re.IGNORECASE)
    found = (match for match in claim.finditer(prose) if match[0] not in example.sentence)
    return {(match[1].strip(), label_key(match[2])) for match in found}


def read_score(text: str) -> Score | None:
    """The judge's score and reason; None for a reply without exactly one score from 0 to 10."""
    decoder = json.JSONDecoder()
    reply = text.rpartition("</think>")[2]
    scores: list[Score] = []
    begin = _OBJECT_BEGIN.search(reply)
    while begin:
        try:
            value, end = decoder.raw_decode(reply, begin.start())
        except RecursionError:
            return None
        except ValueError:
            end = begin.end()
        else:
            number = value.get("score")
            if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= 10:
                scores.append(Score(value=float(number), reason=str(value.get("reason", ""))))
        begin = _OBJECT_BEGIN.search(reply, end)
    return scores[0] if len(scores) == 1 else None
