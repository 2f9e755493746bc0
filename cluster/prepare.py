"""Everything that can be wrong with data and model, found before anything is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.chat_format import prompt_file, read_definitions, with_prompt
from learner.architecture import UnsupportedModel, refuse_architecture
from rewards.composite import check
from rnr.config import DataConfig, EvaluationConfig, ModelConfig, RewardConfig, SamplingConfig, SftConfig
from rnr.corpus.selection import select
from rnr.model_folder import resolve
from rnr.task.chains import chain
from rnr.task.prompts import ChatFormat, refuse_too_long
from rnr.types import Example, Prompt, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The inputs of a run as token ids."""

    model_folder: str
    stop_token_id: int
    probe: tuple[int, ...]
    sft: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    """Supervised sequences that are not trained on."""
    prompts: tuple[Prompt, ...]
    """The pool that GRPO draws from."""
    evaluation: tuple[Prompt, ...]
    candidates: int
    """Training examples that ``sft`` and ``prompts`` were drawn from."""
    left_out: Mapping[str, int]
    """Why -> how many training sentences were left out."""
    prompt_file: dict[str, str]
    """Name and text of the file by which the exported model tells how it was asked."""

    @property
    def weights_gib(self) -> float:
        """Size of the bf16 weights on disk, in GiB."""
        return sum(file.stat().st_size for file in Path(self.model_folder).glob("*.safetensors")) / 2**30

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before the run starts: what was left out of the training data, and why."""
        return tuple(f"data: {count} training sentences are left out: {why}" for why, count in self.left_out.items())


def prepare(
    *,
    model: ModelConfig,
    data: DataConfig,
    sft: SftConfig,
    sampling: SamplingConfig,
    reward: RewardConfig,
    evaluation: EvaluationConfig,
    seed: int,
) -> Prepared:
    """Load, check and encode; raises ValueError naming the place of whatever cannot be used."""
    check(reward)
    folder = resolve(model.path, allow_pickle=model.allow_pickle)
    _refuse_unknown_model(folder, model.context_tokens)
    asker = _Asker(with_prompt(folder, data.prompt, read_definitions(data.definitions)), data.max_prompt_tokens)
    selected = select(
        data,
        seed=seed,
        held_out=sft.held_out,
        warm_start=bool(sft.epochs) and not sft.from_run,
        fits=asker.fits if data.max_prompt_tokens else None,
    )
    pool = [asker.prompt(example) for example in selected.pool]
    asked = [asker.prompt(example) for example in selected.evaluation]
    refuse_too_long(pool, context_tokens=model.context_tokens, answer_tokens=sampling.max_new_tokens)
    refuse_too_long(asked, context_tokens=model.context_tokens, answer_tokens=evaluation.max_new_tokens)
    warm_start = asker.samples(selected.sft, model.context_tokens)
    held_out = asker.samples(selected.held_out, model.context_tokens)
    return Prepared(
        model_folder=folder,
        stop_token_id=asker.chat.stop_token_id,
        probe=(*asked[0].token_ids, *asker.target(asked[0].example))[:256],
        sft=warm_start,
        held_out=held_out,
        prompts=tuple(pool),
        evaluation=tuple(asked),
        candidates=selected.candidates,
        left_out=selected.left_out,
        prompt_file=prompt_file(asker.chat),
    )


class _Asker:
    """Encodes the prompts that are asked for, each of them once."""

    def __init__(self, chat: ChatFormat, max_prompt_tokens: int) -> None:
        self.chat = chat
        self._most = max_prompt_tokens
        self._prompts: dict[Example, Prompt] = {}

    def prompt(self, example: Example) -> Prompt:
        # Not by uid: a file that is trained on and evaluated has the same uids under other schemas.
        if example not in self._prompts:
            self._prompts[example] = self.chat.prompt(example)
        return self._prompts[example]

    def fits(self, examples: Sequence[Example]) -> list[bool]:
        return [len(self.prompt(example).token_ids) <= self._most for example in examples]

    def target(self, example: Example) -> tuple[int, ...]:
        return self.chat.target(example.mentions, chain(example))

    def samples(self, examples: Sequence[Example], context_tokens: int) -> tuple[Sample, ...]:
        """Prompts with their answers; raises ValueError for those longer than the context."""
        samples = tuple(
            Sample(uid=example.uid, prompt_ids=self.prompt(example).token_ids, completion_ids=self.target(example))
            for example in examples
        )
        long = [sample for sample in samples if sample.length > context_tokens]
        if long:
            raise ValueError(
                f"{len(long)} training sequences are longer than model.context_tokens "
                f"({context_tokens}); {long[0].uid} has {long[0].length} tokens with its answer"
            )
        return samples


def _refuse_unknown_model(folder: str, context_tokens: int) -> None:
    from transformers import AutoConfig

    try:
        refuse_architecture(AutoConfig.from_pretrained(folder), context_tokens)
    except UnsupportedModel as error:
        raise UnsupportedModel(f"the model in {folder}: {error}") from None
