"""Weight receivers with the faults that the verification of a sync exists for."""

from typing import Any

from actors import weight_receiver
from actors.delivery import received


class ForgetsTheTiedHead(weight_receiver.WeightReceiver):
    """Reloads everything but leaves the packed copy of a tied head as it was; raises nothing."""

    def load_policy(self, receiver: str, payload: Any) -> str:
        weights, digest = received(receiver, payload)
        self.model_runner.reload_weights(weights_iterator=weights, is_checkpoint_format=True)
        return digest()


class LoadsNothing(weight_receiver.WeightReceiver):
    """Takes the weights, gives their digest and keeps the old ones; raises nothing."""

    def load_policy(self, receiver: str, payload: Any) -> str:
        weights, digest = received(receiver, payload)
        for _ in weights:
            pass
        return digest()
