"""Categories that owners keep as lists and netifyd has no number for: what the list holds is compared instead.

netifyd matches the lists `categories.d/NN-TAG.conf` itself, but only those whose tag is one of its categories (or of a
custom-categories.json); records then carry the number. A list with another tag it ignores, without a word. In: the tag and the
attribute that is compared with it. Out: a tree over the name and the addresses of a flow.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import categories
from ..base.files import FileError, read_text
from . import regex
from .literal import needed
from .tree import Domains, Members, Network, Node, Or, Pattern, Test

MAX_FILE = 1 << 20


def tree_of(tag: str, files: list[str], attribute: str, source: str, warn: Callable[[str, str], None]) -> Node | None:
    """Return what `attribute == 'tag'` means; None when the lists hold nothing for it. `warn` takes a message and a hint."""
    found = _read(files, warn)
    if len(found) > categories.MAX_ENTRIES:
        warn(f"the list '{tag}' has {len(found)} entries; nfa matches at most {categories.MAX_ENTRIES}",
             "let netifyd match it: give the tag a number in custom-categories.json")  # fmt: skip
        return None
    nodes: list[Node] = []
    if attribute in ("category", "domain_category"):
        if found.domains:
            nodes.append(Test("detected_hostname", "==", Domains(tag, frozenset(found.domains)), source))
        nodes += [Test("detected_hostname", "==", pattern, source) for pattern in _patterns(found.patterns, warn)]
    if attribute != "domain_category" and found.networks:
        networks = tuple(Network(one.network_address.packed, one.prefixlen) for one in found.networks)
        address = "local_ip" if attribute == "local_network_category" else "other_ip"
        nodes.append(Test(address, "==", Members(f"list {tag}", networks, frozenset()), source))
    if len(nodes) > 1:
        return Or(tuple(nodes), source)
    return nodes[0] if nodes else None


def _read(files: list[str], warn: Callable[[str, str], None]) -> categories.Entries:
    whole = categories.Entries()
    for file in files:
        try:
            found = categories.entries(read_text(file, MAX_FILE))
        except FileError as error:
            warn(str(error), "")
            continue
        for number, line in found.wrong[:3]:
            warn(f"{file}:{number}: '{line[:60]}' is no entry of a list", "expected dom:NAME, net:NETWORK or rxp:PATTERN")
        whole.domains += found.domains
        whole.networks += found.networks
        whole.patterns += found.patterns
    return whole


def _patterns(texts: list[str], warn: Callable[[str, str], None]) -> list[Pattern]:
    """netifyd compares a pattern with the whole name."""
    found = []
    for text in texts:
        whole = f"^(?:{text})$"
        try:
            if "[:" in text:
                raise regex.RegexError("classes such as [:alpha:] are not supported", 0)
            found.append(Pattern(whole, regex.compile_pattern(whole).as_data(), needed(whole)))
        except regex.RegexError as fault:
            warn(f"rxp:{text[:60]}: {fault}", "")
    return found
