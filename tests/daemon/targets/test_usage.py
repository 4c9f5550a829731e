"""A set that no rule uses is reported, once, and not while a firewall restarts; the look at the rules holds up nothing."""

from __future__ import annotations

import errno
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from fake_kernel import Bench
from loops import Strict

from nfa.daemon.netlink.monitor import LIST
from nfa.daemon.netlink.rule_dumps import GET_RULE
from nfa.daemon.netlink.wire import attribute, message, nfgen, string
from nfa.daemon.targets.sets import usage
from nfa.daemon.targets.sets.states import GONE, MADE
from nfa.daemon.targets.sets.usage import EVERY, GRACE, MAX_TOLD, PACE, SETTLE, SLICE, Usage

RULE = "nft 'add rule inet t c ip daddr @{} drop'"


def rule(family: int, table: str, *sets: str) -> bytes:
    """The payload of NEWRULE: a rule that looks packets up in these sets."""
    expressions = b"".join(
        attribute(1, string(1, "lookup") + attribute(2, string(1, name) + attribute(2, struct.pack(">I", 1)))) for name in sets
    )
    body = string(1, table) + string(2, "chain") + attribute(3, struct.pack(">Q", 7)) + attribute(4, expressions)
    return nfgen(family) + body


class FakeDump:
    """The kernel's answers: the rules of each table, a rule a datagram, and the references of each ipset."""

    rules: dict[str, list[tuple[str, ...]]]
    references: dict[str, int]
    error: int
    changing: bool
    asked: list[str]
    read: int

    def __init__(self) -> None:
        self._answers: list[bytes] = []

    def ask(self, request: bytes) -> None:
        kernel = FakeDump
        _, kind, _, sequence = struct.unpack_from("=IHHI", request)
        name = request[24 : request.index(b"\0", 24)].decode()
        if kernel.error:
            raise OSError(kernel.error, "refused")
        if kind == GET_RULE:
            kernel.asked.append(name)
            flags = 0x12 if kernel.changing else 2
            made = [message(0xA06, flags, sequence, rule(request[16], name, *sets)) for sets in kernel.rules.get(name, [])]
            self._answers = [*made, message(3, flags, sequence, b"\0\0\0\0")]
        else:
            assert kind == LIST
            name = next(name for name in [*kernel.references, "?"] if name.encode() + b"\0" in request or name == "?")
            kernel.asked.append(name)
            if name == "?":
                self._answers = [message(2, 0, sequence, struct.pack("=i", -errno.ENOENT) + request[:16])]
                return
            numbers = attribute(
                7,
                attribute(24 | 0x4000, struct.pack(">I", 3))
                + attribute(25 | 0x4000, struct.pack(">I", kernel.references[name])),
            )
            self._answers = [message(LIST, 2, sequence, nfgen(2) + numbers), message(3, 2, sequence, b"\0\0\0\0")]

    def next(self) -> bytes:
        FakeDump.read += 1
        return self._answers.pop(0) if self._answers else b""

    def close(self) -> None:
        self._answers = []


class Watch:
    """Sets that are there, their rules, and a clock."""

    def __init__(self, *kinds: str) -> None:
        self.moment = 1000.0
        self.said: list[tuple[str, str]] = []
        self.slots = [self.slot(kind, number) for number, kind in enumerate(kinds or ("nftset",))]
        self.registry = SimpleNamespace(by_number=dict(enumerate(self.slots)))
        self.loop = Strict(lambda: self.moment)
        self.usage = Usage(self.loop, self.registry, lambda *words: self.said.append(words), lambda: self.moment)
        self.usage.watch()

    def slot(self, kind: str, number: int) -> Any:
        bench = Bench(kind)
        slot = bench.slot
        slot.data |= {"set": f"s{number}.v4", "rule": RULE.format(f"s{number}.v4"), "target": f"target{number}"}
        slot.state.happens(MADE, 0)
        return slot

    def after(self, seconds: float) -> None:
        """Time passes, and timers come due."""
        end = self.moment + seconds
        while True:
            due = min([timer.time for timer in self.loop._timers])
            if due > end:
                break
            self.moment = max(self.moment, due)
            self.loop._run_timers(self.moment)
        self.moment = end

    @property
    def found(self) -> list[str]:
        return [found["set"] for found in self.usage.findings()]


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "Dump", FakeDump)
    FakeDump.rules, FakeDump.references, FakeDump.asked = {}, {}, []
    FakeDump.error = FakeDump.read = 0
    FakeDump.changing = False


def use(*names: str) -> None:
    """Rules use these sets, and others besides."""
    FakeDump.rules["t"] = [("theirs",), *[(name,) for name in names], ("more",)]
    FakeDump.references.update(dict.fromkeys(names, 1))


def unuse(*names: str) -> None:
    FakeDump.rules["t"] = [("theirs",)]
    FakeDump.references.update(dict.fromkeys(names, 0))


KINDS = pytest.mark.parametrize("kind", ["nftset", "ipset"])


@KINDS
def test_a_set_without_a_rule_is_reported_after_a_while_and_once(kind: str) -> None:
    """YouTube plays while status shows that all is on; or a log that is full of the same warning."""
    unuse("s0.v4")
    watch = Watch(kind)
    watch.after(SETTLE + GRACE - 0.1)
    assert not watch.found and not watch.said, "a firewall may be about to load its rules"
    watch.after(0.2)
    (found,) = watch.usage.findings()
    assert (found["severity"], found["code"], found["target"], found["set"]) == ("warning", "set-unused", "target0", "s0.v4")
    assert found["message"].endswith("s0.v4 is used by no rule: nothing happens to these flows")
    assert RULE.format("s0.v4") in found["hint"] and found["rule"] == RULE.format("s0.v4")
    watch.after(10 * EVERY)
    assert [(level, RULE.format("s0.v4") in text) for level, text in watch.said] == [("warning", True)]


@KINDS
def test_it_ends_when_a_rule_comes_and_begins_again_when_that_goes(kind: str) -> None:
    """Who pasted the rule would go on searching; who lost it would not learn of it."""
    unuse("s0.v4")
    watch = Watch(kind)
    watch.after(SETTLE + GRACE + 1)
    assert watch.found
    use("s0.v4")
    watch.usage.changed()
    watch.after(PACE + SETTLE)
    assert not watch.found
    assert watch.said[1:] == [("notice", watch.said[1][1])] and "is used by a rule now" in watch.said[1][1]
    unuse("s0.v4")
    watch.usage.changed()
    watch.after(PACE + SETTLE + GRACE)
    assert watch.found and len(watch.said) == 3


@KINDS
def test_a_firewall_that_restarts_is_no_alarm(kind: str) -> None:
    """`service firewall restart` deletes all rules, works for some seconds, and loads them again."""
    use("s0.v4")
    watch = Watch(kind)
    watch.after(30)
    for _ in range(10):
        unuse("s0.v4")
        watch.usage.changed()
        watch.after(GRACE - PACE)
        use("s0.v4")
        watch.usage.changed()
        watch.after(PACE + SETTLE)
    assert not watch.said and not watch.found


def test_rules_that_change_all_the_time_are_read_now_and_then() -> None:
    """A script that adds a rule for each client would keep the daemon busy with reading all rules."""
    use("s0.v4")
    watch = Watch()
    for _ in range(1000):
        watch.usage.changed()
        watch.after(0.1)
    assert 100 / PACE - 1 <= len(FakeDump.asked) <= 100 / PACE + 2


def test_a_large_table_is_read_in_parts() -> None:
    """Flows would wait while thousands of rules of a firewall are read."""
    FakeDump.rules["t"] = [("theirs",)] * 100 + [("s0.v4",)]
    watch = Watch()
    watch.moment += SETTLE
    turns = 0
    while FakeDump.read < 101:
        before = FakeDump.read
        watch.loop._run_timers(watch.moment)
        assert FakeDump.read - before <= SLICE
        assert watch.loop._next() <= watch.moment or FakeDump.read >= 101, "the next turn goes on"
        turns += 1
    assert turns >= 100 / SLICE
    watch.after(GRACE + PACE)
    assert not watch.found


def test_reading_ends_with_the_last_set_that_is_found() -> None:
    """The rest of a large table says nothing new."""
    FakeDump.rules["t"] = [("s0.v4",)] + [("theirs",)] * 1000
    watch = Watch()
    watch.after(SETTLE + GRACE)
    assert FakeDump.read == 1 and not watch.found


def test_rules_that_change_while_they_are_read_are_read_again() -> None:
    """The kernel may leave out a rule then: the set would be called unused."""
    unuse("s0.v4")
    FakeDump.changing = True
    watch = Watch()
    watch.after(3 * GRACE)
    assert not watch.found and len(FakeDump.asked) > 3 * GRACE / PACE - 2
    FakeDump.changing = False
    watch.after(PACE + GRACE)
    assert watch.found


@KINDS
def test_a_kernel_that_does_not_answer_is_no_finding(kind: str) -> None:
    """Without the right to ask, each set would be called unused; and the loop would spin."""
    FakeDump.error = errno.EPERM
    watch = Watch(kind)
    watch.after(EVERY)
    assert not watch.found and not watch.said
    FakeDump.error = 0
    unuse("s0.v4")
    watch.after(EVERY + GRACE)
    assert watch.found, "it is asked again"


@KINDS
def test_a_set_that_is_not_there_is_in_another_trouble(kind: str) -> None:
    """Two findings about one thing, of which one is wrong: no rule can use it yet."""
    if kind == "nftset":
        unuse("s0.v4")
    watch = Watch(kind)
    watch.slots[0].state.happens(GONE, 0)
    watch.after(2 * EVERY)
    assert not watch.found and not watch.said
    watch.slots[0].state.happens(MADE, 0)
    unuse("s0.v4")
    watch.after(EVERY + GRACE)
    assert watch.found
    watch.slots[0].state.happens(GONE, 0)
    assert not watch.found, "while it is away"


def test_a_policy_without_the_target_has_no_finding_of_it() -> None:
    """A finding about what is no longer there could never end."""
    unuse("s0.v4", "s1.v4")
    watch = Watch("nftset", "ipset")
    watch.after(SETTLE + GRACE)
    assert watch.found == ["s0.v4", "s1.v4"]
    watch.slots[0].data["rule"] = ""  # no action fills it
    watch.usage.watch()
    assert watch.found == ["s1.v4"]
    del watch.registry.by_number[1]
    watch.usage.watch()
    assert watch.found == []
    FakeDump.asked.clear()
    watch.after(10 * EVERY)
    assert FakeDump.asked == [], "there is nothing to look for"


def test_targets_that_share_a_set_are_one_finding() -> None:
    """The same rule is enough for both."""
    unuse("s0.v4")
    watch = Watch("nftset", "nftset")
    watch.slots[1].data["set"] = "s0.v4"
    watch.usage.watch()
    watch.after(SETTLE + GRACE)
    assert watch.found == ["s0.v4"] and len(watch.said) == 1


def test_status_has_room_for_so_many() -> None:
    """A policy of a thousand targets would make an answer that does not fit into a message."""
    watch = Watch(*["nftset"] * (MAX_TOLD + 9))
    watch.after(SETTLE + GRACE)
    assert len(watch.found) == MAX_TOLD and len(watch.said) == MAX_TOLD + 9


def test_the_end_is_quiet() -> None:
    """A timer of what is closed would be a fault."""
    watch = Watch("nftset", "ipset")
    watch.usage.close()
    watch.after(EVERY)
    assert not FakeDump.asked
