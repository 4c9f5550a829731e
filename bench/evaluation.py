"""What one flow costs to evaluate, over the number of actions and the kind of their criteria; and what the policy itself costs.

In: a policy and decoded flow records. Out: CPU microseconds a flow for `policy.mask` and the look-up of its verdict, as the
engine calls them, in three ways, because only together they are honest:

    again    the recorded stream again and again: the masks of all values are remembered
    new      each flow comes from another address and port, and one that has a host name has one that nobody saw before
    named    the same, and every flow has such a host name: what is remembered helps nothing
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from itertools import count as numbers
from pathlib import Path
from typing import Any

import mixes
import pure

from nfa.daemon.engine.policy import Policy
from nfa.image import cpython as image

ROOT = Path(__file__).resolve().parents[1]
COUNTS = dict.fromkeys(mixes.SHARE, (10, 100, 1000, 5000))
QUICK = dict.fromkeys(mixes.SHARE, (10, 100, 1000)) | {"indexable": (10, 100, 1000, 5000)}
"""The mixes, and at how many actions they are measured; compiling 5,000 takes seconds."""
WAYS = ("again", "new", "named")
LEAST = 60
"""Flows of a pass at least; they are taken from all parts of the stream."""

# What a policy takes in a process like the daemon's, which has its modules already.
_WEIGH = """
import sys
sys.path.insert(0, {root!r})
from nfa.image import cpython as image
from nfa.daemon.engine.engine import Engine
from nfa.daemon.engine.policy import Policy

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * {page}

with open({path!r}, "rb") as file:
    before = resident()
    data = image.load(file.read())
policy = Policy(data, image.code_of(data["code"]), {{}}, list(range(len(data["slots"]))))
del data
print(resident() - before)
"""

Flow = dict[str, Any]


def fresh(flows: list[Flow], serial: numbers, named: bool) -> list[Flow]:
    """Return the records with other addresses, ports and host names, new for each number that `serial` gives."""
    made = []
    for record in flows:
        number = next(serial)
        flow = dict(record["flow"])
        if flow["ip_version"] == 4:
            head = flow["other_ip"].split(".")[:2]
            flow["other_ip"] = f"{head[0]}.{head[1]}.{number >> 8 & 255}.{number & 255}"
        else:
            first = flow["other_ip"].partition(":")[0] or "2001"
            flow["other_ip"] = f"{first}:db8::{number >> 16 & 0xFFFF:x}:{number & 0xFFFF:x}"
        flow["local_port"] = 1024 + number % 60000
        name = flow.get("host_server_name")
        if name or named:
            flow["host_server_name"] = f"h{number}.{name or 'example.net'}"
        made.append({**record, "flow": flow})
    return made


def one_pass(policy: Policy, flows: list[Flow]) -> float:
    """Evaluate these once; return CPU seconds a flow."""
    mask, verdicts, judge = policy.mask, policy.verdicts, policy.judge
    before = time.process_time()
    for record in flows:
        found = mask(record, record["flow"])
        verdicts.get(found) or judge(found)
    return (time.process_time() - before) / len(flows)


def cost(policy: Policy, flows: list[Flow], way: str, seconds: float) -> float:
    """Return the CPU microseconds of a flow in the fastest of some passes, which take so many seconds together, about."""
    serial = numbers(1)

    def given(sample: list[Flow]) -> list[Flow]:
        return sample if way == "again" else fresh(sample, serial, way == "named")

    def part(size: int) -> list[Flow]:
        """Return so many flows, from all parts of the stream."""
        return flows[:: max(1, len(flows) // size)]

    if way == "again":
        one_pass(policy, flows)
    guess = one_pass(policy, given(part(LEAST)))
    sample = part(max(LEAST, min(len(flows), int(seconds / 4 / guess))))
    passes = max(2, min(20, int(seconds / guess / len(sample))))
    return min([one_pass(policy, given(sample)) for _ in range(passes)]) * 1e6


def weight(folder: Path, raw: bytes) -> int:
    """Return the bytes by which a process like the daemon grows when it puts this image in force."""
    path = folder / "weighed.image"
    path.write_bytes(raw)
    program = _WEIGH.format(root=str(ROOT), path=str(path), page=4096)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    return int(done.stdout)


def measure(folder: Path, flows: list[Flow], counts: dict[str, tuple[int, ...]], seconds: float) -> dict[str, Any]:
    """Measure each mix at its counts, each way for so many seconds. Returns mix to count (as text) to figures:

    microseconds `again`, `new`, `named`; `compile` in seconds of CPU; `image` and `memory` in bytes; the share that `matched`.
    """
    figures: dict[str, Any] = {}
    gc.collect()
    gc.freeze()  # the bench's own objects are not the daemon's to look through
    for mix, sizes in counts.items():
        for count in sizes:
            before = time.process_time()
            data = pure.compiled(mixes.write(folder, count, mix))
            took = time.process_time() - before
            policy = pure.activated(data)
            raw = image.dump(data)
            found: dict[str, float] = {"compile": took, "image": len(raw), "memory": weight(folder, raw)}
            found |= {way: cost(policy, flows, way, seconds) for way in WAYS}
            found["matched"] = sum([bool(policy.decide(record, record["flow"]).plan) for record in flows]) / len(flows)
            figures.setdefault(mix, {})[str(count)] = found
    gc.unfreeze()
    return figures
