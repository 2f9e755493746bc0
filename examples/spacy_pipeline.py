"""Use a trained model as a component of a spaCy pipeline; displaCy renders the entities.

python -m examples.spacy_pipeline runs/demo/export "Ada was born in London." --labels person,city --html out.html
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def pipeline(model: str, labels: Sequence[str], language: str = "en"):
    """A blank pipeline of this language with RNR's component; the model is loaded when the first text arrives."""
    import spacy

    import actors.spacy_component  # noqa: F401  # registers "rnr" if RNR is not installed with pip

    nlp = spacy.blank(language)
    nlp.add_pipe("rnr", config={"model": model, "labels": list(labels)})
    return nlp


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--labels", default="person,city")
    parser.add_argument("--html", help="HTML file to write, with the entities highlighted")
    options = parser.parse_args(argv)
    try:
        docs = list(pipeline(options.model, options.labels.split(",")).pipe(options.texts))
    except ValueError as error:
        parser.error(str(error))
    for doc in docs:
        for entity in doc.ents:
            sure = "" if entity._.confidence is None else f" {entity._.confidence:.2f}"
            print(f"{entity.start_char}-{entity.end_char} {entity.label_} {entity.text}{sure}")
    if options.html:
        from spacy import displacy

        Path(options.html).write_text(displacy.render(docs, style="ent", page=True), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
