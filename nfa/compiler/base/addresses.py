"""Addresses as people write them: one address, a network, a range of addresses, a MAC address.

In: a text of a criteria, an exemption or an address group. Out: networks or the bytes of a MAC address, or `AddressError`,
which says what is wrong with a text that can only be meant as an address.
"""

from __future__ import annotations

import ipaddress
import re

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}\Z")
_RANGE = re.compile(r"\s*([0-9A-Fa-f.:]+)\s*-\s*([0-9A-Fa-f.:]+)\s*\Z")
_LIKE = re.compile(r"(?=.*[0-9])(?=.*[.:])[0-9A-Fa-f.:/-]+(?:\s+-\s+[0-9A-Fa-f.:]+)?\Z")


class AddressError(ValueError):
    """A text that looks like an address and is none. The message says what is wrong, `hint` what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def mac_of(text: str) -> bytes | None:
    """Return the 6 bytes of a MAC address (`:` or `-`, any case), or None."""
    return bytes.fromhex(text.replace(":", "").replace("-", "")) if _MAC.match(text) else None


def networks_of(text: str) -> tuple[Network, ...]:
    """Return the networks of an address, a network (host bits are dropped) or a range `a-b`; none if it is nothing of these.

    A range becomes the fewest networks that cover it. The last address of an IPv4 range may be its last byte alone:
    `192.168.1.30-40`. Raises AddressError for a range whose ends do not fit each other.
    """
    match = _RANGE.match(text)
    if match is None:
        try:
            # A router's own address with its prefix length is the usual way to name a network.
            return (ipaddress.ip_network(text.strip(), strict=False),)
        except ValueError:
            return ()
    first, last = _end(match[1]), _end(match[2])
    if isinstance(first, ipaddress.IPv4Address) and last is None and match[2].isdecimal():
        last = _end(f"{match[1].rpartition('.')[0]}.{match[2]}")
    if first is None or last is None:
        return ()
    if first.version != last.version:
        raise AddressError("the range begins with an address of one IP version and ends with one of the other")
    if int(first) > int(last):
        raise AddressError("the range ends before it begins", f"did you mean {last}-{first}?")
    return tuple(ipaddress.summarize_address_range(first, last))


def looks_like_an_address(text: str) -> bool:
    """Return whether a text can only be meant as an address, network, range or MAC address, right or wrong."""
    return _LIKE.match(text.strip()) is not None


def _end(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
