"""Targets of type firewall: what users write, and what the program gets; what contradicts itself is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_loading import Load

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Report, Reports
from nfa.compiler.config import effects, marks
from nfa.compiler.config.model import Target
from nfa.compiler.config.sources import Sources, load

FIREWALL: dict[str, Any] = {"target_type": "firewall"}


def read(load_config: Load, options: dict[str, Any], defaults: dict[str, Any] | None = None) -> tuple[Target | None, Reports]:
    """A target with these options, and what is said of it."""
    config: dict[str, Any] = {
        "version": 1,
        "actions": {"a": {"criteria": "port == 443;", "targets": ["t"]}},
        "targets": {"t": FIREWALL | options},
    }
    if defaults:
        config["target_defaults"] = {"firewall": defaults}
    policy, reports = load_config(config)
    assert policy is not None
    return policy.targets.get("t"), reports


@pytest.mark.parametrize(
    ("option", "written", "value"),
    [
        ("verdict", "REJECT", "reject"),
        ("verdict", ["drop"], "drop"),
        ("set_dscp", "EF", 46),
        ("set_dscp", "af41", 34),
        ("set_dscp", " CS0 ", 0),
        ("set_dscp", "0x2e", 46),
        ("set_dscp", "63", 63),
        ("set_dscp", 8, 8),
        ("set_mark", "0x10/0xf0", (0x10, 0xF0)),
        ("set_mark", "16/240", (16, 240)),
        ("set_mark", "0/0x80000000", (0, 0x80000000)),
        ("limit", "2mbit", 250_000),
        ("limit", "1.5Mbit", 187_500),
        ("limit", "500kbit", 62_500),
        ("limit", "500 kbit/s", 62_500),
        ("limit", "250kbyte", 250_000),
        ("limit_up", "8000bit", 1000),
        ("limit_up", "0.00001gbit", 1250),
        ("limit_down", "1gbit", 125_000_000),
        ("limit_down", "0.1gbyte", 100_000_000),
    ],
)
def test_an_option_is_read(load_config: Load, option: str, written: object, value: object) -> None:
    """A wrong factor of eight or of a thousand is a line that is too slow or not limited at all."""
    target, reports = read(load_config, {option: written})
    assert target is not None and target.options[option] == value
    assert not [report.text() for report in reports.errors + reports.warnings]


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({}, "nothing to do: give one of verdict, set_dscp, set_mark, limit", ""),
        ({"verdict": "rejekt"}, "expected 'reject' or 'drop', found 'rejekt'", "did you mean 'reject'?"),
        ({"verdict": "accept"}, "expected 'reject' or 'drop'", ""),
        ({"set_dscp": "AF44"}, "expected a DSCP class", "did you mean 'af43'"),
        ({"set_dscp": 64}, "expected a DSCP class such as 'EF', 'CS1' or 'AF41', or a number from 0 to 63, found 64", ""),
        ({"set_dscp": True}, "expected a DSCP class", ""),
        ({"set_mark": "0x10"}, "expected VALUE/MASK such as '0x10/0xf0'", ""),
        ({"set_mark": 16}, "expected VALUE/MASK", ""),
        ({"set_mark": "0x110/0xff"}, "the value 0x110 has bits outside of the mask 0xff", "write 0x110/0x1ff"),
        ({"set_mark": "0/0"}, "the mask is 0", ""),
        ({"set_mark": "0x1ffffffff/0xff"}, "expected VALUE/MASK", ""),
        ({"limit": "2"}, "expected a rate such as '2mbit'", "bit, kbit, mbit and gbit"),
        ({"limit": 2}, "expected a rate", ""),
        ({"limit": "2mbps"}, "expected a rate", "tc means bytes by bps"),
        ({"limit": "2mbti"}, "expected a rate", "did you mean 'mbit'"),
        ({"limit": "1kbit"}, "expected a rate from 8kbit to 1000gbit", ""),
        ({"limit": "0mbit"}, "expected a rate from 8kbit", ""),
        ({"set_dscp": "EF", "ctinfo": "63"}, "expected MASK/STATE", ""),
        ({"set_dscp": "EF", "ctinfo": "31/128"}, "a mask has 6 bits side by side", ""),
        ({"set_dscp": "EF", "ctinfo": "126/2"}, "the state is one more bit", ""),
        ({"set_dscp": "EF", "ctinfo": "63/0"}, "the state is one more bit", ""),
        (
            {"verdict": "drop", "scope": "conection"},
            "expected 'connection' or 'server' or 'device'",
            "did you mean 'connection'?",
        ),
        ({"verdict": "drop", "hook": "input"}, "expected 'forward' or 'router'", ""),
        ({"verdict": "drop", "ttl": 0}, "expected a whole number of seconds from 1", ""),
        ({"verdict": "drop", "limit": "2mbit"}, "'verdict' stands beside 'limit'", ""),
        ({"verdict": "drop", "per_device": True}, "'per_device' is about a limit", ""),
        ({"verdict": "drop", "ctinfo": "63/128"}, "'ctinfo' says where the class of 'set_dscp' is noted", ""),
        ({"verdict": "drop", "fallback": True}, "'fallback' is about a 'route'", ""),
        ({"set_dscp": "EF", "set_mark": "0x10/0xff"}, "have bits of the mark in common: 0xbf", ""),
        ({"route": "wan 2"}, "expected a network of /etc/config/network such as 'wan2', or a device", ""),
    ],
)
def test_what_cannot_be_is_told(load_config: Load, options: dict[str, Any], message: str, hint: str) -> None:
    """A target that does less than it says is worse than none: it is left out, with what is wrong and what is right."""
    target, reports = read(load_config, options)
    assert target is None
    found = [report for report in reports.errors if message in report.message and hint.lower() in report.hint.lower()]
    assert found, [report.text() for report in reports.items]
    assert found[0].consequence == "the target is left out"


def test_a_misspelt_option_is_named(load_config: Load) -> None:
    """fw4 has `set_mark`, ipset has `skb_mark`: who mixes them up is told."""
    _, reports = read(load_config, {"set_dspc": "EF", "verdict": "drop"})
    assert any(report.hint == "did you mean 'set_dscp'?" for report in reports.warnings)


@pytest.mark.parametrize(
    ("own", "defaults", "left"),
    [
        ({"limit": "2mbit"}, {"verdict": "drop"}, {"limit": 250_000}),
        ({"verdict": "drop"}, {"limit": "2mbit", "set_dscp": "EF"}, {"verdict": "drop"}),
        ({"limit_up": "1mbit"}, {"limit": "2mbit", "per_device": True}, {"limit_up": 125_000, "limit": 250_000}),
        ({}, {"verdict": "reject"}, {"verdict": "reject"}),
    ],
)
def test_own_options_win_over_defaults(load_config: Load, own: dict[str, Any], defaults: dict[str, Any], left: object) -> None:
    """A default for most targets must not make the others contradict themselves."""
    target, reports = read(load_config, own, defaults)
    assert target is not None and not reports.errors
    names = ("verdict", "set_dscp", "set_mark", "limit", "limit_up", "limit_down")
    assert {name: target.options[name] for name in names if target.options[name] is not None} == left


@pytest.mark.parametrize(
    ("options", "mark"),
    [
        ({"set_dscp": 46, "ctinfo": "63/128"}, (0xAE, 0xBF)),
        ({"set_dscp": 0, "ctinfo": "63/128"}, (0x80, 0xBF)),
        ({"set_dscp": 46, "ctinfo": "0xfc000000/0x01000000"}, (0xB9000000, 0xFD000000)),
        ({"set_mark": (0x100, 0xF00)}, (0x100, 0xF00)),
        ({"set_mark": (0x100, 0xF00), "set_dscp": 8}, (0x188, 0xFBF)),
        ({}, (0, 0)),
    ],
)
def test_the_mark_is_what_ctinfo_reads(options: dict[str, Any], mark: tuple[int, int]) -> None:
    """`tc ... action ctinfo dscp MASK STATE` shifts the bits of the mask down to get the class, if the state's bit is set."""
    assert marks.firewall_mark({"set_mark": None, "set_dscp": None, "ctinfo": "63/128"} | options) == mark


def test_it_is_told_in_words() -> None:
    """What stands in `nfa check` and `nfa explain`."""
    empty = dict.fromkeys(("verdict", "set_dscp", "set_mark", "limit", "limit_up", "limit_down", "route"))
    base: dict[str, Any] = empty | {"per_device": False, "scope": "connection", "hook": "forward"}
    told = {
        "packets of the connection get at most 500 kbit/s up and 2 Mbit/s down, for each local address": {
            "limit": 250_000,
            "limit_up": 62_500,
            "per_device": True,
        },
        "packets of the connection get at most 1.5 Mbit/s down, for all that reach the target together": {
            "limit_down": 187_500
        },
        "packets of the connection get DSCP EF in both directions; mark 0x10/0xf0": {"set_dscp": 46, "set_mark": (16, 240)},
        "packets of the connection get DSCP 3 in both directions": {"set_dscp": 3},
        "packets of all connections of the device to the same address, protocol and port are rejected"
        " (TCP is reset, other senders get an ICMP error)": {"verdict": "reject", "scope": "server"},
        "all packets of the device from and to the router itself are dropped (the sender is told nothing)": {
            "verdict": "drop",
            "scope": "device",
            "hook": "router",
        },
        "later connections to the same address, protocol and port go through wan2, and no way while that is down": {
            "route": "wan2",
            "fallback": False,
        },
        "later connections to the same address, protocol and port go through wan2, and the usual way while that is down": {
            "route": "wan2",
            "fallback": True,
        },
    }
    assert {words: effects.in_words(base | options) for words, options in told.items()} == {words: words for words in told}
    assert not any(":" in words for words in told), "a name with a colon stands before them: two make a riddle"


def uci(folder: Path, target: str, packages: dict[str, str]) -> tuple[Target, list[Report]]:
    """A target in UCI, and what is said, beside other packages."""
    text = "config action 'a'\n\tlist criteria 'port == 443;'\n\tlist target 't'\n\n"
    text += "config target 't'\n\toption target_type 'firewall'\n"
    (folder / "netify-proc-flow-actions").write_text(text + "".join(f"\toption {line}\n" for line in target.split("; ")))
    for name, content in packages.items():
        (folder / name).write_text(content)
    reports = Reports()
    policy = load(Sources(str(folder)), Paths(str(folder), str(folder)), reports)
    assert policy is not None and not reports.errors, [report.text() for report in reports.errors]
    return policy.targets["t"], reports.items


OFFLOAD = {"firewall": "config defaults\n\toption flow_offloading '1'\n"}


@pytest.mark.parametrize(
    ("target", "packages", "cut", "codes"),
    [
        ("verdict 'reject'", OFFLOAD, True, ["cut-added"]),
        ("verdict 'reject'; cut '0'", OFFLOAD, False, ["flow-offloading"]),
        ("verdict 'reject'; cut '1'", OFFLOAD, True, []),
        ("verdict 'reject'", {}, False, []),
        ("verdict 'reject'; hook 'router'", OFFLOAD, False, []),
        ("limit '2mbit'", OFFLOAD, False, ["flow-offloading"]),
    ],
)
def test_a_block_cuts_what_the_firewall_offloads(
    tmp_path: Path, target: str, packages: dict[str, str], cut: bool, codes: list[str]
) -> None:
    """Packets of offloaded connections meet no rule: the video played on, although its owner had said reject."""
    found, said = uci(tmp_path, target, packages)
    assert found.cut is cut
    assert [report.code for report in said] == codes


SQM = {"sqm": "config queue 'wan'\n\toption enabled '1'\n\toption script 'layer_cake_ct.qos'\n"}
PBR = {"pbr": "config pbr 'config'\n\toption enabled '1'\n\toption fw_mask '000000ff'\n"}


@pytest.mark.parametrize(
    ("target", "packages", "hint"),
    [
        ("set_dscp 'EF'", SQM, ""),
        ("set_dscp 'EF'", PBR, "write ctinfo 0x3f00/0x8000: these bits are free"),
        ("set_dscp 'EF'; ctinfo '0x3f00/0x8000'", PBR, ""),
        ("set_mark '0x10/0xf0'", PBR, "write set_mark 0x100/0xf00: these bits are free"),
        ("set_mark '0x1000/0xf000'", PBR, ""),
    ],
)
def test_bits_of_marks_that_others_use_are_told(tmp_path: Path, target: str, packages: dict[str, str], hint: str) -> None:
    """pbr's connections would leave by another line; SQM in turn is meant to read the class."""
    _, said = uci(tmp_path, target, packages)
    found = [report for report in said if report.code == "mark-overlap"]
    assert [hint in report.hint for report in found] == [True] * bool(hint), [report.text() for report in said]
