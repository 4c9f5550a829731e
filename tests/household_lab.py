"""A household as the recipes have it: devices at a bridge, a router with two WANs, and servers. TCP and UDP, IPv4 and IPv6.

In: the router's namespace, and sections of its network's configuration. Out: connections, which WAN carried them, and what
class their packets had when they arrived. Nothing here uses the code under test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kernel_lab import Namespace
from network_lab import AT_ONCE, Entry, Host, joined, table, up

DEVICES = ("ana_tablet", "tom_laptop", "printer", "camera", "visitor", "console")
SERVERS = ("video", "film", "call", "swarm", "old", "social", "reddit", "game", "series", "other")
"""What the servers of the world are for. Each has an address of its own in both families."""
WANS = {"wan": ("203.0.113.1", "2001:db8:1::1"), "wan2": ("198.51.100.1", "2001:db8:2::1")}
"""The router's addresses on its two WANs; the world's end with .80 and ::80."""
HOME = ("192.168.1.", "fd00:1::")
PORTS = {"tcp": 443, "udp": 4000}
NUMBERS = {"tcp": 6, "udp": 17}

# What a zone with masq and masq6 does. WAN 1's IPv6 goes without NAT, as usual.
_NAT = """
table inet nat
flush table inet nat
table inet nat {
  chain out {
    type nat hook postrouting priority srcnat;
    oifname { "wan", "wan2" } meta nfproto ipv4 masquerade
    oifname "wan2" meta nfproto ipv6 masquerade
  }
}
"""
# Counts the data that arrives at a host by class. Acknowledgements come when they like.
_CLASSES = """
table inet seen {
  counter ef {}
  counter cs1 {}
  counter plain {}
  chain arrived {
    type filter hook input priority 0;
    meta l4proto != { tcp, udp } return
    meta l4proto tcp tcp flags & psh == 0 return
    ip dscp ef counter name ef return
    ip6 dscp ef counter name ef return
    ip dscp cs1 counter name cs1 return
    ip6 dscp cs1 counter name cs1 return
    counter name plain
  }
}
"""


@dataclass
class Connection:
    """A connection that a device opened: what netifyd would see of it, and the means to speak over it."""

    device: Host
    index: int
    kind: str
    local: str
    local_port: int
    other: str
    other_port: int

    def alive(self, seconds: float = 0.5) -> bool:
        """Have one byte echoed. A refusal ends it at once, a packet that is dropped after `seconds`."""
        return bool(self.device.do("talk", self.index, seconds))


class Household:
    """The devices `DEVICES`, with the router, its two WANs and the world behind them."""

    def __init__(self, router: Namespace, folder: Path, macs: Mapping[str, str]) -> None:
        """`macs`: what MAC addresses devices have, by name."""
        self.router = router
        self.devices = {name: Host(router) for name in DEVICES}
        self.world = Host(router)
        self.itself = Host(router, itself=True)
        self._macs: dict[str, str] = {}
        self._rules: list[list[str]] = []
        self._pinged = 0
        self._labels = folder / "labels" / "etc" / "xtables" / "connlabel.conf"
        self._labels.parent.mkdir(parents=True)
        self._labels.touch()
        router.run(
            "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0", "net.netfilter.nf_conntrack_udp_timeout=3600", *AT_ONCE,
        )  # fmt: skip
        cards = ["link add br-lan type bridge", *up("br-lan", f"{HOME[0]}1/24", f"{HOME[1]}1/64")]
        for number, host in enumerate(self.devices.values(), 20):
            cards += [joined(host, f"lan{number}", "eth0"), f"link set lan{number} master br-lan up"]
        router.ip(*cards)
        for number, (name, host) in enumerate(self.devices.items(), 20):
            own = [f"link set eth0 address {macs[name]}"] if name in macs else []
            own += up("eth0", f"{HOME[0]}{number}/24", f"{HOME[1]}{number}/64")
            host.namespace.ip(*own, *(f"route add default via {side}1" for side in HOME))
            host.namespace.nft(_CLASSES)
        self._world()
        self.nat()

    def nat(self) -> None:
        """What the router's firewall has of NAT, also again."""
        self.router.nft(_NAT)

    def _world(self) -> None:
        outside = self.world.namespace
        outside.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        ours: list[str] = []
        theirs: list[str] = []
        for name, (four, six) in WANS.items():
            ours += [joined(self.world, name, name), *up(name, f"{four}/24", f"{six}/64")]
            theirs += up(name, f"{four[:-1]}80/24", f"{six[:-1]}80/64")
        servers = [self.server(name, version) for name in SERVERS for version in (4, 6)]
        theirs += up("lo", *(f"{address}/{128 if ':' in address else 32}" for address in servers))
        self.router.ip(*ours)
        outside.ip(*theirs, f"route add fd00:1::/64 via {WANS['wan'][1]}")
        self.routes("wan", "main", "main")
        outside.nft(_CLASSES)
        # Each by its address: a UDP server at any address answers from that of the way back.
        for version in (4, 6):
            for kind, port in PORTS.items():
                for name in SERVERS:
                    self.world.do("serve", kind, version, port, self.server(name, version))

    def close(self) -> None:
        for host in (*self.devices.values(), self.world, self.itself):
            host.close()

    # -- the network's configuration ---------------------------------------------------------------------------------------

    def routes(self, card: str, table4: str, table6: str) -> None:
        """What netifd does when the interface comes up: its default routes, in the tables of `ip4table` and `ip6table`."""
        four, six = WANS[card]
        gates = (four, table4), (six, table6)
        self.router.ip(*(f"route replace default via {own[:-1]}80 dev {card} table {table}" for own, table in gates))

    def network(self, uci: str) -> tuple[str, str]:
        """What netifd does with sections `interface`, `rule` and `rule6`. Returns WAN 2's tables."""
        tables = {}
        for kind, body in re.findall(r"^config (\w+) '\w+'\n((?:\t.*\n)*)", uci, re.MULTILINE):
            options = dict(re.findall(r"^\toption (\w+) '(.*)'$", body, re.MULTILINE))
            if kind in ("rule", "rule6"):
                words = ["fwmark", options["mark"], "lookup", options["lookup"]]
                for name in ("suppress_prefixlength", "priority"):
                    words += [name, options[name]] if name in options else []
                self._rules.append(["ip", "-6" if kind == "rule6" else "-4", "rule", *words])
                self.router.run(*self._rules[-1][:3], "add", *words)
            tables.update({name: value for name, value in options.items() if name in ("ip4table", "ip6table")})
        self.routes("wan2", tables["ip4table"], tables["ip6table"])
        return tables["ip4table"], tables["ip6table"]

    def forget_network(self) -> None:
        """Take back the rules of `network`."""
        for command in self._rules:
            self.router.run(*command[:3], "del", *command[3:])
        self._rules = []

    def down(self, card: str) -> None:
        """`ifdown`: the kernel takes the routes with it, and the IPv6 addresses."""
        self.router.run("ip", "link", "set", card, "down")

    def up(self, card: str, table4: str, table6: str) -> None:
        """`ifup`."""
        self.router.ip(f"link set {card} up", f"addr replace {WANS[card][1]}/64 dev {card} nodad")
        self.routes(card, table4, table6)

    # -- connections ---------------------------------------------------------------------------------------------------------

    def mac(self, device: str) -> str:
        if device not in self._macs:
            links = json.loads(self.devices[device].namespace.run("ip", "-j", "link", "show", "eth0"))
            self._macs[device] = str(links[0]["address"])
        return self._macs[device]

    @staticmethod
    def local(device: str, version: int) -> str:
        return f"{HOME[0] if version == 4 else HOME[1]}{20 + DEVICES.index(device)}"

    @staticmethod
    def server(name: str, version: int) -> str:
        number = SERVERS.index(name) + 1
        return f"198.18.0.{number}" if version == 4 else f"2001:db8:f::{number}"

    def open(self, device: str, server: str, kind: str, version: int) -> Connection:
        """Open a connection that has to work: a byte is echoed."""
        host, other = self.devices[device], self.server(server, version)
        index, port = host.do("open", kind, version, other, PORTS[kind])
        return Connection(host, index, kind, self.local(device, version), port, other, PORTS[kind])

    def open_itself(self, server: str, kind: str, version: int) -> Connection:
        """Open a connection of the router's own."""
        other = self.server(server, version)
        index, port = self.itself.do("open", kind, version, other, PORTS[kind])
        return Connection(self.itself, index, kind, WANS["wan"][0 if version == 4 else 1], port, other, PORTS[kind])

    def every(self, device: str, server: str, kinds: Sequence[str] = ("tcp", "udp")) -> list[Connection]:
        """Connections of all kinds, over IPv4 and IPv6."""
        return [self.open(device, server, kind, version) for kind in kinds for version in (4, 6)]

    def reaches(
        self,
        device: str,
        server: str,
        seconds: float = 0.5,
        kinds: Sequence[str] = ("tcp", "udp"),
        versions: Sequence[int] = (4, 6),
    ) -> set[tuple[str, int]]:
        """Which new connections of these kinds work, all of them tried at once. One that is refused or dropped does not."""
        tried = [(kind, version) for kind in kinds for version in versions]
        calls = [(kind, version, self.server(server, version), PORTS[kind], seconds) for kind, version in tried]
        return {one for one, works in zip(tried, self.devices[device].do("each", "tries", *calls), strict=True) if works}

    def pings(self, device: str, server: str, seconds: float = 5) -> set[int]:
        """Over which IP versions a ping is answered."""
        self._pinged += 1
        host = self.devices[device]
        calls = [(version, self.server(server, version), self._pinged, seconds) for version in (4, 6)]
        return {call[0] for call, answered in zip(calls, host.do("each", "pings", *calls), strict=True) if answered}

    def entries(self, connections: Iterable[Connection]) -> list[Entry]:
        """Their entries in the router's conntrack table."""
        there = {(entry.protocol, *entry.original): entry for entry in table(self.router, self._labels)}
        return [there[(c.kind, c.local, c.other, str(c.local_port), str(c.other_port))] for c in connections]

    def marks(self, connections: Iterable[Connection]) -> set[int]:
        """The marks of their entries."""
        return {entry.mark for entry in self.entries(connections)}

    def wans(self, connections: Iterable[Connection]) -> set[str]:
        """The WANs that carry them: which of the router's addresses the world answers to, or without NAT none of them."""
        return {"wan2" if entry.reply[1] in WANS["wan2"] else "wan" for entry in self.entries(connections)}

    @staticmethod
    def classes(host: Host) -> dict[str, int]:
        """Packets that have arrived at a host, by class."""
        listed = json.loads(host.namespace.run("nft", "-j", "list", "counters"))["nftables"]
        return {entry["counter"]["name"]: entry["counter"]["packets"] for entry in listed if "counter" in entry}


def alive(connections: Iterable[Connection], seconds: float = 0.5) -> list[Connection]:
    """Those that have one byte echoed. All of a device speak at once: each has its `seconds`; silence is waited for once."""
    by_device: dict[int, list[Connection]] = {}
    for connection in connections:
        by_device.setdefault(id(connection.device), []).append(connection)
    found = []
    for some in by_device.values():
        answers = some[0].device.do("each", "talk", *((one.index, seconds) for one in some))
        found += [one for one, works in zip(some, answers, strict=True) if works]
    return found


@contextmanager
def household(router: Namespace, folder: Path, macs: Mapping[str, str]) -> Iterator[Household]:
    """The household around a router's namespace; gone with the end of the block."""
    made = Household(router, folder, macs)
    try:
        yield made
    finally:
        made.close()
