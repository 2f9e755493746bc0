"""New weights in a running vLLM engine, and the probe that tells whether they arrived."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from actors.pool import Pool
from actors.rollout import RolloutSettings, RolloutWorker, Sampling
from cluster.weight_sync import PublishedPolicy, WeightLink, WeightSyncError
from rnr.types import Example, Prompt

pytestmark = pytest.mark.slow

PROBE = tuple(range(1000, 1040))


class Local:
    """A worker in this process that is called like a Ray actor."""

    def __init__(self, worker):
        self._worker = worker

    def __getattr__(self, method):
        return SimpleNamespace(remote=getattr(self._worker, method))


class BrokenWorker(RolloutWorker):
    receiver = "tests.end_to_end.broken_receiver.ForgetsTheTiedHead"


def settings(folder, lora_rank=0):
    return RolloutSettings(
        model_folder=str(folder),
        stop_token_id=2,
        context_tokens=256,
        concurrent_sequences=8,
        kv_cache_gib=1.0,
        gpu_memory_fraction=0.3,
        lora_rank=lora_rank,
        lora_alpha=16,
        threads=2,
        use_gpu=torch.cuda.is_available(),
        seed=0,
    )


def changed_policy(folder):
    """(bucket, the log-probabilities it gives the probe) of a model whose every weight differs from the folder's."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        logits = model(torch.tensor([PROBE])).logits[0, :-1].float()
    chosen = logits.log_softmax(-1)[torch.arange(len(PROBE) - 1), list(PROBE[1:])]
    bucket = {
        name: tensor.view(torch.int16).numpy()
        for name, tensor in model.named_parameters(remove_duplicate=True)
        for tensor in [tensor.detach().contiguous()]
    }
    return bucket, tuple(chosen.tolist())


async def sync(worker, bucket, scores):
    """Publish the policy to one worker the way a run does; returns the link."""
    link = WeightLink(PROBE, tolerance=0.15)

    async def spawn(name):
        await worker.start()
        return Local(worker)

    link.pool = Pool(
        "rollout", spawn=spawn, size=1, leases_per_worker=8, deadline_seconds=300, attempts=1, prepare=link.pull
    )
    link.newest = PublishedPolicy(version=7, buckets=(bucket,), probe_logprobs=scores)
    try:
        await link.pool.everywhere()
        prompt = Prompt(
            example=Example(uid="a", sentence="a", schema=("b",), mentions=()), token_ids=tuple(range(500, 520))
        )
        group = await worker.generate(prompt, Sampling(count=2, temperature=1.0, max_new_tokens=5, seed=0))
        return link, group
    finally:
        await worker.stop()


def test_new_weights_reach_the_engine_and_are_verified(tiny_model):
    bucket, scores = changed_policy(tiny_model)
    link, group = asyncio.run(sync(RolloutWorker(settings(tiny_model)), bucket, scores))
    assert 0 < link.largest_difference < 0.15
    assert [rollout.policy_version for rollout in group.rollouts] == [7, 7]
    assert all(len(rollout.logprobs) == len(rollout.token_ids) for rollout in group.rollouts)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the fault is one of vLLM's packed CPU layers")
def test_a_sync_that_leaves_the_tied_head_behind_is_caught(tiny_model):
    bucket, scores = changed_policy(tiny_model)
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(sync(BrokenWorker(settings(tiny_model)), bucket, scores))
    (error,) = caught.value.exceptions
    assert isinstance(error, WeightSyncError)
    assert "rollout-0 does not sample from version 7" in str(error)


def adapter(folder, seed):
    """A bucket with an adapter of rank 8 that changes the policy a great deal."""
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), lora)
    return {
        name: torch.randn_like(tensor).to(torch.bfloat16).view(torch.int16).numpy()
        for name, tensor in get_peft_model_state_dict(model).items()
    }


def test_completions_in_flight_go_on_with_a_new_adapter(tiny_model):
    prompt = Prompt(
        example=Example(uid="a", sentence="a", schema=("b",), mentions=()), token_ids=tuple(range(500, 520))
    )
    long = Sampling(count=4, temperature=1.0, max_new_tokens=200, min_new_tokens=200, seed=0)

    async def work():
        worker = RolloutWorker(settings(tiny_model, lora_rank=8))
        await worker.start()
        try:
            await worker.load(1, adapter(tiny_model, 1))
            first = await worker.probe(PROBE)
            flying = asyncio.create_task(worker.generate(prompt, long))
            await asyncio.sleep(0.3)
            assert not flying.done()
            await worker.load(2, adapter(tiny_model, 2))
            second = await worker.probe(PROBE)
            landed = await flying
            return first, second, landed, await worker.generate(prompt, replace(long, count=1))
        finally:
            await worker.stop()

    first, second, landed, later = asyncio.run(work())
    # The probe tells the two adapters apart, so the second really took the place of the first.
    assert max(abs(ours - theirs) for ours, theirs in zip(first, second, strict=True)) > 0.5
    assert [(len(rollout.token_ids), rollout.policy_version) for rollout in landed.rollouts] == [(200, 1)] * 4
    assert later.rollouts[0].policy_version == 2
