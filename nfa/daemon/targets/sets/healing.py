"""Restores elements that other programs remove from the daemon's sets, with the time they have left.

In: nftables' notifications, a count of each ipset now and then, and what `writer` learns from the kernel's answers. Out:
managed sets created again, and their elements restored, some in each turn of the loop. The state of a set says what to do
with it (`states`).

A managed set is the daemon's: whatever happens to it, it comes back. One that is not managed may be deleted, and stays so; when
it is created again or was only flushed, its elements are restored. Nothing is restored to a set that the daemon itself flushed.
What cannot be restored now is tried again, starting with the element that the kernel did not take.
"""

import errno
import select

from ...base.portable import ORDERED, monotonic, reason
from ...netlink.monitor import (
    CHAIN_GONE,
    ELEMENTS_GONE,
    RULE_GONE,
    RULE_MADE,
    SET_MADE,
    TABLE_GONE,
    Monitor,
    ask_ipset,
)
from ...netlink.socket import Dump
from .errors import label
from .slot import RETRY_OTHER, Slot
from .states import FULL, GONE, LOST, MADE, MAKE, NOT_OURS, NOTHING, RESTORE_OWED, THERE

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ...base.dispatcher import Dispatcher
    from ..types import Say
    from .writer import Sets

CHUNK = 512
"""Elements restored at once: under a millisecond."""
MAX_NAMED = 512
"""Elements of one set that are restored one by one in a second. If others remove more, the whole set is written again."""
BURST = 4
"""Times that all of one set is written at once before its `pace` counts."""
CHECK_EVERY = 0.4
"""Seconds between two looks at how many elements each ipset has."""
ASK_AGAIN = 0.1
"""Seconds until an ipset that lacks elements is looked at again: it is to be written only when it lacks them still."""
LISTEN = 0.2
"""Seconds in which notifications are read before a set is written: what was done before is not to cause another writing."""
MAY_BE_GONE = 2
"""With this many seconds left or fewer, the kernel may already have dropped an element: it need not be there."""
MAX_EXPIRING = 1 << 16
"""Elements looked at for those: some milliseconds. An ipset of which more end at once is not judged in that second."""
QUIET = 300
"""Seconds in which the repair of one set is reported once: a firewall may be reloaded each second."""
NEVER = 1e18


class Rewriting:
    """All elements of one slot on their way back, those that live longest first.

    `keys` are those yet to come, `written` counts the others, `found_missing` those of them that the set did not have; `took`
    is how many seconds of work that was.
    """

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.keys = list(slot.live)
        self.took = 0.0
        self.written = 0
        self.found_missing = 0


class Healing:
    """Watches over the slots of a registry. `sets` writes, `say` reaches the log, `clock` is the monotonic one."""

    def __init__(
        self, registry: "Any", sets: "Sets", say: "Say", attach: "Any", clock: "Callable[[], float]" = monotonic
    ) -> None:
        """`attach`: as for `Monitor`."""
        self._attach = attach
        self._registry = registry
        self._sets = sets
        self._say = say
        self._clock = clock
        self._monitor: Monitor | None = None
        self._dump = Dump()
        self._sequence = 0
        self._check_at = 0.0
        self._quiet: dict[tuple[str, str], int] = {}
        self._rewritings: dict[int, Rewriting] = {}
        """By the slot's number."""
        self._rewrite_at: dict[int, float] = {}
        """When all of a slot's elements may be written again, of the monotonic clock."""
        self._named: dict[int, int] = {}
        """How many elements others took out of each slot's set in this second, one by one."""
        self._tables_gone: set[int] = set()
        """Slots whose whole table was deleted: rules that stood in it are gone."""
        self._unsure: set[int] = set()
        """Slots whose elements may be gone without our knowing: notifications were missed."""
        self._suspects: dict[int, float] = {}
        """Slots of ipsets that seem to lack elements, and when to look again."""
        self._listen_until = 0.0
        """No set is written before that: there are more notifications."""
        self.deadline = NEVER
        """When there is something to do next, of the monotonic clock."""
        self.descriptor = -1
        self.on_rules: Callable[[], object] | None = None
        """Called when rules, or sets that rules may use, have come or gone."""

    def open(self, dispatcher: "Dispatcher") -> None:
        """Listen to nftables; without the rights or the kernel for it, there is nothing to heal."""
        try:
            self._monitor = Monitor(self._sets.port(), self._attach)
        except OSError as failure:
            self._say("warning", "cannot monitor what other programs do to nftables: " + reason(failure))
            return
        self.descriptor = self._monitor.descriptor
        dispatcher.watch(self.descriptor, select.POLLIN, self._notified)
        self._dispatcher = dispatcher

    def _notified(self, descriptor: int, event: int, moment: float) -> None:
        self.ready()

    def close(self) -> None:
        self._dump.close()
        if self.descriptor >= 0:
            self._dispatcher.unwatch(self.descriptor)
        if self._monitor is not None:
            self._monitor.close()

    def watch(self) -> None:
        """There are other slots than before: the kernel need not tell of elements in tables where there is none."""
        slots = self._registry.by_number
        self._rewrite_at = {number: at for number, at in self._rewrite_at.items() if number in slots}
        if self._monitor is not None:
            self._monitor.watch({slot.data["table"] for slot in self._slots("nftset")})

    def _slots(self, kind: str) -> list[Slot]:
        return [slot for slot in self._registry.by_number.values() if slot.data["kind"] == kind]

    # -- what has happened ------------------------------------------------------------------------------------------

    def ready(self) -> None:
        """Notifications have come."""
        assert self._monitor is not None
        missed = self._monitor.lost
        try:
            told = self._monitor.read()
        except OSError:
            self._monitor.lost += 1
            told = {}
        if not self._monitor.more:
            if self._listen_until:
                self._listen_until, self.deadline = 0.0, self._clock()
        elif not self._listen_until:
            self._listen_until = self._clock() + LISTEN
        slots = self._slots("nftset")
        changed = self._monitor.lost > missed
        for (kind, family, table, name), keys in told.items():
            changed = changed or kind != ELEMENTS_GONE
            if kind not in (RULE_MADE, SET_MADE):
                self._registry.table.changed(family, table, name)
                self.deadline = min(self.deadline, self._registry.table.deadline)
            for slot in slots if kind not in (RULE_MADE, RULE_GONE, CHAIN_GONE) else ():
                data = slot.data
                if data["table_family"] == family and data["table"] == table and name in ("", data["set"]):
                    self._told(slot, kind, keys)
        if self._monitor.lost > missed:
            self._registry.table.changed(0, "", "")
            self.deadline = min(self.deadline, self._registry.table.deadline)
            for slot in slots:
                self._sets.lost(slot, 0)
                self._unsure.add(slot.number)
        if changed and self.on_rules is not None:
            self.on_rules()

    def _told(self, slot: Slot, kind: int, keys: list[bytes]) -> None:
        """One notification is about a slot's set."""
        if kind == ELEMENTS_GONE:
            self._elements_gone(slot, keys)
        elif kind == SET_MADE:
            # Somebody made it, after it was deleted: what was in it is not in it now.
            if slot.state.value == NOT_OURS:
                self._sets.happens(slot, MADE)
                self._sets.works(slot)
            else:
                slot.renew_form()
                self._sets.lost(slot)
        elif slot.data["managed"]:
            if kind == TABLE_GONE:
                self._tables_gone.add(slot.number)
            self._sets.happens(slot, GONE)
        elif slot.state.usable:
            self._sets.fail(slot, errno.ENOENT, int(self._clock()) + 1)

    def _elements_gone(self, slot: Slot, keys: list[bytes]) -> None:
        """Another program removed elements from a set; b"": some that could not be read."""
        if "map" in slot.data and len(keys) > MAX_NAMED // 4:
            self._sets.lost(slot, len(keys))  # to find whose each is would take longer
            return
        packed = self._sets.packer(slot)
        taken = [packed(key) for key in keys]
        if b"" in taken:
            self._sets.lost(slot, 0)
        taken = [key for key in taken if key in slot.live and key not in slot.adds]
        named = self._named[slot.number] = self._named.get(slot.number, 0) + len(taken)
        if slot.state.all_owed or named > MAX_NAMED:
            self._sets.lost(slot, len(taken))
        elif taken:
            self._sets.lost_some(slot, taken)

    def tick(self, moment: float) -> None:
        """A second is over."""
        self._named = {}
        if [1 for slot in self._slots("ipset") if slot.live]:
            self.deadline = min(self.deadline, self._check_at)

    def _look(self, moment: float) -> None:
        """Look at the ipsets now and then; a second time at those that seemed to lack elements."""
        for number in [number for number, at in self._suspects.items() if moment >= at]:
            del self._suspects[number]
            slot = self._registry.by_number.get(number)
            count = self._lacks(slot) if slot is not None else 0
            if count:
                self._sets.lost(slot, count)
        if moment < self._check_at:
            return
        self._check_at = moment + CHECK_EVERY
        for slot in self._slots("ipset"):
            if self._lacks(slot):
                self._suspects.setdefault(slot.number, moment + ASK_AGAIN)

    def _lacks(self, slot: Slot) -> int:
        """Return how many elements an ipset lacks; 0 also where that cannot be said now. Notes that it is gone, or back."""
        if not slot.live or slot.state.value not in (THERE, NOT_OURS) or slot.adds or slot.number in self._rewritings:
            return 0
        size = self._size(slot)
        if size is None:
            return 0
        if slot.state.value == NOT_OURS:
            if size >= 0:
                self._sets.happens(slot, MADE)
                self._sets.works(slot)
            return 0
        if size < 0:
            self._sets.fail(slot, errno.ENOENT, int(self._clock()) + 1)
            return 0
        limit = int(self._clock()) + 1 + MAY_BE_GONE
        ending = 0
        for deadline in slot.live.values():  # in the order in which they end
            if 0 < (deadline if deadline >= 0 else ~deadline) <= limit:
                ending += 1
            elif ORDERED:
                break
            if ending > MAX_EXPIRING:
                return 0
        return max(0, len(slot.live) - ending - size)

    def _size(self, slot: Slot) -> int | None:
        """Return how many elements an ipset has; -1: there is none, None: the kernel does not say."""
        self._sequence += 1
        return ask_ipset(self._dump, slot.data["set"], slot.data["protocol"], self._sequence)

    # -- restoring --------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether there is something to do now."""
        return self._sets.changed or self._clock() >= self.deadline

    def go_on(self, now: int, soon: "Callable[[], bool]") -> None:
        """Restore what is lost, until `soon()` says that the turn of the loop has been long enough; a part in any case."""
        moment = self._clock()
        self.deadline = moment + Slot.pace  # whatever goes wrong below
        self._look(moment)
        self._sets.changed = False
        self._registry.table.heal(now)
        for slot in self._slots("nftset") + self._slots("ipset"):
            due = slot.state.due(now)
            if due == NOTHING:
                continue
            if due == RESTORE_OWED and not slot.state.all_owed:
                self._restore_named(slot, now)
            elif moment >= max(self._rewrite_at.get(slot.number, 0.0), self._listen_until):
                self._begin(slot, due, now, moment)
        for number, rewriting in list(self._rewritings.items()):
            state = rewriting.slot.state
            if self._registry.by_number.get(number) is not rewriting.slot:
                del self._rewritings[number]  # a reload has put it out of use
            while number in self._rewritings and now >= state.retry_at:
                self._step(rewriting, now)
                if soon():
                    break
        self.deadline = self._next(moment)

    def _next(self, moment: float) -> float:
        """Return when there is something to do next. The second `now` begins at the moment `now - 1`."""
        times = list(self._suspects.values())
        for slot in self._slots("nftset") + self._slots("ipset"):
            state = slot.state
            if slot.data["kind"] == "ipset" and slot.live:
                times.append(self._check_at)
            if state.waits:
                times.append(max(self._rewrite_at.get(slot.number, 0.0), state.retry_at - 1, self._listen_until))
            elif slot.number in self._rewritings:
                times.append(state.retry_at - 1)
        times.append(self._registry.table.deadline)
        return min(times) if times else NEVER

    def _begin(self, slot: Slot, due: int, now: int, moment: float) -> None:
        """Make sure that the set exists, and begin to restore all elements."""
        before = self._rewrite_at.get(slot.number, 0.0)
        self._rewrite_at[slot.number] = max(moment - (BURST - 1) * slot.pace, before) + slot.pace
        if due == MAKE and not self._sets.provide(slot, now, False):
            return
        if not slot.live and not slot.state.usable:
            slot.state.wait(now + RETRY_OTHER)  # there is no element that could tell
        elif slot.state.all_owed:
            slot.state.take_all()
            self._rewritings[slot.number] = Rewriting(slot)

    def _step(self, rewriting: Rewriting, now: int) -> None:
        """Restore the next part of a slot's elements."""
        slot, state = rewriting.slot, rewriting.slot.state
        began = self._clock()
        part = rewriting.keys[-CHUNK:]
        del rewriting.keys[-CHUNK:]
        written, found, waiting = self._restore(slot, part, now)
        rewriting.written += written
        rewriting.found_missing += found
        rewriting.keys += waiting
        rewriting.took += self._clock() - began
        if state.value not in (LOST, FULL, THERE):
            del self._rewritings[slot.number]  # it is gone once more: all of it is owed
            state.restored()
            return
        if rewriting.keys:
            return
        del self._rewritings[slot.number]
        self._rewrite_at[slot.number] = self._rewrite_at.get(slot.number, 0.0) + max(
            0.0, slot.share * rewriting.took - slot.pace
        )
        state.restored()
        if state.usable:
            self._sets.works(slot)
        if state.all_owed:
            return
        gone, self._tables_gone = slot.number in self._tables_gone, self._tables_gone - {slot.number}
        unsure = slot.number in self._unsure
        self._unsure.discard(slot.number)
        replaced, state.replaced = state.replaced, False
        if rewriting.found_missing:
            some = unsure and rewriting.found_missing < rewriting.written
            count = ("at least " if some else "") + _elements(rewriting.found_missing)
            words = " was flushed or deleted by another program: " + count + " restored"
            if gone and "map" not in slot.data:
                words = (
                    " was deleted by another program with its table: " + count + " restored, but not the rules in that table"
                )
            if replaced:
                words = " was replaced: " + count + " restored"
            self._tell(slot, words, now)
        elif rewriting.written:
            words = ": too many changes by other programs to follow; " + _elements(rewriting.written) + " written again"
            self._tell(slot, words, now)

    def _restore_named(self, slot: Slot, now: int) -> None:
        """Restore elements that another program removed one by one."""
        _, found, waiting = self._restore(slot, slot.state.take_owed(), now)
        slot.state.owe(waiting)
        if not waiting and slot.number not in self._rewritings:
            slot.state.restored()
        if found:
            words = " was flushed or deleted" if found >= len(slot.live) else ": elements were deleted"
            self._tell(slot, words + " by another program: " + _elements(found) + " restored", now)

    def _restore(self, slot: Slot, keys: list[bytes], now: int) -> tuple[int, int, list[bytes]]:
        """Restore elements. Returns how many were written, how many of those were missing, and what is to be tried again."""
        wanted = [key for key in keys if key in slot.live and key not in slot.adds and not 0 < slot.expires(key) <= now]
        written, waiting = self._sets.restore(slot, wanted, now) if wanted else (0, [])
        found = min(written, slot.state.away)
        slot.state.paid(len(keys) - len(waiting))
        slot.counters.restored += found
        return written, found, waiting

    def _tell(self, slot: Slot, words: str, now: int) -> None:
        name = (slot.data["kind"], slot.data["table"] + " " + slot.data["set"])
        if now >= self._quiet.get(name, 0):
            self._quiet[name] = now + QUIET
            self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + words)


def _elements(count: int) -> str:
    return str(count) + (" element" if count == 1 else " elements")
