"""A run folder that a learner rank has on another disk: told before anything is trained, and never sealed."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from actors.local_handle import LocalHandle
from cluster.checkpoint import Checkpoints
from cluster.manifest import CheckpointLayout, verify
from cluster.policy import PolicyService
from cluster.progress import Progress
from cluster.ranks import FolderNotShared, LearnerRanks
from learner.worker import LearnerWorker
from rnr.config import DeadlineConfig, GrpoConfig, SamplingConfig


class Rank(LearnerWorker):
    """A rank that writes a file of its own, on a host that has ``disk`` where the driver has ``here``."""

    def __init__(self, rank: int, here: Path, disk: Path) -> None:
        super().__init__(rank=rank, world_size=2, threads=0)
        self._here, self._disk = here, disk
        self._engine: Any = SimpleNamespace(save=self._write)
        self.ended = False

    def _write(self, folder: str) -> None:
        state = Path(folder) / "state"
        state.mkdir(parents=True, exist_ok=True)
        (state / f"zero_pp_rank_{self._rank}.pt").write_text("state")

    def _there(self, path: str) -> str:
        return str(self._disk / Path(path).relative_to(self._here))

    def host(self) -> str:
        return self._disk.name

    def sees(self, file: str) -> bool:
        return super().sees(self._there(file))

    def save(self, folder: str) -> list[str]:
        return super().save(self._there(folder))

    def export(self, folder: str, extra_files: Any) -> list[str]:
        return super().export(self._there(folder), extra_files)

    def stop(self) -> None:
        self.ended = True


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    monkeypatch.setattr("rnr.files.whole.LAG_SECONDS", 0)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "")


def _workers(folder: Path, *hosts: str) -> list[Rank]:
    """A rank on each of the hosts; ``head`` is that of the driver."""
    return [Rank(number, folder / "head", folder / host) for number, host in enumerate(hosts)]


def _ranks(workers: Sequence[Rank]) -> LearnerRanks:
    handles = [LocalHandle(worker) for worker in workers]
    return LearnerRanks(handles, deadlines=DeadlineConfig(), max_tokens_per_microbatch=64)


def _policy(workers: Sequence[Rank], run_folder: Path) -> PolicyService:
    async def build() -> LearnerRanks:
        return _ranks(workers)

    async def engines_sleep() -> dict[str, float]:
        return {}

    nothing: dict[str, Any] = dict.fromkeys(("learning_rate", "transport"))
    return PolicyService(
        build,
        grpo=GrpoConfig(),
        sampling=SamplingConfig(),
        probe=(1, 2),
        engines_sleep=engines_sleep,
        run_folder=run_folder,
        **nothing,
    )


def _save(workers: Sequence[Rank], folder: Path) -> Path:
    folder.parent.mkdir()  # the run folder
    checkpoints = Checkpoints(folder, keep=2, layout=CheckpointLayout(learner_ranks=len(workers), zero_stage=2))
    policy = _policy(workers, folder)
    policy._ranks = _ranks(workers)
    asyncio.run(checkpoints.save(Progress(stage="grpo", step=200), policy))
    return checkpoints.complete()[0]


def test_ranks_that_see_the_run_folder_start_and_leave_nothing_in_it(tmp_path) -> None:
    run = tmp_path / "head" / "run"
    run.mkdir(parents=True)
    asyncio.run(_policy(_workers(tmp_path, "head", "head"), run).start())
    assert list(run.iterdir()) == []


def test_a_rank_that_has_another_run_folder_is_named_with_its_host_before_anything_is_trained(tmp_path) -> None:
    run = tmp_path / "head" / "run"
    run.mkdir(parents=True)
    (tmp_path / "gpu-2" / "run").mkdir(parents=True)
    workers = _workers(tmp_path, "head", "gpu-2", "gpu-3")
    with pytest.raises(FolderNotShared) as refused:
        asyncio.run(_policy(workers, run).start())
    said = str(refused.value)
    assert said.startswith(
        f"run.folder: the folder {run} of learner rank 1 on gpu-2, learner rank 2 on gpu-3 is not that of this process"
    )
    assert "Set run.folder to a folder that the driver and all learner ranks have" in said
    assert list(run.iterdir()) == []
    assert all(worker.ended for worker in workers)


@pytest.mark.parametrize("hosts", [("gpu-2", "gpu-2"), ("head", "gpu-2")])
def test_a_checkpoint_whose_state_lies_on_another_host_is_not_sealed(tmp_path, hosts) -> None:
    folder = tmp_path / "head" / "checkpoints"
    rank = hosts.index("gpu-2")
    with pytest.raises(FolderNotShared, match=rf"of learner rank {rank} on gpu-2.* is not that of this process"):
        _save(_workers(tmp_path, *hosts), folder)
    assert list(folder.iterdir()) == []


def test_a_checkpoint_that_all_ranks_wrote_here_holds_the_state_of_each(tmp_path) -> None:
    saved = _save(_workers(tmp_path, "head", "head"), tmp_path / "head" / "checkpoints")
    assert set(verify(saved).files) == {"progress.json", "state/zero_pp_rank_0.pt", "state/zero_pp_rank_1.pt"}


def test_an_export_that_lies_on_another_host_is_not_taken_for_one(tmp_path, monkeypatch) -> None:
    def export(_engine: Any, folder: Path, _files: Any, *, rank: int) -> None:
        if rank == 0:
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_text("weights")

    monkeypatch.setitem(sys.modules, "learner.export", SimpleNamespace(export=export))
    folder = str(tmp_path / "head" / "export")
    asyncio.run(_ranks(_workers(tmp_path, "head", "gpu-2")).export(folder, {}))
    with pytest.raises(FolderNotShared, match="learner rank 0 on gpu-2"):
        asyncio.run(_ranks(_workers(tmp_path, "gpu-2", "head")).export(folder + "-2", {}))
