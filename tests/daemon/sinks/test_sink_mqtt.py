"""Sink `mqtt` against a broker of the tests, and against mosquitto where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sink_bench import Bench, Broker, feed, mqtt, peer, real_broker, record
from waiting import eventually

from nfa.daemon.sinks import mqtt as module


def flows(broker: Broker) -> list[int]:
    return [json.loads(payload)["flow"]["n"] for _, _, _, payload in broker.messages]


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("retain", [False, True])
def test_each_event_is_a_message(qos: int, retain: bool) -> None:
    broker = Broker()
    with peer(broker) as made:
        bench = Bench()
        data = mqtt(made.port, qos=qos, retain=retain, username="u", password="é", client_id="me")
        target = bench.use(data)
        feed(target, *map(record, range(200)))
        bench.until(lambda: bench.counters.added == 200)
        eventually(lambda: len(broker.messages) == 200)
        assert flows(broker) == list(range(200)) and target.readers() == 1 and target.waiting() == 0
        kind, topic, _, _ = broker.messages[0]
        assert (kind, topic) == (0x30 | qos << 1 | retain, "netify/c")
        assert broker.connects == [b"\0\4MQTT\4\xc2\0\x3c\0\2me\0\1u\0\2\xc3\xa9"]


def test_what_was_not_acknowledged_is_sent_again() -> None:
    """Events would be lost whenever a broker restarts."""
    broker = Broker(acknowledge=2)
    with peer(broker) as made:
        bench = Bench()
        target = bench.use(mqtt(made.port))
        feed(target, *map(record, range(5)))
        bench.until(lambda: bench.counters.added == 2 and len(broker.messages) == 5)
        bench.pass_time(module.PATIENCE + 1)
        assert bench.counters.errors == 1 and "does not answer" in bench.counters.last_error
        broker.acknowledge = -1
        bench.pass_time(2)
        bench.until(lambda: bench.counters.added == 5)
        assert flows(broker)[5:] == [2, 3, 4]
        assert all(kind & 8 for kind, *_ in broker.messages[5:])  # marked as repeated
        assert [number for _, _, number, _ in broker.messages] == [1, 2, 3, 4, 5, 3, 4, 5]


def test_a_message_that_the_broker_never_takes_does_not_stop_the_others() -> None:
    """One event that is too long for the broker would hold up all that come after it, for ever."""
    broker = Broker(poison=b"poison")
    with peer(broker) as made:
        bench = Bench()
        target = bench.use(mqtt(made.port))
        feed(target, record(0), record(1), record(2, name="poison"), record(3), record(4))
        for _ in range(1000):
            bench.turn(20)
            bench.pass_time(1)
            if bench.counters.added == 4:
                break
        assert sorted(set(flows(broker))) == [0, 1, 3, 4] and (bench.counters.added, bench.counters.skipped) == (4, 1)
        assert bench.counters.errors >= module.MAX_TRIES
        feed(target, record(5))
        bench.until(lambda: bench.counters.added == 5)
    lines = [text for _, text in bench.said]
    assert sum("dropped; it may be too long" in line for line in lines) == 1 and len(lines) <= 3
    assert lines[1].endswith("works again")


@pytest.mark.parametrize("qos", [0, 1])
def test_a_broker_that_lets_in_and_takes_nothing_is_called_less_and_less_often(qos: int) -> None:
    """Each second the log would have two lines, and the bus two events."""
    broker = Broker(poison=b"flow")
    with peer(broker) as made:
        bench = Bench()
        target = bench.use(mqtt(made.port, qos=qos))
        for number in range(100):
            feed(target, record(number))
            bench.turn(10)
            bench.pass_time(1.2)
        assert made.connections < 12 and 3 <= bench.counters.errors < 12
        lines = [text for _, text in bench.said]
        assert len(lines) <= 2 and not any("works again" in line for line in lines) and len(bench.told) == 1
        assert bench.counters.skipped >= 2 * qos
        broker.poison = b""
        feed(target, record(100))
        bench.pass_time(70)

        def heard() -> bool:
            bench.pass_time(0.05)  # an attempt that a busy machine was too slow for is followed by another
            return 100 in flows(broker)

        bench.until(heard)
        bench.pass_time(module.STABLE + 1)
        bench.until(lambda: bench.said[-1][1].endswith("works again"))


def test_a_connection_that_lasts_works_although_there_is_nothing_to_send() -> None:
    """After a restart of the broker the status would show the old failure until the next flow."""
    broker = Broker(3)
    with peer(broker) as made:
        bench = Bench()
        bench.use(mqtt(made.port))
        bench.until(lambda: bench.counters.errors)
        broker.code = 0
        bench.pass_time(2)
        bench.until(lambda: bench.targets[0].readers() == 1)
        assert len(bench.said) == 1
        bench.pass_time(module.STABLE + 1)
        bench.until(lambda: len(bench.said) == 2)
        assert bench.said[1][1].endswith("works again")


def test_no_more_is_under_way_than_can_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that never answers would cost memory without a bound."""
    monkeypatch.setattr(module, "MAX_QUEUED", 20_000)
    broker = Broker(acknowledge=0)
    with peer(broker) as made:
        bench = Bench()
        target = bench.use(mqtt(made.port))
        for number in range(2000):
            feed(target, record(number))
            bench.turn(0)
        bench.until(lambda: len(broker.messages) == module.MAX_UNANSWERED)
        assert target.waiting() < 250 and bench.counters.skipped > 1500
        bench.hub.close()
        assert bench.counters.skipped == 2000


@pytest.mark.parametrize("code", [4, 5, 77])
def test_a_refusal_is_said_in_words_and_tried_again(code: int) -> None:
    broker = Broker(code)
    with peer(broker) as made:
        bench = Bench()
        bench.use(mqtt(made.port))
        bench.until(lambda: bench.counters.errors)
        assert module._REFUSALS.get(code, f"code {code}") in bench.said[0][1]
        broker.code = 0
        bench.pass_time(2)
        bench.until(lambda: bench.targets[0].readers() == 1)


def test_an_idle_connection_is_kept_alive() -> None:
    """A broker drops a client that says nothing, and a dead broker must be noticed."""
    broker = Broker()
    with peer(broker) as made:
        bench = Bench()
        bench.use(mqtt(made.port))
        bench.until(lambda: bench.targets[0].readers() == 1)
        bench.pass_time(module.KEEPALIVE / 2 + 1)
        eventually(lambda: broker.pings == 1)
        bench.until(lambda: bench.targets[0].channel._until == 0.0)
        broker.pings = 0
        bench.pass_time(module.KEEPALIVE / 2 + 1)
        eventually(lambda: broker.pings == 1)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\x7f", b"\x30\x80\x80\x02"])
def test_something_else_on_the_port_is_no_broker(answer: bytes) -> None:
    with peer(lambda connection: (connection.sendall(answer), connection.recv(1000), None)[2]) as made:
        bench = Bench()
        bench.use(mqtt(made.port))
        bench.until(lambda: bench.counters.errors)
        assert "does not speak MQTT" in bench.said[0][1] or "closed" in bench.said[0][1]


@given(st.binary(max_size=100))
def test_nothing_that_a_broker_says_is_more_than_a_value_error(data: bytes) -> None:
    buffer = bytearray(data)
    try:
        while module.take(buffer) is not None:
            pass
    except ValueError:
        pass


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=5), st.integers(1, 50))
def test_packets_come_back_however_they_are_cut(packets: list[tuple[int, bytes]], step: int) -> None:
    data = b"".join(module.packet(kind, body) for kind, body in packets)
    buffer, found = bytearray(), []
    for start in range(0, len(data), step):
        buffer += data[start : start + step]
        while (packet := module.take(buffer)) is not None:
            found.append(packet)
    assert found == packets and not buffer


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[int]:
    """The port of a real broker that wants a password."""
    with real_broker(tmp_path) as port:
        yield port


@pytest.mark.parametrize("qos", [0, 1])
def test_a_subscriber_of_mosquitto_gets_every_event(mosquitto: int, qos: int) -> None:
    """Our own broker may share our own misunderstandings."""
    if not shutil.which("mosquitto_sub") or not shutil.which("stdbuf"):
        pytest.skip("mosquitto_sub is not installed")
    command = ["stdbuf", "-oL", "mosquitto_sub", "-p", str(mosquitto), "-u", "u", "-P", "p", "-t", "netify/#", "-q", str(qos)]
    subscriber = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert subscriber.stdout is not None
        os.set_blocking(subscriber.stdout.fileno(), False)
        output = bytearray()

        def flows_heard() -> list[int]:
            output.extend(subscriber.stdout.read() or b"")  # type: ignore[union-attr]
            return [json.loads(line)["flow"]["n"] for line in output.splitlines(True) if line.endswith(b"\n")]

        bench = Bench()
        target = bench.use(mqtt(mosquitto, qos=qos, username="u", password="p"))

        def listening() -> bool:
            feed(target, record(1000))
            return bool(flows_heard())

        bench.until(listening, "a subscriber")  # nothing else shows that it is there
        feed(target, *map(record, range(300)))
        bench.until(lambda: flows_heard()[-1:] == [299])
        assert [number for number in flows_heard() if number < 1000] == list(range(300))
    finally:
        subscriber.kill()
        subscriber.wait()


def test_mosquitto_refuses_a_wrong_password(mosquitto: int) -> None:
    bench = Bench()
    bench.use(mqtt(mosquitto, username="u", password="wrong"))
    bench.until(lambda: bench.counters.errors)
    assert module._REFUSALS[5] in bench.said[0][1] or module._REFUSALS[4] in bench.said[0][1]
