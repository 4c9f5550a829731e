"""Entries of ICMP, found by their addresses: the kernel's table is read in slices, at most once a second.

In: changes that are wanted of connections of ICMP and ICMPv6. Out: for each entry with the addresses of one, in either
direction and on either side of NAT, the change and the entry's own tuple, handed to `change`; and at the end of a reading
which changes found an entry. A table of 100,000 entries is read in 160 ms or, where the kernel leaves out other protocols
(5.8 and later), in 28 ms, but those at one go (6.18): so that is used for small tables only, and no slice is longer
than a few milliseconds.
"""

import errno

from ...base.portable import monotonic
from ...netlink import conntrack
from ...netlink.socket import Dump

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Found = list[tuple[Any, bytes]]

SLICE = 0.004
"""Seconds that the loop may be held up by one slice."""
SMALL = 0.02
"""A table that is read whole in less than this (seconds) is read with a filter from then on."""
SHARE = 20
"""Readings take at most this part of the time."""
MAX_ASKED = 4096
_TABLES = ((4, conntrack.ICMP), (6, conntrack.ICMPV6))


class Search:
    """`change(pairs)` changes entries: pairs of (change, payload of the entry's tuple). It returns the changes that worked."""

    def __init__(self, change: "Callable[[Found], list[Any]]") -> None:
        self._change = change
        self._dump = Dump()
        self.asked: dict[tuple[Any, bytes], Any] = {}
        """What is to be searched for at the next reading: (slot, key) to the change; the latest counts."""
        self.reading = False
        self.readings = 0
        self._wanted: dict[bytes, list[Any]] = {}
        self._changes: list[Any] = []
        self._found: dict[int, bool] = {}
        self._tables: list[tuple[int, int]] = []
        self._protocol = 0
        self._sequence = 0
        self._filtered = False
        self._spent = 0.0
        self._next = 0

    def close(self) -> None:
        self._dump.close()

    def ask(self, slot: "Any", key: bytes, change: "Any") -> bool:
        """Search for the connection of a key. `change` has `key`. Returns False when there is no room for more."""
        if len(self.asked) >= MAX_ASKED and (slot, key) not in self.asked:
            return False
        self.asked[(slot, key)] = change
        return True

    def go_on(self, now: int) -> "tuple[int, list[Any]]":
        """Read for a while. Returns (0, []), and at the end of a reading (error or 0, each change with whether it worked)."""
        if not self.reading:
            if now < self._next:
                return 0, []
            self._begin()
        start = monotonic()
        error = 0
        try:
            while self.reading and monotonic() - start < SLICE:
                self._slice()
        except OSError as failure:
            error = failure.errno or errno.EIO
            self.reading = False
        self._spent += monotonic() - start
        if self.reading:
            return 0, []
        if error:
            self._dump.close()
        # With the filter, all of a table is read in one slice.
        self._filtered = self._spent < (SLICE if self._filtered else SMALL) and not error
        self._next = now + max(1, int(self._spent * SHARE))
        ended = [(change, id(change) in self._found) for change in self._changes]
        self._changes, self._wanted, self._found = [], {}, {}
        return error, ended

    def _begin(self) -> None:
        """Take what is asked for, under the addresses in both directions, and begin with the first table that is needed."""
        self._changes = list(self.asked.values())
        self.asked = {}
        versions = set()
        for change in self._changes:
            key = change.key
            versions.add(key[2])
            half = 4 if key[2] == 4 else 16
            source, destination = key[4 : 4 + half], key[4 + half : 4 + 2 * half]
            self._wanted.setdefault(source + destination, []).append(change)
            if source != destination:
                self._wanted.setdefault(destination + source, []).append(change)
        self._tables = [table for table in _TABLES if table[0] in versions]
        self._spent = 0.0
        self.readings += 1
        self.reading = True
        self._protocol = 0

    def _slice(self) -> None:
        """Take one datagram, or begin with the next table."""
        if not self._protocol:
            if not self._tables:
                self.reading = False
                return
            version, self._protocol = self._tables.pop(0)
            self._sequence += 1
            self._dump.ask(conntrack.read(self._sequence, version, self._protocol, self._filtered))
            return
        data = self._dump.next()
        if not data:
            raise OSError(errno.EIO, "the kernel does not go on")
        entries, end = conntrack.entries(data, self._sequence, self._protocol)
        pairs = []
        for original, reply, payload in entries:
            changes = self._wanted.get(original) or self._wanted.get(reply)
            for change in changes or ():
                pairs.append((change, payload))
        for change in self._change(pairs) if pairs else ():
            self._found[id(change)] = True
        if end > 0:
            raise OSError(end, "the kernel does not give its table")
        if end == 0:
            self._protocol = 0
