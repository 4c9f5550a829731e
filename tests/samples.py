"""Flow records and whole streams that the repository makes itself: tests and the demo need no recordings.

In: a seed and numbers. Out: the records of a mixed household as netifyd 4.4.7 sends them (`stream`), and their bytes
(`recording`); also those of a household whose devices each do what such a device does (`home`), which documents show.
The same arguments always give the same bytes. The makers of single records are those of
`netifyd_records`, under this module's name too.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from netifyd_records import (
    APPLICATIONS,
    INTERVAL,
    PROTOCOLS,
    RISKS,
    ROUTER,
    START,
    Record,
    as_v3,
    as_v5,
    definitions,
    digest,
    flow,
    frame,
    hello,
    payload,
    purge,
    stats,
    status,
)

__all__ = [
    "APPLICATIONS", "INTERVAL", "PROTOCOLS", "RISKS", "START", "Record", "as_v3", "as_v5", "definitions", "digest", "flow",
    "frame", "hello", "home", "payload", "purge", "recording", "stats", "status", "stream",
]  # fmt: skip

Kind = Callable[[Random, int], list[Record]]  # the records of a flow that begins at a time


def recording(seed: int = 1, flows: int = 200, gap: int = 250) -> bytes:
    """The bytes a client of netifyd 4.4.7 receives: `stream` with length headers."""
    return b"".join(map(frame, stream(seed, flows, gap)))


def home() -> bytes:
    """The recording that documents show, `demo/recording.bin.gz`, before it is compressed."""
    return b"".join(map(frame, stream(7, 240, 900, _HOME)))


def stream(seed: int = 1, flows: int = 200, gap: int = 250, kinds: list[Kind] | None = None) -> Iterator[Record]:
    """A household's records in the order of the wire, from the greeting to the purge of the last flow.

    A flow begins every `gap` milliseconds on average; the first ones are one of each kind. As in real streams
    a TLS flow is refined after its first record, statistics come every INTERVAL for flows with packets since,
    and unknown or guessed flows are announced just before their purge.
    """
    rng = Random(seed)
    yield from (hello(), status(), definitions())
    household = _Household()
    kinds = _KINDS if kinds is None else kinds
    when = START
    for number in range(flows):
        when += rng.randrange(2 * gap + 1)
        yield from household.until(when)
        kind = kinds[number] if number < len(kinds) else rng.choice(kinds)
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
        for key, life in list(self.live.items()):
            if life.announced and min(life.end, self.tick) > life.counted:
                yield life.stats(self.tick)
            tcp = life.record["flow"]["ip_protocol"] == 6
            if self.tick - life.end > (2000 if tcp and life.announced else 30000):
                yield from life.purge("closed" if tcp else "expired")
                del self.live[key]
        yield status(self.tick, (self.tick - START) // 1000, len(self.live))


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
_DNS: Record = {"local": ROUTER, "local_port": 53, "other": "192.168.1.20", "ip_protocol": 17}
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


# -- the household of the recording that ships ------------------------------------------------------------------------------

_DEVICES = {
    "tv": ("c4:2c:03:06:49:fe", "192.168.1.7", "2001:db8:1::7"),
    "tablet": ("02:00:5e:10:01:14", "192.168.1.20", "2001:db8:1::20"),
    "laptop": ("02:00:5e:10:01:15", "192.168.1.21", "2001:db8:1::21"),
    "phone": ("02:00:5e:10:01:16", "192.168.1.22", "2001:db8:1::22"),
    "desktop": ("02:00:5e:10:01:17", "192.168.1.23", "2001:db8:1::23"),
    "printer": ("00:1b:a9:12:34:56", "192.168.1.50", "2001:db8:1::50"),
    "guest": ("d8:cb:8a:e1:2d:2e", "192.168.2.27", ""),
}
"""Those of the recipes have the MAC addresses that are there."""


def _of(device: str, kind: Kind) -> Kind:
    """The flows of a kind, as this device has them: with its addresses, and one MAC address for both."""

    def made(rng: Random, when: int) -> list[Record]:
        records = kind(rng, when)
        mac, four, six = _DEVICES[device]
        for record in records:
            inner = record["flow"]
            inner["local_ip"] = four if inner["ip_version"] == 4 else six
            inner["local_mac"] = mac
            ends = inner["local_ip"], inner["local_port"], inner["other_ip"], inner["other_port"]
            inner["digest"] = digest(inner["ip_protocol"], *ends)
            if device == "guest":
                record["interface"] = "br-guest"
        return records

    return made


def _zoom(port: int) -> Kind:
    """Sound or pictures of a meeting. A maker, so that each flow has a port of its own."""
    name = "zoomfrn99mmr.zoom.us"
    return _one("ZOOM", other=_server(name), other_port=port, ip_protocol=17, risks=(46,), host_server_name=name,
                dns_host_name=name)  # fmt: skip


def _query(device: str, name: str, application: str = "Unknown") -> Kind:
    """A device asks the router for a name."""
    port = 40000 + hashlib.sha1((device + name).encode()).digest()[0]
    fields = _DNS | {"other": _DEVICES[device][1], "other_port": port, "host_server_name": name}
    return _one("DNS", application, **fields)


_NETFLIX, _NETFLIX_VIDEO = "ichnaea.netflix.com", "ipv4-c001.1.nflxvideo.net"
_HOME: list[Kind] = [
    _query("tv", _NETFLIX, "netify.netflix"),
    _of("tv", _tls("netify.netflix", _NETFLIX)),
    _of("tv", _tls("netify.netflix", _NETFLIX_VIDEO)),
    _of("tv", _tls("netify.netflix", "ipv6-c001.1.nflxvideo.net", ip=6)),
    _of("tv", _quic("netify.youtube", "rr3.example.googlevideo.com")),
    _query("tablet", "www.youtube.com", "netify.youtube"),
    _of("tablet", _tls("netify.youtube", "www.youtube.com", cipher="0x1301")),
    _of("tablet", _quic("netify.youtube", "rr3.example.googlevideo.com")),
    _of("tablet", _quic("netify.youtube", "rr5.example.googlevideo.com", ip=6)),
    _of("tablet", _tls("netify.tiktok", "www.tiktok.com")),
    _of("tablet", _tls("netify.instagram", "i.instagram.com")),
    _of("laptop", _zoom(8801)),
    _of("laptop", _zoom(8801)),
    _of("laptop", _tls("Unknown", "us04web.zoom.us")),
    _of("laptop", _tls("netify.windows-update", "update.example.com")),
    _of("laptop", _one("IPP", other="192.168.1.50", other_port=631)),
    _of("phone", _tls("netify.facebook", "www.facebook.com")),
    _of("phone", _quic("netify.facebook", "graph.facebook.com", ip=6)),
    _of("phone", _tls("netify.twitter", "api.twitter.com")),
    _of("phone", _tls("netify.apple-icloud", "gateway.icloud.example", ip=6)),
    _query("desktop", "tracker.example.org"),
    _of("desktop", _bittorrent(6, 4)),
    _of("desktop", _bittorrent(17, 4)),
    _of("desktop", _bittorrent(6, 6)),
    _of("desktop", _bittorrent(17, 6)),
    _of("desktop", _tls("netify.reddit", "www.reddit.com", ip=6)),
    _of("desktop", _tls("Unknown", "old.example.net", version="0x0302", cipher="0xc013")),
    _of("printer", _tls("Unknown", "scanner.example.com", version="0x0301", cipher="0x0035")),
    _of("printer", _one("MDNS", other="224.0.0.251", mdns={"answer": "printer._ipp._tcp.local"}, **_MDNS)),
    _of("guest", _tls("netify.youtube", "www.youtube.com", cipher="0x1301")),
    _one("NTP", "netify.ntp", local=ROUTER, ip_protocol=17, other="192.0.2.123", other_port=123, soft_dissector=True),
]
