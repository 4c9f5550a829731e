"""`nfa run` with a daemon of which something is altered: its clock, or a number of seconds that a test need not wait for.

In: statements of Python. Out: a command whose daemon executes them. Command line, exec and all else are as always.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_RUN = """
import os, sys
from nfa.cli import main

execve, first, last = os.execve, sys.argv.pop(1), sys.argv.pop(1)

def altered(program, command, environment):
    place = command.index("-c") + 1
    imports, end, call = command[place].rpartition("sys.exit(")
    assert end
    command[place] = first + imports + last + end + call
    execve(program, command, environment)

os.execve = altered
sys.exit(main())
"""

# What `nfa run` would become, in place of becoming it.
_TELL = """
import json, os, sys
from nfa.__main__ import main

def tell(program, command, environment):
    print(json.dumps([command, environment]), flush=True)
    os._exit(0)

os.execve = tell
sys.exit(main())
"""


def with_constants(constants: Mapping[str, float] | None) -> str:
    """Return statements that alter constants of modules of nfa.daemon, such as {"devices.learning.LOOK_EVERY": 1}."""
    last = ""
    for path, value in (constants or {}).items():
        module, _, name = path.rpartition(".")
        last += f"import nfa.daemon.{module} as m; assert hasattr(m, {name!r}); m.{name} = {value!r}; "
    return last


def altered(first: str = "", last: str = "") -> list[str]:
    """Return the command that is `nfa`, for `nfa run` only. `first`: what the daemon does before its imports; `last`: after."""
    return [sys.executable, "-c", _RUN, first, last]


def becomes(
    python: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]] | None:
    """Return the command and the environment that `nfa run` with these arguments would exec; None when it would not."""
    command = [python, "-c", _TELL, "run", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    if done.returncode or done.stderr:
        return None
    told, given = json.loads(done.stdout)
    return told, given


def with_statements(command: Sequence[str], first: str, last: str) -> list[str]:
    """Return the daemon's command with what it is to do before it imports anything, and after that."""
    place = command.index("-c") + 1
    imports, end, call = command[place].rpartition("sys.exit(")
    assert end
    return [*command[:place], first + imports + last + end + call, *command[place + 1 :]]
