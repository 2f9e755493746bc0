"""One rank of the policy under DeepSpeed: optimizer steps on micro-batches, log-probabilities, whole weights."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import deepspeed
import torch
from peft import get_peft_model_state_dict

from learner.adapter import with_adapter
from learner.batch import Batch, MicroBatch, collate
from learner.device import fit_to_device
from learner.files import as_in_files, names_in_files, stored
from learner.loading import load_model
from learner.logprobs import PolicyModel
from learner.loss import Sums, add_sums
from learner.merging import merged
from learner.offload import HostState, optimizer_state
from learner.preflight import preflight
from learner.settings import LearnerSettings
from learner.state import load_state, save_state
from rnr.config import MergingConfig, OptimizerConfig

Loss = Callable[[Batch, torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, Sums]]
"""(micro-batch, log-probabilities, entropies, number of the micro-batch) -> (summed loss, metric sums)."""


MAX_SKIPPED = 3
"""Optimizer steps in a row that may be skipped."""


class PolicyEngine:
    """bf16 compute over fp32 master weights; every method is called on all ranks together."""

    def __init__(self, settings: LearnerSettings) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self._rank = int(os.environ["RANK"])
        self._world = int(os.environ["WORLD_SIZE"])
        model = self._load()
        self._engine, self._optimizer = self._deepspeed(preflight(model))
        self._host = HostState(partial(optimizer_state, self._engine)) if settings.optimizer.offload else None
        # DeepSpeed makes the moments of stage 0 by a step with gradients of 0, which Adam would count as its first.
        self.reset_optimizer()
        self.device = self._engine.device
        self.fitted = fit_to_device(self._engine, lambda batch: self._forward(self._engine, batch, 1.0)[0], settings)
        self._reference: PolicyModel | None = None
        self._frozen_adapter: list[torch.Tensor] = []
        self._skipped = 0
        """Steps in a row that were skipped."""

    def _load(self) -> Any:
        settings = self.settings
        model = self._base_model()
        self.names = names_in_files(model, Path(settings.model_folder))
        self._converts = self.names != {name for name, _ in model.named_parameters()}
        if settings.model.lora_rank:
            model = with_adapter(model, rank=settings.model.lora_rank, alpha=settings.model.lora_alpha)
        if settings.model.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            if settings.model.lora_rank:
                model.enable_input_require_grads()
        return model

    def _base_model(self) -> Any:
        return load_model(self.settings.model_folder, allow_pickle=self.settings.model.allow_pickle)

    def _deepspeed(self, policy: PolicyModel) -> tuple[Any, torch.optim.Optimizer]:
        settings = self.settings
        trainable = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trainable,
            lr=0.0,
            betas=settings.optimizer.betas,
            weight_decay=settings.optimizer.weight_decay,
            eps=1e-8,
            fused=True,
        )
        engine, _, _, _ = deepspeed.initialize(
            model=policy, optimizer=optimizer, config=deepspeed_config(settings.optimizer)
        )
        return engine, optimizer

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """All parameters of the policy, trained or not."""
        return self._engine.module.model.parameters()

    def update(
        self, micro_batches: Sequence[MicroBatch], *, loss: Loss, learning_rate: float, temperature: float
    ) -> Sums:
        """One optimizer step over this rank's micro-batches; returns this rank's metric sums and the gradient norm.

        A step with a loss or a gradient that is not finite, on any rank, changes nothing and is counted in
        ``actor/skipped_steps``, without its other metrics. Raises RuntimeError after ``MAX_SKIPPED`` in a row.
        """
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self._engine.train()
        found: list[Sums] = []
        losses: list[torch.Tensor] = []
        for number, packs in enumerate(micro_batches):
            batch = collate(packs, self.device, self.fitted.arrange)
            logprobs, entropies = self._forward(self._engine, batch, temperature)
            value, more = loss(batch, logprobs, entropies, number)
            losses.append(value.detach())
            # A loss that is not finite may have a finite gradient: this way all ranks see it.
            value = value * torch.where(torch.isfinite(losses[-1]), 1.0, torch.nan)
            # DeepSpeed averages gradients over the ranks; the weights already divide by the whole batch.
            self._engine.backward(value * self._world, scale_wrt_gas=False)
            found.append(more)
        with self._state():
            self._engine.step()
        norm = self._engine.get_global_grad_norm()
        if not self._engine.was_step_applied():
            return self._skip(losses, norm, learning_rate)
        self._skipped = 0
        # Read only here, so that nothing waits for the device between two micro-batches.
        sums: dict[str, tuple[float, float]] = {"actor/skipped_steps": (0.0, 1.0)}
        for more in found:
            sums = add_sums(sums, more)
        if norm is not None:
            sums["actor/grad_norm"] = (float(norm), 1.0)
        return sums

    def _skip(self, losses: Sequence[torch.Tensor], norm: Any, learning_rate: float) -> Sums:
        self._skipped += 1
        if self._skipped >= MAX_SKIPPED:
            bad = [loss.item() for loss in losses if not torch.isfinite(loss)]
            cause = f"a loss of {bad[0]}" if bad else f"a gradient norm of {norm}"
            raise RuntimeError(
                f"{self._skipped} optimizer steps in a row had a non-finite loss or gradient, so nothing is "
                f"trained: the last had {cause} at a learning rate of {learning_rate:g}"
            )
        return {"actor/skipped_steps": (1.0, 1.0)}

    def logprobs(
        self, micro_batches: Sequence[MicroBatch], temperature: float, *, reference: bool = False
    ) -> list[torch.Tensor]:
        """Log-probabilities of the completion tokens of each micro-batch, shape N each, without gradient, under the
        current policy or the frozen reference."""
        model = self._reference if reference else self._engine
        assert model is not None
        model.eval()
        with torch.no_grad(), self._reference_adapter() if reference else nullcontext():
            return [
                self._forward(model, collate(packs, self.device, self.fitted.arrange), temperature)[0]
                for packs in micro_batches
            ]

    def freeze_reference(self) -> None:
        """Keep the policy as it is now as the reference of the KL term: a second model, or the adapter's weights."""
        if self.settings.model.lora_rank:
            self._reference = self._engine.module
            self._frozen_adapter = [parameter.detach().clone() for parameter in self._adapter()]
            return
        weights = dict(self._gathered())
        reference = self._base_model()
        # On the device first: a process group may have a backend for that one alone.
        reference = reference.to(self.device).requires_grad_(False)
        scatter_weights(reference, weights, self._rank)
        self._reference = PolicyModel(reference, self._engine.module.logits)

    def _adapter(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    @contextmanager
    def _reference_adapter(self) -> Iterator[None]:
        """With LoRA, lends the adapter the weights of the reference: those after the warm start, not the base model."""
        lent = list(zip(self._adapter(), self._frozen_adapter, strict=True)) if self._frozen_adapter else []
        own = [parameter.detach().clone() for parameter, _ in lent]
        for parameter, frozen in lent:
            parameter.data.copy_(frozen)
        try:
            yield
        finally:
            for (parameter, _), weights in zip(lent, own, strict=True):
                parameter.data.copy_(weights)

    @staticmethod
    def _forward(model: Any, batch: Batch, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        return model(
            batch.input_ids_1T,
            batch.position_ids_1T,
            batch.layout,
            batch.columns_N,
            batch.targets_N,
            temperature,
            batch.allowed,
        )

    def reset_optimizer(self) -> None:
        """Forget the moments of the previous stage: its gradients had another scale and another meaning."""
        with self._state():
            for state in self._optimizer.state.values():
                for value in state.values():
                    if isinstance(value, torch.Tensor):
                        value.zero_()

    def _state(self) -> AbstractContextManager[None]:
        """Within it master weights and moments are on the device, with ``optimizer.offload`` within it alone."""
        return self._host.on_device() if self._host else nullcontext()

    def weights(self, *, in_place: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
        """(name, bf16 CPU tensor) of the whole policy by the names of its files, or of the adapter alone with LoRA; on
        rank 0 only, the other ranks get nothing but must iterate too, because gathering is collective.

        With ``in_place`` the tensors are the policy's own, on its device, and good until the next one is asked for.
        """
        policy = self._engine.module.model
        if self.settings.model.lora_rank:
            if self._rank == 0:
                for name, tensor in get_peft_model_state_dict(policy).items():
                    yield name, tensor.detach().to("cpu", torch.bfloat16)
            return
        found = self._gathered(in_place=in_place)
        if self._converts and self._rank == 0:
            keep = in_place and self.settings.optimizer.zero_stage == 3
            kept = {name: tensor.clone() if keep else tensor for name, tensor in found}
            found = iter(as_in_files(policy, kept).items())
        yield from ((name, tensor) for name, tensor in found if name in self.names)

    def _gathered(self, *, in_place: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
        """What files hold of the policy by the names that it has in memory."""
        divided = self.settings.optimizer.zero_stage == 3
        for name, tensor in stored(self._engine.module.model):
            gather = divided and isinstance(tensor, torch.nn.Parameter)
            with deepspeed.zero.GatheredParameters([tensor]) if gather else nullcontext():
                # Within the context: under ZeRO-3 the storage is freed on leaving it.
                if self._rank == 0 and in_place:
                    yield name, tensor.detach().to(torch.bfloat16)
                elif self._rank == 0:
                    yield name, tensor.detach().to("cpu", torch.bfloat16, copy=True)

    def merge(self, start: str, merging: MergingConfig) -> None:
        """Make the policy the sum that ``learner.merging`` describes, of weights in bf16; ``start`` is the checkpoint
        at the end of the warm start. The master weights are those of ``start`` after it: only ``load`` may follow."""
        trained = dict(self._gathered())
        self.load(start)
        base: dict[str, torch.Tensor] = {}
        if self._rank == 0:
            base |= stored(self._base_model())
        for name, tensor in self._gathered():
            trained[name] = merged(base[name], tensor, trained[name], merging).to(torch.bfloat16)
        scatter_weights(self._engine.module.model, trained, self._rank, divided=self.settings.optimizer.zero_stage == 3)

    def save(self, folder: str) -> None:
        """Write the state of this rank under ``folder``."""
        with self._state():
            save_state(self._engine, folder, adapter_only=bool(self.settings.model.lora_rank))

    def load(self, folder: str) -> None:
        """Take up the state that ``save`` wrote; raises ValueError when it is not there."""
        with self._state():
            load_state(self._engine, folder, adapter_only=bool(self.settings.model.lora_rank))


def deepspeed_config(optimizer: OptimizerConfig) -> dict[str, Any]:
    """How DeepSpeed is to train."""
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        # backward() only accumulates and step() reduces: the number of micro-batches may differ from step to step.
        "managed_gradient_accumulation": False,
        "zero_optimization": {"stage": optimizer.zero_stage, "overlap_comm": False},
        "bf16": {"enabled": True},
        "gradient_clipping": optimizer.max_gradient_norm,
        "steps_per_print": 1_000_000_000,
    }
    if optimizer.zero_stage:
        # DeepSpeed refuses it for stage 0, which adds gradients up in bf16: many micro-batches cost it precision.
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    if optimizer.zero_stage == 1:
        # By default the whole sum would be rounded to bf16 and back before a step, by one rank too.
        config["communication_data_type"] = "fp32"
    return config


def scatter_weights(
    model: torch.nn.Module, weights: Mapping[str, torch.Tensor], rank: int, *, divided: bool = False
) -> None:
    """Give the model on every rank the weights that only rank 0 holds; they travel on the model's own device. Of a
    model that ZeRO-3 has ``divided`` each rank keeps its part."""
    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0) if divided else nullcontext():
            if rank == 0:
                parameter.data.copy_(weights[name])
        if not divided:
            torch.distributed.broadcast(parameter.data, src=0)
