"""What a chat template writes around the messages of one question and its answer, found by rendering it.

A template is a program that comes with a model. It may have no system role, trim its messages, open the reasoning
itself, or close an answer with more than one token. Each of these is either supported or refused by name here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rnr.task.encoding import Tokenizer
from rnr.task.parsing import CLOSE, OPEN

_USER, _SYSTEM, _ANSWER = "\u2063question\u2063", "\u2063instruction\u2063", "\u2063answer\u2063"
_AWKWARD = " \n Labels: <b>a</b> & 'c' \"d\" {{e}} {% f %} \\n\n\nSentence: É  ﬁ 東京\t x. \n "
"""A text that a template which changes its messages would alter."""

_OPENED = re.compile(rf"{OPEN}\s*$")
_THOUGHT = re.compile(rf"(?:{OPEN}\s*)?(?:{CLOSE}\s*)?$")
_NO_THOUGHT = re.compile(rf"\s*(?:{OPEN}\s*)?(?:{CLOSE}\s*)?")

DAY = datetime(2024, 7, 26)
"""The date with which every template is rendered: the default date of Llama-3's."""

_TRIMS: tuple[Callable[[str], str], ...] = (str, str.strip, str.lstrip, str.rstrip)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMarkup:
    """The text around the messages, all of it markup."""

    before: str
    """Before the system message, or before the user's if there is none."""
    between: str | None
    """Between the system message and the user's; None if the template has no system role, or none is wanted."""
    after: str
    """From the user's message to the beginning of the answer."""
    opening: str
    """The end of ``after`` if it opens the reasoning: ``<think>`` and the white space after it; or empty."""
    lead: str
    """White space that an answer begins with."""
    closing: str
    """What follows an answer."""
    trim: Callable[[str], str] = str
    """What the template does to a message."""
    dated: bool
    """Whether the template writes a date: always that of ``DAY``."""

    def question(self, system: str | None, message: str) -> str:
        """The whole text of a question, as the template writes it."""
        message = self.trim(message)
        if self.between is None:
            return self.before + message + self.after
        return self.before + self.trim(system or "") + self.between + message + self.after


class _Calendar:
    """The date function of a template: a run that continues past midnight, its evaluations and its export all get the
    same date."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, form: str) -> str:
        self.asked = True
        return DAY.strftime(form)


class _Unusable(Exception):
    """Why a template cannot be used with these roles."""


def read_template(tokenizer: Tokenizer, system: str | None) -> ChatMarkup:
    """The markup of the tokenizer's chat template, with a system message if it has that role.

    Raises ValueError naming the model and the unsupported property of its template.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError(
            f"model.path: {tokenizer.name_or_path} has no chat template: put the template that it was trained with "
            "into chat_template.jinja in its folder, or use an instruction-tuned model"
        )
    causes: list[str] = []
    for wanted in dict.fromkeys((system, None)):
        try:
            return _read(tokenizer, wanted)
        except _Unusable as cause:
            causes.append(str(cause))
    more = "" if causes[0] == causes[-1] else f" (and with a system message: {causes[0]})"
    raise ValueError(f"model.path: {_place(tokenizer)}: the chat template {causes[-1]}{more}")


def _place(tokenizer: Tokenizer) -> str:
    """The file with the template, or the model's name if it is unknown."""
    folder = Path(tokenizer.name_or_path)
    files = (folder / name for name in ("chat_template.jinja", "tokenizer_config.json"))
    return str(next((file for file in files if file.is_file()), tokenizer.name_or_path))


def _read(tokenizer: Tokenizer, system: str | None) -> ChatMarkup:
    first = [] if system is None else [{"role": "system", "content": _SYSTEM}]
    asked = [*first, {"role": "user", "content": _USER}]
    calendar = _Calendar()
    opened = _render(tokenizer, calendar, asked, add_generation_prompt=True)
    before, between = _once(opened, _USER, "the user's message")[0], None
    after = opened[len(before) + len(_USER) :]
    if system is not None:
        _once(opened, _SYSTEM, "the system message")
        before, _, between = before.partition(_SYSTEM)
        if _SYSTEM in after:
            raise _Unusable("writes the system message after the user's")
    answered = _render(tokenizer, calendar, [*asked, {"role": "assistant", "content": _ANSWER}])
    _once(answered, _ANSWER, "the answer")
    header, _, closing = answered.partition(_ANSWER)
    found = _OPENED.search(after)
    markup = ChatMarkup(
        before=before,
        between=between,
        after=after,
        opening=found[0] if found else "",
        lead=_lead(opened, header),
        closing=closing,
        dated=calendar.asked,
    )
    awkward = [] if system is None else [{"role": "system", "content": system}]
    awkward.append({"role": "user", "content": _AWKWARD})
    written = _render(tokenizer, calendar, awkward, add_generation_prompt=True)
    for trim in _TRIMS:
        trimmed = replace(markup, trim=trim)
        if written == trimmed.question(system, _AWKWARD):
            return trimmed
    raise _Unusable(f"changes its messages: {_difference(markup.question(system, _AWKWARD), written)}")


def _render(tokenizer: Tokenizer, calendar: _Calendar, conversation: list[dict[str, str]], **options: Any) -> str:
    try:
        return tokenizer.apply_chat_template(conversation, tokenize=False, strftime_now=calendar, **options)
    except Exception as error:  # a template is a program; it may fail in any way
        number = getattr(error, "lineno", None)  # jinja2's syntax errors have one
        line = "" if number is None else f", line {number}"
        roles = ", ".join(message["role"] for message in conversation)
        raise _Unusable(f"fails on a conversation of {roles}: {type(error).__name__}{line}: {error}") from None


def _once(text: str, slot: str, what: str) -> list[str]:
    parts = text.split(slot)
    if len(parts) != 2:
        raise _Unusable(f"writes {what} {len(parts) - 1} times" if len(parts) > 2 else f"leaves out {what}")
    return parts


def _lead(opened: str, header: str) -> str:
    """The white space between a generation prompt and the answer in a conversation that begins with ``header``."""
    if header.startswith(opened):
        rest = header[len(opened) :]
        if not _NO_THOUGHT.fullmatch(rest):
            raise _Unusable(
                f"writes {rest!r} before an answer, which its generation prompt lacks: it must write it with "
                "add_generation_prompt too"
            )
        return "" if rest.strip() or _OPENED.search(opened) else rest
    start = opened[: _THOUGHT.search(opened).start()]  # type: ignore[union-attr]  # it matches the empty end
    if not header.startswith(start) or not _NO_THOUGHT.fullmatch(header[len(start) :]):
        raise _Unusable(f"begins an answer differently from its generation prompt: {_difference(opened, header)}")
    return ""


def _difference(expected: str, found: str) -> str:
    pairs = enumerate(zip(expected, found, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(expected), len(found)))
    return f"{found[at : at + 40]!r} for {expected[at : at + 40]!r}"
