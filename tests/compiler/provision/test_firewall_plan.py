"""What the image has of firewall targets: which are in it, with what names, and what is said of those that cannot work."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from policies import compiled, config_of, json_only
from samples import flow

from nfa.compiler import compile as compiler
from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import Compiled
from nfa.compiler.explain import Verdict, explain
from nfa.compiler.micropython import image_for
from nfa.compiler.provision.kernel import KernelUnavailable

Targets = dict[str, dict[str, Any]]
STOP = {"verdict": "reject"}


def policy(targets: Targets, reached: Sequence[str] | None = None, **action: Any) -> dict[str, Any]:
    """A configuration with firewall targets, unless they have another type."""
    typed = {name: {"target_type": "firewall"} | options for name, options in targets.items()}
    names = list(targets if reached is None else reached) or ["log.x"]
    more = {"targets": typed | {"log.x": {"target_type": "log"}}}
    return config_of({"a": {"criteria": "port == 443;", "targets": names} | action}, **more)


def made(folder: Path, targets: Targets, reached: Sequence[str] | None = None, **action: Any) -> Compiled:
    return compiled(folder, policy(targets, reached, **action))[0]


def effects(policy: Compiled) -> dict[str, dict[str, Any]]:
    assert policy.firewall is not None
    found: dict[str, dict[str, Any]] = policy.firewall["effects"]
    return found


@pytest.mark.parametrize(
    ("targets", "reached", "action"),
    [
        ({}, [], {}),
        ({"t": STOP}, [], {}),
        ({"t": STOP | {"target_enabled": False}}, None, {}),
        ({"t": STOP}, None, {"enabled": False}),
    ],
    ids=["none", "not reached", "target off", "action off"],
)
def test_there_is_no_table_without_a_target_in_use(
    tmp_path: Path, targets: Targets, reached: Sequence[str] | None, action: dict[str, Any]
) -> None:
    """Who has no such target wants no chain in front of each packet."""
    found = made(tmp_path, targets, reached, **action)
    assert found.firewall is None and not found.slots
    assert image_of(found)["firewall"] is None


def test_only_the_maps_that_a_target_needs_are_there(tmp_path: Path) -> None:
    """Each costs every packet a look-up."""
    wanted = {
        "connection": {"connections", "plain_connections"},
        "server": {"connections", "plain_connections", "servers"},
        "device": {"devices_up", "devices_down"},
    }
    for scope, stems in wanted.items():
        for hook, prefix in (("forward", ""), ("router", "router_")):
            found = made(tmp_path, {"t": STOP | {"scope": scope, "hook": hook}})
            assert {slot["set"] for slot in found.slots} == {f"{prefix}{stem}.v{family}" for stem in stems for family in (4, 6)}
            assert {slot["map"][0] for slot in found.slots} == {hook}
            assert all(slot["target"] == "" and slot["ttl"] == 300 for slot in found.slots)


def test_an_effect_says_what_the_daemon_must_know(tmp_path: Path) -> None:
    """The chains of a limit depend on who began the connection, or on the way of a packet where a whole device is meant."""
    slow = {"limit": "2mbit"}
    found = effects(made(tmp_path, {"stop": STOP, "slow": slow, "all": slow | {"scope": "device"}, "dscp": {"set_dscp": "EF"}}))
    assert found["stop"] == {
        "scope": "connection", "hook": "forward", "block": True, "chains": ("t_stop", "t_stop"), "order": 0,
    }  # fmt: skip
    assert [found[name]["order"] for name in ("slow", "all", "dscp")] == [1, 2, 3]
    assert found["slow"]["chains"] == ("t_slow", "t_slow_in") and not found["slow"]["block"]
    assert found["all"]["chains"] == ("t_all_up", "t_all_down") and found["all"]["scope"] == "device"
    assert found["dscp"]["chains"] == ("t_dscp", "t_dscp")


def test_names_of_chains_are_different_and_fit(tmp_path: Path) -> None:
    """Targets may have any name; two must not share a chain, nor one have the name of another's half."""
    names = ["a b", "a_b", "a-b", "slow", "slow_up", "slow up", "ü" * 128, "ü" * 127 + "x"]
    found = made(tmp_path, {name: {"limit": "1mbit"} for name in names})
    chains = found.firewall["chains"] if found.firewall else []
    assert len(chains) == len(set(chains)) == 4 * len(names) + 2
    assert all(len(chain) < 128 and chain.isascii() for chain in chains)


def test_the_class_and_the_mark_are_one_mark_of_the_connection(tmp_path: Path) -> None:
    """On the way in, tc takes the class from there; it is written and withdrawn like that of a ctmark."""
    found = made(tmp_path, {"t": {"set_dscp": "EF", "set_mark": "0x100/0xf00"}, "stop": STOP})
    (slot,) = [slot for slot in found.slots if slot["kind"] == "ctmark"]
    assert (slot["target"], slot["mark"], slot["mask"]) == ("t", 0x1AE, 0xFBF)
    image: Any = image_of(found)
    assert [target["slots"] for target in image["targets"] if target["name"] == "t"] == [(found.slots.index(slot),)]


def test_different_lifetimes_are_told(tmp_path: Path) -> None:
    """A map has one default timeout: the longest holds, and nobody should wonder."""
    found, reports = compiled(tmp_path, policy({"a": STOP, "b": STOP | {"ttl": 900}}))
    assert {slot["ttl"] for slot in found.slots} == {900}
    (said,) = [report for report in reports.items if report.code == "ttl-shared"]
    assert "'a' and 'b'" in said.message and "900 seconds" in said.consequence


def test_a_set_of_the_same_name_is_told(tmp_path: Path) -> None:
    """Only one of the two could be made: the table would not come, and nothing would be blocked."""
    targets = {"stop": STOP, "set": {"target_type": "nftset", "set_name": "connections", "managed": True}}
    _, reports = compiled(tmp_path, policy(targets))
    assert [report.code for report in reports.errors] == ["set-shared"]
    targets["set"]["table_name"] = "mine"
    assert not compiled(tmp_path, policy(targets))[1].errors


# -- causes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (STOP, {"verdict": "drop"}, True),
        ({"limit": "2mbit"}, {"limit": "3mbit"}, True),
        (STOP, STOP | {"scope": "server"}, False),
        (STOP, STOP | {"hook": "router"}, False),
        (STOP, {"limit": "2mbit"}, False),
        ({"set_dscp": "EF"}, {"set_dscp": "EF", "limit": "2mbit"}, False),
    ],
)
def test_a_cause_changes_with_where_packets_are_looked_up(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], same: bool
) -> None:
    """What ends with a reload is taken back at once; what goes on is not interrupted because its chain gets another rule."""
    digests = []
    for options in (before, after):
        image: Any = image_of(made(tmp_path, {"t": options}))
        digests.append(next(target["cause"] for target in image["targets"] if target["name"] == "t"))
    assert (digests[0] == digests[1]) is same


# -- what the kernel lacks -----------------------------------------------------------------------------------------------


class _Kernel:
    """A kernel without some expressions, or that refuses all, or that nobody may ask."""

    lacks: tuple[bytes, ...] = ()
    unavailable = False
    error = errno.ENOENT

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def nft_refuses(self, messages: Sequence[bytes]) -> tuple[int, int]:
        if self.unavailable:
            raise KernelUnavailable("nfa needs CAP_NET_ADMIN: run it as root")
        for index, message in enumerate(messages):
            if any(name in message for name in self.lacks):
                return self.error, index
        return 0, 0


def asked(folder: Path, monkeypatch: pytest.MonkeyPatch, targets: Targets, **kernel: Any) -> tuple[Compiled, Reports]:
    """A policy, compiled beside such a kernel."""
    monkeypatch.setattr(compiler, "Kernel", type("Kernel", (_Kernel,), kernel))
    file = folder / "policy.json"
    file.write_text(json.dumps(policy(targets)))
    found, reports = compiler.compile_policy(json_only(file), Paths(str(folder), str(folder)))
    assert found is not None
    return found, reports


ALL: Targets = {
    "reject": STOP,
    "drop": {"verdict": "drop"},
    "slow": {"limit": "2mbit"},
    "each": {"limit": "2mbit", "per_device": True, "scope": "device"},
    "first": {"set_dscp": "EF"},
}


@pytest.mark.parametrize(
    ("lacks", "without", "module"),
    [
        (b"reject\0", {"reject"}, "nft_reject_inet"),
        (b"\x0a\0\x01\0limit\0", {"slow", "each"}, "nft_limit"),
        (b"\x07\0\x01\0ct\0", {"slow"}, "nft_ct"),
        (b"dynset\0", {"each"}, "nft_limit"),
        (b"bitwise\0", {"first"}, "nf_tables"),
        (b"filter\0", set(ALL), "nf_tables"),
    ],
)
def test_what_a_kernel_lacks_costs_the_targets_that_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: bytes, without: set[str], module: str
) -> None:
    """One missing module must not undo what needs another, and the owner is told the package."""
    found, reports = asked(tmp_path, monkeypatch, ALL, lacks=(lacks,))
    assert {target.name for target in found.policy.targets.values() if target.trouble} == without
    assert set(effects(found) if found.firewall else ()) == set(ALL) - without
    told = [report for report in reports.errors if report.code == "kernel-lacks-expression"]
    assert len(told) == len(without) == len(reports.errors)
    assert all(module in report.hint and "kmod-nft-core" in report.hint for report in told)


def test_a_kernel_without_counters_of_elements_gets_maps_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 5.7: what is blocked is blocked, only not counted for each connection."""
    with_counter = asked(tmp_path, monkeypatch, {"stop": STOP})[0]
    without = asked(tmp_path, monkeypatch, {"stop": STOP}, lacks=(b"\x11\x80",))[0]
    assert with_counter.firewall and without.firewall
    assert any(b"counter\0" in message for message in with_counter.firewall["frame"])
    assert not any(b"counter\0" in message for message in without.firewall["frame"])


def test_a_table_that_is_refused_is_told_with_what_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set of a person's own in the same table, with our name."""
    _, reports = asked(tmp_path, monkeypatch, {"stop": STOP}, lacks=(b"connections.v6\0",), error=errno.EEXIST)
    (said,) = [report for report in reports.errors if report.code == "firewall-refused"]
    assert "the set 'connections.v6'" in said.message and "nft list table inet nfa" in said.hint


def test_a_kernel_that_nobody_may_ask_is_taken_to_have_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nfa check` as an ordinary user."""
    found, reports = asked(tmp_path, monkeypatch, ALL, unavailable=True)
    assert set(effects(found)) == set(ALL)
    assert [report.code for report in reports.items if report.code == "kernel-unavailable"] == ["kernel-unavailable"]
    assert not reports.errors


# -- in words, and elsewhere ---------------------------------------------------------------------------------------------


def explained(folder: Path, targets: Targets) -> Verdict:
    return explain(made(folder, targets), flow("HTTP/S", "netify.youtube", other_port=443))


def test_explain_says_what_packets_would_meet(tmp_path: Path) -> None:
    """Before a policy is trusted with a family's line, its owner asks what it would do."""
    found = explained(tmp_path, {"first": {"set_dscp": "EF"}, "slow": {"limit": "2mbit", "scope": "server"}})
    assert found.effects["first"][0] == "packets of the connection get DSCP EF in both directions"
    assert found.effects["first"][1].startswith("conntrack: ")
    assert "at most 2 Mbit/s up and 2 Mbit/s down" in found.effects["slow"][0]


def test_explain_lets_a_block_win(tmp_path: Path) -> None:
    """Of a blocked connection no packet is left for a class."""
    found = explained(tmp_path, {"first": {"set_dscp": "EF"}, "stop": STOP, "own": {"verdict": "drop", "hook": "router"}})
    assert set(found.effects) == {"stop", "own"}
    assert found.skipped == {"first": "target 'stop' blocks, and a block wins"}


def test_micropython_gets_the_table_too(tmp_path: Path) -> None:
    """A router without room for CPython blocks as well."""
    found = made(tmp_path, ALL)
    assert image_for(found, "unix:///x") is not None
    assert not [report for report in found.reports.items if report.code == "target-unsupported" and "log" not in report.message]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, ""),
        ({"local_origin": False}, "the other end began the connection"),
        ({"ip_protocol": 1, "local_port": 0, "other_port": 0}, "its protocol has no ports"),
        ({"other": "224.0.0.251"}, "the address is of our own networks, the router's, or no single host's"),
    ],
    ids=["learnt", "from outside", "ICMP", "multicast"],
)
def test_explain_says_whose_server_is_learnt_for_a_route(tmp_path: Path, fields: dict[str, Any], why: str) -> None:
    """ "explain" says that Netflix goes through WAN 2, and it does not."""
    made, _ = compiled(
        tmp_path,
        config_of(
            {"a": {"criteria": "*", "targets": ["line2"]}}, targets={"line2": {"target_type": "firewall", "route": "wan2"}}
        ),
    )
    found = explain(made, flow("HTTP/S", "netify.netflix", **fields))
    assert found.skipped.get("line2", "") == why
    words = "later connections to the same address, protocol and port go through wan2, and the usual way while that is down"
    assert found.effects.get("line2", []) == ([] if why else [words])
