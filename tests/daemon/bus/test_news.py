"""The events: what happened is told once, and what could not be told is counted in the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from house import House, youtube

from nfa.daemon.bus import methods
from nfa.daemon.bus.news import MATCHES_A_SECOND, News


class Bus:
    """Stands for the connection to ubusd; takes events as long as there is room."""

    state = "registered"
    connects = calls = dropped_events = long_answers = 0
    last_error = ""

    def __init__(self) -> None:
        self.room = 1000
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def event(self, name: str, data: dict[str, Any]) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        self.sent.append((name, data))
        return True

    def names(self) -> list[str]:
        return [name for name, _ in self.sent]


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.bus = Bus()  # type: ignore[attr-defined]
    made.daemon.news = News(made.bus)  # type: ignore[attr-defined]
    return made


def bus(house: House) -> Bus:
    found: Bus = house.bus  # type: ignore[attr-defined]
    return found


def turn(house: House, now: int) -> None:
    """The end of a turn of the loop."""
    house.daemon.news.matches(house.daemon.engine, methods.match_of, now)


def test_matches_are_limited_and_the_rest_is_counted(house: House) -> None:
    """A busy network would fill the bus; or nobody would know that most of it was not told."""
    house.feed(*[youtube(number) for number in range(100)])
    turn(house, 5)
    assert len(bus(house).sent) == MATCHES_A_SECOND
    house.feed(youtube(200))
    turn(house, 5)
    assert len(bus(house).sent) == MATCHES_A_SECOND, "not in the same second"
    house.feed(youtube(201))
    turn(house, 6)
    told = sum(1 + data["left_out"] for _, data in bus(house).sent)
    assert told == 102
    assert bus(house).sent[-1][1]["flow"]["other_ip"] == "203.0.0.201"


def test_what_ubusd_did_not_take_is_counted_too(house: House) -> None:
    """Matches that were lost in a full queue would never have been."""
    bus(house).room = 3
    house.feed(*[youtube(number) for number in range(40)])
    turn(house, 5)
    bus(house).room = 100
    house.feed(youtube(50))
    turn(house, 6)
    assert sum(1 + data["left_out"] for _, data in bus(house).sent) == 41


def test_a_change_of_the_source_is_a_loss_of_the_old_one(house: House) -> None:
    """A listener would believe that the new socket was lost, which was never there."""
    daemon = house.daemon
    daemon._connected = True
    daemon.client.uri = "unix:///a"
    daemon.use_source("unix:///nowhere/b")
    assert [(name, data["uri"]) for name, data in bus(house).sent] == [("nfa.source", "unix:///a")]
    daemon.client.close()
    daemon.follow_client()
    assert bus(house).names() == ["nfa.source"], "b was never connected"


def test_trouble_of_a_target_and_its_end_are_told_once(house: House) -> None:
    """A script that mails would mail each second, or never that all is well again."""
    house.kernel.limits["video.v4"] = 1
    house.feed(youtube(1))
    house.feed(youtube(2))
    house.feed(youtube(3))
    house.kernel.limits.clear()
    slot = house.daemon.registry.targets["nft.video"].slots[0]
    slot.state.retry_at = 0
    house.feed(youtube(4))
    told = [(data["state"], data["target"], data["error"]) for name, data in bus(house).sent if name == "nfa.target"]
    assert told == [("error", "nft.video", "is full"), ("restored", "nft.video", "")]


def test_elements_put_back_into_a_deleted_set_are_counted_as_restored(house: House) -> None:
    """`restored` is how an administrator learns that something empties the sets."""
    house.feed(youtube(1))
    del house.kernel.sets["video.v4"]
    clock = house.daemon.now
    house.daemon.now = lambda: clock() + 40  # type: ignore[method-assign]
    house.feed(youtube(1))
    house.daemon.healing.go_on(house.daemon.now(), lambda: False)
    assert house.result("status")["targets"]["nft.video"]["restored"] == 1
