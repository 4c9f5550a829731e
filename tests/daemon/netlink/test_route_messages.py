"""rtnetlink: requests and answers are those of pyroute2, byte for byte, and what the kernel has is read as `ip` shows it."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_lab import Namespace, missing, private_namespace
from waiting import eventually

from nfa.daemon.netlink import route, wire
from nfa.daemon.netlink.question import Questions
from nfa.daemon.netlink.trace import Decoder

theirs = pytest.importorskip("independent_encoder", reason="pyroute2 is not installed")
rtnl = pytest.importorskip("pyroute2.netlink.rtnl", reason="pyroute2 is not installed")
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402 (where it is installed)
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402 (where it is installed)
from pyroute2.netlink.rtnl.ndmsg import ndmsg  # noqa: E402 (where it is installed)
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402 (where it is installed)

little = pytest.mark.skipif(sys.byteorder != "little", reason="pyroute2 is written for a little-endian machine")
INDEX = st.integers(1, (1 << 31) - 1)
SEQUENCE = st.integers(1, (1 << 31) - 1)
MAC = st.binary(min_size=6, max_size=6)
V4, V6 = st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)
NAME = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15)
_NEW_NET = 0x40000000
"""CLONE_NEWNET of linux/sched.h"""
DUMP = wire.NLM_F_REQUEST | wire.NLM_F_DUMP


def text(address: bytes) -> str:
    return str(ip_address(address))


def payload(message: bytes) -> bytes:
    """The payload of the one message."""
    ((_, _, _, start, end),) = wire.messages(message)
    return message[start:end]


@little
@given(SEQUENCE)
def test_requests_are_encoded_alike(sequence: int) -> None:
    """The kernel would list something else, or refuse: nobody would know which networks are ours."""
    for made, kind, command, attributes in (
        (route.ask_links(sequence), ifinfmsg, route.RTM_GETLINK, [("IFLA_EXT_MASK", 8)]),
        (route.ask_addresses(sequence), ifaddrmsg, route.RTM_GETADDR, []),
        (route.ask_neighbours(sequence), ndmsg, route.RTM_GETNEIGH, []),
        (route.ask_routes(sequence), rtmsg, route.RTM_GETROUTE, []),
    ):
        assert made == theirs.routing(kind, command, DUMP, sequence, {"family": 0}, attributes)


@little
@given(INDEX, NAME, st.integers(0, 0xFFFF), MAC)
def test_an_interface_is_read_as_it_was_written(index: int, name: str, flags: int, mac: bytes) -> None:
    """Addresses would be those of another interface."""
    attributes = [("IFLA_MTU", 1500), ("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac.hex(":"))]
    raw = theirs.routing(ifinfmsg, route.RTM_NEWLINK, 0, 1, {"index": index, "flags": flags}, attributes)
    assert route.link(payload(raw)) == (index, name, flags, mac)
    raw = theirs.routing(ifinfmsg, route.RTM_NEWLINK, 0, 1, {"index": index, "family": 7}, attributes)
    assert route.link(payload(raw)) is None, "a bridge's message about a port"


@little
@given(INDEX, st.tuples(V4, V4) | st.tuples(V6, V6), st.integers(0, 128), st.booleans())
def test_an_address_is_read_as_it_was_written(index: int, pair: tuple[bytes, bytes], prefix: int, peer: bool) -> None:
    """The prefix would be that of another network, and devices in ours be taken for the world."""
    own, network = pair
    prefix = min(prefix, 8 * len(own))
    fields = {"family": 2 if len(own) == 4 else 10, "index": index, "prefixlen": prefix}
    attributes = [("IFA_ADDRESS", text(network))] + ([("IFA_LOCAL", text(own))] if peer else [])
    raw = theirs.routing(ifaddrmsg, route.RTM_NEWADDR, 0, 1, fields, attributes)
    assert route.address(payload(raw)) == (index, own if peer else network, network, prefix)


@little
@given(INDEX, V4 | V6, st.integers(0, 0xFF), st.none() | MAC)
def test_a_neighbour_is_read_as_it_was_written(index: int, where: bytes, state: int, mac: bytes | None) -> None:
    """A device would get another's addresses."""
    fields = {"family": 2 if len(where) == 4 else 10, "ifindex": index, "state": state}
    attributes = [("NDA_DST", text(where))] + ([("NDA_LLADDR", mac.hex(":"))] if mac is not None else [])
    raw = theirs.routing(ndmsg, route.RTM_NEWNEIGH, 0, 1, fields, attributes)
    assert route.neighbour(payload(raw)) == (index, state, where, mac or b"")


@little
@given(INDEX, V4 | V6, st.integers(0, 128), st.integers(1, 250), st.integers(256, 1 << 31))
def test_a_route_is_read_as_it_was_written(index: int, where: bytes, prefix: int, table: int, large: int) -> None:
    """A LAN would be taken for the way to the world."""
    prefix = min(prefix, 8 * len(where))
    fields = {"family": 2 if len(where) == 4 else 10, "dst_len": prefix, "table": table, "type": 1}
    attributes: list[tuple[str, Any]] = [("RTA_DST", text(where))] if prefix else []
    raw = theirs.routing(rtmsg, route.RTM_NEWROUTE, 0, 1, fields, [*attributes, ("RTA_OIF", index)])
    target = where if prefix else b""
    version = 4 if len(where) == 4 else 6
    assert route.route(payload(raw)) == (version, table, 1, target, prefix, (index,))
    raw = theirs.routing(rtmsg, route.RTM_NEWROUTE, 0, 1, fields, [*attributes, ("RTA_TABLE", large), ("RTA_OIF", index)])
    assert route.route(payload(raw)) == (version, large, 1, target, prefix, (index,))
    hops = struct.pack("=HBBi", 8, 0, 0, index) + struct.pack("=HBBi", 8, 0, 0, 7)
    raw = theirs.routing(rtmsg, route.RTM_NEWROUTE, 0, 1, fields, attributes)
    assert route.route(payload(raw) + wire.attribute(route.RTA_MULTIPATH, hops)) == (
        version, table, 1, target, prefix, (index, 7),
    )  # fmt: skip


@given(st.binary(max_size=80))
def test_no_payload_raises(data: bytes) -> None:
    """A kernel newer than this program would end the listening."""
    for family in (b"", b"\2\x18", b"\x0a\x40"):
        for parse in (route.link, route.address, route.neighbour, route.route):
            parse(family + data)
    Decoder(True).lines(data)


def test_a_trace_shows_rtnetlink_by_the_headers_names() -> None:
    """Read as netfilter's, the lines would mislead whoever looks why a network is unknown."""
    raw = theirs.routing(ifaddrmsg, route.RTM_NEWADDR, 0, 9, {"family": 2}, [("IFA_LOCAL", "10.0.0.1")])
    (head, line) = Decoder(True).lines(raw)
    assert head.startswith("RTM_NEWADDR length 32 flags 0 sequence 9 ") and line == "  IFA_LOCAL 0x0a000001"


# -- the kernel ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    """A network with a card, addresses of both families, a neighbour and a default route."""
    if reason := missing():
        pytest.skip(reason)
    if os.geteuid():
        pytest.skip("only root enters a network namespace")
    with private_namespace() as made:
        for command in (
            "link add lan0 type veth peer name far0",
            "link set lan0 up",
            "link set far0 up",
            "link set lo up",
            "address add 192.168.1.1/24 dev lan0",
            "address add 10.9.0.1 peer 10.9.0.2/32 dev lan0",
            "address add fd00:1::1/64 dev lan0 nodad",
            "neighbour add 192.168.1.20 lladdr 02:00:00:00:00:20 dev lan0 nud permanent",
            "neighbour add fd00:1::20 lladdr 02:00:00:00:00:20 dev lan0 nud permanent",
            "route add default via 192.168.1.254",
            "route add 77.0.0.0/8 table 300 nexthop dev lan0 nexthop dev far0",
        ):
            made.run("ip", *command.split())
        yield made


def enter(network: int) -> None:
    """Go over to a network namespace, by its descriptor."""
    assert ctypes.CDLL(None, use_errno=True).setns(network, _NEW_NET) == 0, os.strerror(ctypes.get_errno())


@pytest.fixture
def inside(namespace: Namespace) -> Iterator[Callable[..., Any]]:
    """This thread's network is that of the namespace; a function that has `ip` tell what is there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{namespace.pid}/ns/net", os.O_RDONLY)
    enter(there)
    try:
        yield lambda *words: json.loads(namespace.run("ip", "-j", *words) or "[]")
    finally:
        enter(home)
        os.close(home)
        os.close(there)


def asked(request: Callable[[int], bytes]) -> list[bytes]:
    questions = Questions(route.NETLINK_ROUTE)
    try:
        return questions.ask(request(questions.number()))
    finally:
        questions.close()


def test_interfaces_and_addresses_are_those_that_ip_shows(inside: Callable[..., Any]) -> None:
    """The daemon would take our own networks for the world's."""
    shown = inside("address", "show")
    links = {found[0]: found for found in map(route.link, asked(route.ask_links)) if found}
    assert {(index, name, mac.hex(":")) for index, name, _, mac in links.values()} == {
        (card["ifindex"], card["ifname"], card["address"]) for card in shown
    }
    assert links[1][2] & route.IFF_LOOPBACK and links[1][2] & route.IFF_UP
    expected = set()
    for card in shown:
        for each in card["addr_info"]:
            network = ip_network(f"{each.get('address', each['local'])}/{each['prefixlen']}", strict=False)
            expected.add((card["ifindex"], each["local"], str(network)))
    found = set()
    for each in map(route.address, asked(route.ask_addresses)):
        assert each is not None
        index, own, network_, prefix = each
        found.add((index, text(own), str(ip_network((network_, prefix), strict=False))))
    assert found == expected and "10.9.0.2/32" in {network for _, _, network in found}


def test_neighbours_and_routes_are_those_that_ip_shows(inside: Callable[..., Any]) -> None:
    """A device would lack its IPv6 address; an interface to the world would be taken for a LAN."""
    cards = {card["ifname"]: card["ifindex"] for card in inside("link", "show")}
    expected = {
        (cards[each["dev"]], each["dst"], each.get("lladdr", ""))
        for version in ("-4", "-6")
        for each in inside(version, "neighbour", "show", "nud", "permanent")
    }
    neighbours = [each for each in map(route.neighbour, asked(route.ask_neighbours)) if each]
    permanent = {(index, text(where), mac.hex(":")) for index, state, where, mac in neighbours if state == 0x80}
    assert permanent == expected and len(expected) == 2
    routes = [each for each in map(route.route, asked(route.ask_routes)) if each]
    assert (4, route.RT_TABLE_MAIN, route.RTN_UNICAST, b"", 0, (cards["lan0"],)) in routes
    assert (4, 300, route.RTN_UNICAST, bytes((77, 0, 0, 0)), 8, (cards["lan0"], cards["far0"])) in routes


def test_changes_are_heard_of(namespace: Namespace, inside: Callable[..., Any]) -> None:
    """A guest network that comes up later would be the world's for ever."""
    changes = route.Changes(
        (
            route.RTNLGRP_LINK,
            route.RTNLGRP_IPV4_IFADDR,
            route.RTNLGRP_IPV6_IFADDR,
            route.RTNLGRP_NEIGH,
            route.RTNLGRP_IPV4_ROUTE,
        )
    )
    heard: list[tuple[int, bytes]] = []

    def until(kind: int, parse: Callable[[bytes], Any], wanted: Callable[[Any], bool]) -> None:
        def look() -> bool:
            heard.extend(changes.read())
            return any(each == kind and (found := parse(data)) and wanted(found) for each, data in heard)

        eventually(look, what=f"a message of kind {kind}")

    try:
        namespace.run("ip", "link", "add", "guest0", "type", "veth", "peer", "name", "guest1")
        namespace.run("ip", "link", "set", "guest1", "up")
        namespace.run("ip", "link", "set", "guest0", "up")
        until(route.RTM_NEWLINK, route.link, lambda found: found[1] == "guest0")
        namespace.run("ip", "address", "add", "192.168.9.1/24", "dev", "guest0")
        until(route.RTM_NEWADDR, route.address, lambda found: text(found[1]) == "192.168.9.1" and found[3] == 24)
        namespace.run("ip", "address", "add", "fd00:9::1/64", "dev", "guest0", "nodad")
        until(route.RTM_NEWADDR, route.address, lambda found: text(found[1]) == "fd00:9::1")
        namespace.run("ip", "neighbour", "add", "192.168.9.7", "lladdr", "02:00:00:00:00:07", "dev", "guest0")
        until(route.RTM_NEWNEIGH, route.neighbour, lambda found: text(found[2]) == "192.168.9.7")
        namespace.run("ip", "route", "add", "78.0.0.0/8", "dev", "guest0")
        until(route.RTM_NEWROUTE, route.route, lambda found: found[3:5] == (bytes((78, 0, 0, 0)), 8))
        namespace.run("ip", "link", "del", "guest0")
        until(route.RTM_DELLINK, route.link, lambda found: found[1] == "guest0")
        until(route.RTM_DELADDR, route.address, lambda found: text(found[1]) == "192.168.9.1")
        assert changes.lost == 0 and not changes.more
    finally:
        changes.close()


def test_what_was_missed_is_counted(namespace: Namespace, inside: Callable[..., Any]) -> None:
    """After an overrun the daemon would go on with networks that are gone."""
    changes = route.Changes((route.RTNLGRP_NEIGH,))
    try:
        lines = "\n".join(
            f"neighbour replace 192.168.1.{n % 200 + 20} lladdr 02:00:00:00:00:{n % 99:02} dev lan0" for n in range(4000)
        )
        namespace.run("ip", "-batch", "-", text=lines)
        for _ in range(200):
            changes.read()
            if not changes.more:
                break
        assert changes.lost
    finally:
        changes.close()
