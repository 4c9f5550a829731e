"""What conntrack has of a flow: its mark, and the host behind NAT that it belongs to.

In: flow records. Out: numbers and packed addresses; 0 or None where there is no entry. ICMP has none that could be found: its
records have no id.
"""

from ...engine.view import MALFORMED, connection, incoming
from ...netlink.lookup import Lookup

MYPY = False
if MYPY:
    from typing import Any

    from ...netlink.lookup import Entry

    Flow = dict[str, Any]


class Entries:
    """Asks the kernel, at once."""

    def __init__(self) -> None:
        self.lookup = Lookup()

    def inner(self, flow: "Flow") -> bytes | None:
        """Return address and port of the inner end of a connection that has the router's own address as its local end."""
        entry = self._find(flow, incoming)
        if entry is None:
            return None
        outside = incoming(flow)
        opened_outside = entry.original[0][:-2] == outside[2 : len(entry.original[0])]
        return entry.reply[0] if opened_outside else entry.original[0]

    def mark(self, flow: "Flow") -> int:
        """Return the mark of a flow's connection, 0 when it has none."""
        entry = self._find(flow, connection) or self._find(flow, incoming)
        return entry.mark if entry is not None else 0

    def _find(self, flow: "Flow", packed: "Any") -> "Entry | None":
        try:
            return self.lookup.find(packed(flow))
        except MALFORMED:
            return None

    def close(self) -> None:
        self.lookup.close()
