"""What vLLM does not do for a model, found out before an engine is built."""

from rnr.model_folder import read_config


def refuse_adapters(model_folder: str) -> None:
    """Raise ValueError for a model to which vLLM cannot add an adapter."""
    from vllm import __version__
    from vllm.model_executor.models.interfaces import supports_lora
    from vllm.model_executor.models.registry import ModelRegistry

    names = read_config(model_folder)["architectures"]
    known = [ModelRegistry.models[name] for name in names if name in ModelRegistry.models]
    if known and not any(supports_lora(model.load_model_cls()) for model in known):
        raise ValueError(
            f"model.lora_rank: vLLM {__version__} has no adapters for {', '.join(names)}, which the model in "
            f"{model_folder} is. Train all weights: model.lora_rank=0"
        )
