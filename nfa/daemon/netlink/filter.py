"""Socket filters: they keep the kernel from delivering notifications that do not matter here.

In: a socket that listens to nftables' notifications, the port of our own socket, the tables that matter. Out: a classic filter
on it. Whoever fills a large set of their own wakes nobody.

The kernel translates the program, and charges the socket 8 bytes for each step of the translation: 8 or 9 for a load, so a
message may have three loads where net.core.optmem_max is 20,480 bytes (before 6.8), and two where it is 10,240 (32 bits).
"""

import errno
import sys

from ..base import socket
from ..base.portable import Struct, set_filter
from .nftables import NEW

_SO_DETACH_FILTER = 27
_STEP = Struct("=HBBI")
_MOST = 72
"""Messages looked at in one datagram. There are no more than 67 where a page has 4 kB: an element takes 56 bytes at least, and
the kernel sends about 3,800 bytes at a time (6.18)."""
_LENGTHS = (_MOST, 67, 60, 40, 20, 8)
"""Shorter programs, for a kernel that has less room yet: what is not looked at is delivered, with all of its datagram."""
_COUNTED = 0xA0F
"""NFT_MSG_NEWGEN, with its subsystem: a datagram of its own for each transaction."""
_WHOLE = 64
_MAX_TABLES = 6
"""More tables are not told apart, and where there is no room for that and _WHOLE messages, none is: messages count more."""
_REACH = 255
"""Steps that a jump goes at most: messages of so many steps share one step that delivers."""

# Instructions of linux/filter.h. In loads, _AT adds the register X to the offset.
_AT_WORD, _AT_HALF, _AT_BYTE = 0x40, 0x48, 0x50
_LD_SAVED, _SAVE = 0x60, 0x02
_LDX, _TAX, _RETURN, _JUMP = 0x01, 0x07, 0x06, 0x05
_ADD_X, _AND, _SHIFT = 0x0C, 0x54, 0x74
_IF_EQUAL, _IF_MORE = 0x15, 0x25
_DROP, _DELIVER = (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 0xFFFFFFFF)


def attach(connection: socket.socket, port: int, tables: set[str], lengths: tuple[int, ...] = _LENGTHS) -> None:
    """Have the kernel drop notifications that tell of nothing wanted. Raises OSError.

    Dropped are our own changes (a transaction has its sender's port), and datagrams of which each message tells of an element
    that was added, or is about none of `tables`.
    """
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)  # else both have to fit
    except OSError:
        pass
    exact = tables if len(tables) <= _MAX_TABLES else None
    forms = [(exact, count) for count in lengths if count >= _WHOLE or not tables] + [(None, count) for count in lengths]
    for known, count in forms:
        steps = program(port, known, count)
        try:
            set_filter(connection, steps)
            return
        except OSError as failure:
            if failure.errno != errno.ENOMEM or count == lengths[-1]:
                raise


def program(port: int, tables: "set[str] | None", count: int) -> bytes:
    """Return the program for `attach`, eight bytes a step, that looks at `count` messages of a datagram. None: all tables.

    A load takes bytes for big-endian, netlink's are the machine's. X has the place of the message that is looked at. A load
    beyond the end drops the datagram, which is right: all messages before were unwanted. Lengths are multiples of 4, since
    attributes are padded, and the kinds of all messages here are of the subsystem of nftables.
    """
    if tables is not None and not tables:
        return _packed([_DROP])
    starts = sorted({int.from_bytes((name.encode() + b"\0\0\0\0")[:4], "big") for name in tables or ()})
    found = _packed([(_LDX, 0, 0, 0), (_AT_WORD, 0, 0, 12), (_IF_EQUAL, 2, 0, _network(port, 4)), (_AT_HALF, 0, 0, 4)])
    found += _packed([(_IF_EQUAL, 0, 1, _network(_COUNTED, 2)), _DROP])
    group = max(1, _REACH // len(_message(starts, 0)))
    found += _group(starts, group) * (count // group)
    return found + _group(starts, count % group) + _packed([(_AT_WORD, 0, 0, 0), _DELIVER])


def _network(value: int, size: int) -> int:
    """Return what a load makes of a number of so many bytes that the kernel has in its own order."""
    return int.from_bytes(value.to_bytes(size, sys.byteorder), "big")


def _packed(steps: list[tuple[int, int, int, int]]) -> bytes:
    return b"".join([_STEP.pack(*step) for step in steps])


def _group(starts: list[int], count: int) -> bytes:
    """Return the steps about so many messages, and one that delivers, which they jump to."""
    size = len(_message(starts, 0))
    found = [_packed(_message(starts, (count - index) * size)) for index in range(count)]
    return b"".join(found) + _packed([(_JUMP, 0, 0, 1), _DELIVER])


def _message(starts: list[int], away: int) -> list[tuple[int, int, int, int]]:
    """Return the steps about one message; the step after the jump that is `away` steps from the first of them delivers.

    One of 256 bytes or more is none about an element: it is rare, and delivered. A message begins with its length (4 bytes)
    and its kind (2). One load has what is beyond 255 of the length, and the kind.
    """
    little = sys.byteorder == "little"
    if little:
        added = NEW & 0xFF
        steps = [(_AT_WORD, 0, 0, 1)]
        go_on = [(_AT_BYTE, 0, 0, 0), (_ADD_X, 0, 0, 0), (_TAX, 0, 0, 0)]
    else:
        added = NEW
        steps = [(_AT_WORD, 0, 0, 2), (_SAVE, 0, 0, 0), (_AND, 0, 0, 0xFF00FFFF)]
        go_on = [(_LD_SAVED, 0, 0, 0), (_SHIFT, 0, 0, 16), (_ADD_X, 0, 0, 0), (_TAX, 0, 0, 0)]

    def deliver() -> int:
        return away - len(steps)

    if not starts:
        steps.append((_IF_EQUAL, 0, deliver(), added))
        return steps + go_on
    steps.append((_IF_EQUAL, len(starts) + 2, 0, added))
    steps.append((_IF_MORE, deliver(), 0, 0xFF if little else 0xFFFF))
    # After the header of 16 bytes, nfgenmsg and the attribute's header comes the name of the table.
    steps.append((_AT_WORD, 0, 0, 24))
    for start in starts:
        steps.append((_IF_EQUAL, deliver(), 0, start))
    return steps + go_on
