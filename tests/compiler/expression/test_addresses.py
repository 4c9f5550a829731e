"""Addresses as people, generators and published documents write them: quoted, as ranges, with blanks, in every place."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
import samples
from expression_both import evaluator, understood
from hypothesis import given
from hypothesis import strategies as st
from policies import Desk, compiled, config_of

from nfa.compiler.expression.tree import Members, Network


def record(local: str = "192.168.1.35", **fields: object) -> samples.Record:
    other = "203.0.113.10" if "." in local else "2001:db8:9::1"
    return samples.flow("HTTP/S", "netify.youtube", local=local, other=other, local_mac="02:00:5e:10:00:14", **fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Netify's documentation of version 5 has an address in quotes.
        ("(application == 'youtube' || protocol == 'icmp') && local_ip == '192.168.1.35';", True),
        ("(application == 'youtube' || protocol == 'icmp') && local_ip == '192.168.1.36';", False),
        ("local_ip == '192.168.1.0/24';", True), ("local_ip != '192.168.1.0/24';", False),
        ("local_mac == '02-00-5E-10-00-14';", True), ("mac == '02:00:5e:10:00:15';", False),
        ("local_ip == '@guests';", False), ("local_mac == '@guests';", True),
        ("other_port == '443';", True), ("other_port >= '0x1bb';", True), ("ip_nat == 'false';", True),
        ("other_type == 'other_remote';", True), ("origin == origin_remote;", False), ("!origin == 'origin_remote';", True),
        ('app == "youtube" && local_ip == "192.168.1.35";', True), ('detected_hostname == "it\'s";', False),
        # a server that is named by its address
        ("detected_hostname == 203.0.113.10;", False), ("!(detected_hostname == '203.0.113.10');", True),
        # ranges
        ("local_ip == 192.168.1.30-192.168.1.40;", True), ("local_ip == 192.168.1.36-192.168.1.40;", False),
        ("local_ip == 192.168.1.35-192.168.1.35;", True), ("local_ip != 192.168.1.30-192.168.1.40;", False),
        ("local_ip == 192.168.1.30-40;", True), ("local_ip == '192.168.1.30 - 192.168.1.34';", False),
        ("local_ip == 192.168.1.30 - 192.168.1.40;", True), ("ip == 203.0.113.1-203.0.113.77;", True),
        ("local_ip == 0.0.0.0-255.255.255.255;", True), ("local_ip == 2001:db8::-2001:db8::ffff;", False),
        ("local_ip == 192.168.1.20 || local_ip == 192.168.1.30-192.168.1.40;", True),
        ("local_ip == 192.168.1.0/255.255.255.0;", True),
    ],
)  # fmt: skip
def test_an_address_means_what_it_says_however_it_is_written(text: str, expected: bool) -> None:
    """A policy copied from Netify's documents, or made by a firewall's pages, would be refused."""
    assert evaluator(text)(record()) is expected


def test_ranges_of_ipv6() -> None:
    """Ranges would work for IPv4 only."""
    match = evaluator("local_ip == 2001:db8::10-2001:db8::1f;")
    assert match(record("2001:db8::10"))
    assert match(record("2001:db8::1f"))
    assert not match(record("2001:db8::20"))
    assert not match(record())


@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data())
def test_a_range_is_the_fewest_prefixes_that_cover_it(version: int, data: st.DataObject) -> None:
    """A range would cost a comparison for each of its addresses, or reach an address beside it."""
    ends = data.draw(st.tuples(*[st.ip_addresses(v=version)] * 2))
    first, last = sorted(ends, key=int)
    nodes, errors, _ = understood(f"local_ip == {first}-{last};")
    assert not errors
    value = nodes[0].value
    networks = value.networks if isinstance(value, Members) else (value,)
    assert all(isinstance(network, Network) for network in networks)
    spans = [ipaddress.ip_network((network.packed, network.prefix)) for network in networks]
    assert spans == list(ipaddress.summarize_address_range(first, last))  # type: ignore[type-var]  # both of one version


@pytest.mark.parametrize("where", ["action", "global"])
@pytest.mark.parametrize(
    ("entry", "exempt"),
    [
        ("192.168.1.30-192.168.1.40", True), ("192.168.1.36 - 192.168.1.40", False), ("'192.168.1.35'", True),
        ('"192.168.1.0/24"', True), ("192.168.1.35;", True), ("'02:00:5E:10:00:14';", True), ("'@rooms'", True),
        ("2001:db8::1-2001:db8::9", False),
    ],
)  # fmt: skip
def test_exemptions_may_be_ranges_and_quoted(tmp_path: Path, entry: str, exempt: bool, where: str) -> None:
    """What an owner exempted, in the way his firewall's pages write it, would be blocked."""
    (tmp_path / "address-groups.d").mkdir()
    (tmp_path / "address-groups.d" / "20-rooms.conf").write_text("'10.9.9.9'\n192.168.1.30-192.168.1.40 # second floor\n")
    action = {"criteria": "*", **({"exemptions": [entry]} if where == "action" else {})}
    made, reports = compiled(tmp_path, config_of({"a": action}, **({"exemptions": [entry]} if where == "global" else {})))
    assert not reports.errors
    assert Desk(made).actions(record()) is not exempt


def test_groups_may_hold_ranges_and_become_few_prefixes(tmp_path: Path) -> None:
    """A group of the form that firewalls write would lose the ranges in it."""
    (tmp_path / "address-groups.d").mkdir()
    lines = [
        "192.168.1.30-192.168.1.40",
        "192.168.1.41",
        "192.168.1.42-43",
        "2001:db8::-2001:db8::ff",
        "192.168.1.9-192.168.1.1",
    ]
    (tmp_path / "address-groups.d" / "20-floor.conf").write_text("\n".join(lines))
    (tmp_path / "address-groups.json").write_text(
        '{"address_groups": [{"name": "floor", "description": "rooms", "ips": ["192.168.1.44-192.168.1.47"]}]}'
    )
    made, reports = compiled(tmp_path, config_of({"a": "local_ip == @floor;"}))
    (error,) = reports.items
    assert "the range ends before it begins. Did you mean 192.168.1.1-192.168.1.9?" in error.text()
    assert error.place is not None
    assert error.place.line == 5
    desk = Desk(made)
    found = [number for number in range(20, 60) if desk.actions(record(f"192.168.1.{number}"))]
    assert found == list(range(30, 48))
    assert desk.actions(record("2001:db8::77")) == ["a"]
    criteria = made.actions[0].criteria
    assert criteria is not None
    assert len(criteria.value.networks) == 3  # type: ignore[union-attr]  # .30/31, .32/28, and that of IPv6


def test_an_allow_rule_with_a_range_shields_from_the_block_below_it(tmp_path: Path) -> None:
    """The office would be blocked by a rule that was written for everybody else."""
    allow = {
        "priority": 1, "criteria": "(local_ip == 192.168.1.20 || local_ip == 192.168.1.30-192.168.1.40);",
        "targets": ["log.y"], "halt_on_match": True,
    }  # fmt: skip
    made, reports = compiled(tmp_path, config_of({"block": "app == 'youtube';", "allow_office": allow}))
    assert not reports.errors
    desk = Desk(made)
    assert desk.actions(record("192.168.1.20")) == desk.actions(record("192.168.1.40")) == ["allow_office"]
    assert desk.actions(record("192.168.1.41")) == ["block"]


PUBLISHED = [
    "application == 'youtube';",
    "(application == 'youtube' || protocol == 'icmp') && local_ip == '192.168.1.10';",
    "other_type == other_remote;",
    "category == 'adult';",
    "detected_hostname == 'rx:.*xxx';",
    "ai:netify.facebook",
    "!ai:youtube",
    "ai:119",
    "pi:5",
    "!pi:5",
    "ac:vpn-and-proxy",
    "ac:31",
    "pc:games",
    "app == 'netify.playstation';",
    "protocol == 'dns';",
    "ip_nat == false && ssl_version == 0x0302;",
    "app_id == 0 || proto_id == 0;",
    "protocol == 'http/s' && other_type == other_remote;",
    "other_type == other_local && (app_category == 'voip' || protocol_category == 'voip');",
    "local_mac == '01:02:03:ab:cd:ef';",
    "detected_hostname == 'rx:.*google.com';",
    "origin == origin_remote;",
    "tunnel_type == tunnel_gtp;",
    "detection_complete;",
    "!ip_nat;",
    "tls_version == 0x0303;",
    "detection_guessed || detection_complete;",
    "local_ip == @iot;",
    "10.0.0.0/8",
    "*",
]


@pytest.mark.parametrize("text", PUBLISHED)
def test_what_netify_publishes_is_understood(tmp_path: Path, text: str) -> None:
    """A policy copied from the documents of versions 4 and 5 would be refused."""
    (tmp_path / "address-groups.json").write_text('{"address_groups": [{"name": "iot", "ips": ["10.9.0.0/16"]}]}')
    action = {"criteria": "*", "exemptions": [text]} if text == "10.0.0.0/8" else {"criteria": [text]}
    _, reports = compiled(tmp_path, config_of({"a": action}))
    assert not reports.errors
    assert not [report for report in reports.warnings if report.code != "unknown-application"]
