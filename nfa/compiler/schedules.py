"""The hours of actions, for the policy image: windows by number, and the offsets of the time zone.

In: a checked policy, and where UCI's folder is. Out: `Schedules`; the daemon evaluates them by `engine.hours`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..daemon.engine.hours import DAY, DAYS, Zone, applies, shown
from .base.files import FileError, read_text
from .base.paths import Paths
from .base.report import Reports, quote
from .config.model import Policy, Window
from .config.ucitext import UciError, parse

if TYPE_CHECKING:
    import zoneinfo

    from .config.zone import Changes

Packed = tuple[tuple[int, ...], int, int]
"""A window: days (Monday is 0), start and end in seconds of the day."""


@dataclass
class Schedules:
    """`windows`: (inclusive, exclusive) windows of each schedule; `of`: action to the number of its schedule.

    `of_budgets`: budget to the number of the schedule that is its exempt time.
    """

    windows: list[tuple[list[Packed], list[Packed]]] = field(default_factory=list)
    of: dict[str, int] = field(default_factory=dict)
    of_budgets: dict[str, int] = field(default_factory=dict)
    changes: Changes = field(default_factory=lambda: [(0, 0)])
    zone: str = "UTC"
    """The zone in words: its name, or its POSIX string."""

    def now(self) -> tuple[int, int]:
        """Return (weekday, second of the day) that a wall clock shows in the zone."""
        return Zone(self.changes).wall(int(time.time()))

    def hold(self, action: str, at: tuple[int, int]) -> bool:
        """Return whether an action is within its hours at (weekday, second of the day)."""
        return action not in self.of or applies(*self.windows[self.of[action]], *at)

    def exempts(self, budget: str, at: tuple[int, int]) -> bool:
        """Return whether it is the exempt time of a budget ("": none) at (weekday, second of the day)."""
        return budget in self.of_budgets and applies(*self.windows[self.of_budgets[budget]], *at)

    def words(self, action: str) -> str:
        """Return the hours of an action as a person says them; "" for all hours."""
        return in_words(*self.windows[self.of[action]]) if action in self.of else ""


def _days(days: tuple[int, ...]) -> str:
    """Return days of the week with a hyphen for a run of them, as "sun-thu"; "" for all."""
    if len(days) == len(DAYS):
        return ""
    runs: list[list[int]] = []
    # A run may go on over Sunday: begin after a day that is not among them.
    first = next(day for day in range(7) if day not in days)
    for day in ((first + step) % 7 for step in range(7)):
        if day in days:
            if runs and (runs[-1][-1] + 1) % 7 == day:
                runs[-1].append(day)
            else:
                runs.append([day])
    words = [DAYS[run[0]] + (f"-{DAYS[run[-1]]}" if len(run) > 1 else "") for run in sorted(runs)]
    return ",".join(words) + " "


def in_words(inclusive: list[Packed], exclusive: list[Packed]) -> str:
    """Return windows as a person says them: "sun-thu 21:00-6:30, not wed 22:00-23:00"."""

    def window(packed: Packed) -> str:
        days, start, end = packed
        last = "24:00" if end == DAY else shown(0, end)[4:]
        return f"{_days(days)}{shown(0, start)[4:]}-{last}"

    return ", ".join([window(packed) for packed in inclusive] + [f"not {window(packed)}" for packed in exclusive])


def wall_time(text: str, weekday: int) -> tuple[int, int]:
    """Read a wall clock time: "21:30" (of `weekday`), "sat 21:30" or "2026-11-21 21:30". Raises ValueError."""
    *day, clock = text.lower().split()
    then = time.strptime(clock, "%H:%M")
    if len(day) > 1:
        raise ValueError(text)
    if day:
        weekday = DAYS.index(day[0][:3]) if day[0][:3] in DAYS else time.strptime(day[0], "%Y-%m-%d").tm_wday
    return weekday, then.tm_hour * 3600 + then.tm_min * 60


def schedules(policy: Policy, uci: str | None, reports: Reports, paths: Paths | None = None) -> Schedules:
    """Return the schedules of actions that have hours, and of the exempt time of budgets; the same hours are one schedule."""
    made = Schedules()
    for action in policy.actions:
        if action.time_of_day:
            made.of[action.name] = _number(made, action.time_of_day)
    budgets = [policy.budgets[action.budget] for action in policy.actions if action.budget in policy.budgets]
    for budget in budgets:
        if budget.exempt_time:
            made.of_budgets[budget.name] = _number(made, budget.exempt_time)
    if made.windows or policy.main["usage"] or budgets:
        from .config import zone  # with zoneinfo, most of a megabyte

        found = _zone(policy, uci, reports if made.windows or budgets else Reports(), paths or Paths())
        made.changes = zone.changes(found)
        made.zone = found.key if found else made.zone
    return made


def _number(made: Schedules, windows: Sequence[Window]) -> int:
    """Return the number of the schedule that has these windows, from now on if there was none."""
    packed = tuple(
        [(window.days, window.start, window.end) for window in windows if window.policy == policy]
        for policy in ("inclusive", "exclusive")
    )
    schedule = packed[0], packed[1]
    if schedule not in made.windows:
        made.windows.append(schedule)
    return made.windows.index(schedule)


def _zone(policy: Policy, uci: str | None, reports: Reports, paths: Paths) -> zoneinfo.ZoneInfo | None:
    """Return the zone that the policy names, else the system's."""
    from .config import zone

    system = _system_settings(uci, paths)
    if policy.timezone:
        try:
            return zone.find(policy.timezone, paths.look)
        except ValueError:
            same = system.get("zonename", "").replace(" ", "_") == policy.timezone
            if not same:
                origin = policy.origins.values.get("timezone")
                used = zone.system(system, paths.look)
                clock = Zone(zone.changes(used)).wall(int(time.time()))
                reports.warning(
                    "timezone-not-installed",
                    origin.place if origin else None,
                    f"the time zone {quote(policy.timezone)} is not known here: zone names need the zoneinfo database",
                    hint="install zoneinfo-core and the package of the region, such as zoneinfo-europe or "
                    "zoneinfo-northamerica, or write the POSIX form, such as CET-1CEST,M3.5.0,M10.5.0/3",
                    consequence=f"the system's time zone is used: {used.key if used else 'UTC'}, where it is {shown(*clock)}",
                )
                return used
    found = zone.system(system, paths.look)
    if found is None:
        reports.warning(
            "system-timezone-unknown", None, "the time zone of this system is unknown", consequence="schedules use UTC"
        )
    return found


def _system_settings(uci: str | None, paths: Paths) -> dict[str, str]:
    """Return the options of the section of type `system` in OpenWrt's package `system`."""
    path = os.path.join(uci or "", "system")
    try:
        sections = parse(read_text(paths.look(path), 1 << 20), path, "system", Reports()) if uci else []
    except (FileError, UciError):
        return {}
    for section in sections:
        if section.type.value == "system":
            options = section.options.items()
            return {name: option.value.value for name, option in options if not isinstance(option.value, list)}
    return {}
