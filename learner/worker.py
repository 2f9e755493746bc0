"""``LearnerWorker``: one rank as a plain class; the cluster makes a Ray actor of it."""

import gc
import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from learner.batch import Batch, MicroBatch, Weighted
from learner.extension import load_extension
from learner.heap import Heap
from learner.loss import Sums, add_sums, grpo_loss, sft_loss
from learner.rendezvous import interface_towards, open_store
from learner.settings import Fitted, LearnerSettings
from learner.token_recorder import TokenRecorder
from rnr.config import GrpoConfig, MergingConfig
from rnr.digest import Digest, Manifest, bits
from rnr.files.whole import files_in, not_there
from rnr.types import Sample

if TYPE_CHECKING:
    # The engine loads DeepSpeed, peft and transformers' models; the driver, which only names this class, avoids that.
    from learner.engine import Loss, PolicyEngine

MicroBatches = Sequence[MicroBatch]


class Sending(Protocol):
    """The end of a transport on the learner's side (``cluster/transport``)."""

    in_place: bool
    """Whether the weights are lent to it where they are, each until the next is asked for, or copied to the CPU."""

    def send(self, weights: Iterator[tuple[str, torch.Tensor]]) -> Iterator[Any]:
        """The weights as parcels, each yielded as soon as it is full."""
        ...


class LearnerWorker:
    """Everything the cluster may ask of one rank. All ranks get every call, with their own micro-batches. A method
    without a docstring is that of ``PolicyEngine``."""

    def __init__(self, *, rank: int, world_size: int, threads: int) -> None:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_RANK="0")
        self._rank = rank
        self._world_size = world_size
        self._store: TCPStore | None = None
        if threads:
            torch.set_num_threads(threads)
        self._engine: PolicyEngine | None = None
        self._heap = Heap()
        self._recorder = TokenRecorder()

    @property
    def engine(self) -> "PolicyEngine":
        assert self._engine is not None, "start() comes first"
        return self._engine

    def open_store(self, address: str) -> int:
        """Rank 0 opens the place where the ranks meet, at ``address`` and no other; returns its port, held from now on,
        for all of them."""
        self._store, port = open_store(address, world_size=self._world_size)
        return port

    def start(
        self, settings: LearnerSettings, address: str, port: int, start_seconds: float, collective_seconds: float
    ) -> Fitted:
        """Join the process group at the store that rank 0 has opened, and build the engine; returns what it decided.
        In a collective a rank waits for the others for ``collective_seconds``."""
        import deepspeed

        from learner.engine import PolicyEngine

        os.environ.update(MASTER_ADDR=address, MASTER_PORT=str(port))
        # By default Gloo listens where the host's name points to, which may be another network or the loopback address.
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            if variable not in os.environ:
                os.environ[variable] = interface_towards(address)
        load_extension(start_seconds)
        # By the device of the weights: a rank that has no GPU may see those of its host.
        accelerator: Any = deepspeed.get_accelerator()
        backend = "nccl" if accelerator.device_name() == "cuda" else "gloo"
        timeout = timedelta(seconds=collective_seconds)
        store = self._store or TCPStore(address, port, self._world_size, is_master=False, timeout=timeout)
        torch.distributed.init_process_group(
            backend, store=store, rank=self._rank, world_size=self._world_size, timeout=timeout
        )
        deepspeed.init_distributed(backend, timeout=timeout, auto_mpi_discovery=False)
        # DeepSpeed collects garbage four times while it is built: imported objects need not be scanned each time.
        gc.freeze()
        self._engine = PolicyEngine(settings)
        return self._engine.fitted

    def sft_step(self, micro_batches: MicroBatches, learning_rate: float) -> Sums:
        """One supervised optimizer step."""

        def loss(
            batch: Batch, logprobs: torch.Tensor, _entropies: torch.Tensor, _number: int
        ) -> tuple[torch.Tensor, Sums]:
            return sft_loss(logprobs, batch.weights_N)

        self._heap.keep_small()
        return self.engine.update(micro_batches, loss=loss, learning_rate=learning_rate, temperature=1.0)

    def sft_loss(self, micro_batches: MicroBatches) -> Sums:
        """The loss per target token of sequences that are not trained on, as ``sft/held_out_loss``."""
        logprobs = torch.cat(self.engine.logprobs(micro_batches, 1.0))
        weights = [
            item.weight
            for packs in micro_batches
            for pack in packs
            for item in pack
            for _ in range(item.sample.trained_tokens)
        ]
        return {"sft/held_out_loss": sft_loss(logprobs, torch.tensor(weights, device=logprobs.device))[1]["sft/loss"]}

    def grpo_step(
        self,
        mini_batches: Sequence[MicroBatches],
        config: GrpoConfig,
        learning_rate: float,
        temperature: float,
    ) -> Sums:
        """An optimizer step on each of the mini-batches, ``config.epochs`` times over; the metric sums over all."""
        self._heap.keep_small()
        engine, reused = self.engine, config.epochs * len(mini_batches) > 1
        # The old policy and the reference are those of the start of the step, before anything is updated.
        old = [engine.logprobs(micro_batches, temperature) if reused else None for micro_batches in mini_batches]
        reference = [
            engine.logprobs(micro_batches, temperature, reference=True) if config.kl_coefficient else None
            for micro_batches in mini_batches
        ]
        sums: Sums = {}
        self._recorder.clear()
        for turn, part in enumerate(list(range(len(mini_batches))) * config.epochs):
            loss = _grpo_loss(old[part], reference[part], config)
            if turn < len(mini_batches):
                loss = self._recorder.recording(loss, mini_batches[part])
            more = engine.update(mini_batches[part], loss=loss, learning_rate=learning_rate, temperature=temperature)
            sums = add_sums(sums, more)
        return sums

    def token_values(self, uids: Collection[str]) -> dict[tuple[str, int], tuple[list[float], list[float]]]:
        """What the loss of the last GRPO step saw of the completions of these prompts (``TokenRecorder``)."""
        return self._recorder.of(uids)

    def score(self, sample: Sample) -> list[float]:
        """Log-probabilities of a sample's completion tokens at temperature 1: this side of the probe."""
        micro_batches = (((Weighted(sample=sample, weight=1.0),),),)
        return self.engine.logprobs(micro_batches, 1.0)[0].tolist()

    def send(self, transport: Sending) -> Iterator[Any]:
        """Send the policy through ``transport``: its parcels, then its manifest; nothing on ranks above 0."""
        seen = Digest()

        def noted() -> Iterator[tuple[str, torch.Tensor]]:
            for name, tensor in self.engine.weights(in_place=transport.in_place):
                seen.add(name, bits(tensor))
                yield name, tensor

        yield from transport.send(noted())
        if seen.shapes:
            yield Manifest(digest=seen.result(), tensors=seen.shapes)

    def make_room(self) -> None:
        """Release the device memory that torch caches for the next step."""
        torch.cuda.empty_cache()

    def reset_optimizer(self) -> None:
        self.engine.reset_optimizer()

    def freeze_reference(self) -> None:
        self.engine.freeze_reference()

    def host(self) -> str:
        """The name of this rank's host."""
        return socket.gethostname()

    def sees(self, file: str) -> bool:
        """Whether there is such a file on this rank's host."""
        return not not_there([Path(file)])

    def save(self, folder: str) -> list[str]:
        """The files that are in ``folder`` then, as this host sees it."""
        self.engine.save(folder)
        return files_in(Path(folder))

    def load(self, folder: str) -> None:
        self.engine.load(folder)

    def merge(self, start: str, merging: MergingConfig) -> None:
        self.engine.merge(start, merging)

    def export(self, folder: str, extra_files: Mapping[str, str]) -> list[str]:
        """``learner.export``; the files that rank 0 has written."""
        from learner.export import export

        export(self.engine, Path(folder), extra_files, rank=self._rank)
        return [] if self._rank else files_in(Path(folder))


def _grpo_loss(old: list[torch.Tensor] | None, reference: list[torch.Tensor] | None, config: GrpoConfig) -> "Loss":
    """The loss of a micro-batch, given the other log-probabilities of all micro-batches, where they are needed."""

    def loss(batch: Batch, logprobs: torch.Tensor, entropies: torch.Tensor, number: int) -> tuple[torch.Tensor, Sums]:
        return grpo_loss(
            logprobs,
            entropy_N=entropies,
            old_logprobs_N=old[number] if old else None,
            sampler_logprobs_N=batch.sampler_logprobs_N,
            reference_logprobs_N=reference[number] if reference else None,
            advantages_N=batch.advantages_N,
            weights_N=batch.weights_N,
            sequences_N=batch.sequences_N,
            config=config,
        )

    return loss
