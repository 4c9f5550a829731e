"""The connection to netifyd: connect, read, lose, wait, connect again. It never writes a byte.

In: a source (`unix://PATH` or `tcp://ADDRESS:PORT`), the present time, and the news that the socket is ready. Out: the
payloads that arrived, and counters. netifyd drops a client that writes or half-closes, and queues without bound for one
that reads slowly: so this reads all there is and does nothing else.
"""

import errno
import os

from ..base import socket
from ..base.portable import CHUNK, LATER, connect, fault, reason, receive, strerror
from .framing import Framer
from .source import is_local, parse_source

FIRST_WAIT = 0.25
"""Seconds before the next attempt. netifyd reports a flow once: what begins before nfa is connected again goes by unseen."""
LONGEST_WAIT = 30.0
"""The same for a remote host, at the most. Nobody else is bothered by attempts to reach a local one."""
_CODES = {
    errno.ENOENT: "source-missing",
    errno.ECONNREFUSED: "source-refused",
    errno.EACCES: "source-forbidden",
    errno.EPERM: "source-forbidden",
}
"""What status says (docs/codes.md) when the kernel refuses a connection with such an error; of others: source-unreachable."""
CONNECT_TIMEOUT = 10.0


def code_of(error: "int | None") -> str:
    """Return the kind of an error of a connection (docs/codes.md) by its number."""
    return _CODES.get(error or 0, "source-unreachable")


class Client:
    """One source. `state` is `waiting`, `connecting` or `connected`; `deadline` is when the state must be looked at."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._family, self._address = parse_source(uri)
        self.socket: socket.socket | None = None
        self.framer = Framer()
        self.state = "waiting"
        self.deadline = 0.0
        self.bytes = 0
        self.connects = 0
        self.connected_at = self.first_at = 0.0
        """When the present connection was made, and the first one, by the loop's clock."""
        self.failures = 0
        self.last_error = ""
        self.code = ""
        """The kind of the last error, one of docs/codes.md."""
        self.bad = {"length": 0, "oversize": 0, "resync_bytes": 0}
        """Totals over all connections; those of the framer are of the present one."""
        self.fruitless = 0
        """Connections in a row that brought no payload, the present one included."""
        self._wait = FIRST_WAIT

    def change(self, uri: str) -> None:
        """Read from another source from now on. The connection must be closed. Raises ValueError as `parse_source` does."""
        self._family, self._address = parse_source(uri)
        self.uri = uri
        self.state = "waiting"
        self.deadline = 0.0
        self.last_error = self.code = ""
        self.fruitless = 0
        self._wait = FIRST_WAIT

    def start(self, now: float) -> None:
        """Begin to connect. Afterwards the state is `connecting`, `connected`, or `waiting` with a deadline."""
        try:
            self.socket = socket.socket(self._family, socket.SOCK_STREAM)
        except OSError as failure:
            self.lose(now, reason(failure), code_of(failure.errno))
            return
        self.socket.setblocking(False)
        if self._family != socket.AF_UNIX:
            # A peer that vanished without a word is noticed by the kernel, after a minute; nothing is ever written.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
                if hasattr(socket, name):
                    self.socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self.framer = Framer()
        self.deadline = now + CONNECT_TIMEOUT
        self.state = "connecting"
        problem = connect(self.socket, self._family, self._address)
        if problem == 0:
            self._connected(now)
        elif problem not in (errno.EINPROGRESS, errno.EAGAIN):
            self.lose(now, strerror(problem), code_of(problem))
        elif problem == errno.EAGAIN:
            # A unix socket whose backlog is full says so; it does not connect later by itself.
            self.lose(now, "its backlog is full", "source-busy")

    def _connected(self, now: float) -> None:
        self.state = "connected"
        self.connected_at = now
        self.first_at = self.first_at or now
        self.connects += 1
        self.fruitless += 1
        self.deadline = 0.0

    def timeout(self, now: float) -> None:
        """The deadline has come: connect again, or give up a connection attempt."""
        if self.state == "waiting":
            self.start(now)
        elif self.state == "connecting":
            self.lose(now, "no answer", "source-unreachable")

    def ready(self, now: float) -> list[bytes]:
        """The socket is ready: return the payloads that are complete now. May lose the connection."""
        assert self.socket is not None
        if self.state == "connecting":
            problem = fault(self.socket, self._family, self._address)
            if problem:
                self.lose(now, strerror(problem), code_of(problem))
                return []
            self._connected(now)
        try:
            chunk = receive(self.socket, CHUNK)
        except OSError as failure:
            if failure.errno in LATER:
                return []
            self.lose(now, reason(failure), code_of(failure.errno))
            return []
        if not chunk:
            payloads = self.framer.end()
            self.lose(now, "closed by netifyd", "source-closed")
            return payloads
        self.bytes += len(chunk)
        payloads = self.framer.feed(chunk)
        if payloads:
            self._wait = FIRST_WAIT
            self.fruitless = 0
        return payloads

    def lose(self, now: float, why: str, code: str) -> None:
        """Close, and wait before the next attempt: up to 0.25 s, and for a remote host twice as long each time, up to 30 s, and
        a quarter more or less.

        `why`: in words; `code`: one of docs/codes.md.
        """
        self.close()
        self.failures += 1
        self.last_error = why
        self.code = code
        self.state = "waiting"
        if is_local(self._family, self._address):
            self.deadline = now + FIRST_WAIT
            return
        self.deadline = now + self._wait * (0.75 + os.urandom(1)[0] / 510)
        self._wait = min(self._wait * 2, LONGEST_WAIT)

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        for kind, count in self.framer.bad.items():
            self.bad[kind] += count
        self.framer = Framer()

    def bad_counts(self) -> dict[str, int]:
        """Return what could not be framed, since the start."""
        return {kind: self.bad[kind] + self.framer.bad[kind] for kind in self.bad}
