"""Entities of sentences, with the reasoning.

python -m scripts.predict --model runs/demo/export --schema person,location "Ada Lovelace was born in London."
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster.local import greedy
from rnr.config import EvaluationConfig, ModelConfig
from rnr.files import strict_json
from rnr.task.chains import grounded
from rnr.task.labels import label_key
from rnr.task.parsing import ERRORS, parse
from rnr.types import Decoding, Example, Group
from scripts.command_line import as_written, new_app, run, within

app = new_app()


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def predict(
    model: Annotated[str, typer.Option(help="a Hugging Face folder, such as the export of a run")],
    schema: Annotated[str, typer.Option(help="labels, separated by commas")],
    sentences: Annotated[list[str] | None, typer.Argument(show_default=False)] = None,
    file: Annotated[Path | None, typer.Option(help="more sentences, one a line")] = None,
    decoding: Annotated[Decoding | None, typer.Option(help="default: as the model was trained")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a sentence")] = False,
    max_new_tokens: Annotated[int, typer.Option(callback=within(1))] = EvaluationConfig().max_new_tokens,
    context_tokens: Annotated[int, typer.Option(callback=within(1))] = ModelConfig().context_tokens,
) -> None:
    """Ask the model about each sentence and print the entities."""
    lines = [*(sentences or ()), *(file.read_text(encoding="utf-8").split("\n") if file else ())]
    labels = tuple(dict.fromkeys(label_key(label) for label in schema.split(",") if label.strip()))
    if not labels or not any(lines):
        raise ValueError("--schema needs a label, and there must be a sentence to read")
    examples = [
        Example(uid=f"line {number}", sentence=sentence, schema=labels, mentions=())
        for number, sentence in enumerate(lines, 1)
        if sentence.strip()
    ]
    room = {"context_tokens": context_tokens, "max_new_tokens": max_new_tokens}
    (groups,) = asyncio.run(greedy(examples, model=model, decodings=(decoding,), **room)).values()
    for group in groups:
        _show(group, as_json=as_json)


def _show(group: Group, *, as_json: bool) -> None:
    """Print the entities with their offsets, or why there are none."""
    sentence = group.prompt.example.sentence
    answer = grounded(parse(group.rollouts[0].text), sentence)
    if as_json:
        entities = [{"text": m.text, "label": m.label, "start": m.start, "end": m.end} for m in answer.mentions]
        row = {"sentence": sentence, "entities": entities, "reasoning": answer.reasoning, "error": answer.error}
        print(strict_json(row))
        return
    print(sentence)
    for mention in answer.mentions:
        place = f"[{mention.start}:{mention.end}]" if mention.grounded else "[not in the sentence]"
        print(f"  {place:<10} {mention.label:<20} {mention.text}")
    if answer.error:
        print(f"  no answer: {ERRORS[answer.error]}")
    print(f"  reasoning: {answer.reasoning}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
