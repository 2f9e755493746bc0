"""A tiny random model and twelve sentences, written once: what a campaign trains."""

from pathlib import Path

from rnr.files.jsonl import json_line
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder

NAMES = ("Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ida", "Jo", "Kit", "Lou")


def write_inputs(folder: Path) -> tuple[Path, Path]:
    """(folder of the model, folder of the data) under ``folder``."""
    from scripts.benchmarks.random_model import write_random_model

    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    for part, verb, names in (("train", "ran", NAMES), ("test", "sat", NAMES[:4])):
        rows = (
            {"sentence": f"{name} {verb}.", "schema": ["person"], "entities": [{"text": name, "label": "person"}]}
            for name in names
        )
        (data / f"{part}.jsonl").write_text("".join(map(json_line, rows)))
    model = folder / "random-tiny"
    if not (model / "config.json").is_file():
        model = write_random_model("random-tiny", folder, embedded_folder(EMBEDDED_MODEL))
    return model, data
