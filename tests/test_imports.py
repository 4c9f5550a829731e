"""What the resident daemon loads: on a router every module costs memory for as long as it runs (docs/internals, rule 1)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

NFA = Path(__file__).parents[1] / "nfa"
RESIDENT = ("stream", "engine", "netlink", "targets")
MICROPYTHON = {
    "json", "re", "struct", "socket", "select", "time", "os", "sys", "binascii", "collections", "errno", "io",
}  # fmt: skip
HEAVY = {
    "pyparsing", "pyroute2", "uci", "pyuci", "asyncio", "logging", "argparse", "dataclasses", "typing", "subprocess",
    "nfa.config", "nfa.expression", "nfa.provision", "nfa.cli", "nfa.compiler",
}  # fmt: skip


def imported(file: Path) -> set[str]:
    """The modules a file imports, in full: `nfa.stream.framing` for `from .framing import Framer`."""
    package = ["nfa", *file.relative_to(NFA).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} if node.module else {f"{module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("package", RESIDENT)
def test_the_resident_side_imports_what_micropython_has(package: str) -> None:
    """The daemon would take megabytes more, and could not be moved to MicroPython."""
    files = sorted((NFA / package).rglob("*.py"))
    assert files
    for file in files:
        for module in imported(file):
            allowed = module in MICROPYTHON or module.startswith(tuple(f"nfa.{name}" for name in RESIDENT))
            assert allowed, f"{file.relative_to(NFA.parent)} imports {module}"


def test_the_daemon_loads_nothing_heavy() -> None:
    """A module that a module imports counts as well."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import nfa.daemon; print('\\n'.join(sys.modules))"
    command = [sys.executable, "-I", "-S", "-c", program, str(NFA.parent)]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "nfa.daemon" in loaded
    assert not loaded & HEAVY
