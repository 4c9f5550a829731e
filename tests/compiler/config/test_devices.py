"""Devices and groups of devices in UCI and JSON: what they mean, and what an owner is told of a slip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import samples

from nfa.cli import main
from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Report, Reports
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config import dhcp
from nfa.compiler.config.devices import MAX_DEPTH, MAX_DEVICES
from nfa.compiler.config.sources import Sources
from nfa.compiler.explain import explain
from nfa.daemon.engine.policy import Policy
from nfa.image import cpython as image

UCI = """
config target 'log'
	option target_type 'log'

config action 'evening'
	list criteria 'local_ip == @kids;'
	list exemptions '@printer'
	list targets 'log'

config device 'tablet'
	option title "Tom's tablet"
	list mac '00:11:22:33:44:55'
	list mac '00-11-22-33-44-56'
	list name 'Toms-Tablet'

config device 'console'
	option ip '192.168.1.30 fd00::30'

config device 'printer'
	list ip '192.168.1.50'

config group 'boys'
	list device 'tablet'

config group 'kids'
	list device 'boys'
	list device 'console'
"""
TABLET = "00:11:22:33:44:56"


def from_uci(folder: Path, text: str = UCI, *, names: bool = False) -> tuple[Compiled, Reports]:
    (folder / "netify-proc-flow-actions").write_text(text)
    made, reports = compile_policy(Sources(str(folder), True), Paths(str(folder), str(folder)), look=False)
    assert made is not None, [report.text() for report in reports.items]
    return made, reports


def from_json(folder: Path, *criteria: str, **sections: Any) -> tuple[Compiled, list[Report]]:
    action = {"criteria": list(criteria) or ["*"], "targets": ["log"], "exemptions": sections.pop("exempt", [])}
    config = {"version": 1, "actions": {"a": action}, "targets": {"log": {"target_type": "log"}}, **sections}
    (folder / "nfa.json").write_text(json.dumps(config, indent=1))
    made, reports = compile_policy(Sources(files=(str(folder / "nfa.json"),)), Paths(str(folder), str(folder)), look=False)
    assert made is not None
    return made, reports.items


def matched(compiled: Compiled, **flow: Any) -> list[str]:
    return explain(compiled, samples.flow(**flow)).matched


def policy_of(compiled: Compiled) -> Policy:
    data: Any = image.load(image.dump(image_of(compiled)))
    return Policy(data, image.code_of(data["code"]), {}, list(range(len(data["slots"]))))


def test_devices_of_uci_are_what_expressions_and_exemptions_name(tmp_path: Path) -> None:
    """A rule for the children's devices would miss one of their addresses."""
    made, reports = from_uci(tmp_path)
    assert not reports.items, [report.text() for report in reports.items]
    assert matched(made, local="192.168.1.99", local_mac="00:11:22:33:44:55") == ["evening"]
    assert matched(made, local="fd00::9", other="2001:db8::1", local_mac=TABLET) == ["evening"]
    assert matched(made, local="fd00::30", other="2001:db8::1", local_mac="") == ["evening"]
    assert matched(made, local="192.168.1.31", local_mac="") == []
    assert matched(made, local="192.168.1.30", other="192.168.1.50") == [], "the printer is exempt at either end"
    policy = policy_of(made)
    assert policy.devices is not None
    assert policy.devices.names == ["tablet", "console", "printer"] and policy.devices.titles[0] == "Tom's tablet"
    assert policy.devices.hosts == {"toms-tablet": (0,)}


def test_the_reasons_name_the_device(tmp_path: Path) -> None:
    """`nfa explain` would show numbers, or an address where the owner asked for a name."""
    made, _ = from_uci(tmp_path)
    verdict = explain(made, samples.flow(local="192.168.1.99", local_mac=TABLET))
    assert verdict.steps[0].why == ("local_ip == @kids (local_device: tablet)",)
    verdict = explain(made, samples.flow(local="192.168.1.99", local_mac=""))
    assert verdict.steps[0].why == ("local_ip == @kids (local_device: none)",)


def test_devices_of_json_are_those_of_uci(tmp_path: Path) -> None:
    """Netify's format would have no devices."""
    devices = {"tablet": {"mac": [TABLET], "title": "T"}, "tv": {"ip": "10.0.0.0/29", "name": ["tv", "tv2"]}}
    groups = {"all": {"devices": ["tablet", "@rooms"]}, "rooms": {"device": "tv"}}
    made, reports = from_json(tmp_path, "device == 'all' && local_ip != @tablet;", devices=devices, groups=groups)
    assert not reports
    assert matched(made, local="10.0.0.7", local_mac="") == ["a"]
    assert matched(made, local="10.0.0.8", local_mac="") == []
    assert matched(made, local="10.0.0.7", local_mac=TABLET) == []
    made, _ = from_json(tmp_path, "device == 'tv';", devices={"tv": {"ip": ["10.0.0.5-10.0.0.9", "10.0.1.5-6"]}})
    assert [matched(made, local=f"10.0.0.{n}", local_mac="") for n in (4, 5, 9, 10)] == [[], ["a"], ["a"], []]
    assert matched(made, local="10.0.1.6", local_mac="") == ["a"]


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "a MAC address": ({"devices": {"d": {"mac": ["00:11:22:33:44"]}}}, "bad-address", "expected a MAC address such as"),
    "nobody's MAC address": ({"devices": {"d": {"mac": ["ff:ff:ff:ff:ff:ff"]}}}, "bad-address", "MAC address of no device"),
    "a range": ({"devices": {"d": {"ip": ["192.168.1.9-192.168.1.2"]}}}, "bad-address", "192.168.1.9-192.168.1.2"),
    "an address": ({"devices": {"d": {"ip": ["192.168.1.256"]}}}, "bad-address", "expected an IPv4 or IPv6 address"),
    "a host name": ({"devices": {"d": {"name": ["tom's"]}}}, "bad-value", "expected a host name such as"),
    "a name": ({"devices": {"d d": {"mac": [TABLET]}}}, "bad-name", "the name cannot be used"),
    "no member": ({"groups": {"g": {"device": ["nobody"]}}}, "unknown-device", "there is no device or group 'nobody'"),
    "no members": ({"groups": {"g": {}}}, "missing-option", "group 'g' has no 'device'"),
    "itself": ({"groups": {"g": {"device": ["g"]}}}, "group-cycle", "group 'g' contains itself: 'g' > 'g'"),
    "a circle": (
        {"groups": {"g": {"device": ["h"]}, "h": {"device": ["i"]}, "i": {"device": ["g"]}}},
        "group-cycle", "'g' > 'h' > 'i' > 'g'",
    ),
    "two kinds": (
        {"devices": {"d": {"mac": [TABLET]}}, "groups": {"d": {"device": ["d"]}}}, "name-taken", "the name of the device at",
    ),
    "a chain": (
        {"groups": {f"g{n}": {"device": [f"g{n + 1}"]} for n in range(2000)}}, "group-cycle", f"more than {MAX_DEPTH} deep",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_slip_is_told_and_what_names_the_device_does_not_act(kind: str, tmp_path: Path) -> None:
    """A block would hold for less than it says, an exemption be none: nobody would know."""
    sections, code, words = WRONG[kind]
    name = next(iter(sections.get("devices", sections.get("groups"))))
    made, reports = from_json(tmp_path, "app == 'youtube';", exempt=[f"@{name}"], **sections)
    found = [report for report in reports if report.code == code]
    assert found and words in found[0].message and found[0].place and found[0].place.line, [r.text() for r in reports]
    assert found[0].severity == "error"
    assert "device-unusable" in [report.code for report in reports]
    assert made.actions[0].code, "the action whose exemption cannot be understood is not applied"
    if " " not in name:
        made, reports = from_json(tmp_path, f"local_ip == @{name};", **sections)
        assert made.actions[0].code


def test_a_name_of_a_device_and_of_an_address_group_is_neither(tmp_path: Path) -> None:
    """One of the two would silently win: the rule would hold for another set of devices than its author thinks."""
    (tmp_path / "address-groups.d").mkdir()
    (tmp_path / "address-groups.d" / "10-kids.conf").write_text("192.168.1.1\n")
    for sections in (
        {"devices": {"kids": {"mac": TABLET}}},
        {"devices": {"t": {"mac": TABLET}}, "groups": {"kids": {"device": "t"}}},
    ):
        made, reports = from_json(tmp_path, "ip == @kids;", **sections)
        clash = next(report for report in reports if report.code == "name-taken")
        assert "10-kids.conf:1:1" in clash.message and "nfa.json" in str(clash.place), "both places"
        assert made.actions[0].code
    made, reports = from_json(tmp_path, "ip == @kids;", devices={"t": {"mac": TABLET}})
    assert not reports and matched(made, local="192.168.1.1") == ["a"], "address groups go on working"


def test_what_is_no_error_but_looks_wrong_is_a_warning(tmp_path: Path) -> None:
    """A device that nothing belongs to matches nothing; a private MAC address is another one tomorrow."""
    devices = {"ghost": {"title": "x"}, "one": {"mac": TABLET}, "two": {"mac": [TABLET]}, "phone": {"mac": "02:11:22:33:44:55"}}
    made, reports = from_json(tmp_path, devices=devices)
    assert [(report.code, report.severity) for report in reports] == [
        ("matches-nothing", "warning"), ("device-shared", "warning"), ("private-mac", "warning"),
    ]  # fmt: skip
    assert "'one'" in reports[1].message and "private address, which changes with the network" in reports[2].message
    assert not made.actions[0].code


def test_devices_have_a_bound(tmp_path: Path) -> None:
    """Whoever may write the configuration could fill the daemon's memory."""
    devices = {f"d{n}": {"ip": f"10.{n >> 8}.{n & 255}.1"} for n in range(MAX_DEVICES + 2)}
    made, reports = from_json(tmp_path, devices=devices)
    assert [report.code for report in reports] == ["too-many-devices"]
    assert len(made.devices) == MAX_DEVICES


def test_a_later_file_replaces_a_device(tmp_path: Path) -> None:
    """A device of the router's own configuration would have the addresses of an example as well."""
    (tmp_path / "nfa.json").write_text('{"version": 1, "devices": {"tablet": {"ip": "10.9.9.9"}}}')
    (tmp_path / "netify-proc-flow-actions").write_text(UCI)
    sources = Sources(str(tmp_path), True, (str(tmp_path / "nfa.json"),))
    made, reports = compile_policy(sources, Paths(str(tmp_path), str(tmp_path)), look=False)
    assert made is not None
    assert [report.code for report in reports.items] == ["defined-twice"]
    assert not made.policy.devices["tablet"].networks


DHCP = """
config dnsmasq
	option leasefile '/tmp/elsewhere.leases'

config odhcpd 'odhcpd'
	option leasefile '/var/lib/odhcpd/leases'

config host
	option name 'Toms-Tablet'
	option mac '00:11:22:33:44:55 00-11-22-33-44-56'
	option ip '192.168.1.20'

config host
	list mac 'AA:BB:CC:DD:EE:FF'
	option ip 'ignore'

config host
	option name 'bad name'
	option mac '00:11:22:*:*:*'
"""


def test_static_leases_and_lease_files_are_those_of_the_dhcp_servers(tmp_path: Path) -> None:
    """A device that is named as in LuCI's list of static leases would be nobody's until its lease is renewed."""
    (tmp_path / "dhcp").write_text(DHCP)
    (tmp_path / "netify-proc-flow-actions").write_text(UCI)
    paths = Paths(str(tmp_path), str(tmp_path))
    made, _ = compile_policy(Sources(str(tmp_path), True), paths, look=False)
    assert made is not None
    policy = policy_of(made)
    files, hosts = policy.leases
    assert files[:2] == ("/tmp/elsewhere.leases", "/var/lib/odhcpd/leases") and files[2:] == dhcp.LEASE_FILES
    address, macs = bytes((192, 168, 1, 20)), [bytes.fromhex(f"0011223344{n}") for n in (55, 56)]
    assert hosts == [*((mac, "toms-tablet", address) for mac in macs), (bytes.fromhex("aabbccddeeff"), "", b"")]
    assert str(tmp_path / "dhcp") in paths.looked_at, "a change of it is a change of the policy"


@pytest.mark.parametrize("content", ["config host\n\toption mac 'x\n", "\x00", "", "config host\n"])
def test_a_broken_dhcp_file_is_its_own_affair(tmp_path: Path, content: str) -> None:
    """A slip in another package would keep the policy from being loaded."""
    (tmp_path / "dhcp").write_text(content)
    made, reports = from_uci(tmp_path)
    assert not reports.items and made.policy.lease_files == dhcp.LEASE_FILES and not made.policy.hosts


def test_eval_knows_the_devices_of_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An expression that names a device could not be tried on a recording."""
    (tmp_path / "netify-proc-flow-actions").write_text(UCI)
    flows = [
        samples.flow(local="192.168.1.9", local_mac=TABLET),
        samples.flow(local="192.168.1.30", local_mac=""),
        samples.flow(),
    ]
    (tmp_path / "flows.jsonl").write_text("".join(json.dumps(flow) + "\n" for flow in flows))
    folder = ["-u", str(tmp_path), "--state-dir", str(tmp_path)]
    assert main(["eval", "local_ip == @kids && device != 'console';", str(tmp_path / "flows.jsonl"), *folder]) == 0
    assert "1 of 3 flow records match" in capsys.readouterr().err
    assert main(["eval", "local_ip == @kid;", str(tmp_path / "flows.jsonl"), *folder]) == 2
    assert "Did you mean 'kids'?" in capsys.readouterr().err


def test_show_has_the_devices_as_a_person_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who wonders why a rule does not hold could not see what a name stands for."""
    (tmp_path / "netify-proc-flow-actions").write_text(UCI)
    main(["check", "--show", "-u", str(tmp_path), "--state-dir", str(tmp_path)])
    shown = capsys.readouterr().out
    for line in (
        "device tablet   on",
        "00:11:22:33:44:55, 00-11-22-33-44-56",
        "group of devices kids   on",
        "192.168.1.30 fd00::30",
    ):
        assert line in shown
    main(["check", "--show", "--json", "-u", str(tmp_path), "--state-dir", str(tmp_path)])
    data = json.loads(capsys.readouterr().out)["policy"]["devices"]
    assert [one["name"] for one in data] == ["tablet", "console", "printer", "boys", "kids"]
    assert data[0]["values"]["mac"]["value"] == ["00:11:22:33:44:55", TABLET]
    assert data[1]["values"]["ip"]["value"] == ["192.168.1.30", "fd00::30"]
    assert data[4]["values"]["device"]["value"] == ["tablet", "console"]


def test_a_device_that_has_an_error_keeps_its_last_good_version(tmp_path: Path) -> None:
    """A slip in one address would end the block of the tablet, or have flows that its owner exempted cut."""
    devices: dict[str, Any] = {"tablet": {"mac": TABLET}, "tv": {"ip": "10.0.0.1"}}
    groups: dict[str, Any] = {"all": {"device": ["tablet", "tv"]}}
    good, _ = from_json(tmp_path, "local_ip == @all;", "!local_device && port == 1;", devices=devices, groups=groups)
    last = good.keeping.good.pack()
    wrong: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (devices | {"tablet": {"mac": "nonsense"}}, groups),
        (devices | {"tablet": []}, groups),
        (devices, groups | {"all": {"device": ["tv", "nobody"]}}),
        (devices, groups | {"all": {"device": ["all"]}}),
    ]
    for broken, broken_groups in wrong:
        config = json.loads((tmp_path / "nfa.json").read_text()) | {"devices": broken, "groups": broken_groups}
        (tmp_path / "other.json").write_text(json.dumps(config))
        sources, paths = Sources(files=(str(tmp_path / "other.json"),)), Paths(str(tmp_path), str(tmp_path))
        made, reports = compile_policy(sources, paths, look=False, last_good=last)
        assert made is not None and reports.errors and made.keeping.kept, (broken, broken_groups)
        assert not made.actions[0].code and set(made.keeping.good.devices) == {"tablet", "tv"}
        for flow in ({"local_mac": TABLET}, {"local": "10.0.0.1", "local_mac": ""}):
            assert matched(made, **flow) == ["a"]
        made, reports = compile_policy(sources, paths, look=False)
        assert made is not None and made.actions[0].code, "without one, it is held back"
