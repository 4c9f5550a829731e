"""Conditions that are valid and hold for no flow, or for fewer than they seem to: told at their place, before anybody waits."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples
from expression_both import CATALOGUE, evaluator, understood
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import Desk, compiled, config_of

from nfa.compiler.expression.possible import versions

NEVER = [
    # one value, compared with several
    "«app == 'youtube' && app == 'netflix'»;", "«(app == 'youtube' || app == 'netflix') && app == 'facebook'»;",
    "«app == 124 && app == 'netflix'»;", "«protocol == 'http/s' && protocol != 'HTTP/S'»;",
    "«other_port == 80 and other_port == 443»;",
    "port == 5 || «local_port < 10 && local_port >= 10»;", "«local_port > 5 && local_port < 6»;", "«!vlan_id && vlan_id == 5»;",
    "«detected_hostname == 'a.example' && detected_hostname == 'b.example'»;", "«iface == 'lan' && iface == 'wan'»;",
    "«other_type == other_local && other_type == other_remote»;", "«ip_nat && ip_nat == false»;",
    "«origin && origin == origin_unknown»;",
    "«app_category == 'games' && app_category == 'cdn'»;",
    "«local_mac == 02:00:00:00:00:01 && local_mac == 02:00:00:00:00:02»;",
    # addresses
    "«local_ip == 192.168.1.0/24 && local_ip == 10.0.0.0/8»;", "«local_ip == 192.168.1.7 && local_ip != 192.168.1.0/24»;",
    "«ip_version == 4 && local_ip == 2001:db8::1»;", "«ip_version == 6 && ip == 10.0.0.1-10.0.0.9»;",
    "«local_ip == 192.168.1.7 && other_ip == 2001:db8::/32»;", "«ip_version != 4 && ip_version != 6»;",
    "«ip_version == 4 && (other_ip == 2001:db8::1 || other_ip == 2001:db8::2) && app == 'youtube'»;",
    "«local_ip == 10.0.0.0/31 && !(local_ip == 10.0.0.0) && !(local_ip == 10.0.0.1)»;",
    # single comparisons
    "ip_version == «5»;", "local_port == «65536»;", "vlan_id > «4095» && app == 'youtube';",
    # groups: guests has both kinds, nobody is empty
    "ip == «@nobody»;", "local_mac == «@nobody» && port == 443;",
]  # fmt: skip


@pytest.mark.parametrize("marked", NEVER)
def test_a_condition_that_no_flow_meets_is_told_at_its_place(marked: str) -> None:
    """All lights would be green, and nothing would ever match."""
    start = marked.index("«")
    text = marked.replace("«", "").replace("»", "")
    nodes, errors, warnings = understood(text)
    assert nodes and not errors
    ((code, message, offset, _),) = warnings
    assert code in ("matches-nothing", "empty-group"), message
    assert offset == start


SOME = [
    "app == 'youtube' || app == 'netflix';", "app == 'youtube' && app == 'netify.youtube' && app == 124;",
    "app == 'youtube' && app != 'netflix';", "port == 80 && port == 443;", "ip == 10.0.0.1 && ip == 10.0.0.2;",
    "mac == 02:00:00:00:00:01 && mac == 02:00:00:00:00:02;", "category == 'games' && category == 'cdn';",
    "alpn == 'h2' && alpn == 'h3';", "risks == 46 && risks == 3;", "local_port > 5 && local_port < 7;",
    "local_ip == 192.168.0.0/16 && local_ip != 192.168.1.0/24;", "ip_version == 4 && local_ip == 10.0.0.1;",
    "(ip_version == 4 && local_ip == 10.0.0.1) || (ip_version == 6 && local_ip == 2001:db8::1);",
    "detected_hostname == 'rx:a' && detected_hostname == 'rx:b';", "detected_hostname == 'rx:a' && detected_hostname != 'b';",
    "app == 'unheard-of' && app == 'netify.unheard-of';", "iface_nfq_src == 'eth0' && iface_nfq_dst == 'eth1';",
    "local_ip == @guests && other_ip == @guests && local_mac == @guests;", "ip_version >= 4 && ip_version < 7;",
    "local_ip == 0.0.0.0/0 && other_ip == 0.0.0.0/0;", "fwmark == 0 && !fwmark;", "ndpi_risk_score > 18446744073709551614;",
]  # fmt: skip


@pytest.mark.parametrize("text", SOME)
def test_what_can_hold_is_not_doubted(text: str) -> None:
    """A false alarm would teach people to pass over warnings."""
    nodes, errors, warnings = understood(text)
    assert nodes and not errors
    assert not [warning for warning in warnings if warning[0] != "unknown-application"]


ATOMS = [
    "app == 'youtube'", "app == 124", "app != 'netflix'", "app", "protocol == 'quic'", "port == 443", "local_port > 5",
    "local_port <= 5", "local_ip == 192.168.4.0/24", "local_ip == 192.168.4.20", "other_ip == 2001:db8::/32", "ip_version == 4",
    "ip_version != 4", "ip == 10.0.0.0/8", "local_mac == 02:00:5e:10:00:14", "local_mac", "ip_nat", "!ip_nat",
    "other_type == other_remote", "iface == 'br-lan'", "detected_hostname == 'a.example'", "detected_hostname == 'rx:a'",
]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    parts=st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(["&&", "||"]), st.booleans()), min_size=1, max_size=5),
    seed=st.integers(0, 1 << 32),
)
def test_no_flow_meets_what_is_said_to_be_impossible(parts: list[tuple[str, str, bool]], seed: int) -> None:
    """A policy would be called dead while it blocks somebody."""
    from expression_samples import record_of

    text = ""
    for atom, operator, negated in parts:
        one = f"!({atom})" if negated else atom
        text = f"({text} {operator} {one})" if text else one
    nodes, errors, _ = understood(text + ";")
    assert not errors
    record = record_of(seed)
    if evaluator(text + ";")(record):
        assert record["flow"]["ip_version"] in versions(nodes[0], CATALOGUE)


def test_a_device_named_star_is_any_interface() -> None:
    """A generator writes '*' for any interface: its rules matched nothing, since no device is called so."""
    rule = "(iface_nfq_src == '*' or iface_nfq_dst == '*') && (app == 'netify.youtube' or proto == 'http/connect') ;"
    _, errors, warnings = understood(rule)
    assert not errors and not warnings
    youtube, other = samples.flow("QUIC", "netify.youtube"), samples.flow("QUIC", "netify.netflix")
    assert evaluator(rule)(youtube)
    assert not evaluator(rule)(other)
    assert evaluator("vlan_id == 0 && (iface_nfq_src == '*' or iface_nfq_dst == '*') && (local_ip == 192.168.1.0/24) ;")(
        youtube
    )
    for text, expected in {
        "interface == '*';": True, "!iface == '*';": False, "iface_nfq_src != '*' || app == 'youtube';": True,
        "iface_nfq_src != '*';": False, "iface_nfq_src == '*' && iface_nfq_dst == 'eth1';": False,
    }.items():  # fmt: skip
        assert evaluator(text)(youtube) is expected, text


def test_groups_that_do_not_fit_are_told_with_the_right_attribute(tmp_path: Path) -> None:
    """A group of tablets by MAC address never matches an address, and an empty group exempts nobody."""
    folder = tmp_path / "address-groups.d"
    folder.mkdir()
    (folder / "10-tablets.conf").write_text("02:00:5e:10:00:14\n")
    (folder / "20-servers.conf").write_text("192.168.1.0/24\n")
    (folder / "30-empty.conf").write_text("# nobody yet\n")
    actions = {
        "a": "local_ip == @tablets;", "b": "other_mac == @servers;", "c": "ip == @empty;",
        "d": {"criteria": "*", "exemptions": ["@empty"]},
        "good": "local_mac == @tablets && local_ip == @servers;",
    }  # fmt: skip
    made, reports = compiled(tmp_path, config_of(actions))
    assert not reports.errors
    assert [(report.code, report.hint) for report in reports.warnings] == [
        ("matches-nothing", "write local_mac == @tablets"), ("matches-nothing", "write other_ip == @servers"),
        ("empty-group", ""), ("empty-group", ""),
    ]  # fmt: skip
    record = samples.flow("QUIC", "netify.youtube", local="192.168.1.20", local_mac="02:00:5e:10:00:14")
    assert Desk(made).actions(record) == ["d", "good"]


@pytest.mark.parametrize(("folders", "severity"), [([], "info"), (["plugins.d"], "warning"), (["interfaces.d"], "warning")])
def test_what_netifyd_5_does_not_report_is_told(tmp_path: Path, folders: list[str], severity: str) -> None:
    """JA3 is gone in netifyd 5; a policy that blocks by it lets everything pass."""
    for name in folders:
        (tmp_path / name).mkdir()
    _, reports = compiled(tmp_path, config_of({"a": "port == 443 && ja3 == 'e7d705a3286e19ea42f587b344ee6865';"}))
    (report,) = reports.items
    assert (report.code, report.severity) == ("not-reported", severity)
    assert "netifyd 5 does not report JA3" in report.text()


@pytest.mark.parametrize(
    ("criteria", "exemptions", "target", "expected"),
    [
        ("local_ip == 192.168.2.27;", [], {}, ["warning"]),
        ("app == 'youtube' && ip == 10.0.0.1-10.0.0.9;", [], {}, ["warning"]),
        (["local_ip == 192.168.2.27;", "local_ip == 2001:db8::27;"], [], {}, []),
        ("local_ip == 192.168.2.27 || mac;", [], {}, []),
        ("local_ip == 192.168.2.27;", [], {"set_family": "ipv4"}, []), ("ip_version == 4 && app == 'youtube';", [], {}, []),
        ("local_ip == 192.168.2.27;", [], {"target_type": "log"}, []), ("*", ["192.168.1.50"], {}, ["info"]),
        ("*", ["192.168.1.50", "protocol == 'dns';"], {}, []), ("local_ip == 192.168.2.27;", [], {"target_enabled": False}, []),
        ("local_ip == 192.168.2.27;", [], {"target_type": "ipset"}, ["warning"]), ("local_ip != 192.168.2.27;", [], {}, []),
    ],
)  # fmt: skip
def test_a_condition_for_ipv4_beside_a_target_for_both_is_told(
    tmp_path: Path, criteria: object, exemptions: list[str], target: dict[str, object], expected: list[str]
) -> None:
    """The IPv6 connections of a device that is named by its IPv4 address pass every block (4 of 4)."""
    whole = {"target_type": "nftset", "set_name": "s"} | target
    if whole["target_type"] == "log":
        del whole["set_name"]
    config = config_of({"a": {"criteria": criteria, "targets": ["t"], "exemptions": exemptions}})
    _, reports = compiled(tmp_path, config | {"targets": {"t": whole}})
    assert not reports.errors
    assert [report.severity for report in reports.items if report.code == "one-ip-version"] == expected
