"""What the demo replays, and what its sets must hold in the end: an independent, plain reading of the same records.

In: nothing but the repository's own stream (tests/samples.py). Out: the recording, and for each kernel set the elements
that a human with the four policies and the records in hand would expect, as `ipset` and `nft` print them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from typing import Any

from samples import APPLICATIONS, START, Record, stream

SECONDS = 112
"""How much of the household's evening is replayed."""
SOCIAL_MEDIA = 24  # the id of the category in netify-categories.json
PRINTER = "192.168.1.25"
_PORTS = {6: "tcp", 17: "udp"}


def evening() -> list[Record]:
    """Return the records of some two minutes in a household."""
    records = []
    for record in stream(seed=4, flows=600, gap=240):
        if record.get("flow", {}).get("last_seen_at", 0) > START + SECONDS * 1000:
            break
        records.append(record)
    return records


def predicted(records: Iterable[Record]) -> dict[str, set[str]]:
    """Return set name to elements. An ipset's are `address,protocol:port,address`, the nftables set's joined by ` . `."""
    found: dict[str, set[str]] = {}
    for name in ("nfa.bittorrent", "nfa.youtube", "nfa.social", "weakssl"):
        found |= {name + ".v4": set(), name + ".v6": set()}
    for flow in [record["flow"] for record in records if record["type"] == "flow"]:
        if flow["detected_protocol_name"] == "DNS":
            continue
        family = f".v{flow['ip_version']}"
        ends = flow["local_ip"], _PORTS.get(flow["ip_protocol"], ""), flow["other_port"], flow["other_ip"]
        element = "{3},{1}:{2},{0}".format(*ends)
        application = flow["detected_application"]
        if flow["detected_protocol_name"] == "BitTorrent":
            found["nfa.bittorrent" + family].add(element)
        if application == APPLICATIONS["netify.youtube"][0]:
            found["nfa.youtube" + family].add(element)
        if flow["category"]["application"] == SOCIAL_MEDIA and application != APPLICATIONS["netify.twitter"][0]:
            found["nfa.social" + family].add(element)
        weak = flow.get("ssl", {}).get("version") == "0x0302" and not flow["ip_nat"]
        if weak and PRINTER not in (flow["local_ip"], flow["other_ip"]):
            found["weakssl" + family].add("{} . {} . {} . {}".format(*ends))
    return found


def held(names: Iterable[str]) -> dict[str, set[str]]:
    """Return what the kernel's sets of these names hold, in the same form. A set that is not there holds nothing."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for item in json.loads(_output("nft", "-j", "list", "ruleset"))["nftables"]:
        name = item.get("set", {}).get("name")
        if name in found:
            found[name] = {" . ".join(map(str, _key(element))) for element in item["set"].get("elem", [])}
    name = ""
    for line in _output("ipset", "list").splitlines():
        if line.startswith("Name: "):
            name = line[6:]
        elif " timeout " in line and not line.startswith("Header") and name in found:
            found[name].add(line.split()[0])
    return found


def _key(element: Any) -> list[Any]:
    value = element["elem"]["val"]
    return list(value["concat"]) if isinstance(value, dict) else [value]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
