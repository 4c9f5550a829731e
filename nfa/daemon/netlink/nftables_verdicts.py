"""nftables messages for the elements of a verdict map: what becomes of a packet is to go through a chain.

In: packed elements of one map: slot number (2 bytes), the fields, and 2 bytes that name a chain ("c" and four hexadecimal
digits). Out: messages as of `nftables.Elements`. Source: linux/netfilter/nf_tables.h.
"""

import struct

from . import nftables
from .nftables import DEL, NEW, NFTA_DATA_VALUE, NFTA_LIST_ELEM, NFTA_SET_ELEM_EXPIRATION, NFTA_SET_ELEM_KEY
from .nftables_rules import (
    NFT_JUMP,
    NFTA_COUNTER_BYTES,
    NFTA_COUNTER_PACKETS,
    NFTA_EXPR_DATA,
    NFTA_SET_ELEM_DATA,
    verdict_data,
)
from .wire import ATTRIBUTE, NLA_F_NESTED, NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, attribute, attributes, message

GET = 0xA0D
"""NFT_MSG_GETSETELEM, with its subsystem."""
NFTA_SET_ELEM_EXPR = 7
END = 2
"""Bytes of a packed element that name its chain."""


class Verdicts(nftables.Elements):
    """Encodes the elements of one map; `expand` makes a key of an element without its end."""

    def __init__(self, table_family: int, table: str, name: str, sizes: tuple[int, ...]) -> None:
        super().__init__(table_family, table, name, sizes, -1)
        self._expand = nftables.expander_of(sizes)
        size = nftables.key_size(sizes)
        whole = attribute(NFTA_SET_ELEM_DATA | NLA_F_NESTED, verdict_data(NFT_JUMP, "c0000"))
        at = whole.index(b"c0000") + 1
        self._named, self._rest = whole[:at], whole[at + 4 :]
        self.less = len(whole)
        """Bytes that an element lacks in a message that deletes it."""
        padding = -size % 4
        key = ATTRIBUTE.pack(size + 8 + padding, NFTA_SET_ELEM_KEY | NLA_F_NESTED) + ATTRIBUTE.pack(size + 4, NFTA_DATA_VALUE)
        self._bare = ATTRIBUTE.pack(self.element, NFTA_LIST_ELEM | NLA_F_NESTED) + key, bytes(padding)
        self.element += len(whole)
        self._full = ATTRIBUTE.pack(self.element, NFTA_LIST_ELEM | NLA_F_NESTED) + key, bytes(padding) + self._named
        self._body = key
        self.room = min(1024, (65535 - 4) // self.element)

    def encode(self, command: int, sequence: int, elements: list[bytes]) -> bytes:
        """Return a NEW or DEL message for at most `room` elements."""
        expand, rest = self._expand, self._rest
        if command == DEL:
            before, after = self._bare
            data = b"".join([before + expand(key[:-END]) + after for key in elements])
        else:
            before, after = self._full
            data = b"".join([before + expand(key[:-END]) + after + key[-END:].hex().encode() + rest for key in elements])
        return self._message(command, sequence, data)

    def restore(self, sequence: int, keys: list[bytes], left: list[int]) -> bytes:
        """Return a NEW message for packed elements that have `left` seconds each, not those of a new one."""
        expand, rest = self._expand, self._rest
        before, after = self._full
        timed = ATTRIBUTE.pack(self.element + nftables.EXPIRATION, NFTA_LIST_ELEM | NLA_F_NESTED) + self._body
        # Thousands end in the same second.
        sides: dict[int, tuple[bytes, bytes]] = {0: (before, rest)}
        chunks = []
        for key, seconds in zip(keys, left):
            if seconds not in sides:
                sides[seconds] = timed, rest + attribute(NFTA_SET_ELEM_EXPIRATION, struct.pack(">Q", seconds * 1000))
            start, end = sides[seconds]
            chunks.append(start + expand(key[:-END]) + after + key[-END:].hex().encode() + end)
        return self._message(NEW, sequence, b"".join(chunks))

    def ask(self, sequence: int, element: bytes) -> bytes:
        """Return GETSETELEM for one packed element, whatever it ends with. The answer is ENOENT when it is not there."""
        before, after = self._bare
        return self._message(GET, sequence, before + self._expand(element[:-END]) + after, NLM_F_ACK)

    def _message(self, command: int, sequence: int, data: bytes, more: int = 0) -> bytes:
        body = self.head + ATTRIBUTE.pack(len(data) + 4, nftables.NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED) + data
        flags = NLM_F_REQUEST | NLM_F_CREATE if command == NEW else NLM_F_REQUEST | more
        return message(command, flags, sequence, body)


def counted(payload: bytes) -> tuple[int, int] | None:
    """Return the packets and bytes that have met an element, from an answer to `Verdicts.ask`; None where nothing counts."""
    for kind, listed in attributes(payload[4:]):
        for _, element in attributes(listed) if kind == nftables.NFTA_SET_ELEM_LIST_ELEMENTS else []:
            expression = dict(attributes(dict(attributes(element)).get(NFTA_SET_ELEM_EXPR, b"")))
            counts = dict(attributes(expression.get(NFTA_EXPR_DATA, b"")))
            if NFTA_COUNTER_PACKETS in counts and NFTA_COUNTER_BYTES in counts:
                return int.from_bytes(counts[NFTA_COUNTER_PACKETS], "big"), int.from_bytes(counts[NFTA_COUNTER_BYTES], "big")
    return None
