"""Short-lived children of the daemon: what is slow or large is done there, while the loop goes on.

In: the name of a module whose `main(arguments)` is run, its arguments, and bytes for its standard input. Out: what it
wrote to its standard output, once it has ended. One runs at a time, the others wait in line: a router has little memory.
"""

import os
import select
import sys
import time

from ...image import cpython as image
from ..base import signal
from ..base.dispatcher import NEVER, Dispatcher

MYPY = False
if MYPY:
    from collections.abc import Callable

MAX_WAITING = 4
"""Jobs that wait in line; more are refused."""
CHUNK = 1 << 20
_FAULT = " could not be used because of a fault in nfa"


class Job:
    """Something to be done by a child. `done(output, problem)` is called once: b"" and words when nothing came of it.

    When it raises, it is called again: with the same, then with b"" and words."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: list[str],
        given: bytes,
        seconds: float,
        limit: int,
        done: "Callable[[bytes, str], object]",
    ) -> None:
        """`name`: for messages. `seconds`: how long it may take. `limit`: bytes of output it may write."""
        self.name = name
        self.module = module
        self.arguments = arguments
        self.given = given
        self.seconds = seconds
        self.limit = limit
        self.done = done


class Children:
    """The child that runs now, and the jobs in line. `most`: how many jobs may wait in line."""

    def __init__(self, dispatcher: Dispatcher, most: int = MAX_WAITING) -> None:
        self._dispatcher = dispatcher
        self._limit = dispatcher.at(NEVER, self._too_long)
        self._most = most
        self._waiting: list[Job] = []
        self._job: Job | None = None
        self._process = 0
        self._output: list[bytes] = []
        self._size = 0
        self.descriptor = -1
        """Where the running child's output comes from, -1 when none runs."""

    def add(self, job: Job, first: bool = False) -> bool:
        """Put a job in line. Returns False when too many wait. `first`: it begins at once, and what runs now is given up."""
        if len(self._waiting) >= self._most and not first:
            return False
        self._waiting.insert(0 if first else len(self._waiting), job)
        if first and self._job is not None:
            self._end(b"", self._job.name + " was interrupted by " + job.name + "; try again")
        else:
            self._next()
        return True

    def _next(self) -> None:
        """Start what is first in line, if nothing runs."""
        while self._waiting and self._job is None:
            job = self._waiting.pop(0)
            try:
                self._start(job)
            except OSError as failure:
                problem = "cannot start " + job.name + ": " + (failure.strerror or str(failure))
                self._dispatcher.guard(job.done, b"", problem)

    def _start(self, job: Job) -> None:
        """Raises OSError when there is no memory, no process or no descriptor to be had."""
        program = f"import sys; sys.path.insert(0, {image.ROOT!r}); from {job.module} import main; sys.exit(main())"
        # -P: what lies in the current directory is not imported; the daemon may have been started in /tmp.
        command = [sys.executable, "-P", "-c", program, *job.arguments]
        opened: list[int] = []
        try:
            # In memory, because a pipe takes 64 KiB and then makes the writer wait.
            opened.append(os.memfd_create("nfa"))
            os.write(opened[0], job.given)
            os.lseek(opened[0], 0, os.SEEK_SET)
            opened += os.pipe()
            given, source, sink = opened
            os.set_blocking(source, False)
            actions = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, sink, 1)]
            self._process = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        os.close(given)
        os.close(sink)
        self._job = job
        self._output = []
        self._size = 0
        self._limit.move(time.monotonic() + job.seconds)
        self.descriptor = source
        self._dispatcher.watch(source, select.POLLIN, self._ready, self._broken)

    def _ready(self, descriptor: int, event: int, moment: float) -> None:
        """The running child wrote something, or ended."""
        assert self._job is not None
        try:
            chunk = os.read(self.descriptor, CHUNK)
        except BlockingIOError:
            return
        self._size += len(chunk)
        if self._size > self._job.limit:
            self._end(b"", self._job.name + " wrote more than " + str(self._job.limit) + " bytes")
        elif chunk:
            self._output.append(chunk)
        else:
            output = b"".join(self._output)
            self._end(output, "" if output else self._job.name + " ended without an answer; see its messages above")

    def _too_long(self) -> None:
        """The running child does not end: give it up."""
        if self._job is not None:
            self._end(b"", self._job.name + " did not finish within " + str(self._job.seconds) + " seconds")

    def _broken(self, descriptor: int) -> None:
        """Its output cannot be read, again and again."""
        if self._job is not None:
            self._end(b"", "the answer of " + self._job.name + _FAULT)

    def _end(self, output: bytes, problem: str) -> None:
        """Forget the child (its exit status says nothing that its output does not), hand over, begin the next."""
        job = self._job
        assert job is not None
        self._kill()
        if not self._dispatcher.insist(job.done, output, problem):
            self._dispatcher.guard(job.done, b"", "the answer of " + job.name + _FAULT)
        self._next()

    def _kill(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        self._job = None
        self._output = []
        self._limit.move(NEVER)
        self._dispatcher.unwatch(descriptor)
        os.close(descriptor)
        try:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def finish(self, seconds: float) -> None:
        """Wait for the child that runs, at most so long: what it does is to be done before the daemon is gone."""
        poller = select.poll()
        end = time.monotonic() + seconds
        job, descriptor = self._job, self.descriptor
        if job is not None:
            poller.register(descriptor, select.POLLIN)
        while job is not None and self._job is job:
            if not poller.poll(max(0.0, end - time.monotonic()) * 1000):
                return
            self._ready(descriptor, select.POLLIN, 0.0)

    def close(self) -> None:
        """The daemon ends: so do its children."""
        self._waiting = []
        if self._job is not None:
            self._kill()
