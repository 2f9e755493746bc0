"""A weight receiver with the fault that the probe exists for."""

from pathlib import Path

from actors import weight_receiver


class ForgetsTheTiedHead(weight_receiver.WeightReceiver):
    """Reloads everything but leaves the packed copy of a tied head as it was; raises nothing."""

    def load_policy(self, folder: str) -> None:
        self.model_runner.reload_weights(
            weights_iterator=weight_receiver._tensors(Path(folder)), is_checkpoint_format=True
        )
