"""What random expressions ask for, and flow records of any version that may have it."""

from __future__ import annotations

from random import Random
from typing import Any

import samples

# What records are made of and expressions ask for: few values, so that most comparisons have a chance of being true.
ADDRESSES = {4: ["192.168.4.20", "192.168.4.21", "10.1.2.3", "203.0.113.10"],
             6: ["2001:db8:1::20", "2001:db8:4::1", "fe80::1", "2001:db8:7fff::1"]}  # fmt: skip
MACS = ["02:00:5e:10:00:14", "02-00-5E-10-00-15", ""]
PORTS = [0, 53, 443, 50000, 65535]
NAMES = ["www.YouTube.com", "youtube.com", "a.example", "x'y", "", "Straße.example", "rx:no"]
TEXTS = ["www.youtube.com", "YouTube.com", "a.example", "b", "straße.example", "rx:youtube",
         "rx:^www\\.", "rx:e$", "rx:(a|b)+c?"]  # fmt: skip
CATEGORIES = [0, 1, 22, 24, 29]
INTEGERS = ["0", "1", "4", "6", "17", "0x11", "443", "0x0303", "50000", "0x1301", "110", "65535", "18446744073709551615"]
WORDS: dict[str, list[str]] = {
    "tag": ["'youtube'", "'netify.YouTube'", "'netflix'", "'unknown'", "0", "124", "0x85"],
    "protocol": ["'quic'", "'HTTP/S'", "'unknown'", "0", "188", "196"],
    "category": ["22", "24", "0", "1", "29"],
    "risk": ["46", "3", "0", "47"],
    "string": [f"'{text}'" for text in TEXTS],
    "strings": ["'h2'", "'h3'", "'H3-29'", "'rx:^h3'", "'kids'", "'rx:.'"],
    "name": ["'br-lan'", "'BR-lan'", "'wan'", "'rx:^br'"],
    "address": [*ADDRESSES[4], *ADDRESSES[6], "192.168.4.0/24", "192.168.4.16/29", "10.0.0.0/7", "0.0.0.0/0", "::/0",
                "2001:db8::/45", "2001:db8:4000::/35", "203.0.113.10/31", "@guests", "@nobody",
                "@printer", "@rooms"],
    "mac": ["02:00:5e:10:00:14", "02-00-5e-10-00-15", "ff:ff:ff:ff:ff:ff", "@guests", "@nobody", "@tablet"],
    "device": ["'tablet'", "@printer", "'phone'", "@rooms", "'away'"],
    "integer": INTEGERS,
    "boolean": ["true", "FALSE", "True", "false"],
}  # fmt: skip


def record_of(seed: int) -> dict[str, Any]:
    """A flow record of any version, with or without each optional part."""
    rng = Random(seed)
    version = rng.choice((4, 6))
    some = rng.choice
    record = samples.flow(
        some(list(samples.PROTOCOLS)), some(["Unknown", "netify.youtube", "netify.netflix", "netify.tiktok"]),
        local=some(ADDRESSES[version]), other=some(ADDRESSES[version]), local_port=some(PORTS), other_port=some(PORTS),
        ip_protocol=some([1, 6, 17]), risks=some([(), (46,), (3, 46), (47,)]), interface=some(["br-lan", "wan"]),
        local_mac=some(MACS), other_mac=some(MACS), vlan_id=some([0, 4]),
        other_type=some(["remote", "local", "unknown", "error"]),
        local_origin=some([True, False]), detection_guessed=some([True, False]), detection_updated=some([True, False]),
        ip_nat=some([True, False]),
    )  # fmt: skip
    record["internal"] = some([True, False, None])
    flow = record["flow"]
    flow["category"] = {name: some(CATEGORIES) for name in ("application", "protocol", "domain")}
    if rng.random() < 0.6:
        names = ("client_sni", "server_cn", "issuer_dn", "subject_dn", "client_ja3", "client_ja4")
        flow["ssl"] = {name: some(NAMES) for name in names}
        flow["ssl"] |= {"version": some(["0x0303", "0x0304"]), "cipher_suite": some(["0x1301", "0xc02f", 0]),
                        "alpn": some([[], ["h2"], ["H3", "h3-29"]])}  # fmt: skip
    if rng.random() < 0.5:
        flow |= {"host_server_name": some(NAMES), "dns_host_name": some(NAMES), "gtp": {"version": 1},
                 "http": {"url": some(NAMES), "user_agent": some(NAMES)}, "bt": {"info_hash": some(NAMES)},
                 "ct_mark": some([0, 1, 0x11])}  # fmt: skip
    if rng.random() < 0.3:
        for name in rng.sample(["local_origin", "other_type", "risks", "vlan_id", "ip_nat", "local_mac"], 3):
            flow.pop(name, None)
    if rng.random() < 0.2:
        del flow["category"]
    elif rng.random() < 0.3 and "risks" in flow and "local_origin" in flow:
        mark = {"id": 1, "mark": some([0, 17])}
        return samples.as_v5(record, some(["flow", "flow_dpi_update", "flow_dpi_complete"]), tags=some([[], ["Kids", "b"]]),
                             conntrack=mark, ip_nat=some([True, False]))  # fmt: skip
    return record
