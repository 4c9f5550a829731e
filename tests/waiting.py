"""Waiting in tests: for a condition, with a deadline, never for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 10.0  # seconds; far more than anything here takes, so that a busy machine makes no test fail


def eventually(condition: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """Ask until the answer is true, and return it. Fails the test after `seconds`."""
    began = time.monotonic()
    while True:
        answer = condition()
        if answer:
            return answer
        waited = time.monotonic() - began
        assert waited < seconds, f"not within {seconds} s: {what or condition} (last answer: {answer!r})"
        # The longer it takes, the less matters the moment: asking is work for the daemon, and for the tests beside this one.
        time.sleep(min(0.05, max(0.01, waited / 20)))
