"""The repository keeps its promises: one version, documented modules, Python 3.11, and the commands that README names."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import nfa

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("nfa", "tests", "bench", "demo") for path in (ROOT / folder).rglob("*.py"))
needs_make = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask make what it would do, as on a developer's machine."""
    outside = {name: value for name, value in os.environ.items() if name not in ("TOPDIR", "MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "-n", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=outside, check=False)


def test_the_package_has_the_version_of_the_program() -> None:
    """A router would say it has another version than it runs."""
    found = re.search(r"^PKG_VERSION:=(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found and found[1] == nfa.__version__


def test_modules_are_valid_for_the_oldest_python_and_say_what_they_are_for() -> None:
    """OpenWrt 24.10 has Python 3.11: newer syntax would keep nfa from starting there. And a newcomer would have to read all of
    a module to learn what it is."""
    silent = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if not ast.get_docstring(ast.parse(text, str(path), feature_version=(3, 11))) and text:
            silent.append(str(path.relative_to(ROOT)))
    assert not silent


@needs_make
@pytest.mark.parametrize("target", ["help", "demo", "test", "bench", "bench-quick", "ipk", "lint", "pot", "clean"])
def test_make_knows_the_target(target: str) -> None:
    """The first thing that README asks a newcomer to type would fail."""
    done = make(target)
    assert done.returncode == 0, done.stderr


@needs_make
def test_make_alone_explains_itself() -> None:
    """Somebody who types `make` to look around would start something long."""
    assert make().stdout == make("help").stdout


def test_ci_is_there_to_be_run() -> None:
    """A checkout whose .ci/run is not executable, or breaks as shell, is never tested."""
    for path in (ROOT / ".ci/run", ROOT / ".ci/prepare"):
        assert os.access(path, os.X_OK)
        shell = "bash" if "bash" in path.read_text().partition("\n")[0] else "sh"
        subprocess.run([shell, "-n", str(path)], check=True)


def test_the_sdist_has_all_that_the_repository_has() -> None:
    """Who packages nfa from the sdist could not run its tests, or build the OpenWrt packages."""
    lines = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    named = {name for line in lines if line and line[0] in ("include", "graft") for name in line[1:]}
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
    made = {"PKG-INFO", "setup.cfg", "nfa.egg-info", ".git"}
    here = {path.name for path in ROOT.iterdir()} - ignored - made
    assert here - named == {"nfa", "pyproject.toml", "MANIFEST.in"}


def test_the_hooks_before_a_commit_are_those_of_make_lint() -> None:
    """A commit that passes its hooks would fail in CI."""
    lint = (ROOT / "dev.mk").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    wanted = {" ".join(re.findall(r"[a-z-]+", line)[:2]) for line in re.findall(r"\$\(BIN\)/(.*)", lint) if "ruff" in line}
    wanted |= {line.split()[0] for line in re.findall(r"\$\(BIN\)/(.*)", lint) if "ruff" not in line}
    found = re.findall(r"entry: \.venv/bin/(.*)", hooks)
    assert {tool for tool in wanted if any(line.startswith(tool) for line in found)} == wanted
    assert len(wanted) == len(found)
