"""How a model is asked: its tokenizer and chat template, and the prompt that a run or an export names."""

import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import TemplateError

from actors.model_files import load_config, load_tokenizer, template_file
from rnr.files import strict_json
from rnr.task.labels import label_key
from rnr.task.prompts import ChatFormat, PromptPreset

PROMPT_FILE = "rnr_prompt.json"
"""The file of an export that tells how its model was asked."""


def chat_format(model_folder: str) -> ChatFormat:
    """How a model is asked and decoded: as it was trained by us, or with the preset ``compact`` and freely."""
    file = Path(model_folder) / PROMPT_FILE
    asked = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"preset": "compact", "definitions": {}}
    chat = with_prompt(model_folder, asked["preset"], asked["definitions"])
    chat.decoding = asked.get("decoding", "free")
    return chat


def prompt_preset(model: str) -> PromptPreset:
    """The prompt that a model was trained with by us, or ``compact`` if it was not: only a folder can tell."""
    file = Path(model) / PROMPT_FILE
    return json.loads(file.read_text(encoding="utf-8"))["preset"] if file.is_file() else "compact"


def with_prompt(model_folder: str, preset: PromptPreset, definitions: Mapping[str, str]) -> ChatFormat:
    """The format of the model in ``model_folder`` under this prompt; raises ValueError naming a file that is wrong."""
    load_config(model_folder)
    tokenizer = load_tokenizer(model_folder)
    try:
        return ChatFormat(tokenizer, preset, definitions)
    except (TemplateError, TypeError, ValueError) as error:
        raise ValueError(f"model.path: {template_file(model_folder)}: {' '.join(str(error).split())}") from error


def prompt_file(chat: ChatFormat) -> dict[str, str]:
    """Name and text of the file by which an exported model tells how it was asked; ``chat_format`` reads it."""
    asked = {"preset": chat.preset, "definitions": chat.definitions, "decoding": chat.decoding}
    return {PROMPT_FILE: strict_json(asked)}


def read_definitions(path: str) -> dict[str, str]:
    """The definitions of labels in a JSON file; none without a path. Raises ValueError naming file and line."""
    if not path:
        return {}
    try:
        found = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"data.definitions: {path}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"data.definitions: {path}, line {error.lineno}: not valid JSON: {error.msg}") from None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ValueError(f"data.definitions: {path} must hold one object {{label: definition}}")
    return {label_key(label): text for label, text in found.items()}
