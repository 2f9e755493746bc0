"""JSON lines, as the tests write and read them."""

import json
from pathlib import Path
from typing import Any


def write_jsonl(file: Path, *rows: object) -> str:
    """The path of a file with a row on each line: a text as it is, anything else as JSON."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(file)


def read_jsonl(file: Path) -> list[Any]:
    """What is on each line of the file."""
    # By line feeds alone: a value may hold other ends of lines.
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
