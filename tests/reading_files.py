"""Small files for the tests of reading, and what is found in them."""

import json
from pathlib import Path

from rnr.config import ReadingConfig
from rnr.corpus.loading import check
from rnr.corpus.report import Reading
from rnr.types import Example

Found = tuple[str, list[tuple[str, str]]]
ADA: Found = ("Ada ran", [("Ada", "PER")])
BO: Found = ("Bo sat", [("Bo", "PER")])
ROW = {"text": "Ada ran", "entities": [[0, 3, "PER"]]}


def written(file: Path, content: str | bytes | list[object]) -> Path:
    """A file of bytes, of text, or of one JSON value a line, in a folder that is made for it."""
    if isinstance(content, list):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def read(file: Path, **options: object) -> tuple[list[Found], str, str]:
    """Each sentence with its mentions, the problems and the notes."""
    reading = Reading(options=ReadingConfig.model_validate(options))
    rows = list(check([str(file)], reading))
    found = [(one.sentence, [(m.text, m.label) for m in one.mentions]) for one in rows if isinstance(one, Example)]
    problems = [str(one) for one in rows if not isinstance(one, Example)]
    return found, "\n".join(problems), "\n".join(reading.report.lines())
