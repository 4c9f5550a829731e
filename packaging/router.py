"""The Python of a router: which files of the standard library OpenWrt's packages have, and a folder with just these.

In: the standard library that runs this, and python3-packages.json: what each package of the feed takes of it. What no package
takes, and what is not left out, is python3-light's. Out: lists of files; and a folder in which `usr/bin/python3` runs, with
nothing else to import.
"""

from __future__ import annotations

import json
import py_compile
import shutil
import sys
import sysconfig
from fnmatch import fnmatch
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

_DATA = Path(__file__).with_name("python3-packages.json")
_NEVER = ["__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test", "sitecustomize.py"]
"""What is no part of a library that is configured with --disable-test-modules."""
_TESTED = ["_test*", "_ctypes_test*", "xxlimited*", "_xxtestfuzz*", "_xxinterp*", "_tkinter*", "nis.*"]
"""Extensions for tests, and those that the feed does not build."""


def releases() -> dict[str, Any]:
    """Return the data of each release of OpenWrt."""
    found: dict[str, Any] = json.loads(_DATA.read_text(encoding="utf-8"))
    return found


def release_of(python: str) -> str:
    """Return the release that has this version of Python (X.Y), else the newest."""
    return next((name for name, data in releases().items() if data["python"] == python), "main")


def needed(release: str, package: str) -> list[str]:
    """Return a package and all it needs, of those that the data names."""
    depends: dict[str, list[str]] = releases()[release]["depends"]
    found = [package]
    for name in found:
        found += [more for more in depends.get(name, []) if more not in found]
    return found


def library(release: str, packages: list[str]) -> dict[str, list[Path]]:
    """Return the files of the running standard library that are in each of these packages, below its folder."""
    data = releases()[release]
    stdlib = Path(sysconfig.get_path("stdlib"))
    found: dict[str, list[Path]] = {package: [] for package in packages}
    for file in sorted(stdlib.rglob("*")):
        name = file.relative_to(stdlib)
        if not file.is_file() or file.suffix not in (".py", ".so") or any(part in _NEVER for part in name.parts):
            continue
        if file.suffix == ".so" and any(fnmatch(file.name, pattern) for pattern in _TESTED):
            continue
        owner = next((package for package, taken in data["packages"].items() if _within(name, taken)), "")
        if not owner and not _within(name, data["left_out"]):
            owner = "python3-light"
        if owner in found:
            found[owner].append(name)
    return found


def _within(name: Path, patterns: list[str]) -> bool:
    """Return whether a file is one of these, or below one of these folders."""
    text = name.as_posix()
    return any(fnmatch(text, pattern) or fnmatch(text, f"{pattern}/*") for pattern in patterns)


def make(root: Path, release: str, packages: list[str], modules: list[Path]) -> Path:
    """Make a folder with an interpreter and only what these packages have, as byte-code without sources, as OpenWrt has it;
    `modules`: folders of packages that come into site-packages. Returns the interpreter."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    place = root / "usr/lib" / stdlib.name
    for files in library(release, packages).values():
        for name in files:
            byte_code(stdlib / name, place / name)
    (place / "lib-dynload").mkdir(exist_ok=True)
    for module in modules:
        for file in sorted(module.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                byte_code(file, place / "site-packages" / module.name / file.relative_to(module))
    interpreter = root / "usr/bin" / stdlib.name
    interpreter.parent.mkdir(parents=True)
    # A copy: where a link leads to, Python would look for the whole library.
    shutil.copy(Path(sys.executable).resolve(), interpreter)
    return interpreter


def byte_code(source: Path, target: Path) -> None:
    """Put a module's byte-code where the module would be, or another file as it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix != ".py":
        target.symlink_to(source)
        return
    compiled = Path(cache_from_source(str(source)))
    if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
        py_compile.compile(str(source), str(target.with_suffix(".pyc")), doraise=True)
    else:
        target.with_suffix(".pyc").symlink_to(compiled)
