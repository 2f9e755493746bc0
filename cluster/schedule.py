"""How many steps each stage has and the inputs of each step: pure functions of config, data and step.

So a resumed run needs no sampler state: it asks for the next step and gets what the interrupted run would have got.
"""

import itertools
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from cluster.prepare import Prepared
from learner.schedule import cosine
from rnr.config import GrpoConfig, SftConfig
from rnr.messages import counted
from rnr.types import Prompt, Sample


class Schedule:
    """The steps of one run."""

    def __init__(
        self,
        prepared: Prepared,
        *,
        sft: SftConfig,
        grpo: GrpoConfig,
        prompts_per_step: int,
        final_rate: float,
        seed: int,
        evaluate_every: int = 0,
    ) -> None:
        """``evaluate_every`` is the number of steps between two evaluations; 0 for none."""
        self._prepared = prepared
        self._prompts = prepared.prompts
        self._prompts_per_step = prompts_per_step
        self._final_rate = final_rate
        self._seed = seed
        self.sft_sequences = sft.sequences_per_step
        self.sft_steps = int(sft.epochs * len(prepared.sft)) // self.sft_sequences
        self._stages = {"sft": (sft, self.sft_steps), "grpo": (grpo, grpo.steps)}
        if prepared.sft:
            window(prepared.sft, 0, self.sft_sequences, seed)
        if prepared.sft and not self.sft_steps:
            raise ValueError(
                f"sft.epochs {sft.epochs:g} of {counted(len(prepared.sft), 'training sentence')} does not fill one "
                f"step of sft.sequences_per_step {self.sft_sequences}: raise sft.epochs, or skip the warm start with "
                "sft.epochs=0"
            )
        if grpo.steps:
            self._check_pool()
        self.notes = tuple(self._evaluation_note(evaluate_every)) if evaluate_every else ()
        """Settings that no step ever reaches."""

    def sft_samples(self, step: int) -> list[Sample]:
        """The sequences of an SFT step."""
        return window(self._prepared.sft, step, self.sft_sequences, self._seed)

    def prompt(self, position: int) -> Prompt:
        """The GRPO prompt at ``position`` (from 0) of an endless stream: one shuffled pass over the pool after another.

        From the second pass on, its uid names the pass, so that each prompt of the stream has a unique uid.
        """
        number, place = divmod(position, len(self._prompts))
        prompt = self._prompts[shuffled(len(self._prompts), f"{self._seed + 1}/{number}")[place]]
        if not number:
            return prompt
        return replace(prompt, example=replace(prompt.example, uid=f"{prompt.uid}, pass {number + 1}"))

    def prompts_but(self, consumed: Collection[str]) -> Iterator[Prompt]:
        """The stream of prompts without those already trained on: groups may end in another order than they
        began, so an interrupted run leaves gaps."""
        return (prompt for place in itertools.count() if (prompt := self.prompt(place)).uid not in consumed)

    def narrow(self, uids: Collection[str]) -> None:
        """Restrict the GRPO prompts to these uids; raises ValueError when they do not fill one step."""
        self._prompts = tuple(prompt for prompt in self._prepared.prompts if prompt.uid in uids)
        self._check_pool()

    def _check_pool(self) -> None:
        size = self._prompts_per_step
        if len(self._prompts) < size:
            raise ValueError(
                f"{counted(len(self._prompts), 'training sentence')} cannot fill one step of {size}: lower "
                "sampling.prompts_per_step, or add data"
            )

    def _evaluation_note(self, every: int) -> Iterator[str]:
        measured = [self._stages["grpo"][1], *([self.sft_steps] if self._prepared.held_out else [])]
        if every > max(measured):
            steps = counted(max(measured), "step")
            yield f"evaluation.every_steps ({every}) has no effect: the longest evaluated stage has {steps}"

    def learning_rate(self, stage: str, step: int) -> float:
        """The learning rate of a step of ``sft`` or ``grpo``."""
        options, steps = self._stages[stage]
        return cosine(
            step,
            steps=steps,
            peak=options.learning_rate,
            warmup_fraction=options.warmup_fraction,
            final=self._final_rate,
        )


def window(items: Sequence, step: int, size: int, seed: int) -> list:
    """The ``size`` items of step ``step`` (from 0): whole windows of one shuffled pass after another.

    A pure function of its arguments, so a resumed run draws what the interrupted one would have drawn. A pass leaves
    out the few items that do not fill a window; other passes shuffle differently.
    """
    per_pass = len(items) // size
    if not per_pass:
        raise ValueError(
            f"{counted(len(items), 'training sentence')} cannot fill one step of {size}: lower "
            "sft.sequences_per_step, or add data"
        )
    number, place = divmod(step, per_pass)
    order = shuffled(len(items), f"{seed}/{number}")
    return [items[index] for index in order[place * size : (place + 1) * size]]


@lru_cache(maxsize=8)
def shuffled(count: int, seed: str) -> tuple[int, ...]:
    """The numbers below ``count`` in the order that ``seed`` gives them."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return tuple(order)


def out_of_patience(losses: Sequence[float], patience: int) -> bool:
    """Whether none of the last ``patience`` losses was below the best before them: with 2, so it is of (3, 2, 2.5, 2),
    but not of (3, 2, 2.5)."""
    return 0 < patience < len(losses) and min(losses[-patience:]) >= min(losses[:-patience])
