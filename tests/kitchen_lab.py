"""A household whose router runs what a page of recipes prints, and the flows that netifyd tells of it.

In: recipes, as `recipe_pages` finds them. Out: their policy, active, in UCI or JSON, with their rules loaded as at boot: before
the daemon. Records of IPv6 flows have the router's MAC address, as netifyd shows them on the WAN side, so that only the
device's neighbours can tell whose they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from household_lab import NUMBERS, Connection, Household, alive
from kernel_lab import Lab
from lab_clock import Clock
from recipe_pages import PACKAGE, Recipe, merged, script
from samples import Record, flow
from waiting import eventually

ROUTER = "02:00:00:00:00:99"
FOREIGN = 0x00013F40
"""Bits of the mark that others have: mwan3, pbr, and somebody."""
OTHERS = f"""
table inet others
flush table inet others
table inet others {{
  counter lost {{}}
  counter vpn {{}}
  chain before {{
    type filter hook prerouting priority mangle - 1; policy accept;
    ct state new ct mark set ct mark or {FOREIGN:#x}
    meta mark set meta mark or {FOREIGN:#x}
  }}
  chain after {{
    type filter hook postrouting priority mangle + 1; policy accept;
    meta l4proto {{ tcp, udp }} iifname "br-lan" meta mark and {FOREIGN:#x} != {FOREIGN:#x} counter name lost
    meta mark and 0xff000000 == 0x1000000 counter name vpn
  }}
}}
"""
"""Another program that marks connections when they begin, and every packet that is forwarded. The router's own reports about
multicast have the bridge as their input too, and pass no prerouting: they do not count."""
FW4 = """
table inet fw4
flush table inet fw4
table inet fw4 {
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
  }
}
"""

YOUTUBE: Record = {"protocol": "QUIC", "application": "netify.youtube"}
NETFLIX: Record = {"protocol": "HTTP/S", "application": "netify.netflix"}
MAIL: Record = {"protocol": "HTTP/S", "application": "netify.apple-icloud"}
"""What else a device does at the servers of YouTube: another application."""
ZOOM: Record = {"protocol": "Unknown", "detected_protocol": 248, "detected_protocol_name": "ZOOM"}
BITTORRENT: Record = {"protocol": "BitTorrent"}
OLD_TLS: Record = {"protocol": "TLS", "ssl": {"version": "0x0301", "cipher": "0xc02f"}}
INSTAGRAM: Record = {"protocol": "HTTP/S", "application": "netify.instagram"}
REDDIT: Record = {"protocol": "HTTP/S", "application": "netify.reddit"}
UPDATE: Record = {"protocol": "HTTP/S", "application": "netify.windows-update"}
CONSOLE: Record = {"detected_application": 10020, "detected_application_name": "netify.playstation"}
VPN: Record = {"protocol": "Unknown", "detected_protocol": 206, "detected_protocol_name": "WireGuard",
               "category": {"application": 0, "domain": 0, "protocol": 21}}  # fmt: skip


class Kitchen:
    """The router and its daemon, for one test of several that share a household."""

    def __init__(self, lab: Lab, home: Household, form: str = "uci") -> None:
        """`form`: "uci" or "json", whichever of the page's policies is used."""
        self.lab, self.home, self.form = lab, home, form
        self.files = lab.folder / "nftables.d"
        self.files.mkdir()
        self.logs = lab.folder / "logs"
        self.clock = Clock(lab.folder, "12:00:00")
        self.tables = ("", "")
        self.afterwards: list[Callable[[], None]] = []
        """What is to be seen once the daemon has stopped."""
        self._known: set[str] = set()

    def cook(self, chosen: Iterable[Recipe]) -> None:
        """Load the rules and start the daemon with these recipes, at noon."""
        chosen = list(chosen)
        self._known = {*macs(chosen)}
        for recipe in chosen:
            for name, body in recipe.rules.items():
                (self.files / name).write_text(body)
            for name, body in recipe.lists.items():
                (self.lab.folder / name).parent.mkdir(exist_ok=True)
                (self.lab.folder / name).write_text(body)
            if recipe.network and (recipe.rules or self.form == "uci"):
                (self.lab.folder / "network").write_text(recipe.network)
                self.tables = self.home.network(recipe.network)
            elif recipe.network:
                # No netifd: the daemon makes rules, and routes from those that a network manager has made.
                self.tables = "102", "102"
                self.home.routes("wan2", *self.tables)
        self.firewall()
        if self.form == "uci":
            self.begin("\n".join(recipe.uci for recipe in chosen))
        else:
            policy = json.dumps(merged(chosen)).replace("/tmp/nfa-logs", str(self.logs))
            self.lab.start(policy.replace("Europe/Paris", "UTC"), clock=self.clock)

    def begin(self, uci: str) -> None:
        """Start the daemon with a configuration in UCI."""
        self.write(uci)
        self.lab.start(None, options=("-u", str(self.lab.folder)), clock=self.clock)

    def write(self, uci: str) -> None:
        """Let this be the configuration in UCI from the next reload on."""
        (self.lab.folder / PACKAGE).write_text(uci.replace("/tmp/nfa-logs", str(self.logs)))

    def firewall(self) -> None:
        """What the firewall does when it starts: its own rules, then the script of the page."""
        self.home.nat()
        self.lab.namespace.nft(FW4, OTHERS)
        if any(self.files.iterdir()):
            self.lab.namespace.run("sh", "-ec", script().replace("/etc/nftables.d", str(self.files)))

    def tell(self, kind: Record, *connections: Connection, **fields: Any) -> dict[str, Any]:
        """Have netifyd report these connections as such flows, and wait until that has its effects."""
        self.neighbours([connection for connection in connections if self._name(connection) in self._known])
        return self.lab.feed(*[self._record(kind, connection, fields) for connection in connections])

    def _record(self, kind: Record, connection: Connection, fields: Record) -> Record:
        name = self._name(connection)
        mac = self.home.mac(name) if name and ":" not in connection.local else ROUTER
        return flow(
            local=connection.local, local_port=connection.local_port, other=connection.other, other_port=connection.other_port,
            ip_protocol=NUMBERS[connection.kind], local_mac=mac, **(kind | fields),
        )  # fmt: skip

    def _name(self, connection: Connection) -> str:
        return next((name for name, host in self.home.devices.items() if host is connection.device), "")

    def neighbours(self, connections: Iterable[Connection]) -> None:
        """Wait until the daemon knows whose the addresses are: the kernel tells it when the device first speaks."""
        wanted = {connection.local for connection in connections}

        def there() -> bool:
            answer = self.lab.daemon.ask("devices")["devices"]
            return wanted <= {one["address"] for row in answer for one in row["addresses"]}

        if wanted:
            eventually(there, what="neighbours")

    def stop(self) -> None:
        """End the daemon as the system does, and see that it leaves nothing behind; then what was to be seen afterwards."""
        assert self.lab.daemon.stop() == 0
        assert not self.lab.daemon.said(": error: "), self.lab.daemon.log
        left = self.lab.namespace.run("nft", "list", "ruleset")
        assert not re.search(r"chain (?:nfa_|t_|c[0-9a-f]{4} )|map ", left), left
        assert not [name for name, made in self.lab.namespace.nft_sets().items() if made.keys], "off is off"
        for look in self.afterwards:
            look()

    def counted(self, name: str) -> int:
        """Packets that a counter of `OTHERS` has counted."""
        (counter,) = json.loads(self.home.router.run("nft", "-j", "list", "counter", "inet", "others", name))["nftables"][1:]
        return int(counter["counter"]["packets"])

    def arrived(self, connections: Iterable[Connection]) -> list[dict[str, int]]:
        """How many packets of each class the world and the visitor get while each connection has five bytes echoed."""
        hosts = (self.home.world, self.home.devices["visitor"])
        before = [self.home.classes(host) for host in hosts]
        lively(*[connection for connection in connections for _ in range(5)])
        return [
            {name: count - old[name] for name, count in self.home.classes(host).items()}
            for host, old in zip(hosts, before, strict=True)
        ]


@contextmanager
def cooking(lab: Lab, home: Household, form: str = "uci") -> Iterator[Kitchen]:
    """A kitchen, after which the household is as before."""
    kitchen = Kitchen(lab, home, form)
    yield kitchen
    lab.close()  # else it would put its table back
    home.forget_network()
    for table in ("nfa", "office", "fw4", "others"):
        lab.namespace.nft(f"table inet {table}", f"delete table inet {table}")


def macs(chosen: Iterable[Recipe]) -> dict[str, str]:
    """The MAC addresses that recipes give to their devices."""
    found = {}
    for recipe in chosen:
        found.update(re.findall(r"^config device '(\w+)'\n\tlist mac '(.*)'$", recipe.uci, re.MULTILINE))
    return found


def lively(*connections: Connection) -> None:
    """See that none of these loses a byte."""
    assert [f"{c.kind} {c.local} > {c.other}" for c in connections if not c.alive(5)] == []


def stopped(connections: Iterable[Connection]) -> bool:
    """Whether none of them gets through any more."""
    return not alive(connections, 0.4)


FLOOD = 600
"""Full packets: many more than a limit of 2 Mbit/s lets through at once, a second's worth, and while they are sent."""


def flooded(connection: Connection) -> int:
    """How many of `FLOOD` full packets are echoed, of a UDP connection."""
    return int(connection.device.do("flood", connection.index, FLOOD, 1400))
