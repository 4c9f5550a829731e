"""The life of an element, by a clock of the test: added once, refreshed while it is wanted, forgotten when it is over."""

from __future__ import annotations

import pytest
from fake_kernel import key, slot_data

from nfa.targets import slot as slots
from nfa.targets.slot import GRACE, Counters, Slot


def made(**options: object) -> Slot:
    return Slot(0, slot_data("nftset", **options), Counters("target", "nftset"))


def test_an_element_is_added_once_and_refreshed_when_half_of_its_life_is_gone() -> None:
    """Every packet's record would cost a kernel call, or a living flow would lose its element."""
    slot = made(ttl=60)
    for now in (100, 100, 101, 129):
        slot.want(key(1), now)
    assert slot.take_pending() == ([key(1)], [])
    slot.want(key(1), 130)
    slot.want(key(1), 131)
    assert slot.take_pending() == ([], [key(1)])
    slot.want(key(1), 159)
    assert slot.take_pending() == ([], [])
    slot.want(key(1), 160)
    assert slot.take_pending() == ([], [key(1)])


def test_all_holders_share_one_key() -> None:
    """A table of many flows would keep a copy of the element for each."""
    slot = made()
    first = slot.want(key(1), 1)
    assert slot.want(key(1), 2) == first


def test_an_expired_element_is_forgotten_after_a_moment_of_grace() -> None:
    """The table would grow for ever, or an element that is about to end would be added instead of refreshed."""
    slot = made(ttl=60)
    slot.want(key(1), 100)
    slot.want(key(2), 110)
    slot.take_pending()
    slot.expire(160 + GRACE - 1)
    assert list(slot.live) == [key(1), key(2)]
    slot.expire(160 + GRACE)
    assert list(slot.live) == [key(2)]
    slot.want(key(1), 170)
    slot.want(key(2), 170 + GRACE - 1)
    assert slot.take_pending() == ([key(1)], [key(2)])


def test_a_refreshed_element_outlives_one_that_was_added_later() -> None:
    """Expiry looks at the oldest first: one refreshed element at the front would keep all others in memory."""
    slot = made(ttl=60)
    for number in (1, 2, 3):
        slot.want(key(number), 100)
    slot.want(key(1), 140)
    slot.expire(160 + GRACE)
    assert list(slot.live) == [key(1)]


@pytest.mark.parametrize("data", [{"ttl": 0}])
def test_without_a_ttl_an_element_stays(data: dict[str, int]) -> None:
    """A set for ever would be filled again and again."""
    slot = made(**data)
    slot.want(key(1), 1)
    slot.want(key(1), 1_000_000)
    slot.expire(2_000_000)
    assert slot.take_pending() == ([key(1)], [])
    assert key(1) in slot.live


def test_a_set_without_timeouts_is_never_refreshed() -> None:
    """Each element would be deleted and added again for nothing."""
    slot = Slot(0, slot_data("nftset", ttl=60) | {"timeouts": False}, Counters("target", "nftset"))
    slot.want(key(1), 1)
    slot.want(key(1), 1000)
    assert slot.take_pending() == ([key(1)], [])


def test_what_the_kernel_refused_is_added_when_seen_again() -> None:
    """A set that was full for a second would miss a flow for its whole life."""
    slot = made()
    slot.want(key(1), 1)
    slot.take_pending()
    slot.forget([key(1), key(2)])
    slot.want(key(1), 2)
    assert slot.take_pending() == ([key(1)], [])


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan of random addresses would take the router's memory."""
    monkeypatch.setattr(slots, "MAX_LIVE", 10)
    slot = made(ttl=0)
    for number in range(100):
        slot.want(key(number), 1)
        assert len(slot.live) <= 10
    assert key(99) in slot.live
