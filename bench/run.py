"""`make bench`: what README's table is made with. It measures and never judges.

Machines differ, and one machine differs from hour to hour: so every figure that matters is also given as a ratio to
something measured in the same run. Out: a table, bench/results/latest.json, and a line in bench/history.jsonl.

    --quick       under a minute, less exact
    --profile     only: where the daemon spends its time on the replayed stream (cProfile), to bench/results/profile.txt
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

import healing  # noqa: E402
import live  # noqa: E402
import micro  # noqa: E402
import pure  # noqa: E402
import sets  # noqa: E402
import workload  # noqa: E402
from private_network import Unavailable, environment, prefix  # noqa: E402

RESULTS = HERE / "results"
RECORDS_A_SECOND, RATIO, MEMORY, PER_ELEMENT, LATENCY = 30000, 2.0, 14e6, 250, 5
"""What the project promises: flow records a second, times the baseline, bytes, bytes, milliseconds."""
CALL, TURN = 5, 50
"""And milliseconds until the answer to a call, and for a turn of the loop."""
HEALED, HEALED_IPSET, PER_FLOW = 100, 2, 400
"""Milliseconds, and seconds, until a set is complete again; bytes a live flow."""

MICRO_RECORDS, MICRO_MEMORY = 8000, 4.5e6
"""And under MicroPython, where there is one: records of all kinds a second, and bytes."""


def row(name: str, value: str, ratio: str = "", wanted: str = "") -> None:
    """Print one line of the table."""
    print(f"{name:<52} {value:>16}  {ratio:>14}  {wanted}".rstrip(), flush=True)


def measure(folder: Path, quick: bool) -> dict[str, Any]:
    """Measure everything, printing as it goes. Returns the figures."""
    policy_file = workload.write_policy(folder)
    policy, _ = pure.load(policy_file)
    records = workload.payloads()
    data = workload.framed(records)
    flows = len(pure.read_all(data))
    once = folder / "once.bin"
    once.write_bytes(data)
    runs = 3 if quick else 9
    name = workload.LIVE.name if workload.LIVE.is_file() else "a generated stream"
    print(f"{name}: {len(records)} records, {flows} of them flows, {len(data) / 1e6:.1f} MB; 100 actions\n")
    row("", "figure", "to baseline", "wanted")

    base = pure.least(lambda: pure.baseline(data), runs)
    row("framing + json.loads, the baseline: us a flow record", f"{base / flows * 1e6:.1f}", "1.00")
    parts = pure.measure(data, policy, runs)
    for key, text in (
        ("framing", "Framer alone"),
        ("records", "Framer + records.read"),
        ("decide", "decide alone"),
        ("engine", "records.read + decide, without targets"),
    ):
        row(f"{text}: us a flow record", f"{parts[key] / flows * 1e6:.1f}", f"{parts[key] / base:.2f}")
    row("flows that match", f"{parts['matched'] * 100:.1f} %")
    figures: dict[str, Any] = {"stream": name, "flows": flows, "baseline": base, **parts}

    for what, recording, loops, seen in _passes(folder, records, quick):
        stream = recording.read_bytes()
        before = pure.least(lambda stream=stream: pure.baseline(stream), 2)  # type: ignore[misc]
        found = live.end_to_end(folder, policy_file, recording, loops)
        after = pure.least(lambda stream=stream: pure.baseline(stream), 2)  # type: ignore[misc]
        found["baseline"] = min(before, after) * loops
        found["ratio"] = found["cpu"] / found["baseline"]
        figures[what] = found
        print(f"\nthe daemon, {seen}: {found['flows']} flows, {found['added']} elements added, {found['refreshed']} refreshed")
        ratio, wanted = f"{found['ratio']:.2f}", f">= {RECORDS_A_SECOND:,}, <= {RATIO}"
        row("flow records a second of CPU", f"{found['flows'] / found['cpu']:,.0f}", ratio, wanted)
        ratio = f"{found['wall'] / found['baseline']:.2f}"
        row("flow records a second of wall time", f"{found['flows'] / found['wall']:,.0f}", ratio)

    print()
    found = figures["latency"] = live.latency(folder, policy_file, 4 if quick else 15)
    for part, wanted in (("p50", ""), ("p99", f"<= {LATENCY}"), ("p100", "")):
        row(f"socket to kernel at 1,000 records/s, {part}: ms", f"{found[part]:.2f}", "", wanted)
    row("records without an element", f"{found['lost']}")

    print()
    found = figures["busy"] = live.busy(folder, once, workload.policy(str(folder), 200), *((300, 3) if quick else (1000, 10)))
    row("a call of status at full speed, median: ms", f"{found['call_p50']:.2f}", "", f"< {CALL}")
    row("a call of status at full speed, p99: ms", f"{found['call_p99']:.2f}")
    row("a reload of 200 actions, one changed, median: ms", f"{found['reload_p50']:.0f}")
    row("the longest turn of the loop meanwhile: ms", f"{found['turn']:.1f}", "", f"<= {TURN}")

    print()
    figures["sets"] = sets.measure(folder, workload.many(20000 if quick else 50000))
    for key, speed in figures["sets"].items():
        tool = next(s for k, s in figures["sets"].items() if k.startswith(key.split()[0]) and " nfa" not in k)
        row(f"{key}: elements a second", f"{speed:,.0f}", f"{speed / tool:.1f} x tool")

    print()
    found = figures["healing"] = healing.nftables_and_ipset(folder, 1000, 10 if quick else 40)
    print("healing: sets of 1,000 elements, complete again")
    median, worst = (found[f"nftables_{part}"] for part in ("median", "worst"))
    row("an nftables set that was deleted, median: ms", f"{median:.1f}")
    row("an nftables set that was deleted, worst: ms", f"{worst:.1f}", "", f"<= {HEALED}")
    median, worst = (found[f"ipset_{part}"] / 1000 for part in ("median", "worst"))
    row("an ipset that was flushed, median: s", f"{median:.2f}")
    row("an ipset that was flushed, worst: s", f"{worst:.2f}", "", f"<= {HEALED_IPSET}")
    found = figures["edge"] = healing.edge(folder, *((5000, 500, 8) if quick else (50000, 5000, 45)))
    print(f"an edge of a window that changes {found['changed']:,} of {found['flows']:,} flows")
    row("the longest turn of the loop, before the edge: ms", f"{found['turn_before']:.1f}")
    row("the longest turn of the loop, with the edge: ms", f"{found['turn']:.1f}", "", f"<= {TURN}")
    row("from the edge to the last element: s", f"{found['seconds']:.2f}")
    row("bytes a live flow with hours, with its element", f"{found['per_flow']:.0f}", "", f"<= {PER_FLOW} + {PER_ELEMENT}")

    print()
    found = figures["memory"] = live.memory(folder, policy_file, 50000)
    row("resident with 100 actions, before elements: MB", f"{found['empty'] / 1e6:.1f}", "", f"<= {MEMORY / 1e6:.0f}")
    row("bytes a live element, at 50,000", f"{found['per_element']:.0f}", "", f"<= {PER_ELEMENT}")
    row("bytes a further live element, 10,000 to 50,000", f"{found['per_further_element']:.0f}")

    if micro.interpreter():
        print()
        found = figures["micropython"] = micro.end_to_end(folder, policy_file, once, 5 if quick else 20)
        ratio, wanted = f"{found['cpu'] / found['records'] * len(records) / base:.1f}", f">= {MICRO_RECORDS:,}"
        row("MicroPython, all records a second of CPU", f"{found['records'] / found['cpu']:,.0f}", ratio, wanted)
        row("MicroPython, all records a second of wall time", f"{found['records'] / found['wall']:,.0f}")
        row("MicroPython, resident with 100 actions: MB", f"{found['empty'] / 1e6:.1f}", "", f"<= {MICRO_MEMORY / 1e6:.1f}")
        row("MicroPython, resident at the most: MB", f"{found['peak'] / 1e6:.1f}")
    return figures


def _passes(folder: Path, records: list[bytes], quick: bool) -> list[tuple[str, Path, int, str]]:
    """Return the streams for the daemon: name, recording, loops, words."""
    fresh = folder / "distinct.bin"
    fresh.write_bytes(workload.framed(list(workload.distinct(records, 15 if quick else 30))))
    return [
        ("repeated", folder / "once.bin", 50 if quick else 150, "the stream again and again"),
        ("distinct", fresh, 1, "every flow new"),
    ]


def profile(folder: Path) -> None:
    """Print where the daemon spends its time."""
    policy_file = workload.write_policy(folder)
    recording, output = folder / "once.bin", folder / "profile"
    recording.write_bytes(workload.framed(workload.payloads()))
    live.end_to_end(folder, policy_file, recording, 6, output)
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "profile.txt").open("w") as file:
        pstats.Stats(str(output), stream=file).sort_stats("tottime").print_stats(30)
    print((RESULTS / "profile.txt").read_text())


def machine() -> dict[str, Any]:
    """Say where this is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}


def record(figures: dict[str, Any], quick: bool) -> None:
    """Keep the figures."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False)
    entry = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "commit": git.stdout.strip(), "quick": quick}
    entry |= {"machine": machine(), "figures": figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(entry, indent=1) + "\n")
    with (HERE / "history.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def main() -> int:
    """Go into a private network namespace and measure there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--inside", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside and options.profile:
        profile(options.inside)
    elif options.inside:
        record(measure(options.inside, options.quick), options.quick)
    else:
        try:
            command = prefix()
        except Unavailable as reason:
            print(f"bench: {reason}", file=sys.stderr)
            return 1
        with tempfile.TemporaryDirectory(prefix="nfa-bench-") as folder:
            return subprocess.call([*command, sys.executable, *sys.argv, "--inside", folder], env=environment())
    return 0


if __name__ == "__main__":
    sys.exit(main())
