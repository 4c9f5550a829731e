"""Libraries in other versions than here.

With each pyparsing that an OpenWrt release has, a configuration becomes the same policy, and the same is said. With the oldest
and the newest pyroute2, our netlink messages are those that it makes.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import patience

from nfa.image import cpython as image

ROOT = Path(__file__).resolve().parents[2]
RELEASES = {
    "24.10 and 25.12": {"pyparsing": "3.1.1", "pyroute2": "0.7.9"},
    "main": {"pyparsing": "3.3.3", "pyroute2": "0.9.7"},
}
TESTS = [
    "tests/daemon/netlink/test_independent_encoder.py",
    "tests/compiler/expression/test_expression_errors.py",
    "tests/compiler/expression/test_expression_meaning.py",
]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the libraries of a folder before those that are installed."""
    path = os.pathsep.join(filter(None, (str(folder), str(ROOT), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
        env=environment,
        cwd=ROOT,
    )


@pytest.fixture(scope="module", params=RELEASES, ids=lambda release: release.replace(" ", "-"))
def libraries(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the libraries of a release."""
    wanted = RELEASES[request.param]
    if all(importlib.metadata.version(name) == version for name, version in wanted.items()):
        pytest.skip("they are the ones that are installed: all other tests run with them")
    folder = tmp_path_factory.mktemp("libraries")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "0"]
    requirements = [f"{name}=={version}" for name, version in wanted.items()]
    command = [*pip, "--timeout", "10", "--no-deps", "--target", str(folder), *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install {', '.join(requirements)}: {done.stderr.strip().splitlines()[-1:]}")
    found = run(folder, "-c", "import pyparsing, pyroute2; print(pyparsing.__version__, pyroute2.__version__)")
    assert found.stdout.split() == [wanted["pyparsing"], wanted["pyroute2"]], found.stderr
    return folder


def compiled(folder: Path, out: Path, *sources: str) -> dict[str, Any]:
    """The policy image that `nfa compile` makes with the libraries of a folder."""
    file = out / "policy.img"
    done = run(folder, "-m", "nfa", "compile", *sources, "--state-dir", str(out), "-o", str(file))
    assert done.returncode == 0, done.stderr
    return image.load(file.read_bytes())


@pytest.mark.parametrize("policy", ["demo/policy.json", "files/etc/config/netify-proc-flow-actions"])
def test_the_policy_is_the_same_to_the_byte(libraries: Path, tmp_path: Path, policy: str) -> None:
    """A router with another release would decide otherwise."""
    file = tmp_path / Path(policy).name
    file.write_text((ROOT / policy).read_text().replace("enabled '0'", "enabled '1'"))
    sources = ["--no-uci", "-c", str(file)] if file.suffix == ".json" else ["-u", str(tmp_path)]
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    here = compiled(nothing, tmp_path, *sources)
    assert here["slots"] and here["actions"]
    assert compiled(libraries, tmp_path, *sources) == here


def test_what_depends_on_the_libraries_works_with_them(libraries: Path) -> None:
    done = run(libraries, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_versions_are_within_what_the_project_asks_for() -> None:
    """pip would refuse on a router what OpenWrt has there; and a developer's pyroute2 be older than what is tested."""
    asked = dict(re.findall(r'"(pyparsing|pyroute2)>=([\d.]+)"', (ROOT / "pyproject.toml").read_text()))
    for wanted in RELEASES.values():
        for name, version in wanted.items():
            assert tuple(map(int, version.split("."))) >= tuple(map(int, asked[name].split("."))), name
