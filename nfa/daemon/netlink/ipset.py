"""ipset messages for elements (subsystem 6). Source: linux/netfilter/ipset/ip_set.h, lib/PROTOCOL of ipset.

In: packed elements of one set. Out: one ADD or DEL message for up to `room` of them. An element is added without EXCL:
one that is there is refreshed. The kernel stops at the first element that it refuses and keeps the earlier ones;
the LINENO it echoes is the index of the refused one.
"""

import struct

from ..base.portable import Struct, pack_rows
from .wire import (
    ATTRIBUTE,
    NFPROTO_OF,
    NLA_F_NESTED,
    NLA_F_NET_BYTEORDER,
    NLM_F_ACK,
    NLM_F_REQUEST,
    WORD,
    attribute,
    attributes,
    message,
    nfgen,
    pad,
    string,
)

NFNL_SUBSYS_IPSET = 6
ADD = 0x609
"""IPSET_CMD_ADD, with its subsystem."""
DEL = 0x60A
"""IPSET_CMD_DEL, with its subsystem."""
IPSET_ATTR_PROTOCOL = 1
IPSET_ATTR_SETNAME = 2
IPSET_ATTR_DATA = 7
IPSET_ATTR_ADT = 8
IPSET_ATTR_LINENO = 9
IPSET_ATTR_IP = 1
IPSET_ATTR_PORT = 4
IPSET_ATTR_TIMEOUT = 6
IPSET_ATTR_PROTO = 7
IPSET_ATTR_ETHER = 17
IPSET_ATTR_IP2 = 20
IPSET_ATTR_SKBMARK = 27
IPSET_ATTR_SKBPRIO = 28
IPSET_ATTR_SKBQUEUE = 29
IPSET_ATTR_IPADDR_IPV4 = 1
IPSET_ATTR_IPADDR_IPV6 = 2
IPSET_ERR_PROTOCOL = 4097
IPSET_ERR_FIND_TYPE = 4098
IPSET_ERR_MAX_SETS = 4099
IPSET_ERR_BUSY = 4100
IPSET_ERR_TYPE_MISMATCH = 4102
IPSET_ERR_EXIST = 4103
IPSET_ERR_INVALID_FAMILY = 4106
IPSET_ERR_TIMEOUT = 4107
IPSET_ERR_REFERENCED = 4108
IPSET_ERR_SKBINFO = 4114
IPSET_ERR_HASH_FULL = 4352
"""Also IPSET_ERR_BITMAP_RANGE: type-specific errors share their numbers."""
IPSET_ERR_INVALID_PROTO = 4354
MAX_MESSAGE = 32 << 10
"""The kernel echoes a message of which it refuses an element whole, and the echo has to fit into the reader's buffer."""
_LINE = Struct("=HHI")
_FIELD = {
    "ip_proto": (IPSET_ATTR_PROTO, 1),
    "local_port": (IPSET_ATTR_PORT | NLA_F_NET_BYTEORDER, 2),
    "other_port": (IPSET_ATTR_PORT | NLA_F_NET_BYTEORDER, 2),
    "local_mac": (IPSET_ATTR_ETHER, 6),
    "other_mac": (IPSET_ATTR_ETHER, 6),
}


def width(field: str, family: int) -> int:
    """Return how many bytes a field has in a packed element."""
    return _FIELD[field][1] if field in _FIELD else (4 if family == 4 else 16)


def _number(kind: int, form: str, value: int) -> bytes:
    """Return an attribute with a number in network order."""
    return attribute(kind | NLA_F_NET_BYTEORDER, struct.pack(form, value))


class Elements:
    """Encodes the elements of one set. A packed element is its slot (2 bytes), then the fields, network order, not padded."""

    def __init__(
        self, name: str, family: int, fields: tuple[str, ...], protocol: int, timeout: int, skb: dict[str, int] | None
    ) -> None:
        """`timeout`: seconds every element carries, -1 to leave it to the set. `skb`: mark, mask, prio, queue or None."""
        self.head = (
            nfgen(NFPROTO_OF[family])
            + attribute(IPSET_ATTR_PROTOCOL, bytes((protocol,)))
            + string(IPSET_ATTR_SETNAME, name)
            + attribute(IPSET_ATTR_LINENO, b"\0\0\0\0")
        )
        self._parts: list[tuple[bytes, int, bytes]] = []
        seen_address = False
        for field in fields:
            size = width(field, family)
            if field in _FIELD:
                kind = _FIELD[field][0]
                before = ATTRIBUTE.pack(size + 4, kind)
            else:
                address = IPSET_ATTR_IPADDR_IPV4 if family == 4 else IPSET_ATTR_IPADDR_IPV6
                which = IPSET_ATTR_IP2 if seen_address else IPSET_ATTR_IP
                before = ATTRIBUTE.pack(size + 8, which | NLA_F_NESTED)
                before += ATTRIBUTE.pack(size + 4, address | NLA_F_NET_BYTEORDER)
                seen_address = True
            self._parts.append((before, size, pad(b"\0" * size)[size:]))
        own = _number(IPSET_ATTR_TIMEOUT, ">I", timeout) if timeout >= 0 else b""
        tail = b""
        if skb:
            if "mark" in skb:
                tail += _number(IPSET_ATTR_SKBMARK, ">Q", skb["mark"] << 32 | skb.get("mask", 0xFFFFFFFF))
            if "prio" in skb:
                tail += _number(IPSET_ATTR_SKBPRIO, ">I", skb["prio"])
            if "queue" in skb:
                tail += _number(IPSET_ATTR_SKBQUEUE, ">H", skb["queue"])
        self._fields = Struct(">2x" + "".join([f"{size}s" for _, size, _ in self._parts]))
        self._skb = tail
        self._tail = tail = own + tail
        self.element = 4 + sum([len(b) + s + len(a) for b, s, a in self._parts]) + len(tail) + 8
        """Bytes of one element in a message."""
        self.room = min(1024, MAX_MESSAGE // self.element)
        """Elements of one message."""
        between = [ATTRIBUTE.pack(self.element, IPSET_ATTR_DATA | NLA_F_NESTED)]
        for before, _, after in self._parts:
            between[-1] += before
            between.append(after)
        between[-1] += tail + ATTRIBUTE.pack(8, IPSET_ATTR_LINENO)
        sizes = [size for _, size, _ in self._parts] + [4]
        whole = "=" + "".join([f"{len(b)}s{size}s" for b, size in zip(between, sizes)])[:-2] + "I"
        self._whole = Struct(whole), between
        """An element with its index, and what stands before each of its fields and before the index."""

    def restore(self, sequence: int, keys: list[bytes], left: list[int]) -> bytes:
        """Return an ADD message for packed elements that have `left` seconds each; 0: what the set has for them."""
        chunks: list[bytes] = []
        for index, (key, seconds) in enumerate(zip(keys, left)):
            tail = _number(IPSET_ATTR_TIMEOUT, ">I", seconds) + self._skb if seconds else self._tail
            fields = b""
            position = 2
            for before, size, after in self._parts:
                fields += before + key[position : position + size] + after
                position += size
            fields += tail + _LINE.pack(8, IPSET_ATTR_LINENO, index)
            chunks.append(ATTRIBUTE.pack(len(fields) + 4, IPSET_ATTR_DATA | NLA_F_NESTED) + fields)
        data = b"".join(chunks)
        body = self.head + ATTRIBUTE.pack(len(data) + 4, IPSET_ATTR_ADT | NLA_F_NESTED) + data
        return message(ADD, NLM_F_REQUEST | NLM_F_ACK, sequence, body)

    def encode(self, command: int, sequence: int, elements: list[bytes]) -> bytes:
        """Return one message, acknowledged, for at most `room` elements."""
        whole, between = self._whole
        data = pack_rows(whole, self._fields, elements, between, True)
        body = self.head + ATTRIBUTE.pack(len(data) + 4, IPSET_ATTR_ADT | NLA_F_NESTED) + data
        return message(command, NLM_F_REQUEST | NLM_F_ACK, sequence, body)


def failed_index(echo: bytes) -> int:
    """Return the index of the element that stopped a message, from the kernel's echo of it; 0 when it is not given."""
    for kind, value in attributes(echo[20:]):
        if kind == IPSET_ATTR_LINENO and len(value) == 4:
            index: int = WORD.unpack(value)[0]
            return index
    return 0
