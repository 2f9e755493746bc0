"""From the output of a model's head to its logits."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """What a model makes of its head's output before the softmax: ``softcap * tanh(scale * output / softcap)``, or
    without a cap ``scale * output``."""

    scale: float = 1.0
    softcap: float | None = None
    fused: bool = False
    """Whether the learner reads and writes the logits in few compiled passes."""
    kept: bool = True
    """Whether the head's output is kept for the backward pass, which otherwise makes it again."""

    def __call__(self, output: torch.Tensor) -> torch.Tensor:
        """The logits, in the dtype of the head's output."""
        if self.softcap is None:
            return output * self.scale
        return torch.tanh(output * (self.scale / self.softcap)) * self.softcap

    def at(self, output: torch.Tensor, temperature: float) -> torch.Tensor:
        """The logits at ``temperature``, a float32 (or wider) copy without a gradient."""
        copy = output.to(torch.promote_types(output.dtype, torch.float32), copy=True)
        if self.softcap is not None:
            return copy.mul_(self.scale / self.softcap).tanh_().mul_(self.softcap / temperature)
        return copy if self.scale == temperature else copy.mul_(self.scale / temperature)

    def cap_grads(self, scaled: torch.Tensor, temperature: float) -> torch.Tensor | None:
        """How much slower logits that ``at`` has scaled grow for their soft cap, 1 - tanh^2; None without a cap."""
        return None if self.softcap is None else 1 - (scaled * (temperature / self.softcap)).square_()


PLAIN = Logits()
"""The head's output itself."""
