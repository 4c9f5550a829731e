"""`nfa replay`: serve a recorded flow stream on a socket, as netifyd 4.4 serves a live one.

In: a recording (see nfa.cli.recording) and an address. Out: every client gets the greeting of the recording
(agent_hello, agent_status, definitions) when it connects and, from when enough clients are there, all records
that follow, byte for byte.

Strategy: one thread, one selector. A batch of due records is joined once and queued to every client. At full
speed the fastest client sets the pace; a client that lags by MAX_QUEUE is dropped, so that it cannot stall
the others or fill the memory (netifyd itself queues without bound). Only reading the recording may block.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import selectors
import signal
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain, count, islice
from typing import cast

from nfa.cli.common import plural
from nfa.cli.recording import MAX_GAP, framed, frames, greeting, line, schedule
from nfa.compiler.base.report import printable
from nfa.daemon.stream.client import DEFAULT_SOURCE, parse_source

BATCH = 1 << 18  # bytes handed to a client in one send
MAX_QUEUE = 64 << 20  # bytes a client may lag before it is dropped

DESCRIPTION = """\
Serve a recorded flow stream on a socket, as netifyd 4.4 would: to try a policy, to test, to measure.

FILE is what a client of netifyd's socket received (with length headers) or one JSON object a line, plain or
gzipped; '-' reads standard input. The replay starts when the first client connects. Each client is greeted
with agent_hello, agent_status and definitions; one that joins late gets no earlier flows; one that writes, or
half-closes, is dropped. netifyd does the same."""

EPILOG = """\
examples:
  record five minutes on a router, and replay them at home ten times faster:
    timeout 300 ssh router socat -u UNIX-CONNECT:/var/run/netifyd/netifyd.sock - > home.bin
    nfa replay home.bin --listen unix:///tmp/netifyd.sock --speed 10
  how fast is a client? a hundred times the same recording, as fast as it reads:
    nfa replay home.bin --listen tcp://127.0.0.1:7150 --speed full --loop 100
  start when two clients are there, and stay connected ten minutes after the last record:
    nfa replay home.bin --wait 2 --linger 600
  one object a line without length headers, as a sink of netifyd 5 with its header off:
    nfa replay home.jsonl.gz --newline

exit codes: 0 done (also when ended by a signal), 1 cannot read or listen, 2 wrong usage"""

_Address = str | tuple[str, int]  # the path of a unix socket, or host and port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments and help of the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("file", metavar="FILE", help="the recording; '-' for standard input")
    add(
        "--listen",
        type=_address,
        default=DEFAULT_SOURCE,
        metavar="ADDRESS",
        help="unix://PATH or tcp://HOST:PORT (default: %(default)s)",
    )
    add(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="N",
        help="N times the original speed, or 'full' for as fast as the clients read (default: 1); silences of"
        f" the recording are shortened to {MAX_GAP:.0f} s",
    )
    add("--loop", type=_number(int), default=1, metavar="N", help="play N times, 0: endlessly (default: 1)")
    add("--wait", type=_number(int), default=1, metavar="N", help="start when N clients are connected (default: 1)")
    add(
        "--linger",
        type=_number(float),
        default=0.0,
        metavar="SECONDS",
        help="keep clients connected, and accept new ones, this long after the last record (default: 0)",
    )
    add("--newline", action="store_true", help="serve one object a line, without length headers")


def run(args: argparse.Namespace) -> int:
    """Serve the recording until its end or a signal; returns the exit code."""
    if args.file == "-" and args.loop != 1:
        _say("error: --loop needs a file that can be read again, standard input cannot")
        return 2
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # raises KeyboardInterrupt, as SIGINT
    try:
        recording = _Recording(args.file, args.loop, line if args.newline else framed)
        with (
            _listening(args.listen) as (listener, name),
            closing(_Server(listener, recording.greeting)) as server,
        ):
            player = _Player(server, recording, args.speed)
            with suppress(KeyboardInterrupt):
                _say(f"listening on {name}, waiting for {plural(args.wait, 'client')}")
                while len(server.clients) < args.wait:
                    server.turn(None)
                player.play()
                server.finish(args.linger)
            print(player.summary(), flush=True)
    except _Fault as fault:
        _say(f"error: {fault}")
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


class _Fault(Exception):
    """The recording cannot be read, or the address not listened on; the text says which and why."""


class _Recording:
    """A recording: what greets a client, and the passes over it."""

    def __init__(self, path: str, loops: int, wrap: Callable[[bytes], bytes]) -> None:
        """Reads the greeting; `wrap` makes of a payload what is sent. Raises _Fault, also when read later."""
        self.path, self.wrap, self.skipped = path, wrap, 0  # skipped: damaged places, left out
        head, payloads = greeting(self._read())
        if payloads is None:
            raise _Fault(f"{path} contains no records. Expected length headers or one JSON object a line")
        self.greeted, self.greeting = len(head), b"".join(map(wrap, head))
        more = range(loops - 1) if loops else count()
        self.passes = chain([payloads], (self._read() for _ in more))  # each gives the greeting first

    def _read(self) -> Iterator[bytes]:
        try:
            yield from frames(self.path, self._skip)
        except OSError as error:
            raise _Fault(f"cannot read {self.path}: {error.strerror or error}") from error

    def _skip(self, message: str) -> None:
        self.skipped += 1
        if self.skipped == 1:
            _say(f"{self.path}: {message}; this and everything else that is damaged is skipped")


class _Client:
    """A connected client and the bytes it has not taken yet."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection, self.number = connection, number
        self.queue: deque[bytes | memoryview] = deque()
        self.queued = 0  # bytes
        self.writing = False  # registered for EVENT_WRITE


class _Server:
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
                self._drop(client, f"it reads too slowly and lags by {_size(client.queued)}")
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
        _say(f"client {client.number} dropped: {why}")
        self._close(client)

    def _close(self, client: _Client) -> None:
        self.clients.remove(client)
        self.selector.unregister(client.connection)
        client.connection.close()


class _Player:
    """Hands the records to the server when they are due, and counts them."""

    def __init__(self, server: _Server, recording: _Recording, speed: float) -> None:
        self.server, self.recording, self.speed = server, recording, speed
        self.records = self.bytes = 0
        self.started = self.shown = time.monotonic()
        self.ended = 0.0
        self._batch: list[bytes] = []
        self._size = 0

    def play(self) -> None:
        """Play all passes of the recording."""
        self.started = time.monotonic()
        self.records, self.bytes = self.recording.greeted, len(self.recording.greeting)
        for payloads in self.recording.passes:
            started, elapsed = time.monotonic(), 0.0
            for due, payload in islice(schedule(payloads, self.speed), self.recording.greeted, None):
                while due > elapsed:  # the clock is only asked when it may matter
                    elapsed = time.monotonic() - started
                    if due > elapsed:
                        self._flush()
                        self.server.turn(due - elapsed)
                data = self.recording.wrap(payload)
                self._batch.append(data)
                self._size += len(data)
                if self._size >= BATCH:
                    self._flush()
            self._flush()
        self.ended = time.monotonic()

    def summary(self) -> str:
        """What was sent, in one line."""
        seconds = (self.ended or time.monotonic()) - self.started
        sent = f"{plural(self.records, 'record')} ({_size(self.bytes)})"
        text = f"sent {sent} to {plural(self.server.served, 'client')} in {seconds:.1f} s"
        skipped = self.recording.skipped
        return f"{text}; skipped {plural(skipped, 'damaged place')}" if skipped else text

    def _flush(self) -> None:
        """Queue the batch; at full speed only when the fastest client has taken most of what is queued."""
        while math.isinf(self.speed) and min((c.queued for c in self.server.clients), default=0) >= BATCH:
            self.server.turn(None)
        data = b"".join(self._batch)
        self.records += len(self._batch)  # before sending: what a client has seen is in the summary
        self.bytes += self._size
        self._batch, self._size = [], 0
        self.server.broadcast(data)
        self.server.turn(0)
        if time.monotonic() > self.shown + 0.5 and sys.stderr.isatty():
            self.shown = time.monotonic()
            print(f"\x1b[K{self.summary()}", end="\r", file=sys.stderr, flush=True)


@contextmanager
def _listening(address: _Address) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket and its name; the file of a unix socket is removed at the end. Raises _Fault."""
    try:
        listener = _listen_unix(address) if isinstance(address, str) else _listen_tcp(*address)
    except OSError as error:
        reason = f"{error.strerror or error}. Another address can be given with --listen"
        raise _Fault(f"cannot listen on {_name(address)}: {reason}") from error
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


def _address(text: str) -> _Address:
    try:
        return cast(_Address, parse_source(text, lowest_port=0)[1])
    except ValueError as error:
        raise argparse.ArgumentTypeError(printable(str(error))) from None


def _name(address: _Address) -> str:
    if isinstance(address, str):
        return f"unix://{address}"
    return "tcp://[{}]:{}".format(*address) if ":" in address[0] else "tcp://{}:{}".format(*address)


def _speed(text: str) -> float:
    speed = math.inf if text == "full" else _number(float)(text)
    if not speed:
        raise argparse.ArgumentTypeError("expected a number above 0, or 'full'")
    return speed


def _number(kind: type[int] | type[float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        with suppress(ValueError):
            if 0 <= (number := kind(text)) < math.inf:
                return number
        raise argparse.ArgumentTypeError(f"{text!r}: expected a {'whole ' * (kind is int)}number, 0 or more")

    return convert


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"


def _say(message: str) -> None:
    print(f"nfa replay: {printable(message)}", file=sys.stderr, flush=True)
