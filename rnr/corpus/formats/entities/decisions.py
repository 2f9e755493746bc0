"""What tools say of a row or an entity beside its label: that it was rejected or deleted, or is not finished."""

from typing import Any

from rnr.corpus.formats.shapes import Source

REJECTED = "entities are marked as rejected or deleted, and were left out"
DOUBTFUL_ROWS = "rows are marked as rejected, deleted, skipped, flagged or not finished, and were read: are they meant?"

DENIED = "entities are marked as negated, absent or uncertain, and were read like others: are they meant?"

_TRUE = ("deleted", "is_deleted", "removed", "killed", "rejected", "discarded")
_TRUE_OF_ROWS = (*_TRUE, "skipped", "is_skipped", "ignored", "was_cancelled", "flagged")
_STATES = ("status", "state", "review", "decision", "verdict")
_SAID = frozenset((*_TRUE, *_STATES, "correct"))
_SAID_OF_ROWS = frozenset((*_TRUE_OF_ROWS, *_STATES))
_TRUE_OF_FACTS = ("negated", "is_negated", "negation", "is_negation", "hypothetical", "is_hypothetical", "uncertain")
_FACTS = ("assertion", "assertion_status", "negation", "negated", "is_negated", "certainty", "factuality", "modality")
_SAID_OF_FACTS = frozenset((*_TRUE_OF_FACTS, *_FACTS))
_DENIED = frozenset(
    ("absent", "negated", "negative", "denied", "true", "yes", "hypothetical", "possible", "conditional")
)
_DENIED |= {"uncertain", "negation", "not present", "unlikely"}
_OUT = frozenset(("rejected", "reject", "deleted", "discarded", "incorrect"))
_DOUBTFUL = _OUT | {"skipped", "skip", "ignored", "ignore", "pending", "draft", "todo", "to do", "in progress"}
_DOUBTFUL |= {"in_progress", "unlabeled", "unlabelled", "not started", "not_started", "unfinished"}


def is_rejected(entity: Any) -> bool:
    """Whether an entity says of itself that it is none."""
    if not isinstance(entity, dict) or _SAID.isdisjoint(entity):
        return False
    said = entity.get("correct") is False or any(entity.get(name) is True for name in _TRUE)
    return said or any(_state(entity, name) in _OUT for name in _STATES)


def denied(entity: dict[str, Any]) -> str:
    """What an entity says of itself, or in its attributes, that it is not there, or only perhaps; empty where it does
    not."""
    for told in (entity, *(value for value in entity.values() if isinstance(value, dict))):
        if _SAID_OF_FACTS.isdisjoint(told):
            continue
        found = [f"{name}: true" for name in _TRUE_OF_FACTS if told.get(name) is True]
        found += [f"{name}: {told[name]}" for name in _FACTS if _state(told, name) in _DENIED]
        if found:
            return ", ".join(found)
    return ""


def note_doubtful_row(row: dict[str, Any], number: int, source: Source) -> None:
    """Note a row that says of itself that it is not to be used, or not yet."""
    if _SAID_OF_ROWS.isdisjoint(row):
        return
    said = [f"{name}: true" for name in _TRUE_OF_ROWS if row.get(name) is True]
    said += [f"{name}: {row[name]}" for name in _STATES if _state(row, name) in _DOUBTFUL]
    if said:
        source.note(DOUBTFUL_ROWS, number, ", ".join(said))


def _state(of: dict[str, Any], name: str) -> str:
    value = of.get(name)
    return value.strip().lower() if isinstance(value, str) else ""
