"""Budgets, judged by packets: what a device can do while it has budget, when it is spent, and after that; with `nfa budget`.

netifyd's statistics are what counts, so the test tells them; the packets are real.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_lab import Client, client_of
from kernel_lab import Lab, Namespace
from lab_clock import Clock
from network_lab import HOME
from samples import stats
from waiting import eventually

pytestmark = pytest.mark.kernel

MB = 10**6
TABLET, LAPTOP = ("tcp", 4, "film"), ("tcp", 6, "film")
MAIL = ("tcp", 4, "mail")
HASTE = {"usage.budgets.SETTLED": 0.5, "usage.usage.SETTLE_EVERY": 1.0}


def config(**budget: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "timezone": "UTC0",
        "targets": {"stop": {"target_type": "firewall", "verdict": "reject"}},
        "actions": {"films": {"criteria": "app == 'youtube';", "targets": ["stop"], "budget": "films"}},
        "budgets": {"films": {"bytes": "10MB", "start": "13:10"} | budget},
        "devices": {"tablet": {"ip": HOME[4]}, "laptop": {"ip": HOME[6]}},
    }


@pytest.fixture
def client(lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Client]:
    with client_of(lab, namespace, tmp_path) as made:
        yield made


def use(lab: Lab, client: Client, one: tuple[str, int, str], size: int) -> None:
    """netifyd tells that a connection had bytes."""
    lab.feed(stats(client.record(*one)["flow"]["digest"], local=(size // 10, 10), other=(size - size // 10, 900)))


def nfa(lab: Lab, *words: str, code: int = 0) -> str:
    done = lab.namespace.attempt(*lab.nfa("budget", "--control", str(lab.daemon.control), *words))
    assert done.returncode == code, done.stderr
    return str(done.stderr if code else done.stdout)


def left(lab: Lab) -> dict[str, dict[str, Any]]:
    return {row["device"]: row for row in json.loads(nfa(lab, "--json"))["budgets"]}


def tell(lab: Lab, client: Client) -> None:
    lab.feed(client.record(*TABLET), client.record(*LAPTOP), client.record(*MAIL, application="netify.netflix"))


def test_a_stream_goes_on_until_the_budget_is_spent_and_again_in_the_next_period(
    lab: Lab, client: Client, tmp_path: Path
) -> None:
    """The film would be stopped at once or never; the other child's, or the mail, with it; and for ever, or until a restart."""
    clock = Clock(tmp_path, "13:08:30")
    lab.start(config(), clock=clock, constants=HASTE)
    for one in (TABLET, LAPTOP, MAIL):
        client.connect(*one)
    tell(lab, client)
    use(lab, client, TABLET, 9 * MB)
    use(lab, client, LAPTOP, 9 * MB)
    use(lab, client, MAIL, 50 * MB)
    eventually(lambda: left(lab)["tablet"]["used_bytes"] == 9 * MB, what="the count")
    client.passes(True, TABLET, LAPTOP, MAIL)

    use(lab, client, TABLET, 2 * MB)
    client.passes(False, TABLET)
    client.passes(True, LAPTOP, MAIL)
    row = lab.daemon.status()["actions"]["films"]
    assert (row["budget"], row["budget_spent"]) == ("films", 1)
    assert "spent" in nfa(lab)

    # kill -9, once a minute is over in which that was written.
    clock.set("13:09:10")
    eventually(lambda: (tmp_path / "budgets").exists(), what="the file")
    lab.daemon.kill()
    lab.start(config(), clock=clock, constants=HASTE)
    assert left(lab)["tablet"]["used_bytes"] == 11 * MB
    client.connect(*TABLET)
    tell(lab, client)
    client.passes(False, TABLET)
    client.passes(True, LAPTOP, MAIL)

    # A bonus lets it go on, and it is over as well.
    told = nfa(lab, "films", "--device", "tablet", "--add", "20MB")
    assert "tablet" in told and "with 20.0 MB more" in told
    client.connect(*TABLET)
    tell(lab, client)
    client.passes(True, TABLET)
    use(lab, client, TABLET, 25 * MB)
    client.passes(False, TABLET)

    # The next period.
    eventually(lambda: lab.daemon.status()["budgets"]["trusted"], what="a clock that is steady")
    clock.set("13:10:00")
    eventually(lambda: not left(lab)["tablet"]["spent"], what="ten past one")
    client.connect(*TABLET)
    tell(lab, client)
    client.passes(True, TABLET)
    use(lab, client, TABLET, 25 * MB)
    client.passes(False, TABLET)


def test_the_command_says_what_is_wrong(lab: Lab) -> None:
    """A typing mistake would be taken for a device that has used nothing."""
    lab.start(config())
    assert "tablet" in nfa(lab) and "10.0 MB" in nfa(lab)
    assert "did you mean 'films'?" in nfa(lab, "flims", code=1)
    assert "did you mean 'tablet'?" in nfa(lab, "films", "--device", "tablte", code=1)
    assert "expected whole minutes" in nfa(lab, "films", "--device", "tablet", "--add", "half", code=2)
