"""pyparsing without what nothing here uses and what takes two megabytes of a small router.

Its module for tests loads unittest, the one of ready-made expressions loads datetime, and a parser of HTML has a table of 2,000
names and a regular expression of them.

Out: `pp`, the package.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

_NAMES: dict[str, dict[str, object]] = {
    "pyparsing.testing": {"pyparsing_test": None},
    "pyparsing.common": {"pyparsing_common": None, "_builtin_exprs": []},
    "html": {"entities": SimpleNamespace(html5={})},
    "html.entities": {"html5": {}},
}
"""Modules, and what pyparsing itself takes from them."""
_missing: dict[str, ModuleType] = {}
for _name, _taken in _NAMES.items():
    if "pyparsing" not in sys.modules and _name not in sys.modules:
        _missing[_name] = sys.modules[_name] = ModuleType(_name)
        vars(_missing[_name]).update(_taken)

import pyparsing as pp  # noqa: E402 (what stands in for its modules comes first)

for _name, _module in _missing.items():
    if sys.modules.get(_name) is _module:
        del sys.modules[_name]  # whoever needs it loads the real one

__all__ = ["pp"]
