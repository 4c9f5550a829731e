"""The agent as it really is, on a router with a LAN and a WAN: which end is ours, what is reported twice, what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import agent_streams
import pytest
import samples
from kernel_lab import Lab, nftset, policy
from network_lab import AWAY, HOME, Network, network

LAB = (
    "link add lan0 type veth peer name lan1", "link add wan0 type veth peer name wan1", "link set lo up", "link set lan1 up",
    "link set wan1 up", "link set lan0 up", "link set wan0 up",
    "address add 192.168.1.1/24 dev lan0", "address add fd00:1::1/64 dev lan0 nodad",
    "address add 81.2.3.1/24 dev wan0", "address add 2a0b:1::1/64 dev wan0 nodad",
)  # fmt: skip
DEFAULT = ("route add default via 81.2.3.2", "-6 route add default via 2a0b:1::2")
STATIC = (*DEFAULT, "route add 77.77.77.0/24 via 81.2.3.2")
SPLIT = ("route add 0.0.0.0/1 via 81.2.3.2", "route add 128.0.0.0/1 via 81.2.3.2", "-6 route add default via 2a0b:1::2")
TARGETS = {
    "usual": nftset("usual"),
    "device": nftset("device", "local_addr"),
    "far": nftset("far", "other_addr"),
    "remote": nftset("remote", "local_addr", "other_addr", "other_port"),
}
POLICY = policy(
    TARGETS,
    actions={
        "all": {"criteria": ["other_port == 443;"], "targets": ["usual"]},
        "device": {"criteria": ["local_ip == 192.168.1.10 || local_ip == fd00:1::10;"], "targets": ["device", "far"]},
        "remote": {"criteria": ["other_type == other_remote && ip_protocol == 6;"], "targets": ["remote"]},
    },
)


def router(lab: Lab, *more: str) -> None:
    for command in (*LAB, *more):
        lab.namespace.run("ip", *command.split())


def sets(lab: Lab) -> dict[str, set[Any]]:
    found = {name.split()[1]: each.keys for name, each in lab.namespace.nft_sets().items()}
    return {name: {key[0] if len(key) == 1 else key for key in keys} for name, keys in found.items()}


@pytest.mark.parametrize(("name", "routes"), [("static-route-reversed", STATIC), ("default-split-in-two-all-local", SPLIT)])
def test_a_route_of_its_own_changes_no_element(lab: Lab, name: str, routes: tuple[str, ...]) -> None:
    """With a VPN or a static route, elements were reversed, a block never met and a condition on a device never matched."""
    router(lab, *routes)
    daemon = lab.start(POLICY)
    lab.feed(*agent_streams.records(name))
    turned = sets(lab)
    ports = {str(flow["flow"]["other_port"]) for flow in agent_streams.flows(name) if flow["interface"] == "lan0"}
    assert turned["device.v4"] == {"192.168.1.10"} and turned["far.v4"] == {"77.77.77.1", "77.77.77.2"}
    clients = {key for key in turned["remote.v4"] if key[0] == "192.168.1.10"}
    assert clients == {("192.168.1.10", f"77.77.77.{n}", "443") for n in (1, 2)} and len(ports) == 6
    assert {key[0] for key in turned["usual.v4"]} == {"192.168.1.10"}, "the WAN's records are of the same connections"
    networks = daemon.status()["networks"]
    assert networks["turned"] == len(agent_streams.flows(name)) and networks["known"] and not networks["trouble"]
    (match, *_) = daemon.ask("matches")["matches"]
    assert match["flow"]["other_ip"].startswith("77.77.77.") and match["flow"]["local_origin"] is True


def test_each_connection_behind_nat_counts_once(lab: Lab) -> None:
    """Sets got the router's address beside the client's, and a log twice as many entries as there were connections."""
    router(lab, *DEFAULT)
    config = policy(TARGETS | {"log": {"target_type": "log", "log_path": str(lab.folder), "overwrite": True, "interval": 1}})
    lab.start(config)
    status = lab.feed(*agent_streams.records("nat-lan-wan-pairs"))
    found = sets(lab)
    assert {"192.168.1.10"} <= found["device.v4"] and not {"81.2.3.1", "192.168.1.1"} & (found["device.v4"] | found["far.v4"])
    assert not {"2a0b:1::1", "fd00:1::1"} & (found["device.v6"] | found["far.v6"])
    networks = status["networks"]
    wan = [record for record in agent_streams.flows("nat-lan-wan-pairs") if record["interface"] == "wan0"]
    assert 0 < networks["duplicates"] == status["flows"]["duplicates"] < len(wan)
    assert status["flows"]["matched"] == len(agent_streams.flows("nat-lan-wan-pairs")) - networks["duplicates"]
    assert networks["interfaces"]["wan0"]["side"] == "wan" and networks["interfaces"]["lan0"]["side"] == "lan"
    rows = {(row["interface"], row["network"]): row["records"] for row in networks["origins"]}
    assert rows[("lan0", "192.168.1.0/24")] and rows[("lan0", "fd00:1::/64")] and rows[("wan0", "router")]
    assert {(row["network"], row["interface"]) for row in networks["ours"]} == {
        ("192.168.1.0/24", "lan0"), ("fd00:1::/64", "lan0"),
    }  # fmt: skip


def test_elements_that_are_only_an_address_are_never_our_own(lab: Lab) -> None:
    """An ICMPv6 criterion put a LAN client, the gateway and multicast into the set: a drop rule cuts the client off."""
    router(lab, *DEFAULT)
    targets = {
        "far": nftset("far", "other_addr"),
        "pair": nftset("pair", "local_addr", "other_addr"),
        "near": nftset("near", "local_addr"),
        "hash": {"target_type": "ipset", "set_name": "h", "type": "hash:ip", "managed": True, "ttl": 60},
    }
    lab.start(policy(targets, "proto == 'icmpv6' || proto == 'icmp' || ip_protocol == 17;"))
    status = lab.feed(
        *agent_streams.records("nat-lan-wan-pairs"),
        samples.flow("MDNS", other="224.0.0.251", ip_protocol=17, other_port=5353, interface="lan0", other_type="multicast"),
        samples.flow("DHCP", other="255.255.255.255", ip_protocol=17, other_port=67, interface="lan0", other_type="broadcast"),
        samples.flow("DNS", other="192.168.1.1", ip_protocol=17, other_port=53, interface="lan0", other_type="local"),
        samples.flow("DNS", other="192.168.1.255", ip_protocol=17, other_port=5, interface="lan0", other_type="broadcast"),
    )
    found = sets(lab)
    assert found["far.v6"] == {"2a0a:1234::4", "2a0b:1::2"}, "the client's ping, and the router's neighbour on the WAN"
    assert found["far.v4"] == lab.namespace.ipset("h.v4").keys == {"77.77.77.3", "77.77.77.4", "77.77.77.6", "77.77.77.53"}
    assert found["near.v4"] == {"192.168.1.10", "192.168.1.20"} and found["near.v6"] == {"fd00:1::10"}
    assert ("fd00:1::1", "fd00:1::10") in found["pair.v6"], "a pair cuts nobody off"
    assert status["targets"]["far"]["skipped"] >= 6 and not status["targets"]["pair"]["skipped"]


def test_a_network_that_comes_up_later_is_ours_from_then_on(lab: Lab) -> None:
    """Its devices would be the world's until the daemon is started again."""
    router(lab, *STATIC)
    daemon = lab.start(policy({"t": nftset("t", "local_addr")}))
    record = samples.flow(local="77.77.77.1", other="192.168.9.7", other_type="local", local_origin=True, interface="guest0")
    lab.feed(record)
    assert sets(lab)["t.v4"] == {"77.77.77.1"}
    for command in (
        "link add guest0 type veth peer name guest1", "link set guest1 up", "link set guest0 up",
        "address add 192.168.9.1/24 dev guest0",
    ):  # fmt: skip
        lab.namespace.run("ip", *command.split())
    daemon.until(lambda status: "192.168.9.0/24" in [row["network"] for row in status["networks"]["ours"]], "the network known")
    lab.feed(record)
    assert sets(lab)["t.v4"] == {"192.168.9.7"}
    lab.namespace.run("ip", "link", "del", "guest0")
    daemon.until(lambda status: "192.168.9.0/24" not in [row["network"] for row in status["networks"]["ours"]], "it is gone")


@pytest.fixture
def net(lab: Lab) -> Iterator[Network]:
    with network(lab.namespace, lab.folder, {}) as made:
        # The kernel tracks connections only where a rule wants to know of them.
        nat = "oifname wan meta l4proto tcp masquerade to :20000-29999;"
        lab.namespace.nft("table ip nat { chain post { type nat hook postrouting priority srcnat; " + nat + " }; }")
        lab.namespace.nft("add table inet track", "add chain inet track pre { type filter hook prerouting priority -100; }")
        lab.namespace.nft("add rule inet track pre ct state new counter")
        yield made


def test_conntrack_tells_whose_a_connection_on_the_wan_is(lab: Lab, net: Network) -> None:
    """`ip_nat` false is not sure: the router's address came into the sets. And a network that netifyd does not capture shows on
    the WAN only: its flows would be taken for duplicates, and match nothing."""
    for command in ("link add guest0 type veth peer name guest1", "link set guest0 up", "address add 10.9.0.1/24 dev guest0"):
        lab.namespace.run("ip", *command.split())
    daemon = lab.start(policy({"t": nftset("t", "local_addr", "local_port")}))
    net.away.do("serve", "tcp", 4, 443)
    wan = {"interface": "wan", "internal": False, "local": "203.0.113.1", "other": AWAY[4]}
    port = net.home.open("tcp", 4, AWAY[4], 443)
    lab.feed(samples.flow(local=HOME[4], local_port=port, other=AWAY[4], interface="lan"))
    outer = net.entry("tcp", port).reply[3]
    for nat in (True, False):
        lab.feed(samples.flow(**wan, local_port=int(outer), ip_nat=nat, digest=f"{nat:040x}"))
    lab.feed(samples.flow(**wan, local_port=7, digest="a" * 40))
    assert ("203.0.113.1", "7") in sets(lab)["t.v4"], "nobody knows that connection: it is the router's own"
    assert ("203.0.113.1", outer) not in sets(lab)["t.v4"]
    assert daemon.status()["networks"]["duplicates"] == 2


def test_a_mark_that_netifyd_does_not_know_is_looked_up(lab: Lab, net: Network) -> None:
    """With OpenWrt's netifyd, and on a LAN always, `fwmark` was 0: a condition on it never held."""
    for number in (443, 4443):
        net.away.do("serve", "tcp", 4, number)
    lab.namespace.nft("add rule inet track pre tcp dport 4443 ct mark set 17")
    config = policy(
        {"t": nftset("t", "local_addr", "mark"), "w": nftset("w", "other_port")},
        actions={
            "marked": {"criteria": ["fwmark == 0x11;"], "targets": ["t"]},
            "unmarked": {"criteria": ["fwmark == 0;"], "targets": ["w"]},
        },
    )
    lab.start(config)
    port, plain = (net.home.open("tcp", 4, AWAY[4], number) for number in (4443, 443))
    outer = int(net.entry("tcp", port).reply[3])
    flows = [
        samples.flow(local=HOME[4], other=AWAY[4], local_port=port, other_port=4443, interface="lan"),
        samples.flow(local=HOME[4], other=AWAY[4], local_port=plain, interface="lan", ct_mark=0, ct_id=0),
        samples.flow(local="203.0.113.1", other=AWAY[4], local_port=outer, other_port=4443, interface="wan0"),
    ]
    lab.feed(*flows)
    assert {key[0] for key in sets(lab)["t.v4"]} == {HOME[4], "203.0.113.1"}
    assert {int(key[1], 0) for key in sets(lab)["t.v4"]} == {17}
    assert sets(lab)["w.v4"] == {"443"}


# -- what is missing -----------------------------------------------------------------------------------------------------


def test_flows_that_began_before_are_said(lab: Lab) -> None:
    """161 of 161 rounds passed a block, and all lights were green."""
    daemon = lab.start(POLICY)
    status = lab.feed(*agent_streams.records("late-join-no-flows"))
    assert status["flows"]["before"] == 4
    (found,) = [one for one in status["findings"] if one["code"] == "flows-before"]
    assert found["severity"] == "info" and "4 live flows began before nfa" in found["message"]
    printed = lab.namespace.run(*lab.nfa("status", "--control", str(daemon.control)))
    assert "4 live flows began before nfa" in printed
