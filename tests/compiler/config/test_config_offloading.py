"""Flow offloading: a firewall that lets connections pass by its rules is what "it does not block" comes from most often."""

from __future__ import annotations

from pathlib import Path

import pytest

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Report, Reports
from nfa.compiler.config.sources import Sources, load

POLICY = """\
config action 'video'
	option enabled '1'
	list criteria 'app == 1'
	list target 'set'

config target 'set'
	option target_type 'nftset'
	option set_name 'video'
"""
FIREWALL = """\
config defaults
	option input 'REJECT'
	option flow_offloading '1'

config zone
	option flow_offloading '0'
"""


def warnings(folder: Path, policy: str, firewall: str | None) -> list[Report]:
    """What is said of the firewall's file, beside the policy."""
    (folder / "netify-proc-flow-actions").write_text(policy)
    if firewall is not None:
        (folder / "firewall").write_text(firewall)
    reports = Reports()
    assert load(Sources(str(folder)), Paths(str(folder), str(folder)), reports) is not None
    assert not reports.errors
    return [report for report in reports.warnings if report.place and report.place.file.endswith("/firewall")]


def test_it_is_said_where_it_is_switched_on(tmp_path: Path) -> None:
    """The owner sees elements in the set, and the video plays on."""
    (found,) = warnings(tmp_path, POLICY, FIREWALL)
    assert found.place is not None and (found.place.line, found.place.column) == (3, 26)
    assert "offloading is on" in found.message and "'set'" in found.message
    assert "cut '1'" in found.hint and "flow_offloading" in found.excerpt


@pytest.mark.parametrize(
    "policy",
    [
        POLICY + "\toption cut '1'\n",
        POLICY.replace("enabled '1'", "enabled '0'"),
        POLICY + "\toption target_enabled '0'\n",
        POLICY.replace("nftset'\n\toption set_name 'video'", "log'"),
        POLICY + "\tlist type 'other_addr'\n\toption ttl '86400'\n",
        POLICY + "\tlist type 'local_mac'\n\tlist type 'other_port'\n",
        POLICY.replace("nftset'", "ipset'") + "\toption type 'hash:ip'\n",
        POLICY.replace("list target 'set'", "list target 'l'") + "\nconfig target 'l'\n\toption target_type 'log'\n",
    ],
    ids=["cut", "action off", "target off", "no rule needed", "addresses", "a device", "an ipset", "not used"],
)
def test_nothing_is_said_where_no_rule_waits_for_packets(tmp_path: Path, policy: str) -> None:
    """A warning that cannot be made to go is read by nobody."""
    assert not warnings(tmp_path, policy, FIREWALL)


@pytest.mark.parametrize(
    "firewall",
    [
        None,
        FIREWALL.replace("'1'", "'0'"),
        FIREWALL.replace("flow_offloading '1'", "flow_offloading_hw '1'"),
        FIREWALL.replace("'1'", "'enabled'"),
        "config defaults\n\n" + FIREWALL,
        "config defaults\n\toption flow_offloading '1",
        "\0\xff",
    ],
    ids=["no firewall", "off", "hardware alone", "no word of fw4's", "the second section", "broken", "garbage"],
)
def test_a_firewall_that_does_not_offload_is_no_matter(tmp_path: Path, firewall: str | None) -> None:
    assert not warnings(tmp_path, POLICY, firewall)


@pytest.mark.parametrize(
    "target",
    ["'ctmark'\n\toption mark '0x1'", "'ipset'\n\toption set_name 's'\n\toption type 'hash:ip,port,ip'"],
    ids=["a mark", "an ipset of connections"],
)
def test_marks_and_ipsets_of_connections_wait_for_rules_too(tmp_path: Path, target: str) -> None:
    policy = POLICY.replace("'nftset'\n\toption set_name 'video'", target)
    assert warnings(tmp_path, policy, FIREWALL)


def test_each_word_of_fw4_is_known(tmp_path: Path) -> None:
    for word in ("1", "on", "true", "yes"):
        assert warnings(tmp_path, POLICY, FIREWALL.replace("'1'", f"'{word}'")), word


def test_many_targets_are_counted(tmp_path: Path) -> None:
    """A router with hundreds of targets would fill the log with their names."""
    more = "".join(
        f"\nconfig action 'a{number}'\n\tlist criteria 'app == 1'\n\tlist target 't{number}'\n"
        f"\nconfig target 't{number}'\n\toption target_type 'ctmark'\n\toption mark '0x{number + 1:x}'\n"
        for number in range(9)
    )
    (found,) = warnings(tmp_path, POLICY + more, FIREWALL)
    assert "'set', 't0', 't1' and 7 more" in found.message
