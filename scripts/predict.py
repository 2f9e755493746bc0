"""Entities of sentences, with the reasoning.

python -m scripts.predict --model runs/demo/export --schema person,location "Ada Lovelace was born in London."
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from cluster.local import greedy
from rnr.task.labels import label_key
from rnr.task.parsing import ERRORS, ground, parse
from rnr.types import Example, Group


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a Hugging Face folder, such as the export of a run")
    parser.add_argument("--schema", required=True, help="labels, separated by commas")
    parser.add_argument("--file", help="sentences, one a line, instead of or besides those on the command line")
    parser.add_argument("--json", action="store_true", help="one JSON object a sentence")
    parser.add_argument("--max-new-tokens", type=int, default=320)
    parser.add_argument("--context-tokens", type=int, default=1024)
    parser.add_argument("sentences", nargs="*")
    options = parser.parse_args(argv)
    try:
        sentences = [
            *options.sentences,
            *(Path(options.file).read_text(encoding="utf-8").split("\n") if options.file else []),
        ]
        labels = tuple(dict.fromkeys(label_key(label) for label in options.schema.split(",") if label.strip()))
        if not labels or not any(sentences):
            raise ValueError("--schema needs a label, and there must be a sentence to read")
        examples = [
            Example(uid=f"line {number}", sentence=sentence, schema=labels, mentions=())
            for number, sentence in enumerate(sentences, 1)
            if sentence.strip()
        ]
        room = {"context_tokens": options.context_tokens, "max_new_tokens": options.max_new_tokens}
        groups = asyncio.run(greedy(examples, model=options.model, **room))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for group in groups:
        show(group, as_json=options.json)
    return 0


def show(group: Group, *, as_json: bool) -> None:
    """Print the entities with their offsets, or why there are none."""
    sentence = group.prompt.example.sentence
    answer = parse(group.rollouts[0].text)
    mentions = ground(answer.mentions, sentence)
    if as_json:
        entities = [{"text": m.text, "label": m.label, "start": m.start, "end": m.end} for m in mentions]
        row = {"sentence": sentence, "entities": entities, "reasoning": answer.reasoning, "error": answer.error}
        print(json.dumps(row, ensure_ascii=False))
        return
    print(sentence)
    for mention in mentions:
        place = f"[{mention.start}:{mention.end}]" if mention.grounded else "[not in the sentence]"
        print(f"  {place:<10} {mention.label:<20} {mention.text}")
    if answer.error:
        print(f"  no answer: {ERRORS[answer.error]}")
    print(f"  reasoning: {answer.reasoning}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
