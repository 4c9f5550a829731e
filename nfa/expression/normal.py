"""Trees to alternatives: each is a conjunction of conditions on single attributes. What the index is made of.

In: a tree. Out: the alternatives, of which any one is enough. A condition on one attribute stays whole, however it is built
(`port > 80 && !(port == 443)`), because its truth follows from one value, which can be remembered. What looks at several
attributes and would make too many alternatives stays a tree, to be evaluated as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from .attributes import Attribute, find
from .tree import And, Everything, Node, Not, Or, Pattern, Test

MAX_PRODUCT = 16
"""Alternatives that one conjunction may become."""
MAX_ALTERNATIVES = 4096
"""And one tree in all: beyond that it is evaluated as it is."""


@dataclass(frozen=True)
class Alternative:
    """What must hold together: for each attribute (by name) a tree that looks at it alone, and trees that look at several."""

    tests: dict[str, Node]
    rest: tuple[Node, ...] = ()


def key_of(node: Node) -> object:
    """Return what two trees have in common that mean the same, whatever their source texts were."""
    if isinstance(node, Test):
        value = ("rx", node.value.text) if isinstance(node.value, Pattern) else (type(node.value).__name__, node.value)
        return find(node.attribute).name, node.op, value
    if isinstance(node, Not):
        return "not", key_of(node.item)
    if isinstance(node, Everything):
        return "*"
    return type(node).__name__, tuple(dict.fromkeys(key_of(item) for item in node.items))


def alternatives(node: Node) -> list[Alternative]:
    """Return the alternatives of a tree; none if it can never be true."""
    simple = _pushed(node, False)
    found = _alternatives(simple)
    return found if len(found) <= MAX_ALTERNATIVES else [Alternative({}, (simple,))]


def _pushed(node: Node, negated: bool) -> Node:
    """Push NOT down to the tests, and replace a test of either end by tests of both."""
    if isinstance(node, Everything):
        return Or((), node.source) if negated else node
    if isinstance(node, Not):
        return _pushed(node.item, not negated)
    if isinstance(node, Test):
        parts = find(node.attribute).parts
        if not parts:
            return Not(node, f"!({node.source})") if negated else node
        tests: tuple[Node, ...] = tuple(Test(part, node.op, node.value, node.source) for part in parts)
        # `ip != x` says that neither end is x; every other comparison, that one of them is.
        both: Node = And(tests, node.source) if node.op == "!=" else Or(tests, node.source)
        return _pushed(both, True) if negated else both
    items = tuple(_pushed(item, negated) for item in node.items)
    return And(items, node.source) if isinstance(node, And) != negated else Or(items, node.source)


def _attribute(node: Node) -> Attribute | None:
    """Return the attribute that a tree looks at, if it is only one, of which values can be remembered."""
    if isinstance(node, Everything):
        return None
    if isinstance(node, Not):
        return _attribute(node.item)
    if isinstance(node, Test):
        attribute = find(node.attribute)
        return attribute if attribute.raw else None
    found = [_attribute(item) for item in node.items]
    return found[0] if found and all(one is not None and one is found[0] for one in found) else None


def _alternatives(node: Node) -> list[Alternative]:
    attribute = _attribute(node)
    if attribute is not None:
        return [Alternative({attribute.name: node})]
    if isinstance(node, Everything):
        return [Alternative({})]
    if isinstance(node, Test | Not):
        return [Alternative({}, (node,))]
    return _any(node) if isinstance(node, Or) else _all(node)


def _any(node: Or) -> list[Alternative]:
    """Conditions on the same attribute become one."""
    alone: dict[str, list[Node]] = {}
    mixed: list[Alternative] = []
    for item in node.items:
        attribute = _attribute(item)
        if attribute is not None:
            alone.setdefault(attribute.name, []).append(item)
        else:
            mixed += _alternatives(item)
    joined = [Alternative({name: _join(Or, items)}) for name, items in alone.items()]
    return joined + mixed


def _all(node: And) -> list[Alternative]:
    found = [Alternative({})]
    for item in node.items:
        more = _alternatives(item)
        if len(found) * len(more) > MAX_PRODUCT and len(more) > 1:
            more = [Alternative({}, (item,))]
        found = [_both(one, other) for one in found for other in more]
    return found


def _both(one: Alternative, other: Alternative) -> Alternative:
    tests = dict(one.tests)
    for name, node in other.tests.items():
        tests[name] = _join(And, [tests[name], node]) if name in tests else node
    return Alternative(tests, one.rest + other.rest)


def _join(kind: type[And] | type[Or], items: list[Node]) -> Node:
    if len(items) == 1:
        return items[0]
    flat: list[Node] = []
    for item in items:
        flat += item.items if isinstance(item, kind) else (item,)
    return kind(tuple(flat), " ".join(item.source for item in flat))
