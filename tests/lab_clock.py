"""A clock on the wall for one daemon under test: it stands still until the test sets it.

In: times of day, UTC. Out: a command that runs `nfa run` with this clock. Tests of schedules need no waiting with it, and no
margin for a busy machine: no edge comes before the test is ready for it. All else in the daemon is as always; its monotonic
clock goes on, so it looks at this one as often as at the real one.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

_RUN = """
import os, sys
from nfa.cli import main

execve, file = os.execve, sys.argv.pop(1)

def with_clock(program, command, environment):
    place = command.index("-c") + 1
    command[place] = f"import time; time.time = lambda: float(open({file!r}).read()); {command[place]}"
    execve(program, command, environment)

os.execve = with_clock
sys.exit(main())
"""

_HASTE = """
import os, sys
from nfa.cli import main

execve, code = os.execve, sys.argv.pop(1)

def hasty(program, command, environment):
    place = command.index("-c") + 1
    before, end, after = command[place].partition("sys.exit(main())")
    assert end and not after
    command[place] = before + code
    execve(program, command, environment)

os.execve = hasty
sys.exit(main())
"""


class Clock:
    """Shows 2026-06-15 and a time of day, UTC."""

    def __init__(self, folder: Path, time: str) -> None:
        self._file = folder / "clock"
        self.set(time)

    def set(self, time: str) -> None:
        """Let it be `time` (HH:MM:SS) from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(datetime.fromisoformat(f"2026-06-15T{time}+00:00").timestamp()))
        fresh.rename(self._file)

    def nfa(self) -> list[str]:
        """Return the command that is `nfa` with this clock: for `nfa run` only."""
        return [sys.executable, "-c", _RUN, str(self._file)]


class Haste(Clock):
    """Shows the real time, but has other constants: what takes a while for good reasons takes none in a test."""

    def __init__(self, module: str, **constants: float) -> None:
        """`module`: of nfa.daemon, whose constants are to be these."""
        words = "; ".join(f"hasty.{name} = {value!r}" for name, value in constants.items())
        self._code = f"import nfa.daemon.{module} as hasty; {words}; sys.exit(main())"

    def nfa(self) -> list[str]:
        return [sys.executable, "-c", _HASTE, self._code]
