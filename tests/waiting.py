"""Waiting in tests: for a condition, with a deadline, never for a while.

A deadline only ends a test that has failed: it is far longer than what it bounds takes, and says nothing about how fast nfa is.
Where a test needs a certain time of day, it has a clock of its own (`kernel_lab.Clock`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
SLOW = float(os.environ.get("NFA_SLOW", "1"))
"""How many times slower than an ordinary one this machine is. Deadlines grow with it: NFA_SLOW=20 for an emulated machine."""
PATIENCE = 30.0 * SLOW  # seconds; some hundred times what anything here takes on a quiet machine


def patience(seconds: float) -> float:
    """Return a deadline on this machine: `seconds` are enough for an ordinary one, however busy."""
    return seconds * SLOW


def eventually(condition: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """Ask until the answer is true, and return it. Fails the test after `seconds`."""
    began = time.monotonic()
    while True:
        # The last question is asked after the deadline: a test that got no processor until then has not failed.
        late = time.monotonic() - began
        answer = condition()
        if answer:
            return answer
        assert late < seconds, f"not within {seconds} s: {what or condition} (last answer: {answer!r})"
        # The longer it takes, the less matters the moment: asking is work for the daemon, and for the tests beside this one.
        time.sleep(min(0.05, max(0.01, late / 20)))
