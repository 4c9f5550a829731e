"""What goes wrong on routers: a set is missing, full, or of another kind; rights or parts of the configuration are missing.

Each time the administrator reads why, once, the rest works, and what is put right is noticed.
"""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from kernel_lab import Lab, eventually, ipset, nftset, policy
from samples import Record, flow, hello

pytestmark = pytest.mark.kernel


def flows(count: int, network: str = "198.18") -> list[Record]:
    """Flows to different servers."""
    return [flow(other=f"{network}.{number >> 8}.{number & 255}") for number in range(1, count + 1)]


def both(name: str, **options: Any) -> dict[str, dict[str, object]]:
    """An nftset and an ipset target with the same options."""
    return {f"n.{name}": nftset(f"n{name}", "other_addr", **options), f"i.{name}": ipset(f"i{name}", **options)}


@pytest.mark.parametrize("suffix", [".v4", ""])
def test_sets_of_the_administrator_are_filled(lab: Lab, suffix: str) -> None:
    """Sets that a firewall configuration declares, named with the suffix or plainly; elements have the target's ttl."""
    lab.namespace.nft(
        "add table inet fw4",
        f"add set inet fw4 own{suffix} {{ type ipv4_addr . inet_service; flags timeout; }}",
        f"add set inet fw4 forever{suffix} {{ type ipv4_addr; }}",
    )
    lab.namespace.run("ipset", "create", f"own{suffix}", "hash:ip,port", "timeout", "0")
    mine: dict[str, Any] = {"managed": False, "set_family": "ipv4", "ttl": 300}
    lab.start(
        policy(
            {
                "n": nftset("own", "other_addr", "other_port", table_name="fw4", **mine),
                "f": nftset("forever", "other_addr", table_name="fw4", **mine),
                "i": ipset("own", "hash:ip,port", **mine),
            }
        )
    )
    lab.feed(flow(other="203.0.113.10"))
    sets = lab.namespace.nft_sets()
    assert set(sets) == {f"fw4 own{suffix}", f"fw4 forever{suffix}"}, "nothing else was made"
    assert sets[f"fw4 own{suffix}"].keys == {("203.0.113.10", "443")}
    assert 200 < sets[f"fw4 own{suffix}"].left(("203.0.113.10", "443")) <= 300
    assert sets[f"fw4 forever{suffix}"].elements == {("203.0.113.10",): {}}
    made = lab.namespace.ipset(f"own{suffix}")
    assert made.keys == {"203.0.113.10,tcp:443"} and 200 < made.left("203.0.113.10,tcp:443") <= 300
    assert lab.daemon.said("warning", "forever", "timeouts"), "a ttl that cannot be is told"
    assert lab.daemon.stop() == 0
    assert not lab.namespace.ipset(f"own{suffix}").keys, "what the daemon added ends with it; the set stays"


def test_a_missing_set_of_the_administrator_is_told_once_and_filled_when_it_comes(lab: Lab) -> None:
    """The firewall starts after the daemon: its sets come later, and get elements without a restart."""
    mine: dict[str, Any] = {"managed": False, "set_family": "ipv4", "ttl": 300}
    lab.start(policy({"n": nftset("late", "other_addr", **mine), "i": ipset("late", **mine), "good": ipset("good")}))
    for one in flows(20):
        status = lab.feed(one)
    assert status["targets"]["good"]["elements"] == 20
    assert len(lab.namespace.ipset("good.v4").keys) == 20
    for name, kind in (("n", "nftables set nfa late.v4"), ("i", "ipset late.v4")):
        assert (status["targets"][name]["elements"], status["targets"][name]["trouble"]) == (0, "does not exist")
        assert "does not exist" in status["targets"][name]["last_error"]
        assert status["targets"][name]["sets"][0]["code"] == status["targets"][name]["code"] == "set-missing"
        assert len(lab.daemon.said("error", f"target '{name}'", kind, "does not exist")) == 1, lab.daemon.log
    lab.namespace.nft("add table inet nfa", "add set inet nfa late.v4 { type ipv4_addr; flags timeout; }")
    lab.namespace.run("ipset", "create", "late.v4", "hash:ip", "timeout", "0")

    def filled() -> bool:
        return len(lab.namespace.nft_set("nfa late.v4").keys) == len(lab.namespace.ipset("late.v4").keys) == 20

    eventually(filled, what="all elements in the sets that came late, without another record")
    assert 0 < lab.namespace.ipset("late.v4").left(sorted(lab.namespace.ipset("late.v4").keys)[0]) <= 300
    assert len(lab.daemon.said("notice", "late.v4", "can be used again")) == 2
    assert len(lab.daemon.said("does not exist", "error")) == 2


def test_a_set_of_another_key_is_reported_by_check_and_left_alone(lab: Lab) -> None:
    """Elements of the wrong form in a firewall's set would block the wrong hosts."""
    lab.namespace.nft(
        "add table inet nfa",
        "add set inet nfa wrong.v4 { type ipv4_addr . inet_service; flags timeout; }",
    )
    lab.namespace.run("ipset", "create", "wrong.v4", "hash:ip,port")
    lab.namespace.run("ipset", "create", "wrong.v6", "hash:ip")
    mine: dict[str, Any] = {"managed": False}
    config = policy(
        {
            "n": nftset("wrong", "other_addr", set_family="ipv4", **mine),
            "i": ipset("wrong", **mine),
            "good": nftset("good", "other_addr", set_family="ipv4"),
        }
    )
    lab.start(config)
    command = lab.nfa("check", "-c", str(lab.daemon.config), "--state-dir", str(lab.folder))
    done = lab.namespace.attempt(*command, "--json")
    assert done.returncode == 1, done.stderr
    errors = [report for report in json.loads(done.stdout)["reports"] if report["severity"] == "error"]
    messages = [report["message"] for report in errors]
    assert {report["code"] for report in errors} == {"set-other-type"}
    assert len(messages) == 3, messages
    for name in ("'n'", "'i'"):
        assert any(name in message for message in messages), messages
    status = lab.feed(flow(other="203.0.113.10"), flow(local="2001:db8:1::20", other="2001:db8:ffff::1"))
    assert lab.namespace.nft_set("nfa good.v4").keys == {("203.0.113.10",)}
    sets = lab.namespace.nft_sets()
    assert not sets["nfa wrong.v4"].keys
    assert not lab.namespace.ipset("wrong.v4").keys and not lab.namespace.ipset("wrong.v6").keys
    assert status["policy"]["errors"] == 3
    assert lab.daemon.said("config", "'n'", "ipv4_addr . inet_service"), lab.daemon.log


def test_a_full_set_is_told_once_and_harms_no_other(lab: Lab) -> None:
    """A port scan that fills one set must neither flood the log nor keep elements out of the others."""
    lab.start(policy(both("small", size=10, set_family="ipv4") | both("large", set_family="ipv4")))
    some = flows(100)
    lab.feed(*some[:50])
    for one in some[50:]:
        status = lab.feed(one)
    sets, ipsets = lab.namespace.nft_sets(), lab.namespace.ipsets()
    assert len(sets["nfa nlarge.v4"].keys) == len(ipsets["ilarge.v4"].keys) == 100
    assert len(sets["nfa nsmall.v4"].keys) == 10
    # A hash of ipset counts to maxelem; it may refuse earlier only when a bucket is full (none is with ten).
    assert len(ipsets["ismall.v4"].keys) == 10
    for name in ("n.small", "i.small"):
        target = status["targets"][name]
        assert (target["elements"], target["added"], target["errors"]) == (10, 10, 90)
        assert "full" in target["last_error"] and target["code"] == "set-full"
        assert len(lab.daemon.said("error", f"'{name}'", "full", "raise size")) == 1, lab.daemon.log
    assert all(status["targets"][name]["errors"] == 0 for name in ("n.large", "i.large"))
    lab.namespace.run("nft", "flush", "set", "inet", "nfa", "nsmall.v4")
    lab.namespace.run("ipset", "flush", "ismall.v4")
    more = iter(flows(1000, "198.51"))

    def room() -> bool:
        lab.feed(next(more))
        return bool(lab.namespace.nft_set("nfa nsmall.v4").keys and lab.namespace.ipset("ismall.v4").keys)

    eventually(room, what="elements where there is room again")


def test_one_set_shared_by_full_batches_of_both_families(lab: Lab) -> None:
    """Thousands of effects of one burst, in many messages and batches: every element arrives, none twice."""
    lab.start(policy(both("many")))
    v4 = flows(6000)
    v6 = [flow(local="2001:db8:1::20", other=f"2001:db8:ffff::{number:x}") for number in range(1, 3001)]
    mixed = [one for trio in zip(v4[::2], v4[1::2], v6, strict=True) for one in trio]
    status = lab.feed(*mixed)
    assert [target["added"] for target in status["targets"].values()] == [9000, 9000]
    sets, ipsets = lab.namespace.nft_sets(), lab.namespace.ipsets()
    for version, records in (("v4", v4), ("v6", v6)):
        wanted = {one["flow"]["other_ip"] for one in records}
        assert {key[0] for key in sets[f"nfa nmany.{version}"].keys} == wanted
        assert ipsets[f"imany.{version}"].keys == wanted


def test_without_cap_net_admin_the_log_still_works(lab: Lab) -> None:
    """A container or a service file without the capability: said in those words, once for each set, not for each flow."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    less = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    if lab.namespace.attempt(*less, "true").returncode:
        pytest.skip("setpriv cannot drop a capability here")
    targets = both("x", set_family="ipv4") | {"log": {"target_type": "log", "path": str(lab.folder / "logs"), "interval": 1}}
    lab.start(policy(targets), wrapper=less)
    for one in flows(30):
        status = lab.feed(one)
    assert lab.namespace.nft_sets() == {} and lab.namespace.ipsets() == {}
    for name in ("n.x", "i.x"):
        assert (status["targets"][name]["elements"], status["targets"][name]["code"]) == (0, "no-permission")
        assert len(lab.daemon.said("error", f"'{name}'", "CAP_NET_ADMIN")) == 1, lab.daemon.log
    files = eventually(lambda: list((lab.folder / "logs").glob("*.json")), what="the log is written")
    assert json.loads(files[0].read_text())["entries"]
    assert lab.daemon.stop() == 0


def test_one_broken_action_and_target_leave_the_others_working(lab: Lab) -> None:
    """A typing error in one rule must not take the family's filter down."""
    config = policy({"good": ipset("good", set_family="ipv4"), "bad": ipset("x" * 40)}, "protocol == 'http/s';")
    config["actions"]["all"]["targets"] = ["good"]
    config["actions"]["broken"] = {"criteria": "protocl == 'dns';", "targets": ["good"]}
    lab.start(config)
    status = lab.feed(flow(other="203.0.113.10"), flow("DNS", other="203.0.113.53", ip_protocol=17))
    assert lab.namespace.ipset("good.v4").keys == {"203.0.113.10"}
    assert status["policy"]["errors"] >= 2
    assert not status["actions"]["broken"]["active"] and status["actions"]["broken"]["reason"]
    assert status["actions"]["all"]["active"] and status["actions"]["all"]["matches"] == 1
    assert lab.daemon.said("config", "nfa.json:", "protocl", "protocol"), "with its place and the nearest name"


def test_status_command_shows_what_an_administrator_looks_for(lab: Lab) -> None:
    """`nfa status` and `nfa status --json` are the only windows into a router's daemon."""
    daemon = lab.start(policy(both("x", set_family="ipv4")))
    lab.feed(*flows(7))
    command = lab.nfa("status", "--control", str(daemon.control))
    status = json.loads(lab.namespace.run(*command, "--json"))
    assert status["source"]["records"] == 8 and status["source"]["agent_version"] == hello()["agent_version"]
    assert (status["flows"]["evaluated"], status["flows"]["matched"]) == (7, 7)
    target = status["targets"]["n.x"]
    assert {key: target[key] for key in ("elements", "added", "refreshed", "errors")} == {
        "elements": 7, "added": 7, "refreshed": 0, "errors": 0,
    }  # fmt: skip
    text = lab.namespace.run(*command)
    assert "n.x" in text and "i.x" in text and "connected" in text and "\x1b" not in text
    daemon.stop()
    gone = lab.namespace.attempt(*command)
    assert gone.returncode == 1 and "no daemon answers" in gone.stderr


def test_a_trace_of_netlink_shows_what_the_daemon_and_its_compiler_say(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong between daemon and kernel is seen by what they told each other."""
    monkeypatch.setenv("NFA_DEBUG", "netlink")
    lab.start(policy({"s": nftset("s")}))
    lab.feed(flow("HTTP/S", "netify.youtube", other="192.0.2.77"))
    lab.namespace.nft("delete table inet nfa")
    lab.daemon.until(lambda _: "< NFT_MSG_DELTABLE" in lab.daemon.log, "the notification")
    for words in ("> NFT_MSG_GETSET", "> NFT_MSG_NEWSET ", "> NFT_MSG_NEWSETELEM", "c000024d", "< NLMSG_ERROR"):
        assert words in lab.daemon.log, words
