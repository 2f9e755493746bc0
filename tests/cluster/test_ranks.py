"""How learner ranks find each other, and how the loss of one is told from a bug."""

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorUnavailableError, RayActorError

from cluster.ranks import LearnerLost, LearnerRanks, meeting_place
from cluster.services import Start
from cluster.settings import learner_settings
from cluster.transport import make_transport
from cluster.transport.topology import topology_of
from rnr.config import (
    ClusterConfig,
    DeadlineConfig,
    GenerationConfig,
    GrpoConfig,
    ModelConfig,
    OptimizerConfig,
    SyncConfig,
)
from rnr.types import Sample

NODES = [
    {"NodeID": "head", "NodeManagerAddress": "10.0.0.1"},
    {"NodeID": "far", "NodeManagerAddress": "10.0.0.2"},
]


def test_ranks_of_one_node_meet_on_loopback_and_others_at_rank_zeros_node() -> None:
    assert meeting_place(["far"], NODES) == "127.0.0.1"
    assert meeting_place(["head", "head"], NODES) == "127.0.0.1"
    assert meeting_place(["far", "head"], NODES) == "10.0.0.2"
    assert meeting_place(["head", "far", "far"], NODES) == "10.0.0.1"


def test_ranks_that_engines_on_other_hosts_connect_to_meet_at_the_address_of_their_node() -> None:
    assert meeting_place(["far"], NODES, outward=True) == "10.0.0.2"
    assert meeting_place(["head", "head"], NODES, outward=True) == "10.0.0.1"


class Starting:
    """A rank on the host ``far`` that notes where it was to meet the others."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        for method in ("open_store", "start", "__ray_call__"):
            setattr(self, method, SimpleNamespace(remote=partial(self._called, method)))

    async def _called(self, method: str, *arguments: Any) -> Any:
        if method == "__ray_call__":
            return "far"
        self.asked.append((method, *arguments))
        return 4711 if method == "open_store" else SimpleNamespace(notes=(), max_tokens=64)


START = Start(model_folder="", stop_token_id=0, probe=(), learning_rate=lambda *_: 0.0)


def _started(deadlines: DeadlineConfig, *, count: int, transport: str, address: str, monkeypatch) -> list[Any]:
    """What each of ``count`` ranks on one host is asked as it starts."""
    monkeypatch.setattr(ray, "nodes", lambda: NODES)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster = ClusterConfig(address=address, learner_ranks=count, gpus_per_rollout_worker=1, gpus_per_learner_rank=1)
    model, decided = ModelConfig(), (cluster, GenerationConfig())
    chosen = make_transport(SyncConfig.model_validate({"transport": transport}), topology_of(cluster, model))
    settings = learner_settings(START, model, OptimizerConfig(), 0, decided, GrpoConfig(), chosen)
    ranks = [Starting() for _ in range(count)]
    asyncio.run(LearnerRanks(ranks, deadlines=deadlines, max_tokens_per_microbatch=64).start(settings))
    return [[(method, *arguments[-4:]) for method, *arguments in rank.asked] for rank in ranks]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("transport", "cluster", "meet"),
    [
        ("nccl", "10.0.0.1:6379", "10.0.0.2"),  # an engine may be on another host, and NCCL goes where the ranks meet
        ("object_store", "10.0.0.1:6379", "127.0.0.1"),
        ("nccl", "", "127.0.0.1"),  # a Ray of the run's own: nobody else is to reach it
    ],
)
def test_ranks_of_one_host_are_reached_from_others_only_where_engines_there_connect_to_them(
    count, transport, cluster, meet, monkeypatch
) -> None:
    first, *others = _started(
        DeadlineConfig(), count=count, transport=transport, address=cluster, monkeypatch=monkeypatch
    )
    assert first == [("open_store", meet), ("start", meet, 4711, 900.0, 1800.0)]
    assert others == [[("start", meet, 4711, 900.0, 1800.0)]] * (count - 1)


@pytest.mark.parametrize(
    ("deadlines", "collectives"),
    [
        (DeadlineConfig(start=120, save=3600), 3600.0),
        (DeadlineConfig(start=120, update=7200), 7200.0),
        (DeadlineConfig(update=60, save=60, score=5000), 5000.0),
        (DeadlineConfig(start=9000), 9000.0),
    ],
)
def test_a_rank_waits_for_the_others_as_long_as_the_longest_thing_may_take_that_they_do_together(
    deadlines, collectives, monkeypatch
) -> None:
    ((_, start),) = _started(deadlines, count=1, transport="object_store", address="", monkeypatch=monkeypatch)
    assert start == ("start", "127.0.0.1", 4711, deadlines.start, collectives)


def test_a_rank_that_is_late_at_its_start_is_said_to_compile_perhaps(monkeypatch) -> None:
    class Late(Starting):
        async def _called(self, method: str, *arguments: Any) -> Any:
            return await (asyncio.sleep(60) if method == "start" else super()._called(method, *arguments))

    ranks = LearnerRanks([Late()], deadlines=DeadlineConfig(start=0.2), max_tokens_per_microbatch=64)
    said = r"learner rank 0, phase start: no answer within 0\.2 s \(deadlines\.start\)\. A first start .* also compiles"
    with pytest.raises(LearnerLost, match=said):
        asyncio.run(ranks.start(SimpleNamespace(reached_by_engines=False)))  # type: ignore[arg-type]


def _ranks(*outcomes) -> LearnerRanks:
    """Ranks whose ``score`` does what is given: returns a value, or raises an exception after so many seconds."""

    class Handle:
        def __init__(self, outcome) -> None:
            async def score(_sample) -> list[float]:
                seconds, result = outcome
                await asyncio.sleep(seconds)
                if isinstance(result, BaseException):
                    raise result
                return result

            self.score = SimpleNamespace(remote=score)

    return LearnerRanks(list(map(Handle, outcomes)), deadlines=DeadlineConfig(score=5), max_tokens_per_microbatch=64)


DEAD = RayActorError()
RESET = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4711")
SAMPLE = Sample(uid="a", prompt_ids=(1,), completion_ids=(2,))


@pytest.mark.parametrize(
    "outcomes",
    [
        [(0, DEAD), (0.01, RESET)],
        [(0.01, DEAD), (0, RESET)],  # the survivor's error is there before Ray knows of the death
        [(0, RESET), (60, [0.0])],  # Ray has not noticed at all: a cut cable
        [(60, [0.0]), (0, DEAD)],  # the survivor hangs
    ],
)
def test_a_lost_rank_is_told_from_a_bug_whichever_exception_arrives_first(outcomes, monkeypatch) -> None:
    monkeypatch.setattr("cluster.ranks.GRACE_SECONDS", 0.05)
    with pytest.raises(LearnerLost, match=r"learner rank [01], phase score: (the worker died|cut off)"):
        asyncio.run(_ranks(*outcomes).score(SAMPLE))


def test_a_bug_in_a_rank_is_a_bug_although_the_others_wait_for_it(monkeypatch) -> None:
    monkeypatch.setattr("cluster.ranks.GRACE_SECONDS", 0.05)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        asyncio.run(_ranks((0, ZeroDivisionError("a bug")), (60, [0.0])).score(SAMPLE))
    # One rank alone cannot be cut off from another.
    with pytest.raises(RuntimeError, match="Connection closed by peer"):
        asyncio.run(_ranks((0, RESET)).score(SAMPLE))


async def _sent(*items):
    """What a rank sends: each item as soon as the one before is there."""
    for item in items:
        yield item


def _senders(*streams) -> LearnerRanks:
    """Ranks that send what is given."""
    handles = [
        SimpleNamespace(
            send=SimpleNamespace(options=lambda stream=stream, **_: SimpleNamespace(remote=lambda _: stream))
        )
        for stream in streams
    ]
    return LearnerRanks(handles, deadlines=DeadlineConfig(update=0.2), max_tokens_per_microbatch=64)


def _sender(manifest) -> LearnerRanks:
    """A rank that has sent one parcel, and whose host is gone before its manifest is read."""
    return _senders(_sent("parcel", manifest()))


async def _unavailable():
    raise ActorUnavailableError("Socket closed", b"0" * 16)


@pytest.mark.parametrize(
    ("manifest", "why"),
    [(_unavailable, "the worker died"), (lambda: asyncio.sleep(60), r"no answer within 0\.2 s")],
)
def test_a_manifest_that_went_with_its_host_is_a_loss(manifest, why) -> None:
    with pytest.raises(LearnerLost, match=f"learner rank 0, phase send: {why}"):
        asyncio.run(_sender(manifest).send(None))


def test_a_sent_policy_is_its_parcels_and_its_manifest() -> None:
    async def manifest():
        return "manifest"

    assert asyncio.run(_sender(manifest).send(None)) == (("parcel",), "manifest")


async def _failed(error):
    raise error


async def _in_a_collective():
    """A rank that does not notice that another one is gone."""
    await asyncio.sleep(60)
    yield


@pytest.mark.parametrize("lost", [0, 1])
def test_a_rank_that_dies_while_the_others_send_is_named_at_once(lost, monkeypatch) -> None:
    monkeypatch.setattr("cluster.ranks.GRACE_SECONDS", 0.05)
    # As Ray does, which hands the error out as an item of the stream.
    streams = [_in_a_collective(), _in_a_collective()]
    streams[lost] = _sent(_failed(DEAD))
    with pytest.raises(LearnerLost, match=f"learner rank {lost}, phase send: the worker died"):
        asyncio.run(_senders(*streams).send(None))


def test_a_bug_in_a_rank_that_sends_nothing_is_not_passed_over() -> None:
    async def manifest():
        return "manifest"

    with pytest.raises(ZeroDivisionError, match="a bug"):
        asyncio.run(_senders(_sent("parcel", manifest()), _sent(_failed(ZeroDivisionError("a bug")))).send(None))


def test_a_call_of_all_ranks_that_is_given_up_is_cancelled_on_none_of_them(monkeypatch) -> None:
    """One that has begun would wait in a collective for another, from whose queue the call was taken."""
    cancelled: list[Any] = []

    class Reference:
        def __await__(self):
            return asyncio.sleep(60).__await__()

    monkeypatch.setattr("actors.deadline.ray", SimpleNamespace(ObjectRef=Reference, cancel=cancelled.append))
    handles = [SimpleNamespace(reset_optimizer=SimpleNamespace(remote=Reference)) for _ in range(2)]
    ranks = LearnerRanks(handles, deadlines=DeadlineConfig(), max_tokens_per_microbatch=64)

    async def scenario() -> None:
        asked = asyncio.create_task(ranks.reset_optimizer())
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.wait([asked])
        await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert cancelled == []
