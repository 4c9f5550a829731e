"""Packed elements as text, for those who ask what is in a set, or which connections carry a mark or labels.

In: a slot's description and its packed elements (slot number, then the fields in network order, see `provision.keys`).
Out: the element as `nft` and `ipset` write it; a connection and what it carries.
"""

import sys

from ..base import socket
from ..base.portable import decode
from ..netlink import ipset, nftables

MYPY = False
if MYPY:
    from collections.abc import Callable

    from .types import Data

PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "ipv6-icmp", 132: "sctp", 136: "udplite"}
PORTLESS = (1, 58)


def address_text(packed: bytes) -> str:
    """Return a packed IP address, of 4 or 16 bytes, as text."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _text(field: str, raw: bytes, protocol: str) -> str:
    """Return one field as text."""
    if field.endswith("_addr"):
        return address_text(raw)
    if field.endswith("_mac"):
        return ":".join([f"{byte:02x}" for byte in raw])
    if field == "ip_proto":
        return protocol
    if field == "mark":
        return f"0x{int.from_bytes(raw, sys.byteorder):08x}"
    if field == "interface":
        return decode(raw.rstrip(b"\0"))
    return str(int.from_bytes(raw, "big"))


def reader(data: "Data") -> "Callable[[bytes], str]":
    """Return the function (packed element) -> text for a slot of the policy image."""
    if data["kind"] in ("ctmark", "ctlabel", "cut"):
        return lambda key: connection_text(key[2:]) + effect_text(data, key)
    if data["kind"] == "pftable":
        return lambda key: address_text(key[2:])
    width = nftables.width if data["kind"] == "nftset" else ipset.width
    places = []
    at = 2
    for field in data["fields"]:
        size = width(field, data["family"])
        places.append((field, at, at + size))
        at += size
    nft = data["kind"] == "nftset"

    def read(key: bytes) -> str:
        protocol = ""
        for field, start, end in places:
            if field == "ip_proto":
                number = key[start:end][0]
                protocol = PROTOCOLS.get(number, str(number))
        words = [_text(field, key[start:end], protocol) for field, start, end in places]
        return written(words, nft, data["type"])

    return read


def connection_text(packed: bytes) -> str:
    """Return a packed connection (`netlink.conntrack`) in words; what stands after it is left out."""
    size = 4 if packed[0] == 4 else 16
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    ports = 2 + 2 * size
    ends = []
    for start, port in ((2, ports), (2 + size, ports + 2)):
        end = socket.inet_ntop(family, packed[start : start + size])
        number = int.from_bytes(packed[port : port + 2], "big")
        if packed[1] not in PORTLESS:
            end = ("[" + end + "]" if size == 16 else end) + ":" + str(number)
        ends.append(end)
    return PROTOCOLS.get(packed[1], str(packed[1])) + " " + " > ".join(ends)


def effect_text(data: "Data", key: bytes) -> str:
    """Return what a connection carries: ` mark 0x2/0xff`, or ` label NAME`; "" for nothing."""
    if data["kind"] == "ctmark":
        mark, mask = data["mark"], data["mask"]
        return f" mark 0x{mark:x}/0x{mask:x}"
    if data["kind"] == "cut":
        return ""
    names = [name for bit, name in data["names"] if data["labels"] >> bit & 1]
    for label in key[16:] if key[2] == 4 else key[40:]:
        names += [name for bit, name in data["names"] if bit == label and name not in names]
    return " label " + ", ".join(names)


def written(words: list[str], nft: bool, kind: str) -> str:
    """Join the fields of an element as the tool of its kind does."""
    if nft:
        return " . ".join(words)
    if kind.startswith("hash:ip,port"):
        words = [words[0], words[1] + ":" + words[2]] + words[3:]
    return ",".join(words)
