"""Another program, run now and then: one at a time, and the loop goes on meanwhile.

In: a command, bytes for its standard input, seconds it may take. Out: its exit code and what it said on standard error, once it
has ended or was killed. No shell. The daemon loads this only when a target needs it.
"""

import os
import select
import time

from ..base import signal
from ..base.dispatcher import Dispatcher, Timer

MAX_WORDS = 4096
"""Bytes of standard error that are kept."""
AGAIN = 0.005
"""Seconds until one that is about to be gone is looked for again."""


class Program:
    """What runs now, if anything does. Its owner asks for the `outcome` at the end of each turn of the loop."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._process = 0
        self._words = b""
        self._killed = False
        self._ends_at = 0.0
        self._look: Timer | None = None
        """Begins a turn of the loop when the outcome may be there without anything to read."""
        self._look_until = 0.0
        self.descriptor = -1
        """Where its standard error comes from, -1 when that is closed."""

    @property
    def running(self) -> bool:
        """Whether a program runs: no other one can be started."""
        return self._process != 0

    def start(self, command: list[str], given: bytes, seconds: float) -> None:
        """Raises OSError when there is no such program, no memory, no process or no descriptor to be had."""
        opened: list[int] = []
        try:
            # In memory, because a pipe takes 64 KiB or less and then makes the writer wait.
            opened.append(os.memfd_create("nfa"))
            with open(opened[0], "wb", closefd=False) as file:
                file.write(given)
            os.lseek(opened[0], 0, os.SEEK_SET)
            opened += os.pipe()
            source, sink = opened[1:]
            os.set_blocking(source, False)
            actions = [
                (os.POSIX_SPAWN_DUP2, opened[0], 0),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, sink, 2),
            ]
            # What it says is understood: no other language.
            environment = {**os.environ, "LC_ALL": "C"}
            self._process = os.posix_spawn(command[0], command, environment, file_actions=actions, setsigdef=[signal.SIGPIPE])
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        os.close(opened[0])
        os.close(sink)
        self._words = b""
        self._killed = False
        self._ends_at = time.monotonic() + seconds
        self.descriptor = source
        self._dispatcher.watch(source, select.POLLIN, self._ready)
        self._look = self._dispatcher.at(self._ends_at, self._wake)

    def _wake(self) -> None:
        """Have the outcome asked for; soon again, if it is about to come: after a while, each second is enough."""
        moment = time.monotonic()
        if self._look is not None and self.descriptor < 0 and moment < self._look_until:
            self._look.move(moment + AGAIN)

    def _ready(self, descriptor: int, event: int, moment: float) -> None:
        self.ready()

    def ready(self) -> None:
        """It said something, or has ended. What is too much is read and forgotten."""
        try:
            chunk = os.read(self.descriptor, MAX_WORDS)
        except BlockingIOError:
            return
        if chunk:
            self._words = (self._words + chunk)[:MAX_WORDS]
        else:
            self._close()

    def outcome(self) -> tuple[int | None, bytes] | None:
        """Return (exit code, what it said) when it has ended, else None. The code is None when it took too long, and
        the negative number of the signal that ended it otherwise."""
        if not self._process:
            return None
        if not self._killed and time.monotonic() >= self._ends_at:
            self.kill()
        if self.descriptor >= 0:
            return None  # what it has to say comes first
        try:
            process, status = os.waitpid(self._process, os.WNOHANG)
        except ChildProcessError:
            process, status = self._process, 0
        if not process:
            return None  # not quite gone, or it has closed its standard error
        self._process = 0
        if self._look is not None:
            self._dispatcher.cancel(self._look)
            self._look = None
        return (None if self._killed else os.waitstatus_to_exitcode(status)), self._words

    def kill(self) -> None:
        """End it."""
        self._killed = True
        self._close()
        try:
            os.kill(self._process, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            self._dispatcher.unwatch(descriptor)
            if self._look is not None:
                self._look_until = time.monotonic() + 1
                self._look.move(time.monotonic() + AGAIN)
            os.close(descriptor)
