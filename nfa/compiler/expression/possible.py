"""Whether a flow can meet a condition at all, and of which IP versions: what `nfa check` warns of.

In: a tree. Out: the IP versions of the flows that can meet it; none: no flow can (`app == 'a' && app == 'b'`). Each condition
on one attribute is tried with the values that can make a difference to it: those that it names, and their neighbours. What
looks at several attributes at once, or searches a text, counts as possible: a warning must be sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..catalogue import Catalogue
from .attributes import Attribute, find
from .normal import Alternative, alternatives
from .tree import And, Domains, Everything, Members, Network, Node, Not, Nothing, Or, Pattern, Test
from .unknown import has_unknown

BOTH = frozenset((4, 6))
_MOST = 64
"""Values that are tried; a condition that none of them meets may still be met by another one."""
_MANY_VALUED = ("strings", "risk", "device")
_ORDERS: dict[str, Callable[[int, int], bool]] = {
    "<": int.__lt__,
    "<=": int.__le__,
    ">": int.__gt__,
    ">=": int.__ge__,
}


def versions(node: Node, catalogue: Catalogue) -> frozenset[int]:
    """Return the IP versions of the flows that can meet a condition."""
    if has_unknown(node):
        return BOTH
    found: frozenset[int] = frozenset()
    for alternative in alternatives(node):
        found |= _versions_of(alternative, catalogue)
        if found == BOTH:
            break
    return found


def by_address(node: Node, catalogue: Catalogue) -> frozenset[int]:
    """As `versions`, where only addresses count: a condition on `ip_version` says itself what it is for."""
    found: frozenset[int] = frozenset()
    for alternative in alternatives(node):
        if "ip_version" in alternative.tests:
            return BOTH
        found |= _versions_of(alternative, catalogue)
    return found


def _versions_of(alternative: Alternative, catalogue: Catalogue) -> frozenset[int]:
    left = BOTH
    for name, tree in alternative.tests.items():
        attribute = find(name)
        if attribute.parts:
            continue  # each end may meet another part of it
        if attribute.kind.name == "address":
            left &= frozenset(version for version in left if _any(tree, _addresses(tree, version), catalogue))
        elif name == "ip_version":
            left &= frozenset(version for version in left if _any(tree, iter((version,)), catalogue))
        elif _single(attribute) and not _any(tree, _values(tree, attribute, catalogue), catalogue):
            return frozenset()
    return left


def _single(attribute: Attribute) -> bool:
    """Return whether a flow has one value of an attribute: several conditions on it can exclude each other."""
    kind = attribute.kind.name
    return kind in ("tag", "protocol") or (len(attribute.values) == 1 and kind not in _MANY_VALUED)


class _Unsure(Exception):
    """A condition that only a real record can decide."""


def _any(tree: Node, values: Iterator[object], catalogue: Catalogue) -> bool:
    """Return whether one of some values meets a tree; True where that is not sure."""
    try:
        for number, value in enumerate(values):
            if number >= _MOST or _holds(tree, value, catalogue):
                return True
    except _Unsure:
        return True
    return False


def _holds(node: Node, value: object, catalogue: Catalogue) -> bool:
    if isinstance(node, Everything | Nothing):
        return isinstance(node, Everything)
    if isinstance(node, Not):
        return not _holds(node.item, value, catalogue)
    if isinstance(node, And):
        return all(_holds(item, value, catalogue) for item in node.items)
    if isinstance(node, Or):
        return any(_holds(item, value, catalogue) for item in node.items)
    if not isinstance(node, Test) or isinstance(node.value, Pattern | Domains):
        raise _Unsure
    if node.op == "":
        attribute = find(node.attribute)
        return value != attribute.unknown if attribute.constants else bool(value)
    if node.op in _ORDERS:
        assert isinstance(value, int)
        assert isinstance(node.value, int)
        return _ORDERS[node.op](value, node.value)
    return _equal(node, value, catalogue) == (node.op == "==")


def _equal(test: Test, value: object, catalogue: Catalogue) -> bool:
    wanted = test.value
    if isinstance(wanted, Network):
        return _inside(value, wanted)
    if isinstance(wanted, Members):
        return value in wanted.macs or any(_inside(value, network) for network in wanted.networks)
    return _name(test, catalogue) == value


def _inside(value: object, network: Network) -> bool:
    if not isinstance(value, bytes) or len(value) != len(network.packed):
        return False
    shift = len(value) * 8 - network.prefix
    return int.from_bytes(value, "big") >> shift == int.from_bytes(network.packed, "big") >> shift


def _name(test: Test, catalogue: Catalogue) -> object:
    """Return what a name or an id stands for: the same for the name and the id of one application or protocol."""
    kind = find(test.attribute).kind.name
    if isinstance(test.value, str) and kind in ("tag", "protocol"):
        known = catalogue.application(test.value) if kind == "tag" else catalogue.protocols.get(test.value)
        return known if known is not None else test.value.removeprefix("netify.")
    return test.value


def _tests(node: Node) -> Iterator[Test]:
    if isinstance(node, Test):
        yield node
    elif isinstance(node, Not):
        yield from _tests(node.item)
    elif isinstance(node, And | Or):
        for item in node.items:
            yield from _tests(item)


def _addresses(tree: Node, version: int) -> Iterator[object]:
    """Yield addresses of one IP version that can make a difference: the ends of each network, and those beside them."""
    size = 4 if version == 4 else 16
    for test in _tests(tree):
        networks = (test.value,) if isinstance(test.value, Network) else getattr(test.value, "networks", ())
        for network in networks:
            if len(network.packed) == size:
                first = int.from_bytes(network.packed, "big")
                last = first + (1 << size * 8 - network.prefix) - 1
                for number in (first, last, first - 1, last + 1):
                    if 0 <= number < 1 << size * 8:
                        yield number.to_bytes(size, "big")
    yield bytes(size)
    yield bytes((203, 0, 113, 251)) if size == 4 else bytes(15) + b"\xfb"


def _values(tree: Node, attribute: Attribute, catalogue: Catalogue) -> Iterator[object]:
    """Yield values of any other attribute that can make a difference."""
    kind = attribute.kind.name
    if kind == "boolean":
        yield from (True, False)
    elif kind == "constant":
        yield from attribute.constants
    elif kind == "integer":
        numbers = [test.value for test in _tests(tree) if isinstance(test.value, int)]
        yield from (near for number in [0, *numbers] for near in (number, number + 1, number - 1) if near >= 0)
    elif kind == "mac":
        for test in _tests(tree):
            yield from test.value.macs if isinstance(test.value, Members) else [test.value]
        yield from (b"", b"\xff" * 5 + b"\xfe")
    else:
        yield from (_name(test, catalogue) for test in _tests(tree))
        yield from (0, "", "\0another")
