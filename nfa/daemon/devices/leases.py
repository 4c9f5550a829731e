"""The lease files of dnsmasq and odhcpd: which address has which MAC address and host name.

In: the bytes of a file. Out: (address, MAC address or b"", host name in lower case or "") of each lease. Strangers choose the
names: whatever a line holds, it is a lease or it is passed over. The lines, from dnsmasq's lease.c and odhcpd's statefiles.c:

    EXPIRY MAC ADDRESS NAME|* CLIENT|*                                  dnsmasq, DHCPv4
    EXPIRY IAID ADDRESS NAME|* DUID                                     dnsmasq, DHCPv6, after a line `duid ...`
    # INTERFACE MAC ipv4 NAME|- VALID-UNTIL ADDRESS-IN-HEX 32 ADDRESS/32    odhcpd, DHCPv4
    # INTERFACE DUID IAID NAME|- VALID-UNTIL ID LENGTH ADDRESS/LENGTH ...   odhcpd, DHCPv6
    ADDRESS NAME.DOMAIN NAME                                            odhcpd, for resolvers (older ones: in the same file)

Both servers remove leases that have expired. The time in a file is not used: it may be that of a clock that was not set yet.
"""

import binascii

from ..base import socket
from ..base.portable import StructError, decode, inet_pton

MYPY = False
if MYPY:
    Lease = tuple[bytes, bytes, str]

MAX_SIZE = 256 << 10
"""Bytes of a file that is read."""
MAX_LEASES = 2048
MAX_NAME = 63
"""Characters of a host name: of a label of the DNS."""
MAX_ADDRESSES = 16
"""Addresses of one lease."""
_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_BAD = (ValueError, TypeError, IndexError, OSError, StructError)


def leases(content: bytes) -> "list[Lease]":
    """Return the leases of a file, at most MAX_LEASES."""
    found: list[Lease] = []
    for line in content.split(b"\n"):
        words = line.split()
        if len(words) < 2 or words[0] == b"duid":
            continue
        try:
            if words[0] == b"#":
                found.extend(_of_odhcpd(words))
            elif words[0].isdigit() and len(words) >= 4:
                found.append((_address(words[2]), _mac(words[1]), _name(words[3])))
            else:
                found.append((_address(words[0]), b"", _name(words[-1])))
        except _BAD:
            continue
        if len(found) >= MAX_LEASES:
            break
    return found[:MAX_LEASES]


def _of_odhcpd(words: list[bytes]) -> "list[Lease]":
    if words[5] == b"0":  # it has ended
        return []
    mac = _mac(words[2]) if words[3] == b"ipv4" else b""
    found: list[Lease] = []
    for word in words[8 : 8 + MAX_ADDRESSES]:
        parts = word.split(b"/")
        address = _address(parts[0])
        # A shorter prefix is a network that was delegated to another router.
        if len(parts) < 2 or int(decode(parts[1])) == 8 * len(address):
            found.append((address, mac, _name(words[4])))
    return found


def _address(word: bytes) -> bytes:
    """Return the 4 or 16 bytes of an address. Raises ValueError or OSError."""
    if len(word) > 45:
        raise ValueError("not an address")
    text = decode(word)
    return inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def _mac(word: bytes) -> bytes:
    """Return the 6 bytes of a MAC address, b"" when it is none: written in pairs of digits, or with colons (0:1b:...)."""
    parts = word.split(b":")
    digits = b"".join([part if len(part) == 2 else b"0" + part for part in parts]) if len(parts) == 6 else word
    try:
        mac = binascii.unhexlify(digits)
    except ValueError:
        return b""
    return mac if len(digits) == 12 and len(mac) == 6 else b""


def _name(word: bytes) -> str:
    """Return a host name in lower case; "" for what cannot be one, or is none."""
    name = word.lower()
    for letter in name:
        if letter not in _NAME:
            return ""
    return decode(name) if name != b"-" and len(name) <= MAX_NAME else ""
