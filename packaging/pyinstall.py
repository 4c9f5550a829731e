"""Install a pure Python project as OpenWrt's SDK does by way of a wheel, with nothing but the standard library.

In: a folder with pyproject.toml. Out: usr/lib/pythonX.Y/site-packages with its packages and their data, and usr/bin with its
commands, below another folder. Refuses to run under another version of Python than X.Y: the byte-code is made by this one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

_SCRIPT = """\
#!/usr/bin/python3
import sys

from {module} import {function}

sys.exit({function}())
"""


def packages(source: Path, patterns: list[str]) -> dict[str, Path]:
    """Return the packages that match one of the patterns of setuptools' find: name to folder."""
    folders = {".".join(init.parent.relative_to(source).parts): init.parent for init in sorted(source.rglob("__init__.py"))}
    return {name: folder for name, folder in folders.items() if any(fnmatch(name, pattern) for pattern in patterns)}


def install(source: Path, root: Path, version: str) -> None:
    """Copy what pyproject.toml names into the root."""
    project: dict[str, Any] = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    setuptools = project["tool"]["setuptools"]
    data = setuptools.get("package-data", {})
    for name, folder in packages(source, setuptools["packages"]["find"]["include"]).items():
        target = root / "usr/lib" / f"python{version}" / "site-packages" / folder.relative_to(source)
        target.mkdir(parents=True)
        for file in sorted(folder.iterdir()):
            if file.is_file() and (file.suffix == ".py" or any(fnmatch(file.name, pattern) for pattern in data.get(name, ()))):
                shutil.copyfile(file, target / file.name)
    commands = root / "usr/bin"
    commands.mkdir(parents=True)
    for name, entry in project["project"]["scripts"].items():
        module, _, function = entry.partition(":")
        (commands / name).write_text(_SCRIPT.format(module=module, function=function), encoding="utf-8")
        (commands / name).chmod(0o755)


def main() -> int:
    """Install, or say why not. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, metavar="X.Y", help="the version of the router's Python")
    parser.add_argument("source", type=Path)
    parser.add_argument("root", type=Path)
    arguments = parser.parse_args()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != arguments.python:
        print(
            f"The package is for a router with Python {arguments.python} (OpenWrt 24.10 has 3.11), and byte-code of Python "
            f"{here} does not run there.\nType: make ipk PYTHON=python{arguments.python}; or, for a router that has {here}: "
            f"make ipk TARGET_PYTHON={here}",
            file=sys.stderr,
        )
        return 1
    install(arguments.source, arguments.root, arguments.python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
