"""A table of live flows in two ages: a record makes its flow young again; a flow without records is forgotten with its age.

In: digest keys and what is remembered of each flow. Out: what was remembered, and what of it has to go. So the oldest are
found without a time or a list of their own for each flow, which would be most of the memory.
"""

MYPY = False
if MYPY:
    from typing import Any

    Held = bytes | tuple[bytes, ...]

MAX_FLOWS = 65536
"""What `max_flows` is by default."""
MAX_EVICTED = 1024
"""Flows evicted at once when there are too many: a millisecond or two."""


class Flows:
    """`young` and `older`: digest key to what is remembered. Those who look here for each record use the two directly."""

    def __init__(self) -> None:
        self.young: dict[int, Any] = {}
        self.older: dict[int, Any] = {}
        self.dropped = 0
        """How many were evicted."""

    def __len__(self) -> int:
        return len(self.young) + len(self.older)

    def pop(self, digest: int) -> "Any":
        """Forget a flow. Returns what was remembered, or None."""
        found = self.young.pop(digest, None)
        return self.older.pop(digest, None) if found is None else found

    def pop_first(self, digests: "list[int]") -> "Any":
        """Forget the first flow of these that is remembered. Returns what was remembered, or None."""
        for digest in digests:
            found = self.pop(digest)
            if found is not None:
                return found
        return None

    def get(self, digest: int) -> "Any":
        """Return what is remembered of a flow, or None."""
        found = self.young.get(digest)
        return self.older.get(digest) if found is None else found

    def renew(self, digest: int) -> "Any":
        """A flow was heard from: others are forgotten before it. Returns what is remembered of it, or None."""
        found = self.young.pop(digest, None)
        if found is None and self.older:
            found = self.older.pop(digest, None)
        if found is not None:
            self.young[digest] = found
        return found

    def put(self, digest: int, value: "Any") -> None:
        """Remember something of a flow that was heard from."""
        self.pop(digest)
        self.young[digest] = value

    def age(self) -> "dict[int, Any]":
        """Begin a new age. Returns the flows that were not heard from for all of the last one."""
        forgotten, self.older, self.young = self.older, self.young, {}
        return forgotten

    def evict(self, most: int) -> "list[Any]":
        """Make room in a table for `most` flows: evict a sixteenth, at most MAX_EVICTED. Returns what was remembered."""
        count = max(1, min(MAX_EVICTED, most >> 4))
        digests = []
        for digest in self.older or self.young:
            digests.append(digest)
            if len(digests) >= count:
                break
        self.dropped += len(digests)
        return [self.pop(digest) for digest in digests]

    def clear(self) -> None:
        self.young, self.older = {}, {}


def slot_of(key: bytes) -> int:
    """Return the number of the slot, sink or log that a packed element is of."""
    return key[0] << 8 | key[1]


def within(held: "Held", before: "Held | None") -> bool:
    """Return whether all that a flow holds is among what it held before."""
    known = before if isinstance(before, tuple) else (before,)
    return not [key for key in (held if isinstance(held, tuple) else (held,)) if key not in known]
