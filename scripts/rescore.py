"""Re-score all saved rollouts of a run with another reward, and show what it would change.

python -m scripts.rescore runs/demo --reward mymodule:my_reward
python -m scripts.rescore runs/demo --reward weighted --weights "{entity_f1 = 0.5, overlap = 0.5}"

Everything else is as in the run: weights that are not given, overlong_tokens, and the scorers, which are called again.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from rewards.checking import check
from rewards.composite import WEIGHED
from rewards.rescoring import Change, rescore_rollouts
from rnr.config import RewardConfig
from rnr.files.jsonl import json_line
from rnr.files.whole import write_whole
from rnr.messages import plain_console
from rnr.runs.run_folder import saved_config
from rnr.runs.saved_rollouts import SavedGroup, saved_groups
from rnr.validation import validated
from scripts.command_line import as_written, new_app, refuse_idle, run, table_option, within
from scripts.startup import find_modules_here, leave

app = new_app()


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def rescore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder; the run may be active")],
    reward: Annotated[str, typer.Option(help="a preset, or your own module:function")],
    weights: Annotated[str, typer.Option(help="weights of the reward's parts, as in the config")] = "",
    out: Annotated[Path | None, typer.Option(help="a JSONL file for the new rewards")] = None,
    show: Annotated[int, typer.Option(help="number of groups to show, the most changed first", callback=within(0))] = 3,
) -> None:
    """Score, compare, print."""
    if reward not in WEIGHED:
        refuse_idle(context, ["weights"], f"with a reward other than {' and '.join(WEIGHED)}")
    find_modules_here()
    config = saved_config(folder)
    given = {"weights": table_option(weights, "--weights")} if weights else {}
    options = validated(RewardConfig, config["reward"] | {"preset": reward} | given, "reward")
    check(options)
    if out is not None and out.exists():
        raise ValueError(f"{out} exists: give another --out")
    change = Change()
    changed: list[tuple[float, SavedGroup, list[float | None]]] = []
    lines = []
    for saved in saved_groups(folder):
        scored = rescore_rollouts(saved.group, options, max_new_tokens=config["sampling"]["max_new_tokens"])
        now = [each.total for each in scored.rewards]
        changed.append((change.add(saved.rewards, scored.rewards), saved, now))
        changed = sorted(changed, key=lambda row: -row[0])[:show]
        if out is not None:
            uid = saved.group.prompt.uid
            rows = zip(saved.rewards, scored.rewards, strict=True)
            lines += [
                json_line({"step": saved.step, "uid": uid, "rollout": number, "before": old, "after": new.total})
                for number, (old, new) in enumerate(rows)
            ]
    if out is not None:
        write_whole(out, "".join(lines))
    _print(change, changed, str(config["reward"]["preset"]), options)


def _print(
    change: Change, changed: list[tuple[float, SavedGroup, list[float | None]]], before: str, options: RewardConfig
) -> None:
    after = f"now ({options.preset})"
    table = Table(f"{change.rollouts} rollouts of {change.groups} groups", f"saved ({before})", after)
    table.add_row("mean reward", _mean(change.before), _mean(change.after))
    table.add_row("invalid", str(change.invalid_before), str(change.invalid_after))
    table.add_row("groups with a signal (spread)", str(change.taught_before), str(change.taught_after))
    out = plain_console(highlight=False, soft_wrap=True)
    out.print(table)
    for scorer in options.scorers:
        how = "skipped, as it needs a GPU" if scorer.gpus else "called again"
        out.print(f"scorer {scorer.called}: {how}")
    for cause, count in change.causes.items():
        out.print(f"invalid now: {count} x {cause}")
    share = 100 * change.turned / change.pairs if change.pairs else 0.0
    out.print(f"order within groups: {change.turned} of {change.pairs} pairs change ({share:.1f} %)")
    for turned, saved, now in changed:
        if not turned:
            continue
        prompt = saved.group.prompt
        out.print(f"\nstep {saved.step}, {prompt.uid}: {prompt.example.sentence}")
        for old, new, row in sorted(zip(saved.rewards, now, saved.rows, strict=True), key=lambda each: -(each[1] or 0)):
            text = " ".join(row["text"].split())
            out.print(f"  {_one(old)} -> {_one(new)}  {text[-110:]}")


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.4f}" if values else "none"


def _one(value: float | None) -> str:
    return "invalid" if value is None else f"{value:7.3f}"


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
