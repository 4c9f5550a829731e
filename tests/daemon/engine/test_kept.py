"""Records of live flows: what is kept, for how long, and how it is packed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.daemon.engine import kept as module
from nfa.daemon.engine.kept import KEPT_BYTES, Kept, Records


def small(payload: bytes) -> bytes:
    return payload[:100]


def test_what_is_kept_comes_back_packed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow would be evaluated from a packed record as if it were JSON, and be forgotten."""
    monkeypatch.setattr(module, "QUIET_RAW", 0)
    kept = Kept()
    kept.pack_with(lambda payload: payload[::-1], lambda packed: packed[::-1])
    kept.put(1, b"{first}", False, 10)
    kept.put(2, b"{second}", True, 10)
    assert [kept.get(digest) for digest in (1, 2, 3)] == [b"{first}", b"{second}", None]
    assert not kept.pack_some(5)
    assert list(kept.others.young.values()) == [b"}tsrif{"]
    assert [kept.get(digest) for digest in (1, 2, 3)] == [b"{first}", b"{second}", None]
    kept.put(1, b"{again}", True, 10)
    assert (kept.get(1), kept.digests(), len(kept)) == (b"{again}", [2, 1], 2)
    kept.pop(1)
    kept.pop(2)
    assert (len(kept), kept.concerned.size, kept.others.size, kept.concerned.raw, kept.others.raw) == (0, 0, 0, 0, 0)


def test_records_are_packed_only_when_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing takes longer than all else: a burst of flows would wait for it."""
    monkeypatch.setattr(module, "RAW", 1000)
    monkeypatch.setattr(module, "QUIET_RAW", 500)
    packed: list[bytes] = []
    kept = Kept()
    kept.pack_with(lambda payload: packed.append(payload) or b"p", lambda packed: packed)  # type: ignore[func-returns-value]
    for digest in range(22):
        kept.put(digest, b"x" * 100, False, 100)
    assert packed == [] and kept.digests() == list(range(11)), "a flood takes nobody's place"
    assert kept.others.dropped == 11
    kept.put(3, b"y" * 100, False, 100)
    assert kept.get(3) == b"y" * 100 and kept.others.dropped == 11, "what is kept is never out of date"
    assert kept.pack_some(3) and len(packed) == 3
    kept.put(30, b"x" * 100, False, 100)
    assert kept.has(30), "there is room again"
    assert not kept.pack_some(100) and len(packed) == 7, "the rest may end soon"
    assert len(kept) == 12 and kept.others.size == 7 + 500


def test_what_a_known_change_concerns_is_packed_rather_than_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of flows that bedtime concerns would set the first of them free."""
    monkeypatch.setattr(module, "RAW", 1000)
    kept = Kept()
    kept.pack_with(small, small)
    for digest in range(50):
        kept.put(digest, b"x" * 300, True, 100)
    assert len(kept) == 50 and kept.dropped == 0 and kept.concerned.raw <= 1000


def test_kept_records_may_be_as_many_as_flows_and_as_long_as_the_bound_says() -> None:
    """A flow would be forgotten though there is room, and not be blocked at bedtime."""
    kept = Kept()
    size = KEPT_BYTES
    kept.pack_with(lambda payload: b"x" * size, lambda packed: packed)
    for digest in range(16):
        kept.put(digest, b"y" * 1000, True, 16)
    kept.put(0, b"y" * 1000, True, 16)
    assert (len(kept), kept.dropped) == (16, 0)
    kept.put(16, b"y", True, 16)
    assert (len(kept), kept.dropped) == (16, 1), "one record too many"
    size += 1
    kept.put(17, b"y" * 1000, True, 16)
    kept.pop(17)
    for digest in range(20, 40):
        kept.put(digest, b"y" * 1000, True, 16)
    assert len(kept) == 15 and kept.concerned.size <= 16 * KEPT_BYTES, "one byte too many each"
    none = Kept(per_flow=10, spare=0)
    none.put(1, b"x" * 161, True, 16)
    none.put(2, b"x", False, 16)
    assert len(none) == 0


def test_others_have_a_bound_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that nobody may ever need would take megabytes on a router of 128 MB."""
    monkeypatch.setattr(module, "QUIET_RAW", 0)
    kept = Kept(spare=5000)
    kept.pack_with(small, small)
    for digest in range(1000):
        kept.put(digest, b"x" * 300, False, 65536)
        kept.pack_some(10)
    assert 40 <= len(kept) <= 50 and kept.dropped == 0
    assert kept.digests()[-1] == 999
    kept.renew(kept.digests()[0])
    first = kept.digests()[-1]
    for digest in range(1000, 1030):
        kept.put(digest, b"x" * 300, False, 65536)
        kept.pack_some(10)
    assert first in kept.digests(), "who is heard of is forgotten last"


def test_a_record_that_comes_again_takes_the_place_of_the_old_one_in_any_age() -> None:
    """A flow of an hour would be kept once for each of its ages, and the bytes of one be counted for ever."""
    table = Records()
    table.put(1, b"x" * 10)
    table.put(2, b"x" * 20)
    table.age()
    table.put(1, b"y" * 5)
    assert (table.young, table.older) == ({1: b"y" * 5}, {2: b"x" * 20})
    assert (table.size, table.raw, table.unpacked) == (25, 25, {2: 20, 1: 5})
    table.put(1, b"z" * 7)
    table.put(3, b"z" * 8)
    assert (table.size, table.raw) == (35, 35), "beside an older one, too"
    assert table.pop(1) == b"z" * 7 and table.pop(2) == b"x" * 20 and table.pop(2) is None
    table.age()
    assert table.pop(9) is None and (table.size, table.raw, table.unpacked) == (8, 8, {3: 8})
    table.pack_oldest(lambda record: b"p")
    assert (table.older, table.size, table.raw) == ({3: b"p"}, 1, 0)


def test_records_of_flows_that_fell_silent_wait_for_nothing() -> None:
    """The loop would pack what is no longer there, and meet a KeyError in each turn."""
    table = Records()
    table.put(1, b"x" * 10)
    assert table.age() == {}
    table.put(2, b"y" * 20)
    assert table.age() == {1: b"x" * 10}
    assert (table.size, table.raw, table.unpacked) == (20, 20, {2: 20})
    table.clear()
    table.put(3, b"z" * 4)
    assert (table.size, table.raw, table.unpacked) == (4, 4, {3: 4})


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("concerned", [False, True])
def test_a_flow_is_kept_in_one_table_only(concerned: bool, older: bool) -> None:
    """A flow that turned out to be something else after ten minutes would be evaluated by what it was taken for at first."""
    kept = Kept()
    kept.put(1, b"first", concerned, 10)
    if older:
        kept.age()
    kept.put(1, b"then", not concerned, 10)
    assert (kept.digests(), kept.get(1)) == ([1], b"then")


def test_both_ages_together_may_have_as_many_records_as_flows() -> None:
    """A flood that comes and goes would be kept twice over."""
    kept = Kept()
    for digest in range(16):
        kept.put(digest, b"x", True, 16)
    kept.age()
    for digest in range(16, 24):
        kept.put(digest, b"x", True, 16)
        assert len(kept) <= 16


def test_at_the_bound_itself_nothing_is_packed_or_dropped_for_the_bytes_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the records would go where one has to."""
    monkeypatch.setattr(module, "RAW", 1000)
    monkeypatch.setattr(module, "QUIET_RAW", 0)
    kept = Kept(spare=1550)
    for digest in range(6):
        kept.put(digest, b"x" * 100, False, 100)
    assert not kept.pack_some(10)
    for digest in range(10, 20):
        kept.put(digest, b"x" * 100, False, 100)
    assert kept.digests() == [*range(1, 6), *range(10, 20)] and kept.others.raw == 1000


def test_no_more_is_packed_than_has_to_be_while_the_stream_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing takes longer than all else: each record of a flood would wait for one more of them."""
    monkeypatch.setattr(module, "RAW", 1000)
    packed: list[bytes] = []
    kept = Kept()
    kept.pack_with(lambda payload: packed.append(payload) or b"p", lambda packed: packed)  # type: ignore[func-returns-value]
    for digest in range(11):
        kept.put(digest, b"x" * 100, True, 100)
    assert len(packed) == 1 and kept.concerned.raw == 1000


def test_how_many_were_evicted_is_counted_in_all_and_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    """`nfa status` would tell of flows that a reload may not reach when there are none, or of none when there are."""
    monkeypatch.setattr(module, "RAW", 1000)
    kept = Kept(per_flow=10)
    assert kept.lately_dropped == 0
    for digest in range(11):
        kept.put(digest, b"x" * 100, False, 10)
    for digest in range(20, 23):
        kept.put(digest, b"x" * 50, True, 10)
    assert (kept.others.dropped, kept.dropped, kept.lately_dropped) == (1, 1, 2)
    kept.age()
    assert (kept.dropped, kept.lately_dropped) == (1, 0), "those that were not heard from since have ended"
    kept.put(30, b"x" * 50, True, 10)
    assert (kept.dropped, kept.lately_dropped) == (2, 1)


def test_a_record_of_either_table_is_renewed_found_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow whose record is kept would count as one that nobody can decide again, or be the first to be forgotten."""
    monkeypatch.setattr(module, "QUIET_RAW", 0)
    kept = Kept()
    kept.put(1, b"first", True, 10)
    kept.put(2, b"second", False, 10)
    kept.pack_some(10)
    assert [kept.get(digest) for digest in (1, 2)] == [b"first", b"second"], "no packer: they stay as they are"
    kept.age()
    assert [kept.has(digest) for digest in (1, 2, 3)] == [True, True, False]
    assert [kept.renew(digest) for digest in (1, 2, 3)] == [True, True, False]
    assert (list(kept.concerned.young), list(kept.others.young)) == ([1], [2])
    kept.clear()
    assert [kept.renew(digest) for digest in (1, 2, 3)] == [kept.has(digest) for digest in (1, 2, 3)] == [False] * 3


@pytest.mark.parametrize("concerned", [True, False])
def test_a_flow_that_goes_on_under_another_digest_keeps_its_record(concerned: bool) -> None:
    """netifyd 5: bedtime would not reach a flow that was renamed, or decide about it by the record of another."""
    kept = Kept()
    kept.put(1, b"one", concerned, 10)
    kept.rename(1, 2, 10)
    table = kept.concerned if concerned else kept.others
    assert (kept.digests(), kept.get(2), list(table.young)) == ([2], b"one", [2])
    kept.put(3, b"three", not concerned, 10)
    kept.rename(2, 3, 10)
    assert (kept.digests(), kept.get(3)) == ([3], b"three"), "it has a record that is newer"
    kept.rename(7, 8, 10)
    assert kept.digests() == [3]


EVENTS = st.lists(
    st.tuples(st.sampled_from(["put", "pack", "pop", "age", "renew", "evict"]), st.integers(0, 7), st.integers(1, 40)),
    max_size=60,
)


@given(EVENTS)
def test_the_sizes_are_those_of_what_is_kept(events: list[tuple[str, int, int]]) -> None:
    """A bound that counts wrong lets memory grow, or forgets flows that have room."""
    table = Records()
    for what, digest, size in events:
        if what == "put":
            table.put(digest, b"x" * size)
        elif what == "pop":
            table.pop(digest)
        elif what == "age":
            table.age()
        elif what == "renew":
            table.renew(digest)
        elif what == "evict" and len(table):
            table.evict(len(table))
        elif what == "pack" and table.unpacked:
            table.pack_oldest(lambda record: record[: len(record) // 2])
        records = table.young | table.older
        assert table.size == sum(map(len, records.values()))
        assert table.raw == sum(table.unpacked.values()) and set(table.unpacked) <= set(records)
