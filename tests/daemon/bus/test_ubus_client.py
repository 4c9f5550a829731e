"""The connection to ubusd, against one that the test plays: in every state, with every kind of trouble, on a clock of the test.

The well-behaved ubusd plays back a recorded conversation (ubus_vectors.py), so what the client sends is compared with the
bytes of libubus. The real one is in tests/openwrt.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ubus_vectors as vectors
from loops import Strict

from nfa.daemon.bus import blob
from nfa.daemon.bus.ubus import (
    ANSWER_TIMEOUT,
    CHUNK,
    FIRST_WAIT,
    LONGEST_WAIT,
    MAX_MESSAGES,
    MAX_QUEUE,
    MAX_QUEUED,
    SOCKETS,
    TYPES,
    Ubus,
    find_socket,
)

Reply = Callable[[int, "dict[str, Any] | None"], None]
OBJECT = bytes.fromhex("1e4ff1ea")
CALLER = 0x340ED7BB
"""The object's id and the caller's, as recorded."""


class Rig:
    """The client under test in a loop, and the other end of its connection."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "ubus.sock")
        self.now = 100.0
        self.dispatcher = Strict(lambda: self.now)
        self.said: list[tuple[str, str]] = []
        self.asked: list[tuple[str, dict[str, Any], Reply]] = []
        self.answer: Callable[[str, dict[str, Any], Reply], None] | None = lambda method, arguments, reply: reply(0, arguments)
        self.bus = Ubus(self.path, "session", vectors.METHODS, self.call, lambda level, text: self.said.append((level, text)))
        self.listener: socket.socket | None = None
        self.peer: socket.socket | None = None

    def call(self, method: str, arguments: dict[str, Any], reply: Reply) -> None:
        self.asked.append((method, arguments, reply))
        if self.answer is not None:
            self.answer(method, arguments, reply)

    # -- the loop

    def turn(self) -> bool:
        """One turn, as the daemon does it; without waiting. False when there was nothing to do."""
        count = self.dispatcher.turn(0)
        if not count and self.bus.state == "registered" and self.bus.deadline:
            self.now = self.bus.deadline
            count = self.dispatcher.turn(0)
        return bool(count)

    def settle(self) -> int:
        """Turn until nothing is left to do; returns the number of turns."""
        for count in range(10000):
            if not self.turn():
                return count
        raise AssertionError("the loop never rests")

    def pass_time(self) -> float:
        """Let the clock reach the deadline; returns how long that took."""
        assert self.bus.deadline > self.now
        passed = self.bus.deadline - self.now
        self.now = self.bus.deadline
        self.turn()
        return passed

    # -- ubusd

    def listen(self, backlog: int = 5) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(backlog)
        self.listener.settimeout(5)

    def accept(self) -> None:
        assert self.listener is not None
        self.peer, _ = self.listener.accept()
        self.peer.setblocking(False)

    def send(self, *messages: bytes) -> None:
        """Send, and let the client work on it."""
        assert self.peer is not None
        for data in messages:
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[self.peer.send(rest) :]
                except BlockingIOError:
                    assert self.turn(), "the client does not read"
        self.settle()

    def receive(self, size: int = 1 << 20) -> bytes:
        """What the client has sent, all of it, with the loop turning."""
        found = b""
        while True:
            self.settle()
            try:
                chunk = self.peer.recv(size) if self.peer else b""
            except BlockingIOError:
                return found
            if not chunk:
                return found
            found += chunk

    def messages(self) -> list[tuple[int, int, int, dict[int, bytes]]]:
        """The same, read: (kind, sequence, peer, attributes)."""
        buffer = bytearray(self.receive())
        found = []
        while (message := blob.take(buffer)) is not None:
            found.append((*message[:3], blob.attributes(message[3])))
        assert not buffer, "half a message"
        return found

    def statuses(self) -> list[int]:
        """The status codes of the answers that came."""
        return [blob.read_number(found[blob.ATTR_STATUS]) for kind, _, _, found in self.messages() if kind == blob.STATUS]

    def vanish(self) -> None:
        """Be killed: the file stays."""
        for end in (self.peer, self.listener):
            if end is not None:
                end.close()
        self.peer = self.listener = None

    def register(self) -> None:
        """Bring the object to the bus."""
        if self.listener is None:
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.listen()
        if self.bus.descriptor < 0:
            if self.bus.deadline:
                self.pass_time()
            else:
                self.bus.open(self.dispatcher)
        self.accept()
        self.send(vectors.GREETING)
        self.receive()
        self.send(vectors.TAKEN)
        assert self.bus.state == "registered"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.bus.close()
    made.vanish()
    assert made.bus.descriptor == -1
    assert not made.dispatcher._watched, "a closed descriptor is still polled"


def invoke(method: str, arguments: bytes = b"", sequence: int = 1, peer: int = CALLER, *more: bytes) -> bytes:
    """A call as ubusd forwards it."""
    parts = [(blob.ATTR_OBJID, OBJECT), (blob.ATTR_METHOD, blob.string(method)), (blob.ATTR_DATA, arguments)]
    return blob.message(blob.INVOKE, sequence, peer, b"".join([blob.attribute(*part) for part in parts] + list(more)))


# -- the conversation as it should be


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_it_talks_as_libubus_does(rig: Rig, size: int) -> None:
    """Bytes of a recorded conversation, in pieces of any size: ubusd and the callers take them as from a C program."""
    rig.listen()
    rig.bus.open(rig.dispatcher)
    assert (rig.bus.state, rig.bus.deadline) == ("connecting", rig.now + ANSWER_TIMEOUT)
    rig.accept()

    def play(data: bytes) -> bytes:
        for position in range(0, len(data), size):
            rig.send(data[position : position + size])
        return rig.receive()

    assert play(vectors.GREETING) == vectors.OFFER
    assert rig.bus.state == "registering"
    assert play(vectors.TAKEN) == b""
    assert (rig.bus.state, rig.bus.connects, rig.bus.deadline) == ("registered", 1, 0.0)
    rig.answer = lambda method, arguments, reply: reply(0, {"access": True})
    assert play(vectors.CALL_ACCESS) == vectors.ANSWER_ACCESS
    assert rig.asked[0][:2] == ("access", vectors.ACCESS)
    assert play(vectors.CALL_NOTHING) == vectors.ANSWER_NOTHING
    assert len(rig.asked) == 1, "nobody is asked for a method that there is not"
    assert rig.bus.event("nfa.match", vectors.MATCH)
    sent = rig.receive()
    assert sent[:2] + sent[4:] == vectors.EVENT[:2] + vectors.EVENT[4:], "but for the sequence number"
    assert play(vectors.EVENT_SENT[:2] + sent[2:4] + vectors.EVENT_SENT[4:]) == b""
    assert (rig.bus.calls, rig.bus.dropped_events, rig.bus.last_error) == (2, 0, "")
    assert rig.said == [("notice", f"object session is on ubus ({rig.path})")]


def test_an_answer_may_come_later(rig: Rig) -> None:
    """`reload` answers when the compiler is done; other calls are answered meanwhile."""
    rig.register()
    rig.answer = None
    rig.send(invoke("list", b"", 7, 70), invoke("list", b"", 8, 80))
    assert rig.receive() == b""
    rig.asked[1][2](0, {"which": "second"})
    rig.asked[0][2](0, None)
    rig.asked[0][2](0, {"again": True})
    found = rig.messages()
    assert [message[:3] for message in found] == [(blob.DATA, 8, 80), (blob.STATUS, 8, 80), (blob.STATUS, 7, 70)]


def test_a_refusal_comes_with_words(rig: Rig) -> None:
    """Somebody who types `ubus call` sees the data, and a status code that says little."""
    rig.register()
    rig.answer = lambda method, arguments, reply: reply(4, {"error": "there is no target 'x'"})
    rig.send(invoke("list"))
    data, status = rig.messages()
    assert blob.decode(data[3][blob.ATTR_DATA]) == {"error": "there is no target 'x'"}
    assert blob.read_number(status[3][blob.ATTR_STATUS]) == 4


def test_arguments_that_cannot_be_read_are_refused(rig: Rig) -> None:
    """The caller learns it; the daemon, and the connection, live on."""
    rig.register()
    rig.send(invoke("list", b"\x80\0\0\x07"), blob.message(blob.INVOKE, 2, CALLER, blob.attribute(blob.ATTR_OBJID, OBJECT)))
    found = rig.messages()
    assert [blob.read_number(message[3][blob.ATTR_STATUS]) for message in found if message[0] == blob.STATUS] == [2, 2]
    assert "cannot be read" in str(blob.decode(found[0][3][blob.ATTR_DATA]))
    assert not rig.asked
    rig.send(invoke("list"))
    assert rig.statuses() == [0]


def test_nothing_is_answered_to_who_wants_no_answer(rig: Rig) -> None:
    rig.register()
    rig.send(invoke("list", b"", 1, CALLER, blob.attribute(blob.ATTR_NO_REPLY, b"\1")))
    assert len(rig.asked) == 1
    assert rig.receive() == b""
    rig.send(invoke("list", b"", 1, CALLER, blob.attribute(blob.ATTR_NO_REPLY, b"\0")))
    assert rig.statuses() == [0]


def test_messages_that_concern_nobody_change_nothing(rig: Rig) -> None:
    """Subscribers that come and go, answers to nothing, kinds of the future, calls of another object."""
    rig.register()
    other = blob.attribute(blob.ATTR_OBJID, b"\0\0\0\1") + blob.attribute(blob.ATTR_METHOD, b"list\0")
    for kind, sequence in ((10, 1), (9, 2), (blob.STATUS, 99), (blob.DATA, 1), (blob.HELLO, 0), (77, 0), (blob.INVOKE, 5)):
        rig.send(blob.message(kind, sequence, 0, other))
    assert (rig.bus.state, rig.asked, rig.receive()) == ("registered", [], b"")


def test_an_answer_that_is_too_long_is_refused_with_words(rig: Rig) -> None:
    """ubusd drops a client that sends 1 MiB, and the object with it: `ubus call` would find nothing any more."""
    rig.register()
    rig.answer = lambda method, arguments, reply: reply(0, {"text": "x" * (1 << 20)})
    rig.send(invoke("list"))
    data, status = rig.messages()
    assert "ask for less" in str(blob.decode(data[3][blob.ATTR_DATA]))
    assert blob.read_number(status[3][blob.ATTR_STATUS]) == 9
    assert (rig.bus.long_answers, rig.bus.state) == (1, "registered")


def test_an_unknown_type_in_the_table_of_methods_shows_at_once() -> None:
    """A slip in a method's declaration is found by the first test that starts the daemon."""
    with pytest.raises(KeyError):
        Ubus("/nowhere", "x", {"m": {"a": "float"}}, None, None)
    assert set(TYPES) == {"string", "integer", "boolean", "table", "array", "any"}


# -- ubusd is not there, or not itself


def test_it_tries_again_until_ubusd_is_there(rig: Rig) -> None:
    """nfa may start first; ubusd may be gone for a minute. One line in the log, not one for each attempt."""
    rig.bus.open(rig.dispatcher)
    waits = [rig.pass_time() for _ in range(6)]
    assert waits == [FIRST_WAIT, FIRST_WAIT * 2, *[LONGEST_WAIT] * 4]
    assert rig.bus.last_error == "No such file or directory"
    assert rig.said == [
        ("warning", f"object session is not on ubus ({rig.path}): No such file or directory; trying again"),
    ]
    rig.register()
    rig.vanish()
    rig.settle()
    assert rig.bus.state == "waiting"
    assert [rig.pass_time() for _ in range(2)] == [FIRST_WAIT, FIRST_WAIT * 2], "it is quick again after success"
    rig.register()
    assert rig.bus.connects == 2
    assert [text.rpartition(": ")[2] for level, text in rig.said if level == "warning"] == [
        "No such file or directory; trying again",
        "ubusd closed the connection; trying again",
        "Connection refused; trying again",
    ]
    rig.vanish()
    rig.settle()
    assert rig.said[-1][1].endswith("ubusd closed the connection; trying again"), "each outage is told"


def test_a_full_backlog_is_no_connection(rig: Rig) -> None:
    """ubusd hangs, and others were first."""
    rig.listen(0)
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(rig.path)
        rig.bus.open(rig.dispatcher)
        assert (rig.bus.state, rig.bus.last_error) == ("waiting", "its backlog is full")
        rig.accept()
    rig.register()


def test_a_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    """A typing error in the configuration does not end the daemon."""
    said: list[str] = []
    bus = Ubus("/" + "x" * 200, "nfa", {}, None, lambda level, text: said.append(text))
    bus.open(Strict())
    assert bus.state == "waiting"
    assert "path too long" in said[0]


def test_a_ubusd_that_does_not_answer_is_left(rig: Rig) -> None:
    """It took the connection and hangs: first before it greets, then with the object in its hands."""
    rig.listen()
    rig.bus.open(rig.dispatcher)
    rig.accept()
    assert rig.pass_time() == ANSWER_TIMEOUT
    assert (rig.bus.state, rig.bus.last_error) == ("waiting", "no answer")
    assert rig.receive() == b""
    rig.pass_time()
    rig.accept()
    rig.now += ANSWER_TIMEOUT / 2
    rig.send(vectors.GREETING)
    assert rig.bus.state == "registering"
    assert rig.pass_time() == ANSWER_TIMEOUT
    assert rig.bus.state == "waiting"
    rig.register()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (vectors.REFUSED, "ubusd refuses the object; its name is taken, or this user may not publish it"),
        (vectors.REFUSED[:-1] + b"\6", "ubusd refuses the object with status 6"),
        (vectors.TAKEN[28:], "ubusd refuses the object with status 0"),
    ],
)
def test_an_object_that_is_refused_is_told(rig: Rig, answer: bytes, words: str) -> None:
    """Another nfa runs, or the user has no rights: told once, tried every second."""
    rig.listen()
    rig.bus.open(rig.dispatcher)
    for _ in range(3):
        rig.accept()
        rig.send(vectors.GREETING, answer)
        assert (rig.bus.state, rig.bus.last_error) == ("waiting", words)
        assert rig.pass_time() <= LONGEST_WAIT
    assert rig.said == [("warning", f"object session is not on ubus ({rig.path}): {words}; trying again")]


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\5\0\1\0\0\0\0\0\x10\0\1",
        b"\0\5\0\1\0\0\0\0\0\0\0\7\0\0\0",
        blob.message(blob.STATUS, 1, 0, b"\1\0\0\x05\0\0\0\0"),
    ],
)
@pytest.mark.parametrize("stage", ["connecting", "registering", "registered"])
def test_who_talks_nonsense_is_left(rig: Rig, stage: str, garbage: bytes) -> None:
    """The socket belongs to something else, or bytes were lost: nothing can be made of what follows."""
    rig.listen()
    rig.bus.open(rig.dispatcher)
    rig.accept()
    if stage != "connecting":
        rig.send(vectors.GREETING)
    if stage == "registered":
        rig.send(vectors.TAKEN)
    assert rig.bus.state == stage
    rig.send(garbage)
    if rig.bus.state == stage:  # a status that it never asked for
        assert stage == "registered" and garbage[1] == blob.STATUS
        return
    assert rig.bus.state == "waiting"
    assert "ubusd sent invalid data" in rig.bus.last_error
    rig.pass_time()
    rig.accept()


def test_an_answer_to_a_connection_that_was_lost_goes_nowhere(rig: Rig) -> None:
    """The next connection's callers would get answers to other people's questions."""
    rig.register()
    rig.answer = None
    rig.send(invoke("list"), invoke("list"))
    rig.vanish()
    rig.settle()
    rig.asked[0][2](0, {"late": 1})
    rig.register()
    rig.asked[1][2](0, {"later": 1})
    assert rig.receive() == b""


def test_an_object_without_an_id_is_none(rig: Rig) -> None:
    """The id of the last connection would stand in every answer, and ubusd would throw them away."""
    rig.register()
    rig.vanish()
    rig.settle()
    rig.pass_time()
    os.unlink(rig.path)
    rig.listen()
    rig.pass_time()
    rig.accept()
    rig.send(vectors.GREETING, vectors.TAKEN[28:])
    assert rig.bus.last_error == "ubusd refuses the object with status 0"


def test_it_leaves_the_bus_when_the_daemon_ends(rig: Rig) -> None:
    """The object would stay listed until the process is gone, and the descriptor polled."""
    rig.register()
    rig.bus.close()
    assert (rig.bus.descriptor, rig.bus.deadline, rig.bus.state) == (-1, 0.0, "waiting")
    assert not rig.bus.event("nfa.match", {})
    assert rig.receive() == b"" and rig.peer is not None and rig.peer.recv(1) == b""


# -- ubusd is slow, or somebody is too quick


def test_a_ubusd_that_hangs_costs_nothing(rig: Rig) -> None:
    """No call of `event` waits; what is queued has a bound, and what was sent arrives once ubusd goes on."""
    rig.register()
    sent = 0
    while rig.bus.event("nfa.match", {"text": "x" * 1000}):
        sent += 1
        assert sent < 2000, "there is no bound"
    assert rig.bus.dropped_events == 1
    assert sent * 1000 > MAX_QUEUED
    assert rig.settle() == 0, "the loop spins while ubusd hangs"
    assert rig.peer is not None
    rig.peer.send(invoke("list"))
    assert rig.settle() == 0, "it reads what it cannot answer"
    assert len(rig.messages()) == sent + 2
    assert len(rig.asked) == 1
    assert rig.bus.event("nfa.match", {})


def test_a_long_answer_goes_out_in_pieces(rig: Rig) -> None:
    """The socket takes some 200 KB at once."""
    rig.register()
    text = "x" * 1_000_000
    rig.answer = lambda method, arguments, reply: reply(0, {"text": text})
    rig.send(invoke("list"))
    found = bytearray(rig.receive(4999))
    message = blob.take(found)
    assert message is not None
    assert blob.decode(blob.attributes(message[3])[blob.ATTR_DATA]) == {"text": text}


def test_no_more_calls_are_taken_than_answers_are_read(rig: Rig) -> None:
    """Ten browsers ask for the longest list at once: the memory is bounded, and every one of them is answered."""
    rig.register()
    rig.answer = lambda method, arguments, reply: reply(0, {"text": "x" * 900_000})
    rig.send(*[invoke("list", b"", number) for number in range(20)])
    assert len(rig.asked) <= 2
    assert rig.peer is not None
    rig.peer.send(invoke("list"))
    assert rig.settle() == 0, "it reads what it cannot answer"
    assert rig.statuses() == [0] * 21
    assert rig.bus.state == "registered"


def test_answers_that_nobody_reads_end_the_connection(rig: Rig) -> None:
    """Answers that were put off come all at once, and ubusd hangs."""
    rig.register()
    rig.answer = None
    for number in range(10):
        rig.send(invoke("list", b"", number))
    for _, _, reply in rig.asked:
        reply(0, {"text": "x" * 900_000})
    assert (rig.bus.state, rig.bus.last_error) == ("waiting", "ubusd does not read")
    assert MAX_QUEUE < 10 * 900_000
    rig.vanish()
    rig.register()


def test_a_flood_of_calls_leaves_the_loop_its_turns(rig: Rig) -> None:
    """The stream of netifyd is read between any few of them."""
    rig.register()
    assert rig.peer is not None
    rig.peer.send(b"".join(invoke("list", b"", number) for number in range(500)))
    seen = 0
    while rig.turn():
        assert len(rig.asked) - seen <= MAX_MESSAGES
        seen = len(rig.asked)
    assert seen == 500
    assert rig.statuses() == [0] * 500
    assert rig.bus.deadline == 0.0


def test_a_long_call_is_read_over_several_turns(rig: Rig) -> None:
    """So is the stream of netifyd meanwhile."""
    rig.register()
    arguments = blob.encode({"text": "x" * 150_000})
    message = invoke("list", arguments)
    assert rig.peer is not None
    rig.peer.setblocking(True)
    rig.peer.sendall(message)
    rig.peer.setblocking(False)
    assert rig.settle() == -(-len(message) // CHUNK)
    assert rig.asked[0][1] == {"text": "x" * 150_000}


def test_ubusd_goes_while_there_is_work(rig: Rig) -> None:
    """Calls that were read already are still handed over; then the connection is lost, and made again."""
    rig.register()
    assert rig.peer is not None
    rig.peer.send(b"".join(invoke("list", b"", number) for number in range(100)))
    rig.turn()
    rig.vanish()
    rig.settle()
    assert rig.bus.state == "waiting"
    assert len(rig.asked) == 100
    rig.register()


def test_events_that_are_refused_are_told_once(rig: Rig) -> None:
    """The user may publish an object, not send events: who listens hears nothing, and the log says why."""
    rig.register()
    for _ in range(3):
        assert rig.bus.event("nfa.match", {})
        sequence = rig.messages()[0][1]
        rig.send(blob.message(blob.STATUS, sequence, 1, blob.attribute(blob.ATTR_STATUS, blob.number(6))))
    assert (rig.bus.state, rig.bus.dropped_events, rig.bus.last_error) == (
        "registered",
        3,
        "ubusd refuses events with status 6",
    )
    assert [text for level, text in rig.said if level == "warning"] == [
        "ubusd refuses events with status 6: may this user send them?"
    ]


def test_an_event_needs_the_bus(rig: Rig) -> None:
    """It is dropped and counted, not kept: news of an hour ago would be taken for new."""
    assert not rig.bus.event("nfa.match", {})
    rig.register()
    assert not rig.bus.event("nfa.match", {"text": "x" * (1 << 20)})
    assert rig.bus.dropped_events == 2
    assert rig.receive() == b""


def test_what_is_told_of_one_outage_is_bounded(rig: Rig) -> None:
    """Something that is not ubusd could fill the log."""
    rig.listen()
    rig.bus.open(rig.dispatcher)
    for number in range(20):
        rig.accept()
        rig.send(vectors.GREETING, vectors.REFUSED[:-1] + bytes([20 + number]))
        rig.pass_time()
    assert 1 < len(rig.said) < 10


# -- the place


def test_the_socket_is_where_this_openwrt_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """21.02 had another path than 22.03 and later."""
    new, old = tmp_path / "ubus.sock", tmp_path / "old.sock"
    monkeypatch.setattr("nfa.daemon.bus.ubus.SOCKETS", (str(new), str(old)))
    assert find_socket() == str(new)
    old.touch()
    assert find_socket() == str(old)
    new.touch()
    assert find_socket() == str(new)
    assert find_socket("/given") == "/given"
    assert SOCKETS == ("/var/run/ubus/ubus.sock", "/var/run/ubus.sock")
