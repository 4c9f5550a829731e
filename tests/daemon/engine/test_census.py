"""Flows that began before nfa: counted once each, for as long as they live, and never those that netifyd reported."""

from __future__ import annotations

from pathlib import Path

import agent_streams
import pytest
import samples
from policies import Desk, compiled, config_of

from nfa.daemon.engine import census as module
from nfa.daemon.engine.census import MAX_BEFORE, WINDOW, Census
from nfa.daemon.engine.engine import LIFETIME
from nfa.daemon.stream.records import digest_key


def stats(flow: samples.Record) -> samples.Record:
    """Statistics of a flow."""
    return samples.stats(flow["flow"]["digest"])


def purge(flow: samples.Record) -> samples.Record:
    """Its end."""
    return samples.purge(flow["flow"]["digest"])


def desk(folder: Path) -> Desk:
    made = Desk(compiled(folder, config_of({"web": "port == 443;"}))[0], {"log.x": b"\0\0held"})
    made.engine.census.begin(1)
    return made


def test_flows_of_which_only_statistics_come_are_counted_until_they_end(tmp_path: Path) -> None:
    """All lights are green while half of the connections pass unjudged."""
    made = desk(tmp_path)
    records = agent_streams.records("late-join-no-flows")
    made.take(*records, *[record for record in records if record["type"] == "flow_stats"])
    stats = {record["flow"]["digest"]: record for record in records if record["type"] == "flow_stats"}
    assert len(made.engine.census.late) == len(stats) == 4
    for count, record in enumerate(stats.values(), 1):
        made.take(record | {"type": "flow_purge"})
        assert len(made.engine.census.late) == 4 - count


def test_flows_that_are_announced_are_not_counted(tmp_path: Path) -> None:
    """A number that is always there says nothing."""
    made = desk(tmp_path)
    flows = [samples.flow(other_port=port) for port in (443, 80, 5)]
    made.take(*flows)
    made.take(*[stats(flow) for flow in flows])
    assert not made.engine.census.late
    late = samples.flow(other_port=7)
    made.take(stats(late))
    assert list(made.engine.census.late.young) == [digest_key(late["flow"]["digest"])]
    made.take(late)
    assert not made.engine.census.late, "netifyd refined it, and reported it so"


def test_after_five_and_a_half_minutes_all_of_them_are_known(tmp_path: Path) -> None:
    """What is remembered to tell them apart would stay for ever, and a flow that was forgotten count as one of them."""
    made = desk(tmp_path)
    old, new = samples.flow(other_port=1), samples.flow(other_port=2)
    made.take(stats(old))
    made.engine.tick(WINDOW)
    assert made.engine.census._announced is not None
    made.engine.tick(WINDOW + 1)
    assert made.engine.census._announced is None and made.engine.census.active
    made.take(stats(new))
    assert len(made.engine.census.late) == 1
    for second in (WINDOW + LIFETIME, WINDOW + 2 * LIFETIME, WINDOW + 3 * LIFETIME):
        made.engine.tick(second)
    assert not made.engine.census.late and not made.engine.census.active, "it ended without a purge"


def test_a_reconnect_to_the_same_agent_counts_nothing_anew_and_a_new_agent_does(tmp_path: Path) -> None:
    """After each hiccup of the socket, every flow would count as one that began before."""
    made = desk(tmp_path)
    flow, old = samples.flow(other_port=80), samples.flow(other_port=1)
    made.take(samples.status() | {"uptime": 100}, flow, stats(old))
    made.engine.tick(WINDOW + 1)
    made.engine.census.begin(WINDOW + 10)
    made.take(samples.status() | {"uptime": 500}, stats(flow))
    assert len(made.engine.census.late) == 1
    made.engine.census.begin(WINDOW + 20)
    made.take(samples.status() | {"uptime": 1})
    assert not made.engine.census.late, "it has forgotten those"
    made.take(stats(samples.flow(other_port=9)))
    assert len(made.engine.census.late) == 1


def test_what_is_remembered_is_bounded() -> None:
    """A busy router would lose a megabyte to a number."""
    census = Census()
    census.begin(1)
    for digest in range(2 * MAX_BEFORE):
        census.stats(digest)
    assert len(census.late) == MAX_BEFORE and census.more
    census = Census()
    census.begin(1)
    for digest in range(MAX_BEFORE):
        census.flow(digest)
    assert census._announced is None and census.more and not census.active


def test_flows_of_one_read_that_are_announced_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy router would lose megabytes to a number: records come by the read, and each read has many flows."""
    monkeypatch.setattr(module, "MAX_BEFORE", 3)
    made = desk(tmp_path)
    flows = [samples.flow(other_port=port) for port in (1, 2, 3)]
    made.take(*flows[:2])
    assert made.engine.census.active and not made.engine.census.more
    made.take(flows[2])
    assert made.engine.census.more and not made.engine.census.active


def test_a_flow_that_is_announced_after_statistics_of_the_same_read_is_not_counted(tmp_path: Path) -> None:
    """Status would tell of flows that began before nfa though netifyd has just reported them."""
    made = desk(tmp_path)
    old, new = samples.flow(other_port=1), samples.flow(other_port=2)
    made.take(stats(old), new, stats(new))
    assert list(made.engine.census.late.young) == [digest_key(old["flow"]["digest"])]
    made.engine.census.late.clear()
    made.take(stats(old), old)
    assert not made.engine.census.late


def test_before_netifyd_is_connected_nothing_is_counted() -> None:
    """A daemon that waits for its agent would look for flows that began before, or report some that there are not."""
    census = Census()
    assert not census.active and not census.more
    census.tick(5000)
    census.age()
    assert not census.active and not census.late


def test_the_window_stays_open_while_the_agent_tells_of_itself() -> None:
    """netifyd has a status every minute: the second one after the start, or after its restart, would end the count."""
    census = Census()
    census.begin(1)
    for before, uptime in ((None, 100), (100, 160), (160, 220)):
        census.agent(before, uptime)
    census.stats(1)
    assert list(census.late.young) == [1]
    census.begin(5)
    for before, uptime in ((220, 1), (1, 61), (61, 121)):
        census.agent(before, uptime)
    census.stats(2)
    assert list(census.late.young) == [2], "the first one went with the agent that had it"


def test_an_agent_that_is_as_old_as_before_is_the_same() -> None:
    """A socket that hiccups within a second would make `nfa status` forget what passes undecided."""
    census = Census()
    census.begin(1)
    census.agent(None, 100)
    census.stats(1)
    census.begin(2)
    census.agent(100, 100)
    census.stats(2)
    assert list(census.late.young) == [1]


def test_a_new_agent_has_no_more_than_are_counted() -> None:
    """`nfa status` would say "at least" of a number that is exact, until the daemon is restarted."""
    census = Census()
    census.begin(1)
    census.more = True
    census.agent(100, 101)
    assert census.more, "it is the same agent"
    census.agent(101, 1)
    assert census.more is False


def test_a_flow_that_began_before_is_counted_for_as_long_as_it_is_heard_from() -> None:
    """A download that passes undecided for an hour would be missing from the number after twenty minutes."""
    census = Census()
    census.begin(1)
    census.age()
    assert census.active, "there may be some"
    census.stats(1)
    census.stats(2)
    census.tick(1 + WINDOW)
    for _ in range(4):
        census.stats(1)
        census.stats(3)
        census.age()
        assert census.active
    assert (list(census.late.young), list(census.late.older)) == ([], [1])
    census.purge(1)
    census.age()
    assert not census.active


# -- digests that change -------------------------------------------------------------------------------------------------


def renamed(record: samples.Record, *before: samples.Record) -> samples.Record:
    record["flow"]["digest_prev"] = [flow["flow"]["digest"] for flow in before]
    return record


def test_statistics_under_a_new_digest_keep_what_the_flow_holds(tmp_path: Path) -> None:
    """netifyd 5: the element of a flow that goes on under another digest would expire, and a block end in the middle."""
    made = desk(tmp_path)
    first, then = samples.as_v5(samples.flow()), samples.flow(other_port=444)
    made.take(first)
    made.take(renamed(stats(then), first), now=5)
    assert made.refreshed == [(b"\0\0held", 5)] and not made.released
    assert list(made.engine.flows.young) == [digest_key(then["flow"]["digest"])]
    made.take(purge(then), now=6)
    assert made.released == [(b"\0\0held", False)] and not made.engine.flows.young


def test_statistics_that_come_with_the_first_record_of_netifyd_5_are_followed(tmp_path: Path) -> None:
    """All that came in one read would be taken for the records of netifyd 4, which has no earlier digests."""
    made = desk(tmp_path)
    first, then = samples.as_v5(samples.flow()), samples.flow(other_port=444)
    made.take(first, renamed(stats(then), first), now=5)
    assert list(made.engine.flows.young) == [digest_key(then["flow"]["digest"])]


def test_statistics_of_a_flow_that_was_reported_anew_release_what_it_held_before(tmp_path: Path) -> None:
    """As with a flow record: what the flow was before is withdrawn."""
    made = desk(tmp_path)
    first, then = samples.as_v5(samples.flow()), samples.as_v5(samples.flow(local_port=3))
    made.take(first, then)
    made.take(renamed(stats(then), first), now=5)
    assert (made.released, made.released_at) == ([(b"\0\0held", True)], [5])
    assert list(made.engine.flows.young) == [digest_key(then["flow"]["digest"])]


def test_the_record_of_a_flow_goes_on_with_it(tmp_path: Path) -> None:
    """netifyd 5: bedtime would not reach a flow that was renamed, since nothing is known of it under its new digest."""
    made = Desk(compiled(tmp_path, config_of({"web": "port == 443;"}, reprocess_flows=True))[0], {"log.x": b"\0\0held"})
    first, then = samples.as_v5(samples.flow()), samples.flow(other_port=444)
    made.take(first)
    payload = made.engine.kept.get(digest_key(first["flow"]["digest"]))
    made.take(renamed(stats(then), first), now=5)
    key = digest_key(then["flow"]["digest"])
    assert made.engine.kept.digests() == [key] and made.engine.kept.get(key) == payload is not None
    assert not any(made.engine.bad.values())


def test_statistics_that_name_no_earlier_digest_are_those_of_the_flow(tmp_path: Path) -> None:
    """netifyd 5: all statistics would count as bad records, and no flow keep its element."""
    made = desk(tmp_path)
    first = samples.as_v5(samples.flow())
    made.take(first)
    made.take(stats(first), now=5)
    made.take(purge(first), now=6)
    assert made.refreshed == [(b"\0\0held", 5)] and made.released == [(b"\0\0held", False)]
    assert not any(made.engine.bad.values())


def test_a_flow_whose_record_is_kept_began_under_our_eyes(tmp_path: Path) -> None:
    """After a hiccup of the socket, each flow that holds nothing would count as one that nobody decided about."""
    made = Desk(compiled(tmp_path, config_of({"web": "port == 443;"}, reprocess_flows=True))[0])
    flow = samples.flow(other_port=80)
    made.take(flow)
    made.engine.census.begin(2)
    made.take(stats(flow), stats(samples.flow(other_port=81)))
    assert len(made.engine.census.late) == 1


def test_a_purge_ends_a_flow_under_all_of_its_digests(tmp_path: Path) -> None:
    """The first digest's element would be refreshed by nobody, and counted as live for twenty minutes."""
    made = desk(tmp_path)
    first = samples.as_v5(samples.flow())
    made.take(first)
    made.take(renamed(purge(samples.flow(other_port=444)), first), now=7)
    assert (made.released, made.released_at) == ([(b"\0\0held", False)], [7]) and not made.engine.flows.young


def test_a_flow_that_began_before_stays_one_under_its_new_digest(tmp_path: Path) -> None:
    """It would count twice."""
    made = desk(tmp_path)
    first, then = samples.flow(other_port=1), samples.flow(other_port=2)
    made.take(samples.as_v5(samples.flow()))
    made.take(stats(first), renamed(stats(then), first))
    assert list(made.engine.census.late.young) == [digest_key(then["flow"]["digest"])]


def test_who_was_reported_stays_so_under_another_digest() -> None:
    """netifyd 5 renames half of the flows: each of them would count as one that passes undecided."""
    census = Census()
    census.begin(1)
    census.flow(1)
    census.renamed(1, 2)
    census.renamed(7, 8)
    for digest in (1, 2, 8):
        census.stats(digest)
    assert list(census.late.young) == [8], "nobody reported that one under any digest"


def test_a_flow_that_began_before_is_renamed_whenever_that_is() -> None:
    """After the first minutes it would leave the number though it lives, or another flow get into it."""
    census = Census()
    census.begin(1)
    census.stats(1)
    census.tick(1 + WINDOW)
    census.renamed(1, 2)
    census.renamed(7, 8)
    census.stats(2)
    census.stats(8)
    assert list(census.late.young) == [2]
    census.age()
    census.stats(2)
    census.age()
    census.stats(2)
    assert list(census.late.young) == [2]


def test_a_broken_list_of_digests_is_a_bad_record(tmp_path: Path) -> None:
    """Whoever writes to the socket would end the daemon, or renew nothing and be counted as fine."""
    made = desk(tmp_path)
    made.take(samples.as_v5(samples.flow()))
    for broken in (7, "x", [7], {"a": 1}, None, ["zz" * 40]):
        record = stats(samples.flow(other_port=3))
        record["flow"]["digest_prev"] = broken
        made.take(record)
    assert made.engine.bad == {"json": 0, "types": 5, "fields": 0}, "hexadecimal or not: the last one is a digest"
