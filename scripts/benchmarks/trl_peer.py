"""The peer process of ``--peer trl``: TRL's GRPOTrainer, which runs one optimizer step per line on stdin.

It runs in a separate environment (``make peer``) and so imports nothing of this project. The first line on stdin is a
JSON object with the settings. The answer, once the trainer is built, names the ``sampler`` it uses. Each further line
is answered after one step, with its total ``seconds`` and their parts ``sampling_seconds``, ``reward_seconds`` and
``training_seconds``.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TextIO

import torch
from transformers import TrainerCallback

CLOCKED = ("_generate", "_generate_and_score_completions")
"""Methods of GRPOTrainer that are timed; the second calls the first."""


def main() -> None:
    answers = _answers()
    settings = json.loads(sys.stdin.readline())
    torch.set_num_threads(settings["threads"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(settings, folder)
        steps = OneStepALine(answers)
        for method in CLOCKED:
            setattr(trainer, method, steps.clocked(method, getattr(trainer, method)))
        trainer.add_callback(steps)
        _say(answers, {"sampler": sampler()})
        trainer.train()


def _answers() -> TextIO:
    """The original stdout, for the answers. Everything else that is printed goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer, allow_nan=False) + "\n")
    answers.flush()


class OneStepALine(TrainerCallback):
    """Waits for a line on stdin before each optimizer step and answers it after the step."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._begin = 0.0
        self._seconds: dict[str, float] = {}
        self._tokens: dict[str, int] = {}

    def clocked(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """``method``, wrapped: keeps its seconds under ``name``, and the token counts if it returns a batch."""

        def call(*arguments: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            result = method(*arguments, **named)
            _finish_on_gpu()
            self._seconds[name] = time.perf_counter() - begin
            if isinstance(result, dict):
                self._tokens = {
                    f"{part}_tokens": int(result[f"{part}_mask"].sum()) for part in ("prompt", "completion")
                }
            return result

        return call

    def on_step_begin(self, *_arguments: Any, **_named: Any) -> None:
        if not sys.stdin.readline():
            raise SystemExit(0)  # stdin was closed
        self._seconds, self._tokens = {}, {}
        self._begin = time.perf_counter()

    def on_step_end(self, *_arguments: Any, **_named: Any) -> None:
        _finish_on_gpu()
        seconds = time.perf_counter() - self._begin
        generated, scored = (self._seconds[method] for method in CLOCKED)
        answer = {
            "seconds": seconds,
            "sampling_seconds": generated,
            "reward_seconds": scored - generated,
            "training_seconds": seconds - scored,
            "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }
        _say(self._answers, answer | self._tokens)


def sampler() -> str:
    """The engine TRL samples with: ``vllm``, colocated with the trainer, if there is a GPU and vLLM; otherwise
    ``transformers``, because TRL does not run vLLM on a CPU."""
    return "vllm" if torch.cuda.is_available() and find_spec("vllm") else "transformers"


def sampling_options(settings: dict[str, Any], prompt_tokens: int) -> dict[str, Any]:
    """Arguments of ``GRPOConfig`` for ``sampler``, for completions of one fixed length."""
    length = settings["completion_tokens"]
    if sampler() == "transformers":
        return {"generation_kwargs": {"min_new_tokens": length}}
    return {
        "generation_kwargs": {"min_tokens": length},
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": settings["gpu_memory_fraction"],
        "vllm_max_model_length": prompt_tokens + length,
    }


def _finish_on_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _trainer(settings: dict[str, Any], folder: str) -> Any:
    """The trainer with TRL's defaults, except for settings that must be equal on both sides."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportMissingImports]

    samples, length = settings["samples"], settings["completion_tokens"]
    tokenizer = AutoTokenizer.from_pretrained(settings["model"], padding_side="left")
    longest = max(map(len, tokenizer(settings["prompts"])["input_ids"]))
    config = GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=settings["batch"],
        gradient_accumulation_steps=len(settings["prompts"]) * samples // settings["batch"],
        num_generations=samples,
        num_iterations=1,
        beta=0.0,
        max_completion_length=length,
        learning_rate=1e-6,
        lr_scheduler_type="constant",
        max_steps=1_000_000,  # it ends with stdin
        use_cpu=not torch.cuda.is_available(),
        bf16=True,
        model_init_kwargs={"dtype": settings["weights"]},
        # Our side does not recompute activations either; recomputation would make each step slower.
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        shuffle_dataset=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **sampling_options(settings, longest),
    )
    return GRPOTrainer(
        model=settings["model"],
        reward_funcs=zero_and_one,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": settings["prompts"]}),
        processing_class=tokenizer,
    )


def zero_and_one(completions: list[str], **_columns: Any) -> list[float]:
    """The same made-up rewards as on our side: alternating 0 and 1."""
    return [float(number % 2) for number in range(len(completions))]


if __name__ == "__main__":
    main()
