"""What is measured with: a policy of 100 mixed actions, and streams of flow records.

In: netifyd's names, and a recording if there is one. Out: the policy as JSON, payloads, and recordings in files. The same
machine always gets the same workload.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

from samples import flow, frame, stream

from nfa import catalogue
from nfa.recording import frames

SHARED = Path(os.environ.get("NFA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
LIVE = SHARED / "data/streams/live-mix15.bin.gz"

_USUAL = [
    "youtube", "netflix", "facebook", "instagram", "twitter", "reddit", "microsoft", "akamai", "azure", "spotify",
    "apple-icloud", "apple-itunes", "dropbox", "yahoo", "google-ads", "office-365", "discord", "snapchat",
]  # fmt: skip
_PROTOCOLS = ["bittorrent", "dns", "http/s", "quic", "whatsapp", "steam", "stun", "sip", "openvpn", "ssdp", "vnc", "telegram"]
_CATEGORIES = ["social-media", "games", "advertiser", "adult", "streaming-media", "malware", "vpn-and-proxy", "file-sharing"]
_HOSTS = ["www.google.com", "ichnaea.netflix.com", "www.ntop.org", "dns.google", "api.example.com", "updates.example.net"]
_REGEXES = ["(^|\\.)doubleclick\\.net$", "^ads?[0-9]*\\.", "\\.(zoom|webex)\\.", "tracker"]


def policy(folder: str, count: int = 100) -> dict[str, Any]:
    """Return a policy of so many actions on eight sets and a log, as a household or an office would have it."""
    rng, names = Random(1), catalogue.builtin()
    applications = sorted(name.removeprefix("netify.") for name in names.applications if name.startswith("netify."))
    chosen = [*_USUAL, *rng.sample(applications, 40 - len(_USUAL))]
    categories = [name for name in _CATEGORIES if name in names.application_categories]
    networks = [f"{a}.{b}.0.0/16" for a, b in ((31, 13), (52, 114), (179, 60), (91, 108), (66, 22), (172, 217))]
    criteria = [
        *(f"app == '{name}';" for name in chosen),
        *(f"protocol == '{name}';" for name in _PROTOCOLS),
        *(f"category == '{name}';" for name in categories),
        *(f"protocol == 'http/s' && other_port == {port};" for port in (8443, 4443, 9443)),
        *(f"ip_protocol == 17 && other_port >= {port} && other_port <= {port + 20};" for port in (3478, 5060, 27015)),
        *(f"other_ip == {network};" for network in networks),
        "other_ip == 2a00:1450::/32;",
        *(f"detected_hostname == '{name}';" for name in _HOSTS),
        *(f"detected_hostname == 'rx:{pattern}';" for pattern in _REGEXES),
        *(f"ssl_version == {version} && ip_nat == false;" for version in ("0x0300", "0x0301", "0x0302")),
        "risks == 36 && origin == origin_local;",
        "local_mac == 02:00:5e:10:01:14 && !(protocol == 'dns');",
        "(app == 'netflix' || app == 'youtube') && protocol == 'quic';",
    ]
    criteria += [f"app == '{name}' && local_ip == 192.168.{n}.0/24;" for n, name in enumerate(rng.sample(applications, 199))]
    sets = [f"nftset.s{number}" for number in range(4)] + [f"ipset.s{number}" for number in range(4)]
    actions: dict[str, Any] = {}
    for number, text in enumerate(criteria[:count]):
        actions[f"action-{number:03}"] = {"criteria": text, "targets": [sets[number % 8]]}
    actions["action-002"]["exemptions"] = ["app == 'netify.twitter';", "192.168.1.50"]
    actions["action-004"]["targets"].append("log.all")
    targets: dict[str, Any] = {name: {"target_type": name[:-3], "set_name": name} for name in sets}
    targets |= {"log.all": {"target_type": "log", "path": folder, "interval": 300}}
    targets["nftset.s1"]["type"] = ["other_addr"]
    targets["ipset.s1"]["type"] = "hash:ip"
    common = {"ttl": 600, "managed": True, "set_family": "*", "flush_on_create": True, "flush_on_destroy": True}
    defaults = {"nftset": common | {"table_name": "bench"}, "ipset": common | {"type": "hash:ip,port,ip"}}
    return {"version": 1, "exemptions": ["10.99.0.0/16"], "actions": actions, "targets": targets, "target_defaults": defaults}


def payloads() -> list[bytes]:
    """Return the payloads of live-mix15, or of a household that the repository makes."""
    if LIVE.is_file():
        return list(frames(LIVE))
    return [frame(record).partition(b"\n")[2] for record in stream(seed=1, flows=2500, gap=20)]


def framed(records: list[bytes]) -> bytes:
    """Return payloads with their length headers."""
    return b"".join([b'{"length": %d}\n%b' % (len(payload), payload) for payload in records])


def distinct(records: list[bytes], copies: int) -> Iterator[bytes]:
    """Give the payloads `copies` times, each time with other remote addresses and digests, so that no flow comes twice."""
    head = [payload for payload in records[:3] if b'"flow"' not in payload[:8]]
    yield from head
    address = re.compile(rb'"other_ip":"([0-9a-f:.]+)"')
    digest = re.compile(rb'"digest":"(..)')
    for copy in range(copies):

        def other(match: re.Match[bytes], copy: int = copy) -> bytes:
            packed = bytearray(ip_address(match[1].decode()).packed)
            packed[-2] ^= copy
            return b'"other_ip":"%b"' % str(ip_address(bytes(packed))).encode()

        def renamed(match: re.Match[bytes], copy: int = copy) -> bytes:
            return b'"digest":"%02x' % (int(match[1], 16) ^ copy)

        for payload in records[len(head) :]:
            yield digest.sub(renamed, address.sub(other, payload, count=1), count=1)


def many(count: int, offset: int = 0) -> list[dict[str, Any]]:
    """Return `count` distinct flow records that the policy puts into sets: YouTube to nftables, BitTorrent to an ipset."""
    made = []
    for number in range(offset, offset + count):
        ends: dict[str, Any] = {"local": f"192.168.{number >> 8 & 255}.{number & 255}", "other_port": 1024 + (number >> 16)}
        if number % 2:
            made.append(flow("QUIC", "netify.youtube", other="203.0.113.10", ip_protocol=17, **ends))
        else:
            made.append(flow("BitTorrent", other="198.51.100.9", **ends))
    return made


def write_policy(folder: Path) -> Path:
    """Write the policy to a file and return its path."""
    path = folder / "policy.json"
    path.write_text(json.dumps(policy(str(folder / "log")), indent=1))
    return path
