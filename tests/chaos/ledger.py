"""Whether every prompt was trained on exactly as often as without faults, from what a run leaves behind."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

PASS = re.compile(r", pass (\d+)$")


def misses(consumed: Sequence[str], pool: int) -> tuple[int, int]:
    """(lost, doubled) prompts of a run that draws pass after pass over ``pool`` prompts: all but the last pass are
    whole, and nothing comes twice. The uid of a prompt says its pass from the second on."""
    counts = Counter(consumed)
    doubled = sum(count - 1 for count in counts.values())
    by_pass = Counter(int(match[1]) if (match := PASS.search(uid)) else 1 for uid in counts)
    last = max(by_pass, default=1)
    lost = sum(pool - by_pass[number] for number in range(1, last))
    return lost, doubled


def trained(rows: Iterable[dict]) -> list[str]:
    """The uids of the groups of ``rollouts.jsonl``, one for each step that they appear in."""
    return [uid for _, uid in sorted({(row["step"], row["uid"]) for row in rows})]


def newest_progress(folder: Path) -> dict:
    """The progress in the newest checkpoint of a run folder."""
    files = sorted(folder.glob("checkpoints/*/progress.json"))
    return json.loads(files[-1].read_text()) if files else {"step": 0, "consumed": []}
