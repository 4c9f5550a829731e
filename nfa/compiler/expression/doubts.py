"""Warnings of expressions that are valid and probably not meant: what no flow meets, and what other engines read differently.

In: the parts of one expression, while it is checked. Out: findings of the `Context`, each at its place.
"""

from __future__ import annotations

from .attributes import Attribute
from .context import Context
from .grammar import Group, Word
from .possible import versions
from .tree import And, Members, Test

_LARGEST = {"port": 65535, "local_port": 65535, "other_port": 65535, "ip_protocol": 255, "vlan_id": 4095}
"""The largest number that a packet can have there."""


class Doubts:
    """The warnings of one statement. `base`: where it begins in the whole text."""

    def __init__(self, base: int, context: Context) -> None:
        self.base = base
        self.context = context
        self._named: dict[str, set[str]] = {}
        """Names, to the attributes that they are compared with."""
        self._told: list[int] = []
        """Where conditions stand that no flow meets."""
        self._misplaced: list[tuple[str, str, Word, str]] = []
        """Names that the attribute never has, what it is, where, and how to write what was meant."""

    def mixed(self, raw: Group) -> None:
        """Warn of `&&` and `||` without parentheses."""
        self.context.warn(
            "mixed-operators",
            "'&&' and '||' are mixed without parentheses: nfa binds '&&' tighter, netifyd 4.4 reads from right to left",
            self.base + raw.start,
            "add parentheses to say what you mean",
        )

    def nothing(self, message: str, word: Word, hint: str = "", code: str = "matches-nothing") -> None:
        """Warn of a condition that no flow meets."""
        self._told.append(word.start)
        self.context.warn(code, message, self.base + word.start, hint)

    def together(self, node: And, raw: Group) -> None:
        """Warn of conditions that no flow meets together; once, where a part of them is in parentheses."""
        if any(raw.start <= start < raw.end for start in self._told) or versions(node, self.context.catalogue):
            return
        self._told.append(raw.start)
        tests = [item for item in node.items if isinstance(item, Test) and item.op == "=="]
        same = len({item.attribute for item in tests}) < len(tests)
        hint = "join alternatives with '||': app == 'a' || app == 'b'" if same else ""
        self.context.warn(
            "matches-nothing", f"no flow meets these conditions together: {node.source}", self.base + raw.start, hint
        )

    def sent(self, attribute: Attribute, word: Word) -> None:
        """Tell of what the agent's records do not have."""
        version = self.context.catalogue.agent
        if attribute.name == "ja3" and version != 4:
            message = "netifyd 5 does not report JA3, so this matches no flow" + ("" if version else " there")
            tell = self.context.warn if version else self.context.info
            tell("not-reported", message, self.base + word.start, "use ja4")

    def reachable(self, attribute: Attribute, op: str, value: object, word: Word) -> None:
        """Warn about a number that no packet can have."""
        largest = _LARGEST.get(attribute.name)
        if attribute.name == "ip_version" and op == "==" and value not in (4, 6):
            self.nothing(f"'ip_version == {value}' matches no flow: it is 4 or 6", word)
        if largest is None or not isinstance(value, int):
            return
        if (op in ("==", ">=") and value > largest) or (op == ">" and value >= largest):
            message = f"'{attribute.name} {op} {value}' matches no flow: the largest possible value is {largest}"
            self.nothing(message, word)

    def fits(self, attribute: Attribute, members: Members, word: Word) -> None:
        """Warn of a group that has nothing that the attribute is compared with."""
        of_mac = attribute.kind.name == "mac"
        if members.macs if of_mac else members.networks:
            return
        if not members.macs and not members.networks:
            message = f"the address group '@{members.name}' is empty, so this matches no flow"
            self.nothing(message, word, code="empty-group")
            return
        has, other = ("addresses", "ip") if of_mac else ("MAC addresses", "mac")
        end = attribute.name.rpartition("_")[0]
        message = f"the address group '@{members.name}' has only {has}, so this matches no flow"
        hint = f"write {end + '_' if end else ''}{other} == @{members.name}"
        self.nothing(message, word, hint)

    def name(self, attribute: Attribute, text: str) -> None:
        """Note a name and what it is compared with."""
        self._named.setdefault(text.removeprefix("netify."), set()).add(attribute.name)

    def misplaced(self, text: str, what: str, word: Word, hint: str) -> None:
        """Note a name that its attribute never has. `what`: what it should be."""
        self._misplaced.append((text.removeprefix("netify."), what, word, hint))

    def report_misplaced(self) -> None:
        """Warn of names that an attribute never has; not where both spellings are there, for agents of every kind."""
        for name, what, word, hint in self._misplaced:
            if len(self._named[name]) < 2:
                message = f"'{name}' is not {'an' if what == 'application' else 'a'} {what}, so this matches no flow"
                self.context.warn("wrong-attribute", message, self.base + word.start, hint)
