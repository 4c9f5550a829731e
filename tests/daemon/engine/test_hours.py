"""Windows of time: every second of weeks with a change of the clock, against the calendar of Python's datetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest

from nfa.compiler.config import zone as zones
from nfa.daemon.engine.hours import DAY, Zone, applies, inside, next_edge, shown

H = 3600
SCHOOL_NIGHT = ((6, 0, 1, 2, 3), 21 * H, 6 * H + 1800)  # from Sunday to Thursday, 21:00 to 6:30
WORK = ((0, 1, 2, 3, 4), 9 * H, 17 * H)
MORNING = (tuple(range(7)), 0, 12 * H)
PARIS = ZoneInfo("Europe/Paris")


def named(moment: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone(zone)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("sun 20:59:59", False), ("sun 21:00:00", True), ("mon 00:00:00", True), ("mon 06:29:59", True),
        ("mon 06:30:00", False), ("fri 06:29:59", True), ("fri 21:00:00", False), ("sat 06:00:00", False),
        ("sat 23:00:00", False), ("sun 06:00:00", False),
    ],
)  # fmt: skip
def test_a_window_over_midnight_belongs_to_the_day_it_starts_on(when: str, holds: bool) -> None:
    """Friday night would be a school night, or Monday morning none."""
    day, clock = when.split()
    hours, minutes, seconds = map(int, clock.split(":"))
    weekday = ("mon", "tue", "wed", "thu", "fri", "sat", "sun").index(day)
    assert inside(SCHOOL_NIGHT, weekday, hours * H + minutes * 60 + seconds) is holds


def test_windows_of_both_kinds_together() -> None:
    """The example of Netify's documentation: working hours, but not the morning."""
    for weekday in range(7):
        for second in range(0, DAY, 600):
            expected = weekday < 5 and 12 * H <= second < 17 * H
            assert applies([WORK], [MORNING], weekday, second) is expected
            assert applies([], [MORNING], weekday, second) is (second >= 12 * H)
            assert applies([], [], weekday, second) is True
            assert applies([WORK, SCHOOL_NIGHT], [], weekday, second) is (
                inside(WORK, weekday, second) or inside(SCHOOL_NIGHT, weekday, second)
            )


def test_a_window_that_ends_when_it_starts_lasts_a_day() -> None:
    window = ((0,), 21 * H, 21 * H)
    assert [inside(window, day, 20 * H) for day in (0, 1, 2)] == [False, True, False]
    assert [inside(window, day, 22 * H) for day in (0, 1, 2)] == [True, False, False]


ZONES = ["Europe/Paris", "America/Toronto", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca", "UTC"]


@pytest.mark.parametrize("name", ZONES)
def test_the_wall_clock_is_that_of_the_calendar(name: str) -> None:
    """After the change to summer time, bedtime would be an hour off for half the year."""
    zone, calendar, rng = Zone(zones.changes(zones.find(name))), ZoneInfo(name), Random(5)
    first = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    last = int(datetime(2044, 12, 31, tzinfo=UTC).timestamp())
    changes = [moment for moment, _ in zones.changes(zones.find(name))]
    moments = [rng.randrange(first, last) for _ in range(3000)] + [m + d for m in changes for d in (-1, 0, 1, H)]
    for moment in moments:
        there = named(moment, calendar)
        assert zone.wall(moment) == (there.weekday(), there.hour * H + there.minute * 60 + there.second), there


@pytest.mark.parametrize("monday", ["2026-03-23", "2026-10-19"])
def test_a_scripted_week_with_a_change_of_the_clock(monday: str) -> None:
    """Every edge of a bedtime in the weeks in which the night has 23 and 25 hours."""
    zone = Zone(zones.changes(PARIS))
    moment = int(datetime.fromisoformat(f"{monday}T00:00:00+01:00").timestamp()) - DAY
    edges = []
    before = None
    for second in range(moment, moment + 9 * DAY, 60):
        holds = applies([SCHOOL_NIGHT], [], *zone.wall(second))
        if holds is not before and before is not None:
            edges.append(named(second, PARIS).strftime("%a %H:%M ") + ("on" if holds else "off"))
        before = holds
    night = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri"]
    expected = [edge for a, b in pairwise(night) for edge in (f"{a} 21:00 on", f"{b} 06:30 off")]
    start = edges.index("Sun 21:00 on")
    assert edges[start : start + 10] == expected
    assert edges[start + 10 : start + 12] == ["Sun 21:00 on", "Mon 06:30 off"]


def test_a_clock_that_jumps_needs_no_care() -> None:
    """A router starts in 1970, or last week, until NTP has told it the time."""
    zone, rng = Zone(zones.changes(PARIS)), Random(3)
    for _ in range(2000):
        moment = rng.choice([0, 1, 1_000_000_000, rng.randrange(1_577_836_800, 2_366_841_600)])
        offset = named(moment, PARIS).utcoffset() if moment > 1_577_836_800 else timedelta(hours=1)
        assert offset is not None
        local = moment + int(offset.total_seconds())
        assert zone.wall(moment) == ((local // DAY + 3) % 7, local % DAY)


def test_the_next_edge_is_the_first_second_at_which_it_differs() -> None:
    """Status would tell a time at which nothing happens: in the night of a change of the clock, on a day without a window."""
    paris = Zone(zones.changes(PARIS))
    utc = Zone([(0, 0)])
    cases = [
        ([WORK], []),
        ([SCHOOL_NIGHT], []),
        ([WORK, SCHOOL_NIGHT], [MORNING]),
        ([], [MORNING]),
        ([((2,), 5 * H, 5 * H)], []),
    ]
    for start in ("2026-03-28 12:00", "2026-06-17 08:59", "2026-10-24 20:00"):
        moment = int(datetime.fromisoformat(start + "+00:00").timestamp())
        for zone in (paris, utc):
            for inclusive, exclusive in cases:
                state = applies(inclusive, exclusive, *zone.wall(moment))
                edge = next_edge(inclusive, exclusive, zone, moment)
                assert edge is not None and edge > moment
                assert applies(inclusive, exclusive, *zone.wall(edge)) is not state
                # Nothing changes before: every edge here falls on a half of an hour, of either clock.
                for between in range(moment - moment % 1800 + 1800, edge, 1800):
                    assert applies(inclusive, exclusive, *zone.wall(between)) is state, (start, inclusive, between, edge)
                assert applies(inclusive, exclusive, *zone.wall(edge - 1)) is state


def test_an_edge_that_does_not_come_within_eight_days_is_none() -> None:
    """An action for all hours, or for none, would be told to begin some day."""
    monday = 1700438400
    utc = Zone([(0, 0)])
    assert next_edge([], [], utc, monday) is None
    assert next_edge([], [(tuple(range(7)), 0, 0)], utc, monday) is None
    assert next_edge([((0,), 12 * H, 13 * H)], [], utc, monday + 12 * H) == monday + 13 * H
    assert next_edge([((0,), 12 * H, 13 * H)], [], utc, monday + 13 * H) == monday + 7 * DAY + 12 * H
    assert next_edge([((0,), 0, 1)], [], utc, monday) == monday + 1


def test_what_a_clock_shows() -> None:
    """People would read another time than their clock shows."""
    moments = (0, 0), (5, 12 * H + 41 * 60 + 59), (6, DAY - 1), (2, 23 * H)
    assert [shown(*moment) for moment in moments] == ["mon 0:00", "sat 12:41", "sun 23:59", "wed 23:00"]


def test_a_zone_begins_each_offset_at_its_second() -> None:
    """A change of the clock would come a second early or late, or the offset of another season hold."""
    zone = Zone([(0, 3600), (1000, 7200), (2000, -60)])
    for moment, offset in ((-DAY, 3600), (0, 3600), (999, 3600), (1000, 7200), (1999, 7200), (2000, -60), (1 << 40, -60)) * 2:
        for there in (moment, 1500, moment):
            wanted = (3 + (moment + offset) // DAY) % 7, (moment + offset) % DAY
            assert zone.wall(there) == wanted if there == moment else zone.wall(there)
