"""Trees to alternatives: each is a conjunction of conditions on single attributes. What the index is made of.

In: a tree. Out: the alternatives, of which any one is enough. A condition on one attribute stays whole, however it is built
(`port > 80 && !(port == 443)`), because its truth follows from one value, which can be remembered. What looks at several
attributes and would make too many alternatives stays a tree, to be evaluated as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from .attributes import Attribute, find
from .tree import And, Devices, Domains, Everything, Members, Node, Not, Nothing, Or, Pattern, Test

MAX_PRODUCT = 16
"""Alternatives that one conjunction may become."""
MAX_ALTERNATIVES = 4096
"""And one tree in all: beyond that it is evaluated as it is."""


@dataclass(frozen=True)
class Alternative:
    """A conjunction: for each attribute (by name) a tree that reads only it, and trees that read several."""

    tests: dict[str, Node]
    rest: tuple[Node, ...] = ()


def key_of(node: Node) -> object:
    """Return what two trees have in common that mean the same, whatever their source texts were."""
    if isinstance(node, Test):
        value: object = type(node.value).__name__, node.value
        if isinstance(node.value, Pattern | Members | Devices | Domains):
            value = type(node.value).__name__, node.value.text if isinstance(node.value, Pattern) else node.value.name
        return find(node.attribute).name, node.op, value
    if isinstance(node, Not):
        return "not", key_of(node.item)
    if isinstance(node, Everything):
        return "*"
    if isinstance(node, Nothing):
        return "nothing"
    assert isinstance(node, And | Or)  # unknown names are settled
    return type(node).__name__, tuple(dict.fromkeys(key_of(item) for item in node.items))


def alternatives(node: Node, most: int = MAX_ALTERNATIVES) -> list[Alternative]:
    """Return the alternatives of a tree, at most so many; none if it can never be true."""
    simple = _pushed(node, False)
    found = _alternatives(simple)
    return found if len(found) <= most else [Alternative({}, (simple,))]


def _pushed(node: Node, negated: bool) -> Node:
    """Push NOT down to the tests, and replace a test of either end by tests of both."""
    if isinstance(node, Everything):
        return Nothing(node.source) if negated else node
    if isinstance(node, Nothing):
        return Everything(node.source) if negated else node
    if isinstance(node, Not):
        return _pushed(node.item, not negated)
    attribute = _attribute(node)
    if attribute is not None:
        # It is evaluated as it is: its truth follows from the value, or from those of both ends.
        return _ends(node, attribute, negated)
    assert isinstance(node, And | Or)  # a test looks at one attribute
    items = tuple(_pushed(item, negated) for item in node.items)
    return And(items, node.source) if isinstance(node, And) != negated else Or(items, node.source)


def _ends(node: Node, attribute: Attribute, negated: bool) -> Node:
    """Return a tree over one attribute; one that asks for any of some values at either end is parted into both ends.

    So both have tables of what they are compared with, and neither depends on the other.
    """
    wanted = "!=" if isinstance(node, And) or (isinstance(node, Test) and node.op == "!=") else "=="
    items = node.items if isinstance(node, And | Or) else (node,)
    if any(not isinstance(item, Test) or item.op != wanted for item in items):
        return Not(node, f"!({node.source})") if negated else node
    ends: list[Node] = []
    for name in attribute.parts or (attribute.name,):
        tests = tuple(Test(name, "==", item.value, item.source) for item in items if isinstance(item, Test))
        ends.append(_join(Or, list(tests)))
    # None of some values is at any end: `ip != x && ip != y`, and `!(ip == x || ip == y)`.
    if (wanted == "!=") != negated:
        return _join(And, [Not(end, f"!({end.source})") for end in ends])
    return _join(Or, ends)


def _attribute(node: Node) -> Attribute | None:
    """Return the attribute that a tree looks at, if it is only one."""
    if isinstance(node, Everything | Nothing):
        return None
    if isinstance(node, Not):
        return _attribute(node.item)
    if isinstance(node, Test):
        return find(node.attribute)
    assert isinstance(node, And | Or)  # unknown names are settled
    found = [_attribute(item) for item in node.items]
    return found[0] if found and all(one is not None and one is found[0] for one in found) else None


def _alternatives(node: Node) -> list[Alternative]:
    attribute = _attribute(node)
    if attribute is not None:
        return [Alternative({attribute.name: node})]
    if isinstance(node, Everything):
        return [Alternative({})]
    if isinstance(node, Nothing):
        return []
    assert isinstance(node, And | Or)  # NOT stands only before what looks at one attribute
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
        if len(found) * len(more) > MAX_PRODUCT and min(len(found), len(more)) > 1:
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
