"""`nfa run` with a daemon of which something is altered: its clock, or a number of seconds that a test need not wait for.

In: statements of Python. Out: a command that runs `nfa run`, whose daemon executes them. Command line, exec and all else of the
daemon are as always.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

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


def altered(first: str = "", constants: Mapping[str, float] | None = None) -> list[str]:
    """Return the command that is `nfa`, for `nfa run` only. `first`: what the daemon does before it imports anything.

    `constants`: values for constants of modules of nfa.daemon, such as {"devices.learning.LOOK_EVERY": 1}.
    """
    last = ""
    for path, value in (constants or {}).items():
        module, _, name = path.rpartition(".")
        last += f"import nfa.daemon.{module} as m; assert hasattr(m, {name!r}); m.{name} = {value!r}; "
    return [sys.executable, "-c", _RUN, first, last]
