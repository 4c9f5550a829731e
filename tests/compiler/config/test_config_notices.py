"""Notices of a configuration: what is refused, with which hint, and what stays in use then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from notices_lab import policy

from nfa.cli import main
from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config import jsonconfig, uciconfig, uciwriter
from nfa.compiler.config.sources import Sources

HTTP = "config sink 'web'\n\toption type 'http'\n\toption url '{url}'\n"
SINKS = (
    HTTP.format(url="https://ntfy.example/topic")
    + "config sink 'bare'\n\toption type 'http'\n\toption url 'https://ntfy.example'\n"
    + "config sink 'mq'\n\toption type 'mqtt'\n\toption broker 'mqtt://b'\n"
    + "config sink 'sock'\n\toption type 'socket'\n\toption listen 'unix:///var/run/nfa/x.sock'\n"
    + "config sink 'files'\n\toption type 'log'\n"
)


def made(tmp_path: Path, notice: Any, last_good: bytes = b"", **more: Any) -> tuple[Compiled, Reports]:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy({"phone": notice}, **more)))
    (tmp_path / uciconfig.PACKAGE).write_text(SINKS)
    paths = Paths(str(tmp_path), str(tmp_path))
    found, reports = compile_policy(Sources(str(tmp_path), True, (str(file),)), paths, look=False, last_good=last_good)
    assert found is not None
    return found, reports


def data(compiled: Compiled) -> dict[str, Any]:
    found: Any = image_of(compiled)["notices"]
    return found["notices"][0] if found else {}  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("notice", "code", "words"),
    [
        ({"event": ["new_devise"]}, "bad-value", "did you mean 'new_device'"),
        ({}, "missing-option", "no 'event'"),
        ({"event": "agent", "sink": "wep"}, "unknown-sink", "did you mean 'web'"),
        ({"event": "agent", "sink": "web", "format": "nftfy"}, "bad-value", "did you mean 'ntfy'"),
        ({"event": "agent", "to": "syslog"}, "bad-value", "'log'"),
        ({"event": "agent", "format": "ntfy"}, "options-conflict", "no sink"),
        ({"event": "agent", "sink": "bare", "format": "ntfy"}, "options-conflict", "https://ntfy.sh/TOPIC"),
        ({"event": "agent", "sink": "mq", "format": "ntfy"}, "options-conflict", "needs a sink of type 'http'"),
        ({"event": "agent", "sink": "web", "format": "home_assistant"}, "options-conflict", "needs a sink of type 'mqtt'"),
        ({"event": "agent", "sink": "files", "format": "text"}, "options-conflict", "which a sink of type 'log' does not have"),
        ({"event": "agent", "sink": "web", "format": "telegram", "chat": "1"}, "options-conflict", "no 'token'"),
        ({"event": "agent", "sink": "web", "format": "telegram", "token": "1:a"}, "options-conflict", "no 'chat'"),
        ({"event": "agent", "sink": "web", "chat": "1"}, "options-conflict", "only format 'telegram' uses"),
        ({"event": "blocked", "action": "video"}, "unknown-action", "did you mean 'videos'"),
        ({"event": "blocked", "device": "tablett"}, "unknown-device", "did you mean 'tablet'"),
        ({"event": "agent", "limit": 0}, "bad-value", "from 1 to 1000"),
        ({"event": "agent", "tls_below": "1.3"}, "bad-value", "'1.2'"),
        ("phone", "bad-value", "is not an object"),
    ],
)
def test_a_slip_is_an_error_with_the_nearest_name(tmp_path: Path, notice: Any, code: str, words: str) -> None:
    """Somebody would wait for a notice that never comes, or that goes elsewhere."""
    compiled, reports = made(tmp_path, notice)
    errors = [report for report in reports.items if report.severity == "error"]
    assert [report.code for report in errors] == [code], [report.text() for report in reports.items]
    assert words.lower() in errors[0].text().lower() and "notice 'phone'" in errors[0].text()
    assert "the notice is left out" in errors[0].text().lower()
    assert not data(compiled)
    good, _ = made(tmp_path, {"event": "agent"})
    last = good.keeping.good.pack()
    kept, reports = made(tmp_path, notice, last)
    assert data(kept)["events"] == ("agent",) and ("notice", "phone") in kept.keeping.kept
    assert "its last good version stays in use" in reports.errors[0].text().lower()


def test_what_has_no_effect_is_a_warning(tmp_path: Path) -> None:
    """Who forgot an event would not notice."""
    for notice, code in (
        ({"event": "agent", "action": ["videos"]}, "option-unused"),
        ({"event": "agent", "device": ["tablet"]}, "option-unused"),
        ({"event": "agent", "tls_below": "1.1"}, "option-unused"),
        ({"event": "budget"}, "notice-idle"),
    ):
        assert [report.code for report in made(tmp_path, notice)[1].items] == [code]
    log = {"watch": {"criteria": ["port == 1;"], "targets": ["l"]}}
    targets = {"l": {"target_type": "log"}}
    for notice in ({"event": "blocked"}, {"event": "blocked", "action": "watch"}):
        assert [report.code for report in made(tmp_path, notice, actions=log, targets=targets)[1].items] == ["notice-idle"]


def test_a_notice_that_is_off_is_not_in_the_image(tmp_path: Path) -> None:
    """Off is off, whatever was good before."""
    good, _ = made(tmp_path, {"event": "agent"})
    off, reports = made(tmp_path, {"event": "agent", "enabled": False, "sink": "nowhere"}, good.keeping.good.pack())
    assert image_of(off)["notices"] is None and not reports.errors
    assert made(tmp_path, {"event": "agnt", "enabled": False}, good.keeping.good.pack())[0].policy.notices == {}


def test_the_image_has_one_language_and_only_the_sentences_that_are_wanted(tmp_path: Path) -> None:
    """The resident process would hold a catalogue."""
    found: Any = image_of(made(tmp_path, {"event": "agent"}, language="zh")[0])["notices"]
    assert set(found["sentences"]) == {"agent_lost", "agent_silent", "agent_back", "left_out_one", "left_out", "test"}
    assert found["titles"]["test"][0] == "测试" and found["counts"] is False


def test_a_format_decides_where_and_how_it_is_sent(tmp_path: Path) -> None:
    ntfy = data(made(tmp_path, {"event": "agent", "sink": "web", "format": "ntfy"})[0])
    assert (ntfy["topic"], ntfy["channel"]["options"]["path"], ntfy["channel"]["options"]["batch"]) == ("topic", "/", 1)
    telegram = {"event": "agent", "sink": "bare", "format": "telegram", "token": "12:ab", "chat": "@us"}
    assert data(made(tmp_path, telegram)[0])["channel"]["options"]["path"] == "/bot12:ab/sendMessage"
    plain = data(made(tmp_path, {"event": "agent", "sink": "web", "format": "text"})[0])
    assert ("Content-Type", "text/plain; charset=utf-8") in plain["channel"]["options"]["headers"]


def test_a_socket_that_a_target_has_in_another_form_is_an_error(tmp_path: Path) -> None:
    """The second one could not listen."""
    targets = {"out": {"target_type": "sink", "sink": "sock", "channel": "notices", "format": "msgpack"}}
    actions = {"all": {"criteria": ["*"], "targets": ["out"]}}
    _, reports = made(tmp_path, {"event": "agent", "sink": "sock"}, targets=targets, actions=actions)
    assert [report.code for report in reports.errors] == ["channel-conflict"]
    targets["out"]["format"] = "json"
    assert not made(tmp_path, {"event": "agent", "sink": "sock"}, targets=targets, actions=actions)[1].errors


def test_the_token_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A question in a forum would give the bot away."""
    telegram = {"event": "agent", "sink": "bare", "format": "telegram", "token": "110201543:S3CR3T", "chat": "1"}
    made(tmp_path, telegram)
    for arguments in (["--show"], ["--show", "--json"], []):
        main(["check", "-c", str(tmp_path / "policy.json"), "-u", str(tmp_path), *arguments])
        shown = capsys.readouterr()
        assert "S3CR3T" not in shown.out + shown.err
        assert "phone" in shown.out or "--show" not in arguments
    broken = telegram | {"token": "S3CR3T"}
    _, reports = made(tmp_path, broken)
    assert reports.errors and "S3CR3T" not in "".join(report.text() for report in reports.items)


def test_json_becomes_uci_with_the_same_meaning(tmp_path: Path) -> None:
    """`nfa import` would lose the notices, or name actions that are called otherwise there."""
    config = policy({"my phone": {"event": ["blocked", "agent"], "to": ["log"], "action": ["no videos"], "device": ["tablet"]}})
    config["actions"] = {"no videos": config["actions"]["videos"]}
    document = jsonconfig.document_of(json.dumps(config), "x.json", Reports())
    assert document is not None
    text = uciwriter.write(document).text
    (tmp_path / uciconfig.PACKAGE).write_text(text)
    paths = Paths(str(tmp_path), str(tmp_path))
    compiled, reports = compile_policy(Sources(str(tmp_path), True, ()), paths, look=False)
    assert compiled is not None and not reports.errors, text
    (notice,) = compiled.policy.notices.values()
    assert notice.name == "my_phone" and notice.options["events"] == ("blocked", "agent") and notice.devices == ("tablet",)
    assert data(compiled)["actions"] == ("no_videos",)
