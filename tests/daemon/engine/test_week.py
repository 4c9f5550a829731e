"""A whole policy through scripted weeks with a fake clock: each second, whoever is within his hours, and the flow that runs."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import samples
from policies import Desk, compiled, config_of

PARIS = ZoneInfo("Europe/Paris")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Window = dict[str, Any]


def window(days: str, start: str, end: str, policy: str = "inclusive") -> Window:
    return {"day": days.split(), "time_start": start, "time_end": end, "policy": policy}


SCHEDULES: dict[str, list[Window]] = {
    "bedtime": [window("sun mon tue wed thu", "21:00", "6:30"), window("fri sat", "23:30", "8:15:30")],
    "homework": [window("mon tue wed thu fri", "15:00", "18:00"), window("mon wed", "17:30", "19:45:10")],
    "not at lunch": [window("mon tue wed thu fri", "9:00", "17:00"), window("", "12:00", "13:00", "exclusive")],
    "never at night": [window("", "22:00:01", "5:59:59", "exclusive")],
    "sunday": [window("sun", "00:00", "00:00")],
}


def named(moment: int) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone(PARIS)


def clock(text: str) -> time:
    return time(*map(int, text.split(":")))


def holds(windows: list[Window], now: datetime) -> bool:
    """The same said another way: by the dates on which a window begins."""

    def within(one: Window) -> bool:
        start, end = clock(one["time_start"]), clock(one["time_end"])
        for date in (now.date(), now.date() - timedelta(days=1)):
            if one["day"] and DAYS[date.weekday()] not in one["day"]:
                continue
            first = datetime.combine(date, start)
            last = datetime.combine(date if start < end else date + timedelta(days=1), end)
            if first <= now.replace(tzinfo=None) < last:
                return True
        return False

    inclusive = [one for one in windows if one["policy"] == "inclusive"]
    if any(within(one) for one in windows if one["policy"] == "exclusive"):
        return False
    return not inclusive or any(map(within, inclusive))


@pytest.mark.parametrize("monday", ["2026-03-23", "2026-06-15", "2026-10-19"])
def test_every_edge_of_a_week_of_overlapping_windows(tmp_path: Path, monday: str) -> None:
    """One edge that is missed, and a child plays all night, or the office has no mail on the day the clocks change."""
    actions = {
        name: {"criteria": ["app == 'youtube';"], "time_of_day": [{k: v for k, v in one.items() if v} for one in windows]}
        for name, windows in SCHEDULES.items()
    }
    made, reports = compiled(tmp_path, config_of(actions, timezone="Europe/Paris"))
    assert not reports.errors
    desk = Desk(made)
    film = samples.flow("QUIC", "netify.youtube")
    start = int(datetime.fromisoformat(f"{monday}T00:00:00+01:00").timestamp()) - 7200
    policy = desk.engine.policy
    assert policy is not None
    policy.keep_hours(start)
    edges = 0
    numbers = {action[0]: number for number, action in enumerate(policy.actions)}
    for moment in range(start + 1, start + 8 * 86400 + 10800):
        changed = bool(policy.keep_hours(moment))
        edges += changed
        if changed or moment % 599 == 0:
            now, before = named(moment), named(moment - 1)
            wanted = [name for name, windows in SCHEDULES.items() if holds(windows, now)]
            assert [name for name in SCHEDULES if policy.in_hours(numbers[name])] == wanted, now
            assert desk.actions(film) == wanted, now
            assert not changed or wanted != [name for name, windows in SCHEDULES.items() if holds(windows, before)], now
    assert edges == sum(state(named(moment)) != state(named(moment - 1)) for moment in edge_candidates(start))


def state(now: datetime) -> list[bool]:
    return [holds(windows, now) for windows in SCHEDULES.values()]


def edge_candidates(start: int) -> list[int]:
    """The seconds at which any window may begin or end, or the clocks change."""
    texts = {one[key] for windows in SCHEDULES.values() for one in windows for key in ("time_start", "time_end")}
    found = set()
    for day in range(-1, 10):
        date = (named(start) + timedelta(days=day)).date()
        for text in texts:
            for fold in (0, 1):
                found.add(int(datetime.combine(date, clock(text), PARIS).replace(fold=fold).timestamp()))
    last = start + 8 * 86400 + 10800
    sunday = next((m for m in range(start, last, 900) if named(m).utcoffset() != named(m - 900).utcoffset()), start)
    return sorted(moment for moment in found | {sunday} if start < moment < last)
