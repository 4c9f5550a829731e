"""The last records of live flows: by them flows are evaluated again when what is decided about them changes.

In: payloads as they came, and which flows a known change will concern (an edge of a schedule). Out: payloads. Two tables,
each with a bound of its own, so that a flood of others never takes the place of a flow that bedtime has to reach.
"""

from .flows import Flows

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Pack = Callable[[bytes], bytes]

RAW = 128 << 10
"""Bytes of records that may wait for being packed, in each table."""
QUIET_RAW = 64 << 10
"""So many are left unpacked when there is time: most flows end soon."""
SPARE = 256 << 10
"""Bytes of the records that no known change concerns."""
KEPT_BYTES = 400
"""Bytes of a record that a known change concerns, on average: those of usual ones are about 150 when packed."""


class Records(Flows):
    """Records of live flows, with their size: strangers choose how long a URL is.

    A record is put in as it came, and packed later: packing takes longer than all else that is done with a record.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        """Bytes of all records."""
        self.unpacked: dict[int, int] = {}
        """Bytes of those that are not packed yet, the oldest first; `raw`: their sum."""
        self.raw = 0

    def put(self, digest: int, value: "Any") -> None:
        size = len(value)
        before = self.young.pop(digest, None)
        if before is None and self.older:
            before = self.older.pop(digest, None)
        if before is not None:
            self.size -= len(before)
            self.raw -= self.unpacked.pop(digest, 0)
        self.young[digest] = value
        self.unpacked[digest] = size
        self.size += size
        self.raw += size

    def pop(self, digest: int) -> "Any":
        found = self.young.pop(digest, None)
        if found is None and self.older:
            found = self.older.pop(digest, None)
        if found is not None:
            self._forget(digest, found)
        return found

    def _forget(self, digest: int, record: bytes) -> None:
        self.size -= len(record)
        self.raw -= self.unpacked.pop(digest, 0)

    def pack_oldest(self, pack: "Callable[[bytes], bytes]") -> None:
        """Pack the record that has waited longest for it."""
        digest = next(iter(self.unpacked))
        self.raw -= self.unpacked.pop(digest)
        table = self.young if digest in self.young else self.older
        record = table[digest]
        packed = table[digest] = pack(record)
        self.size += len(packed) - len(record)

    def age(self) -> "dict[int, Any]":
        forgotten = super().age()
        for digest, record in forgotten.items():
            self._forget(digest, record)
        return forgotten

    def clear(self) -> None:
        super().clear()
        self.size = self.raw = 0
        self.unpacked.clear()


def _same(payload: bytes) -> bytes:
    """Keep a payload as it is."""
    return payload


class Kept:
    """The records of all live flows, as far as there is room."""

    def __init__(self, per_flow: int = 0, spare: int = SPARE) -> None:
        """`per_flow`: bytes of a record that a known change concerns, for each of `max_flows`, 0 for KEPT_BYTES; `spare`: of
        all the others."""
        self.concerned = Records()
        self.others = Records()
        self._tables = self.concerned, self.others
        self._per_flow = per_flow or KEPT_BYTES
        self._spare = spare
        self._before = 0
        """How many had been evicted when the present age began."""
        self._pack: Pack = _same
        self._unpack: Pack = _same

    def __len__(self) -> int:
        return len(self.concerned) + len(self.others)

    @property
    def dropped(self) -> int:
        """How many were evicted that a known change concerns."""
        return self.concerned.dropped

    @property
    def lately_dropped(self) -> int:
        """How many were evicted in the present age: their flows may live still."""
        return self.concerned.dropped + self.others.dropped - self._before

    def pack_with(self, pack: "Pack", unpack: "Pack") -> None:
        """Take functions that make payloads small, and payloads again."""
        self._pack, self._unpack = pack, unpack

    def put(self, digest: int, payload: bytes, concerned: bool, max_flows: int) -> None:
        """Keep the record of a flow that was heard from. `concerned`: a known change concerns it."""
        if concerned:
            table, other, room = self.concerned, self.others, max_flows * self._per_flow
        else:
            table, other, room = self.others, self.concerned, self._spare
        if other.size and (digest in other.young or digest in other.older):
            other.pop(digest)
        if not room:
            return
        if table.raw > RAW and not concerned and digest not in table.young and digest not in table.older:
            table.dropped += 1  # no time for packing: the stream comes first, and a flood takes nobody's place
            return
        table.put(digest, payload)
        if (concerned and table.raw > RAW) or table.size > room or len(table.young) + len(table.older) > max_flows:
            self._make_room(table, concerned, room, max_flows)

    def _make_room(self, table: Records, concerned: bool, room: int, max_flows: int) -> None:
        """Pack or forget records until there are no more of them than there may be."""
        while concerned and table.raw > RAW:
            table.pack_oldest(self._pack)
        while table.size > room or len(table) > max_flows:
            if concerned and table.raw and len(table) <= max_flows:
                table.pack_oldest(self._pack)
            else:
                table.evict(min(max_flows, len(table)))

    def get(self, digest: int) -> bytes | None:
        """Return the payload of a flow; None when it is not kept."""
        for table in self._tables:
            found: bytes | None = table.get(digest)
            if found is not None:
                return found if digest in table.unpacked else self._unpack(found)
        return None

    def has(self, digest: int) -> bool:
        """Return whether the record of a flow is kept."""
        return self.others.get(digest) is not None or self.concerned.get(digest) is not None

    def renew(self, digest: int) -> bool:
        """A flow was heard from. Returns whether its record is kept."""
        if self.concerned.size and self.concerned.renew(digest) is not None:
            return True
        return self.others.renew(digest) is not None

    def pop(self, digest: int) -> None:
        """Forget a flow."""
        for table in self._tables:
            if table.size:
                table.pop(digest)

    def rename(self, before: int, present: int, max_flows: int) -> None:
        """A flow goes on under another digest."""
        payload, concerned = self.get(before), self.concerned.get(before) is not None
        self.pop(before)
        if payload is not None and not self.has(present):
            self.put(present, payload, concerned, max_flows)

    def digests(self) -> list[int]:
        """Return the flows whose records are kept."""
        found: list[int] = []
        for table in self._tables:
            found += list(table.young) + list(table.older)
        return found

    def pack_some(self, most: int) -> bool:
        """There is time: pack up to `most` records. Returns whether there are more to pack."""
        for table in self._tables:
            for _ in range(most):
                if table.raw <= QUIET_RAW:
                    break
                table.pack_oldest(self._pack)
        return self.others.raw > QUIET_RAW or self.concerned.raw > QUIET_RAW

    def age(self) -> None:
        """Begin a new age: forget flows that were not heard from for all of the last one."""
        self._before = self.concerned.dropped + self.others.dropped
        self.concerned.age()
        self.others.age()

    def clear(self) -> None:
        self.concerned.clear()
        self.others.clear()
