"""`make mutants`: changes single places of the modules that decide, and sees whether the matching tests notice.

In: names of modules (none: all of MODULES). Out: for each, how many of its mutants the tests kill, and those that survive and
do not stand in survivors.txt, where each line says why a mutant changes nothing that matters. It fails when a module has fewer
killed than LEAST percent, or a survivor without a reason.

mutmut makes the mutants and forks a pytest for each, in build/mutants/NAME, where a copy of the sources lies: so the work tree
stays as it is. A module takes some minutes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build/mutants"
NOT_HERE = "not (costs_less or drips or takes_400_bytes or bounded_memory or memory_is_bounded or never_larger_than)"
"""Tests of time and memory: mutmut's own code costs some of both, and they are slow."""
FEWER = 20
"""Of so many examples that a test asks hypothesis for, a mutant gets one (no fewer than the profile of conftest.py says)."""
LEAST = 85
"""Percent of a module's mutants that its tests must kill."""
STREAM, ENGINE, SETS, NETLINK = "daemon/stream", "daemon/engine", "daemon/targets", "daemon/netlink"
MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "framing": (f"{STREAM}/framing.py", (f"{STREAM}/test_framing.py",)),
    "records": (f"{STREAM}/records.py", (f"{STREAM}/test_stream_records.py",)),
    "engine": (
        f"{ENGINE}/engine.py",
        tuple(f"{ENGINE}/test_{one}.py" for one in ("engine", "engine_counts", "lifetimes", "census", "networks")),
    ),
    "holding": (
        f"{ENGINE}/holding.py",
        (f"{ENGINE}/test_holding.py", f"{ENGINE}/test_engine.py", f"{ENGINE}/test_lifetimes.py", f"{ENGINE}/test_census.py"),
    ),
    "kept": (f"{ENGINE}/kept.py", (f"{ENGINE}/test_kept.py", f"{ENGINE}/test_lifetimes.py")),
    "census": (f"{ENGINE}/census.py", (f"{ENGINE}/test_census.py",)),
    "policy": (
        f"{ENGINE}/policy.py",
        (f"{ENGINE}/test_engine.py", "compiler/expression/test_index.py"),
    ),
    "flows": (f"{ENGINE}/flows.py", (f"{ENGINE}/test_engine.py", f"{ENGINE}/test_lifetimes.py")),
    "index": (f"{ENGINE}/index.py", ("compiler/expression/test_index.py", f"{ENGINE}/test_engine.py")),
    "view": (f"{ENGINE}/view.py", (f"{ENGINE}/test_view.py", f"{ENGINE}/test_engine.py", "daemon/targets/test_connections.py")),
    "rx": (f"{ENGINE}/rx.py", (f"{ENGINE}/test_rx.py", "compiler/expression/test_regex.py")),
    "hours": (f"{ENGINE}/hours.py", (f"{ENGINE}/test_hours.py",)),
    "timeofday": (
        "compiler/config/timeofday.py",
        ("compiler/config/test_config_timeofday.py", "compiler/config/test_uci_config.py"),
    ),
    "states": (f"{SETS}/sets/states.py", (f"{SETS}/test_states.py", f"{SETS}/test_sets.py", f"{SETS}/test_healing.py")),
    "slot": (f"{SETS}/sets/slot.py", (f"{SETS}/test_slot.py", f"{SETS}/test_sets.py", f"{SETS}/test_healing.py")),
    "keeper": (f"{SETS}/sets/keeper.py", (f"{SETS}/test_sets.py", f"{SETS}/test_healing.py")),
    "nftables": (f"{NETLINK}/nftables.py", (f"{NETLINK}/test_netlink_messages.py", f"{NETLINK}/test_independent_encoder.py")),
    "ipset": (f"{NETLINK}/ipset.py", (f"{NETLINK}/test_netlink_messages.py", f"{NETLINK}/test_independent_encoder.py")),
}
"""Name to the module's file under nfa/, and the tests under tests/ that are to notice what changes in it."""
_NAMES = """
import contextlib, sys, pytest
found = []
class Names:
    def pytest_collection_finish(self, session):
        found.append({item.nodeid for item in session.items})
for _ in range(2):
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *sys.argv[1:]], [Names()])
print(*sorted(found[0] - found[1]), sep="\\n")
"""
"""Collects tests twice, and prints the names that the second time does not have."""


def prepare(name: str) -> Path:
    """Lay a copy of the sources out for mutmut. Returns its folder."""
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in ("nfa", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "kernel", "openwrt"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for test in (folder / "tests").rglob("test_*.py"):
        text = test.read_text(encoding="utf-8")
        if "max_examples=" in text:
            text = re.sub(r"max_examples=(\d+)", lambda found: f"max_examples={max(15, int(found[1]) // FEWER)}", text)
            test.write_text(text, encoding="utf-8")
    file, tests = MODULES[name]
    there = [f"tests/{one}" for one in tests if (ROOT / "tests" / one).exists()]
    (folder / "setup.cfg").write_text(
        "[mutmut]\nsource_paths=nfa\n"
        f"only_mutate=nfa/{file}\n"
        "also_copy=\n  nfa\n"
        "pytest_add_cli_args=\n  -x\n  -q\n  -p\n  no:cacheprovider\n  -p\n  no:xdist\n"
        f"  -k\n  {NOT_HERE}\n"
        "pytest_add_cli_args_test_selection=\n" + "".join(f"  {one}\n" for one in there) + "track_dependencies=false\n"
        "use_git_change_detection=false\ntimeout_multiplier=10\ntimeout_constant=0.5\n",
        encoding="utf-8",
    )
    return folder


def mutmut(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        env=os.environ | {"NFA_MUTANTS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def check_names(folder: Path, tests: list[str]) -> None:
    """Make sure that tests have the same names each time they are collected. Raises RuntimeError.

    mutmut collects them once and then asks for some of them by name, in the same process. Where pytest finds none of a name,
    the mutant would count as killed. A backslash in what a function `ids` returns is escaped again each time (pytest 9.2).
    """
    done = subprocess.run(
        [sys.executable, "-c", _NAMES, *tests],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    if done.stdout.strip():
        raise RuntimeError("these tests have another name each time: give their parameters other ids\n" + done.stdout)


def run(name: str, workers: int) -> dict[str, list[str]]:
    """Test all mutants of a module. Returns outcome to mutants. Raises RuntimeError when the tests fail without a mutant."""
    folder = prepare(name)
    check_names(folder, [f"tests/{one}" for one in MODULES[name][1]])
    said = mutmut(folder, "run", "--max-children", str(workers))
    outcomes: dict[str, list[str]] = {}
    for mutant, outcome in re.findall(
        r"^\s*(\S+__mutmut_\d+): (.+)$", mutmut(folder, "results", "--all", "true"), re.MULTILINE
    ):
        outcomes.setdefault(outcome, []).append(mutant)
    if not outcomes or "not checked" in outcomes:
        raise RuntimeError(f"{name}: no mutant was tested:\n{said[-3000:]}")
    return outcomes


def changes(folder: Path, mutants: list[str]) -> dict[str, str]:
    """Return what each mutant changes: the lines that go and come."""
    program = (
        "import sys\nfrom mutmut.__main__ import get_diff_for_mutant\n"
        "for name in sys.argv[1:]: print('\\0' + name); print(get_diff_for_mutant(name))"
    )
    done = subprocess.run([sys.executable, "-c", program, *mutants], cwd=folder, capture_output=True, text=True, check=True)
    found = {}
    for block in done.stdout.split("\0")[1:]:
        name, _, diff = block.partition("\n")
        found[name] = " -> ".join(line[1:].strip() for line in diff.splitlines() if re.match(r"[-+][^-+]", line))
    return found


def reasons() -> dict[str, str]:
    """Return what survives by right: `module: what changes` to why that is no fault."""
    found = {}
    for block in (HERE / "survivors.txt").read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        for line in lines[:-1]:
            found[line.strip()] = lines[-1].strip()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    known = reasons()
    failed = False
    for name in given.modules or MODULES:
        outcomes = run(name, given.workers)
        survivors = outcomes.get("survived", []) + outcomes.get("no tests", [])
        count = sum(map(len, outcomes.values()))
        killed = count - len(survivors)
        share = 100 * killed / count
        print(
            f"{name}: {killed} of {count} killed, {share:.1f} % " + str({key: len(each) for key, each in outcomes.items()}),
            flush=True,
        )
        for mutant, what in changes(BUILD / name, survivors).items():
            told = f"{name}: {what}"
            if told not in known:
                print(f"  {mutant}\n    {told}", flush=True)
                failed = True
        failed = failed or share < LEAST
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
