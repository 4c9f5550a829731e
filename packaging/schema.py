"""Write the JSON schema of the JSON configuration: files/usr/share/nfa/netify-proc-flow-actions.schema.json.

In: the table of options (nfa.compiler.config.options), with its comments as descriptions. Out: a schema of draft 2020-12. It
takes what `nfa check` takes without a word, and perhaps a little more: what only a table of options cannot say (names of
targets, expressions, what is in the kernel) is for `nfa check`.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nfa.compiler.config import amounts, convert, kinds, options, service, timeofday
from nfa.compiler.config.document import SINGULARS
from nfa.compiler.config.options import Option, Options
from nfa.daemon.engine.hours import DAYS

FILE = Path(__file__).parents[1] / "files/usr/share/nfa/netify-proc-flow-actions.schema.json"
ID = "https://raw.githubusercontent.com/nfa-project/nfa/main/files/usr/share/nfa/netify-proc-flow-actions.schema.json"

Schema = dict[str, Any]
_BLANK = r"^\s*$"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _words(choices: Iterable[str], separators: str) -> Schema:
    """Words of a text or of a list of texts."""
    blanks = rf"[\s{re.escape(separators)}]"
    word = str(convert.one_of(choices)["pattern"]).removeprefix(r"^\s*").removesuffix(r"\s*$")
    text = {"type": "string", "pattern": f"^{blanks}*(?:{word}(?:{blanks}+{word})*)?{blanks}*$"}
    return {"anyOf": [text, {"type": "array", "items": text}]}


_TIME = {"type": "string", "pattern": r"^\s*[0-9]{1,2}:[0-5][0-9](?::[0-5][0-9])?\s*$"}
_TYPES = [*kinds.IPSET_TYPES, *(name.removeprefix("hash:") for name in kinds.IPSET_TYPES if name.startswith("hash:"))]
_FIELDS = [*kinds.NFTSET_FIELDS, "local_ip", "other_ip"]

# What converters without parameters take: one value. Other converters say it themselves.
FORMS: dict[object, Schema] = {
    convert.boolean: {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, convert.one_of(convert.BOOLEANS)]},
    convert.mark: {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": convert.UINT32},
            {"type": "string", "pattern": r"^\s*(?:0[xX])?[0-9a-fA-F]{1,16}\s*$", "examples": ["0x85"]},
        ]
    },
    convert.path: {"type": "string", "pattern": r"^(?:/|\$\{)"},
    service.usage_file: {"type": "string", "pattern": r"^(?:/|\$\{).*[^/]$"},
    convert.folder_to_write: {"type": "string", "pattern": r"^(?:/|\$\{)"},
    convert.texts: _ref("texts"),
    kinds.families: convert.one_of(["ipv4", "ipv6", "*"]),
    kinds.ipset_type: {"type": "string", "examples": list(_TYPES)},
    kinds.nftset_type: _words(_FIELDS, ",."),
    kinds.tc_handle: {"type": "string", "pattern": r"^\s*[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}\s*$", "examples": ["1:10"]},
    kinds.bitmap_range: {"type": "string", "examples": ["192.168.1.0/24", "1-1023"]},
    kinds.labels: {
        "anyOf": [
            {"type": ["string", "integer"], "maximum": kinds.MAX_LABEL, "minimum": 0},
            {"type": "array", "items": {"type": ["string", "integer"], "maximum": kinds.MAX_LABEL, "minimum": 0}},
        ]
    },
    kinds.macs: _ref("words"),
    kinds.networks: _ref("words"),
    kinds.host_names: _ref("words"),
    kinds.title: {"type": "string"},
    kinds.flow_events: _words(("new", "updated", "expired"), "|,"),
    kinds.events: _words(kinds.EVENTS, "|,"),
    kinds.places: _words(("log", "ubus"), "|,"),
    timeofday.timezone: {"type": "string", "examples": ["America/Toronto", "CET-1CEST,M3.5.0,M10.5.0/3"]},
    timeofday.windows: {"anyOf": [_ref("time_of_day"), {"type": "array", "items": _ref("time_of_day")}]},
}
_LISTS = (
    convert.texts,
    kinds.macs,
    kinds.networks,
    kinds.host_names,
    kinds.nftset_type,
    kinds.labels,
    kinds.flow_events,
    kinds.events,
    kinds.places,
    timeofday.windows,
    amounts.days,
)
"""Converters that take a list as it is; others take one of one element, as UCI has it."""


def descriptions() -> dict[int, str]:
    """The comment above each option in the table, by the line at which it begins."""
    lines = inspect.getsource(options).split("\n")
    found: dict[int, str] = {}
    for number in range(1, len(lines)):
        above: list[str] = []
        while lines[number - len(above) - 1].lstrip().startswith("# "):
            above.append(lines[number - len(above) - 1].strip().removeprefix("# "))
        if above:
            found[number + 1] = " ".join(reversed(above))
    return found


def described() -> dict[int, str]:
    """The description of each option, by its identity: the table is walked along with its source."""
    comments = descriptions()
    found: dict[int, str] = {}
    named: dict[str, ast.expr] = {}

    def walk(node: ast.expr, value: object) -> None:
        if isinstance(node, ast.Name):
            node = named.get(node.id, node)
        if isinstance(value, Option) and node.lineno in comments:
            found.setdefault(id(value), comments[node.lineno])
        elif isinstance(node, ast.Tuple) and isinstance(value, tuple):
            for inner, part in zip(node.elts, value, strict=True):
                walk(inner, part)
        elif isinstance(node, ast.Dict) and isinstance(value, dict):
            for inner, part in zip(node.values, value.values(), strict=True):
                walk(inner, part)

    for statement in ast.parse(inspect.getsource(options)).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            if isinstance(target, ast.Name):
                named[target.id] = statement.value
                walk(statement.value, getattr(options, target.id))
    return found


class Forms:
    """The forms of values, each once: `$defs`."""

    def __init__(self) -> None:
        self.texts = described()
        self.found: dict[str, Schema] = {}

    def option(self, option: Option) -> Schema:
        """The schema of an option's value."""
        made = isinstance(option.convert, convert.Of)
        form = option.convert.schema() if made else FORMS[option.convert]  # type: ignore[attr-defined]  # one that was made
        ways: list[Any] = [form, {"type": "null"}]
        if option.convert not in _LISTS:
            ways.insert(1, {"type": "array", "items": form, "minItems": 1, "maxItems": 1})
        name = option.name if made else option.convert.__name__
        found = self._named(name, {"anyOf": ways})
        if id(option) in self.texts:
            found["description"] = self.texts[id(option)]
        if isinstance(option.default, bool | int | str) and option.default != "" and option.convert is not convert.mark:
            found["default"] = option.default
        return found

    def _named(self, name: str, form: Schema) -> Schema:
        """A reference to a form, which gets this name, or another one where that has another form."""
        known = next((known for known, other in self.found.items() if other == form), "")
        while not known:
            known = name if name not in self.found else ""
            name += "_"
        self.found[known] = form
        return {"$ref": f"#/$defs/value-{known}"}

    def section(self, table: Options, more: Schema | None = None) -> Schema:
        """The schema of an object with these options, by their names and aliases."""
        names = {name: self.option(option) for option in table for name in (option.name, *option.aliases)}
        return {"type": "object", "properties": names | (more or {}), "additionalProperties": False}


def required(table: Options) -> Schema:
    """What must be there, under its name or an alias; {} for nothing."""
    needed = [{"anyOf": [{"required": [name]} for name in (o.name, *o.aliases)]} for o in table if o.required]
    return {"allOf": needed} if needed else {}


def of_targets() -> Schema:
    """The schema of a target: its options depend on its type."""
    kinds_of = options.TARGET_OPTIONS
    cases = [
        {
            "if": {"properties": {"target_type": _without_examples(convert.one_of([kind]))}},
            "then": _ref(kind),  # what is required may be among the defaults
        }
        for kind in kinds_of
    ]
    kind = {"description": "What becomes of flows that match.", **convert.one_of(kinds_of)}
    return {"type": "object", "required": ["target_type"], "properties": {"target_type": kind}, "allOf": cases}


def _without_examples(form: Schema) -> Schema:
    return {key: value for key, value in form.items() if key != "examples"}


def _sections(what: Schema) -> Schema:
    """An object of sections by their names."""
    return {"type": ["object", "null"], "additionalProperties": {"anyOf": [what, {"type": "null"}]}}


def _by_type(kinds_of: dict[str, Schema]) -> Schema:
    """An object of what holds for all targets of a type. Nothing is required there: it is a default, or a global."""
    either = {kind: {"anyOf": [form, {"type": "null"}]} for kind, form in kinds_of.items()}
    return {"type": ["object", "null"], "properties": either, "additionalProperties": {"type": "null"}}


def _optional(form: Schema) -> Schema:
    """A value, alone or as the one element of a list, or none."""
    return {"anyOf": [form, {"type": "array", "items": form, "minItems": 1, "maxItems": 1}, {"type": "null"}]}


def schema() -> Schema:
    """The whole schema."""
    forms = Forms()
    day = {"anyOf": [_words([*DAYS, *timeofday.LONG_DAYS], ","), {"type": "null"}]}
    window = {
        "type": "object",
        "properties": {
            "day": day,
            "days": _ref("time_of_day/anyOf/1/properties/day"),
            "time_start": _optional(_TIME),
            "time_end": _optional(_TIME),
            "policy": _optional(convert.one_of(["inclusive", "exclusive"])),
        },
        "additionalProperties": False,
    }
    text = {"type": "string", "not": {"pattern": _BLANK}}
    any_type = {"target_type": True}  # a section of UCI may name its type a second time
    parts = {
        "actions": _sections(_ref("action")),
        "targets": _sections(_ref("target")),
        "target_defaults": _by_type({kind: _ref(kind) for kind in options.TARGET_OPTIONS}),
        "target_globals": _by_type({kind: forms.section(own, any_type) for kind, own in options.TARGET_GLOBALS.items()}),
        "devices": _sections(_ref("device")),
        "groups": _sections(_ref("group")),
        "budgets": _sections(_ref("budget")),
        "notices": _sections(_ref("notice")),
        "exemptions": {
            "description": "Flows that are exempt from all actions: addresses, groups, expressions, or files of them.",
            "anyOf": [_ref("texts"), {"type": "array", "items": _ref("texts")}, {"type": "null"}],
        },
    }
    parts |= {single: {"$ref": f"#/properties/{name}"} for single, name in SINGULARS.items()}
    own = {kind: forms.section(options.COMMON_OPTIONS + own, any_type) for kind, own in options.TARGET_OPTIONS.items()}
    top = forms.section(options.GLOBAL_OPTIONS, {"$schema": {"type": "string"}, **parts})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Flow Actions: which flows matter, and what becomes of them",
        **top,
        "required": ["version"],
        "$defs": {
            "texts": {"anyOf": [text, {"type": "array", "items": text}]},
            "words": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "time_of_day": {"anyOf": [{"type": "string"}, window]},
            "action": forms.section(options.ACTION_OPTIONS) | required(options.ACTION_OPTIONS),
            "target": of_targets(),
            "device": forms.section(options.DEVICE_OPTIONS),
            "group": forms.section(options.GROUP_OPTIONS) | required(options.GROUP_OPTIONS),
            "budget": forms.section(options.BUDGET_OPTIONS),
            "notice": forms.section(options.NOTICE_OPTIONS) | required(options.NOTICE_OPTIONS),
            **own,
            **{f"value-{name}": form for name, form in forms.found.items()},
        },
    }


def text() -> str:
    """The file."""
    return json.dumps(schema(), indent=1) + "\n"


def main() -> int:
    """Write the file."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
