"""nftables messages for elements (subsystem 10). Source: linux/netfilter/nf_tables.h.

In: packed elements of one set: slot number (2 bytes), then the fields. Out: messages that stand in a
transaction. A transaction is taken whole or not at all.

Adding an element that is there refreshes nothing, whatever its timeout (6.18, and older). Adding, deleting and adding it
again in one transaction does, on every kernel, and whether or not it was there.
"""

import struct

from ..base.portable import Struct, pack_rows
from .wire import ATTRIBUTE, NLA_F_NESTED, NLM_F_CREATE, NLM_F_REQUEST, attribute, message, nfgen, pad, string

MYPY = False
if MYPY:
    from collections.abc import Callable

NFNL_SUBSYS_NFTABLES = 10
BEGIN = 0x10
"""NFNL_MSG_BATCH_BEGIN"""
END = 0x11
"""NFNL_MSG_BATCH_END"""
NEW = 0xA0C
"""NFT_MSG_NEWSETELEM, with its subsystem."""
DEL = 0xA0E
"""NFT_MSG_DELSETELEM, with its subsystem."""
NFTA_SET_ELEM_LIST_TABLE = 1
NFTA_SET_ELEM_LIST_SET = 2
NFTA_SET_ELEM_LIST_ELEMENTS = 3
NFTA_LIST_ELEM = 1
NFTA_SET_ELEM_KEY = 1
NFTA_SET_ELEM_FLAGS = 3
NFTA_SET_ELEM_TIMEOUT = 4
NFTA_SET_ELEM_EXPIRATION = 5
NFTA_DATA_VALUE = 1
_ELEMENTS_HEADER = 4
EXPIRATION = 12
"""Bytes of the time that an element has left, in what `Elements.restore` makes."""

WIDTHS = {
    "local_mac": 6,
    "other_mac": 6,
    "local_port": 2,
    "other_port": 2,
    "mark": 4,
    "interface": 16,
    "ip_proto": 1,
}


def width(field: str, family: int) -> int:
    """Return how many bytes a field has, without padding."""
    return WIDTHS.get(field) or (4 if family == 4 else 16)


def widths(fields: tuple[str, ...], family: int) -> tuple[int, ...]:
    """Return the bytes of each field, without padding."""
    return tuple([width(field, family) for field in fields])


def key_size(sizes: tuple[int, ...]) -> int:
    """Return the bytes of a set's key: one field as it is, several each padded to 4."""
    return sizes[0] if len(sizes) == 1 else sum([(size + 3) & ~3 for size in sizes])


def expander(fields: tuple[str, ...], family: int) -> "Callable[[bytes], bytes]":
    """Return the function that makes a set's key of a packed element: slot number (2 bytes, dropped), then the fields.

    In memory an element has no padding, which for 50,000 of them saves a megabyte; in a key each of several fields is
    padded to 4.
    """
    return expander_of(widths(fields, family))


def expander_of(sizes: tuple[int, ...]) -> "Callable[[bytes], bytes]":
    """Return the same for fields of so many bytes."""
    if len(sizes) == 1:
        return lambda element: element[2:]
    compact = Struct(">2x" + "".join([f"{size}s" for size in sizes]))
    padded = Struct(">" + "".join([f"{size}s{-size % 4}x" for size in sizes]))
    return lambda element: padded.pack(*compact.unpack(element))


def packer(fields: tuple[str, ...], family: int, number: int) -> "Callable[[bytes], bytes]":
    """Return the function that makes a packed element, with this slot number, of a set's key; b"" of what is no such key."""
    prefix = number.to_bytes(2, "big")
    sizes = widths(fields, family)
    unit = 4 if len(sizes) > 1 else 1
    padded = Struct(">" + "".join([f"{size}s{-size % unit}x" for size in sizes]))
    return lambda key: prefix + b"".join(padded.unpack(key)) if len(key) == padded.size else b""


def begin(sequence: int) -> bytes:
    """Return the message that opens a transaction."""
    return message(BEGIN, NLM_F_REQUEST, sequence, nfgen(0, NFNL_SUBSYS_NFTABLES))


def end(sequence: int) -> bytes:
    """Return the message that commits a transaction."""
    return message(END, NLM_F_REQUEST, sequence, nfgen(0, NFNL_SUBSYS_NFTABLES))


def between(sizes: tuple[int, ...], before: bytes, after: bytes) -> tuple[str, list[bytes]]:
    """Return the form of an element, for a Struct, and what stands before each of its fields and after the last: padding, if
    there are several."""
    parts = [before]
    for size in sizes:
        parts.append(bytes(-size % 4 if len(sizes) > 1 else 0))
    parts[-1] += after
    form = "".join([f"{len(one)}s{size}s" for one, size in zip(parts, sizes)])
    return f">{form}{len(parts[-1])}s", parts


def in_set(table: str, name: str) -> bytes:
    """Return the attributes that name a set, in a message about elements."""
    return string(NFTA_SET_ELEM_LIST_TABLE, table) + string(NFTA_SET_ELEM_LIST_SET, name)


class Elements:
    """Encodes the elements of one set."""

    def __init__(self, table_family: int, table: str, name: str, sizes: tuple[int, ...], timeout: int) -> None:
        """`sizes`: bytes of each field (`widths`). `timeout`: milliseconds every element carries, -1 to leave it to the set."""
        size = key_size(sizes)
        self.head = nfgen(table_family) + in_set(table, name)
        tail = attribute(NFTA_SET_ELEM_TIMEOUT, struct.pack(">Q", timeout)) if timeout >= 0 else b""
        padding = pad(b"\0" * size)[size:]
        key = ATTRIBUTE.pack(size + 8 + len(padding), NFTA_SET_ELEM_KEY | NLA_F_NESTED) + ATTRIBUTE.pack(
            size + 4, NFTA_DATA_VALUE
        )
        self.element = 4 + 8 + size + len(padding) + len(tail)
        """Bytes of one element in a message."""
        self._before = ATTRIBUTE.pack(self.element, NFTA_LIST_ELEM | NLA_F_NESTED) + key
        self._after = padding + tail
        plain = ATTRIBUTE.pack(self.element - len(tail), NFTA_LIST_ELEM | NLA_F_NESTED) + key
        self._fields = Struct(">2x" + "".join([f"{one}s" for one in sizes]))
        rows = [between(sizes, one, end) for one, end in ((self._before, self._after), (plain, padding))]
        self._rows = [(Struct(form), parts) for form, parts in rows]
        self.room = min(1024, (65535 - _ELEMENTS_HEADER) // self.element)
        self.first = 16 + len(self.head) + _ELEMENTS_HEADER
        """Where in a message the first element stands: what an error's offset is counted from."""

    less = 0
    """Bytes that an element lacks in a message that deletes it."""

    def encode(self, command: int, sequence: int, elements: list[bytes]) -> bytes:
        """Return a NEW or DEL message for at most `room` elements: all at once, in half the time of one by one."""
        whole, parts = self._rows[0 if command == NEW else 1]
        data = pack_rows(whole, self._fields, elements, parts, False)
        body = self.head + ATTRIBUTE.pack(len(data) + 4, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED) + data
        flags = NLM_F_REQUEST | NLM_F_CREATE if command == NEW else NLM_F_REQUEST
        return message(command, flags, sequence, body)

    def restore(self, sequence: int, keys: list[bytes], left: list[int]) -> bytes:
        """Return a NEW message for elements, given by their keys, that have `left` seconds each, not those of a new one.

        0 for all: for ever.
        """
        before, after = self._before[4:], self._after
        chunks: list[bytes] = []
        for key, seconds in zip(keys, left):
            own = attribute(NFTA_SET_ELEM_EXPIRATION, struct.pack(">Q", seconds * 1000)) if seconds else b""
            body = before + key + after + own
            chunks.append(ATTRIBUTE.pack(len(body) + 4, NFTA_LIST_ELEM | NLA_F_NESTED) + body)
        data = b"".join(chunks)
        body = self.head + ATTRIBUTE.pack(len(data) + 4, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED) + data
        return message(NEW, NLM_F_REQUEST | NLM_F_CREATE, sequence, body)

    def failed_index(self, offset: int, more: int = 0) -> int:
        """Return the index of the element that an error's offset points into; -1 when it points at none.

        `more`: bytes that each element has besides, EXPIRATION in what `restore` made.
        """
        return (offset - self.first) // (self.element + more) if offset >= self.first else -1
