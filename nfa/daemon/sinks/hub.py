"""All channels of sinks in the daemon's loop. The daemon loads this, and each kind of sink, only when a policy has one.

In: what the policy image says of the channels, descriptors that are ready, the time. Out: channels that sink targets put
events into. A channel that is the same after a reload stays, with its readers and what waits in it.
"""

import time

from ..base import socket
from ..base.dispatcher import Dispatcher
from .channel import MAX_WAITING, Channel
from .packer import Packer
from .target import SinkTarget

MYPY = False
if MYPY:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from .channel import Bus, Counters

    Found = Callable[[list[str], str], object]
    Data = dict[str, Any]

_MODULES: dict[str, str] = {"unix": "listener", "tcp": "listener", "udp": "datagrams"}
"""Kinds of channels to the modules of this package that have another name."""
LAST_SECONDS = 2
"""How long the daemon's end waits for servers: procd kills it after 5."""
FINISH_WAIT = 50
"""Milliseconds of a turn in that time."""


class Hub:
    """`ubus`: the daemon's bus or None. `resolve(host, done)`: looks a name up and calls `done(addresses, problem)` later.
    `write`: as `base.dated.write_dated`. `packing`: has `pack`, `unpack` and `gzip`, as `base.packing`. `say`, `tell`: as for
    `Sets`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        ubus: "Bus | None",
        resolve: "Callable[[str, Found], object]",
        write: "Callable[..., str]",
        packing: "ModuleType",
        say: "Callable[[str, str], object]",
        tell: "Callable[[str, str, str], object]",
    ) -> None:
        self.dispatcher = dispatcher
        self.ubus = ubus
        self._resolve = resolve
        self.write = write
        self.packing = packing
        self._packer = Packer(packing)
        self.say = say
        self.tell = tell
        self.moment = dispatcher.moment
        """When the last turn of the loop began, monotonic seconds; `second`: the loop's clock."""
        self.second = 1
        self.channels: list[Channel] = []
        self._begun = False

    # -- the policy -----------------------------------------------------------------------------------------------------

    def prepare(self, wanted: "list[Data]") -> list[Channel]:
        """Return channels, one for each of `wanted`: those that are there, and new ones, which do nothing before `adopt`."""
        found: list[Channel] = []
        for data in wanted:
            channel = next((channel for channel in self.channels + found if channel.data == data), None)
            if channel is None:
                kind = str(data["kind"])
                module = __import__("nfa.daemon.sinks." + _MODULES.get(kind, kind), None, None, ["Sink"])
                channel = module.Sink(data, self)
            found.append(channel)
        return found

    def adopt(self, wanted: list[Channel]) -> None:
        """Have these channels and no others. What is gone is closed first: a new one may listen in its place."""
        if not self._begun:
            self._begun = True
            self.dispatcher.step(self.turn)
        insist = self.dispatcher.insist
        for channel in self.channels:
            if channel not in wanted:
                insist(self._close, channel, False)
        self.channels = list(dict.fromkeys(wanted))
        for channel in self.channels:
            channel.users = []
            if not channel.opened and not insist(self._open, channel):
                channel.retry(self.dispatcher.moment)

    def _open(self, channel: Channel) -> None:
        try:
            channel.open(self.dispatcher.moment)
        except Exception:
            channel.close(False)  # what was done of it is not in the way of the next attempt
            raise
        channel.opened = True

    def _close(self, channel: Channel, last: bool) -> None:
        if channel.opened:
            channel.close(last)
            channel.deadline = 0.0
            channel.opened = False

    def target(self, number: int, counters: "Counters") -> SinkTarget:
        """Return a new target; `number`: that of its packed keys."""
        return SinkTarget(number, counters, self._packer)

    def finish(self) -> None:
        """The daemon is about to end, and the loop has no steps any more: servers that work get what waits for them, for a
        while."""
        end = time.monotonic() + LAST_SECONDS
        for channel in self.channels:
            self.dispatcher.guard(channel.hasten)
        self.turn()
        while time.monotonic() < end and [channel for channel in self.channels if channel.waiting() and not channel.trouble]:
            self.dispatcher.turn(FINISH_WAIT)
            self.turn()
        lost = sum([channel.waiting() for channel in self.channels])
        if lost:
            self.say("warning", str(lost) + " events of sinks were lost because their servers did not take them")

    def close(self) -> None:
        """The daemon ends."""
        for channel in self.channels:
            self.dispatcher.insist(self._close, channel, True)
        self.channels = []

    # -- the loop -------------------------------------------------------------------------------------------------------

    def watch(self, descriptor: int, owner: Channel, event: int) -> None:
        """Call `owner.ready` when poll says so. Called again for a descriptor, it changes what is waited for."""
        self.dispatcher.watch(descriptor, event, owner.ready, owner.broken)

    def unwatch(self, descriptor: int) -> None:
        """The descriptor is about to be closed."""
        self.dispatcher.unwatch(descriptor)

    def resolve(self, channel: Channel, host: str, done: "Found") -> None:
        """Look up a name for a channel: `done(addresses, problem)`, at once if it is an address already."""
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, host)
            except OSError:
                continue
            done([host], "")
            return
        self._resolve(host, done)

    def turn(self) -> None:
        """The end of a turn of the loop: what came goes out."""
        self.moment = self.dispatcher.moment
        self.second = int(self.moment) + 1
        for channel in self.channels:
            if not self.dispatcher.guard(channel.flush, self.moment):
                channel.broken(-1)
        self.dispatcher.guard(self._bound)

    def _bound(self) -> None:
        """Keep what waits in all channels within MAX_WAITING: the one in which most waits drops some of it."""
        over = sum([channel.held() for channel in self.channels]) - MAX_WAITING
        if over > 0:
            for channel in sorted(self.channels, key=lambda channel: channel.held(), reverse=True):
                over -= channel.drop(over) if over > 0 else 0
