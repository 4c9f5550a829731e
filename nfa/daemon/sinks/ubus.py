"""Sink `ubus`: each event of a flow is an event on the bus, for those who listen for its name.

The connection is the daemon's own. While it is not there, or ubusd does not read, events are dropped and counted.
"""

from .channel import Channel

MYPY = False
if MYPY:
    from typing import Any

    from .channel import Counters


class Sink(Channel):
    """A name of events on ubus."""

    tables = True

    def open(self, moment: float) -> None:
        if self.hub.ubus is None:
            self.failed("the daemon was started without ubus", "no events are sent")

    @property
    def heard(self) -> bool:
        return self.hub.ubus is not None and self.hub.ubus.state == "registered"

    def put(self, event: "dict[str, Any]", counters: "Counters") -> None:
        bus = self.hub.ubus
        if bus is not None and bus.event(self.options["event"], event):
            counters.added += 1
        else:
            counters.skipped += 1
