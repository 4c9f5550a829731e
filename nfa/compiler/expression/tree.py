"""What a parsed and checked expression is: a tree of four kinds of nodes.

Leaves are `Test`s of one attribute; their values are already what records are compared with (ids, bytes, networks), so
neither the code generator nor the tree walker knows of catalogues, groups or spelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Everything:
    """The expression `*`."""

    source: str = "*"


@dataclass(frozen=True)
class Test:
    """One comparison.

    `op` is `==`, `!=`, `<`, `<=`, `>`, `>=`, or "" for a bare attribute, which is true when it is set. `value` depends on
    the attribute's kind (see `attributes.Kind`): int, str, bytes, `Network`, `Members`, `Pattern`.
    """

    __test__ = False  # pytest: not a test class
    attribute: str
    op: str
    value: object
    source: str


@dataclass(frozen=True)
class Not:
    item: Node
    source: str


@dataclass(frozen=True)
class And:
    items: tuple[Node, ...]
    source: str


@dataclass(frozen=True)
class Or:
    items: tuple[Node, ...]
    source: str


Node = Union[Everything, Test, Not, And, Or]


@dataclass(frozen=True)
class Network:
    """An address or CIDR: packed address (network order, host bits zero) and prefix length in bits."""

    packed: bytes
    prefix: int


@dataclass(frozen=True)
class Members:
    """What an address group holds, for one attribute: networks and MAC addresses (6 bytes)."""

    name: str
    networks: tuple[Network, ...]
    macs: frozenset[bytes]


@dataclass(frozen=True)
class Pattern:
    """A regular expression: its text, the plain data that `engine.rx.finder` takes, and what every match has."""

    text: str
    data: dict[str, object]
    needed: str = ""
    """Lower-case ASCII; for texts of that alone."""


def attributes_of(node: Node) -> set[str]:
    """Return the names of the attributes that a tree reads."""
    if isinstance(node, Test):
        return {node.attribute}
    if isinstance(node, Not):
        return attributes_of(node.item)
    found: set[str] = set()
    for item in node.items if isinstance(node, And | Or) else ():
        found |= attributes_of(item)
    return found


def equalities(node: Node) -> list[Test]:
    """Return the tests for equality that are not under a NOT."""
    if isinstance(node, Test):
        return [node] if node.op == "==" else []
    return [test for item in node.items for test in equalities(item)] if isinstance(node, And | Or) else []


def any_of(nodes: list[Node]) -> Node | None:
    """Join several expressions: a match of any one is a match. None for none."""
    if not nodes:
        return None
    if len(nodes) == 1:
        return nodes[0]
    return Or(tuple(nodes), " ".join(f"{node.source};" for node in nodes))
