"""What others do to sets: nftables' notifications, and how many elements an ipset has.

In: a netlink socket. Out: events for nftables (what was deleted, emptied or made, where), counts for ipset, which tells
nobody of anything. Sources: linux/netfilter/nf_tables.h, linux/netfilter/ipset/ip_set.h.
"""

import errno
import socket
import struct
import sys

from ..portable import LATER, SO_RCVBUF, Struct, bind_netlink, decode, receive
from .socket import MAX_ANSWER, NETLINK_NETFILTER, SOL_NETLINK
from .wire import HEADER, NET_BYTEORDER, NLM_F_ACK, NLM_F_REQUEST, NUMBER, attribute, attributes, message, nfgen

_AF_NETLINK = 16
_ADD_MEMBERSHIP = 1
_GROUP_NFTABLES = 7
_RECEIVE_BUFFER = 1 << 20
TABLE_GONE, SET_MADE, SET_GONE, ELEMENTS_GONE = 0xA02, 0xA09, 0xA0B, 0xA0E
"""Kinds of notifications."""
_LIST = 0x607
_DUMP = 0x300
_HEADER_ONLY = 4
_ELEMENTS = 24
_ERROR, _DONE = 2, 3
_STEP = Struct("=HBBI")


class Monitor:
    """Listens to what others than the socket `port` do to nftables. `lost` counts what was missed: anything may have been."""

    def __init__(self, port: int, attach=None) -> None:
        """`attach(socket, program)` gives the kernel a filter. Raises OSError."""
        self._port = port
        self.lost = 0
        self._socket = socket.socket(_AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUF, _RECEIVE_BUFFER)
        if attach is not None:
            attach(self._socket, _leave_out(port))
        bind_netlink(self._socket)
        self._socket.setsockopt(SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        self.descriptor = self._socket.fileno()

    def read(self) -> list[tuple[int, int, str, str]]:
        """Return what happened: (kind, table family, table, set; "" for the table as a whole). Never waits."""
        found = []
        for _ in range(64):
            try:
                data = receive(self._socket, MAX_ANSWER)
            except OSError as failure:
                if failure.errno in LATER:
                    break
                if failure.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            found += events(data, self._port)
        return found

    def close(self) -> None:
        self._socket.close()


def _leave_out(port: int) -> bytes:
    """Return the program that drops what tells of our own changes, thousands a second: a transaction has its sender's port.

    It loads the word at 12 of the message (the port) and drops the message if that is ours; see linux/filter.h.
    """
    ours = int.from_bytes(struct.pack(">I", port), sys.byteorder)
    program = ((0x20, 0, 0, 12), (0x15, 0, 1, ours), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
    return b"".join([_STEP.pack(*step) for step in program])


def events(data: bytes, port: int) -> list[tuple[int, int, str, str]]:
    """Return what a datagram of notifications tells of sets, without what `port` did itself. Each thing once."""
    found: dict[tuple[int, int, str, str], None] = {}
    position = 0
    while position + 20 <= len(data):
        length, kind, _, _, sender = HEADER.unpack_from(data, position)
        if length < 20 or position + length > len(data):
            break
        if kind in (TABLE_GONE, SET_MADE, SET_GONE, ELEMENTS_GONE) and sender != port:
            names = [decode(value.rstrip(b"\0")) for kind_of, value in _names(data, position, length)]
            if names:
                family = data[position + 16]
                found[kind, family, names[0], names[1] if kind != TABLE_GONE and len(names) > 1 else ""] = None
        position += (length + 3) & ~3
    return list(found)


def _names(data: bytes, position: int, length: int) -> list[tuple[int, bytes]]:
    """Return the attributes 1 and 2 of a message: the table, and the set."""
    return sorted([item for item in attributes(data[position + 20 : position + length]) if item[0] in (1, 2)])


def ask_size(name: str, protocol: int, sequence: int) -> bytes:
    """Return the request for what an ipset is, without its elements."""
    body = nfgen(2) + attribute(1, bytes((protocol,))) + attribute(2, name.encode() + b"\0")
    body += attribute(6 | NET_BYTEORDER, struct.pack(">I", _HEADER_ONLY))
    return message(_LIST, NLM_F_REQUEST | NLM_F_ACK | _DUMP, sequence, body)


def size_of(data: bytes, sequence: int) -> int | None:
    """Return how many elements the ipset of an answer has; -1 when there is no such set, None when it does not say."""
    position = 0
    while position + 20 <= len(data):
        length, kind, _, number, _ = HEADER.unpack_from(data, position)
        if length < 16 or position + length > len(data):
            break
        if number == sequence and kind == _ERROR and NUMBER.unpack_from(data, position + 16)[0] == -errno.ENOENT:
            return -1
        if number == sequence and kind & 0xFF00 == 0x600:
            for outer, value in attributes(data[position + 20 : position + length]):
                for inner, count in attributes(value) if outer == 7 else []:
                    if inner == _ELEMENTS and len(count) == 4:
                        return int.from_bytes(count, "big")
        position += (length + 3) & ~3
    return None
