"""Write `examples/ask.ipynb` from `examples/ask.py`: markdown cells from comment blocks, code cells from the code.

python -m examples.make_notebook [--check]
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE, NOTEBOOK = HERE / "ask.py", HERE / "ask.ipynb"
MARK = "# %%"


def cells(source: str) -> list[dict]:
    """The notebook cells of a script with the markers `# %%` (code) and `# %% [markdown]` (text after `# `)."""
    made = []
    for part in source.split(f"\n{MARK}")[1:]:
        head, _, body = part.partition("\n")
        lines = body.strip("\n").splitlines()
        if "markdown" in head:
            made.append({"cell_type": "markdown", "metadata": {}, "source": _lines(line[2:] for line in lines)})
        else:
            code = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
            made.append({**code, "source": _lines(lines)})
    return [{"id": f"cell-{number}", **cell} for number, cell in enumerate(made)]


def notebook(source: str) -> str:
    """The notebook as JSON, in format version 4.5."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    tree = {"cells": cells(source), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(tree, indent=1, ensure_ascii=False) + "\n"


def _lines(lines) -> list[str]:
    text = [*lines]
    return [f"{line}\n" for line in text[:-1]] + text[-1:]


def main(argv: Sequence[str]) -> int:
    made = notebook(SOURCE.read_text(encoding="utf-8"))
    if "--check" in argv:
        return int(NOTEBOOK.read_text(encoding="utf-8") != made)
    NOTEBOOK.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
