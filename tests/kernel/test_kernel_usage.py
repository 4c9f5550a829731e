"""Sets that no rule uses: `nfa check`, status and health say so, with a rule that works; and no longer once there is one.

The daemon of these tests reports after a second what it otherwise reports after fifteen.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from kernel_lab import Lab, eventually, ipset, nftset, policy
from samples import flow
from waiting import patience

pytestmark = pytest.mark.kernel

RULES = [
    "add chain inet nfa forward { type filter hook forward priority filter; }",
    "add rule inet nfa forward ip daddr @n.v4 counter drop",
]
NAMES = ("nfa n.v4", "i.v4")


def start(lab: Lab, targets: dict[str, Any], grace: float = 1.0, **more: Any) -> None:
    haste = {"GRACE": grace, "SETTLE": 0.1, "PACE": 0.3}
    lab.start(policy(targets, **more), constants={f"targets.sets.usage.{name}": value for name, value in haste.items()})


def four(**more: Any) -> dict[str, Any]:
    options = {"set_family": "ipv4"} | more
    return {"n": nftset("n", "other_addr", **options), "i": ipset("i", **options)}


def of(status: dict[str, Any]) -> list[dict[str, Any]]:
    """What a status says of sets without rules."""
    return [one for one in status["findings"] if one["code"] == "set-unused"]


def unused(lab: Lab) -> set[str]:
    return {one["set"] for one in of(lab.daemon.status())}


def checked(lab: Lab, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of `nfa check`, and what it says of sets without rules."""
    where = ("--no-uci", "-c", str(lab.daemon.config), "--state-dir", str(lab.folder))
    done = lab.namespace.attempt(*lab.nfa("check", "--json", *where, *options))
    return done.returncode, [one for one in json.loads(done.stdout)["reports"] if one["code"] == "set-unused"]


def since(lab: Lab, seconds: float) -> None:
    """Let the daemon live on for a while: what it should not say it has had the time to say."""
    uptime = lab.daemon.status()["uptime"]
    lab.daemon.until(lambda status: status["uptime"] > uptime + seconds)


def test_it_is_said_everywhere_and_ends_with_the_rule(lab: Lab) -> None:
    """Recipes.md's rules fail at boot, or are gone: YouTube plays, and status says "on, 1 element, 0 errors"."""
    start(lab, four())
    lab.feed(flow(other="203.0.113.1"))
    status = lab.daemon.until(lambda status: len(of(status)) == 2, "the finding")
    problems = [one for one in status["health"]["problems"] if one["code"] == "set-unused"]
    assert [(one["severity"], one["of"], one["name"], one["set"]) for one in problems] == [
        ("warning", "set", "n", "n.v4"), ("warning", "set", "i", "i.v4"),
    ]  # fmt: skip
    assert "nftables set nfa n.v4 is used by no rule: nothing happens to these flows; to drop" in problems[0]["text"]
    health = lab.namespace.attempt(*lab.nfa("status", "--health", "--control", str(lab.daemon.control)))
    assert health.returncode == 1 and health.stdout.startswith("WARNING"), "Nagios and LuCI are to see it"
    told = lab.namespace.run(*lab.nfa("status", "--control", str(lab.daemon.control)))
    assert "target 'i': ipset i.v4 is used by no rule: nothing happens to these flows." in told
    code, found = checked(lab)
    assert (code, [(one["severity"], one["place"]["pointer"]) for one in found]) == (
        0, [("warning", "/targets/n"), ("warning", "/targets/i")],
    )  # fmt: skip
    assert checked(lab, "--strict")[0] == 1
    asked = lab.daemon.ask("check")["reports"]
    assert [one["message"] for one in asked if one["code"] == "set-unused"] == [one["message"] for one in found], "LuCI's check"
    assert len(lab.daemon.said("warning", "is used by no rule")) == 2

    # The rule of the finding is one to paste. A set of sets is a use of an ipset: rules may match that one.
    by_name = {one["set"]: one["rule"] for one in of(lab.daemon.status())}
    lab.namespace.run("sh", "-c", by_name["n.v4"])
    lab.namespace.run("ipset", "create", "all", "list:set")
    lab.namespace.run("ipset", "add", "all", "i.v4")
    eventually(lambda: not unused(lab), what="no finding")
    assert checked(lab) == (0, [])
    assert len(lab.daemon.said("notice", "is used by a rule now")) == 2

    # Rules go: it is said again.
    lab.namespace.nft("flush chain inet nfa own_rules")
    lab.namespace.run("ipset", "destroy", "all")
    eventually(lambda: unused(lab) == {"n.v4", "i.v4"}, what="the findings again")


def test_a_firewall_that_restarts_is_no_alarm(lab: Lab) -> None:
    """Each `service firewall restart` would be a warning in the log, and an alarm of the monitoring."""
    load = ["add table inet nfa", "add set inet nfa n.v4 { type ipv4_addr; size 65536; timeout 100s; }", *RULES]
    lab.namespace.nft(*load)
    start(lab, {"n": four()["n"]}, grace=patience(4))
    for deed in ("delete table inet nfa", "flush ruleset", "flush table inet nfa"):
        lab.namespace.nft(deed)
        since(lab, 0)  # the daemon has looked, and the set has come back by itself
        assert lab.namespace.nft_set("nfa n.v4").type == "ipv4_addr"
        lab.namespace.nft(*load)
        lab.namespace.nft("flush ruleset", *load)
        since(lab, 0)
    since(lab, patience(4))
    assert not unused(lab) and not lab.daemon.said("used by no rule")
    lab.namespace.nft("delete table inet nfa")
    eventually(lambda: unused(lab) == {"n.v4"}, what="the set came back by itself, its rule did not")


@pytest.mark.parametrize(
    "use",
    [
        "add rule inet fw4 c ip daddr @n.v4 accept",
        "add rule inet fw4 c ip daddr != @n.v4 accept",
        "add rule inet fw4 c update @n.v4 { ip daddr timeout 1m }",
        "add rule inet fw4 c meta l4proto { tcp, udp } ip daddr @n.v4 ct mark set 1",
    ],
)
def test_each_way_to_use_a_set_is_one(lab: Lab, use: str) -> None:
    """Somebody whose rule marks, counts or accepts would read that nothing happens."""
    lab.namespace.nft(
        "add table inet fw4", "add chain inet fw4 c", "add set inet fw4 n.v4 { type ipv4_addr; timeout 100s; flags dynamic; }",
        "add map inet fw4 verdicts { type ipv4_addr : verdict; }", "add rule inet fw4 c ip saddr vmap @verdicts",
        *[f"add rule inet fw4 c tcp dport {number} counter comment \"n.v4\"" for number in range(1, 300)],
    )  # fmt: skip
    start(lab, {"n": nftset("n", "other_addr", table_name="fw4", set_family="ipv4", managed=False, ttl=0)})
    eventually(lambda: unused(lab) == {"n.v4"}, what="a rule with the name in its comment is no use")
    assert [one["place"]["pointer"] for one in checked(lab)[1]] == ["/targets/n"]
    lab.namespace.nft(use)
    eventually(lambda: not unused(lab), what="no finding")
    assert checked(lab)[1] == []


def test_the_set_of_a_target_that_nothing_reaches_is_not_meant(lab: Lab) -> None:
    """The configuration as it is shipped has targets for actions that are off."""
    targets = four() | {"spare": nftset("spare", "other_addr"), "off": nftset("off", "other_addr", target_enabled=False)}
    actions = {
        "all": {"criteria": ["*"], "targets": ["n", "off"]},
        "later": {"criteria": ["*"], "targets": ["spare", "i"], "enabled": False},
    }
    start(lab, targets, actions=actions)
    eventually(lambda: unused(lab) == {"n.v4"}, what="the finding")
    assert {one["place"]["pointer"] for one in checked(lab)[1]} == {"/targets/n"}


def test_check_says_nothing_of_sets_that_are_not_there(lab: Lab) -> None:
    """Before the daemon runs no rule can use its sets: the finding would come on every workstation."""
    start(lab, four())
    assert lab.daemon.stop() == 0
    lab.namespace.nft("flush ruleset")
    lab.namespace.run("ipset", "destroy")
    assert checked(lab) == (0, [])
    powerless = ("setpriv", "--bounding-set", "-net_admin")
    done = lab.namespace.attempt(*powerless, *lab.nfa("check", "--json", "--no-uci", "-c", str(lab.daemon.config)))
    assert {one["code"] for one in json.loads(done.stdout)["reports"]} == {"kernel-unavailable"}


def test_a_large_firewall_is_read_in_parts(lab: Lab) -> None:
    """Reading all rules at once would hold up flows for a tenth of a second."""
    rules = [f"add rule inet nfa c ip saddr 10.{n >> 8}.{n & 255}.0/24 tcp dport {n} counter accept" for n in range(1, 5001)]
    lab.namespace.nft("add table inet nfa", "add chain inet nfa c", *rules)
    start(lab, {"n": four()["n"]})
    eventually(lambda: unused(lab) == {"n.v4"}, what="the finding")
    lab.namespace.nft("add rule inet nfa c ip daddr @n.v4 drop")
    eventually(lambda: not unused(lab), what="the last of 5,001 rules")
    print(f"longest turn {lab.daemon.status()['loop']['longest_ms']} ms")
    assert lab.daemon.status()["loop"]["longest_ms"] < patience(100)


FIELDS = [
    ["other_addr"], ["local_addr"], ["local_mac"], ["other_mac"], ["mark"], ["interface"], ["ip_proto"],
    ["other_port", "ip_proto"], ["local_addr", "ip_proto", "other_port", "other_addr"], ["local_mac", "other_addr"],
    ["mark", "other_addr"], ["interface", "local_port", "ip_proto"], ["other_mac", "local_addr", "interface"],
]  # fmt: skip
FAMILIES = ["inet", "ip", "ip6", "bridge", "netdev", "arp"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_rule_to_paste_loads_for_each_type_and_family(lab: Lab, family: str) -> None:
    """Somebody who pastes it would read an error of nft instead."""
    targets = {}
    for number, fields in enumerate(FIELDS):
        if family in ("arp", "netdev", "bridge") and {"mark", *(["ip_proto"] if family == "arp" else [])} & set(fields):
            continue  # no packet has that there
        targets[f"t{number}"] = nftset(f"t{number}", *fields, table_family=family)
    lab.namespace.run("ip", "link", "add", "br-lan", "type", "veth")
    start(lab, targets)
    _, found = checked(lab)
    assert {one["place"]["pointer"].rpartition("/")[2] for one in found} == set(targets), "each target"
    for one in found:
        command = one["hint"].partition("example: ")[2].partition(" (docs/")[0]
        lab.namespace.run("sh", "-c", command.replace("DEVICE", "br-lan"))
    assert checked(lab)[1] == []
    eventually(lambda: not unused(lab))
