"""A daemon whose policy has budgets, under clocks that the test sets: while there is something left an action does nothing.

Then it acts on what runs; over periods, bonuses, pauses, schedules, reloads and restarts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import samples
from house import CONFIG, House, youtube

from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import compile_policy
from nfa.compiler.config.sources import Sources

Record = dict[str, Any]
MONDAY = 1_781_481_600.0  # 2026-06-15 0:00 UTC
HOUR = 3600
MB = 10**6
TABLET, PHONE = "a4:83:e7:00:00:01", "a4:83:e7:00:00:02"


class Clocks:
    """What the clocks show. They stand still until the test lets time pass."""

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.moment = 5000.0


class Home(House):
    """A daemon with budgets. `pass_time` calls what is due, second by second."""

    def __init__(self, folder: Path, clocks: Clocks, **more: Any) -> None:
        self.clocks = clocks
        self.folder = folder
        super().__init__(folder, policy(**more))

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clocks.wall += 1
            self.clocks.moment += 1
            self.turn()

    def turn(self) -> None:
        dispatcher = self.daemon.dispatcher
        dispatcher.moment = self.clocks.moment
        for timer in list(dispatcher._timers):
            if timer.time <= dispatcher.moment:
                timer.time = float("inf")
                timer.callback()
        while self.daemon.match_again():
            pass
        self.daemon.release()
        self.daemon.commit()
        while self.daemon.heal():
            self.daemon.commit()

    def reload(self, **more: Any) -> None:
        self.file.write_text(json.dumps(policy(**more)))
        compiled, reports = compile_policy(
            Sources(None, False, (str(self.file),)), Paths(str(self.folder), str(self.folder)), look=False,
            last_good=self.daemon.loader._last_good,
        )  # fmt: skip
        assert compiled is not None, [report.text() for report in reports.items]
        self.daemon.loader.take(image_of(compiled) | {"watch": []}, self.daemon.now())
        self.turn()

    def blocked(self) -> set[str]:
        """The servers in the set, by the last number of the address."""
        return {key[3] for key in self.kernel.sets["video.v4"]}  # type: ignore[misc]

    def use(self, number: int, size: int) -> None:
        """A flow had bytes; its statistics come."""
        self.feed(samples.stats(f"{number:08x}" + "0" * 32, local=(size // 10, 1), other=(size - size // 10, 1)))


def policy(budget: dict[str, Any] | None = None, action: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    video = {"criteria": ["app == 'youtube';"], "targets": ["nft.video"], "budget": "video"} | (action or {})
    made = CONFIG | {"actions": {"video": video}, "timezone": "UTC0", "usage": False}
    made["targets"] = {name: target | {"ttl": 86400} for name, target in CONFIG["targets"].items() if "nft" in name}
    made["budgets"] = {"video": budget or {"time": "10m"}}
    return made | more


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    import sys

    from nfa.daemon.base.dispatcher import Dispatcher
    from nfa.daemon.targets.sets.healing import Healing

    made = Clocks(MONDAY + 12 * HOUR)
    monkeypatch.setattr(time, "time", lambda: made.wall)
    monkeypatch.setattr(time, "monotonic", lambda: made.moment)
    for name, module in list(sys.modules.items()):
        if name.startswith("nfa.daemon") and hasattr(module, "monotonic"):
            monkeypatch.setattr(module, "monotonic", lambda: made.moment)
    for clocked in (Dispatcher, Healing):
        monkeypatch.setattr(clocked.__init__, "__defaults__", (lambda: made.moment,))
    return made


def play(home: Home, minutes: int, *numbers: int, size: int = MB) -> None:
    """Each of these flows has so many bytes in each minute."""
    for _ in range(minutes * 4):
        for number in numbers:
            home.use(number, size // 4)
        home.pass_time(15)


def of(number: int, mac: str, last: int) -> Record:
    return youtube(number, local_mac=mac, local_ip=f"192.168.1.{last}")


def test_it_acts_when_ten_minutes_are_over_and_only_on_that_device_until_the_next_day(tmp_path: Path, clocks: Clocks) -> None:
    """Parents would find a film that goes on, the sister's blocked as well, or no film on the next day."""
    clocks.wall = MONDAY + 23 * HOUR
    home = Home(tmp_path, clocks)
    home.feed(of(1, TABLET, 20), of(2, PHONE, 21))
    play(home, 9, 1)
    assert not home.blocked()
    play(home, 2, 1)
    assert home.blocked() == {1}, "what runs is stopped within a minute"
    home.feed(of(3, TABLET, 20), of(4, PHONE, 21))
    assert home.blocked() == {1, 3}, "and what comes"
    play(home, 9, 2, size=19_000)
    assert home.blocked() == {1, 3}, "a message now and then is no use of the phone"
    while clocks.wall < MONDAY + 24 * HOUR - 1:
        assert home.blocked() == {1, 3}
        play(home, 1, 1, 2, 3, 4, size=400) if clocks.wall < MONDAY + 24 * HOUR - 60 else home.pass_time(1)
    home.pass_time(1)
    assert clocks.wall == MONDAY + 24 * HOUR and home.blocked() == set(), "a new day, in its first second"
    play(home, 11, 1)
    assert home.blocked() == {1, 3}


def test_bytes_are_limited_to_the_second_and_all_devices_together_where_it_says_so(tmp_path: Path, clocks: Clocks) -> None:
    """A month's volume would be gone before a minute is over; or each child has what was for all."""
    home = Home(tmp_path, clocks, budget={"bytes": "10MB", "shared": True})
    home.feed(of(1, TABLET, 20), of(2, PHONE, 21))
    home.use(1, 6 * MB)
    home.use(2, 3 * MB)
    home.pass_time(6)
    assert not home.blocked()
    home.use(2, 1 * MB)
    home.pass_time(6)
    assert home.blocked() == {1, 2}


def test_several_actions_of_one_budget_count_together_and_each_byte_once(tmp_path: Path, clocks: Clocks) -> None:
    """A film that two actions match would use up the budget in half of its time."""
    other = {"criteria": ["protocol == 'quic';"], "targets": ["nft.games"], "budget": "video"}
    actions = {"video": policy()["actions"]["video"], "quic": other}
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"}, actions=actions)
    home.feed(of(1, TABLET, 20))
    home.use(1, 9 * MB)
    home.pass_time(6)
    assert not home.blocked()
    home.use(1, 2 * MB)
    home.pass_time(6)
    assert home.blocked() == {1} and len(home.kernel.sets["games.v4"]) == 1


def test_an_action_that_has_budget_left_does_not_halt_and_halts_once_it_is_spent(tmp_path: Path, clocks: Clocks) -> None:
    """Actions after it would never be reached; or they go on beside it, as if it did not say halt_on_match."""
    later = {"criteria": ["*"], "targets": ["nft.games"]}
    actions = {"video": policy()["actions"]["video"] | {"halt_on_match": True}, "all": later}
    home = Home(tmp_path, clocks, budget={"bytes": "1MB"}, actions=actions)
    home.feed(of(1, TABLET, 20))
    assert not home.blocked() and len(home.kernel.sets["games.v4"]) == 1
    home.use(1, 2 * MB)
    home.pass_time(6)
    assert home.blocked() == {1} and not home.kernel.sets["games.v4"]


def test_nothing_is_counted_while_it_is_paused_or_outside_its_hours_or_in_exempt_time(tmp_path: Path, clocks: Clocks) -> None:
    """Homework before noon would use up the evening's film."""
    exempt = [{"time_start": "12:10", "time_end": "12:20"}]
    action = {"time_of_day": {"time_start": "12:00", "time_end": "12:30"}}
    home = Home(tmp_path, clocks, budget={"bytes": "10MB", "exempt_time": exempt}, action=action)
    home.feed(of(1, TABLET, 20))
    home.pass_time(1)
    home.daemon.pauses.pause("video", 120)
    home.turn()
    home.use(1, 50 * MB)
    home.pass_time(130)
    assert not home.blocked()
    home.use(1, 50 * MB)
    home.pass_time(6)
    assert home.blocked() == {1}, "the pause is over"
    while clocks.wall < MONDAY + 12 * HOUR + 600:
        home.pass_time(1)
    assert not home.blocked(), "exempt time"
    home.use(1, 50 * MB)
    home.pass_time(6)
    while clocks.wall < MONDAY + 12 * HOUR + 1200:
        home.pass_time(1)
    assert home.blocked() == {1}, "it was spent before"
    play(home, 10, 1)
    assert not home.blocked(), "outside of its hours it does nothing"


def test_it_is_the_device_of_the_configuration_whatever_address_it_has(tmp_path: Path, clocks: Clocks) -> None:
    """A child would plug the tablet into the other network card and begin again; or a device that is known by its address."""
    devices = {"tablet": {"mac": [TABLET, PHONE]}, "tv": {"ip": "192.168.1.30"}}
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"}, devices=devices)
    home.feed(of(1, TABLET, 20), of(2, PHONE, 21), of(3, "a4:83:e7:00:00:03", 30), of(4, "a4:83:e7:00:00:03", 31))
    home.use(1, 6 * MB)
    home.use(2, 6 * MB)
    home.use(3, 11 * MB)
    home.pass_time(6)
    assert home.blocked() == {1, 2, 3}
    home.use(4, 11 * MB)
    home.pass_time(6)
    assert home.blocked() == {1, 2, 3, 4}


def test_a_reload_keeps_what_was_counted_and_another_amount_holds_at_once(tmp_path: Path, clocks: Clocks) -> None:
    """Each change of the configuration would be a new day for the children."""
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"})
    home.feed(of(1, TABLET, 20))
    home.use(1, 11 * MB)
    home.pass_time(6)
    home.reload(budget={"bytes": "10MB"})
    assert home.blocked() == {1}
    home.reload(budget={"bytes": "20MB"})
    assert not home.blocked()
    home.use(1, 8 * MB)
    home.reload(budget={"bytes": "20MB"}, usage=True)
    home.pass_time(6)
    assert not home.blocked()
    home.use(1, 2 * MB)
    home.pass_time(6)
    assert home.blocked() == {1}
    home.reload(budget={"bytes": "20MB"}, action={"enabled": False})
    assert not home.blocked()
    home.reload(budget={"bytes": "20MB"})
    assert home.blocked() == {1}, "an action that was off for a while"


@pytest.mark.parametrize("usage", [False, True])
def test_a_restart_keeps_it_spent_and_a_kill_gives_away_a_minute(tmp_path: Path, clocks: Clocks, usage: bool) -> None:
    """A child would pull the plug of the router. Without a chance to say goodbye, no more than a minute is lost."""
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"}, usage=usage)
    home.feed(of(1, TABLET, 20))
    home.use(1, 9 * MB)
    home.pass_time(61)
    home.use(1, MB // 2)
    home.pass_time(6)
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"}, usage=usage)  # after kill -9
    home.feed(of(1, TABLET, 20))
    home.use(1, MB - 1)
    home.pass_time(6)
    assert not home.blocked()
    home.use(1, 1)
    home.pass_time(6)
    assert home.blocked() == {1}
    home.daemon.counted.close()  # type: ignore[union-attr]  # it has budgets
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"}, usage=usage)
    home.feed(of(2, TABLET, 20))
    assert home.blocked() == {2}


def test_with_usage_off_nothing_else_is_counted_kept_or_shown(tmp_path: Path, clocks: Clocks) -> None:
    """Who switched usage off would find a file of it on the disk."""
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"})
    home.feed(of(1, TABLET, 20), samples.flow("HTTP/S", "netify.netflix", digest="f" * 40))
    home.feed(samples.stats("f" * 40, local=(1000, 1), other=(1000, 1)))
    home.use(1, MB)
    home.pass_time(2 * HOUR)
    usage = home.daemon.counted.usage  # type: ignore[union-attr]  # it has budgets
    assert usage is not None and not usage.periods.hours and len(usage.devices) == 1
    assert home.result("status")["usage"]["on"] is False
    assert home.call("usage")[0] != 0
    home.daemon.counted.close()  # type: ignore[union-attr]  # it has budgets
    assert {file.name for file in tmp_path.iterdir()} == {"policy.json", "budgets"}
    assert (tmp_path / "budgets").stat().st_mode & 0o777 == 0o600


def test_a_day_without_any_and_one_without_limit(tmp_path: Path, clocks: Clocks) -> None:
    """School days: nothing, Saturday: two hours, Sunday: whatever they like."""
    budget = {"time": "0m", "day": ["sat 2h", "sun unlimited"], "start": "4:00"}
    clocks.wall = MONDAY + 5 * 24 * HOUR + 3 * HOUR + 1800  # Saturday 3:30, which is Friday yet
    home = Home(tmp_path, clocks, budget=budget)
    home.feed(of(1, TABLET, 20))
    assert home.blocked() == {1}
    play(home, 31, 1)
    assert not home.blocked()
    play(home, 118, 1)
    assert not home.blocked()
    play(home, 2, 1)
    assert home.blocked() == {1}
    clocks.wall, clocks.moment = clocks.wall + 20 * HOUR, clocks.moment + 20 * HOUR
    home.feed(of(1, TABLET, 20))
    while clocks.wall < MONDAY + 6 * 24 * HOUR + 4 * HOUR:
        play(home, 1, 1, size=4000)
    assert not home.blocked(), "Sunday"
    play(home, 300, 1)
    assert not home.blocked()


# -- as it is asked -----------------------------------------------------------------------------------------------------


def rows_of(home: Home, **given: Any) -> dict[str, Record]:
    return {row["device"]: row for row in home.result("budget", **given)["budgets"]}


def test_what_is_left_and_a_bonus_that_releases_at_once_and_only_that_device(tmp_path: Path, clocks: Clocks) -> None:
    """ "Half an hour more, please": the parent would have to switch the whole rule off."""
    devices = {"tablet": {"mac": TABLET, "title": "Tom's tablet"}, "tv": {"mac": "a4:83:e7:00:00:09"}}
    home = Home(tmp_path, clocks, budget={"time": "10m", "bytes": "1GB"}, devices=devices)
    home.feed(of(1, TABLET, 20), of(2, PHONE, 21))
    play(home, 11, 1, 2)
    assert home.blocked() == {1, 2}
    rows = rows_of(home)
    assert set(rows) == {"tablet", PHONE, "tv"}
    tablet = rows["tablet"]
    assert (tablet["used_seconds"], tablet["left_seconds"], tablet["amount_seconds"], tablet["spent"]) == (660, 0, 600, True)
    assert (tablet["used_bytes"], tablet["left_bytes"]) == (11 * MB, 989 * MB)
    assert tablet["until"] == MONDAY + 24 * HOUR and tablet["exempt"] is False
    assert (rows["tv"]["used_seconds"], rows["tv"]["left_seconds"], rows["tv"]["spent"]) == (0, 600, False)
    assert rows[PHONE]["mac"] == PHONE
    for name in ("tablet", "Tom's tablet", TABLET, TABLET.upper()):
        assert set(rows_of(home, name="video", device=name)) == {"tablet"}
    given = home.result("add_budget", name="video", device="tablet", seconds=1800)
    assert (given["left_seconds"], given["bonus_seconds"], given["spent"]) == (1740, 1800, False)
    home.turn()
    assert home.blocked() == {2}
    play(home, 31, 1)
    assert home.blocked() == {1, 2}, "it is over as well"
    home.daemon.counted.close()  # type: ignore[union-attr]  # it has budgets
    home = Home(tmp_path, clocks, budget={"time": "10m", "bytes": "1GB"}, devices=devices)
    assert rows_of(home)["tablet"]["bonus_seconds"] == 1800, "a restart takes no bonus away"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ({"name": "vidoe", "device": "tablet", "seconds": 60}, 4, "no such budget: 'vidoe'; known: video"),
        ({"name": "video", "device": "tablte", "seconds": 60}, 4, "no such device: 'tablte'; known: tablet"),
        ({"name": "video", "device": "00:11:22:33:44:55", "seconds": 60}, 4, "no such device"),
        ({"name": "video", "seconds": 60}, 2, "'device' is required"),
        ({"name": "video", "device": "tablet"}, 2, "'seconds' or 'bytes' is required"),
        ({"name": "video", "device": "tablet", "seconds": -60}, 2, "above 0"),
        ({"name": "video", "device": "tablet", "bytes": 10}, 2, "has no limit of bytes"),
        ({"name": "video", "device": "tablet", "seconds": 10**9}, 2, "at most 7 days"),
        ({"device": "tablet", "seconds": 60}, 2, "'name' is required"),
    ],
)
def test_a_slip_is_refused_with_words_and_changes_nothing(
    tmp_path: Path, clocks: Clocks, arguments: Record, code: int, words: str
) -> None:
    """A typing mistake would give another child the half hour."""
    home = Home(tmp_path, clocks, devices={"tablet": {"mac": TABLET}})
    status, data = home.call("add_budget", **arguments)
    assert status == code and words in data["error"]
    assert rows_of(home)["tablet"]["bonus_seconds"] == 0


def test_without_budgets_the_answer_says_so(tmp_path: Path, clocks: Clocks) -> None:
    """An empty list would look like a child that has not played yet."""
    home = Home(tmp_path, clocks, budgets={}, actions={})
    assert home.result("budget") == {"names": [], "budgets": [], "offset": 0, "total": 0, "more": False}
    assert home.call("budget", name="video") == (9, {"error": "no action that is applied has a budget"})


def test_status_says_of_an_action_that_its_budget_is_spent(tmp_path: Path, clocks: Clocks) -> None:
    """Somebody would look for the fault: the action is on, and matches nothing."""
    home = Home(tmp_path, clocks, budget={"bytes": "1MB"})
    home.feed(of(1, TABLET, 20))
    home.use(1, 2 * MB)
    home.pass_time(6)
    row = home.result("status")["actions"]["video"]
    assert (row["budget"], row["budget_spent"]) == ("video", 1)
    assert home.result("status")["budgets"]["names"] == ["video"]


def test_others_are_told_at_80_percent_and_when_it_is_spent_once_in_a_period(tmp_path: Path, clocks: Clocks) -> None:
    """A notice for each record would be a flood; none, and the child learns of it in the middle of a game."""
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"}, devices={"tablet": {"mac": TABLET}})
    told: list[tuple[str, str, int]] = []
    home.daemon.budgeting.on_event = lambda *event: told.append(event)  # type: ignore[union-attr,attr-defined]  # it has budgets
    home.feed(of(1, TABLET, 20))
    for _ in range(12):
        home.use(1, MB)
        home.pass_time(6)
    assert told == [("video", "tablet", 80), ("video", "tablet", 100)]
    home.result("add_budget", name="video", device="tablet", bytes=10 * MB)
    for _ in range(12):
        home.use(1, MB)
        home.pass_time(6)
    assert told[2:] == [("video", "tablet", 80), ("video", "tablet", 100)]


# -- the files --------------------------------------------------------------------------------------------------------------


def close(home: Home) -> None:
    assert home.daemon.counted is not None
    home.daemon.counted.close()


def test_a_file_beside_that_of_usage_outlasts_the_one_in_memory(tmp_path: Path, clocks: Clocks) -> None:
    """The budget would start over with each power cut, though the owner has a USB stick; or an old file would count."""
    lasting = tmp_path / "stick" / "usage"
    lasting.parent.mkdir()
    more: dict[str, Any] = {"budget": {"bytes": "10MB"}, "usage_file": str(lasting)}
    home = Home(tmp_path, clocks, **more)
    home.feed(of(1, TABLET, 20))
    home.use(1, 11 * MB)
    home.pass_time(16 * 60)
    assert (lasting.parent / "usage.budgets").stat().st_mode & 0o777 == 0o600
    (tmp_path / "budgets").unlink()  # a reboot
    home = Home(tmp_path, clocks, **more)
    home.feed(of(1, TABLET, 20))
    assert home.blocked() == {1}
    home.result("add_budget", name="video", device=TABLET, bytes=50 * MB)
    home.pass_time(61)
    home = Home(tmp_path, clocks, **more)
    home.feed(of(1, TABLET, 20))
    assert not home.blocked(), "the one in memory is the later one"
    close(home)
    assert {file.name for file in lasting.parent.iterdir()} == {"usage.budgets"}, "usage is off"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"nfa budgets 1\n1234 nonsense", "budgets-file-damaged"),
        (b"", "budgets-file-damaged"),
        (b"nfa budgets 7\n1234", "budgets-file-version"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported_and_kept(tmp_path: Path, clocks: Clocks, content: bytes, code: str) -> None:
    """The daemon would not start any longer; or nobody would learn why everybody has a whole hour again."""
    (tmp_path / "budgets").write_bytes(content)
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"})
    status = home.result("status")["budgets"]
    assert status["code"] == code and "budgets file" in status["trouble"]
    assert (tmp_path / "budgets.bad").read_bytes() == content
    home.feed(of(1, TABLET, 20))
    home.use(1, 11 * MB)
    home.pass_time(61)
    assert home.blocked() == {1} and home.result("status")["budgets"]["trouble"] == ""


def test_a_full_disk_is_reported_and_counting_goes_on(tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever fills /tmp would have the budget of his life."""
    home = Home(tmp_path, clocks, budget={"bytes": "10MB"})
    home.feed(of(1, TABLET, 20))
    home.use(1, MB)
    home.pass_time(61)
    before = (tmp_path / "budgets").read_bytes()

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nfa.daemon.usage.store.os.write", full)
    home.use(1, 11 * MB)
    home.pass_time(61)
    assert home.blocked() == {1}
    status = home.result("status")["budgets"]
    assert status["code"] == "budgets-file-unwritable" and "No space left on device" in status["trouble"]
    assert (tmp_path / "budgets").read_bytes() == before
    monkeypatch.undo()


def test_a_page_of_many_budgets_and_devices_makes_only_its_rows(
    tmp_path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 budgets and 1,000 devices: each of 80 pages took two seconds in which nothing else was decided."""
    from nfa.daemon.usage import budget_asking

    names = [f"b{number}" for number in range(8)]
    devices = {f"d{number:03}": {"mac": f"02:00:00:00:01:{number:02x}"} for number in range(200)}
    actions = {name: {"criteria": ["app == 'youtube';"], "targets": ["nft.video"], "budget": name} for name in names}
    home = Home(tmp_path, clocks, budgets={name: {"bytes": "10MB"} for name in names}, actions=actions, devices=devices)
    home.feed(of(1, TABLET, 20), of(2, "02:00:00:00:01:05", 21))
    home.use(1, MB)
    home.use(2, MB)
    home.pass_time(6)
    made = []
    real = budget_asking._row
    monkeypatch.setattr(budget_asking, "_row", lambda *given: (made.append(1), real(*given))[1])
    found = []
    for _ in range(99):
        before = len(made)
        page = home.result("budget", offset=len(found), limit=150)
        assert len(made) - before == len(page["budgets"]) <= 150
        assert page["total"] == 8 * 201
        found += page["budgets"]
        if not page["more"]:
            break
    assert len({(row["budget"], row["device"]) for row in found}) == len(found) == 8 * 201
    assert [row["budget"] for row in found] == sorted(row["budget"] for row in found)
    used = [row for row in found if row["used_bytes"]]
    assert len(used) == 16
    assert home.result("budget", offset=5000)["budgets"] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seconds": 1800}, "30 minutes more"), ({"bytes": MB}, "1000000 bytes more"), ({"seconds": 90}, "90 seconds more"),
        ({"seconds": 60, "bytes": 5}, "1 minutes and 5 bytes more"),
    ],
)  # fmt: skip
def test_the_log_says_all_that_was_given(tmp_path: Path, clocks: Clocks, given: dict[str, int], words: str) -> None:
    """Parents would not find in the log what the child got: of minutes and bytes only the minutes, or 0 minutes."""
    home = Home(tmp_path, clocks, budget={"time": "10m", "bytes": "10MB"})
    home.feed(of(1, TABLET, 20))
    home.use(1, MB)
    home.pass_time(6)
    said: list[str] = []
    home.daemon.budgeting._say = lambda level, text: said.append(text)  # type: ignore[union-attr]  # there is one
    home.result("add_budget", name="video", device=TABLET, **given)
    assert said == [f"budget 'video': {words} for {TABLET}"]
