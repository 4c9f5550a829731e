"""A configuration becomes a policy: what is broken is left out with its place, and no text becomes code."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policies import Desk, compiled, config_of, json_only

from nfa.cli import main
from nfa.compiler.assemble import decision, image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import compile_policy, separate_lines
from nfa.compiler.explain import explain
from nfa.compiler.expression.generate import Generator
from nfa.image import cpython as image

WEB = samples.flow("HTTP/S", "netify.youtube", local_mac="02:00:5e:10:00:14")


def test_a_broken_action_is_left_out_and_the_others_work(tmp_path: Path) -> None:
    """One slip would switch the whole policy off."""
    made, reports = compiled(
        tmp_path,
        config_of(
            {
                "syntax": ["app = 'youtube';"],
                "name": ["categry == 'games';"],
                "exemption": {"criteria": ["*"], "exemptions": ["nonsense"]},
                "second entry": ["port == 443;", "port == x;"],
                "no target": {"criteria": ["*"], "targets": ["log.none"]},
                "good": ["app == 'youtube';"],
            }
        ),
    )
    assert Desk(made).actions(WEB) == ["good"]
    reasons = {item.action.name: item.reason for item in made.actions}
    assert reasons.pop("good") == ""
    assert all(reasons.values())
    texts = [report.text() for report in reports.errors]
    for name in ("syntax", "name", "exemption", "second entry", "no target"):
        assert any(f"'{name}'" in text and "left out" in text for text in texts), name


def test_an_empty_criteria_is_an_error_and_matches_nothing(tmp_path: Path) -> None:
    """A list that was emptied for a test would match every flow."""
    made, reports = compiled(tmp_path, config_of({"a": [""], "b": ["  "], "c": [], "d": ["*"]}))
    assert len(reports.errors) >= 3
    assert Desk(made).actions(WEB) == ["d"]


def test_a_configuration_that_is_no_json_gives_no_policy(tmp_path: Path) -> None:
    """A half-saved file would replace the running policy by an empty one."""
    file = tmp_path / "policy.json"
    for content in ("{", "", "[]", "\0"):
        file.write_text(content)
        made, reports = compile_policy(json_only(file), Paths(str(tmp_path), str(tmp_path)), look=False)
        assert made is None
        assert reports.errors


@pytest.mark.parametrize(
    ("entry", "exempt"),
    [
        ("192.168.1.20", True), ("203.0.113.10", True), ("203.0.113.8/29", True), ("192.168.1.21", False),
        ("10.0.0.0/8", False), ("02:00:5e:10:00:14", True), ("02-00-5E-10-00-14", True), ("02:00:5e:10:00:15", False),
        ("@servers", True),
        ("@phones", True), ("@others", False), ("app == 'youtube';", True), ("app == 'netflix';", False),
        ("2001:db8::/32", False), ("::/0", False),
        ("ai:youtube", True), (" 192.168.1.20 ", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["action", "global"])
def test_exemptions_of_every_kind(tmp_path: Path, entry: str, exempt: bool, where: str) -> None:
    """What must never be blocked would be, or nothing would."""
    folder = tmp_path / "address-groups.d"
    folder.mkdir()
    (folder / "10-servers.conf").write_text("203.0.113.0/24 # ours\n")
    (folder / "20-phones.conf").write_text("02:00:5e:10:00:14\n")
    (folder / "30-others.conf").write_text("10.0.0.1\n")
    action = {"criteria": ["*"]} | ({"exemptions": [entry]} if where == "action" else {})
    config = config_of({"a": action}, **({"exemptions": [entry]} if where == "global" else {}))
    made, reports = compiled(tmp_path, config)
    assert not reports.items
    assert Desk(made).actions(WEB) is not exempt


def test_a_wrong_global_exemption_is_told_and_the_rest_holds(tmp_path: Path) -> None:
    """A typing error in one address would drop the other exemptions."""
    made, reports = compiled(tmp_path, config_of({"a": ["*"]}, exemptions=["192.168.1.300", "203.0.113.10"]))
    assert Desk(made).actions(WEB) is None
    (error,) = reports.errors
    assert "no action acts until it is corrected" in error.text().lower()


def place_of(report: Any) -> tuple[str, int, int]:
    return Path(report.place.file).name, report.place.line, report.place.column


def test_errors_are_where_they_are_in_json(tmp_path: Path) -> None:
    """The caret would point beside the mistake, most of all after an escape."""
    file = tmp_path / "policy.json"
    lines = [
        '{"version": 1, "targets": {"log.x": {"target_type": "log"}}, "actions": {',
        '  "a": {"targets": ["log.x"], "criteria": [',
        "    \"url == '\\u0041\\\\.' && ap == 'x';\"]}}}",
    ]
    file.write_text("\n".join(lines))
    _, reports = compile_policy(json_only(file), Paths(str(tmp_path), str(tmp_path)), look=False)
    (error,) = reports.errors
    assert place_of(error) == ("policy.json", 3, lines[2].index("ap ==") + 1)
    assert "unknown attribute 'ap'. Did you mean" in error.text()
    assert "the action is left out" in error.text().lower()


def test_criteria_from_files_and_folders_with_their_places(tmp_path: Path) -> None:
    """A list kept in a file could not be used, or a mistake in it not be found."""
    folder = tmp_path / "lists.d"
    folder.mkdir()
    (folder / "20-b.list").write_text("# names\n\nai:youtube\n!ai:netfli\n  ac:\n!ai:netflix\n")
    (folder / "10-a.list").write_text("port == 1;\n  port == x;\r\nport == 2;")
    (folder / ".hidden").write_text("nonsense")
    (tmp_path / "one.list").write_text("app == 'youtube'\napp == 'netflix'\n")
    made, reports = compiled(
        tmp_path, config_of({"folder": ["${path_state_persistent}/lists.d"], "file": [str(tmp_path / "one.list")]})
    )
    assert [place_of(error) for error in reports.errors] == [("10-a.list", 2, 11), ("20-b.list", 5, 5)]
    assert [place_of(warning) for warning in reports.warnings] == [("20-b.list", 4, 2), ("10-a.list", 1, 1)]
    assert "nearly every flow matches" in reports.warnings[1].text().lower()
    desk = Desk(made)
    assert desk.actions(WEB) == ["file"]
    assert desk.actions(samples.flow("HTTP/S", "netify.netflix")) == ["file"]
    assert desk.actions(samples.flow("DNS")) == []


@pytest.mark.parametrize(
    ("text", "separated"),
    [
        ("a", "a"),
        ("a\nb", "a;b"),
        ("a\n\n b\n", "a;\n b;"),
        ("a;\nb;", "a;\nb;"),
        ("a &&\nb;", "a &&\nb;"),
        ("ai:x\n!pc:y\n  ac:z  ", "ai:x;!pc:y;  ac:z  "),
        ("ai:x\napp == 'y';\npi:z", "ai:x;app == 'y';\npi:z"),
        ("", ""),
        ("\n", "\n"),
    ],
)
def test_lines_of_a_file_are_expressions_of_their_own(text: str, separated: str) -> None:
    """A list without `;` would be one expression, and wrong."""
    assert separate_lines(text) == separated


@given(st.text(alphabet="ai:x;\n !&'", max_size=40))
def test_separating_lines_moves_nothing(text: str) -> None:
    """Every caret after the first line would be wrong."""
    separated = separate_lines(text)
    assert len(separated) <= len(text) + 1
    for before, after in zip(text, separated, strict=False):
        assert before == after or (before, after) == ("\n", ";")


# -- no text becomes code ----------------------------------------------------------------------------------------------

hostile = st.text(alphabet="'\"\\\n\r\0{}();#é\u2028\U0001f600abCX__import%", max_size=24) | st.sampled_from(
    ["') or __import__('os').system('x') or ('", "\\", "\\'", "'''", '"""', "\\N{DEL}", "{0}", "\n    raise"]
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile, hostile, hostile)
def test_strings_of_a_policy_end_up_as_literals(tmp_path: Path, value: str, interface: str, name: str) -> None:
    """A name in a downloaded list would run as root."""
    value = "".join(c for c in value if c not in "'\n;") or "a"
    tests = [f"{name} == '{value}'" for name in ("detected_hostname", "iface", "url")] + ["url == 'b'", "url == 'c'"]
    action = {"criteria": [" || ".join(tests) + ";"]}
    actions = {name or "a": action | {"interface": interface}, "sure": {"criteria": ["port == 443;"]}}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(config_of(actions)))
    made, _ = compile_policy(json_only(file), Paths(str(tmp_path), str(tmp_path)), look=False)
    assert made is not None
    source, _ = decision(made, Generator())
    names: set[str] = set()
    pending = [compile(source, "<policy>", "exec")]
    while pending:
        code = pending.pop()
        names |= set(code.co_names)
        pending += [constant for constant in code.co_consts if hasattr(constant, "co_names")]
    allowed = r"mask|get|text|NOTHING|pick|remember|miss\d+|[CMRT]\d+"
    assert not [name for name in names if not re.fullmatch(allowed, name)]
    desk = Desk(made)
    plain = samples.flow(interface="none of these")
    assert desk.actions(plain) in (["sure"], [name or "a", "sure"] if interface == "*" else ["sure"])
    matching = samples.flow(host_server_name=value, interface=interface)
    found = desk.actions(matching)
    active = {item.action.name for item in made.actions if not item.reason}
    if (name or "a") in active and not value.startswith("rx:") and interface not in ("lan", "wan"):
        assert found is not None
        assert (name or "a") in found


# -- the image ---------------------------------------------------------------------------------------------------------


def test_the_image_is_plain_data_with_all_that_the_daemon_needs(tmp_path: Path) -> None:
    """The daemon would need the compiler's modules, or `nfa status` would not know a name."""
    options = {"target_type": "nftset", "set_name": "s", "managed": True, "type": "other_addr", "set_family": "ipv4"}
    config = config_of({"a": {"criteria": ["category == 'games';"], "targets": ["nftset.s", "log.x", "nftset.s"]}, "b": ["x"]})
    config["targets"]["nftset.s"] = options
    made, _ = compiled(tmp_path, config)
    data: Any = image.load(image.dump(image_of(made)))
    assert data["actions"][0] == ("a", True, "", ("nftset.s", "log.x"), "")
    assert data["actions"][1][2] and data["actions"][1][4] == "action-broken"
    assert [(target["name"], target["type"], target["slots"]) for target in data["targets"]] == [
        ("log.x", "log", ()), ("log.y", "log", ()), ("nftset.s", "nftset", (0,)),
    ]  # fmt: skip
    assert data["slots"][0]["set"] == "s.v4"
    rows = data["categories"][0]
    assert dict(struct.iter_unpack(">IH", rows))[124] == 29
    assert (data["errors"], len(data["reports"])) == (1, len(made.reports.items))


def test_an_explanation_knows_the_categories_of_records_that_name_none(tmp_path: Path) -> None:
    """`nfa explain` would say of an agent of 3.x that no category rule matches, which the daemon matches."""
    made, _ = compiled(tmp_path, config_of({"a": ["category == 'streaming-media';"]}))
    record = samples.as_v3(samples.flow("HTTP/S", "netify.youtube"))
    assert explain(made, record).matched == ["a"]


def test_categories_are_left_out_when_no_expression_asks_for_them(tmp_path: Path) -> None:
    """Every policy would carry tables of thousands of rows."""
    made, _ = compiled(tmp_path, config_of({"a": ["app == 'youtube';"]}))
    assert image_of(made)["categories"] == (b"", b"")


def test_explain_says_what_a_connection_gets_and_that_it_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mark or a label cannot be seen in a set: this is the way to try a policy."""
    names = tmp_path / "connlabel.conf"
    names.write_text("3 streaming\n10 a-netify-netflix\n")
    targets = {
        "m": {"target_type": "ctmark", "mark": "0x2", "shift": 4, "mask": "0xff0", "cut": True},
        "l": {"target_type": "ctlabel", "labels": ["streaming"]},
        "auto": {"target_type": "ctlabel", "auto_label": True},
    }
    action = {"criteria": "*", "targets": list(targets)}
    config = {"version": 1, "actions": {"a": action}, "targets": targets,
              "target_globals": {"ctlabel": {"connlabel_conf": str(names)}}}  # fmt: skip
    made, reports = compiled(tmp_path, config)
    assert not reports.items
    verdict = explain(made, samples.flow(application="netify.netflix", other="203.0.113.80", local_origin=False))
    ends = "conntrack: tcp 203.0.113.80:443 > 192.168.1.20:50000"
    assert verdict.effects == {
        "m": [f"{ends} mark 0x20/0xff0", "the connection is cut: its next packet goes through the firewall rules again"],
        "l": [f"{ends} label streaming"],
        "auto": [f"{ends} label a-netify-netflix"],
    }
    assert main(["check", "-c", str(tmp_path / "policy.json"), "--no-uci", "--state-dir", str(tmp_path)]) == 0
    summary = capsys.readouterr().out
    for line in ("mark of m: 0x20/0xff0", "labels of l: streaming", "labels of auto: none, and by application and protocol"):
        assert line in summary
    verdict = explain(made, samples.flow())
    assert verdict.skipped == {"auto": "the flow has no element here: its application and protocol have no label"}
    data: Any = image.load(image.dump(image_of(made)))
    assert [target["cut"] for target in data["targets"]] == [True, False, False]


def test_explain_and_check_know_sinks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever tries a policy with a sink would read that it does nothing."""
    (tmp_path / "netify-sink-log.json").write_text(json.dumps({"channels": {"video": {"path": str(tmp_path)}}}))
    sink = {"target_type": "sink", "sink": "sink-log", "channel": "video"}
    config = {"version": 1, "actions": {"a": {"criteria": "*", "targets": ["tell"]}}, "targets": {"tell": sink}}
    made, reports = compiled(tmp_path, config)
    assert not reports.errors
    assert explain(made, samples.flow()).effects == {"tell": ["an event to sink 'sink-log', channel 'video' (log)"]}
    assert main(["check", "-c", str(tmp_path / "policy.json"), "--no-uci", "--state-dir", str(tmp_path)]) == 0
    assert "sink of tell: sink-log, channel video (log)" in capsys.readouterr().out


def test_a_policy_that_needs_marks_or_ja3_is_told_what_the_agent_has_of_them(tmp_path: Path) -> None:
    """`fwmark` was 0 for ever with OpenWrt's netifyd, and nobody said so."""
    actions = {"a": "fwmark == 0x10;", "b": "ct_mark == 2 || ja3 == 'e7';", "c": "app == 'youtube';"}
    made, reports = compiled(tmp_path, config_of(actions))
    assert [(report.code, report.severity) for report in reports.items] == [
        ("marks-looked-up", "info"),
        ("not-reported", "info"),
    ]
    assert image_of(made)["marks"] is True
    targets = {"t": {"target_type": "nftset", "set_name": "t", "type": ["local_addr", "mark"], "managed": True}}
    made, reports = compiled(
        tmp_path, {"version": 1, "actions": {"a": {"criteria": ["*"], "targets": ["t"]}}, "targets": targets}
    )
    assert [report.code for report in reports.items] == ["marks-looked-up"] and image_of(made)["marks"] is True
    made, reports = compiled(tmp_path, config_of({"c": "app == 'youtube';"}))
    assert not reports.items and image_of(made)["marks"] is False
