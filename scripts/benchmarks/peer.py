"""A peer process that runs another trainer: one line of JSON in, one line of JSON out, idle in between."""

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

STDERR_LINES = 20
"""Lines of the peer's stderr that are shown in an error."""


class PeerFailed(RuntimeError):
    """The peer exited, sent an invalid answer, or did not answer in time; the message has the end of its stderr."""


class Peer:
    """A running peer process. It takes one request at a time."""

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
        self._answers.put("")  # stdout was closed

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request; returns the answer. Raises PeerFailed if it is no JSON object or misses the deadline."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(strict_json(request) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=self._deadline_seconds)
        except BrokenPipeError:
            line = ""
        except queue.Empty:
            raise PeerFailed(f"no answer within {self._deadline_seconds:g} s{self._stderr_tail()}") from None
        if not line:
            self._answers.put("")  # a later request fails in the same way
            raise PeerFailed(f"the peer ended with exit status {self._status()}{self._stderr_tail()}")
        try:
            answer = json.loads(line)
        except json.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise PeerFailed(f"the peer answered {line.strip()!r}, which is no JSON object{self._stderr_tail()}")
        return answer

    def _status(self) -> int | None:
        """The exit status, or None if it closed stdout but is still running."""
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return None

    def _stderr_tail(self) -> str:
        # The peer's descriptor shares the file offset with this one, and pread does not change it.
        size = os.fstat(self._stderr.fileno()).st_size
        start = max(0, size - 16_384)
        text = os.pread(self._stderr.fileno(), size - start, start).decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()][-STDERR_LINES:]
        return "; end of its stderr:\n" + "\n".join(lines) if lines else "; its stderr is empty"


@contextmanager
def running_peer(command: Sequence[str], *, environment: Mapping[str, str], deadline_seconds: float) -> Iterator[Peer]:
    """``command`` as a peer process, with a deadline for each answer; it is always stopped when the block ends."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=dict(environment)
        )
        try:
            yield Peer(process, stderr, deadline_seconds)
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
