"""Writes ``docs/models.md``: the tables of the results of ``scripts.benchmarks.models``, after the introduction."""

import re
from importlib.metadata import version
from typing import Any

TOLERANCE = 0.15
"""Tolerance of a run's probe, in nats."""

WORDS = 200
"""Maximum length of an error message in the table."""

GENERATED = re.compile(r"^\d+ of the \d+ architectures ", re.MULTILINE)
"""Start of the generated part of the page; the text before it is written by hand and kept."""


def is_exact(row: dict[str, Any]) -> bool:
    """Whether learner and engine both match the model, before and after its weights were changed."""
    return row.get("sync", 1.0) < row.get("allowed", 0.0) and row["learner"] < 1e-5


def introduction(page: str, exact: int) -> str:
    """The text of ``page`` before its generated part, with the number of ``exact`` models; a title for a new page."""
    found = GENERATED.search(page)
    kept = page[: found.start()] if found else "# Models\n\n"
    kept = re.sub(r"#exact-\d+", f"#exact-{exact}", kept)
    return re.sub(r"\d+ architectures are exact", f"{exact} architectures are exact", kept)


def table(rows: list[dict[str, Any]], known: int, page: str = "") -> str:
    """The new content of ``docs/models.md``: the introduction of ``page``, and tables of ``rows``, the tested ones of
    ``known`` architectures."""
    exact = [row for row in rows if is_exact(row)]
    refused = [row for row in rows if "refused" in row or row.get("sync", 0.0) > TOLERANCE]
    rest = [row for row in rows if row not in exact and row not in refused]
    lines = [
        f"{len(exact) + len(refused)} of the {known} architectures of causal language models that transformers "
        f"{version('transformers')} and vLLM both know, found by a loop over their registries, "
        "were tried as tiny random models: written by `python -m scripts.benchmarks.models FOLDER`.",
        "",
        f"## Exact: {len(exact)}",
        "",
        "*Learner*: largest difference of packed log-probabilities in float32, in training mode, from those of "
        "transformers' plain forward pass. *Engine*, *sync*: mean difference of vLLM's log-probabilities (bf16) from "
        "the model's, as it starts and after every weight was changed and sent; *moved*: by how much that changed them."
        " *Run*: `debug.toml` from warm start to export.",
        "",
        "| type | class | learner | engine | sync | moved | run |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for row in exact:
        numbers = f"{row['learner']:.1e} | {row['start']:.3f} | {row['sync']:.3f} | {row['changed']:.2f}"
        lines.append(f"| {row['kind']} | {row['class']} | {numbers} | {row.get('run', 'not tried')} |")
    lines += ["", f"## Does not run: {len(refused)}", "", "| type | by | words |", "|---|---|---|"]
    lines += [f"| {row['kind']} | {row.get('by', 'probe')} | {_short(_refusal(row))} |" for row in refused]
    if rest:
        lines += ["", f"## Not tried: {len(rest)}", "", "| type | why |", "|---|---|"]
        lines += [f"| {row['kind']} | {_short(_why(row))} |" for row in rest]
    return introduction(page, len(exact)) + "\n".join(lines) + "\n"


def _refusal(row: dict[str, Any]) -> str:
    off = "does not sample from version 1: its log-probabilities differ from the learner's by"
    return row.get("refused") or f"{off} {row['sync']:.3f} (as it starts: {row['start']:.3f})"


def _why(row: dict[str, Any]) -> str:
    if "sync" in row:
        return f"engine {row['start']:.3f}, sync {row['sync']:.3f}: more than {row['allowed']:g} from the model"
    return "no tiny model by these rules: " + row["not_built"] if "not_built" in row else row["failed"]


def _short(words: str) -> str:
    words = words.replace("|", "/").replace("\n", " ")
    return words if len(words) <= WORDS else words[: WORDS - 4] + " ..."
