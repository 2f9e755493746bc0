"""The state of a rank on disk, through DeepSpeed: written whole, and read without running anything that is in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.fp16.loss_scaler import LossScaler
from deepspeed.runtime.zero.config import ZeroStageEnum
from deepspeed.utils.tensor_fragment import fragment_address

from learner.reshard import reshard
from learner.sharding import Sharding
from rnr.files.whole import sync_folder

STATE_CLASSES = (fragment_address, LossScaler, ZeroStageEnum)
"""What DeepSpeed puts into its checkpoints beside tensors and plain values: numbers with names, no code."""
FORCED, FORCED_OFF = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def save_state(engine: Any, folder: str, *, adapter_only: bool) -> None:
    """Write weights, master weights, moments and the random state under ``folder``, and force them to disk."""
    random_state = {"torch_rng": torch.get_rng_state(), "division": asdict(_own(engine))}
    engine.save_checkpoint(folder, tag="state", client_state=random_state, exclude_frozen_parameters=adapter_only)
    sync_folder(Path(folder))


def load_state(engine: Any, folder: str, *, adapter_only: bool) -> None:
    """Take up what ``save_state`` wrote, also where it was divided among other ranks or for another ZeRO stage. Raises
    ValueError when it is not there, and UnpicklingError when it holds anything but tensors, plain values and
    ``STATE_CLASSES``."""
    with torch.serialization.safe_globals(list(STATE_CLASSES)), _weights_only():
        first = _first_file(Path(folder))
        saved = torch.load(first, map_location="cpu", mmap=True, weights_only=True)
        own = _own(engine)
        sharding = Sharding(**saved["division"]) if "division" in saved else own
        if sharding != own:
            reshard(engine, Path(folder), sharding, own, torch.distributed.get_rank())
            torch.set_rng_state(saved["torch_rng"].clone())
            return
        path, state = engine.load_checkpoint(folder, tag="state", load_module_strict=not adapter_only)
    if path is None:
        raise ValueError(f"no learner state in {folder}")
    torch.set_rng_state(state["torch_rng"])


def _own(engine: Any) -> Sharding:
    return Sharding(ranks=torch.distributed.get_world_size(), zero_stage=int(engine.zero_optimization_stage()))


def _first_file(folder: Path) -> Path:
    """That of the weights on the first rank, which also holds what is not DeepSpeed's; raises ValueError without it."""
    found = sorted((folder / "state").glob("*mp_rank_00_model_states.pt"))
    if not found:
        raise ValueError(f"no learner state in {folder}")
    return found[0]


@contextmanager
def _weights_only() -> Iterator[None]:
    """Every ``torch.load`` in here refuses pickled code, also where DeepSpeed asks for ``weights_only=False``."""
    before = {name: os.environ.pop(name, None) for name in (FORCED, FORCED_OFF)}
    os.environ[FORCED] = "1"
    try:
        yield
    finally:
        del os.environ[FORCED]
        os.environ |= {name: value for name, value in before.items() if value is not None}
