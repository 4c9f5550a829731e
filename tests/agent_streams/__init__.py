"""Records of a real netifyd 4.4.7 between a client, a router and a server, less what no test here reads.

`static-route-reversed`, `default-split-in-two-all-local`: the router has a route of its own to the servers, or two halves of
a default route; `nat-lan-wan-pairs`: netifyd captures the LAN and the WAN; `late-join-no-flows`: a client that connects late.
The networks of the lab: LAN lan0 192.168.1.1/24 and fd00:1::1/64, WAN wan0 81.2.3.1/24 and 2a0b:1::1/64.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]
LAN, WAN = 2, 3
NAMES = {1: "lo", LAN: "lan0", WAN: "wan0"}


def records(name: str) -> list[Record]:
    """All records of a recording, in order."""
    file = Path(__file__).with_name(name + ".jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def flows(name: str) -> list[Record]:
    """Its flow records."""
    return [record for record in records(name) if record["type"] == "flow"]
