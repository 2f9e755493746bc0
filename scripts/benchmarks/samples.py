"""F1 from several samples per sentence: a single sample, votes at each threshold, the medoid, and the best sample.

python -m scripts.benchmarks.samples --model runs/demo/export --data demo/known demo/unseen \\
    --decoding free --decoding marks

Choose the threshold on held-in data, then use it on other data (``rnr evaluate --samples 8 --threshold SHARE``). The
best sample of a sentence is chosen by its gold mentions: this oracle is the score that GRPO can approach.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

import typer
from rich.table import Table

from actors.chat_format import asks_catch_alls, trained_decoding
from actors.engine import Sampling
from actors.event_loop import result_of
from actors.extractor import Extractor
from rnr.config import EvaluationConfig
from rnr.corpus.drawing import draw_from_each
from rnr.corpus.loading import load
from rnr.corpus.schemas import as_asked
from rnr.evaluation.metrics import average
from rnr.evaluation.predictions import Prediction
from rnr.evaluation.scoring import PROTOCOLS, Report, f1_of, report
from rnr.evaluation.tables import with_interval
from rnr.messages import plain_console
from rnr.task.aggregation import Chosen, aggregate, apply_threshold
from rnr.task.chains import grounded
from rnr.task.decoding import refuse_undecodable
from rnr.task.parsing import parse
from rnr.types import Decoding, Example, Prompt, Rollout
from scripts.command_line import among, as_written, new_app, repeated, run, within
from scripts.evaluate import DECODINGS

app = new_app()

SHOWN = ("reference", "exact", "strict")
"""The protocols shown in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The prompt of a sentence, its greedy answer and its samples."""

    prompt: Prompt
    greedy: Rollout
    samples: tuple[Rollout, ...]


Way: TypeAlias = Callable[[Answered], Chosen]
"""Makes one answer from them."""


def main(argv: list[str]) -> int:
    return run(app, repeated(argv, "--data"))


@app.command(help=as_written(__doc__))
def samples(
    model: Annotated[str, typer.Option(help="a Hugging Face folder, such as a run's export")],
    data: Annotated[list[str], typer.Option(help="files, folders, patterns or demo/NAME, one or more")],
    decoding: Annotated[list[str] | None, typer.Option(callback=among(DECODINGS), help="default: as trained")] = None,
    examples: Annotated[
        int, typer.Option(callback=within(0), help="maximum number of sentences per data set; 0: all")
    ] = 0,
    count: Annotated[int, typer.Option("--samples", callback=within(2), help="samples per sentence")] = 8,
    temperature: Annotated[float, typer.Option(callback=within(0.01))] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(callback=within(1))] = EvaluationConfig().max_new_tokens,
) -> None:
    """Sample answers and print one table: F1 in per cent, averaged over the data sets."""
    from actors.loading import load as load_model

    asked = draw_from_each(as_asked(load(data, training=False), catch_alls=asks_catch_alls(model)), examples)
    wanted: list[Decoding] = [name for name in DECODINGS if name in (decoding or (trained_decoding(model),))]
    for name in wanted:
        refuse_undecodable(asked, name)
    sampling = Sampling(count=count, temperature=temperature, max_new_tokens=max_new_tokens, decisions=False)
    table = Table("decoding", "answer", *SHOWN, "tokens", title="F1 in per cent, with 95 % bootstrap intervals")
    with load_model(model, decoding=wanted[0]) as extractor:
        for name in wanted:
            start = time.monotonic()
            answered = _answered(extractor, asked, name, sampling)
            print(f"{name}: {len(asked)} sentences in {time.monotonic() - start:.0f} s", file=sys.stderr)
            for title, *cells in rows(answered):
                table.add_row(name, title, *cells)
            table.add_section()
    plain_console(width=None if sys.stdout.isatty() else 120).print(table)


def _answered(extractor: Extractor, asked: Sequence[Example], decoding: Decoding, sampling: Sampling) -> list[Answered]:
    greedy = replace(sampling, count=1, temperature=0.0)

    async def answer(prompt: Prompt) -> Answered:
        one, several = await asyncio.gather(*(extractor.worker.generate(prompt, how) for how in (greedy, sampling)))
        return Answered(prompt=prompt, greedy=one.rollouts[0], samples=several.rollouts)

    async def together() -> list[Answered]:
        prompts = (replace(extractor.chat.prompt(example), decoding=decoding) for example in asked)
        return await asyncio.gather(*map(answer, prompts))

    return result_of(extractor.loop.submit(together()))


def rows(answered: Sequence[Answered]) -> Iterator[tuple[str, ...]]:
    """The cells of each row: how the answer is made, F1 by protocol, tokens per sentence."""
    count = len(answered[0].samples)
    yield _row("greedy", report(_made(answered, _greedy)))
    single = [_made(answered, lambda one, number=number: _sample(one, number)) for number in range(count)]
    means = (f"{average([f1_of(each, protocol) for each in single]):.2f}" for protocol in SHOWN)
    tokens = average([prediction.tokens for each in single for prediction in each.values()])
    yield "one sample", *means, f"{tokens:.1f}"
    for needed in range(1, count + 1):
        share = needed / count
        yield _row(f"vote, share {share:g}", report(_made(answered, lambda one, share=share: _vote(one, share))))
    yield _row("medoid", report(_made(answered, _medoid)))
    yield _row(f"best of {count} (oracle)", report(_made(answered, _best)))


def _row(title: str, found: Report) -> tuple[str, ...]:
    cells = (with_interval(found.averages[protocol], "f1") for protocol in SHOWN)
    return title, *cells, f"{found.answers.tokens:.1f}"


def _made(answered: Sequence[Answered], way: Way) -> dict[str, Prediction]:
    return {one.prompt.example.uid: _prediction(one.prompt.example, way(one)) for one in answered}


def _prediction(example: Example, found: Chosen) -> Prediction:
    answer = grounded(parse(found.text), example.sentence)
    return Prediction(example=example, text=found.text, answer=answer, finished=found.finished, tokens=found.tokens)


def _greedy(one: Answered) -> Chosen:
    return aggregate("greedy", one.prompt.example, one.prompt.decoding, one.greedy)


def _sample(one: Answered, number: int) -> Chosen:
    return aggregate("greedy", one.prompt.example, one.prompt.decoding, one.samples[number])


def _vote(one: Answered, share: float) -> Chosen:
    found = aggregate("vote", one.prompt.example, one.prompt.decoding, None, one.samples)
    return apply_threshold(found, one.prompt.example, one.prompt.decoding, share)


def _medoid(one: Answered) -> Chosen:
    return aggregate("medoid", one.prompt.example, one.prompt.decoding, None, one.samples)


def _best(one: Answered) -> Chosen:
    """The first sample with the highest F1 by the ``reference`` protocol, with the token count of all samples."""
    made = [_sample(one, number) for number in range(len(one.samples))]
    scores = [PROTOCOLS["reference"](_prediction(one.prompt.example, each)).sentence_f1 for each in made]
    return replace(made[scores.index(max(scores))], tokens=sum(each.tokens for each in made))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
