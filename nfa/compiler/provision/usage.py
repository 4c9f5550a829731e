"""Whether rules use the sets of a policy: the rule that would, as a command to paste, and what `nfa check` reports.

In: slots, and the kernel. Out: the entry `rule` of each slot that a flow can reach, by which the daemon knows what to look for
and what to say; findings. Nothing in the kernel is changed here.
"""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterable
from typing import Any

from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Policy
from nfa.compiler.provision.kernel import Kernel, KernelUnavailable
from nfa.compiler.provision.nftset import TABLE_FAMILIES
from nfa.compiler.provision.slots import Slot
from nfa.daemon.targets.sets.words import unused

CHAIN = "own_rules"
_FAMILY_NAMES = {number: name for name, number in TABLE_FAMILIES.items()}
_HOOKS = {
    "arp": "hook input priority filter",
    "bridge": "hook forward priority filter",
    "netdev": "hook ingress device DEVICE priority filter",
}
"""Where a chain sees the packets, by the table's family; where not, before the chains of a firewall in the forward hook."""
_MATCHES = {
    "local_addr": "saddr",
    "other_addr": "daddr",
    "ip_proto": "meta l4proto",
    "local_port": "th sport",
    "other_port": "th dport",
    "local_mac": "ether saddr",
    "other_mac": "ether daddr",
    "mark": "ct mark",
    "interface": "iifname",
}
"""What a packet from the local to the other end has, for nft, by the field of an element."""
_BACK = {
    "local_addr": "daddr",
    "other_addr": "saddr",
    "local_port": "th dport",
    "other_port": "th sport",
    "other_mac": "ether saddr",
    "interface": "oifname",
}
"""The same for a packet from the other to the local end, where that differs."""
_DIRECTIONS = {"hash:ip,port": "dst,dst", "hash:ip,port,ip": "dst,dst,src", "hash:mac": "src"}
"""What iptables matches of a packet from the local to the other end, by the set's type; of others, the one address or port."""


def fill(slots: Iterable[Slot], reached: Container[str]) -> None:
    """Set `rule` in the slots of targets that some action reaches (their names): the others' sets stay empty anyway."""
    for slot in slots:
        if slot["target"] in reached and slot["kind"] in ("ipset", "nftset"):
            slot["rule"] = (nft_command if slot["kind"] == "nftset" else iptables_command)(slot)


def nft_command(slot: Slot) -> str:
    """The command that makes a rule of nftables which uses the set, with a chain of its own."""
    family = _FAMILY_NAMES[slot["table_family"]]
    fields: tuple[str, ...] = slot["fields"]
    # A packet that is routed has the other end's MAC address only on its way back.
    back = "other_mac" in fields and "local_mac" not in fields
    parts = []
    for field in fields:
        word = _BACK.get(field, _MATCHES[field]) if back else _MATCHES[field]
        if field.endswith("_addr"):
            word = f"arp {word} ip" if family == "arp" else f"{'ip' if slot['family'] == 4 else 'ip6'} {word}"
        parts.append(word)
    hook = _HOOKS.get(family, "hook forward priority filter - 1")
    where = f"{family} {slot['table']} {CHAIN}"
    match = f"{' . '.join(parts)} @{slot['set']}"
    return "nft " + shlex.quote(f"add chain {where} {{ type filter {hook}; }}; add rule {where} {match} counter drop")


def iptables_command(slot: Slot) -> str:
    """The command that makes a rule of iptables which uses the set."""
    program = "ip6tables" if slot["family"] == 6 else "iptables"
    one = "src" if slot["fields"][0].startswith("local_") else "dst"
    ends = _DIRECTIONS.get(slot["type"], one)
    name = shlex.quote(slot["set"])
    if slot["skb"]:
        maps = " ".join(f"--map-{part}" for part in ("mark", "prio", "queue") if part in slot["skb"])
        return f"{program} -t mangle -A FORWARD -j SET --map-set {name} {ends} {maps}"
    return f"{program} -I FORWARD -m set --match-set {name} {ends} -j DROP"


def report(slots: Iterable[Slot], policy: Policy, reports: Reports) -> None:
    """Report the sets that are in the kernel and that no rule uses. Where the kernel cannot be asked, nothing is said: either
    there is no daemon that fills sets, or `provision` has said so."""
    seen: set[tuple[Any, ...]] = set()
    used: dict[tuple[int, str], set[str]] = {}
    with Kernel() as kernel:
        for slot in slots:
            named = tuple(slot[key] for key in ("kind", "table_family", "table", "set"))
            if not slot.get("rule") or named in seen:
                continue
            seen.add(named)
            try:
                if _used(kernel, slot, used):
                    continue
            except KernelUnavailable:
                continue
            message, hint = unused(slot)
            reports.warning("set-unused", policy.targets[slot["target"]].place, message, hint=hint)


def _used(kernel: Kernel, slot: Slot, used: dict[tuple[int, str], set[str]]) -> bool:
    """Whether a rule uses the set, or there is none yet. `used`: what is known of tables. Raises KernelUnavailable."""
    if slot["kind"] == "ipset":
        there = kernel.ipset(slot["set"])
        return there is None or there.uses > 0
    table = slot["table_family"], slot["table"]
    if kernel.nft_set(*table, slot["set"]) is None:
        return True
    if table not in used:
        used[table] = kernel.nft_used(*table)
    return slot["set"] in used[table]
