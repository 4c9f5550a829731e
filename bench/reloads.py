"""What calls and reloads do to a daemon that is read to at full speed: how long they take, and what the stream suffers.

In: a policy and a recording. Out: milliseconds, and how many records were sent and never counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from live import GREETING, Daemon, Feeder, serve, until

from nfa.daemon.bus.control import call


def measure(folder: Path, rules: dict[str, Any], recording: bytes, records: int, calls: int, reloads: int) -> dict[str, float]:
    """Call and reload the daemon while the recording, of so many records, comes again and again at full speed.

    `rules`: the policy; for each reload the criteria of one of its actions change. Returns milliseconds: of a `call`; of a
    `reload`, compilation included; of the longest `turn` of the loop, and of that `before` the first reload; records `sent`
    and `lost`.
    """
    policy = folder / "reloads.json"
    policy.write_text(json.dumps(rules))
    changed = list(rules["actions"].values())[-1]
    calls_took: list[float] = []
    reloads_took: list[float] = []
    with Daemon(folder, policy) as daemon:
        with serve(daemon) as connection:
            feeder = Feeder(connection, _for_ever(recording))
            for _ in range(calls):
                calls_took.append(_timed(daemon, "status"))
            before = daemon.status()["loop"]["longest_ms"]
            for number in range(reloads):
                changed["criteria"] = f"other_port == {20000 + number};"
                policy.write_text(json.dumps(rules))
                reloads_took.append(_timed(daemon, "reload"))
            feeder.stop()
            sent = len(feeder.wait()) * records + GREETING
        until(lambda: daemon.said("closed by netifyd"), "the end of the stream")
        found = daemon.status()
    calls_took.sort()
    reloads_took.sort()
    return {
        "call_p50": calls_took[calls // 2],
        "call_p99": calls_took[calls * 99 // 100],
        "reload_p50": reloads_took[reloads // 2],
        "before": before,
        "turn": found["loop"]["longest_ms"],
        "sent": sent,
        "lost": sent - found["source"]["records"] + sum(found["source"]["bad"].values()),
    }


def _for_ever(recording: bytes) -> Iterator[bytes]:
    while True:
        yield recording


def _timed(daemon: Daemon, method: str) -> float:
    """Call a method; return the milliseconds until its answer."""
    began = time.perf_counter()
    call(daemon.control, method, {}, 30)
    return (time.perf_counter() - began) * 1000
