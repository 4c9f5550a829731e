"""Conntrack messages (subsystem 1): change and delete an entry, read the table. Source: nfnetlink_conntrack.h.

In: packed connections, marks and labels as numbers. Out: complete messages; and from the answers of a dump, the tuples of
its entries. A packed connection is 14 or 38 bytes: IP version, protocol, source, destination, source port, destination
port, in network order. The kernel finds an entry by the tuple of either of its directions, whichever is named here as the
original one; an entry that is not there is ENOENT for the message's own sequence number. A batch needs no end and no ACK:
each message is taken or refused alone.
"""

import struct
import sys

from ..base.portable import Struct
from .wire import (
    ATTRIBUTE,
    HEADER,
    NFPROTO_OF,
    NLA_F_NESTED,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NUMBER,
    WORD,
    attribute,
    attributes,
    message,
    nfgen,
)

UPDATE = 0x100
"""IPCTNL_MSG_CT_NEW, with its subsystem; without CREATE. The answers of a dump have this type, too."""
READ = 0x101
"""IPCTNL_MSG_CT_GET"""
DELETE = 0x102
"""IPCTNL_MSG_CT_DELETE"""
CTA_TUPLE_ORIG = 1
CTA_TUPLE_REPLY = 2
CTA_MARK = 8
CTA_MARK_MASK = 21
CTA_LABELS = 22
CTA_LABELS_MASK = 23
CTA_FILTER = 25
CTA_TUPLE_IP = 1
CTA_TUPLE_PROTO = 2
CTA_IP_V4_SRC = 1
CTA_IP_V4_DST = 2
CTA_IP_V6_SRC = 3
CTA_IP_V6_DST = 4
CTA_PROTO_NUM = 1
CTA_PROTO_SRC_PORT = 2
CTA_PROTO_DST_PORT = 3
CTA_FILTER_ORIG_FLAGS = 1
CTA_FILTER_REPLY_FLAGS = 2
_FILTER_PROTOCOL = 1 << 3
"""CTA_FILTER_F_CTA_PROTO_NUM of net/netfilter/nf_conntrack_netlink.c; no header has it."""

ICMP = 1
ICMPV6 = 58
MAX_BATCH = 128
"""Messages in one send: should each be refused, the answers still fit into the receive buffer (256 of them on 6.18)."""


def _layout(version: int) -> tuple[Struct, tuple[bytes, bytes, bytes, bytes, bytes]]:
    """Return the form of a message about a connection, and what stands before each part of that: all nested attributes
    have their fixed places."""
    size, source, destination = (4, CTA_IP_V4_SRC, CTA_IP_V4_DST) if version == 4 else (16, CTA_IP_V6_SRC, CTA_IP_V6_DST)
    addresses = 4 + 2 * (4 + size)
    before = (
        nfgen(NFPROTO_OF[version])
        + ATTRIBUTE.pack(4 + addresses + 28, CTA_TUPLE_ORIG | NLA_F_NESTED)
        + ATTRIBUTE.pack(addresses, CTA_TUPLE_IP | NLA_F_NESTED)
        + ATTRIBUTE.pack(4 + size, source),
        ATTRIBUTE.pack(4 + size, destination),
        ATTRIBUTE.pack(28, CTA_TUPLE_PROTO | NLA_F_NESTED) + ATTRIBUTE.pack(5, CTA_PROTO_NUM),
        ATTRIBUTE.pack(6, CTA_PROTO_SRC_PORT),
        ATTRIBUTE.pack(6, CTA_PROTO_DST_PORT),
    )
    return Struct(f"=IHHII 16s{size}s 4s{size}s 8sB3x 4s2s2x 4s2s2x"), before


_V4, _V6 = _layout(4), _layout(6)
_PARTS4, _PARTS6 = Struct(">xB4s4s2s2s"), Struct(">xB16s16s2s2s")


def encode(command: int, sequence: int, connection: bytes, tail: bytes) -> bytes:
    """Return an UPDATE or DELETE message about a packed connection; `tail`: attributes of `mark` or `labels`."""
    if connection[0] == 4:
        protocol, source, destination, sport, dport = _PARTS4.unpack(connection)
        form, (first, second, third, fourth, fifth) = _V4
    else:
        protocol, source, destination, sport, dport = _PARTS6.unpack(connection)
        form, (first, second, third, fourth, fifth) = _V6
    whole = form.pack(form.size + len(tail), command, NLM_F_REQUEST, sequence, 0, first, source, second, destination,
                      third, protocol, fourth, sport, fifth, dport)  # fmt: skip
    return whole + tail


def encode_raw(command: int, sequence: int, version: int, original: bytes, tail: bytes) -> bytes:
    """Return the same for an entry by the payload of its TUPLE_ORIG, as `entries` gives it (ICMP: type, code and id)."""
    body = nfgen(NFPROTO_OF[version]) + attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, original)
    return message(command, NLM_F_REQUEST, sequence, body + tail)


def mark(value: int, mask: int) -> bytes:
    """Return the attributes that set the bits of `mask` to those of `value`, and leave the others.

    The kernel computes (old & ~mask) ^ value, so `value` must not have bits outside the mask.
    """
    return attribute(CTA_MARK, struct.pack(">I", value & mask)) + attribute(CTA_MARK_MASK, struct.pack(">I", mask))


def labels(value: int, mask: int) -> bytes:
    """Return the same for labels; label n is bit n of these numbers.

    The firewall reads the 128 bits as one number in host order, and so does nft's `ct label`. libnetfilter_conntrack has words
    of 32 bits, the lowest first, in host order: on a big-endian machine `conntrack -L` shows label n as n ^ 96 (nft 1.0.6,
    conntrack 1.4.7). What a rule matches counts.
    """
    return attribute(CTA_LABELS, _bits(value & mask)) + attribute(CTA_LABELS_MASK, _bits(mask))


def _bits(value: int) -> bytes:
    return value.to_bytes(16, sys.byteorder)


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
    body = nfgen(NFPROTO_OF[version])
    if filtered:
        number = attribute(CTA_PROTO_NUM, bytes((protocol,)))
        body += attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, attribute(CTA_TUPLE_PROTO | NLA_F_NESTED, number))
        flags = attribute(CTA_FILTER_ORIG_FLAGS, WORD.pack(_FILTER_PROTOCOL)) + attribute(CTA_FILTER_REPLY_FLAGS, WORD.pack(0))
        body += attribute(CTA_FILTER | NLA_F_NESTED, flags)
    return message(READ, NLM_F_REQUEST | NLM_F_DUMP, sequence, body)


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
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                error: int = NUMBER.unpack_from(data, position + 16)[0]
                return found, -error
            # The kernel writes the original tuple first, and in it the protocol at a fixed place: most entries end here.
            place = position + (52 if data[position + 16] == 2 else 76)
            if kind == UPDATE and place < position + length and data[place] == protocol:
                tuples = dict(attributes(data[position + 20 : position + length]))
                if CTA_TUPLE_ORIG in tuples and CTA_TUPLE_REPLY in tuples:
                    original = tuples[CTA_TUPLE_ORIG]
                    found.append((addresses(original), addresses(tuples[CTA_TUPLE_REPLY]), original))
        position += (length + 3) & ~3
    return found, -1


def addresses(payload: bytes) -> bytes:
    """Return source and destination of a tuple, one after the other; b"" where one of them is missing."""
    found = dict(attributes(dict(attributes(payload)).get(CTA_TUPLE_IP, b"")))
    if CTA_IP_V4_SRC in found and CTA_IP_V4_DST in found:
        return found[CTA_IP_V4_SRC] + found[CTA_IP_V4_DST]
    if CTA_IP_V6_SRC in found and CTA_IP_V6_DST in found:
        return found[CTA_IP_V6_SRC] + found[CTA_IP_V6_DST]
    return b""


def ends(payload: bytes) -> tuple[bytes, bytes]:
    """Return source and destination of a tuple, each an address and a port in network order; no port is zeros."""
    packed = addresses(payload)
    found = dict(attributes(dict(attributes(payload)).get(CTA_TUPLE_PROTO, b"")))
    half = len(packed) // 2
    none = b"\0\0"
    return packed[:half] + found.get(CTA_PROTO_SRC_PORT, none), packed[half:] + found.get(CTA_PROTO_DST_PORT, none)


def protocol_of(payload: bytes) -> int:
    """Return the protocol of a tuple, 0 when it has none."""
    found = dict(attributes(dict(attributes(payload)).get(CTA_TUPLE_PROTO, b"")))
    return int.from_bytes(found.get(CTA_PROTO_NUM, b""), "big")
