"""A socket that serves a stream to many clients at once, as netifyd does: for `nfa replay`.

In: an address, a greeting, and chunks of bytes. Out: every client that connects gets the greeting and then each chunk. One
that lags by MAX_QUEUE, writes, or half-closes its side is dropped: none can stall the others or fill the memory.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nfa.compiler.base.report import printable

MAX_QUEUE = 64 << 20  # bytes a client may lag before it is dropped

Address = str | tuple[str, int]  # the path of a unix socket, or host and port


class Fault(Exception):
    """The recording cannot be read, or the address not listened on; the text says which and why."""


class _Client:
    """A connected client and the bytes it has not taken yet."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection, self.number = connection, number
        self.queue: deque[bytes | memoryview] = deque()
        self.queued = 0  # bytes
        self.writing = False  # registered for EVENT_WRITE


class Server:
    """The listening socket and its clients, in one selector."""

    def __init__(self, listener: socket.socket, greeting: bytes) -> None:
        self.listener, self.greeting = listener, greeting
        self.clients: list[_Client] = []
        self.served = 0  # clients that ever connected
        self.selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ)

    def close(self) -> None:
        """Close all clients, whatever they have still to take."""
        for client in list(self.clients):
            self._close(client)
        self.selector.close()

    def turn(self, timeout: float | None) -> None:
        """Wait up to `timeout` seconds (None: without limit) for the sockets, and handle what happened."""
        for key, events in self.selector.select(timeout):
            if key.data is None:
                self._accept()
            elif events & selectors.EVENT_READ:
                self._heard(key.data)
            else:
                self._send(key.data)

    def broadcast(self, data: bytes) -> None:
        """Queue the same bytes to every client, and send what can be sent now."""
        for client in list(self.clients):
            if client.queued + len(data) > MAX_QUEUE:
                self._drop(client, f"it reads too slowly and lags by {size_text(client.queued)}")
            else:
                self._queue(client, data)

    def finish(self, linger: float) -> None:
        """Stay for `linger` seconds, then accept no more and close each client that has taken everything."""
        deadline = time.monotonic() + linger
        while (left := deadline - time.monotonic()) > 0:
            self.turn(left)
        self.selector.unregister(self.listener)
        while True:
            for client in [client for client in self.clients if not client.queue]:
                self._close(client)
            if not self.clients:
                return
            self.turn(None)

    def _accept(self) -> None:
        try:
            connection, _peer = self.listener.accept()
        except OSError:  # the client gave up before it was accepted
            return
        connection.setblocking(False)
        self.served += 1
        client = _Client(connection, self.served)
        self.clients.append(client)
        self.selector.register(connection, selectors.EVENT_READ, client)
        self._queue(client, self.greeting)

    def _heard(self, client: _Client) -> None:
        try:
            wrote = client.connection.recv(4096)
        except OSError:
            wrote = b""
        self._drop(client, "it wrote to a one-way stream" if wrote else "it closed, or half-closed, its side")

    def _queue(self, client: _Client, data: bytes) -> None:
        if data:
            client.queue.append(data)
            client.queued += len(data)
            self._send(client)

    def _send(self, client: _Client) -> None:
        """Send until the queue is empty or the socket full; then wait for room."""
        try:
            while client.queue:
                sent = client.connection.send(client.queue[0])
                client.queued -= sent
                if sent == len(client.queue[0]):
                    client.queue.popleft()
                else:
                    client.queue[0] = memoryview(client.queue[0])[sent:]
        except BlockingIOError:
            pass
        except OSError as error:
            self._drop(client, error.strerror or str(error))
            return
        if client.writing != bool(client.queue):
            client.writing = bool(client.queue)
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.writing else 0)
            self.selector.modify(client.connection, events, client)

    def _drop(self, client: _Client, why: str) -> None:
        say(f"client {client.number} dropped: {why}")
        self._close(client)

    def _close(self, client: _Client) -> None:
        self.clients.remove(client)
        self.selector.unregister(client.connection)
        client.connection.close()


@contextmanager
def listening(address: Address) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket and its name; the file of a unix socket is removed at the end. Raises Fault."""
    try:
        listener = _listen_unix(address) if isinstance(address, str) else _listen_tcp(*address)
    except OSError as error:
        reason = f"{error.strerror or error}. Another address can be given with --listen"
        raise Fault(f"cannot listen on {_name(address)}: {reason}") from error
    with listener:
        if not isinstance(address, str):
            yield listener, _name(listener.getsockname()[:2])
            return
        ours = os.lstat(address)
        try:
            yield listener, _name(address)
        finally:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(address), ours):  # not when another server has replaced it
                    os.unlink(address)


def _listen_tcp(host: str, port: int) -> socket.socket:
    # A host as str would need python3-codecs: Python encodes it by idna, which wants unicodedata.
    family, _kind, _protocol, _canonical, address = socket.getaddrinfo(os.fsencode(host), port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family)


def _listen_unix(path: str) -> socket.socket:
    """Listen on `path`; a socket file on which nobody answers (left by a killed process) is replaced."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        if os.path.lexists(path):
            _remove_stale(path)
        listener.bind(path)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise OSError(errno.EEXIST, "a file that is not a socket is in the way")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # EAGAIN: its queue of connections is full, so it is alive
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, "another process (netifyd?) is serving there")


def _name(address: Address) -> str:
    if isinstance(address, str):
        return f"unix://{address}"
    return "tcp://[{}]:{}".format(*address) if ":" in address[0] else "tcp://{}:{}".format(*address)


def size_text(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"


def say(message: str) -> None:
    print(f"nfa replay: {printable(message)}", file=sys.stderr, flush=True)
