"""What a policy with usage brings into the daemon: who counts, what was counted, and the file that outlasts the process.

In: the engine, whose records are counted, and the wall clock. Out: rows of the running hour, of hours and of days. A clock that
jumps (a router without a battery, until NTP has told it) moves the running hour with it: what was counted before belongs to the
hour that the clock shows then, not to 1970.
"""

import time

from ..base.dispatcher import NEVER
from ..engine.hours import Zone
from ..engine.view import MALFORMED, address
from .counting import ACTIONS, Counting
from .names import Names
from .periods import EARLIEST, Periods
from .store import Store

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..base.dispatcher import Dispatcher
    from ..devices.known import Known
    from ..engine.engine import Engine
    from .budgeting import Budgeting

    Flow = dict[str, Any]
    Rows = dict[int, list[int]]

MAX_DEVICES = 512
MAX_APPS = 1024
MAX_ACTIONS = 1024
MAX_NAME = 80
"""Characters of a name."""
NAME = "usage"
"""Of the file, where the policy names none: beside the control socket, in memory."""
ROUTER = "router"
"""In place of a MAC address: the router itself."""
JUMP = 60.0
"""Seconds that the wall clock moves by itself, at least, when it is said to jump."""
SETTLED = 600.0
"""Seconds after the start or a jump of the clock from which on it is taken for right: nothing is later than now then."""
SETTLE_EVERY = 5.0
"""Seconds until budgets are told what their flows had."""
SAVE_EVERY = 840.0
"""Seconds between two times that the file is written; it has its name a minute later."""


class Usage:
    """Counts as long as it is not closed."""

    def __init__(
        self,
        dispatcher: "Dispatcher",
        engine: "Engine",
        known: "Callable[[], Known | None]",
        say: "Callable[[str, str], None]",
        folder: str,
        clock: "Callable[[], float]" = time.time,
        keeps: bool = True,
        budgeting: "Budgeting | None" = None,
        whole: bool = True,
    ) -> None:
        """`known()`: what is known of the addresses of the network, if somebody learns it; `folder`: where the file is
        if the policy names none; `clock()`: epoch seconds; `keeps`: what was counted is kept and shown, not only told to
        others; `whole`: all flows are counted, not only those that count for budgets."""
        self._dispatcher = dispatcher
        self._engine = engine
        self._known = known
        self._folder = folder
        self._clock = clock
        self.devices, self.apps, self.actions = Names(MAX_DEVICES), Names(MAX_APPS), Names(MAX_ACTIONS)
        """Devices by MAC address, address or ROUTER; applications; actions."""
        self.keeps = keeps
        self.whole = whole
        self._budgeting = budgeting
        self.counting = Counting(self.device_of, self._app_of, self._owner_of, whole)
        self.periods = Periods(Zone([(0, 0)]))
        self.since = 0
        """Since when it has counted, by its file, epoch seconds."""
        self._start = self._minute = 0
        """When the running hour began, and the minute since 1970."""
        self._offset: float | None = None
        """The wall clock less the loop's; `_steady`: since when it has not jumped, by the loop's clock."""
        self._steady = 0.0
        self._absorbed = False
        self._settled = 0.0
        """When budgets were told last, by the loop's clock; `_told`: in which minute since 1970."""
        self._told = 0
        self._second = dispatcher.at(NEVER, self.tick)
        self._rest = dispatcher.at(NEVER, self._bill)
        self._save = dispatcher.at(NEVER, self.save)
        self.store = Store(dispatcher, say)

    # -- life cycle -------------------------------------------------------------------------------------------------

    def use(self, data: "dict[str, Any]", budgeting: "Budgeting | None") -> None:
        """The policy of an image was activated. `budgeting`: who is told of flows that count for budgets."""
        self._budgeting = budgeting
        self.counting.bills.tell = budgeting.bill if budgeting is not None else None
        if budgeting is not None:
            budgeting.known = self
        effects = data["firewall"]["effects"] if data["firewall"] else {}
        blocking = {name for name in effects if effects[name]["block"]}
        self.follow(data["zone"], blocking, data["usage_file"] or self._folder + "/" + NAME)

    def follow(self, zone: "list[tuple[int, int]]", blocking: "set[str]", file: str) -> None:
        """A policy was activated. `zone`: as for `Zone`; `blocking`: firewall targets that block; `file`: where to keep it."""
        self.periods.zone = Zone(zone)
        self.counting.sets.blocking = blocking
        self.counting.forget_codes()
        begun = self._engine.counting is self.counting
        if self.keeps and file != self.store.path:
            self.store.close()
            self.store.path = file
            if not begun:
                self._restore()
        if not begun:
            self._engine.counting = self.counting
            if self.keeps:
                self._save.move(self._dispatcher.moment + SAVE_EVERY)
            self.tick()

    def close(self) -> None:
        """Count no longer; what there is goes into the file."""
        if self._engine.counting is self.counting:
            self._engine.counting = None
        self._dispatcher.cancel(self._second)
        self._dispatcher.cancel(self._rest)
        self._dispatcher.cancel(self._save)
        self.counting.bills.settle()
        if self.keeps:
            self.store.close()
            self.store.write_now(self.content())

    def _restore(self) -> None:
        """Go on with what the file has."""
        content = self.store.read()
        if content is None:
            return
        day = max([self.periods.zone.local(int(self._clock()))[0]] + list(content["days"]))
        for names, key in ((self.devices, "devices"), (self.apps, "apps"), (self.actions, "actions")):
            names.restore(content[key], day)
        self.periods.hours.update(content["hours"])
        self.periods.days.update(content["days"])
        self.since = content["since"]

    # -- the clock --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """What has to happen each second."""
        moment = self._dispatcher.moment
        self._second.move(float(int(moment) + 1))  # in the same turn as the loop's own
        self.counting.tick(int(moment) + 1)
        wall = self._clock()
        before, self._offset = self._offset, wall - moment
        if before is None or abs(self._offset - before) > JUMP:
            # What the running hour has was counted now, whatever the clock showed.
            self._steady, self._absorbed = moment, False
            self._start = self.periods.begin_of(int(wall))
        if self.since < EARLIEST <= wall:
            self.since = int(wall)
        minute = int(wall) // 60
        if minute != self._minute:
            self._minute = minute
            self.counting.end_minute()
            self.counting.forget_codes()
            self._end_hour(int(wall))
            if not self._absorbed and moment - self._steady >= SETTLED and wall >= EARLIEST:
                self._absorbed = True
                self.periods.absorb(int(wall))
        if self._budgeting is not None:
            # Bytes are told more often, so that a budget of bytes is not exceeded by what comes in a minute.
            if moment >= self._settled + SETTLE_EVERY or minute != self._told:
                self._settled, self._told = moment, minute
                self.counting.bills.begin()
            self._bill()

    def _bill(self) -> None:
        """Tell budgets some of what flows had, the rest in the next turns of the loop; then let budgets look at the clock."""
        if self._budgeting is None:
            return
        if self.counting.bills.go_on():
            self._budgeting.tick(self._dispatcher.moment, self._clock())
        else:
            self._rest.move(self._dispatcher.moment)

    def _end_hour(self, now: int) -> None:
        """Another hour may have begun."""
        start = self.periods.begin_of(now)
        if start == self._start or now < EARLIEST:
            return
        ended, self._start = self._start, start
        rows = self.rows(self.periods.zone.local(ended)[0])
        if self.keeps:
            self.periods.add(ended, rows)
        self.counting.clear()
        if not self._absorbed:
            return  # a clock that has just been set may be set again
        self.periods.prune(now)
        day = self.periods.zone.local(now)[0]
        for names in (self.devices, self.apps, self.actions):
            names.forget(day)

    def rows(self, day: int) -> "Rows":
        """Return the rows of the running hour, which is of this day."""
        found, actions = self.counting.rows()
        for key in found:
            self.devices.use(key >> 16, day)
            self.apps.use(key & 0xFFFF, day)
        for name, row in actions.items():
            number = self.actions.number(name)
            self.actions.use(number, day)
            key = ACTIONS << 16 | number
            if key in found:
                row = [one + other for one, other in zip(found[key], row)]
            found[key] = row
        return found

    def snapshot(self) -> Periods:
        """Return all hours and days, with the running ones."""
        made = self.periods.copy()
        start = self.running()
        made.add(start, self.rows(self.periods.zone.local(start)[0]))
        return made

    def now(self) -> float:
        """Return what the wall clock shows, epoch seconds."""
        return self._clock()

    def running(self) -> int:
        """Return when the running hour began, epoch seconds."""
        return self._start

    # -- the file ---------------------------------------------------------------------------------------------------

    def content(self) -> "dict[str, Any]":
        """Return what the file has: plain data."""
        periods = self.snapshot()
        return {
            "since": self.since,
            "devices": _used(self.devices),
            "apps": _used(self.apps),
            "actions": _used(self.actions),
            "hours": periods.hours,
            "days": periods.days,
        }

    def save(self) -> None:
        """Write the file, some of it in each turn."""
        self._save.move(self._dispatcher.moment + SAVE_EVERY)
        self.store.write(self.content())

    # -- whose, and what --------------------------------------------------------------------------------------------

    def device_of(self, flow: "Flow") -> int:
        """Return the number of a flow's device. Raises what is MALFORMED.

        A MAC address of no neighbour may be the router's own: there the owner of the address decides.
        """
        packed = address(flow["local_ip"])
        if packed in self._engine.networks.own:
            return self.devices.number(ROUTER)
        mac = _mac(flow.get("local_mac"))
        known = self._known()
        if known is not None and (not mac or known.lives(packed) or not known.has(mac)):
            mac = known.owner(packed) or mac
        return self.devices.number(mac.hex(":") if mac else flow["local_ip"])

    def _owner_of(self, flow: "Flow", device: int) -> str:
        """Return whose budgets a flow counts for, where those are not its device's; else ""."""
        return self._budgeting.other_owner(flow, device) if self._budgeting is not None else ""

    def _app_of(self, flow: "Flow") -> int:
        """Return the number of a flow's application: of its protocol where netifyd knows no application."""
        name = flow.get("detected_application_name")
        if not name or name == "Unknown":
            name = flow.get("detected_protocol_name")
        return self.apps.number(name[:MAX_NAME] if isinstance(name, str) and name else "Unknown")

    def names_of(self, flow: "Flow") -> tuple[str, str]:
        """Return whose a flow is, as `devices` has it, and of which application. Raises what is MALFORMED."""
        return self.devices.name(self.device_of(flow)), self.apps.name(self._app_of(flow))

    def status(self) -> "dict[str, Any]":
        """Return what `status` tells."""
        counting = self.counting
        unknown = counting.waiting()
        return {
            "on": True,
            "since": self.since or None,
            "devices": len(self.devices),
            "unknown_bytes": unknown[0],
            "unknown_packets": unknown[1],
            "forgotten": counting.forgotten,
            "left_out": self.devices.left_out + self.apps.left_out + self.actions.left_out + counting.sets.left_out,
            "file": self.store.path,
            "saved": self.store.saved or None,
            "trouble": self.store.trouble,
            "code": self.store.code,
        }


def _mac(text: object) -> bytes:
    """Return a MAC address, b"" when it is that of no device."""
    if not isinstance(text, str) or len(text) != 17:
        return b""
    try:
        packed = bytes.fromhex(text.replace(":", "").replace("-", ""))
    except MALFORMED:
        return b""
    return packed if len(packed) == 6 and any(packed) and not packed[0] & 1 else b""


def _used(names: Names) -> list[str]:
    """Return the names that rows have, by number; "" for others."""
    return [(name or "") if names.used[number] > 0 else "" for number, name in enumerate(names.names)]
