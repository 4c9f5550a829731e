"""The daemon's resident set: as it is configured on a router, with elements, and over a million records.

In: policies, how many elements and records. Out: bytes. The policy comes from UCI and JSON, and the daemon is on a bus, where
an ubusd is found (in $PATH or $NFA_PEERS).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import mixes
import workload
from live import GREETING, Daemon, Feeder, serve, until
from peers import Ubusd, missing
from samples import frame

_FROM_UCI = 10
"""Actions that come from UCI; the others come from JSON."""
_WARM = 100_000
"""Records after which the daemon may not grow any more."""
_CHUNK = 500


def _split(folder: Path, count: int) -> tuple[Path, Path]:
    """Write a policy of so many actions as UCI and JSON. Returns the JSON file, and the folder of UCI."""
    path = mixes.write(folder, count)
    whole = json.loads(path.read_text())
    uci = folder / "config"
    uci.mkdir(exist_ok=True)
    lines = ["config nfa 'main'", "\toption enabled '1'"]
    for name in list(whole["actions"])[-_FROM_UCI:]:
        action: dict[str, Any] = whole["actions"].pop(name)
        lines += [f"config action '{name.replace('-', '_')}'", "\toption enabled '1'"]
        lines += [f'\tlist criteria "{action["criteria"]}"', *(f"\tlist target '{target}'" for target in action["targets"])]
    (uci / "netify-proc-flow-actions").write_text("\n".join(lines) + "\n")
    path.write_text(json.dumps(whole))
    return path, uci


@contextmanager
def _bus(folder: Path) -> Iterator[str]:
    """Give the socket of an ubusd, or "none" where there is no such program."""
    if missing("ubusd", "ubus"):
        yield "none"
        return
    with Ubusd(folder) as bus:
        yield bus.socket


def at_rest(folder: Path, count: int, recording: bytes, records: int) -> dict[str, Any]:
    """Return the bytes with a policy of so many actions: when it is in force (`empty`), and after a `stream`; and whether
    the daemon was on a bus (`ubus`)."""
    path, uci = _split(folder, count)
    with _bus(folder) as bus, Daemon(folder, path, uci=str(uci), ubus=bus) as daemon:
        found = daemon.status()
        told = {report["code"] for report in found["policy"]["reports"]}
        if told - {"one-ip-version"} or len(found["actions"]) + found["actions_left_out"] != count:
            raise RuntimeError(f"not the policy that was meant: {found['policy']}")
        until(lambda: daemon.status()["ubus"]["state"] in ("registered", "off"), "the bus")
        empty = daemon.memory()
        with serve(daemon) as connection:
            connection.sendall(recording)
            until(lambda: daemon.status()["source"]["records"] >= records + GREETING, "the end of the stream", nap=0.05)
            return {"empty": empty, "stream": daemon.memory(), "ubus": bus != "none"}


def one_each(folder: Path) -> Path:
    """Write a policy by which each flow of `workload.many` holds one element: of an nftables set, or of an ipset."""
    whole = json.loads(mixes.write(folder, 10).read_text())
    chosen = {"tube": ("app == 'youtube';", "nftset.s0"), "torrent": ("protocol == 'bittorrent';", "ipset.s0")}
    whole["actions"] = {name: {"criteria": criteria, "targets": [target]} for name, (criteria, target) in chosen.items()}
    path = folder / "one-each.json"
    path.write_text(json.dumps(whole))
    return path


def elements(folder: Path, policy: Path, count: int) -> dict[str, float]:
    """Return bytes: what so many live elements add to a daemon that has had its `first` ones, and what each is."""
    first, number, before = 0, 0, 0
    with Daemon(folder, policy) as daemon, serve(daemon) as connection:
        while (present := daemon.elements()) < count:
            if present and not first:
                first, before = present, daemon.memory()
            size = min(1000, (count - present) // 3 + 100) if first else 500
            connection.sendall(b"".join([frame(record) for record in workload.many(size, number)]))
            number += size
            until(lambda wanted=number: daemon.status()["flows"]["evaluated"] >= wanted, "flows", nap=0.01)
        full = daemon.memory()
    each = (full - before) / (present - first)
    return {"first": first, "elements": present, "added": each * count, "per_element": each}


def growth(folder: Path, policy: Path, payloads: list[bytes], records: int) -> dict[str, float]:
    """Return the bytes that the daemon grows by from 100,000 to so many records (from a third, if they are fewer).

    Digests and host names are new each time, addresses and elements are not, and all flows end: what grows then would grow
    for ever. `sizes`: the resident set after each hundred thousand, or third.
    """
    whole = json.loads(policy.read_text())
    for action in whole["actions"].values():
        # A log keeps what it has for its interval, on purpose.
        action["targets"] = [name for name in action["targets"] if not name.startswith("log.")]
    policy = folder / "growth.json"
    policy.write_text(json.dumps(whole))
    step = min(_WARM, records // 3) // _CHUNK
    chunks = _chunks(payloads, records)
    sizes: list[int] = []
    with Daemon(folder, policy) as daemon, serve(daemon) as connection:
        for number in range(1, records // _CHUNK // step + 1):
            Feeder(connection, list(islice(chunks, step))).wait()
            wanted = number * step * _CHUNK + GREETING
            until(lambda wanted=wanted: daemon.status()["source"]["records"] >= wanted, "records", nap=0.02)
            sizes.append(daemon.memory())
    return {"records": len(sizes) * step * _CHUNK, "from": step * _CHUNK, "grown": max(sizes) - sizes[0], "sizes": sizes}


def _chunks(payloads: list[bytes], records: int) -> Iterator[bytes]:
    varied = workload.distinct(payloads, records // len(payloads) + 2, addresses=False)
    while chunk := list(islice(varied, _CHUNK)):
        yield workload.framed(chunk)
