"""A clock on the wall for one daemon under test: it stands still until the test sets it.

In: times of day, UTC. Out: what a daemon does first, to have this clock (see `lab_program`). Tests of schedules need no waiting
with it, and no margin for a busy machine: no edge comes before the test is ready for it. All else in the daemon is as always;
its monotonic clock goes on, so it looks at this one as often as at the real one.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


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

    def statement(self) -> str:
        """Return what gives the clock to the program that executes it."""
        return f"import time; time.time = lambda: float(open({str(self._file)!r}).read()); "
