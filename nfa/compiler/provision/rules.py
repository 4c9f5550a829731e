"""Rules of nftables for firewall targets: each is what `nft` (1.0.6) makes of the text in the docstring.

In: names, numbers, options. Out: a rule, or a list of rules; a rule is a list of expressions for `nftables_rules.new_rule`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from nfa.compiler.config.effects import DSCP_BITS
from nfa.compiler.provision.expressions import (
    IP_CT_DIR_ORIGINAL,
    IP_CT_DIR_REPLY,
    NFT_CMP_GTE,
    NFT_CMP_LTE,
    NFT_META_IIFNAME,
    NFT_META_L4PROTO,
    NFT_META_MARK,
    NFT_META_NFPROTO,
    NFT_META_OIFNAME,
    NFT_PAYLOAD_NETWORK_HEADER,
    NFT_PAYLOAD_TRANSPORT_HEADER,
    NFT_REJECT_ICMPX_PORT_UNREACH,
    NFT_REJECT_ICMPX_UNREACH,
    NFT_REJECT_TCP_RST,
    bits,
    compare,
    direction,
    meta,
    over,
    payload,
    reject,
    set_meta,
    set_payload,
    update,
    value_of,
    verdict_of,
)
from nfa.compiler.provision.nftset import TABLE_FAMILIES
from nfa.daemon.netlink.nftables_rules import NF_DROP, NFT_GOTO, NFT_RETURN, counter, verdict
from nfa.daemon.netlink.wire import NFPROTO_OF
from nfa.daemon.targets.firewall.combinations import MAP

Rule = list[bytes]

FAMILY = TABLE_FAMILIES["inet"]
TABLE = "nfa"
PRIORITY = -1
"""Just before fw4's chains, which accept packets of established connections; nft: `filter - 1`."""

TCP, UDP, ICMPV6 = 6, 17, 58
PORTS = (TCP, UDP, 136, 132, 33)
"""Protocols whose packets have ports: these, UDP-Lite, SCTP and DCCP."""
BURST = 1 << 14
"""Bytes that may pass at once beyond those of a second, which the kernel's bucket for bytes always holds (`nft_limit_init`,
6.18): ten full packets, where a second has fewer. Measured with TCP over 8 seconds: 1.87 to 2.03 Mbit/s of 2."""
ELEMENT_COUNTER = counter()[4:]
"""What each element of a map has."""
_IFNAMSIZ = 16
_SAVED = 4
"""The register in which a packet's mark is for a moment."""


@dataclass(frozen=True)
class Field:
    """Where a header has a field: offset and bytes."""

    offset: int
    length: int


SOURCE = {4: Field(12, 4), 6: Field(8, 16)}
DESTINATION = {4: Field(16, 4), 6: Field(24, 16)}
"""Addresses in the headers of both IP versions."""


def _family(family: int) -> Rule:
    return [meta(NFT_META_NFPROTO), compare(bytes((NFPROTO_OF[family],)))]


def _protocol(number: int) -> Rule:
    return [meta(NFT_META_L4PROTO), compare(bytes((number,)))]


def _load_address(field: Field, register: int = 0) -> bytes:
    return payload(NFT_PAYLOAD_NETWORK_HEADER, field.offset, field.length, register)


def go_to(chain: str) -> Rule:
    """`goto CHAIN`"""
    return [verdict(NFT_GOTO, chain)]


def go_to_for(family: int, chain: str) -> Rule:
    """`meta nfproto ipv6 goto CHAIN`, for IP version 6."""
    return [*_family(family), *go_to(chain)]


def done_with_ports() -> list[Rule]:
    """`meta l4proto tcp return`, and the same for the other protocols with ports."""
    return [[*_protocol(number), verdict(NFT_RETURN)] for number in PORTS]


def look_up(name: str, fields: Sequence[str], family: int, out: bool) -> Rule:
    """`meta mark set ip saddr . th sport . meta l4proto . ip daddr . th dport map @NAME meta mark set meta mark meta mark vmap
    @combinations`, as nft lists it.

    The registers hold the fields of the map's key, then the number that the map has for them, which the second map is asked
    for. The kernel needs no mark for that, but nft does: 1.0.6, and others, abort when they list what is looked up in one map
    and then in another. So the number is the packet's mark for a moment. Its own mark, which nft's second `meta mark` stands
    for, is put back before anything else happens. `out`: the source is the local end; else the destination is.
    """
    local, other = (SOURCE, DESTINATION) if out else (DESTINATION, SOURCE)
    made = _family(family)
    register = 0
    for field in fields:
        if field.endswith("_addr"):
            address = (local if field.startswith("local") else other)[family]
            made.append(_load_address(address, register))
            register += address.length // 4
        elif field == "ip_proto":
            made.append(meta(NFT_META_L4PROTO, register))
            register += 1
        else:
            source = field.startswith("local") == out
            made.append(payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0 if source else 2, 2, register))
            register += 1
    return [
        *made,
        value_of(name),
        meta(NFT_META_MARK, _SAVED),
        set_meta(NFT_META_MARK),
        meta(NFT_META_MARK),
        set_meta(NFT_META_MARK, _SAVED),
        verdict_of(MAP),
    ]


def by_direction(original: str, reply: str) -> list[Rule]:
    """`ct direction original goto ORIGINAL` and `ct direction reply goto REPLY`"""
    ways = ((IP_CT_DIR_ORIGINAL, original), (IP_CT_DIR_REPLY, reply))
    return [[direction(), compare(bytes((way,))), *go_to(chain)] for way, chain in ways]


VERDICTS: dict[str, list[Rule]] = {
    "reject": [
        [*_protocol(TCP), reject(NFT_REJECT_TCP_RST)],
        [reject(NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_PORT_UNREACH)],
    ],
    "drop": [[verdict(NF_DROP)]],
}
"""`meta l4proto tcp reject with tcp reset` and `reject`; `drop`"""


def set_dscp(code: int) -> list[Rule]:
    """`ip dscp set CODE` and `ip6 dscp set CODE`

    In IPv4 it is the upper 6 bits of the second byte, in IPv6 it lies across the first two.
    """
    value = code << 8 - DSCP_BITS
    first = [
        payload(NFT_PAYLOAD_NETWORK_HEADER, 0, 2),
        bits(bytes((0xFF, 0x03)), bytes((0, value))),
        set_payload(NFT_PAYLOAD_NETWORK_HEADER, 0, 2, 10),
    ]
    second = [
        payload(NFT_PAYLOAD_NETWORK_HEADER, 0, 2),
        bits(bytes((0xF0, 0x3F)), struct.pack(">H", value << 4)),
        set_payload(NFT_PAYLOAD_NETWORK_HEADER, 0, 2),
    ]
    return [[*_family(4), *first], [*_family(6), *second]]


def set_mark(value: int, mask: int) -> Rule:
    """`meta mark set meta mark & ~MASK | VALUE`; a mark is in host order."""
    keep, change = struct.pack("=I", ~mask & 0xFFFFFFFF), struct.pack("=I", value)
    return [meta(NFT_META_MARK), bits(keep, change), set_meta(NFT_META_MARK)]


def limit(rate: int) -> Rule:
    """`limit rate over RATE bytes/second burst BURST bytes drop`"""
    return [over(rate, BURST), verdict(NF_DROP)]


def limit_each(name: str, addresses: dict[int, Field], family: int, rate: int) -> Rule:
    """`update @NAME { ip saddr limit rate over RATE bytes/second burst BURST bytes } drop`"""
    return [*_family(family), _load_address(addresses[family]), update(name, over(rate, BURST)), verdict(NF_DROP)]


# The services by which the router is reached and gives others what they need: SSH, DNS, LuCI.
_TCP_SERVICES = ((22, 22), (53, 53), (80, 80), (443, 443))
_DNS = (53, 53)
_DHCP = ((67, 68), (546, 547))
_NEIGHBOURS = (133, 137)
"""Types of ICMPv6: router and neighbour solicitation and advertisement, redirect."""


def spared(incoming: bool) -> list[Rule]:
    """What no target for the router's own packets ever meets. `incoming`: packets to the router; else those from it.

    `iifname "lo" return`; `tcp dport 22 return` for SSH, LuCI and DNS that the router gives; `udp dport 53 return` and `udp
    sport 53 return`, also for names that it asks for itself; `udp dport 67-68 return` for DHCP; `icmpv6 type 133-137 return`.
    """
    name, side = (NFT_META_IIFNAME, 2) if incoming else (NFT_META_OIFNAME, 0)
    made = [[meta(name), compare(b"lo".ljust(_IFNAMSIZ, b"\0"))]]
    made += [_between(TCP, side, 2, *ports) for ports in _TCP_SERVICES]
    made += [_between(UDP, side, 2, *ports) for ports in (_DNS, *_DHCP)]
    made += [_between(protocol, 2 - side, 2, *_DNS) for protocol in (UDP, TCP)]
    made.append([*_family(6), *_between(ICMPV6, 0, 1, *_NEIGHBOURS)])
    return [[*rule, verdict(NFT_RETURN)] for rule in made]


def _between(protocol: int, offset: int, length: int, first: int, last: int) -> Rule:
    """Match a field of a transport header that is from `first` to `last`."""
    made = [*_protocol(protocol), payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, length)]
    low, high = first.to_bytes(length, "big"), last.to_bytes(length, "big")
    return [*made, compare(low)] if first == last else [*made, compare(low, NFT_CMP_GTE), compare(high, NFT_CMP_LTE)]
