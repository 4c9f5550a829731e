"""How the fields of a flow record are read: text to bytes, names to comparable forms, bounded caches in front.

In: single values of a decoded record (strings that strangers chose, numbers). Out: values that decisions compare and
targets put into elements. Nothing here looks at a clock, a socket or a file. What is remembered belongs to a `View`, of which
each policy has its own. Every cache is emptied when it is full, so a stream of ever new addresses or names costs time, not
memory.
"""

import binascii
import struct
import sys

from ..base import socket
from ..base.portable import ROOM, StructError, ascii_only, inet_pton, lower

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..devices.configured import Devices

MALFORMED = (TypeError, AttributeError, ValueError, KeyError, OSError, OverflowError, StructError)
"""Exceptions raised when an optional part of a record is malformed."""
CACHE_LIMIT = ROOM
TEXT_LIMIT = 1024
"""A string of a record is compared and searched up to this many characters; no host name and no sane URL is longer."""
LIST_LIMIT = 64
"""Strings of a list that are looked at."""

NOTHING: "dict[str, Any]" = {}
"""What a record without an optional part (`ssl`, `http`, ...) is read as having there."""


class View:
    """How the records of one policy are read, and what is remembered of their values.

    `applications`, `protocols`: the tables of `categories`, rows of be32 id, be16 category. They are opened when first needed.
    """

    def __init__(self, applications: bytes = b"", protocols: bytes = b"", devices: "Devices | None" = None) -> None:
        self._devices = devices
        self._ends: dict[tuple[str, str], tuple[int, ...]] = {}
        """Address and MAC address of an end to its devices."""
        self._rows = applications, protocols
        self._categories: list[dict[int, int]] = []
        self._addresses: dict[str, bytes] = {}
        self._macs: dict[str, bytes] = {}
        self._names: dict[str, tuple[str, str]] = {}
        self._numbers: dict[str, int] = {}

    def names(self) -> "dict[str, Any]":
        """Return what generated code may call, by name."""
        return {
            "NOTHING": NOTHING, "address": self.address, "mac": self.mac, "app_names": self.app_names, "number": self.number,
            "text": text, "texts": texts, "member": member, "under": under, "categories": self.categories,
            "mark_bytes": mark_bytes, "ascii_only": ascii_only, "connection": self.connection, "device_of": self.device_of,
        }  # fmt: skip

    def forget(self) -> None:
        """Empty all caches."""
        for cache in (self._addresses, self._macs, self._names, self._numbers, self._ends):
            cache.clear()
        self._categories.clear()

    def forget_devices(self) -> None:
        """An address may belong to another device now."""
        self._ends.clear()

    def device_of(self, ip: str, mac: "str | None") -> tuple[int, ...]:
        """Return the numbers of the devices that an end of a flow is. Raises ValueError or OSError when it has no addresses."""
        found = self._ends.get((ip, mac or ""))
        if found is None:
            devices = self._devices
            found = devices.of(self.address(ip), self.mac(mac) if mac else b"") if devices is not None else ()
            if len(self._ends) >= CACHE_LIMIT:
                self._ends.clear()
            self._ends[(ip, mac or "")] = found
        return found

    def device_names(self, numbers: tuple[int, ...]) -> list[str]:
        """Return the names of devices."""
        return [self._devices.names[number] for number in numbers] if self._devices is not None else []

    def address(self, text: str) -> bytes:
        """Return the 4 or 16 bytes, network order, of an IP address. Raises ValueError or OSError when it is none."""
        packed = self._addresses.get(text)
        if packed is None:
            if len(self._addresses) >= CACHE_LIMIT:
                self._addresses.clear()
            packed = self._addresses[text] = address(text)
        return packed

    def mac(self, text: str) -> bytes:
        """Return the 6 bytes of a MAC address written with colons or dashes. Raises ValueError when it is none."""
        packed = self._macs.get(text)
        if packed is None:
            if len(text) > 17:
                raise ValueError("not a MAC address")
            if len(self._macs) >= CACHE_LIMIT:
                self._macs.clear()
            digits = text.replace(":", "").replace("-", "")
            packed = binascii.unhexlify(digits)
            if len(digits) != 12 or len(packed) != 6:  # MicroPython passes over blanks
                raise ValueError("not a MAC address")
            self._macs[text] = packed
        return packed

    def app_names(self, name: str, number: int) -> tuple[str, str]:
        """Return an application's name in lower case: whole, and after its first dot (`netify.youtube` -> `youtube`).

        Application 0 is "Unknown" in a record but has no name in an expression (netifyd 4.4.7).
        """
        names = self._names.get(name)
        if names is None:
            if len(self._names) >= CACHE_LIMIT:
                self._names.clear()
            whole = lower(name[:TEXT_LIMIT])
            names = (whole, whole.partition(".")[2])
            self._names[name] = names
        return names if number or names[0] != "unknown" else ("", "")

    def number(self, value: object) -> int:
        """Return an integer field that netifyd may write as text (`"0x0303"`). Raises ValueError when it is neither."""
        if isinstance(value, (int, bool)):  # MicroPython's bool is no int
            return value
        if not isinstance(value, str):
            raise TypeError("not a number")
        known = self._numbers.get(value)
        if known is None:
            if len(value) > 18:
                raise ValueError("not a number")
            if len(self._numbers) >= CACHE_LIMIT:
                self._numbers.clear()
            known = int(value.encode(), 0)  # no digits of other scripts, which MicroPython does not know
            self._numbers[value] = known
        return known

    def categories(self, flow: "dict[str, Any]") -> dict[str, int]:
        """Return the categories of a record that names none (netifyd 3.x), from its application and protocol."""
        if not self._categories:
            self._categories = [_open(rows) for rows in self._rows]
        return {
            "application": self._categories[0].get(flow.get("detected_application", 0), 0),
            "protocol": self._categories[1].get(flow["detected_protocol"], 0),
        }

    def connection(self, flow: "dict[str, Any]") -> bytes:
        """Return the connection of a flow record: the function `connection`, with the addresses that are remembered."""
        return connection(flow, self.address)


def _open(rows: bytes) -> dict[int, int]:
    """Return a table of categories: id to category."""
    table: dict[int, int] = {}
    for start in range(0, len(rows) - 5, 6):
        number, category = struct.unpack(">IH", rows[start : start + 6])
        table[number] = category
    return table


def address(text: str) -> bytes:
    """Return the 4 or 16 bytes, network order, of an IP address. Raises ValueError or OSError when it is none."""
    return inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def mark_bytes(flow: "dict[str, Any]") -> bytes:
    """Return the conntrack mark of a flow record as the kernel keeps it: 4 bytes, host order; 0 when not known."""
    mark = flow["ct_mark"] if "ct_mark" in flow else flow.get("conntrack", NOTHING).get("mark", 0)
    packed: bytes = (mark & 0xFFFFFFFF).to_bytes(4, sys.byteorder)
    return packed


def connection(flow: "dict[str, Any]", packed: "Callable[[str], bytes]" = address) -> bytes:
    """Return the connection of a flow record, packed as in `netlink.conntrack`, in the direction in which it was opened.

    `packed(text)`: the bytes of an address. Raises ValueError or OSError when it has no two addresses of its IP version.
    """
    local, other = flow["local_ip"], flow["other_ip"]
    ports = flow.get("local_port", 0), flow.get("other_port", 0)
    if flow.get("local_origin") is False:
        return _connection(flow, packed(other) + packed(local), ports[1], ports[0])
    return _connection(flow, packed(local) + packed(other), ports[0], ports[1])


def incoming(flow: "dict[str, Any]") -> bytes:
    """Return the connection of a flow record as packets of its other end have it: behind NAT, conntrack knows no other."""
    local, other = flow["local_ip"], flow["other_ip"]
    return _connection(flow, address(other) + address(local), flow.get("other_port", 0), flow.get("local_port", 0))


def reply_connection(flow: "dict[str, Any]") -> bytes:
    """Return the reply tuple of a record of netifyd 5, in the same form; b"" when it brings none that can be used."""
    found = flow["conntrack"]
    try:
        ends = address(found["reply_src_ip"]) + address(found["reply_dst_ip"])
        return _connection(flow, ends, found["reply_src_port"], found["reply_dst_port"])
    except (KeyError, TypeError, ValueError, OSError, StructError):
        return b""


def _connection(flow: "dict[str, Any]", ends: bytes, sport: int, dport: int) -> bytes:
    version = flow["ip_version"]
    if len(ends) != (8 if version == 4 else 32):
        raise ValueError("an address is of the other IP version")
    return struct.pack(">BB", version, flow["ip_protocol"]) + ends + struct.pack(">HH", sport, dport)


def text(value: object) -> str:
    """Return a string field as it is compared: lower case, bounded. Raises TypeError when it is no string."""
    if not isinstance(value, str):
        raise TypeError("not a string")
    return lower(value[:TEXT_LIMIT])


def texts(*values: object) -> list[str]:
    """Return the strings of one or more list fields (`alpn`, `tags`), lower case; at most LIST_LIMIT of each list."""
    found = []
    for value in values:
        if not isinstance(value, list):
            raise TypeError("not a list")
        found.extend([text(item) for item in value[:LIST_LIMIT]])
    return found


def member(packed: bytes, table: tuple[tuple[int, int, int, frozenset[bytes]], ...]) -> bool:
    """Return whether an address lies in one of many networks.

    `table` has a row for each prefix length: (address length in bytes, whole bytes of the prefix, mask of the byte after
    them or 0, the networks' prefixes). One set look-up a row, however many networks there are.
    """
    size = len(packed)
    for length, whole, mask, prefixes in table:
        if length == size:
            prefix = packed[:whole]
            if mask:
                prefix += bytes((packed[whole] & mask,))
            if prefix in prefixes:
                return True
    return False


def under(name: str, domains: frozenset[str]) -> bool:
    """Return whether a host's name (lower case) is one of some domains, or under one of them."""
    while name:
        if name in domains:
            return True
        name = name.partition(".")[2]
    return False
