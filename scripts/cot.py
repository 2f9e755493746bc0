"""Generates reasoning chains for annotated or plain sentences with a teacher; keeps only those that pass the checks.

python -m scripts.cot generate train.jsonl --out cot.jsonl --gold --teacher openai:MODEL --base-url http://host:8000/v1
python -m scripts.cot validate cot.jsonl --out good.jsonl
python -m scripts.cot score cot.jsonl --out scored.jsonl --judge openai:MODEL --base-url http://host:8000/v1

A teacher is openai:MODEL (any OpenAI-compatible endpoint; set OPENAI_API_KEY), local:FOLDER (a model on this machine)
or template (offline: the annotation itself, written as a chain). Run the same command again to resume after a stop or
a kill: no response is paid for twice.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.teacher import TeacherSettings, open_teacher
from rnr.corpus.loading import load
from rnr.corpus.schemas import as_asked
from rnr.messages import few, plain_console
from rnr.runs.console import Console
from rnr.synthesis.client import RequestPolicy, TeacherClient
from rnr.synthesis.files import OutputFiles, write_outcomes, write_rows
from rnr.synthesis.generate import MAX_TEMPERATURE, Generator, Rules, Work, run_all
from rnr.synthesis.journal import Journal
from rnr.synthesis.report import cost_line, report, report_table
from rnr.synthesis.validate import check_rows, read_examples
from rnr.task.labels import label_key
from rnr.types import Example
from scripts.command_line import new_app, refuse_idle, run, within

app = new_app(__doc__)


def main(argv: list[str]) -> int:
    return run(app, argv, interrupted="stopped; the same command resumes it", lasts=argv[:1] != ["validate"])


_RULES, _POLICY, _TEACHER = Rules(), RequestPolicy(), TeacherSettings(who="template")

SHOWN_LABELS = 20
REQUESTS = ("concurrency", "deadline", "retries", "max_new_tokens", "price_in", "price_out")
"""Options that only apply to requests to a model."""

Files = Annotated[list[str], typer.Argument(help="sentences, in any format that training reads")]
RowFiles = Annotated[list[str], typer.Argument(help="JSONL files of NER-CoT rows")]
Out = Annotated[Path, typer.Option(help="OUT.jsonl; next to it: OUT.{rejected,journal}.jsonl, OUT.report.json")]
Threshold = Annotated[float, typer.Option(callback=within(0, 10), help="minimum score, 0 to 10, that passes")]
BaseUrl = Annotated[
    str | None, typer.Option(help="URL of the endpoint, such as http://host:8000/v1; default: OpenAI's API")
]
JudgeBaseUrl = Annotated[str | None, typer.Option(help="URL of the judge's endpoint, if it is a different one")]
Concurrency = Annotated[int, typer.Option(callback=within(1), help="number of concurrent requests")]
Deadline = Annotated[float, typer.Option(callback=within(1), help="deadline of a request, in seconds")]
Retries = Annotated[int, typer.Option(callback=within(0), help="retries of a failed request")]
MaxNewTokens = Annotated[int, typer.Option(callback=within(1), help="token limit of a completion")]
ContextTokens = Annotated[int, typer.Option(callback=within(1), help="context length of a local model")]
PriceIn = Annotated[float, typer.Option(callback=within(0), help="price per million prompt tokens")]
PriceOut = Annotated[float, typer.Option(callback=within(0), help="price per million completion tokens")]


@app.command()
def generate(
    context: typer.Context,
    files: Files,
    out: Out,
    teacher: Annotated[str, typer.Option(help="openai:MODEL, local:FOLDER or template")] = "template",
    judge: Annotated[str, typer.Option(help="model that scores, or none; default: the teacher (template: none)")] = "",
    gold: Annotated[bool, typer.Option("--gold", help="explain the annotation instead of annotating")] = False,
    attempts: Annotated[int, typer.Option(callback=within(0), help="retries of a rejected draft")] = _RULES.attempts,
    temperature: Annotated[
        float,
        typer.Option(callback=within(0, MAX_TEMPERATURE), help="temperature of the first draft; +0.2 for each retry"),
    ] = _RULES.temperature,
    limit: Annotated[int | None, typer.Option(callback=within(1), help="use only the first LIMIT sentences")] = None,
    threshold: Threshold = _RULES.threshold,
    base_url: BaseUrl = None,
    judge_base_url: JudgeBaseUrl = None,
    concurrency: Concurrency = _POLICY.concurrency,
    deadline: Deadline = _POLICY.deadline_seconds,
    retries: Retries = _POLICY.retries,
    max_new_tokens: MaxNewTokens = _TEACHER.max_new_tokens,
    context_tokens: ContextTokens = _TEACHER.context_tokens,
    price_in: PriceIn = 0.0,
    price_out: PriceOut = 0.0,
) -> int:
    """Generate chains for sentences, check and judge them. The exit code is 0 if at least one row was written."""
    _output(out, files)
    is_template = teacher == "template"
    judge = judge or ("none" if is_template else teacher)
    if judge == "template":
        raise ValueError("--judge template cannot score: use openai:MODEL, local:FOLDER or none")
    _refuse_unasked(context, [teacher, judge])
    gold = gold or is_template
    loaded = load(files, training=True, annotated=False)[:limit]
    examples = as_asked(loaded, catch_alls=True)
    _say_labels(loaded)
    if gold and not any(example.mentions for example in examples):
        raise ValueError(
            f"no sentence of {', '.join(files)} has entities to explain: "
            "omit --gold and choose a --teacher that annotates"
        )
    endpoints = [(teacher, base_url)]
    if judge != "none" and (judge, judge_base_url or base_url) != endpoints[0]:
        endpoints.append((judge, judge_base_url or base_url))
    attempts = 0 if is_template else attempts  # the template always writes the same chain
    rules = Rules(gold=gold, threshold=threshold, attempts=attempts, temperature=temperature)
    work = _synthesize(Generator.generate, examples, rules, context.params, endpoints=endpoints, judged=judge != "none")
    return asyncio.run(work)


@app.command()
def score(
    context: typer.Context,
    files: RowFiles,
    out: Out,
    judge: Annotated[str, typer.Option(help="openai:MODEL or local:FOLDER")],
    threshold: Threshold = _RULES.threshold,
    base_url: BaseUrl = None,
    concurrency: Concurrency = _POLICY.concurrency,
    deadline: Deadline = _POLICY.deadline_seconds,
    retries: Retries = _POLICY.retries,
    max_new_tokens: MaxNewTokens = _TEACHER.max_new_tokens,
    context_tokens: ContextTokens = _TEACHER.context_tokens,
    price_in: PriceIn = 0.0,
    price_out: PriceOut = 0.0,
) -> int:
    """Judge the rows of a NER-CoT file. The exit code is 0 if at least one passed."""
    if judge in ("template", "none"):
        raise ValueError(f"--judge {judge} cannot score: use openai:MODEL or local:FOLDER")
    _output(out, files)
    _refuse_unasked(context, [judge])
    endpoints = [(judge, base_url)]
    examples, rules = read_examples(files), Rules(threshold=threshold)
    work = _synthesize(Generator.judge_row, examples, rules, context.params, endpoints=endpoints, judged=True)
    return asyncio.run(work)


@app.command()
def validate(
    files: RowFiles,
    out: Annotated[
        Path | None, typer.Option(help="OUT.jsonl for the good rows; next to it: OUT.rejected.jsonl")
    ] = None,
) -> int:
    """Check NER-CoT rows, list every bad one and count them by cause. The exit code is 1 if there are any."""
    output = _output(out, files) if out else None
    console, rows = Console(), []
    for row in check_rows(files):
        rows.append(row)
        if row.rejection is not None:
            console.say(f"{row.place}: {row.rejection.cause}: {row.rejection.detail}")
    plain_console().print(report_table(report([row.outcome for row in rows])))
    bad = [row.as_rejected for row in rows if row.rejection is not None]
    if output is not None:
        write_rows(output.rejected, bad)
        write_rows(output.rows, (row.row for row in rows if row.rejection is None))
        console.say(f"rows {output.rows}  rejects {output.rejected}")
    return 1 if bad else 0


def _refuse_unasked(context: typer.Context, asked: Sequence[str]) -> None:
    """Raise ValueError for options that neither the teacher nor the judge uses, with their names."""
    kinds = {who.partition(":")[0] for who in asked}
    if "openai" not in kinds:
        refuse_idle(context, ("base_url", "judge_base_url"), "without openai:MODEL")
    if "local" not in kinds:
        refuse_idle(context, ["context_tokens"], "without local:FOLDER")
    if not kinds & {"openai", "local"}:
        refuse_idle(context, REQUESTS, "with the template alone, which needs no model")
    if asked[0] == "template":
        refuse_idle(context, ("attempts", "temperature"), "with the template, which always writes the same chain")
    if asked[-1] == "none":
        refuse_idle(context, ("threshold", "judge_base_url"), "without a --judge")


def _say_labels(examples: Sequence[Example]) -> None:
    """Print the labels whose spelling differs from the data: rows spell labels as prompts do."""
    written = sorted({label for example in examples for label in example.schema if label_key(label) != label})
    if written:
        listed = few([f"{label} -> {label_key(label)}" for label in written], SHOWN_LABELS)
        print(f"data: labels are spelled as in prompts: {listed}")


def _output(out: Path, inputs: Sequence[str]) -> OutputFiles:
    output = OutputFiles(out)
    output.check_apart_from(inputs)
    return output


async def _synthesize(
    work: Work,
    examples: Sequence[Example],
    rules: Rules,
    options: Mapping[str, Any],
    *,
    endpoints: Sequence[tuple[str, str | None]],
    judged: bool,
) -> int:
    """Open the endpoints (teacher first, judge last), run the examples and print the report; returns the exit code."""
    output, console = OutputFiles(options["out"]), Console()
    policy = RequestPolicy(
        concurrency=options["concurrency"], deadline_seconds=options["deadline"], retries=options["retries"]
    )
    limits = {key: options[key] for key in ("max_new_tokens", "context_tokens", "concurrency")}
    async with AsyncExitStack() as stack:
        # Opened first, because it refuses an --out that is in use before a slow engine is started.
        journal = stack.enter_context(closing(Journal(output.journal)))
        settings = (TeacherSettings(who=who, base_url=base_url, **limits) for who, base_url in endpoints)
        teachers = [await stack.enter_async_context(open_teacher(one)) for one in settings]
        clients = [TeacherClient(teacher, journal, policy) for teacher in teachers]
        generator = Generator(clients[0], clients[-1] if judged else None, rules)
        outcomes = await run_all(examples, partial(work, generator), clients=clients, console=console)
        prices = {key: options[key] for key in ("price_in", "price_out")}
        numbers = write_outcomes(output, outcomes, clients=clients, **prices)
    plain_console().print(report_table(numbers))
    console.say(cost_line(numbers))
    console.say(f"rows {output.rows}  rejects {output.rejected}  report {output.report}")
    return 0 if numbers["kept"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
