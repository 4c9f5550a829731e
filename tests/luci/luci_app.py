"""The LuCI application as the tests see it: its folder, its scripts, and what runs them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "feeds/luci-app-nfa"
RESOURCES = APP / "htdocs/luci-static/resources"
SCRIPTS = sorted(RESOURCES.rglob("*.js"))
VIEWS = sorted((RESOURCES / "view").rglob("*.js"))
HERE = Path(__file__).resolve().parent
ESLINT = Path(os.environ.get("NFA_NODE", ROOT / ".venv/node")) / "node_modules/.bin/eslint"

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="there is no node; as root, make test installs it")
needs_eslint = pytest.mark.skipif(
    not shutil.which("node") or not ESLINT.exists(), reason="there is no eslint; with node and npm, make test installs it"
)


def _packaging(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pot = _packaging("pot")
"""What collects the texts for translators; it knows the tokens of JavaScript."""


def relative(path: Path) -> str:
    """Name a script in the words of a test."""
    return str(path.relative_to(APP if path.is_relative_to(APP) else ROOT))


def table(name: str) -> dict:
    """Return the application's menu.d or acl.d."""
    folder = {"menu": "luci/menu.d", "acl": "rpcd/acl.d"}[name]
    found: dict = json.loads((APP / "root/usr/share" / folder / "luci-app-nfa.json").read_text(encoding="utf-8"))
    return found


@cache
def asked() -> dict:
    """Return what api.js asks of the router, see describe.js."""
    done = subprocess.run(["node", str(HERE / "describe.js")], capture_output=True, text=True, check=True)
    found: dict = json.loads(done.stdout)
    return found
