"""What somebody else takes out of the daemon's sets is put back, with the time it has left.

In: nftables' notifications, a count of each ipset now and then, and what `kernel` finds out when it writes. Out: sets made
again, if they are managed, and their elements put back, some in each turn of the loop.

A managed set is the daemon's: whatever happens to it, it comes back. One that is not managed may be deleted, and stays so; when
it is made again or was only emptied, its elements come back. What the daemon empties itself has nothing to put back. What
cannot be put back now is tried again, from the element on that the kernel did not take.
"""

import errno
import select

from ...base.portable import ORDERED, monotonic, reason
from ...netlink.monitor import ELEMENTS_GONE, SET_GONE, TABLE_GONE, Monitor, ask_size, size_of
from ...netlink.nftables import packer
from ...netlink.socket import Dump
from .errors import IS_FULL, label
from .slot import Slot

CHUNK = 512
"""Elements put back at once: under a millisecond."""
MAX_NAMED = 512
"""Elements of one set that are put back one by one in a second. When others take out more, the whole set is written."""
PACE = 1.0
"""Seconds between two times that all of one set is written, when others empty it in a loop."""
BURST = 4
"""Times that it is written at once before that counts."""
CHECK_EVERY = 0.9
"""Seconds between two looks at how many elements each ipset has: each second, as the loop's seconds go."""
ASK_AGAIN = 0.1
"""Seconds until an ipset that lacks elements is looked at again: it is to be written only when it lacks them still."""
LISTEN = 0.2
"""Seconds in which notifications are read before a set is written: what was done before is not to cause another writing."""
ENDING = 2
"""Seconds an element has left that the kernel may have dropped already."""
MAX_ENDING = 1 << 16
"""Elements looked at for those: some milliseconds. An ipset of which more end at once is not judged in that second."""
QUIET = 300
"""Seconds in which one set's misfortune is told once: a firewall may be reloaded each second."""
NEVER = 1e18


class Rewriting:
    """All elements of one slot on their way back, those that live longest first.

    `keys` are those yet to come, `written` counts the others, `found_missing` those of them that the set did not have.
    """

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.keys = list(slot.live)
        self.written = 0
        self.found_missing = 0


class Healing:
    """Watches over the slots of a registry. `sets` writes, `say` reaches the log, `clock` is the monotonic one."""

    def __init__(self, registry, sets, say, attach, clock=monotonic) -> None:
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

    def open(self, dispatcher) -> None:
        """Listen to nftables; without the rights or the kernel for it, there is nothing to heal."""
        try:
            self._monitor = Monitor(self._sets.port(), self._attach)
        except OSError as failure:
            self._say("warning", "what others do to nftables cannot be noticed: " + reason(failure))
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
        for (kind, family, table, name), keys in told.items():
            for slot in slots:
                data = slot.data
                if data["table_family"] != family or data["table"] != table or name not in ("", data["set"]):
                    continue
                if kind == ELEMENTS_GONE:
                    self._elements_gone(slot, keys)
                elif data["managed"] or kind not in (TABLE_GONE, SET_GONE):
                    if not data["managed"]:
                        slot.retry_at = 0  # it may be there again
                    self._sets.lose(slot)
                else:
                    slot.away = len(slot.live)
                    if not slot.trouble:
                        self._sets.fail(slot, errno.ENOENT, int(self._clock()) + 1)
                if kind == TABLE_GONE and data["managed"]:
                    self._tables_gone.add(slot.number)
        if self._monitor.lost > missed:
            for slot in slots:
                self._sets.lose(slot, 0)
                self._unsure.add(slot.number)

    def _elements_gone(self, slot: Slot, keys: list[bytes]) -> None:
        """Somebody has taken elements out of a set; b"": some that could not be read."""
        packed = packer(slot.data["fields"], slot.data["family"], slot.number)
        taken = [packed(key) for key in keys]
        if b"" in taken:
            self._sets.lose(slot, 0)
        taken = [key for key in taken if key in slot.live and key not in slot.adds]
        named = self._named[slot.number] = self._named.get(slot.number, 0) + len(taken)
        if slot.lost or named > MAX_NAMED:
            self._sets.lose(slot, len(taken))
        elif taken:
            self._sets.lose_some(slot, taken)

    def tick(self, moment: float) -> None:
        """Look at the ipsets, now and then."""
        if moment < self._check_at:
            return
        self._check_at = moment + CHECK_EVERY
        self._named = {}
        for slot in self._slots("ipset"):
            if self._lacks(slot):
                self._suspects.setdefault(slot.number, moment + ASK_AGAIN)
                self.deadline = min(self.deadline, moment + ASK_AGAIN)

    def _look_again(self, moment: float) -> None:
        """Look a second time at ipsets that seemed to lack elements."""
        for number in [number for number, at in self._suspects.items() if moment >= at]:
            del self._suspects[number]
            slot = self._registry.by_number.get(number)
            count = self._lacks(slot) if slot is not None else 0
            if count:
                self._sets.lose(slot, count)

    def _lacks(self, slot: Slot) -> int:
        """Return how many elements are missing in an ipset; 0 also where that cannot be said now."""
        if not slot.live or slot.trouble or slot.adds or slot.lost or slot.number in self._rewritings:
            return 0
        size = self._size(slot)
        if size is None:
            return 0
        if size < 0:
            return len(slot.live)
        limit = int(self._clock()) + 1 + ENDING
        ending = 0
        for deadline in slot.live.values():  # in the order in which they end
            if 0 < (deadline if deadline >= 0 else ~deadline) <= limit:
                ending += 1
            elif ORDERED:
                break
            if ending > MAX_ENDING:
                return 0
        return max(0, len(slot.live) - ending - size)

    def _size(self, slot: Slot) -> int | None:
        """Return how many elements an ipset has; -1: there is none, None: the kernel does not say."""
        self._sequence += 1
        found = None
        try:
            self._dump.ask(ask_size(slot.data["set"], slot.data["protocol"], self._sequence))
            while True:
                data = self._dump.next()
                if not data:
                    return found
                size = size_of(data, self._sequence)
                found = size if size is not None else found
        except OSError:
            return None

    # -- putting back -----------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether there is something to do now."""
        return bool(self._sets.losses) or self._clock() >= self.deadline

    def go_on(self, now: int, soon) -> None:
        """Put back what is lost, until `soon()` says that the turn of the loop has been long enough; a part in any case."""
        moment = self._clock()
        self._sets.losses = False
        self.deadline = moment + PACE  # whatever goes wrong below
        self._look_again(moment)
        for slot in self._slots("nftset") + self._slots("ipset"):
            if slot.missing and now >= slot.retry_at:
                self._put_back_missing(slot, now)
            if slot.lost and now >= slot.retry_at and moment >= max(slot.rewrite_at, self._listen_until):
                self._begin(slot, now, moment)
        for number, rewriting in list(self._rewritings.items()):
            if self._registry.by_number.get(number) is not rewriting.slot:
                del self._rewritings[number]  # a reload has put it out of use
            while number in self._rewritings and now >= rewriting.slot.retry_at:
                self._step(rewriting, now)
                if soon():
                    break
        self.deadline = self._next(moment)

    def _next(self, moment: float) -> float:
        """Return when there is something to do next. The second `now` begins at the moment `now - 1`."""
        times = list(self._suspects.values())
        for slot in self._slots("nftset") + self._slots("ipset"):
            if slot.lost:
                times.append(max(slot.rewrite_at, slot.retry_at - 1, self._listen_until))
            elif slot.missing or slot.number in self._rewritings:
                times.append(slot.retry_at - 1)
        return min(times) if times else NEVER

    def _begin(self, slot: Slot, now: int, moment: float) -> None:
        """See that there is a set, and begin to put everything back. Where there is none, the slot stays lost."""
        slot.rewrite_at = max(moment - (BURST - 1) * PACE, slot.rewrite_at) + PACE
        if slot.data["managed"] and not self._sets.provide(slot, now, False):
            return
        slot.lost = False
        slot.missing = {}
        self._rewritings[slot.number] = Rewriting(slot)

    def _step(self, rewriting: Rewriting, now: int) -> None:
        """Put back the next part of a slot's elements."""
        slot = rewriting.slot
        part = rewriting.keys[-CHUNK:]
        del rewriting.keys[-CHUNK:]
        written, found, waiting = self._put_back(slot, part, now)
        rewriting.written += written
        rewriting.found_missing += found
        rewriting.keys += waiting
        if rewriting.keys:
            return
        del self._rewritings[slot.number]
        if slot.trouble == IS_FULL:
            self._sets.works(slot)
        if not slot.lost and not slot.missing:
            slot.away = 0
        gone, self._tables_gone = slot.number in self._tables_gone, self._tables_gone - {slot.number}
        unsure = slot.number in self._unsure
        self._unsure.discard(slot.number)
        replaced, slot.replaced = slot.replaced, False
        if rewriting.found_missing:
            some = unsure and rewriting.found_missing < rewriting.written
            count = ("at least " if some else "") + _elements(rewriting.found_missing)
            words = " was emptied or deleted by somebody: " + count + " put back"
            if gone:
                words = " was deleted by somebody, with all of its table: " + count + " put back, but no rules that were in it"
            if replaced:
                words = " was replaced: " + count + " put back"
            self._tell(slot, words, now)
        elif rewriting.written:
            words = ": others changed too much at once to follow; " + _elements(rewriting.written) + " written again"
            self._tell(slot, words, now)

    def _put_back_missing(self, slot: Slot, now: int) -> None:
        """Put back elements that somebody took out one by one."""
        keys, slot.missing = list(slot.missing), {}
        _, found, waiting = self._put_back(slot, keys, now)
        for key in waiting:
            slot.missing[key] = None
        if found:
            words = " was emptied or deleted" if found >= len(slot.live) else ": elements were deleted"
            self._tell(slot, words + " by somebody: " + _elements(found) + " put back", now)

    def _put_back(self, slot: Slot, keys: list[bytes], now: int) -> tuple[int, int, list[bytes]]:
        """Put elements back. Returns how many were written, how many of those were missing, and what is to be tried again."""
        wanted = [key for key in keys if key in slot.live and key not in slot.adds and not 0 < slot.expires(key) <= now]
        written, waiting = self._sets.put_back(slot, wanted, now) if wanted else (0, [])
        found = min(written, slot.away)
        slot.away -= min(len(keys) - len(waiting), slot.away)
        slot.counters.restored += found
        return written, found, waiting

    def _tell(self, slot: Slot, words: str, now: int) -> None:
        name = (slot.data["kind"], slot.data["table"] + " " + slot.data["set"])
        if now >= self._quiet.get(name, 0):
            self._quiet[name] = now + QUIET
            self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + words)


def _elements(count: int) -> str:
    return str(count) + (" element" if count == 1 else " elements")
