"""Sink `socket`, unix:// and tcp://: it listens, and each reader that connects gets all events from then on.

All events of one turn of the loop are one chunk, which all readers share; with gzip a chunk is a file of gzip. A reader that
does not keep up has chunks left out, whole, so that what it gets stays readable; one that takes nothing for long is closed.
A chunk that is full goes out at once: many events of one turn must not pile up in front of readers that could take them.

Of tcp, nobody knows who connects. So all that waits for readers has one budget, in which the reader that is furthest behind
is closed; one that writes more than a request's worth is closed; and when all places are taken, a reader from another host
takes the place of the idlest one from the host that has most. What a reader writes is not looked at.
"""

import errno
import select

from ..base import socket
from ..base.allowed import listen
from ..base.listening import is_there, remove_unix
from ..base.portable import deque
from ..stream.source import parse_source
from .channel import Channel, earliest

MYPY = False
if MYPY:
    from typing import Any

    from .channel import Counters, Hub

MAX_READERS = 16
MAX_BEHIND = 4 << 20
"""Bytes that one reader may be behind; then chunks are left out for it."""
MAX_HELD = 8 << 20
"""Bytes that wait for all readers of a channel, each chunk once; then the reader that is furthest behind is closed."""
OVERHEAD = 500
"""Bytes of memory that a chunk takes besides its data."""
MAX_WRITTEN = 1 << 13
"""Bytes that a reader may write: it has nothing to say, and reading them costs time."""
MAX_CHUNK = 1 << 16
"""Bytes of events after which a chunk is full."""
STALLED = 60.0
"""Seconds after which a reader that is behind and takes nothing is closed."""
RETRY = 5.0
"""Seconds between attempts to listen, and to accept, and between two looks whether the file of a unix socket is there."""
_BACKLOG = 16
_IGNORED = 1 << 12
"""Bytes read at once of what readers write."""


class _Chunk:
    """Events of one turn, for all readers that have room. `counts`: counters of a target to how many are its own."""

    __slots__ = ("cost", "counts", "data", "readers")

    def __init__(self, data: bytes, counts: "dict[Counters, int]") -> None:
        self.data = data
        self.counts = counts
        self.cost = len(data) + OVERHEAD
        self.readers = 0
        """Those that it waits for."""


class _Reader:
    def __init__(self, connection: socket.socket, host: bytes, moment: float) -> None:
        self.connection = connection
        self.host = host
        """Where it is (tcp); b"": on this machine."""
        self.written = 0
        self.chunks: deque[_Chunk] = deque()
        self.sent = 0
        """Bytes of the first chunk that are gone."""
        self.behind = 0
        """What all chunks cost, bytes."""
        self.took_at = moment


class Sink(Channel):
    """A socket that listens."""

    stream = True

    def __init__(self, data: "dict[str, Any]", hub: "Hub") -> None:
        super().__init__(data, hub)
        self._uri: str = self.options["listen"]
        self._listener: socket.socket | None = None
        self._inode = 0
        self._look_at = 0.0
        """When it is looked next whether the file of the socket is there; 0.0: there is none."""
        self._rest_until = 0.0
        """When readers are accepted again; 0.0: they are."""
        self._readers: dict[int, _Reader] = {}
        self._pending: list[bytes] = []
        self._size = 0
        self._counts: dict[Counters, int] = {}
        """Counters of a target to how many of the pending events are its own."""
        self._held = 0
        """What the chunks of all readers cost, bytes."""
        self._gzip = data["compressor"] == "gz"

    @property
    def heard(self) -> bool:
        return bool(self._readers)

    def readers(self) -> int:
        return len(self._readers)

    def held(self) -> int:
        return self._held + self._size

    def drop(self, size: int) -> int:
        """Close the readers that are furthest behind: what they get has no gap but at its end."""
        before = self._held
        while before - self._held < size and self._held:
            self._close_reader(max(self._readers.values(), key=lambda reader: reader.behind))
        return before - self._held

    # -- listening ------------------------------------------------------------------------------------------------------

    def open(self, moment: float) -> None:
        self.deadline = 0.0
        try:
            family, address = parse_source(self._uri)
            if family == socket.AF_UNIX:
                self._listener, self._inode = listen(str(address), self.options["mode"], _BACKLOG)
            else:
                self._listener = _listen_tcp(family, address)
        except OSError as failure:
            self.deadline = moment + RETRY
            self.failed("cannot listen on " + self._uri + ": " + (failure.strerror or str(failure)), "trying again")
            return
        self.hub.watch(self._listener.fileno(), self, select.POLLIN)
        if self._inode:
            self.deadline = self._look_at = moment + RETRY
        self.works()

    def timeout(self, moment: float) -> None:
        if self._listener is None:
            self.open(moment)
            return
        if self._look_at and moment >= self._look_at:
            self._look_at = moment + RETRY
            if not is_there(self._uri[7:], self._inode):
                self._listen_again(moment)
        if self._rest_until and moment >= self._rest_until:
            self._rest_until = 0.0
            self.hub.watch(self._listener.fileno(), self, select.POLLIN)
        for reader in list(self._readers.values()):
            if reader.chunks and moment - reader.took_at >= STALLED:
                self._close_reader(reader)
        self._wait()

    def _listen_again(self, moment: float) -> None:
        """Somebody has deleted the file of the socket: nobody could connect any more. Those who are connected stay."""
        self._stop_listening()
        self.failed(self._uri[7:] + " was deleted by another program", "it is created again")
        self.open(moment)

    def _stop_listening(self) -> None:
        assert self._listener is not None
        self.hub.unwatch(self._listener.fileno())
        self._listener.close()
        self._listener, self._look_at, self._rest_until = None, 0.0, 0.0

    def close(self, last: bool) -> None:
        if self._listener is not None:
            self._stop_listening()
            if self._inode:
                remove_unix(self._uri[7:], self._inode)
        self._cut_chunk()
        for reader in list(self._readers.values()):
            self._send(reader)
        for reader in list(self._readers.values()):
            self._close_reader(reader)

    def ready(self, descriptor: int, event: int, moment: float) -> None:
        reader = self._readers.get(descriptor)
        if reader is None:
            self._accept(moment)
        elif event & select.POLLOUT:
            self._send(reader)
        elif not event & select.POLLIN or self._gone(reader):
            self._close_reader(reader)

    def _accept(self, moment: float) -> None:
        assert self._listener is not None
        try:
            connection, address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as failure:
            if failure.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                # Poll would report the reader that waits again and again. Those who are connected stay so.
                self.hub.unwatch(self._listener.fileno())
                self._rest_until = moment + RETRY
                self.failed("cannot accept a reader: " + (failure.strerror or str(failure)), "trying again")
            return
        host = _host(address)
        if len(self._readers) >= MAX_READERS and not self._evict_reader(host):
            connection.close()
            self.failed(str(MAX_READERS) + " readers are connected", "no more are accepted")
            return
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._readers[connection.fileno()] = _Reader(connection, host, moment)
        self.hub.watch(connection.fileno(), self, select.POLLIN)
        self.works()

    def _evict_reader(self, host: bytes) -> bool:
        """Close the idlest reader of the host that has most, for one from this host. Returns False where that has as many."""
        hosts = [reader.host for reader in self._readers.values() if reader.host]
        most = max(hosts, key=lambda one: (hosts.count(one), one == host), default=b"")
        if hosts.count(most) < 2 or (most != host and hosts.count(host) + 1 >= hosts.count(most)):
            return False
        self._close_reader(
            min([reader for reader in self._readers.values() if reader.host == most], key=lambda reader: reader.took_at)
        )
        return True

    def _gone(self, reader: _Reader) -> bool:
        """A reader has written something, which is of no interest, or has left."""
        try:
            data = reader.connection.recv(_IGNORED)
        except BlockingIOError:
            return False
        except OSError:
            return True
        reader.written += len(data)
        return not data or reader.written > MAX_WRITTEN

    def _close_reader(self, reader: _Reader) -> None:
        """A reader has left, or must."""
        descriptor = reader.connection.fileno()
        del self._readers[descriptor]
        self.hub.unwatch(descriptor)
        reader.connection.close()
        for chunk in reader.chunks:
            _skip(chunk.counts)
            self._release(chunk)
        if self._listener is not None and not self._rest_until and len(self._readers) < MAX_READERS:
            self.works()  # there is room for another one

    # -- events ---------------------------------------------------------------------------------------------------------

    def put(self, event: bytes, counters: "Counters") -> None:
        self._pending.append(event)
        self._size += len(event)
        self._counts[counters] = self._counts.get(counters, 0) + 1
        if self._size >= MAX_CHUNK:
            self._cut_chunk()
            for reader in list(self._readers.values()):
                self._send(reader)

    def flush(self, moment: float) -> None:
        self._cut_chunk()
        for reader in list(self._readers.values()):
            if reader.chunks and not reader.sent:
                self._send(reader)
        self._wait()

    def _cut_chunk(self) -> None:
        """Make a chunk of the pending events, and put it into the queues of all readers that have room."""
        if not self._pending:
            return
        data, counts = b"".join(self._pending), self._counts
        self._pending, self._size, self._counts = [], 0, {}
        if self._gzip:
            data = self.hub.packing.gzip(data)
        chunk = _Chunk(data, counts)
        for reader in list(self._readers.values()):
            if reader.behind + chunk.cost > MAX_BEHIND:
                self._send(reader)  # it may have made room since
            if reader.connection.fileno() < 0:
                continue  # it had left
            if reader.behind + chunk.cost > MAX_BEHIND:
                _skip(counts)
                continue
            if not reader.chunks:
                reader.took_at = self.hub.moment  # it was not behind before
            reader.chunks.append(chunk)
            reader.behind += chunk.cost
            chunk.readers += 1
        if chunk.readers:
            self._held += chunk.cost
            for counters, count in counts.items():
                counters.added += count
        if self._held > MAX_HELD:
            self.drop(self._held - MAX_HELD)

    def _release(self, chunk: _Chunk) -> None:
        """A chunk no longer waits for one of its readers."""
        chunk.readers -= 1
        if not chunk.readers:
            self._held -= chunk.cost

    def _send(self, reader: _Reader) -> None:
        """Send what the reader takes now, and wait for the rest."""
        try:
            while reader.chunks:
                chunk = reader.chunks[0]
                reader.sent += reader.connection.send(memoryview(chunk.data)[reader.sent :])
                reader.took_at = self.hub.moment
                if reader.sent < len(chunk.data):
                    break
                reader.chunks.popleft()
                reader.behind -= chunk.cost
                self._release(chunk)
                reader.sent = 0
        except BlockingIOError:
            pass
        except OSError:
            self._close_reader(reader)
            return
        self.hub.watch(reader.connection.fileno(), self, select.POLLIN | select.POLLOUT if reader.chunks else select.POLLIN)

    def _wait(self) -> None:
        """Look again when the reader that has taken nothing for longest must be closed."""
        if self._listener is not None:
            behind = [reader.took_at + STALLED for reader in self._readers.values() if reader.chunks]
            self.deadline = earliest(self._rest_until, self._look_at, *behind)


def _host(address: object) -> bytes:
    """Return where a reader is, of IPv6 its network, in which one host may have any address; b"" for a unix socket."""
    if not isinstance(address, tuple):
        return b""
    text = address[0].partition("%")[0]
    if ":" not in text:
        return socket.inet_pton(socket.AF_INET, text)
    packed = socket.inet_pton(socket.AF_INET6, text)
    return packed if packed.startswith(bytes(8)) else packed[:8]  # ::1, and hosts of IPv4


def _skip(counts: "dict[Counters, int]") -> None:
    """Count events that one reader does not get."""
    for counters, count in counts.items():
        counters.skipped += count


def _listen_tcp(family: int, address: "Any") -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
