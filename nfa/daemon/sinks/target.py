"""Target `sink`: events of flows for those who listen: a flow matches (new), a later record does (updated), it ends (expired).

In: flow records, what matched them, and a channel. Out: the record with `flow_action`: the actions and
targets, the event and the time (epoch milliseconds). A flow holds a packed key here, as it holds elements of sets: the
target's number (2 bytes) and the flow's digest. So `expired` comes when the flow no longer matches, when netifyd purges
it, or when it is forgotten; its record is then the last one that matched.
"""

import binascii

from .formats import to_json
from .packer import Form, Packer
from .remembered import Remembered

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from .channel import Channel, Counters

    Held = bytes | tuple[bytes, ...]
    Record = dict[str, Any]

_NONE, _NEW, _UPDATED, _EXPIRED = "", "new", "updated", "expired"


class Matched:
    """The sink target as one combination of actions reaches it. `again`: for live flows that are re-evaluated."""

    def __init__(self, target: "SinkTarget", actions: tuple[str, ...], targets: tuple[str, ...], again: bool = False) -> None:
        self._target = target
        self.counters = target.counters
        self.names = (actions, targets)
        self.if_known = _NONE if again else _UPDATED
        """The event for a flow that the target knows."""
        self.lasting: Matched = self if again else Matched(target, actions, targets, True)
        """What is applied when a live flow is re-evaluated (see `SetTarget`): an event only where the flow is new."""

    def apply(self, record: "Record", flow: "Record", now: int, held: "Held | None") -> "Held | None":
        """Tell of the flow. Returns its key."""
        return self._target.apply(self, record, flow, held)

    def key_of(self, record: "Record", flow: "Record") -> "bytes | None":
        """Return the flow's key without telling of it."""
        return self._target.key_of(record, flow)


class SinkTarget:
    """One sink target. `packer`: of all sinks."""

    def __init__(self, number: int, counters: "Counters", packer: Packer) -> None:
        self.number = number
        self.counters = counters
        self.slots: list[Any] = []
        self.cutting: object = None
        """What cuts the flows of this target, where that is wanted."""
        self._packer = packer
        self._prefix = number.to_bytes(2, "big")
        self._forgotten = Matched(self, (), ())
        self._remembered = Remembered()

    def use(self, channel: "Channel", events: tuple[str, ...], takes: "Callable[[Record], bool] | None") -> None:
        """Send these events through this channel from now on. `takes(record)`: is the interface right? None: all are."""
        self.channel = channel
        self._takes = takes
        self._events = events
        channel.users.append(self.counters)
        data = channel.data
        gzip = data["compressor"] == "gz" and channel.alone
        self._form = Form(channel.tables, data["format"] == "msgpack", channel.stream, data["header"], gzip)
        if _EXPIRED not in self._events:
            self._remembered.clear()

    def waiting(self) -> int:
        """Return how many events wait."""
        return int(self.channel.waiting())

    def readers(self) -> int:
        """Return how many are connected."""
        return int(self.channel.readers())

    def for_plan(self, actions: tuple[str, ...], targets: tuple[str, ...]) -> Matched:
        """Return the target for flows that these actions match, and that reach these targets."""
        return Matched(self, actions, targets)

    # -- events ---------------------------------------------------------------------------------------------------------

    def key_of(self, record: "Record", flow: "Record") -> bytes | None:
        """Return the flow's key; None when it is not for this target."""
        if self._takes is not None and not self._takes(record):
            return None
        return self._prefix + _packed_digest(flow["digest"])

    def apply(self, matched: Matched, record: "Record", flow: "Record", held: "Held | None") -> "Held | None":
        """A record matches: the flow is new unless it holds its key already. Returns the key."""
        if self._takes is not None and not self._takes(record):
            return None
        try:
            key = self._prefix + _packed_digest(flow["digest"])
            known = key == held or (isinstance(held, tuple) and key in held)
            self._tell(key, matched, record, matched.if_known if known else _NEW)
        except (ValueError, RecursionError):
            self.counters.skipped += 1
            return None
        return held if key == held else key

    def want(self, key: bytes, now: int) -> None:
        """The flow lives: that is no event."""

    def release(self, key: bytes, now: int, withdraw: bool) -> None:
        """The flow ends, or no longer matches."""
        if _EXPIRED not in self._events:
            return
        found = self._remembered.pop(key)
        if not self.channel.heard:
            return
        packed, matched = found or (b"", self._forgotten)
        body = self._packer.unpack(packed) if packed else to_json({"type": "flow", "flow": {"digest": _digest(key[2:])}})
        try:
            self._send(body, matched, _EXPIRED)
        except RecursionError:
            self.counters.skipped += 1

    def _tell(self, key: bytes, matched: Matched, record: "Record", event: str) -> None:
        wanted = event in self._events
        remember = _EXPIRED in self._events
        if not (wanted or remember) or not self.channel.heard:
            return
        body = self._packer.body(record)
        if remember:
            self._remembered.put(key, self._packer.pack(record), matched)
        if wanted:
            self._send(body, matched, event)

    def _send(self, body: bytes, matched: Matched, event: str) -> None:
        """Give an event to the channel, in the form that it takes. `body`: the record as JSON."""
        event = self._packer.event(body, matched.names[0], matched.names[1], event, self._form)
        self.channel.put(event, self.counters)


def _packed_digest(digest: str) -> bytes:
    """Return a digest in half the bytes; the first one says whether a digit was added. Raises ValueError when it is not hex."""
    odd = len(digest) & 1
    return bytes((odd,)) + binascii.unhexlify(digest + "0" * odd)


def _digest(packed: bytes) -> str:
    """Return the digest again."""
    text = binascii.hexlify(packed[1:]).decode()
    return text[:-1] if packed[0] else text
