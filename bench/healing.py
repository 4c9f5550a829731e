"""How long sets are incomplete after others emptied or deleted them, and how long an edge of a window holds up the loop.

In: a folder for the daemon. Out: milliseconds and seconds, from the kernel's own notifications and counts, and the longest turn
of the loop as the daemon gives it.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from live import Daemon, serve, until
from samples import flow, frame

from nfa.daemon.netlink.monitor import SET_GONE, ask_size, size_of
from nfa.daemon.netlink.socket import Dump
from nfa.daemon.netlink.wire import HEADER, attributes
from nfa.daemon.targets.sets.slot import Slot

_GROUP_NFTABLES = 7
_NEW_ELEMENTS = 0xA0C
_TABLE, _NAME, _PROTOCOL = "bench", "h.v4", 7


def policy(folder: Path, **changed: Any) -> Path:
    """Write a policy that puts every flow into an nftables set and an ipset; `changed`: other top-level properties."""
    common = {"managed": True, "set_family": "ipv4", "set_name": "h", "ttl": 3600, "size": 100000}
    targets = {"n": common | {"target_type": "nftset", "table_name": _TABLE, "type": ["other_addr"]}}
    targets["i"] = common | {"target_type": "ipset", "type": "hash:ip"}
    whole = {"version": 1, "actions": {"all": {"criteria": "*", "targets": ["n", "i"]}}, "targets": targets} | changed
    path = folder / "healing.json"
    path.write_text(json.dumps(whole))
    return path


def _flow(number: int, application: str = "netify.youtube") -> bytes:
    address = f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    return frame(flow("QUIC", application, other=address, ip_protocol=17))


class _Monitor:
    """Hears what happens to nftables' sets, ours and others'."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
        self._socket.bind((0, 0))
        self._socket.setsockopt(270, 1, _GROUP_NFTABLES)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP

    def __enter__(self) -> _Monitor:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def skip(self) -> None:
        """Forget what has happened so far."""
        while select.select([self._socket], [], [], 0)[0]:
            self._socket.recv(1 << 18)

    def deleted_and_filled(self, name: str, count: int, seconds: float = 30) -> tuple[float, float]:
        """Return when (time.perf_counter) a set was deleted and when it had `count` elements. 0.0: it was not deleted."""
        gone, elements, deadline = 0.0, 0, time.perf_counter() + seconds
        while elements < count:
            if not select.select([self._socket], [], [], max(0.0, deadline - time.perf_counter()))[0]:
                raise TimeoutError(f"{name} has {elements} of {count} elements")
            data, arrived = self._socket.recv(1 << 18), time.perf_counter()
            position = 0
            while position + 20 <= len(data):
                length, kind, *_ = HEADER.unpack_from(data, position)
                found = dict(attributes(data[position + 20 : position + length]))
                if found.get(2) == name.encode() + b"\0":
                    if kind == SET_GONE:
                        gone, elements = arrived, 0
                    elif kind == _NEW_ELEMENTS:
                        elements += len(list(attributes(found[3])))
                position += (length + 3) & ~3
        return gone, arrived


def nftables_and_ipset(folder: Path, elements: int, rounds: int) -> dict[str, float]:
    """Delete the nftables set, and flush the ipset, of so many elements again and again.

    Returns milliseconds until all elements are back: median and worst of each.
    """
    took: dict[str, list[float]] = {"nftables": [], "ipset": []}
    with Daemon(folder, policy(folder)) as daemon, serve(daemon) as connection, _Monitor() as monitor:
        connection.sendall(b"".join([_flow(number) for number in range(elements)]))
        until(lambda: daemon.elements() >= 2 * elements, "all elements", nap=0.02)
        for _ in range(rounds):
            monitor.skip()
            subprocess.run(["nft", "delete", "set", "inet", _TABLE, _NAME], check=True)
            gone, filled = monitor.deleted_and_filled(_NAME, elements)
            took["nftables"].append((filled - gone) * 1000)
            # A set that others empty in a loop is whole again each second only, on purpose.
            time.sleep(Slot.pace)
        dump = Dump()
        for _ in range(max(2, rounds // 3)):
            subprocess.run(["ipset", "flush", _NAME], check=True)
            gone = time.perf_counter()
            until(lambda: _size(dump) == elements, "the ipset is whole", nap=0.005)
            took["ipset"].append((time.perf_counter() - gone) * 1000)
            # Not always at the same time after the daemon has looked.
            time.sleep(0.3 + 0.1 * (len(took["ipset"]) % 13))
        dump.close()
        turn = daemon.status()["loop"]["longest_ms"]
    figures: dict[str, float] = {"elements": elements, "turn": turn}
    for kind, times in took.items():
        times.sort()
        figures[f"{kind}_median"], figures[f"{kind}_worst"] = times[len(times) // 2], times[-1]
    return figures


def _size(dump: Dump) -> int | None:
    dump.ask(ask_size(_NAME, _PROTOCOL, 1))
    found = None
    while data := dump.next():
        size = size_of(data, 1)
        found = size if size is not None else found
    return found


def edge(folder: Path, flows: int, changed: int, seconds: int) -> dict[str, float]:
    """Have a window begin `seconds` after now, that concerns `changed` of `flows` live flows.

    Each flow has an element in an nftables set; those that the edge changes get two more, one of them in an ipset. Returns the
    longest turn of the loop before and with the edge (ms), the seconds from the edge to the last element, and bytes of the
    daemon's memory a flow, its element included.
    """
    at = int(time.time()) + seconds
    clock = [time.strftime("%H:%M:%S", time.gmtime(moment)) for moment in (at, at + 7200)]
    always = {"time_start": "00:00", "time_end": "23:59:59"}
    actions = {
        "day": {"criteria": "*", "targets": ["n"], "time_of_day": always},
        "night": {
            "criteria": "app == 'netflix';", "targets": ["night", "i"],
            "time_of_day": {"time_start": clock[0], "time_end": clock[1]},
        },
    }  # fmt: skip
    path = policy(folder, actions=actions, timezone="UTC0")
    data = json.loads(path.read_text())
    data["targets"]["night"] = data["targets"]["n"] | {"set_name": "night"}
    path.write_text(json.dumps(data))
    every = flows // changed
    with Daemon(folder, path) as daemon, serve(daemon) as connection, _Monitor() as monitor:
        empty = daemon.memory()
        for number in range(flows):
            connection.sendall(_flow(number, "netify.youtube" if number % every else "netify.netflix"))
        until(lambda: daemon.status()["flows"]["kept"] >= flows, "all flows", nap=0.05)
        if time.time() > at:
            raise TimeoutError("the edge was over before all flows were there")
        memory, before = daemon.memory(), daemon.status()["loop"]["longest_ms"]
        monitor.skip()
        monitor.deleted_and_filled("night.v4", changed, seconds + 60)
        took = time.time() - at
        until(lambda: daemon.status()["targets"]["night"]["elements"] >= changed, "all of it")
        after = daemon.status()["loop"]["longest_ms"]
    return {
        "flows": flows, "changed": changed, "turn_before": before, "turn": after, "seconds": took,
        "per_flow": (memory - empty) / flows,
    }  # fmt: skip
