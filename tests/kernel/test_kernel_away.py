"""Sets that others take away again and again, while flows come and go: nothing is missing afterwards, and nothing is an error.

NFA_LONG=1 makes it twenty rounds, and holds them to one second after the last deletion.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kernel_lab import Lab, eventually, ipset, nftset, policy
from samples import Record, flow
from waiting import patience

pytestmark = pytest.mark.kernel

LONG = bool(os.environ.get("NFA_LONG"))
ROUNDS = 20 if LONG else 3
FOUR = {"set_family": "ipv4"}


def addresses() -> Iterator[str]:
    """Ever new addresses."""
    for high in range(256):
        yield from (f"203.0.{high}.{low}" for low in range(256))


def records(names: Iterator[str], count: int) -> list[Record]:
    return [flow(other=next(names)) for _ in range(count)]


@pytest.mark.parametrize("kind", ["nftset", "ipset"])
def test_what_arrives_while_a_set_is_away_is_put_back_with_it(lab: Lab, kind: str) -> None:
    """A firewall that is restarted a few times in a row: 80 of 400 elements stayed away until their flows' next statistics."""
    if kind == "nftset":
        target: dict[str, Any] = nftset("x", "other_addr", ttl=300, **FOUR)
        delete = lambda: lab.namespace.attempt("nft", "delete", "table", "inet", "nfa")  # noqa: E731
        there: Callable[[], int] = lambda: len(lab.namespace.nft_keys("nfa", "x.v4"))  # noqa: E731
    else:
        target = ipset("x", ttl=300, **FOUR)
        delete = lambda: lab.namespace.attempt("ipset", "destroy", "x.v4")  # noqa: E731
        there = lambda: len(lab.namespace.ipset("x.v4").keys)  # noqa: E731
    lab.start(policy({"t": target}))
    names, fed, took = addresses(), 0, []
    for _ in range(ROUNDS):
        for _ in range(4):
            delete()
            lab.feed(*records(names, 20))
            fed += 20
        delete()
        began = time.monotonic()
        eventually(lambda: there() == fed, what=f"all {fed} elements, without another record")  # noqa: B023
        took.append(time.monotonic() - began)
    status = lab.daemon.status()["targets"]["t"]
    assert (status["elements"], status["errors"], status["trouble"]) == (fed, 0, "")
    assert max(took) <= patience(1.0) or not LONG, took


@pytest.mark.parametrize("kind", ["nftset", "ipset"])
def test_a_withdrawal_from_a_set_that_is_gone_is_done(lab: Lab, kind: str) -> None:
    """112 errors, and elements of the other set lost, because their withdrawal was looked for by halves."""
    make = (lambda name: nftset(name, "other_addr", **FOUR)) if kind == "nftset" else (lambda name: ipset(name, **FOUR))
    config = policy({"a": make("a"), "b": make("b")}, "application == 'netify.youtube';")
    config["actions"]["all"]["targets"] = ["b"]
    config["actions"]["others"] = {"criteria": "application == 'netify.facebook';", "targets": ["a"]}
    lab.start(config)
    names = addresses()
    first = [flow(application="netify.youtube", other=next(names)) for _ in range(2000)]
    lab.feed(*first)

    def keys(name: str) -> int:
        return len(lab.namespace.nft_keys("nfa", name) if kind == "nftset" else lab.namespace.ipset(name).keys)

    assert keys("b.v4") == 2000
    for one in first[:1000]:
        one["flow"] |= {"detected_application": 10021, "detected_application_name": "Unknown", "detection_updated": True}
    lab.namespace.run(*(["nft", "delete", "set", "inet", "nfa", "b.v4"] if kind == "nftset" else ["ipset", "destroy", "b.v4"]))
    lab.feed(*first[:1000], *[flow(application="netify.facebook", other=next(names)) for _ in range(100)])
    eventually(lambda: (keys("a.v4"), keys("b.v4")) == (100, 1000), what="both sets are as the flows are")
    status = lab.daemon.status()["targets"]
    assert [status[name]["errors"] for name in ("a", "b")] == [0, 0]
