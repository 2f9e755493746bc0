"""The page of a run in headless Chromium, where there is one: it draws itself, runs nothing of the data, and fits."""

import html
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rnr.runs.report.page import write_report
from tests.jsonl import read_jsonl
from tests.made_up_run import HOSTILE, made_up_run

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SHOTS = os.environ.get("RNR_SCREENSHOTS")
"""A folder that the screenshots are kept in."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome is installed"),
]
DARK, LIGHT = "0", "1"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    first = made_up_run(runs / "first", steps=6)
    return write_report(first, other=made_up_run(runs / "second", better=False))


def _browse(url: str, folder: Path, *options: str) -> str:
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    ended = subprocess.run(
        [*command, "--virtual-time-budget=8000", *options, url], capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _framed(page: Path, folder: Path, width: int) -> str:
    """A page that shows the report at this width and writes down what it finds: a window is never narrower than 500."""
    probe = folder / f"probe-{width}.html"
    probe.write_text(
        f'<body style="margin:0"><iframe id="f" src="{page.as_uri()}" style="border:0;width:{width}px;height:2400px">'
        '</iframe><pre id="found"></pre><script>document.getElementById("f").onload = event => {'
        "const d = event.target.contentDocument;"
        'document.getElementById("found").textContent = JSON.stringify({wide: d.documentElement.scrollWidth,'
        'images: d.querySelectorAll("img").length, scripts: d.scripts.length,'
        'sections: [...d.querySelectorAll("section")].map(s => s.id), marks: d.querySelectorAll("mark.hit").length,'
        'tiles: [...d.querySelectorAll(".tile")].map(t => [...t.children].map(c => c.textContent)),'
        'steps: [...d.querySelectorAll(".steps button")].length, nulls: d.body.innerText.includes("null\\n"),'
        'sentence: [...d.querySelectorAll("#evaluation .sentence")].map(s => s.textContent).join("|"),'
        'unnamed: [...d.querySelectorAll("button, select")].filter('
        'b => !b.textContent.trim() && !b.getAttribute("aria-label")).length});};</script>'
    )
    return probe.as_uri()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_draws_itself_and_fits(page, tmp_path, width) -> None:
    shown = _browse(_framed(page, tmp_path, width), tmp_path, "--allow-file-access-from-files", "--dump-dom")
    text = shown.partition('<pre id="found">')[2].partition("</pre>")[0]
    found = json.loads(html.unescape(text))
    assert found["wide"] <= width
    assert found["sections"] == [
        "overview",
        "curves",
        "time",
        "rollouts",
        "evaluation",
        "compare",
        "faults",
        "config",
    ]
    assert (found["images"], found["scripts"]) == (0, 2), "something of the data became HTML"
    assert found["marks"] > 0
    assert found["steps"] == 6
    assert found["unnamed"] == 0
    assert not found["nulls"]
    assert "<img src=x onerror=alert(1)>" in HOSTILE
    assert "<img src=x onerror=alert(1)>" in found["sentence"]
    last = read_jsonl(page.parent / "metrics.jsonl")
    loss = [row["sft/loss"] for row in last if "sft/loss" in row]
    tile = next(tile for tile in found["tiles"] if tile[0] == "SFT loss")
    assert float(tile[1]) == loss[-1]
    assert tile[2] == f"−{loss[0] - loss[-1]:g} since the start"


@pytest.mark.parametrize(("name", "scheme"), [("light", LIGHT), ("dark", DARK)])
@pytest.mark.parametrize("width", [1280, 400])
def test_screenshots_in_light_and_dark(page, tmp_path, width, name, scheme) -> None:
    folder = Path(SHOTS) if SHOTS else tmp_path
    file = folder / f"report-{width}-{name}.png"
    _browse(
        _framed(page, tmp_path, width),
        tmp_path,
        "--allow-file-access-from-files",
        f"--window-size={max(width, 500)},2400",
        f"--blink-settings=preferredColorScheme={scheme}",
        f"--screenshot={file}",
    )
    picture = file.read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000
