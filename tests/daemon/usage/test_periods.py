"""Hours and days: where they begin and end on the wall clock, what stays of them, and a clock that jumps."""

from __future__ import annotations

import itertools
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from usage_lab import Lab

from nfa.compiler.config.zone import changes
from nfa.daemon.engine.hours import Zone
from nfa.daemon.usage.asking import moment_of, parts_of
from nfa.daemon.usage.periods import EARLIEST, HOUR, Periods, add, pack, trim, unpack

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana", "UTC"]
DAY0 = date(1970, 1, 1)
ROWS = st.dictionaries(
    st.integers(0, 40).flatmap(lambda d: st.integers(0, 40).map(lambda a: d << 16 | a)),
    st.lists(st.integers(0, 1 << 30), min_size=5, max_size=5),
    max_size=60,
)


def zone(name: str) -> Zone:
    return Zone(changes(ZoneInfo(name)))


def at(text: str, tz: ZoneInfo = BERLIN) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=tz).timestamp())


@pytest.mark.parametrize("name", ZONES)
@given(st.integers(1_767_225_600, 1_900_000_000))
def test_days_begin_as_the_standard_library_says(name: str, moment: int) -> None:
    """A day of a month's table would have an hour of the next one, twice a year or always."""
    tz, made = ZoneInfo(name), zone(name)
    there = datetime.fromtimestamp(moment, tz)
    day = made.local(moment)[0]
    assert day == (there.date() - DAY0).days
    begin = made.begin(day)
    assert datetime.fromtimestamp(begin, tz).date() == there.date()
    assert datetime.fromtimestamp(begin - 1, tz).date() < there.date()
    start = Periods(made).begin_of(moment)
    assert moment - HOUR < start <= moment
    assert (datetime.fromtimestamp(start, tz).minute, start % 60) == (0, 0)


@given(ROWS)
def test_rows_come_back_as_they_were(rows: dict[int, list[int]]) -> None:
    assert unpack(pack(rows)) == rows


@given(ROWS, st.integers(4, 30))
def test_what_is_left_out_is_summed_up_and_nothing_is_lost(rows: dict[int, list[int]], most: int) -> None:
    """The sum of a month would shrink each hour, or grow without an end."""
    made = trim(rows, most)
    assert len(made) <= most
    whole: dict[int, list[int]] = {}
    for table, sign in ((rows, 1), (made, -1)):
        for row in table.values():
            add(whole, {0: [sign * value for value in row]})
    assert not any(whole.get(0, []))
    if len({key >> 16 for key in rows}) <= most // 2:
        for device in {key >> 16 for key in rows}:
            sums = [sum(row[0] for key, row in table.items() if key >> 16 == device) for table in (rows, made)]
            assert sums[0] == sums[1]


def hours_of_a_day(tmp_path: Path, begin: str, end: str) -> Lab:
    """Count a kilobyte in each five minutes of a span."""
    lab = Lab(at(begin) - 3600, str(tmp_path / "usage"), changes(BERLIN))
    lab.forward(3600)
    flow = samples.flow(application="netify.youtube")
    lab.take(flow)
    while lab.wall < at(end):
        lab.take(samples.stats(flow["flow"]["digest"], local=(0, 0), other=(1000, 1)))
        lab.forward(300, 100)
    return lab


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        ("2026-03-29T00:00", "2026-03-30T00:00", 23),
        ("2026-10-25T00:00", "2026-10-26T00:00", 25),
        ("2026-06-01T00:00", "2026-06-02T00:00", 24),
    ],
)
def test_a_day_has_as_many_hours_as_the_wall_clock_gives_it(tmp_path: Path, begin: str, end: str, hours: int) -> None:
    """When the clock changes, an hour of that night would count for the day before or after, or twice."""
    lab = hours_of_a_day(tmp_path, begin, end)
    made = lab.usage.snapshot()
    day = (date.fromisoformat(begin[:10]) - DAY0).days
    assert [row[0] for row in unpack(made.days[day]).values()] == [12000 * hours]
    used = [start for start in made.hours if at(begin) <= start < at(end)]
    assert len(used) == hours
    assert {sum(row[0] for row in unpack(made.hours[start]).values()) for start in used} == {12000}


def test_midnight_ends_a_day(tmp_path: Path) -> None:
    """What is used at 23:59 belongs to the day that ends."""
    lab = hours_of_a_day(tmp_path, "2026-06-01T23:30", "2026-06-02T00:30")
    made = lab.usage.snapshot()
    assert [unpack(packed)[65537][0] for _, packed in sorted(made.days.items())] == [6000, 6000]


def test_a_router_without_a_battery_counts_from_its_start(tmp_path: Path) -> None:
    """The first minutes of each start would be of 1970 for ever, or lost."""
    lab = Lab(100.0, str(tmp_path / "usage"))
    flow = samples.flow(application="netify.youtube")
    lab.take(flow, samples.stats(flow["flow"]["digest"], local=(0, 0), other=(1000, 1)))
    lab.forward(3 * 3600, 600)
    lab.take(flow, samples.stats(flow["flow"]["digest"], local=(0, 0), other=(500, 1)))
    assert not lab.usage.periods.days, "no hour ends in 1970"
    lab.wall = 1_795_003_200.0
    lab.forward(60)
    lab.forward(3600)
    assert list(lab.usage.snapshot().days) == [1_795_003_200 // 86400]
    assert list(lab.totals().values()) == [[1500, 0, 2]], "the flow was not heard from for hours"
    assert lab.usage.since >= EARLIEST


def test_what_was_kept_stays_where_it_was_until_the_clock_is_right(tmp_path: Path) -> None:
    """A file on flash is newer than the clock of a router that has just started: its days must not be taken for today."""
    lab = Lab(1_795_003_200.0, str(tmp_path / "usage"))
    flow = samples.flow(application="netify.youtube")
    for _ in range(3):
        lab.take(flow, samples.purge(flow["flow"]["digest"], local=(0, 0), other=(1000, 1)))
        lab.forward(86400, 1800)
    before = dict(lab.usage.snapshot().days)
    assert len(before) == 3
    for wall in (50.0, lab.wall - 2 * 86400):
        right = lab.wall
        lab.usage.close()
        lab.wall = wall
        lab.begin()
        lab.forward(300)
        assert dict(lab.usage.snapshot().days) == before
        lab.wall = right + 600
        lab.forward(3600)
        assert dict(lab.usage.snapshot().days) == before


def test_what_is_dated_later_than_now_becomes_part_of_today(tmp_path: Path) -> None:
    """The clock was a month ahead: what was counted then would be in the future, and be shown by no question for a month."""
    lab = Lab(1_797_003_200.0, str(tmp_path / "usage"))
    flow = samples.flow(application="netify.youtube")
    lab.take(flow, samples.purge(flow["flow"]["digest"], local=(0, 0), other=(1000, 1)))
    lab.forward(3 * 3600)
    lab.wall = 1_795_003_200.0
    lab.forward(1200)
    today = 1_795_003_200 // 86400
    assert list(lab.usage.snapshot().days) == [today]
    assert list(lab.totals(days=False).values()) == list(lab.totals().values()) == [[1000, 0, 1]]


def test_hours_and_days_that_are_too_old_are_gone(tmp_path: Path) -> None:
    """The tables must not grow for as long as a router runs."""
    lab = Lab(1_795_003_200.0, str(tmp_path / "usage"))
    for _ in range(40):
        flow = samples.flow(application="netify.youtube")
        lab.take(flow, samples.purge(flow["flow"]["digest"], local=(0, 0), other=(1000, 1)))
        lab.forward(12 * 3600, 1800)
        lab.take(flow, samples.purge(flow["flow"]["digest"], local=(0, 0), other=(1000, 1)))
        lab.forward(12 * 3600, 1800)
    assert len(lab.usage.periods.days) <= 31
    assert len(lab.usage.periods.hours) <= 49


NOW = at("2026-06-15T14:30")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2026-06-15T00:00"), ("", "2026-06-15T00:00"), ("yesterday", "2026-06-14T00:00"), ("now", "2026-06-15T14:30"),
        ("2h", "2026-06-15T12:30"), ("30m", "2026-06-15T14:00"), ("1d", "2026-06-15T00:00"), ("7d", "2026-06-09T00:00"),
        ("2026-03-29", "2026-03-29T00:00"), ("2026-03-29 14:00", "2026-03-29T14:00"), ("2026-10-25 23:15", "2026-10-25T23:15"),
        ("2026-06-01T08:05", "2026-06-01T08:05"), ("2024-02-29", "2024-02-29T00:00"),
    ],
)  # fmt: skip
def test_words_for_a_moment(text: str, expected: str) -> None:
    """Who asks for yesterday does not want to count seconds."""
    assert moment_of(text, zone("Europe/Berlin"), NOW) == at(expected)


@pytest.mark.parametrize(
    "text", ["last week", "2026-02-30", "2026-13-01", "1x", "2026-1", "25:00", "2026-06-01 24:00", "²h", "-1h"]
)
def test_other_words_are_refused(text: str) -> None:
    """A typing mistake must not be answered as if it had been something else."""
    with pytest.raises(ValueError):
        moment_of(text, zone("Europe/Berlin"), NOW)


@given(st.integers(0, 20 * 86400), st.integers(0, 20 * 86400))
def test_a_span_is_covered_without_gaps_and_overlaps(before: int, length: int) -> None:
    """Bytes would be counted twice, or not at all, where hours and days meet."""
    now = at("2026-10-27T14:30")
    since = now - before
    until = min(now, since + length)
    found = parts_of(Periods(zone("Europe/Berlin")), since, until, now)
    for (_, end, _), (begin, _, _) in itertools.pairwise(found):
        assert end == begin
    if until > since:
        assert found[0][0] <= since
        assert found[-1][1] >= until
        assert found[-1][1] <= now
        if before < 47 * 3600:
            assert since - found[0][0] < HOUR and found[-1][1] - until < HOUR
