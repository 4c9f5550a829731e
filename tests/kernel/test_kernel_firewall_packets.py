"""What the table of firewall targets does to packets: real TCP, UDP and ICMP through a router, IPv4 and IPv6, NAT on and off.

The elements come from `nft`; that the daemon makes the same ones is its own tests' affair.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from firewall_lab import Bulk, Table
from kernel_lab import Namespace, environment
from network_lab import AWAY, GATES, HOME, Network, network
from waiting import eventually

from nfa.compiler.provision.rules import BURST

pytestmark = pytest.mark.kernel

FAMILIES = (4, 6)
ICMP = {4: "icmp", 6: "ipv6-icmp"}
NAT = """
table inet nat {
  chain post { type nat hook postrouting priority srcnat; oifname wan masquerade; }
}
"""
FW4 = """
table inet fw4 {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname lan accept
  }
}
"""
"""As OpenWrt's: what is established passes before any rule that comes later."""

# Tells TOS bytes (or traffic classes) and marks of packets that arrive; a line of input is a job.
_SNIFF = r"""
import json, socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
raw.bind(("eth0", 0))
raw.settimeout(0.2)
for line in sys.stdin:
    port = json.loads(line)
    found = []
    try:
        while True:
            data, (_, protocol, kind, *_) = raw.recvfrom(2000)
            version = data[0] >> 4
            header = 40 if version == 6 else (data[0] & 15) * 4
            if kind == 4 or (data[9] if version == 4 else data[6]) not in (6, 17):
                continue
            ports = int.from_bytes(data[header:header + 2], "big"), int.from_bytes(data[header + 2:header + 4], "big")
            if port in ports:
                found.append((int.from_bytes(data[:2], "big") >> 4 & 255 if version == 6 else data[1]) >> 2)
    except TimeoutError:
        pass
    print(json.dumps(found), flush=True)
"""


class Sniffer:
    """Tells the DSCP classes of packets that arrive at a host."""

    def __init__(self, namespace: Namespace) -> None:
        self._agent = subprocess.Popen(
            [*namespace.prefix, sys.executable, "-c", _SNIFF],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip
        self.classes(0)  # it listens now

    def classes(self, port: int) -> list[int]:
        """Those of all packets from or to a port since the last question."""
        assert self._agent.stdin and self._agent.stdout
        self._agent.stdin.write(f"{port}\n")
        self._agent.stdin.flush()
        found: list[int] = json.loads(self._agent.stdout.readline())
        return found

    def close(self) -> None:
        self._agent.kill()
        self._agent.communicate()


@pytest.fixture(params=["routed", "masqueraded"])
def net(namespace: Namespace, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Network]:
    with network(namespace, tmp_path / "network", {}) as made:
        made.router.run("nft", "-f", "-", text=FW4 + (NAT if request.param == "masqueraded" else ""))
        for kind in ("tcp", "udp"):
            for version in FAMILIES:
                for port in (443, 8443):
                    made.away.do("serve", kind, version, port, AWAY[version])
        yield made


def key(net: Network, version: int, kind: str, port: int, local: str = "", server: int = 443) -> str:
    """The key of a connection of `home` in the map of connections."""
    return f"{local or HOME[version]} . {port} . {kind} . {AWAY[version]} . {server}"


@pytest.mark.parametrize("verdict", ["reject", "drop"])
@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_block_ends_the_connection_and_not_its_neighbour(
    net: Network, tmp_path: Path, kind: str, version: int, verdict: str
) -> None:
    """In spite of fw4's "established accept"; YouTube's other connections to the same front end go on."""
    table = Table(net.router, tmp_path, {"stop": {"verdict": verdict}})
    index, port = net.home.do("open", kind, version, AWAY[version], 443)
    other, _ = net.home.do("open", kind, version, AWAY[version], 443)
    assert net.home.do("talk", index)
    chain = table.hold(["stop"], key(net, version, kind, port), family=version)
    assert not net.home.do("talk", index, 0.3)
    assert net.home.do("talk", other)
    assert table.packets(chain) > 0
    table.release()
    if kind == "udp":
        assert net.home.do("talk", index), "it goes on at once"
    assert net.home.do("tries", kind, version, AWAY[version], 443, 5)


@pytest.mark.parametrize("version", FAMILIES)
def test_a_reject_tells_the_sender_at_once(net: Network, tmp_path: Path, version: int) -> None:
    """A browser that hears nothing tries for minutes, and the page seems to hang instead of being blocked."""
    table = Table(net.router, tmp_path, {"stop": {"verdict": "reject", "scope": "server"}})
    for kind in ("tcp", "udp"):
        server = f"{HOME[version]} . {kind} . {AWAY[version]} . 443"
        table.hold(["stop"], server, family=version)
        assert not net.home.do("tries", kind, version, AWAY[version], 443, 300), "no answer would hold the test up for long"
        assert net.home.do("tries", kind, version, AWAY[version], 8443, 5), "another port of the server"


@pytest.mark.parametrize("version", FAMILIES)
def test_connections_without_ports_are_blocked(net: Network, tmp_path: Path, version: int) -> None:
    """A game's ping, a tunnel: there is no port that could be in the key."""
    table = Table(net.router, tmp_path, {"stop": {"verdict": "drop"}})
    net.home.do("ping", version, AWAY[version], 1)
    chain = table.hold(["stop"], f"{HOME[version]} . {ICMP[version]} . {AWAY[version]}", family=version, way="plain")
    assert not net.home.do("pings", version, AWAY[version], 2, 0.3)
    assert table.packets(chain) > 0
    table.release()
    net.home.do("ping", version, AWAY[version], 3)


@pytest.mark.parametrize("version", FAMILIES)
def test_a_device_is_blocked_with_all_that_it_does(net: Network, tmp_path: Path, version: int) -> None:
    """A pause means the tablet, not what it happens to have open; and it means the world, not the router."""
    table = Table(net.router, tmp_path, {"pause": {"verdict": "drop", "scope": "device"}})
    index, _ = net.home.do("open", "tcp", version, AWAY[version], 443)
    for way in ("up", "down"):
        table.hold(["pause"], HOME[version], family=version, way=way)
    assert not net.home.do("talk", index, 0.3)
    for kind in ("tcp", "udp"):
        assert not net.home.do("tries", kind, version, AWAY[version], 8443, 0.3)
    net.home.do("ping", version, GATES[version][0], 9)
    table.release()
    assert net.home.do("tries", "tcp", version, AWAY[version], 8443, 5)


@pytest.mark.parametrize("version", FAMILIES)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_dscp_is_on_every_packet_of_both_directions(net: Network, tmp_path: Path, kind: str, version: int) -> None:
    """A queue at one of the two devices would sort half of a call into the wrong class."""
    table = Table(net.router, tmp_path, {"first": {"set_dscp": "EF"}})
    index, port = net.home.do("open", kind, version, AWAY[version], 443)
    other, _ = net.home.do("open", kind, version, AWAY[version], 443)
    chain = table.hold(["first"], key(net, version, kind, port), family=version)
    here, there = Sniffer(net.home.namespace), Sniffer(net.away.namespace)
    try:
        for _ in range(5):
            assert net.home.do("talk", index), "a wrong checksum would be dropped by the host"
            assert net.home.do("talk", other)
        assert {*here.classes(port)} == {46}
        seen = there.classes(443)
        assert set(seen) == {0, 46}, "the neighbour keeps its class"
        assert table.packets(chain) >= 10
    finally:
        here.close()
        there.close()


@pytest.mark.parametrize("version", FAMILIES)
def test_a_mark_changes_its_own_bits_only(net: Network, tmp_path: Path, version: int) -> None:
    """mwan3 and pbr have theirs in the same number."""
    table = Table(net.router, tmp_path, {"line2": {"set_mark": "0x10/0xf0"}})
    net.router.nft(
        "add table inet look",
        "add chain inet look before { type filter hook forward priority -150; meta mark set 0xabcd00ff; }",
        "add chain inet look after { type filter hook forward priority 10; }",
        "add rule inet look after meta mark 0xabcd001f counter",
        "add rule inet look after meta mark 0xabcd00ff counter",
    )
    index, port = net.home.do("open", "udp", version, AWAY[version], 443)

    def counted() -> list[int]:
        listed = json.loads(net.router.run("nft", "-j", "list", "chain", "inet", "look", "after"))["nftables"]
        return [
            one["counter"]["packets"]
            for entry in listed
            if "rule" in entry
            for one in entry["rule"]["expr"]
            if "counter" in one
        ]

    before = counted()
    assert before[0] == 0 and before[1] >= 2
    table.hold(["line2"], key(net, version, "udp", port), family=version)
    assert net.home.do("talk", index)
    assert [new - old for new, old in zip(counted(), before, strict=True)] == [2, 0]


def test_several_effects_apply_one_after_the_other(net: Network, tmp_path: Path) -> None:
    """Of two policies that both want a connection, one must not silently undo the other."""
    targets: dict[str, dict[str, Any]] = {
        "first": {"set_dscp": "CS1"}, "later": {"set_dscp": "EF"}, "line2": {"set_mark": "0x10/0xf0"},
        "slow": {"limit": "100mbit"},
    }  # fmt: skip
    table = Table(net.router, tmp_path, targets)
    net.router.nft(
        "add table inet look",
        "add chain inet look after { type filter hook forward priority 10; ip dscp ef meta mark 0x10 counter; }",
    )
    index, port = net.home.do("open", "udp", 4, AWAY[4], 443)
    table.hold(list(targets), key(net, 4, "udp", port))
    assert net.home.do("talk", index)
    assert "packets 2 " in net.router.run("nft", "list", "chain", "inet", "look", "after")


RATES = (1.8, 2.2)


def test_a_limit_for_each_device_is_what_each_of_two_gets(net: Network, tmp_path: Path) -> None:
    """With one bucket for all, one device's download would be at the expense of another's.

    Two devices take, two others give, over IPv4 and over IPv6, all in the same seconds.
    """
    table = Table(net.router, tmp_path, {"slow": {"limit": "2mbit", "per_device": True}})
    here, there = Bulk(net.home.namespace), Bulk(net.away.namespace)
    devices = []
    for version, near, length in ((4, "192.168.1.", "24"), (6, "fd00:1::", "64 nodad")):
        for last, way in ((21, "up"), (22, "up"), (23, "down"), (24, "down")):
            net.home.namespace.ip(f"addr add {near}{last}/{length} dev eth0")
            devices.append((version, f"{near}{last}", way))
    try:
        there.do("serve", 6, 5001)  # and 4: it listens at [::]
        for attempt in range(3):
            jobs = []
            for number, (version, address, way) in enumerate(devices):
                port = 40001 + 10 * attempt + number
                table.hold(["slow"], key(net, version, "tcp", port, address, 5001), family=version)
                jobs.append([version, address, port, AWAY[version], 5001, way, 250_000, 2_000_000])
            found = dict(zip(devices, here.do("speeds", *jobs), strict=True))
            assert max(found.values()) <= RATES[1], found
            # A busy machine holds a sender up; it never lets more pass.
            devices = [device for device, speed in found.items() if speed < RATES[0]]
            if not devices:
                break
    finally:
        here.close()
        there.close()
    assert min(found.values()) >= RATES[0], found


def test_a_limit_is_shared_by_all_that_reach_the_target(net: Network, tmp_path: Path) -> None:
    """That is what it says where per_device is not set: two downloads get it together."""
    table = Table(net.router, tmp_path, {"slow": {"limit": "4mbit", "limit_up": "100mbit"}})
    here, there = Bulk(net.home.namespace), Bulk(net.away.namespace)
    try:
        there.do("serve", 4, 5001)
        jobs = []
        for port in (40001, 40002):
            table.hold(["slow"], key(net, 4, "tcp", port, "", 5001))
            jobs.append([4, HOME[4], port, AWAY[4], 5001, "down", 1, 1_200_000])
        start = time.monotonic()
        here.do("speeds", *jobs)
        # The bucket holds what comes in a second, and BURST.
        allowed = 500_000 * (time.monotonic() - start + 1) + BURST
        table.hold(["slow"], key(net, 4, "tcp", 40003, "", 5001))
        (up,) = here.do("speeds", [4, HOME[4], 40003, AWAY[4], 5001, "up", 1_000_000, 5_000_000])
    finally:
        here.close()
        there.close()
    assert allowed > 2_400_000, "both have all of it"
    assert up > 20, "the other direction has a limit of its own"


def test_the_direction_of_a_limit_is_that_of_the_local_end(net: Network, tmp_path: Path) -> None:
    """A server at home that the world connects to uploads when it answers."""
    table = Table(net.router, tmp_path, {"slow": {"limit_up": "2mbit"}})
    net.router.nft("add rule inet fw4 forward accept")
    here, there = Bulk(net.home.namespace), Bulk(net.away.namespace)
    try:
        here.do("serve", 6, 5001)
        table.hold(["slow"], f"{HOME[6]} . 5001 . tcp . {AWAY[6]} . 40001", family=6, began=False)
        (down,) = there.do("speeds", [6, AWAY[6], 40001, HOME[6], 5001, "down", 250_000, 1_000_000])
    finally:
        here.close()
        there.close()
    assert 1 < down <= RATES[1], "with the other direction's chain there would be no limit at all"


@pytest.mark.parametrize("version", FAMILIES)
def test_the_router_is_reached_whatever_a_target_says(net: Network, tmp_path: Path, version: int) -> None:
    """Who blocks the router's own packets must still be able to log in and undo it, and devices need names and addresses."""
    table = Table(net.router, tmp_path, {"stop": {"verdict": "drop", "scope": "device", "hook": "router"}})
    router = Bulk(net.router)
    gate = GATES[version][0]
    served: Any = ((22, True), (80, True), (443, True), (53, True), (8080, False))
    try:
        for port, _ in served:
            router.do("serve", version, port)
        for way in ("up", "down"):
            table.hold(["stop"], HOME[version], family=version, way=way)
        net.home.namespace.run("ip", "neigh", "flush", "all")  # neighbour discovery has to work, too
        for port, reached in served:
            assert net.home.do("reaches", version, gate, port, 5 if reached else 0.3) is reached, port
    finally:
        router.close()


def test_connections_to_the_router_are_met_only_where_a_target_asks_for_it(net: Network, tmp_path: Path) -> None:
    """Forwarded traffic only, unless `option hook 'router'` says so."""
    table = Table(net.router, tmp_path, {"stop": {"verdict": "drop"}, "own": {"verdict": "drop", "hook": "router"}})
    router = Bulk(net.router)
    try:
        router.do("serve", 4, 8080)
        for way in ("ports",):
            table.hold(["stop"], f"{HOME[4]} . 41000 . tcp . {GATES[4][0]} . 8080", way=way)
        assert net.home.do("reaches", 4, GATES[4][0], 8080, 5, 41000)
        table.hold(["own"], f"{HOME[4]} . 41001 . tcp . {GATES[4][0]} . 8080")
        assert not net.home.do("reaches", 4, GATES[4][0], 8080, 0.3, 41001)
    finally:
        router.close()


def test_the_table_is_whole_again_while_connections_are_held(net: Network, tmp_path: Path) -> None:
    """Healing must not let pass what is blocked: it empties our chains and fills them in one transaction."""
    table = Table(net.router, tmp_path, {"stop": {"verdict": "drop"}})
    index, port = net.home.do("open", "udp", 4, AWAY[4], 443)
    table.hold(["stop"], key(net, 4, "udp", port))
    for _ in range(20):
        table.send(table.image["frame"])
        assert not net.home.do("talk", index, 0.02)
    net.router.nft("flush chain inet nfa nfa_forward")
    assert net.home.do("talk", index)
    table.send(table.image["frame"])
    eventually(lambda: not net.home.do("talk", index, 0.05) or None)
