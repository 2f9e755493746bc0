"""Tiny random models of every architecture that transformers and vLLM both support; config keys are shrunk by name."""

from typing import Any

LAYERS = 4
"""Enough for the patterns in which layers of two kinds alternate."""

SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "embedding_size"), 128),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers_per_stack"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "swa_num_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads", "num_query_groups"), 2),
    **dict.fromkeys(("head_dim", "kv_channels", "attention_head_dim", "swa_head_dim", "v_head_dim"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "intermediate_size_mlp"), 256),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"), 64),
    **dict.fromkeys(("shared_intermediate_size", "moe_shared_expert_intermediate_size"), 64),
    **dict.fromkeys(("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"), 8),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk"), 2),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_group"), 1),
    **dict.fromkeys(("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"), 1),
    **dict.fromkeys(
        ("max_position_embeddings", "n_positions", "max_seq_len", "original_max_position_embeddings"), 2048
    ),
    **dict.fromkeys(("model_max_length", "sliding_window", "sliding_window_size", "attention_chunk_size"), 2048),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "o_lora_rank", "hc_lowrank", "laurel_rank", "adapter_rank"), 32),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "rotary_dim", "index_head_dim"), 32),
    **dict.fromkeys(("index_n_heads", "mamba_n_heads", "mamba_num_heads", "n_mamba_heads"), 4),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "linear_num_heads"), 4),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim"), 32),
    **dict.fromkeys(("state_size", "mamba_d_state", "ssm_state_size", "time_step_rank", "mamba_dt_rank"), 16),
    **dict.fromkeys(("num_kv_shared_layers", "num_nextn_predict_layers", "zero_expert_num"), 0),
    "hidden_size_per_layer_input": 32,
    "num_heads": 8,
    "dim_model_base": 64,
    "vocab_size": 1024,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "query_pre_attn_scalar": 32,
    "moe_layer_end_index": LAYERS - 1,
}
"""Config key -> its value in a tiny model; configs have many names for the same few sizes."""


PUBLISHED: dict[str, dict[str, Any]] = {
    "glm4_moe": {"head_dim": 32},
    "llama4_text": {"num_experts_per_tok": 1},
}
"""Type of model -> settings that its published configs have and that vLLM needs: transformers has no such name, or
another value."""


def architectures() -> dict[str, str]:
    """Model type -> class name, for all causal language models that transformers and vLLM both support."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    from vllm.model_executor.models.registry import ModelRegistry

    known = set(ModelRegistry.get_supported_archs())
    return {kind: name for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items() if name in known}


def tiny_config(kind: str, **wanted: Any) -> Any:
    """The config of a tiny model of this type; ``wanted`` overrides keys of its text config that exist there."""
    from transformers import CONFIG_MAPPING

    default = CONFIG_MAPPING[kind]()
    text = default.get_text_config()
    latent = {"num_key_value_heads": 4} if hasattr(text, "kv_lora_rank") else {}  # MLA: one per head
    published = PUBLISHED.get(kind, {})
    sizes = SIZES | latent | published | wanted
    sizes["vocab_size_per_layer_input"] = sizes["vocab_size"]
    parts = {}
    for name in getattr(default, "sub_configs", {}):
        part = getattr(default, name, None)
        if part is not None:
            parts[name] = {key: value for key, value in sizes.items() if key in part.to_dict()}
    here = {key: value for key, value in sizes.items() if key in default.to_dict() or key in published}
    try:
        return CONFIG_MAPPING[kind](**here, **parts)
    except (ValueError, TypeError):
        # Some configs do not shorten their list of layer types to the number of layers.
        whole = getattr(text, "num_hidden_layers", 0)
        lists = {key: value[:LAYERS] for key, value in vars(text).items() if _is_list(value, whole)}
        return CONFIG_MAPPING[kind](**here, **parts, **lists)


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length
