"""Looks up in the kernel whether rules use the sets: what is in a set that none uses has no effect on any packet.

In: the slots, each with the command that makes a rule for it (`rule` of the image, "" where no action fills it); notices that
rules have changed. Out: findings for status, and a line in the log when one begins or ends.

nftables tells when rules change: then their tables are read, some datagrams in a turn of the loop. ipset tells nobody: the
number of references of each set is asked for now and then. A set without a rule is reported only after a while, because a
firewall that restarts deletes all rules first; one that has a rule again is not reported from then on.
"""

from ...base.findings import finding, sentences
from ...base.portable import monotonic
from ...netlink.monitor import IPSET_ATTR_REFERENCES, ask_ipset
from ...netlink.rule_dumps import Users
from ...netlink.socket import Dump
from .slot import Slot, set_of
from .words import named, unused

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ...base.dispatcher import Dispatcher
    from ...base.findings import Finding
    from ..types import Say

    Name = tuple[Any, ...]

CODE = "set-unused"
SETTLE = 1.0
"""Seconds after a change of rules until they are read: a firewall makes many changes."""
PACE = 5.0
"""Seconds between two readings, however often rules change; also between two looks at the ipsets."""
GRACE = 15.0
"""Seconds for which a set has no rule before that is reported: a firewall may restart."""
EVERY = 60.0
"""Seconds after which rules are read again though nothing was told: a set may be there now that was not."""
SLICE = 4
"""Datagrams of rules, at most 32 KiB each, that are read in one turn of the loop."""
MAX_TOLD = 50
"""Findings of status; a line in the log has each of them."""
NEVER = 1e18


class Usage:
    """Watches over the slots of a registry. `say` reaches the log, `clock` is the monotonic one."""

    def __init__(self, dispatcher: "Dispatcher", registry: "Any", say: "Say", clock: "Callable[[], float]" = monotonic) -> None:
        self._dispatcher = dispatcher
        self._registry = registry
        self._say = say
        self._clock = clock
        self._dump = Dump()
        """For rules, whose dump goes over several turns; `_asking`: for ipsets."""
        self._asking = Dump()
        self._sequence = 0
        self._slots: dict[Name, Slot] = {}
        """The slot of each set that is looked up: the first, where targets share a set."""
        self._tables: list[tuple[int, str]] = []
        """Those whose rules are yet to be read, by family and name."""
        self._reading: Users | None = None
        self._read_at = NEVER
        """When the rules are to be read next, of the monotonic clock; `_asked_at`: when ipsets are asked next."""
        self._asked_at = NEVER
        self._not_before = 0.0
        self._since: dict[Name, float] = {}
        """The sets that no rule uses, and since when that is known."""
        self._told: dict[Name, None] = {}
        """Those of them that are reported."""
        self._timer = dispatcher.at(NEVER, self.look)

    def watch(self) -> None:
        """There are other slots than before, perhaps."""
        self._slots = {}
        for slot in self._registry.by_number.values():
            if slot.data.get("rule") and set_of(slot.data) not in self._slots:
                self._slots[set_of(slot.data)] = slot
        self._since = {name: since for name, since in self._since.items() if name in self._slots}
        self._told = {name: None for name in self._told if name in self._slots}
        self._end_reading()
        self._tables = []
        self.changed()
        self._asked_at = self._clock() + SETTLE if [1 for name in self._slots if name[0] == "ipset"] else NEVER
        self._move()

    def close(self) -> None:
        self._dump.close()
        self._asking.close()
        self._dispatcher.cancel(self._timer)

    def changed(self) -> None:
        """Rules have come or gone, or sets."""
        if [1 for name in self._slots if name[0] == "nftset"]:
            self._read_at = min(self._read_at, max(self._clock() + SETTLE, self._not_before))
            self._move()
        else:
            self._read_at = NEVER

    def findings(self) -> "list[Finding]":
        """Return a finding for each set that no rule uses. Besides what findings have: `target`, `set` and `rule`."""
        found: list[Finding] = []
        for name in self._told:
            slot = self._slots[name]
            if slot.state.usable and len(found) < MAX_TOLD:
                found.append(self._finding(slot))
        return found

    def _finding(self, slot: Slot) -> "Finding":
        data = slot.data
        message, hint = unused(data)
        made = finding("warning", CODE, message, hint)
        made["target"], made["set"], made["rule"] = data["target"], data["set"], data["rule"]
        return made

    # -- looking -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Do what is due now, and a part of what is under way."""
        moment = self._clock()
        if moment >= self._read_at and not self._tables:
            self._read_at, self._not_before = moment + EVERY, moment + PACE
            self._tables = list({name[1:3]: None for name in self._slots if name[0] == "nftset"})
        if self._tables:
            self._read_rules(moment)
        if moment >= self._asked_at:
            self._asked_at = moment + PACE
            self._ask_ipsets(moment)
        for name, since in self._since.items():
            if name not in self._told and moment >= since + GRACE:
                self._told[name] = None
                self._say("warning", sentences(self._finding(self._slots[name])))
        self._move()

    def _move(self) -> None:
        """Be called when there is something to do next."""
        times = [since + GRACE for name, since in self._since.items() if name not in self._told]
        self._timer.move(self._clock() if self._tables else min(times + [self._read_at, self._asked_at]))

    def _read_rules(self, moment: float) -> None:
        """Read a part of the rules of the present table."""
        family, table = self._tables[-1]
        names = [name for name in self._slots if name[:3] == ("nftset", family, table)]
        try:
            if self._reading is None:
                self._sequence += 1
                self._reading = Users(self._dump, self._sequence, family, table, [name[3] for name in names])
            for _ in range(SLICE):
                if not self._reading.go_on():
                    break
            else:
                return
        except OSError:
            self._end_reading()  # there is another time
            self._tables = []
            return
        users = self._reading
        self._end_reading()
        del self._tables[-1]
        if not users.whole:
            self._read_at = min(self._read_at, self._not_before)
        for name in names:
            if name[3] in users.used:
                self._used(name)
            elif users.whole:
                self._unused(name, moment)

    def _end_reading(self) -> None:
        self._reading = None
        self._dump.close()

    def _ask_ipsets(self, moment: float) -> None:
        for name, slot in self._slots.items():
            if name[0] != "ipset":
                continue
            self._sequence += 1
            count = ask_ipset(self._asking, name[3], slot.data["protocol"], self._sequence, IPSET_ATTR_REFERENCES)
            if count is None:
                continue
            if count > 0:
                self._used(name)
            elif count < 0:
                self._forget(name)
            else:
                self._unused(name, moment)
        self._asking.close()

    # -- what is known -----------------------------------------------------------------------------------------------

    def _unused(self, name: "Name", moment: float) -> None:
        """No rule uses a set. One that is not there is in another trouble."""
        if not self._slots[name].state.usable:
            self._forget(name)
        elif name not in self._since:
            self._since[name] = moment

    def _used(self, name: "Name") -> None:
        """A rule uses a set."""
        if name in self._told:
            slot = self._slots[name]
            self._say("notice", "target '" + slot.data["target"] + "': " + named(slot.data) + " is used by a rule now")
        self._forget(name)

    def _forget(self, name: "Name") -> None:
        self._since.pop(name, None)
        self._told.pop(name, None)
