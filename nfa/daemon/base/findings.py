"""Findings as plain data: what the compiler and the daemon tell of a policy, in the image, on the bus and in `check --json`.

In: what was found. Out: a `Finding`, and the words for it. A finding is a dict of

    severity      "error", "warning" or "info"
    code          the kind of finding, one of docs/codes.md: who decides decides by this
    message       what is wrong
    hint          what to write or do instead, or ""
    consequence   what the daemon does meanwhile, or ""
    place         where it is (see `nfa.compiler.base.report.Place.as_dict`), or None
    excerpt       the line of the file and a caret below it, or ""
"""

MYPY = False
if MYPY:
    from typing import Any

    Finding = dict[str, Any]


def finding(severity: str, code: str, message: str, hint: str = "", consequence: str = "") -> "Finding":
    """Return a finding without a place."""
    return {
        "severity": severity,
        "code": code,
        "message": message,
        "hint": hint,
        "consequence": consequence,
        "place": None,
        "excerpt": "",
    }


def sentences(found: "Finding") -> str:
    """Return message, hint and consequence of a finding as sentences on one line."""
    line = str(found["message"])
    for part in (found["hint"], found["consequence"]):
        if part:
            line = line.rstrip(".") + ("" if line.endswith("?") else ".") + " " + part[0].upper() + part[1:]
    return line


def log_line(found: "Finding") -> tuple[str, str]:
    """Return the level and the text that a finding has in the log."""
    place = found["place"]
    text = "config: " + (str(place["text"]) + ": " if place else "") + sentences(found)
    return ("notice" if found["severity"] == "info" else str(found["severity"])), text


def in_words(found: "Finding") -> str:
    """Return a finding as it is printed: a line, then the lines of its excerpt."""
    place = found["place"]
    line = (str(place["text"]) + ": " if place else "") + str(found["severity"]) + ": " + sentences(found)
    return line + "\n" + str(found["excerpt"]) if found["excerpt"] else line
