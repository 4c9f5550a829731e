"""How fast elements get into kernel sets: nfa's own way, beside `nft -f` and `ipset restore` with the same elements.

In: distinct flows. Out: elements a second of CPU time, the kernel's included, each way into an empty set. `nft` and `ipset`
get all of them in one file, which is best for them; and `nft` also as many at once as nfa, as a daemon that runs it would.
"""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pure

from nfa.daemon.base.dated import write_dated
from nfa.daemon.targets.registry import Registry
from nfa.daemon.targets.sets.writer import Sets

_TURN = 64
"""Elements that one turn of the daemon's loop brings; a burst brings more."""
_BURST = 1024
_BATCHES = 20
"""How many of a few at once `nft -f` gets: to start it costs milliseconds each time."""


def _nobody(*news: str) -> None:
    """Nobody listens for events."""


def measure(folder: Path, flows: list[dict[str, Any]], rounds: int) -> dict[str, float]:
    """Return elements a second for both kinds of sets and each way, the fastest of so many rounds.

    `nft -f` with a few at once has one round, in which it is started up to twenty times.
    """
    common = {"managed": True, "set_family": "ipv4", "set_name": "speed", "ttl": 600, "flush_on_create": True}
    targets = {"nftset.speed": common | {"target_type": "nftset", "table_name": "bench"}}
    targets["ipset.speed"] = common | {"target_type": "ipset", "type": "hash:ip,port,ip"}
    actions = {"all": {"criteria": "*", "targets": list(targets)}}
    path = folder / "speed.json"
    path.write_text(json.dumps({"version": 1, "actions": actions, "targets": targets}))
    policy, data = pure.load(path)
    slots: list[dict[str, Any]] = data["slots"]  # type: ignore[assignment]
    sets = Sets(lambda level, text: print(f"bench: {text}"), _nobody)
    registry = Registry(sets, write_dated, print, _nobody)
    registry.adopt(registry.prepare(data, list(range(len(slots))), policy.key_functions), 1)
    found: dict[str, float] = {}
    for number, slot_data in enumerate(slots):
        slot = registry.by_number[number]
        assert slot is not None
        keys = [policy.key_functions[number](record, record["flow"]) for record in flows]
        kind = slot_data["kind"]
        script = (_ipset_script(flows) if kind == "ipset" else _nft_script(flows)).encode()
        command = ["ipset", "restore"] if kind == "ipset" else ["nft", "-f", "-"]
        ways: dict[str, Callable[[], object]] = {
            f"{kind} nfa, {_TURN} at once": partial(_fill, registry, slot, keys, _TURN),
            f"{kind} nfa, {_BURST} at once": partial(_fill, registry, slot, keys, _BURST),
            f"{kind} {' '.join(command[:2])}": partial(subprocess.run, command, input=script, check=True),
        }
        # The first fill is slower than all others, whoever does it: that is counted for nobody.
        _fill(registry, slot, keys, _BURST)
        for _ in range(rounds):
            for name, way in ways.items():
                registry.sets.flush(slot)
                slot.holders.__init__()  # these are new flows
                began = _cpu()
                way()
                found[name] = max(found.get(name, 0.0), len(keys) / (_cpu() - began))
        if slot.counters.added != len(keys) * (2 * rounds + 1):
            raise RuntimeError(f"only {slot.counters.added} elements were added: {slot.counters.last_error}")
        if kind == "nftset":
            for size in (_TURN, _BURST):
                registry.sets.flush(slot)
                some = flows[: _BATCHES * size]
                scripts = [_nft_script(some[start : start + size]).encode() for start in range(0, len(some), size)]
                began = _cpu()
                for script in scripts:
                    subprocess.run(command, input=script, check=True)
                found[f"nftset nft -f, {size} at once"] = len(some) / (_cpu() - began)
    registry.shut_down(1)
    return found


def _cpu() -> float:
    """Return the seconds that this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum([one.ru_utime + one.ru_stime for one in used])


def _fill(registry: Registry, slot: Any, keys: list[bytes], turn: int) -> None:
    """Bring the elements into the set, so many in each turn of the loop."""
    for start in range(0, len(keys), turn):
        for key in keys[start : start + turn]:
            slot.hold(key, 1)
        registry.commit(1)


def _ends(record: dict[str, Any]) -> tuple[str, str, int, str]:
    flow = record["flow"]
    return flow["local_ip"], "udp" if flow["ip_protocol"] == 17 else "tcp", flow["other_port"], flow["other_ip"]


def _nft_script(flows: list[dict[str, Any]]) -> str:
    lines = []
    for start in range(0, len(flows), 1000):
        elements = ["{} . {} . {} . {}".format(*_ends(record)) for record in flows[start : start + 1000]]
        lines.append(f"add element inet bench speed.v4 {{ {', '.join(elements)} }}\n")
    return "".join(lines)


def _ipset_script(flows: list[dict[str, Any]]) -> str:
    return "".join(["add speed.v4 {3},{1}:{2},{0}\n".format(*_ends(record)) for record in flows])
