"""A test of one notice: a sentence is sent, and whoever asked is told whether its channel took it.

In: a notice. Out: one reply: `taken`, or why not.
"""

from .notice import Counters

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..base.dispatcher import Dispatcher, Timer
    from .notice import Notice

    Data = dict[str, Any]
    Reply = Callable[[int, Data | None], object]

PATIENCE = 20.0
"""Seconds until the answer is that it is not known: those who ask give up after 30."""
PACE = 0.1


class Test:
    """`counters`: what becomes of the sentence."""

    __test__ = False  # it is none of pytest's

    def __init__(self, notice: "Notice", text: str, moment: float, reply: "Reply") -> None:
        self.counters = Counters(notice.counters.name)
        self.done = False
        self._notice = notice
        self._text = text
        self._until = moment + PATIENCE
        self._errors = notice.counters.errors
        self._reply = reply
        self._dispatcher: Dispatcher | None = None
        self._timer: Timer | None = None

    def watch(self, dispatcher: "Dispatcher") -> None:
        """Look again and again until it is over."""
        self._dispatcher = dispatcher
        self._timer = dispatcher.at(dispatcher.moment, self._look)

    def _look(self) -> None:
        if self._dispatcher is not None and not self.over(self._dispatcher.moment) and self._timer is not None:
            self._timer.move(self._dispatcher.moment + PACE)

    def over(self, moment: float) -> bool:
        """Return whether the outcome is known; it is replied then."""
        channel = self._notice.channel
        if self.done:
            return True
        if channel is None or self.counters.added:
            self.end("")
        elif self.counters.skipped:
            self.end(channel.trouble or "it was dropped")
        elif self._notice.counters.errors != self._errors:
            self.end(channel.trouble or self._notice.counters.last_error)
        elif moment >= self._until:
            self.end(channel.trouble or "no answer in " + str(int(PATIENCE)) + " seconds; it waits to be sent")
        return self.done

    def end(self, error: str) -> None:
        """Reply, once. `error`: "" when it was taken."""
        if self.done:
            return
        self.done = True
        if self._dispatcher is not None and self._timer is not None:
            self._dispatcher.cancel(self._timer)
        self._reply(0, {"taken": not error, "error": error, "text": self._text})
