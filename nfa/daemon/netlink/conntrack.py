"""Conntrack messages (subsystem 1): change and delete an entry, read the table. Source: nfnetlink_conntrack.h.

In: packed connections, marks and labels as numbers. Out: complete messages; and from the answers of a dump, the tuples of
its entries. A packed connection is 14 or 38 bytes: IP version, protocol, source, destination, source port, destination
port, in network order. The kernel finds an entry by the tuple of either of its directions, whichever is named here as the
original one; an entry that is not there is ENOENT for the message's own sequence number. A batch needs no end and no ACK:
each message is taken or refused alone.
"""

import struct

from ..base.portable import Struct
from .wire import HEADER, NESTED, NLM_F_REQUEST, NUMBER, WORD, attribute, attributes, message, nfgen

UPDATE = 0x100
"""IPCTNL_MSG_CT_NEW without CREATE. The answers of a dump have this type, too."""
READ = 0x101
DELETE = 0x102
DONE = 3
_ERROR = 2
_DUMP = 0x300
_FILTER_PROTOCOL = 1 << 3
_FAMILY = {4: 2, 6: 10}

ICMP = 1
ICMPV6 = 58
MAX_BATCH = 128
"""Messages in one send: should each be refused, the answers still fit into the receive buffer (256 of them on 6.18)."""


def _layout(size: int) -> Struct:
    """Return the form of header and tuple for addresses of `size` bytes: all nested attributes at their fixed places."""
    ports = "HHB3x HH2s2x HH2s2x"
    return Struct("=IHHII BBH HH HH HH%ds HH%ds HH " % (size, size) + ports)  # noqa: UP031


_V4, _V6 = _layout(4), _layout(16)
_PARTS4, _PARTS6 = Struct(">xB4s4s2s2s"), Struct(">xB16s16s2s2s")


def encode(command: int, sequence: int, connection: bytes, tail: bytes) -> bytes:
    """Return an UPDATE or DELETE message about a packed connection; `tail`: attributes of `mark` or `labels`."""
    if connection[0] == 4:
        protocol, source, destination, sport, dport = _PARTS4.unpack(connection)
        return _V4.pack(72 + len(tail), command, NLM_F_REQUEST, sequence, 0, 2, 0, 0,
                        52, 1 | NESTED, 20, 1 | NESTED, 8, 1, source, 8, 2, destination,
                        28, 2 | NESTED, 5, 1, protocol, 6, 2, sport, 6, 3, dport) + tail  # fmt: skip
    protocol, source, destination, sport, dport = _PARTS6.unpack(connection)
    return _V6.pack(96 + len(tail), command, NLM_F_REQUEST, sequence, 0, 10, 0, 0,
                    76, 1 | NESTED, 44, 1 | NESTED, 20, 3, source, 20, 4, destination,
                    28, 2 | NESTED, 5, 1, protocol, 6, 2, sport, 6, 3, dport) + tail  # fmt: skip


def encode_raw(command: int, sequence: int, version: int, original: bytes, tail: bytes) -> bytes:
    """Return the same for an entry by the payload of its TUPLE_ORIG, as `entries` gives it (ICMP: type, code and id)."""
    return message(command, NLM_F_REQUEST, sequence, nfgen(_FAMILY[version]) + attribute(1 | NESTED, original) + tail)


def mark(value: int, mask: int) -> bytes:
    """Return the attributes that set the bits of `mask` to those of `value`, and leave the others.

    The kernel computes (old & ~mask) ^ value, so `value` must not have bits outside the mask.
    """
    return attribute(8, struct.pack(">I", value & mask)) + attribute(21, struct.pack(">I", mask))


def labels(value: int, mask: int) -> bytes:
    """Return the same for labels; label n is bit n of these numbers. The kernel has them in words of 32 bits, host order."""
    return attribute(22, _words(value & mask)) + attribute(23, _words(mask))


def _words(bits: int) -> bytes:
    return b"".join([WORD.pack(bits >> shift & 0xFFFFFFFF) for shift in (0, 32, 64, 96)])


def reverse(connection: bytes) -> bytes:
    """Return a packed connection as its other side sees it."""
    size = 4 if connection[0] == 4 else 16
    middle, end = 2 + size, 2 + 2 * size
    ports = connection[end + 2 : end + 4] + connection[end : end + 2]
    return connection[:2] + connection[middle:end] + connection[2:middle] + ports


def read(sequence: int, version: int, protocol: int, filtered: bool) -> bytes:
    """Return the request for a dump of the entries of an IP version.

    `filtered`: of one protocol only; kernels before 5.8 do not know that and give all.
    """
    body = nfgen(_FAMILY[version])
    if filtered:
        body += attribute(1 | NESTED, attribute(2 | NESTED, attribute(1, bytes((protocol,)))))
        flags = WORD.pack(_FILTER_PROTOCOL)
        body += attribute(25 | NESTED, attribute(1, flags) + attribute(2, WORD.pack(0)))
    return message(READ, NLM_F_REQUEST | _DUMP, sequence, body)


def entries(data: bytes, sequence: int, protocol: int) -> tuple[list[tuple[bytes, bytes, bytes]], int]:
    """Return the entries of a protocol in one datagram of a dump, and -1, or the error (0: none) that the dump ended with.

    An entry is (source and destination of the original direction, those of the reply, payload of TUPLE_ORIG).
    """
    found: list[tuple[bytes, bytes, bytes]] = []
    position = 0
    while position + 20 <= len(data):
        length, kind, _, number, _ = HEADER.unpack_from(data, position)
        if length < 16 or position + length > len(data):
            break
        if number == sequence:
            if kind in (DONE, _ERROR):
                return found, -NUMBER.unpack_from(data, position + 16)[0]
            # The kernel writes the original tuple first, and in it the protocol at a fixed place: most entries end here.
            place = position + (52 if data[position + 16] == 2 else 76)
            if kind == UPDATE and place < position + length and data[place] == protocol:
                tuples = dict(attributes(data[position + 20 : position + length]))
                if 1 in tuples and 2 in tuples:
                    found.append((_addresses(tuples[1]), _addresses(tuples[2]), tuples[1]))
        position += (length + 3) & ~3
    return found, -1


def _addresses(payload: bytes) -> bytes:
    """Return source and destination of a tuple, one after the other; b"" where they are not both told."""
    found = dict(attributes(dict(attributes(payload)).get(1, b"")))
    if 1 in found and 2 in found:
        return found[1] + found[2]
    return found[3] + found[4] if 3 in found and 4 in found else b""
