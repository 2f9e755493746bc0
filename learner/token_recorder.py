"""Per-token log-probabilities and entropies of the last step, for the report."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch

from learner.batch import Batch, MicroBatch
from learner.loss import Sums
from rnr.digest import token_key

if TYPE_CHECKING:
    from learner.engine import Loss  # loads DeepSpeed, which the driver avoids


class TokenRecorder:
    """Log-probabilities and entropies of one rank's micro-batches, as the loss was given them."""

    def __init__(self) -> None:
        self._seen: list[tuple[MicroBatch, torch.Tensor, torch.Tensor]] = []

    def clear(self) -> None:
        self._seen.clear()

    def recording(self, loss: "Loss", micro_batches: Sequence[MicroBatch]) -> "Loss":
        """The same loss, recording its inputs."""

        def recorded(
            batch: Batch, logprobs: torch.Tensor, entropies: torch.Tensor, number: int
        ) -> tuple[torch.Tensor, Sums]:
            self._seen.append((micro_batches[number], logprobs.detach(), entropies.detach()))
            return loss(batch, logprobs, entropies, number)

        return recorded

    def of(self, uids: Collection[str]) -> dict[tuple[str, int], tuple[list[float], list[float]]]:
        """(uid, ``token_key``) of each completion of these prompts -> log-probabilities and entropies of its tokens
        that are trained on."""
        found: dict[tuple[str, int], tuple[list[float], list[float]]] = {}
        for micro_batch, logprobs, entropies in self._seen:
            place = 0
            for item in (item for pack in micro_batch for item in pack):
                end = place + item.sample.trained_tokens
                if item.sample.uid in uids:
                    key = (item.sample.uid, token_key(item.sample.completion_ids))
                    found[key] = (logprobs[place:end].tolist(), entropies[place:end].tolist())
                place = end
        return found
