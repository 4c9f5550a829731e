"""The demo's second act: sets, for those who write rules themselves. A household's evening fills them.

In: demo/policy.json and a stream that the repository makes. Out: the sets as they fill, compared in the end, element by
element, with a second, plain reading of the same records (demo/prediction.py).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from subprocess import Popen
from typing import Any

from prediction import evening, held, predicted
from samples import frame
from stage import HERE, PATIENCE, Failed, headline, nfa, paint, printable, say, show, stopped, tool, wait

from nfa.daemon.bus.control import call

POLICY = HERE / "policy.json"
LOG = "/tmp/nfa-demo-log"
"""The folder of the log in it."""
SPEED = int(os.environ.get("NFA_DEMO_SPEED", "16"))
"""How many times faster than it happened the stream is; the tests are in a hurry."""
SHOWN = 6
"""How many lines of a long list are shown."""
MATCHES_A_SECOND = 2


def act(folder: Path) -> None:
    """The second act. Raises Failed."""
    records = evening()
    recording, source, control = folder / "evening.bin", f"unix://{folder}/netifyd.sock", str(folder / "control.sock")
    recording.write_bytes(b"".join(map(frame, records)))
    expected = predicted(records)
    config = folder / "policy.json"  # as it is, but for the folder of the log
    config.write_text(POLICY.read_text().replace(LOG, str(folder / "log")))

    headline(5, "Sets, for rules of your own: demo/policy.json")
    policy()
    flows = sum(record["type"] == "flow" for record in records)
    say(f"""A household's evening, as netifyd would tell of it: {len(records)} records, {flows} of them flows, {SPEED} times
        faster than they happened. The numbers are elements of the kernel's sets, IPv4 and IPv6 together.""")
    daemon_command = ["run", "-v", "-c", str(config), "-s", source, "--state-dir", str(folder), "--control", control]
    replay_command = ["replay", str(recording), "--listen", source, "--speed", str(SPEED), "--linger", "60"]
    with nfa(folder / "replay.log", *replay_command) as replay, nfa(folder / "nfa.log", *daemon_command) as daemon:
        watch(folder / "nfa.log", control, len(records), (replay, daemon))
        say("A rule of the same table can use it: ip saddr . ip protocol . th dport . ip daddr @weakssl.v4 drop")
        show(tool("nft", "list", "set", "inet", "netify", "weakssl.v4"), 5 + SHOWN)
        say("A rule can use it: iptables -t mangle -A FORWARD -m set --match-set nfa.youtube.v4 dst,dst,src -j MARK ...")
        show(tool("ipset", "list", "nfa.youtube.v4"), 8 + SHOWN)
        say("The log: one file for each interval in which something happened")
        log(folder / "log")

        headline(6, "nfa status")
        show(tool(sys.executable, "-m", "nfa", "status", "--control", control))

        headline(7, "Why did that flow match? nfa explain")
        weak = next(r for r in records if r["type"] == "flow" and r["flow"].get("ssl", {}).get("version") == "0x0302")
        explain = [sys.executable, "-m", "nfa", "explain", "-c", str(config), "--state-dir", str(folder)]
        show(tool(*explain, given=json.dumps(weak)))

        headline(8, "Does the kernel hold what the policy says?")
        check(expected)
        seconds = stopped(daemon)
        left = sum(map(len, held(expected).values()))
        print(f"\nThe daemon ended in {seconds:.2f} s; flush_on_destroy left {left} elements.")
        if left:
            raise Failed(f"the daemon's end: {left} elements left")


def policy() -> None:
    """Print the policy in words."""
    rules: dict[str, Any] = json.loads(POLICY.read_text())
    for name, action in rules["actions"].items():
        print(f"    {paint(f'{name:<11}', 'info')} {action['criteria']:<44} -> {', '.join(action['targets'])}")
        for exemption in action.get("exemptions", []):
            print(f"    {'':<11} but not {exemption}")
    for exemption in rules["exemptions"]:
        print(f"    never: {exemption}")


def watch(log: Path, control: str, records: int, processes: tuple[Popen[bytes], ...]) -> None:
    """Show the sets fill, once a second, until the daemon has seen all records and its log target has written."""
    rules: dict[str, Any] = json.loads(POLICY.read_text())
    names = [target["set_name"] for target in rules["targets"].values() if "set_name" in target]
    started, told, seen = time.monotonic(), 0, -1
    print("    seconds" + "".join(f"{name:>16}" for name in names))
    while time.monotonic() < started + PATIENCE:
        wait(lambda: None, 1.0)
        if ended := [process for process in processes if process.poll() is not None]:
            raise Failed(f"process {ended[0].pid} ended too early, with exit code {ended[0].returncode}")
        elements = held([name + family for name in names for family in (".v4", ".v6")])
        counts = [len(elements[name + ".v4"]) + len(elements[name + ".v6"]) for name in names]
        row = f"    {time.monotonic() - started:>7.0f}" + "".join(f"{count:>16}" for count in counts)
        print(paint(row, "good"), flush=True)
        matches = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("nfa: match: ")]
        one_an_action = {line.rpartition(": ")[2]: line.removeprefix("nfa: ") for line in matches[told:]}
        for line in list(one_an_action.values())[:MATCHES_A_SECOND]:
            print("        " + printable(line))
        if len(matches) > told + MATCHES_A_SECOND:
            print(f"        ... and {len(matches) - told - MATCHES_A_SECOND} more matches")
        told = len(matches)
        if seen >= records:
            return
        seen = _records(control)
        if seen > 0 and "policy loaded" not in log.read_text(errors="replace"):
            raise Failed("the daemon could not load the policy")
    raise Failed(f"the daemon saw {seen} of {records} records in {PATIENCE} seconds")


def _records(control: str) -> int:
    try:
        source: dict[str, Any] = call(control, "status", {})["source"]  # type: ignore[assignment]
    except OSError:
        return -1  # it is still compiling its first policy
    return int(source["records"])


def log(folder: Path) -> None:
    """Print the first log file."""
    path = wait(lambda: min(folder.glob("*.json"), default=None), PATIENCE)
    if path is None:
        raise Failed("no log file was written")
    print(f"    {path.name}")
    body = json.loads(path.read_text())
    body["entries"], left = body["entries"][:2], len(body["entries"]) - 2
    show(json.dumps(body, indent=2))
    if left > 0:
        print(f"    (and {left} more entries)")


def check(expected: dict[str, set[str]]) -> None:
    """Compare every set with the independent reading of the records. Raises Failed."""
    wrong = []
    say("Each set is compared, element by element, with a second, plain reading of the records (demo/prediction.py).")
    found = held(expected)
    for name, elements in expected.items():
        lacking, surplus = len(elements - found[name]), len(found[name] - elements)
        good = not lacking and not surplus
        verdict = paint("as expected", "good") if good else paint(f"{lacking} lacking, {surplus} too many", "error")
        print(f"    {name:<20} {len(found[name]):>4} elements: {verdict}")
        if not good:
            wrong.append(name)
    if wrong or not any(expected.values()):
        raise Failed("not what the policy says: " + ", ".join(wrong))
