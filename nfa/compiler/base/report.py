"""What the compiler tells the user about a configuration.

In: findings, each with the place it was found at. Out: `Reports`, a list of them in the order they were
found, each of which has a code, and prints as one line (where, what is wrong, what was expected, what the daemon does
instead) and the source line with a caret. Whatever a file contained is escaped here, so no report can move a
terminal's cursor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from nfa.compiler.base.secrets import in_line
from nfa.daemon.base.findings import finding, in_words

if TYPE_CHECKING:
    from nfa.daemon.base.findings import Finding

Severity = Literal["error", "warning", "info"]

EXCERPT_WIDTH = 100  # characters of a source line that are shown: a minified file is one long line
QUOTE_WIDTH = 60


@dataclass(frozen=True)
class Place:
    """A character of a file: line and column from 1, columns in characters; line 0 is the file as a whole.

    `option` is the name that users of UCI know the place by, `package.section.option` or `package.section`; `pointer` that of
    a value in a JSON file, a JSON pointer (RFC 6901).
    """

    file: str
    line: int
    column: int
    option: str = ""
    pointer: str = ""

    def __str__(self) -> str:
        if self.option:
            return f"{self.option} (line {self.line})" if self.line else self.option
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def as_dict(self) -> dict[str, object]:
        """The place as plain data; `option` also in its parts, "" for those that it does not have."""
        package, section, name = (*self.option.split(".", 2), "", "", "")[:3]
        return {
            "file": printable(self.file),
            "line": self.line,
            "column": self.column,
            "option": self.option,
            "package": package,
            "section": section,
            "property": name,
            "pointer": printable(self.pointer),
            "text": printable(str(self)),
        }


class Fault(Exception):
    """Something that cannot be read: code, message, `place` and `hint` are meant for a report.

    `code` is the kind's own, where the one who raises it gives no other.
    """

    code = "bad-value"

    def __init__(self, place: Place, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.hint = hint
        self.code = code or type(self).code


@dataclass(frozen=True)
class Report:
    """One finding.

    `code` is the kind of finding, one of docs/codes.md: programs decide by it, so it stays when the words change. `hint`
    says what to write instead, `consequence` what the daemon does meanwhile.
    """

    code: str
    severity: Severity
    place: Place | None
    message: str
    hint: str = ""
    consequence: str = ""
    excerpt: str = ""

    def text(self) -> str:
        """The finding as it is printed: one line, then the lines of the excerpt."""
        return in_words(self.as_dict())

    def as_dict(self) -> Finding:
        """The finding as plain data for `nfa check --json`, the bus and the image (see `nfa.daemon.base.findings`)."""
        found = finding(self.severity, self.code, printable(self.message), printable(self.hint), printable(self.consequence))
        found["place"] = self.place.as_dict() if self.place else None
        found["excerpt"] = "\n".join(map(printable, self.excerpt.splitlines()))
        return found


@dataclass
class Reports:
    """The findings of one run, in the order they were made.

    `sources` holds the lines of the files that were read, by name: a finding in one of them that brings no
    excerpt gets its line, unless that is among the `hidden` ones: (file, line). `open` are the files whose findings may be
    told to everybody who may ask the daemon: the configuration, and what he wrote himself.
    """

    items: list[Report] = field(default_factory=list)
    sources: dict[str, list[str]] = field(default_factory=dict)
    hidden: set[tuple[str, int]] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    """Names of texts that came with a question: they are in no file."""

    def add_source(self, file: str, text: str) -> None:
        """Keep the text of a file for the excerpts of later findings in it."""
        self.sources[file] = text.split("\n")

    def hide(self, place: Place, last: int = 0) -> None:
        """Show no excerpt of the line of `place`, and of those after it up to line `last`: a secret stands there."""
        self.hidden.update((place.file, line) for line in range(place.line, max(place.line, last) + 1))

    def error(
        self, code: str, place: Place | None, message: str, *, hint: str = "", consequence: str = "", excerpt: str = ""
    ) -> None:
        """Something is wrong and a part of the configuration is left out because of it."""
        self._add(code, "error", place, message, hint, consequence, excerpt)

    def warning(
        self, code: str, place: Place | None, message: str, *, hint: str = "", consequence: str = "", excerpt: str = ""
    ) -> None:
        """Something is probably not what the user meant; the daemon works as `consequence` says."""
        self._add(code, "warning", place, message, hint, consequence, excerpt)

    def info(
        self, code: str, place: Place | None, message: str, *, hint: str = "", consequence: str = "", excerpt: str = ""
    ) -> None:
        """Nothing is wrong, but the user should know."""
        self._add(code, "info", place, message, hint, consequence, excerpt)

    def _add(
        self, code: str, severity: Severity, place: Place | None, message: str, hint: str, consequence: str, shown: str
    ) -> None:
        lines = self.sources.get(place.file, []) if place else []
        there = place is not None and 0 < place.line <= len(lines) and (place.file, place.line) not in self.hidden
        if not shown and place and there and lines[place.line - 1].strip():
            shown = excerpt(lines[place.line - 1], place.column)
        self.items.append(Report(code, severity, place, message, hint, consequence, shown))

    def outside(self) -> list[Finding]:
        """The findings as they leave the compiler: for status, the log and the bus, where others read them than those who may
        read the files. There is no line of a file in them, and no word of a file that is not the configuration itself."""
        return [self._outside(report) for report in self.items]

    def _outside(self, report: Report) -> Finding:
        file = report.place.file if report.place and report.place.line else ""
        if report.place and file and file not in self.open and file not in self.asked:
            consequence = "" if "'" in report.consequence else report.consequence
            message = "something in this file is wrong"
            hint = "'nfa check' on this machine shows it"
            where = replace(report.place, pointer="")  # there are names of the file in it
            report = replace(report, place=where, message=message, hint=hint, consequence=consequence)
        return replace(report, excerpt=report.excerpt if file in self.asked else "").as_dict()

    def soften(self, first: int) -> None:
        """Make warnings of the errors from item `first` on: they are about something that is switched off."""
        for index in range(first, len(self.items)):
            if self.items[index].severity == "error":
                self.items[index] = replace(self.items[index], severity="warning")

    @property
    def errors(self) -> list[Report]:
        return [report for report in self.items if report.severity == "error"]

    @property
    def warnings(self) -> list[Report]:
        return [report for report in self.items if report.severity == "warning"]


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """The candidates most like `word` without regard to case, best first, at most three."""
    import difflib  # only a slip needs it

    folded = {candidate.casefold(): candidate for candidate in candidates}
    # The cut bounds difflib's quadratic cost on hostile input.
    return [folded[match] for match in difflib.get_close_matches(word[:64].casefold(), folded, n=3)]


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """A hint that names the nearest candidates, or all when they are few and none is near; else empty."""
    names = list(candidates)
    near = nearest(word, names)
    if near:
        return f"did you mean {' or '.join(map(quote, near))}?"
    return f"known: {', '.join(names)}" if 0 < len(names) <= 12 else ""


def printable(text: str) -> str:
    """`text` on one line: control, format and unassigned characters written as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def quote(text: str) -> str:
    """`text` in single quotes for use in a message, escaped and shortened."""
    return "'" + printable(text if len(text) <= QUOTE_WIDTH else text[: QUOTE_WIDTH - 3] + "...") + "'"


def line_at(text: str, offset: int) -> tuple[str, int]:
    """The line of `text` that holds the character `offset`, and the column of that character in it (from 1)."""
    start = text.rfind("\n", 0, offset) + 1
    return text[start:].partition("\n")[0], offset - start + 1


def excerpt(line: str, column: int) -> str:
    """The source line and a caret under its character `column` (from 1), escaped, cut around the caret; '' of a secret."""
    if in_line(line):
        return ""
    start = max(0, column - EXCERPT_WIDTH // 2) if len(line) > EXCERPT_WIDTH else 0
    shown = line[start : start + EXCERPT_WIDTH].rstrip().replace("\t", " ")
    before = printable(shown[: column - 1 - start])
    padding = " " * (column - 1 - start - len(shown))
    return f"    {printable(shown)}\n    {' ' * len(before)}{padding}^"
