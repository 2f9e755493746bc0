"""Where the time went: the spans of a run as lanes of workers, and what failed in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rnr.files.jsonl import whole_rows
from rnr.runs.spans import FILE

MOST_PIECES = 700
"""Of one lane and kind; shorter gaps are closed."""
KINDS = {
    "rollout": "sampling",
    "evaluation": "evaluation",
    "labels": "evaluation",
    "score": "scoring",
    "grpo_step": "training",
    "sft_step": "training",
    "sft_loss": "training",
    "token_values": "training",
    "reset_optimizer": "training",
    "freeze_reference": "training",
    "merge": "training",
    "load": "sync",
    "probe": "sync",
    "send": "sync",
    "sleep": "sync",
    "make_room": "sync",
    "save": "checkpoint",
    "export": "checkpoint",
    "start": "start",
    "rendezvous": "start",
    "sees": "start",
    "host": "start",
}
"""First word of a span -> what is shown; anything else is ``other``."""

Piece = tuple[float, float]


def read_timeline(folder: Path) -> dict[str, Any]:
    """``lanes``, ``begin`` (seconds since the epoch), ``seconds`` of the whole, ``faults``; times from the begin."""
    rows = list(whole_rows(folder / FILE))
    if not rows:
        return {"lanes": [], "begin": 0.0, "seconds": 0.0, "faults": []}
    begin = min(row[0] for row in rows)
    whole = max(row[0] + row[1] for row in rows) - begin
    lanes: dict[str, dict[str, list[Piece]]] = {}
    faults = []
    for start, seconds, who, what, *error in rows:
        lanes.setdefault(who, {}).setdefault(_kind(who, what), []).append((start - begin, start - begin + seconds))
        if error:
            faults.append({"at": round(start - begin + seconds, 1), "who": who, "what": what, "error": error[0]})
    return {
        "lanes": [_lane(who, kinds, whole) for who, kinds in sorted(lanes.items(), key=_order)],
        "begin": begin,
        "seconds": round(whole, 1),
        "faults": faults,
    }


def _kind(who: str, what: str) -> str:
    kind = KINDS.get(what.split()[0], "other")
    # The learner's log-probabilities of the probe are part of publishing.
    return "sync" if kind == "scoring" and who.startswith("learner") else kind


def _order(item: tuple[str, Any]) -> tuple[int, str]:
    kinds = ("learner", "rollout", "reward")
    return next((place for place, kind in enumerate(kinds) if item[0].startswith(kind)), len(kinds)), item[0]


def _lane(who: str, kinds: dict[str, list[Piece]], whole: float) -> dict[str, Any]:
    union = {kind: merged(pieces) for kind, pieces in kinds.items()}
    busy = sum(end - start for start, end in merged([piece for pieces in union.values() for piece in pieces]))
    return {
        "who": who,
        "pieces": {kind: _few(pieces, whole) for kind, pieces in union.items()},
        "seconds": {kind: round(sum(end - start for start, end in pieces), 1) for kind, pieces in union.items()},
        "idle": round(max(0.0, whole - busy), 1),
    }


def merged(pieces: Iterable[Piece], gap: float = 0.0) -> list[Piece]:
    """The union of intervals; those not more than ``gap`` apart become one."""
    union: list[Piece] = []
    for start, end in sorted(pieces):
        if union and start <= union[-1][1] + gap:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((start, end))
    return union


def _few(pieces: list[Piece], whole: float) -> list[list[float]]:
    gap = whole / 20_000
    while len(pieces) > MOST_PIECES:
        gap *= 2
        pieces = merged(pieces, gap)
    return [[round(start, 2), round(end, 2)] for start, end in pieces]
