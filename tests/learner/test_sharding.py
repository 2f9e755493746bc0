"""How a learner's state is cut by ranks and ZeRO stage: every number of every parameter is in one place."""

import pytest
import torch

from learner.sharding import Sharding, Tape

SIZES = (5, 1, 8, 3, 12, 2)


def _tapes(sharding: Sharding, values: list[torch.Tensor]) -> list[torch.Tensor]:
    """The tapes of all ranks, cut by hand as DeepSpeed does; -1 is padding."""
    ranks = sharding.ranks if sharding.zero_stage else 1
    if sharding.zero_stage == 3:
        tapes = []
        for rank in range(ranks):
            parts = []
            for value in values:
                length = -(-value.numel() // ranks)
                padded = torch.cat([value, torch.full((length * ranks - value.numel(),), -1.0)])
                parts.append(padded[rank * length : (rank + 1) * length])
            tapes.append(torch.cat(parts))
        return tapes
    flat = torch.cat(values)
    multiple = 2 * ranks
    padded = torch.cat([flat, torch.full(((-len(flat)) % multiple,), -1.0)])
    return list(padded.chunk(ranks))


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_the_pieces_of_all_ranks_are_each_parameter_once_in_its_order(stage, ranks) -> None:
    sharding = Sharding(ranks=ranks, zero_stage=stage)
    values, count = [], 0
    for size in SIZES:
        values.append(torch.arange(count, count + size, dtype=torch.float32))
        count += size
    tapes = _tapes(sharding, values)
    pieces = [list(sharding.pieces(rank, SIZES, len(tapes[0]))) for rank in range(len(tapes))]
    for number, value in enumerate(values):
        found = []
        for tape, own in zip(tapes, pieces, strict=True):
            start, place, length = own[number]
            views = list(Tape([tape[:4], tape[4:]]).views(place, length))
            if length:
                assert float(views[0][0]) == float(value[start])
            found += views
        assert torch.equal(torch.cat(found), value), number


def test_a_tape_goes_over_the_joints_of_its_parts_and_is_written_through() -> None:
    parts = [torch.zeros(2), torch.zeros(1), torch.zeros(2, 2)]
    tape = Tape(parts)
    assert len(tape) == 7
    lengths = []
    for view in tape.views(1, 4):
        lengths.append(view.numel())
        view.fill_(1)
    assert lengths == [1, 1, 2]
    assert [part.flatten().tolist() for part in parts] == [[0, 1], [1], [1, 1, 0, 0]]
    assert list(tape.views(3, 0)) == []
