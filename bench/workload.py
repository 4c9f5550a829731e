"""What is measured with: streams of flow records (the policies are in `mixes`).

In: a recording if there is one. Out: payloads, and records. The same machine always gets the same workload.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from samples import flow, frame, stream

from nfa.cli.recording import frames

SHARED = Path(os.environ.get("NFA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
LIVE = SHARED / "data/streams/live-mix15.bin.gz"


def payloads() -> list[bytes]:
    """Return the payloads of live-mix15, or of a household that the repository makes."""
    if LIVE.is_file():
        return list(frames(LIVE))
    return [frame(record).partition(b"\n")[2] for record in stream(seed=1, flows=2500, gap=20)]


def framed(records: list[bytes]) -> bytes:
    """Return payloads with their length headers."""
    return b"".join([b'{"length": %d}\n%b' % (len(payload), payload) for payload in records])


_VARIED = re.compile(
    rb'"(?:other_ip":"(?P<address>[0-9a-f:.]+)|digest":"(?P<digest>[0-9a-f]{4})|(?:host_server|dns_host)_name":")'
)


def distinct(records: list[bytes], copies: int, addresses: bool = True) -> Iterator[bytes]:
    """Give the payloads `copies` times (up to 65,536), each time with other digests, host names and remote addresses.

    So no flow comes twice. Without `addresses` those stay, and with them the elements.
    """
    head = [payload for payload in records[:3] if b'"flow"' not in payload[:8]]
    yield from head
    for copy in range(copies):

        def varied(match: re.Match[bytes], copy: int = copy) -> bytes:
            if match["digest"]:
                return b'"digest":"%04x' % (int(match["digest"], 16) ^ copy)
            if not match["address"]:
                return b"%bh%d." % (match[0], copy)
            if not addresses:
                return match[0]
            packed = bytearray(ip_address(match["address"].decode()).packed)
            packed[-2] ^= copy & 255
            packed[-3] ^= copy >> 8
            return b'"other_ip":"%b' % str(ip_address(bytes(packed))).encode()

        for payload in records[len(head) :]:
            yield _VARIED.sub(varied, payload)


def many(count: int, offset: int = 0) -> list[dict[str, Any]]:
    """Return `count` distinct flow records that policies put into sets: YouTube to nftables, BitTorrent to an ipset."""
    made = []
    for number in range(offset, offset + count):
        ends: dict[str, Any] = {"local": f"192.168.{number >> 8 & 255}.{number & 255}", "other_port": 1024 + (number >> 16)}
        if number % 2:
            made.append(flow("QUIC", "netify.youtube", other="203.0.113.10", ip_protocol=17, **ends))
        else:
            made.append(flow("BitTorrent", other="198.51.100.9", **ends))
    return made
