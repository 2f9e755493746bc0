"""What this machine must allow, whatever its resources: checked before Ray starts, for start and plan."""

import resource
import socket
import sys
from collections.abc import Iterable

from cluster.nodes import LOOPBACK
from cluster.placement import IN_PROCESS
from learner.extension import choose_build_root
from rnr.config import ClusterConfig

LEAST_FILES = 256
"""Open files of a process. Ray's own start takes about a hundred of them, and each worker some more."""
SECONDS = 5.0
"""Seconds the loopback address has to accept a connection."""


def check_machine(cluster: ClusterConfig) -> list[str]:
    """What to say of this machine, on which a run whose GPUs are decided is to start its workers. Raises ValueError,
    naming the limit and what to do, for what keeps them from starting."""
    notes = []
    if cluster.address != IN_PROCESS:
        _refuse_undecoded(sys.argv)
        _refuse_few_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])  # Ray raises its limit to the hard one
        notes = _note_on_addresses(resource.getrlimit(resource.RLIMIT_AS)[0])
    _refuse_deaf_loopback()
    return notes if cluster.gpus_per_learner_rank else [*notes, *choose_build_root()]


def _refuse_undecoded(arguments: Iterable[str]) -> None:
    """Raise ValueError for a command line, which Ray keeps, with bytes that Python has not decoded."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"Ray takes no command line with bytes that are not {sys.getfilesystemencoding()}, the encoding of "
                f"file names here: found {argument!a}; set a UTF-8 locale (LC_ALL=C.UTF-8) or PYTHONUTF8=1, or "
                "rename what is no UTF-8"
            ) from None


def _refuse_few_files(most: int) -> None:
    if most != resource.RLIM_INFINITY and most < LEAST_FILES:
        raise ValueError(
            f"a process may open {most} files here (ulimit -n), but Ray needs at least {LEAST_FILES}: raise the limit "
            "(ulimit -Hn, LimitNOFILE=, --ulimit nofile=)"
        )


def _note_on_addresses(most: int) -> list[str]:
    """A note on a limit of virtual memory: with too little Ray does not start, and does not say why."""
    if most == resource.RLIM_INFINITY:
        return []
    return [
        f"a process may have {most / 2**30:.1f} GiB of virtual memory here (ulimit -v), of which Ray, engines and "
        "learners reserve more than they use: if one does not start, `ulimit -v unlimited`"
    ]


def _refuse_deaf_loopback() -> None:
    """Raise ValueError where a process cannot reach another at the loopback address, as all parts of a run do."""
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname(), timeout=SECONDS).close()
    except OSError as error:
        raise ValueError(
            f"{LOOPBACK} cannot be reached on this machine ({error}), but the processes of a run communicate over it: "
            "bring the interface lo up (`ip link set lo up`), or allow it in the sandbox"
        ) from None
