"""New weights in a running vLLM engine, and the checks that tell whether they arrived. Tests that ask the same of an
engine share one: each publishes a policy of its own, whose number no other has."""

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from actors.engine import EngineSettings, Sampling
from actors.rollout import RolloutWorker
from actors.vllm_engine import EXTENSION, VllmEngine
from cluster.generation import GenerationService, WeightSyncError
from cluster.policy import Published
from cluster.transport.nccl import Nccl
from cluster.transport.object_store import ObjectStore
from rnr.config import DeadlineConfig, GenerationConfig, ModelConfig, SamplingConfig, SyncConfig
from rnr.digest import Manifest, weights_digest
from rnr.types import Example, Prompt

pytestmark = pytest.mark.slow

PROBE = tuple(range(1000, 1040))
BROKEN = "tests.end_to_end.broken_receiver"


@pytest.fixture(autouse=True)
def no_actors(monkeypatch):
    monkeypatch.setattr("actors.slots.ray.kill", lambda _handle: None)


class Local:
    """A worker in this process that is called like a Ray actor."""

    def __init__(self, worker):
        self._worker = worker

    def __getattr__(self, method):
        return SimpleNamespace(remote=getattr(self._worker, method))


def worker_of(folder, lora_rank=0, extension=EXTENSION):
    settings = EngineSettings(
        model_folder=str(folder),
        stop_token_id=2,
        model=ModelConfig(context_tokens=256, lora_rank=lora_rank, lora_alpha=16),
        generation=GenerationConfig(max_num_seqs=8, gpu_memory_fraction=0.3),
        threads=2,
        gpus=float(torch.cuda.is_available()),
        seed=0,
    )
    return RolloutWorker(VllmEngine(settings, extension=extension))


def published_of(folder, number, change, transport=None):
    """A policy whose every weight differs from the folder's by about ``change``, with the scores of the probe."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    torch.manual_seed(number)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * change)
        logits = model(torch.tensor([PROBE])).logits[0, :-1].float()
    chosen = logits.log_softmax(-1)[torch.arange(len(PROBE) - 1), list(PROBE[1:])]
    tensors = [(name, parameter.detach()) for name, parameter in model.named_parameters(remove_duplicate=True)]
    (parcel,) = ObjectStore().send(iter(tensors))
    manifest = Manifest(digest=weights_digest(parcel.items()), tensors={})
    parcels = tuple(transport.send(iter(tensors))) if transport else (parcel,)
    return Published(
        version=6 + number,
        manifest=manifest,
        transport=transport or ObjectStore(),
        parcels=parcels,
        probe_logprobs=tuple(chosen.tolist()),
    )


async def adopt(worker, *policies):
    """Have one worker adopt the policies one after another, the way a run does; the service, and a group sampled at the
    end."""

    async def spawn(name):
        return Local(worker)

    service = GenerationService(
        spawn,
        size=1,
        capacity=8,
        sampling=SamplingConfig(samples_per_prompt=2, max_new_tokens=5),
        sync=SyncConfig(),
        deadlines=DeadlineConfig(restart=0),
        probe=PROBE,
        seed=0,
    )
    # A worker that was lost comes back as the same engine here, which would find nothing left to change.
    service.pool._attempts = 1
    await service.start()
    for published in policies:
        service._newest = published
        await service.pool.start_all()
    prompt = Prompt(
        example=Example(uid="a", sentence="a", schema=("b",), mentions=()), token_ids=tuple(range(500, 520))
    )
    return service, await service.generate(prompt)


@pytest.fixture(scope="module")
def loop():
    """That of all tests: an engine is bound to the event loop in which it was started."""
    with asyncio.Runner() as runner:
        yield runner


@contextmanager
def started(loop, worker):
    loop.run(worker.start())
    try:
        yield worker
    finally:
        loop.run(worker.stop())


@pytest.fixture(scope="module")
def sound(loop, tiny_model):
    with started(loop, worker_of(tiny_model)) as worker:
        yield worker


@pytest.fixture(scope="module")
def broken(loop, tiny_model):
    with started(loop, worker_of(tiny_model, extension=f"{BROKEN}.Broken")) as worker:
        yield worker


def test_new_weights_reach_the_engine_and_are_verified(loop, sound, tiny_model):
    service, group = loop.run(adopt(sound, published_of(tiny_model, 1, 0.05)))
    assert 0 < service.largest_difference < 0.15
    assert [rollout.policy_version for rollout in group.rollouts] == [7, 7]
    assert all(len(rollout.logprobs) == len(rollout.token_ids) for rollout in group.rollouts)


def test_new_weights_reach_the_engine_s_own_process_by_the_code_for_nccl_over_gloo(loop, sound, tiny_model):
    transport = Nccl(backend="gloo", device="cpu")
    policies = [published_of(tiny_model, number, 0.05, transport) for number in (2, 3)]
    service, group = loop.run(adopt(sound, *policies))
    assert 0 < service.largest_difference < 0.15
    assert [rollout.policy_version for rollout in group.rollouts] == [9, 9]


def _fault(loop, worker, fault, *policies):
    loop.run(worker.engine.client.collective_rpc("break_by", args=(fault,)))
    with pytest.raises(ExceptionGroup) as caught:
        loop.run(adopt(worker, *policies))
    (error,) = caught.value.exceptions
    assert isinstance(error, WeightSyncError)
    return str(error)


def test_a_load_that_did_nothing_is_caught_although_the_policy_hardly_moved(loop, broken, tiny_model):
    # Both are within the tolerance of the weights of the folder, so the mean difference alone would pass them.
    policies = [published_of(tiny_model, number, 1e-4) for number in (1, 2)]
    assert "had no effect" in _fault(loop, broken, "loads nothing", *policies)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the fault is one of vLLM's packed CPU layers")
def test_a_sync_that_leaves_the_tied_head_behind_is_caught(loop, broken, tiny_model):
    policy = published_of(tiny_model, 1, 0.05)
    assert "rollout-0 does not sample from version 7" in _fault(loop, broken, "forgets the tied head", policy)


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


async def in_flight(client, count):
    """Wait until so many completions have their first token."""
    requests = client.output_processor.request_states
    async with asyncio.timeout(60):
        while sum(each.detokenizer.num_output_tokens() > 0 for each in requests.values()) < count:
            await asyncio.sleep(0.005)


def test_completions_in_flight_go_on_with_a_new_adapter(loop, tiny_model):
    prompt = Prompt(
        example=Example(uid="a", sentence="a", schema=("b",), mentions=()), token_ids=tuple(range(500, 520))
    )
    long = Sampling(count=4, temperature=1.0, max_new_tokens=200, min_new_tokens=200, seed=0)

    async def work(worker):
        await worker.load(ObjectStore(), 1, adapter(tiny_model, 1))
        first = await worker.score(PROBE)
        flying = asyncio.create_task(worker.generate(prompt, long))
        await in_flight(worker.engine.client, long.count)
        assert not flying.done()
        await worker.load(ObjectStore(), 2, adapter(tiny_model, 2))
        second = await worker.score(PROBE)
        landed = await flying
        return first, second, landed, await worker.generate(prompt, replace(long, count=1))

    with started(loop, worker_of(tiny_model, lora_rank=8)) as worker:
        first, second, landed, later = loop.run(work(worker))
    # The probe tells the two adapters apart, so the second really took the place of the first.
    assert max(abs(ours - theirs) for ours, theirs in zip(first, second, strict=True)) > 0.5
    assert [(len(rollout.token_ids), rollout.policy_version) for rollout in landed.rollouts] == [(200, 1)] * 4
    assert later.rollouts[0].policy_version == 2
