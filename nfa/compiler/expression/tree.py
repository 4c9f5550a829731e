"""What a parsed and checked expression is: a tree.

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
class Nothing:
    """What holds for no flow: a comparison with an unknown name, or its negation."""

    source: str


@dataclass(frozen=True)
class Test:
    """One comparison.

    `op` is `==`, `!=`, `<`, `<=`, `>`, `>=`, or "" for a bare attribute, which is true when it is set. `value` depends on
    the attribute's kind (see `attributes.Kind`): int, str, bytes, `Network`, `Members`, `Devices`, `Domains`, `Pattern`.
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


@dataclass(frozen=True)
class Unknown:
    """A comparison whose outcome is not known where `test` does not hold (None: nowhere); `unknown.settle` replaces it.

    `unsaid`: the warning about it, if there was none yet, because it does no harm unless it is negated.
    """

    test: Test | None
    source: str
    unsaid: tuple[str, str, int, str] | None = None


Node = Union[Everything, Nothing, Test, Unknown, Not, And, Or]


@dataclass(frozen=True)
class Network:
    """An address or CIDR: packed address (network order, host bits zero) and prefix length in bits."""

    packed: bytes
    prefix: int


@dataclass(frozen=True)
class Members:
    """What an address group holds, or a range of addresses: networks and MAC addresses (6 bytes)."""

    name: str
    networks: tuple[Network, ...]
    macs: frozenset[bytes]


@dataclass(frozen=True)
class Devices:
    """A device, or a group of devices: the numbers that the policy's devices have, and all that makes them what they are."""

    name: str
    numbers: frozenset[int]
    members: tuple[object, ...] = ()


@dataclass(frozen=True)
class Domains:
    """Names of domains, in lower case: each stands for itself and for all that is under it. `name`: of the list."""

    name: str
    names: frozenset[str]


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
