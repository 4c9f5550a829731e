"""Windows of time and time zones."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from config_loading import Load

from nfa.compiler.base.report import Reports
from nfa.compiler.config import zone as zone_module
from nfa.compiler.config.model import Window
from nfa.compiler.config.zone import _of_file, changes, find

ALL = tuple(range(7))
LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def windows(load_config: Load, time_of_day: Any) -> tuple[list[Window] | None, Reports]:
    policy, reports = load_config(
        {
            "version": 1,
            "actions": {"a": {"criteria": "*", "targets": "t", "time_of_day": time_of_day}},
            "targets": {"t": {"target_type": "log"}},
        }
    )
    assert policy
    return (None if policy.actions[0].broken else policy.actions[0].time_of_day), reports


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            [{"day": ["mon", "FRI"], "time_start": "9:00", "time_end": "17:00:30", "policy": "inclusive"}],
            [Window((0, 4), 9 * 3600, 17 * 3600 + 30, "inclusive")],
        ),
        (
            {"time_start": "0:00", "time_end": "12:00", "policy": "exclusive"},
            [Window(ALL, 0, 43200, "exclusive")],
        ),
        ({"day": None, "time_end": "24:00"}, [Window(ALL, 0, 86400, "inclusive")]),
        ({"day": "sun, monday"}, [Window((0, 6), 0, 86400, "inclusive")]),
        ({"day": "sun,mon"}, [Window((0, 6), 0, 86400, "inclusive")]),
        ({"time_start": "22:00", "time_end": "06:00"}, [Window(ALL, 79200, 21600, "inclusive")]),
        (None, []),
        ([], []),
    ],
)
def test_windows_are_read(load_config: Load, written: Any, expected: list[Window]) -> None:
    """An action would apply at the wrong hours."""
    found, reports = windows(load_config, written)
    assert found == expected
    assert not reports.errors
    assert not reports.warnings


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"day": "funday"}, "unknown day 'funday'"),
        ({"day": []}, "for every day"),
        ({"day": [1]}, "expected a string"),
        ({"time_start": "24:00"}, "from '0:00' to '23:59:59'"),
        ({"time_end": "24:01"}, "from '0:00' to '24:00'"),
        ({"time_end": "9"}, "expected a time"),
        ({"time_end": 900}, "expected a time"),
        ({"policy": "sometimes"}, "expected 'inclusive' or 'exclusive'"),
        (["9:00"], "there is no time of day named '9:00'"),
    ],
)
def test_wrong_windows_are_refused(load_config: Load, written: Any, message: str) -> None:
    """A wrong hour would leave an action on at all hours."""
    found, reports = windows(load_config, written)
    assert found is None
    assert message in reports.errors[0].message


A = "error: action 'a': 'time_of_day': "
OUT = " The action is left out"
ONE_DAY = "One `list day` for each of mon tue wed thu fri sat sun."
U = "warning: unknown property "


@pytest.mark.parametrize(
    ("written", "code", "at", "text"),
    [
        ({"day": "funday"}, "bad-value", "funday", f"{A}unknown day 'funday'. {ONE_DAY}{OUT}"),
        ({"day": "xyz"}, "bad-value", "xyz", f"{A}unknown day 'xyz'. {ONE_DAY}{OUT}"),
        ({"day": ["mon", "week"]}, "bad-value", "week", f"{A}unknown day 'week'. {ONE_DAY}{OUT}"),
        ({"day": "mon-tue"}, "bad-value", "mon-tue", f"{A}unknown day 'mon-tue'. {ONE_DAY}{OUT}"),
        ({"day": "Mo"}, "bad-value", "Mo", f"{A}unknown day 'Mo'. Did you mean 'mon'?{OUT}"),
        ({"day": "sunda"}, "bad-value", "sunda", f"{A}unknown day 'sunda'. Did you mean 'sun'?{OUT}"),
        ({"day": []}, "bad-value", "[]",
         f"{A}expected one or more of mon, tue, wed, thu, fri, sat, sun (leave 'day' out for every day), "
         f"found an empty list.{OUT}"),
        ({"time_start": "24:00"}, "bad-value", '"24:00"',
         f"{A}expected a time hh:mm or hh:mm:ss from '0:00' to '23:59:59', found '24:00'.{OUT}"),
        ({"time_end": "24:00:01"}, "bad-value", '"24:00:01"',
         f"{A}expected a time hh:mm or hh:mm:ss from '0:00' to '24:00', found '24:00:01'.{OUT}"),
        ({"time_end": "9:60"}, "bad-value", '"9:60"',
         f"{A}expected a time hh:mm or hh:mm:ss from '0:00' to '24:00', found '9:60'.{OUT}"),
        ({"time_end": None, "policy": "no"}, "bad-value", '"no"', f"{A}expected 'inclusive' or 'exclusive', found 'no'.{OUT}"),
        (5, "bad-value", "5", f"{A}expected an object, found 5.{OUT}"),
        (["9:00"], "unknown-time-of-day", '"9:00"',
         f"{A}there is no time of day named '9:00'. Expected the name of a UCI section 'time_of_day', or an object with day, "
         f"time_start, time_end and policy.{OUT}"),
        ({"time_start": "9:00", "time_end": "9:00"}, "window-of-a-day", "{",
         "warning: the window starts and ends at the same time. It lasts 24 hours"),
        ({"dayy": "mon"}, "unknown-option", "dayy",
         f"{U}'dayy' of a time of day. Did you mean 'day'? The window applies every day"),
        ({"begin": "9:00"}, "unknown-option", "begin",
         f"{U}'begin' of a time of day. Did you mean 'time_start'? The window begins at 0:00"),
        ({"start": "9:00"}, "unknown-option", "start",
         f"{U}'start' of a time of day. Did you mean 'time_start'? The window begins at 0:00"),
        ({"end": "9:00"}, "unknown-option", "end",
         f"{U}'end' of a time of day. Did you mean 'time_end'? The window ends at 24:00"),
        ({"stop": "9:00"}, "unknown-option", "stop",
         f"{U}'stop' of a time of day. Did you mean 'time_end'? The window ends at 24:00"),
        ({"stop": "9:00", "time_end": "8:00"}, "unknown-option", "stop",
         f"{U}'stop' of a time of day. Did you mean 'time_end'? The property is ignored"),
        ({"polcy": "x"}, "unknown-option", "polcy",
         f"{U}'polcy' of a time of day. Did you mean 'policy'? The property is ignored"),
        ({"zzz": 1}, "unknown-option", "zzz",
         f"{U}'zzz' of a time of day. Known: day, time_start, time_end, policy. The property is ignored"),
    ],
)  # fmt: skip
def test_all_that_is_said_of_a_window(load_config: Load, written: Any, code: str, at: str, text: str) -> None:
    """A message would say half, the wrong thing, or point to another place, and LuCI not know what it is about."""
    _, reports = windows(load_config, written)
    [report] = [one for one in reports.items if one.code != "action-without-hours"]
    assert report.code == code
    assert report.text().splitlines()[0] == f"{report.place}: {text}"
    assert Path(report.place.file).read_text()[report.place.column - 1 :].startswith(at)


@pytest.mark.parametrize(
    ("written", "window"),
    [
        ({"time_start": "23:59:59", "time_end": "1:02:03"}, Window(ALL, 86399, 3723, "inclusive")),
        ({"time_start": " 9:00 ", "time_end": "00:00:01"}, Window(ALL, 32400, 1, "inclusive")),
        ({"days": "mon"}, Window((0,), 0, 86400, "inclusive")),
        ({"days": "mon", "day": ["tue"]}, Window((1,), 0, 86400, "inclusive")),
        ({"days": "mon", "day": None}, Window((0,), 0, 86400, "inclusive")),
        ({"day": "Sunday,SAT, sat", "policy": "exclusive"}, Window((5, 6), 0, 86400, "exclusive")),
        *(({"day": day}, Window((number,), 0, 86400, "inclusive")) for number, day in enumerate(LONG)),
        *(({"day": day[:3].upper()}, Window((number,), 0, 86400, "inclusive")) for number, day in enumerate(LONG)),
    ],
)
def test_all_ways_to_write_a_window(load_config: Load, written: Any, window: Window) -> None:
    """A window that the documents show would be refused, or be another one."""
    found, reports = windows(load_config, written)
    assert found == [window]
    assert not reports.errors and not reports.warnings


def test_all_faults_of_a_window_and_of_all_windows_are_told_at_once(load_config: Load) -> None:
    """A user would mend one value after the other."""
    _, reports = windows(load_config, [{"day": "x", "time_start": "y", "time_end": "z", "policy": "q"}, {"day": "w"}])
    assert [report.message.rpartition(" ")[2] for report in reports.errors] == ["'x'", "'y'", "'z'", "'q'", "'w'"]


C = "error: configuration: 'timezone': "


@pytest.mark.parametrize(
    ("zone", "code", "text"),
    [
        (5, "bad-value", f"{C}expected a time zone such as 'America/Toronto', found 5. The system's time zone is used"),
        ("Nowhere/At all", "unknown-timezone", f"{C}unknown time zone 'Nowhere/At all'. Known: "
         "America/Toronto, Europe/Paris. The system's time zone is used"),
        ("Europe/Pariss", "unknown-timezone",
         f"{C}unknown time zone 'Europe/Pariss'. Did you mean 'Europe/Paris'? The system's time zone is used"),
    ],
)  # fmt: skip
def test_all_that_is_said_of_a_time_zone(
    load_config: Load, monkeypatch: pytest.MonkeyPatch, zone: object, code: str, text: str
) -> None:
    """A typo would be told without the name that was meant, or with another code than LuCI knows."""
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: {"Europe/Paris", "America/Toronto"})
    _, reports = load_config({"version": 1, "timezone": zone})
    [report] = reports.errors
    assert report.code == code
    assert report.text().splitlines()[0] == f"{report.place}: {text}"


@pytest.mark.parametrize(
    ("zone", "taken"),
    [("Mars", True), ("A" * 64, True), ("A" * 65, False), ("Etc/X_y+1-2", True), ("9x", False), ("a b", False)],
)
def test_what_may_be_a_name_where_there_is_no_database(
    load_config: Load, monkeypatch: pytest.MonkeyPatch, zone: str, taken: bool
) -> None:
    """A router without zoneinfo packages would take any text for a zone, or refuse a right one."""
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    policy, reports = load_config({"version": 1, "timezone": f" {zone} "})
    assert policy and (policy.timezone == zone, not reports.errors) == (taken, taken)
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: {f"Z/{number}" for number in range(300)})
    _, reports = load_config({"version": 1, "timezone": "Nowhere"})
    assert [report.hint for report in reports.errors] == ["expected a name such as 'America/Toronto', or a POSIX time zone"]
    assert load_config({"version": 1, "timezone": zone})[1].errors, "with one, it has to be there"


@pytest.mark.parametrize(("zone", "hours", "side"), [("UTC+1", -1, "west"), ("Etc/GMT-3", 3, "east"), ("<+05>-5", 0, "")])
def test_what_the_sign_of_a_zone_makes_of_the_time(load_config: Load, zone: str, hours: int, side: str) -> None:
    """Nobody would believe that UTC+1 is west of Greenwich, unless the time that it is there says so."""
    before = datetime.now(UTC) + timedelta(hours=hours)
    _, reports = load_config({"version": 1, "timezone": zone})
    after = datetime.now(UTC) + timedelta(hours=hours)
    said = [report for report in reports.warnings if report.code == "timezone-sign"]
    assert len(said) == bool(side)
    for report in said:
        there = {f"{when:%H:%M}" for when in (before, after)}
        assert report.message in {f"in POSIX notation {zone} is {side} of Greenwich: it is now {time} there" for time in there}
        assert report.hint == (
            "for Europe write CET-1CEST,M3.5.0,M10.5.0/3, for New York EST5EDT,M3.2.0,M11.1.0, or a name: 'Europe/Paris'"
        )
        assert Path(report.place.file).read_text()[report.place.column - 1 :].startswith(f'"{zone}"')


def test_an_odd_window_is_a_warning(load_config: Load) -> None:
    """A window without length lasts a day, and a misspelt property is ignored."""
    found, reports = windows(load_config, {"time_start": "9:00", "time_end": "9:00", "dayy": "mon"})
    assert found == [Window(ALL, 32400, 32400, "inclusive")]
    assert len(reports.warnings) == 2


@pytest.mark.parametrize(
    "zone", ["UTC0", "EST5EDT,M3.2.0,M11.1.0", "<+0330>-3:30", "CET-1CEST,M3.5.0,M10.5.0/3", ":CET-1CEST", ""]
)
def test_time_zones_of_posix_need_no_database(load_config: Load, zone: str) -> None:
    """OpenWrt's own setting is a POSIX string."""
    policy, reports = load_config({"version": 1, "timezone": zone})
    assert policy
    assert policy.timezone == zone.removeprefix(":")
    assert not reports.errors


@pytest.mark.parametrize("zone", ["../../etc/passwd", "/etc/localtime", "America", "x" * 5000, "\x00", "Nowhere/At all"])
def test_what_is_no_time_zone_is_refused(load_config: Load, zone: str) -> None:
    """A typo would run every rule in another time zone, and a path would be opened as root."""
    policy, reports = load_config({"version": 1, "timezone": zone})
    assert policy
    if zoneinfo.available_timezones() or zone != "America":
        assert "unknown time zone" in reports.errors[0].message
    else:
        assert not reports.errors


class ShortTime(datetime):
    """The datetime of a machine whose C library counts seconds with 32 bits (Debian 12 on i386 and armhf)."""

    @classmethod
    def fromtimestamp(cls, timestamp: float, tz: tzinfo | None = None) -> ShortTime:  # type: ignore[override]  # narrower
        if not -(1 << 31) <= timestamp < 1 << 31:
            raise OverflowError("timestamp out of range for platform time_t")
        return super().fromtimestamp(timestamp, tz)

    def timestamp(self) -> float:
        if self.tzinfo is None:
            raise OverflowError("timestamp out of range for platform time_t")
        return super().timestamp()


@pytest.mark.parametrize("name", ["Europe/Paris", "CET-1CEST,M3.5.0,M10.5.0/3", "America/Toronto", "UTC"])
def test_seconds_of_32_bits_are_enough_for_a_time_zone(load_config: Load, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every zone was refused there, "Did you mean 'Europe/Paris'?", and bedtime came in UTC."""
    expected = changes(find(name))
    assert max(second for second, _ in expected) > 1 << 31 or len(expected) == 1, "summer times until 2044"
    for cache in (changes, _of_file):
        cache.cache_clear()
    monkeypatch.setattr(zone_module, "datetime", ShortTime)
    try:
        assert changes(find(name)) == expected
        policy, reports = load_config({"version": 1, "timezone": name})
        assert policy and policy.timezone == name and not reports.errors
    finally:
        for cache in (changes, _of_file):
            cache.cache_clear()


def test_a_zone_whose_file_is_broken_is_not_called_unknown(
    load_config: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ "Unknown time zone 'Europe/Paris'. Did you mean 'Europe/Paris'?" helps nobody."""
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Paris").write_bytes(b"TZif2 but then nothing")
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: {"Europe/Paris", "America/Toronto"})
    _, reports = load_config({"version": 1, "timezone": "Europe/Paris"})
    [error] = reports.errors
    assert error.code == "unknown-timezone" and "the time zone 'Europe/Paris' cannot be read: " in error.message
    assert "did you mean" not in error.hint and "POSIX" in error.hint


def test_without_a_database_a_plausible_name_is_taken(load_config: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """A router without zoneinfo packages would refuse a configuration that is right."""
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    policy, reports = load_config({"version": 1, "timezone": "Mars/Olympus_Mons"})
    assert policy
    assert policy.timezone == "Mars/Olympus_Mons"
    assert not reports.errors


@pytest.mark.parametrize(("zone", "side"), [("UTC+1", "west"), ("GMT+1", "west"), ("UTC1", "west"), ("GMT-5:30", "east")])
def test_a_sign_that_means_the_other_side_is_a_warning(load_config: Load, zone: str, side: str) -> None:
    """Bedtime would come two hours late, and nothing would say why."""
    policy, reports = load_config({"version": 1, "timezone": zone})
    assert policy and policy.timezone == zone and not reports.errors
    [warning] = [report.text() for report in reports.warnings if "POSIX" in report.message]
    assert f"in POSIX notation {zone} is {side} of Greenwich: it is now " in warning
    assert "CET-1CEST,M3.5.0,M10.5.0/3" in warning


@pytest.mark.parametrize("zone", ["UTC", "UTC0", "GMT0", "EST5EDT,M3.2.0,M11.1.0", "<+01>-1"])
def test_other_zones_are_no_warning(load_config: Load, zone: str) -> None:
    assert not [report for report in load_config({"version": 1, "timezone": zone})[1].warnings if "POSIX" in report.message]


def test_a_wrong_global_says_what_is_used_instead(load_config: Load) -> None:
    """The built-in default could be anything."""
    _, reports = load_config({"version": 1, "timezone": "Europe/Pariss", "max_flows": 5})
    said = {report.message.partition(":")[2].split("'")[1]: report.consequence for report in reports.errors}
    assert said["max_flows"] == "the built-in default is used: 65536"
    assert said.get("timezone", "the system's time zone is used") == "the system's time zone is used"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"time_begin": "9:00"}, "Did you mean 'time_start'? The window begins at 0:00"),
        ({"time_strat": "9:00"}, "Did you mean 'time_start'? The window begins at 0:00"),
        ({"time_ende": "9:00"}, "The window ends at 24:00"),
        ({"time_strat": "9:00", "time_start": "8:00"}, "The property is ignored"),
        ({"day": "weekend"}, "One `list day` for each of mon tue wed thu fri sat sun"),
        ({"day": "mon-fri"}, "One `list day` for each of mon tue wed thu fri sat sun"),
        ({"day": "tues"}, "Did you mean 'tue'"),
    ],
)
def test_slips_in_hours_are_told_with_what_they_lead_to(load_config: Load, written: Any, words: str) -> None:
    """The suggestion was 'time_end' for a start and 'wed' for the weekend."""
    _, reports = windows(load_config, written)
    assert words in reports.items[0].text()
