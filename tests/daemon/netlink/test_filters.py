"""The packet filter on nftables' notifications: what it does is seen in tests/kernel; here, what it is on smaller machines."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest

from nfa.daemon.netlink.filter import attach, program


class Small:
    """A socket of a kernel that takes programs of so many steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.taken = 0

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if option == 27:
            raise OSError(errno.ENOENT, "there was no filter")
        size = struct.unpack("@HP", value)[0]
        if size > self.steps:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        self.taken = size


def test_a_kernel_with_little_room_gets_a_shorter_program() -> None:
    """Without any, each element that others add would wake the daemon."""
    for room in (4096, 1000, 400):
        kernel = Small(room)
        attach(kernel, 1, {"nfa"})  # type: ignore[arg-type]
        assert room // 3 < kernel.taken <= room


def test_a_kernel_with_no_room_says_so() -> None:
    """The daemon tells it, and heals nothing of nftables."""
    with pytest.raises(OSError, match="Cannot allocate"):
        attach(Small(10), 1, set())  # type: ignore[arg-type]


@pytest.mark.parametrize("tables", [set(), {"nfa"}, set("abcdefgh"), {str(number) for number in range(99)}])
def test_programs_are_no_longer_than_the_kernel_takes(tables: set[str]) -> None:
    """4096 steps are the most for anybody."""
    assert len(program(1, tables, 72)) // 8 <= 4096
