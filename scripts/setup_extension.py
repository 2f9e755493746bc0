"""Compile what DeepSpeed compiles for a CPU learner, so that the first run does not: ``make setup`` calls it."""

import os

DEADLINE_SECONDS = 900


def main() -> None:
    os.environ["DS_ACCELERATOR"] = "cpu"
    from learner.extension import load_extension

    load_extension(DEADLINE_SECONDS)


if __name__ == "__main__":
    main()
