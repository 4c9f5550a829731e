"""Which end of a flow is ours, and which flows are reported twice: records of a real netifyd, and their kinds."""

from __future__ import annotations

from copy import deepcopy
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import agent_streams
import pytest
import samples
from agent_streams import LAN, NAMES, WAN
from hypothesis import given
from hypothesis import strategies as st
from policies import Desk, compiled, config_of

from nfa.daemon.engine import addresses, networks
from nfa.daemon.engine.networks import MAX_INTERFACES, MAX_NETWORKS, MAX_OPEN, MAX_ORIGINS, SWAPPED, TURNED, TWICE, Networks
from nfa.daemon.engine.view import address
from nfa.daemon.stream.records import digest_key

Record = dict[str, Any]
REVERSED = ["static-route-reversed", "default-split-in-two-all-local"]
GUEST, TUNNEL = 4, 5


def own(index: int, text: str) -> tuple[int, bytes, bytes, int]:
    """An address of an interface, "192.168.1.1/24"."""
    where, _, prefix = text.partition("/")
    packed = ip_address(where).packed
    return index, packed, packed, int(prefix)


def way(text: str, index: int, table: int = 254) -> tuple[int, bytes, int, tuple[int, ...]]:
    """A route through an interface."""
    network = ip_network(text)
    return table, network.network_address.packed if network.prefixlen else b"", network.prefixlen, (index,)


LAB = [own(1, "127.0.0.1/8"), own(LAN, "192.168.1.1/24"), own(LAN, "fd00:1::1/64"), own(LAN, "fe80::1/64")]
LAB += [own(WAN, "81.2.3.1/24"), own(WAN, "2a0b:1::1/64"), own(WAN, "fe80::2/64")]
DEFAULT = [way("0.0.0.0/0", WAN), way("::/0", WAN)]
SPLIT = [way("0.0.0.0/1", WAN), way("128.0.0.0/1", WAN), way("::/0", WAN)]
STATIC = [*DEFAULT, way("77.77.77.0/24", WAN)]


def lab(routes: list[Any] = DEFAULT, *more: tuple[int, bytes, bytes, int]) -> Networks:
    """The networks of the lab; interfaces 4 and 5 are a guest network's and a tunnel's."""
    made = Networks()
    made.learn({**NAMES, GUEST: "guest0", TUNNEL: "tun0"}, [*LAB, *more], routes)
    return made


def ends(record: Record) -> tuple[Any, ...]:
    flow = record["flow"]
    return (
        flow["local_ip"],
        flow.get("local_port"),
        flow["other_ip"],
        flow.get("other_port"),
        flow["other_type"],
        flow["local_origin"],
    )


def oriented(made: Networks, records: list[Record]) -> list[Record]:
    for record in records:
        made.orient(record, record["flow"], 1)
    return records


# -- the agent's records -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("name", REVERSED)
def test_the_ends_of_a_routed_connection_are_those_of_one_with_a_default_route(name: str, named: bool) -> None:
    """The element is reversed, a block never meets, `other_type == other_remote` and a condition on a device never match."""
    records = agent_streams.flows(name)
    assert all(record["flow"]["local_ip"].startswith("77.") for record in records), "netifyd's order"
    made = lab(STATIC if "static" in name else SPLIT)
    if named:
        made = Networks()
        made.name(["192.168.1.0/24", "fd00:1::/64"])
    for record in oriented(made, records):
        local, local_port, other, other_port, kind, origin = ends(record)
        assert local == ("192.168.1.10" if record["interface"] == "lan0" else "81.2.3.1")
        assert other in ("77.77.77.1", "77.77.77.2") and other_port == 443 and local_port > 30000
        assert kind == "remote" and origin is True
    flow = agent_streams.flows(name)[0]["flow"]
    first = records[0]["flow"]
    assert (first["local_mac"], first["other_mac"]) == (flow["other_mac"], flow["local_mac"])
    assert made.turned == len(records) and made.retyped == 0


@pytest.mark.parametrize("name", REVERSED)
def test_records_stay_as_netifyd_has_them_where_no_network_is_known(name: str) -> None:
    """A recording from somewhere else would be read by the networks of this machine."""
    made = Networks()
    for record in agent_streams.flows(name):
        before = deepcopy(record)
        assert made.orient(record, record["flow"], 1) & TURNED == 0 and record == before


def test_flows_that_nat_shows_twice_are_those_of_the_wan_and_no_others() -> None:
    """Sets get the router's address beside the client's, and a log two entries a connection."""
    made = lab()
    twice, once = {}, {}
    for record in agent_streams.flows("nat-lan-wan-pairs"):
        digest = record["flow"]["digest"][:6]
        table = twice if made.orient(record, record["flow"], 1) & TWICE else once
        table[digest] = record
    assert not set(twice) & set(once)
    assert all(record["interface"] == "wan0" for record in twice.values())
    assert "64e9a5" in twice, "ip_nat is false after its conntrack entry was cut"
    # The router's own: its connections, its ICMP, its neighbours.
    own_ = {digest for digest, record in once.items() if record["interface"] == "wan0"}
    assert own_ == {"23d697", "9b8363", "80d8ad", "c8fd03", "ea951e"}
    assert not [record for record in once.values() if record["flow"]["ip_nat"]]
    assert (made.turned, made.retyped) == (0, 1), "a neighbour on the WAN is no host of ours"
    assert ends(once["c8fd03"])[:5] == ("2a0b:1::1", 0, "2a0b:1::2", 0, "remote")


def test_duplicates_are_recognised_without_the_kernels_networks() -> None:
    """In a container, or where the kernel does not tell, each connection would count twice."""
    made = Networks()
    found = {}
    for record in agent_streams.flows("nat-lan-wan-pairs"):
        found[record["flow"]["digest"][:6]] = made.orient(record, record["flow"], 1)
    assert found["64e9a5"] == found["1f8f88"] == TWICE and found["9b8363"] == found["ffb63d"] == 0


# -- their kinds ---------------------------------------------------------------------------------------------------------


def case(local: str, other: str, kind: str, origin: bool, **more: Any) -> Record:
    return samples.flow(
        local=local, other=other, local_port=1000, other_port=2000, other_type=kind, local_origin=origin,
        interface=more.pop("interface", "lan0"), **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("local", "other", "kind", "origin", "expected"),
    [
        ("192.168.1.10", "77.7.7.7", "remote", True, ("192.168.1.10", "77.7.7.7", "remote", True)),
        # A server of ours that the world connects to.
        ("192.168.1.10", "77.7.7.7", "local", False, ("192.168.1.10", "77.7.7.7", "remote", False)),
        ("10.1.1.1", "192.168.1.10", "local", True, ("192.168.1.10", "10.1.1.1", "remote", False)),
        # Two of ours: the one that opened it, whatever the agent calls local. The guest network, and a site behind a tunnel.
        ("192.168.1.10", "192.168.9.7", "local", False, ("192.168.9.7", "192.168.1.10", "local", True)),
        ("192.168.1.10", "192.168.9.7", "local", True, ("192.168.1.10", "192.168.9.7", "local", True)),
        ("10.8.0.5", "192.168.1.10", "local", False, ("192.168.1.10", "10.8.0.5", "local", True)),
        ("10.20.0.5", "192.168.1.10", "local", False, ("192.168.1.10", "10.20.0.5", "local", True)),
        ("192.168.1.10", "10.20.0.5", "remote", True, ("192.168.1.10", "10.20.0.5", "local", True)),
        # The router itself, on either side.
        ("192.168.1.1", "192.168.1.10", "local", False, ("192.168.1.10", "192.168.1.1", "local", True)),
        ("77.7.7.7", "81.2.3.1", "local", False, ("81.2.3.1", "77.7.7.7", "remote", True)),
        ("81.2.3.2", "81.2.3.1", "local", True, ("81.2.3.1", "81.2.3.2", "remote", False)),
        # None of ours: the agent's, unless it takes both for local.
        ("77.7.7.7", "88.8.8.8", "remote", False, ("77.7.7.7", "88.8.8.8", "remote", False)),
        ("77.7.7.7", "88.8.8.8", "local", False, ("88.8.8.8", "77.7.7.7", "remote", True)),
        # What is no host's stays where it is.
        ("192.168.1.10", "224.0.0.251", "multicast", False, ("192.168.1.10", "224.0.0.251", "multicast", False)),
        ("192.168.1.10", "192.168.1.255", "broadcast", False, ("192.168.1.10", "192.168.1.255", "broadcast", False)),
        ("169.254.7.7", "192.168.1.10", "local", True, ("169.254.7.7", "192.168.1.10", "local", True)),
    ],
)  # fmt: skip
def test_the_local_end_is_the_one_on_our_side(
    local: str, other: str, kind: str, origin: bool, expected: tuple[Any, ...]
) -> None:
    """A device would be missed, or the wrong one be met."""
    more = own(GUEST, "192.168.9.1/24"), own(TUNNEL, "10.8.0.1/24")
    made = lab([*STATIC, way("10.20.0.0/16", TUNNEL)], *more)
    record = case(local, other, kind, origin, local_bytes=1, other_bytes=2)
    if local.startswith("77") or other.startswith("81"):
        record["interface"], record["internal"] = "wan0", False
    found = made.orient(record, record["flow"], 1)
    flow = record["flow"]
    assert (flow["local_ip"], flow["other_ip"], flow["other_type"], flow["local_origin"]) == expected
    turned = flow["local_ip"] != local
    assert (flow["local_port"], flow["local_bytes"]) == ((2000, 2) if turned else (1000, 1))
    assert bool(found & TURNED) == (turned or kind != expected[2])
    again = deepcopy(record)
    assert made.again(record, flow) & TURNED == 0 and record == again, "once is enough"
    assert made.orient(record, flow, 1) & TURNED == 0 and record == again


def test_every_field_of_an_end_goes_with_it() -> None:
    """A MAC address, a port or a category would be the other host's."""
    record = samples.as_v5(case("77.7.7.7", "192.168.1.10", "local", False))
    record["flow"]["category"] |= {"local_network": 5, "other_network": 7}
    del record["flow"]["other_mac"]
    before = deepcopy(record["flow"])
    lab().orient(record, record["flow"], 1)
    flow = record["flow"]
    assert flow["other_mac"] == before["local_mac"] and "local_mac" not in flow
    assert (flow["category"]["local_network"], flow["category"]["other_network"]) == (7, 5)
    assert {name for name in flow if name.startswith(("local", "other"))} | {"other_mac"} == {
        name for name in before if name.startswith(("local", "other"))
    } - {"local_mac"} | {"other_mac"}


def test_a_wan_is_what_the_agent_captures_as_external_or_has_a_default_route() -> None:
    """With the WAN's own network on our side, all of a provider's customers would be local; without the LAN's, nobody."""
    record = case("10.99.0.7", "77.7.7.7", "local", False, interface="wan1", internal=False)
    made = Networks()
    made.learn({2: "lan0", 3: "wan1"}, [own(2, "192.168.1.1/24"), own(3, "10.99.0.1/24")], [])
    assert {place.text for place in made.places} == {"192.168.1.0/24", "10.99.0.0/24"}
    made.orient(record, record["flow"], 1)
    assert {place.text for place in made.places} == {"192.168.1.0/24"}
    # An access point, or a machine with one card: its only network is the one that its default route goes through.
    made = Networks()
    made.learn({2: "br-lan"}, [own(2, "192.168.1.2/24")], [way("0.0.0.0/0", 2)])
    assert not made.known
    record = case("77.7.7.7", "192.168.1.10", "local", False, interface="br-lan")
    assert made.orient(record, record["flow"], 1) == TURNED | SWAPPED and record["flow"]["local_ip"] == "192.168.1.10"
    # A default route of policy routing (pbr, mwan3) is one too, and what it leads to is no network of ours.
    made = lab([*DEFAULT, way("0.0.0.0/0", TUNNEL, 300), way("10.20.0.0/16", TUNNEL)], own(TUNNEL, "10.8.0.1/24"))
    assert {place.interface for place in made.places} == {"lan0"}


def test_a_more_specific_route_through_the_wan_is_no_network_of_ours() -> None:
    """A site that is reached through the provider would be taken for one of the LAN's."""
    made = lab([*DEFAULT, way("10.0.0.0/8", LAN), way("10.1.0.0/16", WAN)])
    assert made.place_of(address("10.2.0.1")).kind == networks.OURS
    assert made.place_of(address("10.1.0.1")).kind == networks.OUTSIDE


def test_changes_of_the_networks_hold_from_the_next_record_on() -> None:
    """A guest network that comes up later would be the world's for ever."""
    made = lab()
    record = case("77.7.7.7", "192.168.9.7", "local", True)
    made.orient(record, record["flow"], 1)
    assert record["flow"]["local_ip"] == "77.7.7.7"
    facts = {**NAMES, GUEST: "guest0"}, [*LAB, own(GUEST, "192.168.9.1/24")], DEFAULT
    assert made.learn(*facts) and not made.learn(*facts)
    made.orient(record, record["flow"], 1)
    assert record["flow"]["local_ip"] == "192.168.9.7"


# -- duplicates ----------------------------------------------------------------------------------------------------------


def wan(local: str, other: str, **more: Any) -> Record:
    return case(local, other, "remote", True, interface="wan0", internal=False, **more)


def test_what_only_the_wan_shows_is_no_duplicate() -> None:
    """Where netifyd captures the WAN alone, nothing would match any more."""
    made = lab()
    for record in (wan("81.2.3.1", "77.7.7.7", ip_nat=True), wan("fd00:1::9", "2a0a::1", ip_version=6)):
        assert made.orient(record, record["flow"], 1) == 0


def test_a_network_that_is_not_captured_is_not_missed_on_the_wan() -> None:
    """The children's network, which netifyd's autoconfiguration leaves out, would match nothing at all."""
    made = lab(DEFAULT, own(GUEST, "192.168.9.1/24"), own(GUEST, "fd00:9::1/64"))
    lan = case("192.168.1.10", "77.7.7.8", "remote", True)
    made.orient(lan, lan["flow"], 1)
    asked = []
    inner = {5: ("192.168.9.7", 5), 6: ("192.168.1.10", 1000), 7: ("81.2.3.1", 7), 9: ("192.168.1.10", 77)}

    def original(flow: Record) -> bytes | None:
        asked.append(flow["local_port"])
        where, port = inner.get(flow["local_port"], ("", 0))
        return address(where) + port.to_bytes(2, "big") if where else None

    made.original = original
    cases = [
        (5, True, 0),
        (6, True, TWICE),
        (5, False, 0),
        (6, False, TWICE),
        (7, False, 0),
        (8, False, 0),
        (8, True, 0),
        (9, False, 0),
    ]
    for port, nat, expected in cases:
        record = wan("81.2.3.1", "77.7.7.8", ip_nat=nat)
        record["flow"]["local_port"] = port
        assert made.orient(record, record["flow"], 1) == expected, (port, nat)
    assert asked == [port for port, _, _ in cases]
    lan["flow"] |= {"local_ip": "fd00:1::7", "other_ip": "2a0a::1", "ip_version": 6}
    made.orient(lan, lan["flow"], 1)
    for where, far, expected in (("fd00:9::7", "2a0a::2", 0), ("fd00:1::7", "2a0a::1", TWICE), ("fd00:1::7", "2a0a::3", 0)):
        record = wan(where, far, ip_version=6)
        assert made.orient(record, record["flow"], 1) == expected, (where, far)


def test_between_two_networks_of_ours_a_flow_counts_where_its_local_end_is() -> None:
    """From the LAN to the guests: both interfaces report it."""
    made = lab(DEFAULT, own(GUEST, "192.168.9.1/24"))
    lan, guest = (case("192.168.1.10", "192.168.9.7", "local", True, interface=name) for name in ("lan0", "guest0"))
    assert made.orient(lan, lan["flow"], 1) == 0
    assert made.orient(guest, guest["flow"], 1) == TWICE


@pytest.mark.parametrize("nat", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_a_wan_record_that_comes_first_is_made_good(tmp_path: Path, nat: bool, known: bool) -> None:
    """A set would keep the router's own address for as long as the connection lasts."""
    config = config_of({"all": {"criteria": ["*"]}})
    desk = Desk(compiled(tmp_path, config)[0], {"log.x": b"\0\0held"})
    made = desk.engine.networks
    if known:
        made.learn(NAMES, LAB, DEFAULT)
    first, routers = wan("81.2.3.1", "77.7.7.7", ip_nat=nat), wan("81.2.3.1", "9.9.9.9")
    desk.take(first, routers)
    assert desk.engine.matched == 2
    desk.take(case("192.168.1.10", "77.7.7.7", "remote", True))
    assert desk.released == [(b"\0\0held", True)]
    assert digest_key(first["flow"]["digest"]) not in desk.engine.flows.young
    assert digest_key(routers["flow"]["digest"]) in desk.engine.flows.young


def test_a_policy_gets_duplicates_only_where_it_chooses_a_side(tmp_path: Path) -> None:
    """Matches and log entries double, or nobody could ask for the WAN's side of a connection."""
    actions = {
        "all": "*",
        "by_option": {"criteria": ["*"], "interface": "wan"},
        "by_side": "side == side_wan;",
        "by_name": "iface == 'wan0' && port == 443;",
        "by_target": {"criteria": ["*"], "targets": ["log.w"]},
        "not_lan": "!(side == side_lan);",
        "of_lan": {"criteria": ["*"], "interface": "lan"},
        "exempt": {"criteria": ["side == side_wan;"], "exemptions": ["77.77.77.2"]},
    }
    config = config_of(actions)
    config["targets"]["log.w"] = {"target_type": "log", "interface": "wan"}
    made, reports = compiled(tmp_path, config)
    assert not reports.errors
    desk = Desk(made)
    desk.engine.networks.learn(NAMES, LAB, DEFAULT)
    desk.take(*agent_streams.records("nat-lan-wan-pairs"))
    counts = dict(zip(actions, [count for count, _ in desk.engine.policy.action_counts()], strict=True))  # type: ignore[union-attr]
    lan = [record for record in agent_streams.flows("nat-lan-wan-pairs") if record["interface"] == "lan0"]
    outer = [record for record in agent_streams.flows("nat-lan-wan-pairs") if record["interface"] == "wan0"]
    twice = desk.engine.networks.twice
    assert counts["all"] == len(lan) + len(outer) - twice and 0 < twice < len(outer)
    assert counts["of_lan"] == len(lan)
    assert counts["by_side"] == counts["not_lan"] == counts["by_option"] == len(outer)
    assert counts["by_target"] == len(lan) + len(outer), "its target chooses"
    assert counts["exempt"] == len([record for record in outer if record["flow"]["other_ip"] != "77.77.77.2"])
    assert counts["by_name"] == len([r for r in outer if 443 in (r["flow"]["other_port"], r["flow"]["local_port"])])


def test_what_is_remembered_of_a_turned_flow_is_as_it_was_matched(tmp_path: Path) -> None:
    """`matches` and `explain` would show the ends the other way round than the element."""
    config = config_of({"device": "local_ip == 192.168.1.10 && other_type == other_remote;"})
    desk = Desk(compiled(tmp_path, config)[0])
    desk.engine.networks.learn(NAMES, LAB, STATIC)
    desk.take(*agent_streams.records("static-route-reversed"))
    lan = [record for record in agent_streams.flows("static-route-reversed") if record["interface"] == "lan0"]
    assert desk.engine.matched == len(lan) == len(desk.engine.recent)
    for *_, kept in desk.engine.recent:
        assert isinstance(kept, bytes) and b'"local_ip": "192.168.1.10"' in kept


def test_kept_duplicates_are_not_matched_when_a_schedule_turns(tmp_path: Path) -> None:
    """The router's own address would come into the set with the first reload."""
    config = config_of({"all": {"criteria": ["*"]}}, reprocess_flows=True)
    desk = Desk(compiled(tmp_path, config)[0])
    desk.engine.networks.learn(NAMES, LAB, DEFAULT)
    desk.take(*agent_streams.records("nat-lan-wan-pairs"))
    seen = len(desk.targets["log.x"].digests)
    made = set(desk.targets["log.x"].digests)
    list(desk.engine.match_again(lambda: 5, frozenset(), True))
    assert set(desk.targets["log.x"].digests[seen:]) <= made


# -- bounds --------------------------------------------------------------------------------------------------------------


def test_what_is_remembered_is_bounded() -> None:
    """A stream of ever new addresses, interfaces or routes would take the router's memory."""
    made = lab([*DEFAULT, *(way(f"10.{number // 256}.{number % 256}.0/24", LAN) for number in range(2 * MAX_NETWORKS))])
    assert len(made.places) <= MAX_NETWORKS and made.left_out > MAX_NETWORKS
    assert made.place_of(address("192.168.1.10")).kind == networks.OURS, "prefixes of interfaces come first"
    for number in range(3 * MAX_ORIGINS):
        record = case(f"192.168.1.{number % 250 + 2}", f"77.{number % 200}.7.7", "remote", True, interface=f"x{number}")
        made.orient(record, record["flow"], 1)
    assert len(made.seen) <= MAX_INTERFACES + 1 and len(made.origins) <= MAX_ORIGINS + 1
    made = lab()
    outer = wan("81.2.3.1", "77.7.7.7", ip_nat=True)
    for number in range(3000):
        outer["flow"] |= {
            "digest": f"{number:040x}",
            "local_ip": f"10.1.{number % 250}.{number // 250}",
            "other_port": number + 1,
        }
        made.orient(outer, outer["flow"], 1)
    assert len(made._open) <= MAX_OPEN and len(made._cache) <= networks.ROOM
    lan = case("192.168.1.10", "77.7.7.7", "remote", True)
    for number in range(5000):
        lan["flow"] |= {"other_port": number + 1, "other_ip": f"77.7.{number % 250}.{number // 250}"}
        made.orient(lan, lan["flow"], 1)
    assert len(made._twins) + len(made._older) <= 2 * networks.ROOM and len(made._usual) <= networks.ROOM


@given(st.ip_addresses(), st.integers(0, 128))
def test_networks_are_shown_as_people_write_them(where: Any, prefix: int) -> None:
    """Status would name another network than it means."""
    prefix = min(prefix, where.max_prefixlen)
    shown = addresses.text_of(where.packed, prefix)
    assert ip_network(shown) == ip_network((where.packed, prefix), strict=False)
    packed, length = addresses.network_of(shown)
    assert (addresses.cut(packed, length), length) == (addresses.cut(where.packed, prefix), prefix)


@given(st.ip_addresses())
def test_special_addresses_are_those_of_the_registries(where: Any) -> None:
    """A set would take an address that is nobody's, or leave out somebody's."""
    special = where.is_multicast or where.is_loopback or where.is_link_local or where.is_unspecified
    special = special or (where.version == 4 and (where.packed[0] in (0, 127) or where.packed[0] >= 224))
    assert addresses.is_special(where.packed) == special or where.packed[:15] == bytes(15)


@pytest.mark.parametrize("text", ["", "x", "192.168.1.0/33", "192.168.1.0/-1", "fe80::/129", "192.168.1/24", "1.2.3.4/x"])
def test_what_is_no_network_is_refused_with_words(text: str) -> None:
    """A slip in --networks would be another network."""
    with pytest.raises(ValueError, match="is not a network"):
        addresses.network_of(text)
