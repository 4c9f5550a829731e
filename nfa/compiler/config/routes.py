"""Other WANs that firewall targets choose: the mark, the routing table and the rules of each.

In: a checked policy, and /etc/config/network where there is one. Out: `Wan`s by target; errors for targets that cannot work,
which are then in trouble. Marks are given in the order of the targets, in bits that nobody in /etc/config uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config import marks, network
from nfa.compiler.config.convert import UINT32
from nfa.compiler.config.model import Policy, Target
from nfa.compiler.config.network import Interface, Networks

SHIFT, WIDTH = 14, 2
"""The bits of marks that are for WANs, if nobody else uses them: mask 0xc000."""
MAX_WIDTH = 6
TABLES = range(7701, 7800)
"""Routing tables, one for each WAN; what has such a number in /etc/config/network was written by nfa."""
PRIORITIES = range(700, 890, 10)
"""Of the first rule of each WAN: before those of mwan3 (from 1001 on) and pbr (900, or 29000 and more)."""


@dataclass(frozen=True)
class Wan:
    """Another WAN. `networks`: those of /etc/config/network; none where the daemon sees to the routes itself.

    `devices`: where its packets leave. `tables`: of IPv4 and IPv6. `priority`: of its first rule, which spares routes that are
    more than a default.
    """

    name: str
    fallback: bool
    mark: int
    mask: int
    tables: tuple[int | str, int | str]
    priority: int
    devices: tuple[str, ...]
    networks: tuple[Interface, ...] = ()

    @property
    def mark_text(self) -> str:
        """The mark as rules have it."""
        return f"{self.mark:#x}/{self.mask:#x}"


def resolve(folder: str | None, policy: Policy, reports: Reports, paths: Paths) -> dict[str, Wan]:
    """The WANs of the targets that have a route; those of targets that cannot have one are in trouble."""
    targets = [target for target in policy.targets.values() if target.type == "firewall" and target.options["route"]]
    if not targets:
        return {}
    networks = network.read(folder, paths)
    users = list(marks.users(folder, paths)) if folder else []
    wans = _Resolver(policy, networks, reports).resolve(targets, users)
    _report_applied(wans, networks, policy, reports)
    return wans


def applied(wan: Wan, networks: Networks) -> bool:
    """Whether /etc/config/network has all that it needs to send packets with the mark of a WAN there."""
    return not edits(wan, networks)


def edits(wan: Wan, networks: Networks) -> list[tuple[str, str, str]]:
    """What /etc/config/network lacks for a WAN: (section, option, value); the option "" makes a section of that type."""
    found: list[tuple[str, str, str]] = []
    for one in wan.networks:
        for option, value in options_of(one, wan):
            if one.options.get(option) != value:
                found.append((one.name, option, value))
    for name, (kind, options) in rules_of(wan).items():
        there = networks.rules.get(name)
        if there is None or there[0] != kind:
            found.append((name, "", kind))
            there = kind, {}
        found += [(name, option, value) for option, value in options.items() if there[1].get(option) != value]
    return found


def changes(wans: Iterable[Wan], networks: Networks) -> list[tuple[str, str, str | None]]:
    """What has to be written into /etc/config/network for these WANs, and for no others: (section, option, value).

    The option "" is the section itself, with its type as the value; the value None takes out what nfa wrote and nobody needs.
    """
    wans = list(wans)
    found: list[tuple[str, str, str | None]] = [(section, option, None) for section, option in stale(wans, networks)]
    return list(dict.fromkeys(found + [edit for wan in wans for edit in edits(wan, networks)]))


def options_of(one: Interface, wan: Wan) -> list[tuple[str, str]]:
    """The options of a network by which netifd puts its routes into the WAN's table. mwan3 has one, and needs those routes."""
    kept = [other.mwan3[0] for other in wan.networks if other.mwan3 is not None]
    made = [("ip4table", str(wan.tables[0]))] if 4 not in kept and one.protocol != "dhcpv6" else []
    if 6 not in kept:
        made.append(("ip6table", str(wan.tables[1])))
        if one.protocol == "dhcpv6":
            # Devices have addresses of the other WAN's provider: without this, the route is for this one's only.
            made.append(("sourcefilter", "0"))
    return made


def rules_of(wan: Wan) -> dict[str, tuple[str, dict[str, str]]]:
    """The sections by which packets with the mark of a WAN get there: type and options, by name."""
    made: dict[str, tuple[str, dict[str, str]]] = {}
    name = "nfa_" + "".join(letter if letter.isalnum() else "_" for letter in wan.name)
    name += "" if wan.fallback else "_only"
    for kind, end, table in (("rule", "", wan.tables[0]), ("rule6", "_6", wan.tables[1])):
        rows = [
            ("_near" + end, {"lookup": "main", "suppress_prefixlength": "0"}),
            (end, {"lookup": str(table)}),
        ]
        if not wan.fallback:
            rows.append(("_end" + end, {"action": "unreachable"}))
        for number, (suffix, options) in enumerate(rows):
            made[name + suffix] = kind, {"mark": wan.mark_text, **options, "priority": str(wan.priority + number)}
    return made


def stale(wans: Iterable[Wan], networks: Networks) -> list[tuple[str, str]]:
    """What nfa has written into /etc/config/network and these WANs do not need: (section, option), "" for all of a section."""
    rules = {name for wan in wans for name in rules_of(wan)}
    wanted = {(one.name, option) for wan in wans for one in wan.networks for option, _ in options_of(one, wan)}
    found: list[tuple[str, str]] = []
    for one in networks.interfaces.values():
        ours = [name for name in ("ip4table", "ip6table") if _is_ours(one.options.get(name, ""))]
        if "ip6table" in ours and one.protocol == "dhcpv6" and one.options.get("sourcefilter") == "0":
            ours.append("sourcefilter")
        found += [(one.name, option) for option in ours if (one.name, option) not in wanted]
    for name, (_, options) in networks.rules.items():
        priority = options.get("priority", "")
        if name.startswith("nfa_") and name not in rules and priority.isdecimal():
            found += [(name, "")] if PRIORITIES.start <= int(priority) < PRIORITIES.stop else []
    return found


def _is_ours(table: str) -> bool:
    return table.isdecimal() and int(table) in TABLES


def _report_applied(wans: dict[str, Wan], networks: Networks | None, policy: Policy, reports: Reports) -> None:
    """Warn of each WAN that /etc/config/network does not send anything to."""
    if networks is None:
        return
    told: set[str] = set()
    for name, wan in wans.items():
        target = policy.targets[name]
        if not target.enabled or wan.name in told or applied(wan, networks):
            continue
        told.add(wan.name)
        reports.warning(
            "route-not-applied",
            _place(target, "route"),
            f"target {quote(name)}: no rule of /etc/config/network sends what is marked {wan.mark_text} to {quote(wan.name)}",
            hint="run: nfa route apply (nfa route show tells what it would write)",
            consequence="these connections take the usual way",
        )


def _place(target: Target, option: str) -> Place:
    found = target.origins.values.get(option)
    return found.place if found else target.place


class _Resolver:
    def __init__(self, policy: Policy, networks: Networks | None, reports: Reports) -> None:
        self.policy, self.networks, self.reports = policy, networks, reports

    def resolve(self, targets: list[Target], users: list[marks.User]) -> dict[str, Wan]:
        keys: dict[tuple[str, bool], list[Target]] = {}
        for target in targets:
            keys.setdefault((str(target.options["route"]), bool(target.options["fallback"])), []).append(target)
        taken = 0
        for bits in [user.bits for user in users] + list(_bits_of(self.policy)):
            taken |= bits
        given = {key: self._given(key, group) for key, group in keys.items()}
        free = [key for key in keys if given[key] is None]
        for pair in given.values():
            taken |= pair[1] if pair else 0
        field = _field(len(free), taken)
        tables = iter([number for number in TABLES if self.networks is None or number not in self.networks.tables])
        found: dict[str, Wan] = {}
        seen: set[tuple[int, int]] = set()
        for number, (key, group) in enumerate(keys.items()):
            pair = given[key]
            if pair is None and field is not None:
                pair = free.index(key) + 1 << field[0], ((1 << field[1]) - 1) << field[0]
            wan = self._wan(key, group, pair, users, number, tables)
            if wan is None:
                continue
            if (wan.mark, wan.mask) in seen:
                self._refuse(group, "route-no-mark", f"another route has the mark {wan.mark_text} already", "", "route_mark")
                continue
            seen.add((wan.mark, wan.mask))
            found.update({target.name: wan for target in group})
        return found

    def _given(self, key: tuple[str, bool], group: list[Target]) -> tuple[int, int] | None:
        return next((target.options["route_mark"] for target in group if target.options["route_mark"]), None)  # type: ignore[return-value]  # of masked_mark

    def _wan(
        self, key: tuple[str, bool], group: list[Target], pair: tuple[int, int] | None, users: list[marks.User], number: int,
        tables: Iterable[int],
    ) -> Wan | None:  # fmt: skip
        route, fallback = key
        if pair is None:
            names = ", ".join(f"{user.name} ({user.bits:#x})" for user in users) or "targets of this policy"
            message = f"no bits of the mark are free for {quote(route)}; they are used by {names}"
            self._refuse(group, "route-no-mark", message, "set route_mark 'VALUE/MASK' to bits that may be used", "route")
            return None
        if number >= len(PRIORITIES):
            self._refuse(group, "route-no-mark", f"more than {len(PRIORITIES)} routes", "use fewer of them", "route")
            return None
        given = next((str(target.options["route_device"]) for target in group if target.options["route_device"]), "")
        if self.networks is None:
            made = next(iter(tables))
            return Wan(route, fallback, *pair, (made, made), PRIORITIES[number], (given or route,))
        if not self.networks.known:
            message = "/etc/config/network cannot be read, so nobody knows what the route leads to"
            self._refuse(group, "route-unknown", message, "run: service nfa reload (it shares what nfa needs of it)", "route")
            return None
        meant = self.networks.of(route) or (self.networks.of(given) if given else [])
        if not meant:
            hint = did_you_mean(route, self.networks.interfaces) or f"known: {', '.join(self.networks.interfaces)}"
            message = f"/etc/config/network has no network {quote(route)}, and none on a device of that name"
            self._refuse(group, "route-unknown", message, hint, "route")
            return None
        devices = tuple(dict.fromkeys([given] if given else [one.device for one in meant if one.device]))
        if not devices:
            message = f"/etc/config/network does not tell the device of {quote(route)}"
            self._refuse(group, "route-unknown", message, "set route_device, such as 'wwan0': see ip link", "route")
            return None
        own = [one.options[name] for one in meant for name in ("ip4table", "ip6table") if one.options.get(name)]
        kept = dict(reversed([one.mwan3 for one in meant if one.mwan3 is not None]))
        table: int | str = own[0] if own else next(iter(tables))
        return Wan(route, fallback, *pair, (kept.get(4, table), kept.get(6, table)), PRIORITIES[number], devices, tuple(meant))

    def _refuse(self, group: list[Target], code: str, problem: str, hint: str, option: str) -> None:
        for target in group:
            if not target.enabled or target.trouble:
                continue
            target.trouble = problem
            self.reports.error(
                code,
                _place(target, option),
                f"target {quote(target.name)}: {problem}",
                hint=hint,
                consequence="no flow reaches the target",
            )


def _bits_of(policy: Policy) -> Iterable[int]:
    """The bits of marks that other targets write, as far as they say which."""
    for target in policy.targets.values():
        options: dict[str, Any] = target.options
        if target.type == "ctmark" and options["mask"] != UINT32:
            yield options["mask"]
        elif target.type == "ipset" and options["skb_mark"] is not None and options["skb_mask"] != UINT32:
            yield options["skb_mask"]
        elif target.type == "firewall":
            yield marks.firewall_mark(options)[1]


def _field(count: int, taken: int) -> tuple[int, int] | None:
    """Where a field of bits for so many WANs is free: its first bit, and how many there are; None: nowhere."""
    width = max(WIDTH, count.bit_length())
    if width > MAX_WIDTH:
        return None
    for shift in (SHIFT, *range(32 - width, -1, -1)):
        if not ((1 << width) - 1) << shift & taken and shift + width <= 32:
            return shift, width
    return None
