"""The pages of a busy router: 200 actions, 5,000 connections held, 200 matches.

Prints how long the first view of each page takes, and a poll of it (`pytest -s`). NFA_LONG=1 holds them to 2 s and 200 ms.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from luci_lab import Person, Router
from samples import flow, hello

ACTIONS, TARGETS, ELEMENTS = 200, 20, 5_000
POLLS = 3
FIRST_VIEW, POLL = 2.0, 0.2
"""Seconds: what a person calls at once, and what does not disturb the router."""

ASKED = """() => performance.getEntriesByType('resource').filter(entry => entry.name.includes('/ubus'))
	.map(entry => [entry.startTime, entry.duration])"""
BUSY = """() => {
	window.nfa_busy = [];
	new PerformanceObserver(list => window.nfa_busy.push(...list.getEntries().map(entry => entry.duration)))
		.observe({ type: 'longtask' });
}"""


def configuration() -> str:
    """Actions of which each is about hosts of its own, and the last about all."""
    lines = ["config nfa 'main'", "\toption source '{source}'"]
    for number in range(TARGETS):
        lines += [
            f"config target 'set_{number}'", "\toption target_type 'firewall'", "\toption verdict 'reject'",
            "\toption ttl '3000'",
        ]  # fmt: skip
    for number in range(ACTIONS):
        criteria = f"detected_hostname == 'rx:^n{number}-'; app == 'youtube' && mac == 02:00:5E:10:02:{number:02X};"
        target = f"\tlist target 'set_{number % TARGETS}'"
        lines += [f"config action 'policy_{number}'", f'\tlist criteria "{criteria}"', target]
    return "\n".join([*lines, ""])


def flows() -> Iterator[dict[str, Any]]:
    for number in range(ELEMENTS):
        local, other = f"192.168.1.{number % 250 + 1}", f"198.18.{number // 250}.{number % 250 + 1}"
        yield flow("HTTP/S", "netify.youtube", local=local, other=other, host_server_name=f"n{number % ACTIONS}-.example")


@pytest.fixture
def router(start: Callable[..., Router]) -> Router:
    names = {f"192.168.1.{last}": f"device-{last}" for last in range(1, 251)}
    hosts = {f"02:00:5E:10:01:{last:02X}": {"name": name, "ipaddrs": [ip]} for last, (ip, name) in enumerate(names.items(), 1)}
    made = start(configuration(), hosts=hosts)
    made.connected()
    status = made.feed(hello(), *flows())
    assert len(status["actions"]) == ACTIONS
    assert made.ubus("nfa", "elements")["total"] == ELEMENTS
    assert len(made.ubus("nfa", "matches", limit=200)["matches"]) == 200
    return made


def test_many(router: Router, sit_down: Callable[..., Person], capsys: pytest.CaptureFixture[str]) -> None:
    """No page makes a person wait, nor keeps the browser busy while it is polled."""
    person = sit_down(router)
    slow = []
    for page in ("home", "overview", "policies", "sets", "matches"):
        first = person.open(page)
        person.page.wait_for_timeout(500)  # what belongs to the first view is done
        person.page.evaluate(BUSY)
        before = person.page.evaluate("() => performance.now()")
        person.page.wait_for_timeout(POLLS * 3000 + 500)
        polls = [time for at, time in person.page.evaluate(ASKED) if at > before]
        busy = person.page.evaluate("() => window.nfa_busy")
        typical, longest, stall = (statistics.median(polls or [0]), max(polls, default=0), max(busy, default=0))
        with capsys.disabled():
            answers = f"{len(polls)} answers in {typical:.0f} ms, at the longest {longest:.0f}"
            print(f"\n{page}: first view {first:.2f} s; {answers}; browser busy for {stall:.0f} ms", end="")
        if first > FIRST_VIEW or max(typical, stall) > POLL * 1000:
            slow.append(page)
    person.content()
    assert not slow or not os.environ.get("NFA_LONG"), slow
