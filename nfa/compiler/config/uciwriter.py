"""A JSON configuration as text of UCI: the way back from uciconfig.py.

In: the `Document` of a JSON file. Out: the text of the package with the same meaning, and what of it has no counterpart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nfa.compiler.base.report import quote
from nfa.compiler.config.convert import mark
from nfa.compiler.config.document import Document, Properties, Section
from nfa.compiler.config.jsontext import Object, Value
from nfa.compiler.config.model import Text
from nfa.compiler.config.options import (
    ACTION_OPTIONS,
    BUDGET_OPTIONS,
    COMMON_OPTIONS,
    DEVICE_OPTIONS,
    GROUP_OPTIONS,
    MAIN_OPTIONS,
    NOTICE_OPTIONS,
    TARGET_GLOBALS,
    TARGET_OPTIONS,
    Option,
)

_SINGULAR = {"targets": "target", "exemptions": "exemption", "labels": "label", "days": "day"}
"""Lists that UCI's documents name by one of their elements."""
_RESERVED = ("main", "global")
_TARGET_TYPE = ("target_type",)


@dataclass
class Written:
    """The text, and a line for each thing that has no counterpart or has another name."""

    text: str
    notes: list[str] = field(default_factory=list)


def write(document: Document) -> Written:
    """Return a document of JSON as UCI. Names that UCI does not allow are changed, wherever they are used."""
    return _Writer(document).written()


class _Writer:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.taken = set(_RESERVED)
        self.taken.update(section.name.value for section in (*document.target_defaults, *document.target_globals))
        # Expressions name devices and groups, so these come first: they are renamed only where UCI cannot have their names.
        named = (("device", document.devices, DEVICE_OPTIONS), ("group", document.groups, GROUP_OPTIONS))
        self.named = [
            (kind, self.name(kind, section.name.value), section, options)
            for kind, sections, options in named
            for section in sections
        ]
        self.actions: dict[str, str] = {}
        self.targets = {section.name.value: self.name("target", section.name.value) for section in document.targets}
        self.budgets = {section.name.value: self.name("budget", section.name.value) for section in document.budgets}

    def name(self, kind: str, name: str) -> str:
        """Return a name that UCI allows and no other section has."""
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)[:64] or kind
        found, number = plain, 1
        while found in self.taken:
            found = f"{kind}_{plain}" if number == 1 else f"{kind}_{plain}_{number}"
            number += 1
        self.taken.add(found)
        if found != name:
            self.notes.append(
                f"{kind} {quote(name)} is called {quote(found)}: a name of UCI has letters, digits and '_', and is the only one"
            )
        return found

    def written(self) -> Written:
        document = self.document
        known = {option.name for option in MAIN_OPTIONS}
        main = [(name, value) for name, value in document.globals if name.value in known]
        if main:
            self.section("nfa", "main", main, MAIN_OPTIONS, "")
        entries = [element for _, value in document.exemptions for element in _elements(value)]
        if entries:
            self.lines.append("\nconfig exemption 'global'")
            self.list_of("exemption", entries, None)
        renamed = {section.name.value: name for _, name, section, _ in self.named}
        for kind, name, section, options in self.named:
            properties = [(each, _renamed(value, renamed) if kind == "group" else value) for each, value in section.properties]
            self.section(kind, name, properties, options, section.name.value)
            if name != section.name.value:
                self.notes.append(f"{kind} {quote(name)}: expressions that name it must be changed by hand")
        of_types = {section.name.value for section in document.target_globals}
        for section in document.target_globals:
            self.section(
                "target_global", section.name.value, section.properties, TARGET_GLOBALS.get(section.name.value, ()), ""
            )
        inherited: dict[str, Properties] = {}
        for section in document.target_defaults:
            kind = section.name.value
            if kind not in TARGET_OPTIONS:
                self.notes.append(f"target_defaults: {quote(kind)} is no type of target, and is left out")
            elif kind in of_types:  # two sections of UCI cannot have one name
                inherited.setdefault(kind, []).extend(section.properties)
            else:
                self.section("target_default", kind, section.properties, (*COMMON_OPTIONS, *TARGET_OPTIONS.get(kind, ())), "")
        for section in document.targets:
            self.target(section, inherited)
        for section in document.budgets:
            self.with_windows("budget", self.budgets[section.name.value], section, BUDGET_OPTIONS, "exempt_time", "exempt")
        for section in document.actions:
            name = self.actions[section.name.value] = self.name("action", section.name.value)
            self.with_windows("action", name, section, ACTION_OPTIONS, "time_of_day", "hours")
        for section in document.notices:
            self.notice(section, renamed)
        return Written("".join(f"{line}\n" for line in self.lines).lstrip("\n"), self.notes)

    def target(self, section: Section, inherited: dict[str, Properties]) -> None:
        given = {name.value: value.plain() for name, value in section.properties}
        kind = str(given.get("target_type", ""))
        own = {name.value for name, _ in section.properties}
        properties = section.properties + [each for each in inherited.get(kind, []) if each[0].value not in own]
        options = (*COMMON_OPTIONS, *TARGET_OPTIONS.get(kind, ()))
        self.section("target", self.targets[section.name.value], properties, options, section.name.value, _TARGET_TYPE)

    def with_windows(self, kind: str, name: str, section: Section, options: tuple[Option, ...], key: str, suffix: str) -> None:
        """Write a section whose property `key` has windows of time: those are sections of their own in UCI."""
        windows: list[str] = []
        properties: Properties = []
        renamed = {"targets": self.targets, "budget": self.budgets}
        for option, value in section.properties:
            if option.value in renamed and kind == "action":
                value = _renamed(value, renamed[option.value])
            if option.value != key:
                properties.append((option, value))
                continue
            for element in _elements(value):
                if isinstance(element.value, Object):
                    windows.append(self.name("time_of_day", f"{name}_{suffix}" + (f"_{len(windows) + 1}" if windows else "")))
                    self.window(windows[-1], element.value)
                elif isinstance(element.value, Text):
                    windows.append(element.value.value)
        self.section(kind, name, properties, options, section.name.value)
        self.lines += [f"\tlist {key} {_quoted(window)}" for window in windows]

    def notice(self, section: Section, devices: dict[str, str]) -> None:
        """`devices`: names of devices and groups, as they are called now."""
        properties: Properties = []
        for option, value in section.properties:
            if option.value in ("action", "actions"):
                value = _renamed(value, self.actions)
            elif option.value in ("device", "devices"):
                value = _renamed(value, devices)
            properties.append((option, value))
        self.section("notice", self.name("notice", section.name.value), properties, NOTICE_OPTIONS, section.name.value)

    def window(self, name: str, window: Object) -> None:
        self.lines.append(f"\nconfig time_of_day '{name}'")
        for option, value in window.members:
            self.option(option.value, value, None, f"time_of_day {quote(name)}")

    def section(
        self, kind: str, name: str, properties: Properties, options: tuple[Option, ...], title: str, more: tuple[str, ...] = ()
    ) -> None:
        self.lines.append(f"\nconfig {kind} '{name}'")
        known = {each: option for option in options for each in (option.name, *option.aliases)}
        what = f"{kind} {quote(title or name)}"
        for option, value in properties:
            if option.value in known or option.value in more:
                self.option(option.value, value, known.get(option.value), what)
            else:
                self.notes.append(f"{what}: {quote(option.value)} is no property of it, and is left out")

    def option(self, name: str, value: Value, option: Option | None, what: str) -> None:
        """Write one property."""
        if value.value is None:
            return
        if isinstance(value.value, list):
            self.list_of(_SINGULAR.get(name, name), value.value, option)
            return
        text = _plain(value, option)
        if text is None:
            self.notes.append(f"{what}: UCI cannot hold the value of {quote(name)}, which is left out")
        elif not text:
            self.notes.append(f"{what}: UCI has no empty value, so {quote(name)} is left out and its default holds")
        else:
            self.lines.append(f"\toption {name} {_quoted(text)}")

    def list_of(self, name: str, values: list[Value], option: Option | None) -> None:
        for value in values:
            text = _plain(value, option)
            if text is None:
                self.notes.append(f"UCI cannot hold a value of the list {quote(name)} at {value.place}, which is left out")
            else:
                self.lines.append(f"\tlist {name} {_quoted(text)}")


def _elements(value: Value) -> list[Value]:
    return value.value if isinstance(value.value, list) else [] if value.value is None else [value]


def _renamed(value: Value, names: dict[str, str]) -> Value:
    """Return names of sections as they are called now."""

    def one(element: Value) -> Value:
        if not isinstance(element.value, Text):
            return element
        return Value(Text(names.get(element.value.value, element.value.value), element.place), element.place)

    if isinstance(value.value, list):
        return Value([one(element) for element in value.value], value.place)
    return one(value)


def _plain(value: Value, option: Option | None) -> str | None:
    """Return a value as a text that the option's converter reads to the same; None for what UCI cannot hold."""
    found = value.plain()
    if isinstance(found, bool):
        return str(int(found))
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, int | float):
        # A text of digits is read as hexadecimal there.
        return f"{found:#x}" if option is not None and option.convert is mark and isinstance(found, int) else str(found)
    return found if isinstance(found, str) and "\0" not in found else None


def _quoted(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
