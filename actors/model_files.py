"""Config and tokenizer of a model folder, loaded without ever running code from it; errors name the file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rnr.model_folder import longest_context, read_object

AS_IN_FILE = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Tokenizer classes that follow ``tokenizer.json`` completely."""
PROBE = 'Ada Lovelace (née Byron),\n  born 1815: [person] "x"<東>don\'t'
CONTROLS = 32
"""Number of control tokens to try."""
PIECES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
"""Files of sentencepiece, from which a tokenizer is made where there is no ``tokenizer.json``."""
LONGER = 1.25
"""Allowed ratio of tokens when a tokenizer splits a text differently from its file."""


def load_config(folder: str) -> Any:
    """The transformers config. Raises ValueError, naming config.json, for one that cannot be read or that needs code
    which the folder brings along."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # transformers raises whatever its parsers raise
        raise _load_error(Path(folder) / "config.json", error) from error


def refuse_long_context(folder: str, context_tokens: int) -> None:
    """Raise ValueError for a context longer than the model supports, where it may answer nonsense, or fail."""
    limit = longest_context(load_config(folder).get_text_config())
    if limit and context_tokens > limit[1]:
        raise ValueError(
            f"context_tokens is {context_tokens}, but the model in {folder} supports {limit[1]} ({limit[0]}): set that "
            "or less"
        )


def embedding_rows(folder: str) -> int | None:
    """How many tokens the model in this folder has embeddings for, which may be fewer than its tokenizer knows; None
    if no ``config.json`` says."""
    if not (Path(folder) / "config.json").is_file():
        return None
    return getattr(load_config(folder).get_text_config(), "vocab_size", None)


def load_tokenizer(folder: str) -> Any:
    """The tokenizer of ``read_tokenizer``."""
    return read_tokenizer(folder)[0]


def read_tokenizer(folder: str) -> tuple[Any, str]:
    """The transformers tokenizer, and a note if it splits some texts differently from its ``tokenizer.json``; empty for
    any other. Raises ValueError, naming its files, as ``load_config`` does, and for
    one that knows neither words nor spaces as that file tells them."""
    from transformers import AutoTokenizer

    try:
        # Not by Mistral's own files, which know no chat template, where they stand beside the others.
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, mistral_format=False)
        from_file = _from_file(tokenizer, Path(folder))
    except Exception as error:
        raise _load_error(_tokenizer_file(Path(folder)), error) from error
    pieces = next((file for name in PIECES if (file := Path(folder) / name).is_file()), None)
    if pieces and hasattr(tokenizer, "backend_tokenizer") and not (Path(folder) / "tokenizer.json").is_file():
        return tokenizer, _compare_pieces(tokenizer, pieces)
    rebuilt = "alike" if from_file is None else _compare_encodings(tokenizer, from_file)
    if rebuilt == "unlike":
        raise _encoding_error(tokenizer, Path(folder))
    as_it_is = (
        f"; if tokenizer_config.json asks for it by its tokenizer_class, {AS_IN_FILE[0]!r} reads the file as it is"
    )
    return tokenizer, f"{_split_note(tokenizer, 'tokenizer.json')}{as_it_is}" if rebuilt == "cut" else ""


def _split_note(tokenizer: Any, name: str) -> str:
    return (
        f"transformers makes a {type(tokenizer).__name__} of {name}, which splits some texts differently from the file"
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


def _compare_encodings(tokenizer: Any, from_file: Any) -> Literal["alike", "cut", "unlike"]:
    """Whether a tokenizer of a class that takes nothing but the vocabulary from ``tokenizer.json`` encodes text, also
    next to control tokens, as that file says, or at least into about as many tokens that spell the same."""
    controls = (token.content for _, token in sorted(from_file.get_added_tokens_decoder().items()))
    known = [text for text in controls if tokenizer.convert_tokens_to_ids(text) == from_file.token_to_id(text)]
    text = PROBE + PROBE.join(known[:CONTROLS]) + PROBE
    found = tokenizer.encode(text, add_special_tokens=False)
    wanted = from_file.encode(text, add_special_tokens=False).ids
    if found == wanted:
        return "alike"
    same = _decode(from_file, found) == _decode(from_file, wanted) == _decode(tokenizer, found)
    return "cut" if same and len(found) <= LONGER * len(wanted) else "unlike"


def _compare_pieces(tokenizer: Any, file: Path) -> str:
    """A note if a tokenizer splits some texts differently from the sentencepiece ``file`` it was made of; empty for any
    other, for a file of another kind, and without sentencepiece. Raises ValueError for one that makes other words."""
    try:
        from sentencepiece import SentencePieceProcessor

        processor: Any = SentencePieceProcessor(model_file=str(file))
    except (ImportError, OSError, RuntimeError):
        return ""
    text = "".join(letter for letter in PROBE if processor.unk_id() not in processor.encode(letter))
    found, wanted = tokenizer.encode(text, add_special_tokens=False), processor.encode(text)
    if tokenizer.convert_ids_to_tokens(found) == [processor.id_to_piece(number) for number in wanted]:
        return ""
    if _decode(tokenizer, found) == "".join(processor.decode(wanted).split()) and len(found) <= LONGER * len(wanted):
        return _split_note(tokenizer, file.name)
    raise ValueError(
        f"model.path: {file} is not what transformers encodes with: it makes a {type(tokenizer).__name__} of the "
        "vocabulary alone: use a copy of the folder with a tokenizer.json that encodes as this file"
    )


def _decode(tokenizer: Any, token_ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(token_ids, skip_special_tokens=False)
    return "".join(text.split())


def _encoding_error(tokenizer: Any, folder: Path) -> ValueError:
    config, kind = folder / "tokenizer_config.json", type(tokenizer).__name__
    named = str(read_object(config).get("tokenizer_class") or "") if config.is_file() else ""
    forced = named and named.removesuffix("Fast") != kind.removesuffix("Fast")
    return ValueError(
        f"model.path: {folder / 'tokenizer.json'} is not what transformers encodes with: it makes a {kind} of the "
        "vocabulary alone, "
        + (
            f"for models of this type whatever {config.name} says: use another model"
            if forced
            else f"as {config.name} asks by its tokenizer_class: set that to {AS_IN_FILE[0]!r}, in a copy of the folder"
        )
    )


def _tokenizer_file(folder: Path) -> Path:
    """The file named in the error for a tokenizer that cannot be loaded."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if file.is_file():
        try:
            Tokenizer.from_file(str(file))
        except Exception:
            return file
    return folder / "tokenizer_config.json"


def _load_error(file: Path, error: Exception) -> ValueError:
    message = " ".join(str(error).split())
    if "trust_remote_code" in message:
        return ValueError(
            f"model.path: {file} names custom Python code (auto_map), which is never run: use a model that the "
            "installed transformers supports without it"
        )
    return ValueError(f"model.path: {file}: {type(error).__name__}: {message[:300]}")
