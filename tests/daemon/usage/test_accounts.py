"""Accounts of budgets under any clock: spent exactly when an independent reading of the same events says so.

In: random streams of bytes, minutes, restarts, kills, reloads, jumps of the clock, over both changes of summer time. Out: who
has spent what, beside a model that keeps each event and asks Python's own time zones.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.compiler.config.zone import changes
from nfa.daemon.engine.hours import Zone
from nfa.daemon.usage.accounts import book_of
from nfa.daemon.usage.amounts import Rules
from nfa.daemon.usage.budgets import FILE, MAX_ACCOUNTS, Budgets
from nfa.daemon.usage.counter import AT_ONCE, Bills, Counter
from nfa.daemon.usage.store import decode, encode

PARIS = ZoneInfo("Europe/Paris")
MINUTE, HOUR, DAY = 60, 3600, 86400
STEP = 10
"""Seconds between two looks at the clock; a minute ends at one of them."""
MB = 10**6


def at(text: str) -> float:
    """A wall clock time in Paris, epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()


SPRING, AUTUMN = at("2027-03-27 22:00"), at("2027-10-30 22:00")
ZONE = changes(PARIS)


def row(name: str = "b", **more: Any) -> dict[str, Any]:
    """A budget as the policy image has it: ten minutes or 50 MB a day."""
    made = {
        "name": name, "amounts": [(600, 50 * MB)] * 7, "week": False, "start": (0, 0), "shared": False, "exempt": -1,
        "words": "",
    }  # fmt: skip
    return made | more


class Model:
    """Keeps each event: (when, device, minutes, bytes), and what it is known of the clock."""

    def __init__(self, limits: dict[str, Any], wall: float, moment: float) -> None:
        self.limits = limits
        self.period = self.period_of(wall)
        self.events: list[tuple[float, str, int, int]] = []
        self.before: tuple[object, list[tuple[float, str, int, int]]] = (None, [])
        self.minute: dict[str, int] = {}
        self.jumped, self.doubted = moment, 0
        self.trusted = False
        self.last = wall

    def period_of(self, wall: float) -> Any:
        local = datetime.fromtimestamp(wall, UTC).astimezone(PARIS).replace(tzinfo=None)
        day = (local - timedelta(seconds=self.limits["start"][1])).date()
        if self.limits["week"]:
            day -= timedelta(days=(day.weekday() - self.limits["start"][0]) % 7)
        return day

    def use(self, now: float, who: str, size: int) -> None:
        who = "*" if self.limits["shared"] else who
        self.events.append((now, who, 0, size))
        self.minute[who] = self.minute.get(who, 0) + size

    def look(self, now: float, wall: float, jumped: bool, first: bool = False) -> None:
        if jumped:
            if self.trusted:
                self.doubted = len(self.events)
            self.trusted, self.jumped = False, now
        if int(wall) // 60 != int(self.last) // 60:
            for who, size in self.minute.items():
                if size >= 20_000:
                    self.events.append((now, who, 1, 0))
            self.minute = {}
        settled = not self.trusted and now - self.jumped >= 600 and wall >= at("2026-01-01 01:00")
        self.trusted = self.trusted or settled
        if self.trusted and (settled or first or int(wall) // 60 != int(self.last) // 60):
            period = self.period_of(wall)
            if period > self.period:
                known = self.doubted if settled else len(self.events)
                fresh = self.events[known:]
                self.before = self.period, self.events[:known]
                self.events, self.period = fresh, period
            elif period < self.period and settled:
                self.events += self.before[1] if self.before[0] == period else []
                self.before, self.period = (None, []), period
        self.last = wall

    def used(self, who: str) -> tuple[int, int]:
        own = [event for event in self.events if event[1] == who]
        return sum(event[2] for event in own), sum(event[3] for event in own)

    def spent(self, who: str) -> bool:
        minutes, size = self.used(who)
        return minutes >= 10 or size >= 50 * MB


Saved = tuple[bytes, Model, float, float]
"""The file, the model, and what the clocks showed: the wall clock less the other one, and that."""


class Life:
    """Budgets and the model, side by side."""

    def __init__(self, limits: dict[str, Any], wall: float) -> None:
        self.limits, self.wall, self.moment = limits, wall, 5000.0
        self.budgets = self.fresh()
        self.model = Model(limits, wall, self.moment)
        self.offset, self.known = wall - self.moment, self.moment
        self.budgets.tick(self.moment, self.wall)
        self.saved = self.save()

    def fresh(self) -> Budgets:
        made = Budgets(Zone(ZONE), lambda begun, over: None)
        made.follow([self.limits], Zone(ZONE), int(self.wall))
        return made

    def save(self) -> Saved:
        model = copy.deepcopy(self.model)
        model.minute = {}
        return encode(self.budgets.data(), FILE), model, self.offset, self.known

    def start(self, saved: Saved) -> None:
        self.budgets = Budgets(Zone(ZONE), lambda begun, over: None)
        self.budgets.restore(decode(saved[0], FILE))
        self.budgets.follow([self.limits], Zone(ZONE), int(self.wall))
        self.model = copy.deepcopy(saved[1])
        self.model.last = self.wall  # the minute in which it was away is no minute of use
        # It may have been away for hours in the same boot; another boot is another clock.
        self.look(abs(self.wall - self.moment - saved[2]) > 60 or self.moment < saved[3], True)

    def look(self, jumped: bool, first: bool = False) -> None:
        self.offset, self.known = self.wall - self.moment, self.moment
        self.model.look(self.moment, self.wall, jumped, first)
        self.budgets.tick(self.moment, self.wall)
        if self.budgets.minute_ended:
            self.saved = self.save()

    def forward(self, seconds: int, each: Any = None) -> None:
        for _ in range(seconds // STEP):
            self.moment += STEP
            self.wall += STEP
            if each:
                each()
            self.look(False)

    def jump(self, seconds: float) -> None:
        self.wall += seconds
        self.look(abs(seconds) > 60)

    def use(self, who: str, size: int) -> None:
        self.budgets.add("b", who, size)
        self.model.use(self.moment, who, size)

    def check(self) -> None:
        accounts = self.budgets.books["b"].accounts
        for who in ("tom", "ana", "*"):
            assert self.budgets.spent(0, who) == self.model.spent(who)
            assert (accounts[who].row()[:2] if who in accounts else (0, 0)) == self.model.used(who)


EVENTS = st.one_of(
    st.tuples(st.just("play"), st.sampled_from(["tom", "ana"]), st.integers(1, 20), st.integers(0, 80_000)),
    st.tuples(st.just("load"), st.sampled_from(["tom", "ana"]), st.integers(0, 60 * MB)),
    st.tuples(st.just("pass"), st.sampled_from([10, 300, 700, 4 * HOUR, DAY])),
    st.tuples(st.just("jump"), st.sampled_from([30.0, -30.0, 5 * HOUR, -5 * HOUR, DAY, -DAY, 400 * DAY, -400 * DAY])),
    st.tuples(st.just("restart"), st.sampled_from([0, 20, 3 * HOUR, 30 * HOUR])),
    st.tuples(st.just("kill")),
    st.tuples(st.just("reload")),
)


@given(
    st.lists(EVENTS, max_size=25), st.sampled_from([SPRING, AUTUMN]),
    st.sampled_from([(False, (0, 0)), (False, (0, 4 * HOUR)), (False, (0, 9000)), (True, (6, 0)), (True, (2, 4 * HOUR))]),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_it_is_spent_exactly_when_a_reading_of_all_events_says_so(
    events: list[Any], wall: float, form: tuple[bool, tuple[int, int]], shared: bool
) -> None:
    """A child would have less than was promised, or a second day behind a restart, a pulled plug or a clock that is wrong."""
    life = Life(row(week=form[0], start=form[1], shared=shared), wall)
    for event, *given_ in events:
        if event == "play":
            who, minutes, size = given_
            life.forward(minutes * MINUTE, lambda who=who, size=size: life.use(who, size // 6))
        elif event == "load":
            life.use(*given_)
        elif event == "pass":
            life.forward(*given_)
        elif event == "jump":
            life.jump(*given_)
        elif event == "restart":
            content = life.save()
            life.moment += given_[0]
            life.wall += given_[0]
            life.start(content)
        elif event == "kill":
            life.start(life.saved)
        else:
            life.budgets.follow([life.limits], Zone(ZONE), int(life.wall))
        life.check()


@pytest.mark.parametrize("start", ["2027-03-27 12:00", "2027-10-30 12:00", "2027-06-01 12:00"])
@pytest.mark.parametrize("second", [0, 9000, 4 * HOUR])
def test_each_day_has_its_ten_minutes_also_the_short_and_the_long_one(start: str, second: int) -> None:
    """In autumn the hour that comes twice would give a second day; in spring a day would end an hour early."""
    life = Life(row(start=(0, second)), at(start))
    life.forward(700)
    allowed = []
    for _ in range(3 * 24 * 60):
        if not life.budgets.spent(0, "tom"):
            allowed.append(life.wall)
            life.use("tom", 30_000)
        life.forward(MINUTE)
    assert len(allowed) == 40, "today, and three days that began since"
    begins = [allowed[number] for number in (10, 20, 30)]
    for moment in begins:
        local = datetime.fromtimestamp(moment, PARIS)
        # A time that the clock leaves out is the one after it.
        wanted = 3 * HOUR if second == 9000 and local.date().isoformat() == "2027-03-28" else second
        assert local.hour * HOUR + local.minute * 60 == wanted


def test_a_router_without_a_battery_neither_gives_a_day_nor_takes_one() -> None:
    """It shows 1970 until NTP has told it the time: the budget of today would start over with each power cut."""
    life = Life(row(), at("2027-06-01 18:00"))
    life.forward(1200)
    life.forward(9 * MINUTE, lambda: life.use("tom", 10_000))
    content = life.save()
    life.moment, life.wall = 30.0, 40.0
    life.start(content)
    assert not life.budgets.trusted
    life.forward(120)
    assert life.budgets.books["b"].accounts["tom"].minutes == 9
    life.jump(at("2027-06-01 18:40") - life.wall)
    life.forward(MINUTE, lambda: life.use("tom", 10_000))
    assert life.budgets.spent(0, "tom"), "the tenth minute of the same day"
    life.forward(5 * HOUR + 30 * MINUTE)
    assert not life.budgets.spent(0, "tom"), "and the next day begins as always"


def test_what_is_used_before_the_clock_is_trusted_belongs_to_the_day_that_it_shows() -> None:
    """Each power cut around midnight would give away the ten minutes in which nobody knows the day."""
    life = Life(row(), at("2027-06-01 23:00"))
    life.forward(1200)
    life.forward(7 * MINUTE, lambda: life.use("tom", 10_000))
    life.jump(2 * HOUR)
    life.forward(9 * MINUTE, lambda: life.use("tom", 10_000))
    assert life.budgets.spent(0, "tom"), "sixteen minutes, whatever the day is"
    life.forward(MINUTE)
    assert not life.budgets.spent(0, "tom") and life.budgets.books["b"].accounts["tom"].minutes == 9
    life.forward(MINUTE, lambda: life.use("tom", 10_000))
    assert life.budgets.spent(0, "tom")


def test_another_boot_is_another_clock_though_it_shows_what_the_last_one_did() -> None:
    """A router sets its clock to that of its newest file at each boot: it would be trusted at once, a day late."""
    life = Life(row(), at("2027-06-01 12:00"))
    life.forward(1200)
    assert life.budgets.trusted
    content = life.save()
    life.moment, life.wall = 40.0, life.wall - life.moment + 40.0
    life.start(content)
    assert not life.budgets.trusted


def test_a_clock_that_was_ahead_gives_the_day_back_to_the_day() -> None:
    """A wrong hour from a time server would be a second budget, once for each mistake."""
    life = Life(row(), at("2027-06-01 10:00"))
    life.forward(720)
    life.forward(8 * MINUTE, lambda: life.use("tom", 10_000))
    life.jump(3 * DAY)
    life.forward(9 * MINUTE)
    assert life.budgets.books["b"].accounts["tom"].minutes == 8, "not trusted yet"
    life.forward(2 * MINUTE)
    assert "tom" not in life.budgets.books["b"].accounts
    life.forward(3 * MINUTE, lambda: life.use("tom", 10_000))
    life.jump(-3 * DAY)
    life.forward(11 * MINUTE)
    assert life.budgets.books["b"].accounts["tom"].minutes == 11 and life.budgets.spent(0, "tom")


def test_more_devices_than_there_is_room_for_never_free_one_that_has_spent_it() -> None:
    """Somebody who makes up MAC addresses would wash the family's accounts away."""
    budgets = Budgets(Zone(ZONE), lambda begun, over: None)
    budgets.follow([row()], Zone(ZONE), int(SPRING))
    budgets.add("b", "tom", 60 * MB)
    budgets.give(0, "ana", 60, 0)
    for number in range(3 * MAX_ACCOUNTS):
        budgets.add("b", f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", 1000 + number)
    assert budgets.spent(0, "tom") and budgets.books["b"].accounts["ana"].seconds == 60
    assert len(budgets.books["b"].accounts) <= MAX_ACCOUNTS and budgets.forgotten >= 2 * MAX_ACCOUNTS


@given(
    st.booleans(), st.integers(0, 6), st.integers(0, 1439), st.integers(int(SPRING), int(AUTUMN) + 5 * DAY),
)  # fmt: skip
def test_a_period_begins_in_its_first_minute(week: bool, weekday: int, minute: int, moment: int) -> None:
    """`nfa budget` would tell a child another time than the one at which it is released."""
    rules = Rules(row(week=week, start=(weekday, minute * 60)))
    zone = Zone(ZONE)
    period = rules.period(zone, moment)
    begin = rules.begin(zone, period)
    assert rules.period(zone, begin) >= period > rules.period(zone, begin - 60)
    assert begin % 60 == 0
    assert begin <= moment // 60 * 60 or rules.period(zone, moment) < rules.period(zone, begin) or begin - moment < 2 * HOUR


@pytest.mark.parametrize("size", range(0, 400, 3))
def test_a_file_that_was_cut_off_is_refused(size: int) -> None:
    """Half a file would be half a family that starts over."""
    budgets = Budgets(Zone(ZONE), lambda begun, over: None)
    budgets.follow([row()], Zone(ZONE), int(SPRING))
    budgets.add("b", "tom", 60 * MB)
    budgets.tick(1.0, SPRING)
    whole = encode(budgets.data(), FILE)
    assert book_of(decode(whole, FILE)["books"]["b"]).accounts["tom"].size == 60 * MB
    if size < len(whole):
        with pytest.raises(ValueError):
            decode(whole[:size], FILE)


def test_more_accounts_than_there_is_room_for_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 budgets and a hundred devices: the daemon stood still for ten seconds at a time, and nothing else was decided."""
    budgets = Budgets(Zone(ZONE), lambda begun, over: None)
    budgets.follow([row(f"b{number}") for number in range(64)], Zone(ZONE), int(SPRING))
    made = []
    real = budgets._make_room
    monkeypatch.setattr(budgets, "_make_room", lambda: (made.append(1), real()))
    for second in range(3):
        for device in range(100):
            for number in range(64):
                budgets.add(f"b{number}", f"device {device}", 1000 + device)
        assert len(made) <= second + 1, "accounts are ranked once a second, not for each that there is no room for"
        budgets.tick(1000.0 + second, SPRING + second)
        assert budgets._number_of_accounts() <= MAX_ACCOUNTS
    assert budgets.forgotten >= 3 * (6400 - MAX_ACCOUNTS), "and it is said"


def test_a_bonus_finds_room_where_there_is_none() -> None:
    """`nfa budget --add` would be refused, or one account too many would be kept."""
    budgets = Budgets(Zone(ZONE), lambda begun, over: None)
    budgets.follow([row()], Zone(ZONE), int(SPRING))
    for number in range(MAX_ACCOUNTS):
        budgets.add("b", str(number), 1000 + number)
    budgets.give(0, "ana", 60, 0)
    assert budgets.books["b"].accounts["ana"].seconds == 60
    assert budgets._number_of_accounts() <= MAX_ACCOUNTS


def test_bytes_are_told_in_turns_and_none_is_left_out() -> None:
    """A thousand flows that count for 64 budgets would take the loop's time at once."""
    told: dict[int, int] = {}
    bills = Bills()
    bills.tell = lambda names, owner, device, size: told.update({device: told.get(device, 0) + size})
    names = tuple(f"b{number}" for number in range(64))
    counters = [Counter(number, False) for number in range(100)]
    for number, counter in enumerate(counters):
        bills.add(counter, number, ((), False, names, ""))
        counter.local = 1
    bills.begin()
    turns = 1
    while not bills.go_on():
        assert len(told) <= turns * AT_ONCE // 64
        counters[0].local += 1  # it goes on meanwhile
        turns += 1
    assert turns > 20 and len(told) == 100
    for counter in counters:
        counter.local += 1
    bills.begin()
    assert not bills.go_on()
    counters[0].local += 1
    bills.settle()
    assert [told[number] for number in range(100)] == [counter.local for counter in counters], "all, in the middle of a round"
