"""Metrics of a run for TensorBoard: ``tensorboard --logdir runs`` shows every run that has them."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


def check_tensorboard() -> None:
    """Raise ValueError where the package ``tensorboard``, which brings the writer, is not installed."""
    if find_spec("tensorboard") is None:
        raise ValueError(
            "tracking.tensorboard needs the package tensorboard: pip install tensorboard, or remove the key"
        )


class TensorboardRun:
    """Writes scalars under ``tensorboard/`` of the run folder."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary import Writer  # pyright: ignore[reportMissingImports]

        self._writer = Writer(str(folder / "tensorboard"))

    def log(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """The metrics of a step, under the name of their stage: each stage counts its own steps."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"{stage}/{name}", value, step)
        self._writer.flush()

    def finish(self) -> None:
        self._writer.close()
