"""Compile DeepSpeed's CPU operator ahead of the first run; ``make setup`` calls it."""

import os
import sys

from scripts.command_line import as_written, new_app, run

app = new_app()

DEADLINE_SECONDS = 900


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def setup_extension() -> None:
    os.environ["DS_ACCELERATOR"] = "cpu"
    from learner.extension import load_extension

    load_extension(DEADLINE_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
