"""The elements of a map: whatever flows do, the kernel has for each what all of its flows want together."""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

from fake_kernel import slot_data
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.firewall import maps
from nfa.daemon.targets.firewall.combinations import Combinations
from nfa.daemon.targets.firewall.maps import MapSlot
from nfa.daemon.targets.sets.states import MADE

EFFECTS: dict[str, Any] = {
    name: {
        "scope": "device",
        "hook": "forward",
        "block": name == "stop",
        "chains": (f"t_{name}", f"t_{name}_in"),
        "order": order,
    }
    for order, name in enumerate(("stop", "first", "slow"))
}


class Bench:
    """A map, its combinations, and what a kernel would have."""

    def __init__(self) -> None:
        self.combinations = Combinations()
        self.combinations.effects = EFFECTS
        data = slot_data("nftset") | {"map": ("forward", "device", "up"), "managed": True}
        self.slot = MapSlot(1, data, Counters("firewall", "nftset"), self.combinations, self.union, lambda *how: None)
        self.slot.state.happens(MADE, 0)
        self.kernel: dict[bytes, bytes] = {}

    def end(self, *targets: str) -> bytes:
        found = self.combinations.find([("a", name) for name in targets], 0, lambda: None)
        assert found is not None
        return found.suffix

    def union(self, ends: list[bytes]) -> bytes:
        found = self.combinations.union([int.from_bytes(end, sys.byteorder) for end in ends], lambda: None)
        assert found is not None
        return found.suffix

    def commit(self) -> None:
        added, refreshed, removed = self.slot.take_pending()
        for key in removed:
            assert self.kernel.pop(key[:-2]) == key[-2:], "the kernel has it with another verdict"
        for key in refreshed:
            assert self.kernel[key[:-2]] == key[-2:], "the kernel would refuse it"
        for key in added:
            assert key[:-2] not in self.kernel, "the kernel would refuse it"
            self.kernel[key[:-2]] = key[-2:]

    def chains(self, element: bytes) -> tuple[str, ...]:
        number = int.from_bytes(self.kernel[element], sys.byteorder)
        return self.combinations.chains_now(self.combinations.by_number[number])


_WISHES = [("stop",), ("first",), ("slow",), ("first", "slow"), ("stop", "slow"), ()]
_STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from(_WISHES), st.booleans(), st.integers(0, 400)), max_size=60
)


@given(_STEPS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_kernel_has_what_all_flows_of_an_element_want(
    steps: list[tuple[int, int, tuple[str, ...], bool, int]], few: bool
) -> None:
    """A tablet that one action blocks and another slows down would be set free by the end of a connection; or an element that
    is in the kernel with another verdict would be refused. `few`: places of elements are counted again each time."""
    with patch.object(maps, "MIN_ROOM", 1 if few else maps.MIN_ROOM), patch.object(maps, "MIN_PLACES", 4 if few else 1024):
        _steps(steps)


def _steps(steps: list[tuple[int, int, tuple[str, ...], bool, int]]) -> None:
    bench = Bench()
    held: dict[int, tuple[bytes, tuple[str, ...]]] = {}
    now = 1000
    for flow, device, wishes, commit, later in steps:
        # As the engine does it: what a flow wants now comes before what it no longer wants.
        before = held.pop(flow, None)
        element = b"\x00\x01" + bytes((10, 0, 0, device))
        if wishes:
            key = element + bench.end(*wishes)
            if before is not None and before[0] == key:
                bench.slot.want(key, now)
            else:
                bench.slot.hold(key, now)
            held[flow] = key, wishes
        if before is not None and (flow not in held or held[flow][0] != before[0]):
            bench.slot.release(before[0], now, True)
        if commit:
            bench.commit()
        now += later if commit and later > 390 else 0  # past the timeout, the kernel drops everything
        if commit and later > 390:
            bench.kernel.clear()
            bench.slot.expire(now)
            for one, _ in held.values():
                bench.slot.want(one, now)
    bench.commit()
    for device in range(3):
        element = b"\x00\x01" + bytes((10, 0, 0, device))
        wanted = [wishes for key, wishes in held.values() if key[:-2] == element]
        assert (element in bench.kernel) == bool(wanted)
        if wanted:
            names = {name for wishes in wanted for name in wishes}
            expected = {"t_stop"} if "stop" in names else {f"t_{name}" for name in names}
            assert set(bench.chains(element)) == expected
    restored = bench.slot.in_effect(list(bench.slot.live))
    assert {key[:-2]: key[-2:] for key in restored} == bench.kernel and len(restored) == len(bench.kernel)


def test_what_one_action_wants_of_a_connection_is_found_without_a_look_at_the_others() -> None:
    """With 1,000 actions each new connection would cost a tenth of a millisecond, and bedtime would hold up the daemon."""

    class Counting(dict[int, Any]):
        looks = 0

        def values(self) -> Any:
            self.looks += 1
            return super().values()

    bench = Bench()
    known = bench.combinations.by_number = Counting()
    ends = [bench.end("stop")]
    for number in range(99):
        found = bench.combinations.find([(f"action {number}", "stop")], 0, lambda: None)
        assert found is not None
        ends.append(found.suffix)
    keys = [b"\x00\x01" + number.to_bytes(4, "big") + ends[number % 100] for number in range(5000)]
    for turn in range(100):
        for key in keys[turn * 50 : turn * 50 + 50]:
            bench.slot.hold(key, 1000)
        bench.commit()
    for turn in range(100):
        for key in keys[turn * 50 : turn * 50 + 50]:
            bench.slot.release(key, 1000, True)
        bench.commit()
    assert not bench.kernel
    assert known.looks < 5000 * 2 * 2 * 0.25, "of those that come, and go, each before and after"


def test_refreshes_alone_go_once_a_second() -> None:
    """With 50,000 connections held, each costs the kernel 5 ms: the daemon would do nothing else."""
    bench = Bench()
    keys = [b"\x00\x01" + number.to_bytes(4, "big") + bench.end("stop") for number in range(3)]
    for key in keys:
        bench.slot.hold(key, 1000)
    bench.commit()
    bench.slot.expire(1050)
    for key, sent in zip(keys, (1, 0, 0), strict=True):
        bench.slot.want(key, 1050)
        assert len(bench.slot.take_pending()[1]) == sent
    bench.slot.expire(1051)
    assert set(bench.slot.take_pending()[1]) == set(keys[1:])


def test_of_too_many_combinations_only_the_targets_are_told_apart() -> None:
    """Strangers choose host names, and with them combinations: the kernel would get a chain for each of a million."""
    combinations = Combinations()
    combinations.effects = EFFECTS
    for number in range(3000):
        found = combinations.find([(f"action {number}", "first"), (f"action {number}", "slow")], 0, lambda: None)
        assert found is not None and combinations.chains_now(found) == ("t_first", "t_slow")
    assert len(combinations.by_number) == 1025


def test_a_number_is_given_again_only_when_nobody_has_it() -> None:
    """An element would lead to the chain of another combination."""
    combinations = Combinations()
    combinations.effects = EFFECTS
    first = combinations.find([("a", "stop")], 0, lambda: None)
    assert first is not None and first.chain == "c0001"
    first.chains = ("t_stop",)
    gone = combinations.forget(set())
    assert [one.chain for one in gone] == ["c0001"] and not combinations.by_number
    second = combinations.find([("a", "stop")], 0, lambda: None)
    assert second is not None and second.chain == "c0002"
    assert not combinations.forget(set()), "its chain was never made"


def test_effects_come_in_the_order_of_the_configuration() -> None:
    """Of two classes the header would have one, and the mark of the connection the other."""
    combinations = Combinations()
    combinations.effects = EFFECTS
    for pairs in ([("a", "slow"), ("b", "first")], [("a", "first"), ("b", "slow")]):
        found = combinations.find(pairs, 0, lambda: None)
        assert found is not None and combinations.chains_now(found) == ("t_first", "t_slow")


def test_what_has_ended_has_no_chain() -> None:
    """A pause, or the end of hours, would reach packets only when each flow has been looked at."""
    combinations = Combinations()
    combinations.effects = EFFECTS
    found = combinations.find([("night", "stop"), ("work", "first")], 0, lambda: None)
    assert found is not None and found.pairs == (("night", "stop"),), "a block wins"
    combinations.applies = lambda action, target: action != "night"
    assert combinations.chains_now(found) == ()
