"""Children of the daemon: they answer, fail, hang and flood, and the loop goes on."""

from __future__ import annotations

import os
import time

import pytest
from loops import Strict
from waiting import PATIENCE

from nfa.daemon.processes.child import MAX_WAITING, Children, Job


class Nursery:
    """Children, and what came of them."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.dispatcher = Strict(lambda: time.monotonic() + self.ahead)
        self.children = Children(self.dispatcher)
        self.done: list[tuple[str, bytes, str]] = []

    def job(self, name: str, module: str = "nfa.cli", *arguments: str, given: bytes = b"", limit: int = 1 << 20) -> Job:
        return Job(name, module, list(arguments), given, 60, limit, lambda out, why: self.done.append((name, out, why)))

    def until(self, count: int) -> None:
        """Run the loop until so many are done."""
        deadline = time.monotonic() + PATIENCE
        while len(self.done) < count:
            assert time.monotonic() < deadline
            self.dispatcher.turn(100)


@pytest.fixture
def nursery() -> Nursery:
    return Nursery()


def test_output_comes_whole_and_in_line(nursery: Nursery) -> None:
    """A question would be answered with the answer to another."""
    for number in range(3):
        assert nursery.children.add(nursery.job(str(number), "nfa.cli", "--version"))
    nursery.children.add(nursery.job("urgent", "nfa.cli", "--version"), first=True)
    nursery.until(4)
    assert [name for name, _, _ in nursery.done] == ["0", "urgent", "1", "2"]
    assert {out.split()[0] for _, out, _ in nursery.done[1:]} == {b"nfa"}
    assert nursery.done[0][2] == "0 was interrupted by urgent; try again"
    assert nursery.children.descriptor == -1


def test_a_child_that_fails_is_told(nursery: Nursery) -> None:
    """A reload would wait for ever."""
    nursery.children.add(nursery.job("lost", "nfa.no_such_module"))
    nursery.children.add(nursery.job("chatty", "nfa.cli", "--help", limit=10))
    nursery.until(2)
    assert [why.partition(" ")[2] for _, _, why in nursery.done] == [
        "ended without an answer; see its messages above", "wrote more than 10 bytes",
    ]  # fmt: skip


def test_a_child_that_hangs_is_ended(nursery: Nursery) -> None:
    """One slow file system would stop all reloads from then on."""
    nursery.children.add(nursery.job("slow", "nfa.cli", "eval", "*", "/dev/zero"))
    nursery.children.add(nursery.job("next", "nfa.cli", "--version"))
    nursery.dispatcher.turn(0)
    assert not nursery.done
    nursery.ahead = 61.0
    nursery.dispatcher.turn(0)
    nursery.ahead = 0.0
    nursery.until(2)
    assert nursery.done[0][2] == "slow did not finish within 60 seconds"
    assert nursery.done[1][2] == ""


def test_the_line_is_bounded(nursery: Nursery) -> None:
    """Whoever asks without waiting would fill the memory."""
    taken = [nursery.children.add(nursery.job(str(number))) for number in range(MAX_WAITING + 5)]
    assert taken.count(False) == 4
    nursery.children.close()


def test_no_descriptor_and_no_process_is_left_over(nursery: Nursery) -> None:
    """After a thousand questions the daemon could open nothing more."""
    before = os.listdir("/proc/self/fd")
    nursery.children.add(nursery.job("a", "nfa.cli", "--version", given=b"x" * 300_000))
    nursery.until(1)
    nursery.children.add(nursery.job("b", "nfa.cli", "--version"))
    nursery.children.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_child_that_cannot_be_started_is_told(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory for a child, the daemon itself must go on."""

    def no_memory(*_: object, **__: object) -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(os, "posix_spawn", no_memory)
    before = len(os.listdir("/proc/self/fd"))
    nursery.children.add(nursery.job("a"))
    assert nursery.done == [("a", b"", "cannot start a: Cannot allocate memory")]
    assert len(os.listdir("/proc/self/fd")) == before
