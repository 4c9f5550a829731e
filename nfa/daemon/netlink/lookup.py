"""Looks single entries of conntrack up: whose connection it is before NAT, and its mark.

In: packed connections (see `conntrack`). Out: what the kernel has of an entry. It writes its answer while it is asked, so
nothing waits; a question takes some 15 microseconds. Source: linux/netfilter/nfnetlink_conntrack.h.
"""

from . import conntrack
from .socket import Dump
from .wire import attributes, messages

_EIO = 5
REST = 1000
"""Questions that are not asked after the kernel refused one: it has no conntrack, or the daemon lacks the right."""


class Entry:
    """An entry: the ends of either direction, each an address and a port (packed), and its mark (0: it has none)."""

    __slots__ = ("mark", "original", "reply")

    def __init__(self, original: bytes, reply: bytes, mark: int) -> None:
        """`original`, `reply`: payloads of its tuples."""
        self.original = conntrack.ends(original)
        self.reply = conntrack.ends(reply)
        self.mark = mark


class Lookup:
    """A socket for such questions, opened when first used."""

    def __init__(self) -> None:
        self._dump = Dump()
        self._sequence = 0
        self.asked = 0
        """Questions; `trouble`: the error number of the last one that failed, 0 for none."""
        self.trouble = 0
        self._rest = 0

    def find(self, connection: bytes) -> "Entry | None":
        """Return the entry that has a packed connection in either direction; None when there is none, or nobody can tell."""
        if self._rest:
            self._rest -= 1
            return None
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        self.asked += 1
        try:
            self._dump.ask(conntrack.encode(conntrack.READ, self._sequence, connection, b""))
            data = self._dump.next()
            while data:
                for kind, _, sequence, start, end in messages(data):
                    if sequence == self._sequence:
                        return _entry(dict(attributes(data[start + 4 : end]))) if kind == conntrack.UPDATE else None
                data = self._dump.next()  # what came before was an answer that nobody waited for
        except OSError as failure:
            self.trouble = failure.errno or _EIO
            self._rest = REST
            self._dump.close()
        return None

    def close(self) -> None:
        self._dump.close()


def _entry(found: "dict[int, bytes]") -> "Entry | None":
    original, reply = found.get(conntrack.CTA_TUPLE_ORIG), found.get(conntrack.CTA_TUPLE_REPLY)
    if original is None or reply is None:
        return None
    return Entry(original, reply, int.from_bytes(found.get(conntrack.CTA_MARK, b""), "big"))
