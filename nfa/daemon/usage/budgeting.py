"""What ties budgets to the daemon: whose a flow is, what follows when one is spent, and the files that outlast the process.

In: the engine, whose flows ask, and `counting`, which tells bytes. Out: re-evaluated flows, and two files: one in memory,
written each minute in which something changed, so that not even a kill -9 gives more than a minute away; and, where the owner
names a file for usage, one beside it, at that one's pace. The later of the two counts at the next start.
"""

from ..base.dispatcher import NEVER
from ..engine.hours import Zone
from ..engine.view import MALFORMED, address
from .accounts import SPENT
from .budgets import FILE, TOGETHER, Budgets
from .store import Store

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from ..base.dispatcher import Dispatcher
    from ..engine.engine import Engine
    from .names import Names

    Flow = dict[str, Any]

    class Known(Protocol):
        """Who knows devices by number, and whose a flow is (see `usage.Usage`)."""

        devices: Names

        def device_of(self, flow: Flow) -> int: ...


NAME = "budgets"
"""Of the file beside the control socket; what is added to the name of the usage file."""
SAVE_EVERY = 840.0
"""Seconds between two times that the file is written that may be on flash; it has its name a minute later."""
NOBODY = "other"
"""Whose flows are of which the device cannot be told: there are too many devices."""
_DEVICE = "@"
"""What the name of a configured device begins with, among owners; others are MAC addresses, addresses, or the router."""


class Budgeting:
    """Accounts, for as long as policies have budgets."""

    def __init__(
        self,
        dispatcher: "Dispatcher",
        engine: "Engine",
        say: "Callable[[str, str], None]",
        folder: str,
        again: "Callable[[Iterable[str]], object]",
    ) -> None:
        """`folder`: of the file in memory; `again(ended)`: re-evaluates live flows, which may leave these targets."""
        self._dispatcher = dispatcher
        self._engine = engine
        self._say = say
        self._again = again
        self.budgets = Budgets(Zone([(0, 0)]), self._changed)
        self.budgets.on_event = self._event
        self.on_event: Callable[[str, str, int], object] | None = None
        """Called with (budget, device, percent) when 80 and 100 percent of a budget are used, once in a period."""
        self.known: Known | None = None
        """Who counts now."""
        self.store = Store(dispatcher, say, FILE)
        self.store.path = folder + "/" + NAME
        self.lasting = Store(dispatcher, say, FILE)
        """The file where the owner wants it; its path is "" where nobody does."""
        self._save = dispatcher.at(NEVER, self.save)
        self._begun = False

    def follow(self, rows: "list[dict[str, Any]]", zone: "list[tuple[int, int]]", file: str, now: int) -> None:
        """A policy with budgets was activated. `zone`: as for `Zone`; `file`: of usage, "" for none; `now`: epoch seconds."""
        lasting = file + "." + NAME if file else ""
        if lasting != self.lasting.path:
            self.lasting.close()
            self.lasting.path = lasting
            self._save.move(self._dispatcher.moment + SAVE_EVERY if lasting else NEVER)
        self.budgets.zone = Zone(zone)
        if not self._begun:
            self._begun = True
            found = [one.read() for one in (self.store, self.lasting) if one.path]
            best = max([one for one in found if one is not None], key=lambda one: one["serial"], default=None)
            if best is not None:
                self.budgets.restore(best)
        self.budgets.follow(rows, Zone(zone), now)
        self._engine.spent = self._spent

    def tick(self, moment: float, wall: float) -> None:
        """What has to happen each second, after bytes were told."""
        self.budgets.tick(moment, wall)
        if self.budgets.minute_ended and self.budgets.dirty:
            self.budgets.dirty = False
            self.budgets.serial += 1
            self.store.write_now(self.budgets.data(), False)

    def save(self) -> None:
        """Write the file where the owner wants it, some of it in each turn."""
        self._save.move(self._dispatcher.moment + SAVE_EVERY)
        self.lasting.write(self.budgets.data())

    def close(self) -> None:
        """No policy has budgets any longer, or the daemon ends: what there is goes into the files."""
        self._dispatcher.cancel(self._save)
        self._engine.spent = None
        self.budgets.serial += 1
        data = self.budgets.data()
        self.store.write_now(data, False)
        self.lasting.close()
        if self.lasting.path:
            self.lasting.write_now(data)

    def give(self, number: int, owner: str, seconds: int, size: int) -> None:
        """Give a device (or TOGETHER) more of a budget, in this period. Raises ValueError when it is too much."""
        self.budgets.give(number, owner, seconds, size)
        given = [(str(seconds // 60) + " minutes") if seconds % 60 == 0 else (str(seconds) + " seconds")] if seconds else []
        what = " and ".join(given + ([str(size) + " bytes"] if size else []))
        self._say("notice", "budget '" + self.budgets.rules[number].name + "': " + what + " more for " + title(owner))

    # -- whose ------------------------------------------------------------------------------------------------------

    def bill(self, names: tuple[str, ...], owner: str, device: int, size: int) -> None:
        """Flows of a device had bytes that count for these budgets. `owner`: whose they are, "" for the device's."""
        owner = owner or self.owner_of(device)
        for name in names:
            self.budgets.add(name, owner, size)

    def owner_of(self, device: int) -> str:
        """Return whose account it is, by the number that usage gives to a device."""
        key = self.known.devices.name(device) if self.known is not None else ""
        return self.owner_by_key(key) if key else NOBODY

    def owner_by_key(self, key: str) -> str:
        """Return whose account it is, by MAC address or address: a configured device may have several."""
        policy = self._engine.policy
        devices = policy.devices if policy is not None else None
        if devices is None:
            return key
        try:
            if len(key) == 17 and key.count(":") == 5:
                found = sorted(devices.of_mac(bytes.fromhex(key.replace(":", ""))))
            else:
                found = list(devices.of(address(key), b""))
        except MALFORMED:
            return key  # the router
        return _DEVICE + devices.names[found[0]] if found else key

    def owner(self, flow: "Flow") -> str:
        """Return whose account it is that a flow counts for."""
        policy = self._engine.policy
        names = policy.device_names(flow, "local") if policy is not None and policy.devices is not None else []
        if names:
            return _DEVICE + names[0]
        try:
            return self.owner_of(self.known.device_of(flow)) if self.known is not None else NOBODY
        except MALFORMED:
            return NOBODY

    def other_owner(self, flow: "Flow", device: int) -> str:
        """Return whose account it is that a flow counts for, where that is not its device's; else ""."""
        owner = self.owner(flow)
        return owner if owner != self.owner_of(device) else ""

    def _spent(self, number: int, flow: "Flow") -> bool:
        """Return whether the device of a flow has spent a budget."""
        if number >= len(self.budgets.rules):
            return False  # the policy could not be followed
        shared = self.budgets.rules[number].shared
        return self.budgets.spent(number, TOGETHER if shared else self.owner(flow))

    # -- what follows -----------------------------------------------------------------------------------------------

    def _changed(self, begun: set[int], over: set[int]) -> None:
        """Some device has spent budgets, or has something left of some again."""
        policy = self._engine.policy
        if policy is not None:
            self._again(policy.begun(begun) | policy.released(over))

    def _event(self, name: str, owner: str, percent: int) -> None:
        """So much of a budget is used."""
        if percent >= SPENT:
            whose = "" if owner == TOGETHER else " by " + title(owner)
            self._say("notice", "budget '" + name + "' is spent" + whose + ": its actions act until the period ends")
        if self.on_event is not None:
            self.on_event(name, "" if owner == TOGETHER else title(owner), percent)

    def status(self) -> "dict[str, Any]":
        """Return what `status` tells."""
        budgets = self.budgets
        bad = self.store if self.store.trouble or not self.lasting.path else self.lasting
        return {
            "names": [rules.name for rules in budgets.rules],
            "accounts": sum([len(book.accounts) for book in budgets.books.values()]),
            "forgotten": budgets.forgotten,
            "trusted": budgets.trusted,
            "file": self.lasting.path or self.store.path,
            "saved": self.store.saved or None,
            "trouble": bad.trouble,
            "code": bad.code,
        }


def title(owner: str) -> str:
    """Return an owner as a person calls it: the name of a configured device, else its MAC address or address."""
    return owner.removeprefix(_DEVICE)
