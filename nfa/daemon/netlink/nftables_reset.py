"""A table of nftables of its own that resets TCP connections which are forwarded: each packet of one in its sets gets a RST.

Out: messages that make the table, its sets and its chain, and one that deletes it. Source: linux/netfilter/nf_tables.h. Only
nft can make a RST with the right numbers, because it answers a packet; conntrack does not tell the numbers of a connection.
"""

import struct

from .nftables import NFTA_DATA_VALUE, widths
from .nftables_rules import delete_table, expression, new_base_chain, new_rule
from .nftables_sets import (
    NFT_SET_TIMEOUT,
    NFTNL_UDATA_SET_KEY_TYPEOF,
    NFTNL_UDATA_SET_KEYBYTEORDER,
    new_set,
    new_table,
    note,
)
from .rule_dumps import NFTA_LOOKUP_SET
from .wire import NLA_F_NESTED, WORD, attribute, string

TABLE = "nfa_adopt"
INET = 1
"""NFPROTO_INET"""
FIELDS = ("local_addr", "local_port", "other_addr", "other_port")
"""An element: source and destination of packets, each with its port."""
SET = {4: "v4", 6: "v6"}

_CHAIN = "forward"
_NF_INET_FORWARD = 2
_PRIORITY = -1
"""Before fw4's chain, which accepts what is established."""
NFTA_META_DREG, NFTA_META_KEY = 1, 2
NFT_META_NFPROTO, NFT_META_L4PROTO = 15, 16
NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA = 1, 2, 3
NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_OFFSET, NFTA_PAYLOAD_LEN = 1, 2, 3, 4
NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER = 1, 2
NFTA_LOOKUP_SREG = 2
NFTA_REJECT_TYPE, NFTA_REJECT_ICMP_CODE = 1, 2
NFT_REJECT_TCP_RST = 1
NFT_REG32_00 = 8
_TCP = 6
_TYPES = {4: 7, 6: 8}
"""Numbers of nft's data types ipv4_addr and ipv6_addr; that of inet_service."""
_SERVICE = 13
_TYPE_BITS = 6
_NOTES = note(NFTNL_UDATA_SET_KEYBYTEORDER, bytes(4)) + note(
    NFTNL_UDATA_SET_KEY_TYPEOF, bytes((0, 4)) + WORD.pack(13) + bytes((1, 0))
)
"""For nft, as its own: the key is a concatenation."""


def make(seconds: int) -> list[bytes]:
    """Return the messages of a transaction that makes all of it; elements live for so many seconds."""
    made = [new_table(INET, TABLE)]
    for version, name in SET.items():
        key = 0
        for kind in (_TYPES[version], _SERVICE, _TYPES[version], _SERVICE):
            key = key << _TYPE_BITS | kind
        size = sum([(one + 3) & ~3 for one in widths(FIELDS, version)])
        made.append(new_set(INET, TABLE, name, key, size, NFT_SET_TIMEOUT, seconds * 1000, 0, _NOTES))
    made.append(new_base_chain(INET, TABLE, _CHAIN, _NF_INET_FORWARD, _PRIORITY))
    for version, name in SET.items():
        made.append(new_rule(INET, TABLE, _CHAIN, _expressions(version, name)))
    return made


def destroy() -> bytes:
    """Return the message that deletes the table, with all that is in it."""
    return delete_table(INET, TABLE)


def _expressions(version: int, name: str) -> list[bytes]:
    """Return: a TCP packet of this IP version whose ends are in the set is answered with a RST, and dropped."""
    size, source = (4, 12) if version == 4 else (16, 8)
    slots = size // 4
    family = bytes((2 if version == 4 else 10,))
    first = NFT_REG32_00
    return [
        _compare(NFT_META_NFPROTO, family),
        _compare(NFT_META_L4PROTO, bytes((_TCP,))),
        _load(first, NFT_PAYLOAD_NETWORK_HEADER, source, size),
        _load(first + slots, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2),
        _load(first + slots + 1, NFT_PAYLOAD_NETWORK_HEADER, source + size, size),
        _load(first + 2 * slots + 1, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2),
        expression("lookup", string(NFTA_LOOKUP_SET, name) + _word(NFTA_LOOKUP_SREG, first)),
        expression("reject", _word(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST) + attribute(NFTA_REJECT_ICMP_CODE, b"\0")),
    ]


def _compare(key: int, value: bytes) -> bytes:
    """Return two expressions: what the kernel knows of a packet is this."""
    data = attribute(NFTA_CMP_DATA | NLA_F_NESTED, attribute(NFTA_DATA_VALUE, value))
    compared = _word(NFTA_CMP_SREG, NFT_REG32_00) + _word(NFTA_CMP_OP, 0) + data
    return expression("meta", _word(NFTA_META_KEY, key) + _word(NFTA_META_DREG, NFT_REG32_00)) + expression("cmp", compared)


def _load(register: int, base: int, offset: int, size: int) -> bytes:
    """Return the expression that takes a part of a packet."""
    body = _word(NFTA_PAYLOAD_DREG, register) + _word(NFTA_PAYLOAD_BASE, base)
    return expression("payload", body + _word(NFTA_PAYLOAD_OFFSET, offset) + _word(NFTA_PAYLOAD_LEN, size))


def _word(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))
