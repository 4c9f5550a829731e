"""A reader of UCI's file format that remembers where everything stands.

In: the text of a file of /etc/config. Out: its sections in the order of the file, or `UciError`, which says what is
wrong, where, and what to write instead. Files mean here what they mean to libuci, the slips that it forgives included;
tests/openwrt compares the two. In short:

- A line holds a command (`config`, `option`, `list`, `package`, or their first letters) and its arguments; a `;` ends a
  command too. An argument runs to a blank. Inside of '...' nothing is special, inside of "..." only a backslash is;
  both may run over several lines. A backslash at the end of a line joins it with the next one.
- Sections of one name are one section: later options win, lists add up, the first place of each counts.
- An `option` without a value, or with an empty one, is as good as not there; a `list` keeps the empty value.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field

from nfa.compiler.base.report import Fault, Place, Reports, did_you_mean, quote
from nfa.compiler.base.secrets import SECRET_NAMES, in_line
from nfa.compiler.config.model import Text

_BLANKS = " \t\n\v\f\r"
_BLANK_RUN = re.compile(f"[{_BLANKS}]*")
_COMMAND = re.compile(r"[ \t]*([^ \t]*)")
_PLAIN = re.compile(rf"[^'\"\\#;{_BLANKS}]+")
_INSIDE = {"'": re.compile("[^']+"), '"': re.compile(r'[^"\\]+')}

_NAME = re.compile(r"[A-Za-z0-9_]+")
_PACKAGE = re.compile(r"[A-Za-z0-9_-]+")
_TYPE = re.compile(r"[!-~]+")
# A line inside of a value that looks as if it was meant to be a line of the file.
_SWALLOWED = re.compile(r"\n[ \t]*(config|option|list)[ \t]")
_NAME_HINT = "use letters, digits and '_' only"

# What each command needs first, and how it is written.
_COMMANDS = {
    "package": ("name of a package", "expected: package NAME"),
    "config": ("type of a section", "expected: config TYPE 'NAME'"),
    "option": ("name of an option", "expected: option NAME 'VALUE', with quotes around spaces, '#' and ';'"),
    "list": ("name of a list", "expected: list NAME 'VALUE', with quotes around spaces, '#' and ';'"),
}


@dataclass(frozen=True)
class UciOption:
    """An option (its value is a Text) or a list (of Texts); `name` has the place where it is given first."""

    name: Text
    value: Text | list[Text]


@dataclass(frozen=True)
class UciSection:
    """A section. One without a name in the file has the name that libuci makes up, and is `anonymous`."""

    type: Text
    name: Text
    anonymous: bool
    options: dict[str, UciOption] = field(default_factory=dict)


class UciError(Fault):
    """The text is no file of UCI: libuci refuses it."""

    code = "bad-syntax"


def parse(text: str, file: str, package: str, reports: Reports) -> list[UciSection]:
    """Read the `text` of `file`. A value that a later one replaces is a warning. Raises UciError at the first fault."""
    return _Reader(text, file, package, reports).sections()


def made_up_name(number: int, kind: str) -> str:
    """The name that libuci gives to a section without one: its number in the file, from 1, and a hash of its type."""
    value = 5381
    for char in kind:
        value = (value * 33 + ord(char)) & 0xFFFF
    return f"cfg{number:02x}{value:04x}"


@dataclass(frozen=True)
class _Argument:
    """An argument of a command: where it starts, and the pieces of the text that make its value, as (start, end)."""

    value: str
    start: int
    pieces: list[tuple[int, int]]


class _Reader:
    """A cursor over the text. `end` is the end of the line that was read last: commands see nothing behind it."""

    def __init__(self, text: str, file: str, package: str, reports: Reports) -> None:
        self.text = text
        self.file = file
        self.package = package
        self.reports = reports
        self.at = 0
        self.end = 0
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.overrun = -1  # offset of the quotation mark whose value ran over the end of its line in this command
        self.found: dict[str, UciSection] = {}
        self.count = 0
        self.section: UciSection | None = None
        self.again = False  # whether the open section was given before

    def sections(self) -> list[UciSection]:
        while self.end < len(self.text):
            self.next_line(self.end)
            self.match(_BLANK_RUN)
            while self.command():
                pass
        return list(self.found.values())

    # The text, a line at a time

    def next_line(self, at: int) -> None:
        """Read one line more, and go on at `at`."""
        self.at = at
        newline = self.text.find("\n", self.end)
        self.end = newline + 1 if newline >= 0 else len(self.text)

    def char(self) -> str:
        """The character under the cursor, '' at the end of what was read."""
        return self.text[self.at] if self.at < self.end else ""

    def match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Go past what `pattern` matches at the cursor, where it is known to match."""
        match = pattern.match(self.text, self.at, self.end)
        assert match
        self.at = match.end()
        return match

    # Commands

    def command(self) -> bool:
        """Read one command; False when the line holds no other."""
        self.overrun = -1
        match = self.match(_COMMAND)
        start, word = match.start(1), match[1]
        if not word or word.startswith("#"):
            self.at = self.end
            return False
        command = next((name for name in _COMMANDS if word in (name, name[0])), "")
        if not command or not self.char():
            raise self.wrong_command(start, word)
        self.at += 1
        if command == "package":
            self.needed(command, _PACKAGE, "use letters, digits, '_' and '-' only")
            self.finish(command)
        elif command == "config":
            self.config()
        else:
            self.assign(start, command)
        return True

    def config(self) -> None:
        """Open a section, perhaps once more."""
        kind = self.needed("config", _TYPE, "use printable ASCII characters without spaces")
        name = self.argument()
        if name.value and not _NAME.fullmatch(name.value):
            raise self.error(name.start, f"{quote(name.value)} cannot be the name of a section", _NAME_HINT)
        self.finish("config")
        title = name.value or made_up_name(self.count + 1, kind.value)
        known = self.found.get(title) if name.value else None
        self.again = known is not None
        if known is None:
            option = f"{self.package}.{title}"
            place = self.text_of(name if name.value else kind, option).place
            known = UciSection(self.text_of(kind, option), Text(title, place), not name.value)
            self.found[title] = known
            self.count += 1
        elif known.type.value != kind.value:
            earlier = f"of type {quote(known.type.value)} at {known.name.place}"
            message = f"section {quote(title)} is of type {quote(kind.value)} here, and {earlier}"
            raise self.error(kind.start, message, "give one of the two another name")
        self.section = known

    def assign(self, start: int, command: str) -> None:
        """Give an option or list of the open section a value."""
        if self.section is None:
            message = f"'{command}' before the first section"
            raise self.error(start, message, "a section begins with: config TYPE 'NAME'")
        given = self.needed(command, _NAME, _NAME_HINT)
        secret = given.value in SECRET_NAMES
        argument = self.argument()
        if secret:
            self.reports.hide(self.place(start), self.place(self.at).line)
        self.finish(command, secret)
        option = f"{self.section.name.place.option}.{given.value}"
        value = self.text_of(argument, option)
        if swallowed := _SWALLOWED.search(value.value):
            message = f"'{swallowed[1]}' here is part of the value that begins on line {value.place.line}"
            self.reports.warning("missing-quote", value.at(swallowed.start(1)), message, hint="is a quote missing there?")
        held = self.section.options.get(given.value)
        name = held.name if held else self.text_of(given, option)
        if command == "list":
            elements = [] if held is None else held.value if isinstance(held.value, list) else [held.value]
            if self.again and any(element.value == value.value for element in elements):
                self.again = False
                message = f"section {quote(self.section.name.value)} is given twice, and UCI joins its lists"
                hint = f"first given at {self.section.name.place}"
                twice = "a value" if secret else quote(value.value)
                self.reports.warning("given-twice", value.place, message, hint=hint, consequence=f"{twice} is listed twice")
            elements.append(value)
            self.section.options[name.value] = UciOption(name, elements)
        elif value.value:
            if held and (isinstance(held.value, list) or held.value.value != value.value):
                message = f"{quote(name.value)} is given twice, first at {name.place}"
                self.reports.warning("given-twice", value.place, message, consequence="the later value is used")
            self.section.options[name.value] = UciOption(name, value)

    # Arguments

    def argument(self) -> _Argument:
        """The next argument; an empty one when there is none."""
        self.match(_BLANK_RUN)
        start = self.at
        pieces: list[tuple[int, int]] = []
        if not self.char():
            return _Argument("", max(0, self.end - 1), pieces)  # missing: just after what is there
        if self.char() == ";":
            self.at += 1
            return _Argument("", start, pieces)
        while char := self.char():
            if char in _INSIDE:
                self.quoted(char, pieces)
            elif char == "\\":
                self.escaped(pieces)
            elif char == "#":
                self.leave_out("#", self.at > start)
            elif char == ";":
                # libuci writes the end of the value over the ';' and loses the rest of the line with it, unless quotes
                # or a backslash were taken out of the value, which then ends further to the left.
                if self.at - start == sum(end - begin for begin, end in pieces):
                    self.leave_out(";", bool(self.text[self.at + 1 : self.end].strip(_BLANKS)))
                break
            else:
                pieces.append(self.match(_PLAIN).span())
            if self.char() and self.char() in _BLANKS:
                self.at += 1
                break
        return _Argument("".join(self.text[begin:end] for begin, end in pieces), start, pieces)

    def leave_out(self, char: str, slip: bool) -> None:
        """Skip the rest of the line, from the `char` on; a warning when that looks like a slip."""
        if slip:
            message = f"the value ends at this '{char}', and the rest of the line is lost"
            self.reports.warning("missing-quote", self.place(self.at), message, hint="put the value in quotes")
        self.at = self.end

    def quoted(self, mark: str, pieces: list[tuple[int, int]]) -> None:
        """Take what stands between two quotation marks."""
        start = self.at
        self.at += 1
        while (char := self.char()) != mark:
            if char == "\\" and mark == '"':
                self.escaped(pieces)
            elif char:
                pieces.append(self.match(_INSIDE[mark]).span())
            elif self.end < len(self.text):
                self.overrun = start if self.overrun < 0 else self.overrun
                self.next_line(self.at)
            else:
                raise self.error(start, f"this {mark} is never closed", f"expected {mark} after the value")
        self.at += 1

    def escaped(self, pieces: list[tuple[int, int]]) -> None:
        """Take the character after a backslash as it is; or join the line with the next one."""
        self.at += 1
        if not self.char() or self.text.startswith(("\n", "\r\n"), self.at):
            self.next_line(self.end)
        else:
            pieces.append((self.at, self.at + 1))
            self.at += 1

    def needed(self, command: str, pattern: re.Pattern[str], hint: str) -> _Argument:
        """The first argument of a command, which must be there and match `pattern` as a whole."""
        what, usage = _COMMANDS[command]
        found = self.argument()
        if not found.value:
            raise self.error(found.start, f"the {what} is missing", usage)
        if not pattern.fullmatch(found.value):
            raise self.error(found.start, f"{quote(found.value)} cannot be the {what}", hint)
        return found

    def finish(self, command: str, secret: bool = False) -> None:
        """Nothing may follow but the end of the line, or a ';'. `secret`: what does must not be shown."""
        extra = self.argument()
        if extra.value:
            what = "this" if secret else quote(extra.value)
            raise self.error(extra.start, f"{what} was not expected here", _COMMANDS[command][1])

    # Where things are, and what is wrong there

    def place(self, offset: int, option: str = "") -> Place:
        line = bisect.bisect_right(self.lines, offset)
        return Place(self.file, line, offset - self.lines[line - 1] + 1, option)

    def text_of(self, argument: _Argument, option: str) -> Text:
        """The argument with the places of its characters."""
        marks = []
        length = 0
        for begin, end in argument.pieces:
            place = self.place(begin)
            marks.append((length, place.line, place.column))
            length += end - begin
        first = self.place(argument.pieces[0][0] if argument.pieces else argument.start, option)
        return Text(argument.value, first, tuple(marks) if len(marks) > 1 else ())

    def error(self, offset: int, message: str, hint: str = "") -> UciError:
        if 0 <= self.overrun != offset:
            hint = f"is a quote missing on line {self.place(self.overrun).line}? The value there continues past its end"
        return UciError(self.place(offset), message, hint)

    def wrong_command(self, start: int, word: str) -> UciError:
        word = word.rstrip(_BLANKS)
        if word.startswith("\ufeff"):
            return self.error(start, "the file begins with a byte order mark", "save it as UTF-8 without one")
        if not word:
            return self.error(start, "nothing follows the ';'", "remove it")
        if word in _COMMANDS:
            return self.error(start, f"'{word}' is incomplete", _COMMANDS[word][1])
        what = "this" if in_line(self.text[self.text.rfind("\n", 0, start) + 1 : start]) else quote(word)
        return self.error(start, f"{what} is not a UCI command", did_you_mean(word, _COMMANDS))
