"""Ray for one run: closed to everyone else, with a token of its own, and nothing is left of it."""

import http.client
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.ray
ray = pytest.importorskip("ray")

from cluster import ray_session  # noqa: E402
from cluster.ray_session import session  # noqa: E402
from tests.end_to_end.neighbour import listening  # noqa: E402

AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
RAY = str(Path(sys.executable).parent / "ray")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder without a token, and an environment without one."""
    for name in AUTH:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


class Somebody:
    def where(self) -> tuple[int, str]:
        return os.getpid(), os.environ["TMPDIR"]


def ours():
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def test_a_local_ray_listens_on_loopback_alone_and_wants_a_token_that_no_file_holds(home):
    before = {name: os.environ.get(name) for name in (*AUTH, "TMPDIR", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")}
    with session(seconds=60, num_cpus=1):
        actor = ray.remote(Somebody).remote()
        pid, temporary = ray.get(actor.where.remote())
        open_now = listening(ours())
        assert pid in [process.pid for process in ours()]
        assert {address for address, _ in open_now} == {"127.0.0.1"}
        assert {"gcs_server", "raylet", "ray::DashboardAgent", "ray::Somebody"} <= set(open_now.values())

        folder = Path(temporary).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        token = os.environ["RAY_AUTH_TOKEN"]
        holding = [file for file in folder.rglob("*") if file.is_file() and token.encode() in file.read_bytes()]
        assert holding == []
        assert not any(token in " ".join(process.cmdline()) for process in ours())

        assert jobs_taken_without_a_token(port for _, port in open_now) == []
        gcs = next(port for (_, port), name in open_now.items() if name == "gcs_server")
        join = f"import ray; ray.init(address='127.0.0.1:{gcs}', log_to_driver=False); print('JOINED')"
        done = in_another_process([sys.executable, "-c", join])
        assert "JOINED" not in done.stdout
        assert "uthentication" in done.stdout + done.stderr
    assert not folder.exists()
    assert list(home.iterdir()) == []
    assert {name: os.environ.get(name) for name in before} == before


def jobs_taken_without_a_token(ports):
    """The ports that accept a job without a token; fails if none refuses it, for then the job agent was not asked."""
    taken, refused = [], 0
    body = json.dumps({"entrypoint": "true"}).encode()
    for port in ports:
        url = f"http://127.0.0.1:{port}/api/job_agent/jobs/"
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                taken.append((port, answer.status))
        except urllib.error.HTTPError as error:
            refused += error.code in (401, 403)
        except (OSError, http.client.HTTPException):
            continue  # it does not speak HTTP
    assert refused, "the job agent was not found"
    return taken


def in_another_process(command):
    environment = {name: value for name, value in os.environ.items() if name not in AUTH}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_each_local_ray_has_a_token_of_its_own_and_that_of_the_user_comes_back(home, monkeypatch):
    for_clusters = "of-the-cluster-" + "x" * 32
    monkeypatch.setenv("RAY_AUTH_TOKEN", for_clusters)
    tokens = {for_clusters}
    for _ in range(2):
        with session(seconds=60, num_cpus=1):
            assert ray.cluster_resources()["CPU"] == 1
            tokens.add(os.environ["RAY_AUTH_TOKEN"])
    assert len(tokens) == 3
    assert os.environ["RAY_AUTH_TOKEN"] == for_clusters


def test_a_local_ray_that_gave_up_on_itself_is_started_again_until_the_deadline(home, monkeypatch):
    tried, folders = [], []

    def slow(*, _temp_dir, **_options):
        tried.append(time.monotonic())
        folders.append(Path(_temp_dir).parent)
        time.sleep(0.2)
        raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(ray_session.ray, "init", slow)
    with pytest.raises(ValueError, match=r"Ray on this machine: not up within 1 s \(deadlines.start\)"):
        ray_session.connect("", seconds=1)
    assert 2 <= len(tried) <= 6
    assert not [folder for folder in folders if folder.exists()]


def test_a_cluster_that_never_answers_is_given_up_by_name(home):
    script = """
import socket
from cluster.ray_session import connect
silent = socket.socket()
silent.bind(("127.0.0.1", 0))
silent.listen()
try:
    connect(f"127.0.0.1:{silent.getsockname()[1]}", seconds=3)
except ValueError as error:
    print(error)
"""
    done = in_another_process([sys.executable, "-c", script])
    assert "the Ray cluster at 127.0.0.1:" in done.stdout, done.stderr
    assert "no answer within 3 s (deadlines.start)" in done.stdout


@pytest.fixture
def guarded_cluster(home):
    """The address of a cluster that wants a token, and the token."""
    token = "0123456789abcdef" * 4
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    command = [RAY, "start", "--head", "--block", f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=1"]
    folder = tempfile.mkdtemp(prefix="rnr-guarded-", dir="/tmp")  # socket paths must be short
    command += ["--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}"]
    with (home / "head.log").open("w") as log:
        head = subprocess.Popen(command, cwd="/", env=environment, stdout=log, stderr=log)
    try:
        while "Ray runtime started" not in (home / "head.log").read_text():
            assert head.poll() is None, (home / "head.log").read_text()
        yield f"127.0.0.1:{port}", token
    finally:
        started = psutil.Process(head.pid).children(recursive=True)
        head.terminate()
        head.wait(60)
        for process in psutil.wait_procs(started, timeout=30)[1]:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_cluster_is_joined_with_its_token_and_not_without(guarded_cluster, home):
    address, token = guarded_cluster
    script = f"""
import ray
from cluster.ray_session import session
try:
    with session({address!r}, seconds=60):
        print("JOINED", ray.cluster_resources()["CPU"])
except ValueError as error:
    print(error)
"""
    done = in_another_process([sys.executable, "-c", script])
    assert "JOINED" not in done.stdout
    assert f"the Ray cluster at {address}" in done.stdout, done.stderr
    assert "RAY_AUTH_TOKEN" in done.stdout
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(token)
    done = in_another_process([sys.executable, "-c", script])
    assert "JOINED 1.0" in done.stdout, done.stdout + done.stderr
