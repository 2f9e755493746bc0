"""How many rollout workers a run has, by the cluster's room and by hand."""

import asyncio
import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from actors.engine import Sampling
from actors.pool import Pool
from cluster.generation import GenerationService
from cluster.placement import fits, roles, rollout_bundle
from cluster.policy import Published
from cluster.reservations import Reservations
from cluster.scaling import PATIENCE, Autoscaler
from cluster.transport.object_store import ObjectStore
from rnr.cli import load_config
from rnr.config import DeadlineConfig, SamplingConfig, SyncConfig, worker_range
from rnr.digest import Manifest
from rnr.runs.scale import clear_request, request_workers, requested_workers
from rnr.types import Example, Group, Prompt
from scripts.scale import main as scale
from tests.carriers import rollout


class Nodes:
    """A cluster with so many places for rollout workers."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.held: set[str] = set()

    def room(self) -> int:
        return self.places - len(self.held)

    def placed(self, name: str) -> bool:
        return name in self.held

    def ranks_waiting(self) -> int:
        return 0


class Run:
    """A pool of workers that come up as soon as a node has a place for them, and what scales it."""

    def __init__(self, monkeypatch, nodes: Nodes, configured: tuple[int, int]) -> None:
        monkeypatch.setattr("actors.slots.ray.kill", lambda handle: None)
        self.nodes = nodes
        self.time = 0.0
        self.order: Any = None
        self.pool = Pool("rollout", spawn=self._spawn, size=configured[0], capacity=2, on_release=nodes.held.discard)
        self.scaling = Autoscaler(
            pool=self.pool,
            cluster=nodes,
            configured=configured,
            requested_workers=lambda: self.order,
            now=lambda: self.time,
        )

    async def _spawn(self, name: str) -> str:
        slot = name.partition(".")[0]
        while slot not in self.nodes.held:
            if self.nodes.room() > 0:
                self.nodes.held.add(slot)
            await asyncio.sleep(0.001)
        return name

    async def look(self) -> int:
        """How many workers are up once those that have a place are."""
        await self.scaling.look()
        for _ in range(3000):
            up = sum(slot.ready for slot in self.pool.slots)
            if up == min(len(self.pool.slots), self.nodes.places):
                break
            await asyncio.sleep(0.001)
        return up

    def lose(self, *names: str) -> None:
        """Take these workers' node away."""
        for slot in [slot for slot in self.pool.slots if slot.name in names]:
            self.nodes.held.discard(slot.name)
            self.nodes.places -= 1
            self.pool._discard(slot, slot.generation)


def test_a_range_takes_what_the_cluster_has_room_for_and_no_more_than_its_end(monkeypatch, caplog) -> None:
    run = Run(monkeypatch, Nodes(3), (1, 4))

    async def scenario() -> list[int]:
        await run.pool.start_all()
        found = [await run.look()]
        run.nodes.places = 9  # nodes join
        return [*found, await run.look(), await run.look()]

    assert asyncio.run(scenario()) == [3, 4, 4]
    assert caplog.messages == [
        "rollout workers: 1 -> 3 (range 1 to 4)",
        "rollout workers: 3 -> 4 (range 1 to 4)",
    ]


def test_a_worker_whose_node_left_is_given_up_after_a_while_and_comes_back_with_a_node(monkeypatch) -> None:
    run = Run(monkeypatch, Nodes(3), (1, 8))

    async def scenario() -> list[tuple[int, int]]:
        await run.pool.start_all()
        found = []
        for seconds, act in [
            (0, None),
            (1, lambda: run.lose("rollout-1", "rollout-2")),
            (2, None),
            (1 + PATIENCE, None),
            (4 + PATIENCE, None),
            (5 + PATIENCE, lambda: setattr(run.nodes, "places", 2)),
        ]:
            run.time = seconds
            if act:
                act()
            found.append((await run.look(), len(run.pool.slots)))
        return found

    # (up, wanted): two are missed for as long as our patience lasts, then no longer waited for.
    assert asyncio.run(scenario()) == [(3, 3), (1, 3), (1, 3), (1, 3), (1, 1), (2, 2)]


class SharedNodes(Nodes):
    """A cluster whose places are the learner ranks' too; those that wait take the first that is free, as in Ray."""

    def __init__(self, places: int, ranks: int) -> None:
        super().__init__(places)
        self.ranks = ranks

    def room(self) -> int:
        self.ranks_waiting()
        return super().room()

    def ranks_waiting(self) -> int:
        while self.ranks and super().room() > 0:
            self.ranks, self.places = self.ranks - 1, self.places - 1
        return self.ranks


@pytest.mark.parametrize(("fewest", "left", "waiting"), [(1, 2, 0), (3, 3, 1), (4, 4, 2)])
def test_workers_above_the_fewest_make_room_for_ranks_that_lost_their_place(monkeypatch, fewest, left, waiting) -> None:
    # Two nodes of four GPUs: two ranks and two workers on one, four workers on the other.
    nodes = SharedNodes(6, 0)
    run = Run(monkeypatch, nodes, (fewest, 8))

    async def scenario() -> tuple[list[int], int]:
        await run.pool.start_all()
        assert await run.look() == 6
        run.lose("rollout-4", "rollout-5")
        nodes.ranks = 2
        sizes = []
        for _ in range(60):
            run.time += 2
            await run.look()
            sizes.append(len(run.pool.slots))
        return sizes, nodes.ranks_waiting()

    sizes, still = asyncio.run(scenario())
    # A look later: of six the two without a place and one for each rank.
    assert sizes[:2] == [6, left]
    assert (sizes[-1], still) == (left, waiting)


def test_workers_come_back_when_the_ranks_have_their_place(monkeypatch) -> None:
    nodes = SharedNodes(3, 0)
    run = Run(monkeypatch, nodes, (1, 8))

    async def scenario() -> list[int]:
        await run.pool.start_all()
        sizes = [await run.look()]
        nodes.ranks = 1
        for places in (0, 0, 0, 1, 0):
            run.time += 2
            nodes.places += places
            await run.look()
            sizes.append(len(run.pool.slots))
        return sizes

    # A look later one goes, and its place is the rank's; a new node is one more.
    assert asyncio.run(scenario()) == [3, 3, 2, 2, 3, 3]


def test_a_node_that_comes_back_in_time_goes_to_the_worker_that_waits_for_it(monkeypatch) -> None:
    run = Run(monkeypatch, Nodes(2), (1, 8))

    async def scenario() -> tuple[int, int]:
        await run.pool.start_all()
        await run.look()
        run.lose("rollout-1")
        await run.look()
        run.nodes.places += 1
        return await run.look(), len(run.pool.slots)

    assert asyncio.run(scenario()) == (2, 2)  # and no third one is asked for


def test_the_fewest_are_waited_for_however_long_it_takes(monkeypatch) -> None:
    run = Run(monkeypatch, Nodes(2), (2, 8))

    async def scenario() -> int:
        await run.pool.start_all()
        run.lose("rollout-1")
        await run.look()
        run.time = 100 * PATIENCE
        await run.look()
        return len(run.pool.slots)

    assert asyncio.run(scenario()) == 2


def test_an_order_by_hand_goes_before_the_config_and_works_for_a_plain_number_too(monkeypatch) -> None:
    run = Run(monkeypatch, Nodes(9), (2, 2))

    async def scenario() -> list[int]:
        await run.pool.start_all()
        found = [await run.look()]
        for given in ((4, 4), (1, 1), (1, 6), None):
            run.order = given
            found.append(await run.look())
        return found

    assert asyncio.run(scenario()) == [2, 4, 1, 6, 2]


def test_a_look_that_fails_ends_nothing_and_is_said_once(monkeypatch, caplog) -> None:
    run = Run(monkeypatch, Nodes(2), (1, 4))
    monkeypatch.setattr("cluster.scaling.EVERY", 0.001)

    def fails() -> int:
        raise OSError("the cluster does not answer")

    async def scenario() -> int:
        await run.pool.start_all()
        run.nodes.room, real = fails, run.nodes.room  # type: ignore[method-assign]
        watching = asyncio.create_task(run.scaling.watch())
        while not caplog.messages:
            await asyncio.sleep(0.001)
        run.nodes.room = real  # type: ignore[method-assign]
        while len(caplog.messages) < 2:
            await asyncio.sleep(0.001)
        watching.cancel()
        return len(run.pool.slots)

    assert asyncio.run(scenario()) == 2
    assert caplog.messages[0] == "rollout workers stay at 1: OSError: the cluster does not answer"
    assert len(caplog.messages) == 2


class Fake:
    """A rollout worker without an engine; the weights are its only parcel."""

    def __init__(self, name: str) -> None:
        self.name, self.loaded, self.log = name, "of the model folder", []
        self.load, self.score, self.generate = (_Remote(call) for call in (self._load, self._score, self._generate))

    async def _load(self, transport: Any, version: int, weights: str) -> tuple[str, float]:
        self.loaded = weights
        self.log.append(f"load {version}")
        return f"digest of {weights}", 0.1

    async def _score(self, probe: Any) -> list[float]:
        self.log.append("probe")
        return [-1.0 if self.loaded == "new" else -2.0] * len(probe)

    async def _generate(self, prompt: Prompt, sampling: Sampling) -> Group:
        self.log.append("generate")
        await asyncio.sleep(0.001)
        return Group(prompt=prompt, rollouts=(rollout(self.loaded),) * sampling.count)


class _Remote:
    def __init__(self, call: Any) -> None:
        self.remote = call


def _published(number: int, weights: str, score: float, digest: str | None = None) -> Published:
    return Published(
        version=number,
        transport=ObjectStore(),
        manifest=Manifest(digest=digest or f"digest of {weights}", tensors={}),
        parcels=(weights,),
        probe_logprobs=(score, score),
    )


def _prompt(number: int) -> Prompt:
    return Prompt(example=Example(uid=f"p{number}", sentence="x", schema=("a",), mentions=()), token_ids=(1,))


def _service(workers: dict[str, Fake], monkeypatch) -> GenerationService:
    monkeypatch.setattr("actors.slots.ray.kill", lambda handle: None)
    monkeypatch.setattr("actors.retries.FIRST_PAUSE", 0.001)

    async def spawn(name: str) -> Fake:
        workers[name] = Fake(name)
        return workers[name]

    return GenerationService(
        spawn,
        size=1,
        capacity=4,
        sampling=SamplingConfig(samples_per_prompt=2),
        sync=SyncConfig(),
        deadlines=DeadlineConfig(restart=0),
        probe=(1, 2),
        seed=0,
    )


def test_samples_are_those_of_run_prompt_and_purpose_whenever_they_are_drawn(monkeypatch) -> None:
    service = _service({}, monkeypatch)
    drawn: list[Sampling] = []

    async def sample(prompt: Prompt, sampling: Sampling) -> Group:
        drawn.append(sampling)
        return Group(prompt=prompt, rollouts=())

    async def scenario() -> None:
        monkeypatch.setattr(service, "sample", sample)
        for number, count in ((0, None), (0, None), (1, None), (0, 4)):
            await service.generate(_prompt(number), count)

    asyncio.run(scenario())
    assert [each.count for each in drawn] == [2, 2, 2, 4]
    first, again, other, difficulty = (each.seed for each in drawn)
    assert first == again
    assert len({first, other, difficulty}) == 3


def test_a_late_joiner_pulls_the_newest_policy_and_is_verified_before_it_samples(monkeypatch) -> None:
    workers: dict[str, Fake] = {}
    service = _service(workers, monkeypatch)

    async def scenario() -> list[Group]:
        await service.start()
        await service.adopt(_published(1, "old", -2.0))
        await service.adopt(_published(2, "new", -1.0))
        service.pool.resize(3)
        return await asyncio.gather(*(service.generate(_prompt(number)) for number in range(30)))

    groups = asyncio.run(scenario())
    assert sorted(group.prompt.uid for group in groups) == sorted(f"p{number}" for number in range(30))
    assert {each.text for group in groups for each in group.rollouts} == {"new"}
    for name in ("rollout-1.0", "rollout-2.0"):
        assert workers[name].log[:2] == ["load 2", "probe"]
        assert "generate" in workers[name].log


def test_a_late_joiner_that_does_not_hold_the_policy_never_samples(monkeypatch) -> None:
    workers: dict[str, Fake] = {}
    service = _service(workers, monkeypatch)

    async def scenario() -> None:
        await service.start()
        await service.adopt(_published(1, "new", -1.0))
        monkeypatch.setattr(Fake, "_score", lambda self, probe: asyncio.sleep(0, [-9.0] * len(probe)))
        service.pool.resize(2)
        await asyncio.gather(*(service.generate(_prompt(number)) for number in range(8)))

    asyncio.run(scenario())
    assert [name for name, worker in workers.items() if "generate" in worker.log] == ["rollout-0.0"]
    assert service.pool.restarts >= 1


# The key, the order and the script.


def test_a_number_and_a_range_are_read_and_anything_else_is_refused() -> None:
    assert [worker_range(value) for value in (3, "3", "1..8", " 2 .. 2 ")] == [(3, 3), (3, 3), (1, 8), (2, 2)]
    for wrong in (0, "0", "8..1", "1..", "..4", "1-8", "-1", "two", "1..2..3", True, "1.5", "٣"):
        with pytest.raises(ValueError, match=r'must be a number such as 4 or a range such as "1\.\.8"'):
            worker_range(wrong)


def test_the_config_key_is_a_number_or_a_range_and_a_run_begins_with_the_fewest() -> None:
    cluster = load_config(None, ["--cluster.rollout_workers=2..8"]).cluster
    assert (cluster.fewest_rollout_workers, cluster.most_rollout_workers, roles(cluster)[0].count) == (2, 8, 2)
    assert load_config(None, ["--cluster.rollout_workers=4"]).cluster.most_rollout_workers == 4
    with pytest.raises(ValueError, match=r"cluster\.rollout_workers: must be a number such as 4 or a range"):
        load_config(None, ["--cluster.rollout_workers=8..2"])


def test_how_often_a_worker_fits_on_a_node() -> None:
    cluster = load_config(None, ["--cluster.cpus_per_worker=0.1", "--cluster.gpus_per_rollout_worker=0.5"]).cluster
    need = rollout_bundle(cluster, "rollout-3").resources
    assert need == {"CPU": 0.1, "GPU": 0.5}
    assert fits({"CPU": 8.0, "GPU": 2.0}, need) == 4
    assert fits({"CPU": 0.3, "GPU": 2.0}, need) == 3  # three tenths, which are a little less in binary
    assert fits({"CPU": 8.0}, need) == 0


def _folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({}))
    return tmp_path


def test_the_script_writes_an_order_that_the_run_reads(tmp_path, capsys, caplog) -> None:
    folder = _folder(tmp_path)
    assert requested_workers(folder) is None
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert scale([str(folder), "1..4"]) == 0
    assert requested_workers(folder) == (1, 4)
    assert "1..4 rollout workers" in capsys.readouterr().out
    clear_request(folder)  # the next process begins with what its config says
    assert requested_workers(folder) is None
    assert "old request for '1..4' rollout workers" in caplog.text


@pytest.mark.parametrize(
    ("config", "lock", "number", "said"),
    [
        (True, False, "4", "no run is active in"),
        (False, True, "4", "is not a run folder"),
        (True, True, "0", "N must be a number such as 4"),
        (True, True, "many", "N must be a number such as 4"),
    ],
)
def test_the_script_refuses_what_no_run_would_read(tmp_path, capsys, config, lock, number, said) -> None:
    if config:
        _folder(tmp_path)
    with (tmp_path / "lock").open("w") as file:
        if lock:
            fcntl.flock(file, fcntl.LOCK_EX)
        assert scale([str(tmp_path), number]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "rollout_workers").exists()


def test_a_file_that_is_no_order_is_named(tmp_path) -> None:
    (tmp_path / "rollout_workers").write_bytes(b"\xff\xfe many")
    with pytest.raises(ValueError, match=r"rollout_workers must be a number such as 4"):
        requested_workers(tmp_path)


def test_ordering_through_the_package_names_the_key_to_resume_with(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"resume it with --cluster\.rollout_workers=3"):
        request_workers(_folder(tmp_path), "3")


def test_a_place_is_asked_for_in_words_that_ray_takes_and_on_the_roomiest_node(monkeypatch) -> None:
    from ray.util.placement_group import validate_placement_group

    asked: list[tuple] = []

    class Place:
        def ready(self) -> Any:
            return asyncio.sleep(0)

    def group(bundles: Any, **options: Any) -> Place:
        validate_placement_group(bundles=bundles, **options)
        asked.append((options["_soft_target_node_id"], options["bundle_label_selector"]))
        return Place()

    nodes = {"a" * 56: {"CPU": 9.0}, "b" * 56: {"CPU": 1.0}}
    monkeypatch.setattr("cluster.reservations.placement_group", group)
    monkeypatch.setattr("cluster.reservations.free_by_node", lambda: nodes)
    bundle = rollout_bundle(load_config(None, []).cluster, "rollout-0")
    for avoid in ((), ("a" * 56,)):
        asyncio.run(Reservations({}).claim(bundle, seconds=5, avoid=avoid))
    assert asked == [("a" * 56, [{}]), ("b" * 56, [{"ray.io/node-id": f"!in({'a' * 56})"}])]
