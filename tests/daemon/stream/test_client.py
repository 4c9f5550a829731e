"""The connection to netifyd, with real sockets and a clock of the test."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import samples

from nfa.daemon.stream.client import CONNECT_TIMEOUT, FIRST_WAIT, LONGEST_WAIT, Client
from nfa.daemon.stream.source import parse_source

PATIENCE = 10.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "netifyd.sock"))
        listener.listen(1)
        listener.settimeout(PATIENCE)
        yield listener


def uri(server: socket.socket) -> str:
    return "unix://" + str(server.getsockname())


def read(client: Client, count: int) -> list[bytes]:
    """Read until `count` payloads came or the connection is lost."""
    found: list[bytes] = []
    while len(found) < count and client.socket is not None:
        assert select.select([client.socket], [], [], PATIENCE)[0], "nothing came"
        found += client.ready(0.0)
    return found


def test_it_reads_whole_records_and_writes_nothing(server: socket.socket) -> None:
    """netifyd drops a client that sends a single byte."""
    client = Client(uri(server))
    client.start(0.0)
    assert (client.state, client.connects, client.deadline) == ("connected", 1, 0.0)
    peer, _ = server.accept()
    with peer:
        records = [samples.hello(), samples.flow(), samples.flow(other_port=80)]
        data = b"".join(map(samples.frame, records))
        peer.sendall(data[:100])
        read_first = read(client, 0)
        peer.sendall(data[100:])
        assert read_first + read(client, 3) == [samples.payload(record).strip() for record in records]
        assert client.bytes == len(data)
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)
        client.close()
        peer.setblocking(True)
        peer.settimeout(PATIENCE)
        assert peer.recv(1) == b""


def test_nothing_to_read_is_no_reason_to_leave(server: socket.socket) -> None:
    """A spurious wake-up would cost the connection, and with it the records that netifyd does not repeat."""
    client = Client(uri(server))
    client.start(0.0)
    assert client.ready(1.0) == []
    assert client.state == "connected"
    client.close()


def test_a_connection_that_ends_is_made_again(server: socket.socket) -> None:
    """A restart of netifyd would end the policy."""
    client = Client(uri(server))
    client.start(0.0)
    peer, _ = server.accept()
    peer.sendall(samples.frame(samples.hello()) + b'{"length": 900}\n{"type":"fl')
    peer.close()
    assert len(read(client, 2)) == 1
    assert (client.state, client.last_error, client.failures, client.socket) == ("waiting", "closed by netifyd", 1, None)
    assert client.code == "source-closed"
    assert FIRST_WAIT * 0.75 <= client.deadline <= FIRST_WAIT * 1.25
    client.timeout(client.deadline)
    assert client.state == "connected"
    peer, _ = server.accept()
    with peer:
        peer.sendall(samples.frame(samples.flow()))
        assert read(client, 1) == [samples.payload(samples.flow()).strip()], "half a record of before is forgotten"
    client.close()


@pytest.mark.parametrize("kind", ["absent", "refused", "no socket"])
def test_a_socket_that_is_not_there_is_waited_for(tmp_path: Path, kind: str) -> None:
    """The daemon starts before netifyd at boot."""
    path = tmp_path / "netifyd.sock"
    if kind == "refused":
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(path))
    elif kind == "no socket":
        path.write_text("")
    client = Client(f"unix://{path}")
    client.start(5.0)
    assert client.state == "waiting"
    assert client.socket is None
    assert client.last_error == ("No such file or directory" if kind == "absent" else "Connection refused")
    assert client.code == ("source-missing" if kind == "absent" else "source-refused")


@pytest.mark.parametrize("uri", ["unix:///nonexistent/netifyd.sock", "tcp://127.0.0.1:1", "tcp://[::1]:1"])
def test_a_source_on_this_machine_is_tried_four_times_a_second_for_ever(uri: str) -> None:
    """netifyd reports a flow once: what began in the half minute after it came up would never be blocked."""
    client = Client(uri)
    now = 1000.0
    client.start(now)
    for _ in range(300):
        if client.state == "connecting":
            assert client.socket is not None
            select.select([], [client.socket], [], PATIENCE)
            client.ready(now)
        assert client.state == "waiting" and now < client.deadline <= now + 0.25
        now = client.deadline
        client.timeout(now)


def test_a_source_on_this_machine_that_closes_at_once_is_tried_as_often(server: socket.socket) -> None:
    """The netifyd that takes its place would be found half a minute late."""
    client = Client(uri(server))
    for count in range(1, 12):
        client.start(float(count))
        peer, _ = server.accept()
        peer.close()
        assert select.select([client.socket], [], [], PATIENCE)[0]
        client.ready(float(count))
        assert client.deadline <= count + 0.25 and client.fruitless == count
    client.start(20.0)
    peer, _ = server.accept()
    with peer:
        peer.sendall(samples.frame(samples.hello()))
        assert len(read(client, 1)) == 1 and client.fruitless == 0
    client.close()


def remote() -> Client:
    """A client of a host that refuses every connection at once."""
    client = Client("tcp://192.0.2.1:7150")
    client._family, client._address = socket.AF_INET, ("192.0.2.1", 7150)

    def start(now: float) -> None:
        client.lose(now, "Connection refused", "source-refused")

    client.start = start  # type: ignore[method-assign]
    return client


def test_the_wait_for_a_remote_host_grows_to_half_a_minute_and_never_ticks_in_step() -> None:
    """Many routers would knock at the same moment, or one would knock a thousand times a second."""
    for _ in range(30):
        client = remote()
        now = 1000.0
        client.start(now)
        wait = FIRST_WAIT
        for _ in range(12):
            assert 0.75 * wait - 0.01 <= client.deadline - now <= 1.25 * wait + 0.01
            now = client.deadline
            client.timeout(now)
            wait = min(wait * 2, LONGEST_WAIT)
        assert client.failures == 13


def test_a_record_shortens_the_next_wait_for_a_remote_host_and_a_bare_connection_does_not() -> None:
    """A netifyd that drops every client at once would be connected to in a tight loop."""
    for greeting, longest in ((b"", 0.5 * 1.26), (samples.frame(samples.hello()), FIRST_WAIT * 1.26)):
        client = remote()
        waits = []
        for _ in range(2):
            ours, theirs = socket.socketpair()
            with theirs:
                client.socket, client.state = ours, "connected"
                theirs.sendall(greeting)
            read(client, 5)
            waits.append(client.deadline)
        assert waits[1] <= longest
        assert greeting or waits[1] >= 0.5 * 0.75


def test_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    """A non-blocking connect to a busy unix socket fails at once, and would be taken for a connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        clients = [Client(f"unix://{tmp_path}/s") for _ in range(4)]
        for client in clients:
            client.start(0.0)
        assert clients[-1].state == "waiting"
        assert "backlog" in clients[-1].last_error and clients[-1].code == "source-busy"
        for client in clients:
            client.close()


def test_tcp_connects_in_its_own_time() -> None:
    """A netifyd on another machine could not be reached, or the loop would stand while it is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        client = Client(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        client.start(7.0)
        assert client.state in ("connecting", "connected")
        peer, _ = listener.accept()
        with peer:
            peer.sendall(samples.frame(samples.hello()))
            assert len(read(client, 1)) == 1
        assert client.state == "connected"
        client.close()
        port = listener.getsockname()[1]
    client = Client(f"tcp://127.0.0.1:{port}")
    client.start(7.0)
    if client.socket is not None:
        select.select([], [client.socket], [], PATIENCE)
        assert client.ready(8.0) == []
    assert (client.state, client.last_error) == ("waiting", "Connection refused")


def test_a_connection_without_an_answer_is_given_up() -> None:
    """A firewall that drops packets would hold the daemon for minutes."""
    client = Client("tcp://192.0.2.1:7150")
    client.socket = socket.socket()
    client.state = "connecting"
    client.deadline = CONNECT_TIMEOUT
    client.timeout(CONNECT_TIMEOUT)
    assert (client.state, client.last_error, client.code) == ("waiting", "no answer", "source-unreachable")
    assert client.socket is None


def test_bad_counts_outlive_connections(server: socket.socket) -> None:
    """`nfa status` would forget what happened before the last reconnect."""
    client = Client(uri(server))
    for _ in range(2):
        client.start(0.0)
        peer, _ = server.accept()
        peer.sendall(samples.frame(samples.hello()) + b"garbage of more than one line\n" + samples.frame(samples.hello()))
        assert len(read(client, 2)) == 2
        peer.close()
        read(client, 1)
    assert client.bad_counts()["length"] == 2
    assert client.bad_counts()["resync_bytes"] > 0
    open_files = len(os.listdir("/proc/self/fd"))
    client.close()
    client.close()
    assert len(os.listdir("/proc/self/fd")) == open_files


@pytest.mark.parametrize(
    ("source", "family"),
    [
        ("unix:///var/run/netifyd/netifyd.sock", socket.AF_UNIX),
        ("tcp://192.0.2.1:7150", socket.AF_INET),
        ("tcp://[2001:db8::1]:7150", socket.AF_INET6),
    ],
)
def test_sources(source: str, family: int) -> None:
    """A documented form of --source would be refused."""
    assert parse_source(source)[0] == family


@pytest.mark.parametrize(
    "source",
    ["", "/run/x", "unix://x", "unix://", "unix:///" + "x" * 110, "tcp://", "tcp://host", "tcp://host:0", "tcp://host:65536",
     "tcp://host:x", "udp://host:1", "tcp://:5", "tcp://host:²", "unix:/x"],
)  # fmt: skip
def test_a_wrong_source_is_explained(source: str) -> None:
    """A slip in --source would be a connection that never comes."""
    with pytest.raises(ValueError, match=r"source"):
        parse_source(source)
