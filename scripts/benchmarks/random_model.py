"""Models of random weights, for benchmarks and tests that need a size and not a skill."""

import json
from pathlib import Path
from typing import Any

SIZES: dict[str, dict[str, Any]] = {
    "random-tiny": {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    },
    "random-0.5b": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
    },
}
"""Name -> shape of a Llama with heads of 64 numbers and a tied head: 6 and 477 million weights."""


def write_random_model(size: str, folder: Path, tokenizer_folder: str | Path) -> Path:
    """The folder, with a model of that size whose weights are always the same ones, and the tokenizer given."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        head_dim=64,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=torch.bfloat16,
        **SIZES[size],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = LlamaForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # transformers keeps it among the rope parameters, vLLM looks for it here.
    written = json.loads((folder / "config.json").read_text()) | {"rope_theta": 10000.0}
    (folder / "config.json").write_text(json.dumps(written))
    return folder
