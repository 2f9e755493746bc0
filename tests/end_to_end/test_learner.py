"""The learner under real DeepSpeed, in Ray actors: every way of splitting a batch gives the same step."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import ray

from cluster.ranks import LearnerLost, LearnerRanks
from cluster.ray_session import session
from cluster.transport.object_store import ObjectStore
from learner.settings import LearnerSettings
from learner.worker import LearnerWorker
from rnr.config import DeadlineConfig, GrpoConfig, ModelConfig, OptimizerConfig
from rnr.types import Sample

pytestmark = pytest.mark.slow

ONE = "one rank, ZeRO 1, one micro-batch"
LAYOUTS = {
    ONE: (1, 1, 100_000),
    "one rank, ZeRO 0, many micro-batches": (1, 0, 40),
    "two ranks, ZeRO 0": (2, 0, 60),
    "two ranks, ZeRO 1, offloaded": (2, 1, 60),
    "two ranks, ZeRO 2": (2, 2, 60),
    "two ranks, ZeRO 3, offloaded": (2, 3, 60),
}
"""Ranks, ZeRO stage, tokens of a micro-batch."""

OPTIONS = {"learning_rate": 1e-3, "temperature": 1.3, "max_new_tokens": 30, "sampled": 7}
"""Of a GRPO step."""


@pytest.fixture(scope="module")
def local_ray():
    with session(
        seconds=120, num_cpus=2, env_vars={"DS_ACCELERATOR": "cpu", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ):
        yield


def samples():
    """Seven sequences of unequal length; the sampler's log-probabilities are far from the policy's on purpose. Two are
    restricted to some ids here and there, and forced in places."""
    draw = random.Random(0)
    free = [
        Sample(
            uid=str(number),
            prompt_ids=tuple(draw.randrange(100, 40000) for _ in range(3 + number)),
            completion_ids=tuple(draw.randrange(100, 40000) for _ in range(4 + 3 * number)),
            logprobs=tuple(-10.8 + draw.random() for _ in range(4 + 3 * number)),
            advantages=tuple(draw.uniform(-1, 1) for _ in range(4 + 3 * number)),
        )
        for number in range(7)
    ]
    return [_restricted(sample) if number in (1, 4) else sample for number, sample in enumerate(free)]


def _restricted(sample):
    others = ((), (7, 300, 9), (), None)
    allowed = [
        (token,) if (more := others[place % 4]) is None else (token, *more) if more else ()
        for place, token in enumerate(sample.completion_ids)
    ]
    return replace(sample, allowed=tuple(allowed))


def not_started(ranks, max_tokens):
    actor = ray.remote(LearnerWorker).options(num_cpus=0.5)
    handles = [actor.remote(rank=rank, world_size=ranks, threads=1) for rank in range(ranks)]
    return LearnerRanks(handles, deadlines=DeadlineConfig(), max_tokens_per_microbatch=max_tokens)


async def with_group(model, layout, work, lora_rank=0, *, offload=False):
    """What ``work(group)`` returns for a learner of this layout; the ranks are gone afterwards."""
    ranks, stage, max_tokens = layout
    group = not_started(ranks, max_tokens)
    try:
        await group.start(
            LearnerSettings(
                model_folder=str(model),
                model=ModelConfig(lora_rank=lora_rank, lora_alpha=16, gradient_checkpointing=bool(lora_rank)),
                optimizer=OptimizerConfig(zero_stage=stage, offload=offload),
                seed=0,
            )
        )
        return await work(group)
    finally:
        group.stop()


async def some_steps(group):
    """(metrics of an SFT step with the loss after it, of a GRPO step with KL, of one with two mini-batches and two
    epochs as well, scores after them)."""
    sft = await group.sft_step(samples(), 1e-4)
    sft["held out"] = await group.sft_loss(samples())
    await group.freeze_reference()
    once, often = GrpoConfig(kl_coefficient=0.1), GrpoConfig(kl_coefficient=0.1, mini_batches=2, epochs=2)
    options = OPTIONS | {"learning_rate": 1e-4}
    first = await group.grpo_step(samples(), once, **options)
    return sft, first, await group.grpo_step(samples(), often, **options), await group.score(samples()[3])


async def two_steps(group):
    """The bytes of all weights after two GRPO steps."""
    for _ in range(2):
        await group.grpo_step(samples(), GrpoConfig(mini_batches=2), **OPTIONS)
    buckets = [await reference for reference in (await group.send(ObjectStore()))[0]]
    return {name: bits.tobytes() for bucket in buckets for name, bits in bucket.items()}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What the learner of a layout did from its start to its end."""

    steps: tuple
    """Of ``some_steps``."""
    saved: Path
    """Its state some steps later."""
    weights: dict[str, bytes]
    """After ``two_steps`` from there."""


@pytest.fixture(scope="module")
def trained(local_ray, tiny_model, tmp_path_factory):
    """Layout -> what its learner did: one learner each, for all that does not need another."""

    async def work(group, saved):
        steps = await some_steps(group)
        await group.sft_step(samples(), 1e-3)
        await group.save(str(saved))
        return Trained(steps=steps, saved=saved, weights=await two_steps(group))

    return {
        name: asyncio.run(
            with_group(
                tiny_model,
                layout,
                partial(work, saved=tmp_path_factory.mktemp("state") / "state"),
                offload=name.endswith("offloaded"),
            )
        )
        for name, layout in LAYOUTS.items()
    }


def test_any_split_into_micro_batches_and_ranks_gives_the_same_step(trained):
    results = {name: each.steps for name, each in trained.items()}
    expected_sft, expected_first, expected_often, expected_scores = results[ONE]
    assert expected_sft["held out"] < expected_sft["sft/loss"]
    assert expected_first["actor/kl_loss"] == expected_first["actor/ppo_kl"] == 0  # nothing has changed since
    assert expected_often["actor/ppo_kl"] != 0  # the second update is off-policy, so old log-probabilities were used
    assert expected_often["actor/kl_loss"] > 0
    for name, (sft, first, often, scores) in results.items():
        assert sft["sft/loss"] == pytest.approx(expected_sft["sft/loss"], rel=2e-3), name
        assert sft["held out"] == pytest.approx(expected_sft["held out"], rel=2e-3), name
        assert sft["actor/grad_norm"] == pytest.approx(expected_sft["actor/grad_norm"], rel=2e-2), name
        assert first["actor/grad_norm"] == pytest.approx(expected_first["actor/grad_norm"], rel=2e-2), name
        assert first["actor/pg_loss"] == pytest.approx(expected_first["actor/pg_loss"], rel=2e-2), name
        assert first["actor/kl_loss"] == first["actor/ppo_kl"] == 0, name
        assert often["actor/grad_norm"] == pytest.approx(expected_often["actor/grad_norm"], rel=1e-1), name
        difference = sum(abs(ours - theirs) for ours, theirs in zip(scores, expected_scores, strict=True)) / len(scores)
        assert difference < 0.05, name  # Adam turns the rounding of tiny gradients into whole steps


def test_an_adapter_is_trained_saved_and_sent_alone(local_ray, tiny_model, tmp_path):
    async def work(group):
        before = await group.score(samples()[3])
        await group.sft_step(samples(), 1e-2)
        trained = await group.score(samples()[3])
        await group.save(str(tmp_path / "state"))
        buckets = [await reference for reference in (await group.send(ObjectStore()))[0]]
        await group.freeze_reference()
        kl = [await group.grpo_step(samples(), GrpoConfig(kl_coefficient=0.1), **OPTIONS) for _ in range(2)]
        further = await group.score(samples()[3])
        await group.load(str(tmp_path / "state"))
        again = await group.score(samples()[3])
        await group.export(str(tmp_path / "export"), {"asked.json": "{}"})
        return before, trained, [metrics["actor/kl_loss"] for metrics in kl], further, again, buckets

    before, trained, kl, further, again, buckets = asyncio.run(with_group(tiny_model, (1, 1, 200), work, lora_rank=8))
    # The reference is the adapter after the warm start: neither the base model nor the adapter as it is by now.
    assert kl[0] == pytest.approx(0, abs=1e-6)
    assert kl[1] > 1e-5
    assert sum(trained) != pytest.approx(sum(before), abs=1e-3)
    assert sum(further) != pytest.approx(sum(trained), abs=1e-3)
    assert again == trained
    assert all("lora_" in name for bucket in buckets for name in bucket)
    assert (tmp_path / "export" / "asked.json").read_text() == "{}"
    assert exported_scores(tmp_path / "export") == pytest.approx(trained, abs=0.15)


@pytest.mark.parametrize(
    ("name", "offload"),
    [
        (ONE, False),
        ("one rank, ZeRO 0, many micro-batches", True),
        ("two ranks, ZeRO 1, offloaded", False),
        ("two ranks, ZeRO 2", True),
        ("two ranks, ZeRO 3, offloaded", False),
    ],
)
def test_a_new_learner_takes_the_steps_after_a_save_bit_for_bit_whichever_of_the_two_is_offloaded(
    name, offload, local_ray, trained, tiny_model
):
    async def work(group):
        await group.load(str(trained[name].saved))
        return await two_steps(group)

    assert asyncio.run(with_group(tiny_model, LAYOUTS[name], work, offload=offload)) == trained[name].weights


def exported_scores(folder):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    sample = samples()[3]
    ids = torch.tensor([sample.prompt_ids + sample.completion_ids])
    logprobs = model(ids).logits[0].log_softmax(-1)
    first = len(sample.prompt_ids) - 1
    return [logprobs[first + place, token].item() for place, token in enumerate(sample.completion_ids)]


def test_a_lost_rank_is_reported_with_its_phase(local_ray):
    group = not_started(1, 200)
    (handle,) = group._handles
    ray.get(handle.__ray_ready__.remote())
    ray.kill(handle)
    with contextlib.suppress(ray.exceptions.RayActorError):
        while True:  # Ray kills when it comes to it; until then the worker answers
            ray.get(handle.__ray_ready__.remote())
    with pytest.raises(LearnerLost, match=r"learner rank 0, phase score: the worker died"):
        asyncio.run(group.score(samples()[0]))
