"""From words to meaning: a raw tree becomes typed tests, or an error that names what was meant.

In: a raw tree of `grammar`, and a `Context`: the catalogue of names, the address groups, and where warnings go. Out: a
tree of `tree` whose values are ids, packed addresses and compiled patterns. Here every attribute, constant, tag, group
and value is looked up, so that nothing can fail on a user's typing later, when flows are matched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..base.addresses import AddressError, mac_of, networks_of
from ..base.report import nearest
from . import regex
from .attributes import BY_NAME, COMPACT, CONSTANT_ALIASES, CONSTANTS, LISTED, OF_DEVICES, STRING, STRINGS, Attribute
from .context import Context
from .doubts import Doubts
from .elsewhere import part_of, spelled
from .grammar import Comparison, ExpressionError, Raw, Star, Statement, Word
from .literal import needed
from .tree import And, Devices, Everything, Members, Network, Node, Not, Nothing, Or, Pattern, Test, Unknown
from .unknown import settle

_NUMBER = re.compile(r"(?:0x[0-9A-Fa-f]{1,16}|[0-9]{1,20})\Z")
_FRIENDLY = {
    "regex": "a regular expression",
    "string": "a string",
    "number": "a number",
    "boolean": "true or false",
    "address": "an IP address",
    "network": "a network",
    "range": "a range of addresses",
    "mac": "a MAC address",
    "group": "an address group",
    "constant": "a constant",
}

_OTHER_WORDS = {
    "src_ip": "local_ip",
    "dst_ip": "other_ip",
    "src_port": "local_port",
    "dst_port": "other_port",
    "src_mac": "local_mac",
    "dst_mac": "other_mac",
    "remote_ip": "other_ip",
    "remote_port": "other_port",
    "remote_mac": "other_mac",
    "domain": "detected_hostname",
    "hostname": "detected_hostname",
    "host": "detected_hostname",
    "sni": "client_sni",
}


@dataclass(frozen=True)
class _Value:
    token: str
    value: object


@dataclass(frozen=True)
class _Unsure:
    """A value that a flow may have without our knowing. `value`: what it is compared with all the same, None for nothing.

    `unsaid`: see `Unknown`.
    """

    value: object
    unsaid: tuple[str, str, int, str] | None = None


def _suggest(word: str, candidates: Iterable[str]) -> str:
    close = nearest(word, list(candidates))
    return f"did you mean {' or '.join(repr(name) for name in close)}?" if close else ""


def address_value(text: str) -> Network | Members | bytes | None:
    """Return what an address, network or range is compared as: a network, or `Members` of several; 6 bytes for a MAC address.

    None for a text that is nothing of these. Raises AddressError for a range whose ends do not fit each other.
    """
    mac = mac_of(text)
    if mac is not None:
        return mac
    found = tuple(Network(network.network_address.packed, network.prefixlen) for network in networks_of(text))
    if len(found) < 2:
        return found[0] if found else None
    # No group that an expression can name has such a name.
    return Members(f"={''.join(text.split())}", found, frozenset())


class _Checker:
    def __init__(self, text: str, base: int, context: Context) -> None:
        self.text = text
        self.base = base
        self.context = context
        self.doubts = Doubts(base, context)

    def error(self, code: str, message: str, word: Word, hint: str = "") -> ExpressionError:
        return ExpressionError(message, self.base + word.start, word.end - word.start, hint, code)

    def source(self, raw: Raw) -> str:
        """The text of a part of the expression, with the parentheses it stands in."""
        return " ".join(self.text[raw.start : raw.end].split())

    def node(self, raw: Raw) -> Node:
        if isinstance(raw, Star):
            return Everything()
        if isinstance(raw, Comparison):
            return self.compact(raw) if raw.attribute.kind == "compact" else self.comparison(raw)
        items = tuple(self.node(item) for item in raw.items)
        if raw.kind == "not":
            return Not(items[0], self.source(raw))
        if raw.mixed:
            self.doubts.mixed(raw)
        if raw.kind == "or":
            every = any(isinstance(item, Everything) for item in items)
            return Everything(self.source(raw)) if every else Or(items, self.source(raw))
        node = And(tuple(item for item in items if not isinstance(item, Everything)), self.source(raw))
        self.doubts.together(node, raw)
        return node if node.items else Everything(node.source)

    def compact(self, raw: Comparison) -> Node:
        word = raw.attribute
        prefix, _, tag = word.text.partition(":")
        attribute = BY_NAME[COMPACT[prefix]]
        tag = tag.strip("'")
        value = _Value("number", int(tag)) if tag.isdecimal() and len(tag) < 20 else _Value("string", tag)
        return self.compare(attribute, "==", value, word, self.source(raw))

    def comparison(self, raw: Comparison) -> Node:
        word = raw.attribute
        attribute = BY_NAME.get(word.text)
        if attribute is None:
            hint = _suggest(word.text, BY_NAME)
            if self.context.catalogue.application(word.text) is not None:
                hint = f"there is an application of this name: app == '{word.text}', or ai:{word.text}"
            elif word.text in _OTHER_WORDS:
                hint = f"did you mean '{_OTHER_WORDS[word.text]}'?"
            if word.text in CONSTANTS:
                hint = "this is a value: compare an attribute with it"
            raise self.error("unknown-attribute", f"unknown attribute '{word.text}'", word, hint)
        source = " ".join(self.text[word.start : (raw.value or word).end].split())
        self.doubts.sent(attribute, word)
        if raw.value is None and attribute.kind.name == "device":
            if self.context.every_device is None:
                raise self.error("device-unusable", f"'{word.text}' stands for any device, and one has an error", word)
            return Test(attribute.name, "==", self.context.every_device, source)
        if raw.value is None:
            return Test(attribute.name, "", None, source)
        kind = attribute.kind
        if raw.op not in kind.operators:
            raise self.error(
                "bad-operator", f"'{word.text}' cannot be compared with '{raw.op}'", word, f"use {' or '.join(kind.operators)}"
            )
        value = self.classify(raw.value, attribute)
        if kind in (STRING, STRINGS) and value.token in ("address", "network", "mac"):
            value = _Value("string", raw.value.text)  # a server that is named by its address
        if value.token not in kind.tokens:
            expected = f"{' or '.join(attribute.constants)}" if attribute.constants else kind.expected
            raise self.error("bad-value", f"'{word.text}' expects {expected}, found {_FRIENDLY[value.token]}", raw.value)
        name = str(value.value)
        if kind.name == "device" or (value.token == "group" and name in self.context.devices):
            # A device is more than one address, whichever of them was asked for.
            return Test(OF_DEVICES[attribute.name], raw.op, self.device(name, raw.value), source)
        self.doubts.reachable(attribute, raw.op, value.value, raw.value)
        return self.compare(attribute, raw.op, value, raw.value, source)

    @staticmethod
    def test(attribute: Attribute, op: str, value: object, source: str) -> Node:
        """Return a comparison with a value that `resolve` gave."""
        if not isinstance(value, _Unsure):
            return Test(attribute.name, op, value, source)
        test = None if value.value is None else Test(attribute.name, "==", value.value, source)
        unknown = Unknown(test, source, value.unsaid)
        return Not(unknown, source) if op == "!=" else unknown

    def compare(self, attribute: Attribute, op: str, value: _Value, word: Word, source: str) -> Node:
        """The test of an attribute; a category that is only a list of the owner's becomes what is in the list."""
        if attribute.kind.name == "name" and value.value == "*":
            # A generator writes it for "any".
            return Not(Everything(source), source) if op == "!=" else Everything(source)
        text = str(value.value).lower() if value.token == "string" else ""
        self.doubts.name(attribute, text)
        tag = text if attribute.kind.name == "category" else ""
        files = self.context.catalogue.lists.get(tag, []) if attribute.name in LISTED else []
        if not files or tag in self.context.catalogue.application_categories:
            return self.test(attribute, op, self.resolve(attribute, value, word), source)

        from . import listed  # only an owner's list needs it

        def warn(message: str, hint: str) -> None:
            self.context.warn("category-list", message, self.base + word.start, hint)

        node = listed.tree_of(tag, files, attribute.name, source, warn)
        if node is None:
            what = f"the list '{tag}' has nothing that '{attribute.name}' could be compared with"
            self.doubts.nothing(what, word)
            node = Nothing(source)
        return Not(node, source) if op == "!=" else node

    def try_word(self, word: Word) -> _Value | None:
        """Understand a word that needs no quotes, or return None."""
        text = word.text
        if text.lower() in ("true", "false"):
            return _Value("boolean", text.lower() == "true")
        if _NUMBER.match(text):
            return _Value("number", int(text, 16) if text.startswith("0x") else int(text))
        if text.startswith("@") and len(text) > 1:
            return _Value("group", text[1:])
        try:
            found = address_value(text)
        except AddressError as fault:
            raise self.error("bad-address", str(fault), word, fault.hint) from None
        if isinstance(found, bytes):
            return _Value("mac", found)
        kind = "range" if isinstance(found, Members) else "network" if "/" in text else "address"
        return _Value(kind, found) if found else None

    def classify(self, word: Word, attribute: Attribute) -> _Value:
        text = word.text
        if word.kind == "string":
            if not text:
                raise self.error("bad-value", "an empty string", word, f"'!{attribute.name}' matches flows that have none")
            if text.startswith("rx:"):
                return _Value("regex", text[3:])
            if "string" in attribute.kind.tokens:
                return _Value("string", text)
            # Quotes around what needs none, as the documentation of version 5 has it: they leave no doubt.
            value = self.try_word(word)
            if value is None and text not in attribute.constants and text not in CONSTANT_ALIASES:
                return _Value("string", text)
        else:
            value = self.try_word(word)
        if value is not None:
            return value
        if text in CONSTANTS or text in CONSTANT_ALIASES or attribute.constants:
            text = CONSTANT_ALIASES.get(text, text)
            if text not in attribute.constants:
                raise self.error(
                    "bad-value",
                    f"'{word.text}' is not a value of '{attribute.name}'",
                    word,
                    _suggest(text, attribute.constants) or f"use one of {', '.join(attribute.constants)}",
                )
            return _Value("constant", text)
        hint = f"write '{word.text}' in single quotes" if "string" in attribute.kind.tokens else ""
        raise self.error("bad-value", f"expected {attribute.kind.expected}, found '{word.text}'", word, hint)

    def resolve(self, attribute: Attribute, value: _Value, word: Word) -> object:
        if value.token == "regex":
            return self.pattern(str(value.value), word)
        if value.token == "group":
            members = self.context.groups.get(str(value.value))
            if members is None:
                known = (*self.context.groups, *self.context.devices)
                hint = _suggest(str(value.value), known) or "no group or device has a similar name"
                raise self.error("unknown-address-group", f"unknown address group or device '@{value.value}'", word, hint)
            if value.value in self.context.broken_groups:
                return self.broken_group(members, word)
            self.doubts.fits(attribute, members, word)
            return members
        if value.token != "string":
            return value.value
        text = str(value.value).lower()
        kind = attribute.kind.name
        if kind == "category":
            return self.category(attribute, text, word)
        if kind == "risk":
            number = self.context.catalogue.risks.get(text)
            if number is None:
                hint = _suggest(text, self.context.catalogue.risks)
                self.context.warn("unknown-risk", f"unknown risk '{value.value}'", self.base + word.start, hint)
                return _Unsure(None)
            return number
        if kind == "tag":
            return self.known(text, word, self.context.catalogue.application(text), "application")
        if kind == "protocol":
            return self.known(text, word, self.context.catalogue.protocols.get(text), "protocol")
        return str(value.value) if kind == "name" else text

    def device(self, name: str, word: Word) -> Devices:
        """The device, or the group of devices, of this name."""
        found = self.context.devices.get(name)
        if found is not None:
            return found
        if name in self.context.devices:
            hint = "its error is reported at its own place"
            raise self.error("device-unusable", f"the device '{name}' cannot be used", word, hint)
        hint = _suggest(name, self.context.devices) or "nfa devices lists the devices of the configuration"
        if name in self.context.groups:
            hint = f"it is an address group: write ip == @{name}"
        raise self.error("unknown-device", f"unknown device '{name}'", word, hint)

    def broken_group(self, members: Members, word: Word) -> _Unsure:
        """Return a group that lacks entries: a flow outside of it may be meant. Raises ExpressionError where that matters."""
        if self.context.strict:
            message = f"entries of the address group '@{members.name}' could not be read"
            raise self.error("address-group-unusable", message, word)
        return _Unsure(members)

    def known(self, text: str, word: Word, found: int | None, what: str) -> str | _Unsure:
        """Return a name; unsure if no list has it. An agent may know more names, but a near one looks like a slip: warn."""
        if found is not None or text == "unknown":
            return text
        catalogue = self.context.catalogue
        elsewhere = spelled(catalogue, text, what, word.kind == "compact")
        if elsewhere:
            self.doubts.misplaced(text, what, word, elsewhere)
            return _Unsure(text)
        import difflib  # only a slip needs it

        names: Iterable[str] = catalogue.protocols
        if what == "application":
            names = {name.partition(".")[2] or name for name in catalogue.applications}
        near = difflib.get_close_matches(text.removeprefix("netify."), names, n=1, cutoff=0.82)
        close = f"did you mean '{near[0]}'?" if near else part_of(catalogue, text)
        code = "unknown-application" if what == "application" else "unknown-protocol"
        warning = (code, f"unknown {what} '{text}'", self.base + word.start, close)
        if near or (what == "application" and catalogue.complete_applications):
            self.context.warn(*warning)
            return _Unsure(text)
        return _Unsure(text, warning)

    def category(self, attribute: Attribute, text: str, word: Word) -> int | _Unsure:
        catalogue = self.context.catalogue
        protocol = attribute.name == "protocol_category"
        tags = catalogue.protocol_categories if protocol else catalogue.application_categories
        if text not in tags:
            hint = _suggest(text, tags)
            elsewhere = spelled(catalogue, text, attribute.name, word.kind == "compact")
            hint = "; ".join(filter(None, (elsewhere, hint)))
            self.context.warn("unknown-category", f"unknown category '{text}'", self.base + word.start, hint)
            return _Unsure(None)
        return tags[text]

    def pattern(self, text: str, word: Word) -> Pattern:
        if not text:
            raise self.error("bad-regex", "an empty regular expression", word)
        try:
            plan = regex.compile_pattern(text)
        except regex.RegexError as failure:
            offset = self.base + word.start + 4 + (failure.offset or 0)
            raise ExpressionError(f"regular expression: {failure}", offset, code=failure.code) from None
        if plan.note:
            self.context.warn("regex-slow", plan.note, self.base + word.start, "")
        return Pattern(text, plan.as_data(), needed(text))


def check(statement: Statement, context: Context) -> Node:
    """Give a statement its meaning. Raises `ExpressionError`, with offsets in the text that the statement came from."""
    checker = _Checker(statement.text, statement.start, context)
    node = checker.node(statement.tree)
    checker.doubts.report_misplaced()
    return settle(node, context.warn)
