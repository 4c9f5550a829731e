"""The daemon as a process, without a kernel: what it imports, what it leaves alone, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from policies import config_of
from waiting import PATIENCE, eventually

from nfa.daemon.bus.control import call
from nfa.image.cpython import ROOT

PROGRAM = f"import sys; sys.path.insert(0, {ROOT!r}); from nfa.daemon.daemon import main; sys.exit(main())"


class Started:
    """A daemon whose current directory is `folder`, as `nfa run` starts it."""

    def __init__(self, folder: Path, control: Path) -> None:
        config = folder / "policy"
        config.write_text(json.dumps(config_of({"a": "*"})))
        settings = {"source": f"unix://{folder}/no.sock", "files": [str(config)], "control": str(control), "state": str(folder)}
        self.control = control
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, json.dumps(settings)],
            cwd=folder, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        """The status once a policy is in force."""

        def look() -> dict[str, Any] | None:
            assert self.process.poll() is None, f"no policy loaded: {self.end()}"
            try:
                status: dict[str, Any] = call(str(self.control), "status", {})
            except OSError:
                return None
            return status if status["policy"]["generation"] else None

        found = eventually(look, what="a policy in force")
        assert found is not None
        return found

    def end(self) -> str:
        """End it; return what it said."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=PATIENCE)[1]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    trap = "open(__file__ + '.was-here', 'w').close()\n"
    for name in ("argparse", "json", "nfa", "pyparsing", "re"):
        (tmp_path / f"{name}.py").write_text(trap)
    daemon = Started(tmp_path, tmp_path / "control.sock")
    yield daemon
    if daemon.process.poll() is None:
        daemon.end()


def test_what_lies_in_the_current_directory_is_not_imported(started: Started, tmp_path: Path) -> None:
    """Started in /tmp, the daemon or its compiler would run a stranger's argparse.py as root."""
    assert started.status()["actions"]["a"]["active"]
    assert not list(tmp_path.glob("*.was-here"))


def test_another_ones_control_socket_is_left_alone_at_the_end(started: Started) -> None:
    """A daemon that ends late would take the socket of its successor with it."""
    started.status()
    started.control.unlink()
    started.control.write_text("of somebody else")
    started.end()
    assert started.control.read_text() == "of somebody else"


def test_a_control_path_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """--control and --config are easily mixed up: the policy would be deleted."""
    precious = tmp_path / "precious.json"
    precious.write_text("{}")
    daemon = Started(tmp_path, precious)
    assert "exists and is not a socket" in daemon.process.communicate(timeout=PATIENCE)[1]
    assert daemon.process.returncode == 1
    assert precious.read_text() == "{}"
