"""Expressions of nftables rules: what a rule compares, looks up and does. Source: linux/netfilter/nf_tables.h.

In: names and numbers. Out: bytes for `nftables_rules.new_rule`, those of `nft` (1.0.6, `--debug=mnl`) for the same rule. Pure.

A rule works with four registers of 16 bytes, NFT_REG_1 to NFT_REG_4, each of which is also four of 4 bytes; here a register is
given by the number of its first 4 bytes, from 0, and written as nft writes it.
"""

from __future__ import annotations

import struct

from nfa.daemon.netlink.nftables_rules import NFT_REG_VERDICT, expression
from nfa.daemon.netlink.wire import NLA_F_NESTED, attribute, string

NFT_REG_1 = 1
NFT_REG32_00 = 8
NFTA_DATA_VALUE = 1

NFTA_META_DREG = 1
NFTA_META_KEY = 2
NFTA_META_SREG = 3
NFT_META_MARK = 3
NFT_META_IIFNAME = 6
NFT_META_OIFNAME = 7
NFT_META_NFPROTO = 15
NFT_META_L4PROTO = 16

NFTA_CMP_SREG = 1
NFTA_CMP_OP = 2
NFTA_CMP_DATA = 3
NFT_CMP_EQ = 0
NFT_CMP_LTE = 3
NFT_CMP_GTE = 5

NFTA_PAYLOAD_DREG = 1
NFTA_PAYLOAD_BASE = 2
NFTA_PAYLOAD_OFFSET = 3
NFTA_PAYLOAD_LEN = 4
NFTA_PAYLOAD_SREG = 5
NFTA_PAYLOAD_CSUM_TYPE = 6
NFTA_PAYLOAD_CSUM_OFFSET = 7
NFT_PAYLOAD_NETWORK_HEADER = 1
NFT_PAYLOAD_TRANSPORT_HEADER = 2
NFT_PAYLOAD_CSUM_INET = 1

NFTA_BITWISE_SREG = 1
NFTA_BITWISE_DREG = 2
NFTA_BITWISE_LEN = 3
NFTA_BITWISE_MASK = 4
NFTA_BITWISE_XOR = 5
NFTA_BITWISE_OP = 6
NFT_BITWISE_BOOL = 0

NFTA_LOOKUP_SET = 1
NFTA_LOOKUP_SREG = 2
NFTA_LOOKUP_DREG = 3

NFTA_CT_DREG = 1
NFTA_CT_KEY = 2
NFTA_CT_SREG = 4
NFT_CT_DIRECTION = 1
NFT_CT_STATUS = 2
NFT_CT_MARK = 3
IPS_CONFIRMED = 1 << 3
"""Of a connection that has been noted: its first packet has left. linux/netfilter/nf_conntrack_common.h"""
IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY = 0, 1

NFTA_REJECT_TYPE = 1
NFTA_REJECT_ICMP_CODE = 2
NFT_REJECT_TCP_RST = 1
NFT_REJECT_ICMPX_UNREACH = 2
NFT_REJECT_ICMPX_PORT_UNREACH = 1

NFTA_LIMIT_RATE = 1
NFTA_LIMIT_UNIT = 2
NFTA_LIMIT_BURST = 3
NFTA_LIMIT_TYPE = 4
NFTA_LIMIT_FLAGS = 5
NFT_LIMIT_PKT_BYTES = 1
NFT_LIMIT_F_INV = 1

NFTA_DYNSET_SET_NAME = 1
NFTA_DYNSET_OP = 3
NFTA_DYNSET_SREG_KEY = 4
NFTA_DYNSET_EXPR = 7
NFT_DYNSET_OP_UPDATE = 1


def _word(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def _long(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">Q", value))


def _register(number: int) -> int:
    return NFT_REG32_00 + number if number % 4 else NFT_REG_1 + number // 4


def _data(kind: int, value: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, attribute(NFTA_DATA_VALUE, value))


def meta(key: int, register: int = 0) -> bytes:
    """Load what the kernel knows of a packet: NFT_META_*."""
    return expression("meta", _word(NFTA_META_KEY, key) + _word(NFTA_META_DREG, _register(register)))


def set_meta(key: int, register: int = 0) -> bytes:
    """Store a register in a packet: NFT_META_*."""
    return expression("meta", _word(NFTA_META_KEY, key) + _word(NFTA_META_SREG, _register(register)))


def compare(value: bytes, operator: int = NFT_CMP_EQ) -> bytes:
    """End the rule for packets whose first register is not `value`, or with NFT_CMP_* not on that side of it."""
    return expression("cmp", _word(NFTA_CMP_SREG, NFT_REG_1) + _word(NFTA_CMP_OP, operator) + _data(NFTA_CMP_DATA, value))


def payload(base: int, offset: int, length: int, register: int = 0) -> bytes:
    """Load bytes of a packet. `base`: NFT_PAYLOAD_*_HEADER."""
    where = _word(NFTA_PAYLOAD_BASE, base) + _word(NFTA_PAYLOAD_OFFSET, offset) + _word(NFTA_PAYLOAD_LEN, length)
    return expression("payload", _word(NFTA_PAYLOAD_DREG, _register(register)) + where)


def set_payload(base: int, offset: int, length: int, checksum: int = -1) -> bytes:
    """Store the first register in a packet. `checksum`: where the header has its checksum, -1 if it has none."""
    where = _word(NFTA_PAYLOAD_BASE, base) + _word(NFTA_PAYLOAD_OFFSET, offset) + _word(NFTA_PAYLOAD_LEN, length)
    sums = b""
    if checksum >= 0:
        sums = _word(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET) + _word(NFTA_PAYLOAD_CSUM_OFFSET, checksum)
    return expression("payload", _word(NFTA_PAYLOAD_SREG, NFT_REG_1) + where + sums)


def bits(mask: bytes, xor: bytes) -> bytes:
    """Keep the bits of `mask` of the first register and change those of `xor`."""
    register = _word(NFTA_BITWISE_SREG, NFT_REG_1) + _word(NFTA_BITWISE_DREG, NFT_REG_1)
    data = _data(NFTA_BITWISE_MASK, mask) + _data(NFTA_BITWISE_XOR, xor)
    form = _word(NFTA_BITWISE_OP, NFT_BITWISE_BOOL) + _word(NFTA_BITWISE_LEN, len(mask))
    return expression("bitwise", register + form + data)


def verdict_of(name: str) -> bytes:
    """Look the registers from the first on up in a verdict map. A packet that is not in it ends the rule."""
    return _look_up(name, NFT_REG_VERDICT)


def value_of(name: str) -> bytes:
    """Look the registers from the first on up in a map, and load what it has for them. A packet that is not in it ends the
    rule."""
    return _look_up(name, NFT_REG_1)


def _look_up(name: str, register: int) -> bytes:
    registers = _word(NFTA_LOOKUP_SREG, NFT_REG_1) + _word(NFTA_LOOKUP_DREG, register)
    return expression("lookup", registers + string(NFTA_LOOKUP_SET, name))


def connection(key: int) -> bytes:
    """Load what the kernel knows of a packet's connection: NFT_CT_*. A packet without one ends the rule."""
    return expression("ct", _word(NFTA_CT_KEY, key) + _word(NFTA_CT_DREG, NFT_REG_1))


def set_connection(key: int) -> bytes:
    """Store the first register in a packet's connection: NFT_CT_*."""
    return expression("ct", _word(NFTA_CT_KEY, key) + _word(NFTA_CT_SREG, NFT_REG_1))


def direction() -> bytes:
    """Load IP_CT_DIR_*: whether a packet goes the way of its connection's first one. One without connection ends the rule."""
    return connection(NFT_CT_DIRECTION)


def reject(kind: int, code: int = 0) -> bytes:
    """Drop a packet and tell its sender. `kind`: NFT_REJECT_*; `code`: NFT_REJECT_ICMPX_*."""
    return expression("reject", _word(NFTA_REJECT_TYPE, kind) + attribute(NFTA_REJECT_ICMP_CODE, bytes((code,))))


def over(rate: int, burst: int) -> bytes:
    """End the rule for packets that come no faster than `rate`, in bytes in a second; `burst`: bytes that may come at once."""
    return expression(
        "limit",
        _long(NFTA_LIMIT_RATE, rate)
        + _long(NFTA_LIMIT_UNIT, 1)
        + _word(NFTA_LIMIT_BURST, burst)
        + _word(NFTA_LIMIT_TYPE, NFT_LIMIT_PKT_BYTES)
        + _word(NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV),
    )


def update(name: str, limit: bytes) -> bytes:
    """Do an expression for the element of a dynamic set that the first register is, which is made where it is missing."""
    inner = limit[4:]  # what an element of a list has, without the list's own header
    body = _word(NFTA_DYNSET_SREG_KEY, NFT_REG_1) + _word(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE)
    body += string(NFTA_DYNSET_SET_NAME, name)
    return expression("dynset", body + attribute(NFTA_DYNSET_EXPR | NLA_F_NESTED, inner))
