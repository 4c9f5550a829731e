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
        """Return the address of the inner end of a connection that has the router's own address as its local end."""
        entry = self._find(flow, incoming)
        if entry is None:
            return None
        half = len(entry.original) // 2
        opened_outside = entry.original[:half] == incoming(flow)[2 : 2 + half]
        return entry.reply[:half] if opened_outside else entry.original[:half]

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
