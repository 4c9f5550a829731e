"""What the resident daemon loads: on a router every module costs memory for as long as it runs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import samples
from module_trees import running
from policies import config_of
from waiting import patience

NFA = Path(__file__).parents[2] / "nfa"
MICROPYTHON = {
    "json", "re", "struct", "socket", "select", "time", "os", "sys", "binascii", "collections", "errno", "io",
}  # fmt: skip
# MicroPython has it too; it is loaded only where a sink has TLS.
BESIDES = {"sinks": {"ssl"}}
PARTS = ("stream", "netlink", "engine", "targets", "sinks")
# In packages of their own; used where they are, with what they need.
OPTIONAL = {"ssl", "orjson", "uuid"}
# What MicroPython has and CPython has not: `nfa.daemon.micropython` asks for it where it runs.
OTHER_PYTHON = {"ffi", "uctypes"}
HEAVY = {
    "pyparsing", "pyroute2", "uci", "pyuci", "asyncio", "logging", "argparse", "dataclasses", "typing", "subprocess",
    "nfa.daemon.sinks", "zlib", "ssl",
    "nfa.daemon.targets.pf", "nfa.daemon.processes.program",
}  # fmt: skip


# The parts of the standard library that OpenWrt packs apart from python3-light, from 24.10 to main.
NOT_LIGHT = [
    "asyncio", "cgi", "cgitb", "ctypes", "_ctypes", "curses", "dbm", "decimal", "_decimal", "distutils", "doctest", "email",
    "ensurepip", "idlelib", "lib2to3", "logging", "lzma", "_lzma", "multiprocessing", "pydoc", "readline", "sqlite3", "ssl",
    "_ssl", "_hashlib", "tkinter", "turtledemo", "unicodedata", "unittest", "urllib", "uuid", "_uuid", "venv", "webbrowser",
    "xml", "xmlrpc", "pyexpat",
]  # fmt: skip
# Packages of their own, which depend on what they need of the above.
OTHERS = ("pyparsing", "pyroute2")
LIGHT = """
import json, sys

missing, others, path, program = map(json.loads, sys.argv[1:5])

class Blocker:
    # Refuses a module that python3-light lacks, unless another package asks for it.
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe()
        while frame and name.partition(".")[0] in missing:
            asks = frame.f_globals.get("__name__", "").partition(".")[0]
            if asks in others:
                return None
            frame = frame.f_back
            if asks == "nfa" or not frame:
                raise ModuleNotFoundError(f"python3-light has no {name}", name=name)

assert not set(missing) & set(sys.modules)
sys.meta_path.insert(0, Blocker())
sys.path += path
sys.argv[1:] = sys.argv[5:]
exec(program)
"""


def imported(file: Path) -> set[str]:
    """The modules a file imports, in full: `nfa.daemon.stream.framing` for `from .framing import Framer`."""
    package = ["nfa", *file.relative_to(NFA).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(running(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} if node.module else {f"{module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("part", PARTS)
def test_the_resident_side_imports_what_micropython_has(part: str) -> None:
    """The daemon would take megabytes more, or could not be moved to MicroPython. Layers are import-linter's: `make lint`."""
    for file in sorted((NFA / "daemon" / part).rglob("*.py")):
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


# -- what OpenWrt's python3-light has ------------------------------------------------------------------------------------


def light(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program as on a router with python3-light and the packages of OTHERS; the modules of `site` are not loaded."""
    path = [str(NFA.parent), *filter(lambda folder: "site-packages" in folder, sys.path)]
    given = map(json.dumps, (NOT_LIGHT, OTHERS, path, program))
    command = [sys.executable, "-I", "-S", "-c", LIGHT, *given, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience(60), check=False)


def test_what_nfa_imports_comes_with_python3_light() -> None:
    """On a router the command that imports it would end in a traceback; developers have the whole library."""
    names = {name for file in NFA.rglob("*.py") for name in imported(file)}
    own = {name for name in names if name.partition(".")[0] not in ("nfa", "uci", *OTHERS)} - OPTIONAL - OTHER_PYTHON
    assert {"json", "os"} <= own
    done = light(f"import importlib\nfor name in {sorted(own)}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["nfa.daemon.daemon", "urllib.parse", "pathlib" if sys.version_info < (3, 13) else "uuid"])
def test_the_check_for_python3_light_notices_what_is_missing(module: str) -> None:
    """A check that refuses nothing would pass whatever is imported."""
    done = light(f"import {module}")
    assert (done.returncode == 0) == (module == "nfa.daemon.daemon"), done.stderr


COMMANDS = {
    "check": (["--no-uci", "-c", "POLICY"], 0),
    "check --show": (["--no-uci", "-c", "POLICY", "--show"], 0),
    "compile": (["--no-uci", "-c", "POLICY", "-o", "OUTPUT"], 0),
    "explain": (["--no-uci", "-c", "POLICY", "RECORDING"], 0),
    "eval": (["port == 443;", "RECORDING"], 0),
    "apps": (["youtube"], 0),
    "status": (["--control", "NOWHERE"], 1),
    "replay": (["RECORDING", "--listen", "tcp://localhost:0", "--wait", "0"], 0),
    "run": (["--no-uci", "-c", "POLICY", "-s", "tcp://localhost:7150"], 0),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works_with_python3_light(command: str, tmp_path: Path) -> None:
    """What is imported late, by a function or by the interpreter (a name server needs the codec idna), is missing as well."""
    arguments, code = COMMANDS[command]
    policy, recording = tmp_path / "POLICY", tmp_path / "RECORDING"
    policy.write_text(json.dumps(config_of({"a": {"criteria": "app == 'zoom';", "exemptions": ["10.0.0.0/8"]}})))
    recording.write_bytes(samples.payload(samples.flow("HTTP/S", "netify.youtube")) + b"\n")
    places = {name: str(tmp_path / name) for name in ("POLICY", "RECORDING", "OUTPUT", "NOWHERE")}
    given = [places.get(argument, argument) for argument in arguments]
    # The daemon itself is a program of its own, which test_the_daemon_loads_nothing_heavy looks at.
    program = "import os, sys; os.execve = lambda *command: sys.exit(0); from nfa.cli import main; sys.exit(main())"
    done = light(program, *command.split()[:1], *given)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
