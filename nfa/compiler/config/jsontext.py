"""A strict JSON reader that remembers where everything stands.

In: the text of a file. Out: a `Value` in which every key and value has its place, strings are `Text` and
objects are lists of members in the order of the file; or `JsonError`, which says what is wrong, where, and
what to write instead. What JSON allows is read as `json.loads` reads it. Not allowed, although `json.loads`
allows it: NaN and Infinity, and half of a surrogate pair (no file name, set name or log could hold one).
A repeated key is a warning; the later wins. Bounds: `MAX_SIZE` and `MAX_DEPTH`, so recursion is safe.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from json.decoder import scanstring  # type: ignore[attr-defined]  # absent from typeshed

from nfa.compiler.base.report import Fault, Place, Reports, nearest, printable, quote
from nfa.compiler.base.secrets import SECRET_NAMES
from nfa.compiler.config.model import Text

MAX_SIZE = 4 << 20  # bytes of a file
MAX_DEPTH = 64

_BLANK = re.compile(r"[ \t\r\n]*")
# Each alternative stands for one character of the value.
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[^\s,:\[\]{}\"']{1,64}")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_OPENED = {"}": "object", "]": "array"}


@dataclass(frozen=True)
class Object:
    """The members of a JSON object in the order of the file, each name at most once."""

    members: list[tuple[Text, Value]]


@dataclass(frozen=True)
class Value:
    """A value and its place: None, bool, int, float, Text, a list of values, or an Object."""

    value: bool | int | float | Text | Object | list[Value] | None
    place: Place

    def plain(self) -> object:
        """The value as `json.loads` gives it."""
        if isinstance(self.value, Text):
            return self.value.value
        if isinstance(self.value, Object):
            return {name.value: member.plain() for name, member in self.value.members}
        if isinstance(self.value, list):
            return [element.plain() for element in self.value]
        return self.value


class JsonError(Fault):
    """The text is no JSON."""

    code = "bad-syntax"


def parse(text: str, file: str, reports: Reports) -> Value:
    """Read the JSON `text` of `file`; warnings go to `reports`. Raises JsonError at the first fault."""
    text = text.removeprefix("\ufeff")
    reports.add_source(file, text)
    return _Reader(text, file, reports).document()


class _Reader:
    """A cursor over the text. Every method reads at `self.at` and leaves it behind what it read."""

    def __init__(self, text: str, file: str, reports: Reports) -> None:
        self.text = text
        self.file = file
        self.reports = reports
        self.at = 0
        self.depth = 0
        self.secret: Text | None = None  # the name of the member that is being read, if nobody is to see its value
        self.pointers = [""]
        """Where the value is that is being read, as a JSON pointer; before that, where those are that it is in."""
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def document(self) -> Value:
        if len(self.text) > MAX_SIZE:
            raise self.error(0, f"the text is longer than {MAX_SIZE} characters")
        if self.peek() == "":
            raise self.error(0, "the file is empty", 'expected an object: {"version": 1, ...}')
        value = self.value()
        if (char := self.peek()) != "":
            self.refuse_comment()
            what = f"unmatched '{char}'" if char in _OPENED else "text after the end of the document"
            raise self.error(self.at, what)
        return value

    def value(self) -> Value:
        """The value that starts at the next character that is no blank."""
        char = self.peek()
        start = self.at
        place = self.place(start)
        if char == '"':
            return Value(self.string(), place)
        if char in ("{", "["):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise self.error(start, f"nested more than {MAX_DEPTH} levels deep")
            value = Value(self.members(start) if char == "{" else self.elements(start), place)
            self.depth -= 1
            return value
        if match := _NUMBER.match(self.text, start):
            return Value(self.number(match), place)
        word = self.word()
        if word in _CONSTANTS:
            self.at += len(word)
            return Value(_CONSTANTS[word], place)
        raise self.wrong_item("a value")

    def members(self, start: int) -> Object:
        found: dict[str, tuple[Text, Value]] = {}

        def member() -> None:
            if self.peek() != '"':
                raise self.wrong_item("a name in double quotes")
            name = self.string()
            # The reader is at the member from now on, and so is its name.
            self.enter(name.value.replace("~", "~0").replace("/", "~1"))
            name = replace(name, place=replace(name.place, pointer=self.pointers[-1]))
            if self.peek() != ":":
                raise self.error(self.at, f"missing ':' after the name {quote(name.value)}")
            self.at += 1
            if self.secret is None and name.value in SECRET_NAMES:
                self.secret = name
            value = self.value()
            if self.secret is not None:
                self.reports.hide(name.place, self.place(self.at).line)
            if earlier := found.pop(name.value, None):
                self.reports.warning(
                    "given-twice",
                    name.place,
                    f"{quote(name.value)} is given twice, first at {earlier[0].place}",
                    consequence="the later one is used",
                )
            found[name.value] = (name, value)
            self.pointers.pop()

        self.items(start, "}", member)
        return Object(list(found.values()))

    def elements(self, start: int) -> list[Value]:
        found: list[Value] = []

        def element() -> None:
            self.enter(str(len(found)))
            found.append(self.value())
            self.pointers.pop()

        self.items(start, "]", element)
        return found

    def items(self, start: int, end: str, item: Callable[[], None]) -> None:
        """Read what stands between the bracket at `start` and `end`: items with commas between them."""
        self.at = start + 1
        comma = -1
        secret = self.secret
        while True:
            char = self.peek()
            if char == end:
                if comma >= 0:
                    raise self.error(comma, f"trailing comma before '{end}'", "remove the comma")
                self.at += 1
                return
            if char == ",":
                raise self.error(self.at, "a comma with nothing before it", "remove the comma")
            self.refuse_end(start, end)
            item()
            last = self.at
            comma = -1
            if self.peek() in (",", end):
                self.secret = secret
            if self.peek() == ",":
                comma = self.at
                self.at += 1
            elif self.text[self.at : self.at + 1] != end:
                self.refuse_end(start, end)
                raise self.wrong_separator(last, end)

    def string(self) -> Text:
        start = self.at
        try:
            value, self.at = scanstring(self.text, start + 1, True)
        except json.JSONDecodeError as error:
            raise self.wrong_string(start, error) from None
        place = self.place(start + 1)
        if _SURROGATE.search(value):
            raise self.error(start, "the string contains half of a surrogate pair", "write the character itself")
        raw = self.text[start + 1 : self.at - 1]
        if "\\" not in raw:
            return Text(value, place)
        marks = [(0, place.line, place.column)]
        saved = 0  # how many characters more the raw text has had than the value
        for match in _ESCAPE.finditer(raw):
            saved += match.end() - match.start() - 1
            marks.append((match.end() - saved, place.line, place.column + match.end()))
        return Text(value, place, tuple(marks))

    def number(self, match: re.Match[str]) -> int | float:
        whole, fraction, exponent = match.groups()
        following = self.text[match.end() : match.end() + 1]
        if following.isalnum() or following in (".", "_", "+", "-"):
            hexadecimal = following in ("x", "X")
            leading = whole in ("0", "-0") and following.isdecimal()
            hint = 'write hexadecimal numbers as strings: "0x1f"' if hexadecimal else ""
            hint = "remove the leading zero" if leading else hint
            raise self.error(match.start(), f"{quote(self.word(match.start()))} is not a JSON number", hint)
        self.at = match.end()
        if fraction or exponent:
            return float(match.group())
        try:
            return int(whole)
        except ValueError:  # CPython's limit of 4300 digits
            raise self.error(match.start(), f"a number of {len(whole)} digits is too long") from None

    # Where the reader is

    def peek(self) -> str:
        """The next character that is no blank, '' at the end; the cursor is left on it."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def word(self, start: int | None = None) -> str:
        match = _WORD.match(self.text, self.at if start is None else start)
        return match.group() if match else ""

    def place(self, offset: int) -> Place:
        line = bisect.bisect_right(self.lines, offset)
        return Place(self.file, line, offset - self.lines[line - 1] + 1, pointer=self.pointers[-1])

    def enter(self, part: str) -> None:
        """Go on with a member or an element."""
        self.pointers.append(self.pointers[-1] + "/" + part)

    # What is wrong there

    def error(self, offset: int, message: str, hint: str = "") -> JsonError:
        if self.secret is not None:
            self.reports.hide(self.secret.place, self.place(offset).line)
            message = f"the value of {quote(self.secret.value)} is not valid JSON"
            hint = 'put texts in double quotes; write a double quote inside one as \\"'
        return JsonError(self.place(offset), message, hint)

    def refuse_comment(self) -> None:
        if self.text.startswith(("//", "/*", "#"), self.at):
            raise self.error(self.at, "JSON does not allow comments", "remove it")

    def refuse_end(self, start: int, end: str) -> None:
        """Fail at the end of the text or at the wrong closing bracket, and name the bracket that is open."""
        opened = f"the {_OPENED[end]} opened at {self.place(start)}"
        char = self.text[self.at : self.at + 1]
        if char == "":
            raise self.error(self.at, f"the file ends here, but {opened} is not closed", f"expected '{end}'")
        if char in _OPENED and char != end:
            raise self.error(self.at, f"'{char}' where '{end}' must close {opened}")

    def wrong_separator(self, last: int, end: str) -> JsonError:
        """Neither a comma nor the closing bracket follows the item that ended at `last`."""
        self.refuse_comment()
        start = self.at
        char = self.text[start]
        hint = f"the value before it ends at {self.place(last - 1)}"
        if char == '"':
            return self.error(start, f"missing comma before {quote(self.string().value)}", hint)
        if char in "{[" or self.word() in _CONSTANTS or _NUMBER.match(self.text, start):
            return self.error(start, f"missing comma before {quote(self.word() or char)}", hint)
        if start == last and self.text[start - 1] == '"':
            hint = 'write a double quote inside a string as \\"'
        return self.error(start, f"expected ',' or '{end}', found {quote(self.word() or char)}", hint)

    def wrong_item(self, what: str) -> JsonError:
        """Where `what` ('a name' or 'a value') has to start, something else stands."""
        self.refuse_comment()
        word = self.word()
        if self.at >= len(self.text):
            return self.error(self.at, f"the file ends here, but {what} is expected")
        if self.text.startswith("'", self.at):
            return self.error(self.at, "single quotes: JSON strings need double quotes")
        if not word:
            return self.error(self.at, f"expected {what}, found {quote(self.text[self.at])}")
        if not word.strip("."):
            return self.error(self.at, f"'{word}' stands for something left out", "write it")
        if word.lstrip("+-.")[:1].isdecimal() or word.lstrip("+-") in ("NaN", "Infinity"):
            return self.error(self.at, f"{quote(word)} is not a JSON number")
        if what == "a value" and (near := nearest(word, [*_CONSTANTS, "none"])):
            meant = near[0].replace("none", "null")
            return self.error(self.at, f"{quote(word)} is not a JSON value", f"write {meant}")
        return self.error(self.at, f"{quote(word)} has no double quotes", f'write "{printable(word)}"')

    def wrong_string(self, start: int, error: json.JSONDecodeError) -> JsonError:
        """Say better than the standard library what is wrong with the string that starts at `start`."""
        char = self.text[error.pos : error.pos + 1]
        if error.msg.startswith("Unterminated") or char in ("\n", "\r"):
            return self.error(start, "unterminated string", "the closing '\"' is missing on this line")
        if error.msg.startswith("Invalid control"):
            written = "\\t" if char == "\t" else f"\\u{ord(char):04x}"
            return self.error(error.pos, "a control character inside a string", f"write {written}")
        return self.error(error.pos, "invalid escape in a string", "write a backslash as \\\\")
