"""The option `route` of firewall targets, judged by packets: a router with two WANs, whose daemon makes the routes itself.

Behind either WAN is a host that has the server's address. The conntrack table tells which way a connection took: NAT gave it
an address of that WAN.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_uci
import pytest
from kernel_lab import Lab, Namespace
from network_lab import AWAY, GATES, HOME, Host, Network, joined, up
from samples import flow
from waiting import eventually

from nfa.cli import main

pytestmark = pytest.mark.kernel

SERVER = {4: "192.0.2.80", 6: "2001:db8:8::80"}
FIRST = {version: GATES[version][1] for version in (4, 6)}
SECOND = {4: "198.51.100.2", 6: "2001:db8:7::2"}
"""The router's addresses at either WAN; `LATER`: at WAN 2 after a change."""
LATER = {4: "198.51.101.2", 6: "2001:db8:6::2"}
FILM, MAIL = 4000, 4001
ALL = [(kind, version) for kind in ("tcp", "udp") for version in (4, 6)]
FW4 = """
add table inet fw4
add chain inet fw4 forward { type filter hook forward priority filter; policy drop; }
add rule inet fw4 forward ct state established,related accept
add rule inet fw4 forward iifname lan accept
add chain inet fw4 srcnat { type nat hook postrouting priority srcnat; }
add rule inet fw4 srcnat oifname { wan, wan2 } masquerade
"""
MWAN3 = """
add table inet mwan3
add chain inet mwan3 prerouting { type filter hook prerouting priority mangle; }
add rule inet mwan3 prerouting iifname lan ct mark and 0x3f00 == 0 ct mark set ct mark and 0xffffc0ff or 0x100
add rule inet mwan3 prerouting iifname lan meta mark set meta mark and 0xffffc0ff or 0x100
add chain inet mwan3 postrouting { type filter hook postrouting priority 300; }
add rule inet mwan3 postrouting iifname lan oifname wan2 meta mark and 0x3f00 == 0x100 counter
add rule inet mwan3 postrouting iifname lan oifname wan2 meta mark and 0x3f00 != 0x100 counter
"""
"""What mwan3 and pbr do: bits of their own, in packets and connections."""


def gateway(address: str) -> str:
    """The host behind WAN 2, for an address of the router there."""
    return address[:-1] + "1"


class Wans(Network):
    """A network whose router has a second WAN."""

    second: Host

    def begin(self) -> None:
        self.second = Host(self.router)
        self.router.ip(joined(self.second, "wan2", "eth0"))
        for host in (self.away, self.second):
            host.namespace.ip("link set lo up", *(f"addr add {one} dev lo" for one in SERVER.values()))
        for addresses in (SECOND, LATER):
            self.second.namespace.ip(*up("eth0", gateway(addresses[4]) + "/24", gateway(addresses[6]) + "/64"))
        self.up(SECOND)
        for kind, version in ALL:
            for port in (FILM, MAIL):
                for host in (self.away, self.second):
                    host.do("serve", kind, version, port, SERVER[version])

    def up(self, addresses: dict[int, str]) -> None:
        """WAN 2 comes up, as a DHCP client has it: an address, and a route that the usual one is better than."""
        routes = [f"route add default via {gateway(one)} dev wan2 metric 2000" for one in addresses.values()]
        self.router.ip(*up("wan2", addresses[4] + "/24", addresses[6] + "/64"), *routes)

    def down(self) -> None:
        self.router.run("ip", "link", "set", "wan2", "down")
        self.router.run("ip", "addr", "flush", "dev", "wan2")

    def close(self) -> None:
        super().close()
        self.second.close()


class Router:
    """What a test does with the router: connections of the host at home, their records, and their way."""

    def __init__(self, net: Wans, lab: Lab) -> None:
        self.net, self.lab = net, lab

    def connect(self, kind: str, version: int, port: int = FILM) -> tuple[int, int]:
        index, own = self.net.home.do("open", kind, version, SERVER[version], port)
        return int(index), int(own)

    def talks(self, connection: tuple[int, int]) -> bool:
        return bool(self.net.home.do("talk", connection[0], 1))

    def way(self, kind: str, version: int, own: int) -> str:
        """The router's address that a connection has outside."""
        return self.net.entry(kind, HOME[version], own, SERVER[version]).reply[1]

    def record(self, kind: str, version: int, own: int, application: str = "netify.youtube") -> dict[str, Any]:
        digest = f"{kind}{version}{own}".encode().hex().ljust(40, "0")[:40]
        fields = {"ip_protocol": 6 if kind == "tcp" else 17, "local_port": own, "other_port": FILM, "digest": digest}
        return flow("HTTP/S", application, local=HOME[version], other=SERVER[version], **fields)

    def learn(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Open a connection of each kind, and have netifyd say that it is YouTube's."""
        made = {one: self.connect(*one) for one in ALL}
        self.lab.feed(*[self.record(*one, own) for one, (_, own) in made.items()])
        eventually(lambda: self.listed().count(": 0x") >= len(ALL), what="the servers are learnt")
        return made

    def listed(self) -> str:
        return self.net.router.run("nft", "list", "table", "inet", "nfa")

    def takes(self, wanted: dict[int, str], *which: tuple[str, int]) -> float:
        """Wait until new connections take a way. Returns how many seconds that took."""
        begun = time.monotonic()
        for kind, version in which or ALL:
            eventually(lambda k=kind, v=version: self.fresh_way(k, v) == wanted[v], what=f"{kind} {version} {wanted[version]}")
        return time.monotonic() - begun

    def fresh_way(self, kind: str, version: int, port: int = FILM) -> str:
        """The way of a connection that is opened now, "" where none can be."""
        made = self.net.home.do("tries", kind, version, SERVER[version], port, 0.3)
        return self.way(kind, version, made) if made else ""

    def rules(self, version: int) -> list[str]:
        return self.net.router.run("ip", f"-{version}", "rule").splitlines()


def config(**more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "targets": {"line2": {"target_type": "firewall", "route": "wan2", **more}},
        "actions": {"films": {"criteria": "app == 'youtube';", "targets": ["line2"]}},
    }


@pytest.fixture
def router(lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Router]:
    net = Wans(namespace, tmp_path, {})
    try:
        net.begin()
        namespace.run("nft", "-f", "-", text=FW4)
        yield Router(net, lab)
    finally:
        net.close()


def test_new_connections_take_the_other_wan_and_running_ones_stay(lab: Lab, router: Router) -> None:
    """Netflix goes on through the metered line; or the film that plays breaks off because its address changes."""
    lab.start(config())
    running = router.learn()
    for (kind, version), (_, own) in running.items():
        assert router.way(kind, version, own) == FIRST[version]
    router.takes(SECOND)
    for (kind, version), connection in running.items():
        assert router.talks(connection), f"{kind} {version} goes on"
        assert router.way(kind, version, connection[1]) == FIRST[version]
        assert router.fresh_way(kind, version, MAIL) == FIRST[version], "another service of that server"


def test_the_other_wan_goes_down_comes_back_and_changes_its_address(lab: Lab, router: Router) -> None:
    """After an outage nothing goes through WAN 2 until a reboot; or all that was opened meanwhile hangs when it is back."""
    lab.start(config())
    router.learn()
    router.takes(SECOND)
    router.net.down()
    seconds = [router.takes(FIRST)]
    lab.daemon.until(lambda status: "route-down" in [one["code"] for one in status["findings"]], "status tells")
    meanwhile = {one: router.connect(*one) for one in ALL}
    router.net.up(SECOND)
    seconds.append(router.takes(SECOND))
    lab.daemon.until(lambda status: "route-down" not in [one["code"] for one in status["findings"]], "status tells")
    for (kind, version), connection in meanwhile.items():
        assert router.talks(connection), f"{kind} {version} goes on"
        assert router.way(kind, version, connection[1]) == FIRST[version]
    router.net.router.run("ip", "addr", "flush", "dev", "wan2")
    router.net.router.run("ip", "-6", "route", "del", "default", "dev", "wan2")
    router.net.up(LATER)
    seconds.append(router.takes(LATER))
    print("followed within", [round(one, 2) for one in seconds])
    # A cable that is pulled leaves address and route where they are.
    router.net.second.namespace.run("ip", "link", "set", "eth0", "down")
    router.takes(FIRST)


def test_without_fallback_there_is_no_way_while_the_other_wan_is_down(lab: Lab, router: Router) -> None:
    """What must not leave through the usual line, because it is metered or somebody listens there, does when WAN 2 fails."""
    lab.start(config(fallback=False))
    router.learn()
    router.takes(SECOND)
    router.net.down()
    for kind, version in ALL:
        eventually(lambda k=kind, v=version: router.fresh_way(k, v) == "", what=f"{kind} {version} has no way")  # type: ignore[misc]
        assert router.fresh_way(kind, version, MAIL) == FIRST[version]
    assert all(router.fresh_way(*one) == "" for one in ALL)
    router.net.up(SECOND)
    router.takes(SECOND)


def test_rules_marks_and_routes_of_others_are_left_alone(lab: Lab, router: Router) -> None:
    """mwan3 or pbr lose the marks by which they know a connection, or their rules; or ours stay when nfa is stopped."""
    namespace = router.net.router
    namespace.run("nft", "-f", "-", text=MWAN3)
    for version in (4, 6):
        # All that they mark goes through WAN 1, as the usual way does.
        namespace.run("ip", f"-{version}", "rule", "add", "fwmark", "0x100/0x3f00", "lookup", "1", "priority", "2001")
        namespace.run("ip", f"-{version}", "rule", "add", "fwmark", "0x10000/0xff0000", "lookup", "256", "priority", "29998")
        via = AWAY[version]
        namespace.run("ip", f"-{version}", "route", "add", "default", "via", via, "dev", "wan", "table", "1")
    before = {version: router.rules(version) for version in (4, 6)}
    lab.start(config())
    router.learn()
    router.takes(SECOND)
    for kind, version in ALL:
        index, own = router.connect(kind, version)
        assert router.talks((index, own))
        assert router.net.entry(kind, HOME[version], own, SERVER[version]).mark == 0x4100
    left = namespace.run("nft", "list", "chain", "inet", "mwan3", "postrouting")
    theirs, lost = [int(words.split("packets ")[1].split()[0]) for words in left.splitlines() if "packets" in words]
    assert theirs > 0 and lost == 0, left
    for version in (4, 6):
        assert [line for line in router.rules(version) if "proto 110" not in line] == before[version]
    lab.daemon.stop()
    for version in (4, 6):
        assert router.rules(version) == before[version]
        assert namespace.attempt("ip", f"-{version}", "route", "show", "table", "7701").stdout == ""


def test_rules_and_routes_that_others_delete_are_put_back(lab: Lab, router: Router) -> None:
    """A network manager that restarts deletes rules that are not its own; from then on all goes through the usual line."""
    lab.start(config())
    router.learn()
    router.takes(SECOND)
    for version in (4, 6):
        router.net.router.run("ip", f"-{version}", "rule", "del", "priority", "701")
        router.net.router.run("ip", f"-{version}", "route", "flush", "table", "7701")
    router.takes(SECOND)


def test_a_connection_to_what_is_nearer_than_the_internet_stays_there(lab: Lab, router: Router) -> None:
    """The server of a VPN or another local network is looked for in the Internet, because an application was seen there."""
    lab.start(config())
    router.learn()
    router.takes(SECOND)
    for version in (4, 6):
        router.net.router.run("ip", f"-{version}", "route", "add", SERVER[version], "via", AWAY[version], "dev", "wan")
    router.takes(FIRST)


def test_without_pyroute2_it_is_said_which_package_has_it(
    lab: Lab, router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes through WAN 2, and nothing says why."""
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "pyroute2.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lacking"))
    lab.start(config())
    found = lab.daemon.until(lambda status: any(one["code"] == "route-no-pyroute2" for one in status["policy"]["reports"]))
    report = next(one for one in found["policy"]["reports"] if one["code"] == "route-no-pyroute2")
    assert "nfa-route" in report["hint"]
    assert len(lab.daemon.said("install pyroute2")) == 1
    router.learn()
    assert router.fresh_way("tcp", 4) == FIRST[4], "what is marked has its usual way"


def test_a_device_that_drops_the_answers_is_told(lab: Lab, router: Router) -> None:
    """Connections begin, and nothing comes back: rp_filter drops what the usual way does not lead to."""
    router.net.router.run("sysctl", "-qw", "net.ipv4.conf.wan2.rp_filter=1")
    lab.start(config())
    found = lab.daemon.until(lambda status: any(one["code"] == "route-strict" for one in status["policy"]["reports"]))
    assert "wan2" in next(one["message"] for one in found["policy"]["reports"] if one["code"] == "route-strict")


UCI_NETWORK = """
config interface 'wan'
	option device 'wan'
	option proto 'static'

config interface 'wan2'
	option device 'wan2'
	option proto 'dhcp'

config interface 'wan2_6'
	option device '@wan2'
	option proto 'dhcpv6'
"""
UCI_POLICY = """
config action 'films'
	list criteria "app == 'youtube';"
	list target 'line2'

config target 'line2'
	option target_type 'firewall'
	option route 'wan2'
	option fallback '0'
"""


def netifd(namespace: Namespace, file: Path) -> None:
    """Do what netifd does with rules and tables of /etc/config/network."""
    for kind, _, options in fake_uci.read(file.read_text()):
        values = {name: value for _, name, value in options}
        if kind in ("rule", "rule6"):
            words = ["fwmark", values["mark"], "priority", values["priority"]]
            words += ["lookup", values["lookup"]] if "lookup" in values else [values["action"]]
            words += ["suppress_prefixlength", values["suppress_prefixlength"]] if "suppress_prefixlength" in values else []
            namespace.run("ip", "-6" if kind == "rule6" else "-4", "rule", "add", *words)
        for version, option in ((4, "ip4table"), (6, "ip6table")):
            if option in values and (version == 6) == (values["proto"] == "dhcpv6"):
                namespace.run("ip", f"-{version}", "route", "del", "default", "dev", "wan2")
                table = ["table", values[option]]
                namespace.run(
                    "ip", f"-{version}", "route", "add", "default", "via", gateway(SECOND[version]), "dev", "wan2", *table
                )


def test_what_is_written_for_netifd_does_the_same(lab: Lab, router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """On OpenWrt, where the routes are netifd's, everything looks right, and all goes through WAN 1."""
    folder = lab.folder / "config"
    folder.mkdir()
    (folder / "network").write_text(UCI_NETWORK)
    (folder / "netify-proc-flow-actions").write_text(UCI_POLICY)
    lab.start(None, options=["-u", str(folder)])
    found = lab.daemon.status()["policy"]["reports"]
    assert [one["code"] for one in found if "route" in one["code"]] == ["route-not-applied"]
    monkeypatch.setenv("PATH", fake_uci.install(lab.folder / "bin"))
    assert main(["route", "apply", "-u", str(folder)]) == 0
    lab.daemon.loaded(2)  # it notices by itself
    assert not [one for one in lab.daemon.status()["policy"]["reports"] if "route" in one["code"]]
    namespace = router.net.router
    assert not [line for line in router.rules(4) if "fwmark" in line], "rules are netifd's"
    netifd(namespace, folder / "network")
    running = router.learn()
    router.takes(SECOND)
    for (kind, version), (index, own) in running.items():
        assert router.talks((index, own))
        assert router.way(kind, version, own) == FIRST[version]
    router.net.down()  # netifd's routes go with the device
    for one in ALL:
        eventually(lambda one=one: router.fresh_way(*one) == "", what=f"{one} has no way")  # type: ignore[misc]


LISTED = """\
	chain t_line2 {
		meta mark set meta mark & 0xffff7fff | 0x00004000
	}

	chain nfa_prerouting {
		type filter hook prerouting priority mangle + 10; policy accept;
		ct direction original ct mark & 0x0000c000 == 0x00004000 meta mark set meta mark & 0xffff7fff | 0x00004000
		ct direction original ct status ! confirmed goto nfa_routes
	}

	chain nfa_routes {
		meta mark set ip daddr . meta l4proto . th dport map @routes.v4 meta mark set meta mark meta mark vmap @combinations
		meta mark set ip6 daddr . meta l4proto . th dport map @routes.v6 meta mark set meta mark meta mark vmap @combinations
	}

	chain nfa_postrouting {
		type filter hook postrouting priority mangle + 10; policy accept;
		meta mark & 0x0000c000 == 0x00004000 oifname "wan2" ct status ! confirmed ct mark set ct mark & 0xffff7fff | 0x00004000
	}
"""


def test_the_rules_are_those_of_the_page(lab: Lab, router: Router) -> None:
    """Someone looks at the rules with nft, and they are not what docs/enforcement.md says."""
    lab.start(config())
    eventually(lambda: "nfa_postrouting" in router.listed())
    print(router.listed())
    assert LISTED in router.listed()


def test_the_routers_own_connections_keep_their_way_and_a_server_stays_known(lab: Lab, router: Router) -> None:
    """The router's own updates go through the metered line; or each evening the first film of the day goes through WAN 1."""
    lab.start(config())
    running = router.learn()
    router.takes(SECOND)
    ended = [
        {"type": "flow_purge", "flow": {"digest": router.record(*one, own)["flow"]["digest"]}}
        for one, (_, own) in running.items()
    ]
    lab.feed(*ended)
    for element in router.listed().splitlines():
        assert "timeout" not in element or "timeout 1d" in element
    router.takes(SECOND)
    ask = "import socket,sys; made = socket.create_connection((sys.argv[1], 4000), 5); print(made.getsockname()[0])"
    for version in (4, 6):
        assert router.net.router.run(sys.executable, "-c", ask, SERVER[version]).strip() == FIRST[version]
