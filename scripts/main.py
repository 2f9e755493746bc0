"""``rnr COMMAND``: the console script. ``python -m scripts.COMMAND`` is the same."""

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "data": "check, convert, split and count annotated sentences",
    "cot": "reasoning chains from a teacher",
    "train": "SFT warm start, GRPO, evaluation, export",
    "predict": "entities of sentences and documents",
    "serve": "a model over HTTP: /extract, a page to try it, OpenAI's interface",
    "evaluate": "scores of a model or of its predictions",
    "report": "a run as one HTML page",
    "replay": "re-score one saved group of rollouts in this process",
    "rescore": "re-score all saved rollouts with another reward",
    "scale": "change the number of rollout workers of an active run",
    "plan": "resources and time that a config needs; how to split GPUs",
    "bench": "speed on this machine",
}
"""Command -> what it is for. ``scripts.COMMAND``, loaded when it is called, has ``main(argv) -> exit code``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 for one that there is not."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"error: unknown command {command!r}; choose from {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    sys.argv[0] = f"rnr {command}"  # by which typer calls it in --help
    return importlib.import_module(f"scripts.{command}").main(rest)


def _help() -> str:
    lines = [f"  {command:<10} {purpose}" for command, purpose in COMMANDS.items()]
    return "\n".join(["usage: rnr COMMAND ...   (rnr COMMAND --help says more)", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
