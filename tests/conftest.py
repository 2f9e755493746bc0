"""What several tests need: a tiny model that real vLLM and real DeepSpeed load, and a small data set."""

import json
import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A random two-layer Llama with a tied head and the embedded model's tokenizer: 6 million weights."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from rnr.model_folder import EMBEDDED_MODEL, embedded_folder

    source = embedded_folder(EMBEDDED_MODEL)
    if not source.is_dir():
        pytest.skip(f"the embedded model is not set up at {source}: run `make setup`")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        dtype=torch.bfloat16,
    )
    folder = tmp_path_factory.mktemp("tiny_model")
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    written.setdefault("rope_theta", 10000.0)
    (folder / "config.json").write_text(json.dumps(written))
    return folder


@pytest.fixture(scope="session")
def colours(tmp_path_factory) -> Path:
    """Twelve sentences with one entity each: little enough for the tiny model to learn their form."""
    folder = tmp_path_factory.mktemp("colours")
    names = ["Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ida", "Jo", "Kit", "Lou"]
    rows = [
        {"sentence": f"{name} ran.", "schema": ["person"], "entities": [{"text": name, "label": "person"}]}
        for name in names
    ]
    for part in ("train", "test"):
        text = "".join(json.dumps(row) + "\n" for row in (rows if part == "train" else rows[:4]))
        (folder / f"{part}.jsonl").write_text(text.replace(" ran.", " ran." if part == "train" else " sat."))
    return folder
