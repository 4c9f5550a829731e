"""How fast connections get marks and labels: nfa's own way, beside the `conntrack` tool.

In: a number of connections. Out: conntrack entries a second of wall time. The tool is measured while it makes the entries from
a file (`conntrack -R`): a message each, as ours. Its own updates (`conntrack -U`) read the whole table each, and compare with
nothing.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from pathlib import Path

import pure

from nfa.daemon.base.dated import write_dated
from nfa.daemon.targets.registry import Registry
from nfa.daemon.targets.sets.writer import Sets

_LABELS_IN_USE = "add table inet labels; add chain inet labels unused; add rule inet labels unused ct label set 0"
"""Entries have room for labels only while some rule sets one."""
_TARGETS = {
    "mark": {"target_type": "ctmark", "mark": "0x2", "shift": 4, "mask": "0xff0"},
    "label": {"target_type": "ctlabel", "labels": [5]},
}
_BATCHES = (64, 1024)


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return entries a second for both kinds in batches of 64 and 1,024, and for the tool. Empty where there is no conntrack.

    Raises RuntimeError when not every entry was changed.
    """
    ends = [(f"192.168.{number >> 8 & 255}.{number & 255}", 1024 + (number >> 16)) for number in range(count)]
    lines = [f"-I -p udp -s {address} -d 203.0.113.10 --sport {port} --dport 443 -t 600\n" for address, port in ends]
    path = folder / "connections"
    path.write_text("".join(lines))
    subprocess.run(["nft", _LABELS_IN_USE], check=True)
    try:
        began = time.perf_counter()
        subprocess.run(["conntrack", "-R", str(path)], check=True, capture_output=True)
        found = {"conntrack -R": count / (time.perf_counter() - began)}
        keys = [_packed(address, port) for address, port in ends]
        for name, target in _TARGETS.items():
            for batch in _BATCHES:
                found[f"{name} nfa, {batch} at once"] = count / _changed(folder, name, target, keys, batch)
        return found
    except (FileNotFoundError, subprocess.CalledProcessError):
        return {}


def _packed(address: str, port: int) -> bytes:
    return bytes((4, 17)) + socket.inet_aton(address) + socket.inet_aton("203.0.113.10") + struct.pack(">HH", port, 443)


def _changed(folder: Path, name: str, target: dict[str, object], keys: list[bytes], batch: int) -> float:
    """Let a target of a new registry have all connections; return the seconds."""
    path = folder / "marks.json"
    actions = {"all": {"criteria": "*", "targets": [name]}}
    path.write_text(json.dumps({"version": 1, "actions": actions, "targets": {name: target}}))
    policy, data = pure.load(path)
    nobody = lambda *news: None  # noqa: E731
    registry = Registry(Sets(nobody, nobody), write_dated, print, nobody)
    registry.adopt(registry.prepare(data, [0], policy.key_functions), 1)
    slot = registry.by_number[0]
    began = time.perf_counter()
    for start in range(0, len(keys), batch):
        for key in keys[start : start + batch]:
            slot.hold(b"\0\0" + key, 1)
        registry.commit(1)
    took = time.perf_counter() - began
    if slot.present != len(keys):
        raise RuntimeError(f"{slot.present} of {len(keys)} connections have their {name}")
    registry.sets.close()
    assert registry.connections is not None
    registry.connections.close()
    return took
