"""Programs that the daemon runs: their end, what they say, and that none of them holds up the loop."""

from __future__ import annotations

import os
import time

import pytest
from loops import Strict
from waiting import eventually

from nfa.daemon.base.dispatcher import NEVER
from nfa.daemon.processes.program import MAX_WORDS, Program

SHELL = "/bin/sh"


class Runner:
    """A loop around one program."""

    def __init__(self) -> None:
        self.dispatcher = Strict()
        self.program = Program(self.dispatcher)

    def run(self, script: str, given: bytes = b"", seconds: float = 60.0) -> tuple[int | None, bytes]:
        self.program.start([SHELL, "-c", script], given, seconds)
        return self.end()

    def end(self) -> tuple[int | None, bytes]:
        def turn() -> tuple[int | None, bytes] | None:
            self.dispatcher.turn(5)
            return self.program.outcome()

        found = eventually(turn)
        assert found is not None
        return found


@pytest.fixture
def runner() -> Runner:
    return Runner()


def test_the_exit_code_and_what_was_said_come_back(runner: Runner) -> None:
    """A refusal of pfctl would pass as a success, or without its reason."""
    assert runner.run("exit 0") == (0, b"")
    assert runner.run("echo no such table >&2; exit 255") == (255, b"no such table\n")
    assert runner.run("kill -9 $$")[0] == -9


def test_the_input_arrives_whole_however_long_it_is(runner: Runner) -> None:
    """A pipe takes 64 KiB, and then the loop would wait for the program."""
    given = b"203.0.113.255\n" * 100_000
    assert runner.run("sleep 0.05; wc -c >&2", given) == (0, b"%d\n" % len(given))


def test_a_program_that_talks_without_end_costs_bounded_memory(runner: Runner) -> None:
    code, said = runner.run("head -c 300000 /dev/zero >&2; echo unheard")
    assert (code, len(said)) == (0, MAX_WORDS)


@pytest.mark.parametrize("script", ["exec sleep 1000", "exec 2>&-; exec sleep 1000", "trap '' TERM; exec sleep 1000"])
def test_a_program_that_hangs_is_killed(runner: Runner, script: str) -> None:
    """One that never ends would keep all others from running."""
    assert runner.run(script, seconds=0.1)[0] is None
    assert not runner.program.running
    assert runner.run("exit 3") == (3, b"")


def test_nothing_of_a_program_is_left_over(runner: Runner) -> None:
    """After some thousand runs the daemon could open nothing more, or the process table would be full."""
    before = os.listdir("/proc/self/fd")
    runner.run("exit 1", b"x" * 100_000)
    with pytest.raises(OSError, match="No such file"):
        runner.program.start(["/nonexistent/pfctl"], b"x", 9.0)
    assert not runner.program.running
    assert len(os.listdir("/proc/self/fd")) == len(before)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_the_loop_wakes_when_the_outcome_may_be_there(runner: Runner) -> None:
    """The loop would sleep for a second after each run, or spin as long as the program runs."""
    assert runner.dispatcher._next() == NEVER
    runner.program.start([SHELL, "-c", "exec sleep 1000"], b"", 60.0)
    assert runner.dispatcher._next() > time.monotonic() + 50
    runner.program.kill()
    assert runner.dispatcher._next() < time.monotonic() + 1
    runner.end()
    assert runner.dispatcher._next() == NEVER
