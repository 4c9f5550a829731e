"""From payloads to effects: which actions a flow reaches, what it holds, and that nothing in a record ends the engine."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import samples
from policies import Desk, Noted, compiled, config_of

from nfa.daemon.base import packing
from nfa.daemon.engine import index
from nfa.daemon.engine.brief import BRIEF, MAX_BRIEF_TEXT, brief
from nfa.daemon.engine.engine import (
    BATCH,
    LIFETIME,
    MAX_KEPT_RECORD,
    PART,
    RECENT,
    Engine,
)
from nfa.daemon.engine.holding import RELEASED
from nfa.daemon.engine.kept import KEPT_BYTES
from nfa.daemon.engine.view import View
from nfa.daemon.stream.records import MAX_RENAMED, digest_key

KEY = b"\0\0\x0a\0\0\1"
WEB = samples.flow("HTTP/S", "netify.youtube")


def desk(
    folder: Path, actions: dict[str, Any], keys: dict[str, bytes] | None = None, max_flows: int = 100, **more: Any
) -> Desk:
    made, reports = compiled(folder, config_of(actions, **more))
    assert not reports.errors, [report.text() for report in reports.errors]
    return Desk(made, keys, max_flows)


def test_actions_are_tried_by_priority_then_in_the_order_of_the_file(tmp_path: Path) -> None:
    """halt_on_match would stop the wrong actions."""
    made = desk(
        tmp_path,
        {
            "late": {"criteria": ["*"], "priority": 200},
            "second": {"criteria": ["*"]},
            "third": {"criteria": ["*"]},
            "first": {"criteria": ["*"], "priority": 1},
        },
    )
    assert made.actions(WEB) == ["first", "second", "third", "late"]


def test_halt_on_match_ends_the_search_only_when_it_matches(tmp_path: Path) -> None:
    """A later action would still act, or never."""
    made = desk(
        tmp_path,
        {
            "a": {"criteria": ["port == 443;"]},
            "b": {"criteria": ["app == 'youtube';"], "halt_on_match": True},
            "c": {"criteria": ["*"]},
        },
    )
    assert made.actions(WEB) == ["a", "b"]
    assert made.actions(samples.flow()) == ["a", "c"]


def test_exemptions_hold_for_their_action_or_for_all(tmp_path: Path) -> None:
    """A router's own traffic would be blocked, or one exemption would lift every rule."""
    made = desk(
        tmp_path,
        {"a": {"criteria": ["*"], "exemptions": ["192.168.1.20"]}, "b": {"criteria": ["*"]}},
        exemptions=["203.0.113.0/24", "proto == 'dns';"],
    )
    assert made.actions(samples.flow(other="198.51.100.1")) == ["b"]
    assert made.actions(samples.flow(local="192.168.1.21", other="198.51.100.1")) == ["a", "b"]
    assert made.actions(samples.flow()) is None
    assert made.actions(samples.flow("DNS", other="198.51.100.1")) is None
    made.take(samples.flow(), samples.flow(other="198.51.100.1"))
    engine = made.engine
    assert (engine.evaluated, engine.exempt, engine.matched) == (2, 1, 1)
    made.take(samples.flow(), samples.flow("DNS"))
    assert (engine.evaluated, engine.exempt, engine.matched) == (4, 3, 1)


@pytest.mark.parametrize(
    ("interface", "expected"), [("*", [True, True]), ("lan", [True, False]), ("wan", [False, True]), ("br-lan", [True, False])]
)
def test_an_action_is_for_its_interface(tmp_path: Path, interface: str, expected: list[bool]) -> None:
    """A rule for the WAN side would act on the LAN."""
    made = desk(tmp_path, {"a": {"criteria": ["*"], "interface": interface}})
    outside = samples.flow(interface="eth1", internal=False)
    assert [made.actions(samples.flow()) == ["a"], made.actions(outside) == ["a"]] == expected


def test_a_disabled_action_does_nothing(tmp_path: Path) -> None:
    """Switching an action off would not."""
    made = desk(tmp_path, {"a": {"criteria": ["*"], "enabled": False}, "b": ["*"]})
    assert made.actions(WEB) == ["b"]


def test_a_target_of_several_matching_actions_acts_once(tmp_path: Path) -> None:
    """A log would list a flow once for each action."""
    made = desk(
        tmp_path,
        {"a": {"criteria": ["*"], "targets": ["log.x", "log.y"]}, "b": {"criteria": ["*"], "targets": ["log.y"]}},
    )
    made.take(WEB, now=9)
    assert len(made.targets["log.x"].digests) == len(made.targets["log.y"].digests) == 1
    assert made.engine.policy is not None
    assert made.engine.policy.action_counts() == [(1, 9), (1, 9)]


def test_counts_are_those_of_each_action(tmp_path: Path) -> None:
    """`nfa status` would show matches of another action."""
    made = desk(tmp_path, {"web": ["port == 443;"], "dns": ["port == 53;"], "all": ["*"]})
    made.take(WEB, samples.flow("DNS", other_port=53), WEB, now=5)
    assert made.engine.policy is not None
    assert made.engine.policy.action_counts() == [(2, 5), (1, 5), (3, 5)]


# -- live flows --------------------------------------------------------------------------------------------------------


def test_statistics_of_a_flow_refresh_what_it_holds(tmp_path: Path) -> None:
    """A long download would lose its element after the ttl."""
    made = desk(tmp_path, {"a": ["app == 'youtube';"]}, {"log.x": KEY})
    digest = WEB["flow"]["digest"]
    made.take(WEB, samples.stats(digest), samples.stats("ab" * 20), now=7)
    assert made.refreshed == [(KEY, 7)]
    made.take(samples.purge(digest), samples.stats(digest), now=8)
    assert made.refreshed == [(KEY, 7)]
    assert made.engine.flows.live() == 0
    assert made.engine.kinds == {"flow": 1, "stats": 3, "purge": 1, "agent": 0, "names": 0, "other": 0}


def test_a_flow_may_hold_several_elements(tmp_path: Path) -> None:
    """Only the first target's element would be kept alive."""
    other = b"\0\1\x0a\0\0\1"
    made = desk(tmp_path, {"a": {"criteria": ["*"], "targets": ["log.x", "log.y"]}}, {"log.x": KEY, "log.y": other})
    made.take(WEB, samples.stats(WEB["flow"]["digest"]))
    assert made.refreshed == [((KEY, other), 1)]


def test_a_flow_that_holds_nothing_is_not_remembered(tmp_path: Path) -> None:
    """Logged flows would take memory until they end."""
    made = desk(tmp_path, {"a": ["*"]})
    made.take(WEB)
    assert made.engine.flows.live() == 0


def test_a_refined_record_is_decided_anew(tmp_path: Path) -> None:
    """A flow that turns out to be YouTube after its first record would never match."""
    made = desk(tmp_path, {"a": ["app == 'youtube';"]}, {"log.x": KEY})
    made.take(samples.flow())
    assert made.engine.flows.live() == 0
    made.take(samples.flow("HTTP/S", "netify.youtube", detection_updated=True))
    assert list(made.engine.flows.young) == [digest_key(WEB["flow"]["digest"])]
    assert made.targets["log.x"].digests == [WEB["flow"]["digest"]]


def test_flows_that_fall_silent_are_forgotten_after_one_to_two_lifetimes(tmp_path: Path) -> None:
    """netifyd does not purge every flow: the table would grow for ever."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY})
    flows = [samples.flow(local_port=port) for port in (1, 2)]
    made.engine.tick(1)
    made.take(*flows, now=2)
    made.engine.tick(LIFETIME)
    assert made.engine.flows.live() == 2
    made.engine.tick(1 + LIFETIME)
    assert made.engine.flows.live() == 2
    made.take(samples.stats(flows[0]["flow"]["digest"]), now=2 + LIFETIME)
    assert len(made.refreshed) == 1
    made.engine.tick(1 + 2 * LIFETIME)
    made.engine.flows.go_on(1 + 2 * LIFETIME, lambda: False)
    assert made.engine.flows.live() == 1
    made.take(samples.stats(flows[1]["flow"]["digest"]), samples.stats(flows[0]["flow"]["digest"]), now=2 + 2 * LIFETIME)
    assert len(made.refreshed) == 2
    made.take(samples.purge(flows[0]["flow"]["digest"]))
    assert made.engine.flows.live() == 0


def test_a_refined_record_that_no_longer_matches_lets_go(tmp_path: Path) -> None:
    """A flow that was guessed wrong at first would be kept in the set for as long as it lives."""
    made = desk(tmp_path, {"a": ["!app;"]}, {"log.x": KEY}, exemptions=["port == 80;"])
    made.take(samples.flow())
    assert made.engine.flows.live() == 1
    made.take(WEB, samples.stats(WEB["flow"]["digest"]), now=3)
    assert made.engine.flows.live() == 0 and (made.released, made.released_at) == ([(KEY, True)], [3])
    made.take(samples.flow())
    made.engine.tick(LIFETIME * 9)
    made.take(samples.flow(other_port=80, digest=WEB["flow"]["digest"]))
    assert made.engine.flows.live() == 0
    assert not made.refreshed


def test_combinations_of_actions_are_bounded_and_their_counts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers choose host names, and so combinations of matching actions: each would take memory for ever."""
    monkeypatch.setattr("nfa.daemon.engine.policy.MAX_PLANS", 4)
    made = desk(tmp_path, {f"a{bit}": [f"detected_hostname == 'rx:{bit}';"] for bit in range(4)})
    for number in range(1, 16):
        name = "".join(str(bit) for bit in range(4) if number >> bit & 1)
        made.take(samples.flow(host_server_name=name), now=number)
        assert made.engine.policy is not None
        assert len(made.engine.policy.plans) <= 4
    policy = made.engine.policy
    made.use(compiled(tmp_path, config_of({"a3": ["*"], "new": ["*"]}))[0])
    assert policy is not None
    assert made.engine.policy is not None
    made.engine.policy.succeed(policy)
    assert made.engine.policy.kept_counts == {"a3": (8, 15)}


def test_the_table_of_flows_is_bounded(tmp_path: Path) -> None:
    """A port scan would take the router's memory."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, max_flows=16)
    for number in range(200):
        made.take(samples.flow(local_port=1 + number))
        assert made.engine.flows.live() <= 16
        if number == 100:
            made.engine.tick(LIFETIME * 9)
    assert made.engine.flows.dropped > 0
    assert digest_key(samples.flow(local_port=200)["flow"]["digest"]) in made.engine.flows.young


def test_a_flood_does_not_displace_a_flow_that_is_heard_of(tmp_path: Path) -> None:
    """A child who opens thousands of connections would set the tunnel free that is blocked at bedtime."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, max_flows=64, reprocess_flows=True)
    tunnel = samples.flow("QUIC", local_port=1)
    digest = tunnel["flow"]["digest"]
    made.take(tunnel)
    for port in range(1000):
        made.take(samples.flow(local_port=2 + port))
        if port % 20 == 0:
            made.take(samples.stats(digest))
    assert digest_key(digest) in made.engine.flows.young
    assert made.engine.kept.get(digest_key(digest))


def test_records_that_are_kept_are_bounded_in_bytes(tmp_path: Path) -> None:
    """Strangers and children choose how long a URL is: 65,536 long ones would take half a gigabyte."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, max_flows=100, reprocess_flows=True)
    for port in range(200):
        made.take(samples.flow(local_port=1 + port, http={"url": f"{port:04}" * 1000}))
        assert made.engine.kept.concerned.size <= 100 * KEPT_BYTES
    kept = made.engine.kept.concerned
    assert kept.size == sum(map(len, [*kept.young.values(), *kept.older.values()])) > 0
    assert kept.dropped == 200 - len(kept)
    made.engine.tick(LIFETIME)
    made.engine.tick(LIFETIME * 2)
    assert (len(kept), kept.size) == (0, 0)


def test_a_flow_that_was_called_so_before_keeps_what_it_holds(tmp_path: Path) -> None:
    """netifyd 5 changes its mind twice, and comes back to the first digest: the flow would be unblocked while it matches."""
    made = desk(tmp_path, {"a": ["app == 'youtube';"]}, {"log.x": KEY})
    digest = WEB["flow"]["digest"]
    made.take(samples.flow("HTTP/S", "netify.youtube", digest_prev=[digest, "f" * 40]))
    assert made.engine.flows.live() == 1 and not made.released


def test_many_flows_that_end_at_once_let_go_over_many_turns(tmp_path: Path) -> None:
    """The loop would be held up by thousands of elements that lose their holders, and events of sinks would be too many."""
    made = desk(tmp_path, {"a": ["app == 'youtube';"]}, {"log.x": KEY}, max_flows=5000)
    flows = [samples.flow("HTTP/S", "netify.youtube", local_port=1 + port) for port in range(1000)]
    made.take(*flows)
    made.engine.tick(LIFETIME)
    made.engine.tick(LIFETIME * 2)
    assert made.engine.flows.busy and not made.released
    turns = iter([False, True])
    made.engine.flows.go_on(LIFETIME * 2, lambda: next(turns))
    assert 0 < len(made.released) < 500 and made.engine.flows.live() == 1000 - len(made.released)
    made.take(flows[0], samples.flow("DNS", digest=flows[1]["flow"]["digest"]), now=LIFETIME * 2)
    assert made.released[-1] == (KEY, True), "it goes on, and is something else"
    made.engine.flows.go_on(LIFETIME * 2, lambda: False)
    assert not made.engine.flows.busy
    assert made.engine.flows.live() == 1 and made.released.count((KEY, False)) == 998


def test_the_oldest_flows_are_forgotten_first_and_few_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One flow too many would have let go of half of them, the youngest among them, in one long turn."""
    monkeypatch.setattr("nfa.daemon.engine.kept.KEPT_BYTES", 4000)  # nothing packs them here
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, max_flows=3200, reprocess_flows=True)
    flows = [samples.flow(local_port=port) for port in range(1, 3402)]
    digests = [digest_key(one["flow"]["digest"]) for one in flows]
    made.take(*flows[:1600])
    made.engine.tick(LIFETIME * 9)
    made.take(*flows[1600:3200])
    assert (made.engine.flows.live(), len(made.engine.kept), made.engine.flows.dropped) == (3200, 3200, 0)
    made.take(flows[3200])
    assert made.engine.flows.live() == 3001
    assert (made.engine.flows.dropped, made.engine.kept.dropped) == (200, 200), "what they hold, and their records"
    assert made.released_at == [1] * 200
    assert made.released == [(KEY, False)] * 200, "their elements stay for their time"
    made.take(*flows[3201:3401])
    left = {*made.engine.flows.young, *made.engine.flows.older}
    assert left == set(digests[400:]), "of the older table first"
    kept = {*made.engine.kept.concerned.young, *made.engine.kept.concerned.older}
    assert kept == left


# -- flows under another digest, and parts of what is held ---------------------------------------------------------------

OTHER = b"\0\1\x0a\0\0\1"
THIRD = b"\0\2\x0a\0\0\1"


def renamed(record: dict[str, Any], digest: str, *before: str) -> dict[str, Any]:
    """The flow goes on under a digest, and was called otherwise before."""
    return record | {"flow": record["flow"] | {"digest": digest, "digest_prev": list(before)}}


def test_a_flow_that_goes_on_under_another_digest_lets_go_of_what_it_held_under_the_old_one(tmp_path: Path) -> None:
    """netifyd 5 reclassifies a flow: what it was taken for at first would stay blocked, and be matched at each edge."""
    made = desk(tmp_path, {"a": ["app == 'youtube';"]}, {"log.x": KEY}, reprocess_flows=True)
    first, second = digest_key("a" * 40), digest_key("b" * 40)
    made.take(renamed(WEB, "a" * 40))
    assert list(made.engine.flows.young) == list(made.engine.kept.concerned.young) == [first]
    made.take(renamed(WEB, "b" * 40, "a" * 40), now=3)
    assert made.released == [], "it goes on holding what its targets still say"
    assert list(made.engine.flows.young) == list(made.engine.kept.concerned.young) == [second]
    made.take(renamed(samples.flow("DNS"), "c" * 40, "f" * 40, "c" * 40, "b" * 40), now=4)
    assert made.released_at == [4]
    assert made.released == [(KEY, True)] and made.engine.flows.live() == 0, "whatever it is now, and whichever it was called"


def test_only_some_earlier_digests_are_looked_at(tmp_path: Path) -> None:
    """A record with a million of them would hold up the loop."""
    made = desk(tmp_path, {"a": ["app == 'youtube';"]}, {"log.x": KEY})
    names = [f"{number:040x}" for number in range(1, MAX_RENAMED + 2)]
    made.take(*[renamed(WEB, name) for name in names])
    made.take(renamed(samples.flow("DNS"), "f" * 40, *names))
    assert list(made.engine.flows.young) == [digest_key(names[-1])]


def test_what_a_flow_holds_follows_its_last_record(tmp_path: Path) -> None:
    """An element would stay in a set that the flow has nothing to do with any longer, or one that it still has would go."""
    both = {"criteria": "app == 'youtube';", "targets": ["log.x", "log.y"]}
    made = desk(tmp_path, {"a": both, "b": ["port == 443;"]}, {"log.x": KEY, "log.y": OTHER})
    digest = WEB["flow"]["digest"]
    made.take(WEB, samples.stats(digest), now=2)
    made.take(samples.flow(), samples.stats(digest), now=3)
    assert made.released == [(OTHER, True)] and made.refreshed == [((KEY, OTHER), 2), (KEY, 3)]
    made.take(WEB, samples.stats(digest), now=4)
    assert made.released == [(OTHER, True)] and made.refreshed[2:] == [((KEY, OTHER), 4)]
    made.targets["log.x"].key, made.targets["log.y"].key = THIRD, None
    made.take(WEB, samples.stats(digest), now=5)
    assert made.released[1:] == [(KEY, True), (OTHER, True)] and made.refreshed[3:] == [(THIRD, 5)]
    made.targets["log.x"].key = None
    made.take(WEB, now=6)
    assert made.released_at == [3, 5, 5, 6]
    assert made.released[3:] == [(THIRD, True)] and made.engine.flows.live() == 0


def test_a_target_is_told_what_the_flow_held_before(tmp_path: Path) -> None:
    """A sink would tell of each record of a flow, though only the first one is news."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY})
    told: list[Any] = []
    noted = made.targets["log.x"]
    given: Any = noted

    def apply(record: Any, flow: Any, now: int, held: object) -> bytes:
        told.append((record["interface"], flow["digest"], now, held))
        return KEY

    given.apply = apply
    digest = WEB["flow"]["digest"]
    made.take(WEB, now=1)
    made.take(WEB, now=2)
    made.engine.tick(LIFETIME)
    made.take(WEB, now=3)
    made.engine.tick(LIFETIME * 2)
    made.engine.tick(LIFETIME * 3)
    made.take(WEB, now=4)
    assert told == [("br-lan", digest, now, None if now == 1 else KEY) for now in range(1, 5)]


def test_a_young_flow_is_found_beside_older_ones(tmp_path: Path) -> None:
    """As soon as one flow of the house falls silent, all others would hold their elements twice, or for ever."""
    made = desk(tmp_path, {"a": ["app == 'youtube';"]}, {"log.x": KEY})
    first, second = [samples.flow("HTTP/S", "netify.youtube", local_port=port) for port in (1, 2)]
    made.take(first)
    made.engine.tick(LIFETIME)
    made.take(second)
    made.targets["log.x"].key = OTHER
    made.take(second, now=2)
    assert (made.released, made.released_at, made.engine.flows.live()) == ([(KEY, True)], [2], 2)
    made.take(samples.purge(second["flow"]["digest"]), now=3)
    assert (made.released[1:], made.released_at[1:], made.engine.flows.live()) == ([(OTHER, False)], [3], 1)
    made.targets["log.x"].key = None
    made.take(first, now=4)
    assert (made.released[2:], made.engine.flows.live(), made.engine.bad["types"]) == ([(KEY, True)], 0, 0)


def test_a_flow_that_is_heard_of_is_not_the_first_to_be_forgotten(tmp_path: Path) -> None:
    """The flow that is busiest would be the first to go where there are too many."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY})
    first, second = [samples.flow(local_port=port) for port in (1, 2)]
    made.take(first, second, first)
    assert list(made.engine.flows.young) == [digest_key(flow["flow"]["digest"]) for flow in (second, first)]


class Refusing(Noted):
    """A target that needs what no record has."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = self
        self.skipped = 0

    def apply(self, record: Any, flow: Any, now: int, held: object) -> bytes | None:
        raise ValueError("no MAC address")


def test_a_target_that_lacks_what_it_needs_is_counted_and_the_others_get_theirs(tmp_path: Path) -> None:
    """A set of MAC addresses would keep the flows of VPN users out of the other sets."""
    made = desk(tmp_path, {"a": {"criteria": ["*"], "targets": ["log.x", "log.y"]}}, {"log.y": KEY})
    refusing = Refusing()
    assert made.engine.policy is not None
    made.engine.policy.targets["log.x"] = refusing
    made.take(WEB, WEB)
    assert refusing.skipped == 2 and list(made.engine.flows.young.values()) == [KEY]
    assert (made.engine.matched, made.engine.bad["types"]) == (2, 0)


def test_a_flow_may_hold_three_elements(tmp_path: Path) -> None:
    """The third would neither be kept alive nor be withdrawn."""
    made = desk(tmp_path, {"a": {"criteria": ["*"], "targets": ["log.x", "log.y", "log.z"]}}, {"log.x": KEY, "log.y": OTHER},
                targets={f"log.{name}": {"target_type": "log"} for name in "xyz"})  # fmt: skip
    assert made.engine.policy is not None
    made.engine.policy.targets["log.z"] = Noted(THIRD)
    made.take(WEB)
    assert list(made.engine.flows.young.values()) == [(KEY, OTHER, THIRD)]


# -- matched again, kept and remembered ----------------------------------------------------------------------------------


def test_a_flow_that_is_matched_again_counts_only_when_it_holds_something_new(tmp_path: Path) -> None:
    """Each edge of a schedule would count every flow that runs, and `matches` show nothing else."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, reprocess_flows=True)
    made.take(WEB)
    again = lambda now: list(made.engine.match_again(lambda: now, set(), True))  # noqa: E731
    assert again(5) == [None] and made.engine.matched == 1
    made.targets["log.x"].key = OTHER
    traced: list[Any] = []
    made.engine.trace = lambda record, plan: traced.append((record["flow"]["digest"], plan.names))
    assert again(6) == [None] and made.engine.matched == 2 and made.released_at == [6]
    assert traced == [(WEB["flow"]["digest"], ("a",))]
    assert made.released == [(KEY, True)] and list(made.engine.flows.young.values()) == [OTHER]
    assert [one[:3] for one in made.engine.recent] == [(1, ("a",), ("log.x",)), (6, ("a",), ("log.x",))]
    assert made.engine.policy is not None and made.engine.policy.action_counts() == [(2, 6)]
    made.targets["log.x"].key = None
    assert again(7) == [None] and made.engine.matched == 2 and made.engine.flows.live() == 0


def test_a_target_that_does_not_last_has_had_its_turn(tmp_path: Path) -> None:
    """A log would have an entry of each flow that runs at each edge of a schedule."""
    made = desk(tmp_path, {"a": {"criteria": ["*"], "targets": ["log.x", "log.y"]}}, {"log.y": KEY}, reprocess_flows=True)
    once = Once()
    assert made.engine.policy is not None
    made.engine.policy.targets["log.x"] = once
    made.take(WEB)
    assert list(made.engine.match_again(lambda: 2, set(), True)) == [None]
    assert len(once.digests) == 1 and len(made.targets["log.y"].digests) == 2


class Silent(Noted):
    """A target that does nothing."""

    def apply(self, record: Any, flow: Any, now: int, held: Any) -> None:
        """Let the flow hold nothing."""


class Once(Noted):
    """A target that does nothing with a flow that is matched again."""

    @property
    def lasting(self) -> Any:
        return Silent()


def test_a_flow_is_matched_again_with_what_stands_around_it(tmp_path: Path) -> None:
    """An action for one interface would hold for all, or none, after the first edge of a schedule."""
    made = desk(tmp_path, {"a": {"criteria": ["*"], "interface": "br-lan"}}, {"log.x": KEY}, reprocess_flows=True)
    made.take(samples.flow(local_port=1), samples.flow(local_port=2, interface="br-guest"))
    made.targets["log.x"].digests.clear()
    assert list(made.engine.match_again(lambda: 1, set(), True)) == [None, None]
    assert made.targets["log.x"].digests == [samples.flow(local_port=1)["flow"]["digest"]] and made.engine.flows.live() == 1


def test_a_flow_that_cannot_be_matched_again_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fault in the middle of an edge: the flows after it would not be blocked at bedtime."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, reprocess_flows=True)
    flows = [samples.flow(local_port=port) for port in range(1, 6)]
    keys = [digest_key(flow["flow"]["digest"]) for flow in flows]
    made.take(*flows)
    fault = RuntimeError("out of luck")

    def unpack(packed: bytes) -> bytes:
        if b'"local_port":2,' in packed:
            raise fault
        return b"{" if b'"local_port":4,' in packed else packed

    made.engine.kept.pack_with(lambda payload: payload, unpack)
    monkeypatch.setattr("nfa.daemon.engine.kept.QUIET_RAW", 0)
    made.engine.kept.pack_some(5)
    made.targets["log.x"].digests.clear()
    assert list(made.engine.match_again(lambda: 1, set(), True)) == [None, fault, None, None, None, None]
    assert made.targets["log.x"].digests == [flows[n]["flow"]["digest"] for n in (0, 2, 4)]
    assert list(made.engine.kept.concerned.young) == [keys[n] for n in (0, 1, 2, 4)], "what is no record is kept no longer"
    made.engine.policy = None
    assert list(made.engine.match_again(lambda: 1, set(), True)) == []


def test_nothing_is_kept_that_nobody_will_evaluate_again(tmp_path: Path) -> None:
    """Each router would give a quarter of a megabyte, and time for packing, to records that nobody reads."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY})
    made.take(WEB, samples.flow("DNS", local_port=1))
    assert len(made.engine.kept) == 0 and made.engine.flows.live() == 2


def test_flows_that_hours_concern_are_kept_apart(tmp_path: Path) -> None:
    """A flood of others would take the place of the film that bedtime has to end."""
    night = {"day": ["mon"], "time_start": "21:00", "time_end": "23:00"}
    made = desk(tmp_path, {"a": {"criteria": ["app == 'youtube';"], "time_of_day": night}}, timezone="UTC")
    other = samples.flow("DNS", local_port=1)
    made.take(other, WEB)
    kept = made.engine.kept
    assert list(kept.concerned.young.values()) == [samples.payload(WEB)]
    assert list(kept.others.young.values()) == [samples.payload(other)]
    made.take(samples.flow())
    assert (len(kept.concerned), len(kept.others)) == (0, 2), "it turned out to be something else"


def test_what_no_longer_has_a_cause_ends_and_nothing_begins(tmp_path: Path) -> None:
    """With reprocess_flows off, a reload takes back what it no longer says, and leaves running flows alone otherwise."""
    both = {"a": {"criteria": ["app == 'youtube';"], "targets": ["log.x", "log.y"]}}
    made = desk(tmp_path, both, {"log.x": KEY, "log.y": OTHER}, reprocess_flows=True)
    made.take(WEB, samples.flow("DNS", local_port=1))
    made.use(compiled(tmp_path, config_of({"a": ["*"]}))[0])
    again = lambda begins: list(made.engine.match_again(lambda: 5, set(), begins))  # noqa: E731
    assert again(False) == [None, None]
    assert (made.released, made.released_at) == ([(OTHER, True)], [5]), "log.y is no longer reached; log.x goes on"
    assert list(made.engine.flows.young.values()) == [KEY], "and does not begin for the other flow"
    assert again(True) == [None, None]
    assert list(made.engine.flows.young.values()) == [KEY, KEY]


def test_a_flow_whose_record_is_not_kept_leaves_what_ended(tmp_path: Path) -> None:
    """Where memory was too short for its record, a flow would stay blocked by an action that is gone."""
    both = {"a": {"criteria": ["*"], "targets": ["log.x", "log.y"]}}
    made = desk(tmp_path, both, {"log.x": KEY, "log.y": OTHER}, reprocess_flows=True)
    made.take(WEB, samples.flow("DNS", local_port=1))
    made.engine.kept.pop(digest_key(WEB["flow"]["digest"]))
    number = OTHER[0] << 8 | OTHER[1]
    # The loop goes on with other things after each: two flows that may have to leave, one that is decided again.
    assert list(made.engine.match_again(lambda: 5, {number}, True)) == [None, None, None]
    assert (made.released, made.released_at) == ([(OTHER, True)], [5])
    assert sorted(map(len, made.engine.flows.young.values())) == [2, len(KEY)], (
        "the other flow was decided again: it holds both"
    )
    assert list(made.engine.match_again(lambda: 6, {number, KEY[0] << 8 | KEY[1]}, True)) == [None, None, None]
    assert made.released == [(OTHER, True), (KEY, True)] and made.engine.flows.live() == 1


def test_the_last_decisions_are_remembered_and_long_records_in_brief(tmp_path: Path) -> None:
    """`nfa show matches` would be empty or show others, or a stranger's names of a megabyte fill the memory."""
    made = desk(tmp_path, {"a": {"criteria": ["*"], "targets": ["log.y", "log.x"]}, "b": ["app == 'youtube';"]})
    fits = samples.payload(samples.flow(note=""))
    fits = fits.replace(b'"note":""', b'"note":"' + b"x" * (MAX_KEPT_RECORD - len(fits)) + b'"')
    longer = fits.replace(b'"note":"', b'"note":"x')
    made.take(WEB, fits, longer, now=7)
    names, reached = ("a",), ("log.y", "log.x")
    assert [one[:3] for one in made.engine.recent] == [(7, ("a", "b"), reached), (7, names, reached), (7, names, reached)]
    assert [one[3] for one in made.engine.recent] == [samples.payload(WEB), fits, brief(json.loads(longer))]
    assert len(fits) == MAX_KEPT_RECORD and made.engine.recent.maxlen == RECENT
    assert Engine(lambda held, now: None, lambda held, now, withdraw: None, recent=3).recent.maxlen == 3


def test_the_brief_form_of_a_record_has_what_a_person_knows_a_flow_by() -> None:
    """`nfa show matches` would not tell which flow it was, or give whole objects of strangers."""
    record = samples.flow("HTTP/S", "netify.youtube", host_server_name="h" * 300, dns_host_name={"a": 1}, other_port=8443)
    flow = record["flow"]
    assert brief(record) == {name: flow[name] for name in BRIEF[2:] if name != "dns_host_name"} | {
        "interface": "br-lan", "internal": True, "host_server_name": "h" * MAX_BRIEF_TEXT,
    }  # fmt: skip
    flow.update(interface="wrong", internal="wrong")
    assert brief(record)["interface"] == "br-lan" and brief(record)["internal"] is True


def test_when_netifyd_saw_the_last_flow_is_known(tmp_path: Path) -> None:
    """`nfa status` could not tell how far netifyd lags behind."""
    made = desk(tmp_path, {"a": ["*"]})
    assert made.engine.seen_at is None
    made.take(samples.flow(when=5000), samples.flow(when=5000, seen=7000), samples.stats("ab" * 20, when=9000))
    assert made.engine.seen_at == 7000
    made.take(samples.stats("ab" * 20, when=9000), b"{")
    assert made.engine.seen_at == 7000
    made.engine.policy = None
    made.take(samples.flow(when=5000, seen=8000))
    assert made.engine.seen_at == 8000


def test_a_quicker_decoder_is_asked_for_each_record(tmp_path: Path) -> None:
    """orjson would be installed, and never used."""
    made = desk(tmp_path, {"a": ["*"]}, reprocess_flows=True)
    asked: list[bytes] = []

    def fast(payload: bytes) -> object:
        asked.append(payload)
        return json.loads(payload)

    made.engine.decode_with(fast)
    made.take(WEB)
    assert list(made.engine.match_again(lambda: 1, set(), True)) == [None]
    assert asked == [samples.payload(WEB)] * 2
    made.engine.decode_with(None)
    made.take(WEB)
    assert len(asked) == 2


def test_matches_keep_the_time_of_the_last(tmp_path: Path) -> None:
    """`nfa status` would tell that an action matched long ago, or never."""
    made = desk(tmp_path, {"a": ["*"]})
    made.take(WEB, now=4)
    made.take(WEB, WEB, now=9)
    assert made.engine.policy is not None
    assert made.engine.policy.action_counts() == [(3, 9)] and made.engine.matched == 3


def test_flows_that_end_are_let_go_in_small_parts(tmp_path: Path) -> None:
    """A turn of the loop would look at the clock for each of thousands, or once for all."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, max_flows=5000)
    made.take(*[samples.flow(local_port=port) for port in range(1, RELEASED + 11)])
    made.engine.tick(LIFETIME)
    made.engine.tick(LIFETIME * 2)
    assert made.engine.flows.busy and made.engine.flows.live() == RELEASED + 10
    made.take(samples.flow(local_port=5000))
    assert made.engine.flows.live() == RELEASED + 11, "those that are ending, and the new one"
    looks: list[int] = []

    def soon() -> bool:
        looks.append(len(made.released))
        return False

    made.engine.flows.go_on(1, soon)
    assert made.released_at == [1] * (RELEASED + 10)
    assert looks == [0, RELEASED] and len(made.released) == RELEASED + 10
    assert not made.engine.flows.busy and made.engine.flows.live() == 1


def test_memory_can_be_freed_before_there_is_a_policy() -> None:
    """A router with little memory could not start: the daemon would fail while it frees some."""
    engine = Engine(lambda held, now: None, lambda held, now, withdraw: None)
    engine.free_memory()
    assert json.loads(engine.names) == [{}, {}], "nothing is known of names yet"
    engine.take([samples.payload(WEB)], 1)
    assert (engine.records, engine.kinds["flow"], engine.evaluated, engine.flows.live()) == (1, 1, 0, 0)
    assert engine.heard_at == 0, "`nfa status` tells no time at which records came"


def test_records_have_as_much_room_as_the_system_gives_them() -> None:
    """A small router would run out of memory: what its settings say of records would hold for none."""
    engine = Engine(lambda held, now: None, lambda held, now, withdraw: None, kept_bytes=7, spare=9)
    for digest, concerned, size in ((1, True, 7), (2, False, 9), (3, True, 8), (4, False, 10)):
        engine.kept.clear()
        engine.kept.put(digest, b"x" * size, concerned, 1)
        assert engine.kept.has(digest) == (digest < 3)


# -- what stands around a flow: where it came from, its mark, its counters --------------------------------------------------


def test_where_records_came_from_is_counted_with_its_time(tmp_path: Path) -> None:
    """`nfa status` would call an interface silent that has flows each second."""
    made = desk(tmp_path, {"a": ["*"]})
    made.take(WEB, now=4)
    made.take(WEB, samples.flow(interface="br-guest"), now=9)
    origins = {name: (origin.count, origin.last) for (name, _), origin in made.engine.networks.origins.items()}
    assert origins == {"br-lan": (2, 9), "br-guest": (1, 9)}


def marked(flow: dict[str, Any]) -> int:
    """The mark that conntrack has of a connection: its local port."""
    return int(flow["local_port"])


def test_the_mark_of_a_connection_is_looked_up_where_netifyd_knows_none(tmp_path: Path) -> None:
    """Connections that a firewall rule marked would not be matched on a LAN, or by the mark of another one."""
    made = desk(tmp_path, {"a": ["fwmark == 5;"]}, {"log.x": KEY}, reprocess_flows=True)
    made.take(samples.flow(local_port=5))
    assert made.engine.matched == 0, "nobody looks marks up"
    made.engine.find_mark = marked
    own, tracked = {"ct_mark": 5}, {"conntrack": {"mark": 5}}
    unknown: tuple[dict[str, Any], ...] = ({}, {"ct_mark": 0}, {"conntrack": {}}, {"conntrack": {"mark": 0}})
    for count, (port, fields) in enumerate(((7, own), (7, tracked), *[(5, fields) for fields in unknown]), 1):
        made.take(samples.flow(local_port=port, **fields))
        assert made.engine.matched == count
    for count, fields in enumerate(({}, {"ct_mark": 7}, {"conntrack": {"mark": 7}}), 1):
        made.take(samples.flow(local_port=5 if count > 1 else 6, **fields))
        assert made.engine.matched == 6 and made.engine.evaluated == 7 + count
    assert not any(made.engine.bad.values())


def test_the_mark_of_a_connection_is_looked_up_again_at_an_edge(tmp_path: Path) -> None:
    """A connection that got its mark after its first record would never be matched by it."""
    made = desk(tmp_path, {"a": ["fwmark == 5;"]}, {"log.x": KEY}, reprocess_flows=True)
    made.take(samples.flow(local_port=5))
    made.engine.find_mark = marked
    assert made.engine.flows.live() == 0
    assert list(made.engine.match_again(lambda: 2, set(), True)) == [None]
    assert made.engine.flows.live() == 1


def test_a_policy_without_marks_looks_none_up(tmp_path: Path) -> None:
    """Each record would cost a look into the connection table."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, reprocess_flows=True)
    asked: list[object] = []
    made.engine.find_mark = lambda flow: asked.append(flow) or 1  # type: ignore[func-returns-value]  # it notes, and answers
    made.take(WEB)
    assert list(made.engine.match_again(lambda: 2, set(), True)) == [None] and asked == []


def test_statistics_and_ends_of_flows_are_counted_where_a_policy_has_logs(tmp_path: Path) -> None:
    """A log would tell of flows without their bytes, or of none that has ended."""
    made = desk(tmp_path, {"a": ["*"]})
    stats, purge = [samples.payload(make(WEB["flow"]["digest"])) for make in (samples.stats, samples.purge)]
    made.take(stats)
    counted: list[tuple[int, bytes, bool]] = []
    made.engine.count = lambda digest, payload, ended: counted.append((digest, payload, ended))
    made.take(WEB, stats, purge)
    key = digest_key(WEB["flow"]["digest"])
    assert counted == [(key, stats, False), (key, purge, True)]


@pytest.mark.parametrize("now", [3, 8])
def test_what_turns_out_to_be_a_duplicate_holds_nothing_from_then_on(tmp_path: Path, now: int) -> None:
    """The router's own address would stay blocked, or with a time that is long past."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY}, reprocess_flows=True)
    inner = samples.flow(local_port=7)
    outer = samples.flow(local="81.2.3.1", interface="eth1", internal=False, local_port=7, ip_nat=True)
    made.take(outer, now=1)
    made.take(inner, now=now)
    assert (made.released, made.released_at) == ([(KEY, True)], [now])
    left = [digest_key(inner["flow"]["digest"])]
    assert list(made.engine.flows.young) == made.engine.kept.digests() == left


# -- records that cannot be used ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "criteria"),
    [
        ({"ssl": []}, "client_sni == 'x';"), ({"ssl": None}, "tls_version == 1;"),
        ({"ssl": {"version": "x"}}, "ssl_version == 1;"), ({"ssl": {"version": [1]}}, "ssl_version == 1;"),
        ({"ssl": {"alpn": "h2"}}, "alpn == 'h2';"),
        ({"ssl": {"alpn": [5]}}, "alpn == 'h2';"), ({"risks": 5}, "risks == 3;"), ({"http": "x"}, "url == 'x';"),
        ({"host_server_name": 5}, "detected_hostname == 'x';"), ({"local_mac": "xx"}, "mac == 02:00:00:00:00:00;"),
        ({"local_mac": 5}, "mac == 02:00:00:00:00:00;"), ({"local_ip": "x"}, "ip == 10.0.0.1;"),
        ({"local_ip": "1.2.3.4\0"}, "ip == 10.0.0.1;"), ({"other_ip": "é" * 45}, "ip == 10.0.0.1;"),
        ({"conntrack": 5}, "fwmark == 1;"), ({"ct_mark": "x"}, "fwmark > 1;"), ({"vlan_id": "7"}, "vlan_id > 3;"),
        ({"category": {"application": []}}, "category == 5 || category == 6 || category == 7;"),
        ({"risks": {"ndpi_risk_score": {}}}, "ndpi_risk_score < 5;"),
        ({"other_type": 5}, "other_type == other_local;"),
        ({"tags": {"a": 1}}, "tags == 'a';"), ({"bt": 1}, "bt_info_hash == 'a';"), ({"nfq": [1]}, "iface_nfq_src == 'a';"),
        ({"nfq": {"src_iface": 5}}, "iface_nfq_src == 'rx:a';"), ({"detected_protocol_name": 7}, "proto == 'dns';"),
    ],
)  # fmt: skip
def test_an_optional_part_of_another_form_is_counted(tmp_path: Path, fields: dict[str, Any], criteria: str) -> None:
    """A strange record would end the daemon, or count as a flow that does not match."""
    made = desk(tmp_path, {"a": [criteria]})
    strange = samples.flow()
    strange["flow"].update(fields)
    made.take(strange, WEB, strange)
    assert made.engine.bad["types"] == 2
    assert (made.engine.records, made.engine.evaluated) == (3, 3)


def test_a_flow_that_goes_on_to_a_log_only_holds_nothing_any_longer(tmp_path: Path) -> None:
    """A flow that turned out to be something else would stay blocked for as long as it lives."""
    actions = {"set": "app == 'youtube';", "log": {"criteria": "app == 'facebook';", "targets": ["log.y"]}}
    made = desk(tmp_path, actions, {"log.x": KEY})
    made.take(WEB)
    changed = json.loads(json.dumps(WEB))
    changed["flow"]["detected_application_name"] = "netify.facebook"
    made.take(changed, samples.stats(WEB["flow"]["digest"]))
    assert made.refreshed == []


def test_long_masks_are_remembered_for_fewer_values() -> None:
    """A policy of thousands of conditions would take megabytes for each attribute whose values strangers choose."""
    memo: dict[object, int] = {}
    most = 0
    remember = index.rememberer(8192)
    for number in range(3000):
        assert remember(memo, f"h{number}.example", 1 << 8191 | number) == 1 << 8191 | number
        most = max(most, len(memo))
    assert 100 < most < index.MASKS * 1.1 / sys.getsizeof(1 << 8191)
    remember = index.rememberer(100)
    memo = {}
    for number in range(index.MAX_REMEMBERED):
        remember(memo, number, number)
    assert len(memo) == index.MAX_REMEMBERED, "a usual policy remembers as many as it may"


def test_strings_of_any_length_cost_bounded_memory(tmp_path: Path) -> None:
    """A cache of a thousand names of a megabyte each would take the router down."""
    made = desk(tmp_path, {"a": ["*"]})
    for field in ("other_ip", "local_ip", "detected_application_name"):
        strange = samples.flow()
        strange["flow"][field] = "x" * 1000
        made.take(strange)
    assert made.engine.bad["types"] == 3
    with pytest.raises(ValueError):
        View().number("0x" + "0" * 1000)
    with pytest.raises(ValueError):
        View().mac("00:11:22:33:44:55" + ":" * 1000)


def test_bad_payloads_are_counted_by_kind_and_skipped(tmp_path: Path) -> None:
    """One of them would take the rest of the chunk with it."""
    made = desk(tmp_path, {"a": ["*"]})
    made.take(b"nonsense", b"[]", b"{}", b"\xff", WEB, samples.hello(), samples.definitions(), {"type": "new"})
    assert made.engine.bad == {"json": 2, "types": 1, "fields": 1}
    assert made.engine.kinds == {"flow": 1, "stats": 0, "purge": 0, "agent": 1, "names": 1, "other": 1}
    assert made.engine.matched == 1
    assert made.engine.agent["agent_version"] == "4.4.7"
    applications, protocols = json.loads(made.engine.names)
    assert applications["124"] == "netify.youtube"
    assert protocols["196"] == "HTTP/S"


def test_records_are_counted_by_kind_however_they_come(tmp_path: Path) -> None:
    """`nfa status` would say that netifyd sends one flow, or none that ends, on a line where thousands do."""
    made = desk(tmp_path, {"a": ["*"]})
    digest = WEB["flow"]["digest"]
    kinds = [WEB, samples.stats(digest), samples.purge(digest), samples.hello(), samples.definitions(), b'{"type":"x"}']
    for number in (1, 2):
        made.take(*kinds, *kinds)
        assert made.engine.kinds == dict.fromkeys(("flow", "stats", "purge", "agent", "names", "other"), 2 * number)


def test_a_turn_that_has_been_long_enough_leaves_the_rest_for_the_next_one(tmp_path: Path) -> None:
    """Five thousand regular expressions and new names would hold up status, timers and healing for a second."""
    made = desk(tmp_path, {"a": ["*"]})
    payloads = [json.dumps(samples.flow(digest=f"{number:040x}")).encode() for number in range(3 * PART + 1)]
    looks = iter([False, True, True, False, False])
    rest = made.engine.take_some(payloads, 5, lambda: next(looks))
    assert made.engine.recent[0][0] == 5
    assert (made.engine.evaluated, rest) == (2 * PART, payloads[2 * PART :])
    rest = made.engine.take_some(rest, 1, lambda: next(looks))
    assert (made.engine.evaluated, rest) == (3 * PART, payloads[3 * PART :]), "each turn gets on, however slow"
    assert made.engine.take_some(rest, 1, lambda: next(looks)) == []
    assert made.engine.evaluated == len(payloads)


def test_all_records_of_a_long_read_are_worked_on_once_and_in_order(tmp_path: Path) -> None:
    """Of a burst, only the first records would count, or each of them several times."""
    made = desk(tmp_path, {"a": ["*"]})
    for count in (BATCH, BATCH + 1, 3 * BATCH + 5):
        made.engine.recent.clear()
        payloads = [samples.payload(samples.flow(local_port=port)) for port in range(1, count + 1)]
        before = made.engine.records
        assert made.engine.take_some(payloads, 5, lambda: False) == []
        assert made.engine.records - before == count
        assert [one[3] for one in made.engine.recent] == payloads
    looks = iter([False] * (BATCH // PART - 1) + [True])
    assert made.engine.take_some(payloads, 5, lambda: next(looks)) == payloads[BATCH:], "a look between two batches, too"


def test_what_the_agent_says_of_itself_is_bounded(tmp_path: Path) -> None:
    """A hello of a megabyte would stay in memory, and objects would reach `nfa status`."""
    made = desk(tmp_path, {"a": ["*"]})
    made.take(samples.hello() | {"agent_version": "x" * 5000, "build_version": {"a": 1}, "uptime": 5})
    assert made.engine.agent == {"agent_version": "x" * 128, "json_version": 1.9, "uptime": 5}
    made.take(b'{"type":"agent_status","uptime":NaN,"json_version":1e999,"flow_count":7,"build_version":"1","cpu_cores":4}')
    assert made.engine.agent == {
        "agent_version": "x" * 128, "json_version": 1.9, "uptime": 5, "flow_count": 7, "build_version": "1",
    }  # fmt: skip


def test_without_a_policy_records_pass(tmp_path: Path) -> None:
    """The daemon would fail before its first configuration is there."""
    made = desk(tmp_path, {"a": ["*"]})
    made.engine.policy = None
    made.take(WEB, samples.stats("ab" * 20))
    assert (made.engine.records, made.engine.evaluated) == (2, 0)


def test_a_new_policy_decides_and_old_flows_live_on(tmp_path: Path) -> None:
    """A reload would drop the elements of live flows."""
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY})
    made.take(WEB)
    made.use(compiled(tmp_path, config_of({"b": ["app == 'netflix';"]}))[0])
    made.take(samples.stats(WEB["flow"]["digest"]))
    assert made.refreshed == [(KEY, 1)]
    made.take(WEB, samples.stats(WEB["flow"]["digest"]))
    assert made.engine.matched == 1
    assert made.refreshed == [(KEY, 1)], "what no longer matches is no longer refreshed"


def test_records_without_categories_get_them_from_the_catalogue(tmp_path: Path) -> None:
    """A category rule would match nothing with an agent of 3.x."""
    made = desk(tmp_path, {"a": ["category == 'streaming-media';"], "p": ["protocol_category == 'web';"]})
    made.take(samples.as_v3(WEB), samples.as_v3(samples.flow("DNS")))
    assert made.engine.policy is not None
    assert [count for count, _ in made.engine.policy.action_counts()] == [1, 1]


def test_a_policy_that_is_only_made_changes_nothing_for_the_one_in_force(tmp_path: Path) -> None:
    """A reload that fails at its last step would change what the running policy matches."""
    made = desk(tmp_path, {"a": ["category == 'streaming-media';"], "p": ["protocol_category == 'web';"]})
    desk(tmp_path, {"a": ["app == 'netflix';"]})
    assert made.actions(samples.as_v3(WEB)) == ["a", "p"]
    made.take(samples.as_v3(WEB))
    assert made.engine.matched == 1


def test_memory_that_is_freed_is_all_of_the_caches_and_changes_no_decision(tmp_path: Path) -> None:
    """With little memory left, a cache that stays full would let the daemon fail again; counts and live flows must stay."""
    criteria = {
        "a": ["category == 'streaming-media';"], "b": ["other_ip == 10.0.0.0/8;", "ssl_version == 0x0303;"],
        "c": ["client_sni == 'rx:(a|b)*c$';"], "d": ["local_mac == 02:00:5e:10:00:14;"],
    }  # fmt: skip
    made = desk(tmp_path, criteria, {"log.x": KEY})
    flows = [samples.flow(other=f"10.0.{n}.1", ssl={"version": "0x0303", "client_sni": "ab" * n + "c"}) for n in range(1, 50)]
    records = [samples.as_v3(flow) for flow in flows] + flows
    made.take(*records)
    engine, policy = made.engine, made.engine.policy
    assert policy is not None
    view, counts, matched = policy.view, policy.action_counts(), engine.matched
    caches = [view._addresses, view._numbers, view._categories, engine.recent, policy.verdicts, policy.plans, *policy._memos]
    caches += [finder._rows for finder in policy._finders if hasattr(finder, "_rows")]
    assert all(caches)
    before = [made.actions(record) for record in records]
    engine.free_memory()
    caches[4:6] = [policy.verdicts, policy.plans]
    assert [len(cache) for cache in caches] == [0] * (len(caches) - 1) + [1], "an automaton keeps its first state"
    assert [made.actions(record) for record in records] == before
    assert [policy.kept_counts[name][0] for name in criteria] == [count for count, _ in counts]
    assert (engine.matched, engine.flows.live()) == (matched, len(flows))


def test_a_trace_sees_every_match(tmp_path: Path) -> None:
    """`nfa run -v` would show nothing."""
    made = desk(tmp_path, {"a": ["app == 'youtube';"]})
    seen: list[Any] = []
    made.engine.trace = lambda record, plan: seen.append((record["flow"]["digest"], plan.actions))
    made.take(WEB, samples.flow("DNS"))
    assert seen == [(WEB["flow"]["digest"], (0,))]


def test_flows_are_matched_again_against_the_policy_that_is_in_force_by_then(tmp_path: Path) -> None:
    """A reload in the middle of it: the old policy has ended, and its functions would end the daemon."""
    first = compiled(tmp_path, config_of({"a": ["*"]}, reprocess_flows=True))[0]
    made = desk(tmp_path, {"a": ["*"]}, {"log.x": KEY})
    made.use(first)
    made.take(*[samples.flow(local_port=port) for port in range(1, 6)])
    going = made.engine.match_again(lambda: 1, set(), True)
    next(going)
    old = made.engine.policy
    assert old is not None
    made.use(compiled(tmp_path, config_of({"none": ["port == 1;"]}, reprocess_flows=True))[0])
    assert made.engine.policy is not None
    made.engine.policy.succeed(old)
    assert len(list(going)) == 4
    assert made.engine.flows.live() == 1, "only the one that was matched before the reload holds something"


def test_a_flow_that_is_kept_takes_400_bytes(tmp_path: Path) -> None:
    """A router of 128 MB has to hold 50,000 of them when there are schedules."""
    made = desk(tmp_path, {"a": ["*"]}, max_flows=50000, reprocess_flows=True)
    made.engine.kept.pack_with(packing.pack, packing.unpack)
    payloads = [samples.payload(record) for record in samples.stream(seed=3, flows=12000) if record["type"] == "flow"]
    made.take(*payloads[:100])
    before = len(made.engine.kept)
    gc.collect()
    tracemalloc.start()
    for payload in payloads[100:]:
        made.engine.take([payload], 1)
    made.engine.recent.clear()
    made.targets["log.x"].digests.clear()  # which the test notes
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    kept = len(made.engine.kept) - before
    assert kept > 7000
    assert taken / kept <= 400
    print(f"{taken / kept:.0f} bytes a kept flow")
