"""The text that every match of a regular expression contains: where a name lacks it, there is no need to search.

In: a pattern in the syntax of Python's `re`. Out: lower-case ASCII, for texts that are lower-case ASCII themselves: case
folding of other characters is `re`'s own business.
"""

from __future__ import annotations

import re
import warnings
from re import _parser  # type: ignore[attr-defined]  # absent from typeshed
from typing import Any

_REPEATS = _parser.MAX_REPEAT, _parser.MIN_REPEAT


def needed(pattern: str) -> str:
    """Return the longest text that is in every match of a valid pattern; "" when there is none."""
    runs = [""]
    with warnings.catch_warnings(action="ignore"):
        _collect(_parser.parse(pattern, re.IGNORECASE), runs)
    return max(runs, key=len)


def _collect(tree: Any, runs: list[str]) -> None:
    """Add the characters that every match has one after the other to the last run; what may be anything begins a new one."""
    for operation, argument in tree:
        if operation is _parser.LITERAL and argument < 128:
            runs[-1] += chr(argument).lower()
        elif operation is _parser.SUBPATTERN:
            _collect(argument[3], runs)
        elif operation in _REPEATS and argument[0] >= 1:
            low, high, body = argument
            if (low, high) != (1, 1):
                runs.append("")
            _collect(body, runs)
            if (low, high) != (1, 1):
                runs.append("")
        elif operation is not _parser.AT:
            runs.append("")
