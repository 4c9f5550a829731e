"""The configuration of netify-fwa, the firewall agent of 2019 that the Flow Actions plugin replaced, as one of Flow Actions.

In: a netify-fwa.json, `{"version": "1.0", "rules": [...], "whitelist": [...]}`, as plain data. Out: the configuration with the
same meaning as far as there is one, and what has no counterpart. The format is that of netify-fwa's source (GPL-3), whose
rules have a type (block, ipset, mark, prioritize) and an application, protocol or category by id or tag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

TTL = 1200
"""Seconds that netify-fwa kept an address in a set (ttl-match)."""
MARK_SHIFT, MARK_MASK = 24, "0xff000000"
"""Where netify-fwa put the mark of a rule on OpenWrt."""
_KEYS = ("protocol", "application", "protocol_category", "application_category")
_TYPES = ("block", "ipset", "mark", "prioritize")
_KNOWN = (*_KEYS, "type", "enable", "direction", "weekdays", "time-start", "time-stop", "mark", "priority", "comment", "name")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXEMPT = [
    "other_type != other_remote;",
    "ip_protocol != 6 && ip_protocol != 17 && ip_protocol != 132 && ip_protocol != 136;",
    "protocol == 'dns' || protocol == 'mdns';",
]
"""Flows that netify-fwa passed over: those without a remote end, other protocols than TCP, UDP, SCTP and UDP-Lite, and DNS."""


@dataclass
class Translation:
    """A configuration of Flow Actions, and a line for each thing that means something else there, or nothing."""

    config: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def translate(data: dict[str, Any]) -> Translation:
    """Return a configuration of netify-fwa as one of Flow Actions."""
    return _Translator().whole(data)


class _Translator:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.actions: dict[str, Any] = {}
        self.targets: dict[str, Any] = {}
        self.timed = False

    def whole(self, data: dict[str, Any]) -> Translation:
        for number, rule in enumerate(_list(data.get("rules")), 1):
            if isinstance(rule, dict):
                self.rule(number, rule)
            else:
                self.notes.append(f"rule {number} is no object: left out")
        exemptions = EXEMPT + self.whitelist(_list(data.get("whitelist")))
        config: dict[str, Any] = {"version": 1, "exemptions": exemptions, "targets": self.targets, "actions": self.actions}
        if self.timed:
            config["timezone"] = "UTC"
            self.notes.append("hours are in UTC, as iptables reads them: set 'timezone' to have them in local time")
        for name in data:
            if name not in ("version", "rules", "whitelist"):
                self.notes.append(f"'{name}' is not known: left out")
        return Translation(config, self.notes)

    def rule(self, number: int, rule: dict[str, Any]) -> None:
        kind = rule.get("type")
        conditions = [found for key in _KEYS if key in rule for found in [_condition(key, rule[key])]]
        if kind not in _TYPES or not conditions or None in conditions:
            self.notes.append(f"rule {number} has no type, or names nothing that it is about: left out, as netify-fwa did")
            return
        what = f"rule {number} ({kind} {' && '.join(map(str, conditions))})"
        if kind == "prioritize":
            self.notes.append(
                f"{what}: left out: a priority is no class. Use a firewall target with set_dscp (docs/shaping.md)"
            )
            return
        name = self.unique(f"{kind}_{'_'.join(_word(rule[key]) for key in _KEYS if key in rule)}")
        action: dict[str, Any] = {
            "criteria": f"{' && '.join(map(str, conditions))};",
            "targets": [self.target(kind, name, rule)],
            "interface": "lan",
            "halt_on_match": True,
        }
        if rule.get("enable") is False:
            action["enabled"] = False
        if window := self.window(what, rule):
            action["time_of_day"] = [window]
        self.actions[name] = action
        self.remark(what, rule)

    def remark(self, what: str, rule: dict[str, Any]) -> None:
        """Note what a rule says that an action cannot."""
        if any(isinstance(rule.get(key), int) for key in _KEYS):
            self.notes.append(f"{what}: numbers of 2019 may mean something else to the netifyd of today: look with nfa apps")
        if rule.get("direction") in ("ingress", "egress"):
            where = (
                "is left out, a block is for both"
                if rule["type"] == "block"
                else "belongs in the rule that uses the set or mark"
            )
            self.notes.append(f"{what}: the direction ({rule['direction']}) {where}")
        for key in rule:
            if key not in _KNOWN:
                self.notes.append(f"{what}: '{key}' is not known: left out")

    def unique(self, name: str) -> str:
        found, number = name, 2
        while found in self.actions:
            found, number = f"{name}_{number}", number + 1
        return found

    def target(self, kind: str, name: str, rule: dict[str, Any]) -> str:
        """Make the target of a rule where there is none yet. Returns its name."""
        if kind == "mark":
            number = rule.get("mark", 1)
            value = (int(number) if str(number).isdecimal() else 1) << MARK_SHIFT & 0xFFFFFFFF
            target = f"fwa_mark_{value >> MARK_SHIFT}"
            if target not in self.targets:
                self.targets[target] = {"target_type": "ctmark", "mark": f"{value:#010x}", "mask": MARK_MASK}
                self.notes.append(
                    f"{target}: netify-fwa marked packets; a ctmark target marks the connection, under {MARK_MASK}"
                )
            return target
        if kind == "block":
            # Its sets held device, port and server.
            self.targets["fwa_block"] = {"target_type": "firewall", "verdict": "drop", "scope": "server", "ttl": TTL}
            return "fwa_block"
        target = f"fwa_{name}"
        if target not in self.targets:
            self.targets[target] = {
                "target_type": "nftset", "table_name": "netify", "set_name": target, "type": ["other_addr"],
                "ttl": TTL, "managed": True,
            }  # fmt: skip
            self.notes.append(
                f"{target}: netify-fwa filled an ipset NFA4_... or NFA6_...; this is an nftables set {target}.v4, .v6"
            )
        return target

    def window(self, what: str, rule: dict[str, Any]) -> dict[str, Any]:
        """Return the hours of a rule as a time of day; nothing for one without."""
        days = [part.strip().lower() for part in re.split(r"[\s,]+", str(rule.get("weekdays", ""))) if part.strip()]
        found: dict[str, Any] = {}
        named = [day for part in days for day in _DAYS if day.startswith(part[:3]) and len(part) > 1]
        named += [_DAYS[int(part) - 1] for part in days if part in "1234567" and len(part) == 1]
        if days and len(named) != len(days):
            self.notes.append(f"{what}: the days '{rule['weekdays']}' are not understood: every day is meant")
        elif days:
            found["day"] = sorted(set(named), key=_DAYS.index)
        if "time-start" in rule or "time-stop" in rule:
            found["time_start"] = str(rule.get("time-start", "0:00"))
            found["time_end"] = str(rule.get("time-stop", "24:00"))
        if found:
            self.timed = True
            found["policy"] = "inclusive"
        return found

    def whitelist(self, entries: list[Any]) -> list[str]:
        found = []
        for number, entry in enumerate(entries, 1):
            address = entry.get("address") if isinstance(entry, dict) else None
            if not isinstance(address, str) or entry.get("type") not in ("mac", "ipv4", "ipv6"):
                self.notes.append(f"entry {number} of the whitelist has no type or no address: left out")
                continue
            found.append(address)
            if entry["type"] == "mac":
                self.notes.append(f"whitelist: netify-fwa passed over MAC addresses; {address} is exempt now")
        return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _condition(key: str, value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{key} == {value}"
    if not isinstance(value, str) or not value or "'" in value:
        return None
    if value.isdecimal():
        return f"{key} == {value}"
    if key == "application" and "." not in value:
        value = f"netify.{value}"
    return f"{key} == '{value}'"


def _word(value: object) -> str:
    return re.sub(r"[^a-z0-9]+", "_", str(value).lower().removeprefix("netify.")).strip("_") or "x"
