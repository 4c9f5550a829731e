"""A managed set that exists with another type: replaced where nothing uses it, else reported with what is in the way."""

from __future__ import annotations

import json
import shutil
import signal
from typing import Any

import pytest
from kernel_lab import Lab, eventually, ipset, nftset, policy
from samples import flow

pytestmark = pytest.mark.kernel

FOUR: dict[str, Any] = {"set_family": "ipv4"}
SOON = {"targets.sets.keeper.RETRY_OTHER": 1, "targets.sets.healing.RETRY_OTHER": 1}
"""Seconds until a set that is in the way is tried again, instead of 5."""
GOOD = {"good": nftset("good", "other_addr", **FOUR)}
SERVERS = [f"203.0.113.{number}" for number in range(1, 9)]
KEYS = {(address,) for address in SERVERS}


def feed(lab: Lab) -> dict[str, Any]:
    return lab.feed(*[flow(other=address) for address in SERVERS])


def findings(lab: Lab, severity: str) -> list[dict[str, Any]]:
    """What `nfa check` says."""
    done = lab.namespace.attempt(*lab.nfa("check", "-c", str(lab.daemon.config), "--state-dir", str(lab.folder), "--json"))
    found: list[dict[str, Any]] = json.loads(done.stdout)["reports"]
    return [report for report in found if report["severity"] == severity]


@pytest.mark.parametrize(
    "there",
    ["{ type ether_addr; flags timeout; }", "{ type ipv4_addr; }", "{ type ipv4_addr; flags timeout, interval; }"],
)
def test_an_nftables_set_that_nothing_uses_is_replaced(lab: Lab, there: str) -> None:
    """After a changed `type` the target would do nothing until somebody deletes the set by hand."""
    lab.namespace.nft("add table inet nfa", f"add set inet nfa n.v4 {there}", "add set inet nfa other { type mark; }")
    lab.start(policy({"n": nftset("n", "other_addr", ttl=300, **FOUR)} | GOOD))
    feed(lab)
    made = lab.namespace.nft_sets()
    assert made["nfa n.v4"].keys == made["nfa good.v4"].keys == KEYS
    assert (made["nfa n.v4"].type, made["nfa n.v4"].options["timeout"]) == ("ipv4_addr", "300")
    assert "nfa other" in made, "only that set"
    assert len(lab.daemon.said("notice", "'n'", "n.v4 had another type and was replaced")) == 1
    assert lab.daemon.status()["policy"]["errors"] == 0


def test_the_old_set_goes_in_the_transaction_that_makes_the_new_one(lab: Lab) -> None:
    """A firewall script that looks at the wrong moment would find no set, and fail."""
    lab.namespace.nft("add table inet nfa", "add set inet nfa n.v4 { type ether_addr; }")
    events = lab.folder / "events"
    with events.open("wb") as output:
        monitor = lab.namespace.popen("nft", "monitor", "sets", output=output)
        try:

            def listens() -> bool:
                table = ["add table inet probe", "delete table inet probe", "add table inet probe"]
                lab.namespace.nft(*table, "add set inet probe p { type mark; }")
                return "probe p" in events.read_text()

            eventually(listens, what="the monitor listens")
            lab.start(policy({"n": nftset("n", "other_addr", **FOUR)}))
            eventually(lambda: "ipv4_addr" in events.read_text(), what="the new set is told")
            lab.namespace.nft("add set inet probe q { type mark; }")
            eventually(lambda: "probe q" in events.read_text(), what="all of it is told")
        finally:
            monitor.kill()
            monitor.wait()
    # `nft monitor` ends each transaction with its generation.
    (batch,) = [part for part in events.read_text().split("# new generation") if "nfa n.v4" in part]
    assert batch.index("delete set inet nfa n.v4") < batch.index("add set inet nfa n.v4 { type ipv4_addr")


def test_an_nftables_set_that_rules_use_is_reported_and_replaced_when_they_are_gone(lab: Lab) -> None:
    """The kernel says "busy": which rule is in the way would be left to guessing, and a restart be needed after it."""
    lab.namespace.nft(
        "add table inet nfa",
        "add set inet nfa n.v4 { type ether_addr; flags timeout; }",
        "add chain inet nfa forward { type filter hook forward priority 0; }",
        "add rule inet nfa forward ether saddr @n.v4 drop",
    )
    lab.start(policy({"n": nftset("n", "other_addr", **FOUR)} | GOOD), constants=SOON)
    status = feed(lab)
    assert lab.namespace.nft_set("nfa good.v4").keys == KEYS, "the rest of the policy works"
    assert lab.namespace.nft_set("nfa n.v4").type == "ether_addr"
    (found,) = findings(lab, "error")
    assert "target 'n': set 'n.v4' contains ether_addr" in found["message"]
    assert "used by rules in chain 'forward'" in found["message"]
    assert status["targets"]["n"]["sets"][0]["code"] == found["code"] == "set-other-type"
    assert status["policy"]["errors"] == 1
    assert len(lab.daemon.said("error: target 'n'", "n.v4", "nfa check shows what uses it")) == 1, lab.daemon.log
    command = found["hint"].removeprefix("delete the rules: ").split()
    lab.namespace.run(*command)

    def filled() -> bool:
        feed(lab)
        return lab.namespace.nft_set("nfa n.v4").keys == KEYS

    eventually(filled, what="replaced without a reload")
    assert lab.daemon.said("notice", "n.v4 can be used again")
    assert not lab.daemon.said("by somebody"), "it was nfa that replaced it"
    assert not findings(lab, "error")


def test_a_changed_type_comes_into_force_with_the_reload(lab: Lab) -> None:
    """The daemon's own set would be in its way."""
    lab.start(policy({"n": nftset("n", "other_addr", **FOUR), "i": ipset("i", **FOUR)} | GOOD))
    feed(lab)
    lab.daemon.configure(
        policy({"n": nftset("n", "local_addr", "other_addr", **FOUR), "i": ipset("i", "hash:ip,port", **FOUR)} | GOOD)
    )
    lab.daemon.signal(signal.SIGHUP)
    lab.daemon.loaded(2)
    feed(lab)
    sets = lab.namespace.nft_sets()
    assert sets["nfa n.v4"].type == "ipv4_addr . ipv4_addr"
    assert {key[1] for key in sets["nfa n.v4"].keys} == set(SERVERS)
    assert sets["nfa good.v4"].keys == KEYS, "the others keep what they hold"
    assert lab.namespace.ipset("i.v4").keys == {f"{address},tcp:443" for address in SERVERS}
    assert not lab.daemon.said("error")


@pytest.mark.parametrize("there", [["hash:ip,port"], ["hash:ip"], ["hash:ip", "family", "inet6", "timeout", "9"]])
def test_an_ipset_that_nothing_uses_is_replaced(lab: Lab, there: list[str]) -> None:
    """As for nftables; another family and a set without timeouts count as another type."""
    lab.namespace.run("ipset", "create", "i.v4", *there)
    lab.start(policy({"i": ipset("i", **FOUR)}))
    feed(lab)
    assert lab.namespace.ipset("i.v4").keys == set(SERVERS)
    assert len(lab.daemon.said("notice", "i.v4 had another type and was replaced")) == 1


def test_an_ipset_that_is_in_use_is_reported_and_replaced_when_it_is_free(lab: Lab) -> None:
    """ipset does not tell who uses a set, only how many do."""
    lab.namespace.run("ipset", "create", "i.v4", "hash:ip,port")
    lab.namespace.run("ipset", "create", "all", "list:set")
    lab.namespace.run("ipset", "add", "all", "i.v4")
    lab.start(policy({"i": ipset("i", **FOUR)} | GOOD), constants=SOON)
    status = feed(lab)
    assert lab.namespace.nft_set("nfa good.v4").keys == KEYS
    assert lab.namespace.ipset("i.v4").type == "hash:ip,port"
    (found,) = findings(lab, "error")
    assert "set 'i.v4' is IPv4 hash:ip,port, not IPv4 hash:ip, and is used by 1 reference" in found["message"]
    assert status["targets"]["i"]["sets"][0]["trouble"] == "has another type and is in use"
    lab.namespace.run("ipset", "del", "all", "i.v4")

    def filled() -> bool:
        feed(lab)
        return lab.namespace.ipset("i.v4").keys == set(SERVERS)

    eventually(filled, what="replaced without a reload")


@pytest.mark.parametrize("kind", ["nftset", "ipset"])
def test_a_set_that_is_swapped_for_another_type_while_the_daemon_runs(lab: Lab, kind: str) -> None:
    """A firewall script of an older configuration makes the old set at each reload."""
    lab.start(policy({"n": nftset("n", "other_addr", **FOUR), "i": ipset("i", **FOUR)}))
    feed(lab)
    if kind == "nftset":
        lab.namespace.nft("delete set inet nfa n.v4", "add set inet nfa n.v4 { type ether_addr; flags timeout; }")
        eventually(lambda: lab.namespace.nft_set("nfa n.v4").keys == KEYS, what="replaced and filled")
        assert lab.namespace.nft_set("nfa n.v4").type == "ipv4_addr"
    else:
        lab.namespace.run("ipset", "restore", text="destroy i.v4\ncreate i.v4 hash:ip,port timeout 9\n")
        eventually(lambda: lab.namespace.ipset("i.v4").keys == set(SERVERS), what="replaced and filled")
        assert lab.namespace.ipset("i.v4").type == "hash:ip"
    assert lab.daemon.status()["targets"]["n"]["errors"] == 0


def test_a_set_without_managed_is_never_replaced(lab: Lab) -> None:
    """What somebody else made stays as it is, whatever it is."""
    lab.namespace.nft("add table inet nfa", "add set inet nfa n.v4 { type ether_addr; flags timeout; }")
    lab.namespace.run("ipset", "create", "i.v4", "hash:ip,port")
    mine = FOUR | {"managed": False}
    lab.start(policy({"n": nftset("n", "other_addr", **mine), "i": ipset("i", **mine)} | GOOD))
    status = feed(lab)
    assert lab.namespace.nft_set("nfa n.v4").type == "ether_addr"
    assert lab.namespace.ipset("i.v4").type == "hash:ip,port"
    assert status["policy"]["errors"] == 2


def test_rules_of_iptables_are_counted(lab: Lab) -> None:
    """They are who uses ipsets on most routers."""
    if shutil.which("iptables-legacy") is None and shutil.which("iptables") is None:
        pytest.skip("needs iptables")
    lab.namespace.run("ipset", "create", "i.v4", "hash:ip,port")
    rule = ["-A", "FORWARD", "-m", "set", "--match-set", "i.v4", "dst,dst", "-j", "DROP"]
    if lab.namespace.attempt("iptables", *rule).returncode:
        pytest.skip("iptables does not work here")
    lab.start(policy({"i": ipset("i", **FOUR)}))
    (found,) = findings(lab, "error")
    assert "used by 1 other" in found["message"] and "iptables-save" in found["hint"]
