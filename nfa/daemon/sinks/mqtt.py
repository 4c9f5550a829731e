"""Sink `mqtt`: each event is a message of a topic, with quality of service 0 or 1.

A client of MQTT 3.1.1 (OASIS, 2014) of our own, because those of Python bring threads or wait for the broker. It publishes and
subscribes to nothing. With quality 1 a message counts as sent when the broker says so, and is sent again after a connection
was lost, so that a subscriber may get it twice; with quality 0 when it was handed to the connection.

A broker may close the connection over a message that it will never take, because it is too long or not allowed. So after a
connection that brought no answer the messages go one by one, and what MAX_TRIES connections did not bring is dropped.
"""

import os
import struct

from ..base.portable import deque
from .channel import MAX_QUEUED, OVERHEAD, QUIET, earliest
from .formats import to_json
from .link import CLOSED, Link, Served
from .waiting import Waiting

MYPY = False
if MYPY:
    from typing import Any

    from .channel import Counters, Hub

KEEPALIVE = 60
"""Seconds without a message after which the broker is asked whether it is still there."""
PATIENCE = 20.0
"""Seconds in which it must answer."""
STABLE = 10.0
"""Seconds that a connection lasts before it counts as one that works, if no answer shows it earlier."""
MAX_TRIES = 3
"""Connections in a row without an answer that a message may cost."""
MAX_UNANSWERED = 64
"""Messages of quality 1 that may be under way."""
MAX_BEHIND = 1 << 18
"""Bytes that the connection may hold before it is given more."""
MAX_PACKET = 1 << 14
"""Bytes of a packet from the broker: those that a publisher gets have four."""
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 0x10, 0x20, 0x30, 0x40, 0xC0, 0xD0, 0xE0
_AGAIN = 0x08
_RETAIN = 0x01
_REFUSALS = {
    1: "the broker does not speak MQTT 3.1.1",
    2: "the broker refuses the client_id",
    3: "the broker is not available",
    4: "the broker refuses username or password",
    5: "the broker denies access; it may require username and password",
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


class Sink(Served):
    """A topic of a broker. `announce` among its options: topics and contents that the broker is to keep, of discovery."""

    alone = True

    def __init__(self, data: "dict[str, Any]", hub: "Hub") -> None:
        super().__init__(data, hub)
        options = self.options
        self._link = Link(self, options)
        self._waiting = Waiting(MAX_QUEUED)
        self._unanswered: dict[int, tuple[bytes, Counters]] = {}
        """Packet identifier to (event, counters), the oldest first."""
        self._again: deque[int] = deque()
        """Those of them that this connection has not been given yet."""
        self._fruitless = 0
        """Connections in a row that ended with messages under way and without an answer to any."""
        self._warn_at = 0.0
        """When it may be said again that messages are dropped."""
        self._stable_at = 0.0
        """When the connection counts as one that works; 0.0: it does already."""
        self._identifier = 0
        self._topic = text(options["topic"])
        self._qos: int = options["qos"]
        self._client = options["client_id"] or "nfa-" + os.urandom(6).hex()
        self._incoming = bytearray()
        self._ready = False
        """The broker has let us in; `_answered`: and has taken a message."""
        self._answered = False
        self._ping_at = 0.0
        self._until = 0.0
        """When an answer must have come; 0.0: none is missing."""

    def waiting(self) -> int:
        return len(self._waiting) + len(self._unanswered)

    def held(self) -> int:
        unanswered = sum([len(event) + OVERHEAD for event, _ in self._unanswered.values()])
        return self._waiting.held() + unanswered + self._link.waiting

    def drop(self, size: int) -> int:
        return self._waiting.drop(size)

    def readers(self) -> int:
        return int(self._ready)

    def open(self, moment: float) -> None:
        self._link.start(moment)
        self._look_again()

    def put(self, event: bytes, counters: "Counters") -> None:
        self._waiting.add(event, counters)

    def close(self, last: bool) -> None:
        if self._ready:
            self._link.send(packet(_DISCONNECT, b""), 0.0)
        self._link.close()
        for _, counters in self._unanswered.values():
            counters.skipped += 1
        self._unanswered = {}
        self._again.clear()
        while self._waiting:
            self._waiting.take()[1].skipped += 1

    # -- the loop -------------------------------------------------------------------------------------------------------

    def flush(self, moment: float) -> None:
        parts: list[bytes] = []
        size = self._link.waiting
        room = 1 if self._fruitless else MAX_UNANSWERED
        while self._ready and size < MAX_BEHIND and len(self._unanswered) - len(self._again) < room:
            if self._again:
                number = self._again.popleft()
                parts.append(self._publish(_AGAIN, struct.pack(">H", number), self._unanswered[number][0]))
            elif self._waiting and len(self._unanswered) < MAX_UNANSWERED:
                parts.append(self._next())
            else:
                break
            if self._qos:
                self._until = self._until or moment + PATIENCE
            size += len(parts[-1])
        if parts:
            self._send(b"".join(parts), moment)
        self._look_again()

    def _next(self) -> bytes:
        """Return the message of the oldest event that waits; with quality 1 it needs an answer from now on."""
        event, counters = self._waiting.take()
        if not self._qos:
            counters.added += 1
            return self._publish(0, b"", event)
        number = self._number()
        self._unanswered[number] = (event, counters)
        return self._publish(0, struct.pack(">H", number), event)

    def timeout(self, moment: float) -> None:
        link = self._link
        if self._stable_at and moment >= self._stable_at:
            self._stable_at = 0.0
            if not self._unanswered:
                self._good()
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
        self.deadline = earliest(self._link.deadline, self._until, self._stable_at, self._ping_at if self._ready else 0.0)

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
        if self._ready and not self._answered and len(self._unanswered) > len(self._again):
            self._fruitless += 1
        self._ready = False
        self._until = self._stable_at = 0.0
        self._incoming = bytearray()
        self.failed(self._link.host + ": " + why, "trying again; the oldest events are dropped when too many wait")
        if self._fruitless >= MAX_TRIES:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """The oldest message is what no connection survives: the others may fare better."""
        _, counters = self._unanswered.pop(next(iter(self._unanswered)))
        counters.skipped += 1
        self._fruitless = 1  # the next one goes alone, too
        if self.hub.moment >= self._warn_at:
            self._warn_at = self.hub.moment + QUIET
            why = " connections failed on the oldest event, which is dropped; it may be too long, or the topic not allowed"
            self.hub.say("warning", self.name + ": " + str(MAX_TRIES) + why)

    def _good(self) -> None:
        """The broker works."""
        self._link.good()
        self.works()

    def ended(self, moment: float) -> None:
        self._link.lose(CLOSED, moment)

    def received(self, data: bytes, moment: float) -> None:
        self._incoming += data
        try:
            while True:
                found = take(self._incoming)
                if found is None:
                    return
                self._hear(found[0], found[1], moment)
        except ValueError as failure:
            self._link.lose("the broker does not speak MQTT: " + str(failure), moment)

    def _hear(self, kind: int, body: bytes, moment: float) -> None:
        """Take one packet. Raises ValueError when it makes no sense."""
        if kind == _CONNACK and len(body) == 2 and not self._ready:
            if body[1]:
                self._link.lose(_REFUSALS.get(body[1], "the broker refuses with code " + str(body[1])), moment)
                return
            self._ready = True  # which shows only that there is a broker: what it does with messages is to be seen
            self._answered = False
            self._until = 0.0
            self._stable_at = moment + STABLE
            self._again = deque(self._unanswered)
            for topic, content in self.options.get("announce", ()):
                self._send(packet(_PUBLISH | _RETAIN, text(topic) + to_json(content)), moment)
            self.flush(moment)
        elif kind == _PUBACK and len(body) == 2 and self._ready:
            number = struct.unpack(">H", body)[0]
            if number in self._unanswered and number not in self._again:
                self._unanswered.pop(number)[1].added += 1
                self._answered = True
                self._fruitless = 0
                self._good()
            self._until = moment + PATIENCE if self._unanswered else 0.0
        elif kind == _PINGRESP and self._ready:
            self._until = moment + PATIENCE if self._unanswered else 0.0
        else:
            raise ValueError("an unexpected packet " + hex(kind))
