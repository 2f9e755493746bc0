"""Ask a trained model from Python; `examples/ask.ipynb` is made from this file (`python -m examples.make_notebook`).

python -m examples.ask runs/demo/export
"""

# %% [markdown]
# # Ask a model
# An export of RNR is loaded once and asked many times. Run `make demo` first, or name your own export.

# %%
import os
import sys

from rnr import load

MODEL = next((word for word in sys.argv[1:] if os.path.isdir(word)), os.environ.get("RNR_MODEL", "runs/demo/export"))
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
