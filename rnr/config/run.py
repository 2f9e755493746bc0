"""Run folder, tracking and checkpoints."""

from pydantic import Field, field_validator

from rnr.config.section import Section


class RunConfig(Section):
    name: str = "run"
    """Name of the run and its folder: one path component, at most 100 bytes. An older run of the same name is moved
    aside."""
    folder: str = "runs"
    """Parent of the run folder; on a cluster, on a file system that the driver and all learner ranks share."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of data order, sampling and initialisation."""

    @field_validator("name")
    @classmethod
    def _one_component(cls, name: str) -> str:
        wrong = _wrong_with(name)
        if wrong:
            raise ValueError(f"{name[:120]!r} {wrong}; it becomes the name of the run's folder")
        return name


def _wrong_with(name: str) -> str:
    """Why ``name`` cannot name a run folder; empty if it can."""
    if not name.strip():
        return "is empty"
    if name != name.strip() or name.startswith(".") or name.endswith("."):
        return "begins or ends with a dot or a space"
    if "/" in name or "\\" in name:
        return "contains a slash"
    if not name.isprintable():
        return "contains a character that is not printable"
    if len(name.encode()) > 100:
        return f"is {len(name.encode())} bytes long, 100 are allowed"
    return ""


class CheckpointConfig(Section):
    every_steps: int = Field(default=20, ge=1)
    """Steps of SFT or of GRPO between checkpoints."""
    keep: int = Field(default=2, ge=1)
    """Number of newest checkpoints to keep; two with the same files count as one."""
    grace_seconds: float = Field(default=25.0, ge=0)
    """Time after SIGTERM to write a checkpoint; then the run ends without it. By default Kubernetes and Slurm send
    SIGKILL after 30 s, ``ray job stop`` after 3 s (``docs/cluster.md``)."""


class TrackingConfig(Section):
    wandb_project: str = "rnr"
    """W&B project; empty disables W&B. With WANDB_API_KEY, metrics and tables with sentences are uploaded; without it,
    W&B runs offline, for a later ``wandb sync``."""
    wandb_group: str = ""
    """W&B group."""
    wandb_tags: tuple[str, ...] = ()
    """W&B tags."""
    tensorboard: bool = False
    """Also write the metrics to ``tensorboard/`` in the run folder; needs the package ``tensorboard``."""
