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
    assert packed == [] and kept.digests() == list(range(12, 22)), "the oldest make room, several at a time"
    assert kept.pack_some(3) and len(packed) == 3
    assert not kept.pack_some(100) and len(packed) == 5, "the rest may end soon"
    assert kept.digests() == list(range(12, 22)) and kept.others.size == 5 + 500


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


EVENTS = st.lists(
    st.tuples(st.sampled_from(["put", "pack", "pop", "age", "drop", "renew", "evict"]), st.integers(0, 7), st.integers(1, 40)),
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
        elif what == "drop" and table.unpacked:
            table.drop_unpacked(size)
            assert table.raw <= size
        records = table.young | table.older
        assert table.size == sum(map(len, records.values()))
        assert table.raw == sum(table.unpacked.values()) and set(table.unpacked) <= set(records)
