"""The UCI configuration, the package netify-proc-flow-actions of /etc/config.

In: the folder of the package. Out: its `Document`, in which every value has the name of its option and its place in the
file. Where libuci is installed the values are libuci's; where it is not, and for the places, ucitext.py reads the file.
"""

from __future__ import annotations

import os
import re

from nfa.compiler.base.files import FileError, read_bytes
from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config import libuci
from nfa.compiler.config.convert import elements
from nfa.compiler.config.document import GLOBAL, SINGULARS, Document, Properties, Section, is_slip
from nfa.compiler.config.jsontext import Object, Value
from nfa.compiler.config.model import Text
from nfa.compiler.config.ucitext import UciError, UciOption, UciSection, parse

PACKAGE = "netify-proc-flow-actions"
MAX_SIZE = 1 << 20  # bytes of the file
CHANGES = "/tmp/.uci"  # where `uci set` keeps what is not committed

_TYPES = (*SINGULARS, "time_of_day", "sink", "channel", "nfa")
_NOT_USED = "the file is not used"
_BROKEN_BYTE = re.compile("[\udc80-\udcff]")


def file_of(folder: str) -> str:
    """The file of the package in a folder such as /etc/config."""
    return os.path.join(folder, PACKAGE)


def report_uncommitted(reports: Reports) -> None:
    """Warn of changes that wait for `uci commit`: they look active, but only `uci` sees them."""
    file = os.path.join(CHANGES, PACKAGE)
    if os.path.isfile(file) and os.path.getsize(file):
        hint = f"commit them: uci commit {PACKAGE}"
        reports.warning(
            "uncommitted-changes",
            Place(file, 0, 0),
            "there are uncommitted changes",
            hint=hint,
            consequence="they are not used",
        )


def read(folder: str, reports: Reports) -> Document | None:
    """The package of `folder` as a document; None, with an error in `reports`, when the file cannot be used."""
    if os.path.isfile(folder):
        hint = f"name its folder: -u {os.path.dirname(folder) or '.'}"
        reports.error(
            "wrong-file",
            Place(folder, 0, 0),
            "this is a file, not a folder of UCI packages",
            hint=hint,
            consequence=_NOT_USED,
        )
        return None
    file = file_of(folder)
    try:
        return document_of(read_bytes(file, MAX_SIZE), file, reports)
    except FileError as error:
        reports.error(error.code, error.place, str(error), hint=error.hint, consequence=_NOT_USED, excerpt=error.excerpt)
        return None


def document_of(content: bytes, file: str, reports: Reports) -> Document | None:
    """The content of the package (or of what shall become it) as a document; None, with an error, when UCI would refuse it."""
    try:
        return _document(_sections(content, file, reports), file, reports)
    except UciError as error:
        reports.error(error.code, error.place, str(error), hint=error.hint, consequence=_NOT_USED)
        return None


# -- the file ----------------------------------------------------------------------------------------------------------


def _sections(content: bytes, file: str, reports: Reports) -> list[UciSection]:
    """The sections of a file, by libuci where it can be asked. Raises UciError."""
    # A broken byte does no harm in a comment.
    text = content.decode(errors="surrogateescape")
    reports.add_source(file, text)
    reports.open.add(file)
    if "\0" in text:
        place = Text.of_file(text, file).at(text.index("\0"))
        raise UciError(place, "a NUL character, which ends the line for libuci", "remove it", "bad-encoding")
    own: list[UciSection] | None = None
    problem = UciError(Place(file, 0, 0), "libuci rejects the file")
    try:
        own = parse(text, file, PACKAGE, reports)
    except UciError as error:
        problem = error
    _refuse_broken_bytes(own or [])
    try:
        values = libuci.sections(content)
    except libuci.Refused:
        raise problem from None
    if own is not None and values in (None, _plain(own)):
        return own
    if values is None:
        raise problem
    return _with_places(values, own or [], file)


def _refuse_broken_bytes(sections: list[UciSection]) -> None:
    """Raise UciError for the first value that is not UTF-8."""
    for section in sections:
        for option in section.options.values():
            for text in option.value if isinstance(option.value, list) else [option.value]:
                if match := _BROKEN_BYTE.search(text.value):
                    message = f"byte 0x{ord(match[0]) - 0xDC00:02x} is not UTF-8"
                    raise UciError(text.at(match.start()), message, "save the file as UTF-8", "bad-encoding")


def _plain(sections: list[UciSection]) -> libuci.Sections:
    """Our own sections as libuci gives them."""
    return [
        (section.type.value, section.name.value, {name: _plain_value(option) for name, option in section.options.items()})
        for section in sections
    ]


def _plain_value(option: UciOption) -> str | tuple[str, ...]:
    return tuple(text.value for text in option.value) if isinstance(option.value, list) else option.value.value


def _with_places(values: libuci.Sections, own: list[UciSection], file: str) -> list[UciSection]:
    """What libuci says, with our places where we read the same: libuci counts, should the two ever differ."""
    known = {(section.type.value, section.name.value): section for section in own}
    found = []
    for kind, title, options in values:
        place = Place(file, 0, 0, f"{PACKAGE}.{title}")
        section = known.get((kind, title), UciSection(Text(kind, place), Text(title, place), False))
        merged = UciSection(section.type, section.name, section.anonymous)
        for name, value in options.items():
            option = section.options.get(name)
            if option is None or _plain_value(option) != value:
                place = Place(file, 0, 0, f"{PACKAGE}.{title}.{name}")
                texts = [Text(element, place) for element in value] if isinstance(value, tuple) else Text(value, place)
                option = UciOption(Text(name, place), texts)
            merged.options[name] = option
        found.append(merged)
    return found


# -- what the sections mean --------------------------------------------------------------------------------------------


def _document(sections: list[UciSection], file: str, reports: Reports) -> Document:
    document = Document(file, versioned=False)
    for section in sections:
        kind, name = section.type.value, section.name
        if section.anonymous and kind in ("action", "target", "time_of_day", "device", "group", "budget", "notice"):
            _report_anonymous(section, reports)
        if kind == "exemption":
            document.exemptions.append((name, _exemptions(section, document, reports)))
        elif kind in SINGULARS:
            getattr(document, SINGULARS[kind]).append(Section(name, _properties(section)))
        elif kind == "time_of_day":
            document.times_of_day.append((name, Value(Object(_properties(section)), name.place)))
        elif kind in ("sink", "channel"):
            (document.sinks if kind == "sink" else document.channels).append(Section(name, _properties(section)))
        elif kind == "nfa" and name.value == "main":
            document.globals = _properties(section)
        elif kind == "nfa":
            hint = "write: config nfa 'main'"
            reports.warning(
                "bad-name", name.place, "a section 'nfa' that is not named 'main'", hint=hint, consequence="it is ignored"
            )
        elif is_slip(kind, ("exemption", "exemptions"), _TYPES):
            # Without them, actions would act on flows that should be exempt.
            document.broken_exemptions.add(GLOBAL if section.anonymous else name.value)
            message, hint = f"unknown section type {quote(kind)}", "did you mean 'exemption'?"
            consequence = "these exemptions do not apply"
            reports.error("unknown-section", section.type.place, message, hint=hint, consequence=consequence)
        else:
            reports.warning(
                "unknown-section",
                section.type.place,
                f"unknown section type {quote(kind)}",
                hint=did_you_mean(kind, _TYPES),
                consequence="the section is ignored",
            )
    return document


def _report_anonymous(section: UciSection, reports: Reports) -> None:
    """Tell what a section is called that has no name, and how to give it one; an option is no name."""
    kind, option = section.type.value, section.options.pop("name", None)
    written = option.value.value if option and isinstance(option.value, Text) else ""
    hint = f"to name it, write: config {kind} {quote(written or 'NAME')}"
    if option:
        message = f"the option 'name' does not name a section: this one is called {quote(section.name.value)}"
        reports.warning("section-unnamed", option.name.place, message, hint=hint, consequence="the option is ignored")
    else:
        message = f"this {kind} has no name: it is called {quote(section.name.value)}"
        reports.info("section-unnamed", section.name.place, message, hint=hint)


def _properties(section: UciSection) -> Properties:
    return [(option.name, _value(option)) for option in section.options.values()]


def _value(option: UciOption) -> Value:
    if isinstance(option.value, Text):
        return Value(option.value, option.value.place)
    return Value([Value(text, text.place) for text in option.value], option.value[0].place)


def _exemptions(section: UciSection, document: Document, reports: Reports) -> Value:
    """The entries of a list of exemptions. A slip is an error: a flow would not be exempt."""
    name, consequence = section.name, "these exemptions do not apply"
    if section.anonymous:
        document.broken_exemptions.add(GLOBAL)  # the likeliest
        hint = "write: config exemption 'global', or a name that actions refer to"
        reports.error("section-unnamed", name.place, "a section 'exemption' without a name", hint=hint, consequence=consequence)
    entries: list[Value] = []
    for option in section.options.values():
        if option.name.value in ("exemption", "exemptions"):
            entries += elements(_value(option))
        else:
            document.broken_exemptions.add(name.value)
            message = f"exemption {quote(name.value)}: unknown property {quote(option.name.value)}"
            reports.error(
                "unknown-option", option.name.place, message, hint="did you mean 'exemption'?", consequence=consequence
            )
    return Value(entries, name.place)
