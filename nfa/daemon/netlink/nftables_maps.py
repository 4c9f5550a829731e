"""nftables messages for the elements of a map from keys to numbers, and for those of a map from numbers to chains.

In: packed elements of one map: slot number (2 bytes), the fields, and the element's number (2 bytes, in host order). Out:
messages as of `nftables.Elements`. For nft a number is of the type mark: 4 bytes in host order. Source:
linux/netfilter/nf_tables.h.
"""

import struct
import sys

from ..base.portable import Struct, pack_rows
from . import nftables
from .nftables import (
    DEL,
    NEW,
    NFTA_DATA_VALUE,
    NFTA_LIST_ELEM,
    NFTA_SET_ELEM_EXPIRATION,
    NFTA_SET_ELEM_KEY,
    NFTA_SET_ELEM_LIST_ELEMENTS,
)
from .nftables_rules import (
    NFT_JUMP,
    NFTA_COUNTER_BYTES,
    NFTA_COUNTER_PACKETS,
    NFTA_EXPR_DATA,
    NFTA_SET_ELEM_DATA,
    verdict_data,
)
from .wire import (
    ATTRIBUTE,
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_REQUEST,
    attribute,
    attributes,
    message,
    nfgen,
)

GET = 0xA0D
"""NFT_MSG_GETSETELEM, with its subsystem."""
NFTA_SET_ELEM_EXPR = 7
END = 2
"""Bytes of a packed element that are its number; ..."""
_LITTLE = sys.byteorder == "little"
_ZEROS = bytes(4 - END)
"""... and what it lacks to those of a mark."""


class Numbers(nftables.Elements):
    """Encodes the elements of one map from keys to numbers."""

    def __init__(self, table_family: int, table: str, name: str, sizes: tuple[int, ...]) -> None:
        super().__init__(table_family, table, name, sizes, -1)
        self._expand = nftables.expander_of(sizes)
        data = attribute(NFTA_SET_ELEM_DATA | NLA_F_NESTED, attribute(NFTA_DATA_VALUE, bytes(4)))
        self.less = len(data)
        """Bytes that an element lacks in a message that deletes it."""
        size = nftables.key_size(sizes)
        padding = bytes(-size % 4)
        key = ATTRIBUTE.pack(size + 8 + len(padding), NFTA_SET_ELEM_KEY | NLA_F_NESTED)
        key += ATTRIBUTE.pack(size + 4, NFTA_DATA_VALUE)
        self._key, self._padding = key, padding
        self._bare = ATTRIBUTE.pack(self.element, NFTA_LIST_ELEM | NLA_F_NESTED) + key
        self.element += len(data)
        self.room = min(1024, (65535 - 4) // self.element)
        self._sizes = sizes
        self._number = padding + data[:-4] + (b"" if _LITTLE else _ZEROS)
        """What stands before an element's number."""
        form = ">2x" + "".join([f"{one}s" for one in sizes])
        self._fields = Struct(form + f"{END}s")
        self._keys = Struct(form + f"{END}x")
        form, parts = nftables.between(sizes, self._bare, padding)
        self._plain = Struct(form), parts
        self._whole = self._form(b"")

    def _form(self, more: bytes) -> tuple[Struct, list[bytes]]:
        """Return the form of a whole element, and what stands between its parts. `more`: attributes that it has besides."""
        start = ATTRIBUTE.pack(self.element + len(more), NFTA_LIST_ELEM | NLA_F_NESTED) + self._key
        made, parts = nftables.between(self._sizes, start, self._number)
        last = (_ZEROS if _LITTLE else b"") + more
        return Struct(made + f"{END}s{len(last)}s"), parts + [last]

    def encode(self, command: int, sequence: int, elements: list[bytes]) -> bytes:
        """Return a NEW or DEL message for at most `room` elements."""
        whole, parts = self._plain if command == DEL else self._whole
        fields = self._keys if command == DEL else self._fields
        return self._message(command, sequence, pack_rows(whole, fields, elements, parts, False))

    def restore(self, sequence: int, keys: list[bytes], left: list[int]) -> bytes:
        """Return a NEW message for packed elements that have `left` seconds each, not those of a new one."""
        chunks = []
        start = 0
        for index in range(1, len(keys) + 1):
            # Hundreds that follow each other end in the same second.
            if index == len(keys) or left[index] != left[start]:
                seconds = left[start]
                more = attribute(NFTA_SET_ELEM_EXPIRATION, struct.pack(">Q", seconds * 1000)) if seconds else b""
                whole, parts = self._form(more)
                chunks.append(pack_rows(whole, self._fields, keys[start:index], parts, False))
                start = index
        return self._message(NEW, sequence, b"".join(chunks))

    def ask(self, sequence: int, element: bytes) -> bytes:
        """Return GETSETELEM for one packed element, whatever its number. The answer is ENOENT when it is not there."""
        return self._message(GET, sequence, self._bare + self._expand(element[:-END]) + self._padding, NLM_F_ACK)

    def _message(self, command: int, sequence: int, data: bytes, more: int = 0) -> bytes:
        body = self.head + ATTRIBUTE.pack(len(data) + 4, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED) + data
        flags = NLM_F_REQUEST | NLM_F_CREATE if command == NEW else NLM_F_REQUEST | more
        return message(command, flags, sequence, body)


def leads(command: int, family: int, table: str, name: str, number: int, chain: str, code: int = NFT_JUMP) -> bytes:
    """Return the message that adds an element to a map from numbers to chains, or deletes it (NEW, DEL): no more than `number`
    is looked at then. `code`: NFT_JUMP or NFT_GOTO."""
    key = attribute(NFTA_SET_ELEM_KEY | NLA_F_NESTED, attribute(NFTA_DATA_VALUE, number.to_bytes(4, sys.byteorder)))
    if command == NEW:
        key += attribute(NFTA_SET_ELEM_DATA | NLA_F_NESTED, verdict_data(code, chain))
    listed = attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, attribute(NFTA_LIST_ELEM | NLA_F_NESTED, key))
    flags = NLM_F_REQUEST | NLM_F_CREATE if command == NEW else NLM_F_REQUEST
    return message(command, flags, 0, nfgen(family) + nftables.in_set(table, name) + listed)


def counted(payload: bytes) -> tuple[int, int] | None:
    """Return the packets and bytes that have met an element, from an answer to `Numbers.ask`; None where nothing counts."""
    for kind, listed in attributes(payload[4:]):
        for _, element in attributes(listed) if kind == NFTA_SET_ELEM_LIST_ELEMENTS else []:
            expression = dict(attributes(dict(attributes(element)).get(NFTA_SET_ELEM_EXPR, b"")))
            counts = dict(attributes(expression.get(NFTA_EXPR_DATA, b"")))
            if NFTA_COUNTER_PACKETS in counts and NFTA_COUNTER_BYTES in counts:
                return int.from_bytes(counts[NFTA_COUNTER_PACKETS], "big"), int.from_bytes(counts[NFTA_COUNTER_BYTES], "big")
    return None
