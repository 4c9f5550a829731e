"""Routes of firewall targets: marks and tables that nobody else uses, and what cannot be together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.config import network
from nfa.compiler.config.network import read
from nfa.compiler.config.routes import Wan, resolve
from nfa.compiler.config.sources import Sources, load

MWAN3 = "config globals 'globals'\n\toption mmx_mask '{mask}'\nconfig interface 'wan'\n\toption enabled '1'\n"


def resolved(folder: Path, targets: dict[str, dict[str, Any]], **packages: str) -> tuple[dict[str, Wan], Reports]:
    """The WANs of firewall targets, and what is said."""
    for name, text in packages.items():
        (folder / name).write_text(text)
    policy = folder / "policy.json"
    made = {name: {"target_type": "firewall", **options} for name, options in targets.items()}
    actions = {"act": {"criteria": "*", "targets": list(targets)}}
    policy.write_text(json.dumps({"version": 1, "actions": actions, "targets": made}))
    reports, paths = Reports(), Paths(str(folder), str(folder))
    found = load(Sources(str(folder), False, (str(policy),)), paths, reports)
    assert found is not None
    return resolve(str(folder), found, reports, paths), reports


def marks(wans: dict[str, Wan]) -> dict[str, str]:
    return {name: wan.mark_text for name, wan in wans.items()}


THREE = {"a": {"route": "eth2"}, "b": {"route": "eth3"}, "c": {"route": "eth2"}, "d": {"route": "eth4"}}


def test_each_wan_has_a_value_of_one_field(tmp_path: Path) -> None:
    """Two WANs share a mark or a table, and all goes through one of them."""
    wans, reports = resolved(tmp_path, THREE)
    assert marks(wans) == {"a": "0x4000/0xc000", "b": "0x8000/0xc000", "c": "0x4000/0xc000", "d": "0xc000/0xc000"}
    assert [wans[name].tables[0] for name in "abcd"] == [7701, 7702, 7701, 7703]
    assert [wans[name].priority for name in "abcd"] == [700, 710, 700, 720]
    assert wans["a"] is wans["c"]
    assert not reports.errors


def test_a_fourth_wan_widens_the_field(tmp_path: Path) -> None:
    """The fourth WAN gets the mark of the first."""
    wans, _ = resolved(tmp_path, THREE | {"e": {"route": "eth5"}})
    assert marks(wans) == {
        "a": "0x4000/0x1c000", "b": "0x8000/0x1c000", "c": "0x4000/0x1c000", "d": "0xc000/0x1c000", "e": "0x10000/0x1c000",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mask", "expected"), [("0x3f00", "0x4000/0xc000"), ("0xff00", "0x40000000/0xc0000000"), ("0xfffff000", "0x400/0xc00")]
)
def test_bits_of_other_programs_are_avoided(tmp_path: Path, mask: str, expected: str) -> None:
    """mwan3 takes our mark for one of its own, and the other way round."""
    wans, reports = resolved(tmp_path, {"a": {"route": "eth2"}}, mwan3=MWAN3.format(mask=mask))
    assert marks(wans) == {"a": expected}
    assert not reports.errors


def test_bits_of_other_targets_are_avoided(tmp_path: Path) -> None:
    """A class of shaping and the WAN of a connection overwrite each other."""
    wans, _ = resolved(tmp_path, {"class": {"set_mark": "0x8000/0xf000"}, "a": {"route": "eth2"}})
    assert marks(wans) == {"a": "0x40000000/0xc0000000"}


def test_without_free_bits_it_is_said_which_option_helps(tmp_path: Path) -> None:
    """Connections silently go through the wrong line."""
    targets = {"a": {"route": "eth2"}, "b": {"route": "eth3", "route_mark": "0x1/0x3"}}
    wans, reports = resolved(tmp_path, targets, mwan3=MWAN3.format(mask="0xffffffff"))
    assert marks(wans) == {"b": "0x1/0x3"}
    assert [report.code for report in reports.errors] == ["route-no-mark"]
    assert "mwan3 (0xffffffff)" in reports.errors[0].message
    assert "route_mark" in reports.errors[0].hint


def test_two_routes_with_one_mark_are_refused(tmp_path: Path) -> None:
    """One of two lines gets everything."""
    targets = {"a": {"route": "eth2", "route_mark": "0x1/0x3"}, "b": {"route": "eth3", "route_mark": "0x1/0x3"}}
    wans, reports = resolved(tmp_path, targets)
    assert marks(wans) == {"a": "0x1/0x3"}
    assert [report.code for report in reports.errors] == ["route-no-mark"]


def test_a_route_with_and_one_without_fallback_are_two(tmp_path: Path) -> None:
    """What must not leave elsewhere does, because another target of that WAN may."""
    wans, _ = resolved(tmp_path, {"a": {"route": "eth2"}, "b": {"route": "eth2", "fallback": False}})
    assert marks(wans) == {"a": "0x4000/0xc000", "b": "0x8000/0xc000"}
    assert wans["a"].tables != wans["b"].tables


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"verdict": "drop"}, "verdict"), ({"set_dscp": "EF"}, "set_dscp"), ({"limit": "1mbit"}, "limit"),
        ({"scope": "device"}, "scope"), ({"hook": "router"}, "hook"), ({"per_device": True}, "per_device"),
        ({"set_mark": "1/1"}, "set_mark"),
    ],
)  # fmt: skip
def test_a_route_stands_alone(tmp_path: Path, options: dict[str, Any], word: str) -> None:
    """A target promises what it cannot keep: its other effect is about another connection."""
    wans, reports = resolved(tmp_path, {"a": {"route": "eth2", **options}})
    assert not wans
    assert [report.code for report in reports.errors] == ["options-conflict", "target-unusable"][: len(reports.errors)]
    assert f"'{word}'" in reports.errors[0].message


@pytest.mark.parametrize("options", [{"route_mark": "1/1"}, {"route_device": "eth2"}, {"fallback": False}])
def test_what_is_about_a_route_needs_one(tmp_path: Path, options: dict[str, Any]) -> None:
    """The route was forgotten, and nothing says so."""
    _, reports = resolved(tmp_path, {"a": {"verdict": "drop", **options}})
    assert "about a 'route', but there is none" in reports.errors[0].message


@pytest.mark.parametrize("value", ["", "wan 2", "a/b", "x" * 33, 3])
def test_a_route_is_the_name_of_a_network(tmp_path: Path, value: object) -> None:
    """A name that the kernel cannot have is only found when nothing goes there."""
    _, reports = resolved(tmp_path, {"a": {"route": value}})
    assert reports.errors


def test_a_file_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that is not root would make routes on OpenWrt itself, beside netifd's; from what the service shares it knows."""
    (tmp_path / "network").write_bytes(b"\0")
    wans, reports = resolved(tmp_path, {"a": {"route": "wan2"}})
    assert not wans and [report.code for report in reports.errors] == ["route-unknown"]
    assert "service nfa reload" in reports.errors[0].hint
    monkeypatch.setattr(network, "FOLDER", str(tmp_path))
    monkeypatch.setattr(network, "SHARED", str(tmp_path / "shared"))
    (tmp_path / "shared").write_text("config interface 'wan2'\n\toption device 'eth2'\n")
    wans, reports = resolved(tmp_path, {"a": {"route": "wan2"}})
    assert wans["a"].devices == ("eth2",)
    assert not reports.errors


DEVICES = """
config interface 'a'
	option proto 'dhcp'
	option device 'eth1.2'
config interface 'b'
	option proto 'pppoe'
	option device 'eth1'
config interface 'c'
	option proto 'dhcpv6'
	option device '@b'
config interface 'd'
	option proto 'wireguard'
config interface 'e'
	option proto 'dhcp'
	option type 'bridge'
	option ifname 'eth3 eth4'
config interface 'f'
	option proto 'qmi'
	option device '/dev/cdc-wdm0'
config interface 'g'
	option proto 'dhcp'
	option ifname 'eth5'
config interface 'h'
	option device '@h'
"""


def test_the_devices_of_networks(tmp_path: Path) -> None:
    """Connections are taken for gone elsewhere, and change their way in the middle."""
    (tmp_path / "network").write_text(DEVICES)
    found = read(str(tmp_path), Paths(str(tmp_path), str(tmp_path)))
    assert found is not None
    devices = {name: one.device for name, one in found.interfaces.items()}
    assert devices == {
        "a": "eth1.2", "b": "pppoe-b", "c": "pppoe-b", "d": "d", "e": "br-e", "f": "", "g": "eth5", "h": "",
    }  # fmt: skip
    assert [one.name for one in found.of("b")] == ["b", "c"]
    assert [one.name for one in found.of("pppoe-b")] == ["b", "c"]
    assert found.of("nothing") == []
