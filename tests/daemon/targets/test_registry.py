"""Targets over reloads: what stays the same keeps its elements, what goes is closed, and nobody gets another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import house as daemon_house
import pytest
import samples
from fake_kernel import Kernel, Mute, slot_data

from nfa.daemon.targets.registry import Registry
from nfa.daemon.targets.sets.writer import Sets
from nfa.daemon.targets.target import interface_test


def image(*slots: dict[str, Any], interface: str = "*", logs: tuple[str, ...] = ()) -> dict[str, Any]:
    """The part of a policy image that targets are made from, one slot a target."""
    names = dict.fromkeys(data["target"] for data in slots)
    targets = [
        {"name": name, "type": next(s["kind"] for s in slots if s["target"] == name), "enabled": True, "active": True,
         "cut": False, "interface": interface, "options": {},
         "slots": tuple(i for i, s in enumerate(slots) if s["target"] == name)}
        for name in names
    ]  # fmt: skip
    options = {"path": "/nowhere", "prefix": "x", "suffix": ".json", "interval": 60, "max_files": 9, "max_bytes": 9999}
    targets += [
        {"name": name, "type": "log", "enabled": True, "active": True, "cut": False, "interface": "*", "options": options,
         "slots": ()}
        for name in logs
    ]  # fmt: skip
    return {"slots": list(slots), "targets": targets}


class House:
    """A registry over a fake kernel."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        sets = Sets(lambda level, text: None, lambda *news: None)
        sets._nft = sets._ipset = self.kernel  # type: ignore[assignment]
        sets._dump = Mute()  # type: ignore[assignment]
        self.files: list[str] = []
        self.registry = Registry(sets, self.write, lambda level, text: None, lambda *news: None)

    def write(self, folder: str, prefix: str, suffix: str, data: bytes, *bounds: float) -> str:
        self.files.append(prefix)
        return ""

    def load(self, data: dict[str, Any], now: int = 1) -> list[int]:
        numbers = self.registry.number_slots(data)
        functions = [
            lambda record, flow, number=number: number.to_bytes(2, "big") + bytes(map(int, flow["other_ip"].split(".")))
            for number in numbers
        ]
        self.registry.retire(self.registry.adopt(self.registry.prepare(data, numbers, functions), now))
        return numbers


def record(number: int, **fields: Any) -> dict[str, Any]:
    return {"interface": "br-lan", "internal": True} | fields | {"flow": {"ip_version": 4, "other_ip": f"10.0.0.{number}"}}


def test_a_reload_keeps_elements_of_sets_that_stay() -> None:
    """SIGHUP would add all elements again, or lose those of live flows."""
    house = House()
    first = slot_data("nftset", "a", set_name="a")
    numbers = house.load(image(first))
    target = house.registry.targets["a"]
    one = record(1)
    held = target.apply(one, one["flow"], 1, None)
    house.registry.commit(1)
    sends = house.kernel.sends
    changed = slot_data("nftset", "a", set_name="a", ttl=120)
    assert house.load(image(changed, slot_data("ipset", "b", set_name="b")))[0] == numbers[0]
    slot = house.registry.by_number[numbers[0]]
    assert slot.ttl == 120
    assert not slot.live, "in the kernel it still has the ttl of before"
    house.load(image(changed, slot_data("ipset", "b", set_name="b")))
    assert house.registry.by_number[numbers[0]] is slot
    sends = house.kernel.sends
    house.registry.refresh(held, 2)
    house.registry.commit(2)
    assert held in slot.live
    assert [entry[0] for entry in house.kernel.log[-3:]] == ["add", "del", "add"], "renewed with the ttl of now"
    assert house.kernel.sends == sends + 1
    house.load(image(changed, slot_data("ipset", "b", set_name="b")))
    assert held in slot.live, "a reload that changes nothing costs nothing"


@pytest.mark.parametrize("before, after", [(3, 0), (0, 3), (300, 4)])
def test_a_reload_with_another_ttl_renews_what_flows_hold(before: int, after: int) -> None:
    """An element with the timeout of before would go, and the daemon would believe that it is there for ever."""
    house = House()
    house.load(image(slot_data("nftset", "a", set_name="a", ttl=before)))
    one = record(1)
    held = house.registry.targets["a"].apply(one, one["flow"], 1, None)
    house.registry.commit(1)
    house.load(image(slot_data("nftset", "a", set_name="a", ttl=after)))
    house.registry.refresh(held, 2)
    house.registry.commit(2)
    assert [entry[0] for entry in house.kernel.log[-3:]] == ["add", "del", "add"]


def test_a_second_target_of_a_set_does_not_empty_it() -> None:
    """flush_on_create of a target that is new in the configuration would take away what another one has put in."""
    house = House()
    first = slot_data("nftset", "a", set_name="a", ttl=0)
    house.load(image(first))
    one = record(1)
    house.registry.targets["a"].apply(one, one["flow"], 1, None)
    house.registry.commit(1)
    house.load(image(first, slot_data("nftset", "b", set_name="a", ttl=0, flush_on_create=True)))
    assert len(house.kernel.sets["a.v4"]) == 1


def test_the_last_entries_of_a_log_that_has_just_gone_are_written() -> None:
    """A reload and a stop within one second would lose them."""
    house = House()
    house.load(image(logs=("l",)))
    flow = {"ip_version": 4, "other_ip": "10.0.0.1", "local_ip": "10.0.0.2", "detected_protocol": 5, "digest": "ab"}
    house.registry.targets["l"].apply({"flow": flow}, flow, 1, None)
    house.load(image())
    house.registry.shut_down(9)
    assert len(house.files) == 1


def test_a_number_is_not_given_to_another_set_soon() -> None:
    """A flow that still holds an element of a deleted set would put it into the new set of that number."""
    house = House()
    (old,) = house.load(image(slot_data("nftset", "a", set_name="a")))
    house.load(image())
    (new,) = house.load(image(slot_data("nftset", "b", set_name="b")))
    assert new != old
    house.registry.refresh(old.to_bytes(2, "big") + b"\x0a\0\0\1", 5)
    house.registry.commit(5)
    assert house.kernel.sets["b.v4"] == []


def test_a_set_out_of_use_is_emptied_if_asked_for_and_used_by_nobody_else() -> None:
    """flush_on_destroy would be ignored, or would empty the set of a target that still runs."""
    house = House()
    leaving = slot_data("nftset", "a", set_name="a", flush_on_destroy=True)
    shared = slot_data("nftset", "b", set_name="a")
    house.load(image(leaving, shared))
    house.kernel.sets["a.v4"].append(b"\x0a\0\0\1")
    house.load(image(shared))
    assert house.kernel.sets["a.v4"]
    house.load(image(leaving))
    house.kernel.sets["a.v4"].append(b"\x0a\0\0\1")
    house.load(image())
    assert not house.kernel.sets["a.v4"]


def test_counters_stay_over_a_reload_as_long_as_the_type_does() -> None:
    """`nfa status` would start from zero with each change of the configuration."""
    house = House()
    house.load(image(slot_data("nftset", "a", set_name="a")))
    counters = house.registry.targets["a"].counters
    counters.added = 5
    house.load(image(slot_data("nftset", "a", set_name="a")))
    assert house.registry.targets["a"].counters is counters
    house.load(image(slot_data("ipset", "a", set_name="a")))
    assert house.registry.targets["a"].counters.added == 0


def test_a_log_that_goes_is_written_first() -> None:
    """A reload would lose what was logged since the last file."""
    house = House()
    house.load(image(logs=("l",)))
    flow = {"ip_version": 4, "other_ip": "10.0.0.1", "local_ip": "10.0.0.2", "detected_protocol": 5, "digest": "ab"}
    house.registry.targets["l"].apply({"flow": flow}, flow, 1, None)
    house.load(image(logs=("l",)))
    assert not house.files
    house.load(image())
    house.registry.tick(2)
    assert len(house.files) == 1
    house.load(image(logs=("l",)))
    house.registry.targets["l"].apply({"flow": flow}, flow, 10, None)
    house.registry.tick(69)
    assert len(house.files) == 1
    house.registry.tick(70)
    assert len(house.files) == 2
    house.registry.targets["l"].apply({"flow": flow}, flow, 80, None)
    house.registry.shut_down(9)
    assert len(house.files) == 3


def test_a_log_with_other_options_knows_the_flows_that_it_has_logged() -> None:
    """Each change of a log's options would log all live flows again."""
    house = House()
    house.load(image(logs=("l",)))
    flow = {"ip_version": 4, "other_ip": "10.0.0.1", "local_ip": "10.0.0.2", "detected_protocol": 5, "digest": "ab"}
    held = house.registry.targets["l"].apply({"flow": flow}, flow, 1, None)
    changed = image(slot_data("nftset", "a", set_name="a"), logs=("l",))
    changed["targets"][-1]["options"] = changed["targets"][-1]["options"] | {"interval": 5}
    house.load(changed)
    assert house.registry.targets["l"].apply({"flow": flow}, flow, 2, held) == held
    house.registry.tick(100)
    house.registry.shut_down(101)
    assert len(house.files) == 1


def test_a_target_takes_flows_of_its_interface_only() -> None:
    """A rule for guests would apply to everybody."""
    assert interface_test("*") is None
    lan, wan, device = interface_test("lan"), interface_test("wan"), interface_test("br-guest")
    inside, outside = record(1, internal=True), record(1, internal=False, interface="br-guest")
    assert [lan(inside), lan(outside), wan(inside), wan(outside)] == [True, False, False, True]
    assert [device(inside), device(outside)] == [False, True]
    assert not lan({}) and not wan({})
    house = House()
    house.load(image(slot_data("nftset", "a", set_name="a"), interface="wan"))
    target = house.registry.targets["a"]
    assert target.apply(inside, inside["flow"], 1, None) is None
    assert target.apply(outside, outside["flow"], 1, None) is not None
    six = {"ip_version": 6, "other_ip": "2001:db8::1"}
    assert target.apply({"internal": False, "flow": six}, six, 1, None) is None, "no IPv6 set was asked for"


def test_a_flow_that_lacks_what_one_target_needs_reaches_the_others(tmp_path: Path) -> None:
    """A record with an odd MAC address would leave an element in the set of the first target for ever, held by nobody."""
    target = {"target_type": "nftset", "managed": True, "target_ttl": 600}
    config = {
        "version": 1,
        "actions": {"a": {"criteria": ["*"], "targets": ["first", "odd", "last"]}},
        "targets": {
            "first": target | {"set_name": "video"},
            "odd": target | {"set_name": "odd", "type": ["local_mac"]},
            "last": target | {"set_name": "games"},
        },
    }
    house = daemon_house.House(tmp_path, config)
    registry = house.daemon.registry
    house.feed(daemon_house.youtube(1, local_mac=5))
    assert [registry.counters(name, "nftset").added for name in ("first", "odd", "last")] == [1, 0, 1]
    assert registry.counters("odd", "nftset").skipped == 1
    house.feed(samples.purge(daemon_house.youtube(1)["flow"]["digest"]))
    assert not [slot for slot in registry.by_number.values() if slot.holders.more or slot.holders.asleep]
    assert all(deadline < 0 for slot in registry.by_number.values() for deadline in slot.live.values()), "no holder is left"


def test_a_connection_is_cut_when_its_element_is_there(tmp_path: Path) -> None:
    """A set that is full for a moment: cut too early, the video would go on unblocked, and would never be cut again."""
    config = {
        "version": 1,
        "actions": {"a": {"criteria": ["*"], "targets": ["nft.video"]}},
        "targets": {"nft.video": {"target_type": "nftset", "set_name": "video", "managed": True, "cut": True, "ttl": 60}},
    }
    house = daemon_house.House(tmp_path, config)
    registry = house.daemon.registry
    cuts: list[bytes] = []
    assert registry.connections is not None
    registry.connections.cut = lambda packed, *_: cuts.append(packed)  # type: ignore[method-assign]
    house.kernel.limits["video.v4"] = 0
    house.feed(daemon_house.youtube(1))
    assert not cuts
    house.kernel.limits.clear()
    for slot in registry.by_number.values():
        slot.state.retry_at = 0
    house.feed(daemon_house.youtube(1))
    assert len(cuts) == 1
    house.feed(daemon_house.youtube(1))
    assert len(cuts) == 1, "once is enough"
