"""The rule that a finding shows is the one that docs/targets.md has for the set's type: it matches packets of the flow.

That nft takes each of them: tests/kernel/test_kernel_usage.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Target
from nfa.compiler.provision import provision, usage

MakeTarget = Callable[..., Target]
DOCS = Path(__file__).resolve().parents[3] / "docs"


def rules(target: Target) -> list[str]:
    """The rules of a target's sets, IPv4 first."""
    slots = provision([target], None, Reports())
    usage.fill(slots, {target.name})
    return [slot["rule"] for slot in slots]


def page(title: str) -> str:
    """A section of docs/targets.md."""
    return (DOCS / "targets.md").read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_each_field_is_matched_as_the_page_says(target: MakeTarget) -> None:
    """The rule would compare the other end's port with the device's, and never match."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| [^|]* \| (.*?) \| (.*?) \|$", page("nftset"), re.MULTILINE)
    assert len(rows) == len(usage._MATCHES)
    for field, out, back in rows:
        (rule, _) = rules(target("nftset", type=(field,)))
        assert f" {(back if field == 'other_mac' else out).strip('`')} @x.v4 counter drop" in rule


def test_the_usual_type_has_the_rule_of_the_page(target: MakeTarget) -> None:
    """Both IP versions: a rule for IPv4 alone lets a device play over IPv6."""
    fields = ("local_addr", "ip_proto", "other_port", "other_addr")
    made = rules(target("nftset", type=fields, table_name="nfa", set_name="mine"))
    for rule in made:
        (body,) = re.findall(r"add rule inet nfa own_rules (.*)'$", rule)
        assert f"\n    {body}" in page("nftset")
    assert len(set(made)) == 2


@pytest.mark.parametrize(
    ("kind", "options", "ends"),
    [
        ("hash:ip", {}, "dst"),
        ("hash:ip", {"address_type": "local"}, "src"),
        ("hash:ip,port", {}, "dst,dst"),
        ("hash:ip,port,ip", {}, "dst,dst,src"),
        ("hash:mac", {}, "src"),
        ("bitmap:ip", {"range": (1, 255), "families": (4,)}, "dst"),
        ("bitmap:ip", {"range": (1, 255), "families": (4,), "address_type": "local"}, "src"),
        ("bitmap:port", {"range": (1, 255)}, "dst"),
    ],
)
def test_each_type_of_ipset_is_matched_as_the_page_says(
    target: MakeTarget, kind: str, options: dict[str, object], ends: str
) -> None:
    """iptables takes any words here, and with the wrong ones never matches."""
    for rule, program in zip(rules(target("ipset", type=kind, **options)), ("iptables", "ip6tables"), strict=False):
        name = "x.v4" if program == "iptables" else "x.v6"
        assert rule == f"{program} -I FORWARD -m set --match-set {name} {ends} -j DROP"
    row = next(row for row in page("ipset").splitlines() if row.startswith(f"| `{kind}` |"))
    assert f"`{ends}`" in row.split(" | ")[2]


def test_what_elements_carry_is_applied(target: MakeTarget) -> None:
    """A set that marks packets was not made to drop them."""
    made = rules(target("ipset", skb_mark=7, skb_queue=1))
    assert made[0] == "iptables -t mangle -A FORWARD -j SET --map-set x.v4 dst --map-mark --map-queue"


def test_names_are_quoted_for_the_shell(target: MakeTarget) -> None:
    """What is pasted as root must do nothing else."""
    made = rules(target("ipset", set_name="a b;c")) + rules(target("nftset", set_name="a'b"))
    assert made[0].split("--match-set ")[1].startswith("'a b;c.v4' ")
    assert "'\"'\"'" in made[2]


def test_targets_that_no_action_reaches_have_no_rule(target: MakeTarget) -> None:
    """The configuration as it is shipped would be full of warnings."""
    slots = provision([target("nftset"), target("ipset")], None, Reports())
    usage.fill(slots, {"ipset.x"})
    assert [bool(slot["rule"]) for slot in slots] == [False, False, True, True]
