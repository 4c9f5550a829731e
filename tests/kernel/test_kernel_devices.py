"""Devices on a real router: neighbours of the kernel, lease files, and packets of every address that a device has."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import Lab, Namespace, nftset, policy
from network_lab import AWAY, GATES, HOME, Host, Network, network
from samples import Record, flow
from waiting import eventually

pytestmark = pytest.mark.kernel

MORE = ["fd00:1::21", "fd00:1::a1b2", "fd00:1::c3d4"]
"""Further addresses of the tablet, as those that change daily."""
SIX = [HOME[6], *MORE]
ROUTER = "02:00:00:00:00:99"
"""A MAC address of the router, which netifyd shows on the WAN side."""
RULES = """
table inet guard {
  chain forward {
    type filter hook forward priority 0;
    ip saddr . ip daddr @block.v4 drop
    ip6 saddr . ip6 daddr @block.v6 drop
  }
}
"""
PROBE = """
import select, socket, sys
seconds, *pairs = sys.argv[1:]
probes = {}
for pair in pairs:
    source, target = pair.split(">")
    probe = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
    probe.bind((source, 0))
    probe.sendto(b"x", (target, 4000))
    probes[probe] = source
while probes:
    ready = select.select([*probes], [], [], float(seconds))[0]
    for probe in ready:
        try:
            if probe.recv(10) == b"x":
                print(probes[probe])
        except OSError:
            pass
        del probes[probe]
    if not ready:
        break
"""
BLOCK = nftset("block", "local_addr", "other_addr", table_name="guard")


@pytest.fixture
def lan(lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Network]:
    """A tablet (`home`) with four IPv6 addresses behind a router, and a server in the world that echoes."""
    with network(namespace, tmp_path, {}) as made:
        for address in MORE:
            made.home.namespace.run("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
        for version in (4, 6):
            made.away.do("serve", "udp", version, 4000)
        yield made


def mac_of(host: Host) -> str:
    return str(json.loads(host.namespace.run("ip", "-j", "link", "show", "eth0"))[0]["address"])


def speak(host: Host, *pairs: tuple[str, str], seconds: float = 2) -> set[str]:
    """Send a packet from each of these addresses of a host to its target, all at once; return those whose echo came.

    Silence after the last echo is waited for once, for so many seconds."""
    arguments = [f"{source}>{target}" for source, target in pairs]
    return {*host.namespace.run(sys.executable, "-I", "-S", "-c", PROBE, str(seconds), *arguments).split()}


def passes(host: Host, source: str, target: str) -> None:
    """Wait until a packet comes back: the first may be lost while neighbours look for each other."""
    eventually(partial(speak, host, (source, target)), what=f"a packet from {source} to {target} passes")


def video(address: str, **more: Any) -> Record:
    """A flow of an address as netifyd tells of it on the WAN side of the router: with the router's MAC address."""
    version = 6 if ":" in address else 4
    return flow(local=address, other=AWAY[version], local_mac=ROUTER, interface="wan", internal=False, **more)


def neighbours(lab: Lab, *addresses: str) -> None:
    """Wait until the daemon has these neighbours."""

    def there() -> bool:
        rows = lab.daemon.ask("devices")["devices"]
        known = {one["address"] for row in rows for one in row["addresses"] if "neighbour" in one["from"]}
        return known >= set(addresses)

    eventually(there, what="neighbours")


def pairs(namespace: Namespace, version: int) -> set[str]:
    """The local addresses in the set."""
    return {key[0] for key in namespace.nft_set(f"guard block.v{version}").keys}


def test_a_block_of_a_device_holds_for_every_address_that_it_has(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """A child's tablet is blocked over IPv4, and goes on over IPv6: with four addresses, all four connections passed."""
    devices = {"tablet": {"mac": mac_of(lan.home)}}
    lab.start(policy({"t": BLOCK}, "local_ip == @tablet;", devices=devices))
    for address in (HOME[4], *SIX):
        passes(lan.home, address, AWAY[6 if ":" in address else 4])  # nothing is blocked yet
    neighbours(lab, HOME[4], *SIX)
    namespace.nft(RULES)
    lab.feed(flow(local=HOME[4], other=AWAY[4], local_mac=ROUTER), *map(video, SIX), video("fd00:1::99"))
    eventually(lambda: pairs(namespace, 6) == set(SIX), what="4 of 4, and not that of a stranger")
    assert pairs(namespace, 4) == {HOME[4]}
    assert speak(lan.home, *((address, AWAY[6 if ":" in address else 4]) for address in (HOME[4], *SIX))) == set()


def test_the_connections_of_an_exempt_printer_are_not_touched(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """A printer that was exempt by its IPv4 address was cut over IPv6."""
    config = policy({"t": BLOCK}, devices={"printer": {"ip": HOME[4], "mac": mac_of(lan.home)}}, exemptions=["@printer"])
    lab.start(config)
    for address in SIX:
        passes(lan.home, address, AWAY[6])
    neighbours(lab, *SIX)
    namespace.nft(RULES)
    status = lab.feed(flow(local=HOME[4], other=AWAY[4], local_mac=""), *map(video, SIX), video("fd00:1::99"))
    assert (status["flows"]["exempt"], status["flows"]["matched"]) == (5, 1)
    eventually(lambda: pairs(namespace, 6) == {"fd00:1::99"})
    for address in SIX:
        passes(lan.home, address, AWAY[6])


def elements(lab: Lab) -> set[Any]:
    return lab.namespace.nft_set("nfa block.v6").keys | lab.namespace.nft_set("nfa block.v4").keys


def test_an_address_that_is_learnt_later_concerns_flows_that_are_known(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """netifyd may tell of a flow before the kernel's entry is there, and tells of it once: it would go on for hours."""
    devices = {"tablet": {"mac": "02:aa:00:00:00:01"}}
    lab.start(policy({"t": nftset("block", "local_addr")}, "device == 'tablet';", devices=devices))
    lab.feed(*map(video, SIX))
    assert not elements(lab)
    for address in SIX[:2]:
        namespace.run("ip", "neigh", "add", address, "lladdr", "02:aa:00:00:00:01", "dev", "lan", "nud", "stale")
    eventually(lambda: elements(lab) == {(address,) for address in SIX[:2]}, what="the flows of these two")
    assert lab.daemon.status()["devices"]["changes"] >= 1


def test_an_address_that_belongs_to_another_now_is_taken_away(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """A guest who gets the address that the tablet had yesterday would be blocked."""
    devices = {"tablet": {"mac": "02:aa:00:00:00:01"}}
    namespace.run("ip", "neigh", "add", SIX[1], "lladdr", "02:aa:00:00:00:01", "dev", "lan", "nud", "reachable")
    lab.start(policy({"t": nftset("block", "local_addr")}, "local_ip == @tablet;", devices=devices))
    neighbours(lab, SIX[1])
    lab.feed(*map(video, SIX))
    assert elements(lab) == {(SIX[1],)}
    namespace.run("ip", "neigh", "replace", SIX[1], "lladdr", "02:bb:00:00:00:02", "dev", "lan", "nud", "reachable")
    eventually(lambda: not elements(lab), what="the address is the guest's")


def test_what_the_kernel_did_while_nobody_listened_is_asked_for(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """After a burst of news some are lost: addresses of before would hold for ever, and new ones never."""
    devices = {"tablet": {"mac": "02:aa:00:00:00:01"}}
    namespace.run("ip", "neigh", "add", SIX[0], "lladdr", "02:aa:00:00:00:01", "dev", "lan", "nud", "permanent")
    lab.start(policy({"t": nftset("block", "local_addr")}, "local_ip == @tablet;", devices=devices))
    neighbours(lab, SIX[0])
    lab.feed(*map(video, SIX))
    lab.daemon.signal(19)  # SIGSTOP
    crowd = [
        f"neigh add fd00:1::{n:x}:1 lladdr 02:cc:00:00:{n >> 8:02x}:{n & 255:02x} dev lan nud permanent" for n in range(6000)
    ]
    moves = [f"neigh replace {SIX[0]} lladdr 02:bb:00:00:00:02 dev lan nud permanent"]
    moves += [f"neigh replace {SIX[1]} lladdr 02:aa:00:00:00:01 dev lan nud permanent"]
    namespace.run("ip", "-batch", "-", text="\n".join(crowd + moves) + "\n")
    lab.daemon.signal(18)  # SIGCONT
    eventually(lambda: elements(lab) == {(SIX[1],)}, what="one is another's, one is new, among 6,000 strangers")
    status = lab.daemon.status()["devices"]
    assert status["neighbours"] <= 4096 and status["dropped"] > 0, "strangers do not fill the memory"


LEASES = """\
1790000000 02:aa:00:00:00:01 192.168.1.77 Toms-Tablet 01:02:aa:00:00:00:01
1790000000 02:bb:00:00:00:02 192.168.1.78 * *
duid 00:01:00:01:2a
"""


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff\xfe \x00\n" * 100, b"# a b\n#\n# br-lan x ipv4 \\x0a 1 2 32 1.2.3\n1 2 3 4 5 6\n"]
)
def test_a_lease_names_the_device(lab: Lab, namespace: Namespace, tmp_path: Path, garbage: bytes) -> None:
    """A device that is named as its owner knows it was nobody's; or a name that a stranger chose ends the daemon."""
    leases = tmp_path / "dhcp.leases"
    (tmp_path / "dhcp").write_text(f"config dnsmasq\n\toption leasefile '{leases}'\n")
    (tmp_path / "netify-proc-flow-actions").write_text("config device 'tablet'\n\tlist name 'toms-tablet'\n")
    lab.start(
        policy({"t": nftset("block", "local_addr")}, "local_ip == @tablet;"),
        options=("-u", str(tmp_path)),
        constants={"devices.learning.LOOK_EVERY": 1},
    )
    ours, other = (flow(local=f"192.168.1.{n}", other=AWAY[4], local_mac=ROUTER) for n in (77, 78))
    lab.feed(ours, other)
    assert not elements(lab)
    leases.write_bytes(garbage + LEASES.encode() + garbage)
    eventually(lambda: elements(lab) == {("192.168.1.77",)}, what="the lease is read")
    leases.write_bytes(garbage + LEASES.replace("Toms-Tablet", "*").encode())
    eventually(lambda: not elements(lab), what="the name is gone")
    assert not lab.daemon.status()["faults"]["count"]


def test_a_fifo_in_the_place_of_a_lease_file_stops_nothing(lab: Lab, namespace: Namespace, tmp_path: Path) -> None:
    """The daemon would wait for a writer, and do nothing else."""
    namespace.run("mkfifo", str(tmp_path / "pipe"))
    (tmp_path / "dhcp").write_text(f"config dnsmasq\n\toption leasefile '{tmp_path / 'pipe'}'\n")
    (tmp_path / "netify-proc-flow-actions").write_text("")
    lab.start(
        policy({"t": nftset("block", "local_addr")}, "local_ip == @tablet;", devices={"tablet": {"mac": "02:aa:00:00:00:01"}}),
        options=("-u", str(tmp_path)),
    )
    lab.feed(flow(local="192.168.1.5", other=AWAY[4], local_mac="02:aa:00:00:00:01"))
    assert elements(lab) == {("192.168.1.5",)}


def test_devices_are_listed_with_where_they_are_known_from(
    lab: Lab, namespace: Namespace, lan: Network, tmp_path: Path
) -> None:
    """An owner could not see which addresses a rule is about, nor find out what a new device is to be called by."""
    mac = mac_of(lan.home)
    lab.start(policy({"t": nftset("block", "local_addr")}, devices={"tv": {"ip": "192.168.1.50", "title": "In the hall"}}))
    passes(lan.home, HOME[4], AWAY[4])
    neighbours(lab, HOME[4])
    rows = lab.daemon.ask("devices")["devices"]
    assert rows[0] == {
        "name": "tv", "title": "In the hall", "macs": [], "private": [], "hosts": [], "interfaces": [],
        "addresses": [{"address": "192.168.1.50", "from": ["config"]}],
    }  # fmt: skip
    found = next(row for row in rows if mac in row["macs"])
    assert found["name"] == "" and found["interfaces"] == ["lan"]
    assert {"address": HOME[4], "from": ["neighbour"]} in found["addresses"]
    assert found["private"] == ([mac] if int(mac[:2], 16) & 2 else [])
    shown = namespace.run(*lab.nfa("devices", "--control", str(lab.daemon.control)))
    assert "tv (In the hall)" in shown and mac in shown and "other device" in shown
    snippet = namespace.run(*lab.nfa("devices", "--control", str(lab.daemon.control), "--snippet", mac))
    assert snippet == f"config device 'device_{mac.replace(':', '')}'\n\tlist mac '{mac}'\n"


def test_a_router_without_any_configured_device_lists_its_neighbours(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """Who has no device yet could not find out what to write."""
    namespace.run("ip", "neigh", "add", SIX[1], "lladdr", "00:11:22:33:44:55", "dev", "lan", "nud", "stale")
    lab.start(policy({"t": nftset("block", "local_addr")}))
    assert lab.daemon.status()["devices"]["neighbours"] == 0, "nothing is learnt before somebody asks"
    rows = lab.daemon.ask("devices")["devices"]
    assert [row["addresses"] for row in rows if row["macs"] == ["00:11:22:33:44:55"]] == [
        [{"address": SIX[1], "from": ["neighbour"]}]
    ]
    assert GATES[4][0] not in json.dumps(rows), "the router itself is no neighbour"


def test_why_and_matches_know_what_the_daemon_has_learnt(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """ "Why?" would say that a flow does not match which the daemon has blocked, and the list show a number for a tablet."""
    namespace.run("ip", "neigh", "add", SIX[1], "lladdr", "02:aa:00:00:00:01", "dev", "lan", "nud", "stale")
    devices = {"tablet": {"mac": "02:aa:00:00:00:01"}}
    lab.start(policy({"t": nftset("block", "local_addr")}, "local_ip == @tablet;", devices=devices))
    neighbours(lab, SIX[1])
    lab.feed(video(SIX[1]), video(SIX[2]))
    match = lab.daemon.ask("matches")["matches"][0]
    assert (match["local_device"], match["other_device"]) == ("tablet", "")
    for flow_, outcome in (
        (match["flow"]["digest"], "matched"),
        (video(SIX[2]), "no match"),
        (video(SIX[1])["flow"], "matched"),
    ):
        step = lab.daemon.ask("explain", flow=flow_)["steps"][0]
        assert step["outcome"] == outcome, step
    assert lab.daemon.ask("check", criteria="local_ip == @tablet;")["ok"]
    assert lab.daemon.ask("check", exemptions=["@tablet", "!local_device;"])["ok"]
    wrong = lab.daemon.ask("check", criteria="local_ip == @table;")["reports"][0]
    assert (wrong["code"], wrong["hint"]) == ("unknown-address-group", "did you mean 'tablet'?")
    shown = namespace.run(*lab.nfa("matches", "--control", str(lab.daemon.control)))
    assert "tablet" in shown


def test_a_link_local_address_is_nobodys(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """fe80::1 is another device on each interface: a stranger's flow would be the tablet's."""
    namespace.run("ip", "neigh", "add", "fe80::77", "lladdr", "02:aa:00:00:00:01", "dev", "lan", "nud", "permanent")
    namespace.run("ip", "neigh", "add", SIX[1], "lladdr", "02:aa:00:00:00:01", "dev", "lan", "nud", "permanent")
    devices = {"tablet": {"mac": "02:aa:00:00:00:01"}}
    lab.start(policy({"t": nftset("block", "local_addr")}, "local_ip == @tablet;", devices=devices))
    neighbours(lab, SIX[1])
    lab.feed(video("fe80::77"), video(SIX[1]))
    assert elements(lab) == {(SIX[1],)}


def test_thousands_of_devices_are_listed_in_pages(lab: Lab, namespace: Namespace, lan: Network) -> None:
    """The answer for a large network would be too long for ubus."""
    crowd = [
        f"neigh add fd00:1::{n:x}:1 lladdr 02:cc:00:00:{n >> 8:02x}:{n & 255:02x} dev lan nud permanent" for n in range(4000)
    ]
    namespace.run("ip", "-batch", "-", text="\n".join(crowd) + "\n")
    lab.start(policy({"t": nftset("block", "local_addr")}, devices={"tablet": {"mac": "02:aa:00:00:00:01"}}))
    lab.daemon.until(lambda status: status["devices"]["neighbours"] >= 4000)
    first = lab.daemon.ask("devices", limit=1000)
    assert first["total"] > 4000 and len(first["devices"]) == 1000 and first["more"]
    found = lab.daemon.ask("devices", search="02:cc:00:00:0f:9f")["devices"]
    assert [row["macs"] for row in found] == [["02:cc:00:00:0f:9f"]]
    assert not lab.daemon.status()["faults"]["count"]


def test_a_device_that_gets_other_addresses_is_another_one_at_once(lab: Lab, namespace: Namespace, tmp_path: Path) -> None:
    """The owner corrects a MAC address: the wrong device would stay blocked, the right one pass, for hours."""

    def config(mac: str, *criteria: str) -> dict[str, Any]:
        devices = {"tablet": {"mac": mac}}
        return policy({"t": nftset("block", "local_addr")}, *criteria, devices=devices, groups={"kids": {"device": "tablet"}})

    macs = ["00:11:22:33:44:01", "00:11:22:33:44:02"]
    flows = [flow(local=f"192.168.1.{n}", other=AWAY[4], local_mac=mac) for n, mac in enumerate(macs)]
    lab.start(config(macs[0], "device == 'kids';"))
    lab.feed(*flows)
    assert elements(lab) == {("192.168.1.0",)}
    lab.daemon.configure(config(macs[1], "device == 'kids';"))
    lab.daemon.signal(1)
    eventually(lambda: elements(lab) == {("192.168.1.1",)}, what="the other device")
    lab.daemon.configure(config(macs[0], "!local_device;"))
    lab.daemon.signal(1)
    lab.daemon.loaded(3)
    eventually(lambda: elements(lab) == {("192.168.1.1",)}, what="the one that is not known")
    lab.daemon.configure(config(macs[1], "!local_device;"))
    lab.daemon.signal(1)
    eventually(lambda: elements(lab) == {("192.168.1.0",)}, what="now the other one")
