"""ipsets: what a set type holds, the message that makes a set, and words about sets for the user.

In: a set type, an address family, names and sizes. Out: names and bytes. The messages are those of the ipset
tool (7.17, seen with strace). Pure: nothing here asks the kernel.
"""

from __future__ import annotations

import shlex
import socket
from ipaddress import IPv4Address

from nfa.daemon.netlink import ipset_sets
from nfa.daemon.netlink.ipset_sets import IPSET_FLAG_WITH_SKBINFO

# The revisions of each type known here: the first with skbinfo (Linux 3.18) and the newest of ipset 7.17.
REVISIONS = {
    "hash:ip": (4, 6),
    "hash:ip,port": (5, 7),
    "hash:ip,port,ip": (5, 6),
    "hash:mac": (0, 1),
    "bitmap:ip": (3, 3),
    "bitmap:port": (3, 3),
}


def fields(set_type: str, address_type: str) -> tuple[str, ...]:
    """The flow's fields that an element of `set_type` holds, in the order of the kernel's key.

    `address_type` ('local' or 'other') picks the address of the types that hold just one and nothing else.
    """
    return {
        "hash:ip": (f"{address_type}_addr",),
        "bitmap:ip": (f"{address_type}_addr",),
        "hash:ip,port": ("other_addr", "ip_proto", "other_port"),
        "hash:ip,port,ip": ("other_addr", "ip_proto", "other_port", "local_addr"),
        "hash:mac": ("local_mac",),
        "bitmap:port": ("other_port",),
    }[set_type]


def kernel_family(set_type: str, family: int) -> int:
    """AF_INET or AF_INET6 for `family` 4 or 6; AF_UNSPEC for the types that hold no address."""
    if set_type in ("hash:mac", "bitmap:port"):
        return socket.AF_UNSPEC
    return socket.AF_INET if family == 4 else socket.AF_INET6


def revision(set_type: str, kernel_range: tuple[int, int] | None) -> int:
    """The newest revision both sides know, as the ipset tool chooses; the oldest for an unknown kernel."""
    oldest, newest = REVISIONS[set_type]
    return min(newest, kernel_range[1]) if kernel_range else oldest


def create(
    name: str,
    set_type: str,
    family: int,
    *,
    protocol: int,
    revision: int,
    timeout: int | None,
    size: int,
    span: tuple[int, int] | None,
    flags: int = IPSET_FLAG_WITH_SKBINFO,
) -> bytes:
    """CREATE for `family` 4 or 6.

    `timeout` in seconds, None for a set without timeouts; `span` is the first and last address or port of a
    bitmap; `flags` are IPSET_FLAG_WITH_*.
    """
    seconds = -1 if timeout is None else timeout
    return ipset_sets.create(name, set_type, kernel_family(set_type, family), protocol, revision, seconds, size, span, flags)


def users(name: str, count: int) -> tuple[str, str]:
    """What uses a set, in words, and how to take it away; ("", "") for nothing. ipset tells the number only."""
    if not count:
        return "", ""
    return (
        f"{count} reference{'s' if count > 1 else ''} (iptables rules, tc filters or sets of sets)",
        f"delete them; iptables-save, ip6tables-save and ipset save list them: grep -w {shlex.quote(name)}",
    )


def command(name: str, set_type: str, family: int, *, ttl: int, span: tuple[int, int] | None, skb: bool) -> str:
    """The shell command that makes such a set."""
    words = ["ipset", "create", name, set_type]
    if set_type.startswith("hash:ip"):
        words += ["family", "inet" if family == 4 else "inet6"]
    if span:
        words += ["range", span_text(set_type, span)]
    if ttl:
        words += ["timeout", str(ttl)]
    if skb:
        words.append("skbinfo")
    return shlex.join(words)


def span_text(set_type: str, span: tuple[int, int]) -> str:
    """A bitmap's range as the ipset tool writes it."""
    first, last = (str(IPv4Address(end)) if set_type == "bitmap:ip" else str(end) for end in span)
    return f"{first}-{last}"
