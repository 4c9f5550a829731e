"""`make demo`: the daemon at work on a private network, from netifyd's stream to elements of kernel sets.

In: demo/policy.json and a stream that the repository makes. Out: a story on the terminal, plain text elsewhere; exit code 0
only if the kernel's sets held exactly what the policy says. It takes about 25 seconds and leaves nothing behind: everything
runs in a network and process namespace that ends with it, its files lie in one folder that is removed.

    outer process: folder, namespace, cleaning up    ->    inner process (--inside FOLDER): the story
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from prediction import evening, held, predicted  # noqa: E402
from private_network import Unavailable, environment, prefix  # noqa: E402
from samples import frame  # noqa: E402

from nfa.cli.common import paint  # noqa: E402
from nfa.compiler.base.report import printable  # noqa: E402
from nfa.daemon.bus.control import call  # noqa: E402

POLICY = HERE / "policy.json"
LOG = "/tmp/nfa-demo-log"
"""The folder of the log in it."""
SPEED = int(os.environ.get("NFA_DEMO_SPEED", "8"))
"""How many times faster than it happened the stream is; the tests are in a hurry."""
PATIENCE = 120
"""Seconds for anything, on a machine however busy."""
SHOWN = 6
"""How many lines of a long list are shown."""
MATCHES_A_SECOND = 2


class Failed(Exception):
    """The demo did not work; the text says what did not."""


# -- the outer process -------------------------------------------------------------------------------------------------


def main() -> int:
    """Make the namespace and the folder, tell the story in them, and take both away again, whatever happens."""
    try:
        command = prefix()
    except Unavailable as reason:
        print(f"demo: {reason}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    folder = tempfile.mkdtemp(prefix="nfa-demo-")
    story: subprocess.Popen[bytes] | None = None
    try:
        story = subprocess.Popen([*command, sys.executable, __file__, "--inside", folder], env=environment())
        return story.wait()
    except KeyboardInterrupt:
        print("\ndemo: stopped; nothing is left behind", file=sys.stderr)
        return 130
    finally:
        if story is not None:
            story.kill()  # unshare takes the namespace's first process with it, and that all others
            story.wait()
        _remove(folder)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _remove(folder: str) -> None:
    """Remove the folder, also while the last processes that write to it are dying."""
    deadline = time.monotonic() + 5
    while os.path.exists(folder) and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)


# -- the story ---------------------------------------------------------------------------------------------------------


def headline(number: int, text: str) -> None:
    """Begin a step."""
    print("\n" + paint(f"{number}. {text}", "bold"))


def say(text: str) -> None:
    """Print an explanation."""
    print(paint(textwrap.fill(" ".join(text.split()), 100), "dim"))


def show(text: str, shown: int = 1000) -> None:
    """Print what a program said, at most some lines of it, indented."""
    lines = text.expandtabs(4).rstrip().splitlines()
    more = [f"... {len(lines) - shown} more"] if len(lines) > shown else []
    for line in lines[:shown] + more:
        print("    " + printable(line))


def story(folder: Path) -> None:
    """The whole demo. Raises Failed."""
    records = evening()
    recording, source, control = folder / "evening.bin", f"unix://{folder}/netifyd.sock", str(folder / "control.sock")
    recording.write_bytes(b"".join(map(frame, records)))
    expected = predicted(records)
    config = folder / "policy.json"  # as it is, but for the folder of the log
    config.write_text(POLICY.read_text().replace(LOG, str(folder / "log")))

    headline(1, "The policy: demo/policy.json")
    policy()

    headline(2, "The traffic: a household's evening, as netifyd would tell of it")
    flows = sum(record["type"] == "flow" for record in records)
    say(f"""{len(records)} records, {flows} of them flows, {SPEED} times faster than they happened. netifyd looks into packets
        and tells who talks to whom, with which protocol and application; nfa compares each flow with the policy. The numbers
        are elements of the kernel's sets, IPv4 and IPv6 together.""")
    daemon_command = ["run", "-v", "-c", str(config), "-s", source, "--state-dir", str(folder), "--control", control]
    replay_command = ["replay", str(recording), "--listen", source, "--speed", str(SPEED), "--linger", "60"]
    with nfa(folder / "replay.log", *replay_command) as replay, nfa(folder / "nfa.log", *daemon_command) as daemon:
        watch(folder / "nfa.log", control, len(records), (replay, daemon))

        headline(3, "The nftables set: who spoke TLS 1.1, by local address, protocol, port and server")
        say("A rule of the same table can use it: ip saddr . ip protocol . th dport . ip daddr @weakssl.v4 drop")
        show(tool("nft", "list", "set", "inet", "netify", "weakssl.v4"))

        headline(4, "An ipset: YouTube's servers, protocol and port, and who watched")
        say("A rule can use it: iptables -t mangle -A FORWARD -m set --match-set nfa.youtube.v4 dst,dst,src -j MARK ...")
        show(tool("ipset", "list", "nfa.youtube.v4"), 8 + SHOWN)

        headline(5, "The log: one file for each interval in which something happened")
        log(folder / "log")

        headline(6, "nfa status")
        show(tool(sys.executable, "-m", "nfa", "status", "--control", control))

        headline(7, "Why did that flow match? nfa explain")
        weak = next(r for r in records if r["type"] == "flow" and r["flow"].get("ssl", {}).get("version") == "0x0302")
        explain = [sys.executable, "-m", "nfa", "explain", "-c", str(config), "--state-dir", str(folder)]
        show(tool(*explain, given=json.dumps(weak)))

        headline(8, "Does the kernel hold what the policy says?")
        check(expected)

        started = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(PATIENCE)
        left = sum(map(len, held(expected).values()))
        print(f"\nThe daemon ended in {time.monotonic() - started:.2f} s; flush_on_destroy left {left} elements.")
        if left or daemon.returncode:
            raise Failed(f"the daemon's end: exit code {daemon.returncode}, {left} elements left")
    headline(9, "What to try next")
    print("""\
    .venv/bin/nfa check -c demo/policy.json      what nfa thinks of a policy; copy it and try a typing error
    .venv/bin/nfa eval "app == 'netflix';" demo/recording.bin.gz
                                                 which flows of a recording an expression matches
    .venv/bin/nfa explain -c demo/policy.json --matched demo/recording.bin.gz
                                                 why each flow matches
    .venv/bin/nfa apps youtube                   what a policy may name; also protocols, categories
    .venv/bin/nfa --help                         all commands, with examples
    nfa run -c policy.json                       on a router: reads netifyd's own socket; needs root""")


def policy() -> None:
    """Print the policy in words."""
    rules: dict[str, Any] = json.loads(POLICY.read_text())
    for name, action in rules["actions"].items():
        print(f"    {paint(f'{name:<11}', 'info')} {action['criteria']:<44} -> {', '.join(action['targets'])}")
        for exemption in action.get("exemptions", []):
            print(f"    {'':<11} but not {exemption}")
    for exemption in rules["exemptions"]:
        print(f"    never: {exemption}")


@contextmanager
def nfa(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run an nfa command beside, what it says going to a file."""
    with log.open("wb") as output:
        command = [sys.executable, "-u", "-m", "nfa", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=HERE.parent)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def watch(log: Path, control: str, records: int, processes: tuple[subprocess.Popen[bytes], ...]) -> None:
    """Show the sets fill, once a second, until the daemon has seen all records and its log target has written."""
    rules: dict[str, Any] = json.loads(POLICY.read_text())
    names = [target["set_name"] for target in rules["targets"].values() if "set_name" in target]
    started, told, seen = time.monotonic(), 0, -1
    print("    seconds" + "".join(f"{name:>16}" for name in names))
    while time.monotonic() < started + PATIENCE:
        _wait(lambda: None, 1.0)
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


def _wait(condition: Callable[[], Any], seconds: float) -> Any:
    """Return what the condition says once it says something, None after some seconds."""
    deadline = time.monotonic() + seconds
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return result


def log(folder: Path) -> None:
    """Print the first log file."""
    path = _wait(lambda: min(folder.glob("*.json"), default=None), PATIENCE)
    if path is None:
        raise Failed("no log file was written")
    print(f"    {path.name}")
    body = json.loads(path.read_text())
    body["entries"], left = body["entries"][:2], len(body["entries"]) - 2
    show(json.dumps(body, indent=2))
    if left > 0:
        print(f"    (and {left} more entries)")


def tool(*command: str, given: str = "") -> str:
    """Run a program to its end and return what it printed. Raises Failed."""
    print("    " + paint("$ " + " ".join(Path(word).name if word == command[0] else word for word in command), "info"))
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=PATIENCE, cwd=HERE.parent, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


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


def inside(folder: Path) -> int:
    """Tell the story, and say why when it breaks."""
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        story(folder)
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        for path in folder.glob("*.log"):
            said = [line for line in path.read_text(errors="replace").splitlines() if ": match:" not in line]
            print(f"What {path.stem} said last:", *[f"    {printable(line)}" for line in said[-8:]], sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(inside(Path(sys.argv[2])) if sys.argv[1:2] == ["--inside"] else main())
