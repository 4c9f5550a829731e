"""Two hosts and a router between them: network namespaces joined by veth pairs, with real TCP, UDP and ICMP.

In: the namespace of the router, and what the hosts are to do. Out: real connections, and the router's conntrack table as the
`conntrack` tool shows it, with marks and labels. Nothing here uses the code under test.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_lab import Namespace, environment
from waiting import PATIENCE, eventually

HOME = {4: "192.168.1.20", 6: "fd00:1::20"}
"""The host behind the router; `AWAY`: the one in the world; GATES: the router's addresses at home, and in the world."""
AWAY = {4: "203.0.113.80", 6: "2001:db8:9::80"}
GATES = {4: ("192.168.1.1", "203.0.113.1"), 6: ("fd00:1::1", "2001:db8:9::1")}

# What runs on a host: it does what a line of standard input says, and answers each with a line.
_AGENT = r"""
import json, os, signal, socket, struct, sys, threading

signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its standard input
patience = float(sys.argv[1])
kinds = {"tcp": (socket.SOCK_STREAM, 6), "udp": (socket.SOCK_DGRAM, 17), "udplite": (socket.SOCK_DGRAM, 136)}
families = {4: socket.AF_INET, 6: socket.AF_INET6}
opened = []

def answer(talk):
    try:
        for data in iter(lambda: talk.recv(100), b""):
            talk.sendall(data)
    except OSError:
        pass

def echo(server, stream):
    while stream:
        talk = server.accept()[0]
        threading.Thread(target=answer, args=(talk,), daemon=True).start()
    while True:
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)

def serve(kind, version, port, address=""):
    server = socket.socket(families[version], *kinds[kind])
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address or ("::" if version == 6 else "0.0.0.0"), port))
    if kind == "tcp":
        server.listen(50)
    threading.Thread(target=echo, args=(server, kind == "tcp"), daemon=True).start()

def open_(kind, version, address, port):
    made = socket.socket(families[version], *kinds[kind])
    made.settimeout(patience)
    made.connect((address, port))
    opened.append(made)
    assert talk(len(opened) - 1)
    return len(opened) - 1, made.getsockname()[1]

def talk(index, seconds=patience):
    opened[index].settimeout(seconds)
    try:
        opened[index].send(b"x")
        return opened[index].recv(100) == b"x"
    except OSError:
        return False

def tries(kind, version, address, port, seconds):
    made = socket.socket(families[version], *kinds[kind])
    made.settimeout(seconds)
    with made:
        try:
            made.connect((address, port))
            own = made.getsockname()[1]
            made.send(b"x")
            return own if made.recv(100) == b"x" else 0
        except OSError:
            return 0

def ping(version, address, number):
    raw = socket.socket(families[version], socket.SOCK_RAW, 1 if version == 4 else 58)
    raw.settimeout(patience)
    echo_(raw, version, address, number)

def reaches(version, address, port, seconds, source=0):
    made = socket.socket(families[version], socket.SOCK_STREAM)
    made.settimeout(seconds)
    with made:
        try:
            made.bind(("", source))
            made.connect((address, port))
            return True
        except OSError:
            return False

def echo_(raw, version, address, number):
    raw.connect((address, 0))
    kind = 8 if version == 4 else 128
    packet = struct.pack(">BBHHH", kind, 0, 0, number, 1)
    total = sum(struct.unpack(">4H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    raw.send(packet if version == 6 else packet[:2] + struct.pack(">H", ~total & 0xFFFF) + packet[4:])
    while raw.recv(200)[20 if version == 4 else 0] != (0 if version == 4 else 129):
        pass

def pings(version, address, number, seconds=0.3):
    raw = socket.socket(families[version], socket.SOCK_RAW, 1 if version == 4 else 58)
    with raw:
        raw.settimeout(seconds)
        try:
            echo_(raw, version, address, number)
        except OSError:
            return False
    return True

def raw(protocol, address, packet):
    made = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    made.sendto(bytes.fromhex(packet), (address, 0))

def flood(index, count, size):
    # So many datagrams, as fast as the other end takes them: how many are echoed?
    own, found, patient = opened[index], 0, 0.3
    for sent in range(1, count + 1):
        try:
            own.send(bytes(size))
            own.settimeout(patient if sent < count else 0.3)
            while found < sent and sent % 10 == 0:
                own.recv(100)
                found += 1
        except OSError:
            patient = 0.005  # packets are lost: on the way, or here already
    return found

def each(name, *calls):
    # All at the same time, so that silence is waited for once.
    answers = [None] * len(calls)

    def one(index, arguments):
        answers[index] = jobs[name](*arguments)

    threads = [threading.Thread(target=one, args=call) for call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers

jobs = {
    "serve": serve, "open": open_, "talk": talk, "tries": tries, "ping": ping, "pings": pings, "raw": raw, "each": each,
    "flood": flood, "reaches": reaches,
}
for line in sys.stdin:
    name, *arguments = json.loads(line)
    print(json.dumps(jobs[name](*arguments)), flush=True)
"""


AT_ONCE = ("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
"""Settings with which a card has its IPv6 addresses at once: link-local ones wait for duplicates, and nobody else is there."""


class Agent:
    """A process that does what it is told: a line of JSON each way."""

    _agent: subprocess.Popen[str]

    def do(self, *job: object) -> Any:
        """Have something done, and return the answer."""
        assert self._agent.stdin and self._agent.stdout
        self._agent.stdin.write(json.dumps(job) + "\n")
        self._agent.stdin.flush()
        answer = self._agent.stdout.readline()
        assert answer, f"{job} failed"
        return json.loads(answer)


class Host(Agent):
    """A namespace with an agent in it, one network card and a route through the router."""

    def __init__(self, router: Namespace, itself: bool = False) -> None:
        """`itself`: not a host behind the router, but the router as one."""
        self.namespace = router if itself else Namespace(router)
        self._own = not itself
        self.namespace.run("sysctl", "-qw", *AT_ONCE)
        self._agent = subprocess.Popen(
            [*self.namespace.prefix, sys.executable, "-I", "-S", "-c", _AGENT, str(PATIENCE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip

    def open(self, kind: str, version: int, address: str, port: int) -> int:
        """Open a connection, have a byte echoed, and return its own port."""
        return int(self.do("open", kind, version, address, port)[1])

    def close(self) -> None:
        self._agent.communicate()
        if self._own:
            self.namespace.close()


def joined(host: Host, card: str, inside: str) -> str:
    """The command of `ip` that joins a host to the router: by `card` there, and a card with the name `inside` here."""
    return f"link add {card} type veth peer name {inside} netns {host.namespace.pid}"


def up(card: str, *addresses: str) -> list[str]:
    """The commands of `ip` that bring a card up, with these addresses; no duplicates are waited for."""
    return [f"link set {card} up", *(f"addr add {one} dev {card}{' nodad' if ':' in one else ''}" for one in addresses)]


@dataclass(frozen=True)
class Entry:
    """An entry of the conntrack table. `original` and `reply`: source, destination and the ports (ICMP: its id twice)."""

    protocol: str
    original: tuple[str, str, str, str]
    reply: tuple[str, str, str, str]
    mark: int
    labels: frozenset[str]


class Network:
    """The hosts `home` and `away`, with the router between them."""

    def __init__(self, router: Namespace, folder: Path, labels: dict[int, str]) -> None:
        """`labels`: what the file that names labels has."""
        self.router = router
        self.home, self.away = Host(router), Host(router)
        self.connlabel = folder / "etc" / "xtables" / "connlabel.conf"
        self.connlabel.parent.mkdir(parents=True)
        self.connlabel.write_text("".join(f"{bit}\t{name}\n" for bit, name in labels.items()))
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", *AT_ONCE)
        # Half a minute, else: a busy machine may need longer from a packet to the look at its entry.
        timeouts = ("udp_timeout", "icmp_timeout", "icmpv6_timeout", "sctp_timeout_cookie_wait", "dccp_timeout_request")
        router.run("sysctl", "-eqw", *(f"net.netfilter.nf_conntrack_{name}=3600" for name in timeouts))
        for host, card, side, addresses in ((self.home, "lan", 0, HOME), (self.away, "wan", 1, AWAY)):
            gates = GATES[4][side], GATES[6][side]
            router.ip(joined(host, card, "eth0"), *up(card, f"{gates[0]}/24", f"{gates[1]}/64"))
            routes = [f"route add default via {gate}" for gate in gates]
            host.namespace.ip(*up("eth0", f"{addresses[4]}/24", f"{addresses[6]}/64"), *routes)
        # The world is where the router's own default route leads to.
        router.ip(*(f"route add default via {AWAY[version]}" for version in (4, 6)))

    def close(self) -> None:
        for host in (self.home, self.away):
            host.close()

    def entries(self) -> list[Entry]:
        """The router's table."""
        return table(self.router, self.connlabel)

    def entry(self, protocol: str, *ends: object) -> Entry:
        """The one entry that has these words in its tuples."""
        wanted = {str(end) for end in ends}
        entries = [e for e in self.entries() if e.protocol == protocol and wanted <= {*e.original, *e.reply}]
        assert len(entries) == 1, entries
        return entries[0]

    def until(self, condition: Any, what: str = "") -> None:
        """Wait until the table is as wanted: `condition` gets the entries."""
        eventually(lambda: condition(self.entries()) or None, what=what)


def table(namespace: Namespace, connlabel: Path) -> list[Entry]:
    """The conntrack table of a namespace. `connlabel`: its file of labels, in etc/xtables of some folder.

    The tool wants that file in /etc, so it gets an /etc of its own.
    """
    found = []
    command = f"mount --bind {_etc_of_the_tool(connlabel)} /etc && exec conntrack -L -o labels -f ipv"
    for version in (4, 6):
        for line in namespace.run("unshare", "-m", "sh", "-c", f"{command}{version}").splitlines():
            found.append(_entry(line))
    return found


def _etc_of_the_tool(connlabel: Path) -> Path:
    """Return a folder for /etc whose names of labels `conntrack` shows rightly.

    On a big-endian machine it reads the bits that nft's rules call n as n ^ 96: there it gets a file of its own.
    """
    if sys.byteorder == "little":
        return connlabel.parent.parent
    made = connlabel.parent.parent.with_name("etc-of-conntrack")
    file = made / "xtables" / "connlabel.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [line.split() for line in connlabel.read_text().splitlines()]
    file.write_text("".join(f"{int(bit) ^ 96}\t{name}\n" for bit, name in lines))
    return made


def _entry(line: str) -> Entry:
    words = line.split()
    values = [word.partition("=") for word in words if "=" in word]
    tuples = []
    for names in (("src",), ("dst",), ("sport", "id"), ("dport", "id")):
        tuples.append([value for name, _, value in values if name in names])
    sides = [tuple(column[side] if side < len(column) else "" for column in tuples) for side in (0, 1)]
    mark = next((int(value) for name, _, value in values if name == "mark"), 0)
    labels = re.search(r"labels=(\S*)", line)
    names = frozenset(filter(None, (labels[1] if labels else "").split(",")))
    return Entry(words[0], sides[0], sides[1], mark, names)  # type: ignore[arg-type]


@contextmanager
def network(router: Namespace, folder: Path, labels: dict[int, str]) -> Iterator[Network]:
    """The two hosts, joined to a router's namespace; gone with the end of the block."""
    made = Network(router, folder, labels)
    try:
        yield made
    finally:
        made.close()
