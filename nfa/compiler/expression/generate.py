"""Typed trees to Python source: the conditions that the index (`index`) and `nfa eval` put into functions.

In: trees of `tree`. Out: source text of boolean expressions over local names, the lines that fill those names, and the
constants they use (sets, tables, patterns) as plain data. The text holds only literals made by `repr` of ids, bytes and
lower-cased strings.
"""

from __future__ import annotations

from .attributes import Attribute, find
from .tree import And, Devices, Domains, Everything, Members, Network, Node, Not, Nothing, Or, Pattern, Test

Table = tuple[tuple[int, int, int, frozenset[bytes]], ...]


Row = tuple[int, int, int, dict[bytes, tuple[int, ...]]]
"""Networks of one length of prefix: address length, whole bytes of the prefix, mask of the byte after them or 0, prefixes."""
HEADS = ((4, 2), (16, 4))
"""Bytes of an address, and how many of them tell mostly that it is in none of the networks."""


def families(networks: dict[Network, tuple[int, ...]]) -> tuple[tuple[object, ...], ...]:
    """Return what `engine.index.inside` searches, for networks and what they lead to."""
    rows = network_rows(networks)
    found = []
    for length, head in HEADS:
        own = tuple(row[1:] for row in rows if row[0] == length)
        heads = frozenset(prefix[:head] for whole, _, prefixes in own if whole >= head for prefix in prefixes)
        found.append((head, heads, tuple(row for row in own if row[0] < head), own))
    return tuple(found)


def network_rows(networks: dict[Network, tuple[int, ...]]) -> tuple[Row, ...]:
    """Return a row for each address length and prefix length."""
    rows: dict[tuple[int, int], dict[bytes, tuple[int, ...]]] = {}
    for network, numbers in networks.items():
        whole, bits = divmod(network.prefix, 8)
        prefix = network.packed[:whole]
        if bits:
            prefix += bytes((network.packed[whole] & (0xFF00 >> bits & 0xFF),))
        rows.setdefault((len(network.packed), network.prefix), {})[prefix] = numbers
    return tuple(
        (length, prefix // 8, 0xFF00 >> prefix % 8 & 0xFF if prefix % 8 else 0, found)
        for (length, prefix), found in sorted(rows.items())
    )


def network_table(networks: tuple[Network, ...]) -> Table:
    """Return the rows that `engine.view.member` searches, in the same form."""
    rows = network_rows(dict.fromkeys(networks, ()))
    return tuple((length, whole, mask, frozenset(found)) for length, whole, mask, found in rows)


class Generator:
    """Collects what a set of expressions needs, and writes each of them down as Python."""

    def __init__(self) -> None:
        self.lines: dict[str, None] = {}
        """Assignments to local names, in order, each once."""
        self.constants: list[object] = []
        """Values of the global names C0, C1, ...: sets and network tables."""
        self.patterns: list[dict[str, object]] = []
        """Data of the patterns that R0, R1, ... find."""
        self._known: dict[object, str] = {}
        self._tables: dict[int, tuple[str, tuple[Network, ...]]] = {}
        """Names of tables of networks, by the identity of the networks, which are kept so that it stays theirs."""

    def expression(self, node: Node) -> str:
        """Return the source of a boolean expression, in parentheses where needed."""
        if isinstance(node, Everything):
            return "True"
        if isinstance(node, Nothing):
            return "False"
        if isinstance(node, Test):
            return self._test(node)
        if isinstance(node, Not):
            return f"not {self._enclose(node.item)}"
        if isinstance(node, And):
            return " and ".join(self._enclose(item) for item in node.items)
        assert isinstance(node, Or)  # unknown names are settled
        return " or ".join(self._alternatives(node.items))

    def _enclose(self, node: Node) -> str:
        source = self.expression(node)
        return f"({source})" if isinstance(node, And | Or | Not) or " " in source else source

    def _alternatives(self, items: tuple[Node, ...]) -> list[str]:
        """Write an OR; equalities of one tag, string or number become a look-up in a set."""
        sets: dict[tuple[str, type], list[Test]] = {}
        for item in items:
            if isinstance(item, Test) and item.op == "==" and isinstance(item.value, int | str):
                sets.setdefault((item.attribute, type(item.value)), []).append(item)
        done: set[tuple[str, type]] = set()
        written = []
        for item in items:
            key = (item.attribute, type(item.value)) if isinstance(item, Test) and item.op == "==" else None
            if key is None or len(sets.get(key, ())) < 3 or find(key[0]).kind.name in ("strings", "risk", "boolean"):
                written.append(self._enclose(item))
            elif key not in done:
                done.add(key)
                name = self.constant(frozenset(test.value for test in sets[key]))
                written.append(" or ".join(f"{local} in {name}" for local in self._locals(sets[key][0])))
        return written

    def _locals(self, test: Test) -> tuple[str, ...]:
        """Return the local names that a test looks at, and take care that they are filled."""
        attribute = find(test.attribute)
        self.lines.update(dict.fromkeys(attribute.lines))
        if attribute.kind.name in ("tag", "protocol"):
            return attribute.values[1:] if isinstance(test.value, str) else attribute.values[:1]
        return attribute.values

    def constant(self, value: object) -> str:
        """Return the name of a constant."""
        try:
            known = self._known.get(value)
        except TypeError:  # a table, which nothing else has
            self.constants.append(value)
            return f"C{len(self.constants) - 1}"
        if known is None:
            known = self._known[value] = f"C{len(self.constants)}"
            self.constants.append(value)
        return known

    def _networks(self, networks: tuple[Network, ...]) -> str:
        """Return the name of a table of networks. A group has one tuple of them, however often it is named."""
        known = self._tables.get(id(networks))
        if known is None:
            known = self._tables[id(networks)] = self.constant(network_table(networks)), networks
        return known[0]

    def _pattern(self, pattern: Pattern) -> str:
        key = ("rx", pattern.text)
        if key not in self._known:
            self._known[key] = f"R{len(self.patterns)}"
            self.patterns.append(pattern.data)
        return self._known[key]

    def _test(self, test: Test) -> str:
        attribute = find(test.attribute)
        locals_ = self._locals(test)
        if test.op == "":
            return _bare(attribute, attribute.values)
        if test.op == "!=":
            positive = Test(test.attribute, "==", test.value, test.source)
            return f"not ({self._test(positive)})"
        return " or ".join(self._compare(attribute, test, local) for local in locals_)

    def _compare(self, attribute: Attribute, test: Test, local: str) -> str:
        value = test.value
        kind = attribute.kind.name
        if isinstance(value, Pattern):
            find = self._pattern(value)
            if kind == "strings":
                return f"any([{find}(item) for item in {local}])"
            if kind != "string" or len(value.needed) < 2:  # names of devices keep their capitals
                return f"{find}({local})"
            # What is not in a text of other letters may still be found in it, without case.
            self.lines[f"{local}_ascii = ascii_only({local})"] = None
            return f"({value.needed!r} in {local} or not {local}_ascii) and {find}({local})"
        if isinstance(value, Devices):
            if len(value.numbers) == 1:
                return f"{min(value.numbers)} in {local}"
            return f"not {self.constant(value.numbers)}.isdisjoint({local})"
        if isinstance(value, Domains):
            return f"under({local}, {self.constant(value.names)})"
        if isinstance(value, Members):
            if kind == "mac":
                return f"{local} in {self.constant(value.macs)}"
            return f"member({local}, {self._networks(value.networks)})"
        if isinstance(value, Network):
            whole, bits = divmod(value.prefix, 8)
            if whole == len(value.packed):
                return f"{local} == {value.packed!r}"
            if bits:
                return f"member({local}, {self._networks((value,))})"
            return f"(len({local}) == {len(value.packed)} and {local}[:{whole}] == {value.packed[:whole]!r})"
        if kind in ("strings", "risk"):
            return f"{value!r} in {local}"
        if kind == "boolean":
            return local if value else f"not {local}"
        return f"{local} {test.op} {value!r}"


def _bare(attribute: Attribute, locals_: tuple[str, ...]) -> str:
    """A bare attribute is true when it is set and not zero, empty or unknown."""
    kind = attribute.kind.name
    if attribute.constants:
        return f"{locals_[0]} != {attribute.unknown!r}"
    if kind == "tag":
        return f"{locals_[0]} != 0 or {locals_[1]} != ''"
    if kind == "protocol":
        return f"{locals_[0]} != 0"
    if kind in ("integer", "category"):
        return " or ".join(locals_)
    if kind == "boolean":
        return locals_[0]
    return " or ".join(f"len({local}) != 0" for local in locals_)
