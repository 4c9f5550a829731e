"""`make bench`: what README's table is made with. It measures, and says what is wanted beside it.

Machines differ, and one machine differs from hour to hour: so what matters is a ratio to something measured in the same run,
or a size. Out: a table, bench/results/latest.json and bench.svg beside it, and a line in bench/history.jsonl.

    --quick       a minute and a half, less exact
    --readme      only: write README's table and docs/bench.svg from bench/results/latest.json
    --profile     only: where the daemon spends its time on the replayed stream (cProfile), to bench/results/profile.txt
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests"), str(HERE.parent / "tests/openwrt")]

import compiler  # noqa: E402
import evaluation  # noqa: E402
import firewall  # noqa: E402
import healing  # noqa: E402
import latency  # noqa: E402
import marks  # noqa: E402
import memory  # noqa: E402
import micro  # noqa: E402
import mixes  # noqa: E402
import packets  # noqa: E402
import pure  # noqa: E402
import reloads  # noqa: E402
import report  # noqa: E402
import sets  # noqa: E402
import table  # noqa: E402
import throughput  # noqa: E402
import workload  # noqa: E402
from private_network import Unavailable, environment, prefix  # noqa: E402

_QUICKLY = [[100, "json", "repeated"], [100, "json", "distinct"], [100, "orjson", "repeated"], [1000, "json", "repeated"]]
"""What of the throughput is measured then."""


class Bench:
    """One run: the workload, and each section of the table in the order in which it is measured."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder, self.quick = folder, quick
        self.payloads = workload.payloads()
        self.stream = workload.framed(self.payloads)
        self.flows = pure.read_all(self.stream)
        self.small, self.large = mixes.write(folder, 100), mixes.write(folder, 1000)
        self.recording = folder / "repeated.bin"
        self.recording.write_bytes(self.stream)

    def decoding(self) -> dict[str, Any]:
        runs = 3 if self.quick else 9
        base = pure.least(lambda: pure.baseline(self.stream), runs)
        policy, _ = pure.load(self.small)
        return {"flows": len(self.flows), "baseline": base, **pure.measure(self.stream, policy, runs)}

    def throughput(self) -> dict[str, Any]:
        recordings = {"repeated": (self.recording, 10 if self.quick else 150)}
        recordings["distinct"] = self.folder / "distinct.bin", 1
        copies = 6 if self.quick else 30
        recordings["distinct"][0].write_bytes(workload.framed(list(workload.distinct(self.payloads, copies))))
        decoders = {"json": "standard"} | ({"orjson": "fast"} if importlib.util.find_spec("orjson") else {})
        found: dict[str, Any] = {}
        uncounted = mixes.write(self.folder, 100, usage=False)
        for count, policy in ((100, uncounted), (1000, mixes.write(self.folder, 1000, usage=False))):
            for decoder, json_ in decoders.items():
                for stream, (path, loops) in recordings.items():
                    if self.quick and [count, decoder, stream] not in _QUICKLY:
                        continue
                    found[f"{count} {decoder} {stream}"] = throughput.end_to_end(self.folder, policy, path, loops, json=json_)
        return found

    def usage(self) -> dict[str, Any]:
        """What counting usage costs: the same stream with it and without, in turns."""
        policies = {"off": mixes.write(self.folder, 100, usage=False), "on": self.small}
        loops = 10 if self.quick else 30
        found: dict[str, Any] = {way: [] for way in policies}
        for _ in range(2 if self.quick else 7):
            for way, policy in policies.items():
                found[way].append(throughput.end_to_end(self.folder, policy, self.recording, loops)["ratio"])
        return found

    def latency(self) -> dict[str, Any]:
        rates = {1000: 1000, 10000: 5000, 0: 20000} if self.quick else {1000: 15000, 10000: 50000, 0: 50000}
        return {str(rate): latency.measure(self.folder, self.small, count, rate) for rate, count in rates.items()}

    def sets(self) -> dict[str, Any]:
        flows, sizes = workload.many(50000), {10000: 5} if self.quick else {10000: 25, 50000: 9}
        return {str(size): sets.measure(self.folder, flows[:size], rounds) for size, rounds in sizes.items()}

    def marks(self) -> dict[str, Any]:
        return marks.measure(self.folder, 10000 if self.quick else 50000)

    def reloads(self) -> dict[str, Any]:
        rules = mixes.policy(self.folder, 1000)
        return reloads.measure(self.folder, rules, self.stream, len(self.payloads), *((50, 2) if self.quick else (1000, 10)))

    def memory(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for count in (100, 1000):
            found[str(count)] = memory.at_rest(self.folder, count, self.stream, len(self.payloads))
        python = compiler.python_of_router(self.folder / "router")
        found["compiler"] = compiler.peak(python, self.folder, mixes.write(self.folder, 100))
        found["elements"] = memory.elements(self.folder, memory.one_each(self.folder), 50000)
        if not self.quick:
            found["shared"] = memory.elements(self.folder, self.small, 50000)
        found["growth"] = memory.growth(self.folder, self.small, self.payloads, 150_000 if self.quick else 1_000_000)
        return found

    def healing(self) -> dict[str, Any]:
        return healing.nftables_and_ipset(self.folder, 1000, 2 if self.quick else 24)

    def edge(self) -> dict[str, Any]:
        return healing.edge(self.folder, *((2000, 200, 3) if self.quick else (50000, 5000, 45)))

    def firewall(self) -> dict[str, Any]:
        quick = self.quick
        found: dict[str, Any] = {"latency": firewall.latency(self.folder, 2000 if quick else 5000, 1000)}
        found["healing"] = firewall.healing(self.folder, *((11, 20) if quick else (66, 60)), 1000)
        found["rest"] = {str(count): firewall.at_rest(self.folder, count) for count in (100, 1000)}
        found["connections"] = firewall.connections(self.folder, 10000 if quick else 50000)
        found["alone"] = firewall.alone(self.folder, (1000, 10000) if quick else (1000, 10000, 50000))
        if not quick:
            found["turns"] = firewall.turns(self.folder, 1000, 10000)
        return found

    def packets(self) -> dict[str, Any]:
        return packets.measure(self.folder, *((5000, 3, (0, 1, 1000)) if self.quick else (50000, 60)))

    def micropython(self) -> dict[str, Any]:
        if not micro.interpreter():
            return {}
        return micro.end_to_end(self.folder, self.small, self.recording, 10 if self.quick else 50)

    def evaluation(self) -> dict[str, Any]:
        counts = evaluation.QUICK if self.quick else evaluation.COUNTS
        return evaluation.measure(self.folder, self.flows, counts, 0.1 if self.quick else 2.0)


def measure(folder: Path, quick: bool) -> dict[str, Any]:
    """Measure everything, printing as it goes. Returns the figures."""
    began = time.monotonic()
    bench = Bench(folder, quick)
    name = workload.LIVE.name if workload.LIVE.is_file() else "a generated stream"
    print(f"{name}: {len(bench.payloads)} records, {len(bench.flows)} of them flows, {len(bench.stream) / 1e6:.1f} MB")
    figures: dict[str, Any] = {"stream": name}
    missed = 0
    for section in table.SECTIONS:
        work: Callable[[], dict[str, Any]] = getattr(bench, section)
        before = time.monotonic()
        figures[section] = work()
        print(f"\n{section} ({time.monotonic() - before:.0f} s)")
        for row in table.rows({section: figures[section]}).get(section, []):
            print(table.text(row), flush=True)
            missed += row.holds is False
    print(f"\n{time.monotonic() - began:.0f} seconds; {missed} figures are not what is wanted")
    return figures


def profile(folder: Path) -> None:
    """Print where the daemon spends its time."""
    recording, output = folder / "once.bin", folder / "profile"
    recording.write_bytes(workload.framed(workload.payloads()))
    throughput.end_to_end(folder, mixes.write(folder), recording, 6, output)
    report.RESULTS.mkdir(exist_ok=True)
    with (report.RESULTS / "profile.txt").open("w") as file:
        pstats.Stats(str(output), stream=file).sort_stats("tottime").print_stats(30)
    print((report.RESULTS / "profile.txt").read_text())


def main() -> int:
    """Go into a private network namespace and measure there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--inside", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.readme:
        if not report.LATEST.is_file():
            print("bench: there is no run to write of; type: make bench", file=sys.stderr)
            return 1
        report.write_readme(HERE.parent, json.loads(report.LATEST.read_text()))
    elif options.inside and options.profile:
        profile(options.inside)
    elif options.inside:
        report.record(measure(options.inside, options.quick), options.quick)
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
