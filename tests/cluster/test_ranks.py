"""How learner ranks find each other, and how the loss of one is told from a bug."""

import asyncio
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorUnavailableError, RayActorError

from cluster.ranks import LearnerLost, LearnerRanks, meeting_place
from rnr.config import DeadlineConfig
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
