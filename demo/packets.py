"""The demo's first act: packets. A client, a router and a server in network namespaces; one application is blocked.

In: demo/block.json. Out: what each connection of the client can do, step by step, compared with what the policy says. The
client has three connections to the same address and port of the server: a policy about addresses could not tell them apart.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from kernel_lab import Namespace, Netifyd, private_namespace
from network_lab import AWAY, HOME, Network, network
from samples import flow, hello
from stage import HERE, PATIENCE, Failed, headline, nfa, paint, say, show, stopped, tool, wait

POLICY = HERE / "block.json"
PORT = 443
FIREWALL = """
table inet fw4 {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "lan" accept
  }
  chain srcnat {
    type nat hook postrouting priority srcnat;
    oifname "wan" masquerade
  }
}
"""
"""As on OpenWrt: what is established is accepted before anything else is asked, and the client's address is hidden."""
CONNECTIONS = {
    "YouTube, TCP": ("tcp", 4, "youtube"),
    "YouTube, QUIC": ("udp", 6, "youtube"),
    "iCloud, TCP": ("tcp", 4, "icloud"),
}
"""Their kind, IP version, and what netifyd takes them for."""
APPLICATIONS = {"youtube": ("QUIC", "netify.youtube"), "icloud": ("HTTP/S", "netify.apple-icloud")}
PASSES, STOPPED = True, False
LOOK = 0.3
"""Seconds that a byte has for its way to the server and back."""


class Client:
    """The host at home and its connections."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.indexes: dict[str, int] = {}
        self.ports: dict[str, int] = {}
        for kind, version in {(kind, version) for kind, version, _ in CONNECTIONS.values()}:
            net.away.do("serve", kind, version, PORT, AWAY[version])
        for name in CONNECTIONS:
            self.open(name)
        print("    " + " " * 34 + "".join(f"{name:>16}" for name in CONNECTIONS))

    def open(self, name: str) -> None:
        """Open a connection, in place of the one that had the name."""
        kind, version, _ = CONNECTIONS[name]
        self.indexes[name], self.ports[name] = self.net.home.do("open", kind, version, AWAY[version], PORT)

    def record(self, name: str) -> dict[str, Any]:
        """What netifyd says of a connection, once it has seen its first packets."""
        kind, version, application = CONNECTIONS[name]
        ends = {"local": HOME[version], "other": AWAY[version], "local_port": self.ports[name], "other_port": PORT}
        return flow(*APPLICATIONS[application], ip_protocol=6 if kind == "tcp" else 17, **ends)  # type: ignore[arg-type]

    def look(self, event: str, *wanted: bool) -> None:
        """See which connections get a byte to the server and back, until that is what is wanted. Raises Failed."""
        calls = [(index, LOOK) for index in self.indexes.values()]
        found: list[bool] = []

        def right() -> bool:
            found[:] = self.net.home.do("each", "talk", *calls)
            return found == list(wanted)

        good = wait(right, PATIENCE)
        words = [paint(f"{'passes' if one else 'is stopped':>16}", "good" if one else "error") for one in found]
        print(f"    {event:<34}" + "".join(words), flush=True)
        if not good:
            raise Failed(f"{event}: not what the policy says")
        time.sleep(1)  # for who reads


def act(folder: Path) -> None:
    """The first act. Raises Failed."""
    headline(1, "The policy: demo/block.json")
    rules: dict[str, Any] = json.loads(POLICY.read_text())
    for name, action in rules["actions"].items():
        print(f"    {paint(f'{name:<11}', 'info')} {action['criteria']:<44} -> {', '.join(action['targets'])}")
    for name, target in rules["targets"].items():
        print(f"    {paint(f'{name:<11}', 'info')} {', '.join(f'{key}: {value}' for key, value in target.items())}")
    # A folder of its own: else the second act's daemon would go on with the flows that this one knows. Names are short, because
    # with its folder that of a socket may have 107 bytes.
    own = folder / "1"
    own.mkdir()
    with private_namespace() as router, network(router, own, {}) as net:
        packets(own, router, net)


def packets(folder: Path, router: Namespace, net: Network) -> None:
    """The steps in which something happens to packets."""
    router.nft(FIREWALL)
    config, control = folder / "block.json", str(folder / "c.sock")
    config.write_text(POLICY.read_text())
    netifyd = Netifyd(folder / "n.sock")
    netifyd.open()

    headline(2, "A tablet, a router and a server: three namespaces, real packets")
    say(f"""The tablet ({HOME[4]}, {HOME[6]}) has three connections to port {PORT} of the same server, through a router with
        NAT and a firewall that accepts what is established. Each line says which of them get a byte to the server and back.""")
    run = ["run", "-c", str(config), "-s", netifyd.uri, "--state-dir", str(folder), "--control", control]
    command = (sys.executable, "-m", "nfa")
    with nfa(folder / "nfa.log", *run, where=router.prefix) as daemon:
        netifyd.accept()
        netifyd.send(hello())
        client = Client(net)
        client.look("nobody knows yet what they are", PASSES, PASSES, PASSES)
        netifyd.send(*[client.record(name) for name in CONNECTIONS])
        client.look("netifyd says what they are", STOPPED, STOPPED, PASSES)

        headline(3, "What the router has in its kernel for that: nfa's own table, no rule of yours")
        show(tool(*command, "elements", "stop", "--control", control, where=router.prefix))
        chains = tool("nft", "list", "table", "inet", "nfa", where=router.prefix)
        show("\n".join(line for line in chains.splitlines() if "comment" in line or "reject" in line))

        headline(4, "A pause, its end, and off")
        show(tool(*command, "pause", "videos", "1h", "--control", control, where=router.prefix))
        client.look("paused: TCP was reset, QUIC goes on", STOPPED, PASSES, PASSES)
        client.open("YouTube, TCP")
        netifyd.send(client.record("YouTube, TCP"))
        client.look("the player connects again", PASSES, PASSES, PASSES)
        show(tool(*command, "resume", "videos", "--control", control, where=router.prefix))
        client.look("resumed: both are stopped", STOPPED, STOPPED, PASSES)
        rules = json.loads(POLICY.read_text())
        rules["actions"]["videos"]["enabled"] = False
        config.write_text(json.dumps(rules))
        show(tool(*command, "reload", "--control", control, where=router.prefix))
        client.open("YouTube, TCP")
        client.look("enabled: false", PASSES, PASSES, PASSES)
        seconds = stopped(daemon)
    netifyd.close()
    left = router.run("nft", "list", "tables").split("\n")
    print(f"\nThe daemon ended in {seconds:.2f} s. Tables that are left: {', '.join(filter(None, left))}.")
    if any("nfa" in table for table in left):
        raise Failed("the daemon left its table behind")
