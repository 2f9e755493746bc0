"""Tests the real model before a run starts: does the learner compute what transformers computes?

The learner has its own attention and head, and packs the completions of a prompt into one row. So on a short
batch, with the weights in float32, its log-probabilities in training mode are compared with those of transformers'
plain forward pass, one sequence a row. Whatever breaks the learner's assumptions shows up here, and is traced module
by module until it has a name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from learner.architecture import Noise, UnsupportedModel, turn_off_noise
from learner.attention import noted_widths, without_numbers
from learner.batch import Arrange, Batch, MicroBatch, Weighted, collate
from learner.logits import PLAIN, Logits
from learner.logprobs import PolicyModel, body, causal_model
from learner.module_trace import SAME, first_difference, in_float32, joined, traces
from rnr.types import Sample

TOLERANCE = 2e-4
"""Nats. Float32 rounding is a tenth of it after thirty layers; a completion that sees its siblings, thousands of times
as much."""

DEVICE_TOLERANCE = 0.1
"""Nats on average, in bf16. On an H200 the two differed by 0.05 at most."""

PROMPTS, LENGTH = ((9, 3), (6, 2)), 16
"""Prompt tokens and completions of each pack; all sequences have the same length, so that none needs padding."""


def preflight(model: Any) -> PolicyModel:
    """Wrap ``model`` as the policy, in place; raises UnsupportedModel, naming the cause, if the learner would not
    compute it exactly."""
    samples = _samples(model)
    batch = _batch(samples)
    rows = torch.tensor([sample.prompt_ids + sample.completion_ids for pack in samples for sample in pack])
    with torch.no_grad(), in_float32(model):
        model.eval()
        with _refuse_errors(f"{type(model).__name__} cannot be computed from token ids alone, as a body and a head"):
            plain = _plain_forward(model, rows)
            _refuse_no_numbers(model, plain)
            logits = _find_logits(causal_model(model), plain)
        expected = _of_completions(plain.logits.log_softmax(-1), rows, samples)
        noise = turn_off_noise(model)
        policy = PolicyModel(model, logits)
        policy.train()
        with _refuse_errors(f"{type(model).__name__} cannot compute packed completions"), noted_widths() as widths:
            packed = _packed_logprobs(policy, batch)
        difference = (packed - expected).abs().max().item()
        if not difference <= TOLERANCE:
            cause = _cause(policy, samples, rows) or _used_noise(causal_model(model), noise, plain, rows)
            raise UnsupportedModel(
                f"{type(model).__name__}: the learner's log-probabilities differ from those of transformers' own "
                f"forward pass by up to {difference:.2g}. {cause}"
            )
    policy.head_widths = frozenset(widths)
    return policy


def refuse_layers(model: Any) -> None:
    """Raise UnsupportedModel for layers that the learner cannot compute, as far as a ``model`` without memory shows
    it; ``preflight`` compares numbers. The model is taken over."""
    batch = _batch(_samples(model))
    ids, positions = (tensor.to("meta") for tensor in (batch.input_ids_1T, batch.position_ids_1T))
    policy = PolicyModel(model, PLAIN).train()
    whole = body(causal_model(policy.model))
    try:
        with torch.no_grad(), without_numbers(), _NoConvolution(type(whole).__name__):
            whole(input_ids=ids, position_ids=positions, use_cache=False, layout=batch.layout)
    except UnsupportedModel:
        raise
    except Exception:  # something needs numbers, as routing to experts may: the layers after it are like those before
        return


class _NoConvolution(TorchFunctionMode):
    """Raises UnsupportedModel for a convolution over tokens, which sees those of siblings."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        if func is torch.conv1d and (args[1] if len(args) > 1 else options["weight"]).shape[-1] > 1:
            raise UnsupportedModel(
                f"{self._model} mixes tokens by a convolution, so that completions would see their siblings"
            )
        return func(*args, **options)


@contextmanager
def _refuse_errors(what: str) -> Iterator[None]:
    """Raise UnsupportedModel, beginning with ``what``, for any error in the block but UnsupportedModel itself."""
    try:
        yield
    except UnsupportedModel:
        raise
    except Exception as error:
        raise UnsupportedModel(f"{what}: {type(error).__name__}: {error}") from error


def trial_batch(policy: PolicyModel, device: Any, arrange: Arrange) -> Batch:
    """A short batch of completions that share prompts, always the same one."""
    return collate(_weighted_packs(_samples(policy.model)), device, arrange)


def check_on_device(found: torch.Tensor, expected: torch.Tensor, policy: PolicyModel) -> None:
    """Raise UnsupportedModel where the log-probabilities of a batch with one attention call a layer, and compiled where
    layers are, are not those ``expected``, with length buckets on the same device."""
    difference = (found.float() - expected.float()).abs().mean().item()
    if not difference <= DEVICE_TOLERANCE:
        raise UnsupportedModel(
            f"{type(policy.model).__name__} on {found.device}: with one attention call a layer its log-probabilities "
            f"differ by {difference:.2g} nats on average from those of the length buckets. This torch's flash kernels "
            'do not fit this model or device, or compiled layers do not (optimizer.compile="off"): another version may'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    """What a plain forward pass gives, float32: (sequences, tokens, dimension or vocabulary)."""

    hidden: torch.Tensor
    logits: torch.Tensor


def _samples(model: Any) -> list[list[Sample]]:
    """Packs of random tokens, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    head = causal_model(model).get_output_embeddings().weight
    vocabulary = getattr(head, "ds_shape", head.shape)[0]  # divided by ZeRO-3 it is empty

    def draw(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocabulary, (count,), generator=generator).tolist())

    return [
        [Sample(uid="preflight", prompt_ids=prompt, completion_ids=draw(LENGTH - len(prompt))) for _ in range(count)]
        for prompt, count in ((draw(tokens), count) for tokens, count in PROMPTS)
    ]


def _batch(samples: list[list[Sample]]) -> Batch:
    return collate(_weighted_packs(samples))


def _weighted_packs(samples: list[list[Sample]]) -> MicroBatch:
    return tuple(tuple(Weighted(sample=each, weight=1.0) for each in pack) for pack in samples)


def _plain_forward(model: Any, rows: torch.Tensor) -> _Plain:
    logits = model(input_ids=rows, use_cache=False).logits
    hidden = body(causal_model(model))(input_ids=rows, use_cache=False).last_hidden_state
    return _Plain(hidden=hidden.float(), logits=logits.float())


def _refuse_no_numbers(model: Any, plain: _Plain) -> None:
    """Raise UnsupportedModel, naming weights, where logits are not finite."""
    if plain.logits.isfinite().all():
        return
    wrong = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    again = "download the model again"
    why = (
        f"weights that are not finite: {len(wrong)} (first: {wrong[0]}); {again}"
        if wrong
        else "all its weights are finite"
    )
    raise UnsupportedModel(f"{type(model).__name__}: its logits are not finite; {why}")


def _find_logits(causal: Any, plain: _Plain) -> Logits:
    """What the model makes of its head's output, found out from what it does: caps are tried, a factor is measured."""
    head = causal.get_output_embeddings()
    output = nn.functional.linear(plain.hidden, head.weight.float(), None if head.bias is None else head.bias.float())
    settings = {name: value for name, value in vars(causal.config.get_text_config()).items() if type(value) is float}
    for cap in (None, *(value for name, value in settings.items() if "cap" in name and value)):
        uncapped = plain.logits if cap is None else cap * torch.atanh(plain.logits / cap)
        scale = ((output.double() * uncapped.double()).sum() / output.double().square().sum()).item()
        # The config's own number, where there is one, is exact.
        known = (1.0, *settings.values(), *(1 / value for value in settings.values() if value))
        scale = next((value for value in known if abs(value - scale) < 1e-4 * abs(scale)), scale)
        logits = Logits(scale=scale, softcap=cap)
        if (logits(output) - plain.logits).abs().max() <= TOLERANCE * max(1.0, plain.logits.abs().max().item()):
            return logits
    raise UnsupportedModel(
        f"{type(causal).__name__}: its logits are not its head's output times a number, with or without a soft cap "
        f"(values of its config: {', '.join(f'{name} {value}' for name, value in settings.items() if 'logit' in name)})"
    )


def _packed_logprobs(policy: PolicyModel, batch: Batch) -> torch.Tensor:
    logprobs, _ = policy(
        batch.input_ids_1T, batch.position_ids_1T, batch.layout, batch.columns_N, batch.targets_N, temperature=1.0
    )
    return logprobs


def _of_completions(logs: torch.Tensor, rows: torch.Tensor, samples: list[list[Sample]]) -> torch.Tensor:
    """The log-probabilities of all completion tokens, one sequence after the other."""
    chosen = logs[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    prompts = [len(sample.prompt_ids) for pack in samples for sample in pack]
    return torch.cat([row[prompt - 1 :] for row, prompt in zip(chosen, prompts, strict=True)])


def _cause(policy: PolicyModel, samples: list[list[Sample]], rows: torch.Tensor) -> str:
    """The first module whose output differs, and when; empty if none does."""
    causal, batch = causal_model(policy.model), _batch(samples)
    tokens = rows.numel(), batch.input_ids_1T.numel()
    training = traces(causal, lambda: _packed_logprobs(policy, batch), tokens[1])
    policy.eval()
    packed = traces(causal, lambda: _packed_logprobs(policy, batch), tokens[1])
    if found := first_difference(training, packed):
        return f"In training mode {found} differs from evaluation: noise that cannot be turned off"
    ours = torch.cat(_columns(samples))
    packed = {name: trace.of(ours) for name, trace in packed.items()}
    batches = [_batch([[sample]]) for pack in samples for sample in pack]
    alone = joined([traces(causal, partial(_packed_logprobs, policy, batch), LENGTH) for batch in batches])
    if found := first_difference(packed, alone):
        return (
            f"{found} treats a completion differently next to its siblings than alone: it carries a state along the "
            "row, or it ignores the position ids"
        )
    causal.set_attn_implementation("eager")
    plain = traces(causal, lambda: body(causal)(input_ids=rows, use_cache=False), tokens[0])
    if found := first_difference(alone, plain):
        return f"{found} differs under the learner's attention and transformers'"
    return ""


def _used_noise(causal: Any, noise: Noise, plain: _Plain, rows: torch.Tensor) -> str:
    """The noise setting that the model also applies in evaluation; if there is none, the remaining cause."""
    causal.set_attn_implementation("eager")
    causal.eval()

    def same() -> bool:
        hidden = body(causal)(input_ids=rows, use_cache=False).last_hidden_state.float()
        return bool((hidden - plain.hidden).abs().max() <= SAME * plain.hidden.abs().max())

    for name, holders in () if same() else noise.items():
        for holder, value in holders:
            setattr(holder, name, value)
        if same():
            return f"It applies {name} ({holders[0][1]}) in evaluation, too, but the learner turns off all noise"
        for holder, value in holders:
            setattr(holder, name, type(value)(0))
    return "The hidden states agree, so the difference comes after them"


def _columns(samples: list[list[Sample]]) -> list[torch.Tensor]:
    """Where the tokens of each sequence are in the packed row."""
    columns, start = [], 0
    for pack in samples:
        prompt = torch.arange(start, start := start + len(pack[0].prompt_ids))
        for sample in pack:
            columns.append(torch.cat([prompt, torch.arange(start, start := start + len(sample.completion_ids))]))
    return columns
