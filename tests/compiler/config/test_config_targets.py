"""Targets: what users write, and what the program gets."""

from __future__ import annotations

from typing import Any

import pytest
from config_loading import Load

from nfa.compiler.base.report import Reports


def target(load_config: Load, options: dict[str, Any], **top: Any) -> tuple[dict[str, object] | None, Reports]:
    """The converted options of one target."""
    policy, reports = load_config(
        {
            "version": 1,
            "actions": {"a": {"criteria": "*", "targets": ["t"]}},
            "targets": {"t": options},
            **top,
        }
    )
    assert policy
    return (policy.targets["t"].options if "t" in policy.targets else None), reports


SINK = {"target_type": "sink", "sink": "sink-log"}
IPSET = {"target_type": "ipset", "set_name": "x"}
NFTSET = {"target_type": "nftset", "set_name": "x"}


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ({**IPSET, "type": "ip,port"}, "type", "hash:ip,port"),
        ({**IPSET, "type": "hash:mac"}, "type", "hash:mac"),
        ({**IPSET, "set_family": "IPv4"}, "families", (4,)),
        ({**IPSET, "max_elements": 100}, "size", 100),
        ({**IPSET, "ttl": "0"}, "ttl", 0),
        ({**IPSET, "skb_mark": "0x85"}, "skb_mark", 0x85),
        ({**IPSET, "skb_mark": "ff"}, "skb_mark", 0xFF),
        ({**IPSET, "skb_mark": 85}, "skb_mark", 85),
        ({**IPSET, "skb_prio": "1:10"}, "skb_prio", 0x10010),
        ({**IPSET, "skb_queue": 3}, "skb_queue", 3),
        ({**IPSET, "address_type": "local"}, "address_type", "local"),
        (
            {**IPSET, "type": "bitmap:ip", "range": "192.168.1.0/24"},
            "range",
            (0xC0A80100, 0xC0A801FF),
        ),
        ({**IPSET, "type": "bitmap:ip", "range": "10.0.0.1 - 10.0.0.9"}, "range", (0x0A000001, 0x0A000009)),
        ({**IPSET, "type": "bitmap:ip", "range": "10.0.0.0/16"}, "families", (4,)),
        ({**IPSET, "type": "bitmap:port", "range": "0-65535"}, "range", (0, 65535)),
        (NFTSET, "type", ("local_addr", "ip_proto", "other_port", "other_addr")),
        (NFTSET, "table_name", "nfa"),
        (NFTSET, "table_family", "inet"),
        ({**NFTSET, "type": "other_addr . other_port"}, "type", ("other_addr", "other_port")),
        ({**NFTSET, "type": ["interface", "local_mac"]}, "type", ("interface", "local_mac")),
        ({"target_type": "log"}, "prefix", "netify-flow-actions"),
        ({"target_type": "LOG", "path": "${path_state_volatile}/../x"}, "suffix", ".json"),
        ({"target_type": "ctmark", "mark": "0x00000002", "shift": 8}, "mark", 2),
        ({"target_type": "ctlabel", "label": ["netify-games", "5", 6]}, "labels", ("netify-games", 5, 6)),
        ({"target_type": "ctlabel", "auto_label": ["1"]}, "auto_label", True),
        ({"target_type": "pftable", "table_name": "t"}, "anchor_name", "*"),
        (SINK | {"flow_events": "new|expired"}, "flow_events", ("new", "expired")),
        (SINK | {"flow_events": ["updated"]}, "flow_events", ("updated",)),
    ],
)
def test_options_are_converted(load_config: Load, written: dict[str, Any], key: str, value: object) -> None:
    """The kernel would get something else than the user wrote."""
    options, reports = target(load_config, written)
    assert options
    assert options[key] == value
    found = [report for report in reports.errors + reports.warnings if report.code != "mark-without-mask"]
    assert not [report.text() for report in found]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"set_name": "x"}, "has no 'target_type'"),
        ({"target_type": "ipste"}, "unknown target type 'ipste'"),
        ({"target_type": ["log"], "x": 1}, "unknown target type"),
        ({"target_type": "ipset"}, "has no 'set_name'"),
        ({**IPSET, "set_name": ""}, "expected a set name"),
        ({**IPSET, "set_name": "x" * 29}, "expected a set name of 1 to 28"),
        ({**IPSET, "set_name": "a b"}, "expected a set name"),
        ({**IPSET, "type": "list:set"}, "expected one of hash:ip"),
        ({**IPSET, "ttl": -1}, "expected a whole number of seconds from 0 to 2147483"),
        ({**IPSET, "ttl": 2147484}, "expected a whole number of seconds"),
        ({**IPSET, "skb_mark": "0x1ffffffff"}, "expected a mark"),
        ({**IPSET, "skb_prio": "1"}, "expected a tc class"),
        ({**IPSET, "set_family": "ipv5"}, "expected 'ipv4', 'ipv6' or '*'"),
        ({**IPSET, "type": "bitmap:port"}, "needs a 'range'"),
        ({**IPSET, "type": "bitmap:port", "range": "10.0.0.0/24"}, "of ports such as"),
        ({**IPSET, "type": "bitmap:ip", "range": "1-1023"}, "of IPv4 addresses"),
        ({**IPSET, "type": "bitmap:ip", "range": "10.0.0.0/15"}, "at most 65536"),
        ({**IPSET, "type": "bitmap:ip", "range": "10.0.0.9-10.0.0.1"}, "from a lower to a higher"),
        ({**IPSET, "type": "bitmap:ip", "range": "10.0.0.0/24", "set_family": "ipv6"}, "IPv4 addresses only"),
        ({**IPSET, "range": "1-1023"}, "is for bitmap types only"),
        ({**NFTSET, "set_name": "1a"}, "expected a name that nft accepts"),
        ({**NFTSET, "table_name": "a b"}, "expected a name that nft accepts"),
        ({**NFTSET, "table_family": "ipv4"}, "expected 'inet' or 'ip'"),
        ({**NFTSET, "type": ["other_adr"]}, "unknown field 'other_adr'"),
        ({**NFTSET, "type": []}, "expected one or more of"),
        ({**NFTSET, "type": "mark,mark"}, "the field 'mark' is given twice"),
        (
            {**NFTSET, "type": "local_mac other_mac local_addr other_addr interface mark"},
            "take 68 bytes, but the kernel allows 64",
        ),
        ({"target_type": "log", "prefix": "../x"}, "expected part of a file name"),
        ({"target_type": "log", "suffix": "\0"}, "expected part of a file name"),
        ({"target_type": "log", "path": "tmp"}, "expected an absolute path"),
        ({"target_type": "log", "path": "${path_state}/x"}, "unknown variable"),
        ({"target_type": "log", "interval": 0}, "from 1"),
        ({"target_type": "ctmark"}, "has no 'mark'"),
        ({"target_type": "ctmark", "mark": "0xffffffff", "shift": 1}, "not fit into 32 bits"),
        ({"target_type": "ctlabel"}, "nothing to set"),
        ({"target_type": "ctlabel", "labels": [127]}, "must be less than max_bits"),
        ({"target_type": "ctlabel", "labels": [True]}, "expected a label"),
        ({"target_type": "sink", "sink": "s", "flow_events": "new | deleted"}, "unknown 'deleted'"),
        ({"target_type": "sink", "sink": "s", "compressor": "zip"}, "expected 'none' or 'gz'"),
    ],
)
def test_wrong_options_are_refused(load_config: Load, written: dict[str, Any], message: str) -> None:
    """The kernel would refuse the set later, with an error number in place of a reason."""
    options, reports = target(load_config, written)
    assert options is None
    assert any(message in report.message for report in reports.errors), [r.text() for r in reports.items]
    assert reports.errors[0].consequence == "the target is left out"
    assert "which was left out" in reports.errors[-1].message


def test_old_names_of_fields_are_understood(load_config: Load) -> None:
    """local_ip is what the flow record has; users mix it up."""
    options, reports = target(load_config, {**NFTSET, "type": ["local_ip", "other_port"]})
    assert options
    assert options["type"] == ("local_addr", "other_port")
    assert "'local_ip' is not a field name" in reports.warnings[0].message


def test_digits_of_a_mark_are_hexadecimal_and_said_to_be(load_config: Load) -> None:
    """'10' is 16 in the documentation; who means ten should hear of it."""
    options, reports = target(load_config, {"target_type": "ctmark", "mark": "10"})
    assert options
    assert options["mark"] == 16
    assert "hexadecimal" in reports.warnings[0].message


def test_a_range_among_the_defaults_is_for_bitmaps_only(load_config: Load) -> None:
    """A default for the bitmap sets would break all other sets."""
    options, reports = target(load_config, IPSET, target_defaults={"ipset": {"range": "1-9"}})
    assert options
    assert options["range"] is None
    assert not reports.errors


def test_defaults_reach_interface_and_state(load_config: Load) -> None:
    """The ipset example sets the interface among the defaults."""
    policy, reports = load_config(
        {
            "version": 1,
            "targets": {"t": IPSET},
            "target_defaults": {"ipset": {"interface": "wan", "target_enabled": "0"}},
        }
    )
    assert policy
    assert (policy.targets["t"].interface, policy.targets["t"].enabled) == ("wan", False)
    assert not reports.errors


def test_a_wrong_default_falls_back_to_the_built_in_one(load_config: Load) -> None:
    """Every target of the type would be left out for one typo."""
    options, reports = target(load_config, IPSET, target_defaults={"ipset": {"ttl": "long", "size": 5}})
    assert options
    assert (options["ttl"], options["size"]) == (60, 5)
    assert reports.errors[0].consequence == "the built-in default is used: 60"


def shared(load_config: Load, **changes: Any) -> tuple[list[str], Reports]:
    one = {**NFTSET, "managed": True}
    policy, reports = load_config({"version": 1, "targets": {"one": one, "two": {**one, **changes}}})
    assert policy
    return list(policy.targets), reports


def test_targets_that_share_a_set_must_agree_on_it(load_config: Load) -> None:
    """The kernel would refuse the second set, or elements would not fit the first."""
    names, reports = shared(load_config, type="mark")
    assert names == ["one"]
    assert "differs in type" in reports.errors[0].message
    assert "nfa.json:1:" in reports.errors[0].message


@pytest.mark.parametrize("changes", [{}, {"managed": False, "type": "mark"}, {"table_name": "b", "type": "mark"}])
def test_targets_may_share_a_set(load_config: Load, changes: dict[str, Any]) -> None:
    """Ten actions feed one set by two targets that differ in name only."""
    names, reports = shared(load_config, **changes)
    assert names == ["one", "two"]
    assert not reports.errors


def test_a_shared_set_with_other_timeouts_is_a_warning(load_config: Load) -> None:
    """The user would wonder which of two timeouts holds for the set."""
    names, reports = shared(load_config, ttl=5, flush_on_destroy=True)
    assert names == ["one", "two"]
    assert "differs in ttl, flush_on_destroy" in reports.warnings[0].message


def test_globals_are_complete_and_know_their_alias(load_config: Load) -> None:
    """The documentation calls the device both pftable and device."""
    policy, reports = load_config({"version": 1, "target_globals": {"pftable": {"pftable": "/dev/x"}}})
    assert policy
    assert policy.target_globals == {
        "ctlabel": {"max_bits": 127, "connlabel_conf": None},
        "pftable": {"device": "/dev/x"},
    }
    assert not reports.errors


def test_a_property_and_its_alias_are_one(load_config: Load) -> None:
    """One of two sizes would vanish silently."""
    options, reports = target(load_config, {**IPSET, "size": 5, "max_elements": 6})
    assert options
    assert options["size"] == 6
    assert "'max_elements' is given twice" in reports.warnings[0].message


@pytest.mark.parametrize(
    ("table", "given", "kept", "said"),
    [
        ("ip", None, (4,), ""),
        ("arp", None, (4,), ""),
        ("ip6", None, (6,), ""),
        ("inet", None, (4, 6), ""),
        ("bridge", None, (4, 6), ""),
        ("netdev", "*", (4, 6), ""),
        ("ip", "ipv4", (4,), ""),
        ("ip6", "ipv6", (6,), ""),
        (
            "ip",
            "*",
            (4,),
            "meet IPv4 only, but set_family is *. Write set_family ipv4, or table_family inet for both. There is no",
        ),
        ("ip6", "*", (6,), "rules of a table of the family ip6 meet IPv6 only, but set_family is *"),
        ("ip", "ipv6", None, "rules of a table of the family ip meet IPv4 only, but set_family is ipv6"),
        ("ip6", "ipv4", None, "rules of a table of the family ip6 meet IPv6 only, but set_family is ipv4"),
        ("arp", "ipv6", None, "meet IPv4 only, but set_family is ipv6"),
    ],
)
def test_a_table_has_sets_of_the_families_that_its_rules_meet(
    load_config: Load, table: str, given: str | None, kept: tuple[int, ...] | None, said: str
) -> None:
    """A set was made and filled that no rule can use; who asks for one hears why there is none."""
    options, reports = target(load_config, {**NFTSET, "table_family": table} | ({"set_family": given} if given else {}))
    assert (options and options["families"]) == kept
    texts = [report.text() for report in reports.items if report.code in ("family-unsupported", "options-conflict")]
    assert len(texts) == bool(said) and all(said in text for text in texts), texts
    assert len(reports.errors) == (2 if kept is None else 0)


def test_two_targets_of_one_table_agree_on_the_family_it_has(load_config: Load) -> None:
    """One with `managed` and one without, both with the default family: neither has a set for IPv6."""
    both = {**NFTSET, "table_family": "ip", "table_name": "nat"}
    policy, reports = load_config(
        {
            "version": 1,
            "target_globals": {"nftset": {"set_family": "*"}},
            "actions": {"a": {"criteria": "*", "targets": ["s", "t"]}},
            "targets": {"s": {**both, "managed": True}, "t": both},
        }
    )
    assert policy and [policy.targets[name].options["families"] for name in "st"] == [(4,), (4,)]
    assert not [report for report in reports.items if report.code == "family-unsupported"]
