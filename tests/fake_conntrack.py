"""A conntrack table of plain data: takes the bytes of a send, finds an entry by either of its tuples, answers as 6.18 does."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from typing import Any

from nfa.daemon.netlink import conntrack, wire


@dataclass
class Entry:
    """`labels` is None where the kernel has no room for any. `original` and `reply`: packed connections."""

    original: bytes
    reply: bytes
    mark: int = 0
    labels: int | None = 0


class Conntrack:
    """Stands for the socket (`reserve`, `send`) and for the one that reads the table (`ask`, `next`)."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = list(entries)
        self.log: list[tuple[int, bytes]] = []
        """What came: message type and tuple, in order."""
        self.sends: list[int] = []
        """How many messages each send had."""
        self.refuse = 0
        """An error number for every message."""
        self.broken = 0
        self.lost = 0
        self.dumps: list[bytes] = []
        self.pages: list[bytes] = []
        self._sequence = 0

    def reserve(self, count: int) -> int:
        self._sequence += count
        return self._sequence - count + 1

    def close(self) -> None:
        pass

    def send(self, data: bytes) -> list[wire.Failure]:
        if self.broken:
            raise OSError(self.broken, "not now")
        failures, position, count = [], 0, 0
        while position < len(data):
            length, kind, _, sequence, _ = wire.HEADER.unpack_from(data, position)
            error = self._one(kind, data[position + 20 : position + length])
            if error:
                failures.append(wire.Failure(sequence, error, -1, b""))
            position += length
            count += 1
        assert position == len(data)
        self.sends.append(count)
        return failures

    def _one(self, kind: int, body: bytes) -> int:
        found = dict(wire.attributes(body))
        packed = _packed(found[1])
        self.log.append((kind, packed))
        if self.refuse:
            return self.refuse
        entry = next((entry for entry in self.entries if packed in (entry.original, entry.reply)), None)
        if entry is None:
            return errno.ENOENT
        if kind == conntrack.DELETE:
            self.entries.remove(entry)
        if 8 in found:
            value, mask = (struct.unpack(">I", found[number])[0] for number in (8, 21))
            entry.mark = entry.mark & ~mask ^ value
        if 22 in found:
            if entry.labels is None:
                return errno.ENOSPC
            value, mask = (_bits(found[number]) for number in (22, 23))
            entry.labels = entry.labels & ~mask ^ value
        return 0

    # -- the table as a whole -------------------------------------------------------------------------------------------

    def ask(self, request: bytes) -> None:
        self.dumps.append(request)
        sequence = wire.HEADER.unpack_from(request)[3]
        family = request[16]
        for entry in self.entries:
            if family == (2 if entry.original[0] == 4 else 10):
                body = bytes((family, 0, 0, 0)) + _tuple(1, entry.original) + _tuple(2, entry.reply)
                self.pages.append(wire.message(conntrack.UPDATE, 2, sequence, body))
        self.pages.append(wire.message(wire.NLMSG_DONE, 2, sequence, bytes(4)))

    def next(self) -> bytes:
        return self.pages.pop(0)


def _tuple(kind: int, packed: bytes) -> bytes:
    body = conntrack.encode(conntrack.UPDATE, 0, packed, b"")[24:]
    return wire.attribute(kind | wire.NLA_F_NESTED, body)


def _packed(payload: bytes) -> bytes:
    found = dict(wire.attributes(payload))
    ends, rest = dict(wire.attributes(found[1])), dict(wire.attributes(found[2]))
    version = 4 if 1 in ends else 6
    pair = ends[1] + ends[2] if version == 4 else ends[3] + ends[4]
    return bytes((version,)) + rest[1] + pair + rest[2] + rest[3]


def _bits(raw: bytes) -> int:
    return sum(word << 32 * index for index, word in enumerate(struct.unpack("=4I", raw)))


def slot_data(kind: str = "ctmark", **changed: Any) -> dict[str, Any]:
    """A slot of the policy image."""
    data: dict[str, Any] = {
        "target": "target", "kind": kind, "rank": 0, "family": 0, "set": "conntrack", "table": "", "table_family": 0,
        "type": "", "fields": (), "ttl": 0, "timeouts": False, "managed": False, "flush_on_destroy": False, "auto": False,
        "log_errors": False,
    }  # fmt: skip
    if kind == "ctmark":
        data |= {"mark": 0x20, "mask": 0xF0}
    if kind == "ctlabel":
        data |= {"labels": 1 << 3, "names": ((3, "streaming"),), "applications": {}, "protocols": {}}
    return data | changed
