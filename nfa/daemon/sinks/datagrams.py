"""Sink `socket`, udp://: each event is a datagram. Nobody says whether it arrived.

What the network does not take at once, and what is longer than a datagram can be, is dropped and counted. After any other
failure, and from time to time, the name is looked up again and a new socket is opened: it keeps its own address for as long as
it lives, which the provider may change, and the server may move.
"""

import errno

from ..base import socket
from ..stream.source import parse_source
from .channel import Channel

MYPY = False
if MYPY:
    from typing import Any

    from .channel import Counters, Hub

FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0
"""Seconds between attempts, more each time."""
STABLE = 10.0
"""Seconds without a failure after which it works: that nobody listens is known only when the next event is sent."""
RENEWAL = 600.0
"""Seconds after which a socket is replaced."""
_DROPPED = (errno.EAGAIN, errno.ENOBUFS, errno.EMSGSIZE)


class Sink(Channel):
    """A socket that sends datagrams to one address."""

    alone = True

    def __init__(self, data: "dict[str, Any]", hub: "Hub") -> None:
        super().__init__(data, hub)
        self._host: str
        self._port: int
        self._host, self._port = parse_source("tcp" + self.options["listen"][3:])[1]  # type: ignore[misc]  # tcp: host and port
        self._socket: socket.socket | None = None
        self._wait = FIRST_WAIT
        self._good_since = 0.0
        """When this socket took the first event since it failed last; 0.0: it has not."""
        self._failing = False
        """The socket is to be replaced because it failed."""
        self._closed = False

    @property
    def heard(self) -> bool:
        return self._socket is not None

    def open(self, moment: float) -> None:
        self._closed = False
        self._failing = False
        self.deadline = moment + LONGEST_WAIT  # if no answer comes at all
        self.hub.resolve(self, self._host, lambda addresses, problem: self._resolved(addresses, problem, moment))

    def timeout(self, moment: float) -> None:
        self.open(moment)

    def _resolved(self, addresses: list[str], problem: str, moment: float) -> None:
        if self._closed:
            return
        if not problem:
            problem = self._connect(addresses[0])
        elif self._socket is not None and not self.trouble:
            problem = ""  # the name server is away; the address of before does still
        if problem:
            self._try_later("cannot send to " + self._host + ": " + problem, moment)
        else:
            self.deadline = moment + RENEWAL

    def _connect(self, address: str) -> str:
        """Make a socket in place of the one before, which stays if that cannot be done. Returns why not, or ""."""
        try:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        except OSError as failure:
            return failure.strerror or str(failure)
        try:
            made.setblocking(False)
            made.connect((address, self._port))
        except OSError as failure:
            made.close()
            return failure.strerror or str(failure)
        if self._socket is not None:
            self._socket.close()
        self._socket = made
        self._good_since = 0.0
        return ""

    def _try_later(self, why: str, moment: float) -> None:
        if not self._failing:
            self._failing = True
            self.deadline = moment + self._wait
            self._wait = min(self._wait * 2, LONGEST_WAIT)
        self._good_since = 0.0
        self.failed(why, "trying again; events are lost")

    def put(self, event: bytes, counters: "Counters") -> None:
        if self._socket is None:
            counters.skipped += 1
            return
        try:
            self._socket.send(event)
        except OSError as failure:
            counters.skipped += 1
            if failure.errno not in _DROPPED:
                # Perhaps the answer to an earlier one: nobody listens there. Later ones may arrive all the same.
                self._try_later("cannot send: " + (failure.strerror or str(failure)), self.hub.moment)
            return
        counters.added += 1
        if self.trouble:
            self._good_since = self._good_since or self.hub.moment
            if self.hub.moment - self._good_since >= STABLE:
                self._wait = FIRST_WAIT
                self.works()

    def close(self, last: bool) -> None:
        self._closed = True
        if self._socket is not None:
            self._socket.close()
            self._socket = None
