"""What holds for all tests: hypothesis tries the same examples each time, however slow the machine is."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings
from micropython_lab import MicroPython

settings.register_profile("nfa", derandomize=True, deadline=None)
settings.register_profile("mutants", derandomize=True, deadline=None, max_examples=15)
settings.load_profile(os.environ.get("NFA_HYPOTHESIS", "nfa"))


@pytest.fixture(scope="session")
def micropython() -> MicroPython:
    """The interpreter in $PATH, or the one that NFA_MICROPYTHON names."""
    path = os.environ.get("NFA_MICROPYTHON") or shutil.which("micropython")
    if not path:
        pytest.skip("no micropython in $PATH, nor named by NFA_MICROPYTHON")
    return MicroPython(path)
