"""Who learns: what happens when the kernel refuses, loses news, or floods; and when flows are to be re-evaluated."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

import pytest

from nfa.daemon.base.dispatcher import Dispatcher
from nfa.daemon.base.messages import Log
from nfa.daemon.devices import learning
from nfa.daemon.devices.configured import Devices
from nfa.daemon.devices.known import GRACE
from nfa.daemon.devices.learning import LOOK_EVERY, RETRY, Learner
from nfa.daemon.netlink.route import RTM_DELNEIGH, RTM_NEWNEIGH
from nfa.daemon.netlink.wire import NLMSG_DONE, attribute, message

OURS, GUEST, ROUTER = bytes(5) + b"\x01", bytes(5) + b"\x02", bytes(5) + b"\x03"
SIX = bytes.fromhex("fd000000000000000000000000000001")
REACHABLE, FAILED, NOARP = 2, 0x20, 0x40


def told(address: bytes, mac: bytes, state: int = REACHABLE) -> bytes:
    """The payload of a message about a neighbour (linux/neighbour.h)."""
    family = 2 if len(address) == 4 else 10
    return struct.pack("=B3xiHBB", family, 1, state, 0, 1) + attribute(1, address) + (attribute(2, mac) if mac else b"")


class Kernel:
    """In the place of both sockets: what it has, and news of it."""

    def __init__(self) -> None:
        self.neighbours: list[bytes] = []
        self.news: list[tuple[int, bytes]] = []
        self.lost = 0
        self.asked = 0
        self.refuses = False
        self.descriptor = 0
        self.answer: list[bytes] = []

    def changes(self, groups: object) -> Kernel:
        if self.refuses:
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return self

    def read(self, most: int) -> list[tuple[int, bytes]]:
        news, self.news = self.news, []
        return news

    def ask(self, request: bytes) -> None:
        self.asked += 1
        whole = [message(RTM_NEWNEIGH, 2, 1, one) for one in self.neighbours] + [message(NLMSG_DONE, 2, 1, bytes(4))]
        self.answer = whole

    def next(self) -> bytes:
        return self.answer.pop(0) if self.answer else b""

    def close(self) -> None:
        self.answer = []


class Bench:
    """A learner with a clock that the test turns, and the kernel above."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel = Kernel()
        self.clock = 1000.0
        self.forgotten = self.changed = 0
        self.said: list[str] = []
        monkeypatch.setattr(learning, "Changes", self.kernel.changes)
        monkeypatch.setattr(learning, "Dump", lambda family: self.kernel)
        monkeypatch.setattr(learning, "monotonic", lambda: self.clock)
        self.dispatcher = Dispatcher(Log(), lambda: self.clock)
        monkeypatch.setattr(self.dispatcher, "watch", lambda *given: None)
        monkeypatch.setattr(self.dispatcher, "unwatch", lambda *given: None)
        self.devices = Devices([("tablet", "", (OURS,), (), ("toms-tablet",))])
        self.learner = Learner(self.dispatcher, lambda level, text: self.said.append(text), self.forget, self.change)

    def forget(self) -> None:
        self.forgotten += 1

    def change(self) -> None:
        self.changed += 1

    def follow(self, *files: str) -> None:
        self.learner.follow(self.devices, files, [])
        self.pass_(0.0)

    def pass_(self, seconds: float) -> None:
        """Let time pass, second by second."""
        end = self.clock + seconds
        while True:
            for _ in range(5):
                self.dispatcher.turn(0)
            if self.clock >= end:
                return
            self.clock += 1.0

    def news(self, *news: tuple[int, bytes]) -> None:
        self.kernel.news += news
        self.learner._read_news(0, 1, self.clock)

    def of(self, address: bytes) -> tuple[int, ...]:
        return self.devices.of(address, ROUTER)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_flows_are_evaluated_again_once_a_second_and_for_devices_only(bench: Bench) -> None:
    """Each guest who comes or goes would have all flows evaluated again, or a burst of news the whole second long."""
    bench.follow()
    bench.news(*[(RTM_NEWNEIGH, told(SIX[:15] + bytes((n,)), GUEST)) for n in range(50)])
    bench.pass_(3)
    assert (bench.changed, bench.forgotten) == (0, 1), "what was remembered of ends is forgotten, nothing is evaluated"
    for number in range(50):
        bench.news((RTM_NEWNEIGH, told(SIX[:15] + bytes((100 + number,)), OURS)))
    assert bench.changed == 0 and bench.of(SIX[:15] + b"\x65") == (0,), "records that come meanwhile are decided rightly"
    bench.pass_(3)
    assert bench.changed == 1 and bench.learner.status()["changes"] == 1


def test_only_what_is_a_neighbour_counts(bench: Bench) -> None:
    """An entry of an address that did not answer would give it to nobody, one of a multicast address to all."""
    bench.follow()
    bench.news(
        (RTM_NEWNEIGH, told(SIX, OURS, NOARP)), (RTM_NEWNEIGH, told(SIX, b"")), (RTM_NEWNEIGH, told(SIX, bytes(6))),
        (RTM_NEWNEIGH, b""), (RTM_NEWNEIGH, told(SIX, OURS)[:20]), (16, told(SIX, OURS)),
    )  # fmt: skip
    assert bench.of(SIX) == ()
    bench.news((RTM_NEWNEIGH, told(SIX, OURS)))
    assert bench.of(SIX) == (0,)
    for gone in ((RTM_NEWNEIGH, told(SIX, OURS, FAILED)), (RTM_DELNEIGH, told(SIX, OURS))):
        bench.news((RTM_NEWNEIGH, told(SIX, OURS)), gone)
        assert not bench.learner.known.lives(SIX) and bench.of(SIX) == (0,), "for its grace"
    bench.pass_(GRACE + 1)
    assert bench.of(SIX) == ()


def test_after_lost_news_the_kernel_is_asked_once_a_second(bench: Bench) -> None:
    """In a flood, each loss would begin the answer again: it would never be read to its end."""
    bench.kernel.neighbours = [told(SIX, OURS)]
    bench.follow()
    assert bench.kernel.asked == 1 and bench.of(SIX) == (0,)
    bench.kernel.neighbours = [told(SIX, GUEST)]
    for _ in range(10):
        bench.kernel.lost += 1
        lost = bench.kernel.lost
        bench.kernel.read = lambda most, lost=lost: setattr(bench.kernel, "lost", lost + 1) or []  # type: ignore[method-assign, assignment, func-returns-value]  # news are lost in it
        bench.learner._read_news(0, 1, bench.clock)
    assert bench.kernel.asked == 1
    bench.pass_(1)
    assert bench.kernel.asked == 2 and bench.of(SIX) == ()
    bench.pass_(5)
    assert bench.kernel.asked == 2


def test_a_kernel_that_refuses_is_asked_again_and_said_once(bench: Bench) -> None:
    """Without news, addresses of before would hold for ever; the daemon would say so each half minute."""
    bench.kernel.neighbours = [told(SIX, OURS)]
    bench.follow()
    bench.kernel.refuses = True
    bench.learner._broken(0)
    assert bench.learner.status()["code"] == "neighbours-unreadable"
    assert bench.of(SIX) == (0,)
    bench.pass_(GRACE + 2)
    assert bench.of(SIX) == () and len(bench.said) == 2, bench.said
    bench.kernel.refuses = False
    bench.pass_(RETRY + 1)
    assert bench.learner.trouble == "" and bench.of(SIX) == (0,)
    bench.learner.close()


def test_lease_files_are_read_when_they_change(bench: Bench, tmp_path: Path) -> None:
    """A device that is known by its name would be nobody's until the next reload; or each look would read all files."""
    file = tmp_path / "leases"
    bench.follow(str(file), str(tmp_path), "/nowhere")
    file.write_text("1 00:00:00:00:00:09 192.168.1.9 toms-tablet *\n")
    bench.pass_(LOOK_EVERY + 1)
    assert bench.of(bytes((192, 168, 1, 9))) == (0,) and bench.changed == 1
    read: list[Any] = []
    original = learning._read
    learning._read = lambda path: read.append(path) or original(path)  # type: ignore[assignment, func-returns-value]  # counted
    try:
        bench.pass_(3 * LOOK_EVERY)
        assert not read and bench.changed == 1
        file.unlink()
        bench.pass_(LOOK_EVERY + 1)
        assert not read and bench.of(bytes((192, 168, 1, 9))) == () and bench.changed == 2
    finally:
        learning._read = original


def test_a_new_policy_has_other_devices_and_files(bench: Bench, tmp_path: Path) -> None:
    """After a reload, a device that was added would wait for its neighbour to come anew, or a file of before would count."""
    file = tmp_path / "leases"
    file.write_text("1 00:00:00:00:00:09 192.168.1.9 toms-tablet *\n")
    bench.kernel.neighbours = [told(SIX, OURS), told(SIX[:15] + b"\x02", GUEST)]
    bench.follow(str(file))
    assert bench.of(bytes((192, 168, 1, 9))) == (0,)
    bench.devices = Devices([("guest", "", (GUEST,), (), ()), ("tablet", "", (OURS,), (), ("toms-tablet",))])
    bench.follow()
    assert bench.of(SIX) == (1,) and bench.of(SIX[:15] + b"\x02") == (0,) and bench.of(bytes((192, 168, 1, 9))) == ()
    assert bench.kernel.asked == 1
