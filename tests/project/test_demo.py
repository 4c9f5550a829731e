"""`make demo` works where namespaces are allowed, and leaves the machine as it was, also when it is stopped half-way.

What it shows of packets and sets it compares itself with what the policy says, and ends with an error if that differs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from private_network import Unavailable, prefix
from waiting import PATIENCE, eventually, patience

DEMO = Path(__file__).resolve().parents[2] / "demo/demo.py"


@pytest.fixture
def demo(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the demo, its temporary files below tmp_path."""
    try:
        prefix()
    except Unavailable as reason:
        pytest.skip(str(reason))

    def start(**variables: str) -> subprocess.Popen[str]:
        environment = dict(os.environ, TMPDIR=str(tmp_path), **variables)
        return subprocess.Popen(
            [sys.executable, str(DEMO)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    return start


def processes_of(folder: Path) -> list[Path]:
    """Folders in /proc of the processes that have the demo's files in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in (path / "cmdline").read_text(errors="replace"):
                found.append(path)
        except OSError:
            continue  # it has just ended
    return found


def namespaces_of(processes: list[Path]) -> set[str]:
    """Network namespaces of processes, as `net:[4026531840]`, without our own."""
    found = set()
    for path in processes:
        try:
            found.add(os.readlink(path / "ns/net"))
        except OSError:
            continue  # it has just ended, or is a stranger's
    return found - {os.readlink("/proc/self/ns/net")}


def assert_nothing_left(folder: Path, namespaces: set[str]) -> None:
    """No file, no process, no namespace: once the kernel has ended the namespace's processes."""
    assert namespaces, "the demo ran elsewhere: this would prove nothing"

    def left() -> tuple[object, ...]:
        return list(folder.iterdir()), processes_of(folder), namespaces & namespaces_of(list(Path("/proc").glob("[0-9]*")))

    eventually(lambda: not any(left()), what="nothing left")
    mounts = Path("/proc/self/mountinfo").read_text()
    assert not any(namespace in mounts for namespace in namespaces), "a namespace was given a name"


def begin(process: subprocess.Popen[str]) -> str:
    """Read what the demo prints until packets pass."""
    assert process.stdout
    read = ""
    for line in process.stdout:
        read += line
        if "nobody knows yet" in line:
            break
    return read


@pytest.mark.kernel
def test_the_demo_shows_what_it_promises(demo: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """The first thing that a newcomer sees would be an error, take too long, or litter the machine."""
    with demo(NFA_DEMO_SPEED="40") as process:
        output = begin(process)
        namespaces = namespaces_of(processes_of(tmp_path))
        output += process.communicate(timeout=patience(120))[0]
    assert process.returncode == 0, output
    assert re.findall(r"^(\d)\. ", output, re.MULTILINE) == list("123456789")
    looks = re.findall(r"^    (\S.*?)((?: +(?:passes|is stopped)){3})$", output, re.MULTILINE)
    assert {event: re.findall(r"passes|is stopped", words) for event, words in looks}["netifyd says what they are"] == [
        "is stopped",
        "is stopped",
        "passes",
    ], "the second application of the same server goes on"
    assert len(looks) == 6 and "videos > stop" in output
    assert not re.search(r"Tables that are left:.*nfa", output)
    assert re.search(r"nfa\.bittorrent\.v4 +[1-9]\d* elements: as expected", output)
    # Which of an ipset's elements come first is the kernel's choice.
    assert "elements = { 192.168.1." in output and re.search(r"(tcp|udp):443,192\.168\.1\.", output)
    assert re.search(r"weakssl-\d{8}-\d{6}\.json", output)
    assert "flush_on_destroy left 0 elements" in output
    assert "\x1b" not in output, "colours in a file or a pipe"
    assert_nothing_left(tmp_path, namespaces)


@pytest.mark.kernel
@pytest.mark.parametrize("number, everybody", [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_demo_leaves_nothing_behind(
    demo: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals, everybody: bool
) -> None:
    """A daemon, a namespace or a folder would stay on the machine. Ctrl-C reaches all processes of a terminal's group."""
    with demo() as process:
        begin(process)
        namespaces = namespaces_of(processes_of(tmp_path))
        (os.killpg if everybody else os.kill)(process.pid, number)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert_nothing_left(tmp_path, namespaces)
