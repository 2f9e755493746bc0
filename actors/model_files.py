"""Config and tokenizer of a model folder, loaded without ever running code from it; errors name the file."""

from pathlib import Path
from typing import Any


def load_config(folder: str) -> Any:
    """The transformers config. Raises ValueError, naming config.json, for one that cannot be read or that needs code
    which the folder brings along."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # transformers raises whatever its parsers do
        raise _blamed(Path(folder) / "config.json", error) from error


def load_tokenizer(folder: str) -> Any:
    """The transformers tokenizer. Raises ValueError, naming its files, as ``load_config`` does."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise _blamed(_tokenizer_file(Path(folder)), error) from error


def _tokenizer_file(folder: Path) -> Path:
    """The file to blame for a tokenizer that cannot be loaded."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if file.is_file():
        try:
            Tokenizer.from_file(str(file))
        except Exception:
            return file
    return folder / "tokenizer_config.json"


def _blamed(file: Path, error: Exception) -> ValueError:
    said = " ".join(str(error).split())
    if "trust_remote_code" in said:
        return ValueError(
            f"model.path: {file} names Python code of its own (auto_map), which is never run: use a model that the "
            "installed transformers knows by itself"
        )
    return ValueError(f"model.path: {file}: {type(error).__name__}: {said[:300]}")
