"""SIGHUP, kill -9 and restarts: what is in force stays, nothing is made twice, nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import pytest
from kernel_lab import LOOKS_OFTEN, Lab, Namespace, eventually, ipset, nftset, policy
from samples import flow, stats
from waiting import patience

pytestmark = pytest.mark.kernel

FOUR = {"set_family": "ipv4"}


def handle(namespace: Namespace, name: str) -> str:
    return namespace.nft_set(name).options["handle"]


def test_sighup_keeps_what_stays_and_begins_what_is_new(lab: Lab) -> None:
    """Adding one rule must not empty the sets of the others, not even when they are flushed at the start."""
    log = {"target_type": "log", "path": str(lab.folder / "logs"), "interval": 3600}
    keep = {"n": nftset("keep", "other_addr", flush_on_create=True, flush_on_destroy=True, **FOUR)}
    keep |= {"i": ipset("keep", flush_on_create=True, flush_on_destroy=True, **FOUR), "log": log}
    gone = {"g": nftset("gone", "other_addr", flush_on_destroy=True, **FOUR), "s": ipset("stays", **FOUR)}
    daemon = lab.start(policy(keep | gone, "port == 443;"))
    first = flow(other="203.0.113.1")
    lab.feed(first, flow("DNS", other="203.0.113.53", other_port=53, ip_protocol=17))
    # Some time goes by: a daemon that adds its elements anew would set this back.
    namespace = lab.namespace
    whole = int(namespace.nft_set("nfa keep.v4").options["timeout"])
    eventually(lambda: namespace.nft_set("nfa keep.v4").left(("203.0.113.1",)) <= whole - 2)
    namespace.run("ipset", "add", "keep.v4", "203.0.113.1", "timeout", "50", "-exist")
    number = handle(namespace, "nfa keep.v4")
    config = policy(keep | {"new": ipset("new", **FOUR)}, "port == 443;")
    config["actions"]["all"]["targets"] = list(keep)
    config["actions"]["dns"] = {"criteria": "protocol == 'dns';", "targets": ["new"], "priority": 1}
    daemon.configure(config)
    daemon.signal(signal.SIGHUP)
    status = daemon.loaded(2)
    assert handle(namespace, "nfa keep.v4") == number
    assert namespace.nft_set("nfa keep.v4").keys == {("203.0.113.1",)}
    assert namespace.nft_set("nfa keep.v4").left(("203.0.113.1",)) <= whole - 2
    assert namespace.ipset("keep.v4").left("203.0.113.1") <= 50
    assert status["actions"]["all"]["matches"] == 1 and status["targets"]["n"]["added"] == 1, "counters go on"
    eventually(lambda: not namespace.nft_set("nfa gone.v4").keys, what="flush_on_destroy of a target that is gone")
    eventually(lambda: not namespace.ipset("stays.v4").keys, what="a target that is gone has no effect any longer")
    second = flow(other="203.0.113.2")
    status = lab.feed(first, second, flow("DNS", other="203.0.113.54", other_port=53, ip_protocol=17), stats("0" * 40))
    assert namespace.ipset("new.v4").keys == {"203.0.113.53", "203.0.113.54"}
    assert namespace.ipset("keep.v4").keys == {"203.0.113.1", "203.0.113.2"}
    assert namespace.nft_set("nfa keep.v4").keys == {("203.0.113.1",), ("203.0.113.2",)}
    assert not namespace.nft_set("nfa gone.v4").keys and not namespace.ipset("stays.v4").keys
    assert status["actions"]["all"]["matches"] == 3
    assert daemon.process.poll() is None and status["source"]["reconnects"] == 0
    assert daemon.stop() == 0
    files = list((lab.folder / "logs").iterdir())
    entries = [entry["dst_addr"] for file in files for entry in json.loads(file.read_text())["entries"]]
    assert len(files) == 1 and entries == ["203.0.113.1", "203.0.113.2"], "one interval, over the reload"


def test_flows_of_before_a_reload_still_keep_their_elements(lab: Lab) -> None:
    """A long download announces itself once; after a reload its statistics are all that tells of it."""
    target = nftset("n", "other_addr", ttl=int(patience(4)), flush_on_create=True, **FOUR)
    daemon = lab.start(policy({"n": target}))
    one = flow(other="203.0.113.1")
    lab.feed(one)
    # Also while the new policy is compiled: on a busy machine that may take longer than the ttl.
    with lab.beating(lambda _: [stats(one["flow"]["digest"])]):
        daemon.configure(policy({"x": ipset("x", **FOUR), "n": target}))
        daemon.signal(signal.SIGHUP)
        before = daemon.loaded(2)["targets"]["n"]["refreshed"]

        def refreshed() -> bool:
            assert lab.namespace.nft_set("nfa n.v4").keys == {("203.0.113.1",)}
            return bool(daemon.status()["targets"]["n"]["refreshed"] > before)

        eventually(refreshed)


@pytest.mark.parametrize("broken", ['{"version": 1, "actions": {', "", "[]", "\x1b[31mno\x07", '{"version": 1}}'])
def test_a_file_that_is_no_json_leaves_the_running_policy(lab: Lab, broken: str) -> None:
    """A half-written file must not open the firewall."""
    daemon = lab.start(policy({"i": ipset("i", **FOUR)}))
    lab.feed(flow(other="203.0.113.1"))
    daemon.configure(broken)
    daemon.signal(signal.SIGHUP)
    status = daemon.until(lambda status: status["policy"]["errors"], "the error in the status")
    assert status["policy"]["generation"] == 1 and status["policy"]["reports"]
    assert daemon.said("error", "the running policy stays active")
    shown = lab.namespace.run(*lab.nfa("status", "--control", str(daemon.control)))
    assert "cannot be used; the policy of" in shown and "stays active; see: nfa check" in shown
    assert "\x1b" not in daemon.log and "\x07" not in daemon.log
    lab.feed(flow(other="203.0.113.2"))
    assert lab.namespace.ipset("i.v4").keys == {"203.0.113.1", "203.0.113.2"}
    daemon.configure(policy({"i": ipset("i", **FOUR)}, "port == 80;"))
    daemon.signal(signal.SIGHUP)
    assert daemon.loaded(2)["policy"]["errors"] == 0, "put right, it is taken"


def test_a_missing_file_at_the_start_is_told_and_can_come(lab: Lab) -> None:
    """The first start on a router, before there is a configuration."""
    daemon = lab.launch(None)
    status = daemon.until(lambda status: status["policy"]["errors"], "the error in the status")
    assert status["policy"]["generation"] == 0
    daemon.configure(policy({"i": ipset("i")}))
    daemon.signal(signal.SIGHUP)
    daemon.loaded()


def test_many_hangups_end_in_the_last_configuration(lab: Lab) -> None:
    """A LuCI page that saves often reloads often; none may be lost, nor may children pile up."""
    daemon = lab.start(policy({"i": ipset("i", **FOUR)}))
    for number in range(10):
        daemon.configure(policy({"i": ipset(f"i{number}", **FOUR)}))
        daemon.signal(signal.SIGHUP)
    daemon.until(lambda status: status["targets"]["i"]["sets"][0]["name"] == "i9.v4", "the last one in force")
    lab.feed(flow(other="203.0.113.1"))
    assert lab.namespace.ipset("i9.v4").keys == {"203.0.113.1"}
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    eventually(lambda: not children.read_text().split(), what="no compiler is left")


def test_kill_and_restart_leave_nothing_twice(lab: Lab) -> None:
    """After a crash: the same sets, no second table, the socket replaced, elements not lost and not doubled."""
    targets = {"n": nftset("n", "other_addr", **FOUR), "i": ipset("i", **FOUR)}
    targets |= {"log": {"target_type": "log", "path": str(lab.folder / "logs"), "interval": 1}}
    lab.start(policy(targets))
    lab.feed(flow(other="203.0.113.1"), flow(other="203.0.113.2"))
    lab.daemon.process.kill()
    lab.daemon.process.wait()
    before = handle(lab.namespace, "nfa n.v4")
    assert stat.S_ISSOCK(lab.daemon.control.stat().st_mode), "kill -9 left it"
    second = lab.start(policy(targets))
    assert lab.namespace.nft_set("nfa n.v4").keys == {("203.0.113.1",), ("203.0.113.2",)}
    lab.feed(flow(other="203.0.113.2"), flow(other="203.0.113.3"))
    assert set(lab.namespace.nft_sets()) == {"nfa n.v4"} and set(lab.namespace.ipsets()) == {"i.v4"}
    assert handle(lab.namespace, "nfa n.v4") == before
    assert lab.namespace.ipset("i.v4").keys == {f"203.0.113.{number}" for number in (1, 2, 3)}
    assert lab.namespace.nft_set("nfa n.v4").keys == {(f"203.0.113.{number}",) for number in (1, 2, 3)}
    assert second.stop() == 0
    names = [path.name for path in (lab.folder / "logs").iterdir()]
    assert names and not [name for name in names if name.endswith(".tmp")]
    assert not second.control.exists()


def test_a_second_daemon_on_the_same_control_socket_refuses(lab: Lab) -> None:
    """Two daemons would fight over the same sets; the first one goes on undisturbed."""
    first = lab.start(policy({"i": ipset("i", **FOUR)}))
    command = lab.nfa("run", "-c", str(first.config), "-s", lab.netifyd.uri, "--control", str(first.control))
    done = lab.namespace.attempt(*command)
    assert done.returncode == 1
    assert "another nfa is running" in done.stderr and str(first.control) in done.stderr
    lab.feed(flow(other="203.0.113.1"))
    assert lab.namespace.ipset("i.v4").keys == {"203.0.113.1"}
    assert lab.netifyd.connections == 1


def test_only_its_owner_can_open_the_control_socket(lab: Lab) -> None:
    """Anybody on the router could reload the daemon, or read who talks to whom."""
    daemon = lab.start(policy({"i": ipset("i")}))
    assert stat.S_IMODE(daemon.control.stat().st_mode) & 0o077 == 0
    assert daemon.control.stat().st_uid == os.geteuid()


def test_one_changed_action_of_two_hundred_loses_no_record(lab: Lab) -> None:
    """A save in LuCI while the network is busy: every record counts, and sets that did not change are not touched."""
    sets = {f"n{number}": nftset(f"n{number}", "other_addr", ttl=300, flush_on_create=True, **FOUR) for number in range(4)}
    config = policy(sets)
    config["actions"] = {
        f"a{number:03}": {"criteria": f"other_port == {1000 + number};", "targets": [f"n{number % 4}"]} for number in range(200)
    }
    daemon = lab.start(config)
    lab.feed(flow(other="203.0.113.1", other_port=1001))
    namespace = lab.namespace
    eventually(lambda: namespace.nft_set("nfa n1.v4").left(("203.0.113.1",)) <= 298)
    before = {name: handle(namespace, f"nfa {name}.v4") for name in sets}
    config["actions"]["a199"]["criteria"] = "other_port == 7;"
    daemon.configure(config)
    daemon.signal(signal.SIGHUP)
    sent = 0
    while daemon.status()["policy"]["generation"] < 2:
        records = [flow(other=f"198.51.{sent >> 8 & 255}.{number}", other_port=1002) for number in range(100)]
        lab.netifyd.send(*records)
        sent += len(records)
    lab.netifyd.send(flow(other="203.0.113.7", other_port=7))
    status = daemon.until(lambda status: status["actions"]["a199"]["matches"], "the changed action matches")
    assert sent > 0
    assert status["flows"]["evaluated"] == status["flows"]["matched"] == sent + 2
    assert status["actions"]["a002"]["matches"] == sent and status["actions"]["a001"]["matches"] == 1
    assert not any(status["source"]["bad"].values()) and status["source"]["reconnects"] == 0
    assert {name: handle(namespace, f"nfa {name}.v4") for name in sets} == before
    assert namespace.nft_set("nfa n1.v4").left(("203.0.113.1",)) <= 298


def test_a_json_file_that_changes_is_read_again_without_being_told(lab: Lab) -> None:
    """NethSecurity and others write the file anew; nobody sends a signal."""
    daemon = lab.start(policy({"i": ipset("i", **FOUR)}), constants=LOOKS_OFTEN)
    daemon.configure('{"version": 1,')
    daemon.until(lambda status: status["policy"]["errors"], "the half-written file is told")
    assert daemon.status()["policy"]["generation"] == 1
    daemon.configure(policy({"i": ipset("later", **FOUR)}))
    daemon.loaded(2)
    assert daemon.said("notice", "nfa.json has changed")
    lab.feed(flow(other="203.0.113.1"))
    assert lab.namespace.ipset("later.v4").keys == {"203.0.113.1"}
