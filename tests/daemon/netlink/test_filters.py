"""The packet filter on nftables' notifications: what it does is seen in tests/kernel; here, what it is on other machines."""

from __future__ import annotations

import errno
import struct
import sys
from typing import Any

import pytest

from nfa.daemon.netlink import filter as module
from nfa.daemon.netlink.filter import attach, program

ADDED, REMOVED, SET_MADE, TABLE_GONE, RULE_MADE, COUNTED = 0xA0C, 0xA0E, 0xA09, 0xA02, 0xA06, 0xA0F
OURS, OTHERS = 7, 99
Step = tuple[int, int, int, int]


@pytest.fixture(params=["little", "big"])
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine of either byte order."""
    monkeypatch.setattr(sys, "byteorder", request.param)
    return str(request.param)


def told(order: str, kind: int, table: str = "", size: int = 60, port: int = OTHERS) -> bytes:
    """A notification of so many bytes about something in a table."""
    mark = "<" if order == "little" else ">"
    name = table.encode() + b"\0"
    body = struct.pack(mark + "BBH", 1, 0, 0) + struct.pack(mark + "HH", 4 + len(name), 1) + name
    return (struct.pack(mark + "IHHII", size, kind, 0, 0, port) + body).ljust(size, b"\0")


def steps_of(made: bytes) -> list[Step]:
    return list(struct.iter_unpack("=HBBI", made))  # type: ignore[arg-type]  # four numbers each


def delivers(made: bytes, data: bytes) -> bool:
    """What the kernel does with a datagram: net/core/filter.c."""
    steps, a, x, saved, place = steps_of(made), 0, 0, 0, 0
    while True:
        code, jt, jf, k = steps[place]
        place += 1
        if code in (0x40, 0x48, 0x50):
            size = {0x40: 4, 0x48: 2, 0x50: 1}[code]
            if x + k + size > len(data):
                return False
            a = int.from_bytes(data[x + k : x + k + size], "big")
        elif code in (0x15, 0x25):
            place += jt if (a == k if code == 0x15 else a > k) else jf
        elif code == 0x06:
            return bool(k)
        elif code == 0x05:
            place += k
        else:
            a, x, saved = {
                0x01: (a, k, saved), 0x07: (a, a, saved), 0x0C: (a + x, x, saved), 0x54: (a & k, x, saved),
                0x74: (a >> k, x, saved), 0x02: (a, x, a), 0x60: (saved, x, saved),
            }[code]  # fmt: skip


def charged(made: bytes) -> int:
    """The bytes that a socket is charged: of the steps in the kernel's own form, a load 8 or 9 of them (5.10 to 6.18)."""
    sizes = {0x40: 8, 0x48: 8, 0x50: 8, 0x06: 2}
    steps = sum(sizes.get(code, 1) + (code in (0x40, 0x48, 0x50) and k > 0) for code, _, _, k in steps_of(made))
    return 8 * (steps + 8) + 80


class Small:
    """A socket of a kernel that has room for filters of so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken = b""

    def take(self, _: Any, made: bytes) -> None:
        if charged(made) > self.room:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        self.taken = made

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        raise OSError(errno.ENOENT, "there was no filter")


def attached(monkeypatch: pytest.MonkeyPatch, room: int, tables: set[str]) -> bytes:
    kernel = Small(room)
    monkeypatch.setattr(module, "set_filter", kernel.take)
    attach(kernel, OURS, tables)  # type: ignore[arg-type]
    return kernel.taken


def full(order: str, kind: int, table: str, size: int, last: bytes = b"") -> bytes:
    """A datagram as the kernel fills it (3,776 bytes on 6.18), with another message at its end."""
    return told(order, kind, table, size) * ((3776 - len(last)) // size) + last


@pytest.mark.parametrize("tables", [{"nfa"}, {"nfa", "a", "b", "c", "d", "fw5"}])
@pytest.mark.parametrize("room", [131072, 20480])
def test_what_others_do_elsewhere_is_dropped_and_what_is_ours_is_delivered(
    monkeypatch: pytest.MonkeyPatch, order: str, room: int, tables: set[str]
) -> None:
    """Kernels before 6.8 have 20,480 bytes: a shorter program let each full datagram through."""
    made = attached(monkeypatch, room, tables)
    for size in (56, 60, 64, 100, 252):
        for kind in (ADDED, REMOVED, SET_MADE, TABLE_GONE, RULE_MADE):
            assert not delivers(made, full(order, kind, "fw4", size)), (size, kind)
        for kind in (REMOVED, SET_MADE, TABLE_GONE):
            assert delivers(made, full(order, ADDED, "fw4", size, told(order, kind, "nfa"))), (size, kind)
        assert not delivers(made, full(order, ADDED, "nfa", size))
    assert not delivers(made, told(order, COUNTED))
    assert not delivers(made, told(order, REMOVED, "nfa", port=OURS))
    assert delivers(made, told(order, RULE_MADE, "fw4", 300) + told(order, REMOVED, "nfa")), "a long one is not passed over"


@pytest.mark.parametrize(("room", "tables"), [(10240, {"nfa"}), (131072, {f"t{number}" for number in range(99)})])
def test_without_room_for_names_what_others_add_is_still_dropped(
    monkeypatch: pytest.MonkeyPatch, order: str, room: int, tables: set[str]
) -> None:
    """32 bits have 10,240 bytes. A block list that is filled there would wake the daemon with each datagram."""
    made = attached(monkeypatch, room, tables)
    for size in (64, 100, 252):
        assert not delivers(made, full(order, ADDED, "fw4", size))
        assert delivers(made, full(order, ADDED, "fw4", size, told(order, REMOVED, "nfa")))
    assert not delivers(made, told(order, COUNTED))


def test_a_datagram_that_is_longer_than_the_program_is_delivered(order: str) -> None:
    """What was not looked at may be ours."""
    for tables in ({"nfa"}, None):
        made = program(OURS, tables, 20)
        assert not delivers(made, told(order, ADDED, "fw4") * 20)
        assert delivers(made, told(order, ADDED, "fw4") * 21)


def test_who_watches_no_table_hears_nothing(order: str) -> None:
    """A policy without nftables sets has nothing to heal there."""
    assert not delivers(program(OURS, set(), 72), told(order, TABLE_GONE, "nfa"))


def test_a_kernel_with_less_room_gets_a_shorter_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any, each element that others add would wake the daemon."""
    for room in (131072, 20480, 10240, 7000, 4000, 2000):
        assert room // 3 < charged(attached(monkeypatch, room, {"nfa"})) <= room or room == 131072


def test_a_kernel_with_no_room_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon tells it, and heals nothing of nftables."""
    with pytest.raises(OSError, match="Cannot allocate"):
        attached(monkeypatch, 100, {"nfa"})


@pytest.mark.parametrize("tables", [set(), None, {"nfa"}, set("abcdefg"), {str(number) for number in range(40)}])
def test_programs_are_no_longer_than_the_kernel_takes(order: str, tables: set[str] | None) -> None:
    """4096 steps are the most for anybody."""
    assert len(program(1, tables, 72)) // 8 <= 4096
