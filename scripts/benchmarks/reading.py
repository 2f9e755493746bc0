"""CPU time and peak memory of reading files of annotated sentences, compared with ``datasets`` on the same file.

python -m scripts.benchmarks.reading --megabytes 200
"""

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from rnr.files.jsonl import json_line
from scripts.command_line import among, as_written, new_app, repeated, run, within

app = new_app()

_MEASURE = """
import resource, sys, tempfile, time
what, file = sys.argv[1:]
if what.startswith("datasets"):
    import datasets
    datasets.disable_progress_bars()
else:
    from rnr.corpus import loading
    from rnr.corpus.report import Reading
start = time.process_time()
if what == "load":
    count = len(loading.load([file], training=True))
elif what == "check":
    count = sum(1 for _ in loading.check([file], Reading()))
else:
    with tempfile.TemporaryDirectory() as cache:
        rows = datasets.load_dataset("json", data_files=file, split="train", cache_dir=cache)
        count = sum(1 for _ in rows) if what.endswith("rows") else len(rows)
seconds, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{what}\\t{count}\\t{seconds:.1f}\\t{peak:.0f}")
"""


_OURS = ("load", "check")
FILES = {
    "big.jsonl": (*_OURS, "datasets", "datasets rows"),
    "big.conll": _OURS,
    "big.csv": _OURS,
    "tokens.jsonl": _OURS,
    "list.json": _OURS,
}
"""File -> what is measured with it."""


def main(argv: list[str]) -> int:
    return run(app, repeated(argv, "--files"))


@app.command(help=as_written(__doc__))
def reading(
    megabytes: Annotated[int, typer.Option(callback=within(1), help="size of each file in MiB")] = 200,
    files: Annotated[list[str] | None, typer.Option(callback=among(FILES), help=", ".join(FILES))] = None,
) -> int:
    """Print CPU seconds and peak memory for each file."""
    size = megabytes * 2**20
    print("file\twhat\tsentences\tCPU seconds\tpeak MiB")
    with tempfile.TemporaryDirectory() as folder:
        for name in files or FILES:
            file = Path(folder) / name
            write(file, size)
            for kind in FILES[name]:
                done = subprocess.run([sys.executable, "-c", _MEASURE, kind, str(file)], capture_output=True, text=True)
                print(f"{name}\t{done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr}", flush=True)
    return 0


def write(file: Path, size: int) -> None:
    """Write sentences of 8 to 30 made-up words with up to three mentions, always the same, in the format that the
    file's name says."""
    writer = {"big.conll": _columns, "big.csv": _cells, "tokens.jsonl": _tokens}.get(file.name, _row)
    before, between, after = ("[", ", ", "]") if file.suffix == ".json" else ("", "", "")
    with file.open("w", encoding="utf-8") as stream:
        stream.write("sentence_id,word,pos,tag\n" if file.suffix == ".csv" else before)
        for number, (words, spans) in enumerate(_sentences(random.Random(1))):
            stream.write((between if number else "") + writer(number, words, spans))
            if stream.tell() > size:
                break
        stream.write(after)


def _sentences(generator: random.Random) -> Iterator[tuple[list[str], list[tuple[int, int, str]]]]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(generator.choices(letters, k=generator.randint(2, 9))) for _ in range(30_000)]
    while True:
        sentence = generator.choices(words, k=generator.randint(8, 30))
        spans: list[tuple[int, int, str]] = []
        at = 1
        while at < len(sentence) - 2 and len(spans) < 3:
            end = at + generator.randint(1, 2)
            spans.append((at, end, generator.choice(["PER", "LOC", "ORG", "MISC"])))
            at = end + generator.randint(2, 6)
        yield sentence, spans


def _row(_: int, words: list[str], spans: list[tuple[int, int, str]]) -> str:
    starts = [len(" ".join(words[:n])) + bool(n) for n in range(len(words))]
    entities = [
        {"text": " ".join(words[i:j]), "label": label, "start": starts[i], "end": starts[j - 1] + len(words[j - 1])}
        for i, j, label in spans
    ]
    return json_line({"sentence": " ".join(words), "entities": entities})


def _tags(words: list[str], spans: list[tuple[int, int, str]]) -> list[str]:
    tags = ["O"] * len(words)
    for i, j, label in spans:
        tags[i:j] = [f"B-{label}", *[f"I-{label}"] * (j - i - 1)]
    return tags


def _columns(_: int, words: list[str], spans: list[tuple[int, int, str]]) -> str:
    return "".join(f"{word} NN {tag}\n" for word, tag in zip(words, _tags(words, spans), strict=True)) + "\n"


def _cells(number: int, words: list[str], spans: list[tuple[int, int, str]]) -> str:
    return "".join(f"{number},{word},NN,{tag}\n" for word, tag in zip(words, _tags(words, spans), strict=True))


def _tokens(_: int, words: list[str], spans: list[tuple[int, int, str]]) -> str:
    return json_line({"tokens": words, "ner_tags": _tags(words, spans)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
