"""All channels of sinks in the daemon's loop. The daemon loads this, and each kind of sink, only when a policy has one.

In: what the policy image says of the channels, descriptors that are ready, the time. Out: channels that sink targets put
events into. A channel that is the same after a reload stays, with its readers and what waits in it.
"""

import select
import socket
import time

from .channel import MAX_WAITING, earliest
from .packer import Packer
from .target import SinkTarget

_MODULES = {"unix": "listener", "tcp": "listener", "udp": "datagrams"}
"""Kinds of channels to the modules of this package that have another name."""
LAST_SECONDS = 2
"""How long the daemon's end waits for servers: procd kills it after 5."""
_FAULT = "a fault of nfa; please report it"


class Hub:
    """`poll`: the loop's. `ubus`: the daemon's bus or None. `resolve(host, done)`: looks a name up and calls
    `done(addresses, problem)` later. `write`: as `base.files.write_whole`. `packing`: has `pack`, `unpack` and `gzip`, as
    `base.packing`. `say`, `tell`: as for `Sets`."""

    def __init__(self, poll: select.poll, ubus, resolve, write, packing, say, tell) -> None:
        self._poll = poll
        self.ubus = ubus
        self._resolve = resolve
        self.write = write
        self.packing = packing
        self._packer = Packer(packing)
        self.say = say
        self.tell = tell
        self.moment = time.monotonic()
        """When the last turn of the loop ended, monotonic seconds; `second`: the loop's clock."""
        self.second = 1
        self.channels: list = []
        self._owners: dict[int, object] = {}
        """Descriptor to the channel that watches it, and to what it is watched for."""
        self._events: dict[int, int] = {}

    # -- the policy -----------------------------------------------------------------------------------------------------

    def replace(self, wanted: list[dict]) -> list:
        """Have these channels and no others; returns them, one for each of `wanted`. What is gone is closed first: a new one
        may listen in its place."""
        kept = [channel for channel in self.channels if channel.data in wanted]
        for channel in self.channels:
            if channel not in kept:
                self._do(channel, channel.close, False)
        self.channels = kept
        found = []
        for data in wanted:
            channel = next((channel for channel in self.channels if channel.data == data), None)
            if channel is None:
                module = __import__("nfa.daemon.sinks." + _MODULES.get(data["kind"], data["kind"]), None, None, ["Sink"])
                channel = module.Sink(data, self)
                self.channels.append(channel)
                self._do(channel, channel.open, time.monotonic())
            channel.users = []
            found.append(channel)
        return found

    def target(self, number: int, counters) -> SinkTarget:
        """Return a new target; `number`: that of its packed keys."""
        return SinkTarget(number, counters, self._packer)

    def finish(self) -> None:
        """The daemon is about to end: servers that work get what waits for them, for a while."""
        end = time.monotonic() + LAST_SECONDS
        self._poll = select.poll()  # without what else the loop waits for
        for descriptor, event in self._events.items():
            self._poll.register(descriptor, event)
        for channel in self.channels:
            self._do(channel, channel.hasten)
        while True:
            moment = time.monotonic()
            self.turn(moment)
            if moment >= end or not [channel for channel in self.channels if channel.waiting() and not channel.trouble]:
                break
            for descriptor, event in self._poll.poll(max(1, int((min(end, self.deadline or end) - moment) * 1000))):
                self.ready(descriptor, event, time.monotonic())
        lost = sum([channel.waiting() for channel in self.channels])
        if lost:
            self.say("warning", str(lost) + " events of sinks are lost, because their servers did not take them")

    def close(self) -> None:
        """The daemon ends."""
        for channel in self.channels:
            self._do(channel, channel.close, True)
        self.channels = []

    # -- the loop -------------------------------------------------------------------------------------------------------

    def watch(self, descriptor: int, owner, event: int) -> None:
        """Call `owner.ready` when poll says so. Called again for a descriptor, it changes what is waited for."""
        if descriptor in self._owners:
            self._poll.modify(descriptor, event)
        else:
            self._poll.register(descriptor, event)
        self._owners[descriptor] = owner
        self._events[descriptor] = event

    def resolve(self, channel, host: str, done) -> None:
        """Look up a name for a channel: `done(addresses, problem)`, at once if it is an address already."""
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, host)
            except OSError:
                continue
            done([host], "")
            return
        self._resolve(host, lambda addresses, problem: self._do(channel, done, addresses, problem))

    def unwatch(self, descriptor: int) -> None:
        """The descriptor is about to be closed."""
        if self._owners.pop(descriptor, None) is not None:
            del self._events[descriptor]
            self._poll.unregister(descriptor)

    def ready(self, descriptor: int, event: int, moment: float) -> bool:
        """Serve a descriptor, if it is one of ours."""
        owner = self._owners.get(descriptor)
        if owner is None:
            return False
        self._do(owner, owner.ready, descriptor, event, moment)  # type: ignore[attr-defined]
        return True

    @property
    def deadline(self) -> float:
        """When `turn` must be called, monotonic seconds; 0.0: never."""
        return earliest(*[channel.deadline for channel in self.channels])

    def turn(self, moment: float) -> None:
        """The end of a turn of the loop: what came goes out, deadlines are kept."""
        self.moment = moment
        self.second = int(moment) + 1
        for channel in self.channels:
            self._do(channel, channel.flush, moment)
            if channel.deadline and moment >= channel.deadline:
                self._do(channel, channel.timeout, moment)
        self._bound()

    def _bound(self) -> None:
        """Keep what waits in all channels within MAX_WAITING: the one in which most waits drops some of it."""
        over = sum([channel.held() for channel in self.channels]) - MAX_WAITING
        if over > 0:
            for channel in sorted(self.channels, key=lambda channel: channel.held(), reverse=True):
                over -= channel.shed(over) if over > 0 else 0

    def _do(self, channel, function, *arguments) -> None:
        """Let a channel work. Whatever is wrong with it must not end the daemon."""
        try:
            function(*arguments)
        except Exception as failure:
            channel.deadline = 0.0
            for descriptor, owner in list(self._owners.items()):
                if owner is channel:
                    self.unwatch(descriptor)  # poll would report it again and again
            channel.failed(type(failure).__name__ + ": " + str(failure)[:200], _FAULT)
