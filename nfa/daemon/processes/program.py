"""Another program, run now and then: one at a time, and the loop goes on meanwhile.

In: a command, bytes for its standard input, seconds it may take. Out: its exit code and what it said on standard error, once it
has ended or was killed. No shell. The daemon loads this only when a target needs it.
"""

import os
import select
import signal
import time

MAX_WORDS = 4096
"""Bytes of standard error that are kept."""
AGAIN = 0.005
"""Seconds until one that is about to be gone is looked for again."""


class Program:
    """What runs now, if anything does. `poll` is the loop's."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._process = 0
        self._words = b""
        self._killed = False
        self._ends_at = 0.0
        self._closed_at = 0.0
        self.descriptor = -1
        """Where its standard error comes from, -1 when that is closed."""

    @property
    def running(self) -> bool:
        """Whether a program runs: no other one can be started."""
        return self._process != 0

    @property
    def deadline(self) -> float:
        """When `outcome` is to be asked for, if there was nothing to read before: monotonic seconds; 0.0: not at all."""
        if not self._process:
            return 0.0
        if self.descriptor >= 0:
            return self._ends_at
        moment = time.monotonic()
        return moment + AGAIN if moment < self._closed_at + 1 else 0.0  # then each second is enough

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
        self._poll.register(source, select.POLLIN)

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
            self._closed_at = time.monotonic()
            self._poll.unregister(descriptor)
            os.close(descriptor)
