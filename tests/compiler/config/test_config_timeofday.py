"""Windows of time and time zones."""

from __future__ import annotations

import zoneinfo
from typing import Any

import pytest
from config_loading import Load

from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Window

ALL = tuple(range(7))


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
