"""Engines that sleep while the learner trains: who has the GPU when, whoever dies, and what the plan says of it."""

import asyncio
import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("ray")

from cluster import gpus
from cluster.generation import GenerationService
from cluster.loop import StepPlan, grpo
from cluster.memory_plan import Shape, fits, learner_parts, memory_rows, rank_parts
from cluster.placement import decide_gpus
from cluster.planner import Planner, machines_of
from cluster.policy import PolicyService
from cluster.ranks import LearnerLost, RankDied
from cluster.services import Services
from cluster.simulation import Load
from cluster.sleep_mode import resolve_sleep
from learner import device
from learner.settings import LearnerSettings
from rnr.cli import load_config
from rnr.config import (
    ClusterConfig,
    DeadlineConfig,
    GenerationConfig,
    GrpoConfig,
    ModelConfig,
    OptimizerConfig,
    SamplingConfig,
    SyncConfig,
)
from rnr.digest import Manifest
from rnr.faults import WorkerUnusable
from rnr.types import Answer, Example, Group, Prompt, Reward, Sample, ScoredGroup
from scripts import plan
from tests.carriers import rollout

# Turns on one GPU.


class Gpu:
    """What both sides are on: an engine that is awake or being built never meets a learner that holds activations."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.engines: set[str] = set()
        """Those that are built or being built and awake."""
        self.activations = False

    def engine(self, name: str, event: str) -> None:
        assert not self.activations, f"{event} beside a learner that has not made room: {self.log}"
        self.engines.add(name)
        self.log.append(event)

    def train(self, event: str) -> None:
        assert not self.engines, f"{event} beside an engine: {self.log}"
        self.activations = True
        self.log.append(event)


class Remote:
    def __init__(self, call: Any) -> None:
        self.remote = call


class Worker:
    """A rollout worker whose engine sleeps and wakes as vLLM's does."""

    def __init__(self, name: str, gpu: Gpu) -> None:
        self.name, self.gpu, self.asleep, self.dead, self.loaded = name, gpu, False, "", 0
        for method in ("sleep", "load", "score", "generate"):
            setattr(self, method, Remote(getattr(self, f"_{method}")))

    async def _alive(self, method: str) -> None:
        await asyncio.sleep(0)
        if self.dead == "killed":
            raise WorkerUnusable("the worker died")
        if self.dead == f"hangs in {method}":
            await asyncio.sleep(60)

    async def _sleep(self, level: int) -> None:
        await self._alive("sleep")
        self.asleep = True
        self.gpu.engines.discard(self.name)
        self.gpu.log.append(f"sleep {level}")

    async def _load(self, _transport: Any, _version: int, weights: str) -> tuple[str, float]:
        await self._alive("load")
        self.gpu.engine(self.name, f"{'wake, ' if self.asleep else ''}load {weights}")
        self.asleep, self.loaded = False, weights
        return f"digest of {weights}", 0.1

    async def _score(self, probe: Any) -> list[float]:
        await self._alive("score")
        assert not self.asleep
        return [-float(str(self.loaded).removeprefix("weights "))] * (len(probe) - 1)

    async def _generate(self, prompt: Prompt, sampling: Any) -> Group:
        await self._alive("generate")
        assert not self.asleep
        self.gpu.engine(self.name, f"sample from {self.loaded}")
        return Group(prompt=prompt, rollouts=(rollout(str(self.loaded)),) * sampling.count)


class Ranks:
    """Learner ranks whose weights are the number of steps that they were trained."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.steps = gpu, 1

    async def make_room(self) -> None:
        self.gpu.activations = False
        self.gpu.log.append("make room")

    async def sft_step(self, _samples: Any, _rate: float) -> dict[str, float]:
        self.gpu.train("train")
        self.steps += 1
        return {"sft/loss": 1.0}

    async def sft_loss(self, _samples: Any) -> float:
        self.gpu.train("held-out loss")
        return 1.0

    async def grpo_step(self, *_arguments: Any, **_options: Any) -> dict[str, float]:
        self.gpu.train("train")
        await asyncio.sleep(0.02)  # whoever started an engine meanwhile would be seen
        assert not self.gpu.engines, self.gpu.log
        self.steps += 1
        return {"actor/pg_loss": 0.5}

    async def save(self, _folder: str) -> None:
        self.gpu.log.append("save")

    async def send(self, _transport: Any) -> tuple[tuple[str, ...], Manifest]:
        weights = f"weights {self.steps}"
        self.gpu.log.append(f"publish {weights}")
        return (weights,), Manifest(digest=f"digest of {weights}", tensors={})

    async def score(self, _sample: Any) -> list[float]:
        return [-float(self.steps)] * 2

    def stop(self) -> None: ...


class Run:
    """The two services of a run on one GPU, with ``size`` rollout workers."""

    def __init__(
        self, monkeypatch, *, size: int = 1, load: float = 5.0, restart: float = 0, offloads: bool = False
    ) -> None:
        monkeypatch.setattr("actors.slots.ray.kill", self._killed)
        monkeypatch.setattr("actors.retries.FIRST_PAUSE", 0.001)
        self.gpu = gpu = Gpu()
        self.workers: dict[str, Worker] = {}
        self.ready_to_start = asyncio.Event()
        self.ready_to_start.set()

        async def build() -> Any:
            gpu.train("build the learner")
            return Ranks(gpu)

        nothing: Any = None
        self.policy = PolicyService(
            build,
            grpo=GrpoConfig(),
            sampling=SamplingConfig(),
            learning_rate=lambda *_: 1.0,
            transport=nothing,
            probe=(1, 2, 3),
            engines_sleep=lambda: self.generation.sleep(),
            offloads=offloads,
        )
        self.generation = GenerationService(
            self._spawn,
            size=size,
            capacity=4,
            sampling=SamplingConfig(samples_per_prompt=2),
            sync=SyncConfig(),
            deadlines=DeadlineConfig(load=load, restart=restart),
            probe=(1, 2, 3),
            seed=0,
            sleep_level=2,
            make_room=self.policy.make_room,
        )

    async def _spawn(self, name: str) -> Worker:
        await self.policy.make_room()
        self.gpu.engine(name, f"start {name}")
        await self.ready_to_start.wait()
        self.workers[name] = Worker(name, self.gpu)
        return self.workers[name]

    def _killed(self, worker: Worker) -> None:
        worker.dead = "killed"
        self.gpu.engines.discard(worker.name)

    async def start(self) -> None:
        """As a run starts: the policy, then the engines, then version 0."""
        await self.policy.start()
        await self.generation.start()
        await self.hand_on()

    async def hand_on(self) -> None:
        await self.generation.adopt(await self.policy.publish())

    async def step(self) -> dict[str, float]:
        sample = Sample(uid="a", prompt_ids=(1,), completion_ids=(2,), logprobs=(-1.0,), advantages=(1.0,))
        return await self.policy.update([sample], step=0, sampled=1)

    def since(self, event: str) -> list[str]:
        """What happened after this, the last time."""
        return self.gpu.log[len(self.gpu.log) - self.gpu.log[::-1].index(event) :]


def _prompt(number: int = 0) -> Prompt:
    return Prompt(example=Example(uid=f"p{number}", sentence="x", schema=("a",), mentions=()), token_ids=(1,))


STARTED = ["build the learner", "make room", "start rollout-0.0", "publish weights 1", "make room", "load weights 1"]


def test_over_two_steps_of_grpo_engines_are_awake_while_they_sample_and_asleep_while_the_learner_trains(
    monkeypatch,
) -> None:
    run, metrics = Run(monkeypatch), []

    class Scoring:
        async def score(self, group: Group) -> ScoredGroup:
            answers = (Answer(reasoning=None, mentions=()),) * 2
            return ScoredGroup(group=group, rewards=(Reward(total=1.0), Reward(total=0.0)), answers=answers)

    async def record(step: int, _groups: Any, _batch: Any, found: dict[str, float]) -> None:
        metrics.append(found)
        if step == 0:
            await run.generation.greedy([_prompt(9)], max_new_tokens=4)  # an evaluation

    async def scenario() -> None:
        from rewards.advantage import training_batch

        await run.start()
        await grpo(
            range(2),
            (_prompt(number) for number in itertools.count()),
            plan=StepPlan(prompts_per_step=1, dynamic_sampling_rounds=0, max_staleness=0),
            generation=run.generation,
            scoring=Scoring(),
            policy=run.policy,
            record=record,
            to_batch=lambda groups: training_batch(groups, GrpoConfig(), {}),
            on_phase=lambda _step, _phase: None,
        )

    asyncio.run(scenario())
    step = ["sleep 2", "train", "publish weights {}", "make room", "wake, load weights {}"]
    assert run.gpu.log == [
        *STARTED,
        "sample from weights 1",
        *(event.format(2) for event in step),
        "sample from weights 2",  # the evaluation: the engine stays awake for the next step
        "sample from weights 2",
        *(event.format(3) for event in step),
    ]
    assert all(found["timing_s/sleep"] >= 0 for found in metrics)


def test_sft_steps_and_held_out_losses_put_an_engine_to_sleep_once(monkeypatch) -> None:
    run = Run(monkeypatch)

    async def scenario() -> None:
        await run.start()
        for step in range(2):
            await run.policy.sft_step([], step)
            await run.policy.held_out_loss([])
        await run.hand_on()

    asyncio.run(scenario())
    trained = ["train", "held-out loss"] * 2
    assert run.since("load weights 1") == [
        "sleep 2",
        *trained,
        "publish weights 3",
        "make room",
        "wake, load weights 3",
    ]


def test_an_engine_that_is_asked_while_it_sleeps_has_the_newest_policy_loaded_once_more(monkeypatch) -> None:
    run = Run(monkeypatch)

    async def scenario() -> None:
        await run.start()
        await run.step()
        await run.generation.generate(_prompt())

    asyncio.run(scenario())
    assert run.since("train") == ["make room", "wake, load weights 1", "sample from weights 1"]


@pytest.mark.parametrize(
    ("offloads", "events"), [(True, ["sleep 2", "save", "make room", "wake, load weights 1"]), (False, ["save"])]
)
def test_a_checkpoint_that_brings_the_optimizer_to_the_gpu_puts_engines_to_sleep_too(
    monkeypatch, offloads, events
) -> None:
    run = Run(monkeypatch, offloads=offloads)

    async def scenario() -> None:
        await run.start()
        await run.policy.save("folder")
        await run.generation.generate(_prompt())

    asyncio.run(scenario())
    assert run.since("load weights 1") == [*events, "sample from weights 1"]


@pytest.mark.parametrize("died", ["killed", "hangs in sleep"])
def test_a_worker_that_is_lost_as_it_falls_asleep_is_replaced_when_the_learner_is_done(monkeypatch, died) -> None:
    run = Run(monkeypatch, load=0.05)

    async def scenario() -> Group:
        await run.start()
        run.workers["rollout-0.0"].dead = died
        run.gpu.engines.discard("rollout-0.0")
        await run.step()
        await run.hand_on()
        return await run.generation.generate(_prompt())

    group = asyncio.run(scenario())
    assert run.since("load weights 1") == [
        "train",
        "publish weights 2",
        "make room",
        "start rollout-0.1",
        "make room",
        "load weights 2",
        "sample from weights 2",
    ]
    assert group.rollouts[0].text == "weights 2"
    assert run.generation.pool.restarts == 1


def test_a_worker_that_is_found_lost_while_the_learner_makes_room_for_it_is_replaced(monkeypatch) -> None:
    run = Run(monkeypatch, restart=60)

    async def scenario() -> Group:
        await run.start()
        await run.step()
        await run.policy.publish()
        make_room = run.generation._make_room

        async def lost_meanwhile() -> None:
            run.generation._make_room = make_room
            run.generation.pool._discard(run.generation.pool.slots[0], 0)

        run.generation._make_room = lost_meanwhile
        await run.hand_on()
        return await run.generation.generate(_prompt())

    assert asyncio.run(scenario()).rollouts[0].text == "weights 2"
    assert run.generation.pool.restarts == 1


def test_a_worker_that_is_killed_in_its_sleep_is_replaced_by_one_that_is_awake(monkeypatch) -> None:
    run = Run(monkeypatch)

    async def scenario() -> None:
        await run.start()
        await run.step()
        run.workers["rollout-0.0"].dead = "killed"
        await run.hand_on()
        await run.generation.generate(_prompt())

    asyncio.run(scenario())
    assert run.since("publish weights 2") == [
        "make room",  # for the load that finds it dead
        "make room",
        "start rollout-0.1",
        "make room",
        "load weights 2",
        "sample from weights 2",
    ]


def test_a_learner_that_is_lost_together_with_the_engine_beside_it_is_rebuilt_and_not_waited_for(monkeypatch) -> None:
    run = Run(monkeypatch, restart=2)

    async def make_room() -> None:
        raise RankDied("learner rank 0, phase make_room: the worker died")

    async def scenario() -> None:
        await run.start()
        await run.generation.generate(_prompt())
        run.workers["rollout-0.0"].dead = "killed"  # the host of both is gone
        run.policy.ranks.make_room = make_room
        with pytest.raises(LearnerLost, match="phase make_room"):
            await run.generation.generate(_prompt())

    asyncio.run(scenario())


def test_the_learner_waits_for_an_engine_that_is_just_starting_and_it_falls_asleep_too(monkeypatch) -> None:
    run = Run(monkeypatch, size=2)

    async def scenario() -> None:
        await run.start()
        run.ready_to_start.clear()
        slot = run.generation.pool.slots[1]
        run.generation.pool._discard(slot, slot.generation)  # lost; the other one answers what there is
        await asyncio.sleep(0.01)
        training = asyncio.create_task(run.step())
        await asyncio.sleep(0.05)
        assert "train" not in run.gpu.log
        run.ready_to_start.set()
        await asyncio.wait_for(training, 5)
        await run.hand_on()

    asyncio.run(scenario())
    # The other one falls asleep meanwhile; the new one comes up as it always does.
    assert run.since("start rollout-1.1")[:5] == ["sleep 2", "make room", "load weights 1", "sleep 2", "train"]
    assert run.gpu.log.count("wake, load weights 2") == 2


def test_ranks_are_rebuilt_while_engines_sleep_and_these_wake_to_what_is_published_then(monkeypatch) -> None:
    run = Run(monkeypatch)

    async def scenario() -> None:
        await run.start()
        run.gpu.activations = False
        await run.policy.start()
        await run.hand_on()

    asyncio.run(scenario())
    assert run.since("load weights 1") == [
        "sleep 2",
        "build the learner",
        "publish weights 1",
        "make room",
        "wake, load weights 1",
    ]


@pytest.mark.parametrize(
    ("in_turn", "order"),
    [(True, ["policy begins", "policy is up", "generation begins"]), (False, ["policy begins", "generation begins"])],
)
def test_engines_that_share_its_gpus_start_once_the_learner_is_up(in_turn, order) -> None:
    log: list[str] = []

    class Service:
        def __init__(self, name: str) -> None:
            self.name = name

        async def start(self) -> None:
            log.append(f"{self.name} begins")
            await asyncio.sleep(0.01)
            log.append(f"{self.name} is up")

    class Status:
        async def started(self, _name: str, starting: Any) -> None:
            await starting

    services: Any = Services(**{name: Service(name) for name in ("policy", "generation", "scoring")})  # type: ignore[arg-type]
    asyncio.run(services.start(Status(), policy_first=in_turn))
    assert log[: len(order)] == order


# The plan.

SMALL = Shape(weights=596e6, layers=28, hidden=1024, intermediate=3072, query=2048, key=1024)
"""Qwen3-0.6B: 16.05 GiB of a learner rank that shares its GPU: weights 1.11, gradients 3.33, optimizer 6.66,
activations of 2,048 tokens 2.84, weights for the engine 1.11, libraries 1."""


def _decided(has: float, *, shape: Shape = SMALL, sleep: str = "auto", gpus: float = 1.0, **sections: Any) -> Any:
    generation = GenerationConfig.model_validate({"sleep": sleep})
    cluster, generation = decide_gpus(sections.get("cluster", ClusterConfig()), generation, gpus)
    learner: Any = [sections.get(name, make()) for name, make in DEFAULTS.items()]
    model, _, grpo = learner
    parts = rank_parts(shape, *learner, cluster, SyncConfig())
    generation = resolve_sleep(parts, generation, cluster, grpo, lora=model.lora_rank > 0, has=has)
    return generation, lambda: dict(memory_rows(shape, parts, model, generation, cluster, has=has))


DEFAULTS = {"model": ModelConfig, "optimizer": OptimizerConfig, "grpo": GrpoConfig}


@pytest.mark.parametrize(
    ("has", "level"),
    [
        (80.0, 0),  # beside an engine a rank has 48
        (27.0, 0),  # 16.2
        (24.0, 2),  # 14.4; by turns 0.95 * 24 - 2.5 = 20.3, and at rest 13.2 beside the engine's 9.6
        (22.1, 2),  # at rest 13.2 + 8.84 = 22.05
        (21.9, 0),  # 13.2 + 8.76 = 21.97: refused, as without sleep
    ],
)
def test_engines_sleep_where_both_fit_by_turns_and_not_side_by_side(has, level) -> None:
    generation, _ = _decided(has)
    assert generation.sleep_level == level
    assert _decided(has, sleep="off")[0].sleep_level == 0
    assert _decided(has, gpus=2.0)[0].sleep_level == 0  # a GPU each
    assert _decided(has, grpo=GrpoConfig(max_staleness=1))[0].sleep_level == 0
    assert _decided(has, cluster=ClusterConfig(rollout_workers="1..2"))[0].sleep_level == 0


def test_the_plan_says_at_which_level_engines_sleep_and_why_and_what_each_phase_holds() -> None:
    _, rows = _decided(24.0)
    found = rows()
    assert found["GPU memory of a learner rank"].endswith("libraries 1.0 = 16.1 of 20.3 GiB")
    assert found["engines sleep"] == (
        "level 2 while the learner trains, 2.5 GiB each: beside an engine a rank would have only 14.4"
    )
    assert found["GPU memory while engines sample"] == ("engine 9.6 + idle learner 13.2 = 22.8 of 24.0 GiB")
    assert "engines sleep" not in _decided(80.0)[1]()
    assert _decided(80.0, sleep="level1")[1]()["engines sleep"].endswith("as generation.sleep asks")


def test_what_fits_neither_way_is_refused_as_without_sleep() -> None:
    with pytest.raises(ValueError, match=r"a learner rank needs .* = 16\.1 of 12\.0 GiB: set model\.gradient_check"):
        _decided(20.0)[1]()
    # Asked for: 0.95 * 20 - 2.5 = 16.5 is enough to train, but 13.2 and 8 are more than 20.
    with pytest.raises(ValueError, match=r"the idle learner beside it need engine 8\.0 .* = 21\.2 of 20\.0 GiB"):
        _decided(20.0, sleep="level2")[1]()


def test_an_adapters_engine_keeps_its_weights_on_the_host() -> None:
    # 16,384 tokens keep 22.8 GiB: 25.2 in all, beside an engine 24, by turns 35.5.
    sections = {"model": ModelConfig(lora_rank=8), "optimizer": OptimizerConfig(max_tokens_per_microbatch=16384)}
    assert _decided(40.0, **sections)[0].sleep == "level1"
    with pytest.raises(ValueError, match=r'generation\.sleep="level2": .* only adapters are sent: level1 keeps them'):
        _decided(40.0, sleep="level2", **sections)


@pytest.mark.parametrize(
    ("gpus", "sections", "why"),
    [
        (0.0, {}, "engines on CPUs hold no GPU memory to release"),
        (2.0, {}, r"no engine shares a GPU .*gpus_per_rollout_worker=1, .*learner_rank=1; 0\.5 and 0\.5 would"),
        (1.0, {"grpo": GrpoConfig(max_staleness=1)}, "while the learner trains: set grpo.max_staleness=0"),
        (
            1.0,
            {"cluster": ClusterConfig(rollout_workers="1..4")},
            r"learner_ranks is 1, cluster\.rollout_workers 1\.\.4: set both to 1",
        ),
        (
            2.0,
            {"cluster": ClusterConfig(rollout_workers=2, learner_ranks=1)},
            "learner_ranks is 1, cluster.rollout_workers 2: set both",
        ),
    ],
)
def test_a_level_that_cannot_be_is_refused_by_name(gpus, sections, why) -> None:
    with pytest.raises(ValueError, match=rf'generation\.sleep="level1": .*{why}.*"auto" picks a level that fits'):
        _decided(80.0, sleep="level1", gpus=gpus, **sections)


def test_what_waits_in_a_cluster_that_is_not_joined_is_not_refused() -> None:
    generation = GenerationConfig(sleep="level2")
    assert resolve_sleep(None, generation, ClusterConfig(), GrpoConfig(), lora=False, has=0.0).sleep_level == 2


def test_the_plan_of_a_run_counts_sleep_and_refuses_it_on_a_cpu(tiny_model, colours, monkeypatch, capsys) -> None:
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", "--generation.sleep=level2"]
    assert plan.main(options) == 2
    assert 'generation.sleep="level2": engines on CPUs' in capsys.readouterr().err
    monkeypatch.setattr("scripts.plan_output.local_resources", lambda: {"CPU": 4.0, "GPU": 1.0})
    monkeypatch.setattr("cluster.gpus.local_gpus", lambda: [gpus.Gpu(name="RTX 4090", gib=24.0, capability=8.9)])
    assert plan.main([*options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"]["generation"]["sleep"] == "level2"
    assert found["plan"]["engines sleep"][0].startswith("level 2 while the learner trains")


def test_divisions_of_gpus_count_the_larger_phase_where_engines_sleep() -> None:
    # 4 GiB of weights, 8 MiB of a token: 4 + 12 + 24 + 16 + 4 for the engine + 1 = 61 of 48 beside an engine, and of
    # 73.5 by turns; at rest 45 + 32 of 80.
    shape = Shape(weights=2**31, layers=1, hidden=0, intermediate=2**20, query=0, key=1)
    machine, count = machines_of("h100:1")

    def divisions(**sections: Any) -> list[Any]:
        config = load_config(None, [f"--{name}={value}" for name, value in sections.items()])
        branches = {name: getattr(config, name) for name in ("model", "optimizer", "generation", "grpo", "sync")}
        load = Load(prompts=2, samples=2, prompt_tokens=10, tokens=10, spread=0.0)
        return list(Planner(shape, machine, load, **branches, gpus_per_engine=1, measured=None).divisions(count))

    (asleep,) = divisions()
    assert (asleep.sleep_level, asleep.learner_gib) == (2, pytest.approx(61.0))
    assert asleep.outcome is not None
    (awake,) = divisions(**{"generation.sleep": "off"})
    assert (awake.sleep_level, awake.outcome) == (0, None)


def test_a_micro_batch_has_the_room_that_an_engine_leaves_which_sleeps(monkeypatch) -> None:
    class Policy:
        def parameters(self) -> list[Any]:
            return []

    monkeypatch.setattr(device, "bytes_per_token", lambda *_: 2.0 * 2**20)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (80 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 0)

    def tokens(asleep: float) -> int:
        settings = LearnerSettings(
            model_folder="m",
            model=ModelConfig(),
            optimizer=OptimizerConfig(),
            seed=0,
            gpu_memory_share=0.95,
            gpu_gib_asleep=asleep,
        )
        policy: Any = Policy()
        there: Any = SimpleNamespace(type="cuda")
        arrange: Any = None
        return device._max_tokens(policy, there, settings, arrange, 1, [])

    # 0.7 * 76 GiB / 2 MiB = 27,238 tokens and 0.7 * 73.5 = 26,342, in steps of 1,024.
    assert (tokens(0.0), tokens(2.5)) == (26_624, 25_600)


def test_at_rest_a_rank_is_all_but_its_activations() -> None:
    parts = learner_parts(SMALL, ModelConfig(), OptimizerConfig(), ranks=1, reference=False, copies=1)
    cluster = ClusterConfig(gpus_per_rollout_worker=0.5, gpus_per_learner_rank=0.5)
    asleep = GenerationConfig(sleep="level2", gpu_memory_fraction=0.4)
    # 16.05 of 0.95 * has - 2.5, and 13.2 + 0.4 * has of has: the second is what decides.
    assert [fits(parts, asleep, cluster, has) for has in (21.9, 22.1)] == [False, True]
