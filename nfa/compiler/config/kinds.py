"""Converters of values of the network: interfaces, families, sets and their types, labels, ranges.

In and out as in convert.py.
"""

from __future__ import annotations

import ipaddress
import re

from nfa.compiler.base.addresses import AddressError, networks_of
from nfa.compiler.base.report import did_you_mean, quote
from nfa.compiler.config.convert import UINT32, Context, Invalid, elements, expected, flags, scalar, text, words
from nfa.compiler.config.jsontext import Value
from nfa.compiler.config.model import Text
from nfa.compiler.expression.tree import Network

IPSET_TYPES = ("hash:ip", "hash:ip,port", "hash:ip,port,ip", "hash:mac", "bitmap:ip", "bitmap:port")
NFTSET_FIELDS = (
    "local_mac",
    "other_mac",
    "local_addr",
    "other_addr",
    "local_port",
    "other_port",
    "mark",
    "interface",
    "ip_proto",
)
MAX_RANGE = 65536  # elements of a bitmap set in the kernel
MAX_LABEL = 127

_FIELD_ALIASES = {"local_ip": "local_addr", "other_ip": "other_addr"}
_TC_HANDLE = re.compile(r"([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,4})")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){4}")
_HOST_NAME = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,252}")
# Blanks may stand inside of a name.
_LABEL = re.compile(r"[^#\x00-\x1f\x7f]{1,255}")

# The kernel's dev_valid_name, IFNAMSIZ 16 with the final NUL.
interface = text(
    "'*', 'lan', 'wan' or the name of a network interface (at most 15 characters)",
    r"\*|(?!\.{1,2}$)[^\s/:\x00-\x1f\x7f]{1,15}",
)
# IPSET_MAXNAMELEN 32 with the final NUL, less the '.v4' that is added.
ipset_name = text("a set name of 1 to 28 characters without spaces", r"(?!-)[!-~]{1,28}")
# What nft's scanner takes as an identifier; NFT_NAME_MAXLEN 256 with the final NUL, less '.v4'.
nft_set_name = text(
    "a name that nft accepts: a letter, '_' or '.', then letters, digits and '_./-'",
    r"[A-Za-z_.][A-Za-z0-9_./-]{0,251}",
)
nft_table_name = text(
    "a name that nft accepts: a letter, '_' or '.', then letters, digits and '_./-'",
    r"[A-Za-z_.][A-Za-z0-9_./-]{0,254}",
)
pf_table_name = text("a name of at most 31 characters without spaces", r"[!-~]{1,31}")
# MAXPATHLEN with the final NUL; pfctl takes a '*' at the end for the anchors below.
pf_anchor = text("'*' for the main ruleset, or the path of an anchor", r"\*|[!-)+-~]{1,1023}")
name = text("a name without spaces", r"[!-~]{1,128}")
title = text("a single line of text", r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,128}")
file_part = text("part of a file name, without '/'", r"[^/\x00-\x1f\x7f]{0,128}")


def families(value: Value, context: Context) -> tuple[int, ...]:
    """set_family: ipv4, ipv6 or * as a tuple of 4 and 6."""
    known = {"ipv4": (4,), "ipv6": (6,), "*": (4, 6)}
    value = scalar(value)
    plain = value.plain()
    if not isinstance(plain, str) or plain.strip().lower() not in known:
        raise expected("'ipv4', 'ipv6' or '*'", value)
    return known[plain.strip().lower()]


def ipset_type(value: Value, context: Context) -> str:
    """A set type with its method; without one it is hash."""
    value = scalar(value)
    plain = value.plain()
    written = re.sub(r"\s", "", plain).lower() if isinstance(plain, str) else ""
    full = written if ":" in written else f"hash:{written}"
    if full not in IPSET_TYPES:
        raise expected(f"one of {' '.join(IPSET_TYPES)}", value)
    return full


def nftset_type(value: Value, context: Context) -> tuple[str, ...]:
    """The fields of a set's key: a list, or a text with commas, dots or blanks between them."""
    fields: list[str] = []
    for word in words(value, ",."):
        field = word.value.lower()
        if field in _FIELD_ALIASES:
            message = f"{quote(word.value)} is not a field name"
            field = _FIELD_ALIASES[field]
            context.reports.warning("misspelt-option", word.place, message, consequence=f"it is read as '{field}'")
        if field not in NFTSET_FIELDS:
            raise Invalid(word.place, f"unknown field {quote(word.value)}", did_you_mean(word.value, NFTSET_FIELDS))
        if field in fields:
            raise Invalid(word.place, f"the field {quote(field)} is given twice")
        fields.append(field)
    if not fields:
        raise expected(f"one or more of {', '.join(NFTSET_FIELDS)}", value)
    return tuple(fields)


def tc_handle(value: Value, context: Context) -> int:
    """skb_prio: MAJOR:MINOR in hexadecimal, as tc writes classes, to major << 16 | minor."""
    value = scalar(value)
    plain = value.plain()
    match = _TC_HANDLE.fullmatch(plain.strip()) if isinstance(plain, str) else None
    if not match:
        raise expected("a tc class, MAJOR:MINOR in hexadecimal such as '1:10'", value)
    return int(match[1], 16) << 16 | int(match[2], 16)


def bitmap_range(value: Value, context: Context) -> tuple[str, int, int]:
    """range: a network or 'A-B' of IPv4 addresses, or of ports, as ('ip' | 'port', first, last)."""
    value = scalar(value)
    plain = value.plain()
    if not isinstance(plain, str):
        raise expected("a range such as '192.168.1.0/24' or '1-1023'", value)
    first, dash, last = (part.strip() for part in plain.partition("-"))
    try:
        if not dash:
            network = ipaddress.IPv4Network(first, strict=False)
            span = ("ip", int(network.network_address), int(network.broadcast_address))
        elif first.isdecimal() and last.isdecimal():
            span = ("port", int(first), int(last))
        else:
            span = ("ip", int(ipaddress.IPv4Address(first)), int(ipaddress.IPv4Address(last)))
    except ValueError:
        raise expected("a range such as '192.168.1.0/24', '10.0.0.1-10.0.0.99' or '1-1023'", value) from None
    kind, low, high = span
    if low > high or high > (UINT32 if kind == "ip" else 65535):
        raise expected("a range from a lower to a higher number", value)
    if high - low >= MAX_RANGE:
        raise expected(f"a range of at most {MAX_RANGE} elements", value)
    return span


def macs(value: Value, context: Context) -> tuple[bytes, ...]:
    """MAC addresses of network cards: a list, or a text with blanks or commas between them."""
    found: dict[bytes, None] = {}
    for word in words(value, ","):
        if not _MAC.fullmatch(word.value):
            message = f"expected a MAC address such as '00:11:22:33:44:55', found {quote(word.value)}"
            raise Invalid(word.place, message, code="bad-address")
        mac = bytes.fromhex(re.sub("[:-]", "", word.value))
        if mac[0] & 1 or not any(mac):
            raise Invalid(word.place, f"{quote(word.value)} is the MAC address of no device", code="bad-address")
        found[mac] = None
    return tuple(found)


def networks(value: Value, context: Context) -> tuple[Network, ...]:
    """Addresses, networks and ranges: a list, or a text with blanks or commas between them."""
    found: dict[Network, None] = {}
    for word in words(value, ","):
        try:
            own = networks_of(word.value)
        except AddressError as fault:
            raise Invalid(word.place, f"{quote(word.value)}: {fault}", fault.hint, code="bad-address") from None
        if not own:
            message = f"expected an IPv4 or IPv6 address, network or range, found {quote(word.value)}"
            raise Invalid(word.place, message, code="bad-address")
        found.update((Network(network.network_address.packed, network.prefixlen), None) for network in own)
    return tuple(found)


def host_names(value: Value, context: Context) -> tuple[str, ...]:
    """Host names as DHCP leases have them, in lower case: a list, or a text with blanks or commas between them."""
    found: dict[str, None] = {}
    for word in words(value, ","):
        if not _HOST_NAME.fullmatch(word.value):
            raise Invalid(word.place, f"expected a host name such as 'toms-tablet', found {quote(word.value)}")
        found[word.value.lower()] = None
    return tuple(found)


def labels(value: Value, context: Context) -> tuple[str | int, ...]:
    """Conntrack labels: names of connlabel.conf, or bits; digits are a bit."""
    found: list[str | int] = []
    for element in elements(value):
        label = element.value.value.strip() if isinstance(element.value, Text) else element.value
        if isinstance(label, str) and re.fullmatch("[0-9]{1,9}", label):
            label = int(label)
        usable = (
            0 <= label <= MAX_LABEL
            if isinstance(label, int) and not isinstance(label, bool)
            else isinstance(label, str) and _LABEL.fullmatch(label) is not None
        )
        if not usable or not isinstance(label, str | int):
            raise expected(f"a label name or a bit from 0 to {MAX_LABEL}", element)
        if label not in found:
            found.append(label)
    return tuple(found)


flow_events = flags(("new", "updated", "expired"), "|,")

EVENTS = ("new_device", "new_application", "weak_tls", "blocked", "budget", "agent", "trouble")
"""What notices tell of."""
events = flags(EVENTS, "|,")
places = flags(("log", "ubus"), "|,")
