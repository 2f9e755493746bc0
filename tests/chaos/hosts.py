"""Hosts on one machine: each a network namespace with a cable to a switch, a /dev/shm and a folder for temporary files.

Nothing of it can be reached from outside: the switch, too, is in a namespace of its own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.end_to_end.launcher import ROOT
from tests.end_to_end.neighbour import why_impossible

PREFIX = "rnrc"
"""Of the names of namespaces and folders; the process whose they are follows, then a dash."""
NETWORK = "10.78.0"
PORT = 6399
SHM_BYTES = 600 * 2**20
DISK_BYTES = 1200 * 2**20
HOLD = f"""
mount --make-rprivate /
mount -t tmpfs -o size={SHM_BYTES} tmpfs /dev/shm
ip link set lo up
exec sleep infinity
"""
RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]

IMPOSSIBLE = why_impossible()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Host:
    """One of them; ``number`` counts from 1."""

    def __init__(self, number: int, folder: Path, token: str) -> None:
        self.number = number
        self.name = f"host{number}"
        self.space, self._switch = _space(number), _space(0)
        self.address = f"{NETWORK}.{10 + number}"
        self.temporary = folder / f"t{number}"
        self.temporary.mkdir()
        self._folder = folder
        self._environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
        }
        self.node: psutil.Popen | None = None
        ip("netns", "add", self.space)
        ip("link", "add", self.name, "netns", self._switch, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        ip("-n", self._switch, "link", "set", self.name, "master", "bridge", "up")
        ip("-n", self.space, "address", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.space, "link", "set", "eth0", "up")
        hold = ["ip", "netns", "exec", self.space, "unshare", "-m", "sh", "-c", HOLD]
        self._holder = subprocess.Popen(hold, start_new_session=True)

    def start(self, command: Sequence[str], log: Path, more: Mapping[str, str] | None = None) -> psutil.Popen:
        """A process on this host."""
        command = ["nsenter", "-t", str(self._holder.pid), "-n", "-m", f"--wd={ROOT}", *command]
        environment = self._environment | dict(more or {})
        with log.open("a") as out:
            return psutil.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)

    def start_node(self, cores: int = 4) -> None:
        """Ray on this host, which says that it has so many ``cores``: the head on the first, which has room for no
        worker."""
        head = self.number == 1
        where = (
            ["--head", f"--port={PORT}", f"--temp-dir={self._folder}/ray", "--include-dashboard=false"]
            if head
            else [f"--address={NETWORK}.11:{PORT}"]
        )
        options = [f"--node-ip-address={self.address}", f"--num-cpus={0 if head else cores}"]
        memory = [f"--object-store-memory={150 * 2**20}"]
        self.node = self.start([*RAY, *where, *options, *memory], self._folder / f"ray{self.number}.log")

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Those of the node whose command line holds ``name``."""
        if self.node is None or not self.node.is_running():
            return []
        found = []
        for process in self.node.children(recursive=True):
            with suppress(psutil.Error):
                if name in " ".join([process.name(), *process.cmdline()]):
                    found.append(process)
        return found

    def end_node(self, number: int = signal.SIGKILL) -> None:
        """End Ray on this host with everything it has started: by SIGKILL to the raylet, or as `ray stop` does."""
        if self.node is None:
            return
        everything = self.processes()
        with suppress(psutil.Error):
            if number == signal.SIGKILL:
                for raylet in self.processes("raylet/raylet"):
                    raylet.kill()
            else:
                self.node.send_signal(number)
            self.node.wait(30)
        for process in [*everything, self.node]:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(everything, timeout=20)
        self.node = None

    def cut(self) -> None:
        """Pull the cable."""
        ip("-n", self._switch, "link", "set", self.name, "down")

    def plug(self) -> None:
        """Plug it in again."""
        ip("-n", self._switch, "link", "set", self.name, "up")

    @property
    def shared_memory(self) -> Path:
        """This host's /dev/shm, as this process can reach it."""
        return Path(f"/proc/{self._holder.pid}/root/dev/shm")

    def left(self) -> list[str]:
        """Files that no Ray owns in the temporary folder and in shared memory."""
        found = [*self.temporary.iterdir(), *self.shared_memory.iterdir()]
        return sorted(f"{self.name}:{file.name}" for file in found if not file.name.startswith(("plasma", "ray")))

    def end(self) -> None:
        self.end_node()
        self._holder.kill()
        self._holder.wait()


class Hosts:
    """Hosts 1 to ``count``, all of them with a disk in common for the run folder; gone after the block."""

    def __init__(self, count: int, token: str) -> None:
        # A short path: sockets lie in it.
        self.folder = Path(tempfile.mkdtemp(prefix=_space(""), dir="/tmp"))
        self.disk = self.folder / "disk"
        self._count = count
        self._token = token
        self.hosts: list[Host] = []

    def __enter__(self) -> "Hosts":
        _remove(abandoned=True)
        self.disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self.disk)], check=True)
        switch = _space(0)
        ip("netns", "add", switch)
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        self.hosts = [Host(number + 1, self.folder, self._token) for number in range(self._count)]
        time.sleep(1)
        return self

    def __exit__(self, *_: Any) -> None:
        for host in reversed(self.hosts):
            host.end()
        _remove(abandoned=False)


def _space(number: int | str) -> str:
    """The namespace of a host of this process; 0 is the switch."""
    return f"{PREFIX}{os.getpid()}-{number}"


def _remove(*, abandoned: bool) -> None:
    """Take away the namespaces, with what runs in them, and the folders of this process, or those of processes that are
    no more: a campaign that was killed leaves them. Another's that goes on is left alone."""
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.split()
    for name in filter(partial(_belongs, abandoned=abandoned), names):
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    for folder in Path("/tmp").glob(f"{PREFIX}*-*"):
        if _belongs(folder.name, abandoned=abandoned):
            subprocess.run(["umount", "-l", str(folder / "disk")], capture_output=True)
            shutil.rmtree(folder, ignore_errors=True)


def _belongs(name: str, *, abandoned: bool) -> bool:
    match = re.match(rf"{PREFIX}(\d+)-", name)
    owner = int(match[1]) if match else 0
    return bool(owner) and (not psutil.pid_exists(owner) if abandoned else owner == os.getpid())
