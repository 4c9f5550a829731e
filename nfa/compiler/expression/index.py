"""Alternatives to tables and code that find, for one flow record, all that hold: the index of a policy.

Each alternative of each action (and exemption) is one bit of a number. For every value of an attribute there is a mask: the
alternatives that this value does not rule out. The masks of a record's values, joined by AND, are the alternatives that hold,
so what a record costs depends on how many attributes the policy looks at, and hardly on how many actions there are. The mask
of a value is made when it first comes, from tables of what is compared with `==` and from the conditions that are not so
simple (one by one: those cost what they are), and remembered. Attributes of few values are remembered together.

Out: source text of `mask(r, f)` and of what it calls, and constants. `engine.index` has the functions that they use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .attributes import Attribute, find
from .generate import Generator, families
from .normal import MAX_ALTERNATIVES, Alternative, alternatives, key_of
from .tree import Members, Network, Node, Or, Test

FEW = (
    "application", "protocol", "category", "application_category", "domain_category", "protocol_category",
    "overlay_category", "local_network_category", "other_network_category", "ip_protocol", "ip_version", "vlan_id",
    "ip_nat", "detection_guessed", "detection_updated", "detection_complete", "other_type", "origin", "tunnel_type",
    "iface_nfq_src", "iface_nfq_dst", "interface", "side",
)  # fmt: skip
"""Attributes of few values, which are remembered together: flows of one application have most of them in common."""
MAX_BITS = 1 << 13
"""Alternatives of a policy: what is beyond that is evaluated tree by tree. A mask has so many bits, and many are remembered."""
MAX_TABLE = 1 << 18
"""Bytes that the masks of all compared values of one attribute may take, to be made beforehand."""

Table = dict[object, tuple[int, ...]]


@dataclass
class _Tables:
    """What the alternatives want of one attribute."""

    attribute: Attribute
    constrained: int = 0
    """The alternatives that read it."""
    equal: dict[tuple[str, ...], dict[object, list[int]]] = field(default_factory=dict)
    """Local names to what they are compared with: value to alternatives."""
    networks: dict[Network, list[int]] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    """Sources of conditions that are not so simple, to the alternatives that want them."""
    lines: dict[str, None] = field(default_factory=dict)
    """Assignments to the local names of those."""


class Index:
    """Collects alternatives and writes the code that finds those that hold."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._bits: dict[object, int] = {}
        self._alternatives: list[Alternative] = []
        self._tuples: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.memos = 0
        """Tables M0, M1, ... that the code remembers masks in."""
        self.direct: list[tuple[int, Table]] = []
        """Tables T0, T1, ... that are made beforehand: the mask of every other value, and value to more alternatives."""

    def add(self, node: Node) -> list[int]:
        """Return the numbers of the alternatives of a tree. Equal ones have the same number wherever they come from."""
        numbers = []
        room = MAX_BITS - len(self._alternatives)
        for alternative in alternatives(node, max(1, min(MAX_ALTERNATIVES, room))):
            tests = sorted((name, key_of(one)) for name, one in alternative.tests.items())
            key = tuple(tests), tuple(key_of(one) for one in alternative.rest)
            if key not in self._bits:
                self._bits[key] = len(self._alternatives)
                self._alternatives.append(alternative)
            numbers.append(self._bits[key])
        return numbers

    # -- tables -----------------------------------------------------------------------------------------------------

    def _tables(self) -> list[_Tables]:
        found: dict[str, _Tables] = {}
        for number, alternative in enumerate(self._alternatives):
            for name, node in alternative.tests.items():
                tables = found.setdefault(name, _Tables(find(name)))
                tables.constrained |= 1 << number
                if not _take_equalities(tables, node, number):
                    source = self._source(node, tables.lines)
                    tables.others[source] = tables.others.get(source, 0) | 1 << number
        return list(found.values())

    def _source(self, node: Node, lines: dict[str, None]) -> str:
        """Return the source of a condition; the lines that fill its names are added to `lines`."""
        before, self._generator.lines = self._generator.lines, lines
        source = self._generator.expression(node)
        self._generator.lines = before
        return source

    # -- code -------------------------------------------------------------------------------------------------------

    def source(self) -> str:
        """Return the source of `mask(r, f)`: the alternatives that hold for a record, as bits of a number."""
        every = (1 << len(self._alternatives)) - 1
        groups: dict[str, list[_Tables]] = {}
        for tables in self._tables():
            name = tables.attribute.name
            groups.setdefault("" if name in FEW else name, []).append(tables)
        # Those that many alternatives read come first: they rule out most, and the rest may not have to be read.
        ordered = sorted(groups.values(), key=lambda group: -max(tables.constrained.bit_count() for tables in group))
        lines = ["def mask(r, f):", f"    m = {self._number(every)}"]
        misses: list[str] = []
        for group in ordered:
            constrained = 0
            for tables in group:
                constrained |= tables.constrained
            lines.append(f"    if m & {self._number(constrained)}:" if constrained != every else "    if m:")
            lines += [f"        {line}" for line in self._step(group, every, misses)]
        residual = self._residual()
        lines += [f"    return rest(m, X, r, f) if m & {self._number(residual)} else m" if residual else "    return m", ""]
        return "\n".join(misses + self._residual_functions() + lines)

    def _number(self, value: int) -> str:
        return str(value) if value < 1 << 30 else self._generator.constant(value)

    def _step(self, group: list[_Tables], every: int, misses: list[str]) -> list[str]:
        """Return the lines that rule out what the values of some attributes do not allow."""
        setup = dict.fromkeys(line for tables in group for line in tables.attribute.setup)
        raw = list(dict.fromkeys(source for tables in group for source in tables.attribute.raw))
        lines = list(setup)
        table = self._direct(group[0], every) if len(group) == 1 else None
        if table is not None:
            number = len(self.direct)
            self.direct.append(table)
            return [*lines, f"m &= T{number}.get({raw[0]}, {self._number(table[0])})"]
        number = self.memos
        self.memos += 1
        misses += self._miss(number, group, every)
        return [
            *lines,
            f"k = {raw[0] if len(raw) == 1 else '(' + ', '.join(raw) + ')'}",
            f"x = M{number}.get(k)",
            f"m &= miss{number}(k, r, f) if x is None else x",
        ]

    def _direct(self, tables: _Tables, every: int) -> tuple[int, Table] | None:
        """Return the table of an integer that is only compared for equality; None where it is something else."""
        attribute = tables.attribute
        if attribute.kind.name != "integer" or attribute.raw[0] != attribute.lines[-1].partition(" = ")[2]:
            return None
        if tables.others or sum(map(len, tables.equal.values())) * every.bit_length() // 8 > MAX_TABLE:
            return None
        return every & ~tables.constrained, self._sparse(tables.equal.get(attribute.values, {}))

    def _sparse(self, values: dict[Any, list[int]]) -> dict[Any, tuple[int, ...]]:
        """Return a table with one object for the values that lead to the same alternatives: all members of a group do."""
        return {value: self._tuples.setdefault(found := tuple(numbers), found) for value, numbers in values.items()}

    def _miss(self, number: int, group: list[_Tables], every: int) -> list[str]:
        """Return a function that makes the mask of values that were not seen before, and remembers it."""
        lines = [f"def miss{number}(k, r, f):"]
        raw = dict.fromkeys(source for tables in group for source in tables.attribute.raw)
        value = next(iter(raw)) if len(raw) == 1 else ""
        filled = [*(tables.attribute.lines for tables in group), *(tables.lines for tables in group)]
        for line in dict.fromkeys(line for one in filled for line in one):
            lines.append("    " + (line.replace(value, "k") if value else line))  # what it was looked up by
        name = "m"
        for tables in group:
            parts = [self._number(every & ~tables.constrained)]
            for locals_, values in tables.equal.items():
                table = self._generator.constant(self._sparse(values))
                parts += [f"pick({table}, {local})" for local in locals_]
            if tables.networks:
                rows = self._generator.constant(families(self._sparse(tables.networks)))
                parts += [f"inside({local}, {rows})" for local in tables.attribute.values]
            lines.append(f"    {name} = {' | '.join(parts)}")
            for source, wanted in tables.others.items():
                lines.append(f"    if {source}: {name} |= {self._number(wanted)}")
            if name == "x":
                lines.append("    m &= x")
            name = "x"
        return [*lines, f"    return remember(M{number}, k, m)", ""]

    def _residual(self) -> int:
        return sum(1 << number for number, alternative in enumerate(self._alternatives) if alternative.rest)

    def _residual_functions(self) -> list[str]:
        """Return a function for each alternative with trees that read several attributes, and the table of them."""
        lines: list[str] = []
        known: dict[object, str] = {}
        rows: list[str] = []
        for number, alternative in enumerate(self._alternatives):
            if not alternative.rest:
                continue
            key = tuple(key_of(node) for node in alternative.rest)
            if key not in known:
                known[key] = f"rest{number}"
                filled: dict[str, None] = {}
                sources = [f"({self._source(node, filled)})" for node in alternative.rest]
                lines += [f"def rest{number}(r, f):", *(f"    {line}" for line in filled)]
                lines += [f"    return {' and '.join(sources)}", ""]
            rows.append(f"({number}, {known[key]})")
        return [*lines, f"X = ({', '.join(rows)},)", ""] if rows else []


def _take_equalities(tables: _Tables, node: Node, number: int) -> bool:
    """Put a condition that is only `==`, or any of several, into tables. Returns False when it is something else."""
    attribute = tables.attribute
    kind = attribute.kind.name
    items = node.items if isinstance(node, Or) else (node,)
    found: list[tuple[tuple[str, ...], object]] = []
    networks: list[Network] = []
    for item in items:
        if not isinstance(item, Test) or item.op != "==" or kind in ("strings", "risk"):
            return False
        value = item.value
        locals_ = attribute.values
        if isinstance(value, Network):
            networks.append(value)
        elif isinstance(value, Members) and kind != "mac":
            networks += value.networks
        elif isinstance(value, Members):
            found += [(locals_, mac) for mac in value.macs]
        elif isinstance(value, int | str | bytes):
            if kind in ("tag", "protocol"):
                locals_ = locals_[1:] if isinstance(value, str) else locals_[:1]
            found.append((locals_, value))
        else:
            return False
    for locals_, value in dict.fromkeys(found):
        tables.equal.setdefault(locals_, {}).setdefault(value, []).append(number)
    for network in dict.fromkeys(networks):
        tables.networks.setdefault(network, []).append(number)
    return True
