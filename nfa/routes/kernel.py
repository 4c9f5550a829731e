"""The kernel's rules and routes, by pyroute2: read, and brought to what is wanted.

In: WANs. Out: changes to rules and routes that have nfa's protocol number, and to no others.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nfa.routes.plan import PROTOCOL, Default, Link, Picture, Route, Rule, wanted_routes, wanted_rules

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_VERSIONS = {number: version for version, number in _FAMILIES.items()}
IFF_UP, IFF_POINTOPOINT, IFF_RUNNING = 0x1, 0x10, 0x40
RTN_UNICAST, RTN_UNREACHABLE = 1, 7
RT_SCOPE_LINK = 253
RTNH_F_ONLINK = 4
_LACKS_FAMILY = (errno.EAFNOSUPPORT, errno.EOPNOTSUPP)


def look(kernel: Any) -> Picture:
    """Return what the kernel has."""
    found = Picture()
    for message in kernel.get_links():
        flags = message["flags"]
        up = bool(flags & IFF_UP and flags & IFF_RUNNING)
        found.links[message.get_attr("IFLA_IFNAME")] = Link(message["index"], up, bool(flags & IFF_POINTOPOINT))
    for message in kernel.get_addr():
        if message["family"] in _VERSIONS and message["scope"] != RT_SCOPE_LINK:
            found.addresses.add((message["index"], _VERSIONS[message["family"]]))
    families = []
    for version, family in _FAMILIES.items():
        try:
            rules, routes = list(kernel.get_rules(family=family)), list(kernel.get_routes(family=family))
        except NetlinkError as failure:
            if failure.code not in _LACKS_FAMILY:
                raise
            continue
        if any(message["family"] == family for message in rules):  # else that version is switched off
            families.append(version)
        _take(found, version, family, rules, routes)
    found.families = tuple(families)
    return found


def _take(found: Picture, version: int, family: int, rules: list[Any], routes: list[Any]) -> None:
    for message in rules:
        if message["family"] == family and message.get_attr("FRA_PROTOCOL") == PROTOCOL:
            mark, mask = message.get_attr("FRA_FWMARK") or 0, message.get_attr("FRA_FWMASK") or 0
            near = message.get_attr("FRA_SUPPRESS_PREFIXLEN") == 0
            table = message.get_attr("FRA_TABLE") or message["table"]
            found.rules.add(Rule(version, message.get_attr("FRA_PRIORITY") or 0, mark, mask, table, near))
    for message in routes:
        if message["family"] != family or message["dst_len"]:
            continue
        for device, gateway in _hops(message):
            no_way = message["type"] == RTN_UNREACHABLE
            table, metric = message.get_attr("RTA_TABLE") or message["table"], message.get_attr("RTA_PRIORITY") or 0
            route = Route(version, table, metric, 0 if no_way else device, gateway)
            if message["proto"] == PROTOCOL:
                found.routes.add(route)
            elif message["type"] == RTN_UNICAST:
                found.defaults.append(Default(route, bool(message["src_len"])))


def _hops(message: Any) -> list[tuple[int, str]]:
    """Return index of the device and gateway for each of the next hops of a route."""
    hops = message.get_attr("RTA_MULTIPATH")
    if hops:
        return [(hop["oif"], _gateway(hop)) for hop in hops]
    return [(message.get_attr("RTA_OIF") or 0, _gateway(message))]


def _gateway(message: Any) -> str:
    via = message.get_attr("RTA_VIA")
    return str(message.get_attr("RTA_GATEWAY") or (via["addr"] if via else "") or "")


def bring(wans: list[dict[str, Any]]) -> dict[str, Any]:
    """Bring the kernel's rules and routes to what WANs need. Returns what is to be told: see `nfa.routes.child`."""
    with IPRoute() as kernel:
        picture = look(kernel)
        rules, routes = wanted_rules(wans, picture.families), wanted_routes(wans, picture)
        problems: dict[str, None] = {}
        changed = 0

        def change(function: Callable[..., object], command: str, **what: Any) -> None:
            nonlocal changed
            try:
                function(command, **what)
                changed += 1
            except NetlinkError as failure:
                # What is to go may be gone, with its device.
                if command != "del" or failure.code not in (errno.ENOENT, errno.ESRCH, errno.ENODEV):
                    problems[str(failure.args[-1])] = None

        # First where the packets are to go, then what leads them there; taken back the other way round.
        for rule in picture.rules - rules:
            change(kernel.rule, "del", **_of_rule(rule))
        for route in routes - picture.routes:
            change(kernel.route, "replace", **_of_route(route))
        kept = {route.key for route in routes}
        for route in picture.routes - routes:
            if route.key not in kept:
                change(kernel.route, "del", **_of_route(route))
        for rule in sorted(rules - picture.rules, key=lambda rule: rule.priority):
            change(kernel.rule, "add", **_of_rule(rule))
    ways = {(route.family, route.table) for route in routes if route.device}
    return {
        "changed": changed,
        "problem": "; ".join(problems),
        "devices": {name: link.index for name, link in picture.links.items() if name in {wan["device"] for wan in wans}},
        "up": {wan["name"]: [family for family in picture.families if (family, wan["table"]) in ways] for wan in wans},
    }


def _of_rule(rule: Rule) -> dict[str, Any]:
    made = {
        "family": _FAMILIES[rule.family], "priority": rule.priority, "table": rule.table, "fwmark": rule.mark,
        "fwmask": rule.mask, "FRA_PROTOCOL": PROTOCOL,
    }  # fmt: skip
    return made | ({"FRA_SUPPRESS_PREFIXLEN": 0} if rule.near else {})


def _of_route(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "family": _FAMILIES[route.family], "dst": "default", "table": route.table, "priority": route.metric, "proto": PROTOCOL,
    }  # fmt: skip
    if not route.device:
        return made | {"type": "unreachable"}
    made["oif"] = route.device
    if not route.gateway:
        return made | {"scope": RT_SCOPE_LINK}
    # The gateway need not be near by a route of this table.
    made["flags"] = RTNH_F_ONLINK
    if route.family == 4 and ":" in route.gateway:
        return made | {"via": {"family": socket.AF_INET6, "addr": route.gateway}}
    return made | {"gateway": route.gateway}
