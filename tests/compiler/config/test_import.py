"""`nfa import`: JSON of Flow Actions and of netify-fwa becomes UCI with the same meaning, and what has none is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policies import Desk, config_of, json_only

from nfa.cli import main
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config import fwa, jsonconfig, uciwriter
from nfa.compiler.config.model import Policy
from nfa.compiler.config.sources import Sources
from nfa.compiler.config.uciconfig import PACKAGE

SEEDS = sorted((Path(__file__).parent / "seeds").glob("*.json"))


def of_json(folder: Path, config: object) -> tuple[Compiled, Reports]:
    file = folder / "policy.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    made, reports = compile_policy(json_only(file), Paths(str(folder), str(folder)), look=False)
    assert made is not None
    return made, reports


def of_uci(folder: Path, config: object) -> tuple[Compiled, Reports, list[str], str]:
    document = jsonconfig.document_of(config if isinstance(config, str) else json.dumps(config), "policy.json", Reports())
    assert document is not None
    written = uciwriter.write(document)
    (folder / PACKAGE).write_text(written.text)
    sources = Sources(str(folder), True, ())
    made, reports = compile_policy(sources, Paths(str(folder / "none"), str(folder)), look=False)
    assert made is not None, written.text
    return made, reports, written.notes, written.text


def meaning(policy: Policy) -> dict[str, Any]:
    """All that a policy says, without places, and names by their order."""
    names = {name: number for number, name in enumerate(policy.targets)}
    actions = [
        (
            action.enabled,
            [text.value for text in action.criteria],
            [names[name] for name in action.targets],
            [text.value for text in action.exemptions],
            action.interface,
            action.halt_on_match,
            action.priority,
            [replace(window) for window in action.time_of_day],
            action.broken,
        )
        for action in policy.actions
    ]
    targets = [(t.type, t.enabled, t.interface, t.options, t.cut, t.trouble) for t in policy.targets.values()]
    main_options = {key: value for key, value in policy.main.items() if key != "json_config"}
    return {
        "actions": actions,
        "targets": targets,
        "exemptions": [text.value for text in policy.exemptions],
        "globals": policy.target_globals,
        "main": main_options,
        "reprocess": policy.reprocess_flows,
        "zone": policy.timezone,
        "devices": {name: (one.macs, one.networks, one.names, one.title) for name, one in policy.devices.items()},
        "groups": {name: (one.devices, one.title) for name, one in policy.device_groups.items()},
    }


def codes(reports: Reports) -> list[tuple[str, str]]:
    return sorted((r.severity, r.code) for r in reports.items if (r.code, r.severity) != ("missing-option", "warning"))


@pytest.mark.parametrize("file", SEEDS, ids=[file.stem for file in SEEDS])
def test_what_netify_publishes_means_the_same_in_uci(tmp_path: Path, file: Path) -> None:
    """Who moves to UCI would get another policy."""
    text = file.read_text()
    before, _ = of_json(tmp_path, text)
    after, _, _, written = of_uci(tmp_path, text)
    assert meaning(after.policy) == meaning(before.policy), written


TEXTS = st.sampled_from(
    [
        "app == 'netflix';",
        "detected_hostname == 'rx:\\.netflix\\.com$';",
        "url == 'a\\\\b\"c';",
        "*",
        "ai:youtube",
        "port == 443",
        "local_ip == 192.168.1.1-192.168.1.9; app == 'a # b';",
        "192.168.1.0/24",
        "@printers",
        'iface == "br-lan";\n app;',
        "10.0.0.1;",
    ]
)
NAMES = st.sampled_from(["a", "log", "nftset", "global", "main", "ipset.games", "a-b", "a_b", "x y", "ctlabel", "Ä", "a.b"])
WINDOWS = st.fixed_dictionaries(
    {},
    optional={
        "day": st.lists(st.sampled_from(["mon", "sun"]), min_size=1, max_size=2),
        "time_start": st.sampled_from(["9:00", "21:30:15"]),
        "time_end": st.sampled_from(["17:00", "24:00"]),
        "policy": st.sampled_from(["inclusive", "exclusive"]),
    },
)
TARGETS = st.one_of(
    st.fixed_dictionaries(
        {"target_type": st.just("nftset"), "set_name": st.sampled_from(["s", "nfa.x"])},
        optional={
            "ttl": st.integers(0, 900),
            "managed": st.booleans(),
            "type": st.sampled_from([["other_addr"], "local_addr.mark"]),
            "set_family": st.sampled_from(["ipv4", "*"]),
            "target_enabled": st.booleans(),
            "interface": st.just("lan"),
        },
    ),
    st.fixed_dictionaries(
        {"target_type": st.just("log")},
        optional={"prefix": st.just("it's"), "suffix": st.just(".json"), "interval": st.sampled_from([60, 5.0])},
    ),
    st.fixed_dictionaries(
        {"target_type": st.just("ctmark"), "mark": st.sampled_from(["0x85", 10, "10", 4096])},
        optional={"mask": st.sampled_from([65535, "0xff00"]), "shift": st.integers(0, 8)},
    ),
    st.fixed_dictionaries({"target_type": st.just("ctlabel"), "labels": st.lists(st.sampled_from([1, 7, "12"]), min_size=1)}),
    st.fixed_dictionaries(
        {"target_type": st.just("ipset"), "set_name": st.just("i")},
        optional={"type": st.just("hash:ip,port,ip"), "skb_mark": st.just("0x1"), "max_elements": st.just(1000)},
    ),
)


DEVICES = {
    "tablet": {"mac": "00:11:22:33:44:55", "ip": ["192.168.1.7", "fd00::/64"]},
    "Toms_phone": {"name": ["toms-phone", "phone"], "title": "Tom's"},
}


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    targets = draw(st.dictionaries(NAMES, TARGETS, min_size=1, max_size=4))
    some = st.lists(st.sampled_from(sorted(targets)), min_size=1, max_size=3, unique=True)
    action = st.fixed_dictionaries(
        {"criteria": st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=3, unique=True)), "targets": some},
        optional={
            "enabled": st.booleans(),
            "exemptions": st.lists(TEXTS, max_size=2, unique=True),
            "interface": st.sampled_from(["*", "eth0"]),
            "halt_on_match": st.booleans(),
            "priority": st.integers(0, 5),
            "time_of_day": st.lists(WINDOWS, max_size=2),
        },
    )
    config: dict[str, Any] = {"version": 1, "targets": targets, "actions": draw(st.dictionaries(NAMES, action, max_size=4))}
    extra = st.fixed_dictionaries(
        {},
        optional={
            "exemptions": st.lists(TEXTS, max_size=3, unique=True),
            "reprocess_flows": st.booleans(),
            "timezone": st.just("UTC"),
            "target_defaults": st.fixed_dictionaries(
                {},
                optional={
                    "nftset": st.just({"ttl": 77, "table_name": "netify"}),
                    "log": st.just({"path": "/tmp/x"}),
                    "ctlabel": st.just({"log_errors": True}),
                },
            ),
            "target_globals": st.just({"ctlabel": {"max_bits": 64}}),
            "max_flows": st.just(2048),
            "devices": st.just(DEVICES),
            "groups": st.just({"kids": {"devices": ["tablet", "Toms_phone"], "title": "Tom's things"}}),
        },
    )
    return config | draw(extra)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configurations())
def test_any_policy_means_the_same_in_uci(tmp_path: Path, config: dict[str, Any]) -> None:
    """A mark would be read as hexadecimal, a backslash be lost, a name be taken twice: another policy, and nobody told."""
    before, told = of_json(tmp_path, config)
    after, told_then, _, written = of_uci(tmp_path, config)
    assert meaning(after.policy) == meaning(before.policy), written
    assert codes(told_then) == codes(told), written


def test_devices_and_groups_come_along(tmp_path: Path) -> None:
    """A policy for the kids would be an error in UCI, or an exempt printer blocked, and nobody told."""
    config = config_of({"a": ["local_ip == @kids;"]}, devices=DEVICES, groups={"kids": {"device": ["tablet", "Toms_phone"]}})
    before, _ = of_json(tmp_path, config)
    after, reports, notes, written = of_uci(tmp_path, config)
    assert meaning(after.policy) == meaning(before.policy) and len(after.policy.devices) == 2, written
    assert not reports.errors and not [note for note in notes if "device" in note or "group" in note]
    *_, notes, written = of_uci(tmp_path, config_of({}, devices={"a-b": {"ip": "192.0.2.1"}}, groups={"g": {"device": "a-b"}}))
    assert "config device 'a_b'" in written and "option device 'a_b'" in written
    assert "device 'a_b': expressions that name it must be changed by hand" in notes


def test_what_has_no_counterpart_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A part of a policy would be lost on the way."""
    config = config_of({"a.b": {"criteria": "*", "colour": "red"}}, target_defaults={"foo": {"x": 1}, "log": {"suffix": ""}})
    config["targets"] |= {"s": {"target_type": "nftset", "set_name": "s", "ttl": 5, "extra": [1]}}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(config))
    assert main(["import", str(file)]) == 0
    out, err = capsys.readouterr()
    for words in (
        "action 'a.b' is called 'a_b'",
        "action 'a.b': 'colour' is no property of it",
        "'foo' is no type of target",
        "UCI has no empty value, so 'suffix' is left out",
        "target 's': 'extra' is no property of it",
        "target 'log.x' is called 'log_x'",
    ):
        assert words in err, words
    assert "colour" not in out
    assert "\tlist target 'log_x'" in out
    assert main(["import", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == config


@pytest.mark.parametrize("content", [None, "{", "[]", "config action 'a'\n"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty configuration would be written over the one that was there."""
    file = tmp_path / "policy.json"
    if content is not None:
        file.write_text(content)
    assert main(["import", str(file)]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err


FWA = {
    "version": "1.0",
    "rules": [
        {"type": "block", "application": "netflix", "weekdays": "Mon,Tue", "time-start": "08:00", "time-stop": "17:00"},
        {"type": "block", "protocol": 37, "direction": "egress"},
        {"type": "block", "application": 124, "enable": False},
        {"type": "mark", "application_category": "games", "mark": 2},
        {"type": "ipset", "protocol_category": "vpn"},
        {"type": "block", "protocol": "BitTorrent", "application_category": "games"},
        {"type": "prioritize", "protocol": "ZOOM", "priority": 1},
        {"type": "reject", "protocol": 5},
        {"type": "block"},
        7,
    ],
    "whitelist": [
        {"type": "ipv4", "address": "192.168.1.5"},
        {"type": "ipv6", "address": "2001:db8::/64"},
        {"type": "mac", "address": "02:00:5e:10:00:14"},
        {"type": "name", "address": "x"},
    ],
}


def test_a_configuration_of_netify_fwa_is_named_and_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be a policy without actions: everything passes, and the check says that all is well."""
    file = tmp_path / "netify-fwa.json"
    file.write_text(json.dumps(FWA))
    made, reports = compile_policy(json_only(file), Paths(str(tmp_path), str(tmp_path)), look=False)
    assert made is None
    (error,) = reports.items
    assert error.code == "wrong-file"
    assert "this is a configuration of netify-fwa" in error.text()
    assert "nfa import" in error.text()
    assert main(["check", "-c", str(file), "--no-uci"]) == 1
    capsys.readouterr()


def test_rules_of_netify_fwa_become_actions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its users would have to write everything again."""
    file = tmp_path / "netify-fwa.json"
    file.write_text(json.dumps(FWA))
    assert main(["import", str(file)]) == 0
    out, err = capsys.readouterr()
    (tmp_path / PACKAGE).write_text(out)
    made, reports = compile_policy(Sources(str(tmp_path), True), Paths(str(tmp_path / "n"), str(tmp_path)), look=False)
    assert made is not None
    assert not reports.errors and not reports.warnings, [report.text() for report in reports.items]
    actions = {action.name: action for action in made.policy.actions}
    assert list(actions) == ["block_netflix", "block_37", "block_124", "mark_games", "ipset_vpn", "block_bittorrent_games"]
    assert [window.days for window in actions["block_netflix"].time_of_day] == [(0, 1)]
    assert not actions["block_124"].enabled
    assert all(action.interface == "lan" and action.halt_on_match for action in actions.values())
    targets = made.policy.targets
    assert targets["fwa_mark_2"].options["mark"] == 0x02000000
    block = targets["fwa_block"]
    assert (block.type, *(block.options[name] for name in ("verdict", "scope", "ttl"))) == ("firewall", "drop", "server", 1200)
    for words in (
        "rule 7 (prioritize",
        "rule 8 has no type",
        "rule 9 has no type",
        "rule 10 is no object",
        "02:00:5e:10:00:14 is exempt",
        "hours are in UTC",
        "entry 4 of the whitelist",
        "direction (egress)",
        "set_dscp",
    ):
        assert words in err, words


@pytest.mark.parametrize(
    ("fields", "matched"),
    [
        ({}, ["games"]),
        ({"other_type": "local"}, None),
        ({"ip_protocol": 1}, None),
        ({"detected_protocol": 5, "detected_protocol_name": "DNS"}, None),
        ({"local_ip": "192.168.1.5"}, None),
    ],
)
def test_flows_that_netify_fwa_passed_over_are_exempt(
    tmp_path: Path, fields: dict[str, Any], matched: list[str] | None
) -> None:
    """A rule that blocked what leaves the house would block what stays in it, too."""
    config = fwa.translate(FWA | {"rules": [{"type": "block", "application_category": "games"}]}).config
    config["targets"] = {"log.x": {"target_type": "log"}}
    action = config["actions"].pop("block_games")
    config["actions"]["games"] = action | {"targets": ["log.x"]}
    made, _ = of_json(tmp_path, config)
    record = samples.flow("HTTP/S", "netify.youtube", local="192.168.1.35", other="203.0.113.10")
    record["internal"] = True
    record["flow"] |= {"category": {"application": 12, "protocol": 0, "domain": 0}, "other_type": "remote"} | fields
    assert Desk(made).actions(record) == matched
