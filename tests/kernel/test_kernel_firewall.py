"""The target type firewall, judged by packets: what a client behind the router can still do, on a real kernel.

Its rules stand in the daemon's own table, before a firewall that accepts what is established.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import Lab, Namespace
from network_lab import AWAY, HOME, Network, network
from samples import flow
from waiting import eventually

pytestmark = pytest.mark.kernel

FW4 = """
add table inet fw4
add chain inet fw4 forward { type filter hook forward priority filter; policy drop; }
add rule inet fw4 forward ct state established,related accept
add rule inet fw4 forward iifname lan accept
add chain inet fw4 srcnat { type nat hook postrouting priority srcnat; }
add rule inet fw4 srcnat oifname wan masquerade
"""
FILM, MAIL = 4000, 4001


def config(targets: dict[str, Any] | None = None, **actions: Any) -> dict[str, Any]:
    made = targets or {"stop": {"target_type": "firewall", "verdict": "reject"}}
    return {
        "version": 1,
        "targets": made,
        "actions": actions or {"films": {"criteria": "app == 'youtube';", "targets": list(made)}},
    }


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


ALL = [(kind, version) for kind in ("tcp", "udp") for version in (4, 6)]


@pytest.fixture
def client(lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Client]:
    with network(namespace, tmp_path, {}) as net:
        namespace.run("nft", "-f", "-", text=FW4)
        for kind, version in ALL:
            for port in (FILM, MAIL):
                net.away.do("serve", kind, version, port, AWAY[version])
        yield Client(net, lab)


def nfa(lab: Lab, *words: str) -> str:
    return str(lab.namespace.run(*lab.nfa(words[0], "--control", str(lab.daemon.control), *words[1:])))


def reload(lab: Lab, made: dict[str, Any]) -> dict[str, Any]:
    lab.daemon.configure(made)
    return dict(lab.daemon.ask("reload"))


def listed(lab: Lab) -> str:
    return str(lab.namespace.run("nft", "list", "ruleset"))


@pytest.mark.parametrize("verdict", ["reject", "drop"])
def test_exactly_the_connection_is_blocked_for_as_long_as_the_policy_says(lab: Lab, client: Client, verdict: str) -> None:
    """ "Block YouTube" shows green and blocks nothing; or blocks Google's mail, which has the same address; or goes on when it
    is switched off."""
    made = config({"stop": {"target_type": "firewall", "verdict": verdict}})
    lab.start(made)
    for kind, version in ALL:
        client.connect(kind, version, "film")
        client.connect(kind, version, "mail")
    films = [(kind, version, "film") for kind, version in ALL]
    udp = [one for one in films if one[0] == "udp"]
    mails = [(kind, version, "mail") for kind, version in ALL]
    client.passes(True, *films, *mails)
    lab.feed(*[client.record(*one) for one in films], *[client.record(*one, application="netify.facebook") for one in mails])
    client.passes(False, *films)
    client.passes(True, *mails)
    assert all(client.tries(kind, version) for kind, version in ALL), "a connection that nobody has seen is not blocked"
    nfa(lab, "pause", "films", "1h")
    client.passes(True, *udp)
    nfa(lab, "resume", "films")
    client.passes(False, *udp)
    client.passes(True, *mails)
    made["actions"]["films"]["enabled"] = False
    reload(lab, made)
    client.passes(True, *udp)
    made["actions"]["films"]["enabled"] = True
    reload(lab, made)
    client.passes(False, *udp)
    assert lab.daemon.stop() == 0
    client.passes(True, *udp, *mails)
    assert "table inet nfa" not in listed(lab) and "table inet fw4" in listed(lab)
