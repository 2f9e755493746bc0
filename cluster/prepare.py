"""Load, validate and tokenise the inputs of a run, before anything is started."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.chat_format import (
    grammar_decoding,
    prompt_file,
    read_definitions,
    read_wording,
    refuse_unfollowed,
    refuse_unknown_token,
    trained_decoding,
    undefined,
    unfollowed,
    with_wording,
)
from actors.label_calibration import neutral_marks
from actors.model_files import load_config
from cluster.encoding import PromptEncoder, TargetEncoder
from cluster.memory_plan import Shape, shape_of
from cluster.model_card import card_files, greedy, unknown_ends
from learner.architecture import UnsupportedModel, refuse_architecture
from learner.folder_check import refuse_folder
from rewards.checking import check
from rewards.composite import WEIGHED
from rnr.config import (
    DataConfig,
    EvaluationConfig,
    GrpoConfig,
    ModelConfig,
    RewardConfig,
    SamplingConfig,
    SftConfig,
)
from rnr.corpus.selection import Selection
from rnr.messages import counted, few
from rnr.model_folder import count_weights, resolve
from rnr.task.decoding import beyond_marks, decoding_of, left_out, refuse_undecodable
from rnr.task.prompts import ChatFormat, refuse_too_long
from rnr.types import Decoding, Example, Prompt, Sample

PROBE = 256
"""Tokens by which a weight sync is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The inputs of a run as token ids."""

    model_folder: str
    weights: int
    """How many numbers the model's weights are."""
    chat: ChatFormat
    """How the model is asked."""
    decoding: Decoding
    """What the policy may say."""
    label_calibration: float
    """How far the labels of greedy marks are calibrated."""
    probe: tuple[int, ...]
    sft: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    """Supervised sequences that are not trained on."""
    prompts: tuple[Prompt, ...]
    """The pool that GRPO draws from."""
    answer_tokens: int
    """The most of a rollout; 0 without GRPO."""
    evaluation: tuple[Prompt, ...]
    candidates: int
    """Training examples that ``sft`` and ``prompts`` were drawn from."""
    left_out: Mapping[str, int]
    """Why -> how many training sentences were left out."""
    other_notes: tuple[str, ...]
    """Other notes on the data."""
    decoding_reason: str
    """Why ``sampling.decoding = "auto"`` took this one; empty for ``marks`` after a warm start."""
    untaught: Mapping[str, int]
    """What the decoding cannot teach of the training data -> how many."""
    prompt_file: dict[str, str]
    """Name and text of the file by which the exported model tells how it was asked."""

    def files(self, run_folder: Path, scores: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Name and text of the files beside exported weights: how the model was asked, its card, greedy decoding."""
        return self.prompt_file | card_files(
            run_folder,
            name=run_folder.name,
            base_folder=Path(self.model_folder),
            stop_token_id=self.stop_token_id,
            prompt_file=self.prompt_file,
            scores=scores,
            labels=sorted({label for prompt in self.prompts for label in prompt.example.schema}),
        )

    @property
    def stop_token_id(self) -> int:
        """The token that ends an answer."""
        return self.chat.stop_token_id

    @property
    def largest_token_id(self) -> int:
        """The largest of all prompts and targets."""
        supervised = (
            part for sample in (*self.sft, *self.held_out) for part in (sample.prompt_ids, sample.completion_ids)
        )
        asked = (prompt.token_ids for prompt in (*self.prompts, *self.evaluation))
        return max(map(max, (self.probe, *asked, *supervised)))

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that may be trained on."""
        rollouts = (len(prompt.token_ids) + self.answer_tokens for prompt in self.prompts if self.answer_tokens)
        return max((*rollouts, *(sample.length for sample in self.sft)), default=0)

    @property
    def weights_gib(self) -> float:
        """Size of the weights in bf16, in GiB."""
        return 2 * self.weights / 2**30

    @property
    def shape(self) -> Shape | None:
        """The sizes of the model; None where its config does not name them."""
        return shape_of(self.model_folder, self.weights)

    @property
    def contents(self) -> str:
        """What is trained and evaluated on, in a line."""
        return (
            f"data: {counted(self.candidates, 'training sentence')} (SFT uses {len(self.sft)}, GRPO {self.pool}); "
            f"evaluated on {self.evaluated}"
        )

    @property
    def pool(self) -> str:
        """How many sentences GRPO draws from, and of which data sets."""
        return f"{len(self.prompts)} of {_sources(self.prompts)}"

    @property
    def evaluated(self) -> str:
        """How many sentences are evaluated on, and of which data sets."""
        return f"{len(self.evaluation)} of {_sources(self.evaluation)}" if self.evaluation else "none"

    @property
    def an_example(self) -> Example | None:
        """A sentence of the evaluation with mentions, to show how the model is asked; None where there is none."""
        return next((prompt.example for prompt in self.evaluation if prompt.example.mentions), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before the run starts: how the model is asked, and what was left out."""
        return (
            *self.chat.notes,
            *self.other_notes,
            *(f"data: left out: {counted(count, 'training sentence')}: {why}" for why, count in self.left_out.items()),
            *(f"decoding {self.decoding}: {note}" for note in self.decoding_notes),
        )

    @property
    def decoding_notes(self) -> tuple[str, ...]:
        """Why it is this one where that was left to us, and what it cannot teach."""
        untaught = (f"{count} {what}" for what, count in self.untaught.items())
        return (*((self.decoding_reason,) if self.decoding_reason else ()), *untaught)


def _sources(prompts: Sequence[Prompt]) -> str:
    return few(sorted({prompt.example.source for prompt in prompts}), 6) or "no data set"


def prepare(
    *,
    model: ModelConfig,
    data: DataConfig,
    sft: SftConfig,
    grpo: GrpoConfig,
    sampling: SamplingConfig,
    reward: RewardConfig,
    evaluation: EvaluationConfig,
    seed: int,
) -> Prepared:
    """Load, check and encode; raises ValueError naming the place of whatever cannot be used."""
    check(reward)
    folder = resolve(model.path, allow_pickle=model.allow_pickle)
    _refuse_unknown_model(folder, model)
    chat = with_wording(folder, read_wording(data.prompt), read_definitions(data.definitions))
    greedy(Path(folder), chat.stop_token_id)  # report a problem now, not after training
    prompts = PromptEncoder(chat)
    selected = prompts.select(data, seed=seed, held_out=sft.held_out, warm_start=bool(sft.epochs) and not sft.from_run)
    decoding, why, grammar = _decoding(sampling, sft, data, folder, chat, selected)
    encoder = TargetEncoder(prompts, decoding, on_decisions=sft.decoding == "marks")
    noted = (*unknown_ends(Path(folder)), *undefined(chat.definitions, data.definitions, selected.examples))
    pool, asked = ([encoder.prompt(example) for example in part] for part in (selected.pool, selected.evaluation))
    refuse_too_long(pool, context_tokens=model.context_tokens, answer_tokens=sampling.max_new_tokens, training=True)
    refuse_too_long(asked, context_tokens=model.context_tokens, answer_tokens=evaluation.max_new_tokens)
    selected = encoder.without_uncopyable(selected, sampling, evaluation, rolls=bool(grpo.steps))
    if (weight := evaluation.label_calibration) and decoding == "marks":
        _refuse_uncalibrated(chat, asked, model.context_tokens)
    prepared = Prepared(
        model_folder=folder,
        weights=count_weights(folder),
        chat=chat,
        decoding=decoding,
        label_calibration=weight,
        # An engine scores what leaves room for a token.
        probe=(*asked[0].token_ids, *encoder.target(asked[0].example))[: min(PROBE, model.context_tokens - 1)],
        sft=encoder.samples(selected.sft, model.context_tokens),
        held_out=encoder.samples(selected.held_out, model.context_tokens),
        prompts=tuple(map(encoder.prompt, selected.pool)),
        answer_tokens=sampling.max_new_tokens if grpo.steps else 0,
        evaluation=tuple(asked),
        candidates=selected.candidates,
        left_out=selected.left_out,
        other_notes=(*_without_effect(sft, reward, evaluation, decoding), *noted, *selected.notes),
        decoding_reason=why,
        untaught=left_out((*selected.sft, *selected.held_out), decoding),
        prompt_file=prompt_file(chat, decoding, grammar=grammar, calibration=weight, catch_alls=data.asks_catch_alls),
    )
    refuse_unknown_token(folder, chat, prepared.largest_token_id)
    return prepared


def _without_effect(
    sft: SftConfig, reward: RewardConfig, evaluation: EvaluationConfig, decoding: Decoding
) -> Iterator[str]:
    """Settings that have no effect, as far as that depends on rewards and model."""
    if reward.changed("weights") and reward.preset not in WEIGHED:
        yield f"reward.weights has no effect: reward.preset {reward.preset!r} has no weights"
    if sft.held_out and sft.from_run:
        yield (
            f"sft.held_out: {counted(sft.held_out, 'sentence')} kept out of GRPO's pool, but their loss is not "
            "measured: the warm start of sft.from_run is complete"
        )
    if decoding != "marks" and evaluation.changed("label_calibration") and evaluation.label_calibration:
        yield f"evaluation.label_calibration has no effect: it applies to marks, but answers are decoded {decoding}"


def _refuse_uncalibrated(chat: ChatFormat, asked: Sequence[Prompt], context_tokens: int) -> None:
    """Raise ValueError where the labels of an evaluated sentence cannot be calibrated."""
    several = {each.example.schema for each in asked if len(each.example.schema) > 1}
    sizes: tuple[Callable[[tuple[str, ...]], int], ...] = (len, lambda schema: len("".join(schema)))
    try:
        for schema in {max(several, key=size) for size in sizes if several}:
            neutral_marks(chat, schema, context_tokens)
    except ValueError as error:
        raise ValueError(f"evaluation.{error}") from None


def _decoding(
    sampling: SamplingConfig, sft: SftConfig, data: DataConfig, folder: str, chat: ChatFormat, selected: Selection
) -> tuple[Decoding, str, Decoding]:
    """The decoding that is asked for, or for ``auto`` the fitting one; why that is the one; and what an export is
    decoded under where an answer has to keep to the question: the same if that is a grammar, else what goes with the
    chains."""
    asked = (*selected.pool, *selected.evaluation)
    taught = selected.pool if sft.from_run else selected.sft
    found, why = sampling.decoding, ""
    if found == "auto":
        found, why = _auto_decoding(sft, data, folder, chat, taught, asked)
        if odd := unfollowed(chat, found):
            found, why = "free", odd
    if sft.decoding == "marks" and found != "marks":
        raise ValueError(
            f'sft.decoding "marks" computes the loss on decisions only and teaches no copying, but rollouts are '
            f'decoded {found!r}: set sampling.decoding="marks" too'
        )
    refuse_unfollowed(chat, found)
    refuse_undecodable(asked, found)
    if found != "free":
        return found, why, found
    grammar = decoding_of(taught, opens=chat.opens_plainly)[0] if taught else grammar_decoding(folder)
    grammar = "schema" if grammar == "free" else grammar
    return found, why, "free" if unfollowed(chat, grammar) else grammar


def _auto_decoding(
    sft: SftConfig,
    data: DataConfig,
    folder: str,
    chat: ChatFormat,
    taught: Sequence[Example],
    asked: Sequence[Example],
) -> tuple[Decoding, str]:
    """What ``auto`` is, and why."""
    if data.prompt == "reference":
        return "free", "the paper's prompt expects free answers"
    if sft.epochs or sft.from_run:
        return decoding_of(taught, asked, opens=chat.opens_plainly)
    found = trained_decoding(folder)
    if found == "marks" and (why := beyond_marks(asked, opens=chat.opens_plainly)):
        return "schema", why
    return found, "there is no warm start" + (", and the model was trained with it" if found != "free" else "")


def _refuse_unknown_model(folder: str, model: ModelConfig) -> None:
    try:
        config = load_config(folder)
        refuse_architecture(config, model.context_tokens)
        refuse_folder(folder, config, lora_rank=model.lora_rank, lora_alpha=model.lora_alpha)
    except UnsupportedModel as error:
        raise UnsupportedModel(f"the model in {folder}: {error}") from None
