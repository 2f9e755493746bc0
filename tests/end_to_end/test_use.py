"""A model as it is used, on real vLLM: from a plain script, and as a server."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.slow


def test_a_script_without_a_guard_loads_asks_and_prints_its_own_lines_alone(tiny_model, tmp_path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import sys, torch\n"  # a process that has torch's threads spawns its engine, which would run this once more
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from rnr import load\n"
        f"ner = load({str(tiny_model)!r}, decoding='marks', context_tokens=256)\n"
        "print('loaded')\n"
        "for found in ner.batch(['Ada met Bob.', 'x'], ['person', 'city'], samples=4, threshold=0.0):\n"
        "    for e in found: assert found.sentence[e.start:e.end] == e.text and e.label in ('person', 'city'), e\n"
        "    print(len(found.sentence))\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "loaded\n12\n1\n"), done.stderr[-3000:]


def test_a_server_extracts_speaks_openais_interface_and_ends_when_told(tiny_model) -> None:
    command = [sys.executable, "-m", "scripts.main", "serve", str(tiny_model), "--port", "0", "--name", "tiny"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if line.startswith("tiny at http"))
            os.set_blocking(process.stderr.fileno(), False)
            place = line.split()[2]
            body = {"sentences": ["Ada met Bob."], "labels": ["person"], "decoding": "marks"}
            (row,) = _asked(f"{place}/extract", body)["results"]
            assert all(row["sentence"][e["start"] : e["end"]] == e["text"] for e in row["entities"])
            message = {"model": "tiny", "max_tokens": 3, "messages": [{"role": "user", "content": "hello"}]}
            assert _asked(f"{place}/v1/chat/completions", message)["choices"]
            assert urllib.request.urlopen(f"{place}/health").status == 200
        finally:
            process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
        assert process.returncode == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


def _asked(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read())
