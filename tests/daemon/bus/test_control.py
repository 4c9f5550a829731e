"""The control socket: late answers, impatient clients, and those that misbehave. The loop is the test's own."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loops import Strict

from nfa.daemon.bus.control import MAX_ANSWER, MAX_CLIENTS, MAX_REQUEST, Control

Reply = Callable[[int, dict[str, Any] | None], None]


class Room:
    """A control socket; `late` answers when told, `big` with so many characters, anything else at once."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.moment = 1000.0
        self.dispatcher = Strict(lambda: self.moment)
        self.control = Control(self.path, self.call)
        self.waiting: list[Reply] = []
        assert self.control.open(self.dispatcher) == ""

    def call(self, method: str, arguments: dict[str, Any], reply: Reply) -> None:
        if method == "late":
            self.waiting.append(reply)
        elif method == "big":
            reply(0, {"x": "y" * arguments["size"]})
        elif method == "refused":
            reply(2, {"error": "no"})
        else:
            reply(0, {"method": method, **arguments})

    def turn(self) -> int:
        """One turn of the loop. Returns how many descriptors were ready."""
        return self.dispatcher.turn(0)

    def turns(self) -> None:
        for _ in range(200):
            if not self.turn():
                return
        raise AssertionError("the loop would spin")

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(5)
        client.connect(self.path)
        self.turns()
        return client

    def ask(self, client: socket.socket, method: str, **arguments: Any) -> None:
        client.sendall(json.dumps({"method": method, "args": arguments}).encode() + b"\n")
        self.turns()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "control.sock")
    yield made
    made.control.close()


def answers(client: socket.socket) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.recv(1 << 20).splitlines()]


def test_a_late_answer_reaches_its_asker_and_nobody_else(room: Room) -> None:
    """The outcome of one person's reload would be read by another."""
    first, second = room.connect(), room.connect()
    room.ask(first, "late")
    room.ask(second, "status")
    assert answers(second) == [{"result": {"method": "status"}}]
    room.waiting.pop()(0, {"loaded": True})
    room.turns()
    assert answers(first) == [{"result": {"loaded": True}}]


def test_the_next_request_waits_for_a_late_answer(room: Room) -> None:
    """Answers have no numbers: their order is all that tells them apart."""
    client = room.connect()
    room.ask(client, "late")
    room.ask(client, "status")
    room.waiting.pop()(0, {"loaded": True})
    room.turns()
    assert [answer["result"] for answer in answers(client)] == [{"loaded": True}, {"method": "status"}]


def test_a_client_that_said_all_still_gets_its_answer(room: Room) -> None:
    """`echo ... | socat - UNIX:...` closes its side at once; a reload's outcome would be lost."""
    client = room.connect()
    client.sendall(b'{"method": "late"}\n')
    client.shutdown(socket.SHUT_WR)
    room.turns()
    room.waiting.pop()(0, {"loaded": True})
    room.turns()
    assert answers(client) == [{"result": {"loaded": True}}]
    assert client.recv(1) == b""


def test_a_client_that_went_away_is_forgotten(room: Room) -> None:
    """Ctrl-C during `nfa reload`: a descriptor that is somebody else's by then must not get the answer."""
    client = room.connect()
    room.ask(client, "late")
    client.close()
    room.turns()
    other = room.connect()
    room.waiting.pop()(0, {"loaded": True})
    room.turns()
    room.ask(other, "status")
    assert answers(other) == [{"result": {"method": "status"}}]


def test_refusals_carry_words_and_a_status(room: Room) -> None:
    client = room.connect()
    room.ask(client, "refused")
    for junk in (b"{}\n", b"null\n", b'{"method": 5}\n', b'{"method": "x", "args": [1]}\n', b"\xff\n", b"[" * 5000 + b"\n"):
        client.sendall(junk)
        room.turns()
    found = answers(client)
    assert found[0] == {"error": "no", "status": 2}
    assert [item["status"] for item in found[1:]] == [2] * 6


def test_what_is_too_long_is_refused(room: Room) -> None:
    """A line without an end, or an answer without one, would fill the memory."""
    client = room.connect()
    room.ask(client, "big", size=MAX_ANSWER)
    assert answers(client) == [{"error": "the answer is too long", "status": 9}]
    try:
        for _ in range(MAX_REQUEST // 65536 + 2):
            client.sendall(b"x" * 65536)
            room.turns()
        assert client.recv(1) == b""
    except (BrokenPipeError, ConnectionResetError):
        pass  # closed, too


def test_a_client_that_does_not_read_holds_nobody_up(room: Room) -> None:
    """`nfa elements | less`, left standing overnight."""
    lazy, quick = room.connect(), room.connect()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(20):
        lazy.sendall(b'{"method": "big", "args": {"size": 200000}}\n')
    for _ in range(100):
        room.turn()
    room.ask(quick, "status")
    assert answers(quick) == [{"result": {"method": "status"}}]


def test_more_clients_than_there_is_room_for_are_turned_away(room: Room) -> None:
    clients = [room.connect() for _ in range(MAX_CLIENTS + 2)]
    assert [client.recv(1) for client in clients[MAX_CLIENTS:]] == [b"", b""]
    room.ask(clients[0], "status")
    assert answers(clients[0])
