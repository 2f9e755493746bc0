"""Ray for one run: a cluster is joined with its own token, or Ray is started here for this run alone.

A local Ray is closed in two ways. It listens on the loopback address alone, and every call needs a token that is made
for this run, is handed on by the environment of the run's own processes, and is written to no file. Its folder (logs,
sockets, temporary files of the workers) belongs to this user alone and is removed with the run.
"""

import atexit
import itertools
import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import _raylet
from ray._private import auto_init_hook, ray_constants, worker
from ray.exceptions import RayError

from actors.locked_folder import choose_folder_for_kernels, held_for_ray, remove, remove_abandoned_by_workers
from cluster.nodes import LOOPBACK, refuse_unreachable
from cluster.ray_logs import PARTS, last_words

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "rnr-ray-"
LOOPBACK_SWITCH = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
"""Ray's own switch for machines on which a node must never be reachable: with 0 its address is the loopback address."""

ELSEWHERE_ON_LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "VLLM_HOST_IP": LOOPBACK}
"""Where the engines listen for themselves; by default that is the address which the host's name points to."""

HERE = "Ray on this machine"
GAVE_UP = "timed out during startup"
"""In the bare ``Exception`` with which Ray ends its own start after 30 s, too few on a busy machine."""

SLOW = "the machine is busy, or a limit (ulimit -v, -n, -u, or --pids-limit of a container) keeps Ray from starting"
REFUSALS = (OSError, RuntimeError, ValueError, RayError)
"""What ``ray.init`` raises when Ray cannot be started or joined; anything else is a bug."""


class _Local:
    """What a local Ray has changed in this process and on the disk, until ``close``."""

    def __init__(self) -> None:
        self.folder, self._lock = held_for_ray(PREFIX)
        # Ray opens its own folder to all users, so it is inside a private one.
        self.ray_folder, temporary = self.folder / "ray", self.folder / "tmp"
        temporary.mkdir()
        self._before = dict(os.environ)
        self._clustered = ray_constants.ENABLE_RAY_CLUSTER
        ray_constants.ENABLE_RAY_CLUSTER = False
        choose_folder_for_kernels(Path(tempfile.gettempdir()))
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        for variable, value in ELSEWHERE_ON_LOOPBACK.items():
            os.environ.setdefault(variable, value)
        os.environ.pop("RAY_AUTH_TOKEN_PATH", None)
        os.environ |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            LOOPBACK_SWITCH: "0",
            "TMPDIR": str(temporary),
        }
        _read_token_again()

    def close(self) -> None:
        """Put the process back as it was and remove the folder."""
        ours = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", LOOPBACK_SWITCH, "TMPDIR")
        for name in (*ours, *ELSEWHERE_ON_LOOPBACK):
            os.environ.pop(name, None)
            if name in self._before:
                os.environ[name] = self._before[name]
        ray_constants.ENABLE_RAY_CLUSTER = self._clustered
        _read_token_again()
        remove(self.folder, spare_own=True)  # W&B's service, which its own end waits for
        remove_abandoned_by_workers()
        os.close(self._lock)


class _ErrorsOfRay:
    """In place of what prints the errors that Ray sends to its drivers, in colours and with the native stack of a part
    that died: logs the first line of each, once."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def __call__(self, data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
        for line in (text.strip().partition("\n")[0] for text in data["lines"]):
            if line and line not in self._logged:
                self._logged.add(line)
                logger.warning(f"Ray: {line}")


_local: _Local | None = None
_released = threading.Event()


def connect(
    address: str,
    *,
    seconds: float,
    named: str = "",
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    env_vars: Mapping[str, str] | None = None,
) -> None:
    """Join the cluster at ``address``, or start Ray on this machine if it is empty.

    ``named`` is the address with what it is from. ``num_cpus``, ``num_gpus`` and ``env_vars`` (of all workers) are for
    a local Ray. Raises ValueError, naming the address, if Ray is not there within ``seconds`` or refuses, and at once
    if it cannot connect.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    worker.print_to_stdstream = _ErrorsOfRay()
    auto_init_hook.enable_auto_connect = False  # a call that comes after the run has left Ray would start another
    if address:
        what = f"the Ray cluster at {named or address}"
        if named:
            logger.info(f"joining {what} within {seconds:.0f} s (deadlines.start)")
        refuse_unreachable(address, what)
        _use_own_token()
        _within(seconds, lambda: ray.init(address=address, **quiet), what=what)
        return
    options: dict[str, Any] = {
        "include_dashboard": False,
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "runtime_env": {"env_vars": {"PYTHONPATH": str(ROOT), **(env_vars or {})}},
        "_node_ip_address": LOOPBACK,
    }
    begin = time.monotonic()
    for attempt in itertools.count():
        why = _start_local(seconds, options | quiet)
        if why is None:
            return
        if why and attempt:
            raise ValueError(f"{HERE} does not start: {why}")
        if time.monotonic() - begin > seconds:
            raise ValueError(f"{HERE}: not up within {seconds:.0f} s (deadlines.start); {SLOW}")
        if not attempt:
            logger.warning(f"{HERE} did not start ({why or SLOW}); trying again for {seconds:.0f} s (deadlines.start)")


def _start_local(seconds: float, options: Mapping[str, Any]) -> str | None:
    """Start Ray on this machine; if its own start timed out, why, as far as it says. Raises ValueError as ``connect``
    does."""
    global _local
    disconnect()
    _local = local = _Local()
    atexit.register(disconnect)
    try:
        _within(seconds, lambda: ray.init(address="local", _temp_dir=str(local.ray_folder), **options), what=HERE)
        _refuse_if_open()
    except Exception as error:
        why = last_words(local.ray_folder / "session_latest/logs")
        disconnect()
        if GAVE_UP in str(error):
            _end_processes(local.folder)
            return why
        raise
    return None


def _end_processes(folder: Path) -> None:
    """End the processes of a Ray that gave up: Ray itself ends them only when this process ends."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()):
                process.kill()


def disconnect() -> None:
    """Leave the cluster, or end the local Ray and remove what it left; without either, nothing."""
    global _local
    ray.shutdown()
    _released.set()
    if _local is not None:
        atexit.unregister(disconnect)
        _local.close()
        _local = None


def is_local() -> bool:
    """Whether Ray was started here for this process alone."""
    return _local is not None


def dead() -> str:
    """Which part of a local Ray has ended under it, and how: "raylet was ended by SIGKILL"; empty while all live, and
    where there is no local Ray."""
    node: Any = None if _local is None else worker._global_node
    for name, process in node.dead_processes() if node else ():
        if name in PARTS:
            code = process.poll()
            return f"{name} " + (
                f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            )
    return ""


def keep_logs(part: str, folder: Path) -> str:
    """Copy what a part of the local Ray has written into ``folder``, as its own goes with the run; returns the log's
    place, empty where there is none."""
    kept = ""
    with suppress(OSError):
        for log in sorted(_local.ray_folder.glob(f"session_latest/logs/{part}.*")) if _local else ():
            kept = str(shutil.copy(log, folder))
    return kept


@contextmanager
def session(address: str = "", *, seconds: float, **options: Any) -> Iterator[None]:
    """``connect`` for the length of a block."""
    connect(address, seconds=seconds, **options)
    try:
        yield
    finally:
        disconnect()


def _within(seconds: float, start: Callable[[], Any], *, what: str) -> None:
    """Call ``start`` with a deadline that also holds where it hangs in compiled code."""
    global _released
    _released = released = threading.Event()
    ended = threading.Event()
    failures: list[BaseException] = []
    too_late = False

    def call() -> None:
        # Ray's processes inherit it. Slurm sends SIGTERM to all of a job at once, a terminal that is closed SIGHUP: the
        # learner must live to save.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
        try:
            start()
        except BaseException as error:
            failures.append(error)
        ended.set()
        if too_late:
            ray.shutdown()
        elif not failures:
            # The kernel ends Ray's processes together with the thread that started them: it has to live on.
            released.wait()

    handler = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=call, name="ray.init", daemon=True).start()
    in_time = ended.wait(seconds)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray replaces it by one that prints native stacks
    if not in_time:
        too_late = True
        raise ValueError(f"{what}: no answer within {seconds:.0f} s (deadlines.start)")
    for error in failures:
        if isinstance(error, REFUSALS):
            raise ValueError(f"{what}: {_reason(error)}") from error
        raise error


def _reason(error: BaseException) -> str:
    causes = [error, error.__cause__] if error.__cause__ else [error]
    text = "; ".join(" ".join(str(cause).split()) for cause in causes)
    if "uthenticat" in text:
        text += " (put the cluster's token into RAY_AUTH_TOKEN or the file named by RAY_AUTH_TOKEN_PATH)"
    return f"{type(error).__name__}: {text}"


def _refuse_if_open() -> None:
    """Raise ValueError if the local node listens on another address than loopback."""
    found = {node["NodeManagerAddress"] for node in ray.nodes()}
    if found != {LOOPBACK}:
        raise ValueError(f"Ray on this machine: its node listens on {sorted(found)} instead of {LOOPBACK} alone")


def _use_own_token() -> None:
    """Send the user's token for clusters, if there is one: Ray does not for an explicit address."""
    has_token = _tokens().has_token(ignore_auth_mode=True)
    if "RAY_AUTH_MODE" not in os.environ and has_token:
        os.environ["RAY_AUTH_MODE"] = "token"
        _read_token_again()


def _tokens() -> Any:
    return _raylet.AuthenticationTokenLoader.instance()  # pyright: ignore[reportAttributeAccessIssue]


def _read_token_again() -> None:
    """Ray caches mode and token when it first reads them."""
    _raylet.Config.initialize("")  # pyright: ignore[reportAttributeAccessIssue]
    _tokens().reset_cache()
