"""From the targets of type firewall to a table of nftables: its base chains, maps, and a chain for each target.

In: the enabled firewall targets that actions reach, and what the kernel has. Out: `Plan`: what the image says of them, in plain
data, and the slots of the maps. docs/enforcement.md describes the table.

A packet passes a base chain of ours, where it is looked up in the maps, once with its source as the local end and once with its
destination. An element has the number of a combination, for which the map `combinations` leads to a chain that the daemon makes
(`cN`), which leads to the chains of targets made here (`t_NAME`). So only that small map has verdicts: of a map with verdicts
the kernel walks through all elements in each transaction that adds one, or a rule. The base chains' names begin with `nfa_`: in
the same table people have chains of their own.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nfa.compiler.base.report import Reports, quote
from nfa.compiler.config.features import target_is_active
from nfa.compiler.config.model import Action, Policy, Target
from nfa.compiler.config.routes import Wan
from nfa.compiler.provision import nftset, routing, rules
from nfa.compiler.provision.abilities import Abilities
from nfa.compiler.provision.rules import FAMILY, PRIORITY, TABLE
from nfa.compiler.provision.slots import Slot
from nfa.daemon.netlink import nftables_rules, nftables_sets
from nfa.daemon.netlink.nftables_sets import NFT_SET_EVAL, NFT_SET_MAP, NFT_SET_TIMEOUT
from nfa.daemon.netlink.wire import attributes
from nfa.daemon.targets.firewall.combinations import MAP

SIZE = 65536
"""Elements of a map, and addresses of a limit for each device."""
FORGET = 60
"""Seconds after which a device that sends nothing has its whole burst again."""
HOOKS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "forward": (("nfa_forward", 2, PRIORITY),),
    "router": (("nfa_input", 1, PRIORITY), ("nfa_output", 3, PRIORITY)),
    "route": (("nfa_prerouting", 0, routing.PRIORITY), ("nfa_postrouting", 4, routing.PRIORITY)),
}
"""The base chains of an `option hook`, and of routes: name, number (NF_INET_* of linux/netfilter.h), priority."""
MAPS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "device": (("devices_up", "up", ("local_addr",)), ("devices_down", "down", ("local_addr",))),
    "server": (("servers", "ports", ("local_addr", "ip_proto", "other_addr", "other_port")),),
    "connection": (
        ("connections", "ports", ("local_addr", "local_port", "ip_proto", "other_addr", "other_port")),
        ("plain_connections", "plain", ("local_addr", "ip_proto", "other_addr")),
    ),
    "route": (("routes", "ports", ("other_addr", "ip_proto", "other_port")),),
}
"""The maps of an `option scope`: name, way, fields. In the order in which packets are looked up, the widest scope first."""


@dataclass
class Plan:
    """What the image has of firewall targets, None where there are none, and the slots of the maps."""

    image: dict[str, Any] | None
    slots: list[Slot]


@dataclass(frozen=True)
class _Map:
    """A map for one IP version."""

    name: str
    hook: str
    scope: str
    way: str
    fields: tuple[str, ...]
    family: int

    @property
    def key(self) -> nftset.Key:
        return nftset.key_of(self.fields, self.family)

    def slot(self, ttl: int, counted: bool) -> Slot:
        """The slot by which the daemon fills it."""
        key = self.key
        each = rules.ELEMENT_COUNTER if counted else b""
        flags = NFT_SET_MAP | NFT_SET_TIMEOUT
        where = FAMILY, TABLE, self.name
        notes = key.marks_userdata
        made = nftables_sets.new_set(*where, key.number, key.length, flags, ttl * 1000, SIZE, notes, each, nftset.MARKS)
        return {
            "target": "",
            "kind": "nftset",
            "family": self.family,
            "set": self.name,
            "table": TABLE,
            "table_family": FAMILY,
            "type": key.text,
            "fields": self.fields,
            "map": (self.hook, self.scope, self.way),
            "managed": True,
            "ttl": ttl,
            "timeouts": True,
            "element_timeout": False,
            "size": SIZE,
            "flush_on_create": True,
            "flush_on_destroy": True,
            "range": None,
            "skb": None,
            "protocol": 0,
            "create": (nftables_sets.new_table(FAMILY, TABLE), made),
            "flush": nftables_sets.flush(*where),
            "destroy": (nftables_sets.destroy(*where),),
            "replace": False,
            "note": "",
        }


def provision(policy: Policy, actions: Iterable[Action], wans: dict[str, Wan], abilities: Abilities, reports: Reports) -> Plan:
    """The table for the firewall targets that these actions reach; a finding when the kernel refuses it as a whole.

    `wans`: of targets that have a route, by name.
    """
    names = {name for action in actions for name in action.targets}
    targets = [target for target in policy.targets.values() if target.type == "firewall" and target.name in names]
    targets = [target for target in targets if target_is_active(target)]
    if not targets:
        return Plan(None, [])
    made = plan(targets, wans, abilities.counted())
    _report_clashes(policy, made, reports)
    for routed in (False, True):
        _report_lifetimes([target for target in targets if (target.options["hook"] == "route") is routed], reports)
    frame: list[bytes] = made.image["frame"] if made.image else []
    error, index = abilities.refuses(frame)
    if error:
        what = _named(frame[index]) if index >= 0 else f"the table inet {TABLE}"
        hint = f"something else may have this name: nft list table inet {TABLE}" if error in _TAKEN else ""
        reports.error(
            "firewall-refused",
            targets[0].place,
            f"the kernel refuses {what} of firewall targets: {os.strerror(error)}",
            hint=hint,
            consequence="until it takes the table, no firewall target does anything",
        )
    return made


def _report_lifetimes(targets: Sequence[Target], reports: Reports) -> None:
    """Tell of targets with different lifetimes: they share their maps, and the default timeout is a map's."""
    longest = max(targets, key=lambda target: int(str(target.options["ttl"])), default=None)
    for target in targets:
        if longest is not None and target.options["ttl"] != longest.options["ttl"]:
            reports.info(
                "ttl-shared",
                target.place,
                f"targets {quote(target.name)} and {quote(longest.name)} have different ttl, but firewall targets share one",
                consequence=f"the longer one holds: {longest.options['ttl']} seconds",
            )


def _report_clashes(policy: Policy, made: Plan, reports: Reports) -> None:
    """An error for each set of a target that has the name of something in the table."""
    names = {slot["set"] for slot in made.slots}
    for target in policy.targets.values():
        options = target.options
        if target.type != "nftset" or not target.enabled or (options["table_family"], options["table_name"]) != ("inet", TABLE):
            continue
        if any(f"{options['set_name']}.v{family}" in names for family in (4, 6)):
            reports.error(
                "set-shared",
                target.place,
                f"target {quote(target.name)}: firewall targets have a map {quote(str(options['set_name']))} in the same table",
                hint="give the set another name, or another table",
                consequence="only one of the two can be made, and what needs the other does nothing",
            )


_TAKEN = (errno.EEXIST, errno.EBUSY, errno.EINVAL)
"""Errors that something else of the same name leads to."""


def _named(message: bytes) -> str:
    """What a message of the frame makes, in words."""
    kind = int.from_bytes(message[4:6], sys.byteorder)
    found = dict(attributes(message[20:]))
    if kind == nftables_rules.NEW_CHAIN:
        return f"the chain {_text(found, nftables_rules.NFTA_CHAIN_NAME)}"
    if kind == nftables_sets.NEW_SET:
        return f"the set {_text(found, nftables_sets.NFTA_SET_NAME)}"
    if kind == nftables_rules.NEW_RULE:
        return f"a rule of the chain {_text(found, nftables_rules.NFTA_RULE_CHAIN)}"
    return f"the table inet {TABLE}"


def _text(found: dict[int, bytes], kind: int) -> str:
    return quote(found.get(kind, b"").rstrip(b"\0").decode())


def maps_of(targets: Iterable[Target]) -> list[_Map]:
    """The maps that targets need: those of their scopes in each hook, for both IP versions."""
    wanted = {(str(target.options["hook"]), str(target.options["scope"])) for target in targets}
    wanted |= {(hook, "connection") for hook, scope in wanted if scope == "server"}  # for flows that the other end began
    return [
        _Map(f"{'router_' if hook == 'router' else ''}{name}.v{family}", hook, scope, way, fields, family)
        for hook in HOOKS
        for scope, maps in MAPS.items()
        if (hook, scope) in wanted
        for name, way, fields in maps
        for family in (4, 6)
    ]


class _Chains:
    """The chains of the table with their rules, and the sets of limits."""

    def __init__(self) -> None:
        self.rules: dict[str, list[list[bytes]]] = {}
        self.bases: dict[str, tuple[int, int]] = {}
        """Those that packets pass by themselves, with their hook and priority."""
        self.limits: dict[str, int] = {}
        """Sets of devices with their IP version."""
        self._taken: set[str] = set()

    def name_for(self, target: str) -> str:
        """A name for the chains of a target that no other target has, also not with _up, _down or _in after it."""
        plain = re.sub(r"[^A-Za-z0-9_]", "_", target)[:64]
        number = 1
        while True:
            name = f"t_{plain}" if number == 1 else f"t_{plain}_{number}"
            made = {name + suffix for suffix in ("", "_up", "_down", "_in")}
            if not made & self._taken:
                self._taken |= made
                return name
            number += 1

    def effect(self, target: Target, wan: Wan | None) -> tuple[str, str]:
        """Make the chains of a target. Returns which packets of the one and of the other direction go to: see `plan`."""
        options: dict[str, Any] = target.options
        name = self.name_for(target.name)
        if wan is not None:
            self.rules[name] = [rules.set_mark(wan.mark, wan.mask)]
            return name, name
        rates = [options[f"limit_{way}"] or options["limit"] for way in ("up", "down")]
        if not any(rates):
            self.rules[name] = self._effects(options)
            return name, name
        up, down = name + "_up", name + "_down"
        for chain, rate, addresses in ((up, rates[0], rules.SOURCE), (down, rates[1], rules.DESTINATION)):
            self.rules[chain] = self._limit(chain, rate, addresses, options["per_device"]) + self._effects(options)
        if options["scope"] == "device":
            return up, down
        self.rules[name] = rules.by_direction(up, down)
        self.rules[name + "_in"] = rules.by_direction(down, up)
        return name, name + "_in"

    def _effects(self, options: dict[str, Any]) -> list[list[bytes]]:
        """The rules of a target but for its limit."""
        made: list[list[bytes]] = rules.VERDICTS[options["verdict"]] if options["verdict"] else []
        if options["set_dscp"] is not None:
            made = made + rules.set_dscp(options["set_dscp"])
        if options["set_mark"] is not None:
            made = [*made, rules.set_mark(*options["set_mark"])]
        return made

    def _limit(self, chain: str, rate: int | None, addresses: dict[int, rules.Field], per_device: bool) -> list[list[bytes]]:
        """The rules that drop what is beyond a rate."""
        if not rate:
            return []
        if not per_device:
            return [rules.limit(rate)]
        made = []
        for family in (4, 6):
            name = f"limit{chain[1:]}_v{family}"
            self.limits[name] = family
            made.append(rules.limit_each(name, addresses, family, rate))
        return made

    def look_up(self, hook: str, maps: Sequence[_Map]) -> None:
        """Make the base chains of a hook, and the rules that look packets up.

        All packets that are forwarded pass here, so each meets as few rules as can be: a TCP packet of IPv4 the two look-ups of
        its connection and two rules more. No guard stands before the maps with ports: a key has the protocol, and what has no
        ports is not in them.
        """
        start = "nfa_forward" if hook == "forward" else "nfa_router"
        chains = {4: start, 6: start + "_ipv6"}
        for family, name in chains.items():
            own = [one for one in maps if one.family == family]
            plain = [rule for one in own if one.way == "plain" for rule in _rules_of(one)]
            made = [rule for one in own if one.way != "plain" for rule in _rules_of(one)]
            self.rules[name] = made + (rules.done_with_ports() if plain else []) + plain
        self.rules[start].insert(0, rules.go_to_for(6, chains[6]))
        for name, number, priority in HOOKS[hook]:
            self.bases[name] = number, priority
            if hook == "router":
                self.rules[name] = [*rules.spared(name == "nfa_input"), rules.go_to(start)]

    def route(self, maps: Sequence[_Map], wans: Sequence[Wan]) -> None:
        """Make the base chains of routes, and the rules that look new connections up."""
        for name, number, priority in HOOKS["route"]:
            self.bases[name] = number, priority
        self.rules["nfa_prerouting"] = [routing.keep(wan) for wan in wans] + [routing.first_packet("nfa_routes")]
        self.rules["nfa_routes"] = [rules.look_up(one.name, one.fields, one.family, True) for one in maps]
        self.rules["nfa_postrouting"] = [routing.note(wan, device) for wan in wans for device in wan.devices]

    def frame(self, maps: Sequence[Slot]) -> list[bytes]:
        """The messages that make all of it, or make it whole again."""
        messages = [nftables_sets.new_table(FAMILY, TABLE)]
        for name in self.rules:
            if name in self.bases:
                messages.append(nftables_rules.new_base_chain(FAMILY, TABLE, name, *self.bases[name]))
            else:
                messages.append(nftables_rules.new_chain(FAMILY, TABLE, name))
        messages += [slot["create"][1] for slot in maps]
        key = nftset.key_of(("mark",), 4)
        # Without a size: the kernel would make a table for all of it, 64 KiB, and walk through that for each new chain.
        form = key.number, key.length, NFT_SET_MAP, 0, 0, key.verdicts_userdata
        messages.append(nftables_sets.new_set(FAMILY, TABLE, MAP, *form))
        flags = NFT_SET_EVAL | NFT_SET_TIMEOUT
        for name, family in self.limits.items():
            key = nftset.key_of(("local_addr",), family)
            where = FAMILY, TABLE, name
            messages.append(nftables_sets.new_set(*where, key.number, key.length, flags, FORGET * 1000, SIZE, key.userdata))
            # What is in it has the rate that was right when it came.
            messages.append(nftables_sets.flush(*where))
        for name, made in self.rules.items():
            messages.append(nftables_rules.flush_chain(FAMILY, TABLE, name))
            messages += [nftables_rules.new_rule(FAMILY, TABLE, name, rule) for rule in made]
        return messages

    def destroy(self, maps: Sequence[Slot]) -> tuple[list[bytes], list[bytes]]:
        """The messages that delete all of it: first what leads to the chains that the daemon makes, then what these lead to."""
        effects = [name for name in self.rules if name.startswith("t_")]
        others = [name for name in self.rules if name not in effects]
        first = [nftables_rules.flush_chain(FAMILY, TABLE, name) for name in others]
        for name in [slot["set"] for slot in maps] + [MAP]:
            first += [nftables_sets.flush(FAMILY, TABLE, name), nftables_sets.destroy(FAMILY, TABLE, name)]
        first += [nftables_rules.delete_chain(FAMILY, TABLE, name) for name in others]
        last = [nftables_rules.flush_chain(FAMILY, TABLE, name) for name in effects]
        last += [nftables_sets.destroy(FAMILY, TABLE, name) for name in self.limits]
        return first, last + [nftables_rules.delete_chain(FAMILY, TABLE, name) for name in effects]


def _rules_of(one: _Map) -> list[list[bytes]]:
    """The rules that look packets up in a map: with the source as the local end, and with the destination."""
    ways = {"up": (True,), "down": (False,)}.get(one.way, (True, False))
    return [rules.look_up(one.name, one.fields, one.family, out) for out in ways]


def plan(targets: Sequence[Target], wans: dict[str, Wan] | None = None, counted: bool = True) -> Plan:
    """The table for firewall targets, all of which are in use. `wans`: of those that have a route, by name. `counted`: the
    kernel counts for each element of a map.

    The image has, for each target, `chains`: for the scopes connection and server those for connections that the local end
    began, and that the other end did; for the scope device those for packets from the device, and to it.
    """
    if not targets:
        return Plan(None, [])
    chains, wans = _Chains(), wans or {}
    effects = {
        target.name: {
            "scope": target.options["scope"],
            "hook": target.options["hook"],
            "block": target.options["verdict"] is not None,
            "chains": chains.effect(target, wans.get(target.name)),
            "order": number,
        }
        for number, target in enumerate(targets)
    }
    maps = maps_of(targets)
    lives = [(target.options["hook"], int(str(target.options["ttl"]))) for target in targets]
    slots = [one.slot(max(ttl for hook, ttl in lives if hook == one.hook), counted) for one in maps]
    for hook in HOOKS:
        own = [one for one in maps if one.hook == hook]
        if hook == "route" and own:
            chains.route(own, list(dict.fromkeys(wans[target.name] for target in targets if target.name in wans)))
        elif own:
            chains.look_up(hook, own)
    destroy, destroy_effects = chains.destroy(slots)
    image = {
        "family": FAMILY,
        "table": TABLE,
        "frame": chains.frame(slots),
        "destroy": destroy,
        "destroy_effects": destroy_effects,
        "chains": list(chains.rules),
        "effects": effects,
    }
    return Plan(image, slots)
