"""Messages for elements are what nft and ipset themselves send, and answers of the kernel are understood."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_messages import ANSWERS, TOOLS

from nfa.daemon.netlink import ipset, nftables, wire
from nfa.daemon.netlink.socket import Netlink, describe

V4 = bytes((192, 0, 2, 1))
V6 = bytes.fromhex("20010db8000000000000000000000001")
NESTED_KINDS = {  # by subsystem: where attributes hold attributes
    10: ((3,), (3, 1), (3, 2), (3, 1, 1), (3, 2, 1)),
    6: ((7,), (7, 1), (7, 20), (8,), (8, 7), (8, 7, 1), (8, 7, 20)),
}


def tree(data: bytes, subsystem: int, path: tuple[int, ...] = ()) -> list[Any]:
    """Attributes as (kind with its flag bits, payload or attributes in the order of their kinds)."""
    found, position = [], 0
    while position < len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        payload = data[position + 4 : position + length]
        assert not any(data[position + length : position + (length + 3 & ~3)]), "padding is zero"
        inner = (*path, kind & 0x3FFF)
        found.append((kind, tree(payload, subsystem, inner) if inner in NESTED_KINDS[subsystem] else payload))
        position += length + 3 & ~3
    assert position == len(data), "every attribute is padded to 4"
    return sorted(found, key=lambda item: item[0] & 0x3FFF)


def parts(message: bytes) -> tuple[tuple[int, int, int], list[Any]]:
    """(type, flags, family) and the attributes of a message."""
    length, kind, flags, _, port = struct.unpack_from("=IHHII", message)
    assert length == len(message)
    assert port == 0
    family, version, resource = struct.unpack_from(">BBH", message, 16)
    assert (version, resource) == (0, 0)
    return (kind, flags, family), tree(message[20:], kind >> 8)


def sizes_of(fields: tuple[str, ...], family: int) -> list[int]:
    """The bytes of each field of a packed element of an ipset."""
    return [ipset.width(field, family) for field in fields]


def without(attributes: list[Any], *kinds: int) -> list[Any]:
    return [item for item in attributes if item[0] & 0x3FFF not in kinds]


SLOT = b"\x12\x34"
NFT = {  # tool's message: the encoder's arguments, command, keys
    "nft.one": (("one", (4,), 120_000), nftables.NEW, [V4, bytes((192, 0, 2, 2))]),
    "nft.six": (("six", (16,), -1), nftables.NEW, [V6]),
    "nft.mac": (("mac", (6,), -1), nftables.NEW, [bytes.fromhex("02005e100014")]),
    "nft.port": (("port", (2,), 3_600_000), nftables.NEW, [b"\x01\xbb"]),
    "nft.four": (("four", (4, 1, 2, 4), 300_000), nftables.NEW, [bytes.fromhex("c0a80114 06 01bb cb00710a")]),
    "nft.del": (("one", (4,), 120_000), nftables.DEL, [V4]),
}


@pytest.mark.parametrize("name", NFT)
def test_nftables_elements_are_those_of_nft(name: str) -> None:
    """The kernel would put other elements into the set than `nft add element` does."""
    (set_name, sizes, timeout), command, keys = NFT[name]
    encoder = nftables.Elements(1, "t", set_name, sizes, timeout)
    header, attributes = parts(encoder.encode(command, 5, [SLOT + key for key in keys]))
    tools_header, tools = parts(bytes.fromhex(TOOLS[name]))
    assert header == tools_header
    # nft refers to a set by name and by a number of its own (4), counts the elements, and writes an element's timeout first.
    tools = without(tools, 4)
    elements = [[inner for _, inner in dict(each)[3 | wire.NLA_F_NESTED]] for each in (attributes, tools)]
    assert elements[0] == elements[1]
    assert without(attributes, 3) == without(tools, 3)


IPSET = {
    "ipset.ip4": (("ip4", 4, ("other_addr",), 60, None), ipset.ADD, V4),
    "ipset.skb": (("ip4", 4, ("other_addr",), 60, {"mark": 0x11, "mask": 0xFF, "prio": 0x10020, "queue": 3}), ipset.ADD,
                  bytes((192, 0, 2, 2))),
    "ipset.ip6": (("ip6", 6, ("other_addr",), -1, None), ipset.ADD, V6),
    "ipset.ipp": (("ipp", 4, ("other_addr", "ip_proto", "other_port"), -1, None), ipset.ADD, V4 + b"\x06\x01\xbb"),
    "ipset.ippi": (("ippi", 4, ("other_addr", "ip_proto", "other_port", "local_addr"), 60, None), ipset.ADD,
                   V4 + b"\x11\x00\x35" + bytes((198, 51, 100, 2))),
    "ipset.bport": (("bport", 4, ("other_port",), -1, None), ipset.ADD, b"\x01\xbb"),
    "ipset.bip": (("bip", 4, ("local_addr",), -1, None), ipset.ADD, bytes((192, 168, 1, 20))),
    "ipset.del": (("ip4", 4, ("other_addr",), -1, None), ipset.DEL, V4),
}  # fmt: skip


@pytest.mark.parametrize("name", IPSET)
def test_ipset_elements_are_those_of_ipset(name: str) -> None:
    """The kernel would put other elements into the set than `ipset add` does."""
    (set_name, family, fields, timeout, skb), command, key = IPSET[name]
    encoder = ipset.Elements(set_name, family, fields, 7, timeout, skb)
    (kind, flags, _), attributes = parts(encoder.encode(command, 5, [b"\0\0" + key, b"\0\0" + key]))
    (tools_kind, tools_flags, _), tools = parts(bytes.fromhex(TOOLS[name]))
    assert kind == tools_kind
    # EXCL (0x200) would refuse an element that is there; `ipset -exist` leaves it out too.
    assert flags == tools_flags & ~0x200 == wire.NLM_F_REQUEST | wire.NLM_F_ACK
    assert without(attributes, 8, 9) == without(tools, 7, 9)
    elements = dict(attributes)[8 | wire.NLA_F_NESTED]
    expected = dict(tools)[7 | wire.NLA_F_NESTED]
    for index, (data_kind, element) in enumerate(elements):
        assert data_kind == 7 | wire.NLA_F_NESTED
        assert without(element, 9) == without(expected, 9)
        assert dict(element)[9] == struct.pack("=I", index), "the kernel names a refused element by this number"


@pytest.mark.parametrize("number", [0, 0x80000000, 0xFFFFFFFF])
def test_every_number_of_32_bits_fits_into_an_element_of_ipset(number: int) -> None:
    """A mark like 0x80000000 would end the daemon; a timeout of 0, for ever, would become that of the set."""
    skb = {"mark": number, "mask": number, "prio": number, "queue": number & 0xFFFF}
    encoder = ipset.Elements("ip4", 4, ("other_addr",), 7, number, skb)
    word, net = struct.pack(">I", number), wire.NLA_F_NET_BYTEORDER
    expected = [(6 | net, word), (27 | net, word + word), (28 | net, word), (29 | net, word[2:])]
    for message in (encoder.encode(ipset.ADD, 5, [SLOT + V4]), encoder.restore(5, [SLOT + V4], [number])):
        ((_, element),) = dict(parts(message)[1])[8 | wire.NLA_F_NESTED]
        assert without(element, 1, 9) == expected


def test_a_mac_address_is_an_ether_attribute_of_ipset() -> None:
    """hash:mac would stay empty. By linux/netfilter/ipset/ip_set.h: IPSET_ATTR_ETHER = IPSET_ATTR_CADT_MAX (16) + 1."""
    message = ipset.Elements("m", 4, ("local_mac",), 7, -1, None).encode(ipset.ADD, 1, [b"\0\0\x02\0\x5e\x10\0\x14"])
    assert message == bytes.fromhex(
        "48000000 0906 0500 01000000 00000000 02000000"  # header; AF_INET
        "0500 0100 07000000 0600 0200 6d000000 0800 0900 00000000"  # protocol 7, set m, LINENO
        "1c00 0880 1800 0780"  # ADT, DATA
        "0a00 1100 02005e100014 0000"  # ETHER, padded
        "0800 0900 00000000"
    )
    both = ipset.Elements("m", 4, ("local_addr", "local_mac"), 7, -1, None).encode(ipset.ADD, 1, [b"\0\0" + V4 + b"\2" * 6])
    element = dict(dict(parts(both)[1])[8 | wire.NLA_F_NESTED])[7 | wire.NLA_F_NESTED]
    assert without(element, 9) == [(1 | wire.NLA_F_NESTED, [(1 | wire.NLA_F_NET_BYTEORDER, V4)]), (17, b"\2" * 6)]


@given(st.integers(0, 0x3FFF), st.binary(max_size=50))
def test_an_attribute_is_padded_but_its_length_is_not(kind: int, payload: bytes) -> None:
    """The kernel would read all that follows from a wrong place."""
    data = wire.attribute(kind | wire.NLA_F_NESTED, payload)
    assert len(data) % 4 == 0
    assert len(data) - len(payload) - 4 < 4
    assert struct.unpack_from("=H", data)[0] == len(payload) + 4
    assert wire.attributes(data + data) == [(kind, payload)] * 2


@pytest.mark.parametrize("fields", [("other_addr",), ("other_addr", "ip_proto", "other_port", "local_addr"), ("local_mac",)])
@pytest.mark.parametrize("family", [4, 6])
def test_a_full_message_fits_into_its_attributes(fields: tuple[str, ...], family: int) -> None:
    """An attribute's length has 16 bits: one element too many and the kernel would see an empty list."""
    encoders = [
        (ipset.Elements("x" * 31, family, fields, 7, 60, {"mark": 1, "prio": 1, "queue": 1}), ipset.ADD, 8,
         sum(ipset.width(field, family) for field in fields)),
        (nftables.Elements(1, "t", "x", nftables.widths(fields, family), 60_000), nftables.NEW, 3,
         sum(nftables.widths(fields, family))),
    ]  # fmt: skip
    for encoder, command, kind, size in encoders:
        message = encoder.encode(command, 1, [bytes(size + 2)] * encoder.room)
        assert len(dict(parts(message)[1])[kind | wire.NLA_F_NESTED]) == encoder.room > 100


@pytest.mark.parametrize("timeout", [-1, 0, 60])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("fields", [("other_addr",), ("other_port",), ("other_addr", "ip_proto", "other_port"), ("local_mac",)])
def test_an_encoder_knows_how_long_its_elements_are(fields: tuple[str, ...], family: int, timeout: int) -> None:
    """A send would be larger than the kernel takes, or a refused element be looked for in the wrong place."""
    for encoder, command, sizes in (
        (
            nftables.Elements(1, "t", "x", nftables.widths(fields, family), timeout),
            nftables.NEW,
            nftables.widths(fields, family),
        ),
        (ipset.Elements("x", family, fields, 7, timeout, None), ipset.ADD, sizes_of(fields, family)),
        (
            ipset.Elements("x", family, fields, 7, timeout, {"mark": 0, "prio": 0, "queue": 0}),
            ipset.ADD,
            sizes_of(fields, family),
        ),
    ):
        element = bytes(sum(sizes) + 2)
        lengths = [len(encoder.encode(command, 1, [element] * count)) for count in (1, 2, 3)]
        assert encoder.element == lengths[1] - lengths[0] == lengths[2] - lengths[1]


def test_as_many_elements_as_fit_go_into_one_message() -> None:
    """One too many and the length of their list, 16 bits, is that of an empty one; far fewer cost a send for each."""
    short = nftables.Elements(1, "t", "x", (4,), -1)
    assert (short.element, short.room) == (16, 1024)
    long = nftables.Elements(1, "t", "x", (16,) * 10, -1)
    assert (long.element, long.room) == (172, 380)
    message = long.encode(nftables.NEW, 1, [bytes(162)] * long.room)
    assert len(dict(parts(message)[1])[3 | wire.NLA_F_NESTED]) == 380
    assert 380 * long.element + 4 <= 0xFFFF < 381 * long.element + 4
    port = ipset.Elements("x", 4, ("other_port",), 7, -1, None)
    assert (port.element, port.room) == (20, 1024)
    six = ipset.Elements("x", 6, ("other_addr",) * 2, 7, 60, None)
    assert (six.element, six.room) == (68, ipset.MAX_MESSAGE // 68)


@pytest.mark.parametrize(
    ("fields", "family", "packed", "key"),
    [
        (("other_addr",), 4, V4, V4),
        (("local_mac",), 4, b"\2" * 6, b"\2" * 6),
        (("ip_proto",), 4, b"\x06", b"\x06"),
        (("ip_proto", "other_port"), 4, b"\x06\x01\xbb", b"\x06\0\0\0\x01\xbb\0\0"),
        (("local_mac", "other_addr"), 6, b"\2" * 6 + V6, b"\2" * 6 + b"\0\0" + V6),
        (("mark", "interface"), 4, b"\1\0\0\0" + b"br-lan".ljust(16, b"\0"), b"\1\0\0\0" + b"br-lan".ljust(16, b"\0")),
    ],
)
def test_a_key_pads_each_field_of_several(fields: tuple[str, ...], family: int, packed: bytes, key: bytes) -> None:
    """A rule of nft would look up another key than the one that was added."""
    assert nftables.expander(fields, family)(b"\x12\x34" + packed) == key
    assert nftables.key_size(nftables.widths(fields, family)) == len(key)
    pack = nftables.packer(fields, family, 0x1234)
    assert pack(key) == b"\x12\x34" + packed, "what the kernel tells of a deleted element is found again"
    assert pack(key + b"\0") == pack(key[:-1]) == pack(b"") == b"", "a set of another type: not ours"


# -- what the kernel answers -------------------------------------------------------------------------------------------

ENCODER = nftables.Elements(1, "t", "small", (4,), -1)


@pytest.mark.parametrize(
    ("name", "sequence", "error", "offset"),
    [
        ("third is too many", 2, errno.ENFILE, 76),
        ("no set", 2, errno.ENOENT, 28),
        ("no table", 2, errno.ENOENT, 20),
        ("second is not there", 2, errno.ENOENT, 56),
        ("no set, whole echo", 2, errno.ENOENT, 28),
        ("no set, plain", 2, errno.ENOENT, -1),
        ("ipset took all", 5, 0, -1),
        ("ipset, third is too many", 6, ipset.IPSET_ERR_HASH_FULL, -1),
        ("ipset, no set", 7, errno.ENOENT, -1),
    ],
)
def test_an_answer_says_which_message_failed_and_where(name: str, sequence: int, error: int, offset: int) -> None:
    """A refused element would be blamed on another one, or all elements of a turn would be lost."""
    data = bytes.fromhex(ANSWERS[name])
    (failure,) = wire.failures(data)
    assert (failure.sequence, failure.error, failure.offset) == (sequence, error, offset)
    length, _, flags = struct.unpack_from("=IHH", data)
    assert len(failure.echo) == (16 if flags & wire.NLM_F_CAPPED else struct.unpack_from("=I", data, 20)[0])
    assert [f.sequence for f in wire.failures(data + bytes.fromhex(ANSWERS["ipset took all"]))] == [sequence, 5]
    assert length == len(data)


def test_the_failed_element_is_found_by_its_offset_or_line() -> None:
    """A full set would cost a search through all elements, or the wrong ones would be left out."""

    def answer(name: str) -> wire.Failure:
        return wire.failures(bytes.fromhex(ANSWERS[name]))[0]

    assert ENCODER.failed_index(answer("third is too many").offset) == 2
    assert nftables.Elements(1, "t", "big", (4,), -1).failed_index(answer("second is not there").offset) == 1
    assert ENCODER.failed_index(answer("no set").offset) == -1
    assert ENCODER.failed_index(answer("no table").offset) == -1
    assert ipset.failed_index(answer("ipset, third is too many").echo) == 2
    assert ipset.failed_index(answer("ipset, no set").echo) == 0
    assert ipset.failed_index(b"") == 0
    head = wire.message(ipset.ADD, 5, 1, wire.nfgen(2))
    assert ipset.failed_index(head + wire.attribute(9, b"\5\0\0")) == 0, "no number of a line"
    line = wire.attribute(9, struct.pack("=I", 7))
    assert ipset.failed_index(head + line) == 7
    assert ipset.failed_index(head + wire.attribute(1, b"\7\0\0\0") + line) == 7, "the protocol is no line"
    with_timeout = nftables.Elements(1, "t", "small", (4,), 1000)
    keys = [bytes((10, 0, 0, i)) for i in range(5)]
    message = with_timeout.encode(nftables.NEW, 1, [SLOT + one for one in keys])
    for index in range(5):
        place = message.index(bytes((10, 0, 0, index))) - 12  # of the element's own attribute
        assert keys[with_timeout.failed_index(place)] == keys[index]
    start = message.index(keys[0]) - 12
    assert [with_timeout.failed_index(place) for place in (0, start - 1, start)] == [-1, -1, 0], "the set itself is refused"
    message = with_timeout.restore(1, keys, [7] * 5)
    for index in range(5):
        place = message.index(keys[index]) - 12
        assert with_timeout.failed_index(place, nftables.EXPIRATION) == index, "each has the time it has left besides"


@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_a_damaged_answer_does_not_raise(name: str, data: st.DataObject) -> None:
    """A kernel with a surprise would end the daemon."""
    raw = bytearray.fromhex(ANSWERS[name])
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for failure in wire.failures(bytes(raw[: data.draw(st.integers(0, len(raw)))])):
        ipset.failed_index(failure.echo)
        ENCODER.failed_index(failure.offset)


def test_a_message_gets_its_sequence_number_and_keeps_the_rest() -> None:
    """Answers to the compiler's messages could not be told apart."""
    made = wire.message(0xA09, wire.NLM_F_REQUEST, 0, wire.nfgen(1))
    changed = wire.with_sequence(made, 77, wire.NLM_F_ACK)
    assert struct.unpack_from("=IHHII", changed) == (20, 0xA09, wire.NLM_F_REQUEST | wire.NLM_F_ACK, 77, 0)
    assert changed[16:] == made[16:]


def test_sequence_numbers_are_not_used_twice() -> None:
    """A late answer would be taken for that of another batch."""
    netlink = Netlink(True)
    first = netlink.reserve(10)
    assert netlink.reserve(1) == first + 10
    netlink._sequence = 0x7FFFFFFF
    assert 0 < netlink.reserve(5) < 100


def test_errors_have_words() -> None:
    """The log would say 'Unknown error 4352'."""
    assert describe(ipset.IPSET_ERR_HASH_FULL).startswith("the set is full")
    assert describe(errno.EPERM) == "Operation not permitted"


@pytest.mark.parametrize("error", [errno.ENOENT, errno.ENFILE, errno.ENOSPC, errno.EBUSY])
def test_what_netfilter_means_is_not_told_in_words_for_files(error: int) -> None:
    """'No such file or directory' of a set, 'Too many open files in system' of a full one: people look in the wrong place."""
    assert describe(error) != os.strerror(error)
    assert not {"file", "files", "directory", "device"} & set(describe(error).lower().split())
