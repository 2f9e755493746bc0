"""Accepts or rejects answers and their chains, with the cause; reads the score in a judge's reply.

A chain argues for an entity if one of its sentences (or a mark) contains the entity and its label, not negated and not
only in a list with other labels, and if the last claim about the entity is not for another label. ``claims`` documents
what counts as a claim, and which claims are missed; a sentence without a claim argues for any label it names.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from rnr.synthesis.claims import Claim, Labels, Sentence, bounded, read_sentences
from rnr.synthesis.outcomes import Rejection, Score
from rnr.task.chains import spelled
from rnr.task.labels import label_key
from rnr.task.parsing import CLOSE, OPEN, ground, parse
from rnr.types import Answer, Example, Mention

_TIMES = 20
"""How often one sentence of a chain is searched for labels around an entity: a teacher that does not stop repeats a
name thousands of times."""
_OBJECT_BEGIN = re.compile(r'\{\s*"')


def read_draft(text: str, example: Example) -> Answer:
    """The teacher's answer, grounded in the sentence, with labels spelled as in the data."""
    answer = parse(text)
    spelling = {label_key(label): label for label in example.schema}
    mentions = (Mention(text=m.text, label=spelling.get(label_key(m.label), m.label)) for m in answer.mentions)
    return Answer(
        reasoning=answer.reasoning and answer.reasoning.strip(),
        mentions=ground(mentions, example.sentence),
        error=answer.error,
    )


def check_explicable(example: Example) -> Rejection | None:
    """Why no chain can explain the annotation, or None: think tags in an entity would end the chain early."""
    for mention in example.mentions:
        if any(tag in part for tag in (OPEN, CLOSE) for part in (mention.text, mention.label)):
            return Rejection(cause="think_in_entity", detail=f"{mention.text!r} ({mention.label})")
    return None


def check(example: Example, answer: Answer, *, gold: bool = False) -> Rejection | None:
    """The first fault of a grounded answer and its chain, or None.

    With ``gold`` the answer must also have exactly the example's own mentions.
    """
    if answer.error is not None:
        return Rejection(cause=answer.error, detail="the answer could not be read")
    return next(_faults(example, answer, gold=gold), None)


def _faults(example: Example, answer: Answer, *, gold: bool) -> Iterator[Rejection]:
    chain = answer.reasoning or ""
    if not chain.strip():
        yield Rejection(cause="no_reasoning", detail="the chain is empty")
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
    """Rejections for entities that the chain does not argue for, then for labels that only the chain gives."""
    wanted: dict[str, set[str]] = {}
    for text, label in given:
        wanted.setdefault(text, set()).add(label)
    labels = Labels(example.schema)
    sentences = read_sentences(chain, example.sentence, wanted, labels)
    last: dict[str, str] = {}
    for text, own in wanted.items():
        given_labels = [label for sentence in sentences for label in _labels_for(text, wanted, sentence, labels)]
        for label in sorted(own - set(given_labels)):
            cause = "label_not_argued" if _word(text).search(chain) else "not_in_chain"
            instead = f", which is called {given_labels[-1]!r} instead" if given_labels else ""
            yield Rejection(cause=cause, detail=f"{text!r} ({label}){instead}")
        last[text] = given_labels[-1] if given_labels else ""
    beyond = {(text, label) for text, label in last.items() if label not in wanted[text]}
    for text, label in sorted(beyond | _only_in_chain(sentences, wanted, example, labels)):
        yield Rejection(cause="only_in_chain", detail=f"{text!r} is called {label!r}")


def _labels_for(text: str, wanted: Mapping[str, set[str]], sentence: Sentence, labels: Labels) -> list[str]:
    """The labels that a sentence of the chain gives to an entity of the answer, in order.

    Claims about the entity decide. A sentence without one argues for those of the entity's labels that it names,
    unless they are in a list with other labels.
    """
    claimed = [
        claim.label for claim in sentence.claims if claim.label in labels.schema and _is_about(claim, text, wanted)
    ]
    claimed += [mark.label for mark in sentence.marks if spelled(mark.text) == spelled(text)]
    if claimed:
        return claimed
    named: list[str] = []
    for place in islice(_word(text).finditer(sentence.text), _TIMES):
        # The entity text itself is left out: the name "Bank of Ireland" does not argue for the label bank.
        around = f"{sentence.text[: place.start()]} … {sentence.text[place.end() :]}"
        named += (label for listed in labels.named(around) if listed <= wanted[text] for label in sorted(listed))
    return named


def _is_about(claim: Claim, text: str, wanted: Mapping[str, set[str]]) -> bool:
    """Whether a claim is about this entity; a name with the same label may also be part of the entity or contain it."""
    if claim.text == text:
        return True
    return claim.is_name and claim.text not in wanted and claim.label in wanted[text] and _related(claim.text, text)


def _related(one: str, other: str) -> bool:
    return bool(_word(one).search(other) or _word(other).search(one))


def _only_in_chain(
    sentences: Sequence[Sentence], wanted: Mapping[str, set[str]], example: Example, labels: Labels
) -> set[tuple[str, str]]:
    """The (text, label) pairs that the chain claims but the answer does not have."""
    found: set[tuple[str, str]] = set()
    marked = {(spelled(text), label) for text, own in wanted.items() for label in own}
    for sentence in sentences:
        for mark in sentence.marks:
            is_entity = mark.label in labels.schema or spelled(mark.text) in spelled(example.sentence)
            if is_entity and (spelled(mark.text), mark.label) not in marked:
                found.add((mark.text, mark.label))
        for claim in sentence.claims:
            if claim.text in wanted or any(_is_about(claim, text, wanted) for text in wanted):
                continue
            # "Lisbon Airport" is a facility: a label outside the schema may be evidence for an entity of the answer.
            if claim.label in labels.schema or not any(_related(claim.text, text) for text in wanted):
                found.add((claim.text, claim.label))
    return found


def _word(text: str) -> re.Pattern[str]:
    return re.compile(bounded(re.escape(text)))


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
