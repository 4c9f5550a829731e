"""What the engine tells those who count what flows have, and who they say has spent a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import samples
from policies import Desk, compiled, config_of

from nfa.daemon.engine.networks import TWICE
from nfa.daemon.engine.plans import Plan
from nfa.daemon.stream.records import FIELDS, digest_key

KEY = b"\0\0\x0a\0\0\1"
WEB = samples.flow("HTTP/S", "netify.youtube")
DIGEST = WEB["flow"]["digest"]
FLOW = digest_key(DIGEST)
STATS, PURGE = [samples.payload(make(DIGEST, local=(10, 1), other=(90, 2))).strip() for make in (samples.stats, samples.purge)]
FIRST, SECOND, THIRD = [digest_key(name * 40) for name in "abc"]


class Counts:
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def announce(self, digest: int, flow: dict[str, Any], how: int, plan: Plan | None) -> None:
        self.told.append(("announce", digest, flow["digest"], how, names(plan)))

    def count(self, digest: int, payload: bytes, fields: list[bytes], ended: bool) -> None:
        self.told.append(("count", digest, payload, len(fields), ended))

    def twice(self, digests: list[int]) -> None:
        self.told.append(("twice", digests))

    def renamed(self, before: int, present: int) -> None:
        self.told.append(("renamed", before, present))

    def again(self, digest: int, flow: dict[str, Any], how: int, plan: Plan | None) -> None:
        self.told.append(("again", digest, flow["digest"], how, names(plan)))


def names(plan: Plan | None) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The actions that a flow counts for, and its budgets."""
    return None if plan is None else (plan.names, plan.budgets)


def desk(folder: Path, actions: dict[str, Any], **more: Any) -> tuple[Desk, Counts]:
    made, reports = compiled(folder, config_of(actions, reprocess_flows=True, **more))
    assert not reports.errors, [report.text() for report in reports.errors]
    found, counts = Desk(made, {"log.x": KEY}), Counts()
    found.engine.counting = counts
    return found, counts


def budgeted(folder: Path) -> tuple[Desk, Counts]:
    """YouTube has ten minutes a day, then its flows hold an element; HTTP/S of all kinds, which is second, has an hour."""
    actions = {
        "video": {"criteria": ["app == 'youtube';"], "budget": "short"},
        "web": {"criteria": ["proto == 'http/s';"], "targets": ["log.y"], "budget": "long"},
    }
    return desk(folder, actions, budgets={"short": {"time": "10m"}, "long": {"time": "1h"}})


def renamed(record: dict[str, Any], digest: str, *before: str) -> dict[str, Any]:
    return record | {"flow": record["flow"] | {"digest": digest, "digest_prev": list(before)}}


def test_a_flow_is_announced_and_its_statistics_and_end_are_counted(tmp_path: Path) -> None:
    """Usage would lack what a flow has had: the last part of it comes with its purge."""
    made, counts = desk(tmp_path, {"a": ["app == 'youtube';"]})
    other = samples.flow("DNS", local_port=9)
    made.take(WEB, STATS, PURGE, other)
    assert counts.told == [
        ("announce", FLOW, DIGEST, 0, (("a",), ())),
        ("count", FLOW, STATS, FIELDS + 1, False),
        ("count", FLOW, PURGE, FIELDS + 1, True),
        ("announce", digest_key(other["flow"]["digest"]), other["flow"]["digest"], 0, None),
    ]


def test_flows_of_before_are_told_again_when_what_is_decided_about_them_changes(tmp_path: Path) -> None:
    """A flow of hours would count for the action of before for as long as it lives."""
    made, counts = desk(tmp_path, {"a": ["app == 'youtube';"]})
    other = samples.flow("DNS", local_port=9)
    made.take(WEB, other)
    counts.told.clear()
    assert list(made.engine.match_again(lambda: 2, set(), True)) == [None, None]
    assert counts.told == [
        ("again", FLOW, DIGEST, 0, (("a",), ())),
        ("again", digest_key(other["flow"]["digest"]), other["flow"]["digest"], 0, None),
    ]


def test_a_duplicate_is_told_at_once_or_when_it_shows(tmp_path: Path) -> None:
    """What goes through the router would count twice, for the router too."""
    inner = samples.flow(local_port=7)
    outer = samples.flow(local="81.2.3.1", interface="eth1", internal=False, local_port=7, ip_nat=True)
    key = digest_key(outer["flow"]["digest"])
    made, counts = desk(tmp_path, {"a": ["*"]})
    made.take(outer)
    counts.told.clear()
    made.take(inner, now=3)
    assert ("twice", [key]) in counts.told
    counts.told.clear()
    made.take(outer, now=4)
    assert [(what, digest, how & TWICE, plan) for what, digest, _, how, plan in counts.told] == [("announce", key, TWICE, None)]
    counts.told.clear()
    list(made.engine.match_again(lambda: 5, set(), True))
    assert {(what, digest): (how, plan) for what, digest, _, how, plan in counts.told} == {
        ("again", digest_key(inner["flow"]["digest"])): (0, (("a",), ())),
        ("again", key): (TWICE, None),
    }


def test_a_flow_of_netifyd_5_is_counted_on_under_its_new_digest(tmp_path: Path) -> None:
    """Statistics or a purge that name the flow's earlier digests: what it had would count for two flows, or for none."""
    made, counts = desk(tmp_path, {"a": ["*"]})
    made.take(renamed(WEB, "a" * 40))
    counts.told.clear()
    lives = samples.payload(renamed(samples.stats("b" * 40), "b" * 40, "a" * 40, "b" * 40)).strip()
    ends = samples.payload(renamed(samples.purge("c" * 40), "c" * 40, "a" * 40, "b" * 40)).strip()
    made.take(lives, ends)
    assert [told[:2] if told[0] == "count" else told for told in counts.told] == [
        ("renamed", FIRST, SECOND),
        ("count", SECOND),
        ("renamed", FIRST, THIRD),
        ("renamed", SECOND, THIRD),
        ("count", THIRD),
    ]


def test_without_usage_all_else_is_as_always(tmp_path: Path) -> None:
    """A policy that counts nothing would count each record as broken."""
    made, _ = desk(tmp_path, {"a": ["*"]})
    made.engine.counting = None
    made.take(WEB, STATS, renamed(WEB, "a" * 40), samples.payload(renamed(samples.stats("b" * 40), "b" * 40, "a" * 40)))
    inner = samples.flow(local_port=7)
    made.take(samples.flow(local="81.2.3.1", interface="eth1", internal=False, local_port=7, ip_nat=True), inner)
    list(made.engine.match_again(lambda: 2, set(), True))
    made.take(samples.payload(renamed(samples.purge("b" * 40), "b" * 40, "a" * 40)), PURGE)
    assert not any(made.engine.bad.values()) and made.engine.kinds["purge"] == 2
    assert list(made.engine.flows.young) == [digest_key(inner["flow"]["digest"])]


def test_a_flow_counts_for_its_budgets_before_and_after_they_are_spent(tmp_path: Path) -> None:
    """A device would be blocked while it has time left, or not be when it has none; or a blocked one would be free again since
    what it tries is no longer counted."""
    made, counts = budgeted(tmp_path)
    spent: set[int] = set()
    asked: list[tuple[int, str]] = []

    def is_spent(number: int, flow: dict[str, Any]) -> bool:
        asked.append((number, flow["digest"]))
        return number in spent

    assert made.engine.policy is not None
    short, long = [[budget["name"] for budget in made.engine.policy.budgets].index(name) for name in ("short", "long")]
    made.take(WEB)
    assert made.engine.matched == 0, "nobody says yet what is spent"
    made.engine.spent = is_spent
    made.take(WEB)
    assert asked == [(short, DIGEST), (long, DIGEST)] and made.engine.matched == 0 and not made.engine.flows.live()
    for number, target in ((short, "log.x"), (long, "log.y")):
        spent.clear()
        spent.add(number)
        for noted in made.targets.values():
            noted.digests.clear()
        made.take(WEB)
        assert [name for name, noted in made.targets.items() if noted.digests] == [target]
    spent.update((short, long))
    made.take(WEB)
    assert [told[4] for told in counts.told] == [
        ((), ("short", "long")),
        ((), ("short", "long")),
        (("video",), ("short", "long")),
        (("web",), ("short", "long")),
        (("video", "web"), ("short", "long")),
    ]


@pytest.mark.parametrize("begins", [True, False])
def test_a_budget_that_is_spent_reaches_flows_that_live(tmp_path: Path, begins: bool) -> None:
    """A film would go on to its end when the time is up, or stay blocked after more was granted."""
    made, counts = budgeted(tmp_path)
    spent: set[int] = set()
    made.engine.spent = lambda number, flow: number in spent and flow["digest"] == DIGEST
    assert made.engine.policy is not None
    short = [budget["name"] for budget in made.engine.policy.budgets].index("short")
    made.take(WEB)
    counts.told.clear()
    spent.add(short)
    list(made.engine.match_again(lambda: 2, set(), begins))
    assert counts.told == [("again", FLOW, DIGEST, 0, (("video",), ("short", "long")))]
    assert (made.engine.matched, made.engine.flows.live()) == ((1, 1) if begins else (0, 0))
    spent.clear()
    list(made.engine.match_again(lambda: 3, set(), begins))
    assert made.released == ([(KEY, True)] if begins else []) and not made.engine.flows.live()
