"""Connections that began before nfa: interrupted on request, so that they begin again, and nobody else's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import samples
from kernel_lab import Lab, environment, nftset, policy
from network_lab import AWAY, GATES, HOME, Network, network
from waiting import PATIENCE

from nfa.daemon.targets.connections.adopt import LASTING

# Like fw4: what is established is accepted, and NAT.
FIREWALL = """
table inet fw4 {
  chain forward { type filter hook forward priority filter; policy drop;
    ct state established,related accept; iifname lan accept; }
  chain srcnat { type nat hook postrouting priority srcnat; oifname wan masquerade; }
}"""
PORT = {4: 443, 6: 446}
CONFIG = policy({"t": nftset("t")})


@pytest.fixture
def net(lab: Lab) -> Iterator[Network]:
    with network(lab.namespace, lab.folder, {}) as made:
        lab.namespace.nft(FIREWALL)
        for version in (4, 6):
            made.away.do("serve", "tcp", version, PORT[version])
            made.away.do("serve", "udp", version, PORT[version])
        yield made


def tables(lab: Lab) -> set[str]:
    return {
        entry["table"]["name"]
        for entry in json.loads(lab.namespace.run("nft", "-j", "list", "tables"))["nftables"]
        if "table" in entry
    }


def command(lab: Lab, *arguments: str) -> str:
    return lab.namespace.run(*lab.nfa("adopt", "--control", str(lab.daemon.control), *arguments))


def test_forwarded_connections_begin_again_and_the_routers_own_go_on(lab: Lab, net: Network) -> None:
    """They would never be matched; or the administrator's SSH session would end with them."""
    old = [net.home.do("open", kind, version, AWAY[version], PORT[version]) for kind in ("tcp", "udp") for version in (4, 6)]
    talk = (
        "import socket, sys\ns = socket.create_connection((sys.argv[1], 443), 20)\n"
        "for line in sys.stdin:\n s.sendall(b'x'); print(s.recv(9).decode(), flush=True)\n"
    )
    own = subprocess.Popen(
        [*lab.namespace.prefix, sys.executable, "-c", talk, AWAY[4]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert own.stdin is not None and own.stdout is not None

    def router_talks() -> str:
        assert own.stdin is not None and own.stdout is not None
        own.stdin.write("\n")
        own.stdin.flush()
        return own.stdout.readline().strip()

    try:
        assert router_talks() == "x"
        daemon = lab.start(CONFIG)
        dry = command(lab, "--dry-run")
        assert "2 TCP connections would be reset" in dry and "2 UDP connections" in dry and "1 of the router itself" in dry
        assert tables(lab) == {"fw4", "nfa"} and all(net.home.do("talk", index) for index, _ in old), "nothing was done"
        said = command(lab)
        assert "2 TCP connections will be reset" in said and "entries deleted: 4" in said
        listed = lab.namespace.run("nft", "list", "chain", "inet", "nfa_adopt", "forward")
        assert [line.strip() for line in listed.splitlines()[2:5]] == [
            "type filter hook forward priority filter - 1; policy accept;",
            "ip saddr . tcp sport . ip daddr . tcp dport @v4 reject with tcp reset",
            "ip6 saddr . tcp sport . ip6 daddr . tcp dport @v6 reject with tcp reset",
        ], "as nft itself would have it"
        for index, _ in old[:2]:
            assert net.home.do("talk", index) is False, "reset at its next packet"
        assert router_talks() == "x"
        for kind, version in (("tcp", 4), ("tcp", 6), ("udp", 4)):
            assert net.home.open(kind, version, AWAY[version], PORT[version]), "a new one works"
        status = daemon.status()
        assert not status["faults"]["count"]
        assert daemon.stop() == 0
        assert tables(lab) == {"fw4", "nfa"}, "what it made for that is gone"
    finally:
        own.kill()
        own.communicate(timeout=PATIENCE)


def test_connections_that_nfa_has_matched_are_left_alone(lab: Lab, net: Network) -> None:
    """Each call would interrupt everybody again, for nothing."""
    lab.start(CONFIG | {"reprocess_flows": True})
    ports = [net.home.open("tcp", version, AWAY[version], PORT[version]) for version in (4, 6)]
    flows = [
        samples.flow(
            local=HOME[version],
            local_port=port,
            other=AWAY[version],
            other_port=PORT[version],
            interface="lan",
            ip_version=version,
        )
        for version, port in zip((4, 6), ports, strict=True)
    ]
    lab.feed(*flows)
    said = command(lab)
    assert "0 TCP connections will be reset" in said and "2 that nfa knows already" in said
    assert net.home.do("talk", 0) and net.home.do("talk", 1)


def test_the_option_has_it_done_at_the_start(lab: Lab, net: Network) -> None:
    """After each restart of the router's services, what runs would go unjudged."""
    index, _ = net.home.do("open", "tcp", 4, AWAY[4], 443)
    daemon = lab.start(CONFIG | {"adopt": True})
    daemon.until(lambda status: daemon.said("begin again", "1 TCP connections will be reset"), "the report")
    assert net.home.do("talk", index) is False
    assert net.home.open("tcp", 4, AWAY[4], 443)


def test_without_the_routers_addresses_nothing_is_interrupted(lab: Lab, net: Network) -> None:
    """Nobody could tell the administrator's own session from the others."""
    assert LASTING >= 60 and GATES[4]
    index, _ = net.home.do("open", "tcp", 4, AWAY[4], 443)
    lab.namespace.nft("add table inet nfa_adopt", "add chain inet nfa_adopt x")  # left by a daemon that was killed
    lab.start(CONFIG)
    assert "1 TCP connection will be reset" in command(lab)
    assert net.home.do("talk", index) is False
    assert "is not there" not in lab.daemon.log
