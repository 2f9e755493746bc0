"""The sentences of a run as token ids: prompts, targets, and those that a tokenizer changes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rnr.config import DataConfig, EvaluationConfig, SamplingConfig
from rnr.corpus.selection import Selection, select
from rnr.messages import counted
from rnr.task.chains import spelled
from rnr.task.decoding import taught
from rnr.task.prompts import ChatFormat
from rnr.types import Decoding, Example, Prompt, Sample

if TYPE_CHECKING:
    from actors.constrained import TargetDecisions


class PromptEncoder:
    """Encodes prompts, each of them once."""

    def __init__(self, chat: ChatFormat) -> None:
        self.chat = chat
        self._prompts: dict[Example, Prompt] = {}
        self._labels: dict[str, bool] = {}
        """Whether the tokenizer reproduces a label as written."""

    def prompt(self, example: Example) -> Prompt:
        # Not by uid: a file that is trained on and evaluated has the same uids under other schemas.
        if example not in self._prompts:
            self._prompts[example] = self.chat.prompt(example)
        return self._prompts[example]

    def select(self, data: DataConfig, *, seed: int, held_out: int, warm_start: bool) -> Selection:
        """What ``rnr.corpus.selection`` selects of what the tokenizer gives back; raises ValueError as it does."""
        most = data.max_prompt_tokens

        def fits(examples: Sequence[Example]) -> list[bool]:
            return [len(self.prompt(example).token_ids) <= most for example in examples]

        found = select(data, seed=seed, held_out=held_out, warm_start=warm_start, fits=fits if most else None)
        return self._without_changed(found)

    def _without_changed(self, selected: Selection) -> Selection:
        """The selection without the training sentences that the tokenizer does not give back as they are written: an
        answer would be learnt, and rewarded, for another text. They are counted, and so are those of the evaluation,
        which stay. Raises ValueError where none is left to train on."""
        training = dict.fromkeys((*selected.sft, *selected.held_out, *selected.pool))
        changed = {example: None for example in training if self._changed_text(example)}
        asked = [example for example in selected.evaluation if self._changed_text(example)]
        if not changed and not asked:
            return selected
        kept = {
            name: tuple(example for example in getattr(selected, name) if example not in changed)
            for name in ("sft", "held_out", "pool")
        }
        left_out, notes = dict(selected.left_out), selected.notes
        if changed:
            left_out[self._why(next(iter(changed)))] = len(changed)
        if asked:
            sentences = counted(len(asked), "evaluated sentence")
            notes = (*notes, f"{sentences} cannot be reproduced as written in a free answer: {self._why(asked[0])}")
        if not kept["pool"] or (selected.sft and not kept["sft"]):
            why = "; ".join(f"{count} are left out: {reason}" for reason, count in left_out.items())
            raise ValueError(f"no training sentence remains: {why}")
        return replace(selected, left_out=left_out, notes=notes, **kept)

    def _changed_text(self, example: Example) -> str:
        """The sentence or label that the tokenizer changes; empty if none."""
        for label in example.schema:
            if label not in self._labels:
                self._labels[label] = self.chat.round_trip(label) == label
        odd = next((label for label in example.schema if not self._labels[label]), "")
        return odd or ("" if self.chat.shows_sentence(self.prompt(example)) else example.sentence)

    def _why(self, example: Example) -> str:
        return f"{self.chat.change_of(self._changed_text(example))}; the first is {example.uid}"


class TargetEncoder:
    """Encodes prompts under one decoding, and their targets."""

    def __init__(self, prompts: PromptEncoder, decoding: Decoding, *, on_decisions: bool) -> None:
        """The loss of targets is to be taken on decisions alone or on all tokens."""
        self._prompts = prompts
        self._chat = prompts.chat
        self._decoding: Decoding = decoding
        self._decisions = _decisions(prompts.chat) if on_decisions else None

    def prompt(self, example: Example) -> Prompt:
        return replace(self._prompts.prompt(example), decoding=self._decoding)

    def without_uncopyable(
        self, selected: Selection, sampling: SamplingConfig, evaluation: EvaluationConfig, *, rolls: bool
    ) -> Selection:
        """The selection without those of GRPO's pool whose chain under ``marks`` cannot end within the tokens of a
        rollout, as the sentence alone is longer: every answer would be cut. They are counted, and so are those of the
        evaluation that its answers have no room for, which stay. Raises ValueError where none is left for GRPO, which
        samples nothing unless it ``rolls``."""
        if self._decoding != "marks":
            return selected
        left_out, notes = dict(selected.left_out), selected.notes
        long = self._longer_chains(selected.pool, sampling.max_new_tokens) if rolls else {}
        key = f"sampling.max_new_tokens ({sampling.max_new_tokens})"
        if long and len(long) == len(selected.pool):
            raise ValueError(
                f"{key} is too small to copy any of the {len(long)} sentences of GRPO's pool under marks: the "
                f"shortest, {_in_words(min(long.items(), key=_tokens))}: raise it"
            )
        if long:
            longest = _in_words(max(long.items(), key=_tokens))
            why = f"too long to copy under marks within {key}, out of GRPO's pool only; the longest, {longest}"
            left_out[why] = len(long)
        if cut := self._longer_chains(selected.evaluation, evaluation.max_new_tokens):
            longest = _in_words(max(cut.items(), key=_tokens))
            notes = (
                *notes,
                f"{counted(len(cut), 'evaluated sentence')} cannot be copied under marks within evaluation."
                f"max_new_tokens ({evaluation.max_new_tokens}), so such answers are cut: the longest, {longest}",
            )
        pool = tuple(example for example in selected.pool if example not in long)
        return replace(selected, pool=pool, left_out=left_out, notes=notes)

    def _longer_chains(self, examples: Sequence[Example], tokens: int) -> dict[Example, int]:
        """Those whose chain without a mark, up to the token that ends it, has more ``tokens``, and how many."""
        # A prompt has more around its sentence than a chain has: one that is short enough needs no second look.
        unsure = (example for example in examples if len(self.prompt(example).token_ids) > tokens)
        least = {each: len(self._chat.chain_tokens(f"{spelled(each.sentence)}\n")) + 1 for each in unsure}
        return {example: count for example, count in least.items() if count > tokens}

    def target(self, example: Example) -> tuple[int, ...]:
        return self._chat.target(*taught(example, self._decoding))

    def sample(self, example: Example) -> Sample:
        target = self.target(example)
        allowed: tuple[tuple[int, ...], ...] = ()
        if self._decisions is not None:
            allowed = self._decisions.allowed(example, taught(example, self._decoding)[1], target)
        prompt_ids = self.prompt(example).token_ids
        return Sample(uid=example.uid, prompt_ids=prompt_ids, completion_ids=target, allowed=allowed)

    def samples(self, examples: Sequence[Example], context_tokens: int) -> tuple[Sample, ...]:
        """Prompts with their answers; raises ValueError for any longer than the context."""
        samples = tuple(self.sample(example) for example in examples)
        long = [sample for sample in samples if sample.length > context_tokens]
        if long:
            raise ValueError(
                f"longer than model.context_tokens ({context_tokens}): "
                f"{counted(len(long), 'training sequence')}; {long[0].uid} has {long[0].length} tokens with its answer"
            )
        return samples


def _decisions(chat: ChatFormat) -> "TargetDecisions":
    from actors.constrained import TargetDecisions  # loads torch

    return TargetDecisions(chat.tokenizer, chat.stop_token_id, chat.opening)


def _tokens(long: tuple[Example, int]) -> int:
    return long[1]


def _in_words(long: tuple[Example, int]) -> str:
    return f"{long[0].uid}, needs {long[1]} tokens, plus more for each mark"
