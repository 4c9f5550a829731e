"""Sinks of the running daemon: real readers on real sockets, in a private namespace."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import samples
from kernel_lab import Lab, policy
from waiting import PATIENCE

pytestmark = pytest.mark.kernel


def sinks(folder: Path, **files: object) -> None:
    """Write Netify's files of sinks."""
    for kind, body in files.items():
        (folder / f"netify-sink-{kind}.json").write_text(json.dumps(body))


def flows(first: int, count: int, **fields: Any) -> list[dict[str, Any]]:
    """Flow records, each of another flow."""
    numbers = range(first, first + count)
    return [samples.flow("HTTP/S", "netify.youtube", digest=f"{number:014x}{0:026x}", **fields) for number in numbers]


class Reader:
    """One reader of a unix socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.data = bytearray()
        self.records: list[dict[str, Any]] = []
        self._decoder: Any = None

    def read(self, count: int) -> list[dict[str, Any]]:
        """Read until there are that many lines."""
        while len(self.records) < count:
            chunk = self.socket.recv(1 << 16)
            assert chunk, "the daemon closed the connection"
            self.data += chunk
            while (end := self.data.find(b"\n")) >= 0:
                self.records.append(json.loads(self.data[:end]))
                del self.data[: end + 1]
        return self.records

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def readers() -> Iterator[list[Reader]]:
    made: list[Reader] = []
    yield made
    for reader in made:
        reader.close()


def target(kind: str, **options: object) -> dict[str, object]:
    return {"target_type": "sink", "sink": f"sink-{kind}"} | options


def connected(lab: Lab, count: int) -> None:
    lab.daemon.until(lambda status: status["targets"]["s"]["readers"] == count, f"{count} readers")


def test_a_reader_is_told_of_flows_that_begin_change_and_end(lab: Lab, readers: list[Reader]) -> None:
    """A dashboard would miss flows, or show those that are over for ever."""
    path = lab.folder / "out" / "flows.sock"
    sinks(lab.folder, socket={"channels": {"flow-actions": {"bind_address": f"unix://{path}"}}})
    lab.start(policy({"s": target("socket")}, "app == 'youtube';"))
    readers.append(Reader(path))
    connected(lab, 1)
    assert path.stat().st_mode & 0o777 == 0o600
    [first, second] = flows(1, 2)
    changed = first | {"flow": first["flow"] | {"detection_updated": True}}
    no_more = second | {"flow": second["flow"] | {"detected_application_name": "netify.zoom", "detected_application": 1}}
    before = time.time()
    lab.feed(first, second, changed, no_more, samples.purge(first, 2000))
    events = readers[0].read(5)
    seen = [(event["flow"]["digest"][13], event["flow_action"]["event"]) for event in events]
    assert seen == [("1", "new"), ("2", "new"), ("1", "updated"), ("2", "expired"), ("1", "expired")]
    assert {name: events[2][name] for name in changed} == changed
    assert {name: events[4][name] for name in changed} == changed  # what was known of it last
    assert events[3]["flow"]["detected_application_name"] == "netify.youtube"
    action = events[0]["flow_action"]
    assert action["action"] == ["all"] and action["targets"] == ["s"]
    assert before - 1 < action["time"] / 1000 < time.time() + 1
    status = lab.daemon.status()["targets"]["s"]
    assert (status["added"], status["skipped"], status["errors"]) == (5, 0, 0)
    assert lab.daemon.stop() == 0
    assert not path.exists()


def test_two_of_three_readers_get_every_event_when_the_third_stops_reading(lab: Lab, readers: list[Reader]) -> None:
    """One hung program would cost all others their events, or the router its memory."""
    path = lab.folder / "flows.sock"
    sinks(lab.folder, socket={"channels": {"flow-actions": {"bind_address": f"unix://{path}"}}})
    lab.start(policy({"s": target("socket", flow_events="new")}))
    readers += [Reader(path) for _ in range(3)]
    connected(lab, 3)
    rate, seconds = 5000, 4
    total = rate * seconds
    payloads = [samples.frame(record) for record in flows(0, total)]
    reading = [threading.Thread(target=reader.read, args=(total,), daemon=True) for reader in readers[:2]]
    for thread in reading:
        thread.start()
    begun = time.monotonic()
    rss = lab.daemon.status()["memory"]["rss_kb"]
    for start in range(0, total, 250):
        lab.netifyd.send(*payloads[start : start + 250])
        wait = begun + (start + 250) / rate - time.monotonic()
        time.sleep(max(0.0, wait))  # this is the rate, not a synchronisation
    for thread in reading:
        thread.join(30)
    status = lab.daemon.status()
    print(time.monotonic() - begun, rss, status["memory"], status["loop"], status["targets"]["s"])
    for reader in readers[:2]:
        assert [int(record["flow"]["digest"][:14], 16) for record in reader.records] == list(range(total))
    found = status["targets"]["s"]
    assert found["added"] == total and 0 < found["skipped"] < total
    assert status["loop"]["longest_ms"] < 500
    assert status["memory"]["peak_kb"] < rss + 24000
    # What the slow one gets once it reads again are whole events, in order.
    slow = readers[2].read(total - found["skipped"])
    numbers = [int(record["flow"]["digest"][:14], 16) for record in slow]
    assert numbers == sorted(set(numbers)) and len(numbers) == total - found["skipped"]
