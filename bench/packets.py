"""What firewall targets cost the packets that a router forwards: with no policy, one, a hundred and a thousand.

In: policies, and connections that they hold. Out: packets a second through each router, and the ratio to another in the same
run. Each router has its own client and server, namespace and daemon; all are measured in turns of a quarter of a second, since
a machine differs from one second to the next. What is sent is UDP, packet by packet: TCP's are put together to large ones.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from kernel_lab import Namespace
from live import Daemon, Feeder, serve, until
from network_lab import AWAY, GATES, HOME, Network
from samples import flow, frame

COUNTS = (0, 1, 100, 1000)
"""Actions with a firewall target; 0: the router has no nfa."""
PORTS = 32
"""Connections of a sender at once, each to another port of the server: from FIRST on."""
FIRST = 5000
OTHERS, HELD = 40000, 40001
"""The client's own port: connections that no action wants, and that one gives a DSCP to."""
SIZE = 1400
"""Bytes of a packet, without its headers: a full one."""
TURN = 0.25
"""Seconds."""
FW4 = """
table inet fw4 {
  chain input { type filter hook input priority filter; policy drop; iif "lo" accept
    ct state vmap { established : accept, related : accept }
    iifname "br-lan" accept
    jump handle_reject
  }
  chain forward { type filter hook forward priority filter; policy drop
    ct state vmap { established : accept, related : accept }
    iifname "br-lan" jump forward_lan
    iifname "wan" jump forward_wan
    jump handle_reject
  }
  chain output { type filter hook output priority filter; policy accept; oif "lo" accept
    ct state vmap { established : accept, related : accept }
  }
  chain prerouting { type filter hook prerouting priority filter; policy accept; iifname "br-lan" jump helper_lan; }
  chain handle_reject { meta l4proto tcp reject with tcp reset; reject; }
  chain forward_lan { oifname "wan" counter accept; }
  chain forward_wan { }
  chain helper_lan { }
  chain dstnat { type nat hook prerouting priority dstnat; policy accept; }
  chain srcnat { type nat hook postrouting priority srcnat; policy accept; oifname "wan" jump srcnat_wan; }
  chain srcnat_wan { masquerade; }
  chain raw_prerouting { type filter hook prerouting priority raw; policy accept; }
  chain raw_output { type filter hook output priority raw; policy accept; }
  chain mangle_prerouting { type filter hook prerouting priority mangle; policy accept; }
  chain mangle_postrouting { type filter hook postrouting priority mangle; policy accept; }
  chain mangle_input { type filter hook input priority mangle; policy accept; }
  chain mangle_output { type route hook output priority mangle; policy accept; }
  chain mangle_forward { type filter hook forward priority mangle; policy accept
    iifname "wan" tcp flags & (fin | syn | rst) == syn tcp option maxseg size set rt mtu
    oifname "wan" tcp flags & (fin | syn | rst) == syn tcp option maxseg size set rt mtu
  }
}
"""
"""What OpenWrt's firewall4 makes of its default configuration: two zones, and the NAT of `wan`."""

# The cheapest sender that needs no program of its own: Python fills the messages once, the kernel sends 64 a call.
_SENDER = r"""
import ctypes, socket, struct, sys, time

class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

class Message(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("parts", ctypes.c_void_p), ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t), ("flags", ctypes.c_long), ("sent", ctypes.c_long),
    ]

address, first, ports, size = sys.argv[1], *map(int, sys.argv[2:])
send = ctypes.CDLL(None).sendmmsg
data = ctypes.create_string_buffer(b"x" * size, size)
part = Part(ctypes.addressof(data), size)
names = [ctypes.create_string_buffer(struct.pack("=H", 2) + struct.pack(">H", first + n) + socket.inet_aton(address) + bytes(8), 16)
         for n in range(ports)]
messages = (Message * 64)()
for index, message in enumerate(messages):
    message.name, message.name_length = ctypes.addressof(names[index % ports]), 16
    message.parts, message.count = ctypes.addressof(part), 1
senders = {}
for line in sys.stdin:
    own, seconds = line.split()
    if own not in senders:
        senders[own] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        senders[own].bind(("", int(own)))
    number = senders[own].fileno()
    cpu, end = time.process_time(), time.perf_counter() + float(seconds)
    while time.perf_counter() < end:
        for _ in range(8):
            assert send(number, messages, 64, 0) == 64
    print(time.process_time() - cpu, flush=True)
"""


class Router:
    """A router with a client, a server, and a daemon that holds connections; `actions` 0: without one."""

    def __init__(self, stack: ExitStack, folder: Path, actions: int, held: int) -> None:
        folder.mkdir()
        self.actions = actions
        self.namespace = Namespace()
        stack.callback(self.namespace.close)
        net = Network(self.namespace, folder, {})
        stack.callback(net.close)
        for command in _BRIDGE.splitlines():
            self.namespace.run("ip", *command.split())
        self.namespace.run("nft", "-f", "-", text=FW4)
        # Whatever arrives has been forwarded: the server has nothing else to do with it.
        net.away.namespace.run("nft", "-f", "-", text=_SINK)
        self._arrived = Path(f"/proc/{net.away.namespace.pid}/net/dev")
        words = [AWAY[4], str(FIRST), str(PORTS), str(SIZE)]
        self._sender = subprocess.Popen(
            [*net.home.namespace.prefix, sys.executable, "-c", _SENDER, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(self._sender.communicate)
        if not actions:
            return
        daemon = stack.enter_context(Daemon(folder, _policy(folder, actions), inside=self.namespace.prefix))
        connection = stack.enter_context(serve(daemon))
        Feeder(connection, [frame(record) for record in _records(actions, held)]).wait()
        until(lambda: daemon.elements() >= held + PORTS, "connections held")

    def speed(self, own_port: int, seconds: float) -> float:
        """Return the packets that reach the server, from one of the client's own ports, in a second of CPU.

        All that happens to a packet until it is there happens in the sender's time: what else the machine does plays no part.
        """
        assert self._sender.stdin and self._sender.stdout
        before = self._packets()
        self._sender.stdin.write(f"{own_port} {seconds}\n")
        self._sender.stdin.flush()
        if not select.select([self._sender.stdout], [], [], 60)[0]:
            raise TimeoutError("the sender does not answer")
        took = float(self._sender.stdout.readline())
        return (self._packets() - before) / took

    def _packets(self) -> int:
        line = next(line for line in self._arrived.read_text().splitlines() if line.strip().startswith("eth0:"))
        return int(line.split()[2])


_BRIDGE = f"""\
link add br-lan type bridge
addr flush dev lan
link set lan master br-lan
addr add {GATES[4][0]}/24 dev br-lan
link set br-lan up"""
"""As OpenWrt's network has its ports of the LAN."""
_SINK = """
table netdev sink { chain in { type filter hook ingress device "eth0" priority 0; policy drop; meta protocol arp accept; }; }
"""


def _policy(folder: Path, actions: int) -> Path:
    """Write a policy: the first action is for the connections that are measured, each other one for a port."""
    targets = {"first": {"target_type": "firewall", "set_dscp": "AF41"}, "stop": {"target_type": "firewall", "verdict": "drop"}}
    made: dict[str, Any] = {"measured": {"criteria": "app == 'youtube';", "targets": ["first"]}}
    for number in range(1, actions):
        made[f"a{number}"] = {"criteria": f"other_port == {20000 + number};", "targets": ["stop"]}
    path = folder / "policy.json"
    path.write_text(json.dumps({"version": 1, "actions": made, "targets": targets}))
    return path


def _records(actions: int, held: int) -> list[dict[str, Any]]:
    """Return the records of the connections to hold: the measured ones, and others that all actions share."""
    made = []
    for number in range(held):
        ends: dict[str, Any] = {"local": f"192.168.{2 + number % 200}.{number // 200 % 250}", "local_port": 1024 + number}
        if actions == 1:
            ends["application"] = "netify.youtube"
        made.append(flow("QUIC", other="203.0.113.10", other_port=20001 + number % max(1, actions - 1), ip_protocol=17, **ends))
    for port in range(FIRST, FIRST + PORTS):
        ends = {"local": HOME[4], "local_port": HELD, "other": AWAY[4], "other_port": port}
        made.append(flow("QUIC", "netify.youtube", ip_protocol=17, **ends))
    return made


def measure(folder: Path, held: int, rounds: int, counts: Sequence[int] = COUNTS) -> dict[str, Any]:
    """Send through routers with so many actions, each of which holds so many connections.

    Returns for connections that are not held (`others`) and for those that are (`held`), by actions: packets a second
    (`speed`), and the ratios `of_none` and `of_one` to a router without nfa, and to one with one action.
    """
    with ExitStack() as stack:
        routers = [Router(stack, folder / f"packets-{count}", count, held) for count in counts]
        took: dict[int, dict[int, list[float]]] = {port: {count: [] for count in counts} for port in (OTHERS, HELD)}
        for number in range(-2, rounds):
            for port in (OTHERS, HELD):
                # Not always in the same order: each comes after each.
                turns = routers if number % 2 else routers[::-1]
                for router in turns:
                    speed = router.speed(port, TURN)
                    if number >= 0:
                        took[port][router.actions].append(speed)
    found: dict[str, Any] = {"connections": held, "rounds": rounds}
    for name, port in (("others", OTHERS), ("held", HELD)):
        speeds = took[port]
        found[name] = {str(count): {"speed": median(speeds[count])} for count in counts}
        for count in counts:
            for what, base in (("of_none", 0), ("of_one", 1)):
                pairs = zip(speeds[count], speeds[base], strict=True)
                found[name][str(count)][what] = median([speed / other for speed, other in pairs])
    return found
