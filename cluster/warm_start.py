"""The warm start of another run (``sft.from_run``), taken over as the first checkpoint of this one."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cluster.checkpoint import AFTER_WARM_START, PROGRESS, Checkpoints, complete_checkpoint, progress_of, state_files
from cluster.inputs import EVALUATION, read_inputs
from cluster.manifest import MANIFEST, layout_of, read_manifest, verify
from rnr.config import RunConfig, SftConfig
from rnr.evaluation.predictions import UNCALIBRATED
from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from rnr.runs.run_folder import run_folder, warm_start_folder

logger = logging.getLogger(__name__)


def warm_start(sft: SftConfig, run: RunConfig, tree: Mapping[str, Any], *, resume: bool) -> Path | None:
    """The checkpoint of ``sft.from_run`` at the end of its warm start; None if that is not set, or not needed because
    this run has checkpoints of its own to resume from. Raises ValueError if the other run has none or is not what this
    run, whose config is ``tree``, could begin with."""
    layout = layout_of(tree)
    own = Checkpoints(run_folder(run) / "checkpoints", keep=1, layout=layout).complete() if resume else []
    if own or not sft.from_run:
        return None
    other = warm_start_folder(sft.from_run, run, tree)
    start = Checkpoints(other / "checkpoints", keep=1, layout=layout).after_warm_start()
    if start is None:
        raise ValueError(f"sft.from_run: {other} has no checkpoint *{AFTER_WARM_START}: its warm start is not complete")
    try:
        verify(start)
    except ValueError as error:
        raise ValueError(f"sft.from_run: {error}") from None
    return start


def take_over(start: Path, folder: Path, inputs: Mapping[str, str]) -> None:
    """Make the checkpoint ``start`` of another run the first of the run in ``folder``, without the seconds it took, and
    with what was predicted and measured up to there if by ``inputs`` the evaluation of this run is given the same."""
    checkpoints = folder / "checkpoints"
    partial = checkpoints / f"{start.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    # The manifest comes last, so a copy that has one is complete.
    shutil.copytree(start, partial, ignore=shutil.ignore_patterns(MANIFEST))
    manifest = read_manifest(start)
    progress = asdict(progress_of(partial)) | {"seconds": {}}
    if read_inputs(start.parents[1]).get(EVALUATION) != inputs[EVALUATION]:
        logger.info("sft.from_run: not reusing its scores: sentences, decoding or calibration differ")
        progress["scores"] = {}
    write_whole(partial / PROGRESS, strict_json(progress, indent=1))
    (folder / "predictions").mkdir(exist_ok=True)
    for stage in sorted(progress["scores"].keys() & {"base", "sft"}):
        for name in (f"{stage}.jsonl", f"{UNCALIBRATED}/{stage}.jsonl"):
            if (predicted := start.parents[1] / "predictions" / name).is_file():
                write_whole(folder / "predictions" / name, predicted.read_bytes())
    # The weights keep the digests that they were written with: ``restore`` finds whatever the copy did to them.
    complete_checkpoint(partial, checkpoints / start.name, manifest.layout, state_files(manifest))
