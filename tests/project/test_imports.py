"""What the resident daemon loads: on a router every module costs memory for as long as it runs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from module_trees import NFA, imported

MICROPYTHON = {
    "json", "re", "struct", "socket", "select", "time", "os", "sys", "binascii", "collections", "errno", "io",
}  # fmt: skip
# MicroPython has it too; it is loaded only where a sink has TLS.
BESIDES = {"sinks": {"ssl"}}
PARTS = ("stream", "netlink", "engine", "targets", "sinks")
HEAVY = {
    "pyparsing", "pyroute2", "uci", "pyuci", "asyncio", "logging", "argparse", "dataclasses", "typing", "subprocess",
    "nfa.daemon.sinks", "zlib", "ssl",
    "nfa.daemon.targets.pf", "nfa.daemon.processes.program",
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_the_resident_side_imports_what_micropython_has(part: str) -> None:
    """The daemon would take megabytes more, or could not be moved to MicroPython. Layers are import-linter's: `make lint`."""
    for file in sorted((NFA / "daemon" / part).rglob("*.py")):
        if file.name == "types.py":
            continue  # for mypy only
        for module in imported(file):
            allowed = module.startswith("nfa.") or module in MICROPYTHON | BESIDES.get(part, set())
            assert allowed, f"{file.relative_to(NFA.parent)} imports {module}"


def test_the_daemon_loads_nothing_heavy() -> None:
    """A module that a module imports counts as well."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import nfa.daemon.daemon; print('\\n'.join(sys.modules))"
    command = [sys.executable, "-I", "-S", "-c", program, str(NFA.parent)]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "nfa.daemon.daemon" in loaded
    assert not loaded & HEAVY
    own = {name for name in loaded if name.startswith("nfa.")}
    assert not [name for name in own if not name.startswith(("nfa.daemon", "nfa.image"))]


@pytest.mark.parametrize("command", ["run", "status", "matches", "elements", "flush", "reload", "pause"])
def test_commands_that_compile_nothing_load_no_grammar(command: str) -> None:
    """Each start of the daemon, and each question to it, would take half as long again: a second on a router."""
    program = f"import sys; sys.path.insert(0, sys.argv[1]); import nfa.cli.{command}; print('pyparsing' in sys.modules)"
    command_line = [sys.executable, "-I", "-c", program, str(NFA.parent)]
    assert subprocess.run(command_line, capture_output=True, text=True, check=True).stdout == "False\n"
