"""The connection to ubusd: it publishes one object, hands over the calls that come for it, and sends events.

In: a table of methods, the news that the socket is ready, and the present time. Out: calls, as `call(method, arguments,
reply)`. It lives in the daemon's loop and waits for nobody: what ubusd does not take is queued up to a bound, and what
comes in is handled a few messages a turn. When ubusd goes away, the object is back within about a second of ubusd.

    waiting -> connecting (the greeting is awaited) -> registering (the object is offered) -> registered -> waiting ...

Source: ubus ubusd_proto.c, ubusd_obj.c, ubusd_event.c and libubus-obj.c (2025-12). The wire format is in blob.py.
"""

import errno
import os
import select

from ..base import socket
from ..base.dispatcher import NEVER, Dispatcher, Timer
from . import SOCKETS, blob

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Reply = Callable[[int, "dict[str, Any] | None"], None]
    Call = Callable[[str, dict[str, Any], Reply], None]
    Invocation = tuple[str, dict[str, Any], Reply]

FIRST_WAIT = 0.25
LONGEST_WAIT = 1.0
"""Seconds between attempts to connect: they cost a few system calls, and ubusd is back soon if at all."""
ANSWER_TIMEOUT = 5.0
"""Seconds that ubusd may take to greet, and then to take the object."""
CHUNK = 1 << 16
MAX_MESSAGES = 8
"""What one turn of the loop takes at the most: bytes read, and messages handled. A call may cost some milliseconds."""
NEXT_TURN = 0.001
"""Seconds until the next turn, when messages are left over that poll knows nothing of."""
MAX_MESSAGE = blob.MAX_BODY - 64
"""Bytes of a message that is sent. ubusd queues 1 MiB for a slow reader, and what exceeds it is lost without a word: an
answer and the status behind it have to fit in together."""
MAX_QUEUED = 1 << 18
"""Bytes in the queue above which events are dropped, and no further call is taken until ubusd has read."""
MAX_QUEUE = 1 << 22
"""Bytes in the queue above which the connection is given up."""

OK, INVALID_ARGUMENT, METHOD_NOT_FOUND, NOT_FOUND, UNKNOWN_ERROR = 0, 2, 3, 4, 9
"""Statuses of answers (libubus.h)."""
TYPES = {
    "any": blob.NULL,
    "array": blob.ARRAY,
    "boolean": blob.INT8,
    "integer": blob.INT32,
    "string": blob.STRING,
    "table": blob.TABLE,
}
"""Types of arguments, for the signature that `ubus -v list` shows; ubusd checks none of them."""

_EVENTS = 1
"""The object of ubusd that forwards events."""
_OFFER, _EVENT = 1, 2
"""Sequence numbers of the requests that are made here; answers bring them back."""
_MAX_TOLD = 8


def find_socket(path: str = "") -> str:
    """Return the path of ubusd's socket: `path` if given, else the one that exists, else the present-day one."""
    for place in SOCKETS:
        if not path and os.path.exists(place):
            return place
    return path or SOCKETS[0]


class _Call:
    """One call that was handed over: what the answer needs to find its way back."""

    __slots__ = ("_awaited", "_bus", "_connection", "_peer", "_sequence")

    def __init__(self, bus: "Ubus", sequence: int, peer: int, awaited: bool) -> None:
        self._bus = bus
        self._connection = bus.connects
        self._sequence = sequence
        self._peer = peer
        self._awaited = awaited

    def reply(self, status: int, data: "dict[str, Any] | None") -> None:
        """Answer, once. Data is sent also with a status that is an error. Does nothing when the connection was lost."""
        if self._awaited and self._bus.state == "registered" and self._bus.connects == self._connection:
            self._bus.answer(self._sequence, self._peer, status, data)
        self._awaited = False


class Ubus:
    """One object on the bus.

    `methods`: {method: {argument: type}}, types as in TYPES. `call(method, arguments, reply)` is called for each call of one
    of them; `reply(status, data)` must be called once, then or later. `say(level, text)` gets what the administrator should
    know, each thing once. `descriptor` is -1 when there is none.
    """

    def __init__(
        self,
        path: str,
        name: str,
        methods: dict[str, dict[str, str]],
        call: "Call",
        say: "Callable[[str, str], None]",
    ) -> None:
        self.path = path
        self.name = name
        self.state = "waiting"
        self.descriptor = -1
        self.connects = 0
        """Times that the object was published."""
        self.calls = 0
        self.long_answers = 0
        """Answers that were too long for the bus."""
        self.dropped_events = 0
        self.last_error = ""
        signature = {method: {argument: TYPES[kind] for argument, kind in types.items()} for method, types in methods.items()}
        path_attribute = blob.attribute(blob.ATTR_OBJPATH, blob.string(name))
        self._offer = path_attribute + blob.attribute(blob.ATTR_SIGNATURE, blob.encode(signature))
        self._methods = frozenset(methods)
        self._call = call
        self._say = say
        self._told: set[str] = set()
        """What was said since the object was last there."""
        self._socket: socket.socket | None = None
        self._dispatcher: Dispatcher
        self._timer: Timer | None = None
        self._object = b""
        """The id of the object, in bytes as ubusd gave it."""
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._wait = FIRST_WAIT
        self._left_over = False
        """The last turn left messages that poll knows nothing of; nothing is read until they are handled."""

    # -- what the loop calls ----------------------------------------------------------------------------------------------

    def open(self, dispatcher: Dispatcher) -> None:
        """Begin to connect. The descriptor is watched, or not, as it changes."""
        self._dispatcher = dispatcher
        self._timer = dispatcher.at(NEVER, self._timeout)
        self._connect()

    def close(self) -> None:
        """Leave the bus, and stay away."""
        self._disconnect()
        if self._timer is not None:
            self._dispatcher.cancel(self._timer)
            self._timer = None

    @property
    def deadline(self) -> float:
        """When it connects again, gives up waiting for an answer, or handles what the last turn left: monotonic seconds; 0.0:
        never."""
        return 0.0 if self._timer is None or self._timer.time == NEVER else self._timer.time

    def _expect(self, seconds: float) -> None:
        """Have something happen within so many seconds, and nothing before."""
        if self._timer is not None:
            self._timer.move(self._dispatcher.moment + seconds)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.move(NEVER)

    def _timeout(self) -> None:
        """The deadline has come."""
        if self.state == "waiting":
            self._connect()
        elif self._left_over:
            self._work()
        else:
            self._lose("no answer")

    def _ready(self, descriptor: int, event: int, moment: float) -> None:
        """The descriptor is ready, for what poll said. May call `call`, some times, and may lose the connection."""
        if event & select.POLLOUT:
            self._flush()
        if event & ~select.POLLOUT and not self._left_over and len(self._incoming) <= blob.MAX_BODY:
            self._read()
        self._work()

    def _broken(self, descriptor: int) -> None:
        """What ubusd says comes to a fault, again and again."""
        self._lose("a fault in nfa")

    def event(self, name: str, data: "dict[str, Any]") -> bool:
        """Send an event. False when it was dropped: the object is not published, the queue or the event is too long."""
        message = b""
        if self.state == "registered" and len(self._outgoing) <= MAX_QUEUED:
            call = blob.attribute(blob.ATTR_OBJID, blob.number(_EVENTS)) + blob.attribute(blob.ATTR_METHOD, b"send\0")
            fields = blob.encode({"id": name, "data": data})
            message = blob.message(blob.INVOKE, _EVENT, _EVENTS, call + blob.attribute(blob.ATTR_DATA, fields))
        if not 0 < len(message) <= MAX_MESSAGE:
            self.dropped_events += 1
            return False
        self._send(message)
        return True

    def answer(self, sequence: int, peer: int, status: int, data: "dict[str, Any] | None") -> None:
        """Send the answer to a call (`reply` comes here)."""
        target = blob.attribute(blob.ATTR_OBJID, self._object)
        message = b""
        if data is not None:
            message = blob.message(blob.DATA, sequence, peer, target + blob.attribute(blob.ATTR_DATA, blob.encode(data)))
        if len(message) > MAX_MESSAGE:
            self.long_answers += 1
            words = "the answer has " + str(len(message)) + " bytes, and ubus takes less than 1 MiB: ask for less at a time"
            self.answer(sequence, peer, UNKNOWN_ERROR, {"error": words})
            return
        outcome = blob.attribute(blob.ATTR_STATUS, blob.number(status)) + target
        self._send(message + blob.message(blob.STATUS, sequence, peer, outcome))

    # -- the connection ---------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            problem = self._socket.connect_ex(self.path)
        except OSError as failure:
            self._lose(failure.strerror or str(failure))
            return
        if problem:
            # A unix socket connects at once or not at all: EAGAIN means that the backlog is full.
            self._lose("its backlog is full" if problem == errno.EAGAIN else os.strerror(problem))
            return
        self.descriptor = self._socket.fileno()
        self._watch()
        self.state = "connecting"
        self._expect(ANSWER_TIMEOUT)

    def _lose(self, why: str) -> None:
        """Close, and wait before the next attempt: 0.25 s, 0.5 s, then a second each time."""
        self._disconnect()
        self._expect(self._wait)
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        self._tell(why, "object " + self.name + " is not on ubus (" + self.path + "): " + why + "; trying again")

    def _disconnect(self) -> None:
        if self.descriptor >= 0:
            self._dispatcher.unwatch(self.descriptor)
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self.descriptor = -1
        self.state = "waiting"
        self._left_over = False
        self._object = b""
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def _tell(self, why: str, text: str) -> None:
        """Tell of trouble, once until the object is published again: attempts go on for as long as it takes."""
        self.last_error = why
        if why not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add(why)
            self._say("warning", text)

    # -- bytes out, bytes in ----------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        """Send, or queue what ubusd does not take now."""
        self._outgoing += data
        if len(self._outgoing) == len(data):
            self._flush()
        elif len(self._outgoing) > MAX_QUEUE:
            self._lose("ubusd does not read")
        else:
            self._watch()

    def _flush(self) -> None:
        assert self._socket is not None
        try:
            if self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except OSError:
            pass  # it takes nothing now; or the connection is lost, and reading will tell
        self._watch()

    def _watch(self) -> None:
        """Poll for what is possible now: nothing is read while ubusd does not take the answers to what was read."""
        wanted = select.POLLIN
        if self._outgoing:
            wanted = select.POLLOUT if len(self._outgoing) > MAX_QUEUED else select.POLLIN | select.POLLOUT
        self._dispatcher.watch(self.descriptor, wanted, self._ready, self._broken)

    def _read(self) -> None:
        assert self._socket is not None
        try:
            chunk = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as failure:
            self._lose(failure.strerror or "read error")
            return
        if chunk:
            self._incoming += chunk
        else:
            self._lose("ubusd closed the connection")

    def _work(self) -> None:
        """Handle the messages that are complete, some at a time; there is a deadline when there may be more."""
        if self._left_over:
            self._left_over = False
            self._expect_nothing()
        for _ in range(MAX_MESSAGES):
            if self.descriptor < 0 or len(self._outgoing) > MAX_QUEUED:
                return
            try:
                message = blob.take(self._incoming)
                if message is None:
                    return
                kind, sequence, peer, body = message
                call = self._hear(kind, sequence, peer, blob.attributes(body))
            except ValueError as failure:
                self._lose("ubusd sent invalid data: " + str(failure))
                return
            if call is not None:
                self._call(*call)
        if self.state != "registered":
            self._lose("ubusd sent too much before it registered the object")
            return
        self._left_over = True
        self._expect(NEXT_TURN)

    # -- messages ---------------------------------------------------------------------------------------------------------

    def _hear(self, kind: int, sequence: int, peer: int, attributes: dict[int, bytes]) -> "Invocation | None":
        """Take one message; return the call that it is, if it is one. Raises ValueError when it is malformed."""
        if self.state == "connecting":
            if kind != blob.HELLO:
                raise ValueError("no greeting")
            self.state = "registering"
            self._expect(ANSWER_TIMEOUT)
            self._send(blob.message(blob.ADD_OBJECT, _OFFER, 0, self._offer))
        elif self.state == "registering" and sequence == _OFFER and kind == blob.DATA:
            self._object = attributes.get(blob.ATTR_OBJID, b"")
        elif self.state == "registering" and sequence == _OFFER and kind == blob.STATUS:
            self._registered(blob.read_number(attributes.get(blob.ATTR_STATUS, b"")))
        elif self.state == "registered" and sequence == _EVENT and kind == blob.STATUS:
            status = blob.read_number(attributes.get(blob.ATTR_STATUS, b""))
            if status != OK:
                self.dropped_events += 1
                why = "ubusd refuses events with status " + str(status)
                self._tell(why, why + ": may this user send them?")
        elif self.state == "registered" and kind == blob.INVOKE and attributes.get(blob.ATTR_OBJID) == self._object:
            return self._invoked(_Call(self, sequence, peer, not any(attributes.get(blob.ATTR_NO_REPLY, b""))), attributes)
        return None

    def _registered(self, status: int) -> None:
        if status == INVALID_ARGUMENT:
            self._lose("ubusd refuses the object; its name is taken, or this user may not publish it")
        elif status != OK or len(self._object) != 4:
            self._lose("ubusd refuses the object with status " + str(status))
        else:
            self.state = "registered"
            self._expect_nothing()
            self.connects += 1
            self._wait = FIRST_WAIT
            self._told.clear()
            self._say("notice", "object " + self.name + " is on ubus (" + self.path + ")")

    def _invoked(self, call: _Call, attributes: dict[int, bytes]) -> "Invocation | None":
        """Return what to call `call` with; or answer at once, when there is no such method or no sense in the arguments."""
        self.calls += 1
        try:
            method = blob.read_string(attributes.get(blob.ATTR_METHOD, b""))
            arguments = blob.decode(attributes.get(blob.ATTR_DATA, b""))
        except ValueError as failure:
            call.reply(INVALID_ARGUMENT, {"error": "the arguments cannot be read: " + str(failure)})
            return None
        if method in self._methods:
            return method, arguments, call.reply
        call.reply(METHOD_NOT_FOUND, None)
        return None
