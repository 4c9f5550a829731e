"""Hours and reloads on flows that already run: bedtime stops the film that plays, and the morning lets it go on.

The daemons have a clock that the test sets. That the daemon looks at its clock as soon as a second begins is proven where the
loop's own time is under control too: tests/daemon/test_loop_hours.py.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest
from kernel_lab import Lab, eventually, ipset, nftset, policy
from lab_clock import Clock
from samples import flow, purge

pytestmark = pytest.mark.kernel

FOUR = {"set_family": "ipv4"}
TARGETS = {"n": nftset("n", "other_addr", ttl=600, **FOUR), "i": ipset("i", ttl=600, **FOUR)}


def keys(lab: Lab) -> tuple[set[Any], set[Any]]:
    return {key[0] for key in lab.namespace.nft_set("nfa n.v4").keys}, lab.namespace.ipset("i.v4").keys


def both(*addresses: str) -> tuple[set[str], set[str]]:
    return set(addresses), set(addresses)


def with_hours(start: str, end: str, **more: Any) -> dict[str, Any]:
    config = policy(TARGETS, "app == 'youtube';") | {"timezone": "UTC0"}
    config["actions"]["all"]["time_of_day"] = {"time_start": start, "time_end": end} | more
    return config


@pytest.fixture
def clock(lab: Lab) -> Clock:
    """Nine in the evening is near."""
    return Clock(lab.folder, "20:59:59")


def youtube(number: int) -> dict[str, Any]:
    return flow("QUIC", "netify.youtube", other=f"203.0.113.{number}")


def test_an_edge_holds_for_flows_that_already_run(lab: Lab, clock: Clock) -> None:
    """The film that plays at nine would go on until it ends, and be blocked in the morning until somebody stops it."""
    daemon = lab.start(with_hours("21:00", "06:30"), clock=clock)
    other = flow("QUIC", "netify.netflix", other="203.0.113.9")
    status = lab.feed(youtube(1), youtube(2), other, youtube(3), purge(youtube(3)["flow"]["digest"]))
    assert keys(lab) == both()
    assert (status["actions"]["all"]["in_hours"], status["actions"]["all"]["active"]) == (False, True)
    assert status["flows"]["kept"] == 3, "of flows that run"
    clock.set("21:00:00")
    eventually(lambda: keys(lab) == both("203.0.113.1", "203.0.113.2"), what="the window has begun")
    assert daemon.status()["actions"]["all"]["matches"] == 2
    lab.feed(youtube(4))
    assert keys(lab) == both("203.0.113.1", "203.0.113.2", "203.0.113.4")
    clock.set("06:30:00")
    eventually(lambda: keys(lab) == both(), what="the window has ended")
    status = lab.feed(youtube(5))
    assert keys(lab) == both()
    assert status["targets"]["n"]["withdrawn"] == 3
    assert daemon.said("notice", "schedule: 'all' started (", "; re-evaluating 3 live flows")
    assert daemon.said("notice", "schedule: 'all' ended (")


def test_exclusive_hours_end_what_they_must_not_touch(lab: Lab, clock: Clock) -> None:
    """ "Except at night" is the other half of schedules."""
    lab.start(with_hours("21:00", "06:30", policy="exclusive"), clock=clock)
    lab.feed(youtube(1))
    assert keys(lab) == both("203.0.113.1")
    clock.set("21:00:00")
    eventually(lambda: keys(lab) == both(), what="the exclusive window has begun")
    clock.set("06:30:00")
    eventually(lambda: keys(lab) == both("203.0.113.1"), what="it has ended")


def test_reprocess_flows_applies_a_new_policy_to_flows_that_run(lab: Lab) -> None:
    """A policy that is saved now would wait for the end of what it is meant to stop."""
    config = policy(TARGETS, "app == 'netflix';") | {"reprocess_flows": True}
    daemon = lab.start(config)
    lab.feed(youtube(1), flow("QUIC", "netify.netflix", other="203.0.113.9"))
    assert keys(lab) == both("203.0.113.9")
    config["actions"]["all"]["criteria"] = "app == 'youtube';"
    daemon.configure(config)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: keys(lab) == both("203.0.113.1"), what="the new policy holds for both")
    config["actions"]["all"]["enabled"] = False
    daemon.configure(config)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: keys(lab) == both(), what="and no policy for none")


def test_a_reload_that_changes_the_hours_is_an_edge(lab: Lab, clock: Clock) -> None:
    """ "Bedtime is now", and the film plays on: the edge would fall between two policies, and never be seen."""
    daemon = lab.start(with_hours("22:00", "23:00"), clock=clock)
    lab.feed(youtube(1))
    assert keys(lab) == both()
    daemon.configure(with_hours("20:00", "23:00"))
    daemon.signal(signal.SIGHUP)
    eventually(lambda: keys(lab) == both("203.0.113.1"), what="the new hours hold for it")


def test_hours_that_come_with_a_reload_reach_the_film_that_plays(lab: Lab, clock: Clock) -> None:
    """The user switches bedtime on, `nfa reload` says that all is well, and the film plays on."""
    daemon = lab.start(policy(TARGETS, "app == 'netflix';"), clock=clock)
    lab.feed(youtube(1))
    daemon.configure(with_hours("20:00", "06:30"))
    assert daemon.ask("reload")["warnings"] == 0
    eventually(lambda: keys(lab) == both("203.0.113.1"), what="it is bedtime")


def test_a_reload_says_whom_it_does_not_reach(lab: Lab) -> None:
    """A policy of logs had no use for records: a block that follows it would seem to work, and the film play on."""
    daemon = lab.start(policy({"log": {"target_type": "log", "path": str(lab.folder)}}))
    assert lab.feed(youtube(1))["flows"]["kept"] == 0, "memory for what nobody has asked for"
    daemon.configure(policy(TARGETS, "app == 'youtube';"))
    outcome = daemon.ask("reload")  # at once, not as a command that takes its time to start: the daemon watches the file, too
    assert (outcome["reports"][0]["code"], outcome["warnings"]) == ("flows-not-remembered", 1)
    assert "opened again" in outcome["reports"][0]["message"]
    assert daemon.status()["policy"]["warnings"] == 1
    assert daemon.said("warning", "does not reach connections yet")
    assert daemon.ask("reload")["warnings"] == 0, "they were remembered since"


def test_max_flows_bounds_what_is_remembered_and_a_reload_changes_it(lab: Lab) -> None:
    """A port scan would take the router's memory; an option that waits for a restart would seem to do nothing."""
    config = policy(TARGETS) | {"max_flows": 1024, "reprocess_flows": True}
    daemon = lab.start(config)
    some = [flow(other=f"198.18.{number >> 8}.{number & 255}") for number in range(1, 1501)]
    flows = lab.feed(*some)["flows"]
    assert flows["max"] == 1024
    assert 900 < flows["live"] <= 1024 and 900 < flows["kept"] <= 1024
    assert flows["dropped"] == 3000 - flows["live"] - flows["kept"]
    assert len(keys(lab)[0]) == len(keys(lab)[1]) == 1500, "what they hold stays for its time"
    text = lab.namespace.run(*lab.nfa("status", "--control", str(daemon.control)))
    assert "evicted: more than max_flows 1024" in text
    daemon.configure(config | {"max_flows": 2000})
    daemon.signal(signal.SIGHUP)
    daemon.loaded(2)
    after = lab.feed(*some)["flows"]
    assert (after["max"], after["live"], after["kept"], after["dropped"]) == (2000, 1500, 1500, flows["dropped"])
