"""The hours of actions, for the policy image: windows by number, and the offsets of the time zone.

In: a checked policy, and where UCI's folder is. Out: `Schedules`; the daemon evaluates them by `engine.hours`.
"""

from __future__ import annotations

import os
import zoneinfo
from dataclasses import dataclass, field

from .config import zone
from .config.files import FileError, read_text
from .config.model import Action, Policy, Window
from .config.report import Reports, quote
from .config.ucitext import UciError, parse

Packed = tuple[tuple[int, ...], int, int]
"""A window: days (Monday is 0), start and end in seconds of the day."""


@dataclass
class Schedules:
    """`windows`: (inclusive, exclusive) windows of each schedule; `of`: action to the number of its schedule."""

    windows: list[tuple[list[Packed], list[Packed]]] = field(default_factory=list)
    of: dict[str, int] = field(default_factory=dict)
    changes: zone.Changes = field(default_factory=lambda: [(0, 0)])


def schedules(policy: Policy, uci: str | None, reports: Reports) -> Schedules:
    """Return the schedules of all actions that have hours; actions with the same hours share one."""
    made = Schedules()
    for action in policy.actions:
        if action.time_of_day:
            windows = _windows(action)
            if windows not in made.windows:
                made.windows.append(windows)
            made.of[action.name] = made.windows.index(windows)
    if made.windows:
        made.changes = zone.changes(_zone(policy, uci, reports))
    return made


def _windows(action: Action) -> tuple[list[Packed], list[Packed]]:
    def packed(window: Window) -> Packed:
        return window.days, window.start, window.end

    inclusive = [packed(window) for window in action.time_of_day if window.policy == "inclusive"]
    return inclusive, [packed(window) for window in action.time_of_day if window.policy == "exclusive"]


def _zone(policy: Policy, uci: str | None, reports: Reports) -> zoneinfo.ZoneInfo | None:
    """Return the zone that the policy names, else the system's."""
    system = _system_settings(uci)
    if policy.timezone:
        try:
            return zone.find(policy.timezone)
        except ValueError:
            same = system.get("zonename", "").replace(" ", "_") == policy.timezone
            if not same:
                origin = policy.origins.values.get("timezone")
                reports.warning(
                    origin.place if origin else None,
                    f"the time zone {quote(policy.timezone)} is not known here",
                    hint="install its zoneinfo package, or write a POSIX time zone such as 'EST5EDT,M3.2.0,M11.1.0'",
                    consequence="the time zone of the system is used",
                )
    found = zone.system(system)
    if found is None:
        reports.warning(None, "the time zone of this system is not known", consequence="hours are read as UTC")
    return found


def _system_settings(uci: str | None) -> dict[str, str]:
    """Return the options of the section of type `system` in OpenWrt's package `system`."""
    path = os.path.join(uci or "", "system")
    try:
        sections = parse(read_text(path, 1 << 20), path, "system", Reports()) if uci else []
    except (FileError, UciError):
        return {}
    for section in sections:
        if section.type.value == "system":
            options = section.options.items()
            return {name: option.value.value for name, option in options if not isinstance(option.value, list)}
    return {}
