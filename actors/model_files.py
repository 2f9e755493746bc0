"""Config and tokenizer of a model folder, loaded without ever running code from it; errors name the file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rnr.model_folder import longest_context, read_object

AS_IN_FILE = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes of tokenizers that are all that ``tokenizer.json`` tells."""
PROBE = 'Ada Lovelace (née Byron),\n  born 1815: [person] "x"<東>don\'t'
CONTROLS = 32
"""Control tokens that are tried."""
LONGER = 1.25
"""So many times the tokens may be that a tokenizer makes which cuts a text otherwise than its file tells."""


def load_config(folder: str) -> Any:
    """The transformers config. Raises ValueError, naming config.json, for one that cannot be read or that needs code
    which the folder brings along."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # transformers raises whatever its parsers do
        raise _blamed(Path(folder) / "config.json", error) from error


def refuse_long_context(folder: str, context_tokens: int) -> None:
    """Raise ValueError for a context that the model was not made for, where it may answer without sense, or fail."""
    limit = longest_context(load_config(folder).get_text_config())
    if limit and context_tokens > limit[1]:
        raise ValueError(
            f"context_tokens is {context_tokens}, but the model in {folder} was made for {limit[1]} ({limit[0]}): give "
            "that or less"
        )


def embedding_rows(folder: str) -> int | None:
    """How many tokens the model in this folder has embeddings for, which may be fewer than its tokenizer knows; None
    where no ``config.json`` tells."""
    if not (Path(folder) / "config.json").is_file():
        return None
    return getattr(load_config(folder).get_text_config(), "vocab_size", None)


def load_tokenizer(folder: str) -> Any:
    """The tokenizer of ``read_tokenizer``."""
    return read_tokenizer(folder)[0]


def read_tokenizer(folder: str) -> tuple[Any, str]:
    """The transformers tokenizer, and what a user should know of one that cuts some texts otherwise than its
    ``tokenizer.json`` tells; empty for any other. Raises ValueError, naming its files, as ``load_config`` does, and for
    one that knows neither words nor spaces as that file tells them."""
    from transformers import AutoTokenizer

    try:
        # Not by Mistral's own files, which know no chat template, where they stand beside the others.
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, mistral_format=False)
        from_file = _from_file(tokenizer, Path(folder))
    except Exception as error:
        raise _blamed(_tokenizer_file(Path(folder)), error) from error
    rebuilt = "alike" if from_file is None else _rebuilt(tokenizer, from_file)
    if rebuilt == "unlike":
        raise _rebuilt_otherwise(tokenizer, Path(folder))
    return tokenizer, _cut_otherwise(tokenizer) if rebuilt == "cut" else ""


def _cut_otherwise(tokenizer: Any) -> str:
    return (
        f"transformers makes a {type(tokenizer).__name__} of tokenizer.json, which cuts some texts otherwise than the "
        "file tells; where tokenizer_config.json asks for it by its tokenizer_class, "
        f"{AS_IN_FILE[0]!r} takes the file as it is"
    )


def _from_file(tokenizer: Any, folder: Path) -> Any:
    """The tokenizer of ``tokenizer.json`` alone; None where that is what the tokenizer is, or where there is none."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if type(tokenizer).__name__ in AS_IN_FILE or not file.is_file():
        return None
    from_file = Tokenizer.from_file(str(file))
    from_file.no_truncation()
    from_file.no_padding()
    return from_file


def _rebuilt(tokenizer: Any, from_file: Any) -> Literal["alike", "cut", "unlike"]:
    """Whether a tokenizer of a class that takes nothing but the vocabulary from ``tokenizer.json`` encodes text, also
    next to control tokens, as that file says, or at least into about as many tokens that spell the same."""
    controls = (token.content for _, token in sorted(from_file.get_added_tokens_decoder().items()))
    known = [text for text in controls if tokenizer.convert_tokens_to_ids(text) == from_file.token_to_id(text)]
    text = PROBE + PROBE.join(known[:CONTROLS]) + PROBE
    found = tokenizer.encode(text, add_special_tokens=False)
    wanted = from_file.encode(text, add_special_tokens=False).ids
    if found == wanted:
        return "alike"
    same = _decoded(from_file, found) == _decoded(from_file, wanted) == _decoded(tokenizer, found)
    return "cut" if same and len(found) <= LONGER * len(wanted) else "unlike"


def _decoded(tokenizer: Any, token_ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(token_ids, skip_special_tokens=False)
    return "".join(text.split())


def _rebuilt_otherwise(tokenizer: Any, folder: Path) -> ValueError:
    config, kind = folder / "tokenizer_config.json", type(tokenizer).__name__
    named = str(read_object(config).get("tokenizer_class") or "") if config.is_file() else ""
    forced = named and named.removesuffix("Fast") != kind.removesuffix("Fast")
    return ValueError(
        f"model.path: {folder / 'tokenizer.json'} is not what transformers encodes by: it makes a {kind} of the "
        "vocabulary alone, "
        + (
            f"for models of this type whatever {config.name} says: take another model"
            if forced
            else f"as {config.name} asks by its tokenizer_class: set that to {AS_IN_FILE[0]!r}, in a copy of the folder"
        )
    )


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
    message = " ".join(str(error).split())
    if "trust_remote_code" in message:
        return ValueError(
            f"model.path: {file} names Python code of its own (auto_map), which is never run: use a model that the "
            "installed transformers knows by itself"
        )
    return ValueError(f"model.path: {file}: {type(error).__name__}: {message[:300]}")
