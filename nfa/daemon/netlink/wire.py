"""Netlink's framing: messages, attributes, and the errors that come back. Bytes in, bytes out.

Source: linux/netlink.h, linux/netfilter/nfnetlink.h. Header fields are in host order; a message and each attribute are
padded to 4 bytes, attribute lengths exclude the padding.

A number of a kernel header has the header's name and stands once, in the module that encodes with it; others take it from
there. A name costs MicroPython some 50 bytes, and 16 more in each module that takes it.
"""

import struct

from ..base.portable import Struct

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300
NLM_F_DUMP_INTR = 0x10
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
NLMSGERR_ATTR_OFFS = 2
NLA_F_NESTED = 0x8000
NLA_F_NET_BYTEORDER = 0x4000
NLA_TYPE_MASK = 0x3FFF

NFPROTO_OF = {4: 2, 6: 10}
"""NFPROTO_IPV4 and NFPROTO_IPV6 (linux/netfilter.h), by IP version; AF_INET and AF_INET6 are the same numbers."""

HEADER = Struct("=IHHII")
ATTRIBUTE = Struct("=HH")
WORD = Struct("=I")
NUMBER = Struct("=i")
_ZEROS = (b"", b"\0\0\0", b"\0\0", b"\0")


def pad(data: bytes) -> bytes:
    """Return data followed by what is missing to a multiple of 4."""
    return data + _ZEROS[len(data) & 3]


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded. `kind` may carry the flag bits NLA_F_NESTED and NLA_F_NET_BYTEORDER."""
    return ATTRIBUTE.pack(len(payload) + 4, kind) + pad(payload)


def string(kind: int, text: str) -> bytes:
    """Return an attribute with a text that ends with a NUL."""
    return attribute(kind, text.encode() + b"\0")


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """Return one message with its header; `payload` must be padded already."""
    return HEADER.pack(16 + len(payload), kind, flags, sequence, 0) + payload


def nfgen(family: int, resource: int = 0) -> bytes:
    """Return the header that every nfnetlink message begins with: family, version 0, resource id in network order."""
    return struct.pack(">BBH", family, 0, resource)


def with_sequence(data: bytes, sequence: int, flags: int = 0) -> bytes:
    """Return a complete message with another sequence number, and flags added."""
    length, kind, old, _, port = HEADER.unpack_from(data)
    return HEADER.pack(length, kind, old | flags, sequence, port) + data[16:]


def attributes(data: bytes) -> list[tuple[int, bytes]]:
    """Return (kind without flag bits, payload) of each attribute; stops where the data does not fit."""
    found: list[tuple[int, bytes]] = []
    position = 0
    while position + 4 <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, position)
        if length < 4 or position + length > len(data):
            break
        found.append((kind & NLA_TYPE_MASK, data[position + 4 : position + length]))
        position += (length + 3) & ~3
    return found


class Failure:
    """What the kernel said of one message: sequence number, error number (positive; 0 is an acknowledgement).

    `offset` is where in the failed message the trouble is (bytes from its header, -1 when not given), `echo` the message as
    the kernel returned it (its header only when capped).
    """

    __slots__ = ("echo", "error", "offset", "sequence")

    def __init__(self, sequence: int, error: int, offset: int, echo: bytes) -> None:
        self.sequence = sequence
        self.error = error
        self.offset = offset
        self.echo = echo


def messages(data: bytes) -> list[tuple[int, int, int, int, int]]:
    """Return (kind, flags, sequence number, place of the payload, end) of each message in a datagram.

    Stops where the data does not fit.
    """
    found: list[tuple[int, int, int, int, int]] = []
    position = 0
    while position + 16 <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, position)
        if length < 16 or position + length > len(data):
            break
        found.append((kind, flags, sequence, position + 16, position + length))
        position += (length + 3) & ~3
    return found


def failures(data: bytes) -> list[Failure]:
    """Return every NLMSG_ERROR in a datagram, acknowledgements included."""
    found: list[Failure] = []
    for kind, flags, sequence, start, stop in messages(data):
        if kind != NLMSG_ERROR or stop - start < 20:
            continue
        error = -NUMBER.unpack_from(data, start)[0]
        size = 16 if flags & NLM_F_CAPPED or not error else HEADER.unpack_from(data, start + 4)[0]
        echo = data[start + 4 : min(start + 4 + size, stop)]
        offset = -1
        if flags & NLM_F_ACK_TLVS:
            for tlv, value in attributes(data[start + 4 + ((size + 3) & ~3) : stop]):
                if tlv == NLMSGERR_ATTR_OFFS and len(value) == 4:
                    offset = WORD.unpack(value)[0]
        found.append(Failure(sequence, error, offset, echo))
    return found
