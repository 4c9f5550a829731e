"""Targets of type pftable: the daemon as a process with a stand-in for pfctl, and what it does where there is no PF."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import samples
from fake_pfctl import Pf
from kernel_lab import ROOT, Daemon, Lab, environment, nftset, policy, warm
from waiting import eventually, patience

from nfa.compiler.config.features import PFCTL_VARIABLE


@pytest.fixture
def pf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pf:
    """PF, as far as the daemons of this test can see."""
    made = Pf(tmp_path / "pf")
    monkeypatch.setenv(PFCTL_VARIABLE, str(made.program))
    return made


def table(name: str = "web", **options: Any) -> dict[str, object]:
    return {"target_type": "pftable", "table_name": name, "managed": True, "ttl": 100} | options


def holds(pf: Pf, name: str, *addresses: str) -> None:
    eventually(lambda: pf.table(name) == set(addresses), what=f"{name} is {set(addresses)}, it is {pf.table(name)}")


def nfa(daemon: Daemon | None, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*words, "--control", str(daemon.control)] if daemon else words
    return subprocess.run(
        [warm(environment()), "-m", "nfa", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
        env=environment(),
        cwd=ROOT,
    )


ONE = samples.flow("HTTP/S", "netify.youtube", other="203.0.113.1")
OTHER = samples.flow("HTTP/S", "netify.netflix", other="203.0.113.2", local="192.168.1.9")
SIX = samples.flow("HTTP/S", "netify.youtube", local="2001:db8:1::20", other="2001:db8:ffff::1")


def test_a_household_fills_the_tables_as_predicted(lab: Lab, pf: Pf) -> None:
    """Every address of the flows that match, local or other, IPv4 and IPv6, and no other."""
    records = list(samples.stream(7, 120))
    flows = [record["flow"] for record in records if record["type"] == "flow"]
    targets = {"others": table("others"), "locals": table("locals", address_type="local", anchor_name="nfa/kids")}
    lab.start(policy(targets, "protocol == 'HTTP/S' || protocol == 'QUIC';"))
    lab.feed(*records)
    matching = [flow for flow in flows if flow["detected_protocol_name"] in ("HTTP/S", "QUIC")]
    assert 0 < len(matching) < len(flows)
    holds(pf, "others", *{flow["other_ip"] for flow in matching})
    holds(pf, "nfa,kids,locals", *{flow["local_ip"] for flow in matching})
    assert all(arguments[0] == "-q" and "-p" not in arguments for arguments, _ in pf.calls())
    assert lab.daemon.stop() == 0
    holds(pf, "others")
    assert lab.daemon.said("error") == []


def test_an_address_goes_with_its_time_and_at_once_when_its_flow_is_something_else(lab: Lab, pf: Pf) -> None:
    lab.start(policy({"brief": table("brief", ttl=2), "long": table("long")}, "app == 'netify.youtube';"))
    lab.feed(ONE, SIX, OTHER)
    holds(pf, "long", "203.0.113.1", "2001:db8:ffff::1")
    lab.feed(samples.flow("HTTP/S", "netify.netflix", other="203.0.113.1"))
    holds(pf, "long", "2001:db8:ffff::1")
    holds(pf, "brief")
    # pfctl has done its work; the daemon knows it when pfctl has ended.
    status = lab.daemon.until(lambda status: status["targets"]["long"]["withdrawn"], "the withdrawal counted")["targets"]
    assert (status["long"]["elements"], status["long"]["added"], status["long"]["withdrawn"]) == (1, 2, 1)
    assert status["long"]["sets"] == [{"name": "long", "table": "", "elements": 1, "trouble": "", "code": ""}]
    status = lab.daemon.until(lambda status: not status["targets"]["brief"]["elements"], "its time is over")["targets"]
    assert status["brief"]["errors"] == 0


def test_elements_and_flush_work_for_a_table(lab: Lab, pf: Pf) -> None:
    lab.start(policy({"t": table(anchor="nfa")}))
    lab.feed(ONE, SIX)
    holds(pf, "nfa,web", "203.0.113.1", "2001:db8:ffff::1")
    listed = json.loads(nfa(lab.daemon, "elements", "t", "--json").stdout)
    found = {(item["element"], item["set"], item["table"]) for item in listed}
    assert found == {("203.0.113.1", "web", "nfa"), ("2001:db8:ffff::1", "web", "nfa")}
    assert nfa(lab.daemon, "flush", "t").returncode == 0
    holds(pf, "nfa,web")
    lab.feed(ONE)
    holds(pf, "nfa,web", "203.0.113.1")


def test_explain_and_check_know_the_table(lab: Lab, pf: Pf, tmp_path: Path) -> None:
    """The user would look for the element in a set that nobody has."""
    policy_file, recording = tmp_path / "p.json", tmp_path / "recording"
    policy_file.write_text(json.dumps(policy({"t": table(anchor="nfa", cut=True)})))
    recording.write_bytes(samples.frame(ONE))
    explained = nfa(None, "explain", "--no-uci", "-c", str(policy_file), str(recording)).stdout
    assert "PF table nfa web: 203.0.113.1 for 100 s" in explained
    assert "is cut" not in explained
    checked = nfa(None, "check", "--no-uci", str(policy_file))
    assert checked.returncode == 0
    assert "not with PF" in checked.stdout + checked.stderr


def test_a_failing_pfctl_is_told_and_made_up_for(lab: Lab, pf: Pf) -> None:
    """A firewall that is being set up would lack addresses from then on."""
    pf.mode("pfctl: /dev/pf: \x1b[1mPermission denied")
    daemon = lab.start(policy({"t": table()}))
    lab.feed(ONE)
    status = daemon.until(lambda status: status["targets"]["t"]["errors"], "an error")["targets"]["t"]
    assert status["sets"][0]["trouble"] == "pfctl: /dev/pf: ?[1mPermission denied"
    assert len(daemon.said("error", "PF table web", "Permission denied", "needs root")) == 1
    pf.mode()
    holds(pf, "web", "203.0.113.1")
    daemon.until(lambda status: not status["targets"]["t"]["sets"][0]["trouble"], "no trouble")
    assert len(daemon.said("can be used again")) == 1


@pytest.mark.parametrize("mode", ["hang", "deaf"])
def test_a_hanging_pfctl_holds_up_nothing(lab: Lab, pf: Pf, mode: str) -> None:
    """Other targets, the stream and the end of the daemon would wait for it."""
    pf.mode(mode)
    limit = int(patience(4))
    limits = {"targets.pf.LIMIT": float(limit), "targets.pf.STOP_LIMIT": 1.0}
    daemon = lab.start(policy({"t": table(), "n": nftset("others", "other_addr")}), constants=limits)
    eventually(lambda: pf.calls(), what="a call of pfctl")
    lab.feed(ONE)
    assert lab.namespace.nft_set("nfa others.v4").keys == {("203.0.113.1",)}
    assert len(pf.calls()) == 1
    if mode == "deaf":
        pf.mode()
        eventually(lambda: daemon.said(f"pfctl did not finish within {limit} seconds"), what="pfctl is ended")
        holds(pf, "web", "203.0.113.1")
        pf.mode(mode)
        lab.feed(OTHER)
    assert daemon.stop() == 0


def test_a_reload_keeps_what_stays_and_lets_go_what_does_not(lab: Lab, pf: Pf) -> None:
    daemon = lab.start(policy({"a": table("a"), "b": table("b", ttl=int(patience(4)))}))
    lab.feed(ONE)
    holds(pf, "b", "203.0.113.1")
    daemon.configure(policy({"a": table("a", ttl=50)}))
    daemon.signal(1)
    daemon.loaded(2)
    holds(pf, "b")
    holds(pf, "a", "203.0.113.1")
    assert pf.commands().count("replace") == 2
    assert daemon.status()["targets"]["a"]["elements"] == 1


def test_what_a_killed_daemon_left_is_gone_after_the_next_start(lab: Lab, pf: Pf) -> None:
    lab.start(policy({"t": table()}))
    lab.feed(ONE)
    holds(pf, "web", "203.0.113.1")
    lab.daemon.kill()
    lab.start(policy({"t": table()}))
    lab.feed(OTHER)
    holds(pf, "web", "203.0.113.2")


def test_where_there_is_no_pf_the_target_is_unavailable_and_the_rest_works(lab: Lab) -> None:
    """One configuration for all routers would not start on those with Linux."""
    daemon = lab.start(policy({"pf": table(), "n": nftset("others", "other_addr")}))
    lab.feed(ONE)
    assert lab.namespace.nft_set("nfa others.v4").keys == {("203.0.113.1",)}
    status = daemon.status()["targets"]
    assert (status["pf"]["active"], status["n"]["active"]) == (False, True)
    assert status["pf"]["reason"] == "there is no PF on this system: see nfa check"
    assert daemon.said("there is no PF on this system, only on FreeBSD", "nftset or ipset")
    assert daemon.stop() == 0
