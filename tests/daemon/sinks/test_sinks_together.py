"""Several sinks at once: what waits in all has one bound, and a record is packed once for those that want the same form."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sink_bench import Bench, WebServer, channel, feed, http, mqtt, peer, record

from nfa.daemon.sinks import hub, packer
from nfa.daemon.sinks.target import SinkTarget

UNIX, LOG = {"mode": 0o600}, {"prefix": "x", "interval": 600, "overwrite": False, "max_files": 9, "max_bytes": 4 << 20}


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[tuple[Bench, list[SinkTarget]]]:
    """Sinks of all kinds; servers and readers that take connections and nothing else."""
    bench = Bench()
    with ExitStack() as stack:
        ports = [stack.enter_context(peer(WebServer(None))).port for _ in range(2)]
        broker = stack.enter_context(peer(lambda connection: [connection.recv(1) for _ in range(10**6)]))  # type: ignore[arg-type,return-value]
        channels = [http(port, batch=100) for port in ports] + [mqtt(broker.port, qos=0), mqtt(broker.port, topic="b")]
        paths = [tmp_path / f"{number}.sock" for number in range(2)]
        channels += [channel("unix", listen=f"unix://{path}", **UNIX) for path in paths]
        channels.append(channel("log", path=str(tmp_path), **LOG))
        bench.use(*channels, events=("new",))
        readers = [socket.socket(socket.AF_UNIX) for _ in paths]
        for reader, path in zip(readers, paths, strict=True):
            stack.enter_context(reader)
            reader.connect(str(path))
        bench.until(lambda: all(target.channel.heard for target in bench.targets), "readers")
        yield bench, bench.targets
        bench.hub.close()


def test_what_waits_in_all_sinks_has_one_bound(
    hanging: tuple[Bench, list[SinkTarget]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven sinks whose servers hang took 16 to 65 MB, although each kept its own bound: a router has 128."""
    monkeypatch.setattr(hub, "MAX_WAITING", 1 << 20)
    bench, targets = hanging
    most = 0
    for number in range(4000):
        for target in targets:
            feed(target, record(number, text="x" * 900))
        if number % 50 == 49:
            bench.turn(0)
            most = max(most, sum(target.channel.held() for target in targets))
    under_way = 3 << 19  # requests and messages that servers have begun to take
    assert 1 << 19 < most <= (1 << 20) + under_way
    assert all(target.counters.skipped for target in targets), "each has dropped some"
    log: Any = targets[-1].channel
    first = json.loads(log._pending._items[0][0])["flow"]["n"]
    last = json.loads(log._pending._items[-1][0])["flow"]["n"]
    assert last == 3999 and last - first < 4000, "the oldest are dropped"


def test_a_record_is_packed_once_for_all_sinks_of_a_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six sinks would pack each record six times, and keep it six times while their servers hang."""
    calls = {"to_json": 0, "to_msgpack": 0}
    for name in calls:
        plain = getattr(packer, name)

        def counted(value: Any, name: str = name, plain: Any = plain) -> bytes:
            calls[name] += "flow" in value
            made: bytes = plain(value)
            return made

        monkeypatch.setattr(packer, name, counted)
    monkeypatch.setattr(packer.time, "time", lambda: 1000.0)
    bench = Bench()
    shapes = [("a", "json"), ("b", "json"), ("c", "msgpack"), ("d", "msgpack")]
    channels = [channel("log", shape, path=str(tmp_path), **LOG | {"prefix": name}) for name, shape in shapes]
    bench.use(*channels, events=("new", "expired"))
    matched = [target.for_plan(("act",), ("t0", "t1")) for target in bench.targets]
    for number in range(3):
        one = record(number)
        keys = [each.apply(one, one["flow"], 1, None) for each in matched]
        for target, key in zip(bench.targets, keys, strict=True):
            target.release(key, 2, False)
    assert calls == {"to_json": 3, "to_msgpack": 6}
    waiting: list[Any] = [target.channel._pending._items for target in bench.targets]  # type: ignore[attr-defined]
    for first, second in (waiting[:2], waiting[2:]):
        assert len(first) == len(second) == 6
        assert all(here is there for (here, _), (there, _) in zip(first, second, strict=True))
    assert [json.loads(event)["flow_action"]["event"] for event, _ in waiting[0]] == ["new", "expired"] * 3
    bench.hub.close()


def test_an_event_has_the_time_at_which_it_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow that ends long after its record came, with none in between, would have ended when it began."""
    clock = [1000.0]
    monkeypatch.setattr(packer.time, "time", lambda: clock[0])
    bench = Bench()
    target = bench.use(channel("log", path=str(tmp_path), **LOG), events=("new", "updated", "expired"))
    one = record(1)
    [key] = feed(target, one)
    clock[0] = 1300.0
    target.release(key, 301, False)
    clock[0] = 900.0  # a router's clock may be put back
    feed(target, one)
    events = [json.loads(event)["flow_action"] for event, _ in target.channel._pending._items]  # type: ignore[attr-defined]
    assert [(event["event"], event["time"]) for event in events] == [("new", 1000000), ("expired", 1300000), ("new", 900000)]
    bench.hub.close()
