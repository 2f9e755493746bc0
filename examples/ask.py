"""Ask a trained model from Python; `examples/ask.ipynb` is made from this file (`python -m examples.make_notebook`).

python -m examples.ask runs/demo/export
"""

import argparse
import os

from rnr.model_folder import resolve

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", nargs="?", default=os.environ.get("RNR_MODEL", "runs/demo/export"))
os.environ["RNR_MODEL"] = parser.parse_args().model  # where a notebook has the name, too
try:
    resolve(os.environ["RNR_MODEL"])
except ValueError as error:
    parser.error(str(error))

# %% [markdown]
# # Ask a model
# An export of RNR is loaded once and asked many times. Run `make demo` first, or name your own export.

# %%
import os

from rnr import load

MODEL = os.environ.get("RNR_MODEL", "runs/demo/export")
ner = load(MODEL)

# %% [markdown]
# A sentence and the labels that you want. No other label comes back, and no text that is not in the sentence.

# %%
found = ner("Ada Lovelace was born in London.", ["person", "city"])
for entity in found.entities:
    print(entity.text, entity.label, entity.start, entity.end, entity.confidence)
print(found.reasoning)

# %% [markdown]
# Labels may have definitions, and many sentences are asked at once.

# %%
sentences = ["Marta borrowed The Salt Road.", "Nobody returned anything this morning."]
for result in ner.batch(sentences, {"reader": "who borrows books", "book": "the title of a book"}):
    print(result.sentence, [(entity.text, entity.label) for entity in result.entities])

# %%
ner.close()
