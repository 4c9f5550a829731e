"""What both acts of the demo are told with: headlines, explanations, programs and what they print.

In: texts and commands. Out: the story on the terminal, plain text elsewhere. `Failed` ends it.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nfa.cli.common import paint
from nfa.compiler.base.report import printable

HERE = Path(__file__).resolve().parent
PATIENCE = 120
"""Seconds for anything, on a machine however busy."""


class Failed(Exception):
    """The demo did not work; the text says what did not."""


def headline(number: int, text: str) -> None:
    """Begin a step."""
    print("\n" + paint(f"{number}. {text}", "bold"), flush=True)


def say(text: str) -> None:
    """Print an explanation."""
    print(paint(textwrap.fill(" ".join(text.split()), 100), "dim"))


def show(text: str, shown: int = 1000) -> None:
    """Print what a program said, at most some lines of it, indented."""
    lines = text.expandtabs(4).rstrip().splitlines()
    more = [f"... {len(lines) - shown} more"] if len(lines) > shown else []
    for line in lines[:shown] + more:
        print("    " + printable(line))


@contextmanager
def nfa(log: Path, *arguments: str, where: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """Run an nfa command beside, what it says going to a file. `where`: a command that runs it in another namespace."""
    with log.open("wb") as output:
        command = [*where, sys.executable, "-u", "-m", "nfa", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=HERE.parent)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def tool(*command: str, given: str = "", where: Sequence[str] = ()) -> str:
    """Run a program to its end and return what it printed. Raises Failed."""
    print("    " + paint("$ " + " ".join(Path(word).name if word == command[0] else word for word in command), "info"))
    whole = [*where, *command]
    done = subprocess.run(whole, input=given, capture_output=True, text=True, timeout=PATIENCE, cwd=HERE.parent, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def wait(condition: Callable[[], Any], seconds: float) -> Any:
    """Return what the condition says once it says something, None after some seconds."""
    deadline = time.monotonic() + seconds
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return result


def stopped(daemon: subprocess.Popen[bytes]) -> float:
    """End the daemon as the system does. Returns how many seconds that took. Raises Failed."""
    started = time.monotonic()
    daemon.terminate()
    if daemon.wait(PATIENCE):
        raise Failed(f"the daemon's end: exit code {daemon.returncode}")
    return time.monotonic() - started
