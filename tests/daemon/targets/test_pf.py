"""Tables of PF against a pfctl that works in memory: what is in them, when pfctl works, fails and hangs."""

from __future__ import annotations

import socket
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from nfa.compiler.base.report import Place
from nfa.compiler.config.model import Target
from nfa.compiler.provision.pf import provision
from nfa.daemon.targets import pf
from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.pf import Tables, TableSlot

OPTIONS = {"table_name": "t", "anchor_name": "*", "address_type": "other", "ttl": 60, "managed": True}
TARGET = Target("pf", Place("nfa.json", 1, 1), "pftable", True, "*", dict(OPTIONS))
FULL = "pfctl: Cannot allocate memory."


class Memory:
    """Instead of `processes.program`: a pfctl whose tables are sets. It works at once, but tells so at the next `outcome`."""

    def __init__(self) -> None:
        self.tables: dict[str, set[str]] = {}
        self.fails = ""
        self.refused: set[str] = set()
        self.hangs = False
        self.half_done = False
        """A pfctl that is killed had done its work."""
        self.calls: list[tuple[str, list[str]]] = []
        self.descriptor, self.deadline = -1, 0.0
        self._outcome: tuple[int | None, bytes] | None = None

    @property
    def running(self) -> bool:
        return self._outcome is not None

    def start(self, command: list[str], given: bytes, seconds: float) -> None:
        assert not self.running, "one at a time"
        assert command[:2] == ["/sbin/pfctl", "-q"]
        what = command[command.index("-T") + 1]
        name = command[command.index("-t") + 1]
        words = given.decode().split()
        self.calls.append((what, words))
        if self.fails or (what == "add" and self.refused & set(words)):
            self._outcome = 255, (self.fails or FULL).encode()
        elif self.hangs:
            self._outcome = None, b""
            if self.half_done:
                self._work(what, name, words)
        else:
            self._outcome = self._work(what, name, words)

    def _work(self, what: str, name: str, words: list[str]) -> tuple[int, bytes]:
        if name not in self.tables and what not in ("add", "replace"):
            return 255, b"pfctl: Table does not exist.\n"
        table = self.tables.setdefault(name, set())
        if what == "test":
            return (0 if set(words) <= table else 2), b""
        if what in ("replace", "flush"):
            table.clear()
        (table.difference_update if what == "delete" else table.update)(words)
        return 0, b""

    def outcome(self) -> tuple[int | None, bytes] | None:
        found, self._outcome = self._outcome, None
        return found

    def kill(self) -> None:
        pass


class Bench:
    """Tables, their clock, and what was said."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.said: list[str] = []
        self.told: list[tuple[str, str, str]] = []
        self.tables = Tables(self.memory, lambda level, text: self.said.append(f"{level}: {text}"), self.tell)
        self.now = 100
        self.slots: list[TableSlot] = []

    def tell(self, *words: str) -> None:
        self.told.append(words)  # type: ignore[arg-type]

    def slot(self, fresh: bool = True, name: str = "pf", **options: Any) -> TableSlot:
        slot = self.tables.slot(len(self.slots), data(name, **options), Counters(name, "pftable"))
        self.tables.provide(slot, self.now, fresh)
        self.slots.append(slot)
        return slot

    def settle(self) -> None:
        """Turns of the loop until nothing is to be done in this second."""
        for _ in range(1000):
            self.tables.turn(self.now)
            if not self.memory.running:
                return
        raise AssertionError("it does not come to an end")

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            for slot in self.slots:
                slot.expire(self.now)
            self.tables.tick(self.now)
            self.settle()

    @property
    def table(self) -> set[str]:
        return self.memory.tables.get("t", set())


def data(name: str = "pf", **options: Any) -> dict[str, Any]:
    return provision([replace(TARGET, name=name, options=OPTIONS | options)], {"device": "/dev/pf"})[0]


def key(slot: TableSlot, text: str) -> bytes:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return slot.number.to_bytes(2, "big") + socket.inet_pton(family, text)


def hold(bench: Bench, slot: TableSlot, *texts: str) -> None:
    for text in texts:
        slot.hold(key(slot, text), bench.now)
    bench.settle()


@pytest.fixture(autouse=True)
def freebsd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "freebsd15")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_both_ip_versions_go_into_the_one_table(bench: Bench) -> None:
    slot = bench.slot()
    hold(bench, slot, "203.0.113.1", "2001:db8::1")
    assert bench.table == {"203.0.113.1", "2001:db8::1"}
    assert [what for what, _ in bench.memory.calls] == ["replace", "add"]
    assert slot.counters.added == 2


def test_an_address_goes_with_its_time_and_stays_while_its_flow_lives(bench: Bench) -> None:
    """PF has no timeouts: nobody else would ever take it out."""
    slot = bench.slot(ttl=10)
    hold(bench, slot, "203.0.113.1", "203.0.113.2")
    bench.wait(6)
    slot.want(key(slot, "203.0.113.1"), bench.now)
    bench.wait(3)
    assert len(bench.table) == 2
    bench.wait(1)
    assert bench.table == {"203.0.113.1"}
    assert slot.counters.refreshed == 1
    bench.wait(6)
    assert bench.table == set()
    assert not (slot.live or slot.adds or slot.dels)


def test_with_its_last_holder_an_address_goes_at_once_also_in_its_last_second(bench: Bench) -> None:
    """The kernel drops an element of a set in that second; PF would keep it for ever."""
    slot = bench.slot(ttl=10)
    hold(bench, slot, "203.0.113.1")
    hold(bench, slot, "203.0.113.1")
    bench.wait(9)
    slot.release(key(slot, "203.0.113.1"), bench.now, True)
    bench.settle()
    assert bench.table == {"203.0.113.1"}
    slot.release(key(slot, "203.0.113.1"), bench.now, True)
    bench.settle()
    assert bench.table == set()


def test_ttl_0_is_for_as_long_as_the_daemon_lives(bench: Bench) -> None:
    """A table of learnt addresses would lose them, or the block go on after `service nfa stop`."""
    bench.memory.tables["t"] = {"192.0.2.1"}
    slot = bench.slot(ttl=0)
    hold(bench, slot, "203.0.113.1")
    slot.release(key(slot, "203.0.113.1"), bench.now, False)
    bench.wait(100)
    assert bench.table == {"192.0.2.1", "203.0.113.1"}
    bench.tables.close(bench.now)
    assert bench.table == {"192.0.2.1"}


def test_a_managed_table_begins_empty_and_an_other_ones_is_left_as_it_is(bench: Bench) -> None:
    """After a kill -9 addresses of the last run would be blocked for ever; those of the administrator must stay."""
    bench.memory.tables |= {"t": {"192.0.2.1"}, "mine": {"192.0.2.1"}}
    bench.slot()
    mine = bench.slot(table_name="mine", managed=False)
    hold(bench, mine, "203.0.113.1")
    assert bench.memory.tables == {"t": set(), "mine": {"192.0.2.1", "203.0.113.1"}}
    bench.tables.close(bench.now)
    assert bench.memory.tables["mine"] == {"192.0.2.1"}


def test_an_unmanaged_table_that_is_missing_is_told_once_and_filled_when_it_is_there(bench: Bench) -> None:
    """pfctl itself would make it, and hide a misspelt name."""
    slot = bench.slot(managed=False)
    hold(bench, slot, "203.0.113.1")
    bench.wait(20)
    assert bench.memory.tables == {}
    assert len(bench.said) == 1
    assert "table <t> persist" in bench.said[0]
    bench.memory.tables["t"] = set()
    bench.wait(20)
    assert bench.table == {"203.0.113.1"}
    assert bench.said[1:] == ["notice: target 'pf': PF table t can be used again"]
    assert bench.told == [("pf", "PF table t", "pfctl: Table does not exist."), ("pf", "PF table t", "")]
    assert slot.trouble == ""


def test_an_address_that_two_targets_hold_stays_until_neither_does(bench: Bench) -> None:
    one = bench.slot(ttl=10)
    two = bench.slot(False, "two", ttl=20)
    hold(bench, one, "203.0.113.1")
    hold(bench, two, "203.0.113.1")
    one.release(key(one, "203.0.113.1"), bench.now, True)
    bench.wait(15)
    assert bench.table == {"203.0.113.1"}
    bench.wait(5)
    assert bench.table == set()


def test_a_target_that_shares_a_table_waits_until_that_is_empty(bench: Bench) -> None:
    """What it had added would be gone, and it would not know."""
    bench.memory.fails = "pfctl: not now"
    bench.slot()
    two = bench.slot(False, "two")
    hold(bench, two, "203.0.113.1")
    bench.memory.fails = ""
    bench.wait(3)
    assert bench.table == {"203.0.113.1"}


def test_a_failing_pfctl_is_told_once_and_tried_less_and_less_often(bench: Bench) -> None:
    slot = bench.slot()
    bench.settle()
    bench.memory.fails = "pfctl: \x1b[31mevil\x07 " + "x" * 1000 + "\nsecond line"
    hold(bench, slot, "203.0.113.1")
    bench.wait(600)
    slot.want(key(slot, "203.0.113.1"), bench.now)
    assert len(bench.said) == 1
    assert len(bench.said[0]) < 300
    assert bench.said[0].isprintable()
    assert "second line" not in bench.said[0]
    assert 5 < slot.counters.errors < 30  # additions and removals
    bench.memory.fails = ""
    bench.wait(60)
    assert bench.table == set(slot_texts(slot))
    assert "can be used again" in bench.said[1]


def slot_texts(slot: TableSlot) -> list[str]:
    return [pf.address_text(element[2:]) for element in slot.live]


def test_a_full_table_does_not_keep_addresses_in_it(bench: Bench) -> None:
    """What is over must go out while nothing more goes in, or there will never be room."""
    slot = bench.slot(ttl=5)
    hold(bench, slot, "203.0.113.1")
    bench.memory.refused = {"203.0.113.2"}
    hold(bench, slot, "203.0.113.2")
    bench.wait(5)
    assert bench.table == set()


def test_one_address_that_is_refused_does_not_keep_the_others_out(bench: Bench) -> None:
    slot = bench.slot(ttl=10_000)
    texts = [f"203.0.113.{number}" for number in range(200)]
    bench.memory.refused = {texts[70]}
    hold(bench, slot, *texts)
    for _ in range(40):
        bench.wait(60)
    assert bench.table == {*texts} - {texts[70]}
    assert slot.counters.added == 199
    assert key(slot, texts[70]) not in slot.live


@pytest.mark.parametrize("half_done", [False, True])
def test_after_a_hanging_pfctl_the_table_is_as_if_nothing_had_happened(bench: Bench, half_done: bool) -> None:
    """Whether it had done its work before it was killed is not known: an address could stay for ever."""
    slot = bench.slot(ttl=10)
    hold(bench, slot, "203.0.113.1", "203.0.113.2")
    bench.memory.hangs, bench.memory.half_done = True, half_done
    slot.release(key(slot, "203.0.113.1"), bench.now, True)
    hold(bench, slot, "203.0.113.3")
    bench.wait(2)
    slot.release(key(slot, "203.0.113.3"), bench.now, True)
    bench.memory.hangs = False
    bench.wait(6)
    assert bench.table == {"203.0.113.2"}
    bench.wait(6)
    assert bench.table == set()
    assert "did not finish within 10 seconds" in bench.said[0]


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pf, "MAX_WAITING", 50)
    slot = bench.slot()
    bench.memory.fails = "pfctl: no"
    hold(bench, slot, *[f"203.0.113.{number}" for number in range(80)])
    assert (len(slot.adds), len(slot.live), slot.counters.skipped) == (50, 50, 30)
    bench.memory.fails = ""
    bench.wait(10)
    assert len(bench.table) == 50
    bench.memory.fails = "pfctl: no"
    for element in list(slot.live):
        slot.release(element, bench.now, True)
    hold(bench, slot, *[f"198.51.100.{number}" for number in range(50)])
    bench.wait(61)
    assert len(slot.dels) <= 50


def test_an_emptied_table_is_filled_by_flows_that_go_on(bench: Bench) -> None:
    """`nfa flush`, and what somebody else took out."""
    slot = bench.slot(ttl=10)
    hold(bench, slot, "203.0.113.1", "203.0.113.2")
    assert bench.tables.flush(slot) == ""
    bench.settle()
    assert (bench.table, slot.counters.withdrawn) == (set(), 2)
    slot.want(key(slot, "203.0.113.1"), bench.now)
    bench.settle()
    assert bench.table == {"203.0.113.1"}
    bench.memory.tables.clear()
    bench.wait(5)
    slot.want(key(slot, "203.0.113.1"), bench.now)
    bench.settle()
    assert bench.table == {"203.0.113.1"}


def test_a_table_that_somebody_deleted_is_filled_again(bench: Bench) -> None:
    slot = bench.slot(managed=False)
    bench.memory.tables["t"] = set()
    hold(bench, slot, "203.0.113.1", "203.0.113.2", "203.0.113.3")
    del bench.memory.tables["t"]
    slot.release(key(slot, "203.0.113.3"), bench.now, True)
    bench.settle()
    assert "t" not in bench.memory.tables
    bench.memory.tables["t"] = set()
    bench.wait(4)
    assert bench.table == {"203.0.113.1", "203.0.113.2"}


def test_after_a_reload_without_the_target_its_addresses_go_at_once(bench: Bench) -> None:
    """Off would not be off: the address stayed blocked for the rest of its time."""
    slot = bench.slot(ttl=10)
    hold(bench, slot, "203.0.113.1")
    assert bench.table == {"203.0.113.1"}
    bench.slots.remove(slot)
    bench.tables.retire(slot)
    bench.wait(1)
    assert bench.table == set()
    bench.wait(1)
    assert bench.tables._leaving == []


def test_a_shorter_ttl_holds_for_what_is_there(bench: Bench) -> None:
    slot = bench.slot(ttl=0)
    hold(bench, slot, "203.0.113.1")
    slot.take(data(ttl=10))
    bench.tables.provide(slot, bench.now, False)
    hold(bench, slot, "203.0.113.2")
    bench.wait(9)
    assert len(bench.table) == 2
    bench.wait(1)
    assert bench.table == set()


def test_at_the_end_everything_is_taken_out_also_what_a_hanging_pfctl_had(bench: Bench) -> None:
    slot = bench.slot()
    hold(bench, slot, *[f"203.0.113.{number}" for number in range(200)])
    bench.tables.close(bench.now)
    assert bench.table == set()
    assert bench.said == []


def test_what_cannot_be_taken_out_at_the_end_is_told(bench: Bench) -> None:
    slot = bench.slot()
    hold(bench, slot, "203.0.113.1")
    bench.memory.fails = "pfctl: no"
    bench.tables.close(bench.now)
    assert bench.said[-1] == "warning: target 'pf': 1 addresses remain in PF table t"


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_a_table_holds_in_the_end_what_its_flows_hold(bench: Bench, seed: int) -> None:
    """An order of events that nobody thought of would block an address for ever, or leave one out."""
    rng = Random(seed)
    ttl = rng.choice([0, 3, 8, 20])
    slots = [bench.slot(index == 0, f"t{index}", ttl=ttl, managed=True) for index in range(rng.choice([1, 1, 2]))]
    texts = [f"203.0.113.{number}" for number in range(6)] + ["2001:db8::1"]
    holders: list[tuple[TableSlot, bytes]] = []
    for _ in range(300):
        slot = rng.choice(slots)
        event = rng.random()
        if event < 0.35:
            element = key(slot, rng.choice(texts))
            slot.hold(element, bench.now)
            holders.append((slot, element))
        elif event < 0.6 and holders:
            one, element = holders.pop(rng.randrange(len(holders)))
            one.release(element, bench.now, rng.random() < 0.7)
        elif event < 0.75 and holders:
            one, element = rng.choice(holders)
            one.want(element, bench.now)
        elif event < 0.8:
            bench.memory.hangs = rng.random() < 0.4
            bench.memory.half_done = rng.random() < 0.5
            bench.memory.fails = "pfctl: no" if rng.random() < 0.3 else ""
        elif event < 0.82:
            bench.tables.flush(slot)
        if rng.random() < 0.3:
            bench.now += 1
            for one in slots:
                one.expire(bench.now)
        if rng.random() < 0.5:
            bench.tables.turn(bench.now)
    bench.memory.hangs, bench.memory.fails = False, ""
    for _ in range(200):
        for one, element in holders:
            one.want(element, bench.now)
        bench.wait(1)
    wanted = {pf.address_text(element[2:]) for slot in slots for element in slot.live}
    assert bench.table == wanted
    assert {pf.address_text(element[2:]) for _, element in holders} <= wanted
    bench.tables.close(bench.now)
    assert bench.table == set()
