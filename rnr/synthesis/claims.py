"""Extracts the claims of a chain: which label it gives to which text, sentence by sentence.

A claim assigns a label to a text in one of these forms, where the text is quoted or a run of capitalised words.

    [Paris: city]                     a mark
    "Paris" is a city                 an unquoted name must begin its clause: "the one who left Paris is a person"
    I label "Paris" as a city         or call it a city; a labelling verb precedes the text
    "Paris" (city)    "Paris": city   or with an arrow
    Paris ..., so it is a city        a pronoun that refers to the only entity in its sentence

A claim counts unless its sentence asks, denies or doubts it (if, whether, could, not, ...) or it is taken back: by the
rest of its sentence, or by a next one with But, However, Yet, It or This in front ("Monday" is a date. But ...).

Limits, chosen so that a correct chain is seldom rejected: a claim is not found in an apposition ("Paris, a city"), for
an unquoted text in lower case, for any item of a list but the last ("Rome and Paris are cities"), for a pronoun whose
entity is in another sentence or not in the answer, in a sentence that takes anything back after it, or in a language
other than English, except for marks. Of labels outside the schema only the ``USUAL`` ones are recognised, and only for
texts that belong to no entity of the answer: "Lisbon" is a location may be the evidence for a city.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rnr.task.labels import label_key

USUAL = (
    *("person", "organization", "organisation", "company", "location", "city", "country", "nationality", "facility"),
    *("event", "language", "date", "time", "percentage", "money", "quantity"),
)
"""Labels of most data sets; a claim for one is recognised even if the schema has no such label."""

_REACH = 300
"""Characters on either side of a claim that are searched, which bounds the cost of very long sentences."""

_MARK = re.compile(r'\[([^\[\]\n]+?)(?: \("[^\[\]\n]*"\))?: *([^\[\]:\n]+)\]')
"""``[text: label]``, or ``[text ("evidence"): label]``."""
_SENTENCE_END = re.compile(r"\n|[。！？]|(?<=[^\s.]{3})[.!?]+[\"”’')]*\s+")
"""A full stop ends a sentence only after three characters, unlike in ``Mr.`` and ``U.S.``."""

_QUOTES = "\"“”‘’'`*"
_OPEN, _CLOSE = "[\"“'‘`*]*", "[\"”'’`*]*"
_QUOTED = re.compile(
    r"""(?<!\w)(?:["“`*]+(?P<double>[^"“”`*\n]{1,200})["”`*]+|['‘](?P<single>(?:[^"'‘’\n]|(?<=\w)['’](?=\w)){1,200})['’])$"""
)
_WORD = re.compile(r"\S+")
_NAME_WORD = re.compile(r"[#@$]?[^\W_][\w.&'’/-]*")
_PARTICLE = re.compile(r"of|de|da|del|la|van|von|der|bin|al|the")
_POINTER = re.compile(
    r"he|she|it|they|we|you|i|this|that|these|those|there|here|who|which|what|(?:some|every|any|no)(?:one|body|thing)"
    r"|one|an?other|both|each|n?either|none|the|an?|and|but|so",
    re.IGNORECASE,
)
"""Words that are capitalised at the beginning of a sentence but are no name."""
_PRONOUN = re.compile(r"\b(?:it|he|she|they)$", re.IGNORECASE)
_FIELD = re.compile(r"label|type|category|class|tag|entity|text", re.IGNORECASE)
"""Keys of a list or of JSON in the chain: ``"label": "person"`` claims nothing about a text."""
_LEAD = re.compile(r"that|and|then|thus|therefore|hence|here|now|so|conclude|decide|know|say|see|think")
"""Words that may stand between the beginning of a clause and its subject."""
_CLAUSE_BEGIN = re.compile(r"[,;:(—]|\b(?:but|so|because|since|while|whereas|although|though)\b", re.IGNORECASE)
_RELATIVE = re.compile(r"\b(?:who|whom|whose|which|that)\s+(?!(?:the|an?|this)\b)\w+", re.IGNORECASE)
"""``the one who left``: what follows belongs to the relative clause and is not the subject."""
_LABELLING = re.compile(
    r"\b(?:label|tag|mark|call|classif|annotat|extract|identif|recogni[sz]|treat|regard|count|list|categori|consider)"
    r"\w*(?:\s+\S+){0,2}\s*$",
    re.IGNORECASE,
)

_NO = r"(?:\b(?:not(?! only)|no(?! doubt)|never|neither|nor|cannot|without|rather than|instead of)|n['’]t)\b"
_DENIED = rf"{_NO}\s+(?:(?:any|really|actually|necessarily|itself|called|labell?ed)\s+)?(?:(?:an?|the)\s+)?"
_DOUBT = re.compile(
    rf"{_NO}|\b(?:if|whether|unless|could|might|may|would|perhaps|maybe|possibly|suppose)\b", re.IGNORECASE
)
_REFUSAL = re.compile(
    rf"{_NO}|\b(?:none|nothing|outside|lacks?|leave|left out|unlabell?ed|(?:skip|ignor|omit|exclu)\w*)\b", re.IGNORECASE
)
_MAY_REFUSE = re.compile(r"\s*(?:But|However|Yet|It|This)\b")

_ADJECTIVES = (
    r"(?:(?!(?:of|in|for|by|with|to|from|about|like|as|and|or|but|not|no|than|an?|the|possible|potential|likely|former)\b)"
    r"[\w-]+\s+){0,2}?"
)
_COPULA = (
    r"\s+(?:(?:is|are|was|were|(?:must|should|will)\s+be)(?:\s+(?:clearly|also|here|therefore|thus|indeed|definitely))?"
    r"(?:\s+(?:labell?ed|tagged|marked|called|classified|annotated|extracted)(?:\s+as)?)?"
    r"|names|denotes|refers\s+to|(?:gets|has|takes|receives)\s+the\s+label)\s+"
)
_LINK = (
    rf"(?<!\s)(?:(?P<verb>{_COPULA})(?:(?:an?|the)\s+{_ADJECTIVES})?|(?P<labelled>\s+(?:as(?:\s+(?:an?|the))?|an?|the)\s+)"
    r"|\s*(?:\(|:|->|=>|→)\s*(?:(?:an?|the)\s+)?)"
)
_LABEL_ENDS = (
    r"(?=\s*(?:[^\w\s'’?-]|$)|\s+(?:because|since|as|for|and|but|so|too|here|in|of|by|on|at|from|with|that|who|which|whose"
    r"|where|when|he|she|it|they|named|entity|label)\b)"
)
"""What must follow a label: a "location marker" is no location, and a question is no claim."""
_JOINT = re.compile(
    r"""["”’'`*)\]]*\s*(?:,\s*(?:and|or|nor)?|/|\||&|、|and\b|or\b|nor\b)\s*(?:(?:an?|the)\s+)?["“‘'`*(\[]*""",
    re.IGNORECASE,
)
"""The separator of two labels in a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A text and its label as ``label_key`` writes it; the text of a name may be shorter or longer than the entity."""

    text: str
    label: str
    is_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of a chain with its marks blanked out, its claims in order, and its marks."""

    text: str
    claims: tuple[Claim, ...]
    marks: tuple[Claim, ...]


class Labels:
    """The labels to look for, in singular and plural, ignoring case."""

    def __init__(self, schema: Iterable[str]) -> None:
        self.schema = frozenset(label_key(label) for label in schema)
        self._by_form = {form: label for label in self.schema.union(USUAL) for form in _forms(label)}
        named, claimed = (
            _any_of(form for label in known for form in _forms(label))
            for known in (self.schema, self.schema.union(USUAL))
        )
        self._named = re.compile(rf"({_DENIED}{_OPEN})?{bounded(f'({named})')}", re.IGNORECASE)
        self._claimed = re.compile(rf"{_LINK}{_OPEN}(?P<label>{claimed}){_CLOSE}{_LABEL_ENDS}", re.IGNORECASE)

    def of(self, form: str) -> str | None:
        """The label with this written form, or None."""
        return self._by_form.get(label_key(form))

    def named(self, text: str) -> list[frozenset[str]]:
        """The labels that a text names without denying them; the labels of a list form one set.

        ``a person, not a city`` -> [{person}], and ``a person or a city`` -> [{person, city}].
        """
        runs: list[tuple[bool, set[str]]] = []
        end = 0
        for match in self._named.finditer(text):
            denied = match[1] is not None
            label = self._by_form[label_key(match[2])]
            if runs and not denied and _JOINT.fullmatch(text, end, match.start()):
                runs[-1][1].add(label)
            else:
                runs.append((denied, {label}))
            end = match.end()
        return [frozenset(labels) for denied, labels in runs if not denied]

    def claimed(self, text: str) -> Iterator[re.Match[str]]:
        """The matches in which a text seems to be given a ``label``."""
        return self._claimed.finditer(text)

    def refused(self, label: str, after: str) -> bool:
        """Whether the text after a claim takes it back; ``not a person`` after ``a city`` does not."""
        contrast = self._named.sub(lambda m: "" if m[1] and self._by_form[label_key(m[2])] != label else m[0], after)
        return bool(_REFUSAL.search(contrast))


def _forms(label: str) -> tuple[str, ...]:
    plural = label[:-1] + "ies" if label.endswith("y") else label + "es"
    return label, label + "s", plural


def _any_of(forms: Iterable[str]) -> str:
    # The longest first, so that "art work" is not read as "art".
    return "|".join(re.escape(form).replace(r"\ ", r"[\s_]+") for form in sorted(forms, key=len, reverse=True))


def bounded(pattern: str) -> str:
    """The pattern, restricted to whole words."""
    # Only ASCII neighbours count: scripts without spaces have a letter on either side of every word.
    return rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"


def read_sentences(chain: str, sentence: str, texts: Collection[str], labels: Labels) -> list[Sentence]:
    """The sentences of the chain with their claims; ``texts`` are the entities of the answer.

    A claim or mark that the annotated ``sentence`` itself contains is a quotation, not a claim of the chain.
    """
    marks = [mark for mark in _MARK.finditer(chain) if mark[0] not in sentence]
    spans = _spans(_filled(chain, marks, "x"), texts)
    # Blanked, because the label in one entity's mark does not argue for its neighbour.
    prose = _filled(chain, marks, " ")
    pieces = [prose[start:end] for start, end in spans]
    read: list[Sentence] = []
    for (start, end), piece, following in zip(spans, pieces, [*pieces[1:], ""], strict=True):
        marked = (mark for mark in marks if start <= mark.start() < end)
        read.append(
            Sentence(
                text=piece,
                claims=tuple(_claims(piece, following, sentence, texts, labels)),
                marks=tuple(Claim(text=mark[1].strip(), label=label_key(mark[2])) for mark in marked),
            )
        )
    return read


def _filled(chain: str, marks: Iterable[re.Match[str]], filler: str) -> str:
    for mark in marks:
        chain = chain[: mark.start()] + filler * len(mark[0]) + chain[mark.end() :]
    return chain


def _spans(prose: str, texts: Collection[str]) -> list[tuple[int, int]]:
    """Start and end of each sentence; the full stop of an entity such as "Apple Inc." does not end a sentence."""
    for text in sorted(texts, key=len, reverse=True):
        prose = prose.replace(text, "x" * len(text))
    ends = [match.end() for match in _SENTENCE_END.finditer(prose)]
    return list(zip([0, *ends], [*ends, len(prose)], strict=True))


def _claims(piece: str, following: str, sentence: str, texts: Collection[str], labels: Labels) -> Iterator[Claim]:
    """The claims of one sentence of the chain that count."""
    if piece.rstrip("\"”’') \n").endswith(("?", "？")):
        return
    after = following[:_REACH] if _MAY_REFUSE.match(following) else ""
    for match in labels.claimed(piece):
        label = labels.of(match["label"])
        subject = _quoted(piece, match, texts) or _pronoun(piece, match, texts) or _name(piece, match, sentence)
        if label is None or subject is None or not subject.text or labels.of(subject.text) is not None:
            continue
        before = _CLAUSE_BEGIN.split(piece[max(0, subject.start - _REACH) : subject.start])[-1]
        rest = piece[match.end() : match.end() + _REACH] + after
        is_claim = piece[subject.start : match.end()] not in sentence and not _FIELD.fullmatch(subject.text)
        if is_claim and _ties(match, subject, before) and not labels.refused(label, rest):
            yield Claim(text=subject.text, label=label, is_name=subject.kind == "name")


class _Subject(NamedTuple):
    start: int
    text: str
    kind: Literal["quoted", "pronoun", "name"]


def _quoted(piece: str, link: re.Match[str], texts: Collection[str]) -> _Subject | None:
    """The quoted text before the link; an entity of the answer may itself contain full stops and quotes."""
    end = len(piece[: link.start()].rstrip(_QUOTES))
    starts = {text: end - len(text) for text in texts if piece.endswith(text, 0, end)} if end < link.start() else {}
    known = [text for text, start in starts.items() if start and piece[start - 1] in _QUOTES]
    if known:
        text = max(known, key=len)
        return _Subject(starts[text] - 1, text, "quoted")
    found = _QUOTED.search(piece, max(0, link.start() - _REACH), link.start())
    return found and _Subject(found.start(), (found["double"] or found["single"]).strip(" ,.;"), "quoted")


def _pronoun(piece: str, link: re.Match[str], texts: Collection[str]) -> _Subject | None:
    """The entity that a pronoun before the link refers to, if there is only one candidate."""
    found = _PRONOUN.search(piece, max(0, link.start() - 5), link.start())
    there = [text for text in texts if text in piece] if found else []
    return _Subject(found.start(), there[0], "pronoun") if found and len(there) == 1 else None


def _name(piece: str, link: re.Match[str], sentence: str) -> _Subject | None:
    """The run of capitalised words before the link, cut on the left until the annotated sentence contains it."""
    words = list(_WORD.finditer(piece, max(0, link.start() - _REACH), link.start()))
    first = len(words)
    for number in range(len(words) - 1, -1, -1):
        if _is_name(words[number][0]):
            first = number
        elif not _PARTICLE.fullmatch(words[number][0]) or first == len(words):
            break
    starts = [word.start() for word in words[first:] if _is_name(word[0])]
    known = [start for start in starts if piece[start : link.start()] in sentence]
    # Forms such as "City: Paris (city)" and "Label: city" are weak evidence: the name must occur in the sentence.
    start = known[0] if known else starts[0] if starts and link["verb"] else None
    if start is None or _POINTER.fullmatch(piece, start, link.start()):
        return None
    return _Subject(start, piece[start : link.start()], "name")


def _is_name(word: str) -> bool:
    begin = word.lstrip("#@$")[:1]
    return bool(_NAME_WORD.fullmatch(word)) and (begin.isupper() or begin.isdigit())


def _ties(link: re.Match[str], subject: _Subject, before: str) -> bool:
    """Whether subject and label belong together; ``before`` is what precedes the subject in its clause."""
    if _DOUBT.search(before):
        return False
    if link["labelled"]:
        return bool(_LABELLING.search(before))
    if not link["verb"] or subject.kind == "pronoun":
        return True
    return not _RELATIVE.search(before) if subject.kind == "quoted" else _begins_clause(before)


def _begins_clause(before: str) -> bool:
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", before)]
    if words and words[-1] == "the":
        words.pop()
    return not words or bool(_LEAD.fullmatch(words[-1]))
