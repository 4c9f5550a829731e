"""The last records of flows that a sink target tells the end of: bounded in number and in bytes.

In: packed keys of flows, packed records. Out: what was remembered of a flow. Strangers choose how long the URL in a record
is, so a number of flows alone would bound nothing. Those that were not heard from for longest are forgotten first.
"""

MAX_FLOWS = 8192
"""Flows whose record is remembered for their end; of an older one only the digest is sent."""
MAX_BYTES = MAX_FLOWS * 400
"""Bytes of their packed records. A usual one has 150 to 300, and another 150 go with it."""


MYPY = False
if MYPY:
    from typing import Any


class Remembered:
    """Key to (packed record, what matched it)."""

    def __init__(self) -> None:
        self._found: dict[bytes, tuple[bytes, Any]] = {}
        self.size = 0
        """Bytes of all packed records."""

    def __len__(self) -> int:
        return len(self._found)

    def put(self, key: bytes, packed: bytes, matched: "Any") -> None:
        """Remember a record of a flow that was heard from, in place of the one before."""
        self.pop(key)
        self._found[key] = packed, matched
        self.size += len(packed)
        while len(self._found) > MAX_FLOWS or self.size > MAX_BYTES:
            self.pop(next(iter(self._found)))

    def pop(self, key: bytes) -> "tuple[bytes, Any] | None":
        """Forget a flow. Returns (packed record, what matched it), or None."""
        found = self._found.pop(key, None)
        if found is not None:
            self.size -= len(found[0])
        return found

    def clear(self) -> None:
        self._found = {}
        self.size = 0
