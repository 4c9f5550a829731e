"""The table of firewall targets in a router's namespace, filled by `nft`: what packets meet, without a daemon.

In: targets as a configuration has them, a router (`network_lab`), connections. Out: the table that the compiler plans, and
elements that lead where the daemon would have them lead. Speeds are measured by how long so many bytes take.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernel_lab import Namespace, environment
from network_lab import Agent
from policies import compiled, config_of

# Takes messages in hexadecimal, one a line, and sends them as one transaction; prints the errors.
SEND = r"""
import socket, struct, sys
messages = [bytes.fromhex(line) for line in sys.stdin.read().split()]
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
begin, end = (struct.pack("=IHHIIBBH", 20, kind, 1, 0, 0, 0, 0, 0x0A00) for kind in (16, 17))
data = b""
for number, message in enumerate(messages, 1):
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", message)
    data += struct.pack("=IHHII", length, kind, flags | 4, number, 0) + message[16:]
link.send(begin + data + end)
errors = {}
while len(errors) < len(messages):
    reply, offset = link.recv(1 << 17), 0
    while offset < len(reply):
        length, _, _, number, _, code = struct.unpack_from("=IHHIIi", reply, offset)
        errors[number] = code
        offset += length + 3 & ~3
print([(number, code) for number, code in errors.items() if code])
"""

# Sends or takes bytes over TCP as fast as it goes. A line of input is a job, a line of output the answer.
_BULK = r"""
import json, socket, sys, threading, time

def serve(version, port):
    server = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::" if version == 6 else "0.0.0.0", port))
    server.listen(20)
    threading.Thread(target=accept, args=(server,), daemon=True).start()

def accept(server):
    while True:
        threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

def answer(talk):
    with talk:
        size = int.from_bytes(talk.recv(1), "big")
        try:
            if size:
                give(talk)
            else:
                take(talk, talk)
        except OSError:
            pass

def give(talk):
    while True:
        talk.sendall(bytes(1 << 16))

def take(talk, tell):
    total = 0
    while data := talk.recv(1 << 16):
        total += len(data)
        if tell is not None:
            tell.sendall(total.to_bytes(8, "big"))

def speed(version, source, sport, address, port, way, skip, count, results, index):
    made = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((source, sport))
    made.connect((address, port))
    made.sendall(bytes([way == "down"]))
    if way == "up":
        threading.Thread(target=lambda: quiet(give, made), daemon=True).start()
    start = total = first = 0
    while True:
        data = made.recv(8 if way == "up" else 1 << 16, socket.MSG_WAITALL if way == "up" else 0)
        total = int.from_bytes(data, "big") if way == "up" else total + len(data)
        if not start and total >= skip:
            start, first = time.monotonic(), total
        elif start and total - first >= count:
            break
    results[index] = (total - first) * 8 / (time.monotonic() - start) / 1e6
    made.close()

def quiet(do, *given):
    try:
        do(*given)
    except OSError:
        pass

def speeds(*jobs):
    results = [0.0] * len(jobs)
    threads = [threading.Thread(target=speed, args=(*job, results, index)) for index, job in enumerate(jobs)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return results

for line in sys.stdin:
    name, *given = json.loads(line)
    print(json.dumps({"serve": serve, "speeds": speeds}[name](*given)), flush=True)
"""


class Bulk(Agent):
    """A host that sends and takes a lot."""

    def __init__(self, namespace: Namespace) -> None:
        self._agent = subprocess.Popen(
            [*namespace.prefix, sys.executable, "-c", _BULK],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip

    def close(self) -> None:
        self._agent.kill()
        self._agent.communicate()


class Table:
    """The table of firewall targets, as a router's kernel has it."""

    def __init__(self, router: Namespace, folder: Path, targets: dict[str, dict[str, Any]]) -> None:
        """`targets`: their options, without target_type."""
        self.router = router
        typed = {name: {"target_type": "firewall"} | options for name, options in targets.items()}
        made, self.reports = compiled(
            folder, config_of({"a": {"criteria": "port == 443;", "targets": list(typed)}}, targets=typed)
        )
        assert made.firewall is not None
        self.image = made.firewall
        self.slots = made.slots
        self._combinations = 0
        self.send(self.image["frame"])

    def send(self, messages: Sequence[bytes]) -> None:
        """Send messages as one transaction; all have to be taken."""
        text = "\n".join(message.hex() for message in messages)
        assert self.router.run(sys.executable, "-c", SEND, text=text).strip() == "[]"

    def hold(self, names: Sequence[str], key: str, *, family: int = 4, way: str = "ports", began: bool = True) -> str:
        """Make the chain for a combination of targets, and an element that leads there. Returns the chain's name.

        `key`: as nft writes it; `way`: that of the map; `began`: the local end began the connection.
        """
        self._combinations += 1
        chain = f"c{self._combinations}"
        effects = [self.image["effects"][name] for name in names]
        index = 0 if (began if way in ("ports", "plain") else way == "up") else 1
        commands = [f"add chain inet nfa {chain}", f"add rule inet nfa {chain} counter"]
        commands += [f"add rule inet nfa {chain} jump {effect['chains'][index]}" for effect in effects]
        scope, hook = effects[0]["scope"], effects[0]["hook"]
        (name,) = [slot["set"] for slot in self.slots if slot.get("map") == (hook, scope, way) and slot["family"] == family]
        commands.append(f"add element inet nfa combinations {{ {self._combinations} : jump {chain} }}")
        commands.append(f"add element inet nfa {name} {{ {key} : {self._combinations} }}")
        self.router.nft(*commands)
        return chain

    def packets(self, chain: str) -> int:
        """How many packets a combination has counted."""
        listed = json.loads(self.router.run("nft", "-j", "list", "chain", "inet", "nfa", chain))["nftables"]
        return next(
            int(one["counter"]["packets"])
            for entry in listed
            if "rule" in entry
            for one in entry["rule"]["expr"]
            if "counter" in one
        )

    def release(self) -> None:
        """Empty all maps."""
        self.router.nft(*(f"flush map inet nfa {slot['set']}" for slot in self.slots if "map" in slot))
