"""The JSON configuration, netify-proc-flow-actions.json.

In: a file or its text. Out: its `Document`.
"""

from __future__ import annotations

import re

from nfa.compiler.base.files import FileError, Folders, read_text
from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config.document import SINGULARS, Document, Section
from nfa.compiler.config.jsontext import MAX_SIZE, JsonError, Object, Value, parse
from nfa.compiler.config.model import Text

GLOBALS = ("version", "reprocess_flows", "timezone", "max_flows")
SECTIONS = ("actions", "targets", "target_defaults", "target_globals")

_NOT_USED = "the file is not used"
# What no line of JSON begins with.
_UCI = re.compile(r"^[ \t]*(?:config|package)[ \t]+['\"\w]", re.MULTILINE)
# A misspelling of Netify's documentation.
_MISSPELT = {"target_defauts": "target_defaults"}


def read(path: str, reports: Reports, folders: Folders = None) -> Document | None:
    """One file as a document; None, with an error in `reports`, when it is no JSON object. `folders`: as for `read_text`."""
    if folders is None:
        reports.open.add(path)  # root named it
    try:
        return document_of(read_text(path, MAX_SIZE, folders), path, reports)
    except FileError as error:
        reports.error(error.code, error.place, str(error), hint=error.hint, consequence=_NOT_USED, excerpt=error.excerpt)
        return None


def document_of(text: str, path: str, reports: Reports) -> Document | None:
    """The text of a file (or what shall become one) as a document; None, with an error, when it is no JSON object."""
    try:
        top = parse(text, path, reports)
    except JsonError as error:
        if is_uci(text):
            hint = "run 'nfa check' to check /etc/config, or name the folder of another UCI file with -u"
            reports.error("wrong-file", Place(path, 0, 0), "this is a UCI file, not JSON", hint=hint, consequence=_NOT_USED)
        else:
            reports.error(error.code, error.place, str(error), hint=error.hint, consequence=_NOT_USED)
        return None
    if not isinstance(top.value, Object):
        hint = 'expected {"version": 1, "actions": {...}, "targets": {...}}'
        reports.error("bad-value", top.place, "the configuration is not an object", hint=hint, consequence=_NOT_USED)
        return None
    reports.open.add(path)
    return _document(top.value, path, reports)


def is_uci(text: str) -> bool:
    """Whether the text is no JSON because it is a package of UCI."""
    return _UCI.search(text) is not None


def _document(top: Object, path: str, reports: Reports) -> Document:
    document = Document(path, versioned=True)
    for name, value in top.members:
        key = SINGULARS.get(name.value, name.value)
        if key in _MISSPELT:
            key = _MISSPELT[key]
            message = f"{quote(name.value)} is misspelt"
            reports.warning("misspelt-option", name.place, message, consequence=f"it is read as '{key}'")
        if name.value == "$schema" and isinstance(value.value, Text):
            continue  # for editors
        if value.value is None and (key in GLOBALS or key in SECTIONS or key == "exemptions"):
            continue
        if key in GLOBALS:
            document.globals.append((name, value))
        elif key == "exemptions":
            document.exemptions.append((Text("global", name.place), value))
        elif key in SECTIONS:
            getattr(document, key).extend(_sections(key, value, reports))
        else:
            reports.warning(
                "unknown-option",
                name.place,
                f"unknown property {quote(name.value)}",
                hint=did_you_mean(name.value, (*GLOBALS, "exemptions", *SECTIONS)),
                consequence="the property is ignored",
            )
    return document


def _sections(key: str, value: Value, reports: Reports) -> list[Section]:
    """The members of `actions`, `targets` and so on, each of which is an object itself."""
    if not isinstance(value.value, Object):
        reports.error("bad-value", value.place, f"'{key}' is not an object", consequence="it is left out")
        return []
    sections = []
    for name, member in value.value.members:
        if isinstance(member.value, Object):
            sections.append(Section(name, member.value.members))
        elif member.value is not None:
            message = f"{quote(name.value)} in '{key}' is not an object"
            reports.error("bad-value", member.place, message, consequence="it is left out")
    return sections
