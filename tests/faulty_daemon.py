"""Runs `nfa run` with a dispatcher in which every callback raises once, one after the other.

In: the command line of `nfa run` (this file stands before it); NFA_FAULTS: a folder; NFA_FAULT: the name of an exception.
Out: the files `registered` and `raised` there, a name a line: what the daemon gave the dispatcher, and what was made to raise.
Nothing is listed here: whatever is given to the dispatcher takes part. Timers that do not come by themselves are due once there
is a file `timers`; nothing raises any more once there is a file `end`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nfa import cli
from nfa.daemon import daemon
from nfa.daemon.base.dispatcher import Dispatcher, Timer

KIND: type[Exception] = {"RuntimeError": RuntimeError, "MemoryError": MemoryError}[os.environ["NFA_FAULT"]]
PAUSE = 0.001
"""Seconds between two faults: what follows one is to work."""
FOLDER = Path(os.environ["NFA_FAULTS"])

registered: set[str] = set()
raised: set[str] = set()
last = 0.0


def note(file: str, name: str) -> None:
    with (FOLDER / file).open("a") as written:
        written.write(name + "\n")


def faulty(callback: Callable[..., object], pause: float = PAUSE) -> Callable[..., object]:
    """A callback that raises the first time, before it does anything, if the last fault was `pause` seconds ago."""
    name = callback.__qualname__
    if name not in registered:
        registered.add(name)
        note("registered", name)

    def call(*arguments: object) -> object:
        global last
        if name not in raised and time.monotonic() >= last + pause and not (FOLDER / "end").exists():
            last = time.monotonic()
            raised.add(name)
            note("raised", name)
            raise KIND("injected")
        return callback(*arguments)

    call.__qualname__ = name
    return call


class Faulty(Dispatcher):
    """The dispatcher, with faults."""

    def watch(self, descriptor: int, events: int, callback: Any, broken: Any = None) -> None:
        super().watch(descriptor, events, faulty(callback), broken)

    def at(self, time: float, callback: Any) -> Timer:
        return super().at(time, faulty(callback))

    def step(self, callback: Any) -> None:
        super().step(faulty(callback))

    def guard(self, callback: Any, *arguments: object) -> bool:
        return super().guard(faulty(callback, 0.0), *arguments)  # it may be called but once

    def turn(self, longest: int = 100) -> int:
        """A turn, before which a timer is due that has yet to raise and does not come by itself."""
        if (FOLDER / "timers").exists():
            for timer in self._timers:
                if timer.callback.__qualname__ not in raised and timer.time > self.moment + 1:
                    timer.move(self.moment)
                    break
        return super().turn(min(longest, 100))


def execute(path: str, command: list[str], environment: dict[str, str]) -> None:
    """What `nfa run` does last: become the daemon."""
    daemon.Dispatcher = Faulty  # type: ignore[misc]
    sys.exit(daemon.Daemon(json.loads(command[-1])).run())


if __name__ == "__main__":
    os.execve = execute  # type: ignore[assignment]
    sys.exit(cli.main(sys.argv[sys.argv.index("nfa") + 1 :]))
