"""The plan of a run; with --gpus, how to divide GPUs between engines and the learner.

python -m scripts.plan --config scripts/configs/gpu_cluster.toml                 # same as `train --dry-run`
python -m scripts.plan --config scripts/configs/gpu_cluster.toml --gpus h100:16  # every division, simulated
python -m scripts.plan --config mine.toml --gpus h100:16 --bench a.json --bench b.json

With --gpus, the real loop runs in virtual time over simulated workers, whose speed is taken from datasheets or, with
--bench, from measurements of `bench step --json`. Nothing is started.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.command_line import as_written, new_app, refuse_idle, run, settings_of, within
from scripts.startup import find_modules_here

app = new_app()


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__), context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def plan(
    context: typer.Context,
    config: Annotated[str | None, typer.Option(help="a TOML file; see scripts/configs")] = None,
    gpus: Annotated[str, typer.Option(help="NAME:NUMBER, such as h100:16")] = "",
    bench: Annotated[list[Path] | None, typer.Option(help="JSON of `bench step` on one such GPU")] = None,
    answer_tokens: Annotated[
        float | None, typer.Option(callback=within(1), help="average tokens of a completion")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the plan as JSON")] = False,
) -> int:
    """Print the plan; all other options are ``--section.key=value`` overrides."""
    if not gpus:
        refuse_idle(context, ("bench", "answer_tokens"), "without --gpus")
    find_modules_here()
    settings = settings_of(config, context.args)
    from scripts.plan_output import divide, show_plan  # loads Ray and torch, which --help does not need

    if gpus:
        divide(settings, gpus, bench or [], answer_tokens, as_json=as_json)
    else:
        show_plan(settings, resume=False, as_json=as_json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
