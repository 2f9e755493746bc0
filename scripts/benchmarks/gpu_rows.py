"""The output of ``bench gpu``: one JSON line per measurement, and the table of the docs with the measured values."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rnr.files.jsonl import json_line
from scripts.benchmarks.turns import Numbers, shown

KEY = re.compile(r"`([\w.-]+)`")
MISSING = "-"


class Rows:
    """Writes the measurements of one step, each before the next one starts."""

    def __init__(self, file: Path, step: str) -> None:
        self._file = file
        self._step = step

    def add(self, case: str, numbers: Mapping[str, Any]) -> None:
        """Append a measurement to the file and print it."""
        row = {"step": self._step, "case": case, "at": time.strftime("%H:%M:%S"), **numbers}
        with self._file.open("a") as file:
            file.write(json_line(row))
        words = ", ".join(f"{name} {shown(value)}" for name, value in numbers.items())
        print(f"{self._step}.{case}: {words}", flush=True)

    @contextmanager
    def case(self, name: str) -> Iterator[Numbers]:
        """Numbers that the block fills in. They are written when it ends, with its seconds, and with the error as
        ``failed`` if it raises."""
        numbers: Numbers = {}
        begin = time.perf_counter()
        try:
            yield numbers
        except Exception as error:
            numbers["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
        numbers["case_seconds"] = round(time.perf_counter() - begin, 2)
        self.add(name, numbers)


def collected(file: Path) -> Numbers:
    """All numbers of the file by ``step.case.number``; a truncated line is skipped."""
    numbers: Numbers = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        place = f"{row.pop('step')}.{row.pop('case')}"
        numbers |= {f"{place}.{name}": value for name, value in row.items()}
    return numbers


def filled(page: str, numbers: Mapping[str, Any]) -> str:
    """The one table of the page whose last column is "measured", with that column filled in for the numbers that the
    second column names: the reason if a step or case failed, ``MISSING`` if there is no such number."""
    lines = page.splitlines()
    heads = [place for place, line in enumerate(lines) if line.startswith("|") and line.rstrip().endswith("measured |")]
    if not heads:
        raise ValueError('no table whose last column is "measured"')
    (head,) = heads
    end = next((place for place in range(head, len(lines)) if not lines[place].startswith("|")), len(lines))
    rows = [_filled_row(line, numbers) for line in lines[head + 2 : end]]
    return "\n".join([*lines[head : head + 2], *rows])


def keys(page: str) -> list[str]:
    """The names of numbers in the table of the page."""
    return [key for line in filled(page, {}).splitlines()[2:] for key in KEY.findall(line.split("|")[2])]


def _filled_row(line: str, numbers: Mapping[str, Any]) -> str:
    cells = line.strip().strip("|").split("|")
    found = [_value(key, numbers) for key in KEY.findall(cells[1])]
    return "|" + "|".join([*cells[:-1], f" {' / '.join(found) or MISSING} "]) + "|"


def _value(key: str, numbers: Mapping[str, Any]) -> str:
    if key in numbers:
        return shown(numbers[key])
    step, case, _ = key.split(".", 2)
    for place in (f"{step}.{case}", f"{step}.all"):
        if f"{place}.failed" in numbers:
            return f"failed: {numbers[f'{place}.failed'][:60]}"
    return MISSING
