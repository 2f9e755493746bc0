"""``rnr COMMAND``: the console script. ``python -m scripts.COMMAND`` is the same."""

import importlib
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rnr.messages import did_you_mean
from scripts.printing import flushed
from scripts.startup import begin, leave

COMMANDS = {
    "data": "check, convert, split and count annotated sentences",
    "cot": "generate reasoning chains with a teacher",
    "train": "SFT warm start, GRPO, evaluation, export",
    "predict": "entities of sentences and documents",
    "serve": "a model over HTTP: /extract, a page to try it, an OpenAI-compatible API",
    "evaluate": "score a model or its predictions",
    "report": "a run as one HTML page",
    "replay": "re-score one saved group of rollouts in this process",
    "rescore": "re-score all saved rollouts with another reward",
    "scale": "change the number of rollout workers of an active run",
    "plan": "resources and time a config needs; how to split GPUs",
    "bench": "benchmarks on this machine",
}
"""Command -> purpose. ``scripts.COMMAND``, loaded when it is called, has ``main(argv) -> exit code``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 for an unknown one. Without ``argv``, the one of this process, which ends with it."""
    if argv is None:
        begin()
        leave(_command(sys.argv[1:]))
    return _command(argv)


def _command(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        with suppress(BrokenPipeError):
            print(_help())
        return flushed(0 if arguments else 2)
    command, *rest = arguments
    if command not in COMMANDS:
        near = did_you_mean(command, COMMANDS) or f"; choose from {', '.join(COMMANDS)}"
        print(f"error: unknown command {command!r}{near}", file=sys.stderr)
        return 2
    # The name used by messages and --help: `rnr` may not be installed where this file was called.
    here = Path(sys.argv[0])
    sys.argv[0] = str(here.with_name(f"{command}.py")) if _is_module() else f"rnr {command}"
    return importlib.import_module(f"scripts.{command}").main(rest)


def _help() -> str:
    lines = [f"  {command:<10} {purpose}" for command, purpose in COMMANDS.items()]
    name = "python -m scripts.main" if _is_module() else "rnr"
    return "\n".join([f"usage: {name} COMMAND ...   ({name} COMMAND --help for details)", "", *lines])


def _is_module() -> bool:
    """Whether this was called as ``python -m scripts.main``."""
    return Path(sys.argv[0]).name == "main.py"


if __name__ == "__main__":
    main()
