"""Reads the router's interfaces, addresses and routes, and reads them again when one of them changes.

In: the dispatcher, and `learn(names, addresses, routes)` (see `engine.networks`). Out: a call of `learn` for each reading. What
changes is not applied by itself: everything is read again, a datagram in each turn of the loop, at most once a second.
"""

import select

from ..base.portable import reason
from . import route
from .socket import Dump
from .wire import NLMSG_DONE, NLMSG_ERROR, messages

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..base.dispatcher import Dispatcher, Timer

    Learn = Callable[
        [dict[int, str], list[tuple[int, bytes, bytes, int]], list[tuple[int, bytes, int, tuple[int, ...]]]], object
    ]

NEVER = 1e18
PAUSE = 1.0
"""Seconds between two readings."""
AT_ONCE = 64
"""Datagrams that are read at the start, before any record is."""
MAX_ROUTES = 2048
"""Routes that are remembered; so many addresses, too. A router with the whole Internet's routing table has a million."""
_GROUPS = (
    route.RTNLGRP_LINK,
    route.RTNLGRP_IPV4_IFADDR,
    route.RTNLGRP_IPV4_ROUTE,
    route.RTNLGRP_IPV6_IFADDR,
    route.RTNLGRP_IPV6_ROUTE,
)
_TELLING = (
    route.RTM_NEWLINK, route.RTM_DELLINK, route.RTM_NEWADDR, route.RTM_DELADDR, route.RTM_NEWROUTE, route.RTM_DELROUTE,
)  # fmt: skip
_ASK = (route.ask_links, route.ask_addresses, route.ask_routes)


class Interfaces:
    """What the kernel has. `trouble`: why that is not known, "" when it is."""

    def __init__(self, learn: "Learn", say: "Callable[[str, str], object]") -> None:
        self._learn = learn
        self._say = say
        self.trouble = ""
        self.readings = 0
        self._changes: route.Changes | None = None
        self._dispatcher: Dispatcher | None = None
        self._again: Timer | None = None
        self._dump = Dump(route.NETLINK_ROUTE)
        self._reading = -1
        """Which of the three questions is being answered; -1: none."""
        self._sequence = 0
        self._names: dict[int, str] = {}
        self._addresses: list[tuple[int, bytes, bytes, int]] = []
        self._routes: list[tuple[int, bytes, int, tuple[int, ...]]] = []

    def open(self, dispatcher: "Dispatcher") -> None:
        """Read all of it, and listen to changes from now on."""
        self._dispatcher = dispatcher
        try:
            self._changes = route.Changes(_GROUPS)
        except OSError as failure:
            self._failed(failure)
            return
        dispatcher.watch(self._changes.descriptor, select.POLLIN, self._changed)
        self._again = dispatcher.at(NEVER, self._begin)
        dispatcher.step(self.go_on)
        self._begin()
        for _ in range(AT_ONCE):
            if not self.go_on():
                break

    def close(self) -> None:
        if self._changes is not None and self._dispatcher is not None:
            self._dispatcher.unwatch(self._changes.descriptor)
            self._changes.close()
            self._changes = None
        self._dump.close()
        self._reading = -1

    def _failed(self, failure: OSError) -> None:
        """The kernel does not tell: records stay as netifyd has them."""
        self._dump.close()
        self._reading = -1
        if not self.trouble:
            self._say("warning", "the router's networks are not known: " + reason(failure) + "; flows keep netifyd's local end")
        self.trouble = reason(failure)

    def _changed(self, descriptor: int, event: int, moment: float) -> None:
        """Something changed: read again, soon."""
        assert self._changes is not None and self._again is not None
        lost = self._changes.lost
        told = [kind for kind, _ in self._changes.read() if kind in _TELLING]
        if (told or self._changes.lost != lost) and self._again.time >= NEVER:
            self._again.move(moment + PAUSE)

    def _begin(self) -> None:
        self._names, self._addresses, self._routes = {}, [], []
        self._reading = 0
        self._ask()

    def _ask(self) -> None:
        self._sequence += 1
        try:
            self._dump.ask(_ASK[self._reading](self._sequence))
        except OSError as failure:
            self._failed(failure)

    def go_on(self) -> bool:
        """Take one datagram of an answer. Returns whether there are more."""
        if self._reading < 0:
            return False
        try:
            data = self._dump.next()
        except OSError as failure:
            self._failed(failure)
            return False
        ended = not data  # the kernel writes on with each that is read: there is none only after the end
        for kind, _, sequence, start, end in messages(data):
            if sequence != self._sequence:
                continue
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                ended = True
            else:
                self._take(data[start:end])
        if len(self._routes) >= MAX_ROUTES:
            self._dump.close()  # the rest is not asked for
            ended = True
        if not ended:
            return True
        self._reading += 1
        if self._reading < len(_ASK):
            self._ask()
            return self._reading >= 0
        self._reading = -1
        self.readings += 1
        self.trouble = ""
        self._learn(self._names, self._addresses, self._routes)
        return False

    def _take(self, payload: bytes) -> None:
        """Take one interface, address or route."""
        found: Any
        if self._reading == 0:
            found = route.link(payload)
            if found is not None:
                self._names[found[0]] = found[1]
        elif self._reading == 1:
            found = route.address(payload)
            if found is not None and len(self._addresses) < MAX_ROUTES:
                self._addresses.append(found)
        else:
            found = route.route(payload)
            if found is not None and found[2] == route.RTN_UNICAST and found[5]:
                _, table, _, target, prefix, ways = found
                self._routes.append((table, target, prefix, ways))
