"""Sinks of the running daemon: real readers on real sockets, in a private namespace."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import samples
from kernel_lab import LOOKS_OFTEN, Lab, policy
from waiting import PATIENCE, patience

pytestmark = pytest.mark.kernel

LONGEST_TURN = patience(5) * 1000
"""Milliseconds: a loop that waits for a reader or a server stands still until that one gives up, in half a minute or never."""


def sinks(folder: Path, **files: object) -> None:
    """Write Netify's files of sinks."""
    for kind, body in files.items():
        (folder / f"netify-sink-{kind}.json").write_text(json.dumps(body))


def flows(first: int, count: int, **fields: Any) -> list[dict[str, Any]]:
    """Flow records, each of another flow."""
    numbers = range(first, first + count)
    return [samples.flow("HTTP/S", "netify.youtube", digest=f"{number:014x}{0:026x}", **fields) for number in numbers]


def told(record: dict[str, Any]) -> tuple[str, int]:
    """The event and the flow of a record that a reader got."""
    return record["flow_action"]["event"], int(record["flow"]["digest"][:14], 16)


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


HUNG = "import socket; made = socket.create_server(('127.0.0.1', 8080)); print('there', flush=True); input()"
WEB = """
import http.server, sys, threading

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self):
        number = Handler.count = Handler.count + 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(f"{sys.argv[1]}/request-{number:03}", "wb") as file:
            file.write(self.headers["X-Token"].encode() + b"\\n" + body)
        self.send_response(500 if number == 1 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("there", flush=True)
input()
"""


@contextmanager
def server(lab: Lab, program: str) -> Iterator[None]:
    """A server on port 8080 in the daemon's network namespace."""
    lab.namespace.run("ip", "link", "set", "lo", "up")
    command = [*lab.namespace.prefix, sys.executable, "-c", program, str(lab.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        yield
        process.communicate("\n")


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
    lab.start(policy({"s": target("socket")}))
    readers += [Reader(path) for _ in range(3)]
    connected(lab, 3)
    batch, step, total = 50, 150, 6000
    payloads: list[bytes] = []
    expected = []
    for start in range(0, total // 3, batch):
        begun_here = flows(start, batch, note="x" * 6000)  # all of it is more than the daemon may keep
        changed = [record | {"flow": record["flow"] | {"detection_updated": True}} for record in begun_here]
        purged = [samples.purge(record, 2000) for record in begun_here]
        payloads += [samples.frame(record) for record in (*begun_here, *changed, *purged)]
        expected += [(event, number) for event in ("new", "updated", "expired") for number in range(start, start + batch)]
    rss = lab.daemon.status()["memory"]["rss_kb"]
    for start in range(0, total, step):
        lab.send(*payloads[start : start + step])
        for reader in readers[:2]:
            reader.read(start + step)
    status = lab.daemon.status()
    for reader in readers[:2]:
        assert [told(record) for record in reader.records] == expected
    found = status["targets"]["s"]
    assert found["added"] == total and 0 < found["skipped"] < total
    assert status["loop"]["longest_ms"] < LONGEST_TURN
    assert status["memory"]["peak_kb"] < rss + 24000
    # What the slow one gets once it reads again are whole events, in order.
    slow = readers[2].read(total - found["skipped"])
    places = {event: place for place, event in enumerate(expected)}
    numbers = [places[told(record)] for record in slow]
    assert numbers == sorted(set(numbers)) and len(numbers) == total - found["skipped"]


def test_a_sink_that_was_corrected_works_by_itself(lab: Lab, readers: list[Reader]) -> None:
    """Whoever writes Netify's file after nfa was started would have to know that a reload is needed; flows stay known."""
    lab.start(policy({"s": target("socket")}), constants=LOOKS_OFTEN)
    lab.daemon.until(lambda status: status["targets"]["s"]["reason"].startswith("its sink or channel cannot be used"))
    path = lab.folder / "flows.sock"
    sinks(lab.folder, socket={"channels": {"flow-actions": {"bind_address": f"unix://{path}"}}})
    lab.daemon.loaded(2)
    readers.append(Reader(path))
    connected(lab, 1)
    [flow] = flows(1, 1)
    lab.feed(flow)
    assert readers[0].read(1)[0]["flow_action"]["event"] == "new"
    lab.daemon.configure(policy({"s": target("socket")}, "app == 'youtube';", "protocol == 'zoom';"))
    lab.daemon.loaded(3)
    lab.feed(flow | {"interface": "other"}, samples.purge(flow, 2000))
    events = [event["flow_action"]["event"] for event in readers[0].read(3)]
    assert events == ["new", "updated", "expired"]  # the same reader, and the same flow


def test_events_reach_a_server_by_its_name(lab: Lab) -> None:
    """The name is looked up by a child: a lookup that failed there would be noticed only on a router."""
    channel = {"url": "http://localhost:8080/in", "headers": {"X-Token": "abc"}}
    sinks(lab.folder, http={"channels": {"flow-actions": channel}})
    with server(lab, WEB):
        lab.start(policy({"s": target("http", format="msgpack", compressor="gz", flow_events="new")}))
        lab.feed(*flows(0, 250))
        status = lab.daemon.until(lambda status: status["targets"]["s"]["added"] == 250, "250 events")
    assert status["targets"]["s"]["errors"] == 1 and "HTTP status 500" in status["targets"]["s"]["last_error"]
    requests = [file.read_bytes().partition(b"\n") for file in sorted(lab.folder.glob("request-*"))]
    assert requests[0] == requests[1] and requests[0][0] == b"abc"
    events = [event for _, _, body in requests[1:] for event in msgpack.unpackb(gzip.decompress(body))]
    assert [int(event["flow"]["digest"][:14], 16) for event in events] == list(range(250))


def test_a_hung_server_and_a_broker_that_is_not_there_stall_nothing(lab: Lab, readers: list[Reader]) -> None:
    """Telemetry that goes nowhere would keep flows from being matched, or fill the memory."""
    path = lab.folder / "flows.sock"
    sinks(
        lab.folder,
        socket={"channels": {"flow-actions": {"bind_address": f"unix://{path}"}}},
        http={"channels": {"flow-actions": {"url": "http://127.0.0.1:8080/", "headers": {}}}},
        mqtt={"host": "127.0.0.1", "port": 1, "user": "u", "pass": "p", "topic": "x"},
    )
    with server(lab, HUNG):
        lab.start(policy({"s": target("socket"), "h": target("http"), "m": target("mqtt")}))
        readers.append(Reader(path))
        connected(lab, 1)
        before = lab.daemon.status()["memory"]["rss_kb"]
        for start in range(0, 10_000, 500):
            lab.feed(*flows(start, 500))
            readers[0].read(start + 500)
        status = lab.daemon.status()
        assert lab.daemon.stop() == 0
    assert [event["flow"]["digest"][:14] for event in readers[0].records] == [f"{number:014x}" for number in range(10_000)]
    assert status["targets"]["h"]["skipped"] > 0 and status["targets"]["m"]["skipped"] > 0
    assert "refused" in status["targets"]["m"]["last_error"]
    assert status["loop"]["longest_ms"] < LONGEST_TURN
    assert status["memory"]["peak_kb"] < before + 24_000


def test_a_policy_without_sinks_has_no_tls_in_memory(lab: Lab) -> None:
    """Everybody would pay for it: a megabyte and more."""
    lab.start(policy({"l": {"target_type": "log", "path": str(lab.folder)}}))
    assert "_ssl" not in (Path("/proc") / str(lab.daemon.pid) / "maps").read_text()
