"""Sink `mqtt`: each event is a message of a topic, with quality of service 0 or 1.

A client of MQTT 3.1.1 (OASIS, 2014) of our own, because those of Python bring threads or wait for the broker. It publishes and
subscribes to nothing. With quality 1 a message counts as sent when the broker says so, and is sent again after a connection
was lost, so that a subscriber may get it twice; with quality 0 when it was handed to the connection.
"""

import os
import struct

from .channel import MAX_QUEUED, Channel, earliest
from .link import Link
from .waiting import Waiting

KEEPALIVE = 60
"""Seconds without a message after which the broker is asked whether it is still there."""
PATIENCE = 20.0
"""Seconds in which it must answer."""
MAX_UNANSWERED = 64
"""Messages of quality 1 that may be under way."""
MAX_BEHIND = 1 << 18
"""Bytes that the connection may hold before it is given more."""
MAX_PACKET = 1 << 14
"""Bytes of a packet from the broker: those that a publisher gets have four."""
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 0x10, 0x20, 0x30, 0x40, 0xC0, 0xD0, 0xE0
_AGAIN = 0x08
_REFUSALS = {
    1: "the broker does not speak MQTT 3.1.1",
    2: "the broker refuses the client_id",
    3: "the broker is not available",
    4: "the broker refuses username or password",
    5: "the broker does not let this client in; it may want username and password",
}


def packet(kind: int, body: bytes) -> bytes:
    """Return a packet: its first byte, its length in groups of 7 bits, the body."""
    length = len(body)
    head = bytearray((kind,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def text(value: str) -> bytes:
    """Return text with its length before it."""
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def connect(client: str, username: str, password: str) -> bytes:
    """Return the packet that begins a connection."""
    flags = 0x02 | (0x80 if username else 0) | (0x40 if password else 0)  # a clean session
    body = text("MQTT") + bytes((4, flags)) + struct.pack(">H", KEEPALIVE) + text(client)
    return packet(_CONNECT, body + (text(username) if username else b"") + (text(password) if password else b""))


def take(buffer: bytearray) -> tuple[int, bytes] | None:
    """Cut the first packet off a buffer: (first byte, body); None while it is not complete. Raises ValueError."""
    length = shift = 0
    for index in range(1, min(len(buffer), 5)):
        length |= (buffer[index] & 0x7F) << shift
        shift += 7
        if buffer[index] & 0x80:
            continue
        if length > MAX_PACKET:
            raise ValueError("a packet of " + str(length) + " bytes")
        end = index + 1 + length
        if len(buffer) < end:
            return None
        kind, body = buffer[0], bytes(buffer[index + 1 : end])
        del buffer[:end]
        return kind, body
    if len(buffer) > 4:
        raise ValueError("a length without an end")
    return None


class Sink(Channel):
    """A topic of a broker."""

    alone = True

    def __init__(self, data: dict, hub) -> None:
        super().__init__(data, hub)
        options = self.options
        self._link = Link(self, options)
        self._waiting = Waiting(MAX_QUEUED)
        self._unanswered: dict[int, tuple] = {}
        """Packet identifier to (event, counters)."""
        self._identifier = 0
        self._topic = text(options["topic"])
        self._qos: int = options["qos"]
        self._client = options["client_id"] or "nfa-" + os.urandom(6).hex()
        self._incoming = bytearray()
        self._ready = False
        """The broker has let us in."""
        self._ping_at = 0.0
        self._until = 0.0
        """When an answer must have come; 0.0: none is missing."""

    def waiting(self) -> int:
        return len(self._waiting) + len(self._unanswered)

    def readers(self) -> int:
        return int(self._ready)

    def open(self, moment: float) -> None:
        self._link.start(moment)
        self._look_again()

    def put(self, event: bytes, counters) -> None:
        self._waiting.add(event, counters)

    def close(self, last: bool) -> None:
        if self._ready:
            self._link.send(packet(_DISCONNECT, b""), 0.0)
        self._link.close()
        for _, counters in self._unanswered.values():
            counters.skipped += 1
        self._unanswered = {}
        while self._waiting:
            self._waiting.take()[1].skipped += 1

    # -- the loop -------------------------------------------------------------------------------------------------------

    def flush(self, moment: float) -> None:
        parts: list[bytes] = []
        size = self._link.waiting
        while self._ready and self._waiting and size < MAX_BEHIND and len(self._unanswered) < MAX_UNANSWERED:
            event, counters = self._waiting.take()
            identifier = b""
            if self._qos:
                number = self._number()
                self._unanswered[number] = (event, counters)
                identifier = struct.pack(">H", number)
                self._until = self._until or moment + PATIENCE
            else:
                counters.added += 1
            parts.append(self._publish(0, identifier, event))
            size += len(parts[-1])
        if parts:
            self._send(b"".join(parts), moment)
        self._look_again()

    def timeout(self, moment: float) -> None:
        link = self._link
        if link.deadline and moment >= link.deadline:
            link.timeout(moment)
        elif self._until and moment >= self._until:
            link.lose("the broker does not answer", moment)
        elif self._ready and moment >= self._ping_at:
            self._until = self._until or moment + PATIENCE
            self._send(packet(_PINGREQ, b""), moment)
        self._look_again()

    def ready(self, descriptor: int, event: int, moment: float) -> None:
        self._link.ready(event, moment)
        self._look_again()

    def _look_again(self) -> None:
        self.deadline = earliest(self._link.deadline, self._until, self._ping_at if self._ready else 0.0)

    def _number(self) -> int:
        """Return a packet identifier that is not under way."""
        while True:
            self._identifier = self._identifier % 0xFFFF + 1
            if self._identifier not in self._unanswered:
                return self._identifier

    def _publish(self, flags: int, identifier: bytes, event: bytes) -> bytes:
        flags |= self._qos << 1 | int(self.options["retain"])
        return packet(_PUBLISH | flags, self._topic + identifier + event)

    def _send(self, data: bytes, moment: float) -> None:
        self._ping_at = moment + KEEPALIVE / 2
        self._link.send(data, moment)

    # -- what the link says ---------------------------------------------------------------------------------------------

    def connected(self, moment: float) -> None:
        self._incoming = bytearray()
        self._until = moment + PATIENCE
        self._send(connect(self._client, self.options["username"], self.options["password"]), moment)

    def lost(self, why: str) -> None:
        self._ready = False
        self._until = 0.0
        self._incoming = bytearray()
        self.failed(self._link.host + ": " + why, "trying again; the oldest events are dropped when too many wait")

    def ended(self, moment: float) -> None:
        self._link.lose("the broker closed the connection", moment)

    def received(self, data: bytes, moment: float) -> None:
        self._incoming += data
        try:
            while True:
                found = take(self._incoming)
                if found is None:
                    return
                self._hear(found[0], found[1], moment)
        except ValueError as failure:
            self._link.lose("the broker speaks something else: " + str(failure), moment)

    def _hear(self, kind: int, body: bytes, moment: float) -> None:
        """Take one packet. Raises ValueError when it makes no sense."""
        if kind == _CONNACK and len(body) == 2 and not self._ready:
            if body[1]:
                self._link.lose(_REFUSALS.get(body[1], "the broker refuses with code " + str(body[1])), moment)
                return
            self._ready = True
            self._until = 0.0
            self._link.good()
            self.works()
            again = [self._publish(_AGAIN, struct.pack(">H", n), event) for n, (event, _) in self._unanswered.items()]
            if again:
                self._until = moment + PATIENCE
                self._send(b"".join(again), moment)
        elif kind == _PUBACK and len(body) == 2 and self._ready:
            item = self._unanswered.pop(struct.unpack(">H", body)[0], None)
            if item is not None:
                item[1].added += 1
            self._until = moment + PATIENCE if self._unanswered else 0.0
        elif kind == _PINGRESP and self._ready:
            self._until = moment + PATIENCE if self._unanswered else 0.0
        else:
            raise ValueError("an unexpected packet " + hex(kind))
