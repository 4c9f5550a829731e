"""What somebody else takes out of the daemon's sets is put back, with the time it has left.

In: nftables' notifications, a count of each ipset now and then, and what `kernel` finds out when it writes. Out: sets made
again, if they are managed, and their elements put back, some in each turn of the loop.

A managed set is the daemon's: whatever happens to it, it comes back. One that is not managed may be deleted, and stays so; when
it is made again or was only emptied, its elements come back. What the daemon empties itself has nothing to put back.
"""

from ..netlink.monitor import SET_GONE, TABLE_GONE, Monitor, ask_size, size_of
from ..netlink.socket import Dump
from ..portable import reason
from .errors import label
from .slot import Slot

CHUNK = 512
"""Elements put back at once: under a millisecond."""
CHECK_EVERY = 0.9
"""Seconds between two looks at how many elements each ipset has: each second, as the loop's seconds go."""
QUIET = 300
"""Seconds in which one set's misfortune is told once: a firewall may be reloaded each second."""


class Healing:
    """Watches over the slots of a registry. `sets` writes, `say` reaches the log."""

    def __init__(self, registry, sets, say, attach) -> None:
        """`attach`: as for `Monitor`."""
        self._attach = attach
        self._registry = registry
        self._sets = sets
        self._say = say
        self._monitor: Monitor | None = None
        self._dump = Dump()
        self._sequence = 0
        self._check_at = 0.0
        self._quiet: dict[tuple[str, str], int] = {}
        self._work: object = None
        self.descriptor = -1

    def open(self, poll, events: int) -> None:
        """Listen to nftables; without the rights or the kernel for it, there is nothing to heal."""
        try:
            self._monitor = Monitor(self._sets.port(), self._attach)
        except OSError as failure:
            self._say("warning", "what others do to nftables cannot be noticed: " + reason(failure))
            return
        self.descriptor = self._monitor.descriptor
        poll.register(self.descriptor, events)

    def close(self) -> None:
        self._dump.close()
        if self._monitor is not None:
            self._monitor.close()

    def _slots(self, kind: str) -> list[Slot]:
        return [slot for slot in self._registry.by_number.values() if slot.data["kind"] == kind]

    def _lost(self) -> list[Slot]:
        return [slot for kind in ("nftset", "ipset") for slot in self._slots(kind) if slot.lost]

    def ready(self) -> None:
        """Notifications have come."""
        assert self._monitor is not None
        missed = self._monitor.lost
        try:
            told = self._monitor.read()
        except OSError:
            self._monitor.lost += 1
            told = []
        if self._monitor.lost > missed:
            for slot in self._slots("nftset"):
                self._sets.lose(slot)
        for kind, family, table, name in told:
            for slot in self._slots("nftset"):
                data = slot.data
                here = data["table_family"] == family and data["table"] == table
                mine = here and (kind == TABLE_GONE or data["set"] == name)
                if mine and (data["managed"] or kind not in (TABLE_GONE, SET_GONE)):
                    self._sets.lose(slot)

    def tick(self, moment: float) -> None:
        """Look at the ipsets, now and then."""
        if moment < self._check_at:
            return
        self._check_at = moment + CHECK_EVERY
        for slot in self._slots("ipset"):
            if slot.live and not slot.trouble and not slot.adds:
                size = self._size(slot)
                # Those that end in this second may be gone already.
                ending = sum([1 for key in list(slot.live)[:CHUNK] if 0 < slot.expires(key) <= int(moment) + 3])
                if size is not None and (slot.data["managed"] if size < 0 else size < len(slot.live) - ending):
                    self._sets.lose(slot)

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

    @property
    def busy(self) -> bool:
        """Whether there is something to put back."""
        return self._work is not None or self._sets.losses

    def go_on(self, now: int, soon) -> None:
        """Put back what is lost, until `soon()` says that the turn of the loop has been long enough."""
        while self.busy and not soon():
            if self._work is None:
                lost = self._lost()
                if not lost:
                    self._sets.losses = False
                    return
                self._work = self._put_back(lost[0], now)
            try:
                next(self._work)  # type: ignore[call-overload]
            except StopIteration:
                self._work = None

    def _put_back(self, slot: Slot, now: int):
        """A generator: puts back the elements of one slot, a part at each step."""
        provided = not slot.data["managed"] or self._sets.provide(slot, now, False)
        slot.lost = False
        if not provided:
            return
        keys = [key for key in slot.live if key not in slot.adds]
        count = 0
        for start in range(0, len(keys), CHUNK):
            if self._registry.by_number.get(slot.number) is not slot:
                return  # a reload has put it out of use
            part = [key for key in keys[start : start + CHUNK] if key in slot.live and not 0 < slot.expires(key) <= now]
            error = self._sets.put_back(slot, part, now) if part else 0
            if error:
                self._sets.fail(slot, error, now)
                return
            count += len(part)
            yield
        name = (slot.data["kind"], slot.data["table"] + " " + slot.data["set"])
        if count and now >= self._quiet.get(name, 0):
            self._quiet[name] = now + QUIET
            words = " was emptied or deleted by somebody: " + str(count) + " elements put back"
            self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + words)
