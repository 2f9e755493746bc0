"""Where the processes of a learner meet: a store at one address of its host, and the network interface towards it."""

import socket
from typing import Any

import psutil
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]


def open_store(address: str, **options: Any) -> tuple[TCPStore, int]:
    """A new store that listens at ``address`` only, and its port, held from now on."""
    listener = socket.create_server((address, 0), family=_family(address))
    port = listener.getsockname()[1]
    # The store takes the listener over and closes it; without one it would listen on all addresses of the host.
    descriptor = listener.detach()
    options |= {"is_master": True, "wait_for_workers": False, "master_listen_fd": descriptor}
    return TCPStore(address, port, **options), port


def interface_towards(address: str) -> str:
    """Name of the network interface of this host by which it reaches ``address``: ``lo`` if that is loopback."""
    with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))  # of a datagram socket: nothing is sent
        own = probe.getsockname()[0]
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address.split("%")[0] == own for each in addresses):
            return name
    raise RuntimeError(
        f"no network interface of this host has the address {own}, which it reaches {address} from: set "
        "GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME to the interface for the ranks"
    )


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
