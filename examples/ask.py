"""Use a trained model from Python; `python -m examples.make_notebook` generates `examples/ask.ipynb` from this file.

python -m examples.ask runs/demo/export
"""

import argparse
import os

from rnr.messages import model_named
from rnr.model_folder import resolve

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model", nargs="?", default=os.environ.get("RNR_MODEL", "runs/demo/export"))
os.environ["RNR_MODEL"] = parser.parse_args().model  # the notebook reads the same variable
try:
    with model_named("model"):
        resolve(os.environ["RNR_MODEL"])
except ValueError as error:
    parser.error(str(error))

# %% [markdown]
# # Use a trained model
# Load an export of RNR once and call it many times. Run `make demo` first, or set `RNR_MODEL` to your own export.

# %%
import os

from rnr import load

MODEL = os.environ.get("RNR_MODEL", "runs/demo/export")
ner = load(MODEL)

# %% [markdown]
# Pass a sentence and the labels to extract. Only these labels are returned, and only texts of the sentence.

# %%
found = ner("Ada Lovelace was born in London.", ["person", "city"])
for entity in found.entities:
    print(entity.text, entity.label, entity.start, entity.end, entity.confidence)
print(found.reasoning)

# %% [markdown]
# Labels may have definitions, and `batch` processes many sentences at once.

# %%
sentences = ["Marta borrowed The Salt Road.", "Nobody returned anything this morning."]
for result in ner.batch(sentences, {"reader": "who borrows books", "book": "the title of a book"}):
    print(result.sentence, [(entity.text, entity.label) for entity in result.entities])

# %%
ner.close()
