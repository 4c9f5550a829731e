"""End to end: a recorded stream from a socket, through the daemon, into real kernel sets, beside what any client must do.

In: policies and recordings in files. Out: seconds of the daemon's CPU and of wall time, and the ratio of the first to framing
and `json.loads` of the same bytes in this process, before and after.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pure
from live import ROOT, Daemon, until


def replayed(daemon: Daemon, recording: Path, loops: int) -> float:
    """Be netifyd for a daemon: a recording at full speed. Returns seconds from connection to the last record's effect."""
    replay = [sys.executable, "-m", "nfa", "replay", str(recording), "--listen", f"unix://{daemon.source}"]
    with subprocess.Popen([*replay, "--speed", "full", "--loop", str(loops)], cwd=ROOT, stdout=-3, stderr=-3) as server:
        until(lambda: daemon.said("connected to"), "the daemon's connection")
        began = time.monotonic()
        until(lambda: daemon.said("closed by netifyd"), "the end of the stream", 600)
        wall = time.monotonic() - began
        server.wait(10)
    return wall


def end_to_end(
    folder: Path, policy: Path, recording: Path, loops: int, profile: Path | None = None, json: str = "standard"
) -> dict[str, float]:
    """Replay a recording at full speed into the daemon. `json`: what decodes records there.

    Returns flow records, `cpu` seconds of the daemon, `wall` seconds from connection to the last record's effect, and the
    elements that were added.
    """
    with Daemon(folder, policy, profile, json=json) as daemon:
        before = daemon.cpu()
        wall = replayed(daemon, recording, loops)
        cpu = daemon.cpu() - before
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
        }


def compared(folder: Path, policy: Path, recording: Path, loops: int, json: str) -> dict[str, float]:
    """Replay, and add the CPU seconds of the `baseline` for the same bytes, and the `ratio` to it."""
    stream = recording.read_bytes()
    before = pure.least(lambda: pure.baseline(stream), 2)
    found = end_to_end(folder, policy, recording, loops, json=json)
    after = pure.least(lambda: pure.baseline(stream), 2)
    found["baseline"] = min(before, after) * loops
    found["ratio"] = found["cpu"] / found["baseline"]
    return found
