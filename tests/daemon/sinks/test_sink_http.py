"""Sink `http` against servers that work, refuse, fail, hang and talk nonsense."""

from __future__ import annotations

import gzip
import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_bench import OK, Bench, WebServer, feed, http, peer, record

from nfa.daemon.sinks import http as module
from nfa.daemon.sinks import hub
from nfa.daemon.sinks.http import Answer


def numbers(server: WebServer) -> list[list[int]]:
    """The flows of each request."""
    return [[event["flow"]["n"] for event in json.loads(body)] for _, body in server.requests]


def test_events_are_posted_in_batches_over_one_connection() -> None:
    """A server would be asked thousands of times a second."""
    server = WebServer(OK)
    with peer(server) as made:
        bench = Bench()
        headers = (("X-Token", "abc"), ("Authorization", "Bearer x"), ("X-Key", "gehéim"))
        target = bench.use(http(made.port, batch=3, headers=headers, path="/in?a=1"))
        feed(target, *[record(number) for number in range(7)])
        bench.until(lambda: bench.counters.added == 6)
        assert numbers(server) == [[0, 1, 2], [3, 4, 5]]
        bench.pass_time(2)  # the last one has waited long enough for others
        bench.until(lambda: bench.counters.added == 7)
        assert numbers(server)[2] == [6] and made.connections == 1 and target.waiting() == 0
        head = server.requests[0][0]
        assert head.startswith(f"POST /in?a=1 HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n")
        assert "X-Token: abc\r\n" in head and "X-Key: gehéim\r\n" in head and "Content-Type: application/json\r\n" in head


def test_an_answer_does_not_hurry_the_events_that_came_with_it() -> None:
    """While a server answers, each turn of the loop would post what came in it: a request for each event or two."""
    server = WebServer(OK)
    with peer(server) as made:
        bench = Bench()
        target = bench.use(http(made.port, batch=3))
        feed(target, *[record(number) for number in range(3)])
        bench.until(lambda: bench.counters.added == 3)
        feed(target, record(3))
        target.channel.ready(-1, 0, bench.moment)  # the news of the loop come before the turn ends
        bench.turn()
        feed(target, record(4))
        bench.pass_time(2)
        bench.until(lambda: bench.counters.added == 5)
        assert numbers(server) == [[0, 1, 2], [3, 4]]


def test_a_batch_of_one_is_no_list() -> None:
    """A webhook of Home Assistant takes an object."""
    server = WebServer(OK)
    with peer(server) as made:
        bench = Bench()
        feed(bench.use(http(made.port, batch=1)), record(1), record(2))
        bench.until(lambda: bench.counters.added == 2)
    assert [json.loads(body)["flow"]["n"] for _, body in server.requests] == [1, 2]


def test_the_end_of_the_daemon_sends_what_waited_for_company() -> None:
    """Each restart would lose the events of the last seconds, silently."""
    server = WebServer(OK)
    with peer(server) as made:
        bench = Bench()
        feed(bench.use(http(made.port, batch=3, interval=60)), *[record(number) for number in range(7)])
        bench.hub.finish()
        assert sorted(numbers(server)) == [[0, 1, 2], [3, 4, 5], [6]] and bench.counters.added == 7
        bench.hub.close()
        assert not bench.said


def test_the_end_of_the_daemon_does_not_wait_for_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """procd would kill the daemon before it has emptied its sets; what is lost is said and counted."""
    monkeypatch.setattr(hub, "LAST_SECONDS", 0.2)
    with peer(WebServer(None)) as made:
        bench = Bench()
        feed(bench.use(http(made.port, batch=1)), record(1), record(2))
        bench.hub.finish()
        assert "2 events of sinks were lost" in bench.said[-1][1]
        bench.hub.close()
        assert bench.counters.skipped == 2


@pytest.mark.parametrize("count", [3, 20])
def test_msgpack_and_gzip_come_back_as_the_same_records(count: int) -> None:
    server = WebServer(OK)
    with peer(server) as made:
        bench = Bench()
        feed(bench.use(http(made.port, batch=count, format="msgpack", compressor="gz")), *map(record, range(count)))
        bench.until(lambda: bench.counters.added == count)
    head, body = server.requests[0]
    assert "Content-Encoding: gzip\r\n" in head and "Content-Type: application/msgpack\r\n" in head
    assert [event["flow"]["n"] for event in msgpack.unpackb(gzip.decompress(body))] == list(range(count))


FAILURES: dict[str, bytes | None] = {
    "500": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "429": b"HTTP/1.1 429 Slow down\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
    "closed": b"",
    "nonsense": b"220 smtp.example.org ESMTP\r\n\r\n",
    "interim for ever": b"HTTP/1.1 103 x\r\n\r\n" * 100_000,
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 4000,
    "hangs": None,
}


@pytest.mark.parametrize("failure", FAILURES)
def test_what_a_server_does_not_take_is_sent_again(failure: str) -> None:
    """Events would be lost whenever a server restarts."""
    server = WebServer(FAILURES[failure], OK)
    if failure == "closed":
        server.answers[0] = b"close"
    with peer(server) as made:
        bench = Bench()
        target = bench.use(http(made.port, batch=2))
        feed(target, record(1), record(2))
        bench.until(lambda: server.requests)
        if failure == "hangs":
            bench.pass_time(6)
        bench.until(lambda: bench.counters.errors == 1)
        assert len(bench.said) == 1 and "trying again" in bench.said[0][1] and target.waiting() == 2
        assert bench.told == [("t0", "c", bench.counters.last_error)]
        for _ in range(5):
            bench.turn(1)
        assert len(server.requests) == 1  # not at once
        bench.pass_time(3)
        bench.until(lambda: bench.counters.added == 2)
        assert server.requests[0][1] == server.requests[1][1]
        assert bench.said[-1][1].endswith("works again") and bench.told[-1][2] == ""


ODD = {
    "2 MiB": b"Content-Length: 2097152\r\n\r\n" + b"x" * 2097152,
    "100 KB": b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000,
    "no length": b"\r\nok",
    "neither length nor body": b"\r\n",
    "a length that is none": b"Content-Length: many\r\n\r\nok",
    "chunks without size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "too much": b"Content-Length: 2\r\n\r\nokk",
    "too little": b"Content-Length: 3\r\n\r\nok",
}


@pytest.mark.parametrize("rest", ODD)
def test_events_that_a_server_took_are_not_sent_again_whatever_it_says_besides(rest: str) -> None:
    """A server with an odd page behind its 200 got the same events again and again, and never the later ones."""
    server = WebServer(b"HTTP/1.1 200 OK\r\n" + ODD[rest])
    with peer(server) as made:
        bench = Bench()
        target = bench.use(http(made.port, batch=2))
        for number in range(0, 8, 2):
            feed(target, record(number), record(number + 1))
            bench.until(lambda number=number: bench.counters.added == number + 2)  # type: ignore[misc]
            for _ in range(3):
                bench.pass_time(2)
        bench.until(lambda: not target.waiting())
        assert numbers(server) == [[0, 1], [2, 3], [4, 5], [6, 7]]
        assert not bench.said and (bench.counters.skipped, bench.counters.errors) == (0, 0)


LONG = "Content-Length: 2097152\r\n\r\n" + "x" * (2 << 20)


@pytest.mark.parametrize("rest", ["Content-Length: 0\r\n\r\n", "\r\nno length", LONG], ids=["short", "no length", "long"])
def test_what_a_server_refuses_is_not_sent_again(rest: str) -> None:
    """A wrong password would stop all events for ever behind the first one."""
    server = WebServer(b"HTTP/1.1 401 Who?\r\n" + rest.encode(), OK)
    with peer(server) as made:
        bench = Bench()
        target = bench.use(http(made.port, batch=1))
        feed(target, record(1), record(2))
        bench.until(lambda: bench.counters.skipped == 1)
        assert "HTTP status 401" in bench.said[0][1] and "headers" in bench.said[0][1]
        bench.pass_time(2)
        bench.until(lambda: bench.counters.added == 1)


def test_while_no_server_answers_memory_is_bounded_and_attempts_grow_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away for a day would fill the router's memory, or be called a thousand times a second."""
    monkeypatch.setattr(module, "MAX_QUEUED", 10_000)
    with peer(WebServer(OK)) as made:
        port = made.port
    bench = Bench()  # nobody listens there any more
    target = bench.use(http(port, batch=1))
    for number in range(1000):
        feed(target, record(number))
        bench.turn(0)
    assert bench.counters.skipped > 900 and target.waiting() < 100
    errors = bench.counters.errors
    for _ in range(600):
        bench.pass_time(1)
    assert errors < bench.counters.errors < errors + 20
    assert len(bench.said) == 1
    bench.hub.close()
    assert bench.counters.skipped == 1000


def test_a_name_is_looked_up_by_somebody_else_and_again_when_its_addresses_fail() -> None:
    """The loop would wait for a name server, or go on calling an address of yesterday."""
    server = WebServer(OK)
    with peer(server) as made:
        bench = Bench()
        feed(bench.use(http(made.port, batch=1, host="cloud.example.org")), record(1))
        bench.turn(0)
        assert "cannot resolve cloud.example.org: no such name" in bench.said[0][1]
        bench.addresses["cloud.example.org"] = ["127.0.0.99", "127.0.0.1"]
        for _ in range(4):
            bench.pass_time(60)
            bench.turn(50)
        bench.until(lambda: bench.counters.added == 1)
        assert len(bench.asked) == 2


ANSWERS = {
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0\r\n\r\nHTTP/1",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "none": b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
}


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 120), max_size=6))
@settings(max_examples=200)
def test_an_answer_is_complete_at_its_last_byte_however_it_is_cut(name: str, cuts: list[int]) -> None:
    """The next answer would be taken for the rest of this one."""
    data = ANSWERS[name]
    places = [*sorted({min(cut, len(data) - 1) for cut in cuts}), len(data)]
    answer, before, complete = Answer(), 0, []
    for place in places:
        if place > before:
            complete.append(answer.feed(data[before:place]))
        before = place
    assert 200 <= answer.status < 300
    # The empty line after the last chunk may be cut off: then the connection is not used again.
    assert complete[-1] or (name == "chunked" and complete.count(True) == 1 and not answer.stays)
    if name != "chunked":
        assert complete.count(True) == 1 and answer.stays


def test_an_answer_without_length_ends_with_the_connection() -> None:
    answer = Answer()
    assert not answer.feed(b"HTTP/1.0 200 OK\r\n\r\nhello")
    assert answer.endless and not answer.stays
    assert not Answer().endless


@given(st.binary(max_size=200))
def test_nothing_that_a_server_says_is_more_than_a_value_error(data: bytes) -> None:
    """A hostile server would end the daemon."""
    for start in (b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 "):
        try:
            Answer().feed(start + data)
        except ValueError:
            pass


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that signs itself, with its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    file = tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(file), "-out", str(tmp_path / "c"),
               "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    with file.open("a") as both:
        both.write((tmp_path / "c").read_text())
    return file


def secure(server: WebServer, certificate: Path) -> Any:
    """A server with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return lambda connection: server(context.wrap_socket(connection, server_side=True))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_events_go_over_tls_to_a_server_that_is_trusted(certificate: Path, host: str) -> None:
    server = WebServer(OK)
    with peer(secure(server, certificate)) as made:
        bench = Bench()
        bench.addresses["localhost"] = ["127.0.0.1"]
        target = bench.use(http(made.port, host=host, tls=True, ca=certificate.read_text(), batch=50))
        big: Any = {"text": "x" * 4000}
        feed(target, *[record(number, **big) for number in range(100)])
        bench.until(lambda: bench.counters.added == 100)
        assert made.connections == 1


@pytest.mark.parametrize("trouble", ["unknown authority", "other name", "no TLS", "no module"])
def test_without_trust_nothing_is_sent(certificate: Path, trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is between router and server could read where everybody goes."""
    server = WebServer(OK)
    plain = lambda connection: connection.sendall(b"HTTP/1.1 400 TLS?\r\n\r\n" + connection.recv(1)[:0])  # noqa: E731
    with peer(plain if trouble == "no TLS" else secure(server, certificate)) as made:
        bench = Bench()
        bench.addresses["elsewhere"] = ["127.0.0.1"]
        host = "elsewhere" if trouble == "other name" else "127.0.0.1"
        file = "" if trouble == "unknown authority" else certificate.read_text()
        if trouble == "no module":
            monkeypatch.setitem(sys.modules, "ssl", None)
        feed(bench.use(http(made.port, host=host, tls=True, ca=file, batch=1)), record(1))
        bench.until(lambda: bench.counters.errors)
        words = {"unknown authority": "self", "other name": "mismatch", "no TLS": "TLS", "no module": "python3-openssl"}
        assert words[trouble].lower() in bench.said[0][1].lower()
        assert not server.requests and bench.counters.added == 0


def test_a_slow_server_holds_up_nothing() -> None:
    """The loop goes on while a request waits: what matters is that a turn ends."""
    server = WebServer(None)
    with peer(server) as made:
        bench = Bench()
        target = bench.use(http(made.port, batch=1))
        big: Any = {"text": "x" * 200_000}
        for number in range(100):
            feed(target, record(number, **big))
            bench.turn(0)
        assert target.channel._waiting.size <= module.MAX_QUEUED
        assert bench.counters.skipped > 80
