"""Entities of sentences and documents, with confidence and reasoning. Only results go to standard output.

python -m scripts.predict --model runs/demo/export --schema person,location "Ada Lovelace was born in London."
cat rows.jsonl | python -m scripts.predict --model runs/demo/export --schema-file labels.json --json - | jq .entities
python -m scripts.predict --model runs/demo/export --file rows.jsonl --out found.jsonl --resume --threshold 0.5
"""

import fcntl
import itertools
import os
import sys
import time
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from actors.options import Options, refuse_limits
from actors.output import stdout_to_stderr
from actors.question import Labels, refuse_unasked
from rnr.config import ModelConfig
from rnr.corpus.formats.rows import numbered_rows
from rnr.files.jsonl import json_line
from rnr.messages import counted
from rnr.task.aggregation import Selection
from rnr.task.extraction import Extraction
from rnr.task.labels import label_key
from rnr.task.parsing import ERRORS
from rnr.types import Decoding
from scripts.command_line import (
    ContextTokens,
    LabelWeight,
    MinConfidence,
    as_written,
    new_app,
    refuse_idle,
    run,
    threshold_option,
    within,
)
from scripts.progress import progress_shown
from scripts.questions import Form, Question, read_questions, schema_option

app = new_app()
_CONTEXT_TOKENS = ModelConfig().context_tokens


def main(argv: list[str]) -> int:
    return run(app, argv, interrupted="stopped; what was found so far is kept")


@app.command(help=as_written(__doc__))
def predict(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="a Hugging Face folder, such as the export of a run")],
    sentences: Annotated[list[str] | None, typer.Argument(help="texts, or - for stdin", show_default=False)] = None,
    schema: Annotated[str | None, typer.Option(help="labels, separated by commas")] = None,
    schema_file: Annotated[
        Path | None, typer.Option(help="a label per line, labels.json or {label: definition}")
    ] = None,
    file: Annotated[list[str] | None, typer.Option(help="more sentences; JSONL rows may have their own schema")] = None,
    form: Annotated[Form, typer.Option("--input", help="auto: lines or jsonl; document: one text")] = "auto",
    out: Annotated[Path | None, typer.Option(help="write JSONL to this file instead of standard output")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue after the last row of --out")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per sentence")] = False,
    engine: Annotated[Literal["vllm", "transformers"], typer.Option(help="transformers needs no vLLM")] = "vllm",
    samples: Annotated[int, typer.Option(callback=within(1), help="completions per text")] = 1,
    select: Annotated[Selection | None, typer.Option(help="default: vote with several samples, else greedy")] = None,
    threshold: MinConfidence = None,
    label_calibration: LabelWeight = None,
    decoding: Annotated[
        Decoding | None, typer.Option(help="default: a grammar, that of the training if it had one")
    ] = None,
    window: Annotated[int, typer.Option(callback=within(8), help="tokens per window of a long text")] = 256,
    overlap: Annotated[
        int | None, typer.Option(callback=within(0), help="shared tokens; default: 48, at most half a window")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(callback=within(1), help="default: up to the context limit")
    ] = None,
    context_tokens: ContextTokens = _CONTEXT_TOKENS,
) -> None:
    """Ask the model about each text and print the entities."""
    labels = schema_option(schema, schema_file)
    if not sentences and not file:
        raise ValueError("no input: give a sentence, --file, or - for standard input")
    if not file and "-" not in (sentences or ()):
        refuse_idle(context, ["form"], "without --file or - (standard input)")
    if resume and out is None:
        raise ValueError("--resume needs --out")
    options: dict[str, Any] = {"samples": samples, "select": select, "threshold": threshold_option(threshold)}
    if labels is not None and not file:
        refuse_unasked(options["threshold"], labels)
    options |= {"window": window, "overlap": overlap, "decoding": decoding, "label_calibration": label_calibration}
    options |= {"engine": engine, "context_tokens": context_tokens, "max_new_tokens": max_new_tokens}
    _refuse(options)
    questions = read_questions(sentences or [], file or [], form, labels)
    if out is None:
        _answer(model, questions, options, None, as_json=as_json)
        return
    with _opened(out, resume=resume) as stream:
        _answer(model, _unanswered(questions, out, stream), options, stream, as_json=True)


def _refuse(options: dict[str, Any]) -> None:
    """Raise ValueError for options that no model allows, before torch is loaded. Conflicts with the model's own
    decoding are found later, when its folder is read."""
    given = {name: options[name] for name in Options.model_fields if name in options}
    Options.of(**{**given, "decoding": options["decoding"] or "marks"})
    refuse_limits(options["context_tokens"], options["max_new_tokens"])


def _answer(
    model: str, questions: Iterator[Question], options: dict[str, Any], out: TextIO | None, *, as_json: bool
) -> None:
    """Ask, and append the answers to ``out``, or write them to standard output."""
    # Before an engine starts: most errors show up in the first question.
    first = next(questions, None)
    if first is None:
        print("nothing to do: no input, or --out already has all answers", file=sys.stderr)
        return
    questions = itertools.chain([first], questions)
    with stdout_to_stderr() as stdout:
        from actors.loading import load  # loads torch: wrong input is refused before that

        with load(model, **options) as extractor:
            pairs = _noting(_answered(questions, extractor.stream), options["threshold"])
            _show(pairs, out or stdout, lambda: extractor.windows, as_json=as_json)


def _answered(
    questions: Iterator[Question], stream: Callable[[Iterable[tuple[str, Labels]]], Iterator[Extraction]]
) -> Iterator[tuple[Question, Extraction]]:
    """Each question with its answer. Questions are read in another thread, whose error is raised among the answers: a
    row that cannot be read stops everything after it, with an error."""
    asked: deque[Question] = deque()

    def remembered() -> Iterator[tuple[str, Labels]]:
        for question in questions:
            asked.append(question)
            yield question.text, question.labels

    for found in stream(remembered()):
        yield asked.popleft(), found


def _noting(
    pairs: Iterator[tuple[Question, Extraction]], threshold: float | dict[str, float] | None
) -> Iterator[tuple[Question, Extraction]]:
    """The same pairs; after the last, report labels that have a threshold and that no text asks for."""
    idle = {label_key(label): label for label in threshold} if isinstance(threshold, dict) else {}
    for question, found in pairs:
        for label in question.labels:
            idle.pop(label_key(label), None)
        yield question, found
    if idle:
        print(f"note: --threshold names labels that no text asks for: {', '.join(idle.values())}", file=sys.stderr)


@contextmanager
def _opened(out: Path, *, resume: bool) -> Iterator[TextIO]:
    """``--out``, locked by this process until the end of the block; a new file that stays empty is removed. Raises
    ValueError for one that already has answers, or that another process is writing.

    Nothing in the block may open this file: closing it anywhere in this process releases the lock. Unlike one of
    ``flock`` it is not inherited by the processes of an engine, which may outlive this one.
    """
    new = not out.exists()
    if not new and not out.is_file():
        raise ValueError(f"{out} is not a file; without --out, answers go to standard output")
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a+", encoding="utf-8", errors="backslashreplace") as stream:
        with suppress(OSError):  # a file system without locks
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another process is writing to {out}: give another --out") from None
        if not out.exists() or not os.path.samestat(os.fstat(stream.fileno()), out.stat()):
            raise ValueError(f"{out} was removed by another process, which wrote nothing: try again")
        if not resume and _size(out):
            raise ValueError(f"{out} exists: --resume continues it, or give another --out")
        try:
            yield stream
        finally:
            if new and not _size(out):
                out.resolve().unlink(missing_ok=True)  # a link was there before


def _size(out: Path) -> int:
    return out.stat().st_size if out.exists() else 0


def _unanswered(questions: Iterator[Question], out: Path, stream: TextIO) -> Iterator[Question]:
    """The questions after those that ``--out`` answers; an incomplete last row is removed. Raises ValueError for rows
    that do not answer these questions."""
    file = stream.buffer
    file.seek(0)
    text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    for number, row in numbered_rows(whole.splitlines(), out):
        if why := _is_no_answer(row, next(questions, None)):
            raise ValueError(
                f"{out}, row {number}: {why}: --resume needs the same input and labels; else give another --out"
            )
    if len(whole) < len(text):
        file.truncate(len(whole))
    return questions


def _is_no_answer(row: Mapping[str, Any], question: Question | None) -> str:
    """Why a row of ``--out`` cannot be the answer to this question; empty if it can."""
    entities = row.get("entities") or []
    if not isinstance(entities, list) or not isinstance(row.get("sentence"), str):
        return "not an output of predict"
    if question is None:
        return f"the input has no row for it; it is about {row['sentence'][:60]!r}"
    if row["sentence"] != question.text:
        return f"it is about {row['sentence'][:60]!r}, but the input has {question.text[:60]!r} there"
    name = {"id": row["id"]} if "id" in row else {}
    if name != question.name:
        return f"its id is {name.get('id')!r}, but the input row has {question.name.get('id')!r}"
    asked = set(map(label_key, question.labels))
    found = (entity.get("label") for entity in entities if isinstance(entity, dict))
    other = next((label for label in found if label_key(str(label)) not in asked), None)
    return "" if other is None else f"it has the label {other!r}, which is not asked for"


def _show(
    pairs: Iterator[tuple[Question, Extraction]],
    stream: TextIO,
    windows: Callable[[], tuple[int, int]],
    *,
    as_json: bool,
) -> None:
    """Write each result as soon as it is there; progress and a summary go to stderr."""
    begin = time.monotonic()
    done = 0
    notes: Counter[str] = Counter()
    with progress_shown(lambda: done, windows):
        for question, found in pairs:
            stream.write(json_line({**question.name, **found.row()}) if as_json else _plain(found))
            stream.flush()
            done += 1
            notes.update(_notes(found))
    seconds = time.monotonic() - begin
    summary = "".join(f"; {count} {what}" for what, count in notes.items())
    print(f"{counted(done, 'text')} in {seconds:.1f} s{summary}", file=sys.stderr, flush=True)


def _notes(found: Extraction) -> dict[str, int]:
    """What the summary counts."""
    counts = {
        "cut at the token limit": int(not found.finished),
        "with an answer that cannot be parsed": int(found.error is not None),
        "read in windows": int(found.windows > 1),
        "blank, not sent to the model": int(found.windows == 0),
        "entities below the threshold": found.below_threshold,
        "entities that do not answer the question (left_out)": len(found.left_out),
    }
    return {what: count for what, count in counts.items() if count}


def _plain(found: Extraction) -> str:
    """The entities with their offsets, or why there are none."""
    lines = [_visible(found.sentence)]
    for entity in found.entities:
        sure = "    -" if entity.confidence is None else f"{entity.confidence:5.2f}"
        lines.append(f"  {f'[{entity.start}:{entity.end}]':<10} {sure}  {entity.label:<20} {_visible(entity.text)}")
    lines += [f"  left out: {_visible(entity.label)}: {_visible(entity.text)}" for entity in found.left_out]
    if found.error:
        lines.append(f"  no answer: {ERRORS[found.error]}")
    if found.reasoning is not None:
        lines.append(f"  reasoning: {_visible(found.reasoning)}")
    return "\n".join([*lines, "", ""])


def _visible(text: str) -> str:
    """The text with control characters escaped as ``\\x1b``, so that none reaches the terminal."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else f"\\x{ord(c):02x}" for c in text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
