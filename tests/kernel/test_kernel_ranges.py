"""Sets of ranges that a firewall declares (`flags interval`): what the daemon writes is what nft itself would write."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from kernel_lab import Lab, nftset, policy
from samples import flow
from waiting import eventually

pytestmark = pytest.mark.kernel

FIELDS = {
    "ipv4_addr": (("other_addr",), "20.1.0.1", "90.0.0.1"),
    "ipv4_addr . inet_service": (("other_addr", "other_port"), "20.1.0.1 . 443", "90.0.0.1 . 65535"),
    "inet_service": (("other_port",), "443", "65535"),
    "inet_proto": (("ip_proto",), "tcp", "udp"),
    "ether_addr": (("local_mac",), "00:11:22:33:44:55", "00:11:22:33:44:66"),
    "ether_addr . inet_proto": (("local_mac", "ip_proto"), "00:11:22:33:44:55 . tcp", "00:11:22:33:44:66 . udp"),
    "ifname": (("interface",), "eth0", "br-lan"),
    "ifname . ipv4_addr": (("interface", "local_addr"), "eth0 . 192.168.1.10", "br-lan . 192.168.1.11"),
    "mark": (("mark",), "0x12345", "0x7"),
    "mark . inet_service": (("mark", "other_port"), "0x12345 . 443", "0x7 . 65535"),
    "ipv4_addr . inet_service . inet_proto . ipv4_addr": (
        ("local_addr", "other_port", "ip_proto", "other_addr"),
        "192.168.1.10 . 443 . tcp . 20.1.0.1", "192.168.1.11 . 65535 . udp . 90.0.0.1",
    ),
}  # fmt: skip
SEEN: list[dict[str, Any]] = [
    {
        "other": "20.1.0.1", "local": "192.168.1.10", "other_port": 443, "local_mac": "00:11:22:33:44:55",
        "interface": "eth0", "ct_mark": 0x12345,
    },
    {
        "other": "90.0.0.1", "local": "192.168.1.11", "other_port": 65535, "local_mac": "00:11:22:33:44:66",
        "interface": "br-lan", "ct_mark": 7, "ip_protocol": 17,
    },
]  # fmt: skip
FLOWS = [flow("QUIC", "netify.youtube", **fields) for fields in SEEN]
MINE: dict[str, Any] = {"managed": False, "set_family": "ipv4", "ttl": 600, "table_name": "fw4"}


def stored(lab: Lab, name: str) -> list[str]:
    """The elements of a set as the kernel has them, in nft's words; without the end before the first one, which nft adds."""
    listed = lab.namespace.run("nft", "--debug=netlink", "list", "set", "inet", "fw4", name)
    found = [line.split("userdata")[0].strip() for line in listed.splitlines() if "\telement " in line]
    return sorted(line for line in found if not re.fullmatch(r"element( 0{8})+  : 1 \[end\]", line))


def shown(lab: Lab, name: str) -> list[str]:
    """The elements of a set as nft lists them, without their times."""
    listed = json.loads(lab.namespace.run("nft", "-nn", "-j", "list", "set", "inet", "fw4", name))["nftables"][1]["set"]
    found = [element["elem"]["val"] if "elem" in element else element for element in listed.get("elem", [])]
    return sorted(map(json.dumps, found))


def reclassified(record: dict[str, Any]) -> dict[str, Any]:
    """The next record of the same flow, which no longer matches."""
    return record | {"flow": record["flow"] | {"detected_application_name": "netify.netflix", "detection_updated": True}}


@pytest.mark.parametrize("kind", FIELDS)
def test_elements_of_ranges_are_those_of_nft(lab: Lab, kind: str) -> None:
    """nft listed 20.1.0.1-90.0.0.1 . 443, and a firewall that restored its list let all of that through."""
    fields, *words = FIELDS[kind]
    lab.namespace.nft(
        "add table inet fw4",
        *(f"add set inet fw4 {name} {{ type {kind}; timeout 600s; flags interval, timeout; }}" for name in ("s", "theirs")),
        *(f"add element inet fw4 theirs {{ {word} }}" for word in words),
    )
    lab.start(policy({"n": nftset("s", *fields, **MINE)}))
    status = lab.feed(*FLOWS)
    assert status["targets"]["n"]["elements"] == 2 and not status["targets"]["n"]["errors"], status["targets"]["n"]
    assert shown(lab, "s") == shown(lab, "theirs")
    assert stored(lab, "s") == stored(lab, "theirs")
    before = shown(lab, "s")
    listed = lab.namespace.run("nft", "list", "ruleset")
    lab.namespace.nft("flush ruleset", listed)
    assert shown(lab, "s") == before, "what nft lists is what it takes"


@pytest.mark.parametrize("kind", ["ipv4_addr", "ipv4_addr . inet_service", "mark", "inet_service"])
def test_ranges_are_withdrawn_and_healed(lab: Lab, kind: str) -> None:
    """An element that cannot be deleted stays for its whole ttl; one that is not restored lets the flow through."""
    fields, *words = FIELDS[kind]
    made = f"add set inet fw4 s {{ type {kind}; timeout 600s; flags interval, timeout; }}"
    lab.namespace.nft("add table inet fw4", made)
    lab.start(policy({"n": nftset("s", *fields, **MINE)}, "app == 'netify.youtube';"))
    lab.feed(*FLOWS)
    both = shown(lab, "s")
    assert len(both) == 2
    for word in words:
        lab.namespace.nft(f"delete element inet fw4 s {{ {word} }}")
        eventually(lambda: shown(lab, "s") == both, what="the element is restored")
    lab.namespace.nft("flush set inet fw4 s")
    eventually(lambda: shown(lab, "s") == both, what="all are restored")
    # A set that comes later, and of the other form: elements must be of the form of the set that is there.
    lab.namespace.nft("delete set inet fw4 s", made.replace("interval, ", ""))
    eventually(lambda: shown(lab, "s") == both, what="the set without ranges is filled")
    lab.namespace.nft("delete set inet fw4 s", made)
    eventually(lambda: shown(lab, "s") == both and len(stored(lab, "s")) >= 2, what="the set of ranges is filled")
    assert not any(":" not in line for line in stored(lab, "s"))
    status = lab.feed(*map(reclassified, FLOWS))
    assert shown(lab, "s") == [] and stored(lab, "s") == []
    assert status["targets"]["n"]["withdrawn"] == 2 and not status["targets"]["n"]["errors"]


@pytest.mark.parametrize("kind", ["ipv4_addr", "ipv4_addr . inet_service"])
def test_ranges_are_refreshed(lab: Lab, kind: str) -> None:
    """A block would end in the middle of a long connection."""
    lab.namespace.nft("add table inet fw4", f"add set inet fw4 s {{ type {kind}; timeout 600s; flags interval, timeout; }}")
    lab.start(policy({"n": nftset("s", *FIELDS[kind][0], **{**MINE, "ttl": 8})}))
    lab.feed(*FLOWS)
    key = tuple(FIELDS[kind][1].split(" . "))
    eventually(lambda: lab.namespace.nft_set("fw4 s").left(key) <= 3, what="half of its time is over")
    status = lab.feed(*FLOWS)
    assert lab.namespace.nft_set("fw4 s").left(key) > 3
    assert status["targets"]["n"]["refreshed"] == 2 and not status["targets"]["n"]["errors"]


def test_a_set_of_ranges_that_comes_after_the_daemon_gets_ranges(lab: Lab) -> None:
    """The firewall starts later: single keys in a set of ranges would be everything above the address."""
    lab.start(policy({"n": nftset("late", "other_addr", **MINE)}))
    lab.feed(*FLOWS)
    lab.namespace.nft("add table inet fw4", "add set inet fw4 late.v4 { type ipv4_addr; flags interval, timeout; auto-merge; }")
    eventually(lambda: len(shown(lab, "late.v4")) == 2, what="it is filled")
    assert shown(lab, "late.v4") == ['"20.1.0.1"', '"90.0.0.1"']


def test_an_address_that_a_range_covers_is_told_as_that(lab: Lab) -> None:
    """The administrator's own 20.1.0.0/16 is in the set: "File exists" says nothing."""
    lab.namespace.nft(
        "add table inet fw4", "add set inet fw4 s { type ipv4_addr; flags interval, timeout; }",
        "add element inet fw4 s { 20.1.0.0/16 }",
    )  # fmt: skip
    lab.start(policy({"n": nftset("s", "other_addr", **MINE)}))
    status = lab.feed(*FLOWS)
    assert json.loads(shown(lab, "s")[0]) == "90.0.0.1"
    target = status["targets"]["n"]
    assert target["elements"] == 1 and target["errors"] == 1 and "overlaps" in target["last_error"], target
