"""The plain way to evaluate a typed tree: node by node, with reasons.

In: a tree and a flow record. Out: whether it matches, and why: the tests that decided, with what the record has there.
`nfa explain` shows the reasons; tests hold the generated code to this walk. It shares with the generator how an
attribute is read (`attributes`), and nothing of how values are compared.
"""

from __future__ import annotations

import operator
import socket
from collections.abc import Callable
from types import CodeType
from typing import Any

from ...daemon.engine.rx import Automaton, Backtracking, finder
from ...daemon.engine.view import View
from .attributes import BY_NAME, Attribute
from .tree import And, Devices, Domains, Everything, Members, Network, Node, Not, Nothing, Or, Pattern, Test

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _inside(packed: bytes, network: Network) -> bool:
    if len(packed) != len(network.packed):
        return False
    shift = len(packed) * 8 - network.prefix
    return int.from_bytes(packed, "big") >> shift == int.from_bytes(network.packed, "big") >> shift


def _shown(attribute: Attribute, found: list[Any], record: dict[str, Any], view: View) -> str:
    """What the record has, in the words a person would use for it."""
    flow = record["flow"]
    kind = attribute.kind.name
    if kind == "tag":
        words = [flow.get("detected_application_name", "none"), f"id {found[0]}"]
        return f"{words[0]} ({words[1]})"
    if kind == "protocol":
        return f"{flow.get('detected_protocol_name', 'none')} (id {found[0]})"
    if kind == "address":
        names = [socket.inet_ntop(socket.AF_INET if len(one) == 4 else socket.AF_INET6, one) for one in found]
    elif kind == "mac":
        names = [one.hex(":") or "none" for one in found]
    elif kind == "device":
        names = [", ".join(view.device_names(one)) or "none" for one in found]
    elif attribute.name.endswith(("ssl_version", "ssl_cipher")):
        names = [f"0x{one:04x}" for one in found]
    else:
        names = ["none" if one in ("", (), []) else str(one).lower() if one in (True, False) else str(one) for one in found]
    return " and ".join(dict.fromkeys(names))


class Walker:
    """Evaluates trees. `view`: how the records are read; the resident engine gives the same names to the generated code."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._names = view.names()
        """What the lines of an attribute may use."""
        self._code: dict[str, CodeType] = {}
        self._finders: dict[str, Automaton | Backtracking] = {}

    def read(self, attribute: Attribute, record: dict[str, Any]) -> list[Any]:
        """Return the values of an attribute in a record. Raises TypeError, KeyError, ... when the record is malformed."""
        code = self._code.get(attribute.name)
        if code is None:
            code = self._code[attribute.name] = compile("\n".join(attribute.lines), attribute.name, "exec")
        names: dict[str, Any] = dict(self._names, r=record, f=record["flow"])
        exec(code, names)
        return [names[local] for local in attribute.values]

    def holds(self, test: Test, attribute: Attribute, found: list[Any]) -> bool:
        """Return whether a test holds for what a record has of its attribute."""
        if test.op == "":
            if attribute.constants:
                return bool(found[0] != attribute.unknown)
            if attribute.kind.name == "protocol":
                return bool(found[0])
            return any(found)
        if test.op in ("==", "!="):
            if attribute.kind.name in ("tag", "protocol"):
                found = found[1:] if isinstance(test.value, str) else found[:1]
            equal = any(self._equal(attribute, one, test.value) for one in found)
            return equal == (test.op == "==")
        value = test.value
        assert isinstance(value, int)
        return any(_ORDERS[test.op](one, value) for one in found)

    def _equal(self, attribute: Attribute, found: Any, value: object) -> bool:
        """Compare one value of a record with the value of a test."""
        if isinstance(value, Pattern):
            if value.text not in self._finders:
                self._finders[value.text] = finder(value.data)
            search = self._finders[value.text].search
            return any(search(subject) for subject in (found if isinstance(found, list) else [found]))
        if isinstance(value, Devices):
            return not value.numbers.isdisjoint(found)
        if isinstance(value, Domains):
            parts = str(found).split(".")
            return any(".".join(parts[number:]) in value.names for number in range(len(parts)))
        if isinstance(value, Members):
            if attribute.kind.name == "mac":
                return found in value.macs
            return any(_inside(found, network) for network in value.networks)
        if isinstance(value, Network):
            return _inside(found, value)
        if attribute.kind.name in ("strings", "risk"):
            return value in found
        return bool(found == value)

    def truth(self, node: Node, record: dict[str, Any]) -> bool:
        """Return whether a record matches a tree."""
        if isinstance(node, Everything):
            return True
        if isinstance(node, Nothing):
            return False
        if isinstance(node, Test):
            attribute = BY_NAME[node.attribute]
            return self.holds(node, attribute, self.read(attribute, record))
        if isinstance(node, Not):
            return not self.truth(node.item, record)
        assert isinstance(node, And | Or)  # unknown names are settled
        results = (self.truth(item, record) for item in node.items)
        return all(results) if isinstance(node, And) else any(results)

    def reasons(self, node: Node, record: dict[str, Any]) -> tuple[bool, list[str]]:
        """Return whether a record matches, and the tests that decided it, each with what the record has."""
        if isinstance(node, Everything):
            return True, ["every flow matches '*'"]
        if isinstance(node, Nothing):
            return False, [f"{node.source} (an unknown name: it never holds)"]
        if isinstance(node, Test):
            attribute = BY_NAME[node.attribute]
            found = self.read(attribute, record)
            seen = _shown(attribute, found, record, self._view)
            return self.holds(node, attribute, found), [f"{node.source} ({attribute.name}: {seen})"]
        if isinstance(node, Not):
            result, why = self.reasons(node.item, record)
            return not result, [f"not {reason}" for reason in why]
        assert isinstance(node, And | Or)  # unknown names are settled
        results = [self.reasons(item, record) for item in node.items]
        decisive = not isinstance(node, And)
        matched = any(r for r, _ in results) if decisive else all(r for r, _ in results)
        if matched == decisive:
            return matched, next(why for result, why in results if result == decisive)
        return matched, [reason for _, why in results for reason in why]
