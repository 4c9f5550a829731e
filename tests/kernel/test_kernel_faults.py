"""Faults of nfa itself, in the running daemon: each callback of the loop raises, memory ends; the daemon and its sets go on."""

from __future__ import annotations

import json
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import ROOT, Lab, eventually, ipset, nftset, policy
from samples import flow
from waiting import PATIENCE

pytestmark = pytest.mark.kernel

FAULTY = (sys.executable, str(ROOT / "tests/faulty_daemon.py"))
FOUR = {"set_family": "ipv4"}


def config(folder: Path, ttl: int, *more: str) -> dict[str, Any]:
    """A policy with what the loop has callbacks for: sets, a log, a sink, hours. `more`: names of further sets."""
    targets: dict[str, dict[str, object]] = {
        "n": nftset("n", "other_addr", ttl=600, **FOUR),
        "i": ipset("i", "hash:ip", ttl=600, attributes=["other_addr"], **FOUR),
        "w": nftset("w", "other_addr", ttl=ttl, **FOUR),
        "l": {"target_type": "log", "path": str(folder / "log"), "interval": 1},
        "s": {"target_type": "sink", "sink": "sink-socket"},
    }
    targets |= {name: nftset(name, "other_addr", ttl=600, flush_on_destroy=True, **FOUR) for name in more}
    made = policy(targets)
    made["actions"]["all"]["time_of_day"] = {"time_start": "00:00", "time_end": "23:59"}
    return made


class Faults:
    """What the daemon gave its dispatcher, and what has been made to raise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def left(self) -> set[str]:
        return set(self.lines("registered")) - set(self.lines("raised"))


def sink_at(folder: Path, number: int) -> Path:
    """Have the sink listen there."""
    path = folder / f"out{number}.sock"
    channels = {"flow-actions": {"bind_address": f"unix://{path}"}}
    (folder / "netify-sink-socket.json").write_text(json.dumps({"channels": channels}))
    return path


def addresses(count: int) -> set[str]:
    return {f"198.18.{number >> 8}.{number & 255}" for number in range(1, count + 1)}


def in_sets(lab: Lab) -> tuple[set[str], set[str]]:
    return {key[0] for key in lab.namespace.nft_keys("nfa", "n.v4")}, set(lab.namespace.ipset("i.v4").elements)


@pytest.mark.parametrize("kind", ["RuntimeError", "MemoryError"])
def test_each_callback_may_fail(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """One odd record, message or moment without memory would end the daemon: all users would be let go at once."""
    faults = Faults(tmp_path / "faults")
    monkeypatch.setenv("NFA_FAULTS", str(faults.folder))
    monkeypatch.setenv("NFA_FAULT", kind)
    sink = sink_at(tmp_path, 0)
    daemon = lab.start(config(tmp_path, 600), wrapper=FAULTY)
    ends = time.monotonic() + 10 * PATIENCE
    sent = rounds = reloads = 0
    while faults.left():
        assert time.monotonic() < ends, f"there was no traffic for {sorted(faults.left())}"
        rounds += 1
        for _ in range(5):
            sent += 1
            lab.netifyd.send(flow(other=f"198.18.{sent >> 8}.{sent & 255}"))
        daemon.status()
        lab.namespace.attempt("nft", "delete element inet nfa n.v4 { 198.18.0.1 }")
        lab.namespace.attempt("ip", "address", ("add", "del")[rounds % 2], "198.51.100.1/32", "dev", "lo")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reader:
            reader.settimeout(PATIENCE)
            with suppress(ConnectionRefusedError, FileNotFoundError):  # a reload has just closed it, or not yet opened it
                reader.connect(str(sink))
        if rounds % 2 == 0 and daemon.status()["policy"]["compiling"] is None:
            reloads += 1
            sink = sink_at(tmp_path, reloads % 2)
            daemon.configure(config(tmp_path, 600 + reloads, *["more"] * (reloads % 2)))
            daemon.signal(signal.SIGHUP)
        if rounds == 8:
            (faults.folder / "timers").touch()
        assert daemon.process.poll() is None, daemon.log
    (faults.folder / "end").touch()
    raised = len(faults.lines("raised"))
    assert raised >= 30, "the loop has more callbacks than that"
    lab.netifyd.send(*[flow(other=f"198.18.{number >> 8}.{number & 255}") for number in range(sent + 1, sent + 51)])
    eventually(lambda: in_sets(lab) == (addresses(sent + 50),) * 2, what="the sets are right")
    status = daemon.status()
    assert status["faults"]["count"] >= raised
    assert ("injected" if kind == "RuntimeError" else "out of memory") in status["faults"]["last"]
    assert status["faults"]["last_at"] <= time.time()
    daemon.until(lambda status: status["policy"]["compiling"] is None, "the last compilation has ended")
    assert daemon.said("please report" if kind == "RuntimeError" else "ran out of memory at") and not daemon.said("Traceback")
    assert daemon.stop() == 0


def test_a_daemon_without_memory_lives(lab: Lab, tmp_path: Path) -> None:
    """2,000 new flows on a router that has nothing left: the daemon would end with a traceback, and all users be let go."""
    daemon = lab.start(policy({"n": nftset("n", "other_addr", ttl=600, **FOUR)}))
    lab.feed(flow(other="198.18.0.1"))
    size = next(line for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines() if line.startswith("VmSize"))
    limit = int(size.split()[1]) << 10
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        for start in range(2, 6002, 100):
            numbers = range(start, start + 100)
            lab.netifyd.send(*[flow(other=f"198.18.{n >> 8}.{n & 255}", host_server_name="x" * 400) for n in numbers])
        connected = daemon.status()["source"]["connects"] == 1
    except ConnectionError:
        connected = False  # without the memory to read, it lets go, and comes back
    eventually(lambda: daemon.said("out of memory"), what="the limit is felt")
    assert daemon.process.poll() is None, daemon.log
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if not connected:
        lab.netifyd.accept()
    lab.netifyd.send(*[flow(other=f"198.19.0.{number}") for number in range(1, 51)])
    after = {f"198.19.0.{number}" for number in range(1, 51)}
    eventually(lambda: after <= {key[0] for key in lab.namespace.nft_keys("nfa", "n.v4")}, what="new flows are in the set")
    assert daemon.status()["faults"]["count"] and not daemon.said("Traceback")
    assert daemon.stop() == 0
