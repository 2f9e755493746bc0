"""The end of the weight link that lives inside vLLM's own worker process (``worker_extension_cls``).

vLLM's interfaces for this move between releases; only this file, ``actors/rollout.py`` and ``actors/cpu_norm.py`` know
them.
"""

import ctypes
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

# This module is imported by the engine process: should the rollout worker die by SIGKILL, the engine must not survive.
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if not torch.cuda.is_available():
    import actors.cpu_norm  # noqa: F401  # registers what actors.rollout asks for


class WeightReceiver:
    """Methods that vLLM mixes into its worker and ``collective_rpc`` can call."""

    model_runner: Any

    def load_policy(self, folder: str) -> None:
        """Replace all weights by those in the ``*.safetensors`` files of ``folder``."""
        self.model_runner.reload_weights(weights_iterator=_tensors(Path(folder)), is_checkpoint_format=True)
        model = self.model_runner.get_model()
        if torch.get_default_device().type == "cpu" and not torch.cuda.is_available():
            repack_tied_head(model)


def repack_tied_head(model: Any) -> None:
    """Pack a tied ``lm_head`` again from the new embedding.

    On a CPU vLLM packs linear layers at load time; a reload packs them again, but not a head that shares the
    embedding's parameter, which would go on sampling from the old matrix without any error.
    """
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    head = getattr(model, "lm_head", None)
    embedding = getattr(getattr(model, "model", None), "embed_tokens", None)
    if head is not None and embedding is not None and getattr(model.config, "tie_word_embeddings", False):
        dispatch_cpu_unquantized_gemm(head, remove_weight=False)


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open is not a mapping
                yield name, tensors.get_tensor(name)
