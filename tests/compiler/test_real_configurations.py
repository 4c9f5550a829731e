"""Configurations of the shape that firewall distributions generate, unchanged: they load, and decide as their generator meant.

The shapes are those of public generators: rules of a firewall's pages become actions with targets of type ctlabel, criteria
joined by `or`, an interface as `iface_nfq_src`, a VLAN as `vlan_id`, objects as `@objects_...`, allow rules above block rules.
"""

from __future__ import annotations

import ipaddress
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import samples
from policies import Desk

from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.sources import Sources

LABELS = "0\tnetify-init\n1\tnetify-blocked\n2\tnetify-analyzed\n3\tbulk\n4\tbest_effort\n5\tvideo\n6\tvoice\n7\tdpi allowed\n"
ACTIONS = {"block": "netify-blocked", "analyzed": "netify-analyzed", "bulk": "bulk", "video": "video", "voice": "voice",
           "allow": "dpi allowed"}  # fmt: skip
APPS = ["netify.netflix", "netify.youtube", "netify.tiktok", "netify.facebook", "netify.instagram"]
PROTOCOLS = ["HTTP/S", "QUIC", "BitTorrent", "HTTP"]
OBJECTS = {
    "objects_ns_hostset_1": ["192.168.10.5", "192.168.10.16-192.168.10.31", "2001:db8:10::/64"],
    "objects_ns_domainset_2": ["10.20.0.0/16"],
}


@dataclass
class Rule:
    """A rule of a firewall's page."""

    action: str
    device: str = "*"
    sources: list[str] = field(default_factory=list)
    applications: list[str] = field(default_factory=list)
    protocols: list[str] = field(default_factory=list)
    exemptions: list[str] = field(default_factory=list)
    vlan: int | None = None
    log: bool = False

    def criteria(self) -> str:
        """The text, as the generators write it."""
        sources = " or ".join(f"local_ip == {source}" for source in self.sources)
        names = [f"app == '{name}'" for name in self.applications] + [f"proto == '{name.lower()}'" for name in self.protocols]
        text = f"(iface_nfq_src == '{self.device}' or iface_nfq_dst == '{self.device}')"
        text += f" && ({sources})" if sources else ""
        text += f" && ({' or '.join(names)})" if names else ""
        return (f"vlan_id == {self.vlan} && " if self.vlan is not None else "") + text + " ;"

    def meant(self, flow: dict[str, Any]) -> bool:
        """Whether the page says that a flow is meant."""
        nfq = flow.get("nfq", {})
        if self.device != "*" and self.device not in (nfq.get("src_iface"), nfq.get("dst_iface")):
            return False
        if self.vlan is not None and flow.get("vlan_id", 0) != self.vlan:
            return False
        if self.sources and not any(inside(flow["local_ip"], source) for source in self.sources):
            return False
        named = self.applications or self.protocols
        known = flow["detected_application_name"] in self.applications or flow["detected_protocol_name"] in self.protocols
        return (known or not named) and not any(
            inside(flow[end], entry) for entry in self.exemptions for end in ("local_ip", "other_ip")
        )


def inside(address: str, written: str) -> bool:
    found = ipaddress.ip_address(address)
    if written.startswith("@"):
        return any(inside(address, entry) for entry in OBJECTS[written[1:]])
    if "-" in written:
        first, last = map(ipaddress.ip_address, written.split("-"))
        return found.version == first.version and int(first) <= int(found) <= int(last)
    network = ipaddress.ip_network(written, strict=False)
    return found.version == network.version and found in network


def configuration(rules: list[Rule], folder: Path, exemptions: list[str], priorities: bool) -> dict[str, Any]:
    """What a generator writes; without a version, as the one in the field does."""
    (folder / "connlabel.conf").write_text(LABELS)
    groups = folder / "address-groups.d"
    groups.mkdir(exist_ok=True)
    for name, members in OBJECTS.items():
        (groups / f"30-{name}.conf").write_text("\n".join(members) + "\n")
    targets: dict[str, Any] = {
        name: {"target_type": "ctlabel", "target_enabled": True, "labels": [label]} for name, label in ACTIONS.items()
    }
    targets["log"] = {
        "target_type": "log",
        "target_enabled": True,
        "interval": 60,
        "path": str(folder),
        "prefix": "dpi-actions",
    }
    actions: dict[str, Any] = {}
    for number, rule in enumerate(rules):
        actions[f"rule{number}"] = {
            "enabled": True, "criteria": rule.criteria(), "targets": [rule.action] + ["log"] * rule.log,
            "exemptions": rule.exemptions,
        } | ({"priority": number + 1, "halt_on_match": True} if priorities else {})  # fmt: skip
    actions["analyzed"] = {
        "enabled": True, "criteria": "detection_guessed || detection_complete;", "targets": ["analyzed"], "exemptions": [],
    } | ({"priority": 0} if priorities else {})  # fmt: skip
    return {
        "reprocess_flows": True, "target_globals": {"ctlabel": {"connlabel_conf": str(folder / "connlabel.conf")}},
        "targets": targets, "actions": actions, "exemptions": exemptions,
    }  # fmt: skip


def load(folder: Path, config: dict[str, Any]) -> tuple[Compiled, Reports]:
    file = folder / "netify-proc-flow-actions.json"
    file.write_text(json.dumps(config))
    # From the very place where the plugin reads it, with no option.
    made, reports = compile_policy(Sources(), Paths(str(folder), str(folder)), look=False)
    assert made is not None
    return made, reports


def random_rule(rng: random.Random) -> Rule:
    addresses = ["192.168.1.0/24", "192.168.1.30-192.168.1.40", "192.168.10.5", "@objects_ns_hostset_1", "10.20.0.0/16",
                 "@objects_ns_domainset_2", "2001:db8:10::/64", "2001:db8:10::5"]  # fmt: skip
    rule = Rule(
        rng.choice(["block", "bulk", "video", "voice", "allow"]), rng.choice(["*", "br-lan", "eth0.10"]),
        rng.sample(addresses, rng.randrange(4)), rng.sample(APPS, rng.randrange(3)), rng.sample(PROTOCOLS, rng.randrange(3)),
        rng.sample(["192.168.1.35", "192.168.10.16-192.168.10.20", "203.0.113.0/24"], rng.randrange(2)),
        rng.choice([None, None, 10]), rng.random() < 0.3,
    )  # fmt: skip
    if not rule.sources and not rule.applications and not rule.protocols:
        rule.applications = [APPS[0]]
    return rule


def random_record(rng: random.Random) -> dict[str, Any]:
    version = rng.choice([4, 4, 6])
    local = rng.choice(["192.168.1.20", "192.168.1.35", "192.168.10.5", "192.168.10.18", "10.20.3.4", "172.16.0.1"])
    other = rng.choice(["203.0.113.10", "198.51.100.7"])
    if version == 6:
        local, other = rng.choice(["2001:db8:10::5", "2001:db8:77::1"]), "2001:db8:99::1"
    record = samples.flow(rng.choice(PROTOCOLS), rng.choice([*APPS, "Unknown"]), local=local, other=other)
    record["flow"] |= {"vlan_id": rng.choice([0, 10]), "detection_guessed": rng.random() < 0.2}
    if rng.random() < 0.7:
        record["flow"]["nfq"] = {"src_iface": rng.choice(["br-lan", "eth0.10"]), "dst_iface": "wan"}
    return record


@pytest.mark.parametrize("priorities", [False, True], ids=["all rules", "first rule wins"])
def test_generated_policies_load_unchanged_and_decide_as_meant(tmp_path: Path, priorities: bool) -> None:
    """A firewall that moves to nfa would block other devices than its pages say, or nobody."""
    rng = random.Random(20261130)
    for turn in range(12):
        folder = tmp_path / str(turn)
        folder.mkdir()
        rules = [random_rule(rng) for _ in range(rng.randrange(1, 12))]
        exempt = ["192.168.1.1", "2001:db8:10::1", "172.16.0.0/12"][: rng.randrange(4)]
        made, reports = load(folder, configuration(rules, folder, exempt, priorities))
        assert not reports.errors, [report.text() for report in reports.errors]
        assert all(not item.reason for item in made.actions)
        assert {slot["labels"] for slot in made.slots if slot["kind"] == "ctlabel"} == {2, 4, 8, 32, 64, 128}
        assert made.policy.reprocess_flows
        desk = Desk(made)
        for record in (random_record(rng) for _ in range(150)):
            flow = record["flow"]
            expected: list[str] | None = [f"rule{number}" for number, rule in enumerate(rules) if rule.meant(flow)]
            if any(inside(flow[end], entry) for entry in exempt for end in ("local_ip", "other_ip")):
                expected = None
            elif expected is not None:
                expected = ["analyzed", *expected[:1]] if priorities else [*expected, "analyzed"]
            assert desk.actions(record) == expected, (rules, record)


def test_an_allow_rule_shields_from_the_block_below_it(tmp_path: Path) -> None:
    """The pages order rules by priority and the first one wins: without that, everybody is blocked."""
    rules = [
        Rule("allow", sources=["192.168.10.5", "@objects_ns_domainset_2"], applications=APPS[:2]),
        Rule("block", applications=APPS[:2]),
    ]
    made, reports = load(tmp_path, configuration(rules, tmp_path, [], True))
    assert not reports.errors
    desk = Desk(made)
    allowed = samples.flow("QUIC", APPS[0], local="10.20.3.4", other="203.0.113.10")
    blocked = samples.flow("QUIC", APPS[0], local="10.21.3.4", other="203.0.113.10")
    assert desk.actions(allowed) == ["analyzed", "rule0"]
    assert desk.actions(blocked) == ["analyzed", "rule1"]


def calls(folder: Path, hosts: int, rules: int) -> int:
    """How many functions a compilation of so many hosts in each of so many rules calls."""
    sources = [f"10.{number >> 8}.{number & 255}.7" for number in range(hosts)]
    made = [Rule("block", "br-lan", sources, APPS, PROTOCOLS, vlan=10) for _ in range(rules)]
    file = folder / "netify-proc-flow-actions.json"
    file.write_text(json.dumps(configuration(made, folder, ["192.168.1.1"], False)))
    count = 0

    def counting(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counting)
    try:
        compiled, reports = compile_policy(Sources(), Paths(str(folder), str(folder)), look=False)
        assert compiled is not None
        image_of(compiled)
    finally:
        sys.setprofile(None)
    assert not reports.errors
    return count


def test_hundreds_of_hosts_cost_a_compilation_in_proportion(tmp_path: Path) -> None:
    """A rule for a school's hosts would keep the compiler busy for minutes, and the old policy active."""
    few, many = calls(tmp_path, 100, 2), calls(tmp_path, 800, 2)
    assert many < 9 * few
    more = calls(tmp_path, 100, 16)
    assert more < 9 * few


def test_a_policy_of_a_bsd_firewall_loads_beside_a_linux_one(tmp_path: Path) -> None:
    """One configuration for routers of both systems would be refused by one of them."""
    hosts = " || ".join(f"local_ip == 10.1.{number >> 8}.{number & 255}" for number in range(300))
    config = {
        "version": 1, "reprocess_flows": True,
        "targets": {
            "pf": {"target_type": "pftable", "table_name": "netify_block"},
            "set": {"target_type": "nftset", "set_name": "block"},
        },
        "target_defaults": {"pftable": {"anchor_name": "*", "address_type": "other", "ttl": 60, "managed": True},
                            "nftset": {"set_family": "ipv4", "managed": True}},
        "actions": {
            "block": {"criteria": f"({hosts}) && (app == 'netify.netflix' || category == 'games');", "targets": ["pf", "set"],
                      "exemptions": ["10.1.0.7", "10.1.1.0-10.1.1.9"], "interface": "*"},
        },
    }  # fmt: skip
    made, reports = load(tmp_path, config)
    assert {(report.severity, report.code) for report in reports.items} == {("info", "target-unsupported")}
    desk = Desk(made)
    matched = [
        number for number in range(320)
        if desk.actions(samples.flow("QUIC", "netify.netflix", local=f"10.1.{number >> 8}.{number & 255}", other="203.0.113.9"))
    ]  # fmt: skip
    assert matched == [number for number in range(300) if number != 7 and not 256 <= number <= 265]
