"""Resharding: loads a checkpoint of another number of ranks or ZeRO stage.

A parameter is put together from the files of all ranks, and this rank's piece of it is written where its own engine
keeps it. The files are mapped into memory: one parameter is held at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deepspeed
import torch

from learner.sharding import Sharding, Tape

MOMENTS = ("exp_avg", "exp_avg_sq")
FLATS = {
    1: "fp32_groups_flat_partition",
    2: "single_partition_of_fp32_groups",
    3: "fp32_partitioned_groups_flat",
}
"""ZeRO stage -> what DeepSpeed's optimizer calls the flat master weights of a rank; stage 0 has them by parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The state of one rank: a tape of master weights and one of each moment, and the number of steps."""

    tapes: Mapping[str, Tape]
    steps: Any


def reshard(engine: Any, folder: Path, saved: Sharding, own: Sharding, rank: int) -> None:
    """Bring the engine of this rank, divided as ``own``, to the state that ``saved`` wrote under ``folder``.

    Raises ValueError if the files do not hold as many numbers as the model has.
    """
    parameters = [parameter for parameter in engine.module.parameters() if parameter.requires_grad]
    sizes = [getattr(parameter, "ds_numel", parameter.numel()) for parameter in parameters]
    shares = [_read(file, saved.zero_stage) for file in _files(folder, saved)]
    tapes = [share.tapes["master"] for share in shares]
    part = len(tapes[0])
    holds = sum(length for number in range(len(tapes)) for _, _, length in saved.pieces(number, sizes, part))
    if holds != sum(sizes) or any(_short(saved, number, sizes, part, tape) for number, tape in enumerate(tapes)):
        raise ValueError(
            f"{folder}: {len(tapes)} files of ZeRO stage {saved.zero_stage} hold the state of another model: "
            f"{sum(map(len, tapes))} numbers, but this one trains {sum(sizes)}"
        )
    target = _live(engine, own.zero_stage)
    theirs = [list(saved.pieces(number, sizes, part)) for number in range(len(shares))]
    ours = list(own.pieces(rank if own.zero_stage else 0, sizes, len(target.tapes["master"])))
    for number, (parameter, (start, place, length)) in enumerate(zip(parameters, ours, strict=True)):
        for kind, tape in target.tapes.items():
            found = [(share.tapes[kind], pieces[number]) for share, pieces in zip(shares, theirs, strict=True)]
            whole = torch.cat([view for tape_, (_, at, much) in found for view in tape_.views(at, much)])
            at = start
            for view in tape.views(place, length):
                view.copy_(whole[at : at + view.numel()])
                at += view.numel()
            if kind == "master":
                _set_weights(parameter, whole, divided=own.zero_stage == 3)
    for state in _states(engine, own.zero_stage):
        state["step"].copy_(shares[0].steps)


def _short(sharding: Sharding, rank: int, sizes: Sequence[int], part: int, tape: Tape) -> bool:
    """Whether the tape of a rank ends before its pieces do."""
    return any(length and place + length > len(tape) for _, place, length in sharding.pieces(rank, sizes, part))


def _files(folder: Path, saved: Sharding) -> list[Path]:
    """The files with the state of each rank, in their order."""
    if saved.zero_stage == 0:
        return [folder / "state" / "mp_rank_00_model_states.pt"]
    names = [f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(saved.ranks)]
    return [folder / "state" / name for name in names]


def _read(file: Path, zero_stage: int) -> Share:
    if not file.is_file():
        raise ValueError(f"no learner state in {file}")
    loaded = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    state = loaded["optimizer" if zero_stage == 0 else "optimizer_state_dict"]
    if zero_stage == 0:
        master = _flatten(state["fp32_groups"])
    else:
        master = state["fp32_flat_groups" if zero_stage == 3 else "single_partition_of_fp32_groups"]
    optimizer = state["optimizer_state_dict" if zero_stage in (0, 3) else "base_optimizer_state"]["state"]
    return _share(master, [optimizer[number] for number in sorted(optimizer)])


def _live(engine: Any, zero_stage: int) -> Share:
    """The tensors that the engine itself works on."""
    return _share([tensor.data for tensor in masters(engine, zero_stage)], _states(engine, zero_stage))


def masters(engine: Any, zero_stage: int) -> list[torch.Tensor]:
    """The float32 weights that this rank's optimizer steps on, flat from stage 1 on."""
    optimizer = engine.optimizer
    return _flatten(optimizer.fp32_groups) if zero_stage == 0 else list(getattr(optimizer, FLATS[zero_stage]))


def _flatten(groups: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    return [tensor for group in groups for tensor in group]


def _states(engine: Any, zero_stage: int) -> list[dict[str, torch.Tensor]]:
    """The optimizer's state of each tensor of master weights; made here where no step has been taken yet."""
    states = engine.optimizer.optimizer.state
    found = masters(engine, zero_stage)
    for tensor in found:
        if not states[tensor]:
            states[tensor]["step"] = torch.zeros((), dtype=torch.float32, device=tensor.device)
            states[tensor] |= {moment: torch.zeros_like(tensor.data) for moment in MOMENTS}
    return [states[tensor] for tensor in found]


def _share(master: Sequence[torch.Tensor], states: Sequence[Mapping[str, torch.Tensor]]) -> Share:
    tapes = {moment: Tape([state[moment] for state in states]) for moment in MOMENTS}
    return Share(tapes={"master": Tape(list(master)), **tapes}, steps=states[0]["step"])


def _set_weights(parameter: Any, whole: torch.Tensor, *, divided: bool) -> None:
    """The bf16 weights that the model computes with, rounded from the master weights as an optimizer step does."""
    if not divided:
        parameter.data.copy_(whole.view_as(parameter))
        return
    with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
        parameter.data.copy_(whole.view(parameter.ds_shape))
