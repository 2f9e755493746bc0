"""Another host on the same machine: a network namespace with a cable to this one, and what it finds open here."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

PROBE = """
import json, socket, sys
JOB = b'{"entrypoint": "touch %s"}'
def ask(host, port, request):
    with socket.create_connection((host, port), timeout=3) as connection:
        connection.settimeout(3)
        connection.sendall(request)
        try:
            return connection.recv(400).decode("latin1")
        except TimeoutError:
            return "(connected, silent)"
found = []
for host, port, mark in json.load(sys.stdin):
    body = JOB % mark.encode()
    lines = "Host: x", "Content-Type: application/json", "Connection: close", f"Content-Length: {len(body)}"
    head = "\\r\\n".join(lines) + "\\r\\n\\r\\n"
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        found.append([host, port, "closed", type(error).__name__])
        continue
    answers = []
    for path in ("/api/job_agent/jobs/", "/api/jobs/"):
        try:
            answers.append(ask(host, port, f"POST {path} HTTP/1.1\\r\\n{head}".encode() + body))
        except OSError as error:
            answers.append(type(error).__name__)
    http = [answer.splitlines()[0] for answer in answers if answer.startswith("HTTP")]
    found.append([host, port, "open", (http or [" | ".join(answers)[:80]])[0]])
print(json.dumps(found))
"""


class Neighbour:
    """A host that is not ours, and the addresses under which it knows us."""

    def __init__(self, namespace: str, addresses: Sequence[str]) -> None:
        self.namespace = namespace
        self.addresses = addresses

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess:
        """``command`` as if it ran over there."""
        command = ["ip", "netns", "exec", self.namespace, *command]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)

    def ask(self, ports: Sequence[int], mark: Path) -> list[tuple[str, int, str, str]]:
        """(address, port, open or closed, first answer) for every port: each is asked to take a job that would write
        the file ``mark``."""
        asked = [(address, port, str(mark)) for address in self.addresses for port in ports]
        done = self.run([sys.executable, "-c", PROBE], input=json.dumps(asked))
        assert done.returncode == 0, done.stderr
        return [tuple(row) for row in json.loads(done.stdout)]


def why_impossible() -> str:
    """What is missing for a second network namespace; empty if nothing is."""
    if os.getuid() != 0:
        return "a network namespace needs root"
    if not shutil.which("ip"):
        return "a network namespace needs `ip` (Debian package iproute2)"
    tried = subprocess.run(["ip", "netns", "add", "rnr-try"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "delete", "rnr-try"], capture_output=True)
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def neighbour(number: int = 15) -> Iterator[Neighbour]:
    """A host at 10.77.NUMBER.2 that reaches all addresses of this one; it is gone afterwards."""
    name, here, there = f"rnr-host{number}", f"rnr{number}a", f"rnr{number}b"
    own = f"10.77.{number}.1"
    commands = [
        f"ip netns add {name}",
        f"ip link add {here} type veth peer name {there}",
        f"ip link set {there} netns {name}",
        f"ip address add {own}/24 dev {here}",
        f"ip link set {here} up",
        f"ip netns exec {name} ip address add 10.77.{number}.2/24 dev {there}",
        f"ip netns exec {name} ip link set {there} up",
        f"ip netns exec {name} ip link set lo up",
        f"ip netns exec {name} ip route add default via {own}",
    ]
    _remove(name, here)  # a test that was killed leaves them
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        others = [a.address for each in psutil.net_if_addrs().values() for a in each if a.family == socket.AF_INET]
        yield Neighbour(name, sorted({own, *others} - {"127.0.0.1"}))
    finally:
        _remove(name, here)


def _remove(namespace: str, cable: str) -> None:
    subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", cable], capture_output=True, check=False)


def listening(processes: Sequence[psutil.Process]) -> dict[tuple[str, int], str]:
    """(address, TCP port) that a process listens on -> its name."""
    found = {}
    for process in processes:
        try:
            sockets = process.net_connections("inet")
            name = process.name()
        except psutil.Error:
            continue
        for entry in sockets:
            if entry.status == psutil.CONN_LISTEN:
                found[entry.laddr.ip.removeprefix("::ffff:"), entry.laddr.port] = name
    return found
