"""What holds for all tests: hypothesis tries the same examples each time, however slow the machine is.

With NFA_MUTANTS in the environment (tests/mutants/run.py) one fault is enough: few examples, and the quick tests come first.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys

import pytest
from hypothesis import Phase, settings
from kernel_lab import warm
from micropython_lab import MicroPython

settings.register_profile("nfa", derandomize=True, deadline=None)
settings.register_profile(
    "mutants", settings.get_profile("nfa"), max_examples=15, phases=(Phase.explicit, Phase.generate), database=None
)
MUTANTS = bool(os.environ.get("NFA_MUTANTS"))
settings.load_profile("mutants" if MUTANTS else "nfa")


WAITING = ("kernel", "package", "test_demo.py", "test_route.py")
"""Folders and files whose tests wait: for kernels, clocks and other programs."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those tests run last that try many examples: `make mutants` stops at the first that fails.

    Else let those run first that wait: those that compute fill up the end, and no processor is idle while one file goes on.
    """
    if MUTANTS:
        items.sort(key=lambda item: item.get_closest_marker("hypothesis") is not None)
    else:
        items.sort(key=lambda item: not any(name in item.path.parts for name in WAITING))


# A shell ignores SIGINT for what it runs in the background, and whatever the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def warm_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children of a daemon that is part of the test have nfa's modules imported already."""
    monkeypatch.setattr(sys, "executable", warm(os.environ))


@pytest.fixture(scope="session")
def micropython() -> MicroPython:
    """The interpreter in $PATH, or the one that NFA_MICROPYTHON names."""
    path = os.environ.get("NFA_MICROPYTHON") or shutil.which("micropython")
    if not path:
        pytest.skip("no micropython in $PATH, nor named by NFA_MICROPYTHON")
    return MicroPython(path)
