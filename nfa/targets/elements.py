"""Packed elements as text, for those who ask what is in a set.

In: a slot's description and its packed elements (slot number, then the fields in network order, see `provision.keys`).
Out: the element as `nft` and `ipset` write it.
"""

import socket
import sys

from ..netlink import ipset, nftables

PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "ipv6-icmp", 132: "sctp", 136: "udplite"}


def _text(field: str, raw: bytes, protocol: str) -> str:
    """Return one field as text."""
    if field.endswith("_addr"):
        return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    if field.endswith("_mac"):
        return ":".join(["%02x" % byte for byte in raw])  # noqa: UP031
    if field == "ip_proto":
        return protocol
    if field == "mark":
        return "0x%08x" % int.from_bytes(raw, sys.byteorder)  # noqa: UP031
    if field == "interface":
        return raw.rstrip(b"\0").decode("utf-8", "replace")
    return str(int.from_bytes(raw, "big"))


def reader(data: dict):
    """Return the function (packed element) -> text for a slot of the policy image."""
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


def written(words: list[str], nft: bool, kind: str) -> str:
    """Join the fields of an element as the tool of its kind does."""
    if nft:
        return " . ".join(words)
    if kind.startswith("hash:ip,port"):
        words = [words[0], words[1] + ":" + words[2], *words[3:]]
    return ",".join(words)
