"""The hours of a policy: which zone they are read in, and what the daemon is handed."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from policies import compiled, config_of

from nfa.config import zone
from nfa.config.report import Reports
from nfa.schedules import schedules

NIGHT = {"time_start": "22:00", "time_end": "6:00"}


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Paris"),
        ("EST5EDT,M3.2.0,M11.1.0", "America/Toronto"),
        ("<+0530>-5:30", "Asia/Kolkata"),
    ],
)
def test_a_posix_string_is_the_zone_it_describes(name: str, same: str) -> None:
    """OpenWrt has these strings where the zoneinfo database is not installed."""
    assert zone.changes(zone.find(name)) == zone.changes(ZoneInfo(same))


@pytest.mark.parametrize("name", ["", "nonsense", "EST5EDT,M3", "../../etc/passwd", "/etc/passwd"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        zone.find(name)


@pytest.mark.parametrize(
    ("system", "same"),
    [
        ("config system\n\toption zonename 'America/New York'\n\toption timezone 'EST5EDT'\n", "America/New_York"),
        ("config system 'x'\n\toption zonename 'No/Land'\n\toption timezone 'CET-1CEST,M3.5.0,M10.5.0/3'\n", "Europe/Paris"),
        ("config led\n\toption timezone 'JST-9'\nconfig system\n\toption timezone 'JST-9'\n", "Asia/Tokyo"),
    ],
)
def test_the_router_s_own_zone_is_the_default(tmp_path: Path, system: str, same: str) -> None:
    """The owner has chosen a zone in LuCI; bedtime must not be in UTC."""
    (tmp_path / "system").write_text(system)
    made, _ = compiled(tmp_path, config_of({"a": {"criteria": "*", "time_of_day": NIGHT}}))
    found = schedules(made.policy, str(tmp_path), Reports())
    assert found.changes == zone.changes(ZoneInfo(same))


@pytest.mark.parametrize(
    ("file", "variable", "same"),
    [
        ("CET-1CEST,M3.5.0,M10.5.0/3\n", None, "Europe/Paris"),
        ("Asia/Tokyo\n", "CET-1CEST", "Asia/Tokyo"),
        ("\n", "Europe/Berlin", "Europe/Berlin"),
        (None, ":Europe/Berlin", "Europe/Berlin"),
        (None, "EST5EDT,M3.2.0,M11.1.0", "America/Toronto"),
        (None, "UTC", "UTC"),
        ("", "", None),
        ("nonsense", "Mars/Olympus", None),
        (None, None, None),
    ],
)
def test_where_uci_says_nothing_the_system_is_asked_in_other_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None, variable: str | None, same: str | None
) -> None:
    """Bedtime would be in UTC, and nobody would be told."""
    path = tmp_path / "TZ"
    if file is not None:
        path.write_text(file)
    monkeypatch.setattr(zone, "SYSTEM_FILES", ())
    monkeypatch.setattr(zone, "POSIX_FILES", (str(path),))
    monkeypatch.delenv("TZ", raising=False)
    if variable is not None:
        monkeypatch.setenv("TZ", variable)
    made, _ = compiled(tmp_path, config_of({"a": {"criteria": "*", "time_of_day": NIGHT}}))
    reports = Reports()
    found = schedules(made.policy, str(tmp_path), reports)
    assert found.changes == (zone.changes(ZoneInfo(same)) if same else [(0, 0)])
    said = "the time zone of this system is not known" in "".join(report.text() for report in reports.items)
    assert said == (same is None)


def test_the_configured_zone_comes_first(tmp_path: Path) -> None:
    (tmp_path / "system").write_text("config system\n\toption timezone 'JST-9'\n")
    made, _ = compiled(tmp_path, config_of({"a": {"criteria": "*", "time_of_day": NIGHT}}, timezone="Europe/Paris"))
    assert schedules(made.policy, str(tmp_path), Reports()).changes == zone.changes(ZoneInfo("Europe/Paris"))


def test_actions_with_the_same_hours_share_a_schedule(tmp_path: Path) -> None:
    """Two hundred actions of one bedtime cost one look at the clock."""
    work = {"day": ["mon"], "time_start": "9:00", "time_end": "17:00", "policy": "exclusive"}
    actions = {"a": NIGHT, "b": NIGHT, "c": [NIGHT, work]}
    made, _ = compiled(tmp_path, config_of({name: {"criteria": "*", "time_of_day": hours} for name, hours in actions.items()}))
    assert made.schedules.of == {"a": 0, "b": 0, "c": 1}
    night = (tuple(range(7)), 22 * 3600, 6 * 3600)
    assert made.schedules.windows == [([night], []), ([night], [((0,), 9 * 3600, 17 * 3600)])]
