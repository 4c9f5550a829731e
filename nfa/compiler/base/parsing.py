"""pyparsing without what it offers for tests: its module for them loads unittest, most of a megabyte of a small router.

Out: `pp`, the package.
"""

from __future__ import annotations

import sys
from types import ModuleType

_TESTING = "pyparsing.testing"
_missing = ModuleType(_TESTING)
_missing.pyparsing_test = None  # type: ignore[attr-defined]  # the one name that pyparsing takes from it
if "pyparsing" not in sys.modules:
    sys.modules[_TESTING] = _missing

import pyparsing as pp  # noqa: E402 (what stands in for its module comes first)

if sys.modules.get(_TESTING) is _missing:
    del sys.modules[_TESTING]  # whoever needs it loads the real one

__all__ = ["pp"]
