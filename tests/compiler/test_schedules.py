"""The hours of a policy: which zone they are read in, and what the daemon is handed."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, reset_tzpath

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import compiled, config_of

from nfa.compiler.base.report import Reports
from nfa.compiler.config import zone
from nfa.compiler.explain import explain
from nfa.compiler.schedules import in_words, schedules, wall_time
from nfa.daemon.engine.hours import Zone, next_edge

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
    said = "the time zone of this system is unknown" in "".join(report.text() for report in reports.items)
    assert said == (same is None)


def _file_of(posix: str) -> bytes:
    """A file of the database with a zone that has no transitions (RFC 8536)."""
    part = b"TZif2" + b"\0" * 15 + struct.pack(">6I", 0, 0, 0, 0, 1, 4) + struct.pack(">iBB", 0, 0, 0) + b"CET\0"
    return part + part + b"\n" + posix.encode() + b"\n"


def system_of(monkeypatch: pytest.MonkeyPatch, path: Path) -> ZoneInfo | None:
    """The zone of a system of which nothing else is known."""
    text = path.name == "TZ"
    monkeypatch.setattr(zone, "SYSTEM_FILES", () if text else (str(path),))
    monkeypatch.setattr(zone, "POSIX_FILES", (str(path),) if text else ())
    monkeypatch.delenv("TZ", raising=False)
    return zone.system({})


def test_a_file_of_the_system_that_is_cut_off_is_no_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut while it was written: no policy would come into force, or one without summer time."""
    whole = _file_of("CET-1CEST,M3.5.0,M10.5.0/3")
    path = tmp_path / "localtime"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert system_of(monkeypatch, path) is None, length
    path.write_bytes(whole)
    found = system_of(monkeypatch, path)
    assert found is not None and len(zone.changes(found)) == 51


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_no_file_of_the_database_s_form_is_more_than_a_value_error(content: bytes, counts: list[int]) -> None:
    """One bad file of the system would leave the router without a policy."""
    header = b"TZif2" + b"\0" * 15 + struct.pack(">6I", *counts)
    for file in (content, header + content + b"\n", header + content + header + content + b"\nCET-1\n"):
        try:
            zone.changes(zone._of_file(file, "x"))
        except ValueError:
            pass


@pytest.mark.parametrize("name", ["localtime", "TZ"])
@pytest.mark.parametrize("trouble", ["fifo", "folder", "long", "device"])
def test_what_is_no_plain_file_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str, name: str
) -> None:
    """`nfa check` and each reload would wait for whoever writes into a fifo."""
    path = tmp_path / name
    if trouble == "fifo":
        os.mkfifo(path)
    elif trouble == "folder":
        path.mkdir()
    elif trouble == "long":
        path.write_bytes(b" " * zone.MAX_FILE + b"CET-1\n")
    else:
        path.symlink_to("/dev/zero")
    assert system_of(monkeypatch, path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_a_stranger_s_file_in_tmp_does_not_move_bedtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/tmp/TZ and /tmp/localtime are where OpenWrt has them, and where everybody can write."""
    tmp_path.chmod(0o1777)
    path = tmp_path / "TZ"
    path.write_text("CET-1\n")
    assert system_of(monkeypatch, path) is not None
    os.chown(path, 1000, 1000)
    assert system_of(monkeypatch, path) is None
    path.unlink()
    root = tmp_path / "root"
    root.write_text("CET-1\n")
    path.symlink_to(root)
    os.chown(path, 1000, 1000, follow_symlinks=False)
    assert system_of(monkeypatch, path) is None


def test_a_broken_file_of_the_database_is_no_zone(tmp_path: Path) -> None:
    """A power cut while it was installed: zoneinfo itself would read its last line for ever."""
    (tmp_path / "Broken").write_bytes(b"TZif2" + b"\0" * 20)
    (tmp_path / "Cut").write_bytes(_file_of("CET-1CEST,M3.5.0,M10.5.0/3")[:-1])
    reset_tzpath(to=[str(tmp_path)])
    try:
        for name in ("Broken", "Cut"):
            with pytest.raises(ValueError):
                zone.find(name)
    finally:
        reset_tzpath()


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


# -- in words ----------------------------------------------------------------------------------------------------------


def test_explain_knows_the_hours(tmp_path: Path) -> None:
    """At noon it would say that the bedtime rule acts on a film, and it does not."""
    hours = {"day": ["sun", "mon", "tue", "wed", "thu"], "time_start": "21:00", "time_end": "6:30"}
    actions = {"bed": {"criteria": "*", "time_of_day": hours, "halt_on_match": True}, "all": {"criteria": "*"}}
    made, _ = compiled(tmp_path, config_of(actions, timezone="CET-1CEST,M3.5.0,M10.5.0/3"))
    bed, every = explain(made, samples.flow(), wall_time("sat 12:41", 0)).steps
    assert (bed.outcome, every.outcome) == ("outside hours", "matched")
    zone_words = "(sun-thu 21:00-6:30, zone CET-1CEST,M3.5.0,M10.5.0/3)"
    assert bed.why[0] == f"would match, but is outside its schedule at sat 12:41 {zone_words}"
    for inside in ("21:00", "sun 21:00", "2026-11-20 6:29"):
        assert explain(made, samples.flow(), wall_time(inside, 6)).matched == ["bed"], inside
    assert {step.outcome for step in explain(made, samples.flow()).steps} & {"matched", "outside hours"}


@pytest.mark.parametrize("text", ["", "9 pm", "25:00", "sat", "someday 9:00", "sat sun 9:00", "2026-13-01 9:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """--at would be another hour than was meant."""
    with pytest.raises(ValueError):
        wall_time(text, 0)


@pytest.mark.parametrize(
    ("inclusive", "exclusive", "words"),
    [
        ([((0, 1, 2, 3, 6), 75600, 23400)], [], "sun-thu 21:00-6:30"),
        ([((0, 2, 4), 0, 86400)], [], "mon,wed,fri 0:00-24:00"),
        ([(tuple(range(7)), 0, 3600)], [((5, 6), 1800, 1860)], "0:00-1:00, not sat-sun 0:30-0:31"),
    ],
)
def test_hours_are_said_as_people_say_them(inclusive: list[Any], exclusive: list[Any], words: str) -> None:
    assert in_words(inclusive, exclusive) == words


def test_the_next_edge_is_that_of_the_wall_clock() -> None:
    """Over the end of summer time a status would promise an hour that is wrong by one."""
    paris = Zone(zone.changes(zone.posix("CET-1CEST,M3.5.0,M10.5.0/3")))
    bed = [(tuple(range(7)), 75600, 23400)]
    saturday = 1792875600  # 2026-10-24 23:00 in Paris; the clock is put back at 3:00
    edge = next_edge(bed, [], paris, saturday)
    assert edge is not None and edge - saturday == 8.5 * 3600 and paris.wall(edge) == (6, 23400)
    assert next_edge([(tuple(range(7)), 0, 86400)], [], paris, saturday) is None


def test_a_zone_without_its_package_is_one_warning_with_the_time_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two warnings of one cause, and neither said which hours hold now."""
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    monkeypatch.setattr(zone, "find", lambda name, look: zone.posix(name))
    monkeypatch.setattr(zone, "system", lambda settings, look: zone.posix("JST-9"))
    config = config_of({"a": {"criteria": "*", "time_of_day": NIGHT}}, timezone="Nowhere/Land")
    _, reports = compiled(tmp_path, config)
    [warning] = [report.text() for report in reports.warnings if "zone" in report.message]
    assert "zoneinfo-europe" in warning and "CET-1CEST,M3.5.0,M10.5.0/3" in warning
    assert "The system's time zone is used: JST-9, where it is " in warning
