"""Another trainer in a process of its own: a line of JSON in, one line of JSON out, idle in between."""

import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from rnr.files.jsonl import strict_json

LAST_WORDS = 20
"""Lines of the peer's stderr that an error shows."""


class PeerFailed(RuntimeError):
    """The peer died, answered nonsense, or did not answer in time; says what it last wrote on stderr."""


class Peer:
    """The running peer. It may only be asked one thing at a time."""

    def __init__(self, process: "subprocess.Popen[str]", stderr: IO[bytes], deadline_seconds: float) -> None:
        self._process = process
        self._stderr = stderr
        self._deadline_seconds = deadline_seconds
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")  # it has closed its side

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the peer answers; PeerFailed when that is no JSON object or does not come within the deadline."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(strict_json(request) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=self._deadline_seconds)
        except BrokenPipeError:
            line = ""
        except queue.Empty:
            raise PeerFailed(f"no answer within {self._deadline_seconds:g} s{self._last_words()}") from None
        if not line:
            self._answers.put("")  # and so it is for whoever asks again
            raise PeerFailed(f"it ended with exit status {self._status()}{self._last_words()}")
        try:
            answer = json.loads(line)
        except json.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise PeerFailed(f"it answered {line.strip()!r}, which is no JSON object{self._last_words()}")
        return answer

    def _status(self) -> int | None:
        """None when it closed its side but lives on."""
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return None

    def _last_words(self) -> str:
        # The peer writes through a descriptor of its own that shares this one's place in the file: pread moves nothing.
        size = os.fstat(self._stderr.fileno()).st_size
        start = max(0, size - 16_384)
        text = os.pread(self._stderr.fileno(), size - start, start).decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()][-LAST_WORDS:]
        return "; its last words:\n" + "\n".join(lines) if lines else "; it wrote nothing on stderr"


@contextmanager
def running_peer(command: Sequence[str], *, environment: Mapping[str, str], deadline_seconds: float) -> Iterator[Peer]:
    """``command`` as a peer, ended with the block whatever happened; each of its answers has ``deadline_seconds``."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=dict(environment)
        )
        try:
            yield Peer(process, stderr, deadline_seconds)
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
