"""A client behind a router that has a firewall like fw4, and a server in the world: what the client can still do.

In: the lab of a daemon, and the router's namespace. Out: real connections, TCP and UDP, IPv4 and IPv6, with netifyd's records
of them. Two applications may talk to the same server and port, as those of one company do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kernel_lab import Lab, Namespace
from network_lab import AWAY, HOME, Network, network
from samples import flow
from waiting import eventually

FW4 = """
add table inet fw4
add chain inet fw4 forward { type filter hook forward priority filter; policy drop; }
add rule inet fw4 forward ct state established,related accept
add rule inet fw4 forward iifname lan accept
add chain inet fw4 srcnat { type nat hook postrouting priority srcnat; }
add rule inet fw4 srcnat oifname wan masquerade
"""
FILM, MAIL = 4000, 4001


ALL = [(kind, version) for kind in ("tcp", "udp") for version in (4, 6)]


class Client:
    """The host at home, with one connection of each kind to the same server and port, and their records."""

    def __init__(self, net: Network, lab: Lab) -> None:
        self.net, self.lab = net, lab
        self.open: dict[tuple[str, int, str], tuple[int, int]] = {}

    def connect(self, kind: str, version: int, name: str, port: int = FILM) -> None:
        index, own = self.net.home.do("open", kind, version, AWAY[version], port)
        self.open[(kind, version, name)] = index, own

    def record(self, kind: str, version: int, name: str, application: str = "netify.youtube", **more: Any) -> dict[str, Any]:
        protocol = 6 if kind == "tcp" else 17
        own = self.open[(kind, version, name)][1]
        digest = f"{kind}{version}{name}".encode().hex().ljust(40, "0")[:40]
        fields = {"ip_protocol": protocol, "local_port": own, "other_port": FILM, "digest": digest} | more
        return flow("HTTP/S", application, local=HOME[version], other=AWAY[version], **fields)

    def talks(self, kind: str, version: int, name: str, seconds: float = 0.3) -> bool:
        return bool(self.net.home.do("talk", self.open[(kind, version, name)][0], seconds))

    def passes(self, wanted: bool, *connections: tuple[str, int, str]) -> None:
        for one in connections:
            eventually(lambda one=one: self.talks(*one) is wanted, what=f"{one} {'passes' if wanted else 'is stopped'}")  # type: ignore[misc]

    def tries(self, kind: str, version: int, port: int = FILM) -> bool:
        return bool(self.net.home.do("tries", kind, version, AWAY[version], port, 0.3))


@contextmanager
def client_of(lab: Lab, namespace: Namespace, folder: Path) -> Iterator[Client]:
    """The client, as long as the block lasts; the server answers on both ports."""
    with network(namespace, folder, {}) as net:
        namespace.run("nft", "-f", "-", text=FW4)
        for kind, version in ALL:
            for port in (FILM, MAIL):
                net.away.do("serve", kind, version, port, AWAY[version])
        yield Client(net, lab)
