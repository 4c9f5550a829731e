"""Conntrack messages, byte for byte: what `conntrack` 1.4.7 sends (recorded with strace), and what the kernel answers."""

from __future__ import annotations

import socket
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.daemon.engine.view import connection, reply_connection
from nfa.daemon.netlink import conntrack, wire

# conntrack -U -p tcp --sport 40000 --mark 0x20/0xff0, of a connection from 192.168.1.20 to 203.0.113.80 port 443
TUPLE4 = bytes.fromhex(
    "34000180" "14000180" "08000100c0a80114" "08000200cb007150"
    "1c000280" "0500010006000000" "060002009c400000" "0600030001bb0000"
)  # fmt: skip
MARK4 = bytes.fromhex("0800080000000020")
# conntrack -U -f ipv6 -p udp --mark 7, of one from fd00:1::20 port 5000 to 2001:db8:9::80 port 53
TUPLE6 = bytes.fromhex(
    "4c000180" "2c000180" "14000300fd000001000000000000000000000020" "1400040020010db8000900000000000000000080"
    "1c000280" "0500010011000000" "0600020013880000" "0600030000350000"
)  # fmt: skip
# conntrack -U -p tcp --sport 40000 --label-add streaming, which is label 3
LABEL3 = bytes.fromhex("0800160008000000")
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")


def packed(version: int, protocol: int, source: str, destination: str, sport: int, dport: int) -> bytes:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    return bytes((version, protocol)) + ends + struct.pack(">HH", sport, dport)


FOUR = packed(4, 6, "192.168.1.20", "203.0.113.80", 40000, 443)
SIX = packed(6, 17, "fd00:1::20", "2001:db8:9::80", 5000, 53)


@little_endian
def test_an_update_is_what_the_tool_sends_but_for_the_mask() -> None:
    """The kernel would take a wrong byte for another connection, or another bit."""
    made = conntrack.encode(conntrack.UPDATE, 9, FOUR, conntrack.mark(0x20, 0xFF0))
    head = bytes.fromhex("5800000000010100090000000000000002000000")
    assert made == head + TUPLE4 + MARK4 + bytes.fromhex("0800150000000ff0")
    made = conntrack.encode(conntrack.UPDATE, 9, SIX, conntrack.mark(7, 0xFFFFFFFF))
    head = bytes.fromhex("700000000001010009000000000000000a000000")
    assert made == head + TUPLE6 + bytes.fromhex("080008000000000708001500ffffffff")


@little_endian
def test_a_delete_names_the_connection_only() -> None:
    """A message that also named the id or the state would miss an entry that has changed since."""
    made = conntrack.encode(conntrack.DELETE, 1, FOUR, b"")
    assert made == bytes.fromhex("4800000002010100010000000000000002000000") + TUPLE4
    assert conntrack.encode_raw(conntrack.DELETE, 1, 4, TUPLE4[4:], b"") == made


@little_endian
def test_labels_have_the_order_of_the_host() -> None:
    """Label 3 would be another one, or all others would be cleared."""
    made = conntrack.labels(1 << 3, 1 << 3)
    assert made[4:8] == LABEL3[4:8] and len(made) == 40
    both = conntrack.labels(1 << 127 | 1 << 32, 1 << 127 | 1 << 32 | 1)
    assert both == bytes.fromhex("14001600000000000100000000000000000000801400170001000000010000000000000000000080")


def bits_of(message: bytes) -> list[bytes]:
    """Return the values of labels and their mask."""
    return [message[4:20], message[24:40]]


@pytest.mark.parametrize("label", [0, 5, 31, 32, 63, 64, 101, 127])
def test_on_a_big_endian_machine_a_label_is_what_nfts_rules_mean(monkeypatch: pytest.MonkeyPatch, label: int) -> None:
    """There `ct label "l5"` met none of the connections that have label 5, without an error: `ct label "l101"` did.

    The kernel compares the 16 bytes with those that nft made of 2 ** label, one number in host order (Debian's 6.1 on s390x,
    nft 1.0.6).
    """
    monkeypatch.setattr(sys, "byteorder", "big")
    assert bits_of(conntrack.labels(1 << label, 1 << label | 1)) == [
        (1 << label).to_bytes(16, "big"),
        (1 << label | 1).to_bytes(16, "big"),
    ]
    words = struct.unpack(">4I", bits_of(conntrack.labels(1 << label, 1 << label))[0])
    shown = [32 * index + bit for index, word in enumerate(words) for bit in range(32) if word >> bit & 1]
    assert shown == [label ^ 0x60], "what `conntrack -L` shows, which has words of 32 bits, the lowest first"
    monkeypatch.setattr(sys, "byteorder", "little")
    words = struct.unpack("<4I", bits_of(conntrack.labels(1 << label, 1 << label))[0])
    assert [32 * index + bit for index, word in enumerate(words) for bit in range(32) if word >> bit & 1] == [label]


def test_setting_and_withdrawing_a_label_name_the_same_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that is withdrawn in another order than it was set would stay, and one of somebody else would go."""
    for order in ("little", "big"):
        monkeypatch.setattr(sys, "byteorder", order)
        assert bits_of(conntrack.labels(1 << 99, 1 << 99))[1] == bits_of(conntrack.labels(0, 1 << 99))[1]
        assert bits_of(conntrack.labels(0, 1 << 99))[0] == bytes(16)


def test_what_lies_outside_the_mask_is_never_sent() -> None:
    """The kernel flips such bits of the mark: (old & ~mask) ^ value."""
    assert conntrack.mark(0xFFFFFFFF, 0xF0) == conntrack.mark(0xF0, 0xF0)
    assert conntrack.labels(0b111, 0b010) == conntrack.labels(0b010, 0b010)


def test_the_reverse_of_a_connection() -> None:
    """Behind masquerade, only one of the two directions is in the table."""
    assert conntrack.reverse(FOUR) == packed(4, 6, "203.0.113.80", "192.168.1.20", 443, 40000)
    assert conntrack.reverse(SIX) == packed(6, 17, "2001:db8:9::80", "fd00:1::20", 53, 5000)
    assert conntrack.reverse(conntrack.reverse(SIX)) == SIX


def test_a_record_gives_the_connection_in_the_direction_it_was_opened() -> None:
    flow = {"ip_version": 4, "ip_protocol": 6, "local_ip": "192.168.1.20", "other_ip": "203.0.113.80", "local_port": 40000,
            "other_port": 443}  # fmt: skip
    assert connection(flow) == connection(flow | {"local_origin": True}) == FOUR
    assert connection(flow | {"local_origin": False}) == conntrack.reverse(FOUR)
    with pytest.raises(ValueError, match="other IP version"):
        connection(flow | {"other_ip": "::1"})
    reply = {"reply_src_ip": "203.0.113.80", "reply_src_port": 443, "reply_dst_ip": "192.168.1.20", "reply_dst_port": 40000}
    assert reply_connection(flow | {"conntrack": reply}) == conntrack.reverse(FOUR)
    for broken in ({}, reply | {"reply_dst_port": -1}, reply | {"reply_src_ip": 7}, reply | {"reply_src_ip": "::1"}):
        assert reply_connection(flow | {"conntrack": broken}) == b""


# -- dumps ---------------------------------------------------------------------------------------------------------------


def tuple_of(kind: int, connection: bytes, echo: bytes = b"") -> bytes:
    """TUPLE_ORIG or TUPLE_REPLY as the kernel writes it; `echo`: ICMP's id, type and code."""
    full = conntrack.encode(conntrack.UPDATE, 0, connection, b"")[20:]
    if not echo:
        return struct.pack("=HH", len(full), kind | wire.NLA_F_NESTED) + full[4:]
    found = dict(wire.attributes(full[4:]))
    protocol = wire.attribute(1, connection[1:2]) + wire.attribute(4, echo[:2])
    protocol += wire.attribute(5, echo[2:3]) + wire.attribute(6, echo[3:])
    parts = wire.attribute(1 | wire.NLA_F_NESTED, found[1]) + wire.attribute(2 | wire.NLA_F_NESTED, protocol)
    return wire.attribute(kind | wire.NLA_F_NESTED, parts)


def answer(connection: bytes, reply: bytes, sequence: int, echo: bytes = b"") -> bytes:
    """One entry of a dump."""
    body = wire.nfgen(2 if connection[0] == 4 else 10) + tuple_of(1, connection, echo) + tuple_of(2, reply, echo)
    return wire.message(conntrack.UPDATE, 2, sequence, body + wire.attribute(3, b"\0\0\0\x08"))


def done(sequence: int, error: int = 0) -> bytes:
    return wire.message(wire.NLMSG_DONE, 2, sequence, struct.pack("=i", -error))


def test_a_dump_gives_the_entries_of_a_protocol_and_its_end() -> None:
    """Pings would not be found, or a half-read table would pass for all of it."""
    ping = packed(4, 1, "192.168.1.20", "203.0.113.80", 0, 0)
    back = packed(4, 1, "203.0.113.80", "203.0.113.1", 0, 0)
    data = answer(FOUR, conntrack.reverse(FOUR), 5) + answer(ping, back, 5, b"\0\7\x08\0")
    ((original, reply, payload),), end = conntrack.entries(data, 5, 1)
    assert end == -1
    assert (original, reply) == (ping[2:10], back[2:10])
    assert conntrack.encode_raw(conntrack.DELETE, 1, 4, payload, b"")[20:] == tuple_of(1, ping, b"\0\7\x08\0")
    assert conntrack.entries(data + done(5), 5, 58) == ([], 0)
    assert conntrack.entries(data + done(5), 4, 1) == ([], -1), "the rest of an earlier dump"
    assert conntrack.entries(done(5, 1), 5, 1) == ([], 1)
    ping6 = packed(6, 58, "fd00:1::20", "2001:db8:9::80", 0, 0)
    found, _ = conntrack.entries(answer(ping6, conntrack.reverse(ping6), 1, b"\0\7\x80\0"), 1, 58)
    assert found[0][0] == ping6[2:34]


@given(st.binary(max_size=200), st.integers(0, 120), st.integers(0, 255))
def test_a_broken_answer_ends_nothing(noise: bytes, at: int, value: int) -> None:
    """A newer kernel may answer in a form that this program does not know."""
    conntrack.entries(noise, 1, 1)
    data = bytearray(answer(FOUR, conntrack.reverse(FOUR), 1) + done(1))
    data[at] = value
    conntrack.entries(bytes(data), 1, 6)


def test_the_filter_of_a_dump_stands_beside_the_tuple_it_is_about() -> None:
    """The kernel would give the whole table, or refuse: CTA_FILTER (25) says that of CTA_TUPLE_ORIG the protocol counts."""
    found = dict(wire.attributes(conntrack.read(3, 4, 1, True)[20:]))
    assert dict(wire.attributes(dict(wire.attributes(found[1]))[2])) == {1: b"\x01"}
    assert dict(wire.attributes(found[25])) == {1: struct.pack("=I", 8), 2: struct.pack("=I", 0)}
    assert len(conntrack.read(3, 4, 1, False)) == 20
