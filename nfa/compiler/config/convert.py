"""Converters: one value as it was written becomes one value as the program uses it.

In: a `Value` (from JSON with its types, from UCI all texts) and the `Context`. Out: plain Python data, or
`Invalid`, whose message says what was expected. There is one converter for each kind of value; options.py
says which property has which kind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nfa.compiler.base.paths import PathError, Paths
from nfa.compiler.base.report import Fault, Place, Reports, did_you_mean, printable, quote
from nfa.compiler.config.jsontext import Object, Value
from nfa.compiler.config.lastgood import Keeping
from nfa.compiler.config.model import Text, Window
from nfa.daemon.base import allowed

UINT32 = 0xFFFFFFFF
T = TypeVar("T")

_TRUE = ("1", "yes", "on", "true", "enabled")
_FALSE = ("0", "no", "off", "false", "disabled")
BOOLEANS = _TRUE + _FALSE
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_HEXADECIMAL = re.compile(r"(0[xX])?[0-9a-fA-F]{1,16}")


@dataclass(frozen=True)
class Context:
    """What a converter may need besides the value.

    `times_of_day` are windows that may be named instead of written, None one that cannot be used. `keeping` has the last good
    versions of what has an error.
    """

    paths: Paths
    reports: Reports
    times_of_day: Mapping[str, Window | None] = field(default_factory=dict)
    keeping: Keeping = field(default_factory=Keeping)


class Invalid(Fault):
    """A value that cannot be used: the message completes "PROPERTY: ...", `place` is the wrong part.

    `more` are the other things that are wrong with the same value. `found` is what was written instead, for the message;
    `bare` the message without it. `secret`: it must not be quoted, nor the line that it stands in.
    """

    more: tuple[Invalid, ...] = ()
    secret = False

    def __init__(self, place: Place, message: str, hint: str = "", found: str = "", code: str = "") -> None:
        super().__init__(place, f"{message}, found {found}" if found else message, hint, code)
        self.bare = message


Converter = Callable[[Value, Context], object]


@dataclass(frozen=True)
class Of:
    """A converter that was made for certain values. `schema` gives which, as the JSON schema of one value."""

    read: Converter
    schema: Callable[[], dict[str, object]]

    def __call__(self, value: Value, context: Context) -> Any:
        return self.read(value, context)


def found(value: Value) -> str:
    """What was written, for a message."""
    plain = value.plain()
    if isinstance(plain, dict | list):
        kind = "an object" if isinstance(plain, dict) else "a list"
        return kind if plain else f"an empty {kind.split()[1]}"
    return quote(plain) if isinstance(plain, str) else printable(str(plain).lower())


def expected(what: str, value: Value, hint: str = "") -> Invalid:
    return Invalid(value.place, f"expected {what}", hint, found(value))


def every(attempts: Iterable[Callable[[], T]]) -> list[T]:
    """What all attempts give. Raises Invalid with all that is wrong, so that a user need not find it out one by one."""
    results: list[T] = []
    faults: list[Invalid] = []
    for attempt in attempts:
        try:
            results.append(attempt())
        except Invalid as fault:
            faults += (fault, *fault.more)
    if faults:
        faults[0].more = tuple(faults[1:])
        raise faults[0]
    return results


def scalar(value: Value) -> Value:
    """The value itself, or the only element of a list: UCI users write `list` where one value belongs."""
    if isinstance(value.value, list) and len(value.value) == 1:
        return value.value[0]
    return value


def elements(value: Value) -> list[Value]:
    """The elements of a list; a single value is a list of one."""
    return value.value if isinstance(value.value, list) else [value]


def boolean(value: Value, context: Context) -> bool:
    """true or false; also 0 and 1 and the words of UCI."""
    value = scalar(value)
    plain = value.plain()
    if isinstance(plain, bool):
        return plain
    if isinstance(plain, int) and plain in (0, 1):
        return bool(plain)
    if isinstance(plain, str) and plain.strip().lower() in _TRUE + _FALSE:
        return plain.strip().lower() in _TRUE
    raise expected("true or false", value)


def integer(lowest: int, highest: int, unit: str = "") -> Of:
    """A whole number from `lowest` to `highest`; a text of digits counts as one."""
    what = f"a whole number{' of ' + unit if unit else ''} from {lowest} to {highest}"
    if lowest == highest:
        what = str(lowest)

    def convert(value: Value, context: Context) -> int:
        value = scalar(value)
        plain = value.plain()
        if isinstance(plain, str) and _INTEGER.fullmatch(plain.strip()):
            plain = int(plain)
        if isinstance(plain, float) and plain.is_integer():
            plain = int(plain)
        if isinstance(plain, bool) or not isinstance(plain, int) or not lowest <= plain <= highest:
            raise expected(what, value)
        return plain

    def schema() -> dict[str, object]:
        number = {"type": "integer", "minimum": lowest, "maximum": highest}
        return {"anyOf": [number, {"type": "string", "pattern": r"^\s*[+-]?[0-9]{1,20}\s*$"}]}

    return Of(convert, schema)


def mark(value: Value, context: Context) -> int:
    """32 bits: a number, or a text of hexadecimal digits with or without 0x, as the documentation has it."""
    value = scalar(value)
    plain = value.plain()
    what = "a mark of at most 32 bits such as '0x85'"
    if isinstance(plain, str) and _HEXADECIMAL.fullmatch(plain.strip()):
        text = plain.strip()
        plain = int(text, 16)
        if text.isdecimal() and plain > 9:
            message = f"the mark {quote(text)} is read as hexadecimal"
            context.reports.warning("mark-hexadecimal", value.place, message, hint=f"write '0x{text}' to make this clear")
    if isinstance(plain, bool) or not isinstance(plain, int) or not 0 <= plain <= UINT32:
        raise expected(what, value)
    return plain


def text(what: str, pattern: str, hint: str = "") -> Of:
    """A text that the regular expression `pattern` matches as a whole; `what` describes it to the user."""
    compiled = re.compile(pattern)

    def convert(value: Value, context: Context) -> str:
        value = scalar(value)
        plain = value.plain()
        if not isinstance(plain, str) or not compiled.fullmatch(plain):
            raise expected(what, value, hint)
        return plain

    return Of(convert, lambda: {"type": "string", "pattern": f"^(?:{pattern})$"})


def choice(*choices: str) -> Of:
    """One of a few words, in any case."""

    def convert(value: Value, context: Context) -> str:
        value = scalar(value)
        plain = value.plain()
        if not isinstance(plain, str) or plain.strip().lower() not in choices:
            hint = did_you_mean(plain, choices) if isinstance(plain, str) and plain else ""
            hint = hint if hint.startswith("did") else ""
            raise expected(" or ".join(map(quote, choices)), value, hint)
        return plain.strip().lower()

    return Of(convert, lambda: one_of(choices))


def one_of(choices: Iterable[str]) -> dict[str, object]:
    """The JSON schema of words in any case, with blanks around them."""

    def either(word: str) -> str:
        # The sign of the unit Kelvin is a k as well, once it is small.
        letters = (f"[{c}{c.upper()}{chr(0x212A) * (c == 'k')}]" if c.isalpha() else re.escape(c) for c in word)
        return "".join(letters)

    return {"type": "string", "pattern": rf"^\s*(?:{'|'.join(map(either, choices))})\s*$", "examples": list(choices)}


def path(value: Value, context: Context) -> str:
    """An absolute path; `${path_...}` is expanded."""
    value = scalar(value)
    if not isinstance(value.value, Text):
        raise expected("an absolute path", value)
    try:
        expanded = context.paths.expand(value.value.value)
    except PathError as error:
        raise Invalid(value.value.at(error.offset), str(error), error.hint, code=error.code) from None
    if not expanded.startswith("/") or not expanded.isprintable():
        raise expected("an absolute path", value)
    return os.path.normpath(expanded)


def folder_to_write(value: Value, context: Context) -> str:
    """An absolute path of a folder that nfa may write files into."""
    return writable(path(value, context), value)


def writable(folder: str, value: Value) -> str:
    """`folder` itself. Raises Invalid when nfa may not write files or sockets into it."""
    try:
        allowed.to_write(folder)
    except allowed.NotAllowed as failure:
        message = f"nothing may be written into {quote(folder)}: {failure.strerror}"
        raise Invalid(scalar(value).place, message, failure.hint, code="path-not-allowed") from None
    return folder


def texts(value: Value, context: Context) -> list[Text]:
    """A text or a list of texts, none of them blank; each with its place."""
    found_texts = []
    for element in elements(value):
        if not isinstance(element.value, Text):
            raise expected("a string or a list of strings", element)
        if not element.value.value.strip():
            raise Invalid(element.place, "an empty string")
        found_texts.append(element.value)
    return found_texts


def words(value: Value, separators: str) -> list[Text]:
    """The words of a text or of a list of texts; blanks and `separators` stand between words of a text."""
    found_words = []
    for element in elements(value):
        if not isinstance(element.value, Text):
            raise expected("a string or a list of strings", element)
        for match in re.finditer(rf"[^\s{re.escape(separators)}]+", element.value.value):
            found_words.append(Text(match[0], element.value.at(match.start())))
    return found_words


def flags(choices: Sequence[str], separators: str) -> Converter:
    """Words out of `choices`, each at most once, at least one, as a tuple in the order they were written."""

    def convert(value: Value, context: Context) -> tuple[str, ...]:
        names: list[str] = []
        for word in words(value, separators):
            name = word.value.lower()
            if name not in choices:
                raise Invalid(word.place, f"unknown {quote(word.value)}", did_you_mean(word.value, choices))
            if name in names:
                raise Invalid(word.place, f"{quote(name)} is given twice")
            names.append(name)
        if not names:
            raise expected(f"one or more of {', '.join(choices)}", value)
        return tuple(names)

    return convert


def mapping(value: Value) -> dict[str, tuple[Text, Value]]:
    """The members of an object, by name."""
    if not isinstance(value.value, Object):
        raise expected("an object", value)
    return {name.value: (name, member) for name, member in value.value.members}
