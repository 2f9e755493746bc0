"""What every transport must do, held by the object store and by a second one that is made here."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from actors.delivery import Delivery, bits, received
from cluster.transport import TRANSPORTS, Transport, choose
from cluster.transport import object_store as module
from cluster.transport.object_store import ObjectStore
from rnr.config import SyncConfig
from rnr.digest import weights_digest


class OneFile:
    """All weights in one file of torch's own, by name: what a second transport looks like."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[str]:
        file = self._folder / "weights.pt"
        torch.save(dict(weights), file)
        yield str(file)

    @contextmanager
    def staged(self, version: int, parcels: Sequence[Any]) -> Iterator[Delivery]:
        (file,) = parcels
        yield Delivery(version=version, receiver=f"{__name__}:receive", payload=file)


def receive(file: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The other end of ``OneFile``."""
    yield from torch.load(file, weights_only=True).items()


def _weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"head.weight": (7, 3), "layers.0.bias": (3,), "scale": ()}
    return {name: torch.randn(shape, generator=generator).to(torch.bfloat16) for name, shape in shapes.items()}


@pytest.fixture(params=["object_store", "one_file"])
def transport(request, tmp_path, monkeypatch) -> Transport:
    if request.param == "one_file":
        monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
        return OneFile(tmp_path)
    # Small parcels, so that there are several.
    monkeypatch.setattr(module, "PARCEL_BYTES", 20)
    return ObjectStore()


def test_what_is_sent_arrives_to_the_last_bit_under_its_name_and_with_its_digest(transport) -> None:
    weights = _weights()
    parcels = list(transport.send(iter(weights.items())))
    with transport.staged(3, parcels) as delivery:
        assert delivery.version == 3
        tensors, digest = received(delivery.receiver, delivery.payload)
        arrived = dict(tensors)
    assert arrived.keys() == weights.keys()
    assert all(torch.equal(arrived[name], weights[name]) for name in weights)
    assert digest() == weights_digest((name, bits(tensor)) for name, tensor in weights.items())


def test_a_bit_that_is_lost_on_the_way_changes_the_digest(transport) -> None:
    weights = _weights()
    with transport.staged(1, list(transport.send(iter(weights.items())))) as delivery:
        tensors, digest = received(delivery.receiver, delivery.payload)
        list(tensors)
    weights["scale"] = weights["scale"].nextafter(torch.tensor(9.0, dtype=torch.bfloat16))
    assert digest() != weights_digest((name, bits(tensor)) for name, tensor in weights.items())


def test_the_object_store_says_which_disk_has_no_room_and_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "SHARED_MEMORY", tmp_path)
    parcels = list(ObjectStore().send(iter(_weights().items())))
    with ObjectStore().staged(1, parcels):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _place: SimpleNamespace(free=10))
    with (
        pytest.raises(OSError, match=rf"{tmp_path} has 0\.00 GiB free, and the weights take"),
        ObjectStore().staged(1, parcels),
    ):
        pass


def test_auto_serves_any_placement() -> None:
    assert isinstance(choose(SyncConfig()), TRANSPORTS["object_store"])
