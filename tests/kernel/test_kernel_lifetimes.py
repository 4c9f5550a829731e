"""How long elements live: as long as their flow does, and no longer than its ttl after that."""

from __future__ import annotations

import signal
import time

import pytest
from kernel_lab import Lab, eventually, ipset, nftset, policy
from samples import Record, flow, purge, stats
from waiting import patience

pytestmark = pytest.mark.kernel

TTL = int(patience(4))
LONG = 2.0 * TTL  # seconds; two refreshes, and what was not refreshed is gone for long


def test_elements_live_with_their_flows(lab: Lab) -> None:
    """A download of an hour must not lose its element after ttl, on flow_stats alone or on repeated flow records."""
    lab.start(
        policy(
            {
                "n": nftset("n", "other_addr", ttl=TTL, set_family="ipv4"),
                "three": nftset("three", ttl=TTL, set_family="ipv4"),
                "i": ipset("i", ttl=TTL, set_family="ipv4"),
                "six": nftset("six", "local_addr", "other_addr", ttl=TTL, set_family="ipv6"),
            }
        )
    )
    quiet, by_stats, by_flow = (flow(other=f"203.0.113.{number}") for number in (1, 2, 3))
    shared = [flow(other="203.0.113.4", other_port=port) for port in (1001, 1002)]
    ended = flow(other="203.0.113.5")
    six = flow(local="2001:db8:1::20", other="2001:db8:ffff::5")
    lab.feed(quiet, by_stats, by_flow, *shared, ended, six)
    kept = {by_stats["flow"]["other_ip"], by_flow["flow"]["other_ip"], shared[0]["flow"]["other_ip"]}
    # One of two flows that share an element has ended: the other keeps it. A purge alone takes nothing away.
    lab.feed(purge(shared[0]["flow"]["digest"]), purge(ended["flow"]["digest"]))
    started = time.monotonic()

    def nothing_flickers() -> bool:
        now = time.monotonic() - started
        sets, ipsets = lab.namespace.nft_sets(), lab.namespace.ipsets()
        held = {key[0] for key in sets["nfa n.v4"].keys}, {key[3] for key in sets["nfa three.v4"].keys}, ipsets["i.v4"].keys
        for elements in held:
            assert kept <= elements, f"after {now:.2f} s"
        assert len(sets["nfa six.v6"].keys) == 1
        if now > TTL + 1:
            assert all(elements == kept for elements in held), f"after {now:.2f} s"
        return now > LONG

    with lab.beating(lambda _: [*(stats(one["flow"]["digest"]) for one in (by_stats, shared[1], six)), by_flow]):
        eventually(nothing_flickers, what="the end of the test")
        status = lab.daemon.status()["targets"]
        lasted = time.monotonic() - started
    assert all(target["refreshed"] >= 2 and target["errors"] == 0 for target in status.values())
    assert status["n"]["elements"] == len(kept), "the daemon has forgotten the silent ones too"
    refreshes = status["n"]["refreshed"]
    assert refreshes <= len(kept) * (lasted / (TTL / 2) + 1), "only when half of a life is gone"
    eventually(lambda: not lab.namespace.nft_set("nfa n.v4").keys, what="silence lets them go")
    back = flow(other="203.0.113.1", other_port=80)
    lab.feed(back)
    assert lab.namespace.nft_set("nfa n.v4").keys == {("203.0.113.1",)}


def test_a_full_set_keeps_the_elements_of_its_live_flows(lab: Lab) -> None:
    """Newcomers that find no room must not cost the elements that are there their refresh."""
    lab.start(
        policy(
            {
                "n": nftset("n", "other_addr", ttl=TTL, size=5, set_family="ipv4", flush_on_create=True),
                "i": ipset("i", ttl=TTL, size=5, set_family="ipv4", flush_on_create=True),
            }
        )
    )
    first = [flow(other=f"203.0.113.{number}") for number in range(5)]
    lab.feed(*first)
    # An ipset counts in its buckets and may take a few more or less; what it took is what has to stay.
    kept = {key[0] for key in lab.namespace.nft_set("nfa n.v4").keys}, lab.namespace.ipset("i.v4").keys
    assert len(kept[0]) == 5 and kept[1]
    started = time.monotonic()

    def beat(number: int) -> list[Record]:
        newcomer = flow(other=f"198.51.{number >> 8}.{number & 255}")
        return [*(stats(one["flow"]["digest"]) for one in first), newcomer]

    def nothing_flickers() -> bool:
        now = time.monotonic() - started
        assert {key[0] for key in lab.namespace.nft_set("nfa n.v4").keys} == kept[0], f"after {now:.2f} s"
        assert lab.namespace.ipset("i.v4").keys == kept[1], f"after {now:.2f} s"
        return now > LONG

    with lab.beating(beat):
        eventually(nothing_flickers, what="the end of the test")
    assert lab.daemon.status()["targets"]["n"]["errors"] > 0, "newcomers came, and found no room"


def test_sigterm_ends_it_before_procd_kills_and_leaves_nothing(lab: Lab) -> None:
    """procd waits five seconds and then kills: flush_on_destroy, the log and the socket file would be left as they are."""
    daemon = lab.start(
        policy(
            {
                "n": nftset("n", ttl=0, flush_on_destroy=True),
                "log": {"target_type": "log", "path": str(lab.folder / "logs"), "interval": 3600},
            }
        )
    )
    lab.feed(*(flow(other=f"198.18.{number >> 8}.{number & 255}") for number in range(5000)))
    assert len(lab.namespace.nft_set("nfa n.v4").keys) == 5000
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(patience(5)) == 0
    assert not lab.namespace.nft_set("nfa n.v4").keys
    assert not daemon.control.exists()
    assert len(list((lab.folder / "logs").iterdir())) == 1
    assert daemon.said("stopped")
