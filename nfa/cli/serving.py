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
    """A listening socket and its name. A unix socket's folder is made if there is none; what was made is removed at the
    end. Raises Fault."""
    made: list[str] = []
    try:
        if isinstance(address, str):
            made = _make_folders(os.path.dirname(address))
        listener = _listen_unix(address) if isinstance(address, str) else _listen_tcp(*address)
    except OSError as error:
        _remove_folders(made)
        raise Fault(f"cannot listen on {_name(address)}: {_reason(error, address)}") from error
    try:
        with _serving(listener, address) as name:
            yield listener, name
    finally:
        _remove_folders(made)


@contextmanager
def _serving(listener: socket.socket, address: Address) -> Iterator[str]:
    """The name of a listening socket; it is closed at the end, and its file removed."""
    with listener:
        if not isinstance(address, str):
            yield _name(listener.getsockname()[:2])
            return
        ours = os.lstat(address)
        try:
            yield _name(address)
        finally:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(address), ours):  # not when another server has replaced it
                    os.unlink(address)


def _make_folders(path: str) -> list[str]:
    """Make a folder and those around it. Returns the ones that were not there, the innermost first. Raises OSError."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for number, folder in enumerate(reversed(missing)):
        try:
            os.mkdir(folder, 0o755)
        except OSError as error:
            _remove_folders(missing[len(missing) - number :])
            blocked = isinstance(error, FileExistsError)
            why = "a file is in the way" if blocked else error.strerror
            raise OSError(errno.ENOTDIR if blocked else error.errno, f"the folder {folder} cannot be made: {why}") from error
    return missing


def _remove_folders(made: list[str]) -> None:
    """Remove these folders, as far as nobody else uses them."""
    with suppress(OSError):
        for folder in made:
            os.rmdir(folder)


def _reason(error: OSError, address: Address) -> str:
    """Why an address cannot be listened on, and what to type instead."""
    reason = error.strerror or str(error)
    if isinstance(address, str) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        other = "unix:///tmp/netifyd.sock"
        return f"{reason}. Use another address: nfa replay FILE --listen {other}, and nfa run -s {other}"
    return f"{reason}. Another address can be given with --listen"


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
