"""How long it takes from a record on the socket until its element is in the kernel, by the kernel's own notifications.

In: a policy that puts YouTube into an nftables set, and a rate. Out: percentiles in milliseconds.
"""

from __future__ import annotations

import gc
import select
import socket
import struct
import time
from pathlib import Path

import workload
from live import Daemon, Feeder, serve
from samples import frame

from nfa.daemon.netlink.wire import attributes

_NEW_ELEMENT = 0xA0C
_GROUP_NFTABLES = 7
_PERCENTILES = (50, 99, 99.9, 100)
_QUIET = 0.5
"""Seconds without a notification after which no more are waited for."""


def measure(folder: Path, policy: Path, count: int, rate: float) -> dict[str, float]:
    """Send so many flow records, each a new element, `rate` in a second (0: as fast as the daemon reads).

    Returns milliseconds (`turn`: of the longest turn of the loop), the records a second that were `sent`, and how many were
    `lost`: had no element.
    """
    records = workload.many(2 * count)[1::2]
    frames = [frame(record) for record in records]
    keys = [socket.inet_aton(r["flow"]["local_ip"]) + struct.pack(">H", r["flow"]["other_port"]) for r in records]
    heard: list[tuple[float, bytes]] = []
    with (
        Daemon(folder, policy) as daemon,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as monitor,
        serve(daemon) as connection,
    ):
        monitor.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        monitor.bind((0, 0))
        monitor.setsockopt(270, 1, _GROUP_NFTABLES)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP
        feeder = Feeder(connection, frames, rate)
        gc.disable()  # to look through the bench's own objects takes a tenth of a second, in which nothing is heard
        try:
            while select.select([monitor], [], [], _QUIET)[0]:
                data = monitor.recv(1 << 18)
                heard.append((time.perf_counter(), data))
        finally:
            gc.enable()
        sent = feeder.wait()
        turn = daemon.status()["loop"]["longest_ms"]
    arrived: dict[bytes, float] = {}
    for moment, data in heard:
        for key in _elements(data):
            arrived.setdefault(key, moment)
    took = sorted([arrived[key] - began for key, began in zip(keys, sent, strict=True) if key in arrived])
    if not took:
        raise RuntimeError("no element reached the kernel")
    figures: dict[str, float] = {"records": count, "lost": count - len(took), "turn": turn}
    figures["sent"] = (count - 1) / (sent[-1] - sent[0])
    for part in _PERCENTILES:
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
