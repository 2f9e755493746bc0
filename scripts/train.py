"""Train: SFT warm start -> GRPO -> evaluation -> export.

python -m scripts.train --config scripts/configs/demo.toml [--resume] [--dry-run] [--debug] [--section.key=value ...]

A key of docs/configuration.md is set in the TOML file or here, as --grpo.steps=4; a list is --data.train="['a.jsonl']".
Without --config and keys it trains the default config on the demo data, about 45 minutes on two CPU cores.
"""

import asyncio
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnr.cli import load_config
from rnr.config import Config
from rnr.runs.commands import as_called
from rnr.runs.console import Console
from rnr.runs.log_handler import log_to
from rnr.runs.run_folder import check_run, is_finished, resumable, run_folder
from rnr.runs.status import StatusFile
from scripts.command_line import as_written, new_app, run, settings_of
from scripts.debugging import smallest
from scripts.report import write_page
from scripts.startup import end_on_interrupt, find_modules_here, leave, raise_on_interrupt

if TYPE_CHECKING:
    from cluster.run import ValidatedRun

app = new_app()

BARE = (
    "no --config and no key given: this trains the default config on the demo data, about 45 minutes on two cores; "
    "Ctrl-C stops it, --dry-run prints its plan, other configs are in scripts/configs"
)


def main(argv: list[str]) -> int:
    return run(app, argv, interrupted="stopped; resume with --resume", lasts="--dry-run" not in argv)


@app.command(help=as_written(__doc__), context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    config: Annotated[str | None, typer.Option(help="a TOML file; see scripts/configs")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="resume from the run folder's last checkpoint")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="run every stage once, as small as possible, in this process")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan, check resources, start nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with --dry-run: plan and config as JSON")] = False,
) -> int:
    """Train as the config says; all other options are ``--section.key=value`` overrides."""
    if as_json and not dry_run:
        raise ValueError("--json needs --dry-run")
    find_modules_here()
    settings = settings_of(config, context.args)
    if debug:
        settings = load_config(config, [*context.args, *smallest(settings)])
    if dry_run:
        from scripts.plan_output import show_plan

        show_plan(settings, resume=resume, as_json=as_json)
        return 0
    options = [*(["--config", config] if config else []), *(["--debug"] if debug else [])]
    console = Console()
    log_to(console.say)
    tree = settings.model_dump(mode="json")
    check_run(settings.run, tree, resume=resume)
    folder, there = run_folder(settings.run), resume and resumable(settings.run)
    if there and is_finished(settings.run, tree):
        console.say(f"run {settings.run.name}: already done, nothing to resume; its export is {folder / 'export'}")
        return 0
    how = "resuming" if there else "nothing to resume, starting" if resume else "starting"
    console.say(f"run {settings.run.name}: {how} in {folder}")
    if not (config or context.args or debug or there):
        console.say(BARE)
    status = StatusFile([*as_called("python -m scripts.train").split(), *options, *context.args])
    from cluster.graceful_stop import EXIT_CODE, stop_before_the_run
    from rnr.faults import Stopped

    with stop_before_the_run():
        try:
            return _check_and_train(settings, status, console, resume=there)
        except Stopped as stopped:
            print(f"{stopped}; resume with --resume", file=sys.stderr)
            return EXIT_CODE


def _check_and_train(settings: Config, status: StatusFile, console: Console, *, resume: bool) -> int:
    """Check the inputs and train; the exit code."""
    end_on_interrupt()
    with status.starting("libraries"):
        from cluster.run import validate_run
        from cluster.shutdown import ray_ended
    raise_on_interrupt()
    with ray_ended(status):
        ready = validate_run(settings, resume=resume, status=status)
        try:
            return _train(ready, console)
        finally:
            write_page(ready.folder)


def _train(ready: "ValidatedRun", console: Console) -> int:
    """Train a run whose inputs are checked; the exit code."""
    from cluster.run import run as run_training
    from rnr.faults import Stopped

    try:
        with ready.status.until_the_end():
            asyncio.run(run_training(ready, console))
    except Stopped:
        raise
    except Exception as error:
        _report(error, ready.folder)
        return 1
    return 0


def _report(error: Exception, folder: Path) -> None:
    """Say why the run in ``folder`` has failed; a bug with its traceback, which its fix needs."""
    from rnr.faults import causes

    found = causes(error)
    known = [_known(cause, folder) for cause in found]
    print(f"error: {known[0] or f'{type(found[0]).__name__}: {found[0]}'}", file=sys.stderr)
    if not all(known):
        traceback.print_exception(error)


def _known(cause: BaseException, folder: Path) -> str:
    """The message of a failure that is no bug; wrong input has been refused before the run."""
    from cluster.disk import failed_disk
    from cluster.manifest import CheckpointCorrupt

    if isinstance(cause, CheckpointCorrupt | RuntimeError):
        return f"{type(cause).__name__}: {cause}"
    return failed_disk(folder, cause)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
