"""The recipes on packets: policy, rules and network as docs/recipes.md prints them, each alone and all in one configuration.

The rules are there before the daemon, as at boot. Records of IPv6 flows have the router's MAC address, as netifyd shows them on
the WAN side, so that only the device's neighbours can tell whose they are. Queues are not tested: marks and DSCP are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from household_lab import DEVICES, NUMBERS, SERVERS, Connection, Household, alive, household
from kernel_lab import Lab, Namespace
from lab_clock import Clock
from recipe_pages import PACKAGE, Recipe, recipes, script
from samples import Record, flow
from waiting import eventually

pytestmark = pytest.mark.kernel

RECIPES = recipes()
ROUTER = "02:00:00:00:00:99"
FOREIGN = 0x00013F01
"""Bits of the mark that mwan3, pbr and SQM have."""
OTHERS = f"""
table inet others {{
  counter lost {{}}
  chain before {{
    type filter hook prerouting priority mangle - 1; policy accept;
    ct state new ct mark set ct mark or {FOREIGN:#x}
    meta mark set meta mark or {FOREIGN:#x}
  }}
  chain after {{
    type filter hook postrouting priority mangle + 1; policy accept;
    meta l4proto {{ tcp, udp }} iifname "br-lan" meta mark and {FOREIGN:#x} != {FOREIGN:#x} counter name lost
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
ZOOM: Record = {"protocol": "Unknown", "detected_protocol": 248, "detected_protocol_name": "ZOOM"}
BITTORRENT: Record = {"protocol": "BitTorrent"}
OLD_TLS: Record = {"protocol": "TLS", "ssl": {"version": "0x0301", "cipher": "0xc02f"}}
INSTAGRAM: Record = {"protocol": "HTTP/S", "application": "netify.instagram"}
REDDIT: Record = {"protocol": "HTTP/S", "application": "netify.reddit"}
CONSOLE: Record = {"detected_application": 10020, "detected_application_name": "netify.playstation"}
VPN: Record = {"protocol": "Unknown", "detected_protocol": 206, "detected_protocol_name": "WireGuard",
               "category": {"application": 0, "domain": 0, "protocol": 21}}  # fmt: skip


class Kitchen:
    """A household whose router runs recipes."""

    def __init__(self, lab: Lab, home: Household, form: str) -> None:
        self.lab, self.home, self.form = lab, home, form
        self.files = lab.folder / "nftables.d"
        self.logs = lab.folder / "logs"
        self.tables = ("", "")
        self.known: set[str] = set()
        """Devices that the policy names."""

    def cook(self, title: str, **more: Any) -> None:
        """Load the rules and start the daemon: of one recipe, or of all of them."""
        chosen = [recipe for recipe in RECIPES.values() if self.form != "alone" or recipe.title.startswith(title)]
        assert any(recipe.title.startswith(title) for recipe in chosen)
        self.known = {*macs(chosen)}
        self._write(chosen)
        self.firewall()
        uci = self.lab.folder / PACKAGE
        uci.write_text("\n".join(recipe.uci for recipe in chosen).replace("/tmp/nfa-logs", str(self.logs)))
        self.lab.start(None, options=("-u", str(self.lab.folder)), **more)

    def _write(self, chosen: Iterable[Recipe]) -> None:
        self.files.mkdir()
        for recipe in chosen:
            for name, body in recipe.rules.items():
                (self.files / name).write_text(body)
            for name, body in recipe.lists.items():
                (self.lab.folder / name).parent.mkdir(exist_ok=True)
                (self.lab.folder / name).write_text(body)
            if recipe.network:
                self.tables = self.home.network(recipe.network)

    def firewall(self) -> None:
        """What the firewall does when it starts: its own rules, then the script of the page."""
        self.lab.namespace.nft(FW4)
        if any(self.files.iterdir()):
            self.lab.namespace.run("sh", "-ec", script().replace("/etc/nftables.d", str(self.files)))

    def tell(self, kind: Record, *connections: Connection, **fields: Any) -> dict[str, Any]:
        """Have netifyd report these connections as such flows."""
        self._neighbours(connections)
        return self.lab.feed(*[self._record(kind, connection, fields) for connection in connections])

    def _record(self, kind: Record, connection: Connection, fields: Record) -> Record:
        mac = ROUTER if ":" in connection.local else self.home.mac(self._name(connection))
        return flow(
            local=connection.local, local_port=connection.local_port, other=connection.other, other_port=connection.other_port,
            ip_protocol=NUMBERS[connection.kind], local_mac=mac, **(kind | fields),
        )  # fmt: skip

    def _name(self, connection: Connection) -> str:
        return next(name for name, host in self.home.devices.items() if host is connection.device)

    def _neighbours(self, connections: Iterable[Connection]) -> None:
        """Wait until the daemon knows whose the addresses are: the kernel tells it when the device first speaks."""
        wanted = {connection.local for connection in connections if self._name(connection) in self.known}

        def there() -> bool:
            answer = self.lab.daemon.ask("devices")["devices"]
            return wanted <= {one["address"] for row in answer for one in row["addresses"]}

        eventually(there, what="neighbours")

    def stopped(self, connections: Iterable[Connection]) -> bool:
        """Whether none of them gets through any more."""
        return not alive(connections)


def macs(chosen: Iterable[Recipe] = RECIPES.values()) -> dict[str, str]:
    """The MAC addresses that recipes give to their devices."""
    found = {}
    for recipe in chosen:
        found.update(re.findall(r"^config device '(\w+)'\n\tlist mac '(.*)'$", recipe.uci, re.MULTILINE))
    return found


@pytest.fixture(params=["alone", "together"])
def kitchen(request: pytest.FixtureRequest, lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Kitchen]:
    """Each test runs with its recipe alone, and with all of them."""
    with household(namespace, tmp_path, macs()) as home:
        yield Kitchen(lab, home, request.param)


@pytest.fixture
def full(lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Kitchen]:
    """All recipes."""
    with household(namespace, tmp_path, macs()) as home:
        yield Kitchen(lab, home, "together")


def test_rules_use_all_sets_of_the_recipes_and_check_tells_when_they_do_not(full: Kitchen) -> None:
    """YouTube played because the rules were gone, and nothing anywhere said so."""
    full.cook("")

    def unused() -> int:
        lab = full.lab
        done = lab.namespace.attempt(*lab.nfa("check", "--json", "-u", str(lab.folder), "--state-dir", str(lab.folder)))
        return sum(one["code"] == "set-unused" for one in json.loads(done.stdout)["reports"])

    sets = len(full.lab.namespace.nft_sets())
    assert sets > 10 and unused() == 0
    full.lab.namespace.nft("flush table inet nfa", "flush table inet office")
    assert unused() == sets
    full.firewall()
    assert unused() == 0


def test_no_youtube_on_the_tablets(kitchen: Kitchen) -> None:
    """A tablet that was named by its IPv4 address played over IPv6."""
    home = kitchen.home
    kitchen.cook("No YouTube")
    blocked, spared = home.every("ana_tablet", "video"), home.every("visitor", "video")
    other = home.every("ana_tablet", "other")
    kitchen.tell(YOUTUBE, *blocked, *spared)
    assert kitchen.stopped(blocked), "TCP and UDP, IPv4 and IPv6"
    assert not home.reaches("ana_tablet", "video"), "new ones neither"
    assert all(connection.alive(5) for connection in (*spared, *other)), "the visitor's, and what is not YouTube"


def test_bedtime_stops_and_the_morning_lets_begin(kitchen: Kitchen) -> None:
    """The page said that what was stopped may go on: UDP and new connections do, the TCP connection does not."""
    home, clock = kitchen.home, Clock(kitchen.lab.folder, "20:59:50")
    kitchen.cook("Bedtime", clock=clock)
    tcp, udp = home.every("tom_laptop", "film", ["tcp"]), home.every("tom_laptop", "film", ["udp"])
    spared = home.every("visitor", "film")
    kitchen.tell(NETFLIX, *tcp, *udp, *spared)
    assert all(connection.alive(5) for connection in (*tcp, *udp, *spared)), "it is not nine yet"
    clock.set("21:00:00")
    kitchen.lab.daemon.until(lambda status: status["targets"][_target(status, "bedtime")]["elements"] == 4, "nine o'clock")
    assert kitchen.stopped([*tcp, *udp])
    assert all(connection.alive(5) for connection in spared)
    assert not home.reaches("tom_laptop", "film", kinds=["tcp"], versions=[4])
    clock.set("06:30:00")
    kitchen.lab.daemon.until(lambda status: status["targets"][_target(status, "bedtime")]["elements"] == 0, "the morning")
    assert [connection.alive(5) for connection in udp] == [True, True], "UDP goes on"
    assert alive(tcp) == [], "TCP was reset"
    assert all(connection.alive(5) for connection in home.every("tom_laptop", "film")), "new ones work"


def dead(*connections: Iterable[Connection]) -> list[str]:
    """Those that lose a byte of five."""
    found = [connection for some in connections for connection in some]
    return [f"{c.kind} {c.local} {c.other}" for c in found if not all(c.alive(5) for _ in range(5))]


def _target(status: dict[str, Any], name: str) -> str:
    return next(target for target in status["targets"] if target.endswith(name))


def arrived(home: Household, connections: Iterable[Connection]) -> list[dict[str, int]]:
    """How many packets of each class the world and the tablet get while each connection has five bytes echoed."""
    hosts = (home.world, home.devices["visitor"])
    before = [home.classes(host) for host in hosts]
    for connection in connections:
        assert all(connection.alive(5) for _ in range(5)), "no packet is lost"
    return [
        {name: count - old[name] for name, count in home.classes(host).items()} for host, old in zip(hosts, before, strict=True)
    ]


def test_zoom_first_and_bittorrent_last_in_both_directions(kitchen: Kitchen) -> None:
    """Downloads had no class, and a connection kept the class that it had been given by mistake."""
    home = kitchen.home
    kitchen.cook("Zoom first")
    home.router.nft(OTHERS)
    calls, swarm, plain = (home.every("visitor", server) for server in ("call", "swarm", "other"))
    kitchen.tell(ZOOM, *calls)
    kitchen.tell(BITTORRENT, *swarm)
    eventually(lambda: {home.entry(c).mark for c in calls} == {0xB9000000 | FOREIGN}, what="marks, and others' bits")
    eventually(lambda: {home.entry(c).mark for c in swarm} == {0x21000000 | FOREIGN}, what="marks, and others' bits")
    up, down = arrived(home, calls)
    assert up["ef"] >= 20 and down["ef"] >= 20 and up["plain"] == down["plain"] == up["cs1"] == 0
    up, down = arrived(home, swarm)
    assert up["cs1"] >= 20 and down["cs1"] >= 20 and up["plain"] == down["plain"] == up["ef"] == 0
    up, down = arrived(home, plain)
    assert up["plain"] >= 20 and up["ef"] == up["cs1"] == down["ef"] == down["cs1"] == 0
    # What `tc ... action ctinfo dscp 0xfc000000 0x01000000` makes of the mark, before any rule.
    assert {(home.entry(c).mark & 0xFC000000) >> 26 for c in calls if home.entry(c).mark & 0x01000000} == {46}
    assert {(home.entry(c).mark & 0xFC000000) >> 26 for c in swarm if home.entry(c).mark & 0x01000000} == {8}


def test_a_class_is_withdrawn_from_a_connection_that_is_something_else(kitchen: Kitchen) -> None:
    """What a connection was taken for by mistake it kept: the rule's mark stayed."""
    home = kitchen.home
    kitchen.cook("Zoom first")
    both = home.every("visitor", "call")
    kitchen.tell(ZOOM, *both)
    eventually(lambda: {home.entry(c).mark for c in both} == {0xB9000000})
    kitchen.tell(BITTORRENT, *both, detection_updated=True)
    eventually(lambda: {home.entry(c).mark for c in both} == {0x21000000}, what="the other class")
    kitchen.tell({"protocol": "HTTP"}, *both, detection_updated=True)
    eventually(lambda: {home.entry(c).mark for c in both} == {0}, what="no class")
    up, down = arrived(home, both)
    assert up["ef"] == up["cs1"] == down["ef"] == down["cs1"] == 0


def lost(home: Household) -> int:
    """Packets that have lost the marks of `OTHERS`."""
    (counter,) = json.loads(home.router.run("nft", "-j", "list", "counter", "inet", "others", "lost"))["nftables"][1:]
    return int(counter["counter"]["packets"])


def test_netflix_goes_through_wan_2(kitchen: Kitchen) -> None:
    """Over IPv6 it went through WAN 1, and after WAN 2 had been down its route was gone."""
    home = kitchen.home
    kitchen.cook("Netflix")
    first = home.every("visitor", "film")
    assert {home.wan(connection) for connection in first} == {"wan"}
    kitchen.tell(NETFLIX, *first)
    second, other = home.every("visitor", "film"), home.every("visitor", "other")
    assert [home.wan(connection) for connection in second] == ["wan2"] * 4, "TCP and UDP, IPv4 and IPv6"
    assert {home.wan(connection) for connection in other} == {"wan"}
    assert dead(first, second, other) == [], "each stays where it began"
    home.down("wan2")
    third = home.every("visitor", "film")
    assert {home.wan(connection) for connection in third} == {"wan"}, "no line is left without Netflix"
    home.up("wan2", *kitchen.tables)
    assert all(connection.alive(5) for connection in third for _ in range(5)), "they stay on the WAN that they began on"
    assert {home.wan(connection) for connection in home.every("visitor", "film")} == {"wan2"}


def test_weak_tls_is_reset_but_for_the_printer(kitchen: Kitchen) -> None:
    """The printer was exempt over IPv4 and reset over IPv6."""
    home = kitchen.home
    kitchen.cook("Block weak TLS")
    printer, visitor = (home.every(name, "old", ["tcp"]) for name in ("printer", "visitor"))
    modern = home.every("visitor", "other", ["tcp"])
    kitchen.tell(OLD_TLS, *printer, *visitor)
    assert kitchen.stopped(visitor)
    assert dead(printer, modern) == []
    assert home.reaches("printer", "old", 5, ["tcp"]) == {("tcp", 4), ("tcp", 6)}


def test_what_a_device_does_is_logged_and_not_blocked(kitchen: Kitchen) -> None:
    """An entry for each family; nothing else is touched."""
    home = kitchen.home
    kitchen.cook("Log what")
    talks = home.every("camera", "other", ["tcp"])
    kitchen.tell({}, *talks, *home.every("visitor", "other", ["tcp"]))
    assert all(connection.alive(5) for connection in talks)
    assert kitchen.lab.daemon.stop() == 0, "it writes what is pending"
    entries = [entry for file in kitchen.logs.glob("camera-*.json") for entry in json.loads(file.read_text())["entries"]]
    assert {entry["src_addr"] for entry in entries} == {home.local("camera", 4), home.local("camera", 6)}


def test_social_media_is_stopped_except_reddit(kitchen: Kitchen) -> None:
    """The recipe printed no rule, and an ipset that OpenWrt's firewall cannot use."""
    home = kitchen.home
    kitchen.cook("Social media")
    stopped, reddit = home.every("visitor", "social"), home.every("visitor", "reddit")
    kitchen.tell(INSTAGRAM, *stopped)
    kitchen.tell(REDDIT, *reddit)
    assert kitchen.stopped(stopped)
    assert not home.reaches("visitor", "social", kinds=["tcp"])
    assert all(connection.alive(5) for connection in reddit)


def test_games_of_a_list_are_stopped(kitchen: Kitchen) -> None:
    """The recipe printed no rule."""
    home = kitchen.home
    kitchen.cook("A list of games")
    console, other = home.every("visitor", "game"), home.every("visitor", "other")
    kitchen.tell(CONSOLE, *console)
    assert kitchen.stopped(console)
    assert all(connection.alive(5) for connection in other)


def test_a_set_of_your_own_is_filled_and_counted(kitchen: Kitchen) -> None:
    """The set had to be made by hand after each boot, and was of IPv4 only."""
    home = kitchen.home
    kitchen.cook("A set of your own")
    tunnels = home.every("visitor", "other", ["udp"])
    kitchen.tell(VPN, *tunnels)
    assert all(connection.alive(5) for connection in tunnels)
    listed = json.loads(home.router.run("nft", "-j", "list", "chain", "inet", "office", "vpn"))["nftables"]
    counts = [
        part["counter"]["packets"] for entry in listed if "rule" in entry for part in entry["rule"]["expr"] if "counter" in part
    ]
    assert len(counts) == 2 and all(counts)


def restart(full: Kitchen) -> None:
    """`service firewall restart`: fw4's table goes and comes."""
    full.lab.namespace.nft("delete table inet fw4")
    full.firewall()


def flush(full: Kitchen) -> None:
    """`service firewall stop` and `start`: all tables go."""
    full.lab.namespace.nft("flush ruleset")
    full.firewall()


@pytest.mark.parametrize("deed", [Kitchen.firewall, restart, flush])
def test_rules_and_elements_survive_the_firewall(full: Kitchen, deed: Callable[[Kitchen], None]) -> None:
    """At boot the whole file was refused, after a restart the rules were gone: YouTube played, and status said "on"."""
    home = full.home
    full.cook("No YouTube")
    blocked = home.every("ana_tablet", "video")
    full.tell(YOUTUBE, *blocked)
    deed(full)
    eventually(lambda: full.lab.daemon.ask("status")["targets"]["nft_no_youtube"]["elements"] == 4)
    eventually(lambda: len(home.router.nft_set("nfa no_youtube.v6").keys) == 2, what="the elements are back")
    assert full.stopped(blocked)
    assert not home.reaches("ana_tablet", "video")
    rules = home.router.run("nft", "list", "chain", "inet", "nfa", "no_youtube")
    assert rules.count("@no_youtube") == 2, "each rule is there once"


def test_a_connection_in_two_recipes_keeps_both_marks_and_all_packets(full: Kitchen) -> None:
    """Zoom's mark erased that of WAN 2: every second upstream packet was lost, and one connection in four was reset."""
    home = full.home
    full.cook("Netflix")
    full.tell(NETFLIX, *home.every("visitor", "film"))
    home.router.nft(OTHERS)
    both = home.every("visitor", "film")
    full.tell(ZOOM, *both)
    eventually(lambda: {home.entry(c).mark for c in both} == {0xB9000000 | 0x4000 | FOREIGN}, what="both marks, and others'")
    up, _ = arrived(home, both)
    assert up["plain"] == 0 and up["ef"] >= 20
    assert {home.wan(connection) for connection in both} == {"wan2"}
    assert lost(home) == 0, "and no packet the marks of others"


def test_off_is_off_for_every_recipe(full: Kitchen) -> None:
    """When the daemon stops, no element and no mark of it stays: the page says so."""
    home = full.home
    full.cook("No YouTube")
    called, social, tunnels = (home.every("visitor", server) for server in ("call", "social", "game"))
    full.tell(ZOOM, *called)
    full.tell(INSTAGRAM, *social)
    full.tell(CONSOLE, *tunnels)
    assert full.stopped([*social, *tunnels])
    assert full.lab.daemon.stop() == 0
    assert not [name for name, made in home.router.nft_sets().items() if made.keys]
    assert {home.entry(connection).mark for connection in called} == {0}
    assert len(home.reaches("visitor", "social", 5)) == 4, "TCP and UDP, IPv4 and IPv6"


def test_the_devices_of_the_page_are_those_of_the_household() -> None:
    """Else a test would run on a device that no recipe names."""
    assert {*macs()} - {*DEVICES} == {"old_tablet"} and len(SERVERS) == len(set(SERVERS))
