"""End to end: a recorded stream from a socket, through the daemon, into real kernel sets, beside what any client must do.

In: policies and recordings in files. Out: seconds of the daemon's CPU and of wall time, and the ratio of the first to framing
and `json.loads` of the same bytes in this process. The two work in turns of a quarter of a second, so that a machine whose
speed changes (other guests of the same host, heat) does the same to both.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

import pure
from live import ROOT, Daemon, until

_TURN = 0.25
"""Seconds of CPU after which the other one has its turn."""
_PIECE = 1 << 20
"""Bytes of the stream that the baseline takes at a time, at least; about ten milliseconds."""


class Baseline:
    """Frames and loads pieces of a stream while the daemon that gets the same stream is stopped."""

    def __init__(self, daemon: Daemon, stream: bytes) -> None:
        self._daemon = daemon
        self._pieces = cycle(pieces(stream))
        self._since = daemon.cpu()
        self._bytes = 0
        self._seconds = 0.0
        self.paused = 0.0
        """Seconds of wall time in which the daemon was stopped."""

    def turn(self) -> None:
        """Take a turn if the daemon has had one."""
        if self._daemon.cpu() - self._since >= _TURN:
            self.take()

    def take(self) -> None:
        """Stop the daemon, work, and let it go on."""
        process = self._daemon.process
        began = time.monotonic()
        process.send_signal(signal.SIGSTOP)
        try:
            self.work()
        finally:
            process.send_signal(signal.SIGCONT)
        self.paused += time.monotonic() - began
        self._since = self._daemon.cpu()

    def work(self) -> None:
        """Frame and load for as long as a turn is."""
        end = time.process_time() + _TURN
        while time.process_time() < end:
            piece = next(self._pieces)
            self._seconds += pure.least(lambda: pure.baseline(piece), 1)  # noqa: B023 (it is called here)
            self._bytes += len(piece)

    def seconds(self, size: int) -> float:
        """Return the CPU seconds that so many bytes take."""
        return self._seconds / self._bytes * size


def pieces(stream: bytes) -> list[bytes]:
    """Return a stream cut between records."""
    found = []
    start = position = 0
    while position < len(stream):
        end = stream.index(b"\n", position) + 1
        position = end + int(stream[position + 11 : end - 2])
        if position - start >= _PIECE or position == len(stream):
            found.append(stream[start:position])
            start = position
    return found


def replayed(daemon: Daemon, recording: Path, loops: int, beside: Baseline | None = None) -> float:
    """Be netifyd for a daemon: a recording at full speed. Returns seconds from connection to the last record's effect, less
    those in which it was stopped for what is measured `beside`."""

    def is_over() -> bool:
        if beside is not None:
            beside.turn()
        return daemon.said("closed by netifyd")

    replay = [sys.executable, "-m", "nfa", "replay", str(recording), "--listen", f"unix://{daemon.source}"]
    with subprocess.Popen([*replay, "--speed", "full", "--loop", str(loops)], cwd=ROOT, stdout=-3, stderr=-3) as server:
        until(lambda: daemon.said("connected to"), "the daemon's connection")
        began = time.monotonic()
        until(is_over, "the end of the stream", 600)
        wall = time.monotonic() - began
        server.wait(10)
    return wall - (beside.paused if beside is not None else 0)


def end_to_end(
    folder: Path, policy: Path, recording: Path, loops: int, profile: Path | None = None, json: str = "standard"
) -> dict[str, float]:
    """Replay a recording at full speed into the daemon. `json`: what decodes records there.

    Returns flow records, `cpu` seconds of the daemon, `wall` seconds from connection to the last record's effect, the elements
    that were added, the CPU seconds of the `baseline` for the same bytes, and the `ratio` to it.
    """
    stream = recording.read_bytes()
    with Daemon(folder, policy, profile, json=json) as daemon:
        beside = Baseline(daemon, stream)
        before = daemon.cpu()
        wall = replayed(daemon, recording, loops, None if profile else beside)  # cProfile would count the pauses
        cpu = daemon.cpu() - before
        beside.work()
        baseline = beside.seconds(len(stream) * loops)
        found = daemon.status()
        if any(found["source"]["bad"].values()) or any(target["errors"] for target in found["targets"].values()):
            print(f"bench: bad records or refused elements: {found['source']['bad']} {found['targets']}", file=sys.stderr)
        return {
            "flows": found["flows"]["evaluated"],
            "records": found["source"]["records"],
            "matched": found["flows"]["matched"],
            "added": sum([target["added"] for target in found["targets"].values()]),
            "refreshed": sum([target["refreshed"] for target in found["targets"].values()]),
            "cpu": cpu,
            "wall": wall,
            "baseline": baseline,
            "ratio": cpu / baseline,
        }
