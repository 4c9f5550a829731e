"""Signals in the daemon's first moments. No test waits for such a moment: each makes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from kernel_lab import ROOT
from waiting import eventually, patience

from nfa.cli.run import PROGRAM
from nfa.daemon.bus.control import call

# Sends a signal whenever nfa imports a module, but for the few lines of it that must come before.
HOOK = """\
import os, sys
class Signalling:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("argparse", "json", "select", "socket") or name[:4] == "nfa." and name not in {allowed!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Signalling)
"""
BEFORE = ("nfa.__main__", "nfa.daemon", "nfa.daemon.signals")


def settings(folder: Path) -> dict[str, object]:
    """What `nfa run` hands to the daemon proper."""
    return {
        "source": f"unix://{folder}/none",
        "files": [str(folder / "policy.json")],
        "uci": "",
        "uci_required": False,
        "state": str(folder),
        "control": str(folder / "control.sock"),
        "verbose": False,
        "ubus": "none",
        "log_level": "notice",
        "orjson": "",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    policy = {"version": 1, "actions": {"a": {"criteria": "*", "targets": ["l"]}}, "targets": {"l": {"target_type": "log"}}}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    return tmp_path


def arguments(folder: Path) -> list[str]:
    names = ["-c", str(folder / "policy.json"), "--no-uci", "--ubus", "none", "--state-dir", str(folder)]
    return [*names, "--control", str(folder / "control.sock"), "-s", f"unix://{folder}/none"]


class Started:
    """A daemon that is being started; ended after the test, whatever it is then."""

    def __init__(self, command: Sequence[str], folder: Path, blocked: Sequence[int] = (), **environment: str) -> None:
        def pending() -> None:
            """A signal that is held back over the exec comes at the first moment at which the program lets it."""
            for number in blocked:
                signal.pthread_sigmask(signal.SIG_BLOCK, [number])
                os.kill(os.getpid(), number)

        self.control = str(folder / "control.sock")
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pending,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            cwd=folder,
        )

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def generation(self) -> int:
        """Which policy it has; 0 while it does not answer. Fails when it has ended."""
        assert self.process.poll() is None, f"ended with {self.process.returncode}"
        try:
            return int(call(self.control, "status", {})["policy"]["generation"])  # type: ignore[index]  # plain JSON
        except OSError:
            return 0

    def code(self) -> int:
        return self.process.wait(patience(60))


def hooked(folder: Path, number: int) -> str:
    """A folder whose sitecustomize installs the hook."""
    place = folder / "hook"
    place.mkdir()
    hook = HOOK.format(allowed=BEFORE, number=int(number)).replace("sys.meta_path", "'run' in sys.orig_argv and sys.meta_path")
    (place / "sitecustomize.py").write_text(hook)  # not in the compiler, which is no daemon
    return f"{place}{os.pathsep}{ROOT}"


def test_a_sighup_at_every_import_of_nfa_run_does_not_end_it(folder: Path) -> None:
    """`service nfa reload` right after a start ended the daemon ("Hangup"): a router imports for a second or two."""
    command = [sys.executable, "-m", "nfa", "run", *arguments(folder)]
    with Started(command, folder, PYTHONPATH=hooked(folder, signal.SIGHUP)) as daemon:
        eventually(daemon.generation)


def test_a_sighup_at_every_import_of_the_daemon_proper_does_not_end_it(folder: Path) -> None:
    """The same, after `nfa run` has become the daemon: an exec sets handlers back."""
    program = HOOK.format(allowed=BEFORE, number=int(signal.SIGHUP)) + PROGRAM
    command = [sys.executable, "-I", "-S", "-c", program, json.dumps(settings(folder))]
    with Started(command, folder) as daemon:
        eventually(daemon.generation)


def test_a_sighup_that_was_held_back_is_let_through_and_does_not_end_it(folder: Path) -> None:
    """A signal that is there before the first line of Python runs. A daemon that kept it blocked would never reload again."""
    command = [sys.executable, "-m", "nfa", "run", *arguments(folder)]
    with Started(command, folder, blocked=[signal.SIGHUP]) as daemon:
        first = eventually(daemon.generation)
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: daemon.generation() > first)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_in_the_first_moment_is_an_end_in_order(folder: Path, number: signal.Signals) -> None:
    """procd would count a daemon that a signal killed as crashed; Ctrl-C showed a traceback."""
    command = [sys.executable, "-m", "nfa", "run", *arguments(folder)]
    with Started(command, folder, blocked=[number]) as daemon:
        assert daemon.code() == 0
        assert daemon.process.stderr is not None and "Traceback" not in daemon.process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_nfa_run_becomes_the_daemon_is_an_end_in_order(folder: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-I", "-S", "-OO", "-c", PROGRAM, json.dumps(settings(folder))]
    with Started(command, folder, blocked=[number]) as daemon:
        assert daemon.code() == 0
        assert daemon.process.stderr is not None and "Traceback" not in daemon.process.stderr.read()
