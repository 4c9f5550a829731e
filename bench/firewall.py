"""Firewall targets, judged by packets: how soon a connection is blocked, how long it passes after others delete a part of the
table, and what many of them cost the daemon.

In: a folder for the daemon. Out: milliseconds and bytes. Client, router and server are namespaces; the packets are real.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import memory
import mixes
from kernel_lab import Namespace
from live import Daemon, serve, until
from network_lab import AWAY, HOME, Network
from samples import flow, frame

from nfa.daemon.bus.control import call

PORT = 5000
FIRST = 10000
"""Ports of the server, and of the client's connections, one after the other."""
FW4 = """
table inet fw4
flush table inet fw4
table inet fw4 {
  chain forward { type filter hook forward priority filter; policy drop
    ct state established,related accept
    iifname "lan" accept
  }
  chain srcnat { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
"""
_OPEN = "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 net.ipv4.icmp_msgs_burst=100000"

# Sends each record to the daemon at its time, and from then on packets of its connection, until the router refuses one: a
# refusal is there before the next packet is sent.
_PROBE = r"""
import json, resource, socket, struct, sys, time
address, port, first, rate, stream, path = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]
netifyd = socket.socket(fileno=stream)
frames = []
data = open(path, "rb").read()
while data:
    size, = struct.unpack_from("=I", data)
    frames.append(data[4 : 4 + size])
    data = data[4 + size :]
resource.setrlimit(resource.RLIMIT_NOFILE, (len(frames) + 100,) * 2)
talks = []
for number in range(len(frames)):
    talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    talk.bind(("", first + number))
    talk.connect((address, port))
    talk.send(b"x")
    talks.append(talk.send)
clock, began, number, pending, took, last = time.perf_counter, time.perf_counter() + 0.1, 0, {}, [], 0.0
while number < len(frames) or (pending and clock() < last + 3):
    now = clock()
    if number < len(frames) and now >= began + number / rate:
        pending[number] = [now, now]
        netifyd.sendall(frames[number])
        number += 1
        last = now
    for one, times in list(pending.items()):
        before = clock()
        try:
            talks[one](b"x")
            times[1] = before
        except ConnectionRefusedError:
            took.append(times[1] - times[0])
            del pending[one]
print(json.dumps(took))
"""

# Sends packets of one connection twice a millisecond, until its standard input ends.
_SENDER = r"""
import select, socket, sys, time
talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
talk.bind(("", int(sys.argv[3])))
talk.connect((sys.argv[1], int(sys.argv[2])))
while not select.select([sys.stdin], [], [], 0.0005)[0]:
    try:
        talk.send(b"x")
    except OSError:
        pass
"""
# Says when each packet arrived.
_SERVER = r"""
import socket, sys, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", int(sys.argv[1])))
print("there", flush=True)
while True:
    server.recv(100)
    sys.stdout.write(f"{time.perf_counter()}\n")
    sys.stdout.flush()
"""


@contextmanager
def _routed(folder: Path, policy: dict[str, Any]) -> Iterator[tuple[Network, Daemon, socket.socket]]:
    """A client, a router with a daemon, and a server."""
    folder.mkdir(exist_ok=True)
    path = folder / "policy.json"
    path.write_text(json.dumps(policy))
    router = Namespace()
    try:
        net = Network(router, folder / "lab", {})
        try:
            for each in (router, net.home.namespace):
                each.run(*_OPEN.split())
            router.run("nft", "-f", "-", text=FW4)
            with Daemon(folder, path, inside=router.prefix) as daemon, serve(daemon) as connection:
                yield net, daemon, connection
        finally:
            net.close()
    finally:
        router.close()


def _policy(actions: int, target: str = "stop") -> dict[str, Any]:
    """A policy of so many actions with firewall targets; the last one is for YouTube, the others each for a port."""
    targets = {"stop": {"target_type": "firewall", "verdict": "reject"}, "first": {"target_type": "firewall", "set_dscp": "EF"}}
    made: dict[str, Any] = {}
    for number in range(actions - 1):
        made[f"a{number}"] = {"criteria": f"other_port == {20000 + number};", "targets": [target]}
    made["films"] = {"criteria": "app == 'youtube';", "targets": [target]}
    return {"version": 1, "actions": made, "targets": targets, "timezone": "UTC0"}


def _flow(local_port: int) -> bytes:
    ends = {"local": HOME[4], "local_port": local_port, "other": AWAY[4], "other_port": PORT}
    return frame(flow("QUIC", "netify.youtube", ip_protocol=17, **ends))


def latency(folder: Path, count: int, rate: int) -> dict[str, float]:
    """Have so many connections blocked, `rate` in a second.

    Returns milliseconds from the record to the first packet that is stopped, and how many were `lost`: never stopped.
    """
    frames = [_flow(FIRST + number) for number in range(count)]
    path = folder / "frames"
    path.write_bytes(b"".join([len(one).to_bytes(4, sys.byteorder) + one for one in frames]))
    with _routed(folder / "blocked", _policy(100)) as (net, _, connection):
        words = [AWAY[4], PORT, FIRST, rate, connection.fileno(), path]
        done = subprocess.run(
            [*net.home.namespace.prefix, sys.executable, "-c", _PROBE, *map(str, words)],
            stdout=subprocess.PIPE, text=True, check=True, pass_fds=[connection.fileno()],
        )  # fmt: skip
    took = sorted(json.loads(done.stdout))
    figures = {f"p{part:g}": took[min(len(took) - 1, int(len(took) * part / 100))] * 1000 for part in (50, 99, 99.9, 100)}
    return figures | {"records": count, "lost": count - len(took)}


DAMAGE = (
    FW4, "flush ruleset" + FW4, "delete table inet nfa", "flush table inet nfa", "flush map inet nfa connections.v4",
    "flush chain inet nfa nfa_forward", "flush chain inet nfa t_stop", "flush chain inet nfa c0001",
    "delete element inet nfa connections.v4 { ELEMENT }",
    "flush chain inet nfa nfa_forward\nflush chain inet nfa nfa_forward_ipv6\ndelete map inet nfa connections.v4",
    "flush chain inet nfa nfa_forward\ndelete chain inet nfa nfa_forward",
    "flush map inet nfa combinations", "delete element inet nfa combinations { 1 }",
)  # fmt: skip
"""What others do: reload the firewall, empty everything, delete a part. The last of quick succession counts, too."""


def healing(folder: Path, rounds: int, times: int, held: int) -> dict[str, float]:
    """Damage the table so often while a client sends, with so many connections held.

    Returns milliseconds for which packets of a blocked connection passed, from the first to the last: the median and the worst
    of `rounds`; and after so many `times` the same without a pause, from the end of the last (`quick`, the worst of all kinds).
    """
    with _routed(folder / "healed", _policy(100)) as (net, daemon, connection):
        server = _start(net.away.namespace, _SERVER, PORT)
        sender = _start(net.home.namespace, _SENDER, AWAY[4], PORT, FIRST)
        assert server.stdout and server.stdout.readline()
        os.set_blocking(server.stdout.fileno(), False)
        connection.sendall(b"".join([_flow(FIRST + number) for number in range(held)]))
        until(lambda: daemon.elements() >= held, "connections held")
        element = f"{HOME[4]} . {FIRST} . udp . {AWAY[4]} . {PORT}"
        took, quick = [], []
        for number in range(rounds):
            _arrivals(server)
            _damage(net.router, DAMAGE[number % len(DAMAGE)].replace("ELEMENT", element))
            passed = _arrivals(server)
            took.append((passed[-1] - passed[0]) * 1000 if passed else 0.0)
        for commands in DAMAGE[1:5]:
            for _ in range(times):
                ended = _damage(net.router, commands)
            passed = _arrivals(server)
            quick.append(max(0.0, passed[-1] - ended) * 1000 if passed else 0.0)
        for process in (sender, server):
            process.kill()
            process.communicate()
    took.sort()
    return {"held": held, "rounds": rounds, "median": took[len(took) // 2], "worst": took[-1], "quick": max(quick)}


def _start(namespace: Namespace, program: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*namespace.prefix, sys.executable, "-c", program, *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _damage(router: Namespace, commands: str) -> float:
    """Do that. Returns when it was done, at the latest. What is not there yet cannot be deleted once more."""
    router.attempt("nft", "-f", "-", text=commands)
    return time.perf_counter()


def _arrivals(server: subprocess.Popen[str], quiet: float = 0.25) -> list[float]:
    """Return when packets arrived, until none has for a while."""
    assert server.stdout
    deadline = time.perf_counter() + quiet
    text = b""
    while time.perf_counter() < deadline:
        try:
            data = os.read(server.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            time.sleep(0.005)
            continue
        text += data
        deadline = time.perf_counter() + quiet
    return [float(line) for line in text.split()]


def turns(folder: Path, actions: int, held: int) -> dict[str, float]:
    """Return the longest turn of the loop in milliseconds with so many actions, and connections held that are all theirs.

    `before`; after a reload that disables one of them (`reload`); a pause of all (`pause`); an edge of hours that ends all
    (`edge`). `end`: seconds until the edge had done its work.
    """
    policy = _policy(actions)
    edge = int(time.time()) + 45
    clock = [time.strftime("%H:%M:%S", time.gmtime(moment)) for moment in (edge - 7200, edge)]
    for action in policy["actions"].values():
        action["time_of_day"] = {"time_start": clock[0], "time_end": clock[1]}
    made = folder / "turns"
    found: dict[str, float] = {"actions": actions, "held": held}
    with _routed(made, policy) as (_, daemon, connection):
        empty = daemon.memory()
        for number in range(held):
            ends: dict[str, Any] = {"local": f"192.168.{2 + number // 250}.{number % 250}", "local_port": 1024 + number}
            record = flow("QUIC", other="203.0.113.10", other_port=20000 + number % (actions - 1), ip_protocol=17, **ends)
            connection.sendall(frame(record))
        until(lambda: daemon.elements() >= held, "connections held")
        found["memory"] = (daemon.memory() - empty) / held
        found["before"] = _longest(daemon)
        policy["actions"]["a0"]["enabled"] = False
        (made / "policy.json").write_text(json.dumps(policy))
        call(daemon.control, "reload", {}, 30)
        until(lambda: daemon.elements() < held, "the reload")
        found["reload"] = _longest(daemon)
        call(daemon.control, "pause", {"name": "all", "seconds": 60}, 30)
        until(lambda: not daemon.elements(), "the pause", nap=0.2)
        found["pause"] = _longest(daemon)
        call(daemon.control, "resume", {"name": "all"}, 30)
        until(lambda: daemon.elements() >= held - held // (actions - 1) - 1, "the end of the pause", nap=0.2)
        found["resume"] = _longest(daemon)
        until(lambda: not daemon.elements(), "the edge", nap=0.2)
        found["end"] = time.time() - edge
        found["edge"] = _longest(daemon)
    return found


def alone(folder: Path, sizes: tuple[int, ...]) -> dict[str, float]:
    """Return milliseconds of CPU for a record that comes alone, by how many connections are held before it.

    It must not depend on that: if elements led to chains, the kernel would walk all of them in each transaction.
    """
    found: dict[str, float] = {}
    with _routed(folder / "alone", _policy(100)) as (_, daemon, connection):
        sent = 0

        def send(count: int) -> None:
            nonlocal sent
            for number in range(sent, sent + count):
                ends: dict[str, Any] = {"local": f"192.168.{2 + number // 250}.{number % 250}", "local_port": 1024 + number}
                connection.sendall(frame(flow("QUIC", "netify.youtube", other="203.0.113.10", ip_protocol=17, **ends)))
            sent += count

        for size in sizes:
            send(size - sent)
            until(lambda: daemon.elements() >= sent, "connections held", nap=0.05)
            before = daemon.cpu()
            for _ in range(100):
                send(1)
                time.sleep(0.005)
            found[str(size)] = (daemon.cpu() - before) * 10
    return found


def at_rest(folder: Path, count: int) -> int:
    """Return the bytes of a daemon with so many actions, all with firewall targets of eight kinds."""
    whole = mixes.policy(folder, count)
    kinds: tuple[dict[str, str], ...] = (
        {"verdict": "drop"}, {"verdict": "reject", "scope": "server"}, {"verdict": "drop", "scope": "device"},
        {"set_dscp": "EF"}, {"set_dscp": "CS1"}, {"limit": "2mbit"}, {"set_mark": "0x100/0xf00"}, {"limit_up": "1mbit"},
    )  # fmt: skip
    names = [name for name in whole["targets"] if not name.startswith("log")]
    whole["targets"] |= {name: {"target_type": "firewall", **kind} for name, kind in zip(names, kinds, strict=True)}
    del whole["target_defaults"]
    path = folder / f"firewall-{count}.json"
    path.write_text(json.dumps(whole))
    (folder / "address-groups.json").write_text(json.dumps(mixes.groups()))
    with Daemon(folder, path) as daemon:
        found = daemon.status()
        if len(found["actions"]) + found["actions_left_out"] != count:
            raise RuntimeError(f"not the policy that was meant: {found['policy']}")
        return daemon.memory()


def connections(folder: Path, count: int) -> dict[str, float]:
    """Return what so many held connections, one a flow, add to the daemon (see `memory.elements`)."""
    whole = _policy(2)
    whole["actions"]["a0"]["criteria"] = "protocol == 'bittorrent';"
    path = folder / "connections.json"
    path.write_text(json.dumps(whole))
    return memory.elements(folder, path, count)


def _longest(daemon: Daemon) -> float:
    return float(daemon.status()["loop"]["longest_ms"])
