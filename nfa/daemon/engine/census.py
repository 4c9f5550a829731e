"""Counts the flows that began before nfa was connected: netifyd reports a flow once, so nothing can be decided about them.

In: digest keys of flow records, statistics and purges, and when netifyd was connected to. Out: `late`, those that live.
Statistics of a digest that was not announced since tell of such a flow. netifyd has statistics of a live flow every 15
seconds and purges one that is idle for 300 seconds, so after that time all of them are known.
"""

from ..base.portable import ROOM
from .flows import Flows

MYPY = False
if MYPY:
    from collections.abc import Callable

MAX_BEFORE = 8 * ROOM
"""Flows that began before, and digests that were announced while those are counted."""
WINDOW = 330
"""Seconds after connecting in which they are found."""


class Census:
    """`active`: it has to be told of records. `more`: there are more flows than `late` has."""

    def __init__(self) -> None:
        self.active = False
        self.late = Flows()
        self.more = False
        self._announced: set[int] | None = None
        """Digests of flow records, within the window."""
        self._until = 0
        self._begun = False
        self._again = False
        """netifyd was connected to again, and has not said yet whether it is the same."""

    @property
    def note(self) -> "Callable[[int], object] | None":
        """What to call with the digest of each flow that is announced, until `stats` is called; None: nothing."""
        if self.late.young or self.late.older:
            return self.flow
        return self._announced.add if self._announced is not None else None

    def bound(self) -> None:
        """Some flows were noted: there may be too many."""
        if self._announced is not None and len(self._announced) >= MAX_BEFORE:
            self.more = True
            self._end()

    def begin(self, now: int) -> None:
        """netifyd was connected to."""
        self._again, self._begun = self._begun, True
        if self._announced is None:
            self._announced = set()
        self.active = True
        self._until = now + WINDOW

    def agent(self, before: object, uptime: object) -> None:
        """netifyd tells for how long it has run, and told `before`. After a reconnect to the same one, nobody knows what it
        announced earlier; a new one announces all its flows."""
        if not isinstance(uptime, int) or not isinstance(before, int):
            return
        if uptime < before:
            self.late.clear()
            self.more = False
        elif self._again:
            self._end()
        self._again = False

    def flow(self, digest: int) -> None:
        """A flow is announced."""
        if self.late.young or self.late.older:
            self.late.pop(digest)
        if self._announced is not None:
            self._announced.add(digest)
            self.bound()

    def stats(self, digest: int) -> None:
        """A flow that holds nothing lives."""
        if self.late.renew(digest) is not None or self._announced is None or digest in self._announced:
            return
        if len(self.late) < MAX_BEFORE:
            self.late.put(digest, True)
        else:
            self.more = True

    def renamed(self, before: int, present: int) -> None:
        """A flow goes on under another digest."""
        if self._announced is not None and before in self._announced:
            self._announced.add(present)
        if self.late.pop(before) is not None:
            self.late.put(present, True)

    def purge(self, digest: int) -> None:
        """A flow has ended."""
        self.late.pop(digest)

    def tick(self, now: int) -> None:
        """To be called each second."""
        if self._announced is not None and now >= self._until:
            self._end()

    def age(self) -> None:
        """Forget those that were not heard from for long."""
        self.late.age()
        self.active = self._announced is not None or bool(self.late)

    def _end(self) -> None:
        """All that there are were found."""
        self._announced = None
        self.active = bool(self.late)
