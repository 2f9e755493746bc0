"""The model card of an export (README.md), and its greedy generation config."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.chat_format import PROMPT_FILE
from actors.model_files import embedding_rows
from rnr.files.jsonl import strict_json
from rnr.messages import few
from rnr.model_folder import EMBEDDED_MODEL
from rnr.task.wording import PRESETS, Wording
from rnr.types import Example

EMBEDDED = ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")
"""Name and licence of the embedded model."""

SETTINGS = (
    *("model.path", "model.lora_rank", "data.train", "data.prompt", "data.sft_examples"),
    *("sft.epochs", "sft.learning_rate", "sft.sequences_per_step", "sft.decoding"),
    *("sampling.decoding", "sampling.samples_per_prompt", "sampling.prompts_per_step", "sampling.temperature"),
    *("reward.preset", "reward.weights", "grpo.steps", "grpo.learning_rate", "grpo.advantage", "grpo.credit"),
    *("grpo.kl_coefficient", "merging.warm_start", "merging.grpo", "run.seed"),
)
"""The keys of the run's config that the card shows, where it has them."""

SHOWN_LABELS = 40

_KEPT = ("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version")
"""Keys of a generation config: beams, penalties, lengths and forbidden tokens change greedy decoding, too."""
_SENTENCE, _LABELS = "Ada Lovelace was born in London.", ("person", "city")


def card_files(
    run_folder: Path,
    *,
    name: str,
    base_folder: Path,
    stop_token_id: int,
    prompt_file: Mapping[str, str],
    scores: Mapping[str, Mapping[str, Any]],
    labels: Sequence[str],
) -> dict[str, str]:
    """Name and text of the files that say what the model in ``run_folder`` is; ``scores`` are those of each evaluation,
    in order, as ``rnr.evaluation.scoring.Evaluation`` has them; ``labels`` are those that it was trained with."""
    config = _read(run_folder / "config.json")
    asked = json.loads(prompt_file[PROMPT_FILE])
    wording = Wording(**asked["wording"]) if "wording" in asked else PRESETS[asked["preset"]]
    model = config.get("model", {}).get("path", base_folder.name)
    base, licence = EMBEDDED if model == EMBEDDED_MODEL else (model, licence_of(base_folder))
    sections = [
        _front_matter(base, licence),
        f"# {name}\n\nFinds named entities by reasoning first. Trained by RNR from `{base}`; licence of the base: "
        f"{licence or 'not stated in its folder; ask its author'}.",
        _scores(scores),
        _settings(config),
        *([_labels(labels)] if labels else []),
        _prompt(wording, asked),
        _snippets(name, wording, labels[:4] or _LABELS),
    ]
    return {"README.md": "\n\n".join(sections) + "\n", "generation_config.json": greedy(base_folder, stop_token_id)}


def licence_of(folder: Path) -> str:
    """The licence that a model's card names, or the first line of its licence file; empty where there is neither."""
    card = folder / "README.md"
    if card.is_file():
        found = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
        named = re.search(r"^license:\s*(\S+)", found[1], re.MULTILINE) if found else None
        if named:
            return named[1]
    for file in sorted(folder.glob("LICEN[SC]E*")):
        lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
        return next((line for line in lines if line), "")
    return ""


def greedy(base_folder: Path, stop_token_id: int) -> str:
    """A greedy generation config with the base's tokens, ended by the stop token of the answers. Raises ValueError,
    naming the file, where it says what is no token of how an answer ends; leaves out ends of ``unknown_ends``."""
    file = base_folder / "generation_config.json"
    kept = {key: value for key, value in _read(file).items() if key in _KEPT}
    if wrong := [end for end in _ends(file) if type(end) is not int]:
        raise ValueError(f"model.path: {file}: eos_token_id must be a token id or a list of them, not {wrong[0]!r}")
    ends = {*_ends(file)} - {*_unknown(file)}
    return strict_json({**kept, "do_sample": False, "eos_token_id": sorted({stop_token_id, *ends})}, indent=1)


def unknown_ends(base_folder: Path) -> Iterator[str]:
    """A note for each file of a base model that lets it end with a token that it does not have."""
    for file in (base_folder / "config.json", base_folder / "generation_config.json"):
        if unknown := _unknown(file):
            rows = embedding_rows(str(base_folder))
            yield f"{file}: eos_token_id {few(list(map(str, unknown)))} ignored: the model has {rows} tokens, from 0"


def _ends(file: Path) -> list[Any]:
    found = _read(file).get("eos_token_id")
    return [] if found is None else found if isinstance(found, list) else [found]


def _unknown(file: Path) -> list[int]:
    """The ids among the ends in a model's file that are beyond its embeddings."""
    rows = embedding_rows(str(file.parent))
    return [end for end in _ends(file) if type(end) is int and rows is not None and not 0 <= end < rows]


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _front_matter(base: str, licence: str) -> str:
    metadata = [f"license: {licence}"] if re.fullmatch(r"[\w.-]+", licence) else []
    metadata += [f"base_model: {base}"] if re.fullmatch(r"[\w.-]+/[\w.-]+", base) else []
    lines = ["library_name: transformers", "pipeline_tag: text-generation", "tags: [named-entity-recognition, rnr]"]
    return "\n".join(["---", *metadata, *lines, "---"])


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    if not scores:
        return "## Scores\n\nNo evaluation was run."
    rows = [
        f"| {stage} | {found.get('decoding') or 'unknown'} | {found['f1']:.1f} | {found['interval'][0]:.1f} to "
        f"{found['interval'][1]:.1f} | {found['exact_f1']:.1f} | {found['finished']:.0f} |"
        for stage, found in scores.items()
    ]
    head = [
        "## Scores",
        "",
        "In per cent, on the evaluation data of the run. F1: the reference metric, averaged over "
        "data sets; exact: every mention by text and label.",
        "",
        "| stage | decoding | F1 | 95 % interval | exact F1 | finished |",
        "|---|---|--:|--:|--:|--:|",
    ]
    last = list(scores.values())[-1]["by_data_set"]
    by_set = [f"| {name} | {found['f1']:.1f} |" for name, found in last.items()]
    return "\n".join([*head, *rows, "", "| data set (last stage) | F1 |", "|---|--:|", *by_set])


def _settings(config: Mapping[str, Any]) -> str:
    rows: list[str] = []
    for key in SETTINGS:
        section, _, option = key.partition(".")
        if option in config.get(section, {}):
            rows.append(f"| `{key}` | {_display(config[section][option])} |")
    return "\n".join(["## Data and settings", "", "| key | value |", "|---|---|", *rows])


def _display(value: Any) -> str:
    """A value without the folders of the machine that trained."""
    if isinstance(value, list | tuple):
        return ", ".join(_display(item) for item in value) or "-"
    if isinstance(value, str) and value.startswith(("/", "~", ".")):
        return Path(value).name
    return str(value).replace("|", "\\|") if value != "" else "-"


def _labels(labels: Sequence[str]) -> str:
    named = few([f"`{' '.join(label.split())}`" for label in labels], SHOWN_LABELS)
    return f"## Labels\n\nTrained with {named}. Other labels can be requested, with lower quality."


def _messages(wording: Wording, labels: Sequence[str]) -> list[dict[str, str]]:
    example = Example(uid="", sentence=_SENTENCE, schema=tuple(labels), mentions=())
    system = [{"role": "system", "content": wording.system}] if wording.system else []
    return [*system, {"role": "user", "content": wording.message(example, {})}]


def _prompt(wording: Wording, asked: Mapping[str, Any]) -> str:
    by = asked["label_calibration"] if "marks" in (asked["decoding"], asked["grammar"]) else 0.0
    return "\n".join(
        [
            "## How it is asked",
            "",
            f"Trained with decoding `{asked['decoding']}`; the grammar for its chains: `{asked['grammar']}`."
            + (f" Labels of greedy marks are calibrated by {by:g}." if by else ""),
            *(["", "System message:", "", "```", wording.system, "```"] if wording.system else []),
            "",
            "User message, where `{{SCHEMA}}` is the list of labels and `{{SENTENCE}}` the sentence:",
            "",
            "```",
            wording.user,
            "```",
        ]
    )


def _snippets(name: str, wording: Wording, labels: Sequence[str]) -> str:
    messages = _messages(wording, labels)
    asked = strict_json({"sentences": [_SENTENCE], "labels": list(labels)}).replace("'", "'\\''")
    body = strict_json({"model": name, "temperature": 0, "messages": messages})
    quoted = body.replace("'", "'\\''")
    return f"""## Use

With the grammar, which allows only the requested labels and text of the sentence:

```
rnr serve FOLDER &
curl -s localhost:8000/extract -H "content-type: application/json" \\
    -d '{asked}'
```

With the same server, or `vllm serve FOLDER --served-model-name {name}`, without the grammar:

```
curl -s localhost:8000/v1/chat/completions -H "content-type: application/json" -d '{quoted}'
```

With transformers alone, without the grammar:

```python
{_transformers(messages)}
```

In spaCy, with the grammar:

```python
{_spacy(labels)}
```"""


def _transformers(messages: Sequence[Mapping[str, str]]) -> str:
    return f"""from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")
model = AutoModelForCausalLM.from_pretrained("FOLDER", dtype="auto")
messages = {list(messages)!r}
asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**asked, max_new_tokens=256)
print(tokenizer.decode(answer[0, asked["input_ids"].shape[1]:], skip_special_tokens=True))"""


def _spacy(labels: Sequence[str]) -> str:
    return f"""import actors.spacy_component  # not needed where RNR is installed by pip
import spacy

nlp = spacy.blank("en")
nlp.add_pipe("rnr", config={{"model": "FOLDER", "labels": {list(labels)!r}}})
print([(ent.text, ent.label_, ent._.confidence) for ent in nlp("{_SENTENCE}").ents])"""
