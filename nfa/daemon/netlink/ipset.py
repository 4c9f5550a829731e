"""ipset messages for elements (subsystem 6). Source: linux/netfilter/ipset/ip_set.h, lib/PROTOCOL of ipset.

In: packed elements of one set. Out: one ADD or DEL message for up to `room` of them. An element is added without EXCL:
one that is there gets its timeout anew. The kernel stops at the first element that it refuses and keeps the earlier ones;
the LINENO it echoes is the index of the refused one.
"""

import struct

from ..base.portable import Struct, pack_rows
from .wire import ATTRIBUTE, NESTED, NET_BYTEORDER, NLM_F_ACK, NLM_F_REQUEST, WORD, attribute, attributes, message, nfgen, pad

ADD = 0x609
DEL = 0x60A
FULL = 4352
IN_USE = 4100
MAX_MESSAGE = 32 << 10
"""The kernel echoes a message of which it refuses an element whole, and the echo has to fit into the reader's buffer."""
_LINENO = 9
_LINE = Struct("=HHI")
_N = NET_BYTEORDER
_FIELD = {
    "ip_proto": (7, 1),
    "local_port": (4 | _N, 2),
    "other_port": (4 | _N, 2),
    "local_mac": (17, 6),
    "other_mac": (17, 6),
}
_FAMILY = {4: 2, 6: 10}


def width(field: str, family: int) -> int:
    """Return how many bytes a field has in a packed element."""
    return _FIELD[field][1] if field in _FIELD else (4 if family == 4 else 16)


class Elements:
    """Encodes the elements of one set. A packed element is its slot (2 bytes), then the fields, network order, not padded."""

    def __init__(
        self, name: str, family: int, fields: tuple[str, ...], protocol: int, timeout: int, skb: dict[str, int] | None
    ) -> None:
        """`timeout`: seconds every element carries, -1 to leave it to the set. `skb`: mark, mask, prio, queue or None."""
        self.head = nfgen(_FAMILY[family]) + attribute(1, bytes((protocol,))) + attribute(2, name.encode() + b"\0")
        self.head += attribute(_LINENO, b"\0\0\0\0")
        self._parts: list[tuple[bytes, int, bytes]] = []
        seen_address = False
        for field in fields:
            size = width(field, family)
            if field in _FIELD:
                kind = _FIELD[field][0]
                before = ATTRIBUTE.pack(size + 4, kind)
            else:
                inner = ATTRIBUTE.pack(size + 4, (1 if family == 4 else 2) | _N)
                before = ATTRIBUTE.pack(size + 8, (20 if seen_address else 1) | NESTED) + inner
                seen_address = True
            self._parts.append((before, size, pad(b"\0" * size)[size:]))
        own = attribute(6 | _N, struct.pack(">I", timeout)) if timeout >= 0 else b""
        tail = b""
        if skb:
            if "mark" in skb:
                tail += attribute(27 | _N, struct.pack(">II", skb["mark"], skb.get("mask", 0xFFFFFFFF)))
            if "prio" in skb:
                tail += attribute(28 | _N, struct.pack(">I", skb["prio"]))
            if "queue" in skb:
                tail += attribute(29 | _N, struct.pack(">H", skb["queue"]))
        self._fields = Struct(">2x" + "".join(["%ds" % size for _, size, _ in self._parts]))  # noqa: UP031
        self._skb = tail
        self._tail = tail = own + tail
        self.element = 4 + sum([len(b) + s + len(a) for b, s, a in self._parts]) + len(tail) + 8
        """Bytes of one element in a message."""
        self.room = min(1024, MAX_MESSAGE // self.element)
        """Elements of one message."""
        between = [ATTRIBUTE.pack(self.element, 7 | NESTED)]
        for before, _, after in self._parts:
            between[-1] += before
            between.append(after)
        between[-1] += tail + ATTRIBUTE.pack(8, _LINENO)
        sizes = [size for _, size, _ in self._parts] + [4]
        whole = "=" + "".join(["%ds%ds" % (len(b), size) for b, size in zip(between, sizes)])[:-2] + "I"  # noqa: B905, UP031
        self._whole = Struct(whole), between
        """An element with its index, and what stands before each of its fields and before the index."""

    def restore(self, sequence: int, keys: list[bytes], left: list[int]) -> bytes:
        """Return an ADD message for packed elements that have `left` seconds each; 0: what the set has for them."""
        chunks = []
        for index, (key, seconds) in enumerate(zip(keys, left)):  # noqa: B905 (MicroPython's zip has no strict)
            tail = attribute(6 | _N, struct.pack(">I", seconds)) + self._skb if seconds else self._tail
            fields = b""
            position = 2
            for before, size, after in self._parts:
                fields += before + key[position : position + size] + after
                position += size
            fields += tail + _LINE.pack(8, _LINENO, index)
            chunks.append(ATTRIBUTE.pack(len(fields) + 4, 7 | NESTED) + fields)
        data = b"".join(chunks)
        body = self.head + ATTRIBUTE.pack(len(data) + 4, 8 | NESTED) + data
        return message(ADD, NLM_F_REQUEST | NLM_F_ACK, sequence, body)

    def encode(self, command: int, sequence: int, elements: list[bytes]) -> bytes:
        """Return one message, acknowledged, for at most `room` elements."""
        whole, between = self._whole
        data = pack_rows(whole, self._fields, elements, between, True)
        body = self.head + ATTRIBUTE.pack(len(data) + 4, 8 | NESTED) + data
        return message(command, NLM_F_REQUEST | NLM_F_ACK, sequence, body)


def failed_index(echo: bytes) -> int:
    """Return the index of the element that stopped a message, from the kernel's echo of it; 0 when it is not told."""
    for kind, value in attributes(echo[20:]):
        if kind == _LINENO and len(value) == 4:
            return WORD.unpack(value)[0]  # type: ignore[no-any-return]
    return 0
