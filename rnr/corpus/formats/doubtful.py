"""Sentences that can be read and are probably not what their author wrote: each is noted, none is changed."""

import re
from collections.abc import Callable

LONG = "sentences have more than 20,000 characters: are they whole documents?"
CONTROL = "sentences contain control characters"
LOST = "sentences contain U+FFFD, which stands for characters lost in an earlier conversion"
GARBLED = "sentences look as if their UTF-8 had been read as Latin-1 (such as 'Ã©' for 'é')"
ESCAPED = "sentences contain HTML (such as &amp; or <b>), which is text to a model"
PIECES = (
    "sentences hold pieces of words or marks of a model's vocabulary (such as '##ing', '▁the', '[SEP]'), which are no "
    "text: join the pieces, and leave the marks out"
)
BRACKETS = "sentences contain the Penn Treebank's names of brackets (such as -LRB-), which are '(' in a text"

INVISIBLE = "sentences contain characters without width (zero-width space, soft hyphen, word joiner, byte order mark)"
QUOTES = "sentences contain the Penn Treebank's quotation marks (`` and ''), which are '\"' in a text"
ESCAPES = "sentences contain JSON escapes (such as \\u00e9 or \\n), which are text to a model: was it written twice?"
MARKED_NAMES = "sentences contain names that seem to be marked inside the text, as <PER>Ida</PER>: remove the marks"

MARKS = re.compile(
    r"<START:[^<>]+>|<(?:ENAMEX|TIMEX|NUMEX)\b[^<>]*>|<([A-Za-z][\w-]*)[^<>\n]*>[^<>\n]+</\1>"
    r"|\[[^\[\]]+\]\([A-Za-z][\w-]*\)|\[[A-Z][A-Z_-]+ [^\[\]\n]+\]|@@[^@#\n]+##"
    r"|\{\{(?!cite\b)[\w-]+:[^{}\n]+\}\}|\[@[^\[\]#\n]+#[\w-]+\*\]|\([A-Z][A-Z_-]+ [^()\s]+/[A-Z]+\$?[ )]"
)
"""OpenNLP's, MUC's, any tool's, Rasa's, Illinois', GPT-NER's, BosonNLP's, YEDDA's and NLTK's marks around a name; not a
wiki's around a citation."""
_LONG = 20_000
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
_INVISIBLE = re.compile("[\u200b\u00ad\u2060\ufeff]")
_QUOTES = re.compile(r"(?:^| )(?:``|'')(?= |$)")
_GARBLED = re.compile("Ã[\u0080-\u00bf]|Â[\u00a0-\u00bf]|â€[\u0080-\u00bf\u2018-\u201e\u0153\u2122\u0161]|ï»¿")
_PIECES = re.compile(
    r"\w ##\w|▁\w+(?: |$)|(?:^| )Ġ[A-Z][a-z]|"
    r"\[(?:CLS|SEP|PAD|UNK|MASK|BOS|EOS)\]|</?(?:s|pad|unk|bos|eos|PAD|UNK|BOS|EOS)>|<\|end_?of_?text\|>"
)
_ESCAPES = re.compile(r"\\u[0-9a-fA-F]{4}|\\[rn](?:\\|[A-Z\s]|$)|[.!?]\\n")
_BRACKETS = re.compile(r"-[LR][RSC]B-")
_HTML = re.compile(
    r"&(?:amp|lt|gt|quot|nbsp|apos|#\d{2,6});|</(?:p|b|i|a|div|span|em|strong|br)>|<br ?/?>", re.IGNORECASE
)
_OF_MARKS = re.compile(r"[#▁Ġ\[\]<\\&`@{]")
"""The characters of all marks but ``BOS`` and ``-LRB-``."""


def note_doubtful(sentence: str, note: Callable[[str, str], None]) -> None:
    """Note what is doubtful about a sentence; quick where it is plain text, because files are large."""
    if len(sentence) > _LONG:
        note(LONG, f"{len(sentence)} characters")
    if not sentence.isprintable() and (found := _CONTROL.search(sentence)):
        note(CONTROL, f"U+{ord(found[0]):04X} at {found.start()}")
    if not sentence.isascii():
        _note_characters(sentence, note)
    if _OF_MARKS.search(sentence) or "B-" in sentence or sentence.startswith("BOS "):
        _note_marks(sentence, note)


def _note_marks(sentence: str, note: Callable[[str, str], None]) -> None:
    if any(mark in sentence for mark in ("##", "▁", "Ġ", "[", "<")) and (found := _PIECES.search(sentence)):
        note(PIECES, repr(found[0]))
    if "\\" in sentence and (found := _ESCAPES.search(sentence)):
        note(ESCAPES, repr(sentence[found.start() : found.start() + 10]))
    if "B-" in sentence and (found := _BRACKETS.search(sentence)):
        note(BRACKETS, found[0])
    if "``" in sentence and (found := _QUOTES.search(sentence)):
        note(QUOTES, found[0].strip())
    if ("&" in sentence or "<" in sentence) and (found := _HTML.search(sentence)):
        note(ESCAPED, repr(found[0]))
    _note_names(sentence, note)


def _note_names(sentence: str, note: Callable[[str, str], None]) -> None:
    if sentence.startswith("BOS ") and sentence.endswith(" EOS"):
        note(PIECES, "'BOS', 'EOS'")
    if any(mark in sentence for mark in ("</", "](", "@@", "<START", "{{", "[@")):
        found = next((one for one in MARKS.finditer(sentence) if not _HTML.search(one[0])), None)
        if found:
            note(MARKED_NAMES, repr(found[0][:40]))


def _note_characters(sentence: str, note: Callable[[str, str], None]) -> None:
    if "\ufffd" in sentence:
        note(LOST, f"at {sentence.index(chr(0xFFFD))}")
    if found := _INVISIBLE.search(sentence):
        note(INVISIBLE, f"U+{ord(found[0]):04X} at {found.start()}")
    if found := _GARBLED.search(sentence):
        note(GARBLED, repr(sentence[max(0, found.start() - 10) : found.end() + 10]))
