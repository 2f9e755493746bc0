"""Options and sizes of the cases of ``bench gpu``."""

import argparse
from collections.abc import Mapping
from typing import Any

_DEFAULTS: dict[str, Any] = {
    "lora_rank": 0,
    "lengths": "",
    "peer": None,
    "peer_batch": 8,
    "peer_weights": "float32",
    "profile": None,
    "sentences": "",
    "decoding": "free",
    "ranks": 1,
    "deadline": 300.0,
    "prompt_tokens": 200,
    "completion_tokens": 130,
    "max_tokens": 16_384,
}


def sized(case: Mapping[str, Any], *, tiny: bool, **more: Any) -> argparse.Namespace:
    """The options of a case; ``tiny`` reduces them to the smallest sizes that still run everything."""
    options = {**_DEFAULTS, **case, **more}
    if tiny:
        options |= {"prompts": 2, "samples": min(2, options["samples"]), "rounds": 1, "max_tokens": 1024}
        options |= {"prompt_tokens": 24, "completion_tokens": 12}
    return argparse.Namespace(**options)
