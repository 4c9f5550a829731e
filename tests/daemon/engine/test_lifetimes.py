"""State that lives long, at its end: flows of the older generation at an edge of hours, at a purge, when there are too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import samples
from policies import Desk, compiled, config_of

from nfa.daemon.engine import flows as tables
from nfa.daemon.engine.engine import LIFETIME
from nfa.daemon.engine.flows import Flows
from nfa.daemon.engine.kept import Records
from nfa.daemon.stream.records import digest_key

KEY = b"\0\0\x0a\0\0\1"
NIGHT = {"day": ["mon"], "time_start": "21:00", "time_end": "23:00"}
BEFORE, WITHIN = 1700481600, 1700481600 + 10 * 3600
"""A Monday, noon and 22:00 UTC."""
FLOWS = [samples.flow("HTTP/S", "netify.youtube", local_port=port) for port in (1, 2, 3)]
KEYS = [digest_key(flow["flow"]["digest"]) for flow in FLOWS]


def stats(flow: dict[str, Any]) -> dict[str, Any]:
    return samples.stats(flow["flow"]["digest"])


def bedtime(folder: Path, clock: int) -> Desk:
    """An action with hours, each flow of which holds an element; at a moment."""
    action = {"criteria": ["app == 'youtube';"], "time_of_day": NIGHT}
    made, reports = compiled(folder, config_of({"a": action}, timezone="UTC"))
    assert not reports.errors, [report.text() for report in reports.errors]
    desk = Desk(made, {"log.x": KEY})
    edge(desk, clock)
    return desk


def edge(desk: Desk, clock: int, now: int = 1) -> None:
    """Let the clock be at a moment, and match the flows again that run."""
    assert desk.engine.policy is not None
    if desk.engine.policy.keep_hours(clock):
        for _ in desk.engine.match_again(lambda: now, set(), True):
            pass


def test_an_edge_reaches_flows_of_both_ages(tmp_path: Path) -> None:
    """A download that began long before bedtime, and is heard of seldom, would go on after it."""
    desk = bedtime(tmp_path, BEFORE)
    desk.engine.tick(1)
    desk.take(*FLOWS, now=2)
    desk.engine.tick(1 + LIFETIME)
    desk.take(stats(FLOWS[0]))
    assert list(desk.engine.kept.concerned.young) == KEYS[:1] and list(desk.engine.kept.concerned.older) == KEYS[1:]
    edge(desk, WITHIN, 700)
    assert sorted(desk.engine.flows.young) == sorted(KEYS)
    desk.engine.tick(1 + 2 * LIFETIME)
    assert list(desk.engine.kept.concerned.older) == KEYS[:1], "a match is no news of a flow: it ages all the same"
    assert len(desk.engine.flows.older) == 3
    edge(desk, BEFORE, 1300)
    assert desk.released_at == [1300]
    assert desk.released == [(KEY, True)], "of the older generation, too, what no longer matches is withdrawn"
    desk.engine.tick(1 + 3 * LIFETIME)
    desk.engine.flows.go_on(2000, lambda: False)
    assert desk.released == [(KEY, True), (KEY, False), (KEY, False)] and desk.engine.flows.live() == 0


def test_an_edge_passes_over_flows_that_end_while_others_are_matched(tmp_path: Path) -> None:
    """A flow that netifyd purges in the middle of the work would come back to life, and hold its element for ever."""
    desk = bedtime(tmp_path, BEFORE)
    desk.take(*FLOWS)
    assert desk.engine.policy is not None and desk.engine.policy.keep_hours(WITHIN)
    going = desk.engine.match_again(lambda: 1, set(), True)
    next(going)
    desk.take(samples.purge(FLOWS[1]["flow"]["digest"]))
    assert len(list(going)) == 1
    assert list(desk.engine.flows.young) == [KEYS[0], KEYS[2]]


@pytest.mark.parametrize("ages", [0, 1, 2])
def test_a_purge_ends_a_flow_of_any_age_and_withdraws_nothing(tmp_path: Path, ages: int) -> None:
    """The element would go at once though its time is not over, or a flow that ended would hold it until it is forgotten."""
    desk = bedtime(tmp_path, WITHIN)
    desk.engine.tick(1)
    desk.take(FLOWS[0])
    for age in range(1, ages + 1):
        desk.engine.tick(1 + age * LIFETIME)
    assert desk.engine.flows.busy is (ages == 2)
    desk.take(samples.purge(FLOWS[0]["flow"]["digest"]))
    assert desk.released == [(KEY, False)]
    assert desk.engine.flows.live() == len(desk.engine.kept) == desk.engine.kept.concerned.size == 0
    desk.take(samples.purge(FLOWS[0]["flow"]["digest"]), stats(FLOWS[0]))
    assert desk.released == [(KEY, False)] and not desk.refreshed


@pytest.mark.parametrize("ages", [0, 1, 2])
def test_a_record_of_a_flow_of_any_age_makes_it_young_and_keeps_what_it_holds(tmp_path: Path, ages: int) -> None:
    """A flow that is heard of again after ten minutes would hold its element twice, or lose it."""
    desk = bedtime(tmp_path, WITHIN)
    desk.engine.tick(1)
    desk.take(FLOWS[0])
    for age in range(1, ages + 1):
        desk.engine.tick(1 + age * LIFETIME)
    desk.take(FLOWS[0])
    assert list(desk.engine.flows.young) == KEYS[:1] and desk.engine.flows.live() == 1
    assert list(desk.engine.kept.concerned.young) == KEYS[:1] and len(desk.engine.kept) == 1
    desk.engine.flows.go_on(1, lambda: False)
    assert not desk.released


def test_flows_age_one_table_at_a_time() -> None:
    """Flows would be forgotten too early, or never; or those not heard of for longest would not be the first to go."""
    table = Flows()
    for digest in range(4):
        table.put(digest, str(digest))
    assert table.age() == {} and len(table) == 4 and not table.young
    assert table.renew(1) == "1" and table.get(2) == "2" and table.get(1) == "1"
    assert table.renew(9) is None and table.get(9) is None and table.pop(9) is None
    table.put(2, "two")
    assert (list(table.young), list(table.older)) == ([1, 2], [0, 3])
    table.put(1, "one")
    assert table.evict(16) == ["0"] and table.evict(15) == ["3"] and table.dropped == 2
    assert table.evict(32) == ["two", "one"] and table.dropped == 4, "then the young, oldest first"
    assert table.evict(32) == []
    table.put(5, "5")
    assert table.age() == {} and table.age() == {5: "5"} and not table
    table.put(6, "6")
    table.clear()
    assert not table


def test_few_flows_are_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn of the loop would last for as long as it takes to forget thousands."""
    monkeypatch.setattr(tables, "MAX_EVICTED", 5)
    table = Flows()
    for digest in range(100):
        table.put(digest, digest)
    assert table.evict(1 << 16) == [0, 1, 2, 3, 4]


def test_the_bytes_of_kept_records_are_counted_through_all_ages() -> None:
    """The bound in bytes would be passed unseen, or be reached by nothing and forget every record."""
    table = Records()
    for digest in range(4):
        table.put(digest, b"x" * 10)
    table.put(0, b"x" * 5)
    assert table.size == 35
    table.age()
    table.renew(1)
    assert table.pop(2) == b"x" * 10 and table.pop(2) is None and table.size == 25
    assert sum(map(len, table.age().values())) == 15 and table.size == 10
    table.put(7, b"y")
    assert table.evict(1) == [b"x" * 10] and table.size == 1
    table.clear()
    assert table.size == 0 and not table
