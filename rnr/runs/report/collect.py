"""A run folder -> one value with everything its page shows. Read-only, so it may be called during a run."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnr.evaluation.scoring import compare
from rnr.files.jsonl import whole_rows
from rnr.runs.metric_names import meaning_of
from rnr.runs.report.evaluations import Predictions, read_evaluation, side_by_side
from rnr.runs.report.groups import read_groups
from rnr.runs.report.timeline import read_timeline
from rnr.runs.run_folder import saved_config, saved_summary
from rnr.runs.status import read_status

MOST_POINTS = 400
"""Of one curve."""
TILES = ("reward/mean", "ner/f1", "val/f1", "sft/loss", "actor/entropy", "response_length/mean", "timing_s/step")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """Everything on the page of one run, ready for JSON."""

    name: str
    folder: str
    written: str
    status: dict[str, Any]
    config: dict[str, Any]
    series: dict[str, dict[str, list[list[float]]]]
    """Metric -> stage -> [step, value]."""
    meanings: dict[str, list[str]]
    """Metric -> title and how it is computed."""
    tiles: list[dict[str, Any]]
    rollouts: dict[str, Any]
    timeline: dict[str, Any]
    evaluation: dict[str, Any]
    summary: dict[str, Any]
    notes: list[str]
    """What was left out to keep the page small, and what is missing in the folder."""
    other: dict[str, Any] | None = None
    """The second run, where two are compared."""


def collect(folder: Path, other: Path | None = None) -> RunReport:
    """The report of a run, beside another if one is given. Raises ValueError for a folder that is not a run folder."""
    config = saved_config(folder)
    status = read_status(folder)
    series, thinned = _series(folder)
    rollouts = read_groups(folder)
    evaluation, predictions = read_evaluation(folder, config)
    timeline = read_timeline(folder)
    notes = [f"curves of more than {MOST_POINTS} points are thinned"] if thinned else []
    shown, whole = len(rollouts["groups"]), rollouts["all_groups"]
    if shown < whole:
        notes.append(
            f"{shown} of {whole} groups ({rollouts['all_rollouts']} rollouts) are on this page, spread over all steps; "
            "rollouts.jsonl has all of them"
        )
    if not timeline["lanes"]:
        notes.append("this run has no spans: it is from an earlier version, or has not started")
    return RunReport(
        name=folder.name,
        folder=str(folder),
        written=time.strftime("%Y-%m-%d %H:%M:%S"),
        status={} if status is None else asdict(status) | {"said": str(status)},
        config=config,
        series=series,
        meanings={name: [meaning.title, meaning.how] for name in series if (meaning := meaning_of(name)) is not None},
        tiles=_tiles(series),
        rollouts=rollouts,
        timeline=timeline,
        evaluation=evaluation,
        summary=saved_summary(folder) or {},
        notes=notes,
        other=None if other is None else _other(other, config, predictions),
    )


def _other(folder: Path, config: Mapping[str, Any], predictions: Predictions) -> dict[str, Any]:
    theirs = saved_config(folder)
    _, others = read_evaluation(folder, theirs)
    differences: dict[str, Any] = {}
    note = "" if predictions and others else "one of the runs has no readable evaluation"
    if not note:
        try:
            compared = compare(predictions, others)
            differences = {protocol: asdict(found) for protocol, found in compared.items()}
        except ValueError as error:
            note = f"no paired comparison: {error}"
    return {
        "name": folder.name,
        "folder": str(folder),
        "series": _series(folder)[0],
        "config": config_differences(config, theirs),
        "sentences": side_by_side(predictions, others),
        "differences": differences,
        "note": note,
    }


def config_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[list[Any]]:
    """[key, value in the first, value in the second] of each key that differs; the names of the runs are left out."""
    flat = [_flat(config) for config in (first, second)]
    keys = [key for key in sorted(flat[0] | flat[1]) if key not in ("run.name", "run.folder")]
    return [[key, flat[0].get(key), flat[1].get(key)] for key in keys if flat[0].get(key) != flat[1].get(key)]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _series(folder: Path) -> tuple[dict[str, dict[str, list[list[float]]]], bool]:
    """The curves, and whether any had to be thinned."""
    series: dict[str, dict[str, list[list[float]]]] = {}
    for row in whole_rows(folder / "metrics.jsonl"):
        stage, step = row.pop("stage"), row.pop("step")
        for name, value in row.items():
            if value is not None:
                series.setdefault(name, {}).setdefault(stage, []).append([step, value])
    thinned = False
    for stages in series.values():
        for stage, points in stages.items():
            if len(points) > MOST_POINTS:
                thinned = True
                stages[stage] = _few(points)
    return series, thinned


def _few(points: Sequence[list[float]]) -> list[list[float]]:
    """Evenly spread points, the last among them."""
    every = -(-len(points) // MOST_POINTS)
    return [*points[:-1:every], points[-1]]


def _tiles(series: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> list[dict[str, Any]]:
    """The newest value of what matters most, and its first, over all stages that have it."""
    tiles = []
    for name in TILES:
        stages = series.get(name, {})
        points = [point for stage in ("base", "sft", "grpo") for point in stages.get(stage, ())]
        if points:
            tiles.append({"metric": name, "first": points[0][1], "last": points[-1][1], "points": len(points)})
    return tiles
