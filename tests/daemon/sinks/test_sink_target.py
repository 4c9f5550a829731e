"""Sink targets: which events there are, and what they say."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import msgpack
import pytest
from sink_bench import Bench, channel, feed, record

from nfa.daemon.sinks import remembered
from nfa.daemon.sinks.channel import Channel
from nfa.daemon.stream.framing import Framer
from nfa.daemon.targets.counters import Counters

BOUNDS = {"max_files": 100, "max_bytes": 4 << 20}


class Sink(Channel):
    """A channel that keeps what it gets."""

    def __init__(self, data: dict[str, Any], alone: bool = False, tables: bool = False, heard: bool = True) -> None:
        self.data, self.alone, self.stream, self.tables = data, alone, not alone, tables  # type: ignore[misc]
        self.users: list[Any] = []
        self.events: list[Any] = []
        self.wanted = heard

    @property
    def heard(self) -> bool:
        return self.wanted

    def put(self, event: Any, counters: Any) -> None:
        self.events.append(event)

    def whole(self) -> list[tuple[str, int]]:
        return [(event["flow_action"]["event"], event["flow"].get("n", -1)) for event in self.parsed()]

    def parsed(self) -> list[Any]:
        return [event if isinstance(event, dict) else json.loads(event) for event in self.events]


def made(events: tuple[str, ...] = ("new", "updated", "expired"), interface: str = "*", **shape: Any) -> tuple[Any, Sink]:
    bench = Bench()
    kept = Sink(channel("test", **{k: v for k, v in shape.items() if k in ("format", "compressor", "header")}),
                **{k: v for k, v in shape.items() if k in ("alone", "tables", "heard")})  # fmt: skip
    target = bench.hub.target(258, Counters("t", "sink"))
    target.use(kept, events, None if interface == "*" else lambda one: one["interface"] == interface)
    return target, kept


def test_a_flow_is_new_then_updated_then_expired() -> None:
    target, kept = made()
    [key] = feed(target, record(1))
    assert feed(target, record(1, more=1), held=key) == [key]
    [other] = feed(target, record(2), held=(b"\0\1elem", b"\0\2elem"))  # it holds elements of sets
    assert feed(target, record(2, more=2), held=(b"\0\1elem", other)) == [other]
    target.want(key, 5)
    target.release(key, 9, False)
    assert kept.whole() == [("new", 1), ("updated", 1), ("new", 2), ("updated", 2), ("expired", 1)]
    assert kept.parsed()[-1]["flow"] == record(1, more=1)["flow"]


@pytest.mark.parametrize("events", [("new",), ("updated",), ("expired",), ("new", "expired")])
def test_only_the_wanted_events_are_sent(events: tuple[str, ...]) -> None:
    """A script that reacts to new flows would run again with each refinement."""
    target, kept = made(events)
    [key] = feed(target, record(1))
    feed(target, record(1, more=1), held=key)
    target.release(key, 9, True)
    assert [event for event, _ in kept.whole()] == list(events)


@pytest.mark.parametrize("events", [("new",), ("new", "updated"), ("updated",), ("new", "updated", "expired")])
def test_a_flow_that_is_matched_again_is_no_event_where_it_is_known(events: tuple[str, ...]) -> None:
    """At each edge of a schedule, and at each reload, all flows that run would be told of."""
    target, kept = made(events)
    again = {actions: target.for_plan(actions, ("t",)).lasting for actions in (("a",), ("a", "b"))}
    first, second = record(1), record(2)
    [key] = feed(target, first)
    for matched in again.values():
        assert matched.lasting is matched and matched.apply(first, first["flow"], 5, key) == key
    other = again["a",].apply(second, second["flow"], 5, (b"\0\1elem", b"\0\2elem"))  # the edge is where its action begins
    assert kept.whole() == [("new", 1), ("new", 2)][: 2 * ("new" in events)]
    feed(target, second, held=other)  # netifyd has something to tell, if only the same once more
    assert kept.whole()[2 * ("new" in events) :] == [("updated", 2)][: "updated" in events]
    target.release(key, 9, False)
    if "expired" in events:
        assert kept.whole()[-1] == ("expired", 1) and kept.parsed()[-1]["flow_action"]["action"] == ["a", "b"]


def test_a_record_that_lacks_what_a_target_needs_is_counted_with_the_target() -> None:
    """The engine counts with whatever a plan has: a plan of a sink without counters would cost the other targets the flow."""
    target, _ = made()
    matched = target.for_plan(("a",), ("t",))
    assert matched.counters is target.counters is matched.lasting.counters


def test_of_too_many_flows_the_end_is_told_by_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of flows costs bounded memory, and still each flow ends."""
    monkeypatch.setattr(remembered, "MAX_FLOWS", 2)
    target, kept = made()
    keys = feed(target, record(1), record(2), record(3))
    for key in keys:
        target.release(key, 9, False)
    assert kept.whole() == [("new", 1), ("new", 2), ("new", 3), ("expired", -1), ("expired", 2), ("expired", 3)]
    assert kept.parsed()[3]["flow"] == {"digest": record(1)["flow"]["digest"]}


def test_flows_with_long_urls_cost_no_more_memory_than_others() -> None:
    """A stranger whose 8,192 URLs have 64 KiB each would take half a gigabyte."""
    target, kept = made(("expired",))
    keys = []
    for number in range(400):
        keys += feed(target, record(number, url=os.urandom(1 << 15).hex()))
    size = sum(len(packed) for packed, _ in target._remembered._found.values())
    assert remembered.MAX_BYTES - (1 << 16) < size == target._remembered.size <= remembered.MAX_BYTES
    for key in keys:
        target.release(key, 9, False)
    told = [number for _, number in kept.whole()]  # of the oldest the digest
    forgotten = told.count(-1)
    assert told == [-1] * forgotten + list(range(forgotten, 400)) and 200 < forgotten < 400
    assert (len(target._remembered), target._remembered.size) == (0, 0)


@pytest.mark.parametrize("digest", ["ab" * 20, "c4c07ca55baa19a7fe3652bcd356765a7", "0123456789abcde"])
def test_a_digest_of_any_length_comes_back_whole(digest: str) -> None:
    """netifyd 5 shows digests of odd lengths."""
    target, kept = made(("expired",))
    [key] = feed(target, record(1, digest=digest))
    target._remembered.clear()
    target.release(key, 9, False)
    assert kept.parsed()[0]["flow"]["digest"] == digest


def test_a_digest_that_is_no_hex_is_counted() -> None:
    target, kept = made()
    assert feed(target, record(1, digest="0123456789abcdzz")) == [None]
    assert (target.counters.skipped, kept.events) == (1, [])


def test_only_flows_of_its_interface_reach_the_target() -> None:
    target, kept = made(interface="wan0")
    assert feed(target, record(1)) == [None]
    assert kept.events == []


def test_nothing_is_made_when_nobody_listens() -> None:
    """A socket without readers would cost time for each flow."""
    target, kept = made(heard=False)
    [key] = feed(target, record(1))
    assert key is not None and kept.events == [] and not target._remembered
    kept.wanted = True
    target.release(key, 9, False)
    assert kept.whole() == [("expired", -1)]


HOSTILE = {
    "host_server_name": "\ud800\x00\u2028\"}\n", "nan": float("nan"), "inf": [float("-inf")], "big": 10**30, "\udfff": 1,
}  # fmt: skip


@pytest.mark.parametrize("format", ["json", "msgpack"])
@pytest.mark.parametrize("compressor", ["none", "gz"])
@pytest.mark.parametrize("alone", [True, False])
def test_hostile_records_stay_readable(format: str, compressor: str, alone: bool) -> None:
    """One host name that a stranger chose would end the reader's parser."""
    target, kept = made(format=format, compressor=compressor, alone=alone)
    [key] = feed(target, record(1, **HOSTILE) | {"flow_action": {"action": ["forged"]}}, actions=('a"\u2028',))
    target.release(key, 9, False)
    for event in kept.events:
        data = gzip.decompress(event) if compressor == "gz" and alone else event
        found = json.loads(data.decode(), parse_constant=None) if format == "json" else msgpack.unpackb(data)
        assert found["flow"]["host_server_name"] == '\ufffd\x00\u2028"}\n'
        assert found["flow"]["nan"] is None and found["flow"]["inf"] == [None] and float(found["flow"]["big"]) == 1e30
        assert found["flow"]["\ufffd"] == 1
        assert found["flow_action"]["action"] == ['a"\u2028']
        assert format == "msgpack" or data.count(b"\n") == (not alone)


def test_a_record_that_is_nested_too_deeply_is_left_out() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    target, _ = made()
    assert feed(target, record(1, x=nested)) == [None]
    assert target.counters.skipped == 1


def test_with_a_header_events_are_framed_as_netifyd_does() -> None:
    """A reader made for netifyd's socket would understand nothing."""
    target, kept = made(header=True)
    feed(target, record(1), record(2))
    framer = Framer()
    assert [json.loads(payload)["flow"]["n"] for payload in framer.feed(b"".join(kept.events))] == [1, 2]
    assert not any(framer.bad.values())


def test_msgpack_objects_follow_each_other() -> None:
    target, kept = made(format="msgpack")
    feed(target, record(1), record(2))
    unpacker = msgpack.Unpacker()
    unpacker.feed(b"".join(kept.events))
    assert [found["flow"]["n"] for found in unpacker] == [1, 2]


def test_a_bus_gets_tables() -> None:
    target, kept = made(tables=True, format="msgpack", header=True)
    feed(target, record(1))
    assert kept.events[0]["flow_action"]["event"] == "new"


def test_a_log_writes_files_that_can_be_read_back(tmp_path: Path) -> None:
    """An evening's log would be unreadable the next morning."""
    for compressor, format, name in (("none", "json", ".json"), ("gz", "msgpack", ".msgpack.gz")):
        bench = Bench()
        options = {"path": str(tmp_path), "prefix": "netify-", "overwrite": False, "interval": 60, **BOUNDS}
        target = bench.use(channel("log", format, compressor, **options))
        feed(target, record(1), record(2))
        bench.turn(0)
        assert target.waiting() == 2
        bench.pass_time(59)
        assert not list(tmp_path.glob(f"netify-*{name}"))
        bench.pass_time(2)
        [file] = tmp_path.glob(f"netify-*{name}")
        data = file.read_bytes()
        if compressor == "gz":
            unpacker = msgpack.Unpacker()
            unpacker.feed(gzip.decompress(data))
            found = list(unpacker)
        else:
            found = [json.loads(line) for line in data.splitlines()]
        assert [event["flow"]["n"] for event in found] == [1, 2]
        assert bench.counters.added == 2


def test_a_log_overwrites_when_it_is_told_to_and_ends_with_what_is_left(tmp_path: Path) -> None:
    bench = Bench()
    data = channel("log", path=str(tmp_path), prefix="now", overwrite=True, interval=1, **BOUNDS)
    target = bench.use(data)
    for number in (1, 2):
        feed(target, record(number))
        bench.turn(0)
        bench.pass_time(2)
        assert [json.loads(line)["flow"]["n"] for line in (tmp_path / "now.json").read_text().splitlines()] == [number]
    feed(target, record(3))
    bench.hub.close()
    assert [path.name for path in tmp_path.iterdir()] == ["now.json"]
    assert json.loads((tmp_path / "now.json").read_text())["flow"]["n"] == 3


def test_the_files_of_a_log_are_bounded_in_number_and_bytes(tmp_path: Path) -> None:
    """A folder in a router's RAM would grow until processes are killed for lack of memory."""
    bench = Bench()
    options = {"path": str(tmp_path), "prefix": "x-", "overwrite": False, "interval": 1, "max_files": 2, "max_bytes": 4 << 10}
    target = bench.use(channel("log", **options))
    for number in range(4):
        feed(target, record(number))
        bench.turn(0)
        bench.pass_time(2)
    assert len(list(tmp_path.iterdir())) == 2
    for number in range(4):
        feed(target, record(number, text="x" * 2000))
    bench.turn(0)
    bench.pass_time(2)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4 << 10
    assert bench.counters.skipped == 3


def test_a_log_that_cannot_be_written_says_so_once_and_costs_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench = Bench()
    target = bench.use(channel("log", path=str(tmp_path / "file"), prefix="x", overwrite=False, interval=1, **BOUNDS))
    for number in (1, 2):
        feed(target, record(number))
        bench.turn(0)
        bench.pass_time(2)
    assert (bench.counters.added, bench.counters.skipped, bench.counters.errors) == (0, 2, 2)
    assert len(bench.said) == 1 and "cannot write to" in bench.said[0][1]
    big = record(1, text="x" * (1 << 20))
    for number in range(8):
        feed(target, record(number, text=big["flow"]["text"]))
    assert bench.counters.skipped == 2 + 5


class Bus:
    """A bus that takes so many events."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.state = "registered"
        self.sent: list[tuple[str, Any]] = []

    def event(self, name: str, data: Any) -> bool:
        self.room -= 1
        if self.room >= 0:
            self.sent.append((name, data))
        return self.room >= 0


def test_events_on_ubus_are_dropped_when_the_bus_is_full_or_gone() -> None:
    """A slow ubusd would cost the daemon its memory."""
    bus = Bus(1)
    bench = Bench(bus)
    target = bench.use(channel("ubus", event="nfa.flow"))
    feed(target, record(1), record(2))
    assert [(name, data["flow"]["n"]) for name, data in bus.sent] == [("nfa.flow", 1)]
    assert (bench.counters.added, bench.counters.skipped) == (1, 1)
    bus.state = "waiting"
    feed(target, record(3))
    assert bench.counters.skipped == 1  # nobody could hear it
    alone = Bench()
    feed(alone.use(channel("ubus", event="nfa.flow")), record(1))
    assert "without ubus" in alone.said[0][1]
