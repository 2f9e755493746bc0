"""Settings of a learner rank, and what it makes of them; loads nothing of the engine, as the driver has both."""

from dataclasses import dataclass

from learner.batch import Arrange
from rnr.config import ModelConfig, OptimizerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerSettings:
    """The settings of a rank: the folder of the weights, and the branches of the config that are about it."""

    model_folder: str
    model: ModelConfig
    optimizer: OptimizerConfig
    seed: int
    gpu_memory_share: float = 1.0
    """The learner's share of the device's memory."""
    gpu_gib_asleep: float = 0.0
    """GiB of its share that an engine keeps while it sleeps and the learner trains."""
    reached_by_engines: bool = False
    """Whether engines on other hosts open connections to the ranks."""
    copies: int = 0
    """Copies of the trained weights that come to the device later: the KL reference, the transport's."""
    longest: int = 0
    """Tokens of the longest sequence that may be trained on; 0 if that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a rank has decided from its device."""

    arrange: Arrange
    max_tokens: int
    """Of a micro-batch."""
    notes: tuple[str, ...]
    """Notes for the user."""
