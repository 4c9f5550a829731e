"""Sees to rules and routes of other WANs, where the daemon has to: a child makes them, again whenever something changes.

In: the WANs of the active policy (see `nfa.routes.child`), and the kernel's notifications. Out: children, one at a time; what
they say as warnings. Only a policy that has such WANs has this in memory. The child needs pyroute2; this does not.
"""

import select

from .base import json
from .base.dispatcher import NEVER
from .base.findings import finding
from .base.portable import monotonic
from .netlink import route
from .processes.child import Children, Job

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from .base.dispatcher import Dispatcher
    from .base.findings import Finding

    Wans = list[dict[str, Any]]

SOON = 0.1
"""Seconds in which changes that belong together come."""
PAUSE = 0.7
"""Seconds at least from the start of one child to that of the next."""
RETRY = 10.0
LIMIT = 20
"""Seconds that a child may take; `END_LIMIT`: the last one, for which the daemon's end waits."""
END_LIMIT = 5.0
MAX_ANSWER = 64 << 10
CODES = ("route-no-pyroute2", "route-refused", "route-strict")
_GROUPS = (
    route.RTNLGRP_LINK,
    route.RTNLGRP_IPV4_IFADDR,
    route.RTNLGRP_IPV4_ROUTE,
    route.RTNLGRP_IPV4_RULE,
    route.RTNLGRP_IPV6_IFADDR,
    route.RTNLGRP_IPV6_ROUTE,
    route.RTNLGRP_IPV6_RULE,
)


class Rerouter:
    """All WANs of a policy. `up`: the IP versions of each that has a way now, by name."""

    def __init__(
        self, dispatcher: "Dispatcher", say: "Callable[[str, str], object]", report: "Callable[[str, str, str], object]"
    ) -> None:
        """`report(code, message, hint)`: a warning of the active policy; with the message "" it holds no longer."""
        self._dispatcher = dispatcher
        self._say = say
        self._report = report
        self._children = Children(dispatcher, 1)
        self._wans: Wans = []
        self._changes: route.Changes | None = None
        self._timer = dispatcher.at(NEVER, self._start)
        self._started = -PAUSE
        self._running = False
        self._again = False
        self._devices: dict[str, int] = {}
        self.up: dict[str, list[int]] = {}

    def use(self, wans: "Wans") -> None:
        """These are the WANs of the policy that is active now."""
        self._wans = wans
        if wans and self._changes is None:
            try:
                self._changes = route.Changes(_GROUPS)
            except OSError as failure:
                self._say("warning", "routes: changes of the network are not noticed: " + str(failure))
            else:
                self._dispatcher.watch(self._changes.descriptor, select.POLLIN, self._changed)
        elif not wans:
            self._stop_listening()
        self._soon(0.0)

    def findings(self) -> "list[Finding]":
        """Return which WANs are down, for status."""
        found = []
        for wan in self._wans:
            if wan["name"] in self.up and not self.up[wan["name"]]:
                what = "take the usual way" if wan["fallback"] else "have no way"
                message = "route " + wan["name"] + " is down: connections that are to go there " + what
                found.append(finding("warning", "route-down", message))
        return found

    def close(self) -> None:
        """The daemon ends: take the rules and routes back."""
        self._stop_listening()
        self._dispatcher.cancel(self._timer)
        if self._wans:
            self._wans = []
            self._running = False
            self._children.add(self._job(), first=True)
            self._children.finish(END_LIMIT)
        self._children.close()

    def _stop_listening(self) -> None:
        if self._changes is not None:
            self._dispatcher.unwatch(self._changes.descriptor)
            self._changes.close()
            self._changes = None

    # -- when -----------------------------------------------------------------------------------------------------------

    def _changed(self, descriptor: int, event: int, moment: float) -> None:
        """The kernel tells of changes."""
        assert self._changes is not None
        lost = self._changes.lost
        told = self._changes.read()
        if [1 for kind, payload in told if self._concerns(kind, payload)] or self._changes.lost != lost:
            self._soon(SOON)

    def _concerns(self, kind: int, payload: bytes) -> bool:
        """Return whether a change may be one for a WAN. As long as a child runs, it is not known which devices these are."""
        found: Any
        if kind in (route.RTM_NEWLINK, route.RTM_DELLINK):
            found = route.link(payload)
            return found is not None and found[1] in [wan["device"] for wan in self._wans]
        if kind in (route.RTM_NEWADDR, route.RTM_DELADDR):
            found = route.address(payload)
            return found is None or self._running or found[0] in self._devices.values()
        if kind in (route.RTM_NEWROUTE, route.RTM_DELROUTE):
            found = route.route(payload)
            if found is None or found[4]:
                return False
            ours = found[1] in [wan["table"] for wan in self._wans]
            return ours or self._running or bool([1 for index in found[5] if index in self._devices.values()])
        return kind == route.RTM_DELRULE

    def _soon(self, seconds: float) -> None:
        """A child is to look, in so many seconds or when it may."""
        if self._running:
            self._again = True
        else:
            self._timer.move(min(self._timer.time, max(monotonic() + seconds, self._started + PAUSE)))

    # -- the child --------------------------------------------------------------------------------------------------------

    def _job(self) -> Job:
        given = json.dumps(self._wans).encode()
        return Job("the routes' child", "nfa.routes.child", [], given, LIMIT, MAX_ANSWER, self._done)

    def _start(self) -> None:
        self._timer.move(NEVER)
        self._started = monotonic()
        self._again = False
        self._running = True
        self._children.add(self._job())

    def _done(self, output: bytes, problem: str) -> None:
        """The child has answered."""
        self._running = False
        answer: dict[str, Any] = {"problem": problem, "code": "route-refused"}
        if not problem:
            try:
                answer = json.loads(output)
            except ValueError:
                answer["problem"] = "its child wrote no answer"
        self._devices = answer.get("devices", {})
        self._tell(answer)
        if answer["problem"]:
            self._soon(RETRY)
        if self._again:
            self._soon(SOON)

    def _tell(self, answer: "dict[str, Any]") -> None:
        """Tell what does not work, and of each WAN that comes or goes."""
        strict = ", ".join(answer.get("strict", ()))
        hint = "install pyroute2 (OpenWrt: nfa-route)" if answer["code"] == CODES[0] else ""
        words = "connections are not sent to another WAN: " + answer["problem"]
        for code in CODES[:2]:
            self._report(code, words if answer["problem"] and answer["code"] == code else "", hint)
        self._report(
            CODES[2],
            "answers that come through " + strict + " are dropped: rp_filter is 1 there" if strict else "",
            "set it to 2, in /etc/sysctl.d: net.ipv4.conf.DEVICE.rp_filter=2",
        )
        up = answer.get("up", {})
        for name in up:
            if up[name] != self.up.get(name):
                versions = " and ".join(["IPv" + str(family) for family in up[name]])
                self._say("notice", "route " + name + ": " + (versions + " go there" if versions else "it is down"))
        self.up = up
