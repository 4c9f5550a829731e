"""What can be measured without a kernel: the baseline, records, decisions. Seconds for a whole stream, the least of some runs.

In: the framed bytes of a stream, a compiled policy. Out: CPU seconds. The least counts: everything else is disturbance.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import compile_policy
from nfa.compiler.config.sources import Sources
from nfa.daemon.engine.engine import Engine
from nfa.daemon.engine.policy import Policy
from nfa.daemon.stream.framing import Framer
from nfa.daemon.stream.records import BadRecord, read
from nfa.image import cpython as image

CHUNK = 1 << 18


def least(work: Callable[[], object], runs: int) -> float:
    """Return the CPU seconds of the fastest of some runs."""
    found = []
    for _ in range(runs):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


def baseline(data: bytes) -> int:
    """Frame by the length header and json.loads each payload: the least that any client in Python does."""
    position = count = 0
    loads = json.loads
    while position < len(data):
        end = data.index(b"\n", position)
        start = end + 1
        position = start + int(data[position + 11 : end - 1])
        loads(data[start:position])
        count += 1
    return count


def chunks(data: bytes) -> list[bytes]:
    """Return the stream in the pieces in which a socket gives it."""
    return [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]


def read_all(data: bytes) -> list[dict[str, object]]:
    """Frame with Framer and read each record; return the flow records."""
    framer = Framer()
    flows = []
    for chunk in chunks(data):
        for payload in framer.feed(chunk):
            try:
                kind, value = read(payload)
            except BadRecord:
                continue
            if kind == "flow":
                flows.append(value)
    return flows


def frame_only(data: bytes) -> None:
    """Frame with Framer."""
    framer = Framer()
    for chunk in chunks(data):
        framer.feed(chunk)


def compiled(path: Path) -> dict[str, object]:
    """Compile a policy in this process, with the address groups beside it. Returns the data of its image.

    Raises RuntimeError with the reports when something in it is wrong. That a mix has addresses of IPv4 only is meant so.
    """
    found, reports = compile_policy(Sources(files=(str(path),)), Paths(state_persistent=str(path.parent)))
    if found is None or reports.errors or any(report.code != "one-ip-version" for report in reports.warnings):
        raise RuntimeError("\n".join(report.text() for report in reports.items))
    return image_of(found)


def activated(data: dict[str, object]) -> Policy:
    """Return the policy of an image, without its targets."""
    slots: list[object] = data["slots"]  # type: ignore[assignment]
    return Policy(data, image.code_of(data["code"]), {}, list(range(len(slots))))  # type: ignore[arg-type]


def load(path: Path) -> tuple[Policy, dict[str, object]]:
    """Compile a policy, and put it in force here. Raises RuntimeError when something in it is wrong."""
    data = compiled(path)
    return activated(data), data


def measure(data: bytes, policy: Policy, runs: int) -> dict[str, float]:
    """Return seconds for the stream: framing alone, records read, decisions alone, and how many flows matched."""
    flows = read_all(data)
    decide = policy.decide

    def decisions() -> None:
        for record in flows:
            decide(record, record["flow"])

    framed = Framer().feed(data)
    engine = Engine(lambda held, now: None, lambda held, now, withdraw: None)
    engine.policy = policy
    return {
        "framing": least(lambda: frame_only(data), runs),
        "records": least(lambda: read_all(data), runs),
        "decide": least(decisions, runs),
        "engine": least(lambda: engine.take(framed, 1), runs),
        "matched": sum([decide(record, record["flow"]).plan is not None for record in flows]) / len(flows),
    }
