"""What a budget allows: how much on which day, and when its periods begin and end, by the wall clock.

In: rows of the policy image (`nfa.compiler.budgets`), and moments (epoch seconds). Out: numbers of periods, days or weeks
counted from 1970; of each the amount, and when it ends. Nothing is remembered from one moment to the next.
"""

from ..engine.hours import DAY

MYPY = False
if MYPY:
    from typing import Any

    from ..engine.hours import Zone

_THURSDAY = 3
"""The weekday of 1 January 1970; Monday is 0."""


class Rules:
    """One budget of the policy."""

    def __init__(self, row: "dict[str, Any]") -> None:
        self.name: str = row["name"]
        self.amounts: list[tuple[int | None, int | None]] = row["amounts"]
        """Seconds and bytes of each day of the week, None for any."""
        self.week: bool = row["week"]
        self.weekday: int = row["start"][0]
        self.second: int = row["start"][1]
        """When a period begins: the weekday is that of weeks."""
        self.shared: bool = row["shared"]
        self.exempt: int = row["exempt"]
        """The number of the schedule in which nothing is counted, -1 for none."""
        self.words: str = row["words"]
        """What it allows, for people."""

    def form(self) -> tuple[bool, int, int]:
        """Return what periods of other budgets can be compared with: the same form has the same numbers."""
        return self.week, self.weekday, self.second

    def period(self, zone: "Zone", moment: int) -> int:
        """Return the number of the period that a moment is in."""
        day, second = zone.local(moment)
        if second < self.second:
            day -= 1
        return (day + _THURSDAY - self.weekday) // 7 if self.week else day

    def begin(self, zone: "Zone", period: int) -> int:
        """Return when a period begins, epoch seconds. A time that the clock leaves out is taken for the one after it."""
        day = period * 7 - _THURSDAY + self.weekday if self.week else period
        moment = zone.begin(day) + self.second
        off = (self.second - zone.local(moment)[1] + DAY // 2) % DAY - DAY // 2
        moment += off
        while self.period(zone, moment) < period:
            moment += 60
        while self.period(zone, moment - 60) >= period:
            moment -= 60
        return moment

    def amount(self, period: int) -> tuple[int | None, int | None]:
        """Return how many seconds and bytes there are in a period, None for any."""
        return self.amounts[0 if self.week else (period + _THURSDAY) % 7]
