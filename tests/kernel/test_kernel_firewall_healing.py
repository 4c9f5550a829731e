"""What others delete of the table of firewall targets is put back: all of it, each part, and again and again.

Judged by packets: a client behind the router that is blocked stays so. How quickly that goes, `make bench` tells.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import Lab, Namespace
from network_lab import AWAY, HOME, Network, network
from samples import flow
from waiting import eventually

pytestmark = pytest.mark.kernel

ROUNDS = 60 if os.environ.get("NFA_LONG") else 16
PORT = 4000
RULES = """
table inet fw4
flush table inet fw4
table inet fw4 {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname lan accept
  }
}
"""
FIREWALL = "flush table inet fw4\n" + RULES
"""What a reload of fw4 does."""
CONFIG = {
    "version": 1,
    "targets": {
        "stop": {"target_type": "firewall", "verdict": "drop"},
        "first": {"target_type": "firewall", "set_dscp": "EF"},
        "quiet": {"target_type": "firewall", "verdict": "drop", "scope": "device"},
    },
    "actions": {
        "films": {"criteria": "app == 'youtube';", "targets": ["stop"]},
        "calls": {"criteria": "app == 'facebook';", "targets": ["first"]},
        "bed": {"criteria": "app == 'tiktok';", "targets": ["quiet"]},
    },
}
BASES = "flush chain inet nfa nfa_forward; flush chain inet nfa nfa_forward_ipv6; "
DAMAGE = (
    FIREWALL,
    "flush ruleset\n" + RULES,
    "delete table inet nfa",
    "flush table inet nfa",
    "flush map inet nfa connections.v4",
    "flush chain inet nfa nfa_forward",
    "flush chain inet nfa t_stop",
    "flush chain inet nfa COMBINATION",
    "delete rule inet nfa nfa_forward handle FIRST",
    "delete rule inet nfa t_stop handle EFFECT",
    "delete element inet nfa connections.v4 { ELEMENT }",
    BASES + "delete map inet nfa connections.v4",
    BASES + "delete map inet nfa plain_connections.v6; delete map inet nfa devices_up.v4",
    BASES + "delete chain inet nfa nfa_forward_ipv6",
    BASES + "delete chain inet nfa nfa_forward",
    "flush map inet nfa combinations",
    "delete element inet nfa combinations { NUMBER }",
    BASES + "delete map inet nfa combinations",
    "delete element inet nfa combinations { NUMBER }; flush chain inet nfa COMBINATION; delete chain inet nfa COMBINATION",
)
"""What another program, or a curious owner, may do."""


class Home:
    """A client with a connection that is blocked and one that is not, and the table as it is to be."""

    def __init__(self, lab: Lab, net: Network) -> None:
        self.lab, self.net = lab, net
        self.blocked, own = net.home.do("open", "udp", 4, AWAY[4], PORT)
        self.other, _ = net.home.do("open", "udp", 4, AWAY[4], PORT)
        self.element = f"{HOME[4]} . {own} . udp . {AWAY[4]} . {PORT}"
        record = flow("QUIC", "netify.youtube", local=HOME[4], local_port=own, other=AWAY[4], other_port=PORT, ip_protocol=17)
        # Another one for each map, so that all have something to lose.
        calls = flow("QUIC", "netify.facebook", local=HOME[6], other=AWAY[6], ip_protocol=17)
        bed = flow("QUIC", "netify.tiktok", local="192.168.1.77", other=AWAY[4], ip_protocol=17)
        lab.feed(record, calls, bed)
        assert not self.talks(self.blocked)
        self.whole = self.listed()
        number = re.search(rf"{re.escape(self.element)} [^,]*: (0x\w+)", self.text()).group(1)  # type: ignore[union-attr]
        self.number, self.combination = number, f"c{int(number, 16):04x}"

    def talks(self, which: int) -> bool:
        return bool(self.net.home.do("talk", which, 0.2))

    def text(self, *options: str) -> str:
        return str(self.lab.namespace.attempt("nft", *options, "list", "table", "inet", "nfa").stdout)

    def listed(self) -> list[str]:
        """The lines of the table, without times and counts; in no order, since that of chains and elements is the kernel's."""
        plain = re.sub(r" expires \w+| packets \d+ bytes \d+", "", self.text())
        return sorted(line.strip().rstrip(",") for line in re.sub(r"elements = \{|, (?=\d|\w+:)", "\n", plain).splitlines())

    def damage(self, commands: str) -> None:
        """Do that, at once."""
        handles = self.text("-a")
        for word, rule in (("FIRST", r"ip saddr .*map @connections.v4 .*"), ("EFFECT", r"chain t_stop \{[^}]*\n\s+drop")):
            if word in commands:
                found = re.search(rf"{rule} # handle (\d+)", handles)
                assert found, handles
                commands = commands.replace(word, found[1])
        commands = commands.replace("COMBINATION", self.combination).replace("ELEMENT", self.element)
        commands = commands.replace("NUMBER", self.number)
        self.lab.namespace.run("nft", "-f", "-", text=commands.replace("; delete", "\ndelete").replace("; flush", "\nflush"))

    def is_whole(self) -> None:
        eventually(lambda: self.listed() == self.whole, what="all of the table is there")


@pytest.fixture
def home(lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Home]:
    with network(namespace, tmp_path, {}) as net:
        namespace.run("nft", "-f", "-", text=RULES)
        net.away.do("serve", "udp", 4, PORT, AWAY[4])
        lab.start(CONFIG)
        yield Home(lab, net)


def test_whatever_is_deleted_the_connection_is_blocked_once_the_table_is_whole(home: Home) -> None:
    """The children's tablet has films again after each reload of the firewall, or after somebody has looked around in nft."""
    for number in range(ROUNDS):
        home.damage(DAMAGE[number % len(DAMAGE)])
        home.is_whole()
        assert not home.talks(home.blocked), DAMAGE[number % len(DAMAGE)]
    assert home.talks(home.other), "a neighbour is left alone"
    assert status_is_good(home.lab)


def test_in_quick_succession_too(home: Home) -> None:
    """A script that reloads the firewall for each of its settings: the daemon gives up, or comes seconds later."""
    for commands in ("flush ruleset\n" + RULES, "flush map inet nfa connections.v4", "flush table inet nfa"):
        for _ in range(60):
            home.lab.namespace.attempt("nft", "-f", "-", text=commands)
        home.is_whole()
        assert not home.talks(home.blocked), commands
    assert home.talks(home.other)
    assert status_is_good(home.lab)


def status_is_good(lab: Lab) -> bool:
    """Nothing is in trouble, and nothing was refused."""
    targets: list[dict[str, Any]] = list(lab.daemon.status()["targets"].values())
    return all(target["errors"] == 0 and not target.get("trouble") for target in targets)


def test_many_actions_begin_and_end_together(lab: Lab) -> None:
    """With hundreds of actions a pause would stop some of them only, or leave chains behind that nobody wants."""
    count = 600
    actions = {f"a{number}": {"criteria": f"other_port == {2000 + number};", "targets": ["stop"]} for number in range(count)}
    config = {"version": 1, "targets": {"stop": {"target_type": "firewall", "verdict": "drop"}}, "actions": actions}
    lab.start(config)

    def jumps() -> int:
        return len(re.findall(r"goto t_stop\b", str(lab.namespace.attempt("nft", "list", "table", "inet", "nfa").stdout)))

    lab.feed(*[flow("QUIC", local_port=3000 + number, other_port=2000 + number, ip_protocol=17) for number in range(count)])
    eventually(lambda: jumps() == count, what="a chain for each action")
    for _ in range(2):
        lab.daemon.ask("pause", name="all", seconds=3600)
        eventually(lambda: jumps() == 0, what="nothing is stopped")
        lab.daemon.ask("resume", name="all")
        eventually(lambda: jumps() == count, what="everything is stopped again")
    lab.namespace.run("nft", "delete", "table", "inet", "nfa")
    eventually(lambda: jumps() == count, what="all chains are back")
    assert status_is_good(lab)
    assert lab.daemon.stop() == 0
    assert "table inet nfa" not in lab.namespace.run("nft", "list", "ruleset")
