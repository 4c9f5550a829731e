"""Monitors what other programs do to sets: by nftables' notifications, and by the element count of an ipset.

In: a netlink socket. Out: events for nftables (what was deleted, emptied or made, where), counts for ipset, which tells
nobody of anything. Sources: linux/netfilter/nf_tables.h, linux/netfilter/ipset/ip_set.h.
"""

import errno
import struct

from ..base import socket
from ..base.portable import SO_RCVBUF, Struct, bind_netlink, decode
from .ipset import IPSET_ATTR_DATA, IPSET_ATTR_PROTOCOL, IPSET_ATTR_SETNAME, NFNL_SUBSYS_IPSET
from .nftables import (
    NFTA_DATA_VALUE,
    NFTA_SET_ELEM_FLAGS,
    NFTA_SET_ELEM_KEY,
    NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_ELEM_LIST_TABLE,
)
from .socket import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK, Dump, Listener, open_socket
from .wire import (
    ATTRIBUTE,
    HEADER,
    NLA_F_NET_BYTEORDER,
    NLA_TYPE_MASK,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    NUMBER,
    attribute,
    attributes,
    message,
    messages,
    nfgen,
    string,
)

MYPY = False
if MYPY:
    from collections.abc import Callable

NFNLGRP_NFTABLES = 7
_RECEIVE_BUFFER = 1 << 20
_SO_RCVBUFFORCE = 33
TABLE_GONE, SET_MADE, SET_GONE, ELEMENTS_GONE = 0xA02, 0xA09, 0xA0B, 0xA0E
"""Kinds of notifications: NFT_MSG_DELTABLE, NFT_MSG_NEWSET, NFT_MSG_DELSET and NFT_MSG_DELSETELEM, with their subsystem."""
CHAIN_GONE, RULE_MADE, RULE_GONE = 0xA05, 0xA06, 0xA08
"""The same: NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE and NFT_MSG_DELRULE."""
_TOLD = (ELEMENTS_GONE, RULE_MADE, RULE_GONE, CHAIN_GONE, TABLE_GONE, SET_MADE, SET_GONE)
_WHOLE_TABLE = (RULE_MADE, RULE_GONE, CHAIN_GONE, TABLE_GONE)
LIST = 0x607
"""IPSET_CMD_LIST, with its subsystem."""
IPSET_ATTR_FLAGS = 6
IPSET_FLAG_LIST_HEADER = 1 << 2
IPSET_ATTR_ELEMENTS = 24
IPSET_ATTR_REFERENCES = 25
_ELEMENT = Struct("=8H")
"""The list of elements, an element, its key and the value in that: length and kind of each."""


class Monitor(Listener):
    """Listens to what others than the socket `port` do to nftables. `lost` counts what was missed: anything may have been."""

    def __init__(self, port: int, attach: "Callable[[socket.socket, int, set[str]], None] | None" = None) -> None:
        """`attach(socket, port, tables)` gives the kernel a filter. Raises OSError."""
        self._port = port
        self._attach = attach
        self._tables: set[str] = set()
        super().__init__(open_socket())
        try:
            self._socket.setblocking(False)
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
            except OSError:  # not in a user namespace: as much as everybody may have
                self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUF, _RECEIVE_BUFFER)
            if attach is not None:
                attach(self._socket, port, self._tables)
            bind_netlink(self._socket)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        except OSError:
            self._socket.close()
            raise
        self.descriptor = self._socket.fileno()

    def watch(self, tables: set[str]) -> None:
        """Hear of elements in these tables only, as far as the kernel can tell them apart."""
        if self._attach is not None and tables != self._tables:
            self._attach(self._socket, self._port, tables)
        self._tables = tables

    def read(self) -> dict[tuple[int, int, str, str], list[bytes]]:
        """Return what happened, as `events` does. Never waits."""
        found: dict[tuple[int, int, str, str], list[bytes]] = {}
        for data in self.datagrams():
            for what, keys in events(data, self._port).items():
                found.setdefault(what, []).extend(keys)
        return found


def events(data: bytes, port: int) -> dict[tuple[int, int, str, str], list[bytes]]:
    """Return what a datagram of notifications tells of sets and rules, without what `port` did itself.

    What happened is (kind, table family, table, set; "" for the table as a whole, and for rules). With ELEMENTS_GONE come the
    keys of those elements, b"" for one whose key cannot be read; else nothing.
    """
    found: dict[tuple[int, int, str, str], list[bytes]] = {}
    known: dict[bytes, list[bytes]] = {}
    position = 0
    while position + 20 <= len(data):
        length, kind, _, _, sender = HEADER.unpack_from(data, position)
        end = position + length
        if length < 20 or end > len(data):
            break
        if kind in _TOLD and sender != port:
            family = data[position + 16]
            # Thousands of messages about one set begin alike: all before the third attribute, but for a generation.
            names = _after(data, _after(data, position + 20, end), end)
            start = data[position + 4 : position + 6] + data[position + 16 : position + 17] + data[position + 20 : names]
            keys = known.get(start)
            if keys is None:
                table, name = _names(data[position + 20 : end])
                keys = []
                if table is not None:
                    keys = found.setdefault((kind, family, table, "" if kind in _WHOLE_TABLE else name), [])
                known[start] = keys
            if kind == ELEMENTS_GONE:
                keys.extend(_keys(data, names, end))
        position += (length + 3) & ~3
    return found


def _after(data: bytes, position: int, end: int) -> int:
    """Return where the attribute after that at `position` begins; not beyond `end`."""
    if position + 4 > end:
        return end
    length: int = ATTRIBUTE.unpack_from(data, position)[0]
    return min(end, position + (length + 3 & ~3))


def _names(data: bytes) -> tuple[str | None, str]:
    """Return the attributes 1 and 2 of a message: the table (None: there is none), and the set."""
    found = dict(attributes(data))
    kinds = (NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET)  # the same for tables and for sets
    names = [decode(found[kind].rstrip(b"\0")) if kind in found else None for kind in kinds]
    return names[0], names[1] or ""


def _keys(data: bytes, position: int, end: int) -> list[bytes]:
    """Return the keys of the elements in the attribute at `position`, b"" for one that cannot be read.

    What ends a range is no element of its own. The only flag of an element that is deleted says that it is such an end.
    """
    if position + 20 <= end:
        whole, kind, element, _, _, key, value, inner = _ELEMENT.unpack_from(data, position)
        # The most common form: one element, and first in it its key.
        usual = whole == element + 4 and value >= 4 and kind & NLA_TYPE_MASK == NFTA_SET_ELEM_LIST_ELEMENTS
        if usual and key & NLA_TYPE_MASK == NFTA_SET_ELEM_KEY and inner & NLA_TYPE_MASK == NFTA_DATA_VALUE:
            after = position + 12 + (value + 3 & ~3)
            if after + 4 <= end and ATTRIBUTE.unpack_from(data, after)[1] & NLA_TYPE_MASK == NFTA_SET_ELEM_FLAGS:
                return []
            return [data[position + 16 : min(end, position + 12 + value)]]
    found: list[bytes] = []
    for kind, listed in attributes(data[position:end]):
        for _, element in attributes(listed) if kind == NFTA_SET_ELEM_LIST_ELEMENTS else []:
            parts = dict(attributes(element))
            if NFTA_SET_ELEM_FLAGS not in parts:
                found.append(dict(attributes(parts.get(NFTA_SET_ELEM_KEY, b""))).get(NFTA_DATA_VALUE, b""))
        if kind == NFTA_SET_ELEM_LIST_ELEMENTS and listed:
            return found
    return found or [b""]


def ask_size(name: str, protocol: int, sequence: int) -> bytes:
    """Return the request for what an ipset is, without its elements."""
    body = nfgen(2) + attribute(IPSET_ATTR_PROTOCOL, bytes((protocol,))) + string(IPSET_ATTR_SETNAME, name)
    body += attribute(IPSET_ATTR_FLAGS | NLA_F_NET_BYTEORDER, struct.pack(">I", IPSET_FLAG_LIST_HEADER))
    return message(LIST, NLM_F_REQUEST | NLM_F_ACK | NLM_F_DUMP, sequence, body)


def size_of(data: bytes, sequence: int, what: int = IPSET_ATTR_ELEMENTS) -> int | None:
    """Return how many elements the ipset of an answer has; -1 when there is no such set, None when it does not say.

    `what`: IPSET_ATTR_REFERENCES for how many rules, and sets of sets, use it.
    """
    for kind, _, number, start, end in messages(data):
        if number != sequence or end - start < 4:
            continue
        if kind == NLMSG_ERROR and NUMBER.unpack_from(data, start)[0] == -errno.ENOENT:
            return -1
        if kind >> 8 == NFNL_SUBSYS_IPSET:
            for outer, value in attributes(data[start + 4 : end]):
                for inner, count in attributes(value) if outer == IPSET_ATTR_DATA else []:
                    if inner == what and len(count) == 4:
                        return int.from_bytes(count, "big")
    return None


def ask_ipset(dump: Dump, name: str, protocol: int, sequence: int, what: int = IPSET_ATTR_ELEMENTS) -> int | None:
    """Return what `size_of` tells of an ipset. None also when the kernel does not answer."""
    found = None
    try:
        dump.ask(ask_size(name, protocol, sequence))
        while True:
            data = dump.next()
            if not data:
                return found
            size = size_of(data, sequence, what)
            found = size if size is not None else found
    except OSError:
        return None
