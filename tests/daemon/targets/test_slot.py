"""The life of an element, by a clock of the test: added once, refreshed while it is wanted, forgotten when it is over."""

from __future__ import annotations

from random import Random

import pytest
from fake_kernel import key, slot_data

from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.sets import slot as slots
from nfa.daemon.targets.sets.slot import CARRIED, GRACE, Slot
from nfa.daemon.targets.sets.states import GONE, IS_REFUSED, MADE


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


def test_a_set_that_cannot_be_made_yet_may_still_hold_elements_of_before() -> None:
    """A kernel that is busy at the start: elements of before the restart would be added, not refreshed, and end too early."""
    slot = made(ttl=60)
    for now in (100, 100 + 2 * CARRIED):
        slot.expire(now)
        assert slot.carried_over is True


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


def test_an_element_with_a_ttl_of_a_second_is_refreshed_each_time() -> None:
    """A ttl of 1 has no half: the element would never be refreshed, and its flow lose it every second."""
    slot = made(ttl=1)
    slot.want(key(1), 100)
    slot.take_pending()
    slot.want(key(1), 100)
    assert slot.take_pending() == ([], [key(1)], [])
    slot.want(key(1), 101)
    assert (slot.take_pending(), slot.expires(key(1))) == (([], [key(1)], []), 102)


def test_what_is_new_is_not_refreshed_in_the_same_turn() -> None:
    """Each new element of a set with a short ttl would be sent four times instead of once."""
    slot = made(ttl=1)
    slot.hold(key(1), 100)
    slot.hold(key(1), 100)
    assert slot.take_pending() == ([key(1)], [], [])


def test_the_first_second_of_the_clock_is_one_like_others() -> None:
    """The elements of a daemon that starts with the router would never end, or at once."""
    slot = made(ttl=60)
    for number in (1, 2):
        slot.hold(key(number), 1)
    assert [slot.expires(key(number)) for number in (1, 2)] == [61, 61]


@pytest.mark.parametrize(("left", "taken"), [(0, False), (1, False), (2, True)])
def test_the_last_second_of_an_element_is_left_to_the_kernel(left: int, taken: bool) -> None:
    """Up to a second the kernel may have dropped it; with more, it would block for longer than it should."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.release(key(1), 160 - left, True)
    assert slot.take_pending() == ([], [], [key(1)] if taken else [])


def test_how_long_an_element_has_left() -> None:
    """Elements that are put back would stay for a time of their own; "0 seconds" means for ever."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.hold(key(2), 110)
    slot.release(key(2), 111, False)
    keys = [key(1), key(2), key(3)]
    assert [slot.expires(one) for one in keys] == [160, 170, 0]
    assert slot.left(keys, 120) == [40, 50, 0]
    assert slot.left(keys, 159) == [1, 11, 0]
    assert slot.left(keys, 165) == [1, 5, 0], "it ends at the next moment, not never"
    forever = made(ttl=0)
    forever.hold(key(1), 100)
    assert (forever.expires(key(1)), forever.left([key(1)], 200)) == (0, [0])


def test_status_counts_what_is_in_the_set() -> None:
    """Status would count elements that were lost, or that wait for a set that takes none."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.owe_pending()
    assert (slot.present, slot.state.away, slot.has(key(1))) == (0, 0, False), "there is no set"
    slot.state.happens(MADE, 1)
    assert (slot.present, slot.has(key(1))) == (0, False), "it is owed"
    slot.state.take_all()
    slot.state.restored()
    assert (slot.present, slot.has(key(1)), slot.has(key(2))) == (1, True, False)
    slot.hold(key(2), 101)
    slot.take_pending()
    slot.state.lost_some([key(2)])
    assert (slot.present, slot.has(key(1)), slot.has(key(2))) == (1, True, False)
    slot.state.lost(5, 5)
    assert slot.present == 0, "more is lost than is wanted by now"


def test_what_a_set_refuses_for_now_is_owed_once() -> None:
    """Elements that wait would be sent with the next turn, to a kernel that has just refused all; or counted twice."""
    slot = made(ttl=60)
    slot.state.happens(MADE, 0)
    slot.state.happens(IS_REFUSED, 0)
    slot.hold(key(1), 100)
    slot.hold(key(2), 100)
    slot.owe_pending()
    slot.owe_pending()
    assert (slot.present, slot.state.away, list(slot.live)) == (0, 2, [key(1), key(2)])
    slot.want(key(1), 140)
    slot.release(key(2), 140, True)
    slot.owe_pending()
    assert slot.take_pending() == ([], [], [key(2)]), "what is to be taken out is not forgotten"


def test_what_is_taken_out_is_not_put_back() -> None:
    """Healing would put an element back whose flow is known to be something else."""
    slot = made(ttl=60)
    slot.state.happens(MADE, 0)
    for number in (1, 2, 3):
        slot.hold(key(number), 100)
    slot.take_pending()
    slot.state.lost_some([key(1), key(2), key(3)])
    slot.release(key(1), 101, True)
    slot.forget([key(2)])
    assert list(slot.state.owed) == [key(3)]
    assert slot.state.away == 1


def test_what_is_forgotten_twice_has_no_holder_more() -> None:
    """An address would stay blocked: a flow that never was would hold it."""
    slot = made(ttl=60)
    slot.carried_over = False
    slot.hold(key(1), 100)
    slot.forget([key(1)])
    slot.forget([key(1), key(2)])
    assert slot.holders.asleep == {key(1): 1}
    slot.hold(key(3), 100)
    slot.release(key(3), 100, False)
    slot.forget([key(3)])
    assert slot.holders.asleep == {key(1): 1}, "nobody held it any longer"


def test_a_new_ttl_begins_with_the_elements_next_sighting() -> None:
    """Elements with the ttl of before would be taken for new ones: adding them would not lengthen their life."""
    slot = made(ttl=86400)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.begin(True)
    slot.take(slot.data | {"managed": False})
    assert (slot.carried_over, key(1) in slot.live, slot.state.managed) == (False, True, False), "nothing else has changed"
    slot.hold(key(2), 100)
    assert slot.expires(key(2)) == 86500
    slot.take(slot.data | {"ttl": 60})
    assert (slot.carried_over, slot.live, slot.ttl) == (True, {}, 60)
    slot.hold(key(3), 100)
    assert slot.expires(key(3)) == 160, "not that of an element of the same second before"
    slot.take(slot.data | {"ttl": 60, "timeouts": False})
    slot.hold(key(3), 101)
    assert (slot.ttl, slot.expires(key(3))) == (0, 0)


def test_what_could_not_be_taken_out_waits_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that refuses for an hour would cost the router's memory; or what a flow wants again would be taken out."""
    monkeypatch.setattr(slots, "MAX_LIVE", 3)
    slot = made(ttl=0)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.postpone([key(1), key(2), key(3), key(4), key(5), key(6)])
    assert list(slot.dels) == [key(2), key(3), key(4)]
    assert slot.counters.errors == 2


def test_elements_that_were_not_to_stay_leave_the_memory_when_it_is_short() -> None:
    """A purge for want of memory would free none, or forget what living flows hold."""
    slot = made(ttl=0)
    slot.begin(True)
    for number in (1, 2):
        slot.hold(key(number), 100)
    slot.release(key(1), 101, False)
    slot.take_pending()
    slot.evict_idle()
    assert list(slot.live) == [key(2)]
    assert slot.carried_over is True, "the kernel still has the first"


def test_the_daemons_own_flush_leaves_nothing_pending() -> None:
    """`nfa flush` would be followed by elements of the turn before it, or by removals of what is gone."""
    slot = made(ttl=60)
    slot.state.happens(MADE, 0)
    for number in (1, 2, 3):
        slot.hold(key(number), 100)
    slot.take_pending()
    slot.state.lost_some([key(1)])
    slot.hold(key(4), 130)
    slot.want(key(2), 130)
    slot.release(key(3), 130, True)
    slot.clear()
    assert slot.take_pending() == ([], [], [])
    assert (slot.live, slot.present, slot.state.owed) == ({}, 0, {})
    slot.want(key(2), 131)
    assert slot.take_pending() == ([key(2)], [], []), "its flow lives, and brings it back"


def test_idle_elements_of_many_seconds_keep_few_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that only grows would take the router's memory within days."""
    monkeypatch.setattr(slots, "MAX_COMPLEMENTS", 3)
    slot = made(ttl=600)
    for number in range(10):
        slot.hold(key(number), 100 + number)
        slot.release(key(number), 100 + number, False)
        assert 1 <= len(slot._complements) <= 3
    assert [slot.expires(key(number)) for number in range(10)] == list(range(700, 710))
    slot.hold(key(20), 109)
    slot.release(key(20), 109, False)
    assert slot.live[key(20)] is slot.live[key(9)], "one object for all of a second"


def test_elements_of_a_second_share_its_object() -> None:
    """32 bytes more for each of 50,000 elements."""
    slot = made(ttl=100_000)
    for number in (1, 2, 3):
        slot.want(key(number), 100)
    assert slot.live[key(1)] is slot.live[key(2)] is slot.live[key(3)]


def test_elements_expire_where_a_dict_has_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """MicroPython: elements would stay in memory for ever, or be forgotten while they are in the set."""
    monkeypatch.setattr(slots, "ORDERED", False)
    slot = made(ttl=60)
    rng = Random(3)
    ends: dict[bytes, int] = {}
    for now in range(100, 400):
        if now % 3:
            one = key(rng.randrange(1000))
            if one not in slot.live:
                slot.hold(one, now)
                ends[one] = now + 60
                if now % 2:
                    slot.release(one, now, False)
            # As MicroPython has it: in any order.
            shuffled = list(slot.live.items())
            rng.shuffle(shuffled)
            slot.live = dict(shuffled)
        slot.expire(now)
        ends = {one: end for one, end in ends.items() if end > now - GRACE}
        assert slot.live.keys() == ends.keys()
    for now in range(400, 460 + GRACE):
        slot.expire(now)
    assert not slot.live


class _Watched(dict[bytes, int]):
    """A table that counts how often all of it is looked at."""

    looks = 0

    def items(self):  # type: ignore[no-untyped-def,override]
        self.looks += 1
        return super().items()


def test_a_table_without_order_is_not_searched_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """MicroPython would walk through 20,000 elements every second, on the slowest of routers."""
    monkeypatch.setattr(slots, "ORDERED", False)
    slot = made(ttl=600)
    slot.live = watched = _Watched()
    for now in range(100, 700 + GRACE):
        if now in (100, 110):
            slot.want(key(now), now)
        slot.expire(now)
    assert watched.looks <= 3
    assert len(watched) == 2


@pytest.mark.parametrize("ttl", [0, 60])
def test_an_element_that_another_target_holds_stays_in_their_set(ttl: int) -> None:
    """Two targets with one set: the end of a flow of the one would unblock what the other blocks."""
    one, other, different = (Slot(number, slot_data("nftset", ttl=ttl), Counters("t", "nftset")) for number in (1, 2, 3))
    different.data = different.data | {"fields": ("other_addr", "other_port")}
    one.siblings = [different, other]
    for number in (1, 2, 3):
        one.hold(key(number, 1), 100)
        other.hold(key(number, 2), 100)
        different.hold(key(number, 3), 100)
    one.take_pending()
    other.release(key(2, 2), 101, True)
    other.release(key(3, 2), 101, False)
    for number in (1, 2, 3):
        one.release(key(number, 1), 101, True)
    one.keep_of_siblings()
    assert list(one.dels) == [key(2, 1), key(3, 1)], "what the other still holds stays"


def test_what_is_new_can_be_taken_without_the_rest() -> None:
    """A full set: what is refused would be sent again with the next turn, and what is refreshed be refused with it."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.hold(key(2), 100)
    slot.take_pending()
    slot.want(key(1), 140)
    slot.hold(key(3), 140)
    slot.release(key(2), 140, True)
    assert slot.take_adds() == [key(3)]
    assert slot.take_adds() == []
    assert slot.take_pending() == ([], [key(1)], [key(2)])


@pytest.mark.parametrize("ttl", [0, 60])
def test_what_no_flow_holds_any_longer_goes_with_its_cause(ttl: int) -> None:
    """Bedtime is over, and what flows that have ended left behind stays blocked: for its ttl, or for ever where that is 0."""
    slot = made(ttl=ttl)
    for number in (1, 2, 3):
        slot.hold(key(number), 100)
    slot.take_pending()
    for number in (1, 2):
        slot.release(key(number), 110, False)
    idle = slot.idle()
    assert idle == [key(1), key(2)], "the third is held"
    slot.hold(key(2), 111)
    slot.withdraw_idle([*idle, key(3), key(4)], 112)
    assert slot.take_pending() == ([], [], [key(1)])
    assert list(slot.live) == [key(2), key(3)] and not slot.idle(), "a flow came meanwhile"


@pytest.mark.parametrize(("left", "taken"), [(0, False), (1, False), (2, True)])
def test_the_last_second_of_an_idle_element_is_left_to_the_kernel(left: int, taken: bool) -> None:
    """The kernel may have dropped it: the whole batch would be refused for it; or it would block when bedtime is over."""
    slot = made(ttl=60)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.release(key(1), 110, False)
    slot.withdraw_idle([key(1)], 160 - left)
    assert (slot.take_pending(), slot.live) == (([], [], [key(1)] if taken else []), {})


def test_an_idle_element_that_others_removed_is_not_restored_when_its_cause_has_ended() -> None:
    """Another program empties the set in the second in which bedtime ends: healing would block again what is free."""
    slot = made(ttl=60)
    slot.state.happens(MADE, 0)
    for number in (1, 2):
        slot.hold(key(number), 100)
    slot.take_pending()
    slot.release(key(1), 110, False)
    slot.state.lost_some([key(1), key(2)])
    slot.withdraw_idle([key(1)], 111)
    assert list(slot.state.owed) == [key(2)] and (slot.state.away, slot.present) == (1, 0)


def test_a_slot_out_of_use_gives_back_all_that_the_kernel_may_have() -> None:
    """A target that was deleted from the policy would block on; and one that comes back would count holders of before."""
    slot = made(ttl=60)
    slot.state.happens(MADE, 0)
    for number in (1, 2, 3):
        slot.hold(key(number), 100)
    slot.hold(key(2), 100)
    slot.take_pending()
    slot.forget([key(3)])  # the kernel may have it all the same, with the timeout of before
    slot.want(key(1), 140)
    slot.hold(key(4), 140)
    assert slot.withdraw_all() == 3, "the fourth was never sent"
    assert [slot.take_dels(2), slot.take_dels(2), slot.take_dels(2)] == [[key(2), key(1)], [key(3)], []]
    assert slot.take_pending() == ([], [], []) and not slot.live
    slot.hold(key(2), 150)
    slot.take_pending()
    slot.release(key(2), 151, True)
    assert slot.take_pending() == ([], [], [key(2)])


def test_a_slot_out_of_use_whose_set_is_away_has_nothing_to_give_back() -> None:
    """A set that somebody deleted: its elements would be asked for until an error says that they remain."""
    slot = made(ttl=60)
    slot.state.happens(MADE, 0)
    slot.hold(key(1), 100)
    slot.take_pending()
    slot.state.happens(GONE, 1)
    assert slot.withdraw_all() == 0
    assert slot.take_pending() == ([], [], []) and not slot.live


@pytest.mark.parametrize("managed", [True, False])
def test_how_a_set_of_somebody_else_looks_is_asked_for_again(managed: bool) -> None:
    """An administrator makes the set again, with ranges: single elements would be refused until the next reload; and our own
    sets, which nobody changes, would be asked for with each batch."""
    slot = made()
    slot.data["managed"] = managed
    slot.encoder = encoder = object()
    slot.renew_form()
    assert slot.encoder is (encoder if managed else None)
