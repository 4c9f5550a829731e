"""The JSON configuration, netify-proc-flow-actions.json.

In: a file or its text. Out: its `Document`.
"""

from __future__ import annotations

import re

from nfa.compiler.base.files import FileError, Folders, read_text
from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config.document import GLOBAL, SINGULARS, Document, Section, is_slip
from nfa.compiler.config.jsontext import MAX_SIZE, JsonError, Object, parse
from nfa.compiler.config.model import Text

GLOBALS = ("version", "reprocess_flows", "timezone", "max_flows", "adopt", "usage", "usage_file", "language")
SECTIONS = ("actions", "targets", "target_defaults", "target_globals", "devices", "groups", "budgets", "notices")

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
    if is_of_fwa({name.value for name, _ in top.value.members}):
        message = "this is a configuration of netify-fwa (rules and whitelist), not of Flow Actions (actions and targets)"
        hint = "translate it: nfa import FILE > /etc/config/netify-proc-flow-actions"
        reports.error("wrong-file", Place(path, 0, 0), message, hint=hint, consequence=_NOT_USED)
        return None
    reports.open.add(path)
    return _document(top.value, path, reports)


def is_of_fwa(names: set[str]) -> bool:
    """Whether a JSON object with these members is a configuration of netify-fwa (see fwa.py)."""
    return not names.isdisjoint(("rules", "whitelist")) and names.isdisjoint(("actions", "targets"))


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
            if not isinstance(value.value, Object):
                document.lost[key] = value.place
                consequence = "what it had stays in its last good version; if there is none, no action acts"
                reports.error("bad-value", value.place, f"'{key}' is not an object", consequence=consequence)
            else:
                getattr(document, key).extend(_sections(value.value))
        elif is_slip(name.value, ("exemptions", "exemption"), (*GLOBALS, *SECTIONS)):
            # Without them, every action would act on flows that should be exempt.
            document.broken_exemptions.add(GLOBAL)
            message = f"unknown property {quote(name.value)}"
            consequence = "these exemptions do not apply"
            reports.error("unknown-option", name.place, message, hint="did you mean 'exemptions'?", consequence=consequence)
        else:
            reports.warning(
                "unknown-option",
                name.place,
                f"unknown property {quote(name.value)}",
                hint=did_you_mean(name.value, (*GLOBALS, "exemptions", *SECTIONS)),
                consequence="the property is ignored",
            )
    return document


def _sections(value: Object) -> list[Section]:
    """The members of `actions`, `targets` and so on, each of which is an object itself, or broken."""
    sections = []
    for name, member in value.members:
        if isinstance(member.value, Object):
            sections.append(Section(name, member.value.members))
        elif member.value is not None:
            sections.append(Section(name, [], member.place))
    return sections
