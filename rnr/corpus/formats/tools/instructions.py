"""Data that was made to instruct models: UniversalNER and Pile-NER, GNER, GLiNER2, NuNER."""

import re
from typing import Any

from rnr.corpus.formats.rows import are_texts
from rnr.corpus.formats.shapes import Shape, Source, all_but, each, extras, has
from rnr.corpus.formats.shown_lists import list_in
from rnr.corpus.formats.tokens.token_rows import SHAPE as TOKENS
from rnr.corpus.formats.tokens.token_rows import schema_of_tags

DESCRIBED = "entities have a description after their label, which was dropped"
UNANSWERED = "questions have no answer, or one that is no list of texts, and were left out with their labels"

_ASKS, _ANSWERS = ("human", "user"), ("gpt", "assistant")

_OF_ENTITIES = ("entities", "entity_descriptions")
OTHER_TASKS = "rows have other tasks beside their entities (classes, relations, structures), which were not read"

_QUESTION = re.compile(r"What describes (.+?) in the text\?$", re.DOTALL)


def _conversation_row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    turns = _turns(row["conversations"])
    text = next((value for who, value in turns if who in _ASKS and isinstance(value, str)), "")
    if not text.startswith("Text: "):
        raise ValueError(
            "this looks like a chat for fine-tuning, of which those of UniversalNER are read: their first turn is "
            "'Text: ' and the sentence, then 'What describes person in the text?'; write {'text': ..., 'entities': "
            "[...]}"
        )
    entities, schema = [], []
    if len(turns) % 2:
        source.note(UNANSWERED, number, f"{turns[-1][1]!r} has none")
    for (_, question), (who, answer) in zip(turns[2::2], turns[3::2], strict=False):
        asked = _QUESTION.match(str(question))
        if asked is None or who not in _ANSWERS:
            raise ValueError(f"expected a question such as 'What describes person in the text?', found {question!r}")
        found = _texts(answer)
        if found is None:
            source.note(UNANSWERED, number, repr(answer))
            continue
        schema.append(asked[1])
        entities += [{"text": name, "label": asked[1]} for name in found]
    if not schema:
        raise ValueError("a conversation without a question about a label")
    return {"sentence": text.removeprefix("Text: "), "schema": sorted(set(schema)), "entities": entities} | extras(row)


def _turns(conversation: list[Any]) -> list[tuple[Any, Any]]:
    """Who says what, without what a system says before."""
    turns = [turn for turn in conversation if isinstance(turn, dict)]
    said = [(turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))) for turn in turns]
    return said[1:] if said and said[0][0] == "system" else said


def _texts(answer: Any) -> list[str] | None:
    found = list_in(answer) if isinstance(answer, str) else None
    return found if are_texts(found) else None


def _gner_values(values: Any, source: Source) -> Any:
    """GNER's rows as tokens and tags, under the labels that they list."""
    rows = (
        (number, _gner_row(row) if has(row, instance=dict) else row)  # a DataError stays as it is
        for number, row in values
    )
    return TOKENS.rows(rows, source)


def _gner_row(row: dict[str, Any]) -> dict[str, Any]:
    listed = row.get("label_list")
    listed = listed if are_texts(listed) else []
    named = {"schema": schema_of_tags(listed) if "O" in listed else listed} if listed else {}
    instance = row["instance"]
    return {"tokens": instance.get("words"), "ner_tags": instance.get("labels"), "dataset": row.get("dataset")} | named


def _unread_of_gner(row: dict[str, Any]) -> set[str]:
    inside = row["instance"].keys() - {"id", "words", "labels", "instruction_inputs", "prompt_labels"}
    return row.keys() - {"id", "instance", "label_list", "dataset", "task"} | {f"instance.{name}" for name in inside}


def _gliner2_row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    by_label = row["output"]["entities"]
    if not all(isinstance(texts, list) for texts in by_label.values()):
        raise ValueError("'entities' must list the texts of each label")
    entities = [{"text": text, "label": label} for label, texts in by_label.items() for text in texts]
    described = row["output"].get("entity_descriptions")
    if others := [name for name, value in row["output"].items() if value and name not in _OF_ENTITIES]:
        source.note(OTHER_TASKS, number, ", ".join(others))
    schema = sorted({*by_label, *(described if isinstance(described, dict) else ())})
    return {"sentence": row["input"], "entities": entities, "schema": schema} | extras(row)


def _nuner_row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    output = row["output"]
    pairs = list_in(output) if isinstance(output, str) else output
    if not isinstance(pairs, list):
        raise ValueError(f"'output' must be a list of \"text <> label\", found {output!r}")
    entities = []
    for pair in pairs:
        text, divided, rest = str(pair).partition(" <> ")
        label, described, _ = rest.partition(" <> ")
        if described:
            source.note(DESCRIBED, number, repr(pair))
        if not divided:
            raise ValueError(f"'output' must be a list of \"text <> label\", found {pair!r}")
        entities.append({"text": text, "label": label})
    return {"sentence": row["input"], "entities": entities} | extras(row)


def _iepile(row: Any) -> tuple[dict[str, Any], Any] | None:
    """What IEPile and OneKE ask and what the answer is, both written as JSON into texts; else None."""
    if not has(row, instruction=str, output=str) or row["instruction"][:1] != "{":
        return None
    asked, answer = list_in(row["instruction"]), list_in(row["output"])
    return (asked, answer) if has(asked, input=str, schema=list) else None


def _iepile_row(row: dict[str, Any], _: int, __: Source) -> dict[str, Any]:
    asked, by_label = _iepile(row) or ({}, None)
    if row.get("task", "NER") != "NER":
        raise ValueError(f"its task is {row['task']}, not NER")
    if not isinstance(by_label, dict) or not all(isinstance(texts, list) for texts in by_label.values()):
        raise ValueError("'output' must list the texts of each label")
    entities = [{"text": text, "label": label} for label, texts in by_label.items() for text in texts]
    dataset = {"dataset": row["source"]} if isinstance(row.get("source"), str) else {}
    return {"sentence": asked["input"], "schema": asked["schema"], "entities": entities} | dataset | extras(row)


def _is_nuner(row: Any) -> bool:
    if not has(row, input=str, output=(str, list)):
        return False
    output = row["output"]
    return " <> " in output if isinstance(output, str) else any(" <> " in str(pair) for pair in output)


CONVERSATIONS = Shape(
    name="UniversalNER conversations",
    recognises=lambda row: has(row, conversations=list),
    fields=frozenset(("conversations",)),
    unread=all_but("conversations"),
    rows=each(_conversation_row),
)
GNER = Shape(
    name="GNER",
    recognises=lambda row: has(row, instance=dict) and has(row["instance"], words=list, labels=list),
    fields=frozenset(("instance",)),
    unread=_unread_of_gner,
    rows=_gner_values,
    own_offsets=False,
)
GLINER2 = Shape(
    name="GLiNER2",
    recognises=lambda row: has(row, input=str, output=dict) and has(row["output"], entities=dict),
    fields=frozenset(("output",)),
    rows=each(_gliner2_row),
    unread=all_but("input", "output"),
)
IEPILE = Shape(
    name="IEPile",
    recognises=lambda row: _iepile(row) is not None,
    rows=each(_iepile_row),
    unread=all_but("instruction", "output", "task", "source"),
    fields=frozenset(("instruction",)),
)
NUNER = Shape(
    name="NuNER",
    recognises=_is_nuner,
    rows=each(_nuner_row),
    fields=frozenset(("output",)),
    unread=all_but("input", "output"),
)
