"""Firewall targets, as plans reach them: one object for all that a flow's targets of one scope do together.

In: flow records that matched. Out: for each the packed element that the flow holds from then on: that of its connection, server
or device, in the map of its protocol and IP version, with the number of the combination at its end.
"""

from ..counters import Counters
from ..target import SetTarget, interface_test
from .combinations import END

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..target import Cut
    from ..types import Held, Key, Record
    from .combinations import Combination
    from .maps import MapSlot

    Map = tuple[MapSlot, Key]

    class Combining(Protocol):
        """Who knows all firewall targets: `Firewall`."""

        def combine(self, pairs: list[tuple[str, "FirewallTarget"]]) -> list[Any]: ...
        def held(self, counters: Counters) -> list[Any]: ...
        def trouble(self) -> tuple[str, str]: ...
        def find(self, pairs: list[tuple[str, str]], which: int) -> Combination | None: ...


PORTED = (6, 17, 33, 132, 136)
"""IP protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite."""


PORT_AND_PROTOCOL = 3
"""Bytes of a packed element of a route between its address and that."""


class FirewallTarget:
    """One target. Plans do not apply it itself, but what it does together with others (`combine`)."""

    def __init__(
        self, firewall: "Combining", counters: Counters, interface: str, marks: SetTarget | None, cut: "Cut | None"
    ) -> None:
        """`marks`: what writes its part of the connection's mark."""
        self.counters = counters
        self.marks = marks
        self.slots = marks.slots if marks is not None else []
        self.cut = cut
        self.takes = interface_test(interface)
        self._firewall = firewall

    def held(self) -> "list[Any]":
        """Return what the target holds in each map, and the connections whose mark it has set, as slots are listed."""
        return self._firewall.held(self.counters) + self.slots

    def trouble(self) -> tuple[str, str]:
        """Return why packets are not decided as the policy says, in words and as a code; both "" when they are."""
        return self._firewall.trouble()

    def combine(self, pairs: "list[tuple[str, FirewallTarget]]") -> "list[Any]":
        """Return what a plan is to apply for pairs of an action and a firewall target of it, in the order of the policy."""
        return self._firewall.combine(pairs)


class Combined:
    """What some firewall targets of one scope do together."""

    def __init__(
        self,
        firewall: "Combining",
        pairs: "list[tuple[str, FirewallTarget]]",
        maps: "dict[tuple[str, int], Map]",
        scope: str,
        way: str,
        forbids: "Callable[[bytes], bool] | None",
    ) -> None:
        """`maps`: by scope and way, "connection/ports" or "device/up", and IP version. `way`: "up" or "down" for a device."""
        self._firewall = firewall
        self._pairs = pairs
        self._maps = maps
        self._scope = scope
        self._way = way
        self._forbids = forbids
        self._rest = END + (PORT_AND_PROTOCOL if scope == "route" else 0)
        """Bytes of a packed element after its address."""
        self._some = [1 for _, target in pairs if target.takes is not None] != []
        self._found: dict[tuple[int, int], Combination | None] = {}
        self.counters = pairs[0][1].counters
        self._cut = next((target.cut for _, target in pairs if target.cut is not None), None)

    @property
    def lasting(self) -> "Combined":
        """What is applied also when a live flow is re-evaluated."""
        return self

    def apply(self, record: "Record", flow: "Record", now: int, held: "Held") -> "Held":
        """Want the flow's element in its map. Returns the element; see `SetTarget.apply`."""
        found = self._element(record, flow)
        if found is None:
            return None
        slot, key = found
        known = key == held or (isinstance(held, tuple) and key in held)
        if (
            self._forbids is not None
            and self._way
            and not known
            and key not in slot.live
            and self._forbids(key[2 : -self._rest])
        ):
            self.counters.skipped += 1
            return None
        if self._cut is not None and not (known and slot.has(key)):
            self._cut(slot, key, flow)  # type: ignore[arg-type]  # its state is a set's, a kind of `Trouble`
        if known:
            slot.want(key, now)
        else:
            slot.hold(key, now)
        return held if key == held else key

    def key_of(self, record: "Record", flow: "Record") -> "bytes | None":
        """Return the flow's element without wanting it."""
        found = self._element(record, flow)
        return found[1] if found is not None else None

    def _element(self, record: "Record", flow: "Record") -> "tuple[MapSlot, bytes] | None":
        """Return a flow's map and element; None when there is none for it."""
        began_here = flow["local_origin"] is not False
        scope, way = self._scope, self._way
        if scope == "route":
            # Of the servers outside that devices call: what comes next to one is a connection of the same kind.
            if not began_here or flow["ip_protocol"] not in PORTED:
                return None
            way = "ports"
        elif not way:
            if scope == "server" and not began_here:
                scope = "connection"  # a connection from outside has its server here
            way = "ports" if flow["ip_protocol"] in PORTED else "plain"
            if way == "plain":
                scope = "connection"
        there = self._maps.get((scope + "/" + way, flow["ip_version"]))
        if there is None:
            return None
        combination = self._combination(record, self._which(began_here))
        if combination is None:
            return None
        slot, make = there
        return slot, make(record, flow) + combination.suffix

    def _which(self, began_here: bool) -> int:
        """Return which of the two chains of each effect is this flow's."""
        if self._way:
            return 0 if self._way == "up" else 1
        return 0 if began_here else 1

    def _combination(self, record: "Record", which: int) -> "Combination | None":
        """Return the combination of those targets that take a record."""
        taken = 0
        if self._some:
            for index, (_, target) in enumerate(self._pairs):
                if target.takes is not None and not target.takes(record):
                    taken |= 1 << index
        found = self._found.get((taken, which))
        if found is None or found.chains is None:
            names = [
                (action, target.counters.name) for index, (action, target) in enumerate(self._pairs) if not taken >> index & 1
            ]
            found = self._firewall.find(names, which) if names else None
            if found is not None and len(self._found) < 64:
                self._found[(taken, which)] = found
            elif names and found is None:
                self.counters.skipped += 1
        return found
