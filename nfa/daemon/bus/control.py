"""The control socket: one JSON request a line, one JSON answer a line.

In: {"method": "status", "args": {...}}. Out: {"result": {...}} or {"error": "...", "status": N}, N as ubus has it. Only root
can open it. A client that sends too much, or does not read its answer, is dropped; none can hold up the loop.
"""

import errno
import select

from ..base import json, socket
from ..base.dispatcher import NEVER, Dispatcher, Timer
from ..base.listening import Answered, Taken, listen_unix, remove_unix
from ..base.portable import LATER, reason, receive

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Reply = Callable[[int, "dict[str, Any] | None"], None]
    Call = Callable[[str, dict[str, Any], Reply], None]
    Listen = Callable[[str, int, int], tuple[socket.socket, int]]
    Remove = Callable[[str, int], None]

CHUNK = 1 << 16
MAX_REQUEST = 1 << 20
"""Bytes of a request: a configuration to be checked fits, a client that never ends its line does not."""
MAX_ANSWER = 1 << 20
MAX_CLIENTS = 16
BACKLOG = 8
REST = 1.0
"""Seconds until callers are accepted again, when there was no descriptor to be had."""


class _Peer:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.incoming = b""
        self.outgoing = b""
        self.asking = False
        """An answer is still to come; the next request waits until then."""
        self.ended = False
        """It sends nothing more, but may still read."""


class Control:
    """Listens on a path. `call(method, args, reply)` answers by `reply(status, data)`, now or later."""

    def __init__(
        self, path: str, call: "Call", listen: "Listen" = listen_unix, remove: "Remove" = remove_unix, most: int = MAX_REQUEST
    ) -> None:
        """`listen` and `remove`: as those of `listening`; `most`: bytes of a request."""
        self.path = path
        self._call = call
        self._listen = listen
        self._remove = remove
        self._most = most
        self._listener: socket.socket | None = None
        self._bound = 0
        self._peers: dict[int, _Peer] = {}
        self._dispatcher: Dispatcher
        self._rest: Timer

    def open(self, dispatcher: Dispatcher) -> str:
        """Listen. Returns "" or what is in the way; another daemon that answers there is."""
        try:
            self._listener, self._bound = self._listen(self.path, 0o600, BACKLOG)
        except Answered:
            return "another nfa is running: it answers on " + self.path
        except Taken as taken:
            return "cannot listen on the control socket: " + str(taken)
        except OSError as failure:
            return "cannot listen on the control socket " + self.path + ": " + reason(failure)
        self._dispatcher = dispatcher
        self._rest = dispatcher.at(NEVER, self._watch_listener)
        self._watch_listener()
        return ""

    def _watch_listener(self) -> None:
        if self._listener is not None:
            self._dispatcher.watch(self._listener.fileno(), select.POLLIN, self._accept)

    def close(self) -> None:
        """Stop listening, and leave no socket file behind."""
        for descriptor in list(self._peers):
            self._close_peer(descriptor)
        if self._listener is not None:
            self._dispatcher.cancel(self._rest)
            self._dispatcher.unwatch(self._listener.fileno())
            self._listener.close()
            self._listener = None
            self._remove(self.path, self._bound)

    def _ready(self, descriptor: int, event: int, moment: float) -> None:
        """A client can be read, or written to."""
        peer = self._peers[descriptor]
        try:
            if event & select.POLLOUT:
                self._work(descriptor, peer)
            elif event & select.POLLIN:
                self._read(descriptor, peer)
            else:
                self._close_peer(descriptor)
        except OSError as failure:
            if failure.errno not in LATER:
                self._close_peer(descriptor)

    def _accept(self, descriptor: int, event: int, moment: float) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError as failure:
            if failure.errno in LATER:
                return
            # No descriptor to be had: the caller waits, and the loop must not spin meanwhile.
            self._dispatcher.unwatch(descriptor)
            self._rest.move(moment + REST)
            return
        if len(self._peers) >= MAX_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        self._peers[connection.fileno()] = _Peer(connection)
        self._wait_for(connection.fileno(), select.POLLIN)

    def _wait_for(self, descriptor: int, event: int) -> None:
        """Have a client served when this is possible."""
        self._dispatcher.watch(descriptor, event, self._ready, self._close_peer)

    def _close_peer(self, descriptor: int) -> None:
        peer = self._peers.pop(descriptor, None)
        if peer is not None:
            self._dispatcher.unwatch(descriptor)
            peer.connection.close()

    def _read(self, descriptor: int, peer: _Peer) -> None:
        chunk = receive(peer.connection, min(CHUNK, self._most + 1))
        peer.incoming += chunk
        peer.ended = not chunk
        if len(peer.incoming) > self._most:
            self._close_peer(descriptor)
            return
        self._work(descriptor, peer)

    def _work(self, descriptor: int, peer: _Peer) -> None:
        """Begin one request and send what can be sent. A peer with more requests waits for the next turn of the loop."""
        if b"\n" in peer.incoming and not peer.outgoing and not peer.asking:
            line, _, peer.incoming = peer.incoming.partition(b"\n")
            self._ask(line, peer)
        if self._peers.get(descriptor) is peer:
            self._send(descriptor, peer)

    def _send(self, descriptor: int, peer: _Peer) -> None:
        if peer.outgoing:
            try:
                peer.outgoing = peer.outgoing[peer.connection.send(peer.outgoing) :]
            except OSError as failure:
                if failure.errno not in LATER:
                    raise
        if peer.outgoing or (b"\n" in peer.incoming and not peer.asking):
            self._wait_for(descriptor, select.POLLOUT)
        elif not peer.ended:
            self._wait_for(descriptor, select.POLLIN)
        elif peer.asking:
            self._wait_for(descriptor, 0)
        else:
            self._close_peer(descriptor)

    def _ask(self, line: bytes, peer: _Peer) -> None:
        peer.asking = True

        def reply(status: int, data: "dict[str, Any] | None") -> None:
            if not peer.asking:
                return
            peer.asking = False
            answer: dict[str, Any] = {"error": "refused"} if status else {"result": data or {}}
            if status:
                answer.update(data or {})
                answer["status"] = status
            encoded = json.dumps(answer).encode() + b"\n"
            if len(encoded) > MAX_ANSWER:
                encoded = b'{"error": "the answer is too long", "status": 9}\n'
            peer.outgoing = encoded
            descriptor = peer.connection.fileno()
            if self._peers.get(descriptor) is peer:
                self._wait_for(descriptor, select.POLLOUT)

        try:
            request = json.loads(line)
            method, arguments = request["method"], request.get("args") or {}
            if not isinstance(method, str) or not isinstance(arguments, dict):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
            reply(2, {"error": 'a request is {"method": NAME, "args": {...}} on one line'})
        else:
            self._call(method, arguments, reply)


def call(path: str, method: str, arguments: dict[str, object], timeout: float = 5.0) -> dict[str, object]:
    """Ask a running daemon. Raises OSError when none answers, ValueError with the daemon's words when it refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(json.dumps({"method": method, "args": arguments}).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            chunk = connection.recv(1 << 16)
            if not chunk:
                raise ConnectionError(errno.ECONNRESET, "the daemon closed the connection")
            data += chunk
    answer: dict[str, dict[str, object]] = json.loads(data)
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["result"]
