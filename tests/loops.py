"""A dispatcher for tests of those who live in the daemon's loop: a fault of theirs fails the test."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from nfa.daemon.base.dispatcher import Dispatcher
from nfa.daemon.base.messages import Log


class Strict(Dispatcher):
    """It guards nothing. `clock`: monotonic seconds, the test's own if it wants to."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(Log(), clock)

    def fault(self, what: str, failure: Exception) -> str:
        raise failure
