"""Names that nothing here knows: what becomes of an expression that has one.

In: a tree with `Unknown` in it. Out: a tree without. A comparison with an unknown name is neither true nor false, as NULL in
SQL: `app_category == 'gmaes'` does not hold, and neither does its negation, which would hold for every flow. What remains true
whatever the name may mean stays true.
"""

from __future__ import annotations

from collections.abc import Callable

from .tree import And, Node, Not, Nothing, Or, Unknown

Warn = Callable[[str, str, int, str], object]


def settle(node: Node, warn: Warn) -> Node:
    """Return a tree that holds where the given one surely holds. `warn` is told of names that this leaves without effect."""
    return _settled(node, False, node.source, warn)


def has_unknown(node: Node) -> bool:
    """Return whether a tree has an unknown name in it."""
    if isinstance(node, Not):
        return has_unknown(node.item)
    if isinstance(node, And | Or):
        return any(map(has_unknown, node.items))
    return isinstance(node, Unknown)


def _settled(node: Node, negated: bool, source: str, warn: Warn) -> Node:
    """`negated`: the tree stands below a NOT, which is pushed down to the names. `source`: of both together."""
    if isinstance(node, Unknown):
        if negated and node.unsaid:
            warn(*node.unsaid)
        return Nothing(source) if negated or node.test is None else node.test
    if not has_unknown(node):
        return Not(node, source) if negated else node
    if isinstance(node, Not):
        return _settled(node.item, not negated, source, warn)
    assert isinstance(node, And | Or)
    items = tuple(_settled(item, negated, f"!({item.source})" if negated else item.source, warn) for item in node.items)
    return And(items, source) if isinstance(node, And) != negated else Or(items, source)
