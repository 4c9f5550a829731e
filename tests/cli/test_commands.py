"""The commands as a user calls them: what they print, how they end, and that nothing hostile reaches the terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import agent_streams
import pytest
import samples
from policies import config_of

from nfa import __version__
from nfa.cli import COMMANDS, main

HOSTILE = "evil\x1b[31m\r\n\x07\u202eexample"
VIDEO, DNS = samples.flow("HTTP/S", "netify.youtube"), samples.flow("DNS", other_port=53)
FLOWS = [VIDEO, DNS, samples.hello(), samples.flow("DNS", other_port=54)]

Capture = pytest.CaptureFixture[str]


def policy(folder: Path, actions: dict[str, Any]) -> str:
    file = folder / "policy.json"
    file.write_text(json.dumps(config_of(actions)))
    return str(file)


def recording(folder: Path, records: list[dict[str, Any]]) -> str:
    file = folder / "flows.jsonl"
    file.write_bytes(b"".join(map(samples.payload, records)))
    return str(file)


# -- help --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command: str, capsys: Capture) -> None:
    """A user would have to read the source to know how to call it."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"nfa {command}" in shown.partition("examples:")[2]
    assert "exit codes:" in shown
    assert "\x1b" not in shown


def test_version_and_wrong_usage(capsys: Capture) -> None:
    """A bug report could not say which version; a script could not tell a slip from a result."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"nfa {__version__}\n"
    for wrong in ([], ["nonsense"], ["check", "--nonsense"], ["eval", "--nonsense"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
        assert "usage: nfa" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["matches", "2", "3"])
    assert "usage: nfa matches" in capsys.readouterr().err, "what else the command takes is not among the usage of nfa"


def test_it_runs_as_a_module_and_survives_a_closed_pipe(tmp_path: Path) -> None:
    """`nfa apps | head -1` would end with a traceback."""
    command = f"{sys.executable} -m nfa apps --state-dir {tmp_path} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "application == '" in done.stdout


# -- check -------------------------------------------------------------------------------------------------------------


def test_check_of_a_good_configuration(tmp_path: Path, capsys: Capture) -> None:
    """A user could not see how the policy was understood."""
    late = {"criteria": ["*"], "priority": 500, "halt_on_match": True}
    file = policy(tmp_path, {"late": late, "video": ["app == 'youtube';"]})
    assert main(["check", "-c", file, "--state-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "2 actions, 2 active; 2 targets" in shown.out
    assert shown.out.index("video -> log.x") < shown.out.index("late -> log.x, then halt")
    assert shown.out.endswith("0 errors, 0 warnings\n")
    assert "\x1b" not in shown.out
    assert main(["check", file, "-q", "--state-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_check_of_a_broken_configuration(tmp_path: Path, capsys: Capture) -> None:
    """A deployment script would roll a broken policy out."""
    file = policy(tmp_path, {"bad": ["ap == 'x';"], "good": ["app == 'youtube'"]})
    assert main(["check", "-c", file, "--state-dir", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    expected = rf"^{re.escape(file)}:1:\d+: error: action 'bad': criteria: unknown attribute 'ap'"
    assert re.search(expected, shown.out, re.MULTILINE)
    assert re.search(r"^ +\^$", shown.out, re.MULTILINE)
    assert "warning: action 'good': criteria: the expression does not end with ';'" in shown.out
    assert "it has an error" in shown.out
    assert "1 error, 1 warning" in shown.out


def test_an_action_with_a_wrong_hour_stays_in_sight(tmp_path: Path, capsys: Capture) -> None:
    """The bedtime that does not work would be in no list, and the count would say that all is well."""
    bedtime = {"criteria": ["app == 'youtube';"], "time_of_day": {"time_start": "9 pm"}}
    file = policy(tmp_path, {"bedtime": bedtime, "bare": {}, "good": "*"})
    for extent in ([], ["--show"]):
        assert main(["check", "-c", file, "--state-dir", str(tmp_path), *extent]) == 1
        assert "bedtime" in capsys.readouterr().out.partition("has no 'criteria'")[2]
    main(["check", "-c", file, "--state-dir", str(tmp_path)])
    out = capsys.readouterr().out
    assert "3 actions, 1 active" in out
    assert re.search(r"off +100  bedtime -> log.x\n +it has an error", out)


def test_check_for_programs(tmp_path: Path, capsys: Capture) -> None:
    """An editor or LuCI could not show the findings."""
    file = policy(tmp_path, {"bad": ["ap == 'x';"], "good": ["app == 'youtube'"]})
    assert main(["check", "-c", file, "--json", "--state-dir", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    data = json.loads(shown.out)
    assert shown.err == ""
    assert (data["ok"], data["errors"], data["warnings"], data["files"]) == (False, 1, 1, [file])
    assert [(action["name"], action["active"], action["targets"]) for action in data["actions"]] == [
        ("bad", False, ["log.x"]),
        ("good", True, ["log.x"]),
    ]
    report = data["reports"][0]
    assert set(report) == {"severity", "code", "place", "message", "hint", "consequence", "excerpt"}
    assert set(report["place"]) == {"file", "line", "column", "option", "package", "section", "property", "pointer", "text"}
    assert (report["severity"], report["code"]) == ("error", "unknown-attribute")


def test_check_strict_takes_no_warning(tmp_path: Path, capsys: Capture) -> None:
    """A script that deploys policies would deploy one that does nothing."""
    warned = policy(tmp_path, {"good": ["app == 'youtube'"]})
    arguments = ["check", "-c", warned, "--no-uci", "--state-dir", str(tmp_path)]
    assert main(arguments) == 0
    for more in ([], ["--json"], ["-q"]):
        assert main([*arguments, "--strict", *more]) == 1
    policy(tmp_path, {"good": ["app == 'youtube';"]})
    assert main([*arguments, "--strict"]) == 0


def test_each_finding_names_the_value_by_its_path(tmp_path: Path, capsys: Capture) -> None:
    """A program that mends or shows a configuration would have to find the value by line and column."""
    file = tmp_path / "policy.json"
    document = {
        "version": 1,
        "acions": {},
        "timezone": "Mars/Olympus",
        "exemptions": ["192.168.1.1", "192.168.1.300"],
        "actions": {
            "a/b~c": {"criteria": ["app == 'youtube';", "ap == 1;"], "targets": ["t", "x"], "priorty": 1},
            "b": {"criteria": "port == 70000;", "targets": "t", "time_of_day": {"day": ["mon", "moon"]}},
        },
        "targets": {"t": {"target_type": "log", "path": "/etc"}, "u": {"target_type": "nftset"}},
        "target_defaults": {"log": {"interval": "x"}},
    }
    file.write_text(json.dumps(document, indent=1))
    main(["check", "-c", str(file), "--no-uci", "--json", "--state-dir", str(tmp_path)])
    found = json.loads(capsys.readouterr().out)["reports"]
    pointers = {report["place"]["pointer"] for report in found}
    assert pointers >= {
        "/acions", "/timezone", "/exemptions/1", "/actions/a~1b~0c/criteria/1", "/actions/a~1b~0c/targets/0",
        "/actions/a~1b~0c/targets/1", "/actions/a~1b~0c/priorty", "/actions/b/criteria", "/targets/t/path", "/targets/u",
        "/target_defaults/log/interval", "/actions/b/time_of_day/day/1",
    }  # fmt: skip
    for pointer in pointers:
        value: Any = document
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            value = value[int(name)] if isinstance(value, list) else value[name]
    assert all(report["code"] for report in found)


def test_a_finding_in_uci_names_its_option(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "netify-proc-flow-actions").write_text("config action 'a'\n\tlist criteria 'ap == 1;'\n\tlist target 'x'\n")
    main(["check", "-u", str(tmp_path), "--json", "--state-dir", str(tmp_path)])
    found = json.loads(capsys.readouterr().out)["reports"]
    assert {report["place"]["option"] for report in found} >= {
        f"netify-proc-flow-actions.a.{name}" for name in ("criteria", "target")
    }
    assert {report["place"]["pointer"] for report in found} == {""}


def test_check_of_what_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    """A wrong path would look like an empty policy without errors."""
    assert main(["check", "-c", str(tmp_path / "absent.json")]) == 1
    assert "absent.json" in capsys.readouterr().out
    assert main(["check", "-c", str(tmp_path / "absent.json"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["actions"] == []


def test_check_shows_hostile_names_escaped(tmp_path: Path, capsys: Capture) -> None:
    """A downloaded policy could rewrite the administrator's screen."""
    file = policy(tmp_path, {HOSTILE: [f"app == '{HOSTILE}';"], "b": {"criteria": [HOSTILE], "targets": [HOSTILE]}})
    main(["check", "-c", file, "--state-dir", str(tmp_path)])
    shown = capsys.readouterr()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", shown.out + shown.err)


# -- eval --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "code", "lines"),
    [("proto == 'dns';", 0, 2), ("app == 'netflix';", 1, 0), ("*", 0, 3), ("port == 443", 0, 1)],
)
def test_eval_prints_what_matches(tmp_path: Path, capsys: Capture, expression: str, code: int, lines: int) -> None:
    """A user could not try an expression on a recording."""
    file = recording(tmp_path, FLOWS)
    assert main(["eval", expression, file, "--state-dir", str(tmp_path)]) == code
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == lines
    assert f"{lines} of 3 flow records match" in shown.err
    assert main(["eval", expression, file, "--json", "--state-dir", str(tmp_path)]) == code
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(found) == lines
    assert all(record in FLOWS for record in found)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("ap == 'x';", ["expression:1: error: unknown attribute 'ap'. Did you mean", "    ap == 'x';\n    ^"]),
        ("app == 'x' &&\n prt == 1;", ["expression:2: error: unknown attribute 'prt'", "     prt == 1;\n     ^"]),
        ("", ["the expression is empty"]),
        ("\x1b[31m == 1;", ["\\x1b"]),
    ],
)
def test_eval_explains_a_wrong_expression(tmp_path: Path, capsys: Capture, expression: str, words: list[str]) -> None:
    """A wrong expression would look like one that matches nothing."""
    assert main(["eval", expression, recording(tmp_path, FLOWS), "--state-dir", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    for each in words:
        assert each in shown.err
    assert "\x1b" not in shown.err


def test_eval_of_files_that_are_not_there(tmp_path: Path, capsys: Capture) -> None:
    """A typing error in a path would end in a traceback."""
    absent = str(tmp_path / "absent")
    for arguments in (["*", absent], ["--bits", "--expressions", absent, "--flows", absent]):
        assert main(["eval", *arguments]) == 1
        assert "absent: No such file or directory" in capsys.readouterr().err
    assert main(["eval"]) == 2
    assert main(["eval", "--bits"]) == 2


def test_eval_shows_hostile_records_escaped(tmp_path: Path, capsys: Capture) -> None:
    """A host name on the network could write to the administrator's terminal."""
    record = samples.flow(host_server_name=HOSTILE, detected_protocol_name=HOSTILE, detected_application_name=HOSTILE)
    assert main(["eval", "*", recording(tmp_path, [record]), "--state-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert "\\x1b[31m" in shown
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", shown)


def test_eval_gives_one_character_a_record(tmp_path: Path, capsys: Capture) -> None:
    """Other implementations could not be compared with this one."""
    flows = tmp_path / "flows.jsonl"
    flows.write_bytes(b"".join(map(samples.payload, FLOWS)) + b"no json\n\n")
    expressions = tmp_path / "expr.jsonl"
    texts = ["proto == 'dns';", "*", "ap;", "", ";", "app == 'youtube'; ap;"]
    expressions.write_text("".join(json.dumps({"expr": text, "result": "x"}) + "\n" for text in texts))
    assert main(["eval", "--bits", "--expressions", str(expressions), "--flows", str(flows), "--state-dir", str(tmp_path)]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = ["01010", "11010", "E", "00000", "E", "E"]
    assert found == [{"expr": text, "result": result} for text, result in zip(texts, expected, strict=True)]
    expressions.write_text('{"expr": "*"}\n{"wrong": 1}\n')
    assert main(["eval", "--bits", "--expressions", str(expressions), "--flows", str(flows)]) == 1
    assert ':2: expected {"expr": "..."}' in capsys.readouterr().err


def test_eval_reads_standard_input(tmp_path: Path) -> None:
    """The documented `socat ... | nfa eval` would not work."""
    data = b"".join(map(samples.frame, FLOWS))
    command = [sys.executable, "-m", "nfa", "eval", "port == 443;", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout == b"192.168.1.20:50000 > 203.0.113.10:443  HTTP/S  netify.youtube\n"


# -- names and status --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "search", "line", "key"),
    [
        ("apps", "YouTube", "124  application == 'netify.youtube'", "application"),
        ("protocols", "http/s", "196  protocol == 'http/s'", "protocol"),
        ("categories", "web", "22  protocol_category == 'web'", "protocol_category"),
    ],
)
def test_names_can_be_searched(tmp_path: Path, capsys: Capture, command: str, search: str, line: str, key: str) -> None:
    """A user would have to guess how an application is called."""
    arguments = [command, search, "--state-dir", str(tmp_path)]
    assert main(arguments) == 0
    assert line in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    number, _, rest = line.partition("  ")
    assert data[key][rest.split("'")[1]] == int(number)
    assert data["sources"]
    assert main([command, "nothing is called so", "--state-dir", str(tmp_path)]) == 1


def test_status_without_a_daemon(tmp_path: Path, capsys: Capture) -> None:
    """A traceback would not say that the service is not started."""
    assert main(["status", "--control", str(tmp_path / "absent.sock")]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "no daemon answers on" in shown.err
    assert "nfa run" in shown.err
    (tmp_path / "file").write_text("")
    assert main(["status", "--control", str(tmp_path / "file"), "--json"]) == 1


@pytest.mark.parametrize("command", [["check", "--json"], ["apps"], ["eval", "*"]])
def test_no_colours_in_a_pipe(tmp_path: Path, command: list[str]) -> None:
    """A script or a log file would be full of escape sequences."""
    file = policy(tmp_path, {"bad": ["ap;"]})
    where = ["-c", file] if command[0] == "check" else []
    done = subprocess.run(
        [sys.executable, "-m", "nfa", *command, *where, "--state-dir", str(tmp_path)],
        input=b"".join(map(samples.payload, FLOWS)), capture_output=True, check=False, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout


def test_names_of_all_kinds_are_searched_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who looked for Zoom among the applications was asked whether he meant Zattoo; it is a protocol."""
    where = ["--state-dir", str(tmp_path), "--control", str(tmp_path / "none")]
    assert main(["apps", "zoom", *where]) == 0
    out, err = capsys.readouterr()
    assert out.split() == ["248", "protocol", "==", "'zoom'"]
    assert err == "no application has 'zoom' in its name\n"
    assert main(["protocols", "Games", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("protocol == 'riot/games'")
    assert "    12  application_category == 'games'" in lines
    assert "     7  protocol_category == 'games'" in lines
    assert main(["apps", "zoom", "--json", *where]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["application"] == {}
    assert data["protocol"] == {"zoom": 248}
    assert main(["apps", *where]) == 0
    assert "protocol ==" not in capsys.readouterr().out


# -- the networks of a recording -----------------------------------------------------------------------------------------

REVERSED = str(Path(agent_streams.__file__).with_name("static-route-reversed.jsonl"))
PAIRS = str(Path(agent_streams.__file__).with_name("nat-lan-wan-pairs.jsonl"))
LAB = "192.168.1.0/24,fd00:1::/64,81.2.3.1"


def test_eval_orients_a_recording_by_networks_only_when_they_are_named(capsys: Capture) -> None:
    """Truth vectors would change with the machine; or nobody could try an expression as the router evaluates it."""
    expression = "local_ip == 192.168.1.10 && other_type == other_remote && other_port == 443;"
    assert main(["eval", expression, REVERSED]) == 1
    assert main(["eval", "--networks", LAB, "--json", expression, REVERSED]) == 0
    out, err = capsys.readouterr()
    assert "12 of 24 flow records match" in err
    assert {json.loads(line)["flow"]["local_ip"] for line in out.splitlines()} == {"192.168.1.10"}


def test_explain_orients_a_recording_by_networks_and_says_what_is_no_element(tmp_path: Path, capsys: Capture) -> None:
    """It would show other effects than the daemon has."""
    config = {
        "version": 1,
        "actions": {
            "all": {"criteria": ["*"], "targets": ["far"]},
            "wan": {"criteria": ["*"], "targets": ["far"], "interface": "wan"},
        },
        "targets": {"far": {"target_type": "nftset", "set_name": "far", "type": ["other_addr"], "managed": True}},
    }
    policy = tmp_path / "p.json"
    policy.write_text(json.dumps(config))
    usual = ["explain", "--no-uci", "-c", str(policy), "--json"]

    def explained(*arguments: str) -> list[dict[str, Any]]:
        assert main([*usual, *arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert {element for one in explained("--networks", LAB, REVERSED) for element in one["effects"].get("far", [])} == {
        f"nftables set nfa far.v4: 77.77.77.{number} for 60 s" for number in (1, 2)
    }
    records = agent_streams.flows("nat-lan-wan-pairs")
    outcomes = {}
    for record, one in zip(records, explained("--networks", LAB, PAIRS), strict=True):
        outcomes[record["flow"]["digest"][:6]] = [step["outcome"] for step in one["steps"]]
        if record["flow"]["other_ip"] in ("fd00:1::10", "ff02::2", "ff02::1:ff00:1"):
            assert "our own networks" in one["skipped"]["far"] and not one["targets"]
    assert outcomes["64e9a5"] == outcomes["1f8f88"] == ["duplicate", "matched"]
    assert outcomes["9b8363"] == ["matched", "matched"] and outcomes["ffb63d"] == ["matched", "other interface"]
    assert not [one for one in explained(PAIRS) if "duplicate" in [step["outcome"] for step in one["steps"]]]


@pytest.mark.parametrize("networks", ["", ",", "192.168.1.0/33", "lan", "192.168.1.0/24;10.0.0.0/8"])
def test_wrong_networks_are_wrong_usage(networks: str, capsys: Capture) -> None:
    """They would be no networks at all, and the answer another one."""
    with pytest.raises(SystemExit) as end:
        main(["eval", "--networks", networks, "*;", REVERSED])
    assert end.value.code == 2 and "192.168.1.0/24" in capsys.readouterr().err
