"""`nfa matches`, `elements`, `flush`, `reload`: what the running daemon tells, as a table for people and as data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import samples
from house import CONFIG, House, youtube

from nfa.cli import ask, main, matches, status
from nfa.daemon.base.findings import finding

Capture = pytest.CaptureFixture[str]
COMMANDS = {"status": [], "matches": [], "elements": ["nft.video"], "flush": ["nft.video"], "reload": []}
HOSTILE = "evil\x1b[31m\u202eexample"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A daemon that the commands reach as if by the control socket."""
    house = House(tmp_path)

    def call(path: str, method: str, arguments: dict[str, object], timeout: float) -> dict[str, Any]:
        status, data = house.call(method, **arguments)
        if status:
            raise ValueError(data["error"])
        return data

    monkeypatch.setattr(ask, "call", call)
    return house


def rows(printed: str) -> list[list[str]]:
    """The cells of each line."""
    return [re.split(" {2,}", line.strip()) for line in printed.splitlines()]


# -- when nobody answers, or refuses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_no_daemon_or_another_program(command: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback would not say that the service is not started."""
    assert main([command, *COMMANDS[command], "--control", str(tmp_path / "absent.sock")]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and "no daemon answers on" in shown.err and "nfa run" in shown.err

    failures = {
        ValueError("no such target: 'x'\x1b[2J"): "no such target: 'x'\\x1b[2J",
        TimeoutError("timed out"): "timed out",
        json.JSONDecodeError("", "", 0): "is not nfa",
        KeyError("result"): "is not nfa",
    }
    for failure, words in failures.items():

        def call(*_: object, failure: Exception = failure) -> dict[str, Any]:
            raise failure

        monkeypatch.setattr(ask, "call", call)
        assert main([command, *COMMANDS[command]]) == 1
        assert words in capsys.readouterr().err


def test_a_slip_in_the_name_of_a_target_is_told_with_the_names_there_are(house: House, capsys: Capture) -> None:
    """A set that seems empty would send the user looking for the fault elsewhere."""
    for command in ("elements", "flush"):
        assert main([command, "nft.vido"]) == 1
        assert "nft.video" in capsys.readouterr().err


# -- matches -------------------------------------------------------------------------------------------------------------


def test_matches_are_a_table_newest_first(house: House, capsys: Capture) -> None:
    """Whether a policy works at all is the first thing that a user wants to see."""
    house.feed(youtube(1), youtube(2, local_port=0), samples.flow("DNS"))
    assert main(["matches"]) == 0
    heading, *lines = rows(capsys.readouterr().out)
    assert heading == ["time", "flow", "application", "actions", "targets"]
    assert [line[2:] for line in lines] == [["netify.youtube", "video", "nft.video, log.video"]] * 2
    assert ["203.0.0.2:" in line[1] for line in lines] == [True, False]
    assert all(re.fullmatch(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d", line[0]) for line in lines)


def test_matches_can_be_counted_and_read_by_a_program(house: House, capsys: Capture) -> None:
    """A script would have to take the table apart."""
    house.feed(*map(youtube, range(30)))
    assert main(["matches"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 21
    for count in (["-n", "25"], ["25"]):
        assert main(["matches", *count, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["matches"]) == 25
    for wrong in ("-1", "x", "9" * 30, "\u0661"):
        with pytest.raises(SystemExit) as ended:
            main(["matches", "-n", wrong])
        assert ended.value.code == 2


def test_no_match_yet_says_where_to_look_next(house: House, capsys: Capture) -> None:
    """An empty table says nothing to who waits for the first match."""
    assert main(["matches"]) == 0
    assert "nfa status" in capsys.readouterr().out


def test_a_match_of_another_day_has_its_date_and_one_without_application_its_protocol() -> None:
    """A flow of yesterday evening would look like one of this evening."""
    flow = {"local_ip": "192.168.1.7", "other_ip": "1.1.1.1"}
    flow |= {"detected_application_name": "Unknown", "detected_protocol_name": "DNS"}
    match = {"time": 1_700_000_000, "flow": flow, "actions": ["a", "b"], "targets": []}
    cells = matches._row(match, 1_700_200_000)
    assert re.fullmatch(r"2023-11-1\d \d\d:\d\d:\d\d", cells[0])
    assert cells[1:] == ["192.168.1.7:0 > 1.1.1.1:0", "DNS", "a, b", "-"]


def test_nothing_that_a_stranger_chose_reaches_the_terminal_unescaped(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A detected name could move the cursor and hide a line."""
    flow = {"local_ip": HOSTILE, "other_ip": "1.1.1.1", "detected_application_name": HOSTILE}
    element = {"target": "t", "table": "nfa", "set": HOSTILE, "element": HOSTILE, "left": 5}
    answer = {
        "matches": [{"time": 0, "flow": flow, "actions": [HOSTILE], "targets": [HOSTILE]}],
        "elements": [element], "total": 1, "more": False, "sets": 1, "withdrawn": 1,
        "reports": [finding("error", "bad-value", HOSTILE, HOSTILE, HOSTILE) | {"excerpt": HOSTILE}],
        "loaded": True, "generation": 2, "errors": 0, "warnings": 1,
    }  # fmt: skip
    monkeypatch.setattr(ask, "call", lambda *_: answer)
    for command in (["matches"], ["elements", "t"], ["flush", HOSTILE], ["reload"]):
        assert main(command) == 0
        printed = capsys.readouterr().out
        assert "evil" in printed
        assert all(line.isprintable() for line in printed.split("\n"))


# -- elements and flush --------------------------------------------------------------------------------------------------


def test_elements_are_shown_with_the_time_they_have_left(house: House, capsys: Capture) -> None:
    """How long a device stays in a set is what decides about its traffic."""
    house.feed(youtube(1), youtube(2))
    assert main(["elements", "nft.video"]) == 0
    shown = capsys.readouterr()
    heading, *lines = rows(shown.out)
    assert heading == ["left", "set and element"]
    assert [line[1:] for line in lines] == [["nfa video.v4", f"203.0.0.{number} . 443"] for number in (1, 2)]
    assert all(0 < int(line[0].removesuffix(" s")) <= 60 for line in lines)
    assert shown.err == "2 elements\n"


def test_elements_can_be_searched_and_read_by_a_program(house: House, capsys: Capture) -> None:
    """In a set of thousands nobody finds a device by eye."""
    house.feed(*map(youtube, range(5)))
    assert main(["elements", "nft.video", "203.0.0.3"]) == 0
    shown = capsys.readouterr()
    assert (len(rows(shown.out)), shown.err) == (2, "1 of 5 elements\n")
    assert main(["elements", "nft.video", "--json"]) == 0
    assert {element["element"] for element in json.loads(capsys.readouterr().out)} == {f"203.0.0.{n} . 443" for n in range(5)}
    assert main(["elements", "nft.games"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "0 elements\n")


def test_all_elements_are_shown_however_many_answers_it_takes(house: House, capsys: Capture) -> None:
    """The device in question would be in the part that was left out."""
    house.feed(*map(youtube, range(2500)))
    assert main(["elements", "nft.video"]) == 0
    shown = capsys.readouterr()
    assert len({line[2] for line in rows(shown.out)[1:]}) == 2500
    assert shown.err == "2500 elements\n"


def test_elements_of_all_targets_are_shown_without_a_name(house: House, capsys: Capture) -> None:
    """Where a device is would have to be asked for each target."""
    house.feed(youtube(1))
    assert main(["elements"]) == 0
    shown = capsys.readouterr()
    assert (len(rows(shown.out)), shown.err) == (2, "1 element\n")


def test_elements_without_end(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """`None s` is no time."""
    element = {"target": "t", "table": "", "set": "x", "element": "10.0.0.1", "left": None}
    monkeypatch.setattr(ask, "call", lambda *_: {"elements": [element], "total": 1, "more": False})
    assert main(["elements", "t"]) == 0
    assert rows(capsys.readouterr().out)[1] == ["for ever", "x", "10.0.0.1"]


def test_flush_empties_the_sets_and_says_how_much_was_in_them(house: House, capsys: Capture) -> None:
    """Who takes a device out of a policy at once must know that it is out."""
    house.feed(youtube(1), youtube(2))
    assert main(["flush", "nft.video"]) == 0
    assert capsys.readouterr().out == "nft.video: 2 elements withdrawn from 2 sets\n"
    assert house.kernel.sets["video.v4"] == []
    assert main(["flush", "log.video"]) == 1
    assert "'log.video' has no set to flush" in capsys.readouterr().err


# -- reload --------------------------------------------------------------------------------------------------------------


def test_reload_prints_the_outcome_and_what_is_wrong(house: House, capsys: Capture) -> None:
    """The user would have to look into the log to know whether the new configuration holds."""
    assert main(["reload"]) == 0
    assert re.search(r"^policy 2 is active: 0 errors, \d warnings?$", capsys.readouterr().out, re.MULTILINE)
    house.file.write_text(json.dumps(CONFIG | {"actions": {"video": {"criteria": "ap == 'x';", "targets": ["log.video"]}}}))
    assert main(["reload"]) == 1
    printed = capsys.readouterr().out
    assert f"{house.file}:1:" in printed and "policy 3 is active: 1 error" in printed
    assert "Its last good version stays in use" in printed
    house.file.write_text("{")
    assert main(["reload"]) == 1
    printed = capsys.readouterr().out
    assert f"{house.file}:1:" in printed and "the running policy stays active" in printed


def test_status_tells_the_hours_and_the_clock_they_go_by(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bedtime an hour off, or in UTC, could not be told from one that does not work."""
    video = CONFIG["actions"]["video"]
    night = {"day": ["sun", "mon", "tue", "wed", "thu"], "time_start": "21:00", "time_end": "6:30"}
    actions = {"bed": video | {"time_of_day": night}, "day": video | {"time_of_day": night | {"policy": "exclusive"}}}
    config = CONFIG | {"actions": actions, "timezone": "CET-1CEST,M3.5.0,M10.5.0/3"}
    monkeypatch.setattr("time.time", lambda: 1795261260.0)  # Saturday 2026-11-21 11:41 UTC
    data = House(tmp_path, config).result("status")
    status._print(data, 1795261260.0)
    printed = capsys.readouterr().out
    assert "zone     CET-1CEST,M3.5.0,M10.5.0/3, where it is sat 12:41" in printed
    assert "outside its hours until sun 21:00 (sun-thu 21:00-6:30)" in printed
    assert "on until sun 21:00 (not sun-thu 21:00-6:30)" in printed
    assert main(["check", "-c", str(tmp_path / "policy.json"), "--no-uci", "--state-dir", str(tmp_path)]) in (0, 1)
    shown = capsys.readouterr().out
    assert "sun-thu 21:00-6:30 (CET-1CEST,M3.5.0,M10.5.0/3, where it is sat 12:41): not now" in shown


def test_health_is_one_line_and_an_exit_code(house: House, capsys: Capture) -> None:
    """Monitoring takes a line and a number (Nagios: 0 ok, 1 warning, 2 critical); `nfa status` is 0 while nothing works."""
    assert main(["status", "--health"]) == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and line.startswith("OK - connecting to ") and line.count("|") == 1
    house.daemon.started -= 10
    house.daemon.client.last_error = "no | such\nfile"
    assert main(["status", "--health"]) == 2
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and line.startswith("CRITICAL - netifyd is not connected: no / such") and line.count("|") == 1
    assert main(["status", "--health", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["problems"][0]["of"] == "source"
    house.daemon.client.state = "connected"
    house.daemon.started -= 100
    assert main(["status", "--health"]) == 1
    line = capsys.readouterr().out
    assert line.startswith("WARNING - connected to ") and "but nothing has come for" in line and line.count("|") == 1


def test_no_daemon_is_unknown_to_monitoring(tmp_path: Path, capsys: Capture) -> None:
    """A check that finds nobody to ask must not say that all is well, nor be taken for wrong usage."""
    absent = ["status", "--health", "--control", str(tmp_path / "absent.sock")]
    assert main(absent) == 3
    shown = capsys.readouterr()
    assert shown.out.startswith("UNKNOWN - no daemon answers") and shown.out.count("\n") == 1 and shown.err == ""
    assert main([*absent, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["state"] == "unknown"


def test_status_counts_what_was_skipped_and_who_reads(house: House, capsys: Capture) -> None:
    """Marks that never find their connection, and a sink that nobody reads, would look like targets without traffic."""
    data = house.result("status")
    data["targets"]["nft.video"] |= {"type": "ctmark", "skipped": 77}
    data["targets"]["log.video"] |= {"type": "sink", "kind": "unix"}
    status._print(data, 0.0)
    printed = rows(capsys.readouterr().out)
    heading = next(row for row in printed if row[0] == "target")
    assert next(row for row in printed if row[0] == "nft.video")[heading.index("skipped")] == "77"
    assert next(row for row in printed if row[0] == "log.video")[-1] == "no reader"
    data["targets"]["log.video"]["readers"] = 2
    status._print(data, 0.0)
    assert "2 readers" in capsys.readouterr().out


def test_marks_are_no_elements_of_sets(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "2 elements taken out of 1 set" was said of connections."""
    answers = {
        "flush": {"target": "m", "kind": "ctmark", "sets": 1, "withdrawn": 2},
        "elements": {
            "elements": [{"target": "m", "table": "", "set": "conntrack mark", "element": "tcp a > b mark 2", "left": None}],
            "total": 1,
            "more": False,
        },
    }
    monkeypatch.setattr(ask, "call", lambda path, method, arguments, timeout: answers[method])
    assert main(["flush", "m"]) == main(["elements", "m"]) == 0
    printed = capsys.readouterr().out
    assert "m: mark withdrawn from 2 connections" in printed
    assert "for ever" not in printed
