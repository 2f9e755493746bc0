"""How a model is asked: its tokenizer and chat template, and the prompt that a run or an export names."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from actors.model_files import embedding_rows, load_config, read_tokenizer
from rnr.corpus.formats.rows import once_each
from rnr.files.jsonl import strict_json
from rnr.messages import counted, few
from rnr.task.labels import label_key
from rnr.task.prompts import ChatFormat
from rnr.task.wording import PRESETS, Wording, own_wording
from rnr.types import Decoding, Example
from rnr.validation import explain

PROMPT_FILE = "rnr_prompt.json"
"""The file of an export that records how its model was asked."""


def chat_format(model_folder: str) -> ChatFormat:
    """How a model is asked: as in its RNR training, or with the wording ``compact``.

    Raises ValueError naming a file of the model that is wrong.
    """
    load_config(model_folder)
    asked = _read_prompt_file(model_folder)
    return with_wording(model_folder, asked.wording or PRESETS[asked.preset], asked.definitions)


def trained_decoding(model: str) -> Decoding:
    """The decoding of a model trained by RNR, else ``free``; only a folder records it."""
    return _read_prompt_file(model).decoding


def trained_calibration(model: str) -> float:
    """How far the labels of greedy marks were calibrated (``actors.label_calibration``) where a model was trained by
    us; 0 if only others know it."""
    return _read_prompt_file(model).label_calibration


def grammar_decoding(model_folder: str) -> Decoding:
    """The grammar decoding of this model: the one it was trained with, if that was a grammar; else the one that fits
    its chains, if its folder records it; else ``schema``, for any chain."""
    asked = _read_prompt_file(model_folder)
    return asked.grammar if asked.decoding == "free" else asked.decoding


def asks_catch_alls(model: str) -> bool:
    """Whether a model was trained by us to be asked for catch-all labels (``data.catch_all_labels``); yes if only
    others know it, and no under the paper's prompt."""
    asked = _read_prompt_file(model)
    return asked.preset != "reference" if asked.catch_all_labels is None else asked.catch_all_labels


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"{name!r} is not one of {', '.join(PRESETS)}; was it written by a newer RNR?")
    return name


class _Asked(BaseModel):
    """``PROMPT_FILE``; a missing key has the value from before exports wrote it."""

    model_config = ConfigDict(frozen=True)

    preset: Annotated[str, AfterValidator(_preset)] = "compact"
    wording: Wording | None = None
    """In place of a preset."""
    definitions: dict[str, str] = {}
    decoding: Decoding = "free"
    grammar: Decoding = "schema"
    label_calibration: float = Field(default=0.0, ge=0, le=1)
    catch_all_labels: bool | None = None


def _read_prompt_file(model: str) -> _Asked:
    file = Path(model) / PROMPT_FILE
    try:
        return _Asked.model_validate_json(file.read_bytes()) if file.is_file() else _Asked()
    except ValidationError as error:
        raise ValueError(f"model.path: {file}: {explain(error, _Asked)[0]}") from None


def with_wording(model_folder: str, wording: Wording, definitions: Mapping[str, str]) -> ChatFormat:
    """The format of the model in ``model_folder`` under this wording; raises ValueError naming a file that is wrong."""
    tokenizer, note = read_tokenizer(model_folder)
    notes = tuple(each for each in (note, _without_embeddings(model_folder, tokenizer)) if each)
    chat = ChatFormat(tokenizer, wording, definitions, tokenizer_notes=notes)
    refuse_unknown_token(model_folder, chat, chat.largest_token_id)
    return chat


def _without_embeddings(model_folder: str, tokenizer: Any) -> str:
    """A note on tokens beyond the model's embeddings; empty if there are none."""
    rows = embedding_rows(model_folder)
    added = {} if rows is None else tokenizer.get_vocab()
    beyond = [text for text, number in sorted(added.items(), key=lambda each: each[1]) if number >= (rows or 0)]
    if not beyond:
        return ""
    return (
        f"the model has embeddings for {rows} tokens, but its tokenizer knows {len(beyond)} more, never used: "
        f"{few([repr(text) for text in beyond], 5)}; to use them, call "
        "model.resize_token_embeddings(len(tokenizer)) and save the model again"
    )


def refuse_unknown_token(model_folder: str, chat: ChatFormat, largest: int) -> None:
    """Raise ValueError if the largest token id that is used is beyond the model's embeddings."""
    rows = embedding_rows(model_folder)
    if rows is not None and largest >= rows:
        raise ValueError(
            f"model.path: {model_folder}: its tokenizer writes token {largest}, {chat.token_name(largest)!r}, but the "
            f"model has embeddings for {rows} tokens: if tokens were added, call "
            "model.resize_token_embeddings(len(tokenizer)) and save the model again; else use the model's own tokenizer"
        )


def unfollowed(chat: ChatFormat, decoding: Decoding) -> str:
    """Why a model asked so cannot be decoded under the grammar of this decoding, in a few words; empty if it can, and
    for ``free``."""
    return "" if decoding == "free" else _misread(chat, decoding)


@lru_cache(maxsize=16)
def _misread(chat: ChatFormat, decoding: Decoding) -> str:
    from actors.constrained import misread  # loads torch

    return misread(chat.tokenizer, chat.stop_token_id, decoding)


def refuse_unfollowed(chat: ChatFormat, decoding: Decoding) -> None:
    """Raise ValueError where no answer of the model can be decoded so: the decoder would open a chain with other tokens
    than the warm start teaches, or no grammar knows what the tokens spell."""
    if decoding == "marks" and not chat.opens_plainly:
        raise ValueError(
            'decoding "marks" opens the chain itself, and under this tokenizer and chat template an answer begins with '
            'other tokens than <think> and a newline: set sampling.decoding to "auto", "schema" or "free"'
        )
    if why := unfollowed(chat, decoding):
        raise ValueError(f'decoding "{decoding}": {why}: set decoding to free')


def prompt_file(
    chat: ChatFormat, decoding: Decoding, *, grammar: Decoding, calibration: float, catch_alls: bool
) -> dict[str, str]:
    """Name and text of the file by which an exported model tells how it was asked, whether for ``catch_alls``, too, how
    it was decoded, the decoding under a ``grammar`` that goes with its chains, and the ``calibration`` of the labels of
    marks; ``chat_format`` and the functions beside it read it."""
    preset = next((name for name, wording in PRESETS.items() if wording == chat.wording), None)
    asked = {"preset": preset} if preset else {"wording": asdict(chat.wording)}
    decoded = {"decoding": decoding, "grammar": grammar, "label_calibration": calibration}
    labels = {"definitions": chat.definitions, "catch_all_labels": catch_alls}
    return {PROMPT_FILE: strict_json({**asked, **labels, **decoded})}


def read_wording(prompt: str) -> Wording:
    """The wording that ``data.prompt`` names; raises ValueError for an unknown or unusable one."""
    if prompt in PRESETS:
        return PRESETS[prompt]
    try:
        text = Path(prompt).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        *names, last = (f'"{name}"' for name in PRESETS)
        known = f"{', '.join(names)} or {last}"
        raise ValueError(f"data.prompt: {prompt!r} is neither {known} nor a text file: {error}") from None
    return own_wording(text, f"data.prompt: {prompt}")


def read_definitions(path: str) -> dict[str, str]:
    """The definitions of labels in a JSON file, less blank ones; none without a path. Raises ValueError naming file and
    line, the labels that are one and are defined in two ways, or a file that defines none."""
    if not path:
        return {}
    found = {key: text for key, text in _definitions(path).items() if text.strip()}
    if not found:
        raise ValueError(f"data.definitions: {path} holds no definition, or only blank ones")
    return found


def _definitions(path: str) -> dict[str, str]:
    """``{label_key(label): definition}`` of a JSON file, blank ones too."""
    try:
        found = json.loads(Path(path).expanduser().read_text(encoding="utf-8"), object_pairs_hook=once_each)
    except OSError as error:
        raise ValueError(f"data.definitions: {path}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"data.definitions: {path}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except ValueError as error:
        raise ValueError(f"data.definitions: {path}: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ValueError(f"data.definitions: {path} must hold one object {{label: definition}}")
    definitions: dict[str, str] = {}
    for label, text in found.items():
        other = definitions.setdefault(label_key(label), text)
        if other.strip() != text.strip():
            raise ValueError(
                f"data.definitions: {path}: {label!r} is defined as {text[:40]!r}, and another spelling of the "
                f"same label as {other[:40]!r}: remove one"
            )
    return definitions


def undefined(definitions: Mapping[str, str], path: str, examples: Iterable[Example]) -> tuple[str, ...]:
    """Notes on blank definitions in this file and of those of labels that no schema has; raises ValueError where
    that is all of them."""
    if not definitions:
        return ()
    notes = []
    if blank := sorted(_definitions(path).keys() - definitions.keys()):
        notes.append(
            f"data.definitions: {path} has {counted(len(blank), 'blank definition')}, left out ({few(blank, 5)})"
        )
    labels = {label_key(label) for schema in {example.schema for example in examples} for label in schema}
    if unknown := sorted(definitions.keys() - labels):
        notes.append(
            f"data.definitions: {path} defines {counted(len(unknown), 'label')} in no schema ({few(unknown, 5)})"
        )
    if len(unknown) == len(definitions):
        raise ValueError(f"{notes[-1]}: the labels of the data are {few(sorted(labels), 8)}")
    return tuple(notes)
