"""Prompt templates: ours, the paper's, or a user's own."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rnr.messages import did_you_mean
from rnr.task.parsing import ERRORS, parse
from rnr.types import Example

INSTRUCTION = 'Find the named entities. Think, then answer {"entities":{label:[text]}}'
"""The system message of ``compact``."""

# The paper's user message, byte for byte with its full-width colon, because what it costs and yields is to be compared.
REFERENCE_PROMPT = """
You are an excellent information extraction assistant. Please extract the corresponding entities from the following \
sentence based on the provided schema and return them in JSON format.

Note:
1) The schema specifies the list of entity types that can be extracted;
2) Only extract entities that are included in the schema.

Schema\uff1a
{{SCHEMA}}

Output format:
{
  "entities": {
    "label1": [
      "x1",
      "x2"
    ],
    "label2": [
      "x3"
    ]
  }
}

Sentence:
{{SENTENCE}}
"""

_FIELD = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_FIELDS = ("SCHEMA", "DEFINITIONS", "SENTENCE")
_DIVIDER = "---"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The messages of a prompt, with ``{{SCHEMA}}``, ``{{SENTENCE}}`` and perhaps ``{{DEFINITIONS}}`` in the user's."""

    user: str
    system: str | None = None
    paper: bool = False
    """As the paper does it: the schema is a sorted JSON list, and answers are spread over lines."""

    def message(self, example: Example, definitions: Mapping[str, str]) -> str:
        """The user's message. Definitions follow their labels, or replace ``{{DEFINITIONS}}``, one per line."""
        listed = {label: definitions[label] for label in example.schema if label in definitions}
        if self.paper:
            schema = json.dumps(sorted(label.lower() for label in example.schema), ensure_ascii=False, allow_nan=False)
        elif "DEFINITIONS" in _FIELD.findall(self.user):
            schema = ", ".join(example.schema)
        else:
            schema = ", ".join(f"{label} ({listed[label]})" if label in listed else label for label in example.schema)
        lines = "\n".join(f"{label}: {text}" for label, text in listed.items())
        fields = {"SCHEMA": schema, "SENTENCE": example.sentence, "DEFINITIONS": lines}
        return _FIELD.sub(lambda found: fields[found[1]], self.user)


COMPACT = Wording(system=INSTRUCTION, user="Labels: {{SCHEMA}}\nSentence: {{SENTENCE}}")
REFERENCE = Wording(user=REFERENCE_PROMPT.strip(), paper=True)

# The system message, the words for labels and sentence, and the colon.
_LANGUAGES = {
    "de": ("Finde die Eigennamen. Denke nach, dann antworte", "Labels", "Satz", ": "),
    "fr": ("Trouve les entités nommées. Réfléchis, puis réponds", "Étiquettes", "Phrase", " : "),
    "es": ("Encuentra las entidades nombradas. Piensa y luego responde", "Etiquetas", "Frase", ": "),
    "it": ("Trova le entità nominate. Pensa, poi rispondi", "Etichette", "Frase", ": "),
    "pt": ("Encontre as entidades nomeadas. Pense e depois responda", "Rótulos", "Frase", ": "),
    "nl": ("Zoek de eigennamen. Denk na en antwoord dan", "Labels", "Zin", ": "),
    "zh": ("找出命名实体。先思考，再回答", "标签", "句子", "："),
}


def _in_language(instruction: str, labels: str, sentence: str, colon: str) -> Wording:
    system = f'{instruction} {{"entities":{{label:[text]}}}}'
    return Wording(system=system, user=f"{labels}{colon}{{{{SCHEMA}}}}\n{sentence}{colon}{{{{SENTENCE}}}}")


PRESETS = {
    "compact": COMPACT,
    **{f"compact-{language}": _in_language(*words) for language, words in _LANGUAGES.items()},
    "reference": REFERENCE,
}
"""The wordings that ``data.prompt`` may name."""


def own_wording(text: str, where: str) -> Wording:
    """The wording in a user's file: the user's message, or the system message, a line ``---``, and the user's.

    Raises ValueError, naming ``where``, for a field that is missing, repeated or unknown, and for an example of an
    answer that ``parse`` cannot read: a model that follows it would always be wrong.
    """
    lines = text.strip().splitlines()
    at = lines.index(_DIVIDER) if _DIVIDER in lines else None
    system = "\n".join(lines[:at]).strip() if at is not None else ""
    user = "\n".join(lines if at is None else lines[at + 1 :]).strip()
    for name in _FIELD.findall(text):
        if name not in _FIELDS:
            raise ValueError(f"{where}: unknown field {{{{{name}}}}}{did_you_mean(name.upper(), _FIELDS)}")
    for name in ("SCHEMA", "SENTENCE"):
        count = _FIELD.findall(user).count(name)
        if count != 1:
            raise ValueError(f"{where}: {{{{{name}}}}} must occur once in the user's message, not {count} times")
    if _FIELD.search(system):
        raise ValueError(f"{where}: the fields belong in the user's message, after the line {_DIVIDER}")
    for shown in _answers(f"{system}\n{user}"):
        error = parse(shown).error
        if error is not None:
            raise ValueError(
                f'{where}: the example of an answer cannot be parsed ({ERRORS[error]}); answers are {{"entities": '
                f"{{label: [text, ...]}}}}: {shown[:80]!r}"
            )
    return Wording(system=system or None, user=user)


def _answers(text: str) -> Iterator[str]:
    """The JSON values that a prompt shows as they are: objects, and lists of anything but plain strings."""
    decoder, at = json.JSONDecoder(), 0
    while (found := re.compile(r"[{\[]").search(text, at)) is not None:
        try:
            value, end = decoder.raw_decode(text, found.start())
        except (json.JSONDecodeError, RecursionError):
            at = found.end()
            continue
        if isinstance(value, dict) or any(not isinstance(item, str) for item in value):
            yield text[found.start() : end]
        at = end
