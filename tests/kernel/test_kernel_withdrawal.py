"""What a flow turns out not to be is taken back; what other flows hold, and what has only ended, stays."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from kernel_lab import Lab, ipset, nftset, policy
from samples import flow, purge

pytestmark = pytest.mark.kernel

FOUR = {"set_family": "ipv4"}
TARGETS = {"n": nftset("n", "other_addr", ttl=600, **FOUR), "i": ipset("i", ttl=600, **FOUR)}


def keys(lab: Lab) -> tuple[set[Any], set[Any]]:
    """The addresses in both sets."""
    return {key[0] for key in lab.namespace.nft_set("nfa n.v4").keys}, lab.namespace.ipset("i.v4").keys


def both(*addresses: str) -> tuple[set[str], set[str]]:
    return set(addresses), set(addresses)


def reclassified(record: dict[str, Any]) -> dict[str, Any]:
    """The next record of the same flow: netifyd has found out that it is Netflix."""
    return record | {"flow": record["flow"] | {"detected_application_name": "netify.netflix", "detection_updated": True}}


def test_a_reclassified_flow_is_taken_out(lab: Lab) -> None:
    """netifyd's first guess would block an innocent address until its time is over."""
    lab.start(policy(TARGETS, "app == 'youtube';"))
    one, two = (flow("QUIC", "netify.youtube", other=f"203.0.113.{number}") for number in (1, 2))
    lab.feed(one, two)
    assert keys(lab) == both("203.0.113.1", "203.0.113.2")
    status = lab.feed(reclassified(one))
    assert keys(lab) == both("203.0.113.2")
    assert [status["targets"][name]["withdrawn"] for name in ("n", "i")] == [1, 1]
    assert [status["targets"][name]["errors"] for name in ("n", "i")] == [0, 0]
    lab.feed(one)
    assert keys(lab) == both("203.0.113.1", "203.0.113.2"), "and back again"


def test_an_element_that_another_flow_holds_stays(lab: Lab) -> None:
    """Two connections to one server: the end of one must not free the other."""
    lab.start(policy(TARGETS, "app == 'youtube';"))
    one, two = (flow("QUIC", "netify.youtube", other="203.0.113.1", local_port=port) for port in (1001, 1002))
    lab.feed(one, two, reclassified(one))
    assert keys(lab) == both("203.0.113.1")
    lab.feed(reclassified(two))
    assert keys(lab) == both()


def test_a_flow_that_has_ended_leaves_its_element(lab: Lab) -> None:
    """Its application opens the next connection to the same server at once."""
    lab.start(policy(TARGETS, "app == 'youtube';"))
    one = flow("QUIC", "netify.youtube", other="203.0.113.1")
    lab.feed(one, purge(one["flow"]["digest"]))
    assert keys(lab) == both("203.0.113.1")


def test_two_targets_of_one_set_do_not_take_from_each_other(lab: Lab) -> None:
    """Two policies may fill one set; each takes back only what is its own."""
    shared = nftset("n", "other_addr", ttl=600, **FOUR)
    config = policy({"a": shared, "b": shared})
    config["actions"] = {
        "a": {"criteria": "app == 'youtube';", "targets": ["a"]},
        "b": {"criteria": "protocol == 'quic';", "targets": ["b"]},
    }
    lab.start(config)
    one = flow("QUIC", "netify.youtube", other="203.0.113.1")
    lab.feed(one, reclassified(one))
    assert lab.namespace.nft_set("nfa n.v4").keys == {("203.0.113.1",)}
    other = reclassified(one)
    lab.feed(other | {"flow": other["flow"] | {"detected_protocol_name": "HTTP/S", "detected_protocol": 91}})
    assert lab.namespace.nft_set("nfa n.v4").keys == set()


def test_what_is_gone_already_is_no_error(lab: Lab) -> None:
    """An administrator took an element out by hand: the transaction with the others must not fail for it."""
    lab.start(policy(TARGETS, "app == 'youtube';"))
    flows = [flow("QUIC", "netify.youtube", other=f"203.0.113.{number}") for number in range(50)]
    lab.feed(*flows)
    lab.namespace.nft("delete element inet nfa n.v4 { 203.0.113.7, 203.0.113.30 }")
    lab.namespace.run("ipset", "del", "i.v4", "203.0.113.7")
    new = flow("QUIC", "netify.youtube", other="203.0.113.99")
    status = lab.feed(*[reclassified(record) for record in flows[:40]], new)
    left = [f"203.0.113.{number}" for number in (*range(40, 50), 99)]
    assert keys(lab) == both(*left)
    assert [status["targets"][name]["errors"] for name in ("n", "i")] == [0, 0]


def test_a_disabled_action_lets_go_with_the_next_record(lab: Lab) -> None:
    """Switched off in LuCI, the policy would go on for as long as the flow lives."""
    config = policy(TARGETS, "app == 'youtube';")
    daemon = lab.start(config)
    one = flow("QUIC", "netify.youtube", other="203.0.113.1")
    lab.feed(one)
    config["actions"]["all"]["enabled"] = False
    daemon.configure(config)
    daemon.signal(signal.SIGHUP)
    daemon.loaded(2)
    lab.feed(one)
    assert keys(lab) == both()


def test_a_flow_that_goes_on_under_another_digest(lab: Lab) -> None:
    """netifyd 5 gives a reclassified flow a new digest: what the old one held would stay until its time is over."""
    lab.start(policy(TARGETS, "app == 'youtube';"))
    one, two = (flow("QUIC", "netify.youtube", other=f"203.0.113.{number}") for number in (1, 2))
    lab.feed(one, two)
    old = one["flow"]["digest"]
    other = reclassified(one)
    lab.feed(other | {"flow": other["flow"] | {"digest": "f" * 40, "digest_prev": [old]}})
    assert keys(lab) == both("203.0.113.2")
    kept = two["flow"] | {"digest": "e" * 40, "digest_prev": [two["flow"]["digest"]]}
    lab.feed(two | {"flow": kept})
    assert keys(lab) == both("203.0.113.2"), "the same application: nothing changes in the set"
    lab.feed(reclassified(two | {"flow": kept}))
    assert keys(lab) == both(), "and it has one holder, not two"
