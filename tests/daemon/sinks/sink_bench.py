"""A hub of sinks in a loop of its own, and servers that do what a test says: no daemon, real sockets.

In: what a policy image says of channels. Out: what servers and readers get, the counters of targets, messages.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loops import Strict
from waiting import PATIENCE, eventually

from nfa.compiler.config.servers import Server
from nfa.daemon.base import packing
from nfa.daemon.base.dated import write_dated
from nfa.daemon.base.dispatcher import Dispatcher
from nfa.daemon.sinks.hub import Hub
from nfa.daemon.sinks.target import SinkTarget
from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.target import interface_test

EVENTS = ("new", "updated", "expired")
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Bench:
    """A hub with targets. Its clock stands still until the test says that time passes: no timeout is over before."""

    def __init__(self, ubus: Any = None, dispatcher: Dispatcher | None = None) -> None:
        self.moment = time.monotonic()
        self.dispatcher = dispatcher or Strict(self.now)
        self.said: list[tuple[str, str]] = []
        self.told: list[tuple[str, str, str]] = []
        self.asked: list[str] = []
        self.addresses: dict[str, list[str]] = {}
        say = lambda level, text: self.said.append((level, text))  # noqa: E731
        tell = lambda *what: self.told.append(what)  # noqa: E731
        self.hub = Hub(self.dispatcher, ubus, self.resolve, write_dated, packing, say, tell)
        self.targets: list[SinkTarget] = []

    def resolve(self, host: str, done: Callable[[list[str], str], None]) -> None:
        self.asked.append(host)
        found = self.addresses.get(host, [])
        done(found, "" if found else "no such name")

    def use(self, *data: dict[str, Any], events: tuple[str, ...] = EVENTS, interface: str = "*") -> SinkTarget:
        """Have a target for each of these channels; returns the first one."""
        channels = self.hub.prepare(list(data))
        self.hub.adopt(channels)
        for number, channel in enumerate(channels):
            if number == len(self.targets):
                self.targets.append(self.hub.target(number, Counters(f"t{number}", "sink")))
            self.targets[number].use(channel, events, interface_test(interface))
        return self.targets[0]

    @property
    def counters(self) -> Counters:
        return self.targets[0].counters

    def now(self) -> float:
        return self.moment

    def turn(self, milliseconds: int = 5) -> None:
        """One turn of the loop."""
        self.dispatcher.turn(milliseconds)

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Turn until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what or condition}: {self.said[-3:]}"
            self.turn()

    def pass_time(self, seconds: float) -> None:
        """Let the clock be later."""
        self.moment += seconds
        self.turn(0)


def channel(kind: str, format: str = "json", compressor: str = "none", header: bool = False, **options: Any) -> dict[str, Any]:
    """A channel as the policy image has it."""
    data: dict[str, Any] = {"sink": "s", "channel": "c", "kind": kind, "options": options}
    return data | {"format": format, "compressor": compressor, "header": header}


def http(port: int, **more: Any) -> dict[str, Any]:
    """A channel of an HTTP server on this machine."""
    shape = {name: more.pop(name) for name in ("format", "compressor", "header") if name in more}
    options = {
        "host": "127.0.0.1", "port": port, "tls": False, "path": "/in", "headers": (),
        "authority": Server("http", "127.0.0.1", port, "/").authority,
        "batch": 100, "interval": 1, "timeout_connect": 5, "timeout_transfer": 5,
    }  # fmt: skip
    return channel("http", **shape, **options | more)


def mqtt(port: int, **more: Any) -> dict[str, Any]:
    """A channel of a broker on this machine."""
    shape = {name: more.pop(name) for name in ("format", "compressor", "header") if name in more}
    options = {
        "host": "127.0.0.1", "port": port, "tls": False, "topic": "netify/c", "qos": 1, "retain": False, "username": "",
        "password": "", "client_id": "", "timeout_connect": 5,
    }  # fmt: skip
    return channel("mqtt", **shape, **options | more)


def record(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A small record of a flow."""
    return {"type": "flow", "interface": "lan0", "internal": True, "flow": {"digest": f"{number:040x}", "n": number} | fields}


def feed(target: SinkTarget, *records: dict[str, Any], actions: tuple[str, ...] = ("a",), held: Any = None) -> list[Any]:
    """Let records match, as the engine does; returns what the flows hold then."""
    matched = target.for_plan(actions, (target.counters.name,))
    return [matched.apply(one, one["flow"], 1, held) for one in records]


class Peer:
    """A server: each connection is handed to `serve(connection)`, in a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.connections = 0
        self._serve = serve
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            connection.settimeout(PATIENCE)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except (OSError, EOFError):
            pass
        finally:
            connection.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@contextmanager
def peer(serve: Callable[[socket.socket], None]) -> Iterator[Peer]:
    made = Peer(serve)
    try:
        yield made
    finally:
        made.close()


def exactly(connection: socket.socket, count: int) -> bytes:
    """Read so many bytes. Raises EOFError."""
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


class WebServer:
    """Answers each request with the next of some answers, the last one again and again. None: no answer at all."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, bytes]] = []

    def __call__(self, connection: socket.socket) -> None:
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += exactly(connection, 1)
            lines = head.decode().split("\r\n")
            length = next(int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:"))
            body = exactly(connection, length)
            self.requests.append((head.decode(), body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer is None:
                connection.recv(1)
                return
            connection.sendall(answer)
            if b"close" in answer:
                return


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Broker:
    """A broker of MQTT 3.1.1 that keeps what it gets. `acknowledge`: how many messages it acknowledges, -1 for all.
    `poison`: what is in a message that ends the connection."""

    def __init__(self, code: int = 0, acknowledge: int = -1, poison: bytes = b"") -> None:
        self.code = code
        self.poison = poison
        self.acknowledge = acknowledge
        self.messages: list[tuple[int, str, int, bytes]] = []
        """First byte, topic, identifier, payload."""
        self.connects: list[bytes] = []
        self.pings = 0

    def __call__(self, connection: socket.socket) -> None:
        while True:
            kind, body = self._packet(connection)
            if kind >> 4 == 1:
                self.connects.append(body)
                connection.sendall(bytes((0x20, 2, 0, self.code)))
                if self.code:
                    return
            elif kind >> 4 == 3:
                end = 2 + int.from_bytes(body[:2], "big")
                topic, qos = body[2:end].decode(), kind >> 1 & 3
                number = int.from_bytes(body[end : end + 2], "big") if qos else 0
                if self.poison and self.poison in body:
                    return
                self.messages.append((kind, topic, number, body[end + 2 * bool(qos) :]))
                if qos and self.acknowledge:
                    self.acknowledge -= 1
                    connection.sendall(bytes((0x40, 2)) + body[end : end + 2])
            elif kind >> 4 == 12:
                self.pings += 1
                connection.sendall(b"\xd0\0")
            elif kind >> 4 == 14:
                return

    @staticmethod
    def _packet(connection: socket.socket) -> tuple[int, bytes]:
        kind, length, shift = exactly(connection, 1)[0], 0, 0
        while True:
            byte = exactly(connection, 1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return kind, exactly(connection, length)


@contextmanager
def real_broker(folder: Path) -> Iterator[int]:
    """The port of a mosquitto whose user is u, with the password p."""
    if MOSQUITTO is None or not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    passwords, configuration = folder / "passwords", folder / "mosquitto.conf"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "u", "p"], check=True, capture_output=True)
    passwords.chmod(0o644)
    folder.chmod(0o755)
    configuration.write_text(
        f"listener {port} 127.0.0.1\npassword_file {passwords}\nallow_anonymous false\nuser root\nmax_queued_messages 10000\n"
    )
    with subprocess.Popen([MOSQUITTO, "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            eventually(answers, what="mosquitto")
            yield port
        finally:
            process.terminate()
