"""Schedules: when an action applies, by windows of time on days of the week, in wall clock time.

In: windows, the offsets of a time zone, and a moment (epoch seconds). Out: whether the action is applied at that moment.
Nothing is remembered from one moment to the next, so a clock that jumps (a router has none until NTP has told it) and the
change to summer time need no care: the answer is always that of the wall clock.
"""

MYPY = False
if MYPY:
    from collections.abc import Sequence

    Window = tuple[tuple[int, ...], int, int]

DAY = 86400
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_THURSDAY = 3
"""The weekday of 1 January 1970; Monday is 0."""


class Zone:
    """The offsets of a time zone: `changes` are (epoch second, offset in seconds) in order; the first holds before it, too."""

    def __init__(self, changes: list[tuple[int, int]]) -> None:
        self._changes = changes
        self._from = self._until = 0
        self._offset = 0

    def wall(self, moment: int) -> tuple[int, int]:
        """Return the wall clock time as (weekday, second of the day)."""
        days, second = self.local(moment)
        return (days + _THURSDAY) % 7, second

    def local(self, moment: int) -> tuple[int, int]:
        """Return the wall clock time as (days since 1970-01-01, second of the day)."""
        if not self._from <= moment < self._until:
            self._look(moment)
        return divmod(moment + self._offset, DAY)

    def begin(self, day: int) -> int:
        """Return the moment at which a day (counted from 1970-01-01) begins on the wall clock; not every day does at 0:00."""
        moment = day * DAY
        for _ in range(3):
            then, second = self.local(moment)
            moment -= (then - day) * DAY + second
        then, second = self.local(moment)
        return moment + DAY - second if then < day else moment

    def _look(self, moment: int) -> None:
        """Find the offset that holds at a moment, and from when until when it does."""
        start, offset = -(1 << 62), self._changes[0][1]
        for when, following in self._changes[1:]:
            if moment < when:
                self._from, self._until, self._offset = start, when, offset
                return
            start, offset = when, following
        self._from, self._until, self._offset = start, 1 << 62, offset


def shown(weekday: int, second: int) -> str:
    """Return a wall clock time as "sat 12:41"."""
    return DAYS[weekday] + f" {second // 3600}:{second // 60 % 60:02}"


def inside(window: "Window", weekday: int, second: int) -> bool:
    """Return whether a window (days, start, end) holds then. One that ends before it starts runs over midnight.

    Such a window belongs to the day it starts on: in the morning it holds when yesterday is one of its days.
    """
    days, start, end = window
    if start < end:
        return start <= second < end and weekday in days
    return (second >= start and weekday in days) or (second < end and (weekday - 1) % 7 in days)


def applies(inclusive: "Sequence[Window]", exclusive: "Sequence[Window]", weekday: int, second: int) -> bool:
    """Return whether an action is applied: in one of its inclusive windows, if it has any, and in none of the exclusive."""
    for window in exclusive:
        if inside(window, weekday, second):
            return False
    for window in inclusive:
        if inside(window, weekday, second):
            return True
    return not inclusive


def next_edge(inclusive: "Sequence[Window]", exclusive: "Sequence[Window]", zone: Zone, moment: int) -> int | None:
    """Return when (epoch seconds) an action begins or ends to be applied next; None: not within eight days."""
    weekday, second = zone.wall(moment)
    holds = applies(inclusive, exclusive, weekday, second)
    edges = {edge for window in list(inclusive) + list(exclusive) for edge in (0,) + tuple(window[1:])}
    for day in range(9):
        for edge in sorted(edges):
            when: int = moment - second + day * DAY + edge
            # The clock may be put forward or back before then.
            then = zone.wall(when)
            off = (edge - then[1] + DAY // 2) % DAY - DAY // 2
            when += off
            if when > moment and applies(inclusive, exclusive, *zone.wall(when)) != holds:
                return when
    return None
