"""Everything that is found out before the first worker is started."""

import time
from dataclasses import dataclass
from pathlib import Path

from cluster.checkpoint import take_over, warm_start
from cluster.launch import connect
from cluster.plan import check_room
from cluster.prepare import Prepared, prepare
from cluster.schedule import Schedule
from rnr.config import Config
from rnr.runs.run_folder import open_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A run whose data, model and resources have been found good."""

    prepared: Prepared
    schedule: Schedule
    folder: Path
    seconds: float
    """What finding out took."""


def get_ready(config: Config, *, resume: bool) -> Ready:
    """Check everything a user can get wrong, join or start Ray, and open the run folder.

    Raises ValueError, naming the place, before any worker is started; a ValueError after that is a bug.
    """
    begin = time.monotonic()
    start = warm_start(config, resume=resume)
    prepared = prepare(
        model=config.model,
        data=config.data,
        sft=config.sft,
        sampling=config.sampling,
        reward=config.reward,
        evaluation=config.evaluation,
        seed=config.run.seed,
    )
    for note in prepared.notes:
        print(note)
    schedule = Schedule(config, prepared)
    check_room(config, prepared.weights_gib, resume=resume)
    connect(config)
    folder = open_run(config, resume=resume)
    if start:
        take_over(start, folder)
    return Ready(prepared=prepared, schedule=schedule, folder=folder, seconds=time.monotonic() - begin)
