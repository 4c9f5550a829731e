"""The command `uci`, as far as nfa calls it: set, delete and commit. OpenWrt's own takes its place where there is one.

In: `uci -c FOLDER -t SAVED set|delete|commit WHAT`, as OpenWrt's has it. Out: changes in SAVED, and with commit in FOLDER.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

PEERS = os.environ.get("NFA_PEERS", "")
PATH = os.pathsep.join([f"{PEERS}/bin", os.environ.get("PATH", "/usr/bin:/bin"), "/sbin"])
Section = tuple[str, str, list[tuple[str, str, str]]]


def install(folder: Path) -> str:
    """Return a $PATH in which there is a `uci`."""
    if shutil.which("uci", path=PATH):
        return PATH
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "uci"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {Path(__file__).resolve()} "$@"\n')
    file.chmod(0o755)
    return f"{folder}{os.pathsep}{PATH}"


def read(text: str) -> list[Section]:
    found: list[Section] = []
    for line in text.splitlines():
        words = re.findall(r"'([^']*)'|([^\s']+)", line)
        plain = [first or second for first, second in words]
        if plain[:1] == ["config"]:
            found.append((plain[1], plain[2] if len(plain) > 2 else "", []))
        elif plain[:1] in (["option"], ["list"]):
            found[-1][2].append((plain[0], plain[1], plain[2]))
    return found


def changed(sections: list[Section], command: str, what: str) -> None:
    name, _, value = what.partition("=")
    _, section, *option = name.split(".")
    mine = next((one for one in sections if one[1] == section), None)
    if command == "set" and not option:
        sections[:] = [(value, section, one[2]) if one is mine else one for one in sections]
        if mine is None:
            sections.append((value, section, []))
    elif mine is None:
        sys.exit("uci: Entry not found")
    elif command == "delete" and not option:
        sections.remove(mine)
    else:
        old = [one for one in mine[2] if one[1] == option[0]]
        if command == "delete" and not old:
            sys.exit("uci: Entry not found")
        if old and command == "set":
            mine[2][mine[2].index(old[0])] = "option", option[0], value
        elif old:
            mine[2].remove(old[0])
        else:
            mine[2].append(("option", option[0], value))


def main(arguments: list[str]) -> None:
    assert arguments[0] == "-c" and arguments[2] == "-t", arguments
    folder, saved = Path(arguments[1]), Path(arguments[3])
    command, what = arguments[4:]
    package = what.split(".")[0]
    pending = saved / package
    if command != "commit":
        sections = read((folder / package).read_text())
        lines = pending.read_text().splitlines() if pending.exists() else []
        for line in [*lines, f"{command} {what}"]:
            changed(sections, *line.split(" ", 1))  # type: ignore[arg-type]
        pending.write_text("".join(f"{line}\n" for line in [*lines, f"{command} {what}"]))
        return
    sections = read((folder / package).read_text())
    for line in pending.read_text().splitlines():
        changed(sections, *line.split(" ", 1))  # type: ignore[arg-type]
    text = ""
    for kind, name, options in sections:
        text += f"\nconfig {kind}" + (f" '{name}'" if name else "") + "\n"
        text += "".join(f"\t{word} {option} '{value}'\n" for word, option, value in options)
    (folder / package).write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
