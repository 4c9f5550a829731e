"""Elements of sets of ranges, byte for byte: what nft 1.0.6 sends (recorded with strace)."""

from __future__ import annotations

import struct
import sys

import pytest

from nfa.daemon.netlink import nftables, nftables_ranges, wire
from nfa.daemon.netlink.monitor import _keys, events
from nfa.daemon.netlink.nftables_ranges import CONCATENATED, RANGES, Ranges, range_expander, range_packer

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")

PAIR = ("other_addr", "other_port")
# nft add element inet fw4 allow { 20.1.0.1 . 443 timeout 5s }, of type ipv4_addr . inet_service with flags interval, timeout
CONCATENATION = bytes.fromhex(
    "0100000008000100667734000a000200616c6c6f77000000" "34000380" "30000180" "0c0004000000000000001388"
    "100001800c0001001401000101bb0000" "10000a800c0001001401000101bb0000"
)  # fmt: skip
# nft add element inet fw4 plain { 90.1.0.1 timeout 5s }, of type ipv4_addr with flags interval, timeout
PLAIN = bytes.fromhex(
    "0100000008000100667734000a000200706c61696e000000" "38000380" "1c000180" "0c0004000000000000001388"
    "0c000180080001005a010001" "18000280" "0800030000000001" "0c000180080001005a010002"
)  # fmt: skip


def encoder(name: str, fields: tuple[str, ...], form: int, timeout: int = 5000) -> Ranges:
    return Ranges(1, "fw4", name, nftables.widths(fields, 4), timeout, form, range_expander(fields, 4))


def body(message: bytes) -> bytes:
    """What stands after the header. nft numbers the elements of a list; the kernel does not read the number."""
    return message[16:].replace(b"\x18\0\x01\x80\x08\0\x03", b"\x18\0\x02\x80\x08\0\x03")


def test_a_concatenation_has_both_ends() -> None:
    """Without the second, `nft list set` shows 20.1.0.1-90.0.0.1, and after `nft list ruleset > f; nft -f f` that is real."""
    packed = bytes((0, 9, 20, 1, 0, 1, 1, 187))
    made = encoder("allow", PAIR, CONCATENATED)
    assert body(made.encode(nftables.NEW, 1, [packed])) == CONCATENATION
    assert made.element == 48
    removed = made.encode(nftables.DEL, 1, [packed])[16:]
    assert removed.endswith(CONCATENATION[-32:]) and len(removed) == len(CONCATENATION) - 12


def test_a_range_of_a_single_field_is_two_elements() -> None:
    """Without the second one, everything above the address would be in the set."""
    packed = bytes((0, 9, 90, 1, 0, 1))
    made = encoder("plain", ("other_addr",), RANGES)
    assert body(made.encode(nftables.NEW, 1, [packed])) == PLAIN
    assert made.element == 52
    removed = made.encode(nftables.DEL, 1, [packed])
    assert removed[16:].count(bytes((90, 1, 0, 1))) == removed[16:].count(bytes((90, 1, 0, 2))) == 1


@pytest.mark.parametrize("timeout", [-1, 5000])
def test_the_highest_key_has_no_end_and_is_as_long_as_others(timeout: int) -> None:
    """255.255.255.255 + 1 is no address; and the place in an error would point at a neighbour of the element."""
    made = encoder("plain", ("other_addr",), RANGES, timeout)
    keys = [b"\0\x09\xff\xff\xff\xff", b"\0\x09\x0a\0\0\x01", b"\0\x09\x0a\0\0\x03"]
    for command in (nftables.NEW, nftables.DEL):
        message = made.encode(command, 1, list(keys))
        own = made.element if command == nftables.NEW else made.element - 12 * (timeout >= 0)
        assert len(message) == made.first + 3 * own
        # nft's own note: there is no end, \x01\x04\x01\0\0\0.
        assert message[made.first : made.first + own].count(b"\x01\x04\x01\0\0\0") == 1
        assert message.count(b"\xff\xff\xff\xff") == 1
    restored = made.restore(1, [key[2:] for key in keys], [7, 7, 7])
    assert len(restored) == made.first + 3 * (made.element + nftables.EXPIRATION)
    carry = made.encode(nftables.NEW, 1, [b"\0\x09\x0a\0\xff\xff"])
    assert carry.endswith(b"\x0a\x01\0\0")


def test_elements_that_are_restored_have_the_time_that_is_left() -> None:
    """After a repair all would live for the whole ttl; and an error would be laid to another element."""
    made = encoder("allow", PAIR, CONCATENATED)
    key = bytes((20, 1, 0, 1, 1, 187, 0, 0))
    restored = made.restore(1, [key, key], [3, 3])
    assert restored.count(struct.pack("<HH", 12, nftables.NFTA_SET_ELEM_EXPIRATION) + struct.pack(">Q", 3000)) == 2
    assert made.failed_index(len(restored) - 1, nftables.EXPIRATION) == 1
    assert len(made.restore(1, [key], [0])) == len(made.encode(nftables.NEW, 1, [b"\0\0" + key[:6]]))


@pytest.mark.parametrize(
    ("fields", "packed", "key"),
    [
        (("mark",), "0009" "45230100", "00012345"),
        (("mark", "other_port"), "0009" "45230100" "0050", "00012345" "00500000"),
        (("other_port", "mark"), "0009" "0050" "45230100", "00500000" "00012345"),
        (PAIR, "0009" "14010001" "01bb", "14010001" "01bb0000"),
    ],
)  # fmt: skip
def test_marks_are_big_endian_in_ranges(fields: tuple[str, ...], packed: str, key: str) -> None:
    """nft's rules turn a mark around before they look for it: `ct mark @set` would never match."""
    assert range_expander(fields, 4)(bytes.fromhex(packed)).hex() == key
    assert range_packer(fields, 4, 9)(bytes.fromhex(key)).hex() == packed
    assert range_packer(fields, 4, 9)(b"12") == b""


def test_on_a_big_endian_machine_a_mark_is_right_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the host's order is the one that ranges are compared in."""
    monkeypatch.setattr(nftables_ranges.sys, "byteorder", "big")
    assert range_expander(("mark",), 4)(bytes.fromhex("000900012345")).hex() == "00012345"


def test_the_end_of_a_range_is_no_element_that_was_deleted() -> None:
    """The next address would be taken for deleted, or the whole set be written again."""
    made = encoder("plain", ("other_addr",), RANGES)
    removed = made.encode(nftables.DEL, 1, [bytes((0, 9, 90, 1, 0, 1))])
    (told,) = events(removed, 77).values()
    assert told == [bytes((90, 1, 0, 1))]
    # The kernel tells of each of the two in a message of its own, without the flags of the first.
    end = wire.attribute(1 | wire.NLA_F_NESTED, _flagged(bytes((90, 1, 0, 2))))
    listed = wire.attribute(nftables.NFTA_SET_ELEM_LIST_ELEMENTS | wire.NLA_F_NESTED, end)
    assert _keys(listed, 0, len(listed)) == []
    both = encoder("allow", PAIR, CONCATENATED).encode(nftables.DEL, 1, [bytes((0, 9, 20, 1, 0, 1, 1, 187))])
    assert list(events(both, 77).values()) == [[bytes((20, 1, 0, 1, 1, 187, 0, 0))]]


def _flagged(key: bytes) -> bytes:
    value = wire.attribute(nftables.NFTA_DATA_VALUE, key)
    flags = wire.attribute(nftables.NFTA_SET_ELEM_FLAGS, struct.pack(">I", 1))
    return wire.attribute(nftables.NFTA_SET_ELEM_KEY | wire.NLA_F_NESTED, value) + flags
