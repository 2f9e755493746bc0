"""Models with random weights, for benchmarks and tests in which only the size matters."""

import json
from pathlib import Path
from typing import Any

from rnr.files.jsonl import strict_json

SIZES: dict[str, dict[str, Any]] = {
    "random-tiny": {
        "model_type": "llama",
        "head_dim": 64,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    },
    "random-0.5b": {
        "model_type": "llama",
        "head_dim": 64,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
    },
    "random-qwen3-0.6b": {
        "model_type": "qwen3",
        "head_dim": 128,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "vocab_size": 151_936,
    },
}
"""Name -> shape, all with a tied head: 6, 477 and 596 million weights. The last one is the shape of Qwen3-0.6B."""


def write_random_model(size: str, folder: Path, tokenizer_folder: str | Path) -> Path:
    """Write a model of that size with weights from a fixed seed, and the tokenizer; returns the folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    shape = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "dtype": torch.bfloat16,
        **SIZES[size],
    }
    config = AutoConfig.for_model(**shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # transformers writes rope_theta into the rope parameters, but vLLM reads it from the top level.
    written = json.loads((folder / "config.json").read_text()) | {"rope_theta": 10000.0}
    (folder / "config.json").write_text(strict_json(written))
    return folder
