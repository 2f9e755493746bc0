"""Learning rates as a pure function of the step, so that a resumed run needs no scheduler state."""

import math


def cosine(step: int, *, steps: int, peak: float, warmup_fraction: float, final: float) -> float:
    """The rate of optimizer step ``step`` (from 0): linear to ``peak`` over the warm-up, then half a cosine down to
    ``final * peak``. With peak 1, 10 steps, warm-up 0.2 and final 0.1: 0.5, 1, 1, 0.966, ... 0.134."""
    warmup = max(1, round(steps * warmup_fraction)) if warmup_fraction else 0
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
