"""Two ranks, one of them killed in the middle of an update: always a loss, never a bug, and the next ranks start.

``RNR_KILLS=20 pytest tests/end_to_end/test_lost_ranks.py`` kills more often than the two times of the suite.
"""

import asyncio
import os
import random
import signal

import pytest
import ray

from cluster.placement import threads_per_worker
from cluster.policy import PolicyService
from cluster.ranks import LearnerLost, LearnerRanks
from cluster.ray_session import session
from cluster.transport.object_store import ObjectStore
from cluster.workers import RayWorkers, Reservations
from learner.settings import LearnerSettings
from rnr.config import (
    ClusterConfig,
    DeadlineConfig,
    GrpoConfig,
    ModelConfig,
    OptimizerConfig,
    SamplingConfig,
)
from rnr.types import Sample

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("RNR_KILLS", "2"))


def _samples() -> list[Sample]:
    draw = random.Random(0)
    return [
        Sample(
            uid=str(number),
            prompt_ids=tuple(draw.randrange(100, 40000) for _ in range(40)),
            completion_ids=tuple(draw.randrange(100, 40000) for _ in range(200)),
            logprobs=(-10.0,) * 200,
            advantages=(draw.uniform(-1, 1),) * 200,
        )
        for number in range(16)
    ]


def _policy(folder: str) -> PolicyService:
    cluster = ClusterConfig(learner_ranks=2)
    optimizer = OptimizerConfig(max_tokens_per_microbatch=512)
    settings = LearnerSettings(model_folder=folder, model=ModelConfig(), optimizer=optimizer, seed=0)
    workers = RayWorkers(cluster, DeadlineConfig(update=120, start=300), Reservations({}))

    async def build() -> LearnerRanks:
        return await workers.learner(settings, threads=threads_per_worker(2, [2]))

    async def engines_sleep() -> dict[str, float]:
        return {}

    return PolicyService(
        build,
        grpo=GrpoConfig(),
        sampling=SamplingConfig(),
        learning_rate=lambda _stage, _step: 1e-4,
        transport=ObjectStore(),
        probe=range(1000, 1040),
        engines_sleep=engines_sleep,
    )


async def _kill_in_an_update(policy: PolicyService, victim: int, seconds: float) -> None:
    handle = policy.ranks._handles[victim]
    pid = await handle.__ray_call__.remote(lambda _worker: os.getpid())
    update = asyncio.create_task(policy.update(_samples(), step=0, sampled=16))
    await asyncio.sleep(seconds)
    assert not update.done()
    os.kill(pid, signal.SIGKILL)
    await update


def test_a_rank_that_is_killed_is_a_loss_every_time_and_the_policy_is_rebuilt(tiny_model) -> None:
    async def work() -> list[str]:
        policy, chance, losses = _policy(str(tiny_model)), random.Random(0), []
        try:
            for number in range(KILLS):
                await policy.start()
                metrics = await policy.update(_samples(), step=0, sampled=16)
                assert metrics["actor/grad_norm"] > 0
                with pytest.raises(LearnerLost) as lost:
                    await _kill_in_an_update(policy, number % 2, chance.uniform(0.0, 0.3))
                losses.append(str(lost.value))
        finally:
            policy.stop()
        return losses

    with session(seconds=120, num_cpus=2):
        losses = asyncio.run(work())
        assert ray.is_initialized()
    print("\n".join(losses))
    assert len(losses) == KILLS
