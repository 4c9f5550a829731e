"""What stands for Python in most tests does what Python does: else they would tell of a program that nobody runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_lab import Namespace, environment
from waiting import eventually, patience
from warm_python import WarmPython

ASKED = """
import json, os, signal, sys
names = ("net", "mnt", "pid", "user")
rest = sys.stdin.read()
print(json.dumps([
    sys.argv, os.getcwd(), sorted(os.environ.items()), [os.readlink(f"/proc/self/ns/{name}") for name in names], os.getuid(),
    rest,
    [[stream.encoding, stream.errors, stream.line_buffering] for stream in (sys.stdin, sys.stdout, sys.stderr)],
    signal.getsignal(signal.SIGINT) is signal.default_int_handler, sys.executable, os.umask(0o22),
    sorted(os.listdir("/proc/self/fd")),
]))
"""
IMPORTED = "import sys; print('nfa.compiler.compile' in sys.modules)"


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmPython]:
    made = WarmPython(environment())
    yield made
    made.close()


def run(python: str, *command: str, before: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, python, *command],
        input="given", capture_output=True, text=True, check=False, timeout=patience(60), env=environment() | variables,
    )  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        ["-c", ASKED, "a", "b c"], ["-P", "-c", ASKED], ["-m", "nfa", "--help"], ["-m", "nfa", "no-such-command"],
        ["-m", "nfa", "eval", "port == 443;"], ["-c", "import sys; sys.exit(7)"], ["-c", "import sys; sys.exit('no')"],
        ["-c", "import os; os.kill(os.getpid(), 9)"],
    ],
    ids=lambda command: " ".join(command[:3])[:40].replace("\n", " "),
)  # fmt: skip
def test_it_does_what_python_does(warm: WarmPython, command: list[str]) -> None:
    """Arguments, folder, environment, descriptors, streams, exit code."""
    found, wanted = (run(python, *command, MINE="my own") for python in (warm.path, sys.executable))
    assert found.stdout == wanted.stdout
    assert found.stderr == wanted.stderr
    code = wanted.returncode
    assert found.returncode == (code if code >= 0 else 128 - code)


def test_only_what_is_like_the_server_is_warm(warm: WarmPython) -> None:
    """A daemon with fewer rights would get a compiler that has them all, and no test would see that it needs them."""
    assert run(warm.path, "-c", IMPORTED).stdout == "True\n"
    assert run(warm.path, "-c", IMPORTED, TZ="Asia/Tokyo").stdout == "False\n"
    assert run(warm.path, "-c", IMPORTED, LC_ALL="C").stdout == "False\n"
    assert run(warm.path, "-S", "-c", IMPORTED).stdout == "False\n"
    assert run(warm.path, "-c", IMPORTED, before=("sh", "-c", 'ulimit -n 99; exec "$@"', "sh")).stdout == "False\n"
    if os.geteuid() == 0:
        assert run(warm.path, "-c", IMPORTED, before=("setpriv", "--bounding-set", "-net_admin")).stdout == "False\n"


@pytest.mark.kernel
def test_it_is_in_the_network_of_its_starter(warm: WarmPython) -> None:
    """The compiler looks at the sets of the namespace that its daemon is in."""
    namespace = Namespace()
    try:
        if not namespace.alive:
            pytest.skip("no private network namespace")
        asks = "import os; print(os.readlink('/proc/self/ns/net'))"
        found, wanted = (namespace.run(python, "-c", asks) for python in (warm.path, sys.executable))
        assert found == wanted != run(warm.path, "-c", asks).stdout
    finally:
        namespace.close()


def test_it_ends_with_what_was_started(warm: WarmPython, tmp_path: Path) -> None:
    """A daemon ends a child that takes too long: it must be gone then, and nothing be held by it."""
    program = f"import os, signal; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); signal.pause()"
    started = subprocess.Popen([warm.path, "-c", program], env=environment())
    pid = eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    started.send_signal(signal.SIGKILL)
    started.wait()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the child is gone")
    assert run(warm.path, "-c", IMPORTED).stdout == "True\n", "the server goes on"
