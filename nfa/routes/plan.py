"""What rules and routes other WANs need, from what the kernel has now. Pure.

In: WANs as the image has them, and a `Picture` of the kernel. Out: the rules and routes that should be there. Each WAN has a
table of its own with a copy of its default route, two rules that lead packets with its mark there, and, where there is to be
no other way, a route that says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

PROTOCOL = 110
"""What marks rules and routes as nfa's: linux/rtnetlink.h knows no protocol of this number, nor does iproute2."""
MAIN = 254
METRIC = 1
NO_WAY_METRIC = 4278198272
"""Of the route that is taken when there is no other."""
FAMILIES = (4, 6)


@dataclass(frozen=True)
class Rule:
    """`fwmark MARK/MASK lookup TABLE`; `near`: without the routes of the table that are no more than a default."""

    family: int
    priority: int
    mark: int
    mask: int
    table: int
    near: bool


@dataclass(frozen=True)
class Route:
    """A default route. `device`: its index; 0: there is no way. `gateway`: "" for a device that leads to one peer."""

    family: int
    table: int
    metric: int
    device: int
    gateway: str

    @property
    def key(self) -> tuple[int, int, int]:
        """Of routes that are the same in this there can be only one."""
        return self.family, self.table, self.metric


@dataclass(frozen=True)
class Link:
    """A network device. `up`: it can carry packets. `peer`: there is one peer only, which needs no address."""

    index: int
    up: bool
    peer: bool


@dataclass(frozen=True)
class Default:
    """A default route of another program. `bound`: it is for some source addresses only."""

    route: Route
    bound: bool


@dataclass
class Picture:
    """What the kernel has. `addresses`: (index of a device, IP version) of each that has one."""

    links: dict[str, Link] = field(default_factory=dict)
    addresses: set[tuple[int, int]] = field(default_factory=set)
    defaults: list[Default] = field(default_factory=list)
    rules: set[Rule] = field(default_factory=set)
    """Those of nfa; `routes` too."""
    routes: set[Route] = field(default_factory=set)
    families: tuple[int, ...] = FAMILIES


def wanted_rules(wans: Iterable[dict[str, Any]], families: Iterable[int]) -> set[Rule]:
    """Return the rules for WANs. What the main table knows more about than a default stays where it is."""
    found = set()
    for family in families:
        for wan in wans:
            mark = wan["mark"], wan["mask"]
            found.add(Rule(family, wan["priority"], *mark, MAIN, True))
            found.add(Rule(family, wan["priority"] + 1, *mark, wan["table"], False))
    return found


def way(wan: dict[str, Any], family: int, picture: Picture) -> Route | None:
    """Return the WAN's own default route for its table; None while it has none."""
    link = picture.links.get(wan["device"])
    if link is None or not link.up:
        return None
    found = [one for one in picture.defaults if (one.route.family, one.route.device) == (family, link.index)]
    if found:
        best = min(found, key=lambda one: (one.route.table != MAIN, one.bound, one.route.metric))
        return Route(family, wan["table"], METRIC, link.index, best.route.gateway)
    if link.peer and (link.index, family) in picture.addresses:
        return Route(family, wan["table"], METRIC, link.index, "")
    return None


def wanted_routes(wans: Iterable[dict[str, Any]], picture: Picture) -> set[Route]:
    """Return the routes for WANs."""
    found = set()
    for family in picture.families:
        for wan in wans:
            own = way(wan, family, picture)
            if own is not None:
                found.add(own)
            if not wan["fallback"]:
                found.add(Route(family, wan["table"], NO_WAY_METRIC, 0, ""))
    return found
