"""The journal of paid teacher responses; each is on disk before it is used."""

import fcntl
import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from rnr.files.jsonl import json_line
from rnr.synthesis.teacher import TeacherCompletion

Key = tuple[str, str, int, str]
"""(guid, stage, attempt, hash of the request)."""


class Journal:
    """All paid responses, read at the start; a new one is on disk when ``record`` returns."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError if another process has the file open, or if the file is not a journal."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._file = path, _locked(path)
        self._completions: dict[Key, TeacherCompletion] = {}
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        self._file.truncate(whole)  # a killed process may have left a partial line
        for number, line in enumerate(content[:whole].split(b"\n")[:-1], 1):
            try:
                entry = json.loads(line)
                key = (entry["guid"], entry["stage"], entry["attempt"], entry["request"])
                self._completions[key] = TeacherCompletion(**entry["completion"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number}: not a journal entry ({error}); repair or remove the line"
                ) from None

    def find(self, key: Key) -> TeacherCompletion | None:
        """The response to this request, or None if it is not in the journal."""
        return self._completions.get(key)

    def record(self, key: Key, completion: TeacherCompletion) -> None:
        """Append a response and fsync the file."""
        names = ("guid", "stage", "attempt", "request")
        entry = {**dict(zip(names, key, strict=True)), "completion": asdict(completion)}
        self._file.write(json_line(entry).encode(errors="backslashreplace"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._completions[key] = completion

    def tokens(self) -> dict[str, dict[str, int]]:
        """Numbers of requests, prompt tokens and completion tokens of all responses, by stage."""
        spent: dict[str, Counter[str]] = {}
        for (_, stage, _, _), completion in self._completions.items():
            count = {"requests": 1, "prompt": completion.prompt_tokens, "completion": completion.completion_tokens}
            spent.setdefault(stage, Counter()).update(count)
        return {stage: dict(count) for stage, count in spent.items()}

    def close(self) -> None:
        """Close and unlock the file; an empty journal is removed."""
        if not os.fstat(self._file.fileno()).st_size:
            self._path.unlink(missing_ok=True)
        self._file.close()


def _locked(path: Path) -> BinaryIO:
    while True:
        file = path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ValueError(f"another process is writing to {path}; wait for it, or choose another --out") from None
        # The previous process may have removed the file before it was locked here: writes to it would be lost.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()
