"""How DeepSpeed divides the state of a learner among its ranks.

It keeps master weights and moments in flat tensors, and each stage and number of ranks cuts them in another way:

- stages 0, 1 and 2: all parameters one after the other, the whole cut into as many equal parts as there are ranks (one
  under stage 0), with padding at its end;
- stage 3: each parameter cut into as many parts, padded for itself; a rank's parts lie one after the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How the state of a learner is divided."""

    ranks: int
    zero_stage: int

    def pieces(self, rank: int, sizes: Sequence[int], part: int) -> Iterator[tuple[int, int, int]]:
        """For each parameter (start in it, start on the tape of this rank, length) of the piece that the rank has;
        ``sizes`` are those of the parameters, ``part`` is the length of a rank's tape under stages 0 to 2."""
        ranks = self.ranks if self.zero_stage else 1
        begin, place = (rank * part if ranks > 1 else 0), 0
        for size in sizes:
            if self.zero_stage == 3:
                length = -(-size // ranks)
                yield rank * length, place, max(0, min(length, size - rank * length))
                place += length
            else:
                start = max(place, begin)
                stop = min(place + size, begin + part)
                yield max(0, start - place), max(0, start - begin), max(0, stop - start)
                place += size


@dataclass(frozen=True, slots=True)
class Tape:
    """Flat tensors one after the other."""

    parts: Sequence[torch.Tensor]

    def __len__(self) -> int:
        return sum(part.numel() for part in self.parts)

    def views(self, start: int, length: int) -> Iterator[torch.Tensor]:
        """Views on ``length`` numbers from ``start`` on."""
        for part in self.parts:
            if length and start < part.numel():
                view = part.flatten()[start : start + length]
                yield view
                length -= view.numel()
            start = max(0, start - part.numel())
