"""How the fields of a flow record are read: text to bytes, names to comparable forms, bounded caches in front.

In: single values of a decoded record (strings that strangers chose, numbers). Out: values that decisions compare and
targets put into elements. Nothing here looks at a clock, a socket or a file. Every cache is emptied when it is full, so
a stream of ever new addresses or names costs time, not memory.
"""

import binascii
import socket
import struct
import sys

from ..base.portable import ROOM, StructError, ascii_only, inet_pton, lower  # noqa: F401 (generated code calls it, see NAMES)

MALFORMED = (TypeError, AttributeError, ValueError, KeyError, OSError, OverflowError, StructError)
"""What comes of a record with an optional part in another form than netifyd gives it."""
CACHE_LIMIT = ROOM
TEXT_LIMIT = 1024
"""A string of a record is compared and searched up to this many characters; no host name and no sane URL is longer."""

NOTHING: dict = {}
"""What a record without an optional part (`ssl`, `http`, ...) is read as having there."""

_addresses: dict[str, bytes] = {}
_macs: dict[str, bytes] = {}
_names: dict[str, tuple[str, str]] = {}
_numbers: dict[str, int] = {}
_category_rows = [b"", b""]
_categories: list[dict[int, int]] = []

NAMES = (
    "NOTHING", "address", "mac", "app_names", "number", "text", "texts", "member", "categories", "mark_bytes", "ascii_only",
    "connection",
)  # fmt: skip
"""What generated code may call."""


def address(text: str) -> bytes:
    """Return the 4 or 16 bytes, network order, of an IP address. Raises ValueError or OSError when it is none."""
    packed = _addresses.get(text)
    if packed is None:
        if len(_addresses) >= CACHE_LIMIT:
            _addresses.clear()
        packed = inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
        _addresses[text] = packed
    return packed


def mac(text: str) -> bytes:
    """Return the 6 bytes of a MAC address written with colons or dashes. Raises ValueError when it is none."""
    packed = _macs.get(text)
    if packed is None:
        if len(text) > 17:
            raise ValueError("not a MAC address")
        if len(_macs) >= CACHE_LIMIT:
            _macs.clear()
        digits = text.replace(":", "").replace("-", "")
        packed = binascii.unhexlify(digits)
        if len(digits) != 12 or len(packed) != 6:  # MicroPython passes over blanks
            raise ValueError("not a MAC address")
        _macs[text] = packed
    return packed


def mark_bytes(flow: dict) -> bytes:
    """Return the conntrack mark of a flow record as the kernel keeps it: 4 bytes, host order; 0 when not known."""
    mark = flow["ct_mark"] if "ct_mark" in flow else flow.get("conntrack", NOTHING).get("mark", 0)
    packed: bytes = (mark & 0xFFFFFFFF).to_bytes(4, sys.byteorder)
    return packed


def connection(flow: dict) -> bytes:
    """Return the connection of a flow record, packed as in `netlink.conntrack`, in the direction in which it was opened.

    Raises ValueError or OSError when the record has no two addresses of its IP version.
    """
    local, other = flow["local_ip"], flow["other_ip"]
    ports = flow.get("local_port", 0), flow.get("other_port", 0)
    if flow.get("local_origin") is False:
        return _connection(flow, other, local, ports[1], ports[0])
    return _connection(flow, local, other, ports[0], ports[1])


def reply_connection(flow: dict) -> bytes:
    """Return the reply tuple that a record of netifyd 5 brings, likewise; b"" when it brings none that can be used."""
    found = flow["conntrack"]
    try:
        source, destination = found["reply_src_ip"], found["reply_dst_ip"]
        return _connection(flow, source, destination, found["reply_src_port"], found["reply_dst_port"])
    except (KeyError, TypeError, ValueError, OSError, StructError):
        return b""


def _connection(flow: dict, source: str, destination: str, sport: int, dport: int) -> bytes:
    version = flow["ip_version"]
    ends = address(source) + address(destination)
    if len(ends) != (8 if version == 4 else 32):
        raise ValueError("an address is of the other IP version")
    return struct.pack(">BB", version, flow["ip_protocol"]) + ends + struct.pack(">HH", sport, dport)


def app_names(name: str, number: int) -> tuple[str, str]:
    """Return an application's name in lower case: whole, and after its first dot (`netify.youtube` -> `youtube`).

    Application 0 is "Unknown" in a record but has no name in an expression (netifyd 4.4.7).
    """
    names = _names.get(name)
    if names is None:
        if len(_names) >= CACHE_LIMIT:
            _names.clear()
        whole = lower(name[:TEXT_LIMIT])
        names = (whole, whole.partition(".")[2])
        _names[name] = names
    return names if number or names[0] != "unknown" else ("", "")


def number(value: object) -> int:
    """Return an integer field that netifyd may write as text (`"0x0303"`). Raises ValueError when it is neither."""
    if isinstance(value, (int, bool)):  # MicroPython's bool is no int
        return value
    if not isinstance(value, str):
        raise TypeError("not a number")
    known = _numbers.get(value)
    if known is None:
        if len(value) > 18:
            raise ValueError("not a number")
        if len(_numbers) >= CACHE_LIMIT:
            _numbers.clear()
        known = int(value.encode(), 0)  # no digits of other scripts, which MicroPython does not know
        _numbers[value] = known
    return known


def set_categories(applications: bytes, protocols: bytes) -> None:
    """Take the tables that `categories` reads: rows of be32 id, be16 category. They are opened when first needed."""
    _category_rows[:] = [applications, protocols]
    _categories.clear()


def categories(flow: dict) -> dict:
    """Return the categories of a record that names none (netifyd 3.x), from its application and protocol."""
    if not _categories:
        for rows in _category_rows:
            _categories.append({})
            for start in range(0, len(rows) - 5, 6):
                number, category = struct.unpack(">IH", rows[start : start + 6])
                _categories[-1][number] = category
    return {
        "application": _categories[0].get(flow.get("detected_application", 0), 0),
        "protocol": _categories[1].get(flow["detected_protocol"], 0),
    }


def text(value: object) -> str:
    """Return a string field as it is compared: lower case, bounded. Raises TypeError when it is no string."""
    if not isinstance(value, str):
        raise TypeError("not a string")
    return lower(value[:TEXT_LIMIT])


def texts(*values: object) -> list[str]:
    """Return the strings of one or more list fields (`alpn`, `tags`), lower case; at most 64 of each list."""
    found = []
    for value in values:
        if not isinstance(value, list):
            raise TypeError("not a list")
        found.extend([text(item) for item in value[:64]])
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
