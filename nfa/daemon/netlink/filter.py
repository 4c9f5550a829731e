"""Socket filters: they keep the kernel from delivering notifications that do not matter here.

In: a socket that listens to nftables' notifications, the port of our own socket, the tables whose elements matter. Out: a
classic filter on it. Whoever fills a large set of their own wakes nobody.
"""

import errno
import socket
import sys

from ..base.portable import Struct, set_filter
from .monitor import ELEMENTS_GONE, SET_GONE, SET_MADE, TABLE_GONE

_SO_DETACH_FILTER = 27
_STEP = Struct("=HBBI")
_LENGTHS = (72, 40, 20, 8)
"""Messages looked at in one datagram; the most are 67 where a page has 4 kB. A program that the kernel has no room for
(net.core.optmem_max: 128 kB in 6.18, 20 kB in older kernels, 10 kB with 32 bits) is made shorter: what is not looked at is
delivered."""
_MAX_TABLES = 8

# Instructions of linux/filter.h. In loads, _AT adds the register X to the offset.
_LD_WORD, _LD_SIZE, _AT_WORD, _AT_HALF = 0x20, 0x80, 0x40, 0x48
_LDX, _TAX, _RETURN = 0x01, 0x07, 0x06
_ADD, _ADD_X, _SUB_X, _AND, _SHIFT = 0x04, 0x0C, 0x1C, 0x54, 0x74
_IF_EQUAL, _IF_NOT_LESS, _IF_ANY_BIT = 0x15, 0x35, 0x45
_DROP, _DELIVER = (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 0xFFFFFFFF)


def attach(connection: socket.socket, port: int, tables: set[str], lengths: tuple[int, ...] = _LENGTHS) -> None:
    """Have the kernel drop notifications that tell of nothing wanted. Raises OSError.

    Dropped are our own changes (a transaction has its sender's port), and datagrams in which nothing is about a table that is
    deleted, a set that is made or deleted, or elements that leave one of `tables`.
    """
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)  # else both have to fit
    except OSError:
        pass
    for count in lengths:
        steps = program(port, tables, count)
        try:
            set_filter(connection, steps)
            return
        except OSError as failure:
            if failure.errno != errno.ENOMEM or count == lengths[-1]:
                raise


def _network(value: int, size: int) -> int:
    """Return what a load makes of a number of so many bytes that the kernel has in its own order."""
    return int.from_bytes(value.to_bytes(size, sys.byteorder), "big")


def program(port: int, tables: set[str], count: int) -> bytes:
    """Return the program for `attach`, eight bytes a step, that looks at `count` messages of a datagram.

    A load takes bytes for big-endian, netlink's are the machine's. X has the place of the message that is looked at. A load
    beyond the end drops the datagram, which is right: all messages before were unwanted.
    """
    starts = sorted({int.from_bytes((name.encode() + b"\0\0\0\0")[:4], "big") for name in tables})
    wanted = [_network(kind, 2) for kind in (TABLE_GONE, SET_MADE, SET_GONE)]
    steps = [(_LD_WORD, 0, 0, 12), (_IF_EQUAL, 0, 1, _network(port, 4)), _DROP, (_LDX, 0, 0, 0)]
    for _ in range(count):
        steps += [(_LD_SIZE, 0, 0, 0), (_SUB_X, 0, 0, 0), (_IF_NOT_LESS, 1, 0, 20), _DROP]
        # What is in the message: after the header of 16 bytes and nfgenmsg comes the name of the table.
        steps.append((_AT_HALF, 0, 0, 4))
        if len(starts) > _MAX_TABLES:
            steps += _deliver_if(wanted + [_network(ELEMENTS_GONE, 2)])
        else:
            steps += _deliver_if(wanted)
            if starts:
                steps += [(_IF_EQUAL, 0, len(starts) + 3, _network(ELEMENTS_GONE, 2)), (_AT_WORD, 0, 0, 24)]
                steps += _deliver_if(starts)
        # On to the next message. One of 256 bytes or more is none about an element: it is rare, and delivered.
        steps.append((_AT_WORD, 0, 0, 0))
        if sys.byteorder == "little":
            steps += [(_IF_ANY_BIT, 0, 1, 0x00FFFFFF), _DELIVER, (_SHIFT, 0, 0, 24)]
        else:
            steps += [(_IF_NOT_LESS, 0, 1, 256), _DELIVER]
        steps += [(_ADD, 0, 0, 3), (_AND, 0, 0, 0xFFFFFFFC), (_ADD_X, 0, 0, 0), (_TAX, 0, 0, 0)]
    steps.append(_DELIVER)
    return b"".join([_STEP.pack(*step) for step in steps])


def _deliver_if(values: list[int]) -> list[tuple[int, int, int, int]]:
    """Return steps that deliver the datagram if A is one of the values: len(values) + 2 of them."""
    tests = [(_IF_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    return tests + [(0x05, 0, 0, 1), _DELIVER]
