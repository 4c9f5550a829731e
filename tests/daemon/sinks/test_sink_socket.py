"""Sink `socket`: readers that come, stop reading, write, leave; datagrams."""

from __future__ import annotations

import errno
import gzip
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from sink_bench import Bench, channel, feed, record

from nfa.daemon.base.dispatcher import Dispatcher
from nfa.daemon.base.messages import Log
from nfa.daemon.sinks import datagrams, listener
from nfa.daemon.sinks.channel import QUIET
from nfa.daemon.stream.framing import Framer


def unix(path: Path, mode: int = 0o600, **more: Any) -> dict[str, Any]:
    return channel("unix", listen=f"unix://{path}", mode=mode, **more)


def connect(path: Path, bench: Bench, readers: int) -> socket.socket:
    """Connect, and wait until the sink has noticed."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.connect(str(path))
    made.setblocking(False)
    bench.until(lambda: bench.targets[0].readers() == readers, "a reader")
    return made


def numbers(data: bytes) -> list[int]:
    return [json.loads(line)["flow"]["n"] for line in data.splitlines()]


def drain(reader: socket.socket, bench: Bench, count: int) -> bytes:
    """Read events while the sink goes on, until there are so many lines."""
    data = bytearray()

    def more() -> bool:
        try:
            data.extend(reader.recv(1 << 20))
        except BlockingIOError:
            pass
        return data.count(b"\n") >= count

    bench.until(more)
    return bytes(data)


def test_each_reader_gets_what_comes_after_it_connected(tmp_path: Path) -> None:
    path = tmp_path / "new" / "s.sock"
    bench = Bench()
    target = bench.use(unix(path))
    assert path.stat().st_mode & 0o777 == 0o600
    feed(target, record(0))
    first = connect(path, bench, 1)
    feed(target, record(1))
    bench.turn()
    second = connect(path, bench, 2)
    feed(target, record(2), record(3))
    bench.turn()
    assert numbers(first.recv(1 << 16)) == [1, 2, 3] and numbers(second.recv(1 << 16)) == [2, 3]
    assert (bench.counters.added, bench.counters.skipped) == (3, 0)


def test_a_socket_whose_file_was_deleted_is_made_again(tmp_path: Path) -> None:
    """Cleaning /var/run by hand would leave a sink that nobody can connect to until the daemon is restarted."""
    path = tmp_path / "s.sock"
    bench = Bench()
    target = bench.use(unix(path))
    first = connect(path, bench, 1)
    path.unlink()
    bench.pass_time(listener.RETRY + 1)
    second = connect(path, bench, 2)
    feed(target, record(1))
    bench.turn()
    assert numbers(first.recv(1 << 16)) == numbers(second.recv(1 << 16)) == [1], "who was connected stays so"
    assert [level for level, _ in bench.said] == ["error", "notice"] and "was deleted by another program" in bench.said[0][1]


def test_a_reader_that_writes_or_leaves_disturbs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    bench = Bench()
    target = bench.use(unix(path))
    writer, other = connect(path, bench, 1), connect(path, bench, 2)
    writer.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
    for _ in range(10):
        bench.turn(1)
    feed(target, record(1))
    bench.turn()
    assert numbers(writer.recv(1 << 16)) == [1] == numbers(other.recv(1 << 16))
    writer.close()
    bench.until(lambda: target.readers() == 1)
    feed(target, record(2))
    bench.turn()
    assert numbers(other.recv(1 << 16)) == [2]


def test_a_reader_that_stops_has_whole_events_left_out_and_is_closed_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would cost memory without a bound, or get pieces of events."""
    monkeypatch.setattr(listener, "MAX_BEHIND", 300_000)
    path = tmp_path / "s.sock"
    bench = Bench()
    target = bench.use(unix(path))
    slow, good = connect(path, bench, 1), connect(path, bench, 2)
    got = b""
    for start in range(0, 8000, 100):
        feed(target, *[record(number, text="x" * 100) for number in range(start, start + 100)])
        bench.turn(0)
        got += good.recv(1 << 20)
    assert numbers(got) == list(range(8000))
    skipped = bench.counters.skipped
    assert bench.counters.added == 8000 and 1000 < skipped < 8000
    held = [reader for reader in target.channel._readers.values() if reader.chunks]
    assert len(held) == 1 and held[0].behind <= 300_000
    found = numbers(drain(slow, bench, 8000 - skipped))
    assert found == sorted(set(found)) and len(found) == 8000 - skipped
    for start in range(8000, 14000, 100):
        feed(target, *[record(number, text="x" * 100) for number in range(start, start + 100)])
        bench.turn(0)
        good.recv(1 << 20)
    bench.pass_time(listener.STALLED + 1)
    assert target.readers() == 1


def test_many_events_of_one_turn_reach_a_reader_that_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When thousands of flows end at once, a good reader would miss most of it."""
    monkeypatch.setattr(listener, "MAX_BEHIND", 300_000)
    path = tmp_path / "s.sock"
    bench = Bench()
    target = bench.use(unix(path))
    reader = connect(path, bench, 1)
    held, got = [], b""
    for start in range(0, 8000, 100):
        held += feed(target, *[record(number, text="x" * 200) for number in range(start, start + 100)])
        got += reader.recv(1 << 20) if start % 400 == 300 else b""
    for number, key in enumerate(held):
        target.release(key, 2, False)
        got += reader.recv(1 << 20) if number % 400 == 399 else b""
    bench.turn()
    got += drain(reader, bench, 16000 - got.count(b"\n"))
    assert numbers(got) == [*range(8000), *range(8000)] and bench.counters.skipped == 0


def test_three_readers_of_which_one_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others must be told of flows that change and end as well, not only of new ones."""
    monkeypatch.setattr(listener, "MAX_BEHIND", 300_000)
    path = tmp_path / "s.sock"
    bench = Bench()
    target = bench.use(unix(path))
    good, _stopped, other = (connect(path, bench, number) for number in (1, 2, 3))
    got = {good: b"", other: b""}
    expected: list[tuple[str, int]] = []
    for start in range(0, 4000, 100):
        flows = range(start, start + 100)
        keys = feed(target, *[record(number, text="x" * 100) for number in flows])
        for number, key in zip(flows, keys, strict=True):
            feed(target, record(number, text="y" * 100), held=key)
        for key in keys:
            target.release(key, 2, False)
        bench.turn(0)
        expected += [(event, number) for event in ("new", "updated", "expired") for number in flows]
        for reader in got:
            got[reader] += reader.recv(1 << 20)
    for data in got.values():
        events = [json.loads(line) for line in data.splitlines()]
        assert [(event["flow_action"]["event"], event["flow"]["n"]) for event in events] == expected
    assert bench.counters.added == 12_000 and 1000 < bench.counters.skipped < 12_000


def test_a_reader_that_was_idle_is_not_closed_for_one_burst(tmp_path: Path) -> None:
    """After a quiet night the first burst would cost it the connection."""
    path = tmp_path / "s.sock"
    bench = Bench()
    target = bench.use(unix(path))
    reader = connect(path, bench, 1)
    feed(target, record(0))
    bench.turn()
    bench.pass_time(10 * listener.STALLED)
    feed(target, *[record(number, text="x" * 1000) for number in range(1, 1000)])
    bench.turn()
    bench.turn()
    assert target.readers() == 1
    assert numbers(drain(reader, bench, 1000)) == list(range(1000))


def test_the_last_events_before_the_end_still_go_out(tmp_path: Path) -> None:
    bench = Bench()
    target = bench.use(unix(tmp_path / "s.sock"))
    reader = connect(tmp_path / "s.sock", bench, 1)
    feed(target, record(1))
    bench.hub.close()
    assert numbers(reader.recv(1 << 16)) == [1] and reader.recv(1) == b""


def test_there_is_a_limit_to_readers(tmp_path: Path) -> None:
    """A program that connects in a loop would take all descriptors of the daemon."""
    path = tmp_path / "s.sock"
    bench = Bench()
    bench.use(unix(path))
    readers = [connect(path, bench, number + 1) for number in range(listener.MAX_READERS)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one_more:
        one_more.connect(str(path))
        bench.until(lambda: bench.said)
        assert one_more.recv(1) == b"" and "16 readers" in bench.said[0][1]
    assert bench.targets[0].channel.trouble
    readers[0].close()
    bench.until(lambda: bench.targets[0].readers() == 15)
    assert bench.said[-1][1].endswith("works again") and not bench.targets[0].channel.trouble
    readers[0] = connect(path, bench, 16)


def test_a_living_socket_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    """A slip of the hand would take the system's log away: /dev/log is a socket that no stream can reach."""
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        bench = Bench()
        bench.use(unix(path))
        assert "belongs to another process" in bench.said[0][1]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.sendto(b"x", str(path))
        assert log.recv(10) == b"x"


def tcp(bench: Bench, host: str = "127.0.0.1") -> int:
    """Have a tcp sink; returns its port."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    bench.use(channel("tcp", listen=f"tcp://0.0.0.0:{port}", mode=0o600))
    return port


def connect_from(host: str, port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), source_address=(host, 0))
    made.settimeout(10)
    return made


def is_open(reader: socket.socket) -> bool:
    reader.setblocking(False)
    try:
        return bool(reader.recv(1 << 20))
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_one_host_cannot_take_the_places_of_all_readers() -> None:
    """Sixteen silent connections of one stranger would lock out every reader for good."""
    bench = Bench()
    port = tcp(bench)
    target = bench.targets[0]
    strangers = []
    for number in range(listener.MAX_READERS):
        strangers.append(connect_from("127.0.0.2", port))
        bench.until(lambda number=number: target.readers() == number + 1)  # type: ignore[misc]
    owner = connect_from("127.0.0.3", port)
    bench.until(lambda: not is_open(strangers[0]))
    for _ in range(20):
        strangers.append(connect_from("127.0.0.2", port))
        for _ in range(3):
            bench.turn(5)
    assert target.readers() == listener.MAX_READERS
    feed(target, record(1))
    bench.turn(0)
    assert numbers(owner.recv(1 << 16)) == [1] and sum(map(is_open, strangers)) == listener.MAX_READERS - 1
    for reader in (owner, *strangers):
        reader.close()


def test_hosts_with_one_reader_each_keep_their_places() -> None:
    bench = Bench()
    port = tcp(bench)
    readers = []
    for number in range(listener.MAX_READERS):
        readers.append(connect_from(f"127.0.0.{number + 2}", port))
        bench.until(lambda number=number: bench.targets[0].readers() == number + 1)  # type: ignore[misc]
    late = connect_from("127.0.0.99", port)
    bench.until(lambda: not is_open(late))
    assert all(map(is_open, readers)) and "16 readers" in bench.said[0][1]
    for reader in (late, *readers):
        reader.close()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("192.0.2.1", 5), bytes((192, 0, 2, 1))),
        (("2001:db8:1:2:3::4", 5, 0, 0), bytes.fromhex("20010db800010002")),
        (("fe80::1%lo", 5, 0, 1), bytes.fromhex("fe80000000000000")),
        (("::1", 5, 0, 0), bytes(15) + b"\1"),
        (("::ffff:192.0.2.1", 5, 0, 0), bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 1))),
        ("", b""),
    ],
)
def test_a_host_is_known_by_its_address(address: Any, host: bytes) -> None:
    """With IPv6, one host has as many addresses as it likes."""
    assert listener._host(address) == host


def test_a_reader_that_writes_without_end_is_closed(tmp_path: Path) -> None:
    """Sixteen of them would take all of the router's processor."""
    bench = Bench()
    target = bench.use(unix(tmp_path / "s.sock"))
    writer = connect(tmp_path / "s.sock", bench, 1)
    writer.sendall(b"x" * (listener.MAX_WRITTEN + 1))
    bench.until(lambda: target.readers() == 0)


@pytest.mark.parametrize("size", [10, 2000])
def test_readers_that_are_behind_share_one_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Slow readers that come one after the other would each hold other events, 4 MiB of them."""
    monkeypatch.setattr(listener, "MAX_BEHIND", 300_000)
    monkeypatch.setattr(listener, "MAX_HELD", 600_000)
    bench = Bench()
    target = bench.use(unix(tmp_path / "s.sock"))
    good = connect(tmp_path / "s.sock", bench, 1)
    slow, most, got, count = [], 0, bytearray(), 0
    for _ in range(6):
        slow.append(connect(tmp_path / "s.sock", bench, target.readers() + 1))
        for _ in range(900):
            count += 1
            feed(target, record(count, text="x" * size))
            bench.turn(0)
            got += good.recv(1 << 20)
            most = max(most, target.channel._held)
            if count % 20 == 0:
                chunks = {id(chunk): chunk for one in target.channel._readers.values() for chunk in one.chunks}
                assert sum(chunk.cost for chunk in chunks.values()) == target.channel._held
    assert 400_000 < most <= 600_000 and numbers(got) == list(range(1, count + 1))
    for reader in slow:
        reader.close()
    bench.until(lambda: target.readers() == 1)
    assert target.channel._held == 0


def test_when_descriptors_run_out_those_who_read_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One program too many anywhere on the router would cut off all readers; and the loop must not spin meanwhile."""
    path = tmp_path / "s.sock"
    bench = Bench()
    target = bench.use(unix(path))
    reader = connect(path, bench, 1)
    accepting = target.channel._listener

    class Full:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        def __getattr__(self, name: str) -> Any:
            return getattr(accepting, name)

    monkeypatch.setattr(target.channel, "_listener", Full())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as late:
        late.connect(str(path))
        bench.until(lambda: bench.said)
        assert "cannot accept a reader: Too many open files" in bench.said[0][1]
        for _ in range(10):
            bench.turn(1)
        assert bench.counters.errors == 1
        feed(target, record(1))
        bench.turn()
        assert numbers(reader.recv(1 << 16)) == [1] and target.readers() == 1
        monkeypatch.setattr(target.channel, "_listener", accepting)
        bench.pass_time(listener.RETRY + 1)
        bench.until(lambda: target.readers() == 2)
    assert bench.said[-1][1].endswith("works again")


@pytest.mark.parametrize("header", [True, False])
def test_gzip_is_one_file_after_the_other(tmp_path: Path, header: bool) -> None:
    path = tmp_path / "s.sock"
    bench = Bench()
    target = bench.use(unix(path, compressor="gz", header=header))
    reader = connect(path, bench, 1)
    for number in range(3):
        feed(target, record(number), record(number + 10))
        bench.turn()
    data = gzip.decompress(reader.recv(1 << 16))
    payloads = Framer().feed(data) if header else data.splitlines()
    assert [json.loads(payload)["flow"]["n"] for payload in payloads] == [0, 10, 1, 11, 2, 12]


def test_a_dead_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    """After a crash nothing would be heard; or two programs would fight for the path."""
    path = tmp_path / "s.sock"
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(path))
    dead.close()
    first, second = Bench(), Bench()
    first.use(unix(path, mode=0o660))
    assert path.stat().st_mode & 0o777 == 0o660
    second.use(unix(path))
    assert "another process answers on" in second.said[0][1]
    first.hub.close()
    assert not path.exists()
    second.pass_time(listener.RETRY + 1)
    assert path.exists() and second.said[-1][1].endswith("works again")
    os.unlink(path)
    path.write_text("a file")
    second.hub.close()
    assert path.read_text() == "a file"
    third = Bench()
    third.use(unix(path))
    assert "is not a socket" in third.said[0][1]


def test_a_channel_that_stays_over_a_reload_keeps_its_readers(tmp_path: Path) -> None:
    """Each reload would cut off all readers."""
    bench = Bench()
    same, other = unix(tmp_path / "a.sock"), unix(tmp_path / "b.sock")
    bench.use(same, other)
    reader = connect(tmp_path / "a.sock", bench, 1)
    target = bench.use(json.loads(json.dumps(same)))
    assert not (tmp_path / "b.sock").exists()
    feed(target, record(1))
    bench.turn()
    assert numbers(reader.recv(1 << 16)) == [1]
    bench.use(same | {"format": "msgpack"})  # the same place, another form: the old one makes room first
    assert reader.recv(1) == b"" and (tmp_path / "a.sock").exists() and not bench.said


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_tcp_readers_are_served(host: str) -> None:
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host.strip("[]"), 0))
        port = probe.getsockname()[1]
    bench = Bench()
    target = bench.use(channel("tcp", listen=f"tcp://{host}:{port}", mode=0o600))
    with socket.create_connection((host.strip("[]"), port)) as reader:
        bench.until(lambda: target.readers() == 1)
        feed(target, record(1))
        bench.turn()
        assert numbers(reader.recv(1 << 16)) == [1]
    occupied = Bench()
    occupied.use(channel("tcp", listen=f"tcp://{host}:{port}", mode=0o600))
    assert "in use" in occupied.said[0][1]


@pytest.mark.parametrize("compressor", ["none", "gz"])
def test_datagrams_are_sent_one_for_each_event(compressor: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        port = receiver.getsockname()[1]
        bench = Bench()
        bench.addresses["collector"] = ["127.0.0.1"]
        target = bench.use(channel("udp", compressor=compressor, header=True, listen=f"udp://collector:{port}", mode=0o600))
        feed(target, record(1), record(2), record(3, text=os.urandom(50_000).hex()))
        found = [receiver.recv(1 << 16) for _ in range(2)]
        decoded = [json.loads(gzip.decompress(data) if compressor == "gz" else data)["flow"]["n"] for data in found]
        assert decoded == [1, 2]
        sent = 3 if compressor == "gz" else 2  # the third one is too long for a datagram, if it is not compressed
        assert (bench.counters.added, bench.counters.skipped) == (sent, 3 - sent)
    for number in range(20):
        feed(target, record(number))  # nobody listens any more: that is counted, and not told twenty times
    assert bench.counters.added + bench.counters.skipped == 23 and len(bench.said) <= 2


def test_a_datagram_channel_looks_its_host_up_again_until_it_is_known() -> None:
    """At the start of a router there is no name server yet."""
    bench = Bench()
    target = bench.use(channel("udp", listen="udp://collector:9", mode=0o600))
    assert "cannot send to collector: no such name" in bench.said[0][1] and not target.channel.heard
    bench.addresses["collector"] = ["127.0.0.1"]
    bench.pass_time(31)
    assert target.channel.heard


def test_datagrams_follow_a_server_that_was_away_or_moves() -> None:
    """One restart of the collector, or a new address of the router, would end all events until the next reload, silently."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bench = Bench()
    bench.addresses["collector"] = ["127.0.0.1"]
    target = bench.use(channel("udp", listen=f"udp://collector:{port}", mode=0o600))
    for number in range(60):
        feed(target, record(number), record(number))
        bench.turn(0)
        bench.pass_time(1)
    assert bench.counters.errors > 30 and 4 <= len(bench.asked) <= 8  # less and less often
    assert len(bench.said) == 1 and "Connection refused" in bench.said[0][1]
    bench.addresses["collector"] = ["127.0.0.2"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.2", port))
        receiver.settimeout(10)
        bench.pass_time(datagrams.LONGEST_WAIT)
        bench.turn(0)
        feed(target, record(1000))
        assert json.loads(receiver.recv(1 << 16))["flow"]["n"] == 1000 and len(bench.said) == 1
        bench.pass_time(datagrams.STABLE + 1)
        feed(target, record(1001))
        assert bench.said[-1][1].endswith("works again")
    bench.pass_time(QUIET)
    feed(target, record(1002), record(1003))
    assert len(bench.said) == 3 and "Connection refused" in bench.said[2][1]  # a later failure is said, too


def test_the_address_of_a_datagram_channel_is_looked_up_again_from_time_to_time() -> None:
    """Nothing tells that datagrams go to where the server was yesterday."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.2", 0))
        receiver.settimeout(10)
        port = receiver.getsockname()[1]
        bench = Bench()
        bench.addresses["collector"] = ["127.0.0.1"]
        target = bench.use(channel("udp", listen=f"udp://collector:{port}", mode=0o600))
        bench.turn(0)
        del bench.addresses["collector"]
        bench.pass_time(datagrams.RENEWAL + 1)
        assert len(bench.asked) == 2 and target.channel.heard and not bench.said  # the name server is away
        bench.addresses["collector"] = ["127.0.0.2"]
        bench.pass_time(datagrams.RENEWAL + 1)
        feed(target, record(1))
        assert json.loads(receiver.recv(1 << 16))["flow"]["n"] == 1


def test_a_channel_that_flaps_is_told_of_seldom_and_its_last_state_is_told() -> None:
    """A server that fails every other second would fill the router's log, and wake whoever listens on ubus."""
    bench = Bench()
    target = bench.use(channel("ubus", event="x"))
    flapping = target.channel
    bench.said.clear()
    bench.told.clear()
    bench.pass_time(QUIET)
    for _ in range(100):
        flapping.failed("A", "x")
        bench.pass_time(1)
        flapping.works()
    for number in range(100):
        flapping.failed("AB"[number % 2], "x")
        bench.pass_time(1)
    assert len(bench.said) == len(bench.told) == 2 and bench.said[1][1].endswith("works again")
    assert flapping.trouble == "B" and bench.counters.errors == 200
    bench.pass_time(QUIET)
    flapping.failed("B", "x")
    assert bench.said[2][1].endswith("B; x; 199 earlier failures were not reported") and bench.told[2][2] == "B"
    flapping.works()
    flapping.works()
    assert len(bench.said) == 4


def test_a_fault_of_one_channel_ends_nothing_else(tmp_path: Path) -> None:
    """Whatever is wrong with telemetry, the flows must go on being matched."""
    bench = Bench(dispatcher=Dispatcher(Log()))
    bench.use(unix(tmp_path / "a.sock"), unix(tmp_path / "b.sock"))
    bench.hub.channels[0].flush = lambda moment: 1 / 0  # type: ignore[method-assign]
    reader = None
    for _ in range(3):
        bench.turn(0)
    feed(bench.targets[1], record(1))
    reader = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    reader.connect(str(tmp_path / "b.sock"))
    bench.until(lambda: bench.targets[1].readers() == 1)
    assert bench.dispatcher.faults >= 3 and "ZeroDivisionError" in bench.dispatcher.last_fault
    assert bench.told == [("t0", "c", "a fault in nfa")] and len(bench.said) == 1
