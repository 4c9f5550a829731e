"""Options whose values are never shown: passwords, tokens, and headers, which may contain tokens.

What a finding says goes to the log of the system, to browsers, and into questions in forums. So no finding quotes such a value,
or shows a line that contains it.
"""

from __future__ import annotations

import re

SECRET_OPTIONS = ("password", "headers", "token")
SECRET_NAMES = (*SECRET_OPTIONS, "pass", "header")
"""The options with their aliases."""

_NAMES = "|".join(SECRET_NAMES)
_LINE = re.compile(rf"(?:^|;)\s*(?:o|l|option|list)\s+[\"']?(?:{_NAMES})\b|\"(?:{_NAMES})\"\s*:|://[^\s/@'\"]+@")


def in_line(line: str) -> bool:
    """Whether a line of UCI or JSON gives such an option, or has user name and password in a URL."""
    return _LINE.search(line) is not None
