"""TRL's loss and gradient on one batch, computed by TRL in its own environment: ``trl_side.py MODEL BATCH OUT``.

BATCH is JSON: ``samples`` (prompt, completion, advantage, old and reference log-probabilities of each), ``options`` for
``GRPOConfig``. OUT is an ``.npz`` of the loss and, by parameter name, the gradients.
"""

import json
import sys
import tempfile

import numpy
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer


def padded(rows: list, *, left: bool, dtype: torch.dtype) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor(
        [[0] * (width - len(row)) + row if left else row + [0] * (width - len(row)) for row in rows], dtype=dtype
    )


def main(model_folder: str, batch_file: str, out_file: str) -> None:
    with open(batch_file, encoding="utf-8") as file:
        batch = json.load(file)
    samples = batch["samples"]
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32),
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=GRPOConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=False,
                report_to=[],
                per_device_train_batch_size=len(samples),
                num_generations=len(samples),
                gradient_checkpointing=False,
                **batch["options"],
            ),
            train_dataset=Dataset.from_dict({"prompt": ["x"]}),
            processing_class=AutoTokenizer.from_pretrained(model_folder),
        )
        trainer.current_gradient_accumulation_steps = 1
        trainer.model.train()
        prompts, completions = ([sample[name] for sample in samples] for name in ("prompt", "completion"))
        inputs = {
            "prompt_ids": padded(prompts, left=True, dtype=torch.long),
            "prompt_mask": padded([[1] * len(row) for row in prompts], left=True, dtype=torch.long),
            "completion_ids": padded(completions, left=False, dtype=torch.long),
            "completion_mask": padded([[1] * len(row) for row in completions], left=False, dtype=torch.long),
            "advantages": torch.tensor([sample["advantage"] for sample in samples]),
            "old_per_token_logps": padded([sample["old"] for sample in samples], left=False, dtype=torch.float32),
            "ref_per_token_logps": padded([sample["reference"] for sample in samples], left=False, dtype=torch.float32),
            "num_items_in_batch": torch.tensor(sum(map(len, completions))),
        }
        loss = trainer._compute_loss(trainer.model, inputs)
        loss.backward()
        gradients = {
            name: parameter.grad.numpy()
            for name, parameter in trainer.model.named_parameters()
            if parameter.grad is not None
        }
        numpy.savez(out_file, loss=loss.detach().numpy(), **gradients)


if __name__ == "__main__":
    main(*sys.argv[1:])
