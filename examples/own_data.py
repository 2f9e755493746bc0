"""Train on your own sentences: check, split, train, evaluate, predict.

python -m examples.own_data                    # the 60 sentences of examples/data/library.jsonl
python -m examples.own_data mine.jsonl --folder runs/mine
python -m examples.own_data --debug            # one step of each stage in one process, as a quick test

Every command is printed before it runs: copy the lines that you need.
"""

import argparse
import contextlib
import hashlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default=str(HERE / "data" / "library.jsonl"))
    parser.add_argument("--folder", help="folder of the run and of the split data; default: runs/own-NAME of the file")
    parser.add_argument("--debug", action="store_true", help="train --debug: a minute, and the model learns nothing")
    parser.add_argument("--dry-run", action="store_true", help="check and split the data, then print the training plan")
    options, more = parser.parse_known_args(argv)
    folder = Path(options.folder or f"runs/own-{Path(options.file).stem}")
    data, made_from = folder / "data", folder / "made_from.txt"
    if data.is_dir() and (not made_from.is_file() or made_from.read_text(encoding="utf-8") != state(options.file)):
        print(f"error: {data} was not divided from {options.file} as it is now: remove it, or give another --folder")
        return 2

    run("scripts.data", "check", options.file)
    if not data.is_dir():  # a second call keeps the split that was trained on
        run("scripts.data", "split", options.file, "--out", str(data), "--test-share", "0.2")
        made_from.write_text(state(options.file), encoding="utf-8")
    train, test = (next(data.rglob(f"*{part}*.jsonl")) for part in ("train", "test"))

    training = ["scripts.train", f"--run.folder={folder}", "--run.name=run", f"--data.train=['{train}']"]
    training += [f"--data.evaluation=['{test}']", *settings(train, test), *more]
    if options.dry_run:
        run(*training, "--dry-run")
        return 0
    run(*training, "--debug" if options.debug else "--resume")

    export = folder / ("run-debug" if options.debug else "run") / "export"
    row = json.loads(lines(test)[0])
    labels = ",".join(row.get("schema") or ["person", "city"])
    scores = folder / "evaluation" / time.strftime("%Y%m%d-%H%M%S")  # a later call does not overwrite it
    run("scripts.evaluate", "--model", str(export), "--data", str(test), "--out", str(scores))
    run("scripts.predict", "--model", str(export), "--schema", labels, row["sentence"])
    return 0


def settings(train: Path, test: Path) -> list[str]:
    """Options of a run on a CPU that fit the number of training sentences and the longest sentence.

    Six epochs of a few dozen sentences, and fewer of more: about 120 steps of the warm start, but at least one epoch.
    A tagged chain copies its sentence, of which two bytes or more make a token.
    """
    lengths = [[len(json.loads(line)["sentence"].encode()) for line in lines(file)] for file in (train, test)]
    epochs = min(6.0, max(1.0, round(960 / len(lengths[0]), 1)))
    tokens = min(256, max(96, *map(max, lengths)))
    return [
        f"--sft.epochs={epochs:g}",
        "--sft.sequences_per_step=8",
        "--sft.learning_rate=3e-4",
        "--grpo.steps=4",
        f"--sampling.max_new_tokens={tokens}",
        f"--evaluation.max_new_tokens={tokens}",
        "--tracking.wandb_project=",
    ]


def lines(file: Path) -> list[str]:
    """The rows of a JSONL file, which may hold other line ends inside its texts."""
    return file.read_text(encoding="utf-8").rstrip("\n").split("\n")


def state(file: str) -> str:
    """The file and the digest of what is in it; of a folder or a pattern the name alone."""
    place = Path(file).resolve()
    return f"{place} {hashlib.sha256(place.read_bytes()).hexdigest() if place.is_file() else ''}"


def run(*words: str) -> None:
    """Run ``python -m WORDS``; if it fails, exit with its exit code."""
    print(f"\n$ python -m {shlex.join(words)}", flush=True)
    code = exit_code([sys.executable, "-m", *words])
    if code:
        sys.exit(code)


def exit_code(command: list[str]) -> int:
    """The exit code of a command. Ctrl-C is left to it, as the terminal sends it there, too: a training run ends its
    workers, for which `subprocess.run` gives it a quarter of a second."""
    with subprocess.Popen(command) as process:
        while process.returncode is None:
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
