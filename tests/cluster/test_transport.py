"""What every transport must do, held by those that there are and by one that is made here."""

import inspect
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed import HashStore  # pyright: ignore[reportPrivateImportUsage]
from torch.multiprocessing.reductions import rebuild_cuda_tensor

from actors.delivery import received
from cluster.transport import TRANSPORTS, Transport, buckets, cuda_ipc, make_transport, nccl, transport_name
from cluster.transport import object_store as module
from cluster.transport.cuda_ipc import CudaIpc
from cluster.transport.nccl import Nccl
from cluster.transport.object_store import ObjectStore
from cluster.transport.shared_memory import SharedMemory
from cluster.transport.topology import Topology
from rnr.config import SyncConfig
from rnr.digest import Digest, bits, weights_digest
from rnr.faults import PolicyGone


class OneFile:
    """All weights in one file of torch's own, by name: what a further transport looks like."""

    in_place = False
    copies = 0
    connects = False
    receiver = f"{__name__}:receive"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def why_unsupported(_topology: Topology) -> str:
        return ""

    def send(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[str]:
        file = self._folder / "weights.pt"
        torch.save(dict(weights), file)
        yield str(file)

    @contextmanager
    def staged(self, parcels: Sequence[Any]) -> Iterator[str]:
        (file,) = parcels
        yield file


def receive(file: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The other end of ``OneFile``."""
    yield from torch.load(file, weights_only=True).items()


class FakeGpu:
    """Stands for the calls of torch that the IPC transport makes, and remembers them."""

    def __init__(self) -> None:
        self.exports: list[torch.Tensor] = []
        self.mapped: list[int] = []
        self.synchronized = 0
        self.device = 0
        self.uuid = "GPU-1"

    def reduce_tensor(self, tensor: torch.Tensor) -> tuple[Any, tuple[Any, ...]]:
        self.exports.append(tensor)
        # As torch does: seven values that describe the tensor, the last of them the device, then the handle.
        return None, (torch.Tensor, tuple(tensor.shape), (1,), 0, None, tensor.dtype, 5, len(self.exports) - 1)

    def rebuild_cuda_tensor(self, *arguments: Any) -> torch.Tensor:
        assert arguments[6] == self.device, "the receiver's own number of the device"
        self.mapped.append(arguments[7])
        return self.exports[arguments[7]]

    def synchronize(self) -> None:
        self.synchronized += 1


@pytest.fixture
def gpu(monkeypatch) -> FakeGpu:
    fake = FakeGpu()
    monkeypatch.setattr(cuda_ipc, "DEVICE", "cpu")
    monkeypatch.setattr(cuda_ipc, "reduce_tensor", fake.reduce_tensor)
    monkeypatch.setattr(cuda_ipc, "rebuild_cuda_tensor", fake.rebuild_cuda_tensor)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: fake)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: fake.device)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: fake)
    monkeypatch.setattr(cuda_ipc, "_exported", cuda_ipc._Exported())
    monkeypatch.setattr(cuda_ipc, "_mapped", {})
    return fake


@pytest.fixture
def over_gloo(monkeypatch) -> Nccl:
    """The transport by NCCL with nothing else exchanged than the library and the device; both ends in this process."""
    monkeypatch.setattr(nccl, "_sending", nccl._Sending())
    monkeypatch.setattr(nccl, "_receiving", {})
    monkeypatch.setattr(nccl, "ANSWER", timedelta(seconds=1))
    return Nccl(backend="gloo", device="cpu")


def _weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"head.weight": (7, 3), "layers.0.bias": (3,), "scale": ()}
    return {name: torch.randn(shape, generator=generator).to(torch.bfloat16) for name, shape in shapes.items()}


@pytest.fixture(params=["one_file", *TRANSPORTS])
def transport(request, tmp_path, monkeypatch) -> Transport:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    # Small parcels and buckets, so that there are several.
    monkeypatch.setattr(module, "PARCEL_BYTES", 20)
    monkeypatch.setattr(buckets, "BUCKET_NUMBERS", 12)
    if request.param == "one_file":
        return OneFile(tmp_path)
    if request.param == "cuda_ipc":
        request.getfixturevalue("gpu")
    if request.param == "nccl":
        return request.getfixturevalue("over_gloo")
    return TRANSPORTS[request.param]()


def _send(transport: Transport, weights: dict[str, torch.Tensor]) -> list[Any]:
    """The parcels, as they come out at the other end of Ray."""
    return pickle.loads(pickle.dumps(list(transport.send(iter(weights.items())))))


def test_what_is_sent_arrives_to_the_last_bit_under_its_name_and_with_its_digest(transport) -> None:
    weights = _weights()
    parcels = _send(transport, weights)
    with transport.staged(parcels) as payload:
        tensors, digest = received(transport.receiver, payload)
        arrived = dict(tensors)
    assert arrived.keys() == weights.keys()
    assert all(torch.equal(arrived[name], weights[name]) for name in weights)
    assert digest() == weights_digest((name, bits(tensor)) for name, tensor in weights.items())


def test_a_bit_that_is_lost_on_the_way_changes_the_digest(transport) -> None:
    weights = _weights()
    with transport.staged(_send(transport, weights)) as payload:
        tensors, digest = received(transport.receiver, payload)
        list(tensors)
    weights["scale"] = weights["scale"].nextafter(torch.tensor(9.0, dtype=torch.bfloat16))
    assert digest() != weights_digest((name, bits(tensor)) for name, tensor in weights.items())


def test_the_object_store_says_which_disk_has_no_room_and_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "SHARED_MEMORY", tmp_path)
    parcels = list(ObjectStore().send(iter(_weights().items())))
    with ObjectStore().staged(parcels):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _place: SimpleNamespace(free=10))
    with (
        pytest.raises(OSError, match=rf"{tmp_path} has 0\.00 GiB free, but the weights need"),
        ObjectStore().staged(parcels),
    ):
        pass


def test_weights_that_are_lent_may_be_gone_when_the_next_one_is_asked_for(transport) -> None:
    if not transport.in_place:
        pytest.skip("it is given copies")
    weights = _weights()

    def lent() -> Iterator[tuple[str, torch.Tensor]]:
        for name, tensor in weights.items():
            copy = tensor.clone()
            yield name, copy
            copy.fill_(float("nan"))

    with transport.staged(list(transport.send(lent()))) as payload:
        arrived = dict(received(transport.receiver, payload)[0])
    assert all(torch.equal(arrived[name], weights[name]) for name in weights)


def test_a_later_version_takes_the_place_of_an_earlier_one_and_ranks_without_weights_send_nothing(transport) -> None:
    first, second = _weights(), {name: tensor + 1 for name, tensor in _weights().items()}
    _send(transport, first)
    parcels = _send(transport, second)
    with transport.staged(parcels) as payload:
        arrived = dict(received(transport.receiver, payload)[0])
    assert all(torch.equal(arrived[name], second[name]) for name in second)
    if transport.in_place:
        assert _send(transport, {}) == []


def test_buckets_are_aligned_and_used_again_and_a_large_tensor_has_one_to_itself(monkeypatch) -> None:
    monkeypatch.setattr(buckets, "BUCKET_NUMBERS", 20)
    packed = buckets.Buckets(lambda numbers: torch.zeros(numbers, dtype=torch.bfloat16))
    sizes = {"a": 3, "b": 12, "c": 1, "d": 50, "e": 0, "f": 4}
    weights = {name: torch.full((size,), float(number)) for number, (name, size) in enumerate(sizes.items())}
    # a at 0, b at 8 (to 20), c would begin at 24: the next; d is larger than any: the next; f after it does not fit.
    expected = [
        ("a", [3], 0, 0),
        ("b", [12], 0, 8),
        ("c", [1], 1, 0),
        ("d", [50], 2, 0),
        ("e", [0], 3, 0),
        ("f", [4], 3, 0),
    ]
    assert packed.pack(weights.items()) == expected
    places = [bucket.data_ptr() for bucket in packed.filled]
    assert [bucket.numel() for bucket in packed.filled] == [20, 20, 50, 20]
    assert packed.pack(weights.items()) == expected
    assert [bucket.data_ptr() for bucket in packed.filled] == places
    assert {name: tensor.tolist() for name, tensor in buckets.unpack(expected, packed.filled)} == {
        name: tensor.tolist() for name, tensor in weights.items()
    }


def test_a_learner_that_is_gone_is_told_from_a_worker_that_is_broken(transport) -> None:
    if not isinstance(transport, SharedMemory | CudaIpc):
        pytest.skip("what was sent does not lie with the learner")
    ended = subprocess.Popen(["true"])
    ended.wait()
    (parcel,) = _send(transport, _weights())
    with (
        pytest.raises(PolicyGone, match=f"the learner's process {ended.pid}"),
        transport.staged([parcel | {"process": ended.pid}]),
    ):
        pass


def test_memory_of_another_process_that_took_the_number_is_not_read() -> None:
    (parcel,) = _send(SharedMemory(), _weights())
    (_, name, size), *_ = parcel["buckets"]
    parcel["buckets"][0] = (0, name, size)  # there is a file of this number, too
    with pytest.raises(PolicyGone, match="has been replaced"), SharedMemory().staged([parcel]):
        pass


LEARNER = """
import sys, time, pickle, torch
from cluster.transport.shared_memory import SharedMemory
parcels = list(SharedMemory().send(iter({"w": torch.full((5, 7), 3.0, dtype=torch.bfloat16)}.items())))
print(pickle.dumps(parcels).hex(), flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_memory_of_another_process_is_read_and_leaves_nothing_when_either_side_is_killed() -> None:
    before = set(os.listdir("/dev/shm"))
    learner = subprocess.Popen([sys.executable, "-c", LEARNER], stdout=subprocess.PIPE)
    try:
        assert learner.stdout is not None
        parcels = pickle.loads(bytes.fromhex(learner.stdout.readline().decode()))
        transport = SharedMemory()
        with transport.staged(parcels) as payload:
            tensors = received(transport.receiver, payload)[0]
            name, tensor = next(tensors)
            assert (name, tensor.tolist()) == ("w", [[3.0] * 7] * 5)
            tensor.zero_()  # what a reader writes stays with it
            assert next(received(transport.receiver, payload)[0])[1].sum() == 3 * 35
            reader = subprocess.Popen(
                [sys.executable, "-c", READER, repr(parcels[0])], stdout=subprocess.PIPE, stdin=subprocess.PIPE
            )
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"105.0\n"
            reader.send_signal(signal.SIGKILL)
            reader.wait()
        learner.send_signal(signal.SIGKILL)
        learner.wait()
        with pytest.raises(PolicyGone), SharedMemory().staged(parcels):
            pass
    finally:
        learner.kill()
        learner.wait()
    assert set(os.listdir("/dev/shm")) - before == set()


READER = """
import ast, sys
from cluster.transport.shared_memory import receive
print(float(next(receive(ast.literal_eval(sys.argv[1])))[1].sum()), flush=True)
sys.stdin.read()
"""


def test_a_bucket_is_exported_once_and_mapped_once_and_anew_for_a_learner_that_was_rebuilt(gpu, monkeypatch) -> None:
    monkeypatch.setattr(buckets, "BUCKET_NUMBERS", 24)
    transport, weights = CudaIpc(), _weights()
    for _ in range(3):
        with transport.staged(_send(transport, weights)) as payload:
            list(received(transport.receiver, payload)[0])
    # 21 + 3 numbers, each from a multiple of 8: 24, then 3, then 1.
    assert (len(gpu.exports), gpu.mapped, gpu.synchronized) == (2, [0, 1], 3)
    monkeypatch.setattr(cuda_ipc, "_exported", cuda_ipc._Exported())
    with transport.staged(_send(transport, weights)) as payload:
        list(received(transport.receiver, payload)[0])
    assert gpu.mapped == [0, 1, 2, 3]
    assert len(cuda_ipc._mapped) == 2  # those of the old learner were given back


def test_an_engine_on_another_gpu_than_the_learner_is_refused_by_name(gpu) -> None:
    transport = CudaIpc()
    parcels = _send(transport, _weights())
    gpu.uuid = "GPU-2"
    with (
        transport.staged(parcels) as payload,
        pytest.raises(ValueError, match=r"on GPU GPU-1, this engine on GPU-2; sync\.transport=object_store serves"),
    ):
        list(received(transport.receiver, payload)[0])


def test_torch_takes_the_device_where_the_transport_puts_it() -> None:
    assert list(inspect.signature(rebuild_cuda_tensor).parameters)[cuda_ipc.DEVICE_ARGUMENT] == "storage_device"


def test_sums_on_a_device_tell_one_bit_its_place_and_its_name() -> None:
    def digest(name: str, tensor: torch.Tensor) -> str:
        found = Digest()
        found.add(name, tensor)
        return found.result()

    words = torch.arange(-500, 500, dtype=torch.int16).reshape(10, 100)
    changed, swapped = words.clone(), words.clone()
    changed[9, 99] ^= 1
    swapped[0, 0], swapped[0, 1] = words[0, 1], words[0, 0]
    others = [("w", changed), ("w", swapped), ("v", words), ("w", words.reshape(100, 10)), ("w", words[:9])]
    assert digest("w", words) == digest("w", words.clone())
    assert len({digest(*other) for other in [*others, ("w", words)]}) == 6


def test_the_sum_of_a_block_by_hand_wraps_like_64_bits(monkeypatch) -> None:
    from rnr import digest

    monkeypatch.setattr(digest, "BLOCK", 2)
    few = torch.tensor([2**62 + 1, 3], dtype=torch.int64)
    found = digest.word_sums(torch.tensor([4, -1, 5], dtype=torch.int16), few)
    # 4 (2^62 + 1) - 3 = 2^64 + 1, which is 1; 5 (2^62 + 1) = 2^64 + 2^62 + 5, which is 2^62 + 5.
    assert [int(each) for each in found] == [1, 2**62 + 5]


def _topology(**other: Any) -> Topology:
    cpus: dict[str, Any] = {"one_host": True, "lora": False, "rollout_workers": 1, "learner_ranks": 1}
    cpus |= {"rollout_gpus": 0.0, "learner_gpus": 0.0}
    return Topology(**cpus | other)


@pytest.mark.parametrize(
    ("topology", "name"),
    [
        (_topology(), "shared_memory"),
        (_topology(rollout_workers=3, learner_ranks=2), "shared_memory"),
        (_topology(one_host=False), "object_store"),
        (_topology(lora=True), "object_store"),
        (_topology(rollout_gpus=0.5, learner_gpus=0.5), "cuda_ipc"),
        (_topology(rollout_gpus=0.5, learner_gpus=0.5, one_host=False), "cuda_ipc"),
        (_topology(rollout_gpus=0.5, learner_gpus=0.5, lora=True), "object_store"),
        (_topology(rollout_gpus=0.5, learner_gpus=0.5, rollout_workers=2), "object_store"),
        (_topology(rollout_gpus=0.7, learner_gpus=0.7), "object_store"),  # on two GPUs
        (_topology(rollout_gpus=1.0, learner_gpus=0.0), "object_store"),
        (_topology(rollout_gpus=1.0, learner_gpus=1.0), "object_store"),
    ],
)
def test_auto_takes_what_serves_the_place_best(topology, name) -> None:
    assert transport_name(SyncConfig(), topology) == name
    assert isinstance(make_transport(SyncConfig(), topology), TRANSPORTS[name])


@pytest.mark.parametrize(
    ("name", "topology", "why"),
    [
        ("shared_memory", _topology(one_host=False), "must be on one host"),
        ("shared_memory", _topology(rollout_gpus=1.0), "it is for CPUs"),
        ("shared_memory", _topology(lora=True), "adapters are sent through the object store"),
        ("cuda_ipc", _topology(), "must share one GPU"),
        ("cuda_ipc", _topology(rollout_gpus=1.0, learner_gpus=1.0), "must share one GPU"),
        ("cuda_ipc", _topology(rollout_gpus=0.5, learner_gpus=0.5, lora=True), "adapters"),
        ("nccl", _topology(), "a GPU or several to itself"),
        ("nccl", _topology(rollout_gpus=0.5, learner_gpus=0.5), "a GPU or several to itself"),
        ("nccl", _topology(rollout_gpus=2.0, learner_gpus=1.0, lora=True), "adapters"),
    ],
)
def test_a_transport_that_does_not_fit_is_refused_by_name_with_what_would(name, topology, why) -> None:
    with pytest.raises(ValueError, match=rf'sync\.transport="{name}" does not fit .*{why}.*"auto" takes'):
        make_transport(SyncConfig(transport=name), topology)
    assert isinstance(make_transport(SyncConfig(transport="object_store"), topology), ObjectStore)


@pytest.mark.parametrize(
    "topology",
    [
        _topology(rollout_gpus=1.0, learner_gpus=1.0),
        _topology(rollout_gpus=1.0, learner_gpus=1.0, one_host=False),
        _topology(rollout_gpus=4.0, learner_gpus=1.0, rollout_workers=3, learner_ranks=8, one_host=False),
    ],
)
def test_nccl_serves_gpus_apart_when_it_is_asked_for(topology) -> None:
    assert make_transport(SyncConfig(transport="nccl"), topology) == Nccl()
    assert transport_name(SyncConfig(), topology) == "object_store"


def _arrived(transport: Transport, parcels: list[Any]) -> dict[str, torch.Tensor]:
    with transport.staged(parcels) as payload:
        return dict(received(transport.receiver, payload)[0])


def _threads(name: str) -> int:
    return sum(name in thread.name for thread in threading.enumerate())


def test_the_version_before_the_newest_is_still_sent_and_an_older_one_is_refused(over_gloo) -> None:
    versions = [{"w": torch.full((5, 3), float(number), dtype=torch.bfloat16)} for number in range(3)]
    sent = [_send(over_gloo, weights) for weights in versions]
    assert torch.equal(_arrived(over_gloo, sent[1])["w"], versions[1]["w"])  # of one that began before the newest came
    assert torch.equal(_arrived(over_gloo, sent[2])["w"], versions[2]["w"])
    with pytest.raises(RuntimeError, match="version 1 is no longer available on the learner"):
        _arrived(over_gloo, sent[0])
    assert torch.equal(_arrived(over_gloo, sent[2])["w"], versions[2]["w"])  # and the group goes on


def test_one_group_serves_all_versions_and_one_that_asks_no_more_is_given_up_and_made_anew(over_gloo) -> None:
    serving = _threads("_serve")
    for _ in range(3):
        _arrived(over_gloo, _send(over_gloo, _weights()))
    assert _threads("_serve") == serving + 1
    parcels: list[Any] = []
    for _ in range(nccl.MISSED):
        parcels = _send(over_gloo, _weights())  # nobody asks
    end = time.monotonic() + 60
    while _threads("_serve") > serving and time.monotonic() < end:
        time.sleep(0.05)
    assert _threads("_serve") == serving
    assert _arrived(over_gloo, parcels).keys() == _weights().keys()
    assert _threads("_serve") == serving + 1


def test_a_process_that_dies_while_a_group_connects_does_not_hold_up_later_versions(over_gloo, monkeypatch) -> None:
    connecting, died = threading.Event(), threading.Event()

    class Connecting:
        """As NCCL, which connects with the first message and waits for its peer then, without a deadline."""

        def send(self, *_: Any) -> SimpleNamespace:
            connecting.set()
            return SimpleNamespace(wait=lambda _timeout: died.wait(60))

    monkeypatch.setattr(nccl, "nccl_group", lambda _store, _rank: Connecting())
    monkeypatch.setattr(nccl, "own_address", lambda: "127.0.0.1")
    lazy = Nccl(backend="nccl", device="cpu")
    (parcel,) = _send(lazy, _weights())
    store = nccl._store(parcel)
    store.set("member/1", "here")
    store.set("asked/1/0", str(parcel["version"]))
    assert connecting.wait(60)
    versions = [threading.Thread(target=_send, args=(lazy, _weights()), daemon=True) for _ in range(2)]
    for version in versions:
        version.start()
        version.join(5)
    assert not any(version.is_alive() for version in versions)
    died.set()


def test_a_learner_that_does_not_answer_is_told_from_a_worker_that_is_broken(over_gloo) -> None:
    (parcel,) = _send(over_gloo, _weights())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        pytest.raises(PolicyGone, match=f"the learner does not answer at 127.0.0.1:{port}"),
        over_gloo.staged([parcel | {"port": port}]),
    ):
        pass


def test_a_group_of_nccl_leaves_the_process_alone_when_its_peer_is_lost(monkeypatch) -> None:
    made: list[Any] = []

    class FakeGroup:
        class Options:
            _timeout = timedelta(0)

        def __init__(self, _store: Any, rank: int, size: int, options: Any) -> None:
            made.append((rank, size, options._timeout, os.environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING")))

    monkeypatch.setattr(torch.distributed, "ProcessGroupNCCL", FakeGroup, raising=False)
    monkeypatch.delenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", raising=False)
    nccl.nccl_group(HashStore(), 1)
    assert made == [(1, 2, nccl.NEVER, "0")]
    assert "TORCH_NCCL_ASYNC_ERROR_HANDLING" not in os.environ
    monkeypatch.setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "3")
    nccl.nccl_group(HashStore(), 0)
    assert os.environ["TORCH_NCCL_ASYNC_ERROR_HANDLING"] == "3"


ENGINE = """
import pickle, sys, torch
from actors.delivery import received
for line in sys.stdin:
    tensors, digest = received("cluster.transport.nccl:receive", pickle.loads(bytes.fromhex(line)))
    print(float(sum(tensor.float().sum() for _, tensor in tensors)), digest(), flush=True)
"""


@pytest.mark.slow
def test_engines_of_their_own_processes_come_and_go_while_versions_are_sent(over_gloo) -> None:
    def engine() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", ENGINE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(process: subprocess.Popen[bytes], parcels: list[Any]) -> list[str]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(parcels[0]).hex().encode() + b"\n")
        process.stdin.flush()
        return process.stdout.readline().decode().split()

    first, second, third = (engine() for _ in range(3))
    try:
        for number in range(4):
            weights = {"a": torch.full((2000, 300), float(number + 1)), "b": torch.ones(7)}
            weights = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
            expected = [
                str(600_000.0 * (number + 1) + 7),
                weights_digest((name, bits(tensor)) for name, tensor in weights.items()),
            ]
            parcels = _send(over_gloo, weights)
            # The first is killed after two versions, the second is there from the second on, the third comes last.
            there = [[first], [first, second], [second], [second, third]][number]
            assert [ask(process, parcels) for process in there] == [expected] * len(there)
            if number == 1:
                first.send_signal(signal.SIGKILL)
                first.wait()
    finally:
        for process in (first, second, third):
            process.kill()
            process.wait()
