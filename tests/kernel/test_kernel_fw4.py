"""A firewall that is reloaded each second while flows come: after each reload the sets hold what an undisturbed run holds.

Two daemons read the same stream, each in a namespace of its own; one of them is left in peace. `NFA_LONG=1` makes it a whole
minute, on a machine with nothing else to do, and holds the daemon to its times: 100 ms for nftables, 2 s for ipset.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import Lab, Namespace, eventually, ipset, nftset, policy, private_namespace
from samples import Record, flow
from waiting import patience

pytestmark = pytest.mark.kernel

LONG = bool(os.environ.get("NFA_LONG"))
ROUNDS = 60 if LONG else 6
NFT, IPSET = "n.v4", "i.v4"
TARGETS: dict[str, Any] = {
    "n": nftset("n", "other_addr", table_name="fw4", ttl=600, set_family="ipv4"),
    "own": nftset("own", "other_addr", ttl=600, set_family="ipv4"),
    "i": ipset("i", ttl=600, set_family="ipv4"),
}
FW4 = """
table inet fw4
flush table inet fw4
table inet fw4 {
    set n.v4 { type ipv4_addr; size 65536; timeout 600s; }
    chain input { type filter hook input priority filter; policy accept; }
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct state established,related accept
        ip daddr @n.v4 counter drop
    }
}
"""
"""What fw4 loads: it empties the table of rules, and makes chains and sets that are not there. A user's file names ours."""


@pytest.fixture
def calm(namespace: Namespace, tmp_path: Path) -> Iterator[Lab]:
    """The lab that nobody disturbs."""
    with private_namespace() as made:
        folder = tmp_path / "calm"
        folder.mkdir()
        lab = Lab(made, folder)
        try:
            yield lab
        finally:
            lab.close()


def youtube(number: int, app: str = "netify.youtube") -> Record:
    return flow("QUIC", app, other=f"198.18.{number >> 8}.{number & 255}", local_port=10000 + number)


def reload(namespace: Namespace) -> None:
    """`fw4 reload`."""
    namespace.run("nft", "-f", "-", text=FW4)


def restart(namespace: Namespace) -> None:
    """`fw4 restart`: for a moment the table is not there."""
    namespace.nft("delete table inet fw4")
    reload(namespace)


def flush_ruleset(namespace: Namespace) -> None:
    """What scripts of users, and `nftables.service`, do."""
    namespace.nft("flush ruleset", FW4)


DEEDS = (reload, restart, flush_ruleset)


def test_a_firewall_that_is_reloaded_each_second(lab: Lab, calm: Lab) -> None:
    """Whoever reloads his firewall would find the policy gone, for as long as half of the ttl."""
    for each in (lab, calm):
        reload(each.namespace)
        each.start(policy(TARGETS, "app == 'youtube';"))
    took: list[float] = []
    took_ipset: list[float] = []
    wanted: set[Any] = set()
    harmed, started = 0.0, time.monotonic()

    def same(name: str) -> bool:
        return lab.namespace.nft_keys(*name.split()) == wanted

    def whole() -> bool:
        nonlocal harmed
        if harmed and lab.namespace.ipset(IPSET).keys == {key[0] for key in wanted}:
            took_ipset.append(time.monotonic() - harmed)
            harmed = 0.0
        return not harmed

    for each in (lab, calm):
        each.feed(*[youtube(number) for number in range(1, 201)])
    apart = [time.monotonic() - started]
    for number in range(ROUNDS):
        began = time.monotonic()
        # New flows, one that goes on, and one that turns out to be something else.
        news = [youtube(1000 + 2 * number), youtube(1001 + 2 * number), youtube(1 + number)]
        news.append(youtube(100 + number, "netify.netflix"))
        calm.feed(*news)
        wanted = calm.namespace.nft_keys("fw4", NFT)
        assert len(wanted) == 201 + number
        lab.send(*news)
        DEEDS[number % 3](lab.namespace)
        since = time.monotonic()
        eventually(lambda: same(f"fw4 {NFT}"), what="the set that the firewall names")
        took.append(time.monotonic() - since)
        eventually(lambda: same("nfa own.v4"), what="the daemon's own set")
        apart.append(time.monotonic() - began)
        if number % 3 == 0:
            eventually(whole, what="the ipset is whole again before it is harmed again")
            lab.namespace.run("ipset", "flush" if number % 2 else "destroy", IPSET)
            harmed = time.monotonic()
        while time.monotonic() < began + 1:  # this is the rate, not a synchronisation
            whole()
            time.sleep(0.005)
    eventually(whole, what="the last of the ipset")
    disturbed, undisturbed = lab.namespace.nft_sets(), calm.namespace.nft_sets()
    for name in (f"fw4 {NFT}", "nfa own.v4"):
        assert disturbed[name].keys == undisturbed[name].keys
        for key in disturbed[name].keys:
            difference = abs(disturbed[name].left(key) - undisturbed[name].left(key))
            assert difference <= 3 + max(apart), "with the time it had left; one daemon read it later than the other"
    status = lab.daemon.status()
    assert [target["errors"] for target in status["targets"].values()] == [0, 0, 0], lab.daemon.log
    took.sort()
    print(f"nftables: median {took[len(took) // 2] * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms")
    print(f"ipset: worst {max(took_ipset):.2f} s of {len(took_ipset)}; longest turn {status['loop']['longest_ms']} ms")
    if LONG:
        assert took[-1] < patience(0.1), "`nft` and the look at the set are counted too"
        assert max(took_ipset) < patience(2)
        assert status["loop"]["longest_ms"] < patience(100)
