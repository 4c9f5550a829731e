"""A running daemon to measure, in the private network namespace, and a netifyd that feeds it from a process of its own.

In: a policy in a file, chunks of a stream. Out: what /proc says of the daemon's process (seconds of CPU, bytes), its status,
and when each chunk was sent.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from samples import definitions, frame, hello, status

from nfa.daemon import handover
from nfa.daemon.bus.control import call

ROOT = Path(__file__).resolve().parents[1]
GREETING = 3
"""Records that `serve` sends."""
_PROFILED = """
import cProfile, sys
sys.path.insert(0, {root!r})
from nfa.daemon.daemon import Daemon
import json
daemon = Daemon(json.loads(sys.argv[1]))
profile = cProfile.Profile()
profile.runcall(daemon.run)
profile.dump_stats({output!r})
"""


def until(condition: Callable[[], Any], what: str, seconds: float = 60, nap: float = 0.002) -> Any:
    """Return what the condition says once it says something. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(nap)
    return result


class Daemon:
    """A running `nfa run`; as a context it ends by itself. `profile`: a file for cProfile's figures."""

    def __init__(self, folder: Path, policy: Path, profile: Path | None = None, inside: Sequence[str] = (), **how: str) -> None:
        """`inside`: what to put before its command, so that it runs in another namespace. `how`: `json` (what decodes:
        `standard`, or `fast` where that is installed), `uci` (a folder), `ubus` (a socket)."""
        self.folder = folder
        self.source, self.control, self.log = folder / "netifyd.sock", str(folder / "control.sock"), folder / "daemon.log"
        # What a daemon before it knew of live flows is not this one's: each is measured from its beginning.
        (folder / handover.NAME).unlink(missing_ok=True)
        source, state = f"unix://{self.source}", str(policy.parent)
        command = [sys.executable, "-m", "nfa", "run", "-c", str(policy), "-s", source, "--control", self.control]
        command += ["--state-dir", state, "--ubus", how.get("ubus", "none")]
        command += ["-u", how["uci"]] if "uci" in how else ["--no-uci"]
        if profile:
            settings = {"source": source, "files": [str(policy)], "control": self.control, "ubus": "none", "uci": ""}
            program = _PROFILED.format(root=str(ROOT), output=str(profile))
            command = [sys.executable, "-c", program, json.dumps(settings | {"state": state})]
        chosen = dict(os.environ, NFA_JSON=how.get("json", "standard"))
        command = [*inside, *command]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=chosen)
        until(lambda: self.said("policy loaded"), "the daemon's policy")

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        finally:
            self.process.kill()

    def said(self, words: str) -> bool:
        """Return whether its log has these words."""
        return words.encode() in self.log.read_bytes()

    def status(self) -> dict[str, Any]:
        """Ask it."""
        return call(self.control, "status", {})

    def cpu(self) -> float:
        """Return the CPU seconds of the process until now: to the nanosecond where the kernel counts so, else to the tick."""
        try:
            return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9
        except FileNotFoundError:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Return its resident set in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def elements(self) -> int:
        """Return how many elements it believes alive."""
        return sum([target["elements"] for target in self.status()["targets"].values() if target["type"] != "log"])


def serve(daemon: Daemon) -> socket.socket:
    """Be netifyd for a daemon that waits for it: return the greeted connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.source))
        listener.listen(1)
        connection, _ = listener.accept()
    daemon.source.unlink()
    connection.sendall(frame(hello()) + frame(status()) + frame(definitions()))
    return connection


class Feeder:
    """A process that sends chunks over a connection, so that sending takes no time from who measures.

    `rate`: chunks a second; 0: as fast as the daemon reads.
    """

    def __init__(self, connection: socket.socket, chunks: Iterable[bytes], rate: float = 0) -> None:
        self._result, sink = os.pipe()
        self._process = os.fork()
        if not self._process:
            try:
                _feed(connection, chunks, rate, sink)
            finally:
                os._exit(0)
        os.close(sink)

    def stop(self) -> None:
        """Let it end after the chunk that it is sending."""
        os.kill(self._process, signal.SIGTERM)

    def wait(self) -> array[float]:
        """Wait for its end. Returns for each chunk when (time.perf_counter) its sending began."""
        times = array("d")
        with os.fdopen(self._result, "rb") as pipe:
            times.frombytes(pipe.read())
        os.waitpid(self._process, 0)
        return times


def _feed(connection: socket.socket, chunks: Iterable[bytes], rate: float, sink: int) -> None:
    """Send; at the end, write the times."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    times = array("d")
    began = time.perf_counter()
    for number, chunk in enumerate(chunks):
        if stopped:
            break
        if rate:
            while (left := began + number / rate - time.perf_counter()) > 0:
                time.sleep(left)
        times.append(time.perf_counter())
        connection.sendall(chunk)
    with os.fdopen(sink, "wb") as pipe:
        pipe.write(times.tobytes())
