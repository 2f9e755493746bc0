"""The folder a run leaves behind, and what may be in it when the next one starts."""

import json
from pathlib import Path
from typing import Any

from rnr.config import Config

CHANGEABLE = ("cluster", "tracking", "checkpoint")
"""Sections that may differ between a run and its resumption: they say how, not what."""


def open_run(config: Config, *, resume: bool) -> Path:
    """The run folder, with the resolved config in it.

    A new run moves an older run of the same name aside (``NAME.1``, ``NAME.2``, ...). ``resume`` keeps it, and raises
    ValueError naming the key if what is trained has changed since.
    """
    folder = Path(config.run.folder).expanduser().resolve() / config.run.name
    tree = config.model_dump(mode="json")
    file = folder / "config.json"
    if resume and file.exists():
        _refuse_changes(json.loads(file.read_text()), tree, folder)
    elif folder.exists():
        number = 1
        while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
            number += 1
        folder.rename(aside)
        print(f"run: moved the earlier {folder.name} to {aside}")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(tree, indent=1))
    return folder


def _refuse_changes(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    for section, values in now.items():
        for key, value in values.items():
            was = before.get(section, {}).get(key, value)
            if section not in CHANGEABLE and (section, key) != ("run", "folder") and was != value:
                raise ValueError(
                    f"--resume: {section}.{key} is {value!r}, but the run in {folder} was started with {was!r}; "
                    "take it back, or start a run with another run.name"
                )
