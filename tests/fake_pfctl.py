"""A stand-in for FreeBSD's pfctl: tables are files, every call is recorded, and it fails or hangs when it is told to.

Exit codes, messages and what makes a table are those of sbin/pfctl/pfctl_table.c (FreeBSD 15). `Pf` is a test's view of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SOURCE = """\
#!{python} -IS
import json, os, sys, time
folder = {folder!r}
words, options = sys.argv[1:], {{}}
while words:
    word = words.pop(0)
    options[word] = words.pop(0) if word in ("-a", "-t", "-T", "-f", "-p") else ""
given = sys.stdin.read() if options.get("-f") == "-" else ""
with open(folder + "/calls", "a") as file:
    file.write(json.dumps([sys.argv[1:], given.split()]) + "\\n")
mode = open(folder + "/mode").read()
if mode == "hang":
    time.sleep(1000)
if mode == "deaf":
    os.close(2)
    time.sleep(1000)
if mode and not mode.startswith("refuse "):
    sys.exit(mode)
if mode and options["-T"] == "add" and set(mode.split()[1:]) & set(given.split()):
    sys.exit("pfctl: Cannot allocate memory.")
path = folder + "/tables/" + (options.get("-a", "") + "/" + options["-t"]).replace("/", ",")
what = options["-T"]
there = os.path.exists(path)
if not there and what not in ("add", "replace"):
    sys.stderr.write("pfctl: Table does not exist.\\n")
    sys.exit(255)
held = set(open(path).read().split()) if there else set()
if what == "test":
    sys.exit(0 if set(given.split()) <= held else 2)
made = {{"add": held | set(given.split()), "delete": held - set(given.split()), "replace": set(given.split()), "flush": set()}}
with open(path + ".new", "w") as file:
    file.write("".join(address + "\\n" for address in sorted(made[what])))
os.rename(path + ".new", path)
if "-q" not in options:
    sys.stderr.write("1 table created.\\n")
"""


class Pf:
    """The tables in a folder, and the program that fills them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "tables").mkdir(parents=True)
        self.mode()
        (folder / "calls").touch()
        self.program = folder / "pfctl"
        self.program.write_text(SOURCE.format(python=sys.executable, folder=str(folder)))
        self.program.chmod(0o755)

    def mode(self, words: str = "") -> None:
        """From now on: "" works, `hang`, `deaf` (hangs with its standard error closed), `refuse ADDRESS ...`, or the message
        with which each call fails."""
        fresh = self._folder / "mode.new"
        fresh.write_text(words)
        fresh.rename(self._folder / "mode")

    def _file(self, name: str) -> Path:
        return self._folder / "tables" / (name if "," in name else f",{name}")

    def make(self, name: str, *addresses: str) -> None:
        """A table that the administrator made. With an anchor: `ANCHOR,NAME`."""
        self._file(name).write_text("\n".join(addresses))

    def destroy(self, name: str) -> None:
        self._file(name).unlink()

    def table(self, name: str) -> set[str] | None:
        """What is in a table; None when there is none."""
        file = self._file(name)
        return set(file.read_text().split()) if file.exists() else None

    def calls(self) -> list[Any]:
        """Each call: [arguments, words of the standard input]."""
        return [json.loads(line) for line in (self._folder / "calls").read_text().splitlines()]

    def commands(self) -> list[str]:
        """What each call was to do."""
        return [arguments[arguments.index("-T") + 1] for arguments, _ in self.calls()]
