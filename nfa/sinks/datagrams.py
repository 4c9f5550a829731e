"""Sink `socket`, udp://: each event is a datagram. Nobody says whether it arrived.

What the network does not take at once, and what is longer than a datagram can be, is dropped and counted.
"""

import errno
import socket

from ..stream.client import parse_source
from .channel import Channel

RETRY = 30.0
"""Seconds between attempts to find the address."""


class Sink(Channel):
    """A socket that sends datagrams to one address."""

    alone = True

    def __init__(self, data: dict, hub) -> None:
        super().__init__(data, hub)
        self._host: str
        self._port: int
        self._host, self._port = parse_source("tcp" + self.options["listen"][3:])[1]  # type: ignore[misc]
        self._socket: socket.socket | None = None
        self._closed = False

    @property
    def heard(self) -> bool:
        return self._socket is not None

    def open(self, moment: float) -> None:
        self.deadline = moment + RETRY
        self.hub.resolve(self, self._host, self._connect)

    def timeout(self, moment: float) -> None:
        self.open(moment)

    def _connect(self, addresses: list, problem: str) -> None:
        if self._closed or self._socket is not None:
            return
        if problem:
            self.failed("cannot resolve " + self._host + ": " + problem, "trying again")
            return
        try:
            made = socket.socket(socket.AF_INET6 if ":" in addresses[0] else socket.AF_INET, socket.SOCK_DGRAM)
            made.setblocking(False)
            made.connect((addresses[0], self._port))
        except OSError as failure:
            self.failed("cannot send to " + self._host + ": " + (failure.strerror or str(failure)), "trying again")
            return
        self._socket = made
        self.deadline = 0.0
        self.works()

    def put(self, event: bytes, counters) -> None:
        if self._socket is None:
            counters.skipped += 1
            return
        try:
            self._socket.send(event)
        except OSError as failure:
            counters.skipped += 1
            if failure.errno not in (errno.EAGAIN, errno.ENOBUFS):
                # The answer to an earlier one: nobody listens there. Later ones may arrive all the same.
                self.failed("cannot send: " + (failure.strerror or str(failure)), "events are lost")
            return
        counters.added += 1

    def close(self, last: bool) -> None:
        self._closed = True
        if self._socket is not None:
            self._socket.close()
            self._socket = None
