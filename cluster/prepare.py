"""Everything that can be wrong with data and model, found before anything is started."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rewards.composite import check
from rnr.config import Config
from rnr.corpus.decontamination import decontaminate, sentence_key
from rnr.corpus.drawing import by_source, draw, draw_from_each, thin
from rnr.corpus.fine_labels import GENERAL_OF, refine
from rnr.corpus.loading import load
from rnr.corpus.schema_variation import vary_schema
from rnr.model_folder import resolve
from rnr.task.chains import chain
from rnr.task.labels import label_key
from rnr.task.prompts import ChatFormat, PromptPreset, refuse_too_long
from rnr.types import Example, Prompt, Sample

PROMPT_FILE = "rnr_prompt.json"


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
    prompt_file: dict[str, str]
    """Name and text of the file by which the exported model tells how it was asked."""

    @property
    def weights_gib(self) -> float:
        """Size of the bf16 weights on disk, in GiB."""
        return sum(file.stat().st_size for file in Path(self.model_folder).glob("*.safetensors")) / 2**30


def prepare(config: Config) -> Prepared:
    """Load, check and encode; raises ValueError naming the place of whatever cannot be used."""
    check(config.reward)
    model_folder = resolve(config.model.path, allow_pickle=config.model.allow_pickle)
    _check_context(Path(model_folder), config.model.context_tokens)
    train, evaluation = _examples(config)
    chat = _chat_format(model_folder, config.data.prompt, _definitions(config.data.definitions))
    prompts = [chat.prompt(example) for example in train]
    if config.data.max_prompt_tokens:
        prompts = [prompt for prompt in prompts if len(prompt.token_ids) <= config.data.max_prompt_tokens]
    evaluation_prompts = [chat.prompt(example) for example in evaluation]
    room = {"context_tokens": config.model.context_tokens}
    refuse_too_long(prompts, answer_tokens=config.sampling.max_new_tokens, **room)
    refuse_too_long(evaluation_prompts, answer_tokens=config.evaluation.max_new_tokens, **room)
    prompts, aside = _set_aside(prompts, config.sft.held_out, config.run.seed)
    sft: list[Sample] = []
    if config.sft.epochs and not config.sft.from_run:
        drawn = _drawn(prompts, config.data.sft_examples, config.run.seed, config.data.mixture)
        sft = [_sft_sample(chat, prompt) for prompt in drawn]
        long = [sample for sample in sft if sample.length > config.model.context_tokens]
        if long:
            raise ValueError(
                f"{len(long)} training sequences are longer than model.context_tokens "
                f"({config.model.context_tokens}); {long[0].uid} has {long[0].length} tokens with its answer"
            )
    kept = thin([p.example for p in prompts], config.data.grpo_keep_by_mentions, config.run.seed + 1)
    pool = _of(prompts, kept)
    first = evaluation_prompts[0]
    return Prepared(
        model_folder=model_folder,
        stop_token_id=chat.stop_token_id,
        probe=(*first.token_ids, *_target(chat, first.example))[:256],
        sft=tuple(sft),
        held_out=tuple(_sft_sample(chat, prompt) for prompt in aside),
        prompts=tuple(_drawn(pool, config.data.grpo_examples, config.run.seed + 1, config.data.mixture)),
        evaluation=tuple(evaluation_prompts),
        prompt_file={PROMPT_FILE: json.dumps({"preset": chat.preset, "definitions": chat.definitions})},
    )


def chat_format(model_folder: str) -> ChatFormat:
    """How a model is asked: as it was trained by us, or with the preset ``compact`` if it was not."""
    file = Path(model_folder) / PROMPT_FILE
    asked = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"preset": "compact", "definitions": {}}
    return _chat_format(model_folder, asked["preset"], asked["definitions"])


def _chat_format(model_folder: str, preset: PromptPreset, definitions: Mapping[str, str]) -> ChatFormat:
    from transformers import AutoTokenizer

    return ChatFormat(AutoTokenizer.from_pretrained(model_folder), preset, definitions)


def _definitions(path: str) -> dict[str, str]:
    if not path:
        return {}
    try:
        found = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"data.definitions: {path}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"data.definitions: {path}, line {error.lineno}: not valid JSON: {error.msg}") from None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ValueError(f"data.definitions: {path} must hold one object {{label: definition}}")
    return {label_key(label): text for label, text in found.items()}


def _examples(config: Config) -> tuple[list[Example], list[Example]]:
    options, seed = config.data, config.run.seed
    train = load(options.train, training=True, skip_bad_rows=options.skip_bad_rows)
    train = thin(train, options.keep_by_mentions, seed)
    train = [
        replace(example, uid=f"{example.uid}, view {view}") if view else example
        for view in range(options.schema_views)
        for example in train
    ]
    train = [refine(example, options.special_labels, seed) for example in train]
    inventory = sorted({label for example in train for label in example.schema})
    train = [vary_schema(example, options.schema_variation, inventory, seed) for example in train]
    evaluation = load(options.evaluation, training=False, skip_bad_rows=options.skip_bad_rows)
    evaluation = draw_from_each(evaluation, options.evaluation_examples)
    train, dropped = decontaminate(train, evaluation, options.keep_sources)
    reasons = [f"{count} are left out: {reason}" for reason, count in Counter(dropped.values()).items()]
    if not train:
        raise ValueError(f"no training sentence remains: {'; '.join(reasons)}; data.keep_sources names sets to be kept")
    for reason in reasons:
        print(f"data: of the training sentences {reason}")
    return train, evaluation


def _drawn(
    prompts: Sequence[Prompt], count: int, seed: int, mixture: Mapping[str, float] | Literal["size"]
) -> list[Prompt]:
    """At most ``count`` of the prompts, evenly over their sources or as ``mixture`` says, in the order of the data."""
    group = by_source if mixture == "size" else _source_and_kind
    drawn = draw([prompt.example for prompt in prompts], count, seed, group, mixture)
    return _of(prompts, drawn)


def _of(prompts: Sequence[Prompt], examples: Sequence[Example]) -> list[Prompt]:
    """The prompts of these examples, in the order of the data."""
    chosen = {example.uid for example in examples}
    return [prompt for prompt in prompts if prompt.uid in chosen]


def _set_aside(prompts: Sequence[Prompt], count: int, seed: int) -> tuple[list[Prompt], list[Prompt]]:
    """The prompts without those of ``count`` sentences, and one of each of these; raises ValueError if none is left."""
    by_sentence: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_sentence.setdefault(sentence_key(prompt.example.sentence), []).append(prompt)
    if count >= len(by_sentence):
        raise ValueError(f"sft.held_out is {count}, but there are {len(by_sentence)} training sentences")
    aside = set(random.Random(seed).sample(sorted(by_sentence), count))
    kept = [prompt for prompt in prompts if sentence_key(prompt.example.sentence) not in aside]
    return kept, [by_sentence[key][0] for key in sorted(aside)]


def _target(chat: ChatFormat, example: Example) -> tuple[int, ...]:
    return chat.target(example.mentions, chain(example))


def _source_and_kind(example: Example) -> str:
    """Sentences with special labels are few, and worth as much as another source."""
    special = any(mention.label in GENERAL_OF for mention in example.mentions)
    return f"{example.source}, special" if special else example.source


def _sft_sample(chat: ChatFormat, prompt: Prompt) -> Sample:
    return Sample(uid=prompt.uid, prompt_ids=prompt.token_ids, completion_ids=_target(chat, prompt.example))


def _check_context(folder: Path, context_tokens: int) -> None:
    model = json.loads((folder / "config.json").read_text())
    limit = model.get("max_position_embeddings")
    if limit is not None and context_tokens > limit:
        raise ValueError(f"model.context_tokens is {context_tokens}, but the model in {folder} was made for {limit}")
    window = model.get("sliding_window") if model.get("use_sliding_window", True) else None
    special = [name for name in ("attn_logit_softcapping", "attention_dropout") if model.get(name)]
    if window is not None and window < context_tokens:
        special.append(f"sliding_window {window} < model.context_tokens {context_tokens}")
    if special:
        raise ValueError(f"the model in {folder} has an attention that the learner does not know: {', '.join(special)}")
