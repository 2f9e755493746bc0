"""Re-score one saved group in this process: its prompt, its answers, and their rewards under the run's config.

python -m scripts.replay runs/demo --step 3 --uid train/train:17 [--rollout 2] [--breakpoint]
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from rewards.rescoring import rescore_rollouts
from rnr.config import RewardConfig
from rnr.evaluation.error_types import outcomes
from rnr.messages import plain_console
from rnr.model_folder import resolve
from rnr.runs.run_folder import saved_config
from rnr.runs.saved_rollouts import SavedGroup, find_group
from rnr.types import Answer, Example, Group, Reward, ScoredGroup
from rnr.validation import validated
from scripts.command_line import as_written, new_app, run
from scripts.startup import find_modules_here, leave

app = new_app()
SAME = 1e-6
"""Rewards that differ by less count as equal."""


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def replay(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder; the run may be active")],
    step: Annotated[int, typer.Option(help="the GRPO step, from 0, as in rollouts.jsonl")],
    uid: Annotated[str, typer.Option(help="uid of the prompt, as in rollouts.jsonl")],
    rollout: Annotated[int | None, typer.Option(help="show only this rollout of the group, from 0")] = None,
    stop: Annotated[bool, typer.Option("--breakpoint", help="stop in the debugger before the reward")] = False,
    prompt: Annotated[bool, typer.Option(help="show the prompt; loads the model's tokenizer")] = True,
) -> int:
    """Print saved and new rewards side by side; exit code 1 if any differs."""
    find_modules_here()
    config = saved_config(folder)
    saved = find_group(folder, step, uid)
    options = validated(RewardConfig, config["reward"], "reward")
    out = plain_console(highlight=False, soft_wrap=True)
    example = saved.group.prompt.example
    out.print(f"sentence: {example.sentence}\nschema: {', '.join(example.schema)}")
    out.print("gold: " + "; ".join(f"{each.text} [{each.label}]" for each in example.mentions))
    if prompt:
        out.print(f"\nprompt:\n{_prompt_text(config, example)}")
    for scorer in options.scorers:
        if scorer.gpus:
            out.print(f"skipped: scorer {scorer.called} needs a GPU")
    scored = _scored(saved.group, options, config["sampling"]["max_new_tokens"], stop)
    numbers = range(len(scored.rewards)) if rollout is None else [rollout]
    if rollout is not None and not 0 <= rollout < len(scored.rewards):
        raise ValueError(f"--rollout {rollout}: the group has {len(scored.rewards)} rollouts, numbered from 0")
    differ = [_show(out, saved, number, scored.answers[number], scored.rewards[number]) for number in numbers]
    return int(any(differ))


def _place(start: int, end: int) -> str:
    return "not in the sentence" if start < 0 else f"{start}-{end}"


def _scored(group: Group, options: RewardConfig, max_new_tokens: int, stop: bool) -> ScoredGroup:
    if stop:
        print("next: step into rescore_rollouts; `group` is being scored, `options` is the config's reward section")
        breakpoint()
    return rescore_rollouts(group, options, max_new_tokens=max_new_tokens)


def _prompt_text(config: Mapping[str, Any], example: Example) -> str:
    """The prompt as the model reads it, special tokens included."""
    from actors.chat_format import read_definitions, read_wording, with_wording

    model, data = config["model"], config["data"]
    model_folder = resolve(model["path"], allow_pickle=model["allow_pickle"])
    chat = with_wording(model_folder, read_wording(data["prompt"]), read_definitions(data["definitions"]))
    return chat.tokenizer.decode(chat.prompt(example).token_ids)


def _show(out: Console, saved: SavedGroup, number: int, answer: Answer, reward: Reward) -> bool:
    """Print one rollout; returns whether its reward differs from the saved one."""
    row = saved.rows[number]
    before, now = row["reward"], reward.total
    differs = (before is None) != (now is None) or (before is not None and abs(before - (now or 0.0)) > SAME)
    was, value = ("none" if each is None else f"{each:.4g}" for each in (before, now))
    change = f"saved {was}, now {value}" if differs else f"{value} as saved"
    out.print(f"\nrollout {number}: reward {change}")
    out.print(f"  parts: {', '.join(f'{name} {value:g}' for name, value in reward.parts.items())}")
    if reward.invalid:
        out.print(f"  invalid: {reward.invalid}")
    if answer.error:
        out.print(f"  unreadable: {answer.error}")
    for entity in outcomes(saved.group.prompt.example, answer.mentions):
        out.print(
            f"  {entity.kind:<10} {entity.text} [{entity.label}] {_place(entity.start, entity.end)}", markup=False
        )
    out.print("  " + row["text"].strip().replace("\n", "\n  "))
    return differs


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
