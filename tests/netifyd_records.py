"""Single records as a Netify Agent writes them, made from a few arguments.

In: the fields of one record. Out: decoded records as netifyd 4.4.7 sends them (`flow`, `stats`, `purge`, `hello`,
`status`, `definitions`), in the dialects of 3.x and 5.x too (`as_v3`, `as_v5`), and their bytes (`payload`, `frame`).
The same arguments always give the same bytes. Field sets, ids and names are those of real recordings
(tests/project/test_samples.py compares them); unicast addresses are from RFC 1918 and the documentation ranges.
"""

from __future__ import annotations

import hashlib
import json
from ipaddress import ip_address, ip_network
from typing import Any

Record = dict[str, Any]

START = 1_795_000_000_000  # epoch milliseconds of the first flow: 2026-11-18
INTERVAL = 15_000  # milliseconds between two updates of the statistics

# tag: (id, category id) as in netify-categories.json and recordings of 4.4.7; 0: there is no category for it
APPLICATIONS = {
    "Unknown": (0, 0), "netify.facebook": (119, 24), "netify.twitter": (120, 24), "netify.youtube": (124, 29),
    "netify.netflix": (133, 29), "netify.apple-icloud": (143, 10), "netify.windows-update": (147, 31),
    "netify.instagram": (201, 24), "netify.reddit": (10010, 24), "netify.ntp": (10061, 27),
    "netify.tiktok": (10302, 24),
}  # fmt: skip
PROTOCOLS = {
    "Unknown": (0, 0), "DNS": (5, 14), "IPP": (6, 25), "HTTP": (7, 22), "MDNS": (8, 14), "NTP": (9, 14), "DHCP": (18, 14),
    "BitTorrent": (37, 5), "ICMP": (81, 0), "RTP": (87, 12), "TLS": (91, 9), "ICMPv6": (102, 0),
    "GTP": (152, 0), "QUIC": (188, 22), "HTTP/S": (196, 22), "MQTT": (222, 9),
    "ZOOM": (248, 20),
}  # fmt: skip
RISKS = {3: (90, 10), 16: (25, 25), 35: (25, 25), 36: (90, 10), 42: (5, 5), 46: (5, 5), 47: (5, 5)}
"""Risk id: what it adds to the scores of client and server."""

_LAN = (ip_network("192.168.0.0/16"), ip_network("2001:db8:1::/64"), ip_network("fe80::/10"))
ROUTER, ROUTER_MAC = "192.168.1.1", "02:00:5e:00:00:01"


def payload(record: Record) -> bytes:
    """The bytes netifyd 4.4 writes for a record: sorted keys, no blanks, UTF-8, one newline at the end."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def frame(record: Record, newline: bool = True) -> bytes:
    """A record with its length header; `newline=False` as a 3.x greeting, whose length counts no newline."""
    data = payload(record) if newline else payload(record)[:-1]
    return b'{"length": %d}\n' % len(data) + data


def flow(
    protocol: str = "HTTP/S",
    application: str = "Unknown",
    *,
    local: str = "192.168.1.20",
    local_port: int = 50000,
    other: str = "203.0.113.10",
    other_port: int = 443,
    ip_protocol: int = 6,
    when: int = START,
    seen: int = 0,
    risks: tuple[int, ...] = (),
    interface: str = "br-lan",
    internal: bool = True,
    **fields: Any,
) -> Record:
    """A `flow` record of netifyd 4.4.7.

    `when` is the time of its first packet and `seen` of its last one (epoch milliseconds, 0: as the first);
    `risks` are ids. Further keyword arguments set or add fields of the inner `flow` object.
    """
    vlan = fields.get("vlan_id", 0)
    application_id, application_category = APPLICATIONS[application]
    protocol_id, protocol_category = PROTOCOLS[protocol]
    inner: Record = {
        "category": {"application": application_category, "domain": 0, "protocol": protocol_category},
        "detected_application": application_id, "detected_application_name": application,
        "detected_protocol": protocol_id, "detected_protocol_name": protocol,
        "detection_guessed": False, "detection_updated": False, "dhc_hit": False, "soft_dissector": False,
        "digest": digest(ip_protocol, local, local_port, other, other_port, vlan),
        "first_seen_at": when, "first_update_at": when, "last_seen_at": seen or when,
        "ip_nat": False, "ip_protocol": ip_protocol, "ip_version": ip_address(local).version, "vlan_id": vlan,
        "local_ip": local, "local_mac": _mac(local), "local_port": local_port, "local_origin": True,
        "other_ip": other, "other_mac": _mac(other), "other_port": other_port,
        "other_type": _other_type(other), "risks": _risks(risks),
    }  # fmt: skip
    if "dns_host_name" in fields:
        inner["dhc_hit"] = True
    inner.update(fields)
    return {"established": False, "flow": inner, "interface": interface, "internal": internal, "type": "flow"}


def digest(ip_protocol: int, local: str, local_port: int, other: str, other_port: int, vlan: int = 0) -> str:
    """A flow's digest: like netifyd's a SHA-1 of the 5-tuple, so that it comes back when the tuple does."""
    text = f"{ip_protocol}|{vlan}|{local}|{local_port}|{other}|{other_port}"
    return hashlib.sha1(text.encode()).hexdigest()


def stats(
    digest: str,
    when: int = START,
    *,
    local: tuple[int, int] = (1200, 8),
    other: tuple[int, int] = (9000, 12),
    total: tuple[int, int] | None = None,
    gtp: Record | None = None,
    interface: str = "br-lan",
) -> Record:
    """A `flow_stats` record: (bytes, packets) of both sides since the last one, and in total."""
    size, packets = total or (local[0] + other[0], local[1] + other[1])
    inner: Record = {
        "detection_packets": 4, "digest": digest, "last_seen_at": when,
        "local_bytes": local[0], "local_packets": local[1], "other_bytes": other[0],
        "other_packets": other[1], "total_bytes": size, "total_packets": packets,
    }  # fmt: skip
    if gtp:
        inner["gtp"] = gtp
    record = {"established": False, "flow": inner, "interface": interface, "internal": True}
    return record | {"type": "flow_stats"}


def purge(digest: str, when: int = START, reason: str = "expired", **numbers: Any) -> Record:
    """A `flow_purge` record; reason is closed, expired or terminated, `numbers` are those of `stats`."""
    numbers = {"local": (0, 0), "other": (0, 0), "total": (10200, 20)} | numbers
    return stats(digest, when, **numbers) | {"reason": reason, "type": "flow_purge"}


def hello() -> Record:
    """The first record of every connection."""
    build = "Netify Agent/4.4.7 (openwrt; x86_64; conntrack; netlink; dns-cache; plugins; regex)"
    return {"agent_version": "4.4.7", "build_version": build, "json_version": 1.9, "type": "agent_hello"}


def status(when: int = START, uptime: int = 0, flows: int = 0) -> Record:
    """An `agent_status`: the short one of a greeting or, with an uptime (seconds), that of an update."""
    record: Record = {
        "cpu_cores": 4, "cpu_system": 0.01, "cpu_system_prev": 0.01, "cpu_user": 0.02, "cpu_user_prev": 0.02,
        "dhc_size": flows, "dhc_status": True, "flow_count": flows, "flow_count_prev": flows,
        "maxrss_kb": 21000, "maxrss_kb_prev": 21000, "sink_status": False, "sink_uploads": False,
        "timestamp": when // 1000, "type": "agent_status", "update_imf": 1,
        "update_interval": INTERVAL // 1000, "uptime": uptime, "version": 1.9,
    }  # fmt: skip
    if uptime:
        record["agent_version"] = "4.4.7"
        record["devices"] = {ROUTER_MAC: [ROUTER]}
        record["interfaces"] = {"br-lan": {"mac": ROUTER_MAC, "role": "LAN", "state": 1}}
        record["stats"] = {"br-lan": dict.fromkeys(_INTERFACE_STATS, 0)}
    return record


_INTERFACE_STATS = (
    "capture_dropped", "capture_filtered", "discarded", "discarded_bytes", "ethernet", "fragmented", "icmp",
    "igmp", "ip", "ip_bytes", "largest_bytes", "mpls", "pcap_drop", "pcap_ifdrop", "pcap_recv", "pppoe",
    "queue_dropped", "raw", "tcp", "tcp_resets", "tcp_seq_error", "udp", "vlan", "wire_bytes",
)  # fmt: skip


def definitions() -> Record:
    """Names and ids; as in 4.4.7, `applications` lists the protocols too."""
    protocols = [{"id": number, "tag": tag} for tag, (number, _category) in PROTOCOLS.items() if number]
    applications = [{"id": number, "tag": tag} for tag, (number, _category) in APPLICATIONS.items() if number]
    return {"applications": protocols + applications, "protocols": protocols, "type": "definitions"}


def as_v3(record: Record) -> Record:
    """The record as a 3.x agent has it: application names carry their id, there is no category."""
    if record["type"] == "definitions":
        return {"protocols": record["protocols"], "type": "protocols"}
    if record["type"] != "flow":
        return record
    inner = {key: value for key, value in record["flow"].items() if key != "category"}
    if number := inner["detected_application"]:
        inner["detected_application_name"] = f"{number}.{inner['detected_application_name']}"
    return record | {"flow": inner}


def as_v5(record: Record, kind: str = "flow", wan: str = "", **fields: Any) -> Record:
    """A `flow` record as a 5.x sink has it: type flow, flow_dpi_update or flow_dpi_complete.

    With conntrack metadata; `wan` is the router's address when the flow is masqueraded. Further keyword
    arguments set fields of the inner object (tags, nfq, conntrack, ip_dscp, ...).
    """
    gone = ("dhc_hit", "first_update_at", "soft_dissector")
    inner = {key: value for key, value in record["flow"].items() if key not in gone}
    origin, reply = ("local", "other") if inner["local_origin"] else ("other", "local")
    inner |= {
        "category": inner["category"] | {"local_network": 0, "other_network": 0, "overlay": 0},
        "conntrack": {
            "id": int(inner["digest"][:8], 16), "mark": 0,
            "reply_src_ip": inner[reply + "_ip"], "reply_src_port": inner[reply + "_port"],
            "reply_dst_ip": wan or inner[origin + "_ip"], "reply_dst_port": inner[origin + "_port"],
        },
        "detection_packets": 4, "digest_prev": [], "ip_dscp": 0, "ip_nat": bool(wan), "tags": [], "tcp": {},
        "nfq": {"src_iface": record["interface"], "dst_iface": "wan"},
        "risks": {"risks": []} | inner["risks"],
    }  # fmt: skip
    envelope = {"interface": record["interface"], "internal": record["internal"], "type": kind}
    return envelope | {"flow": inner | fields}


def _mac(address: str) -> str:
    ip = ip_address(address)
    if ip.is_multicast and ip.version == 4:
        return "01:00:5e:{:02x}:{:02x}:{:02x}".format(ip.packed[1] & 127, *ip.packed[2:])
    if ip.is_multicast:
        return "33:33:{:02x}:{:02x}:{:02x}:{:02x}".format(*ip.packed[12:])
    if address == "255.255.255.255":
        return "ff:ff:ff:ff:ff:ff"
    if address == ROUTER or _other_type(address) == "remote":
        return ROUTER_MAC
    return "02:00:5e:10:{:02x}:{:02x}".format(*ip.packed[-2:])


def _other_type(address: str) -> str:
    ip = ip_address(address)
    if ip.is_multicast:
        return "multicast"
    if address == "255.255.255.255":
        return "broadcast"
    return "local" if any(ip in network for network in _LAN) else "remote"


def _risks(ids: tuple[int, ...]) -> Record:
    client, server = (sum(RISKS[number][side] for number in ids) for side in (0, 1))
    scores = {"ndpi_risk_score": client + server}
    scores |= {"ndpi_risk_score_client": client, "ndpi_risk_score_server": server}
    return scores | ({"risks": list(ids)} if ids else {})
