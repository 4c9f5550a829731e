"""What is measured with the real daemon and the real kernel, in the private network namespace: speed, latency, memory.

In: a policy and recordings in files. Out: figures of the daemon's process as /proc gives them (seconds of CPU, bytes), and
latencies from the kernel's own notifications.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import workload
from samples import definitions, frame, hello, status

from nfa.bus.control import call
from nfa.netlink.wire import attributes

ROOT = Path(__file__).resolve().parents[1]
_NEW_ELEMENT = 0xA0C
_GROUP_NFTABLES = 7
_PROFILED = """
import cProfile, sys
sys.path.insert(0, {root!r})
from nfa.daemon import Daemon
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

    def __init__(self, folder: Path, policy: Path, profile: Path | None = None) -> None:
        self.folder = folder
        self.source, self.control, self.log = folder / "netifyd.sock", str(folder / "control.sock"), folder / "daemon.log"
        source = f"unix://{self.source}"
        settings = {"source": source, "files": [str(policy)], "control": self.control, "ubus": "none", "uci": ""}
        command = [sys.executable, "-m", "nfa", "run", "-c", str(policy), "-s", source, "--control", self.control]
        command += ["--ubus", "none", "--no-uci"]
        if profile:
            program = _PROFILED.format(root=str(ROOT), output=str(profile))
            command = [sys.executable, "-c", program, json.dumps(settings | {"state": ""})]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)
        until(lambda: self.said("policy in force"), "the daemon's policy")

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
        """Return the CPU seconds of the process until now, to the clock tick (user and system)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Return its resident set in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def elements(self) -> int:
        """Return how many elements it believes alive."""
        return sum([target["elements"] for target in self.status()["targets"].values() if target["type"] != "log"])


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


def end_to_end(folder: Path, policy: Path, recording: Path, loops: int, profile: Path | None = None) -> dict[str, float]:
    """Replay a recording at full speed into the daemon.

    Returns flow records, `cpu` seconds of the daemon, `wall` seconds from connection to the last record's effect, and the
    elements that were added.
    """
    with Daemon(folder, policy, profile) as daemon:
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


def serve(daemon: Daemon) -> socket.socket:
    """Be netifyd for a daemon that waits for it: return the greeted connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.source))
        listener.listen(1)
        connection, _ = listener.accept()
    daemon.source.unlink()
    connection.sendall(frame(hello()) + frame(status()) + frame(definitions()))
    return connection


def latency(folder: Path, policy: Path, seconds: float, rate: int = 1000) -> dict[str, float]:
    """Send `rate` flow records a second, each a new nftables element; return milliseconds from socket to kernel.

    The end of the way is the kernel's notification of the element, received on a netlink socket.
    """
    count = int(seconds * rate)
    records = workload.many(2 * count)[1::2]
    frames = [frame(record) for record in records]
    keys = [socket.inet_aton(r["flow"]["local_ip"]) + struct.pack(">H", r["flow"]["other_port"]) for r in records]
    sent: dict[bytes, float] = {}
    took: list[float] = []
    with (
        Daemon(folder, policy) as daemon,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as monitor,
        serve(daemon) as connection,
    ):
        monitor.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        monitor.bind((0, 0))
        monitor.setsockopt(270, 1, _GROUP_NFTABLES)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP
        began = time.perf_counter()
        number = 0
        while len(took) < count:
            now = time.perf_counter()
            due = began + number / rate
            if number < count and now >= due:
                sent[keys[number]] = now
                connection.sendall(frames[number])
                number += 1
            elif now > began + seconds + 5:
                break
            elif select.select([monitor], [], [], max(0.0, due - now) if number < count else 1.0)[0]:
                data = monitor.recv(1 << 18)
                arrived = time.perf_counter()
                for key in _elements(data):
                    if key in sent:
                        took.append(arrived - sent.pop(key))
        used = daemon.cpu()
    if not took:
        raise RuntimeError("no element reached the kernel")
    took.sort()
    figures: dict[str, float] = {"records": count, "lost": count - len(took), "daemon_cpu": used / seconds}
    for part in (50, 99, 99.9, 100):
        figures[f"p{part:g}"] = took[min(len(took) - 1, int(len(took) * part / 100))] * 1000
    return figures


def _elements(data: bytes) -> list[bytes]:
    """Return local address and port of each element in a datagram of notifications (key: address, protocol, port, address)."""
    found = []
    position = 0
    while position + 20 <= len(data):
        length, kind = struct.unpack_from("=IH", data, position)
        if kind == _NEW_ELEMENT:
            for what, value in attributes(data[position + 20 : position + length]):
                for _, element in attributes(value) if what == 3 else []:
                    key = dict(attributes(dict(attributes(element)).get(1, b""))).get(1, b"")
                    if len(key) == 16:
                        found.append(key[:4] + key[8:10])
        position += (length + 3) & ~3
    return found


def busy(folder: Path, recording: Path, rules: dict[str, Any], calls: int, reloads: int) -> dict[str, float]:
    """Call and reload the daemon while a stream comes at full speed. Returns milliseconds.

    `rules`: the policy; for each reload the criteria of one of its actions change. `turn`: the longest turn of the loop.
    """
    policy = folder / "busy.json"
    policy.write_text(json.dumps(rules))
    changed = next(iter(rules["actions"].values()))
    calls_took: list[float] = []
    reloads_took: list[float] = []
    with Daemon(folder, policy) as daemon:
        replay = [sys.executable, "-m", "nfa", "replay", str(recording), "--listen", f"unix://{daemon.source}"]
        with subprocess.Popen([*replay, "--speed", "full", "--loop", "0"], cwd=ROOT, stdout=-3, stderr=-3) as server:
            until(lambda: daemon.said("connected to"), "the daemon's connection")
            for _ in range(calls):
                calls_took.append(_timed(daemon, "status"))
            for number in range(reloads):
                changed["criteria"] = f"other_port == {20000 + number};"
                policy.write_text(json.dumps(rules))
                reloads_took.append(_timed(daemon, "reload"))
            turn = daemon.status()["loop"]["longest_ms"]
            server.terminate()  # not killed: it takes its socket with it
            server.wait(10)
    calls_took.sort()
    reloads_took.sort()
    return {
        "call_p50": calls_took[calls // 2],
        "call_p99": calls_took[calls * 99 // 100],
        "reload_p50": reloads_took[reloads // 2],
        "turn": turn,
    }


def _timed(daemon: Daemon, method: str) -> float:
    """Call a method; return the milliseconds until its answer."""
    began = time.perf_counter()
    call(daemon.control, method, {}, 30)
    return (time.perf_counter() - began) * 1000


def memory(folder: Path, policy: Path, elements: int) -> dict[str, float]:
    """Return bytes: the resident set with the policy and no element, and what each of many live elements adds."""
    with Daemon(folder, policy) as daemon:
        empty = daemon.memory()
        with serve(daemon) as connection:
            connection.sendall(b"".join([frame(record) for record in workload.many(elements // 5)]))
            until(lambda: daemon.elements() >= elements // 5, "a fifth of the elements", nap=0.05)
            first, some = daemon.memory(), daemon.elements()
            connection.sendall(b"".join([frame(r) for r in workload.many(elements - elements // 5, elements // 5)]))
            until(lambda: daemon.elements() >= elements, "all elements", nap=0.05)
            full, all_of_them = daemon.memory(), daemon.elements()
    return {
        "empty": empty,
        "full": full,
        "elements": all_of_them,
        "per_element": (full - empty) / all_of_them,
        "per_further_element": (full - first) / (all_of_them - some),
    }
