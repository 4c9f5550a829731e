"""Flow records and whole streams that the repository makes itself: tests and the demo need no recordings.

In: a seed and numbers, or the fields of one record. Out: decoded records as netifyd 4.4.7 sends them (`flow`,
`stats`, `purge`, `hello`, `status`, `definitions`), in the dialects of 3.x and 5.x too (`as_v3`, `as_v5`), as
bytes (`payload`, `frame`), and a mixed household (`stream`, `recording`). The same arguments always give the
same bytes. Field sets, ids and names are those of real recordings (tests/test_samples.py compares them);
unicast addresses are from RFC 1918 and the documentation ranges.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

Record = dict[str, Any]
Kind = Callable[[Random, int], list[Record]]  # the records of a flow that begins at a time

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
    "Unknown": (0, 0), "DNS": (5, 14), "HTTP": (7, 22), "MDNS": (8, 14), "NTP": (9, 14), "DHCP": (18, 14),
    "BitTorrent": (37, 5), "ICMP": (81, 0), "RTP": (87, 12), "TLS": (91, 9), "ICMPv6": (102, 0),
    "GTP": (152, 0), "QUIC": (188, 22), "HTTP/S": (196, 22), "MQTT": (222, 9),
}  # fmt: skip
RISKS = {3: (90, 10), 16: (25, 25), 35: (25, 25), 36: (90, 10), 42: (5, 5), 46: (5, 5), 47: (5, 5)}
"""Risk id: what it adds to the scores of client and server."""

_LAN = (ip_network("192.168.0.0/16"), ip_network("2001:db8:1::/64"), ip_network("fe80::/10"))
_ROUTER, _ROUTER_MAC = "192.168.1.1", "02:00:5e:00:00:01"


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
        record["devices"] = {_ROUTER_MAC: [_ROUTER]}
        record["interfaces"] = {"br-lan": {"mac": _ROUTER_MAC, "role": "LAN", "state": 1}}
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


def recording(seed: int = 1, flows: int = 200, gap: int = 250) -> bytes:
    """The bytes a client of netifyd 4.4.7 receives: `stream` with length headers."""
    return b"".join(map(frame, stream(seed, flows, gap)))


def stream(seed: int = 1, flows: int = 200, gap: int = 250) -> Iterator[Record]:
    """A household's records in the order of the wire, from the greeting to the purge of the last flow.

    A flow begins every `gap` milliseconds on average; the first ones are one of each kind. As in real streams
    a TLS flow is refined after its first record, statistics come every INTERVAL for flows with packets since,
    and unknown or guessed flows are announced just before their purge.
    """
    rng = Random(seed)
    yield from (hello(), status(), definitions())
    household = _Household()
    when = START
    for number in range(flows):
        when += rng.randrange(2 * gap + 1)
        yield from household.until(when)
        kind = _KINDS[number] if number < len(_KINDS) else rng.choice(_KINDS)
        household.begin(kind(rng, when), rng)
    yield from household.until(when + 4 * INTERVAL)
    yield from household.stop()


@dataclass
class _Life:
    """A live flow in the making of a stream."""

    record: Record
    end: int  # epoch milliseconds of its last packet
    rate: int  # bytes each update interval
    gtp: Record | None = None
    announced: bool = True
    counted: int = 0  # until when its packets are in the statistics
    total: tuple[int, int] = (0, 0)

    def stats(self, tick: int) -> Record:
        """The statistics of an update."""
        packets = self.rate // 1000 + 2
        self.counted = min(self.end, tick)
        self.total = (self.total[0] + self.rate, self.total[1] + packets)
        sent = (self.rate // 10, packets // 2)
        received = (self.rate - sent[0], packets - sent[1])
        digest = self.record["flow"]["digest"]
        return stats(digest, self.counted, local=sent, other=received, **self._common())

    def purge(self, reason: str) -> Iterator[Record]:
        """The last record, after the first one if the flow was never announced."""
        if not self.announced:
            yield self.record
        yield purge(self.record["flow"]["digest"], self.end, reason, **self._common())

    def _common(self) -> Record:
        return {"total": self.total, "gtp": self.gtp, "interface": self.record["interface"]}


class _Household:
    """The clock of a stream: emits records that are due, and the statistics and purges of each update."""

    def __init__(self) -> None:
        self.due: list[tuple[int, int, Record]] = []
        self.live: dict[str, _Life] = {}
        self.tick = START + INTERVAL
        self.serial = 0  # keeps the order of records due at the same time

    def begin(self, records: list[Record], rng: Random) -> None:
        """A flow begins: its first record, then the refined ones."""
        gtp = records[0].pop("gtp", None)
        first = records[0]["flow"]
        guessed = first["detection_guessed"]
        for record in [] if guessed else records:
            self.serial += 1
            heapq.heappush(self.due, (record["flow"]["last_seen_at"], self.serial, record))
        long = first["detected_protocol_name"] in ("BitTorrent", "QUIC", "HTTP/S", "MQTT")
        end = records[-1]["flow"]["last_seen_at"] + rng.randrange(1000 if long else 5, 60000 if long else 500)
        self.live[first["digest"]] = _Life(records[-1], end, rng.randrange(500, 2_000_000), gtp, not guessed)

    def until(self, when: int) -> Iterator[Record]:
        """All that is due up to `when`."""
        while True:
            if self.due and self.due[0][0] <= min(when, self.tick):
                yield heapq.heappop(self.due)[2]
            elif self.tick <= when:
                yield from self._update()
                self.tick += INTERVAL
            else:
                return

    def stop(self) -> Iterator[Record]:
        """The agent ends: what still lives is terminated."""
        for life in self.live.values():
            yield from life.purge("terminated")

    def _update(self) -> Iterator[Record]:
        for digest, life in list(self.live.items()):
            if life.announced and min(life.end, self.tick) > life.counted:
                yield life.stats(self.tick)
            tcp = life.record["flow"]["ip_protocol"] == 6
            if self.tick - life.end > (2000 if tcp and life.announced else 30000):
                yield from life.purge("closed" if tcp else "expired")
                del self.live[digest]
        yield status(self.tick, (self.tick - START) // 1000, len(self.live))


def _mac(address: str) -> str:
    ip = ip_address(address)
    if ip.is_multicast and ip.version == 4:
        return "01:00:5e:{:02x}:{:02x}:{:02x}".format(ip.packed[1] & 127, *ip.packed[2:])
    if ip.is_multicast:
        return "33:33:{:02x}:{:02x}:{:02x}:{:02x}".format(*ip.packed[12:])
    if address == "255.255.255.255":
        return "ff:ff:ff:ff:ff:ff"
    if address == _ROUTER or _other_type(address) == "remote":
        return _ROUTER_MAC
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


def _host(rng: Random, version: int = 4) -> Record:
    number = rng.randrange(20, 26)
    return {
        "local": f"192.168.1.{number}" if version == 4 else f"2001:db8:1::{number}",
        "local_port": rng.randrange(32768, 61000),
    }


def _server(name: str, version: int = 4) -> str:
    """A server's address: always the same one for a name, as a cached DNS answer would have it."""
    number = hashlib.sha1(name.encode()).digest()[0] % 250 + 1
    return f"203.0.113.{number}" if version == 4 else f"2001:db8:ffff::{number:x}"


def _peer(rng: Random, version: int = 4) -> str:
    number = rng.randrange(1, 255)
    return f"198.51.100.{number}" if version == 4 else f"2001:db8:bbbb::{number:x}"


def _tls(application: str, name: str, version: str = "0x0303", cipher: str = "0xc02f", ip: int = 4) -> Kind:
    """A TLS flow: client hello, then server hello and ALPN, then (before TLS 1.3) the certificate."""

    def kind(rng: Random, when: int) -> list[Record]:
        risks = (36,) if version in ("0x0301", "0x0302") else ()
        common = _host(rng, ip) | {
            "other": _server(name, ip), "when": when, "risks": risks,
            "host_server_name": name, "dns_host_name": name,
        }  # fmt: skip
        ssl: Record = {"cipher_suite": "0x0000", "client_sni": name, "version": version}
        records = [flow("HTTP/S", application, seen=when + 90, ssl=ssl, **common)]
        if rng.random() < 0.7:
            ja3 = hashlib.md5(name.encode()).hexdigest()
            ssl = ssl | {"cipher_suite": cipher, "server_ja3": ja3}
            if not risks:
                ssl |= {"alpn": ["h2", "http/1.1"], "alpn_server": ["h2"]}
            common["detection_updated"] = True
            records.append(flow("HTTP/S", application, seen=when + 130, ssl=ssl, **common))
            if cipher[:4] != "0x13":
                domain = name.split(".", 1)[1]
                ssl = ssl | {
                    "fingerprint": hashlib.sha1(name.encode()).hexdigest(),
                    "issuer_dn": "C=US, O=Example Trust, CN=Example CA 1",
                    "server_cn": f"*.{domain}",
                    "subject_dn": f"CN=*.{domain}",
                }
                records.append(flow("HTTP/S", application, seen=when + 180, ssl=ssl, **common))
        return records

    return kind


def _quic(application: str, name: str, ip: int = 4) -> Kind:
    def kind(rng: Random, when: int) -> list[Record]:
        ssl = {"cipher_suite": "0x0000", "client_sni": name, "version": "0x0304"}
        return [
            flow("QUIC", application, other=_server(name, ip), ip_protocol=17, when=when, seen=when + 60,
                 risks=(46,), ssl=ssl, host_server_name=name, dns_host_name=name, **_host(rng, ip))
        ]  # fmt: skip

    return kind


def _bittorrent(ip_protocol: int, ip: int) -> Kind:
    def kind(rng: Random, when: int) -> list[Record]:
        fields = _host(rng, ip) | {"other": _peer(rng, ip), "other_port": rng.randrange(1024, 65536)}
        if ip_protocol == 6 and rng.random() < 0.5:
            fields["bt"] = {"info_hash": hashlib.sha1(b"an example torrent").hexdigest()}
        return [
            flow("BitTorrent", ip_protocol=ip_protocol, when=when, seen=when + 6, risks=(16, 46),
                 local_origin=rng.random() < 0.6, **fields)
        ]  # fmt: skip

    return kind


def _one(protocol: str, application: str = "Unknown", **fields: Any) -> Kind:
    """A flow of one record with fixed fields; the host is drawn unless it is among them."""

    def kind(rng: Random, when: int) -> list[Record]:
        return [flow(protocol, application, when=when, seen=when + 3, **_host(rng) | fields)]

    return kind


def _gtp(rng: Random, when: int) -> list[Record]:
    """A call inside a mobile operator's tunnel: the tunnel shows in the statistics only."""
    record = flow("RTP", local="10.20.0.7", local_port=25658, other="198.51.100.77", other_port=49120,
                  ip_protocol=17, when=when, vlan_id=5, local_origin=False)  # fmt: skip
    record["gtp"] = {
        "ip_version": 4, "local_ip": "10.238.254.75", "local_port": 2152, "local_teid": 310415288,
        "other_ip": "10.238.80.26", "other_port": 2152, "other_teid": 0, "other_type": "unsupported",
        "version": 1,
    }  # fmt: skip
    return [record]


_MDNS: Record = {"local_port": 5353, "other_port": 5353, "ip_protocol": 17, "host_server_name": "tv.local"}
_DNS: Record = {"local": _ROUTER, "local_port": 53, "other": "192.168.1.20", "ip_protocol": 17}
_DNS["local_origin"] = False  # the router answers: to the agent the local side is the server
_KINDS: list[Kind] = [
    _one("DNS", "netify.youtube", other_port=40001, host_server_name="www.youtube.com", risks=(46,), **_DNS),
    _quic("netify.youtube", "rr3.example.googlevideo.com"),
    _tls("netify.youtube", "www.youtube.com", cipher="0x1301"),
    _bittorrent(6, 4),
    _bittorrent(17, 4),
    _bittorrent(6, 6),
    _bittorrent(17, 6),
    _tls("netify.facebook", "www.facebook.com"),
    _quic("netify.facebook", "graph.facebook.com", ip=6),
    _tls("netify.instagram", "i.instagram.com"),
    _tls("netify.reddit", "www.reddit.com", ip=6),
    _tls("netify.twitter", "api.twitter.com"),
    _tls("netify.netflix", "ichnaea.netflix.com"),
    _tls("Unknown", "scanner.example.com", version="0x0301", cipher="0x0035"),
    _tls("Unknown", "camera.example.net", version="0x0302", cipher="0xc013"),
    _one("NTP", "netify.ntp", ip_protocol=17, other="192.0.2.123", other_port=123, soft_dissector=True),
    _one("DNS", other_port=40002, host_server_name="tracker.example.org", **_DNS),
    _one("ICMP", ip_protocol=1, local_port=0, other="192.0.2.1", other_port=0),
    _one("ICMPv6", ip_protocol=58, local="2001:db8:1::20", local_port=0, other="ff02::2", other_port=0),
    _one("MDNS", other="224.0.0.251", mdns={"answer": "printer._ipp._tcp.local"}, **_MDNS),
    _one("MDNS", other="ff02::fb", local="fe80::5eff:fe10:114", **_MDNS),
    _one("DHCP", local="0.0.0.0", local_port=68, other="255.255.255.255", other_port=67, ip_protocol=17,
         dhcp={"fingerprint": "1,3,6,15,119,252"}, host_server_name="laptop"),
    _one("MQTT", local="192.168.20.8", local_port=35035, other="192.0.2.88", other_port=1883, vlan_id=20,
         interface="br-iot", risks=(46,)),
    _gtp,
    _one("GTP", local="10.101.0.2", local_port=1024, other="10.102.0.2", other_port=2123, ip_protocol=17),
    _one("HTTP", other=_server("www.example.com"), other_port=80, host_server_name="www.example.com",
         http={"url": "www.example.com/index.html", "user_agent": "Mozilla/5.0 (X11; Linux x86_64)"}),
    _one("HTTP", other="192.0.2.80", other_port=80, detection_guessed=True),
    _one("Unknown", other="192.0.2.99", other_port=8222, detection_guessed=True),
]  # fmt: skip
