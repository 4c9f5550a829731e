"""The daemon's events on ubus: listeners learn of matches, reloads, the source and the targets without polling.

In: what happened. Out: events `nfa.match`, `nfa.reload`, `nfa.source`, `nfa.target`. Matches are limited in rate, because
there can be thousands a second; how many were left out since the last one is part of the next.
"""

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..engine.engine import Engine
    from ..engine.policy import Policy
    from .ubus import Ubus

    Data = dict[str, Any]

MATCHES_A_SECOND = 10


class News:
    """Sends events while the object is on the bus. `ubus`: see `nfa.daemon.bus.ubus.Ubus`; None: there is no bus."""

    def __init__(self, ubus: "Ubus | None") -> None:
        self.ubus = ubus
        self._matched = 0
        self._second = 0
        self._sent = 0
        self._left_out = 0

    def status(self) -> "Data":
        """Return what `status` tells of the bus."""
        ubus = self.ubus
        if ubus is None:
            return {"state": "off", "connects": 0, "calls": 0, "dropped_events": 0, "long_answers": 0, "last_error": ""}
        return {
            "state": ubus.state,
            "connects": ubus.connects,
            "calls": ubus.calls,
            "dropped_events": ubus.dropped_events,
            "long_answers": ubus.long_answers,
            "last_error": ubus.last_error,
        }

    def tell(self, name: str, data: "Data") -> bool:
        """Send an event `nfa.NAME`, if anybody can hear it. Returns whether it is on its way."""
        return self.ubus is not None and self.ubus.state == "registered" and self.ubus.event("nfa." + name, data)

    def matches(self, engine: "Engine", describe: "Callable[[tuple[Any, ...], int, Policy | None], Data]", now: int) -> None:
        """Send events for the last decisions of this turn. `describe(item, now, policy)`: as data."""
        new = engine.matched - self._matched
        self._matched = engine.matched
        if self.ubus is None or self.ubus.state != "registered":
            self._left_out = 0
            return
        if now != self._second:
            self._second = now
            self._sent = 0
        count = min(new, MATCHES_A_SECOND - self._sent, len(engine.recent))
        self._left_out += new - count
        if not count:
            return
        self._sent += count
        for item in list(engine.recent)[-count:]:
            data = describe(item, now, engine.policy)
            data["left_out"] = self._left_out
            self._left_out = 0 if self.tell("match", data) else self._left_out + 1
