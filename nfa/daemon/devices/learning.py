"""Learns the addresses of devices: from the kernel's table of neighbours and from the lease files of the DHCP servers.

In: notifications of rtnetlink, lease files, the static leases and the devices of the active policy. Out: `Known`, kept
current; `forget()` at once when something of it has changed, and `changed()`, at most once a second, when that concerns a
device of the policy: flows are to be re-evaluated then.
"""

import os
import select

from ..base.dispatcher import NEVER
from ..base.portable import monotonic, reason
from ..netlink.route import (
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    RTM_DELNEIGH,
    RTM_NEWNEIGH,
    RTNLGRP_NEIGH,
    Changes,
    ask_neighbours,
    neighbour,
)
from ..netlink.socket import Dump
from ..netlink.wire import NLMSG_DONE, NLMSG_ERROR, messages
from .known import Known
from .leases import MAX_SIZE, leases

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..base.dispatcher import Dispatcher
    from .configured import Devices
    from .leases import Lease

NETLINK_ROUTE = 0
LOOK_EVERY = 5
"""Seconds between two looks at the lease files."""
RETRY = 30
"""Seconds until the kernel is asked again after it refused."""
DATAGRAMS = 4
"""Datagrams of the kernel's answer, or of its news, that are read in one turn: some hundred neighbours."""
MAX_FILES = 8
_REGULAR = 0x8000
_NO_NEIGHBOUR = NUD_FAILED | NUD_INCOMPLETE | NUD_NOARP


class Learner:
    """Keeps `known` current, from `start` on."""

    def __init__(
        self,
        dispatcher: "Dispatcher",
        say: "Callable[[str, str], None]",
        forget: "Callable[[], None]",
        changed: "Callable[[], None]",
    ) -> None:
        self._dispatcher = dispatcher
        self._say = say
        self._forget = forget
        self._changed = changed
        self.known = Known(self._wanted)
        self.devices: Devices | None = None
        """Those of the active policy."""
        self._files: list[str] = []
        self._stamps: dict[str, object] = {}
        self._leases: dict[str, list[Lease]] = {}
        self._news: Changes | None = None
        self._dump = Dump(NETLINK_ROUTE)
        self._missing: dict[bytes, None] | None = None
        """While the kernel answers: the addresses that it has not named yet."""
        self._asked = 0
        self._stale = False
        """News of the kernel were lost: what is known may be wrong."""
        self.complete = False
        """The kernel has told all of its neighbours once."""
        self.trouble = ""
        self.changes = 0
        """How often an address of a configured device changed."""
        self._due = False
        """Flows are to be re-evaluated."""
        self._look_at = 0.0
        self._retry_at = 0.0
        self._second = dispatcher.at(NEVER, self.tick)
        self._answer = dispatcher.at(NEVER, self._read_answer)

    # -- life cycle -------------------------------------------------------------------------------------------------

    def follow(self, devices: "Devices | None", files: "tuple[str, ...]", hosts: "list[tuple[bytes, str, bytes]]") -> None:
        """Learn for the devices of a policy. `files`: where DHCP servers note leases; `hosts`: static ones."""
        self.devices = devices
        if devices is not None:
            devices.known = self.known
        others = list(files)[:MAX_FILES] != self._files
        if others:
            self._files = list(files)[:MAX_FILES]
            self._stamps = {}
            self._leases = {}
        self.known.reserve(list(hosts))
        self._read_leases(others)
        self._settle()
        if self._news is None:
            self._open()
        self._second.move(monotonic() + 1.0)

    def close(self) -> None:
        """Stop learning."""
        if self._news is not None:
            self._dispatcher.unwatch(self._news.descriptor)
            self._news.close()
            self._news = None
        self._dump.close()
        self._dispatcher.cancel(self._second)
        self._dispatcher.cancel(self._answer)

    def tick(self) -> None:
        """What has to happen each second."""
        moment = self._dispatcher.moment
        self._second.move(moment + 1.0)
        if self._news is None and moment >= self._retry_at:
            self._open()
        if self._stale and self._missing is None and self._news is not None:
            self._ask()
        if moment >= self._look_at:
            self._look_at = moment + LOOK_EVERY
            self._read_leases()
        self.known.expire(int(moment) + 1)
        self._settle()
        if self._due:
            self._due = False
            self._changed()

    def _settle(self) -> None:
        """If something has changed, forget what was remembered of the ends of flows; note whether to re-evaluate flows."""
        known = self.known
        if not known.touched and not known.renamed:
            return
        self._forget()
        if self.devices is not None and not self._due:
            self._due = self._concerned()
            if self._due:
                self.changes += 1
        known.touched.clear()
        known.renamed.clear()

    def _concerned(self) -> bool:
        """Return whether what has changed concerns a device of the policy."""
        devices, known = self.devices, self.known
        if devices is None:
            return False
        named = [name for name in known.renamed if name in devices.hosts]
        return bool(named) or bool([mac for mac in known.touched if devices.of_mac(mac)])

    def _wanted(self, mac: bytes) -> bool:
        return self.devices is not None and bool(self.devices.of_mac(mac))

    # -- neighbours -------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Listen to the kernel's news, then ask for what there is."""
        try:
            self._news = Changes((RTNLGRP_NEIGH,))
            self._dispatcher.watch(self._news.descriptor, select.POLLIN, self._read_news, self._broken)
            self._ask()
        except OSError as failure:
            self._lose("the kernel's neighbours cannot be read: " + reason(failure))

    def _lose(self, why: str) -> None:
        if self._news is not None:
            self._dispatcher.unwatch(self._news.descriptor)
            self._news.close()
            self._news = None
        self._dump.close()
        self._missing = None
        for address in self.known.present():
            self.known.vanished(address, int(monotonic()) + 1)
        self.complete = True  # nobody needs to wait for what does not come
        self._retry_at = monotonic() + RETRY
        if why != self.trouble:
            self._say("warning", why + "; addresses of devices are those of the configuration and of leases")
        self.trouble = why

    def _broken(self, descriptor: int) -> None:
        self._lose("the kernel's neighbours cannot be read: a fault in nfa")

    def _ask(self) -> None:
        """Ask for all neighbours."""
        self._dump.close()  # an answer that is under way is not this one
        self._stale = False
        self._asked += 1
        self._dump.ask(ask_neighbours(self._asked))
        self._missing = dict.fromkeys(self.known.present())
        self._answer.move(self._dispatcher.moment)

    def _read_news(self, descriptor: int, event: int, moment: float) -> None:
        if self._news is None:
            return
        lost = self._news.lost
        for kind, payload in self._news.read(DATAGRAMS):
            self._take(kind, payload, int(moment) + 1)
        if self._news.lost != lost:
            self._stale = True  # asked for by the tick: under a flood, not again and again
        self._settle()

    def _read_answer(self) -> None:
        """Read a part of the kernel's answer."""
        now = int(self._dispatcher.moment) + 1
        try:
            for _ in range(DATAGRAMS):
                data = self._dump.next()
                for kind, _, _, start, end in messages(data):
                    if kind in (NLMSG_DONE, NLMSG_ERROR):
                        self._answered(now)
                        return
                    self._take(kind, data[start:end], now)
        except OSError as failure:
            self._lose("the kernel's neighbours cannot be read: " + reason(failure))
            return
        self._settle()
        self._answer.move(self._dispatcher.moment)

    def _answered(self, now: int) -> None:
        """The kernel has told all that it has."""
        for address in self._missing or ():
            self.known.vanished(address, now)
        self._missing = None
        self._dump.close()
        self.complete = True
        self.trouble = ""
        self._settle()

    def _take(self, kind: int, payload: bytes, now: int) -> None:
        found = neighbour(payload) if kind in (RTM_NEWNEIGH, RTM_DELNEIGH) else None
        if found is None:
            return
        index, state, address, mac = found
        if len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80:
            return  # fe80::/10 means another one on each interface
        if self._missing is not None:
            self._missing.pop(address, None)
        if kind == RTM_DELNEIGH or state & _NO_NEIGHBOUR or not mac or not any(mac):
            self.known.vanished(address, now)
        else:
            self.known.appeared(address, mac, index)

    # -- leases -----------------------------------------------------------------------------------------------------

    def _read_leases(self, news: bool = False) -> None:
        """Read the lease files that have changed. `news`: they are others than before."""
        for path in self._files:
            stamp = _stamp(path)
            if self._stamps.get(path, "") == stamp:
                continue
            self._stamps[path] = stamp
            self._leases[path] = _read(path) if stamp is not None else []
            news = True
        if news:
            self.known.lease([lease for path in self._files for lease in self._leases.get(path, ())])

    def status(self) -> "dict[str, Any]":
        """Return what `status` tells."""
        known, devices = self.known, self.devices
        return {
            "configured": len(devices.names) if devices is not None else 0,
            "neighbours": len(known.addresses),
            "leases": len(known.leases),
            "changes": self.changes,
            "dropped": known.dropped,
            "trouble": self.trouble,
            "code": "neighbours-unreadable" if self.trouble else "",
        }


def _stamp(path: str) -> object:
    """Return what changes when a file does; None when there is none that can be read."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if found[0] & 0xF000 != _REGULAR:  # a FIFO would have the daemon wait
        return None
    return found[1], found[6], getattr(found, "st_mtime_ns", found[8])


def _read(path: str) -> "list[Lease]":
    """Return the leases of a file: of its first MAX_SIZE bytes."""
    try:
        with open(path, "rb") as file:
            return leases(file.read(MAX_SIZE))
    except OSError:
        return []
