"""What others take out of the daemon's sets comes back, with the time it had left; and what they may take stays away.

How soon it comes back is measured by `make bench`, which knows how busy the machine is. Here it comes back by itself: the next
refresh of the flows would be five minutes away.
"""

from __future__ import annotations

from typing import Any

import pytest
from kernel_lab import Lab, eventually, ipset, nftset, policy
from samples import flow
from waiting import patience

pytestmark = pytest.mark.kernel

FOUR = {"set_family": "ipv4"}
N, IPSET = "nfa n.v4", "i.v4"
ADDRESSES = {f"203.0.113.{number}" for number in range(1, 41)}


def targets(**more: Any) -> dict[str, Any]:
    return {"n": nftset("n", "other_addr", ttl=600, **FOUR, **more), "i": ipset("i", ttl=600, **FOUR, **more)}


def fill(lab: Lab, config: dict[str, Any] | None = None) -> None:
    lab.start(config or policy(targets()))
    lab.feed(*[flow(other=address) for address in sorted(ADDRESSES)])


def nft_keys(lab: Lab) -> set[str]:
    return {key[0] for key in lab.namespace.nft_keys("nfa", "n.v4")}


@pytest.mark.parametrize(
    "deed",
    [
        "flush set inet nfa n.v4",
        "delete set inet nfa n.v4",
        "delete table inet nfa",
        "flush ruleset",
        "delete element inet nfa n.v4 { 203.0.113.7 }",
    ],
)
def test_nftables_is_healed(lab: Lab, deed: str) -> None:
    """`service firewall restart` would let everybody go until the flows are refreshed, which takes half of the ttl."""
    fill(lab)
    assert nft_keys(lab) == ADDRESSES
    for _ in range(3):
        lab.namespace.nft(deed)
        eventually(lambda: nft_keys(lab) == ADDRESSES, what="all elements are back")
    made = lab.namespace.nft_set(N)
    assert all(500 <= made.left(key) <= 600 for key in made.keys)
    status = lab.daemon.status()["targets"]["n"]
    each = 1 if "element" in deed else 40
    assert (status["restored"], status["errors"]) == (3 * each, 0), "what was taken is counted, not what was written"
    assert len(lab.daemon.said("by another program", f"{each} element")) == 1


@pytest.mark.parametrize("deed", [["flush", IPSET], ["destroy", IPSET], ["del", IPSET, "203.0.113.7"]])
def test_an_ipset_is_healed(lab: Lab, deed: list[str]) -> None:
    """ipset tells nobody: the daemon has to look."""
    fill(lab)
    assert lab.namespace.ipset(IPSET).keys == ADDRESSES
    for _ in range(3):
        lab.namespace.run("ipset", *deed)
        eventually(lambda: lab.namespace.ipset(IPSET).keys == ADDRESSES, what="all elements are back")
    status = lab.daemon.status()["targets"]["i"]
    assert (status["restored"], status["errors"]) == (3 if "del" in deed else 120, 0)
    assert all(500 <= lab.namespace.ipset(IPSET).left(key) <= 600 for key in ADDRESSES)


def test_what_is_put_back_has_the_time_it_had_left(lab: Lab) -> None:
    """A firewall that is reloaded each minute would keep everybody in for ever."""
    ttl, most = int(patience(8)), patience(5)
    lab.start(policy({"n": nftset("n", "other_addr", ttl=ttl, **FOUR), "i": ipset("i", ttl=ttl, **FOUR)}))
    lab.feed(flow(other="203.0.113.1"))
    eventually(lambda: 0 < lab.namespace.nft_set(N).left(("203.0.113.1",)) <= most, what="some of its time is over")
    lab.namespace.nft("flush set inet nfa n.v4")
    eventually(lambda: nft_keys(lab) == {"203.0.113.1"})
    assert lab.namespace.nft_set(N).left(("203.0.113.1",)) <= most
    eventually(lambda: not nft_keys(lab), what="and ends when it would have")


def test_the_daemons_own_flush_is_no_loss(lab: Lab) -> None:
    """`nfa flush` would do nothing."""
    fill(lab)
    for name in ("n", "i"):
        lab.namespace.run(*lab.nfa("flush", name, "--control", str(lab.daemon.control)))
    assert nft_keys(lab) == set()
    uptime = lab.daemon.status()["uptime"]
    lab.daemon.until(lambda status: status["uptime"] >= uptime + 3, "the daemon has looked at the ipset again")
    assert nft_keys(lab) == set() and lab.namespace.ipset(IPSET).keys == set()


def test_an_unmanaged_set_may_be_deleted_and_is_filled_when_it_comes_back(lab: Lab) -> None:
    """Sets in fw4's own table come and go with the firewall: nobody but the firewall makes them."""
    make = "add set inet nfa n.v4 { type ipv4_addr; flags timeout; }"
    lab.namespace.nft("add table inet nfa", make)
    lab.namespace.run("ipset", "create", IPSET, "hash:ip", "timeout", "600")
    fill(lab, policy(targets(managed=False)))
    lab.namespace.nft("flush set inet nfa n.v4")
    eventually(lambda: nft_keys(lab) == ADDRESSES, what="emptied, it is filled")
    lab.namespace.nft("delete set inet nfa n.v4")
    uptime = lab.daemon.status()["uptime"]
    lab.daemon.until(lambda status: status["uptime"] >= uptime + 2, "some turns of the loop")
    assert lab.namespace.nft_set(N).type == "", "it stays away"
    lab.namespace.nft(make)
    eventually(lambda: nft_keys(lab) == ADDRESSES, what="made again, it is filled")
