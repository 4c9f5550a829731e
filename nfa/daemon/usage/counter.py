"""A counter of the running hour, and what is called for each record where only flows that count for budgets are counted.

In: what `counting` decides. Out: numbers that add up.
"""

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..engine.plans import Plan
    from .sets import Kind

    Flow = dict[str, Any]
    Announce = Callable[[int, Flow, int, Plan | None], None]
    Count = Callable[[int, bytes, list[bytes], bool], None]

AT_ONCE = 256
"""Bytes of a counter for a budget that are told in one turn of the loop."""


class Counter:
    """What flows of one code had in this hour. `local`, `other`: bytes that this end sent."""

    __slots__ = ("billed", "blocks", "code", "connections", "local", "other", "packets", "seen")

    def __init__(self, code: int, blocks: bool) -> None:
        self.code = code
        self.billed = 0
        """Bytes that budgets know of."""
        self.blocks = blocks
        """A firewall target of these actions blocks: packets are counted."""
        self.local = self.other = self.connections = self.packets = 0
        self.seen = 0
        """Bytes up to the end of the last minute."""


def add_to(row: list[int], code: int, counter: Counter) -> None:
    """Add a counter to down, up, connections and blocked packets of a row."""
    row[0] += counter.local if code & 1 else counter.other
    row[1] += counter.other if code & 1 else counter.local
    row[3] += counter.connections
    row[4] += counter.packets


class Bills:
    """The counters of flows that count for budgets: most policies have none."""

    def __init__(self) -> None:
        self._open: list[tuple[Counter, int, Kind]] = []
        """Each with the number of its device, and its kind."""
        self._next = 0
        """The one that is told next, in this round."""
        self.tell: Callable[[tuple[str, ...], str, int, int], None] | None = None
        """Called with budgets, owner ("": the device), number of the device, and the bytes since the last time."""

    def add(self, counter: Counter, device: int, kind: "Kind") -> None:
        """There is another counter of flows that count for budgets."""
        self._open.append((counter, device, kind))

    def settle(self) -> None:
        """Tell budgets all that flows had since the last time."""
        self._next = 0
        while not self.go_on():
            pass

    def begin(self) -> None:
        """Begin to tell budgets what flows had; a round that has not ended goes on."""
        if self._next >= len(self._open):
            self._next = 0

    def go_on(self) -> bool:
        """Tell some of it. Returns whether the round has ended: the next flows are for another turn of the loop."""
        left = AT_ONCE
        while self._next < len(self._open):
            if left <= 0:
                return False
            counter, device, kind = self._open[self._next]
            self._next += 1
            amount = counter.local + counter.other - counter.billed
            if amount and self.tell is not None:
                counter.billed += amount
                self.tell(kind[2], kind[3], device, amount)
                left -= len(kind[2])
        return True

    def keep(self, counters: "dict[int, Counter]") -> None:
        """Only these counters are left."""
        self._open = [one for one in self._open if counters.get(one[0].code) is one[0]]


def some_only(every: "tuple[Announce, Count]", young: "dict[int, int]", older: "dict[int, int]") -> "tuple[Announce, Count]":
    """Return the same functions for flows that count for budgets; others are left out. `young`, `older`: live flows."""
    announce, count = every

    def announce_some(digest: int, flow: "Flow", how: int, plan: "Plan | None") -> None:
        if plan is not None and plan.budgets:
            announce(digest, flow, how, plan)
        elif digest in young or digest in older:
            young.pop(digest, None)
            older.pop(digest, None)

    def count_some(digest: int, payload: bytes, fields: list[bytes], ended: bool) -> None:
        if digest in young or digest in older:
            count(digest, payload, fields, ended)

    return announce_some, count_some
