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

PROGRAMS = (
    "conntrack", "dnsmasq", "fw4", "ipset", "libuci", "mwan3", "netifd", "netifyd", "nfa", "nft", "nftables", "orjson", "pbr",
    "pfctl", "procd", "pyroute2", "qosify", "rpcd", "tc", "ubus", "ubusd", "uci", "uhttpd",
)  # fmt: skip
"""Programs whose names are written small wherever they stand."""


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


def begun(text: str) -> str:
    """Return a text with a capital letter, if it begins with a word; a name stays as it is: of a program, file or option."""
    word = text.split(" ", 1)[0].rstrip(".,:;?!")
    name = word[:-2] if word.endswith("'s") else word.rstrip("'")
    letters = word.replace("-", "").replace("'", "")
    return text if name in PROGRAMS or not letters.isalpha() else text[0].upper() + text[1:]


def sentences(found: "Finding") -> str:
    """Return message, hint and consequence of a finding as sentences on one line."""
    line = str(found["message"])
    for part in (found["hint"], found["consequence"]):
        if part:
            line = line.rstrip(".") + ("" if line.endswith("?") else ".") + " " + begun(part)
    return line


def log_line(found: "Finding") -> tuple[str, str]:
    """Return the level and the text that a finding has in the log."""
    place = found["place"]
    text = "config: " + (str(place["text"]) + ": " if place else "") + sentences(found)
    return ("notice" if found["severity"] == "info" else str(found["severity"])), text


class Found:
    """What is to be told of a policy, `most` findings: those of its compilation, and what only the daemon knows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._errors = self._warnings = 0
        self._reports: list[Finding] = []
        self.own: dict[str, Finding] = {}
        """What only the daemon knows of the active policy, by code: warnings."""

    def take(self, data: "dict[str, Any]") -> "list[tuple[str, str]]":
        """Take the findings of an image, errors first where there are too many. Returns levels and texts for the log."""
        reports: list[Finding] = data["reports"]
        more = len(reports) - self._most
        if more > 0:
            reports = [found for found in reports if found["severity"] == "error"] + [
                found for found in reports if found["severity"] != "error"
            ]
        self._errors, self._warnings, self._reports = data["errors"], data["warnings"], reports[: self._most]
        lines = [log_line(found) for found in self._reports]
        return lines + [("warning", "config: " + str(more) + " more; see: nfa check")] if more > 0 else lines

    def joined(self, failed: bool = False) -> "dict[str, Any]":
        """Return `errors`, `warnings` and `reports` for the status. `failed`: of a compilation that gave no policy."""
        own = [] if failed else list(self.own.values())
        reports = (own + self._reports)[: self._most]
        return {"errors": self._errors, "warnings": self._warnings + len(own), "reports": reports}


def in_words(found: "Finding") -> str:
    """Return a finding as it is printed: a line, then the lines of its excerpt."""
    place = found["place"]
    line = (str(place["text"]) + ": " if place else "") + str(found["severity"]) + ": " + sentences(found)
    return line + "\n" + str(found["excerpt"]) if found["excerpt"] else line
