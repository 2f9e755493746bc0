"""Reasoning chains for annotated or plain sentences, from a teacher, and only those that pass.

python -m scripts.cot generate train.jsonl --out cot.jsonl --gold --teacher openai:MODEL --base-url http://host:8000/v1
python -m scripts.cot validate cot.jsonl --out good.jsonl
python -m scripts.cot score cot.jsonl --out scored.jsonl --judge openai:MODEL --base-url http://host:8000/v1

`validate` lists every bad row, and with --out writes them, each with its cause, beside the good ones.

A teacher is openai:MODEL (any OpenAI-compatible endpoint; the key is OPENAI_API_KEY), local:FOLDER (a model on this
machine) or template (offline: the annotation itself, written as a chain). A run that was stopped or killed is
gone on with by the same command: nothing is paid for twice.
"""

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console as RichConsole

from actors.teacher import TeacherSettings, open_teacher
from rnr.corpus.formats.reading import read_rows
from rnr.corpus.formats.rows import DataError
from rnr.corpus.loading import load
from rnr.runs.console import Console
from rnr.synthesis.annotate import HOTTEST, Annotator, Files, Rules, run, write_outcomes, write_rows
from rnr.synthesis.asking import Outcome, Rejection, Row
from rnr.synthesis.calls import Line, Patience
from rnr.synthesis.checking import check
from rnr.synthesis.journal import Journal
from rnr.synthesis.report import report, report_table
from rnr.synthesis.rows import read_row, row_answer, to_row
from rnr.types import Example


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    try:
        if options.command == "validate":
            return validate(options)
        return asyncio.run(annotate(options))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    generate = commands.add_parser("generate", help="write chains for sentences, check them, have them judged")
    validate = commands.add_parser("validate", help="check NER-CoT rows; exit status 1 if one of them is bad")
    score = commands.add_parser("score", help="have the rows of a NER-CoT file judged")
    generate.add_argument("files", nargs="+", help="sentences, in any form that training reads")
    generate.add_argument("--teacher", default="template", help="openai:MODEL, local:FOLDER or template (the default)")
    generate.add_argument("--judge", help="who scores, as --teacher, or none; by default the teacher (template: none)")
    generate.add_argument("--gold", action="store_true", help="have the annotation explained instead of made anew")
    generate.add_argument(
        "--attempts", type=_whole(0), default=3, help="how often a rejected sentence is written anew; 0: never"
    )
    generate.add_argument(
        "--temperature", type=_number(0, HOTTEST), default=0.6, help="of the first draft; each new one 0.2 higher"
    )
    generate.add_argument("--limit", type=_whole(1), help="only the first LIMIT sentences")
    validate.add_argument("files", nargs="+", help="JSONL files of NER-CoT rows")
    validate.add_argument("--out", help="OUT.jsonl for the good rows; beside it: OUT.rejected.jsonl")
    score.add_argument("files", nargs="+", help="JSONL files of NER-CoT rows")
    score.add_argument("--judge", required=True, help="openai:MODEL or local:FOLDER")
    for command in (generate, score):
        command.add_argument(
            "--out", required=True, help="OUT.jsonl; beside it: OUT.{rejected,journal}.jsonl, OUT.report.json"
        )
        command.add_argument(
            "--threshold", type=_number(0, 10), default=9.0, help="the lowest score, of 0 to 10, that passes"
        )
        command.add_argument("--base-url", help="of the endpoint, such as http://host:8000/v1; by default OpenAI's own")
        command.add_argument("--judge-base-url", help="of the judge's endpoint, where it is another one")
        command.add_argument("--concurrency", type=_whole(1), default=8, help="requests at a time")
        command.add_argument("--deadline", type=_number(1), default=300.0, help="seconds a request may take")
        command.add_argument(
            "--retries", type=_whole(0), default=5, help="how often a request that came to nothing is repeated"
        )
        command.add_argument("--max-new-tokens", type=_whole(1), default=2048)
        command.add_argument("--context-tokens", type=_whole(1), default=4096, help="of a local model")
        command.add_argument("--price-in", type=_number(0), default=0.0, help="per million prompt tokens")
        command.add_argument("--price-out", type=_number(0), default=0.0, help="per million completion tokens")
    return parser


def _whole(least: int) -> Callable[[str], int]:
    """Reads an option that is a whole number, at least this."""

    def read(text: str) -> int:
        if not text.removeprefix("-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number, at least {least}; found {text!r}")
        return int(text)

    return read


def _number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """Reads an option that is a finite number in this range."""
    wanted = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and least <= value <= most):
            raise argparse.ArgumentTypeError(f"must be a number {wanted}; found {text!r}")
        return value

    return read


async def annotate(options: argparse.Namespace) -> int:
    """Generate or score; 0 when at least one row was written."""
    files = _files(options)
    generating = options.command == "generate"
    examples = _sentences(options) if generating else list(_scorable(options.files))
    teacher = options.teacher if generating else options.judge
    judge = options.judge or ("none" if teacher == "template" else teacher)
    if judge == "template" or (judge == "none" and not generating):
        raise ValueError(f"--judge {judge} cannot score: give openai:MODEL or local:FOLDER")
    patience = Patience(concurrency=options.concurrency, deadline_seconds=options.deadline, retries=options.retries)
    async with AsyncExitStack() as stack:
        journal = Journal(files.journal)
        stack.callback(journal.close)
        lines: list[Line] = []
        for who, base_url in _voices(options, teacher, judge):
            settings = TeacherSettings(
                who=who,
                base_url=base_url,
                max_new_tokens=options.max_new_tokens,
                context_tokens=options.context_tokens,
                concurrency=options.concurrency,
            )
            lines.append(Line(await stack.enter_async_context(open_teacher(settings)), journal, patience))
        rules = _rules(options) if generating else Rules(threshold=options.threshold)
        annotator = Annotator(lines[0], None if judge == "none" else lines[-1], rules)
        work = annotator.annotate if generating else annotator.judge_row
        outcomes = await run(examples, work, lines=lines, console=Console())
        numbers = write_outcomes(files, outcomes, lines=lines, price_in=options.price_in, price_out=options.price_out)
    _show(numbers, files)
    return 0 if numbers["kept"] else 1


def _files(options: argparse.Namespace) -> Files:
    """Where the results go; raises ValueError if one of these files is read as well."""
    files = Files(Path(options.out))
    read = {Path(file).resolve() for file in options.files}
    for written in (files.rows, files.rejected, files.report, files.journal):
        if written.resolve() in read:
            raise ValueError(f"{written} is also read, and --out {options.out} would write over it; give another --out")
    return files


def _rules(options: argparse.Namespace) -> Rules:
    template = options.teacher == "template"
    return Rules(
        gold=options.gold or template,
        threshold=options.threshold,
        attempts=0 if template else options.attempts,  # it would write the same again
        temperature=options.temperature,
    )


def _voices(options: argparse.Namespace, teacher: str, judge: str) -> list[tuple[str, str | None]]:
    """Who is spoken to, and where: the teacher, and the judge if that is another."""
    judge_url = options.judge_base_url or options.base_url
    if options.command == "score":
        return [(judge, judge_url)]
    voices = [(teacher, options.base_url), (judge, judge_url)]
    return voices[:1] if judge == "none" or voices[0] == voices[1] else voices


def _sentences(options: argparse.Namespace) -> list[Example]:
    examples = load(options.files, training=True, annotated=False)[: options.limit]
    if (options.gold or options.teacher == "template") and not any(example.mentions for example in examples):
        raise ValueError(
            f"no sentence of {', '.join(options.files)} has entities to explain: "
            "leave --gold out and give a --teacher that annotates"
        )
    return examples


def _read(files: list[str]) -> Iterator[tuple[str, Any, Example | Rejection]]:
    """Place, row, and the example in it or why there is none."""
    for file in files:
        for number, row in read_rows(Path(file)):
            found: Example | Rejection
            try:
                if isinstance(row, DataError):
                    raise row
                found = read_row(row, f"{Path(file).stem}:{number}")
            except ValueError as error:
                found = Rejection(cause="not_a_row", detail=str(error))
            yield f"{file}, row {number}", row, found


def _scorable(files: list[str]) -> Iterator[Example]:
    for place, _, found in _read(files):
        if isinstance(found, Rejection):
            raise DataError(f"{place}: {found.detail}; sort such rows out with `validate --out`")
        yield found


def validate(options: argparse.Namespace) -> int:
    """Check rows, list every bad one and count them by cause; 1 if there was any."""
    files = _files(options) if options.out else None
    outcomes: list[Outcome] = []
    good: list[Row] = []
    bad: list[Row] = []
    for place, row, found in _read(options.files):
        example = Example(uid=place, sentence="", schema=(), mentions=()) if isinstance(found, Rejection) else found
        rejection = found if isinstance(found, Rejection) else check(found, row_answer(found))
        if rejection is None:
            good.append(row)
            outcomes.append(Outcome(example=example, answer=row_answer(example)))
            continue
        Console().say(f"{place}: {rejection.cause}: {rejection.detail}")
        text = "" if isinstance(row, DataError) else json.dumps(row, ensure_ascii=False)
        outcomes.append(Outcome(example=example, answer=None, rejections=(replace(rejection, text=text),)))
        bad.append({"place": place, **to_row(outcomes[-1])})
    if not outcomes:
        raise DataError(f"no row in {', '.join(options.files)}")
    RichConsole().print(report_table(report(outcomes)))
    if files is not None:
        write_rows(files.rejected, bad)
        write_rows(files.rows, good)
        Console().say(f"rows {files.rows}  rejects {files.rejected}")
    return 1 if bad else 0


def _show(numbers: dict[str, Any], files: Files) -> None:
    RichConsole().print(report_table(numbers))
    tokens = "; ".join(
        f"{stage} {spent['requests']} answers, {spent['prompt']} + {spent['completion']} tokens"
        for stage, spent in numbers["tokens"].items()
    )
    console = Console()
    console.say(f"paid for: {tokens}; cost {numbers['cost']:g}")
    console.say(f"rows {files.rows}  rejects {files.rejected}  report {files.report}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
