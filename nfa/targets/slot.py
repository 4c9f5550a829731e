"""One kernel set and the life of its elements: added once, refreshed while a flow holds them, forgotten when they expire.

In: packed elements that flows want in the set, the present time in whole seconds, and what the kernel said of earlier
ones. Out: lists of elements to add and to refresh. A packed element begins with the slot's number (2 bytes), so that one
table of flows can hold elements of all sets. The kernel itself is spoken to in `kernel.py`.
"""

RETRY_FULL = 1
RETRY_OTHER = 5
MAX_LIVE = 1 << 18
"""Elements remembered for one set. Beyond that the older half is forgotten here (the kernel keeps it): it is added anew
when seen again, which does no harm."""
CARRIED = 3600
GRACE = 2
"""Seconds an element is remembered beyond its deadline. While it is, a new sighting refreshes it, which is right whether
or not the kernel still has it; a plain add would not lengthen the life of one that is about to end."""


class Counters:
    """What happened to one target since the daemon started: numbers for `status`."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.added = 0
        self.refreshed = 0
        self.withdrawn = 0
        """Elements taken out of a set that was emptied on purpose."""
        self.restored = 0
        """Elements put back into a set that somebody had deleted."""
        self.errors = 0
        self.skipped = 0
        """Flows that lack a field of the element (no MAC address, a port outside a bitmap's range)."""
        self.last_error = ""
        self.error_time = 0


class Slot:
    """One kernel set of one target and family, made from a slot of the policy image (see `provision`)."""

    def __init__(self, number: int, data: dict, counters: Counters) -> None:
        self.number = number
        self.counters = counters
        self.live: dict[bytes, int] = {}
        """Elements to the second they expire (0: never), oldest first."""
        self.adds: list[bytes] = []
        self.refreshes: list[bytes] = []
        self.trouble = ""
        """Why the set cannot be used now; "" while it can."""
        self.told = False
        """Those who listen for events have heard of the trouble."""
        self.retry_at = 0
        self.quiet_until = 0
        self.remade_at = 0
        self.carried_over = True
        """The set may hold elements that are not in `live` (of an earlier life of the daemon, or of somebody else): adding
        one of those must refresh it."""
        self._carried_until = 0
        self.ready = False
        """The set was made, or is somebody else's."""
        self.ttl: int = data["ttl"] if data["timeouts"] else 0
        self.take(data)

    def take(self, data: dict) -> None:
        """Use (new) data of the policy image; the elements stay, if they live as long as before."""
        self.data = data
        ttl: int = data["ttl"] if data["timeouts"] else 0
        if ttl != self.ttl:
            # What is in the set has the timeout of before: each element is renewed when it is seen again.
            self.live = {}
            self.carried_over = True
        self.ttl = ttl
        self._second = self._end = 0
        self.encoder: object = None
        self.expand = None
        """Both made by `kernel` when first needed; `expand` turns a packed element into the key of an nftables set."""

    def want(self, key: bytes, now: int) -> bytes:
        """A flow wants this element in the set. Returns the key that the set's table holds (one object for all holders)."""
        deadline = self.live.get(key)
        if deadline is None:
            if len(self.live) >= MAX_LIVE:
                self.forget(list(self.live)[: MAX_LIVE // 2])
            self.live[key] = self._deadline(now)
            self.adds.append(key)
        elif self.ttl and deadline - now <= (self.ttl >> 1 or 1):
            # Out and in again: the table stays in the order in which elements expire.
            del self.live[key]
            self.live[key] = self._deadline(now)
            self.refreshes.append(key)
        return key

    def _deadline(self, now: int) -> int:
        """Return when an element that is added now expires; one object for all of a second, which saves 32 bytes each."""
        if now != self._second:
            self._second = now
            self._end = now + self.ttl if self.ttl else 0
        return self._end

    def forget(self, keys: list[bytes]) -> None:
        """The kernel did not take these."""
        for key in keys:
            self.live.pop(key, None)

    def keep_carried(self, now: int) -> None:
        """The set is there: what an earlier life left in it can be there for a while. Others may fill sets of their own."""
        self._carried_until = now + max(self.ttl, CARRIED) if self.data["managed"] else 0

    def expire(self, now: int) -> None:
        """Forget what the kernel has dropped by itself. To be called each second."""
        if self.carried_over and self._carried_until and now >= self._carried_until:
            self.carried_over = False
        if not self.ttl:
            return
        limit = now - GRACE
        gone = []
        for key, deadline in self.live.items():
            if deadline > limit:
                break
            gone.append(key)
        for key in gone:
            del self.live[key]

    def take_pending(self) -> tuple[list[bytes], list[bytes]]:
        """Return the elements to add and to refresh, and begin new lists."""
        pending = self.adds, self.refreshes
        self.adds, self.refreshes = [], []
        return pending
