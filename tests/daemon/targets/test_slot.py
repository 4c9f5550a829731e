"""The life of an element, by a clock of the test: added once, refreshed while it is wanted, forgotten when it is over."""

from __future__ import annotations

from random import Random

import pytest
from fake_kernel import key, slot_data

from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.sets import slot as slots
from nfa.daemon.targets.sets.slot import CARRIED, GRACE, Slot


def made(**options: object) -> Slot:
    return Slot(0, slot_data("nftset", **options), Counters("target", "nftset"))


def test_an_element_is_added_once_and_refreshed_when_half_of_its_life_is_gone() -> None:
    """Every packet's record would cost a kernel call, or a living flow would lose its element."""
    slot = made(ttl=60)
    for now in (100, 100, 101, 129):
        slot.want(key(1), now)
    assert slot.take_pending() == ([key(1)], [], [])
    slot.want(key(1), 130)
    slot.want(key(1), 131)
    assert slot.take_pending() == ([], [key(1)], [])
    slot.want(key(1), 159)
    assert slot.take_pending() == ([], [], [])
    slot.want(key(1), 160)
    assert slot.take_pending() == ([], [key(1)], [])


def test_an_element_goes_with_its_last_holder() -> None:
    """A flow that turns out to be something else stays blocked; or blocks, by its end, what another flow still holds."""
    slot = made()
    slot.hold(key(1), 100)
    slot.hold(key(1), 101)
    slot.hold(key(1), 102)
    slot.take_pending()
    slot.release(key(1), 103, True)
    slot.release(key(1), 103, False)
    assert slot.take_pending() == ([], [], [])
    slot.release(key(1), 103, True)
    assert slot.take_pending() == ([], [], [key(1)])
    assert not slot.live and not slot.holders.more
    slot.release(key(1), 104, True)
    assert slot.take_pending() == ([], [], []), "it was released by all already"


def test_an_element_whose_flows_have_ended_stays_for_its_time() -> None:
    """A connection that is over frees its address at once: its next connection would pass for some packets."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.release(key(1), 110, False)
    assert slot.take_pending() == ([], [], [])
    assert slot.expires(key(1)) == 160
    slot.hold(key(1), 140)
    assert slot.take_pending() == ([], [key(1)], [])
    assert slot.expires(key(1)) == 200
    slot.release(key(1), 150, True)
    assert slot.take_pending() == ([], [], [key(1)]), "it has one holder again, and goes with it"
    slot.hold(key(2), 150)
    slot.release(key(2), 151, False)
    slot.expire(210 + GRACE)
    assert not slot.live


def test_what_changes_within_a_turn_reaches_the_kernel_as_it_ends() -> None:
    """The kernel would be told to remove what is there to stay, or keep what was taken back before it was added."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.release(key(1), 100, True)
    assert slot.take_pending() == ([], [], []), "never added"
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.release(key(1), 101, True)
    slot.hold(key(1), 101)
    assert slot.take_pending() == ([], [key(1)], []), "it never left, and has a whole life again"
    slot.hold(key(2), 101)
    slot.take_pending()
    slot.want(key(2), 140)
    slot.release(key(2), 140, True)
    assert slot.take_pending() == ([], [], [key(2)]), "not refreshed as well"


def test_what_ends_by_itself_is_not_taken_out() -> None:
    """The kernel may have dropped it a moment ago, and would refuse the whole transaction."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.release(key(1), 159, True)
    assert slot.take_pending() == ([], [], [])
    assert not slot.live


def test_forever_is_taken_back_too() -> None:
    slot = made(ttl=0)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.release(key(1), 200, False)
    assert slot.expires(key(1)) == 0
    slot.hold(key(1), 300)
    slot.release(key(1), 300, True)
    assert slot.take_pending() == ([], [], [key(1)])


def test_holders_are_counted_right_whatever_happens() -> None:
    """The oracle is a set of holders for each element; what the kernel holds must be what it says at every turn."""
    rng = Random(7)
    slot = made(ttl=0)
    slot.carried_over = False
    holders: dict[int, set[int]] = {number: set() for number in range(5)}
    loose: set[int] = set()
    asleep: set[int] = set()
    kernel: set[bytes] = set()
    for _ in range(40_000):
        flow, number = rng.randrange(4), rng.randrange(5)
        if rng.random() < 0.1:
            # It has expired, or somebody has emptied the set.
            gone = [number] if rng.random() < 0.9 else list(holders)
            slot.forget([key(one) for one in gone]) if len(gone) == 1 else slot.clear()
            for one in gone:
                for pending in (slot.adds, slot.refreshes, slot.dels):
                    pending.pop(key(one), None)
                kernel.discard(key(one))
                loose.discard(one)
                asleep |= {one} if holders[one] else set()
        elif flow not in holders[number]:
            slot.hold(key(number), 1)
            holders[number].add(flow)
            loose.discard(number)
            asleep.discard(number)
        elif rng.random() < 0.3:
            slot.want(key(number), 1)
            asleep.discard(number)
        else:
            withdraw = rng.random() < 0.7
            slot.release(key(number), 1, withdraw)
            holders[number].discard(flow)
            if not holders[number]:
                if not withdraw and number not in asleep:
                    loose.add(number)
                asleep.discard(number)
        if rng.random() < 0.4:
            adds, refreshes, removals = slot.take_pending()
            assert not kernel & set(adds) and set(removals) <= kernel and set(refreshes) <= kernel
            kernel = (kernel | set(adds)) - set(removals)
            awake = {number for number in holders if holders[number]} - asleep
            assert kernel == {key(number) for number in awake | loose}
    assert not slot.holders.asleep.keys() - {key(number) for number in asleep}


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
    assert slot.take_pending() == ([key(1)], [key(2)], [])


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
    assert slot.take_pending() == ([key(1)], [], [])
    assert key(1) in slot.live


def test_a_set_without_timeouts_is_never_refreshed() -> None:
    """Each element would be deleted and added again for nothing."""
    slot = Slot(0, slot_data("nftset", ttl=60) | {"timeouts": False}, Counters("target", "nftset"))
    slot.want(key(1), 1)
    slot.want(key(1), 1000)
    assert slot.take_pending() == ([key(1)], [], [])


def test_what_the_kernel_refused_is_added_when_seen_again() -> None:
    """A set that was full for a second would miss a flow for its whole life."""
    slot = made()
    slot.want(key(1), 1)
    slot.take_pending()
    slot.forget([key(1), key(2)])
    slot.want(key(1), 2)
    assert slot.take_pending() == ([key(1)], [], [])


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan of random addresses would take the router's memory."""
    monkeypatch.setattr(slots, "MAX_LIVE", 10)
    slot = made(ttl=0)
    for number in range(100):
        slot.want(key(number), 1)
        assert len(slot.live) <= 10
    assert key(99) in slot.live


def test_an_element_that_expired_under_two_flows_has_two_holders_again() -> None:
    """Two idle connections to one server: one turns out to be something else, and the other would lose its element."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.hold(key(1), 100)
    slot.expire(160 + GRACE)
    assert not slot.live
    slot.want(key(1), 170)
    slot.want(key(1), 170)
    slot.take_pending()
    slot.release(key(1), 171, True)
    assert slot.take_pending() == ([], [], []), "the other flow holds it"
    slot.release(key(1), 171, True)
    assert slot.take_pending() == ([], [], [key(1)])


def test_what_a_shorter_ttl_has_left_behind_goes_with_its_last_flow() -> None:
    """The element with the ttl of before would stay for its whole time after the flow is known to be something else."""
    slot = made(ttl=86400)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.take(slot.data | {"ttl": 60})
    slot.release(key(1), 101, True)
    assert slot.take_pending() == ([], [], [key(1)])


def test_a_burst_within_a_second_is_bounded_as_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick way for many elements of one second would pass the bound of the table."""
    monkeypatch.setattr(slots, "MAX_LIVE", 10)
    slot = made(ttl=60)
    for number in range(35):
        slot.hold(key(number), 100)
        assert len(slot.live) <= 10
    assert set(slot.live) == set(map(key, range(30, 35))) | set(map(key, range(25, 30)))
    assert len(slot.take_pending()[0]) == 35, "the kernel gets them all"


def test_a_burst_after_an_element_was_taken_out_adds_and_refreshes_as_always() -> None:
    """An element that was to be taken out in this turn would be added, which the kernel refuses; or go in spite of a holder."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.release(key(1), 100, True)
    slot.hold(key(2), 100)
    slot.hold(key(1), 100)
    assert slot.take_pending() == ([key(2)], [key(1)], [])


def test_what_an_earlier_life_may_have_left_is_taken_out_for_a_while_only() -> None:
    """Elements of before a restart would stay though their flow is reclassified; or, for ever after, each such flow would cost
    the kernel a removal of what is not there."""
    for managed, ttl, until in ((True, 60, CARRIED), (True, 2 * CARRIED, 2 * CARRIED), (False, 60, None)):
        slot = made(ttl=ttl)
        slot.data["managed"] = managed
        slot.keep_carried(100)
        for now, carried in ((100, True), (99 + (until or CARRIED), True), (100 + (until or CARRIED), until is None)):
            slot.expire(now)
            assert slot.carried_over is carried
            slot.hold(key(1), now)
            slot.take_pending()
            slot.forget([key(1)])  # the kernel did not take it: it may be there from before
            slot.release(key(1), now, True)
            assert slot.take_pending() == ([], [], [key(1)] if carried else [])


def test_a_purge_leaves_an_element_to_its_time_and_the_next_flow_has_it_again() -> None:
    """An element would go with the purge of its flow, before its ttl; or stay when the next flow with it is reclassified."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.release(key(1), 110, False)
    assert slot.take_pending() == ([], [], []) and slot.expires(key(1)) == 160 and key(1) in slot.live
    slot.hold(key(1), 120)
    assert slot.take_pending() == ([], [], []), "more than half of its life is left"
    slot.release(key(1), 121, True)
    assert slot.take_pending() == ([], [], [key(1)])
    slot.hold(key(1), 130)
    slot.take_pending()
    slot.release(key(1), 131, False)
    slot.expire(190 + GRACE)
    assert not slot.live and slot.take_pending() == ([], [], []), "the kernel has dropped it"
    slot.release(key(1), 200, True)
    assert slot.take_pending() == ([], [], [])
