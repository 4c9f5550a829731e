"""The loop and the clock on the wall: what begins at nine begins at nine, whatever else the loop sleeps for.

The time is the test's: a poll that waits for something takes as long as it was asked to, and nothing else takes any.
"""

from __future__ import annotations

import select
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from house import CONFIG, House, youtube

from nfa.daemon.base.dispatcher import Dispatcher
from nfa.daemon.engine.engine import LIFETIME
from nfa.daemon.targets.sets.healing import Healing

BEDTIME = 1_781_557_200  # Monday 2026-06-15 21:00 UTC
HOURS = {"time_start": "21:00", "time_end": "21:00:20"}


class World:
    """Two clocks that go on only while the loop sleeps, and a loop that ends at a moment."""

    def __init__(self, wall: float, uptime: float) -> None:
        self.wall, self.uptime = wall, uptime
        self.house: House | None = None
        self.ends_at = 0.0
        self.seen: list[tuple[float, int]] = []
        """The clock on the wall, and how many elements there were, whenever the loop went to sleep."""

    # -- as select.poll ---------------------------------------------------------------------------------------------

    def register(self, *_: object) -> None:
        pass

    modify = unregister = register

    def poll(self, milliseconds: float) -> list[Any]:
        assert self.house is not None
        self.seen.append((self.wall, len(self.house.kernel.sets["video.v4"])))
        assert milliseconds >= 0, "it would sleep for ever"
        assert len(self.seen) < 100_000, "it does not sleep"
        self.wall += milliseconds / 1000
        self.uptime += milliseconds / 1000
        if self.wall >= self.ends_at:
            self.house.daemon.running = False
        return []

    # -- for tests --------------------------------------------------------------------------------------------------

    def run(self, ends_at: float) -> list[tuple[float, int]]:
        """Let the loop run until the clock on the wall shows `ends_at`. Returns when the number of elements changed."""
        assert self.house is not None
        self.ends_at, self.house.daemon.running = ends_at, True
        del self.seen[:]
        self.house.daemon.loop()
        return [after for before, after in zip(self.seen, self.seen[1:], strict=False) if before[1] != after[1]]


def begin(folder: Path, monkeypatch: pytest.MonkeyPatch, wall: float, uptime: float) -> World:
    """A daemon with a bedtime for videos, and two of them that play."""
    world = World(wall, uptime)
    monkeypatch.setattr(select, "poll", lambda: world)
    monkeypatch.setattr(time, "time", lambda: world.wall)
    monkeypatch.setattr(time, "monotonic", lambda: world.uptime)
    for name, module in list(sys.modules.items()):
        if name.startswith("nfa.daemon") and hasattr(module, "monotonic"):
            monkeypatch.setattr(module, "monotonic", lambda: world.uptime)
    for clocked in (Dispatcher, Healing):  # their clock is a default of the constructor
        monkeypatch.setattr(clocked.__init__, "__defaults__", (lambda: world.uptime,))
    video = CONFIG["actions"]["video"] | {"time_of_day": HOURS, "targets": ["nft.video"]}
    world.house = House(folder, CONFIG | {"actions": {"video": video}, "timezone": "UTC0"})
    world.house.feed(youtube(1), youtube(2))
    return world


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.25, 0.5, 0.77, 0.999])
def test_bedtime_is_when_the_clock_says_so(fraction: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds of the loop's own clock begin at other moments: the film would go on for up to a second."""
    world = begin(tmp_path, monkeypatch, BEDTIME - 9.3, 1000 + fraction)
    [(began, elements), (ended, none)] = world.run(BEDTIME + 30)
    assert (elements, none) == (2, 0)
    assert BEDTIME <= began < BEDTIME + 0.01
    assert BEDTIME + 20 <= ended < BEDTIME + 20.01
    assert len(world.seen) < 100, "and it sleeps in between"


def test_a_clock_that_jumps_over_the_edge_is_noticed_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A router has no clock of its own: NTP sets it, an hour into bedtime."""
    world = begin(tmp_path, monkeypatch, BEDTIME - 3600.6, 1000.2)
    assert world.run(BEDTIME - 3590) == []
    world.wall = BEDTIME + 5.3
    [(began, elements)] = world.run(BEDTIME + 15)
    assert elements == 2 and began < BEDTIME + 6.4


@pytest.mark.parametrize("ages", [1, 2])
def test_what_is_paused_while_silent_flows_end_is_withdrawn_as_well(ages: int, tmp_path: Path) -> None:
    """In the second in which the daemon forgets silent flows, a pause or bedtime's end would leave them blocked."""
    house = House(tmp_path)
    house.feed(youtube(1), youtube(2))
    now = house.daemon.now()
    for age in range(1, ages + 1):
        house.daemon.engine.tick(now + age * LIFETIME)
    assert house.daemon.engine.flows.busy is (ages == 2) and len(house.kernel.sets["video.v4"]) == 2
    house.result("pause", name="video", seconds=3600)
    for _ in range(3):
        house.daemon.dispatcher.turn(10)
    assert not house.kernel.sets["video.v4"] and not house.daemon.engine.flows.busy
