"""Model merging: the base model plus a weighted task vector of each stage.

These are task vectors (Ilharco et al. 2023, arXiv 2212.04089). A warm start weight below 1 moves back towards the
base model (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903); a GRPO weight above 1 continues in the direction of its
update (ExPO, Zheng et al. 2024, arXiv 2404.16792).
"""

import torch

from rnr.config import MergingConfig


def merged(
    base: torch.Tensor, warm_started: torch.Tensor, trained: torch.Tensor, merging: MergingConfig
) -> torch.Tensor:
    """One weight of the merged policy: ``base + warm_start * (SFT - base) + grpo * (trained - SFT)``, computed
    in float64, in which sums of bf16 numbers are exact."""
    start, middle, end = base.double(), warm_started.double(), trained.double()
    return start + merging.warm_start * (middle - start) + merging.grpo * (end - middle)
