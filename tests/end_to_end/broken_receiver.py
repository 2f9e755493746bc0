"""A weight receiver with the faults that the verification of a sync exists for."""

from typing import Any

from actors import weight_receiver
from actors.delivery import received


class Broken(weight_receiver.WeightReceiver):
    """Loads with the fault that it was told of, and raises nothing."""

    _fault = ""

    def break_by(self, fault: str) -> None:
        self._fault = fault

    def load_policy(self, receiver: str, payload: Any) -> str:
        weights, digest = received(receiver, payload)
        if self._fault == "forgets the tied head":  # reloads all but leaves the packed copy of the head as it was
            self.model_runner.reload_weights(weights_iterator=weights, is_checkpoint_format=True)
        elif self._fault == "loads nothing":  # takes the weights, gives their digest and keeps the old ones
            for _ in weights:
                pass
        else:
            raise ValueError(f"no such fault: {self._fault!r}")
        return digest()
